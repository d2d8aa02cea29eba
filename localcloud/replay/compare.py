"""Compare an event that a replay wrote with the recorded one. Pure.

A field that holds a reading of the clock is an input, and taken from the record. ``READINGS`` lists all of them; a
field that is not listed must come out as recorded. A reading is believed only if it fits the event's own time.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from ballast.log.event import Event
from ballast.log.events import ModelResponded
from ballast.masking import MASK
from localcloud.replay.lane import Difference

#: A handler reads the clock at most this long before it writes the event that holds the reading: Lambda's limit.
LONGEST_S = 900

Body = dict[str, Any]


@dataclass(frozen=True)
class Shifted:
    """Moments that one reading of the clock moves together: all by the same time, and none into the future."""

    fields: tuple[str, ...]

    def taken(self, made: Body, recorded: Mapping[str, Any]) -> Body:
        """Return the fields as recorded; none of them if they do not fit."""
        found = {name: recorded[name] for name in self.fields if name in made and name in recorded}
        moved = {round(_seconds(recorded[name]) - _seconds(made[name]), 3) for name in found}
        if len(found) != sum(name in made for name in self.fields) or len(moved) != 1:
            return {}
        return found if -LONGEST_S <= next(iter(moved)) <= 1 else {}


@dataclass(frozen=True)
class Took:
    """A duration in milliseconds, 0 or more."""

    field: str

    def taken(self, made: Body, recorded: Mapping[str, Any]) -> Body:
        """Return the field as recorded, if both have it."""
        value = recorded.get(self.field)
        fits = isinstance(value, int) and not isinstance(value, bool) and value >= 0
        return {self.field: value} if fits and self.field in made else {}


@dataclass(frozen=True)
class Told:
    """What somebody outside said: the bus, a queue, the provider's meter. As recorded, if both have it."""

    field: str

    def taken(self, made: Body, recorded: Mapping[str, Any]) -> Body:
        """Return the field as recorded, if both have it."""
        return {self.field: recorded[self.field]} if made.get(self.field) and recorded.get(self.field) else {}


@dataclass(frozen=True)
class Given:
    """A field that only the record has: what a server said otherwise, since no server is asked."""

    field: str

    def taken(self, made: Mapping[str, Any], recorded: Mapping[str, Any]) -> dict[str, Any]:
        """Return the field as recorded, if the record has it."""
        return {self.field: recorded[self.field]} if self.field in recorded else {}


#: By kind of event: the fields that are inputs, although a handler writes them.
READINGS: Mapping[str, tuple[Shifted | Took | Told | Given, ...]] = {
    "run.opened": (Shifted(("agent_until_ms", "deadline_ms")),),
    "run.refused": (Shifted(("opens_at",)),),
    "model.responded": (Took("latency_ms"),),
    "model.failed": (Took("latency_ms"),),
    "call.settled": (Took("latency_ms"), Given("unlike")),
    "call.doubted": (Shifted(("until_ms",)),),
    "call.approval_requested": (Shifted(("answer_by",)),),
    "call.approval_answered": (Shifted(("agent_until_ms", "deadline_ms")),),
    "escalation.opened": (Shifted(("answer_by",)),),
    "plan.decided": (Told("breaker"),),
    "run.replied": (Told("error"),),
}

#: Fields that records of earlier versions lack, by kind of event.
LATER: Mapping[str, tuple[str, ...]] = {
    "call.refused": ("sourceless",),
    "model.responded": ("reached",),
    "plan.decided": ("reached",),
}

#: Of a run with sealed values: fields that follow from the size of what is sealed, by kind of event.
OF_SEALED: Mapping[str, tuple[str, ...]] = {
    "model.requested": (
        "sent_bytes",
        "input_tokens_bound",
        "gen_ai.request.max_tokens",
        "reserved_microusd",
        "prompt_sha256",
        "sent_as",
    ),
    "model.failed": ("cost_microusd",),
    "model.responded": ("cost_microusd", "usage_disbelieved"),
}

#: The field of the loop signals, by the name that it has in the log.
_LOOPS = str(ModelResponded.model_fields["loop_signals"].alias)
#: Who decides about a field, by kind of event and field ("" is any other): the first place to look.
_CAUSES: Mapping[str, Mapping[str, str]] = {
    "run.opened": {"limits": "the playbook's limits", "lease": "the lease of the run's ceiling", "": "admission"},
    "run.refused": {"": "admission"},
    "model.requested": {
        "messages": "the fold of what is new in the prompt",
        "covers": "the fold of what the prompt covers",
        "after": "the fold of the conversation",
        "system": "the playbook's instructions",
        "tools": "the tools that are offered",
        "gen_ai.request.model": "the choice of the model",
        "gen_ai.request.max_tokens": "the reservation: what the run can still afford",
        "input_tokens_bound": "the bound of the prompt's tokens",
        "sent_bytes": "the size of the prompt's texts",
        "reserved_microusd": "the reservation and its prices",
        "price_version": "the prices",
        "sent_as": "the model's card",
        "prompt_sha256": "the digest of the prompt and of every event before it",
        _LOOPS: "the loop detector",
        "passed_over": "the models that are passed over",
        "": "the agent's next attempt",
    },
    "model.responded": {
        "decision": "the decision that follows from the completion",
        "cost_microusd": "the prices",
        "cache_saved_microusd": "the prices of the cache",
        _LOOPS: "the loop detector",
        "refused_answer": "the check of the answer",
        "parallel": "the tools that may run side by side",
        "": "the reading of the completion",
    },
    "model.failed": {"cost_microusd": "the charge of a failed attempt", "": "the failure of an attempt"},
    "plan.decided": {"undoes": "the rollback's order", "": "the planner's rules"},
    "call.intended": {
        "arguments": "the arguments' one form",
        "undo": "the undo that is recorded before the effect",
        "on_rollback": "the policy of the tool",
        "looked": "what verify found before the call",
        "repeat": "the policy of the tool",
        "approval": "the approval that the call consumes",
        "grounded": "grounding",
        "tainted": "grounding",
        "derived": "grounding",
        "moves": "what the call moves",
        "reserved_microusd": "the declared cost of the tool",
        "": "the intention of the call",
    },
    "call.settled": {
        "repeat_of": "the rule about repeated calls",
        "undo": "the undo of the effect",
        "cost_microusd": "the charge of the call",
        "grounded": "grounding",
        "tainted": "grounding",
        "derived": "grounding",
        "": "the outcome of the call",
    },
    "call.refused": {"": "the gate and the rules of the call"},
    "call.approval_needed": {"why": "the reasons to ask a person", "binding": "the binding", "": "the approval"},
    "call.approval_requested": {"summary": "the summary for people", "": "the request for approval"},
    "call.approval_void": {"": "the check of the approval"},
    "escalation.opened": {"summary": "the summary for people", "": "the escalation"},
    "run.ended": {
        "spent_microusd": "the fold of the run's cost",
        "reserved_microusd": "the fold of the run's reservations",
        "effects": "the fold of the run's effects",
        "evidence": "the digest over all events",
        "": "the run's ending",
    },
    "run.settled": {"evidence": "the digest over all events", "": "the settlement of the lease"},
}


def cause_of(name: str, field: str = "") -> str:
    """Return who decides about a field of an event of that name, in words."""
    causes = _CAUSES.get(name, {})
    return causes.get(field.partition(".")[0]) or causes.get(field) or causes.get("") or f"the writer of {name}"


def with_readings(name: str, made: Body, recorded: Mapping[str, Any]) -> Body:
    """Return the body with the readings of the clock as they are recorded."""
    for reading in READINGS.get(name, ()):
        made = made | reading.taken(made, recorded)
    return made


def has_sealed(events: Iterator[Event]) -> bool:
    """Whether a value of these events is masked."""
    return any(MASK in str(event.shown) for event in events)


def first_difference(event: Event, recorded: Event) -> Difference | None:
    """Return the first field that differs; None if both have the same digest."""
    if event.digest == recorded.digest:
        return None
    path, one, other = next(_apart(event.shown, recorded.shown, ""), ("", event.shown, recorded.shown))
    return Difference(event.seq, path, other, one, f"decided by {cause_of(event.name, path)}")


def _apart(made: Any, recorded: Any, path: str) -> Iterator[tuple[str, Any, Any]]:
    if made == recorded and type(made) is type(recorded):
        return
    if isinstance(made, dict) and isinstance(recorded, dict):
        for name in sorted({*made, *recorded}, key=_importance):
            yield from _apart(made.get(name, _ABSENT), recorded.get(name, _ABSENT), f"{path}.{name}" if path else name)
    elif isinstance(made, list) and isinstance(recorded, list) and len(made) == len(recorded):
        for at, (one, other) in enumerate(zip(made, recorded, strict=True)):
            yield from _apart(one, other, f"{path}.{at}")
    else:
        yield path, None if made is _ABSENT else made, None if recorded is _ABSENT else recorded


#: Fields that say what happened come first, those that follow from others last.
_FIRST = ("kind", "tool", "status", "error", "messages", "system", "tools", "covers", "decision", "message")
_LAST: tuple[str, ...] = ("input_tokens_bound", "sent_bytes", "gen_ai.request.max_tokens", "reserved_microusd")
_LAST += ("beyond_microusd", "evidence", "prompt_sha256")


def _importance(name: str) -> tuple[int, str]:
    if name in _FIRST:
        return _FIRST.index(name) - len(_FIRST), name
    return (_LAST.index(name) + 1 if name in _LAST else 0), name


_ABSENT = object()


def _seconds(moment: Any) -> float:
    """Return an ISO text, or epoch milliseconds, in seconds since 1970. What is no moment fits nothing."""
    try:
        return datetime.fromisoformat(moment).timestamp() if isinstance(moment, str) else moment / 1000
    except (TypeError, ValueError):
        return float("-inf")
