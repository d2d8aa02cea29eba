"""The HTTP API's forms of runs: requests and responses."""

import re
from typing import Annotated, Any, Literal

from pydantic import Field

from ballast.contracts.attachment import MOST_ATTACHMENTS, MOST_FILE_BYTES, FileName, Format
from ballast.contracts.decision import Effects
from ballast.contracts.limits import LimitsPatch
from ballast.contracts.notice import Corrected
from ballast.contracts.request import MAX_TEXT_CHARS, QueueUrl, RequestId, WhenFull
from ballast.contracts.task import RunId
from ballast.contracts.timeline import Timeline
from ballast.contracts.wire import Json, Name, Wire
from ballast.folds.feedback import Verdict
from ballast.http.identity import Right, Role
from ballast.values import dataclass

#: Characters of a file in base64.
MAX_DATA_CHARS = -(-max(MOST_FILE_BYTES.values()) // 3) * 4

Status = Literal["running", "waiting", "answered", "refused", "unanswered", "failed", "aborted", "timed_out", "corrupt"]
#: The statuses of a run that has ended; an index finds runs by them.
ENDED: frozenset[str] = frozenset({"answered", "refused", "unanswered", "failed", "aborted", "timed_out"})

#: Seconds that a caller may wait; API Gateway waits for 30.
MAX_WAIT_S = 25
_WAIT = re.compile(r"""(?:^|[,;\s])wait\s*=\s*"?([0-9]{1,9})(?![0-9])""", re.IGNORECASE)
_ASYNC = re.compile(r"(?:^|[,;\s])respond-async(?![\w=-])", re.IGNORECASE)

#: The key of an event.
SEQ = r"^[0-9]{4}\.[a-z_]{1,32}(\.[0-9]{1,4})?\.([a-z_.]{1,32}|approval_[a-z]{1,16}(\.[0-9]{1,4}){1,2})$"

Usd = Annotated[str, Field(pattern=r"^[0-9]+\.[0-9]{2,6}$", description="US dollars, exact", examples=["0.0123"])]
Time = Annotated[str, Field(description="ISO 8601, UTC", examples=["2026-03-01T12:00:00+00:00"])]


class NewAttachment(Wire):
    """An image or a document for the agent's model. What is in it is not believed, whoever sends it.

    name    for people: letters, digits, spaces and some marks; no path. The model never gets it
    format  of the content, which is checked
    data    the content in base64. A request has about 6 MB; send larger files in fewer requests or in text
    """

    name: FileName
    format: Format
    data: str = Field(min_length=4, max_length=MAX_DATA_CHARS, pattern=r"^[A-Za-z0-9+/]+={0,2}$")


class NewRun(Wire):
    """A request for a run.

    text      the request in words
    agent     the agent to ask; the deployed one if it is left out
    intent    the subject of the request, if you know it; it chooses the fallback
    context   facts that you vouch for, such as an order id
    limits    tighter limits than the agent's
    attachments  images and documents, if the agent's model takes them
    tenant    the tenant who pays; only an operator may name another one
    reply_to  URL of an SQS queue that gets the outcome as well
    when_full what to do if no window has room for the run's ceiling, or too many runs go on: refuse (the default) or
              wait
    """

    # The pattern refuses blanks alone.
    text: str = Field(max_length=MAX_TEXT_CHARS, pattern=r"\S")
    agent: Name | None = None
    intent: Name | None = None
    context: dict[str, Json] = Field(default_factory=dict)
    limits: LimitsPatch | None = None
    attachments: list[NewAttachment] = Field(default_factory=list, max_length=MOST_ATTACHMENTS)
    tenant: Name | None = None
    reply_to: QueueUrl | None = None
    when_full: WhenFull | None = None


class Me(Wire):
    """The caller, as their identity says.

    principal  the caller's name, as it is recorded
    role       member (of a tenant) | reviewer | operator
    tenant     the tenant whose runs the caller sees; null for an operator, who sees all
    groups     the groups whose approvals the caller may give
    you_may    the caller's rights: start, read, cancel (runs that the caller sees), reply (to the agent's question),
               decide (runs that somebody else asked for), operate (everything for every tenant, and the spend breaker)
    """

    principal: str
    role: Role
    tenant: Name | None
    groups: tuple[str, ...]
    you_may: tuple[Right, ...]


class RunSummary(Wire):
    """A run in brief.

    agent      null before the run is admitted if the request names none
    status     running | waiting (for a person) | its ending | corrupt: the entry of its log that gives the status
               cannot be read, and what depends on it is null
    by         who answered: agent, fallback, human, …
    degraded   true if not the agent answered, or nobody did
    reason     why it waits, was refused or ended so; of a degraded answer, why the agent was stopped
    cost_usd   the cost of models and tools by its log, including reservations without an outcome
    corrected  the cost by an operator's correction, with who and why; null without one
    feedback   what people said of it afterwards: wrong if anybody says so; null if nobody said anything
    deadline_at  when it should be answered at the latest; null once it has ended
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
    feedback: Verdict | None = None
    opened_at: Time | None = None
    deadline_at: Time | None = None
    ended_at: Time | None = None


class CorruptEvent(Wire):
    """An entry of the log that cannot be read because somebody changed it, and what is wrong with it."""

    seq: str
    why: str


class AttachedFile(Wire):
    """A file of a run. Nobody believes what is in it. ``name`` is its sender's; ``bytes`` is its size."""

    name: FileName
    format: Format
    bytes: int


class AttachmentLink(AttachedFile):
    """A file of a run, and where to load it until ``expires_at``: whoever has ``url`` can."""

    sha256: str
    url: str
    expires_at: Time


class Written(Wire):
    """A write that happened or may have happened. Its arguments and its result are in the run's events.

    turn, index  the call's position in the run
    by           who proposed it: agent, fallback, rollback, human
    status       ok | unknown (it may have happened) | intended (in progress)
    undone       true if it no longer stands: it was undone, or it undid another write
    """

    turn: int
    index: int
    tool: str
    by: str
    status: Literal["ok", "unknown", "intended"]
    undone: bool


class Run(RunSummary):
    """A run.

    answer         the answer's text, once there is one
    ceiling_usd    the most that it may cost; null before it is admitted
    turns          the newest turn with an entry in the log
    escalation_id  the escalation that waits for a person or for the requester
    question       the agent's question to the requester; reply with POST /runs/{run_id}/messages
    effects        the state of its writes, once it has ended: none, kept, undone, or frozen (for a person to judge)
    done           its writes, in the order of the work
    attachments    its files, of the request and of results; `GET /runs/{run_id}/attachments/1` is the first one's link
    message        why it was refused, and what to do
    opens_at       when there will be room, if it was refused for lack of room
    corrupt        the entries of its log that cannot be read; the other fields come from the rest
    """

    answer: str | None = None
    ceiling_usd: Usd | None = None
    turns: int = 0
    escalation_id: str | None = None
    question: str | None = None
    effects: Effects | None = None
    done: tuple[Written, ...] = ()
    attachments: tuple[AttachedFile, ...] = ()
    message: str | None = None
    opens_at: Time | None = None
    corrupt: tuple[CorruptEvent, ...] = ()


class RunPage(Wire):
    """Runs, newest first. ``next`` is the token of the page that follows; null on the last one."""

    runs: tuple[RunSummary, ...]
    next: str | None


class ActiveHour(Wire):
    """An hour of UTC: its runs and answers.

    since      the beginning of the hour
    runs       the runs that were started, including refused ones
    answered   the runs that were answered
    looked_at  the answers of which it was read who gave them: the newest, at most 10
    by_others  those of them that are not the agent's
    """

    since: Time
    runs: int
    answered: int
    looked_at: int
    by_others: int


class Activity(Wire):
    """The last 24 hours of a tenant's runs, oldest first; the last hour is not over.

    Fewer hours if there are too many runs to count; each hour shown is complete.
    """

    tenant: Name
    hours: tuple[ActiveHour, ...]


class TimelinePage(Timeline):
    """A run's timeline: its header, and a page of its turns in order.

    What is too large for a page is left out and says so (`left_out`); the log has it. ``next``: send it as ``after``
    for the turns that follow; null if there are none yet.
    """

    next: int | None


class LoggedEvent(Wire):
    """An entry of the log. ``seq`` is its key: turn, subject, position, step.

    corrupt    why it cannot be read, if somebody changed it; its body is empty then
    left_out   the bytes of a body that is too large for a page; it is empty here
    """

    seq: str
    at: str
    body: dict[str, Any]
    corrupt: str | None = None
    left_out: int | None = None


class EventPage(Wire):
    """Events in the order of the work. ``next``: send it as ``after`` for those that follow; null if none do yet."""

    events: tuple[LoggedEvent, ...]
    next: str | None


@dataclass(frozen=True)
class Preference:
    """The header ``Prefer`` (RFC 7240), as far as it is understood.

    ``wait=N``                 respond within N seconds: with the run's answer, or a degraded one of its fallback
    ``respond-async, wait=N``  wait N seconds, but leave the run all of its time

    wait_s   seconds that the caller waits
    hurries  whether the answer is wanted by then
    """

    wait_s: int
    hurries: bool


def preference(prefer: str | None) -> Preference | None:
    """Return the preference, None if the caller does not want to wait; what is not understood is ignored."""
    found = _WAIT.search(prefer or "")
    if found is None:
        return None
    return Preference(min(int(found[1]), MAX_WAIT_S), hurries=not _ASYNC.search(prefer or ""))
