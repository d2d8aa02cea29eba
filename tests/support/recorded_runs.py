"""Recorded runs to replay: the bundled scenarios and a few more, in one local cloud on virtual time."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from ballast.contracts import RunRequest
from ballast.log.events import RunMoveSettled
from ballast.log.run_log import RunLog
from ballast.playbook import load_playbook
from ballast.run import Run
from cli.local_stack import SMALL_STORE
from localcloud.clock import VirtualClock
from localcloud.cloud import PLAYBOOK, LocalCloud, ServiceFault
from localcloud.converse.script import ScriptModel
from localcloud.converse.source import CallableModel, Reply
from localcloud.project import seed_store
from localcloud.replay.recorded import RecordedRun
from localcloud.scenarios import find, names
from tests.support.tables_in_memory import Tables

_WAITS_S, _STUCK_S = 30, 400_000


@dataclass(frozen=True)
class Wanted:
    """A run to record: its request, what the model says, what people answer.

    begins_anew  in a store as it was at first; otherwise with what the run before has left, and has moved
    waits_s      for how long its caller waits for the answer; None: nobody waits
    found_out    an operator finds out about calls of unknown effect: while the run waits, and after its end
    late         the turn whose call Lambda cannot run, nor what would follow: the run fails; then the call is run
    """

    name: str
    request: RunRequest
    model: ScriptModel
    answers: Sequence[Mapping[str, Any]] = ()
    begins_anew: bool = True
    waits_s: int | None = None
    found_out: bool = False
    late: int | None = None


def _more() -> Iterator[Wanted]:
    """Runs that no scenario has: a provider that fails, an answer that is refused, an approval that nobody gives."""
    order = {"call": [{"tool": "look_up_order", "arguments": {"order_id": "O-1004"}}]}
    refund = {"order_id": "O-1004", "amount_usd": "480.00", "reason": "damaged"}
    asked = {"request_id": "", "intent": "refund", "context": {"order_id": "O-1004"}, "text": "I want 480.00 USD back."}

    def wanted(name: str, says: Sequence[Mapping[str, Any]], answers: Sequence[Mapping[str, Any]] = ()) -> Wanted:
        text = f"{asked['text']} ({name})"
        request = RunRequest.model_validate(asked | {"request_id": name, "text": text})
        return Wanted(name, request, ScriptModel.of(says, name), answers)

    done, stopped = {"say": "That is done."}, {"say": "…", "stop": "content_filtered"}
    approves = {"by": "Lee", "approve": True}
    approved = {"call": [{"tool": "refund_order", "arguments": refund}]}
    yield wanted("throttled", [{"error": "ThrottlingException"}, order, {"error": "ServiceUnavailableException"}, done])
    yield wanted("invents-a-number", [order, {"say": "You get 777.77 USD."}, done])
    yield wanted("rejected", [order, approved, done], [{"by": "Lee", "approve": False, "comment": "Not yet."}])
    yield wanted("no-access", [{"error": "AccessDeniedException"}, order, done])
    # Its prompt is long enough for the cache, which the last turn that a run may have does not write to.
    long = wanted("cached", [order, {"call": [{"tool": "search_docs", "arguments": {"query": "damaged"}}]}, done])
    told = long.request.model_copy(update={"text": f"{long.request.text} {'It arrived damaged. ' * 900}"})
    yield replace(long, request=told)
    # The same, and then it brings nothing new any more.
    circles = {"call": [{"tool": "look_up_customer", "arguments": {"order_id": "O-1004"}}]}
    twice = wanted("cached-circles", [order, circles, circles, circles, circles, circles, circles, circles])
    yield replace(twice, request=twice.request.model_copy(update={"text": f"{told.text} ({twice.name})"}))
    # Its reason to ask names what the run before has moved.
    moves = {"order_id": "O-1004", "amount_usd": "10.00", "reason": "damaged"}
    for name, begins_anew in (("moves", True), ("moves-again", False)):
        one = wanted(name, [order, {"call": [{"tool": "refund_order", "arguments": moves}]}, done], [approves])
        request = one.request.model_copy(update={"text": f"{one.request.text} 10.00 USD now."})
        yield replace(one, request=request, begins_anew=begins_anew)
    yield replace(wanted("nobody-approves", [order, approved, done], [{}]), begins_anew=False)
    invented = {"call": [{"tool": "look_up_order", "arguments": {"order_id": "O-1031"}}]}
    yield wanted("invents-an-order", [invented, order, done])
    yield wanted("says-nothing", [order, {"say": " "}, done])
    cancelled = {"order_id": "O-1002", "amount_usd": "84.50", "reason": "cancelled"}
    both = [
        {"tool": "cancel_order", "arguments": {"order_id": "O-1002"}},
        {"tool": "refund_order", "arguments": cancelled},
    ]
    gives_up = {"request_id": "gives-up", "intent": "cancel_order", "context": {"order_id": "O-1002"}}
    gives_up |= {"text": "Please cancel order O-1002 and give me my 84.50 dollars back."}
    says: list[Mapping[str, Any]] = [{"call": [{"tool": "look_up_order", "arguments": {"order_id": "O-1002"}}]}]
    says += [{"call": both}, stopped]
    yield Wanted("gives-up", RunRequest.model_validate(gives_up), ScriptModel.of(says, "gives-up"))
    late = gives_up | {"request_id": "late", "text": "Please cancel order O-1002."}
    says = [says[0], {"call": both[:1]}]
    yield Wanted("late", RunRequest.model_validate(late), ScriptModel.of(says, "late"), late=2)
    back = {
        "kind": "hand_over",
        "to": "agent",
        "reason": "guidance",
        "guidance": "Go on.",
        "add_budget_microusd": 5_000,
    }
    looked_up: list[Mapping[str, Any]] = [says[0], done]
    waited = gives_up | {"request_id": "waits", "text": f"{gives_up['text']} (waits)"}
    for_it = ScriptModel.of(looked_up, "waits")
    yield Wanted("waits", RunRequest.model_validate(waited), for_it, waits_s=9)
    yield wanted("guided", [order, stopped, done], [{"by": "Dana", "decision": back}])
    found = wanted("found-out", [order, stopped, done], [{"by": "Dana", "decision": back}])
    yield replace(found, found_out=True)


def _scenarios() -> Iterator[Wanted]:
    for name in names():
        scenario = find(name)
        answers = [one.as_sent for one in scenario.people]
        request = scenario.request.model_copy(update={"text": f"{scenario.request.text} ({name})"})
        yield Wanted(name, request, ScriptModel.read(scenario.script), answers)


def recorded_runs(playbook: Path = PLAYBOOK, *, only: Collection[str] = ()) -> list[RecordedRun]:
    """Play all of them, or ``only`` some, and return their logs, as everybody may see them."""
    every = (one for one in (*_scenarios(), *_more()) if not only or one.name in only)
    wanted = {one.request.text: one for one in every}

    def reply(request: Mapping[str, Any], model_id: str) -> Reply:
        return wanted[request["messages"][0]["content"][0]["text"]].model.reply(request, model_id)

    clock = VirtualClock()
    tables, runs = Tables(), list[RecordedRun]()
    with LocalCloud(playbook, model=CallableModel(reply), clock=clock, dynamodb=tables) as cloud:
        seed_store(cloud, load_playbook(playbook), 1, SMALL_STORE, today=clock().date())
        before = tables.kept(*tables.items)
        for one in wanted.values():
            if one.begins_anew:
                tables.put_back(before)
            runs.append(_recorded(cloud, clock, one))
    return runs


def _recorded(cloud: LocalCloud, clock: VirtualClock, wanted: Wanted) -> RecordedRun:
    cut: list[dict[str, Any]] = []

    def cannot_run(function: str, payload: dict[str, Any]) -> None:
        if wanted.late and function != "AgentFunction" and payload.get("turn", 0) >= wanted.late:
            cut.append(payload)
            raise ServiceFault("Lambda.Unknown", "the process is gone")

    cloud.before_invoke.append(cannot_run)
    run_id, began, left = _started(cloud, wanted), clock.monotonic(), list(wanted.answers)
    while cloud.status(run_id) == "RUNNING" and clock.monotonic() - began < _STUCK_S:
        clock.pause(_WAITS_S if left else 3_600)
        waits = _waiting(cloud.events(run_id)) if left else []
        if waits and wanted.found_out:
            _found_out(cloud, run_id, 1)
            clock.pause(_WAITS_S)
        if waits and (answer := left.pop(0)):
            cloud.invoke("AnswerEscalationFunction", {"escalation_id": waits[0], **answer})
    cloud.before_invoke.remove(cannot_run)
    if wanted.found_out:
        clock.pause(_WAITS_S)
        _found_out(cloud, run_id, 2)
    for payload in cut[:1]:
        cloud.invoke("ExecutorFunction", payload)
    return RecordedRun.of(cloud.events(run_id), wanted.name)


def _found_out(cloud: LocalCloud, run_id: str, number: int) -> None:
    log = cloud.runtime("CommandFunction").get(RunLog.of)
    log.record(run_id, RunMoveSettled(number=number, call=(1, number), happened=True, by="ops-ann"))


def _started(cloud: LocalCloud, wanted: Wanted) -> str:
    if wanted.waits_s is None:
        return cloud.start(wanted.request)
    sent = {"request": wanted.request.model_dump(mode="json"), "answer_within_s": wanted.waits_s}
    cloud.runtime("StartFunction").client("stepfunctions").start_execution(
        stateMachineArn=cloud.physical_id("AgentStateMachine"), name=wanted.request.run_id, input=json.dumps(sent)
    )
    return wanted.request.run_id


def _waiting(run: Run) -> list[str]:
    asked = [one for one in run if one.name in ("escalation.opened", "call.approval_requested")]
    answered = {one.body.get("escalation_id") for one in run if one.name.endswith("answered")}
    return [one.body["escalation_id"] for one in asked if one.body["escalation_id"] not in answered]
