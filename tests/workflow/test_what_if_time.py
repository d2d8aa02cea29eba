"""Predictions where time decides, and of every field, held against the same runs played anew with the files changed.

The desk has two agents, slow models, and people who answer each half minute, or never.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from ballast.contracts import Limits, RunRequest
from ballast.log.event import order
from ballast.log.exported import ExportedRun
from ballast.playbook.agent import AgentConfig
from ballast.run import Run
from localcloud.clock import VirtualClock
from localcloud.cloud import LocalCloud
from localcloud.converse import CallableModel, Reply
from localcloud.converse.source import said
from localcloud.functions import FunctionError
from localcloud.replay.lane import Lane
from localcloud.replay.what_if import Compared, Result, Told, compared
from tests.support.sampling import sampled
from tests.support.tables_in_memory import Tables

_MODEL = "anthropic.claude-haiku-4-5-20251001-v1:0"
_AGENT: dict[str, Any] = {
    "name": "main",
    "model": f"region.{_MODEL}",
    "instructions": "You are a desk that helps.",
    "limits": {"turns": 6, "tool_calls": 8, "cost_microusd": 60_000, "deadline_s": 60, "tokens_per_turn": 600},
    "moves": {"run": "150.00"},
    "approval_timeout_s": 120,
    "escalation_timeout_s": 300,
    "requester_timeout_s": 120,
    "ask_requester": True,
    "hand_over_to": {"helper": "Anything hard."},
    "intents": {"pay": {}, "other": {"fallback_starts_clean": False}},
}
_HELPER: dict[str, Any] = {
    "model": f"region.{_MODEL}",
    "instructions": "You help more.",
    "limits": {"turns": 5, "cost_microusd": 60_000, "deadline_s": 60},
    "intents": {"pay": {}, "other": {}},
}
_TOOLS = '''
from decimal import Decimal
from pydantic import BaseModel, ConfigDict
from ballast.playbook import Approval, Read, ToolContext, Write, tool

class Look(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)
    item: str

class Pay(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)
    amount: Decimal

@tool(effect=Read(repeat="allow"))
def look(args: Look, ctx: ToolContext) -> str:
    """Look an item up."""
    return f"{args.item} is there."

@tool(
    effect=Write(honours_key=True, repeat="allow", moves=lambda args, _: args.amount, on_rollback="keep"),
    approval=Approval(if_=lambda args, request: args.amount > 40),
    taint="allow",
)
def pay(args: Pay, ctx: ToolContext) -> bool:
    """Pay somebody."""
    return True
'''


def _call(tool: str, **arguments: Any) -> dict[str, Any]:
    return {"toolUse": {"toolUseId": "t", "name": tool, "input": arguments}}


_LOOK, _PAY, _DONE = [_call("look", item="I-1")], [_call("pay", amount="45")], [{"text": "That is done."}]
#: By the text of the request: its agent, and for each turn what the model says, and after how many seconds.
_RUNS: Mapping[str, tuple[str, tuple[tuple[list[dict[str, Any]], int], ...]]] = {
    "approved late": ("main", ((_PAY, 1), (_LOOK, 9), (_DONE, 9))),
    "approved late, helper": ("helper", ((_PAY, 1), ([{"text": "It costs 777.77 USD, see I-99."}], 1))),
    "cut": ("main", ((_LOOK, 3), (_LOOK, 9), ([_call("pay", amount="5")], 3), (_DONE, 9))),
    "a person decides": ("main", (([{"text": "…"}], 1),)),
    "handed over": ("main", (([_call("hand_over", agent="helper", note="It is hard.")], 2), (_PAY, 5), (_DONE, 9))),
    "nobody answers": ("main", ((_PAY, 1), (_DONE, 2))),
    "asks": ("main", (([_call("ask_requester", question="Which one?")], 1), (_LOOK, 8), (_DONE, 8))),
    "long": ("helper", tuple((one, 9) for one in (_LOOK, _LOOK, _PAY, _LOOK, _DONE))),
}
#: Values of each path that ``--set`` takes.
_VALUES: Mapping[str, tuple[Any, ...]] = {
    "limits.deadline_s": (20, 30, 41, 200),
    "limits.fallback_reserve_s": (1, 20),
    "limits.turns": (1, 2),
    "limits.tool_calls": (0, 1),
    "limits.calls_per_tool": (0, 1),
    "limits.refused_calls": (0,),
    "limits.repeated_calls": (0,),
    "limits.tokens_per_turn": (200, 700),
    "limits.input_tokens_per_turn": (900,),
    "limits.tokens_per_run": (2_000,),
    "limits.cost_microusd": (2_000, 9_000),
    "limits.attachments": (0,),
    "limits.attachment_bytes": (0,),
    "agents.helper.limits.deadline_s": (20, 33, 200),
    "agents.helper.limits.turns": (1,),
    "approval_timeout_s": (20, 60, 300),
    "escalation_timeout_s": (20, 200, 600),
    "requester_timeout_s": (20, 60),
    "park_timeout_s": (20,),
    "on_unanswered": ("park", "fallback"),
    "ground_answers": (True,),
    "answer_ids": ([r"\bI-[0-9]+\b"],),
    "trust_text": (False,),
    "fallback_starts_clean": (False,),
    "out_of_budget": ("ask",),
    "max_grant_usd": ("0.001",),
    "moves": ({"run": "20.00"},),
    "approve_over_microusd": (0,),
    "ask_requester": (False,),
    "cache": (False,),
    "hand_over_to": ({},),
    "instructions": ("Be brief.",),
    "tools": (["look"],),
    "intents": ({"pay": {"writes": []}, "other": {}},),
    "inference": ({"temperature": 0.5},),
    "guardrail": ({"id": "abcdefghijkl", "version": 1},),
    "service_tier": ("default",),
    "model": (f"eu.{_MODEL}",),
    "model_for": ([{"model": f"eu.{_MODEL}", "from_turn": 2}],),
    "second_model": ("anthropic.claude-3-5-sonnet-20240620-v1:0",),
    "cheaper_model": (),
}
_CHANGES = [{path: value} for path, values in _VALUES.items() for value in values] + [
    {"approval_timeout_s": 20, "on_unanswered": "park", "park_timeout_s": 90},
    {"limits.deadline_s": 30, "approval_timeout_s": 300},
    {"limits.deadline_s": 30, "limits.fallback_reserve_s": 20, "agents.helper.limits.deadline_s": 25},
    {"escalation_timeout_s": 20, "requester_timeout_s": 20, "limits.deadline_s": 41},
]
#: One for each kind: answers that come too late; renewed deadlines, a cut and a key of the whole stack.
_FEW = (
    {"approval_timeout_s": 20, "escalation_timeout_s": 20, "requester_timeout_s": 20},
    {"limits.deadline_s": 20, "agents.helper.limits.deadline_s": 20, "ground_answers": True},
)


@dataclass(frozen=True)
class Recorded:
    """The desk, and the runs that were recorded at it."""

    desk: Path
    runs: list[ExportedRun]


def _desk(folder: Path, changes: Mapping[str, Any]) -> Path:
    """Write the desk with the changes in its files, as somebody would who edits them."""
    agents: dict[str, dict[str, Any]] = {"main": yaml.safe_load(yaml.safe_dump(_AGENT))}
    agents["helper"] = yaml.safe_load(yaml.safe_dump(_HELPER))
    for path, value in changes.items():
        agent, _, inner = (
            path.removeprefix("agents.").partition(".") if path.startswith("agents.") else ("main", "", path)
        )
        *outer, last = inner.split(".")
        at = agents[agent]
        for name in outer:
            at = at.setdefault(name, {})
        at[last] = value
    shutil.rmtree(folder, ignore_errors=True)
    for name in ("agents", "tools", "fallbacks"):
        (folder / name).mkdir(parents=True)
    for file in ("__init__.py", "tools/__init__.py", "fallbacks/__init__.py"):
        (folder / file).touch()
    (folder / "agent.yaml").write_text(yaml.safe_dump(agents["main"]), encoding="utf-8")
    (folder / "agents" / "helper.yaml").write_text(yaml.safe_dump(agents["helper"]), encoding="utf-8")
    (folder / "tools" / "all.py").write_text(f'"""Tools."""\n{_TOOLS}', encoding="utf-8")
    return folder


def _reply(request: Mapping[str, Any], _model_id: str) -> Reply:
    text = request["messages"][0]["content"][0]["text"]
    turns = next(turns for name, (_, turns) in _RUNS.items() if text.startswith(f"{name}."))
    turn = sum(one["role"] == "assistant" for one in request["messages"])
    content, seconds = turns[turn] if turn < len(turns) else (_DONE, 1)
    stop = "tool_use" if "toolUse" in content[0] else "end_turn"
    stop = "content_filtered" if content == [{"text": "…"}] else stop
    return said(content, stop, request, latency_ms=seconds * 1000)


def _played(desk: Path) -> Iterator[ExportedRun]:
    clock = VirtualClock()
    with LocalCloud(desk, model=CallableModel(_reply), clock=clock, dynamodb=Tables()) as cloud:
        for name, (agent, _) in _RUNS.items():
            request = RunRequest(
                request_id=name.replace(" ", "-"), text=f"{name}. See to I-1, 45 and 5.", intent="other", agent=agent
            )
            run_id, began = cloud.start(request), clock.monotonic()
            while cloud.status(run_id) == "RUNNING" and clock.monotonic() - began < 2_000:
                clock.pause(30)
                _answer(cloud, run_id, name)
            yield ExportedRun(run_id, tuple(event.as_shown for event in cloud.events(run_id)), name)


def _answer(cloud: LocalCloud, run_id: str, name: str) -> None:
    """Answer what has waited since the last look."""
    run = cloud.events(run_id)
    given = {event.body.get("escalation_id") for event in run if event.name.endswith("_answered")}
    given |= {event.body.get("escalation_id") for event in run if event.name == "escalation.answered"}
    asked = [one for one in run if one.name in ("call.approval_requested", "escalation.opened")]
    for one in asked if name != "nobody answers" and cloud.status(run_id) == "RUNNING" else ():
        if one.body["escalation_id"] in given:
            continue
        what: dict[str, Any] = {"decision": {"kind": "answer", "text": "A colleague has seen to it."}}
        if one.body.get("kind") == "question":
            what = {"decision": {"kind": "hand_over", "to": "agent", "reason": "guidance", "guidance": "I-1."}}
        elif one.name == "call.approval_requested":
            what = {"approve": True}
        with suppress(FunctionError):  # it is too late
            cloud.invoke("AnswerEscalationFunction", {"escalation_id": one.body["escalation_id"], "by": "rae", **what})


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> Recorded:
    desk = _desk(tmp_path_factory.mktemp("desk") / "desk", {})
    return Recorded(desk, list(_played(desk)))


def _predicted(recorded: Recorded, changes: Mapping[str, Any]) -> dict[str, Compared]:
    baseline = Lane.baseline(recorded.desk)
    candidate = replace(baseline, name="candidate", goes_on=True, changes=changes)
    return {one.source: one for one in compared(baseline, candidate, iter(recorded.runs), workers=1)}


def _wrong(one: Compared, real: Run) -> str:
    """Return in what a prediction is wrong; "" if it holds."""
    whole, mine = Told.of(real), one.candidate
    at = real.event(one.at) if one.waits else None
    if one.result is Result.NOT_CONCLUDED or (one.waits and at is None):
        return f"{one.result}: {one.why}"
    handed_back = any(event.name == "escalation.answered" for event in real)
    if not one.result.is_exact:
        within = handed_back or one.low <= whole.cost_microusd <= one.high
        return "" if within and whole.writes[: len(mine.writes)] == mine.writes else f"{one.low} {one.high} {whole}"
    told = Told.of(real.only(lambda event: order(event) <= order(at))) if at is not None else whole
    names = ["turns", "calls", "refused", "people", "writes", *([] if one.waits else ["status", "by", "answer"])]
    apart = [
        f"{name} {getattr(mine, name)} {getattr(told, name)}" for name in names if vars(mine)[name] != vars(told)[name]
    ]
    return "; ".join([*apart, *([] if one.low <= told.cost_microusd <= one.high else [f"cost {one.low} {told}"])])


@pytest.mark.parametrize("changes", sampled([*_FEW, *_CHANGES], _FEW[:1]), ids=str)
def test_a_prediction_is_what_the_run_does_when_the_files_are_changed(
    recorded: Recorded, changes: Mapping[str, Any], tmp_path: Path
) -> None:
    predicted = _predicted(recorded, changes)

    real = {one.title: Run(one.events) for one in _played(_desk(tmp_path / "desk", changes))}

    wrong = {name: said for name, one in predicted.items() if (said := _wrong(one, real[name]))}
    assert not wrong


def test_every_field_that_can_be_set_is_tried() -> None:
    fields = {f"limits.{name}" for name in Limits.model_fields} | set(AgentConfig.model_fields)

    # ``limits`` as a whole is its fields; the others are refused.
    assert fields - {"limits", "name", "sensitive"} <= _VALUES.keys()


def test_an_answer_counts_only_while_the_candidate_waits_for_it(recorded: Recorded) -> None:
    sooner = _predicted(recorded, {"approval_timeout_s": 20, "escalation_timeout_s": 20, "requester_timeout_s": 20})
    later = _predicted(recorded, {"approval_timeout_s": 300})
    close = _predicted(recorded, {"approval_timeout_s": 30})

    assert sooner["a person decides"].result is Result.DIFFERENT
    assert sooner["a person decides"].candidate.status == "unanswered"
    assert "nobody answers within 20 s: the answer came after" in sooner["a person decides"].why
    for name in ("approved late", "approved late, helper"):
        assert sooner[name].candidate.writes == ()
        assert not sooner[name].result.is_exact  # nobody knows what the model would have made of it
        assert later[name].result is Result.SAME
    assert sooner["nobody answers"].result is Result.SAME
    assert later["nobody answers"].result is Result.CENSORED
    assert close["approved late"].result is Result.OFF_THE_RECORD
    assert "when the time to answer would have been over" in close["approved late"].why


def test_a_deadline_holds_after_a_person_has_answered_and_an_attempt_that_is_cut_is_made_again(
    recorded: Recorded,
) -> None:
    found = _predicted(recorded, {"limits.deadline_s": 20})

    for name in ("approved late", "cut"):
        assert found[name].result is Result.OFF_THE_RECORD, name
        assert found[name].low < found[name].high == 60_000
    assert found["approved late, helper"].result is Result.SAME  # the helper has its own deadline


def test_keys_of_the_whole_stack_reach_each_agent(recorded: Recorded) -> None:
    found = _predicted(recorded, {"ground_answers": True})

    assert found["approved late, helper"].result is Result.CENSORED  # its answer is refused
