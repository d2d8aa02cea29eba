"""The timeline of a run: one typed, versioned value for ``ballast trace``, the console and the HTTP API.

::

    run.timeline()
      └ turns: who planned, what the model was asked and said, what was decided
          ├ attempts     each request to a model: tokens, cost, time, why it ended
          ├ escalation   the request to people or to the requester, and who answered
          ├ calls        arguments, outcome, cost, undo; attempts, approvals by round, doubts
          └ pivot        who took over, and why

Sensitive values are masked if the run was read with masks. Texts are untrusted: escape them before you show them.
Money is in micro-dollars, durations are in ms, times are ISO 8601 in UTC, a position is ``[turn, index]``.
If the log does not have a value, a text is "" and a number or a position is null.
"""

import json
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, InstanceOf

#: The version of the format. A version may get more fields; a consumer ignores unknown fields.
VERSION: Literal[1] = 1

Status = Literal["answered", "unanswered", "failed", "aborted", "timed_out", "refused", "waiting", "open", "corrupt"]
CallOutcome = Literal["ok", "failed", "denied", "unknown", "refused", "waiting", "open"]
Position = tuple[int, int]
#: Any text, also with a lone surrogate: models write them.
_Str = InstanceOf[str]


class _Part(BaseModel):
    model_config = ConfigDict(
        frozen=True,
        extra="forbid",
        json_schema_serialization_defaults_required=True,
        defer_build=True,  # functions that rarely need the model start faster
    )


class Unreadable(_Part):
    """An entry of the log that cannot be read, and why.

    turn    its turn; 0 for the opening, for the ending, and for a key without a place
    partly  some of it can be read, and is shown
    """

    seq: _Str
    why: _Str
    turn: int = 0
    partly: bool = False


class Piece(_Part):
    """One block of a Converse message.

    error     whether it is a tool result that reports a failure
    left_out  number of characters that are missing in ``text``, because it was too long for a page
    """

    role: _Str
    kind: Literal["text", "reasoning", "tool_use", "tool_result", "other"]
    text: _Str
    error: bool = False
    left_out: int = 0


class ModelAttempt(_Part):
    """One attempt at a completion: its prompt, its reply and its cost.

    state              ``open`` if neither a reply nor a failure was recorded: its reservation stays charged
    prompt             only what was new to the model in this attempt
    sent_as            the settings of the request, and the form in which the model got the prompt
    exit_reason, why   why it ended, as a name and in words
    input_tokens       tokens neither read from the provider's cache (cached_tokens) nor written to it
    cache_saved_microusd  what the cache saved: what its tokens would have cost as plain input, less its cost; negative
                       where writing to the cache cost more than reading it saved
    cost_microusd      the cost of its usage; 0 while it is open
    charged_microusd   the amount that counts: its cost, or its reservation while it is open
    passed_over        the models that were not asked, each with the reason
    refused_answer     why its answer was not sent; empty if it was sent, or if there was no answer
    bound_because      of a reply: why it is charged at its bound, and not by its usage; "" if it is charged by that
    """

    attempt: int
    state: Literal["responded", "failed", "open"]
    at: _Str = ""
    model: _Str = ""
    price_version: _Str = ""
    prompt: tuple[Piece, ...] = ()
    sent_as: dict[str, Any] = Field(default_factory=dict)
    completion: tuple[Piece, ...] = ()
    stop_reason: _Str = ""
    exit_reason: _Str = ""
    why: _Str = ""
    error: _Str = ""
    input_tokens: int = 0
    output_tokens: int = 0
    cached_tokens: int = 0
    cache_write_tokens: int = 0
    cache_saved_microusd: int = 0
    reserved_microusd: int = 0
    cost_microusd: int = 0
    charged_microusd: int = 0
    latency_ms: int | None = None
    passed_over: dict[str, _Str] = Field(default_factory=dict)
    refused_answer: tuple[_Str, ...] = ()
    bound_because: _Str = ""

    @property
    def prompt_tokens(self) -> int:
        """All tokens of the prompt, cached or not."""
        return self.input_tokens + self.cached_tokens + self.cache_write_tokens


class Proposal(_Part):
    """A tool and its arguments, as proposed."""

    tool: _Str
    arguments: Any = None


class Approval(_Part):
    """One round of asking people about a call; ``approve`` is null while nobody has answered.

    why        why people are asked
    approvals  how many people must approve; ``approvers``: their group
    given      the people who have approved so far, while more approvals are needed
    by         the person who decided; all of them, if several people had to approve
    changed    a person changed the arguments; ``changed_by``: who, if approvals were still needed after that
    silent     nobody answered in time; this is not a rejection
    parked     nobody answered in the short time, so people now have the long one
    void       what had changed before the approved call could act: people were asked again, or the call was denied
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
    changed_by: _Str = ""
    silent: bool = False
    parked: bool = False
    void: tuple[_Str, ...] = ()
    answer_by: _Str = ""
    asked_at: _Str = ""
    answered_at: _Str = ""


class Doubt(_Part):
    """An attempt at a call that ended in doubt: it may have acted. ``ran``: the error was the tool's own."""

    attempt: int
    message: _Str
    ran: bool = False
    at: _Str = ""


class ResultFile(_Part):
    """An image or a document that came with a result. ``name`` is the tool's; ``bytes`` is the size, null if unknown.

    Where the file is: ``GET /runs/{run_id}/attachments/{number}``, numbered over the request and then the turns.
    """

    kind: Literal["image", "document"]
    format: _Str
    name: _Str
    bytes: int | None


class CallAttempt(_Part):
    """The cost of one attempt at a call of a tool that costs money.

    charged_microusd  the amount that counts: its cost, or its reservation if the cost is unknown
    """

    attempt: int
    outcome: Literal["ok", "failed", "denied", "unknown", "open"]
    reserved_microusd: int = 0
    charged_microusd: int = 0


class Signal(_Part):
    """A signal at a call that the agent repeats itself, and what was done about it.

    kind   same_call, cycle, near_equal, same_error, unchanged_result, write_spiral, other_words
    step   notice (the agent is told) or forbid (the tool is forbidden)
    first  the first of the repeated calls
    words  the signal as a sentence
    """

    kind: _Str
    step: _Str
    count: int = 0
    first: Position | None = None
    words: _Str = ""


class Unlike(_Part):
    """A server that answered otherwise than ``servers/SERVER.yaml`` pinned it; ``kind``: openapi, mcp or lambda."""

    server: _Str
    kind: _Str
    tool: _Str = ""


class Call(_Part):
    """One proposed tool call and its outcome.

    outcome           ``refused``: never reached the tool; ``waiting``: for people; ``open``: no outcome (yet)
    arguments         as the gate admitted them, or as a person changed them
    error             the name of the error of a refused call
    sourceless        of a refused call: the paths of the arguments whose values have no source, or none that is trusted
    message           why it was refused, failed or denied, and what to correct; for a call in doubt, the reason
    notice            a remark for the model, sent with the result
    charged_microusd  the cost of its attempts; reservations without an outcome count in full
    undo              the call that would undo it, recorded before its effect
    when_rolled_back  of a write: its tool's rule, recorded before the effect: undo, keep or freeze; "" if none is
    undoes            of a rollback's call: the call that it undoes
    repeats           the earlier call whose recorded result it got, instead of acting again
    circuit           the downstream whose circuit was open, so that the tool was not run; "" if it was run
    unlike            the server that answered otherwise than it was pinned, whatever the outcome; else null
    files             the files that came with its result
    left_out          bytes of its result and arguments if they were too large for a page; they are null then
    """

    index: int
    tool: _Str
    arguments: Any = None
    outcome: CallOutcome = "open"
    effect: _Str = ""
    result: Any = None
    error: _Str = ""
    sourceless: tuple[_Str, ...] = ()
    message: _Str = ""
    notice: _Str = ""
    latency_ms: int | None = None
    charged_microusd: int = 0
    attempts: tuple[CallAttempt, ...] = ()
    undo: Proposal | None = None
    when_rolled_back: _Str = ""
    undoes: Position | None = None
    repeats: Position | None = None
    circuit: _Str = ""
    unlike: Unlike | None = None
    signal: Signal | None = None
    approvals: tuple[Approval, ...] = ()
    doubts: tuple[Doubt, ...] = ()
    files: tuple[ResultFile, ...] = ()
    left_out: int = 0


class TurnEscalation(_Part):
    """A request to people (kind escalation) or to the requester (kind question); ``by`` is "" until somebody answers.

    reason, why  the reason, as a name and in words
    proposed     the decision that was not carried out, as JSON; null if there is none
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


class LimitReached(_Part):
    """A limit that ended the agent's part.

    limit    its name, without ``limits.``
    allowed  its value; money in micro-dollars
    used     what was used of it; null where only the prompt or the calls of the turn show it
    agent    the agent whose own limit it is, so that it counts that agent's turns; "" if it is the run's
    file     its file in the playbook; "" if the request set it, or an earlier playbook
    key      its place in the file, or in the request; "" if nothing explains its value
    words    its place and its value
    """

    limit: _Str
    allowed: int
    used: int | None = None
    agent: _Str = ""
    file: _Str = ""
    key: _Str = ""
    words: _Str = ""


class Decided(_Part):
    """The decision at the end of a turn.

    kind                 call_tools, answer or hand_over
    note                 the planner's own remark
    add_budget_microusd  the budget that a person added; ``leased_microusd``: the part for which the windows had room.
                         Only that part raised the ceiling
    reached              the limits that caused it; empty in a log of an earlier version
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
    reached: tuple[LimitReached, ...] = ()


class Pivot(_Part):
    """Another planner took over after this turn. ``why``: ``reason`` in words.

    from_agent, to_agent  the agents' names, if another agent took over; else ""
    """

    giver: _Str
    taker: _Str
    reason: _Str
    why: _Str = ""
    error: _Str = ""
    from_agent: _Str = ""
    to_agent: _Str = ""


class Turn(_Part):
    """One turn. Money, tokens and calls are the run's totals at the end of the turn.

    planner               agent, fallback, rollback, human or requester
    by_agent              name of the agent, of its turns in a run that was handed to another agent; else ""
    at_ms                 ms since the opening; null if the log has no entry of the turn
    spent_microusd        the known cost of models and tools; ``reserved_microusd`` is charged until there is an outcome
    cost_ceiling_microusd the admitted ceiling, plus the leased part of what people added
    unreadable            its entries that cannot be read
    unknown               keys of its entries whose kind this version does not know
    left_out              bytes of its attempts and calls if they are too large for a page; both are empty then
    """

    turn: int
    planner: _Str
    by_agent: _Str = ""
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
    """The run's limits; null if the log does not have one."""

    cost_microusd: int | None = None
    turns: int | None = None
    tool_calls: int | None = None
    deadline_s: int | None = None


class Spent(_Part):
    """The cost and the attempts of one model, or of one tool that has a price."""

    name: _Str
    attempts: int
    input_tokens: int = 0
    output_tokens: int = 0
    reserved_microusd: int = 0
    charged_microusd: int = 0


class Money(_Part):
    """The run's money by model and tool. ``charged_microusd`` is the sum of ``models`` and ``tools``.

    input_tokens of a model  tokens of all its prompts, cached or not
    leased_microusd    the total leased from the windows; null in a log from before leases existed
    returned_microusd  the part of the lease returned at settlement; null before that
    saved_microusd     estimated further cost of the stopped loops up to their limits; not part of any sum
    """

    charged_microusd: int = 0
    models: tuple[Spent, ...] = ()
    tools: tuple[Spent, ...] = ()
    leased_microusd: int | None = None
    returned_microusd: int | None = None
    saved_microusd: int = 0


class Correction(_Part):
    """The run's cost according to an operator's correction."""

    charged_microusd: int
    was_microusd: int
    by: _Str
    reason: _Str
    at: _Str


class SettledMove(_Part):
    """What an operator found out about a call of unknown effect: whether the business's own money moved."""

    turn: int
    index: int
    happened: bool
    by: _Str = ""
    at: _Str = ""


class Feedback(_Part):
    """A person's newest words about the run. ``verdict``: right or wrong; ``role``: by which right they spoke."""

    verdict: _Str
    by: _Str
    role: _Str = ""
    note: _Str = ""
    at: _Str = ""


class Timeline(_Part):
    """A run from its opening to its ending.

    status             open: no ending (yet); corrupt: the entry that has the status cannot be read
    ending             one sentence: how the run ended, or what it waits for
    by                 the planner that answered
    degraded           true if the answer is not the agent's
    reason, why        the reason of the refusal or the ending, as a name and in words; of a degraded answer, why the
                       agent was stopped
    request            the request as it was sent
    on_behalf          names of the tokens with which calls act on behalf of ``requested_by``; the log has no token
    made_of            short digests of what ran: playbook, agent, cards, code
    ceilings           the admitted limits; ``cost_microusd`` includes the leased part of what people added
    spent_microusd     the known cost of models and tools
    reserved_microusd  reservations of attempts without a recorded outcome
    corrected          an operator's correction of the cost; null if there is none
    settled_moves      what operators found out about calls of unknown effect
    feedback           what people said of it afterwards: each person's newest words
    effects            the state of an ended run's writes: none, kept, undone or frozen
    unreadable         every entry of the log that cannot be read; the timeline leaves it out
    agent_turns        turns in which a model was asked; ``agent_calls``: the calls proposed in them
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
    on_behalf: tuple[_Str, ...] = ()
    agent: _Str = ""
    model: _Str = ""
    made_of: dict[str, _Str] = Field(default_factory=dict)
    opened_at: _Str = ""
    ended_at: _Str = ""
    duration_ms: int | None = None
    ceilings: Ceilings = Ceilings()
    spent_microusd: int = 0
    reserved_microusd: int = 0
    money: Money = Money()
    corrected: Correction | None = None
    settled_moves: tuple[SettledMove, ...] = ()
    feedback: tuple[Feedback, ...] = ()
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
        """Return the timeline as JSON in ASCII, so that no text in it can send control codes to a terminal."""
        return json.dumps(self.model_dump(), indent=2).replace("\x7f", "\\u007f")
