"""Convert recorded runs in OpenAI's form to logs, so that a fold can read what a real model did.

A transcript of the set in ``../shared/traces`` (tau-bench, airline, gpt-4o) becomes what the functions would have
recorded: each assistant message is a turn, each user message a reply to the agent's question, and each tool
message its call's outcome.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ballast.contracts import Answer, CallTools, ExitReason, HandOver, Planner, RunRequest, ToolCall
from ballast.contracts.limits import Limits
from ballast.folds.usage import INPUT_TOKENS, OUTPUT_TOKENS
from ballast.log.event import Event
from ballast.log.events import CallIntended, CallSettled, EscalationAnswered, ModelRequested, ModelResponded, RunOpened

TRACES = Path(__file__).resolve().parents[2] / "shared" / "traces"
TAU_BENCH, POLICY = TRACES / "tau-bench-airline-gpt-4o.jsonl", TRACES / "tau-bench-airline-policy.md"
#: The tools of tau-bench's airline desk that change its database; all others only read.
WRITES = frozenset(
    [
        "book_reservation",
        "cancel_reservation",
        "send_certificate",
        "update_reservation_baggages",
        "update_reservation_flights",
        "update_reservation_passengers",
    ]
)
#: No usage was recorded: four characters of English or JSON count as one token.
CHARACTERS_A_TOKEN = 4
#: What the tools of ``transcript_desk`` return: status and value, by conversation, turn and index.
OUTCOMES: dict[tuple[str, int, int], tuple[str, Any]] = {}
_AT = "2026-11-01T09:00:00+00:00"


@dataclass(frozen=True)
class Transcript:
    """One recorded run. ``went_well``: its label, the reward, is 1.0."""

    task_id: int
    trial: int
    went_well: bool
    events: tuple[Event, ...]


def transcripts(file: Path = TAU_BENCH) -> Iterator[Transcript]:
    """Yield the recorded runs of ``file``."""
    policy = len(POLICY.read_text(encoding="utf-8"))
    with file.open(encoding="utf-8") as lines:
        for line in lines:
            run = json.loads(line)
            name = f"tau-{run['task_id']}-{run['trial']}"
            events = tuple(_Writer(name, policy).events(run["messages"]))
            yield Transcript(run["task_id"], run["trial"], run["reward"] == 1.0, events)


def executed(turn: int, call: ToolCall, effect: str, outcome: Mapping[str, Any]) -> Iterator[Event]:
    """Yield the events of a turn with one call: proposed, intended, settled with ``outcome``."""
    decision = CallTools(calls=(call,)).model_dump(mode="json")
    for seq, body in (
        (ModelResponded.key(turn), {"attempt": 1, "cost_microusd": 0, "decision": decision}),
        (CallIntended.key(turn, 1), {"tool": call.tool, "effect": effect, "undo": None}),
        (CallSettled.key(turn, 1), dict(outcome)),
    ):
        yield Event(run_id="executed", seq=seq, at=_AT, body=json.loads(json.dumps(body)))


class _Writer:
    """Writes one log; ``seen`` counts the characters of the prompt so far."""

    def __init__(self, name: str, policy_characters: int) -> None:
        self.name, self.turn, self.seen = name, 0, policy_characters

    def events(self, messages: Sequence[Mapping[str, Any]]) -> Iterator[Event]:
        """Yield the events of a conversation, in order."""
        yield self._opened(messages[0]["content"])
        waiting: dict[int, ToolCall] = {}
        for message in messages[1:]:
            match message["role"]:
                case "assistant":
                    self.turn += 1
                    decision = _decision(message)
                    yield from self._completion(decision, message)
                    waiting = dict(enumerate(decision.calls, 1)) if isinstance(decision, CallTools) else {}
                case "tool":
                    index = min(waiting)
                    yield from self._outcome(index, waiting.pop(index), message["content"])
                case "user":
                    self.turn += 1
                    yield self._reply(message["content"])
            self.seen += _characters(message)

    def _event(self, seq: str, body: Mapping[str, Any]) -> Event:
        return Event(run_id=self.name, seq=seq, at=_AT, body=json.loads(json.dumps(body)))

    def _opened(self, text: str) -> Event:
        request = RunRequest(request_id=self.name, text=text)
        return self._event(
            RunOpened.key(),
            {
                "request": request.model_dump(mode="json"),
                "request_sha256": request.digest,
                "limits": Limits(turns=100, tool_calls=100).model_dump(mode="json"),
                "agent_until_ms": 0,
                "deadline_ms": 0,
            },
        )

    def _completion(self, decision: CallTools | Answer | HandOver, message: Mapping[str, Any]) -> Iterator[Event]:
        yield self._event(ModelRequested.key(self.turn, 1), {"attempt": 1, "reserved_microusd": 0})
        tokens = {
            INPUT_TOKENS: -(-self.seen // CHARACTERS_A_TOKEN),
            OUTPUT_TOKENS: -(-_characters(message) // CHARACTERS_A_TOKEN),
        }
        body = {"attempt": 1, "cost_microusd": 0, "decision": decision.model_dump(mode="json")}
        yield self._event(ModelResponded.key(self.turn), body | tokens)

    def _outcome(self, index: int, call: ToolCall, content: str) -> Iterator[Event]:
        effect = "write" if call.tool in WRITES else "read"
        intended = {"tool": call.tool, "arguments": call.arguments, "effect": effect, "undo": None}
        yield self._event(CallIntended.key(self.turn, index), intended)
        outcome: dict[str, Any] = {"status": "ok", "result": _json(content)}
        if content.startswith("Error"):
            outcome = {"status": "failed", "message": content}
        yield self._event(CallSettled.key(self.turn, index), {"tool": call.tool, "undo": None} | outcome)

    def _reply(self, text: str) -> Event:
        decision = HandOver(to=Planner.AGENT, reason=ExitReason.GUIDANCE, guidance=text)
        body = {"kind": "question", "by": "user", "decision": decision.model_dump(mode="json")}
        return self._event(EscalationAnswered.key(self.turn), body)


def _decision(message: Mapping[str, Any]) -> CallTools | HandOver:
    made = message.get("tool_calls") or ()
    if not made:
        return HandOver(to=Planner.REQUESTER, reason=ExitReason.QUESTION, guidance=message["content"] or "")
    functions = [one["function"] for one in made]
    return CallTools(calls=tuple(ToolCall(tool=f["name"], arguments=_json(f["arguments"])) for f in functions))


def _characters(message: Mapping[str, Any]) -> int:
    return len(message.get("content") or "") + len(json.dumps(message.get("tool_calls") or ""))


def _json(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return text
