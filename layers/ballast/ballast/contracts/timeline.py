"""The story of a run as one typed, versioned value, which ``ballast trace``, the console and the HTTP API lay out.

::

    run.timeline()
      └ turns: who planned, what the model was asked and said, what was decided
          ├ attempts     each asking of the model: tokens, cost, time, why it ended
          ├ escalation   what people, or the requester, were asked, and who answered
          ├ calls        arguments, outcome, cost, undo; attempts, approvals by round, doubts
          └ pivot        who took over, and why

Values are as everybody may see them where the run was read so (sensitive ones masked), and untrusted: who lays them
out neutralises them. Money is in micro-dollars, durations are in ms, times are ISO 8601 in UTC, a position is
``[turn, index]``. A text that the log does not say is "", a number or a position null.
"""

import json
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, InstanceOf

#: The version of the form. Fields may be added to a version; a consumer ignores those that it does not know.
VERSION: Literal[1] = 1

Status = Literal["answered", "unanswered", "failed", "aborted", "timed_out", "refused", "waiting", "open", "corrupt"]
CallOutcome = Literal["ok", "failed", "denied", "unknown", "refused", "waiting", "open"]
Position = tuple[int, int]
#: Any text, also one with a lone surrogate, which a model may write.
_Str = InstanceOf[str]


class _Part(BaseModel):
    model_config = ConfigDict(
        frozen=True,
        extra="forbid",
        json_schema_serialization_defaults_required=True,
        defer_build=True,  # a function that serves it seldom starts no later for it
    )


class Unreadable(_Part):
    """An entry of the log that cannot be read, and why.

    turn    where it belongs; 0 for the opening and the ending, and where its key has no place
    partly  some of it can be read, and is told
    """

    seq: _Str
    why: _Str
    turn: int = 0
    partly: bool = False


class Piece(_Part):
    """One block of a Converse message.

    error     a tool result that reports a failure
    left_out  the characters that are not in ``text``, where it was too long for a page
    """

    role: _Str
    kind: Literal["text", "reasoning", "tool_use", "tool_result", "other"]
    text: _Str
    error: bool = False
    left_out: int = 0


class ModelAttempt(_Part):
    """One attempt at a completion: what was asked, what came, what it cost.

    state              ``open`` where neither a reply nor a failure was recorded: its reservation stays charged
    prompt             only what was new to the model in this attempt
    exit_reason, why   why it ended, as a name and in words
    input_tokens       those that were neither read from the provider's cache (cached_tokens) nor written to it
    cost_microusd      by its usage; 0 while it is open
    charged_microusd   what counts: its cost, or its reservation while it is open
    passed_over        the models that were not asked, each with its reason
    refused_answer     why its answer was not sent; empty where it was, or gave none
    """

    attempt: int
    state: Literal["responded", "failed", "open"]
    at: _Str = ""
    model: _Str = ""
    price_version: _Str = ""
    prompt: tuple[Piece, ...] = ()
    completion: tuple[Piece, ...] = ()
    stop_reason: _Str = ""
    exit_reason: _Str = ""
    why: _Str = ""
    error: _Str = ""
    input_tokens: int = 0
    output_tokens: int = 0
    cached_tokens: int = 0
    cache_write_tokens: int = 0
    reserved_microusd: int = 0
    cost_microusd: int = 0
    charged_microusd: int = 0
    latency_ms: int | None = None
    passed_over: dict[str, _Str] = Field(default_factory=dict)
    refused_answer: tuple[_Str, ...] = ()

    @property
    def prompt_tokens(self) -> int:
        """All tokens of its prompt, cached or not."""
        return self.input_tokens + self.cached_tokens + self.cache_write_tokens


class Proposal(_Part):
    """A tool and its arguments, as proposed."""

    tool: _Str
    arguments: Any = None


class Approval(_Part):
    """One round of asking people about a call; ``approve`` is null while nobody has answered.

    why        why people are asked
    approvals  how many must approve; ``approvers``: of which group
    given      who has approved so far, where that is not enough yet
    by         who decided; everybody, where several people had to approve
    changed    a person changed the arguments
    silent     nobody answered in time, which is no rejection
    parked     they have the long time, after nobody had answered in the short one
    void       what had moved when the approved call was to act: it was asked again, or denied
    """

    round: int = 1
    escalation_id: _Str = ""
    why: tuple[_Str, ...] = ()
    approvals: int = 1
    approvers: _Str = ""
    given: tuple[_Str, ...] = ()
    approve: bool | None = None
    by: _Str = ""
    comment: _Str = ""
    changed: bool = False
    silent: bool = False
    parked: bool = False
    void: tuple[_Str, ...] = ()
    answer_by: _Str = ""
    asked_at: _Str = ""
    answered_at: _Str = ""


class Doubt(_Part):
    """An attempt at a call of which nobody knew whether it acted. ``ran``: the error was the tool's own."""

    attempt: int
    message: _Str
    ran: bool = False
    at: _Str = ""


class CallAttempt(_Part):
    """The money of one attempt at a call; there is none where the tool is free.

    charged_microusd  what counts: what it cost, or its reservation where nobody knows
    """

    attempt: int
    outcome: Literal["ok", "failed", "denied", "unknown", "open"]
    reserved_microusd: int = 0
    charged_microusd: int = 0


class Signal(_Part):
    """What was noticed, at a call, of an agent that repeats itself, and what was done about it.

    kind   same_call, cycle, near_equal, same_error, unchanged_result, write_spiral, other_words
    step   notice (the agent is told) or forbid (the tool is forbidden)
    first  the call that it began with
    words  all of it in a sentence
    """

    kind: _Str
    step: _Str
    count: int = 0
    first: Position | None = None
    words: _Str = ""


class Call(_Part):
    """One proposed tool call and what came of it.

    outcome           ``refused`` never reached the tool; ``waiting`` for people; ``open`` has no outcome (yet)
    arguments         as the gate admitted them, or as a person changed them
    error             the name of the error of a refused call
    message           why it was refused, failed or denied, and what to mend; while it is in doubt, why
    notice            what the model was told beside the result
    charged_microusd  what its attempts cost, reservations without an outcome in full
    undo              the call that would undo it, recorded before its effect
    undoes            of a rollback's call: the call that it takes back
    repeats           the call whose recorded result it got, instead of acting again
    left_out          the bytes of its result and arguments, which are null, where it was too large for a page
    """

    index: int
    tool: _Str
    arguments: Any = None
    outcome: CallOutcome = "open"
    effect: _Str = ""
    result: Any = None
    error: _Str = ""
    message: _Str = ""
    notice: _Str = ""
    latency_ms: int | None = None
    charged_microusd: int = 0
    attempts: tuple[CallAttempt, ...] = ()
    undo: Proposal | None = None
    undoes: Position | None = None
    repeats: Position | None = None
    signal: Signal | None = None
    approvals: tuple[Approval, ...] = ()
    doubts: tuple[Doubt, ...] = ()
    left_out: int = 0


class TurnEscalation(_Part):
    """People (kind escalation), or the requester (kind question), were asked; ``by`` is "" while nobody has answered.

    reason, why  why, as a name and in words
    proposed     the decision that was not carried out, as JSON; null where there is none
    """

    escalation_id: _Str
    kind: _Str = "escalation"
    reason: _Str = ""
    why: _Str = ""
    summary: _Str = ""
    proposed: Any = None
    may_not_answer: tuple[_Str, ...] = ()
    by: _Str = ""
    answer_by: _Str = ""
    asked_at: _Str = ""
    answered_at: _Str = ""


class Breaker(_Part):
    """The spend breaker that stopped the agent: its mode, who set it and why."""

    mode: _Str
    by: _Str = ""
    reason: _Str = ""
    at: _Str = ""


class Decided(_Part):
    """The decision that a turn ended with.

    kind                 call_tools, answer or hand_over
    note                 the planner's own remark
    add_budget_microusd  what a person added; ``leased_microusd``: what of it the windows had room for, so that it
                         raised the ceiling
    """

    kind: _Str
    text: _Str = ""
    to: _Str = ""
    reason: _Str = ""
    note: _Str = ""
    guidance: _Str = ""
    add_budget_microusd: int = 0
    leased_microusd: int = 0
    parallel: bool = False
    breaker: Breaker | None = None


class Pivot(_Part):
    """Another planner took over after this turn. ``why``: ``reason`` in words."""

    giver: _Str
    taker: _Str
    reason: _Str
    why: _Str = ""
    error: _Str = ""


class Turn(_Part):
    """One turn. Money, tokens and calls are the sums of the run up to its end.

    planner               agent, fallback, rollback, human or requester
    at_ms                 since the opening; null where the log has no entry of it
    spent_microusd        charged for certain, for models and tools; ``reserved_microusd`` is charged until an outcome
    cost_ceiling_microusd as admitted, and what people added and the windows had room for
    unreadable            its entries that cannot be read
    unknown               the keys of its entries of a kind that this version does not know
    left_out              the bytes of its attempts and calls, which are empty, where they are too large for a page
    """

    turn: int
    planner: _Str
    at: _Str = ""
    at_ms: int | None = None
    attempts: tuple[ModelAttempt, ...] = ()
    escalation: TurnEscalation | None = None
    decided: Decided | None = None
    calls: tuple[Call, ...] = ()
    pivot: Pivot | None = None
    spent_microusd: int = 0
    reserved_microusd: int = 0
    cost_ceiling_microusd: int | None = None
    input_tokens: int = 0
    output_tokens: int = 0
    tool_calls: int = 0
    unreadable: tuple[Unreadable, ...] = ()
    unknown: tuple[_Str, ...] = ()
    left_out: int = 0


class Ceilings(_Part):
    """The run's limits; null where the log does not say."""

    cost_microusd: int | None = None
    turns: int | None = None
    tool_calls: int | None = None
    deadline_s: int | None = None


class Spent(_Part):
    """What one model, or one tool with a price of its own, cost: in so many attempts."""

    name: _Str
    attempts: int
    input_tokens: int = 0
    output_tokens: int = 0
    reserved_microusd: int = 0
    charged_microusd: int = 0


class Money(_Part):
    """Where the money went. ``charged_microusd`` is the sum of ``models`` and of ``tools``: all that counts.

    input_tokens of a model  all of its prompts', cached or not
    leased_microusd    what was leased from the windows in all; null in a log from before there were leases
    returned_microusd  what the run gave back when it was settled; null before that
    saved_microusd     what loops that were stopped would have burned by their limits; no part of any sum
    """

    charged_microusd: int = 0
    models: tuple[Spent, ...] = ()
    tools: tuple[Spent, ...] = ()
    leased_microusd: int | None = None
    returned_microusd: int | None = None
    saved_microusd: int = 0


class Correction(_Part):
    """What an operator says that the run cost instead."""

    charged_microusd: int
    was_microusd: int
    by: _Str
    reason: _Str
    at: _Str


class Timeline(_Part):
    """A run from its opening to its ending.

    status             open: it has no ending (yet); corrupt: its log cannot be read where it would say
    ending             one sentence: how it ended, or what it waits for
    by                 the planner whose answer it is
    degraded           it was not the agent that answered
    reason, why        why it was refused or ended so; of a degraded answer, why the agent was stopped; as a name and
                       in words
    request            as it was sent
    ceilings           as admitted, and in ``cost_microusd`` what people added and the windows had room for
    spent_microusd     charged for certain, for models and tools
    reserved_microusd  set aside by attempts whose outcome is not recorded
    corrected          what an operator says that it cost instead; null where nobody does
    effects            how the writes of an ended run ended: none, kept, undone or frozen
    unreadable         every entry of the log that cannot be read; the rest is told without it
    agent_turns        turns in which a model was asked; ``agent_calls`` what it proposed there
    """

    version: Literal[1] = VERSION
    run_id: _Str
    status: Status
    ending: _Str
    by: _Str = ""
    degraded: bool = False
    reason: _Str = ""
    why: _Str = ""
    answer: _Str = ""
    tenant: _Str = ""
    intent: _Str = ""
    request: dict[str, Any] = Field(default_factory=dict)
    requested_by: _Str = ""
    agent: _Str = ""
    model: _Str = ""
    opened_at: _Str = ""
    ended_at: _Str = ""
    duration_ms: int | None = None
    ceilings: Ceilings = Ceilings()
    spent_microusd: int = 0
    reserved_microusd: int = 0
    money: Money = Money()
    corrected: Correction | None = None
    effects: _Str = ""
    input_tokens: int = 0
    output_tokens: int = 0
    agent_turns: int = 0
    agent_calls: int = 0
    tool_calls: int = 0
    refused_calls: int = 0
    turns: tuple[Turn, ...] = ()
    unreadable: tuple[Unreadable, ...] = ()
    unknown: tuple[_Str, ...] = ()

    def to_json(self) -> str:
        """Return the timeline as JSON in ASCII: whatever the text holds, a terminal stays unharmed."""
        return json.dumps(self.model_dump(), indent=2).replace("\x7f", "\\u007f")
