"""The runs into which faults are injected. Together they use every state of the workflow and every function.

All of them work at the bundled support desk (``layers/playbook``), on its well-known orders.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from ballast.contracts import RunRequest
from ballast.playbook import OnRollback

#: How long each wait for a person lasts is the playbook's; here people answer after a minute.
Way = Literal["http", "queue", "event", "direct"]


@dataclass(frozen=True)
class Operator:
    """An operator's request, when the workflow enters ``state`` for the time number ``time``.

    path  of a request over HTTP; "" where the operator invokes the function, as the ``ballast`` command does
    """

    state: str
    time: int
    function: str
    path: str = ""
    body: Mapping[str, Any] | None = None


@dataclass(frozen=True)
class Scenario:
    """One run without a fault.

    says      the model's turns, as ``localcloud.converse.script`` has them
    answers   what people say, in order: a decision, an approval, or the requester's reply
    comes     how the request comes in
    by        how the people answer: over HTTP, or by invoking AnswerEscalationFunction (the ``ballast`` command)
    sweeps    what runs on a schedule has its turn as well, though nothing is left for it
    operator  what an operator does, and when
    policies  what tools declare otherwise than the desk's do: fields of ``EffectPolicy``, by tool
    agents    other agents than the desk's, to which it may hand over: what they have otherwise, by name
    status    how it ends: ``run.ended``'s status and whose answer it is
    """

    name: str
    text: str
    says: Sequence[Mapping[str, Any]] = ()
    answers: Sequence[Mapping[str, Any]] = ()
    intent: str | None = None
    context: Mapping[str, Any] = field(default_factory=dict)
    limits: Mapping[str, int] | None = None
    reply_to: bool = False
    comes: Way = "direct"
    by: Literal["http", "command"] = "http"
    sweeps: bool = False
    operator: Operator | None = None
    policies: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    agents: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    status: str = "answered"
    whose: str | None = "agent"

    @property
    def request(self) -> dict[str, Any]:
        """The request, as JSON."""
        wanted: dict[str, Any] = {"request_id": self.name.replace(" ", "-"), "text": self.text, "intent": self.intent}
        wanted |= {"context": dict(self.context), "limits": dict(self.limits) if self.limits else None}
        if self.reply_to:
            wanted["reply_to"] = f"https://sqs.eu-west-1.amazonaws.com/123456789012/{REPLIES}"
        return RunRequest.model_validate(wanted).model_dump(mode="json")

    @property
    def run_id(self) -> str:
        """The run's id."""
        return RunRequest.model_validate(self.request).run_id


#: The caller's queue.
REPLIES = "ballast-reply-default--faults"


def _call(tool: str, **arguments: Any) -> dict[str, Any]:
    return {"tool": tool, "arguments": arguments}


_LOOK_UP = {"call": [_call("look_up_order", order_id="O-1002")]}
_GUARDED = {"say": "I cannot help with this.", "stop": "guardrail_intervened"}
_AWAY = {"error": "ServiceUnavailableException", "message": "away"}
_PIER_ROAD = {"street": "5 Pier Road", "city": "Portland", "postal_code": "04101", "country": "US"}

SCENARIOS = (
    Scenario(
        "reads only",
        "Where is my order O-1001, and what are your rules for late parcels?",
        [
            {"call": [_call("look_up_order", order_id="O-1001"), _call("search_docs", query="parcel late")]},
            {"say": "O-1001 was shipped yesterday."},
        ],
        intent="order_status",
        context={"order_id": "O-1001"},
        comes="http",
    ),
    Scenario(
        "two writes",
        "Please cancel order O-1002 and give me my 84.50 dollars back.",
        [
            _LOOK_UP,
            {"call": [_call("cancel_order", order_id="O-1002")]},
            {"call": [_call("refund_order", order_id="O-1002", amount_usd="84.50", reason="cancelled")]},
            {"say": "O-1002 is cancelled, and 84.50 USD go back."},
        ],
        intent="cancel_order",
        context={"order_id": "O-1002"},
        comes="queue",
        reply_to=True,
    ),
    Scenario(
        "gives up half way",
        "Please cancel order O-1002 and give me my 84.50 dollars back.",
        [
            _LOOK_UP,
            {
                "call": [
                    _call("cancel_order", order_id="O-1002"),
                    _call("refund_order", order_id="O-1002", amount_usd="84.50", reason="cancelled"),
                ]
            },
            {"say": "…", "stop": "content_filtered"},
        ],
        intent="cancel_order",
        context={"order_id": "O-1002"},
        comes="event",
        whose="fallback",
    ),
    Scenario(
        "changes a customer, gives up",
        "I have moved to 5 Pier Road, Portland 04101, US; my phone is +1 555 0199. My number is C-1001.",
        [
            {"call": [_call("look_up_customer", customer_id="C-1001")]},
            {"call": [_call("update_customer", customer_id="C-1001", address=_PIER_ROAD, phone="+1 555 0199")]},
            {"say": "…", "stop": "content_filtered"},
        ],
        [{"decision": {"kind": "answer", "text": "A colleague has changed it."}}],
        intent="change_details",
        context={"customer_id": "C-1001"},
        whose="human",
    ),
    Scenario(
        "frozen for a person",
        "Please cancel order O-1002.",
        [_LOOK_UP, {"call": [_call("cancel_order", order_id="O-1002")]}, {"say": "…", "stop": "content_filtered"}],
        [{"decision": {"kind": "answer", "text": "A colleague has seen to it."}}],
        intent="cancel_order",
        context={"order_id": "O-1002"},
        policies={"cancel_order": {"on_rollback": OnRollback.FREEZE}},
        whose="human",
    ),
    Scenario(
        "nobody can tell",
        "Please cancel order O-1002.",
        [_LOOK_UP, {"call": [_call("cancel_order", order_id="O-1002")]}, {"say": "O-1002 is cancelled."}],
        [{"decision": {"kind": "answer", "text": "A colleague has seen to it."}}],
        intent="cancel_order",
        context={"order_id": "O-1002"},
        policies={"cancel_order": {"honours_key": False}},
    ),
    Scenario(
        "approved",
        "The tent of order O-1004 arrived torn. I want my 480.00 dollars back.",
        [
            {"call": [_call("look_up_order", order_id="O-1004")]},
            {"call": [_call("refund_order", order_id="O-1004", amount_usd="480.00", reason="damaged")]},
            {"say": "480.00 USD go back."},
        ],
        [{"approve": True, "comment": "It came back."}],
        intent="refund",
        context={"order_id": "O-1004"},
    ),
    Scenario(
        "approved among several",
        "The tent of order O-1004 arrived torn. I want my 480.00 dollars back.",
        [
            {
                "call": [
                    _call("look_up_order", order_id="O-1004"),
                    _call("refund_order", order_id="O-1004", amount_usd="480.00", reason="damaged"),
                ]
            },
            {"say": "480.00 USD go back."},
        ],
        [{"approve": True, "comment": "It came back."}],
        intent="refund",
        context={"order_id": "O-1004"},
    ),
    Scenario(
        "rejected",
        "The tent of order O-1004 arrived torn. I want my 480.00 dollars back.",
        [
            {"call": [_call("look_up_order", order_id="O-1004")]},
            {"call": [_call("refund_order", order_id="O-1004", amount_usd="480.00", reason="damaged")]},
            {"say": "A colleague looks into it."},
        ],
        [{"approve": False, "comment": "No."}],
        intent="refund",
        by="command",
    ),
    Scenario(
        "nobody approves",
        "The tent of order O-1004 arrived torn. I want my 480.00 dollars back.",
        [
            {"call": [_call("look_up_order", order_id="O-1004")]},
            {"call": [_call("refund_order", order_id="O-1004", amount_usd="480.00", reason="damaged")]},
            {"say": "A colleague looks into it."},
        ],
        intent="refund",
    ),
    Scenario(
        "guided by a person",
        "The lamp of order O-1003 flickers. I want some of my 40.00 dollars back.",
        [
            {"call": [_call("look_up_order", order_id="O-1003")]},
            _GUARDED,
            {"call": [_call("refund_order", order_id="O-1003", amount_usd="10.00", reason="goodwill")]},
            {"say": "10.00 USD go back."},
        ],
        [
            {
                "decision": {
                    "kind": "hand_over",
                    "to": "agent",
                    "reason": "guidance",
                    "guidance": "Refund 10.00 USD of O-1003 as goodwill.",
                    "add_budget_microusd": 50_000,
                }
            }
        ],
        context={"order_id": "O-1003"},
        by="command",
    ),
    Scenario(
        "a person acts",
        "The lamp of order O-1003 flickers. I want my 40.00 dollars back.",
        [{"call": [_call("look_up_order", order_id="O-1003")]}, _GUARDED, {"say": "40.00 USD go back."}],
        [
            {
                "decision": {
                    "kind": "call_tools",
                    "calls": [_call("refund_order", order_id="O-1003", amount_usd="40.00", reason="goodwill")],
                }
            }
        ],
        context={"order_id": "O-1003"},
    ),
    Scenario(
        "nobody answers",
        "The lamp of order O-1003 flickers.",
        [_GUARDED],
        status="unanswered",
        whose=None,
    ),
    Scenario(
        "asks the requester",
        "Please cancel my order.",
        [
            {"call": [_call("ask_requester", question="Which order?")]},
            {"call": [_call("look_up_order", order_id="O-1002")]},
            {"call": [_call("cancel_order", order_id="O-1002")]},
            {"say": "O-1002 is cancelled."},
        ],
        [{"reply": "O-1002, please."}],
        intent="cancel_order",
    ),
    Scenario(
        "another agent",
        "Please cancel order O-1002 and give me my 84.50 dollars back.",
        [
            _LOOK_UP,
            {"call": [_call("cancel_order", order_id="O-1002")]},
            {"call": [_call("hand_over", agent="billing", note="O-1002 is cancelled. Refund it.")]},
            {"call": [_call("refund_order", order_id="O-1002", amount_usd="84.50", reason="cancelled")]},
            {"say": "O-1002 is cancelled, and 84.50 USD go back."},
        ],
        intent="cancel_order",
        context={"order_id": "O-1002"},
        agents={"billing": {"tools": ("look_up_order", "refund_order"), "instructions": "You refund orders."}},
    ),
    Scenario(
        "the model is away",
        "Please cancel order O-1002.",
        [_AWAY, _AWAY, _AWAY, _AWAY, _AWAY],
        intent="cancel_order",
        context={"order_id": "O-1002"},
        whose="fallback",
    ),
    Scenario(
        "not admitted",
        "Please cancel order O-1002.",
        limits={"turns": 100},
        reply_to=True,
        sweeps=True,
        status="refused",
        whose=None,
    ),
    Scenario(
        "cancelled",
        "Please cancel order O-1002.",
        [_LOOK_UP, {"call": [_call("cancel_order", order_id="O-1002")]}, {"say": "O-1002 is cancelled."}],
        context={"order_id": "O-1002"},
        comes="http",
        operator=Operator("Decide", 1, "ApiFunction", "/runs/{run_id}/cancel"),
        status="aborted",
        whose=None,
    ),
    Scenario(
        "cancelled in the act",
        "Please cancel order O-1002.",
        [_LOOK_UP, {"call": [_call("cancel_order", order_id="O-1002")]}, {"say": "O-1002 is cancelled."}],
        context={"order_id": "O-1002"},
        operator=Operator("Execute", 2, "ApiFunction", "/runs/{run_id}/cancel"),
        status="aborted",
        whose=None,
    ),
    Scenario(
        "the breaker is set",
        "Please cancel order O-1002.",
        [_LOOK_UP, {"call": [_call("cancel_order", order_id="O-1002")]}],
        intent="cancel_order",
        context={"order_id": "O-1002"},
        operator=Operator("Plan", 3, "BudgetApiFunction", "/breaker", {"mode": "fallback_only", "reason": "a test"}),
        whose="fallback",
    ),
    Scenario(
        "the breaker is set by command",
        "Please cancel order O-1002.",
        [_LOOK_UP, {"call": [_call("cancel_order", order_id="O-1002")]}],
        intent="cancel_order",
        context={"order_id": "O-1002"},
        operator=Operator(
            "Plan", 3, "CommandFunction", body={"command": "breaker", "new": {"mode": "fallback_only"}, "by": "ops-ann"}
        ),
        whose="fallback",
    ),
)
#: Functions that no run needs, and why.
NOT_IN_A_RUN: Mapping[str, str] = {"LogTouchedFunction": "nothing of a run changes or deletes an event"}
#: Task states that a run enters only after a fault. Faults at the states before them play these.
AFTER_A_FAULT = frozenset({"GiveUp", "GiveUpEach"})
BY_NAME = {scenario.name: scenario for scenario in SCENARIOS}
