"""The timeline of a run: what ``ballast trace`` shows, and what ``--json`` prints.

Plain values, made from the log by ``local.trace.fold.timeline``. Text is exactly what the log
holds; the renderer neutralises it. Money is in micro-USD, durations are in ms, offsets count
from the run's opening.
"""

import json
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

from ballast.folds.cost import Correction

Status = Literal["answered", "unanswered", "failed", "aborted", "timed_out", "refused", "waiting", "open", "corrupt"]
Outcome = Literal["ok", "failed", "denied", "unknown", "refused", "waiting", "open"]


@dataclass(frozen=True)
class Piece:
    """One block of a Converse message. ``error`` marks a tool result that reports a failure."""

    role: str
    kind: Literal["text", "reasoning", "tool_use", "tool_result", "other"]
    text: str
    error: bool = False


@dataclass(frozen=True)
class Attempt:
    """One attempt at a completion: what was asked, what came, what it cost.

    prompt     only what was new to the model in this attempt
    state      ``open`` where neither a reply nor a failure was recorded: its reservation stays charged
    """

    attempt: int
    state: Literal["responded", "failed", "open"]
    model: str = ""
    prompt: tuple[Piece, ...] = ()
    completion: tuple[Piece, ...] = ()
    stop_reason: str = ""
    exit_reason: str = ""
    error: str = ""
    input_tokens: int = 0
    output_tokens: int = 0
    cached_tokens: int = 0
    reserved_microusd: int = 0
    cost_microusd: int = 0
    latency_ms: int | None = None


@dataclass(frozen=True)
class Proposal:
    """A tool and its arguments, as proposed."""

    tool: str
    arguments: Any = None


@dataclass(frozen=True)
class Approval:
    """What a person was asked about one call; ``approve`` is None while nobody has answered.

    by       who decided; everybody, where several people had to approve
    why      why a person is asked
    given    who has approved so far, where that is not enough yet
    changed  a person changed the arguments
    silent   nobody answered in time, which is no rejection
    void     what had moved when the approved call was to act: it was asked again, or denied
    """

    escalation_id: str = ""
    approve: bool | None = None
    by: str = ""
    comment: str = ""
    why: tuple[str, ...] = ()
    given: tuple[str, ...] = ()
    changed: bool = False
    silent: bool = False
    void: tuple[str, ...] = ()


@dataclass(frozen=True)
class Call:
    """One proposed tool call and what came of it.

    outcome  ``refused`` never reached the tool; ``open`` has no outcome in the log (yet)
    message  why it was refused, failed or denied, and what is to be mended
    undo     the call that would undo it, recorded before its effect
    circles  what was noticed at it of an agent that goes round in circles, and what was done about it
    undoes   for a rollback's call: which call it takes back, such as ``turn 2 call 1``
    repeats  which call's recorded result it got, instead of acting again
    """

    index: int
    tool: str
    arguments: Any = None
    outcome: Outcome = "open"
    effect: str = ""
    result: Any = None
    error: str = ""
    message: str = ""
    latency_ms: int | None = None
    undo: Proposal | None = None
    undoes: str = ""
    circles: str = ""
    repeats: str = ""
    approval: Approval | None = None


@dataclass(frozen=True)
class Escalation:
    """A person was asked what to do; ``by`` is empty while nobody has answered."""

    escalation_id: str
    reason: str = ""
    summary: str = ""
    proposed: Any = None
    by: str = ""


@dataclass(frozen=True)
class Decided:
    """The decision that a turn ended with. ``note`` is the planner's own remark."""

    kind: str
    text: str = ""
    to: str = ""
    reason: str = ""
    note: str = ""
    guidance: str = ""
    add_budget_microusd: int = 0
    parallel: bool = False


@dataclass(frozen=True)
class Pivot:
    """Another planner took over after this turn."""

    giver: str
    taker: str
    reason: str
    error: str = ""


@dataclass(frozen=True)
class Turn:
    """One turn. Money, tokens and calls are the sums of the run up to its end."""

    turn: int
    planner: str
    at_ms: int | None = None
    attempts: tuple[Attempt, ...] = ()
    escalation: Escalation | None = None
    decided: Decided | None = None
    calls: tuple[Call, ...] = ()
    pivot: Pivot | None = None
    spent_microusd: int = 0
    reserved_microusd: int = 0
    cost_ceiling_microusd: int | None = None
    input_tokens: int = 0
    output_tokens: int = 0
    tool_calls: int = 0


@dataclass(frozen=True)
class Ceilings:
    """The run's limits; None where the log does not say."""

    cost_microusd: int | None = None
    turns: int | None = None
    tool_calls: int | None = None
    deadline_s: int | None = None


@dataclass(frozen=True)
class Timeline:
    """A run from its opening to its ending.

    ending             one sentence: how it ended, or what it waits for
    reason             why it was refused or ended so; of a degraded answer, why the agent was stopped
    ceilings           as admitted, and in ``cost_microusd`` what people added since
    spent_microusd     charged for certain
    reserved_microusd  set aside by attempts whose outcome is not recorded
    corrected          what an operator says that it cost instead, by whom and why; None where nobody does
    effects            how the writes of an ended run ended: none, kept, undone or frozen; "" where the log does not say
    corrupt            entries of the log that cannot be read, each with its reason; the rest is told without them
    agent_turns        turns in which a model was asked; ``agent_calls`` what it proposed there
    """

    run_id: str
    status: Status
    ending: str
    by: str = ""
    degraded: bool = False
    reason: str = ""
    answer: str = ""
    request: dict[str, Any] = field(default_factory=dict)
    agent: str = ""
    model: str = ""
    opened_at: str = ""
    duration_ms: int | None = None
    ceilings: Ceilings = Ceilings()
    spent_microusd: int = 0
    reserved_microusd: int = 0
    corrected: Correction | None = None
    effects: str = ""
    input_tokens: int = 0
    output_tokens: int = 0
    agent_turns: int = 0
    agent_calls: int = 0
    tool_calls: int = 0
    refused_calls: int = 0
    turns: tuple[Turn, ...] = ()
    corrupt: tuple[str, ...] = ()

    def to_json(self) -> str:
        """Return the timeline as JSON in ASCII: whatever the text holds, a terminal stays unharmed."""
        return json.dumps(asdict(self), indent=2).replace("\x7f", "\\u007f")
