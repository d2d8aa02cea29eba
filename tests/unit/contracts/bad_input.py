"""For each field of each contract: a good value, and bad ones with what makes them bad."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from ballast.contracts import (
    Answer,
    CallTools,
    ExecuteTask,
    HandedOver,
    HandOver,
    Limits,
    LimitsPatch,
    OpenTask,
    PlanSummary,
    PlanTask,
    RunRequest,
    ToolCall,
    parse_decision,
)
from ballast.contracts.wire import MAX_DEPTH, Wire, parse
from ballast.log.event import Event
from ballast.playbook import AgentConfig, Intent

RUN_ID = "run-" + "a" * 24
QUEUE = "https://sqs.eu-west-1.amazonaws.com/123456789012/replies"


def nested(depth: int) -> Any:
    value: Any = 1
    for _ in range(depth):
        value = [value]
    return value


NO_TEXT: list[Any] = [1, None, ["x"], {"x": 1}]
NO_COUNT: list[Any] = ["5", 1.0, True, None, [1], 10**5000]
NO_FLAG: list[Any] = ["true", 1, None]
NO_OBJECT: list[Any] = ["x", 1, ["x"]]
NO_NAME: list[Any] = [*NO_TEXT, "", " ", "-x", "a b", "a\n", "x" * 65, "é", "../x"]
NO_RUN_ID: list[Any] = [*NO_TEXT, "", "run-", RUN_ID + "a", RUN_ID.upper(), RUN_ID + "\n", "arn:" + RUN_ID]
NO_TURN: list[Any] = [*NO_COUNT, 0, -1, 9999]
NO_POSITION: list[Any] = [*NO_COUNT, 0, -1]
NO_SECONDS: list[Any] = [*NO_POSITION, 30 * 24 * 3600 + 1]
NO_PLANNER: list[Any] = [*NO_TEXT, "", "model", "AGENT"]
NO_REASON: list[Any] = [*NO_TEXT, "", "because", "TURN_LIMIT"]
NO_SHARE: list[Any] = ["much", -0.1, 1.1, True, [0], "NaN"]
NO_JSON: list[Any] = [
    nested(MAX_DEPTH),
    nested(300),
    nested(100_000),
    10**5000,
    float("nan"),
    float("inf"),
    {1, 2},
    b"x",
]
NO_CALLS: list[Any] = [[], {}, "x", [{}], [{"tool": 1}], [{"tool": "t"}] * 51, [["t"]], None]


@dataclass(frozen=True)
class Contract:
    """One contract with a whole good example; ``read`` is how its bad input arrives."""

    model: type[Wire]
    good: dict[str, Any]
    bad: dict[str, list[Any]]
    read: Callable[[Any], Any]

    @property
    def required(self) -> list[str]:
        return [field.alias or name for name, field in self.model.model_fields.items() if field.is_required()]

    @property
    def fields(self) -> set[str]:
        return {field.alias or name for name, field in self.model.model_fields.items()}


def _contract(model: type[Wire], good: dict[str, Any], bad: dict[str, list[Any]]) -> Contract:
    return Contract(model, good, bad, lambda data: parse(model, data, what=model.__name__))


def _decision(model: type[Wire], good: dict[str, Any], bad: dict[str, list[Any]]) -> Contract:
    return Contract(model, good, bad, parse_decision)


_LIMITS: dict[str, list[Any]] = {
    "turns": [*NO_POSITION, 5_001],
    "tool_calls": [*NO_COUNT, -1, 50_001],
    "calls_per_tool": [*NO_COUNT, -1, 50_001],
    "refused_calls": [*NO_COUNT, -1, 50_001],
    "repeated_calls": [*NO_COUNT, -1, 50_001],
    "tokens_per_turn": NO_POSITION,
    "tokens_per_run": NO_POSITION,
    "input_tokens_per_turn": NO_POSITION,
    "cost_microusd": [*NO_COUNT, -1],
    "deadline_s": NO_SECONDS,
    "attachments": [*NO_COUNT, -1, 50_001],
    "attachment_bytes": [*NO_COUNT, -1, 12 * 1024 * 1024 + 1],
}
#: A file of a request, and what none is.
FILE = {"name": "Größe (1).png", "format": "png", "bytes": 67, "sha256": "0" * 64}
_NO_FILE: list[dict[str, Any]] = [
    {"name": bad} for bad in (1, "", ".", "..", "../x", "a/b", "a\\b", "C:x", "a\n", "a\0", ".x", "a\u202eb", "x" * 129)
]
_NO_FILE += [{"format": bad} for bad in (1, "", "PNG", "exe", "svg", None)]
_NO_FILE += [{"bytes": bad} for bad in ("67", 0, -1, 1.5, True, 4_718_593)]
_NO_FILE += [{"sha256": bad} for bad in (1, "", "0" * 63, "G" * 64, "A" * 64, "0" * 64 + "\n")]
_NO_FILE += [{"key": "attachments/other/run/x"}, {"width": 5}]
_TASK = {"run_id": RUN_ID, "turn": 3}
_NO_TASK = {"run_id": NO_RUN_ID, "turn": NO_TURN}
_NO_HAND_OVER: list[Any] = [*NO_OBJECT, {}, {"from": "agent"}, {"from": "agent", "reason": "x"}]

CONTRACTS = [
    _contract(
        RunRequest,
        {"request_id": "r-1", "agent": "support", "intent": "refund", "text": "Hello.", "context": {"order_id": "O-1"}}
        | {"tenant": "default", "limits": {"turns": 3}, "reply_to": QUEUE, "when_full": "wait"}
        | {"attachments": [FILE]},
        {
            "request_id": [*NO_TEXT, "", " ", "a b", "a\n", "é", "\0", "x" * 129],
            "agent": [bad for bad in NO_NAME if bad is not None],
            "intent": [bad for bad in NO_NAME if bad is not None],
            "text": [*NO_TEXT, "", " \n\t", "x" * 20_001, "\N{PILE OF POO}" * 11_000, "half \ud83d"],
            "context": [*NO_OBJECT, None, *({"x": bad} for bad in NO_JSON), {"x": "y" * 32_768}, {"x": "é" * 6_000}],
            "tenant": NO_NAME,
            "limits": [*NO_OBJECT, {"turns": "3"}, {"fallback_reserve_s": 1}],
            "reply_to": [1, "", "replies", QUEUE + "\n", QUEUE.replace("https", "http"), QUEUE + "/x"],
            "when_full": [1, "", "Wait", "never"],
            "attachments": [*NO_OBJECT, None, {}, [{}], [FILE] * 26, *([FILE | bad] for bad in _NO_FILE)],
        },
    ),
    _contract(
        ToolCall,
        {"tool": "look_up", "arguments": {"id": 1}, "call_id": "c"},
        {"tool": [*NO_TEXT, "x" * 257], "arguments": NO_JSON, "call_id": NO_TEXT},
    ),
    _decision(CallTools, {"kind": "call_tools", "calls": [{"tool": "t"}]}, {"kind": [], "calls": NO_CALLS}),
    _decision(
        Answer,
        {"kind": "answer", "text": "Yes.", "confidence": 0.5, "data": {"x": 1}},
        {
            "kind": [],
            "text": [*NO_TEXT, "", " \n", "half \ud83d"],
            "confidence": NO_SHARE,
            "data": [*NO_OBJECT, *({"x": bad} for bad in NO_JSON)],
        },
    ),
    _decision(
        HandOver,
        {
            "kind": "hand_over",
            "to": "agent",
            "reason": "deadline",
            "guidance": "Look.",
            "add_budget_microusd": 5,
            "agent": "billing",
        },
        {
            "kind": [],
            "to": NO_PLANNER,
            "reason": NO_REASON,
            "guidance": NO_TEXT,
            "add_budget_microusd": [*NO_COUNT, -1],
            "agent": [bad for bad in NO_NAME if bad is not None],
        },
    ),
    _contract(
        LimitsPatch,
        dict.fromkeys(_LIMITS, 5),
        {name: [value for value in bad if value is not None] for name, bad in _LIMITS.items()},
    ),
    _contract(
        Limits,
        dict.fromkeys([*_LIMITS, "fallback_reserve_s"], 5),
        _LIMITS | {"fallback_reserve_s": [*NO_COUNT, -1]},
    ),
    _contract(
        HandedOver,
        {"from": "agent", "reason": "model_timeout", "error": "X"},
        {"from": NO_PLANNER, "reason": NO_REASON, "error": [1, ["x"]]},
    ),
    _contract(
        PlanTask,
        _TASK | {"handed_over": None, "history": 40},
        _NO_TASK | {"handed_over": _NO_HAND_OVER, "history": NO_COUNT},
    ),
    _contract(
        ExecuteTask,
        _TASK | {"index": 1, "asked": 1, "unanswered": True, "events": 2, "given_up": "RetryLater", "cause": "x"},
        _NO_TASK | {"index": NO_POSITION, "asked": NO_COUNT, "unanswered": NO_FLAG, "events": NO_COUNT}
        | {"given_up": [1, "", "x" * 257, ["x"]], "cause": [1, "x" * 32_769, ["x"]]},
    ),
    _contract(
        OpenTask,
        _TASK | {"kind": "approval", "reason": "deadline", "timeout_s": 60, "task_token": "t", "index": 1, "round": 2}
        | {"handed_over": {"from": "agent", "reason": "deadline"}, "requested_by": "mia", "tenant": "acme"}
        | {"attempt": {"retries": 1}},
        _NO_TASK
        | {
            "requested_by": [one for one in NO_TEXT if one is not None],
            "tenant": [one for one in NO_TEXT if one is not None],
            "attempt": [None, 1, "x", {"retries": -1}, {"retries": 10_000}, {"redrives": "x"}, {"entered_at": 5}],
            "kind": [*NO_TEXT, "", "telegram"],
            "reason": NO_TEXT,
            "timeout_s": NO_POSITION,
            "task_token": [*NO_TEXT, "", "t" * 2049],
            "index": NO_POSITION,  # None as well: an approval is about one call
            "round": NO_POSITION,
            "handed_over": _NO_HAND_OVER,
        },
    ),
    _contract(
        PlanSummary,
        {"kind": "hand_over", "calls": [1], "parallel": False, "to": "human", "reason": "deadline"}
        | {"adds_budget": True},
        {
            "kind": [*NO_TEXT, "", "tool"],
            "adds_budget": NO_FLAG,
            "calls": ["x", {}, ["1"], [1.0], [True], None],
            "parallel": NO_FLAG,
            "to": [bad for bad in NO_PLANNER if bad is not None],
            "reason": [bad for bad in NO_REASON if bad is not None],
        },
    ),
    _contract(
        Event,
        {"run_id": "r", "seq": "0001.call.1.settled", "at": "2026-11-01T00:00:00+00:00", "body": {}},
        {
            "run_id": NO_TEXT,
            "seq": [*NO_TEXT, "", "1.call.1.settled", "0001.call", "0001.a.b.1", "٠٠٠١.call.settled", "0001.a.b\n"],
            "at": NO_TEXT,
            "body": [*NO_OBJECT, None],
        },
    ),
    _contract(
        AgentConfig,
        {"name": "support", "model": "m", "instructions": "Help.", "limits": {"turns": 3}}
        | {"inference": {"temperature": 0.5, "thinking": 2000, "effort": "low", "required": ["thinking"]}}
        | {"guardrail": {"id": "gr1abc", "version": 1}, "cache": {"ttl": "1h"}}
        | {"tools": ["read"], "hand_over_to": {"billing": "Refunds."}}
        | {"intents": {"refund": {}}, "escalation_timeout_s": 60, "approval_timeout_s": 60}
        | {"ask_requester": True, "requester_timeout_s": 60, "service_tier": "flex"}
        | {"second_model": "n", "model_for": [{"model": "o", "intents": ["refund"]}, {"model": "p", "from_turn": 3}]}
        | {"cheaper_model": "c", "out_of_budget": "ask", "max_grant_usd": "2.50", "fallback_starts_clean": False}
        | {"approve_over_microusd": 5, "on_unanswered": "park", "park_timeout_s": 60}
        | {"trust_text": False, "ground_answers": True, "answer_ids": ["O-[0-9]+"], "sensitive": {"policy": "mask"}}
        | {"moves": {"currency": "EUR", "on_full": "ask", "run": "99.50", "customer": {"hour": 7}}},
        {
            "name": NO_NAME,
            "model": [*NO_TEXT, ""],
            "model_for": ["o", ["o"], [{"model": "o"}], [{"from_turn": 3}], [{"model": "o", "from_turn": 0}]],
            "second_model": [1, ["x"], {"x": 1}, ""],
            "service_tier": [*NO_TEXT, "", "turbo", "FLEX"],
            "cheaper_model": [*(bad for bad in NO_TEXT if bad is not None), ""],
            "max_grant_usd": ["much", -1, "NaN", "Infinity", "0.0000001", 10**7],
            "out_of_budget": [*NO_TEXT, "", "ask_me"],
            "instructions": [*NO_TEXT, "", " \n"],
            "guardrail": [*(bad for bad in NO_OBJECT if bad is not None), {"id": "gr1abc"}, {"id": "G", "version": 1}]
            + [{"id": "gr1abc", "version": bad} for bad in ("latest", 0, True, 1.5, None, "1")],
            "inference": [*NO_OBJECT, None, {"x": 1}, {"required": ["x"]}, {"required": ["top_p"]}]
            + [{name: bad} for name in ("temperature", "top_p") for bad in NO_SHARE]
            + [{"thinking": bad} for bad in ("much", True, -1, 1.5, "1000")],
            "cache": [None, "off", 0, 1, [], {"x": 1}, {"ttl": "2h"}, {"ttl": 300}, {"ttl": ["5m"]}],
            "limits": [*NO_OBJECT, None, {"turns": "3"}, {"turn": 3}],
            "intents": [*NO_OBJECT, None, {"refund": 1}, {"refund": {"x": 1}}, {"two words": {}}],
            "tools": ["read", 1, {"read": 1}, ["two words"], [1], [None]],
            "hand_over_to": ["billing", ["billing"], None, {"two words": "Refunds."}]
            + [{"billing": bad} for bad in (None, "", " ", 1, "x" * 1_001)],
            "escalation_timeout_s": NO_SECONDS,
            "approval_timeout_s": NO_SECONDS,
            "approve_over_microusd": [*[one for one in NO_COUNT if one is not None], -1],
            "on_unanswered": [*NO_TEXT, "", "wait"],
            "park_timeout_s": NO_SECONDS,
            "moves": [*NO_OBJECT, None, {"x": 1}, {"currency": "euro"}, {"on_full": "allow"}, {"tenant": {"week": "1"}}]
            + [{"run": bad} for bad in (None, True, 1.5, -1, "-1", "1e3", "0.0000001", "NaN", "", [1], 10**5000)],
            "ask_requester": NO_FLAG,
            "requester_timeout_s": NO_SECONDS,
            "fallback_starts_clean": NO_FLAG,
            "trust_text": NO_FLAG,
            "ground_answers": NO_FLAG,
            "answer_ids": ["O-1", [""], ["("], [1]],
            "sensitive": [*NO_OBJECT, None, {"policy": "hide"}, {"context": ["two words"]}, {"fields": []}],
        },
    ),
    _contract(
        Intent,
        {"description": "x", "limits": {"turns": 3}, "fallback_starts_clean": False}
        | {"answer_schema": {"type": "object"}, "writes": ["a"]},
        {"description": NO_TEXT, "limits": [*NO_OBJECT, {"turns": "3"}], "fallback_starts_clean": ["true", 1],
         "answer_schema": [*NO_OBJECT, {"type": "text"}, {"oneOf": []}], "writes": ["a", [1], [""]]},
    ),
]  # fmt: skip
