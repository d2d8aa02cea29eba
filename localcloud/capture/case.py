"""A case: what came from outside a recorded run, in the form of a scenario. Pure."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, get_args

from ballast.contracts import ExitReason
from ballast.contracts.timeline import Call, Timeline
from ballast.contracts.wire import canonical, parse
from ballast.errors import InvalidInput
from ballast.log.event import Event
from ballast.log.events import ModelFailed, ModelResponded
from localcloud.converse.script import BedrockError, ScriptModel
from localcloud.replay.oracle import reply_of
from localcloud.replay.recorded import RecordedRun
from localcloud.scenarios import Scenario
from localcloud.scenarios.people import recorded_answers

#: Bedrock's error for the reason of a failed attempt; a second one where the provider charges for it.
_ERRORS: Mapping[str, str] = {
    ExitReason.MODEL_THROTTLED: "ThrottlingException",
    ExitReason.MODEL_UNAVAILABLE: "ServiceUnavailableException",
    ExitReason.MODEL_TIMEOUT: "ModelTimeoutException",
    ExitReason.MODEL_REFUSED: "AccessDeniedException",
}
_TOO_LONG = "Input is too long for requested model."
_NAMED = re.compile("|".join(get_args(BedrockError)))
#: Fields of a request that say who sent it, and not what.
_OF_THE_CALLER = ("request_id", "reply_to", "when_full")
#: What the model says where a repaired run goes on after the record's end.
CLOSING = "That is all I can say about it."
_ASKED = "who-is-asked-after-the-fix"

Step = Mapping[str, Any]


def asked_after_the_fix(approve: bool | Sequence[str], moved: str | None = None) -> Mapping[str, Any]:
    """Return who answers a repaired run that asks where the recorded one did not; for the agent, too.

    approve  which calls they approve: none, all, or the writes that may happen
    moved    the most money that the run may have moved with a call that they approve
    """
    decision = {"kind": "answer", "text": "A person has taken it over."}
    at_most = {} if moved is None or not approve else {"moves_at_most": moved}
    return {"by": _ASKED, "approve": approve, **at_most, "decision": decision, "whenever_asked": True}


@dataclass(frozen=True)
class Case:
    """What a scenario needs besides its name and what it expects, as JSON.

    steps    the model's replies and failures, as a script has them
    by       who sent the request, and so may not decide about it; "" where nobody knows
    closing  the reply to a run that goes on where the record ends: a fix may make it do so
    last     who answers after ``people``, where a fix asks and the recorded run did not
    notes    what the record had and a scenario cannot say
    """

    request: Mapping[str, Any]
    steps: tuple[Step, ...]
    people: tuple[Mapping[str, Any], ...] = ()
    tools: tuple[Mapping[str, Any], ...] = ()
    parameters: Mapping[str, str] = field(default_factory=dict)
    seed: int = 1
    by: str = ""
    closing: str = ""
    last: tuple[Mapping[str, Any], ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def turns(self) -> tuple[Step, ...]:
        """The whole script."""
        return (*self.steps, {"say": self.closing, "if_asked": True}) if self.closing else self.steps

    def is_left_by(self, played: Timeline) -> bool:
        """Whether a run went on beyond the steps: the model said more than the record has."""
        said = sum(attempt.state == "responded" for turn in played.turns for attempt in turn.attempts)
        return said > sum("error" not in step for step in self.steps)

    def calls_of(self, tool: str) -> int:
        """Return how many calls of a tool the script has."""
        return sum(call["tool"] == tool for step in self.steps for call in step.get("call", ()))

    def document(self, expect: Mapping[str, Any], description: str) -> dict[str, Any]:
        """Return scenario.yaml as JSON."""
        made: dict[str, Any] = {"description": description, "request": dict(self.request)}
        made |= {"by": self.by} if self.by else {}
        made |= {"seed": self.seed} if self.seed != 1 else {}
        made |= {"parameters": dict(self.parameters)} if self.parameters else {}
        # What must hold is what the test expects: a fix may ask fewer people than the record, or nobody.
        people = [*({**one, "if_asked": True} for one in self.people), *(dict(one) for one in self.last)]
        made |= {"people": people} if people else {}
        made |= {"tools": [dict(one) for one in self.tools]} if self.tools else {}
        return made | {"expect": dict(expect)}

    def scenario(self, expect: Mapping[str, Any]) -> Scenario:
        """Return the scenario. Raises ``InvalidInput``."""
        document = self.document(expect, "a captured run")
        document["request"] = {"request_id": "captured", **document["request"]}
        return parse(Scenario, {"name": "captured", **document}, what="The captured scenario")

    def model(self) -> ScriptModel:
        """Return the model that says the script. Raises ``InvalidInput``."""
        return ScriptModel.of(self.turns, "script")


def case_of(recorded: RecordedRun, *, agent: str, seed: int = 1, closing: str = "") -> Case:
    """Return the case of a recorded run; no tool has a double. Raises ``InvalidInput`` for a run without a whole log.

    agent    the playbook's own, which a request need not name
    closing  what the model would say after the record's end
    """
    sent = recorded.events.timeline().request
    if not sent.get("text"):
        raise InvalidInput(f"{recorded.run_id}: its log has no request, so nothing can be captured.")
    steps: list[Step] = []
    notes: dict[str, None] = {}
    for event in sorted(recorded.events, key=lambda one: one.at):
        fact = event.fact
        if isinstance(fact, ModelResponded):
            steps.append(_reply(event, fact))
        elif isinstance(fact, ModelFailed):
            steps += _failure(fact, notes)
    people = tuple(_people(recorded, notes))
    request = _request(sent, agent, notes)
    return Case(
        request,
        tuple(steps),
        people,
        seed=seed,
        by=recorded.events.timeline().requested_by,
        closing=closing or CLOSING,
        notes=tuple(notes),
    )


def _request(request: Mapping[str, Any], agent: str, notes: dict[str, None]) -> dict[str, Any]:
    if request.get("attachments"):
        notes[f"{len(request['attachments'])} attachments of the request are left out: a log has no content"] = None
    without = {"attachments", *_OF_THE_CALLER}
    made = {name: value for name, value in request.items() if name not in without and value not in (None, {}, [])}
    if made.get("agent") == agent:
        del made["agent"]
    if made.get("tenant") == "default":
        del made["tenant"]
    if isinstance(made.get("limits"), Mapping):
        made["limits"] = {name: value for name, value in made["limits"].items() if value is not None}
    return made


def _reply(event: Event, fact: ModelResponded) -> Step:
    reply = reply_of(event)
    content = reply.get("output", {}).get("message", {}).get("content", [])
    texts = [block["text"] for block in content if isinstance(block.get("text"), str)]
    uses = [block["toolUse"] for block in content if isinstance(block.get("toolUse"), Mapping)]
    calls = [{"tool": use["name"], "arguments": use.get("input", {})} for use in uses]
    step: dict[str, Any] = {"say": "\n".join(texts)} if texts else {}
    step |= {"call": calls} if calls else {}
    usual, stop = ("tool_use" if calls else "end_turn"), fact.stop_reason or "end_turn"
    if stop != usual or not step:
        step["stop"] = stop
    usage = {
        "inputTokens": fact.input_tokens,
        "outputTokens": fact.output_tokens,
        "cacheReadInputTokens": fact.cache_read_tokens or None,
        "cacheWriteInputTokens": fact.cache_write_tokens or None,
    }
    if fact.input_tokens is not None:
        told = {name: tokens for name, tokens in usage.items() if tokens is not None}
        step["usage"] = told | {"totalTokens": sum(told.values())}
    return step


def _failure(fact: ModelFailed, notes: dict[str, None]) -> list[Step]:
    reason = fact.exit_reason or ExitReason.MODEL_UNAVAILABLE
    named = _NAMED.search(fact.error)
    if reason == ExitReason.MODEL_CONTEXT_WINDOW_EXCEEDED:
        return [{"error": "ValidationException", "message": _TOO_LONG}]
    if reason not in _ERRORS:
        notes[f"turn {fact.turn}: an attempt failed with {reason}, which a script cannot say"] = None
        return []
    charged = reason == ExitReason.MODEL_UNAVAILABLE and fact.cost_microusd > 0
    return [{"error": named[0] if named else "InternalServerException" if charged else _ERRORS[reason]}]


def _people(recorded: RecordedRun, notes: dict[str, None]) -> Iterator[Mapping[str, Any]]:
    for event, answer in recorded_answers(recorded.events):
        if answer is None:
            notes[f"turn {event.turn}: nobody answered in time, which a scenario cannot say"] = None
            continue
        made = answer.model_dump(mode="json", exclude_defaults=True)
        yield made | ({"decision": _plain(made["decision"])} if "decision" in made else {})


def _plain(decision: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in decision.items() if value not in (None, "", 0)}


# What tools did


def outcomes(timeline: Timeline) -> list[Call]:
    """Return the calls that reached their tool, in order."""
    return [
        call
        for turn in timeline.turns
        for call in turn.calls
        if call.outcome in ("ok", "failed", "unknown") and call.repeats is None
    ]


#: A value to what of it can be compared with another log's: see ``StandIns.hidden``.
Hidden = Callable[[Any], Any]


def as_it_is(value: Any) -> Any:
    """Return ``value``: nothing in it is sealed."""
    return value


def doubles_of(recorded: Timeline, played: Timeline | None, hidden: Hidden = as_it_is) -> tuple[Mapping[str, Any], ...]:
    """Return doubles of the recorded calls; with ``played``, of those only that ended in another way in it."""
    calls = outcomes(recorded)
    if played is not None:
        there: dict[str, list[Call]] = {}
        for call in outcomes(played):
            there.setdefault(_identity(call, hidden), []).append(call)
        calls = [call for call in calls if not _ended_alike(call, there.get(_identity(call, hidden), []), hidden)]
    made = [_double(call) for call in calls]
    last = {canonical([one["tool"], one["arguments"]]): at for at, one in enumerate(made)}
    return tuple(
        one if last[canonical([one["tool"], one["arguments"]])] == at else {**one, "times": 1}
        for at, one in enumerate(made)
    )


def _identity(call: Call, hidden: Hidden) -> str:
    return canonical([call.tool, hidden(call.arguments)])


def _ended_alike(call: Call, others: list[Call], hidden: Hidden) -> bool:
    """Whether the next call of the same form ended as this one; it is used up."""
    other = others.pop(0) if others else None
    if other is None or other.outcome != call.outcome:
        return False
    return canonical(hidden(other.result)) == canonical(hidden(call.result))


def _double(call: Call) -> dict[str, Any]:
    made: dict[str, Any] = {"tool": call.tool, "arguments": call.arguments or {}}
    if call.outcome == "ok":
        return made | {"result": call.result}
    words = call.message.removeprefix(f"{call.tool}: ") or "as recorded"
    broke = call.outcome == "unknown" or bool(re.match(r"[A-Z]\w*(?:Error|Exception): ", words))
    return made | {"breaks" if broke else "fails": words}


def why_not(case: Case, recorded: Timeline, played: Timeline, hidden: Hidden = as_it_is) -> Sequence[str]:
    """Return how a played run differs from the record: its ending, and the first call that ended otherwise."""
    found = ["it went on where the record ends"] if case.is_left_by(played) else []
    ours, theirs = ([call for turn in run.turns for call in turn.calls] for run in (played, recorded))
    for number, there in enumerate(theirs):
        here = ours[number] if number < len(ours) else None
        another = here is not None and _identity(here, hidden) != _identity(there, hidden)
        if here is None or another or here.outcome != there.outcome:
            now = "was not made" if here is None else f"{_told(here, another)} {here.outcome}{_words(here)}"
            before = f"{_told(there, another)} {there.outcome}{_words(there)}"
            found.append(f"call {number + 1}: recorded {before}; now {now}")
            break
    for name in ("status", "by", "reason"):
        before, after = getattr(recorded, name), getattr(played, name)
        if before != after:
            found.append(f"{name}: recorded {before or 'none'}, now {after or 'none'}")
    return found


def _told(call: Call, arguments: bool) -> str:
    return f"{call.tool}({canonical(call.arguments)})" if arguments else call.tool


def _words(call: Call) -> str:
    said = call.error if call.outcome == "refused" else call.message
    return f" ({said})" if said else ""
