"""51 recorded Converse replies, byte for byte through the real client and the agent's function."""

import json
import sys
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from ballast.contracts import ExitReason
from ballast.log.events import ModelRequested
from functions.agent.reply import read_completion
from functions.agent.usage import checked_usage, sent_bytes
from tests.functions.agent.legal import complaints
from tests.functions.endpoint import Endpoint, Reply, says
from tests.functions.stack import Stack

RECORDED = Path(__file__).resolve().parents[4] / "shared" / "bedrock" / "converse-exchanges.jsonl"

pytestmark = pytest.mark.skipif(
    not RECORDED.exists(), reason=f"NOT TESTED: the recorded Converse replies are not here ({RECORDED})"
)


@dataclass(frozen=True)
class Row:
    """The result of one reply."""

    number: int
    model: str
    status: int
    stop_reason: str
    outcome: str
    cost: str

    def __str__(self) -> str:
        return f"{self.number:3} {self.status} {self.stop_reason:11} {self.outcome:26} {self.cost:9} {self.model}"


def outcome(stack: Stack, model: Endpoint, run_id: str) -> str:
    """Plan one turn and return its decision in a word; its calls are all refused."""
    summary = stack.plan(run_id)
    if summary["kind"] == "call_tools":
        statuses = {stack.execute(run_id, index=index) for index in summary["calls"]}
        assert statuses == {"refused"}  # the playbook does not have these tools
        model.will(says("Done."))
        assert stack.plan(run_id, 2)["kind"] == "answer"
        assert complaints(model.requests[-1]) == []
        return f"call_tools × {len(summary['calls'])}"
    if summary["kind"] == "hand_over":
        assert summary["reason"] in set(ExitReason)
        return f"hand_over: {summary['reason']}"
    return str(summary["kind"])


def row(stack: Stack, model: Endpoint, number: int, exchange: dict[str, Any]) -> Row:
    """Send one recorded reply through the agent's function."""
    run_id = stack.open(text=f"Exchange {number}")
    model.will(Reply(json.dumps(exchange["response"]).encode(), status=exchange["status"]))
    came_to = outcome(stack, model, run_id)
    events = {event.name: event.body for event in stack.events(run_id) if event.turn == 1}
    ended = events.get("model.responded") or events["model.failed"]
    reserved = events["model.requested"]["reserved_microusd"]
    return Row(
        number=number,
        model=exchange["model"],
        status=exchange["status"],
        stop_reason=str(ended.get("stop_reason", "-")),
        outcome=came_to,
        cost={0: "nothing", reserved: "reserved"}.get(ended["cost_microusd"], "as used"),
    )


def test_the_usage_of_each_recorded_reply_is_believed_of_its_own_prompt() -> None:
    for line in RECORDED.read_text(encoding="utf-8").splitlines():
        exchange = json.loads(line)
        asked, reply = exchange["request"], exchange["response"]
        sent = sent_bytes(asked.get("system"), asked.get("toolConfig"), asked["messages"])

        requested = ModelRequested(turn=1, attempt=1, reserved_microusd=0, sent_bytes=sent)
        usage = checked_usage(read_completion(reply, 1).usage, requested)

        counted = {"inputTokens", "outputTokens"} <= (reply.get("usage") or {}).keys()
        assert (usage.tokens is not None) == counted, usage.why


def test_each_recorded_reply_ends_in_a_decision_or_a_named_reason(stack: Stack, model: Endpoint) -> None:
    exchanges = [json.loads(line) for line in RECORDED.read_text(encoding="utf-8").splitlines()]

    rows = [row(stack, model, number, exchange) for number, exchange in enumerate(exchanges)]

    sys.stdout.write("".join(f"{made}\n" for made in rows))  # shown by -rP
    assert Counter((made.stop_reason, made.outcome) for made in rows) == {
        ("end_turn", "answer"): 26,
        ("end_turn", "hand_over: empty_answer"): 1,
        ("max_tokens", "hand_over: max_tokens"): 13,
        ("tool_use", "call_tools × 1"): 6,
        ("tool_use", "call_tools × 2"): 2,
        ("tool_use", "call_tools × 3"): 2,
        ("-", "hand_over: model_refused"): 1,
    }
    assert Counter(made.cost for made in rows) == {"as used": 48, "reserved": 2, "nothing": 1}
