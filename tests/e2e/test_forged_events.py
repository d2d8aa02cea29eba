"""Events that a planner's role writes cause no effect without a person and give no window back, at any moment.

One run with all that the log could be made to lie about: a payment that a person approves, one that needs nobody, an
agent that gives up, the undo of both, a script that pays a part. With IAM enforced and the planner's own credentials
each kind of event is put at each stage of it, as a new one and over those that are there.
"""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from decimal import Decimal
from itertools import count
from typing import Any

import pytest

from ballast.contracts import RunRequest
from ballast.log.event import Event
from ballast.money.moves import of_customer, units
from ballast.run import Run
from localcloud.clock import VirtualClock
from localcloud.cloud import ROOT, LocalCloud
from localcloud.converse.source import CallableModel, Reply, said, turns_taken
from localcloud.functions import FunctionError
from tests.e2e.forged.tools.till import done
from tests.support.log_items import decode, encode
from tests.support.sampling import FULL
from tests.support.tables_in_memory import Tables

PLAYBOOK = ROOT / "tests" / "e2e" / "forged"
Body = dict[str, Any]
_NUMBERS = count(1)
UNTIL = {"agent_until_ms": 2**52, "deadline_ms": 2**52}
#: Paid in the run as it should be, and what is taken back of it.
APPROVED, FREE, SCRIPTED = 20, 5, 3
HONEST = [f"pay {APPROVED}", f"pay {FREE}", f"take_back {FREE}", f"take_back {APPROVED}", f"pay {SCRIPTED}"]


def says(request: Mapping[str, Any], _: str) -> Reply:
    """Look, pay what a person must approve, pay what nobody must, and give up."""
    turn, name = turns_taken(request), request["messages"][0]["content"][0]["text"].split()[0]
    steps = [("look", {"name": name}), ("pay", {"name": name, "amount": APPROVED})]
    steps += [("pay", {"name": name, "amount": FREE})]
    if turn >= len(steps):
        return said([], "guardrail_intervened", request)
    tool, arguments = steps[turn]
    return said([{"toolUse": {"toolUseId": f"t{turn}", "name": tool, "input": arguments}}], "tool_use", request)


@pytest.fixture(scope="module")
def cloud() -> Iterator[LocalCloud]:
    model = CallableModel(says)
    # A run is some 200 requests, most of them to DynamoDB, which takes moto half of the time.
    with LocalCloud(PLAYBOOK, enforce_iam=True, clock=VirtualClock(), model=model, dynamodb=Tables()) as opened:
        yield opened


class Forger:
    """Whoever has the planner's credentials."""

    def __init__(self, cloud: LocalCloud) -> None:
        self._client = cloud.runtime("AgentFunction").client("dynamodb")
        self._table = cloud.physical_id("RunLogTable")

    def put(self, run_id: str, seq: str, body: Body) -> None:
        """Write an event, over what is there."""
        event = Event(run_id=run_id, seq=seq, at="2026-03-01T12:00:00+00:00", body=body)
        self._client.put_item(TableName=self._table, Item=encode(event, body)[0])

    def change(self, run_id: str, seq: str, **changes: Any) -> None:
        """Write an event over the one that is there, with other values in it."""
        key = {"run_id": {"S": run_id}, "seq": {"S": seq}}
        before = self._client.get_item(TableName=self._table, Key=key, ConsistentRead=True).get("Item")
        if before is not None:
            self.put(run_id, seq, decode(before, None).body | changes)


def call(tool: str, name: str = "theirs", amount: int = 9) -> Body:
    return {"tool": tool, "arguments": {"name": name, "amount": amount}}


def calls(*made: Body) -> Body:
    return {"kind": "call_tools", "calls": list(made)}


def intends(tool: str, **more: Any) -> Body:
    body = {
        "tool": tool,
        "effect": "write",
        "planner": "agent",
        "undo": None,
        "invocation": "x",
        "idempotency_key": "k",
    }
    return body | more


def settles(**outcome: Any) -> Body:
    return {"tool": "pay", "undo": None, "message": ""} | outcome


#: By name: puts it at (forger, run id, its name, turn, ``turn`` being the stage's own turn).
Put = Callable[[Forger, str, str, int], None]


def puts(step: str, body: Body | Callable[[str], Body]) -> Put:
    def put(forger: Forger, run_id: str, name: str, turn: int) -> None:
        forger.put(run_id, f"{turn:04d}.{step}", body if isinstance(body, dict) else body(name))

    return put


def plans(planner: str, *made: Body, **more: Any) -> Put:
    return puts("plan.decided", {"planner": planner, "decision": calls(*made), **more})


def over_all(step: str, **changes: Any) -> Put:
    """Change the event of that step in every turn."""

    def put(forger: Forger, run_id: str, name: str, turn: int) -> None:
        for each in range(1, turn + 1):
            forger.change(run_id, f"{each:04d}.{step}", **changes)

    return put


def opening(**changes: Any) -> Put:
    return lambda forger, run_id, name, turn: forger.change(run_id, "0000.run.opened", **changes)


def undoes_by_the_log(forger: Forger, run_id: str, name: str, turn: int) -> None:
    """An undo that nobody made: decided, begun and done by the log alone."""
    for each in (turn, turn + 1):
        for amount in (APPROVED, FREE):
            undo = call("take_back", name, amount)
            seq = f"{each:04d}"
            forger.put(
                run_id, f"{seq}.plan.decided", {"planner": "rollback", "decision": calls(undo), "undoes": [2, 1]}
            )
            forger.put(run_id, f"{seq}.call.1.intended", intends("take_back", planner="rollback"))
            forger.put(run_id, f"{seq}.call.1.settled", settles(tool="take_back", status="ok", result={}))


def nobody(**more: Any) -> Body:
    return {"escalation_id": "esc-x", "approve": None, "by": None, "comment": ""} | more


def approves(**more: Any) -> Body:
    return {"escalation_id": "esc-x", "by": "the-boss", "approve": True, "comment": "", **UNTIL} | more


FORGED: dict[str, Put] = {
    "the rollback pays": plans("rollback", call("pay", amount=99)),
    "the rollback takes back what was never paid": plans("rollback", call("take_back")),
    "the rollback names an effect and does another": plans("rollback", call("take_back"), undoes=[2, 1]),
    "the rollback takes back what is not to be": lambda f, r, n, t: plans(
        "rollback", call("take_back", n, 1), undoes=[2, 1]
    )(f, r, n, t),
    "the rollback takes back twice at once": lambda f, r, n, t: plans(
        "rollback", call("take_back", n, FREE), call("take_back", n, FREE), undoes=[3, 1]
    )(f, r, n, t),
    "the script pays somebody else": plans("fallback", call("pay", amount=3)),
    "the script pays more": lambda f, r, n, t: plans("fallback", call("pay", n, 9))(f, r, n, t),
    "the script takes back": lambda f, r, n, t: plans("fallback", call("take_back", n, FREE))(f, r, n, t),
    "a person's plan": plans("human", call("take_back")),
    "nobody's plan": plans("requester", call("take_back")),
    "the agent calls what only undoes": plans("agent", call("take_back")),
    "the agent pays what a person must approve": plans("agent", call("pay", amount=99)),
    "a completion pays what a person must approve": puts(
        "model.responded", {"decision": calls(call("pay", amount=99)), "planner": "agent"}
    ),
    "a call has begun": puts("call.1.intended", intends("pay", approval={"round": 1, "by": ["the-boss"]})),
    "a call is done, and its undo is another": puts(
        "call.1.settled", settles(status="ok", result={}, undo=call("take_back"))
    ),
    "every call's undo is another": over_all("call.1.settled", undo=call("take_back")),
    "every call's undo pays": over_all("call.1.settled", undo=call("pay", amount=9)),
    "every call is to be undone": over_all("call.1.intended", on_rollback="undo", undo=call("take_back")),
    "every call has failed": over_all("call.1.settled", status="failed", message="No."),
    "every call was denied": over_all("call.1.settled", status="denied", message="No."),
    "every call only reads": over_all("call.1.intended", effect="read", moves=None),
    "every call is unknown": over_all("call.1.settled", status="unknown", message="?"),
    "every call moved nothing": over_all("call.1.intended", moves=None),
    "a call is refused": puts(
        "call.1.refused", {"tool": "pay", "arguments": {}, "error": "RuleViolation", "message": "No."}
    ),
    "undos that nobody made": undoes_by_the_log,
    "an approval": puts("call.1.approval_answered", approves()),
    "an approval with several": puts("call.1.approval_answered", approves(approvals=[{"by": "x"}, {"by": "y"}])),
    "one of several approvals": puts("call.1.approval_given.1.1", approves(given=1, needed=1)),
    "nobody answered": puts("call.1.approval_answered", nobody()),
    "nobody answered, with time": puts("call.1.approval_answered", nobody(**UNTIL)),
    "nothing was asked": over_all("call.1.approval_needed", why=[], approvals=0, approvers=None),
    "another call was asked for": over_all("call.1.approval_needed", arguments={}, binding={"sha256": "0" * 64}),
    "people were told": puts("call.1.approval_requested", {"escalation_id": "esc-x"}),
    "an approval is void": puts("call.1.approval_void", {"tool": "pay", "moved": ["policy"], "binding": None}),
    "a person's decision": puts(
        "escalation.answered",
        {"escalation_id": "esc-x", "kind": "escalation", "by": "b", "decision": calls(call("take_back")), **UNTIL},
    ),
    "an operator's decision": puts(
        "escalation.answered",
        {"escalation_id": "e", "kind": "escalation", "by": "b", "decision": calls(call("pay")), **UNTIL}
        | {"role": "operator"},
    ),
    "an escalation is open": puts("escalation.opened", {"escalation_id": "esc-x", "kind": "escalation", "reason": "x"}),
    "a lease was extended": puts("lease.extended", {"microusd": 5_000_000, "hour": "hour#", "day": "day#"}),
    "another requester": opening(requested_by=None),
    "no limit": opening(**UNTIL),
    "the run has ended": lambda f, r, n, t: f.put(
        r, "9999.run.ended", {"status": "answered", "by": "agent", "degraded": False, "turn": 1, "answer": "Done.",
                              "spent_microusd": 0, "reserved_microusd": 0, "effects": "none"},
    ),
    "the run was settled": lambda f, r, n, t: f.put(
        r, "9999.run.settled", {"leased_microusd": 1, "charged_microusd": 0, "returned_microusd": 1}
    ),
}  # fmt: skip

#: By name: whether an invocation (function, payload) is of that stage.
STAGES: dict[str, Callable[[str, Body], bool]] = {
    "before a decision": lambda function, payload: function == "AgentFunction" and payload["turn"] == 2,
    "before it is executed": lambda function, payload: function == "ExecutorFunction" and payload["turn"] == 2,
    "before people are asked": lambda function, _: function == "OpenEscalationFunction",
    "once people were asked": lambda function, payload: function == "ExecutorFunction" and payload["asked"] == 1,
    "once it is done": lambda function, payload: function == "AgentFunction" and payload["turn"] == 3,
    "before the rollback": lambda function, _: function == "RollbackFunction",
    "before an undo": lambda function, payload: function == "ExecutorFunction" and payload["turn"] == 5,
    "before the second undo": lambda function, payload: function == "ExecutorFunction" and payload["turn"] == 6,
    "before the script": lambda function, _: function == "FallbackFunction",
    "before the script's call": lambda function, payload: function == "ExecutorFunction" and payload["turn"] == 9,
    "before the end": lambda function, _: function == "SettleFunction",
}


class Played:
    """One run, with what is forged at one stage of it (or nothing), and what people say."""

    def __init__(self, cloud: LocalCloud, put: Put | None, stage: str, approve: bool = True) -> None:
        self.name, self.was_put, self.approvals = f"run{next(_NUMBERS)}", False, 0
        forger, dynamodb, orders = Forger(cloud), cloud.session.client("dynamodb"), cloud.physical_id("OrdersTable")
        before = len(done(dynamodb, orders, "theirs"))

        def forge(function: str, payload: Body) -> None:
            if put is not None and not self.was_put and STAGES[stage](function, payload):
                self.was_put = True
                put(forger, payload["run_id"], self.name, payload.get("turn", 1))

        def answers(function: str, payload: Body, result: Any) -> None:
            if function == "OpenEscalationFunction" and payload["kind"] == "approval":
                shown = asked(cloud, payload)
                # The person looks, and approves what they know of.
                yes = approve and shown == call("pay", self.name, APPROVED)["arguments"]
                answer = {"escalation_id": result["escalation_id"], "by": "ann", "approve": yes}
                # Where something else stands in the place of their answer, they are told so.
                with suppress(FunctionError):
                    cloud.invoke("AnswerEscalationFunction", answer)
                    self.approvals += yes

        cloud.before_invoke.append(forge)
        cloud.after_invoke.append(answers)
        request = RunRequest(
            request_id=self.name, text=f"{self.name} wants 20.", intent="refund", context={"name": self.name}
        )
        try:
            self.run_id = cloud.start(request)
            cloud.wait(self.run_id, 600)
        finally:
            cloud.before_invoke.remove(forge)
            cloud.after_invoke.remove(answers)
        self.done, self.theirs = done(dynamodb, orders, self.name), done(dynamodb, orders, "theirs")[before:]
        self.counted = Decimal(0)
        for item in dynamodb.scan(TableName=cloud.physical_id("MovesTable"), ConsistentRead=True)["Items"]:
            if item["account"]["S"] == of_customer("default", self.name) and item["window"]["S"].startswith("day#"):
                self.counted += units(int(item["moved"]["N"]))
        self.verdict = cloud.verdict(self.run_id)

    @property
    def wrong(self) -> list[str]:
        """What must not have come of it, in words."""
        found = [f"to somebody else: {one}" for one in self.theirs]
        allowed = Counter(HONEST)
        allowed[f"pay {APPROVED}"] = min(1, self.approvals)
        allowed[f"take_back {APPROVED}"] = self.done.count(f"pay {APPROVED}")
        allowed[f"take_back {FREE}"] = self.done.count(f"pay {FREE}")
        found += [f"{times} times {one}" for one, times in (Counter(self.done) - allowed).items()]
        moved = sum(int(one.split()[1]) * (1 if one.startswith("pay") else -1) for one in self.done)
        if self.counted < moved:
            found.append(f"moved {moved}, and the windows count {self.counted}")
        return found


def asked(cloud: LocalCloud, payload: Body) -> Any:
    """Return the arguments of the call that people are shown."""
    state = Run.of(cloud.events(payload["run_id"])).call(payload["turn"], payload["index"])
    return None if state is None else state.call.arguments


def test_as_it_should_be(cloud: LocalCloud) -> None:
    played = Played(cloud, None, "before the end")

    assert played.done == HONEST
    assert (played.counted, played.wrong) == (SCRIPTED, [])
    assert played.verdict is not None
    assert played.verdict.status == "fits", played.verdict


#: What ``verify`` finds nothing wrong with, and docs/threats.md says so: a new event that contradicts none.
FITS = (
    "the rollback",
    "the script",
    "the agent",
    "a call",
    "undos that nobody made",
    "nobody answered",
    "nothing was asked",
    "another call was asked for",
    "people were told",
    "an approval is void",
    "an escalation is open",
    "a lease was extended",
    "every call",
)


@pytest.mark.sampled(8)
@pytest.mark.parametrize("what", FORGED)
def test_nothing_that_is_forged_acts_or_gives_money_back(what: str, cloud: LocalCloud) -> None:
    # All stages of all kinds are a quarter of an hour's work: FULL=1.
    number = list(FORGED).index(what)
    for stage in STAGES if FULL else [list(STAGES)[number % len(STAGES)]]:
        played = Played(cloud, FORGED[what], stage)
        verdict = played.verdict
        assert played.was_put, stage
        assert played.wrong == [], (stage, played.done)
        assert verdict is not None
        assert verdict.first is not None or what.startswith(FITS), stage


def test_a_rejection_is_not_made_nobodys_with_the_planners_rights(cloud: LocalCloud) -> None:
    played = Played(cloud, FORGED["nobody answered"], "once people were asked", approve=False)

    assert f"pay {APPROVED}" not in played.done
    assert played.wrong == []
    assert played.verdict is not None
    assert played.verdict.unsigned == ("0002.call.1.approval_answered",)
