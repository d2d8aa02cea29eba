"""What the API takes and gives where it is about runs."""

from typing import Annotated, Any, Literal

from pydantic import Field

from ballast.contracts.decision import Effects
from ballast.contracts.limits import LimitsPatch
from ballast.contracts.notice import Corrected
from ballast.contracts.request import MAX_TEXT_CHARS, QueueUrl, RequestId, WhenFull
from ballast.contracts.task import RunId
from ballast.contracts.timeline import Timeline
from ballast.contracts.wire import Json, Name, Wire
from ballast.http.identity import Right, Role

Status = Literal["running", "waiting", "answered", "refused", "unanswered", "failed", "aborted", "timed_out", "corrupt"]
#: Those that an ended run has: its log's last event says which, and an index finds it by that.
ENDED: frozenset[str] = frozenset({"answered", "refused", "unanswered", "failed", "aborted", "timed_out"})

Usd = Annotated[str, Field(pattern=r"^[0-9]+\.[0-9]{2,6}$", description="US dollars, exact", examples=["0.0123"])]
Time = Annotated[str, Field(description="ISO 8601, UTC", examples=["2026-03-01T12:00:00+00:00"])]


class NewRun(Wire):
    """What is asked for.

    text      the request in words
    agent     the agent that is wanted; the one that is deployed, where none is named
    intent    what you know the request to be about; it chooses the fallback
    context   facts that you vouch for, such as an order id
    limits    may only tighten the agent's
    tenant    on whose account; only an operator may name another's
    reply_to  URL of an SQS queue that gets the outcome too
    when_full refuse (the default) or wait, where no window has room for the run's ceiling, or too many runs go on
    """

    # Words: the pattern says that blanks alone are none.
    text: str = Field(max_length=MAX_TEXT_CHARS, pattern=r"\S")
    agent: Name | None = None
    intent: Name | None = None
    context: dict[str, Json] = Field(default_factory=dict)
    limits: LimitsPatch | None = None
    tenant: Name | None = None
    reply_to: QueueUrl | None = None
    when_full: WhenFull | None = None


class Me(Wire):
    """Whoever asks, as their identity says.

    principal  who it is, as it is recorded
    role       member (of a tenant) | reviewer | operator
    tenant     whose runs it sees; null for an operator, who sees all
    groups     the groups whose approvals it may give
    you_may    what it may do at all: start, read, cancel (what it sees), reply (to what it is asked), decide (what
               somebody else asked for), operate (everything for every tenant, and the spend breaker)
    """

    principal: str
    role: Role
    tenant: Name | None
    groups: tuple[str, ...]
    you_may: tuple[Right, ...]


class RunSummary(Wire):
    """A run in a line.

    agent      null before it is admitted, where the request names none
    status     running | waiting (for a person) | how it ended | corrupt: its log cannot be read where it would say so,
               and what depends on that is null
    by         whose answer it is: agent, fallback, human, …
    degraded   whether an answer, or its absence, is not the agent's
    reason     why it waits, was refused, or ended as it did; of a degraded answer, why the agent was stopped
    cost_usd   what its log counts for models and tools, reservations without an outcome included
    corrected  what an operator says that it cost instead, by whom and why; null where nobody does
    deadline_at  until when it is meant to be answered; null where it has ended
    """

    run_id: RunId
    request_id: RequestId | None = None
    tenant: Name | None = None
    agent: Name | None = None
    intent: Name | None = None
    text: str = ""
    status: Status
    by: str | None = None
    degraded: bool | None = None
    reason: str | None = None
    cost_usd: Usd = "0.00"
    corrected: Corrected | None = None
    opened_at: Time | None = None
    deadline_at: Time | None = None
    ended_at: Time | None = None


class CorruptEvent(Wire):
    """An entry of the log that cannot be read, and why: somebody changed it."""

    seq: str
    why: str


class Written(Wire):
    """A write that happened, or may have. Its arguments and its result are in the run's events.

    turn, index  where it stands
    by           who proposed it: agent, fallback, rollback, human
    status       ok; unknown where nobody knows whether it happened; intended while it is at work
    undone       whether it no longer stands: it was undone, or it is what undid another one
    """

    turn: int
    index: int
    tool: str
    by: str
    status: Literal["ok", "unknown", "intended"]
    undone: bool


class Run(RunSummary):
    """A run.

    answer         its text, once it is answered
    ceiling_usd    what it may cost at most; null before it is admitted
    turns          the newest turn with an entry in the log
    escalation_id  what waits for a person or for the requester, if anything does
    question       what the agent asks the requester; POST /runs/{run_id}/messages replies
    effects        what became of what it wrote, once it has ended: none, kept, undone, or frozen (for a person)
    done           what it wrote, in the order of the work
    message        why it was refused, and what to mend
    opens_at       when there will be room, where it was refused for want of it
    corrupt        the entries of its log that cannot be read; the rest is told by the others
    """

    answer: str | None = None
    ceiling_usd: Usd | None = None
    turns: int = 0
    escalation_id: str | None = None
    question: str | None = None
    effects: Effects | None = None
    done: tuple[Written, ...] = ()
    message: str | None = None
    opens_at: Time | None = None
    corrupt: tuple[CorruptEvent, ...] = ()


class RunPage(Wire):
    """Runs, newest first. ``next`` is the token of the page that follows; null on the last one."""

    runs: tuple[RunSummary, ...]
    next: str | None


class ActiveHour(Wire):
    """An hour of UTC: the runs that came in it, and the answers that it saw.

    since      its beginning
    runs       the runs that were started in it, refused ones included
    answered   the runs that were answered in it
    looked_at  of how many of these answers it was read who gave them: the newest, at most 10
    by_others  how many of those are not the agent's
    """

    since: Time
    runs: int
    answered: int
    looked_at: int
    by_others: int


class Activity(Wire):
    """The last 24 hours of a tenant's runs, oldest first; the last one is not over.

    Fewer hours where there are too many runs to count: those that are shown are counted whole.
    """

    tenant: Name
    hours: tuple[ActiveHour, ...]


class TimelinePage(Timeline):
    """A run's story: its header, and turns in their order.

    What is too large for a page is left out and says so (`left_out`); the log has it. ``next``: send it as ``after``
    for the turns that follow; null where none do yet.
    """

    next: int | None


class LoggedEvent(Wire):
    """An entry of the log. ``seq`` is its key: turn, subject, position, step.

    corrupt    why it cannot be read, where somebody changed it; its body is empty then
    left_out   the bytes of a body that is too large for a page, and is empty here
    """

    seq: str
    at: str
    body: dict[str, Any]
    corrupt: str | None = None
    left_out: int | None = None


class EventPage(Wire):
    """Events in the order of the work. ``next``: send it as ``after`` for those that follow; null where none do yet."""

    events: tuple[LoggedEvent, ...]
    next: str | None
