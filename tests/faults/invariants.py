"""The invariants of every case. Each rule returns its breaches in words."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any, get_args

from ballast.contracts import Answer, CallTools, ExitReason, HandOver, Planner
from ballast.contracts.notice import RunFailed
from ballast.errors import LogCorrupt
from ballast.folds.calls import CallState
from ballast.folds.conversation import prompt_digest, rebuild
from ballast.log.event import Event
from ballast.log.events import ModelRequested, RunEnded, RunRefused
from ballast.log.evidence import check
from ballast.models.catalog import Catalog
from ballast.money import TokenCounts
from ballast.money.moves import TOTAL, call_window, of_run
from ballast.money.windows import LEASE, RUNNING
from ballast.run import Run
from localcloud.clock import NOON
from tests.faults.people import http_event
from tests.faults.plan import Plan
from tests.faults.play import Played
from tests.faults.scenarios import REPLIES
from tests.faults.shop import TABLES, Shop
from tests.faults.wire import Invocation, Request
from tests.faults.world import World

#: The statuses with which ``run.ended`` may end a run.
STATUSES = ("answered", "refused", *get_args(RunFailed.model_fields["status"].annotation))
#: A call that may have happened, and nobody can say.
_OPEN = ("intended", "unknown")
#: An answered question is no reason to wait any longer than the retries of a step take.
_GOES_ON_WITHIN = timedelta(minutes=30)


@dataclass(frozen=True)
class Case:
    """What is looked at.

    survivable  the fault happens once and passes: the workflow must not fail of it
    """

    world: World
    played: Played
    run: Run
    before: Shop
    survivable: bool

    @property
    def events(self) -> Run:
        """The run's events, in the order of the work."""
        return self.run

    @property
    def failed(self) -> bool:
        """Whether the execution was cut or failed."""
        return self.played.execution is not None and self.played.execution.status != "SUCCEEDED"


def broken_rules(world: World, played: Played, before: Shop, *, survivable: bool) -> list[str]:
    """Return what is wrong after a case; an empty list where all is well."""
    world.plan = Plan()  # whoever looks is not hurt by what still lasts
    try:
        events = world.events(played.scenario.run_id)
    except LogCorrupt as corrupt:
        return [f"the log: {corrupt}"]
    case = Case(world, played, events, before, survivable)
    return [f"{rule.__name__}: {wrong}" for rule in RULES for wrong in rule(case)]


def ended(case: Case) -> Iterator[str]:
    """The run ended in a named outcome, and log and workflow say the same."""
    execution, scenario = case.played.execution, case.played.scenario
    if execution is None:
        if case.survivable or case.events:
            yield f"no run was started; {case.played.refused}"
        return
    if execution.status == "RUNNING":
        yield "the execution runs for ever"
        return
    if execution.status == "FAILED" and (case.survivable or execution.error != "BallastFailed"):
        yield f"the execution failed: {execution.error} {execution.cause}"
    end = case.run.ending
    if end is None:
        if case.events or execution.status == "SUCCEEDED":
            yield f"the log has no ending; the execution is {execution.status}"
        return
    status = "refused" if isinstance(end, RunRefused) else end.status
    if status not in STATUSES or case.run.outcome is None:
        yield f"{status!r} is no named outcome"
    if execution.status == "SUCCEEDED" and execution.output["status"] != status:
        yield f"the workflow says {execution.output['status']}, the log {status}"
    if execution.status == "ABORTED" and scenario.status != "aborted":
        yield "nobody stopped it"


def effects_as_the_log_says(case: Case) -> Iterator[str]:
    """Each write happened once where the log says so, else never; the shop holds what follows, and nothing else."""
    done = _done(case.world)
    for call in case.run.calls if case.events else ():
        times = done.pop((call.turn, call.index), 0)
        may = {"ok": (1,), "intended": (0, 1), "unknown": (0, 1)}.get(call.status, (0,))
        if call.effect != "write":
            may = (0,)
        if times not in may:
            yield f"{call.call.tool} (turn {call.turn}, call {call.index}) is {call.status} and happened {times} times"
        if call.status in _OPEN and call.effect == "write" and not _told(case, call):
            yield f"{call.call.tool} (turn {call.turn}) is {call.status}, and nobody was told"
    for position in done:
        yield f"an effect at {position}, which the log does not have"
    yield from by_the_log(case).differences(shop_now(case.world))


def by_the_log(case: Case) -> Shop:
    """Return the shop as it must be by the log; of an effect that is unknown there, as what was seen of it."""
    expected, done = case.before.copy(), _done(case.world)
    begun = {(event.turn, event.index): event.at[:10] for event in case.events if event.name == "call.intended"}
    for call in case.run.calls if case.events else ():
        happened = call.status == "ok" or (call.status in _OPEN and done[call.turn, call.index])
        if call.effect == "write" and happened and call.repeat_of is None:
            expected.apply(
                call if call.result else replace(call, result=None), on=begun.get((call.turn, call.index), "")
            )
    return expected


def effects_end_as_somebody_chose(case: Case) -> Iterator[str]:
    """At the end every effect is kept, undone, or frozen with a person told; what others hear of it is so."""
    notice = case.run.outcome if case.events else None
    said = getattr(notice, "effects", None)
    if notice is None or said is None:
        if notice is not None and notice.status != "refused":
            yield "the ending says nothing of the effects"
        return
    writes = [call for call in case.run.calls if call.effect == "write" and call.status in ("ok", *_OPEN)]
    stands = shop_now(case.world).stands != case.before.stands
    if said == "none" and writes:
        yield f"no effects, says the ending, and {writes[0].call.tool} is {writes[0].status}"
    if said in ("none", "undone") and stands:
        yield f"effects are {said}, says the ending, and the shop is not as it was"
    if said == "kept" and (notice.status != "answered" or any(call.status in _OPEN for call in writes)):
        yield f"effects are kept, says the ending, and the run is {notice.status}: {writes}"
    if said == "frozen" and not (_asked(case.events, 0) or _heard_of_it(case)):
        yield "effects are frozen, and nobody was told"


#: Reasons by which the rollback says that something still stands.
_NOT_UNDONE = (
    ExitReason.ROLLBACK_INCOMPLETE,
    ExitReason.EFFECT_FROZEN,
    ExitReason.EFFECTS_KEPT,
    ExitReason.HISTORY_LIMIT,
)


def given_up_is_undone(case: Case) -> Iterator[str]:
    """Where the rollback says that it is done, every write of the agent that has an undo was undone."""
    made = case.run.proposals
    gave_way = [turn for turn, one in made.items() if one.planner is Planner.ROLLBACK and _reason(one.decision)]
    done = [turn for turn in gave_way if _reason(made[turn].decision) not in _NOT_UNDONE]
    if not done:
        return
    states = case.run.calls
    undos = [call.call.tool for call in states if call.planner is Planner.ROLLBACK and call.status == "ok"]
    for call in states:
        tool = case.world.playbook.tools.get(call.call.tool)
        acted = call.effect == "write" and call.status == "ok" and call.repeat_of is None
        due = call.planner is Planner.AGENT and acted and call.turn < max(done)
        if due and tool is not None and tool.undo and case.world.playbook.on_rollback(tool) == "undo":
            if tool.undo in undos:
                undos.remove(tool.undo)
            else:
                yield f"{tool.name} (turn {call.turn}) still stands"


def budgets_conserved(case: Case) -> Iterator[str]:
    """Whatever the provider bills was reserved or recorded before, within the ceiling; the ending says the same."""
    if not any(event.name == "run.opened" for event in case.events):
        return
    used, models = case.run.usage, Catalog()
    billed = sum(_cost(models, call.model, call.usage) for call in case.world.wire.model_calls)
    if billed > used.charged_microusd:
        yield f"the provider bills {billed} micro-dollars, the log has {used.charged_microusd}"
    ceiling = case.run.opening.cost_ceiling_microusd
    if used.charged_microusd > ceiling:
        yield f"{used.charged_microusd} micro-dollars are charged, the ceiling is {ceiling}"
    end = case.run.fact(RunEnded)
    ended_at = next((event.at for event in case.events if event.name == RunEnded.NAME), "")
    late = any(event.name.startswith("model.") and event.at > ended_at for event in case.events)
    if end is not None and not late:
        said = end.spent_microusd, end.reserved_microusd
        if said != (used.spent_microusd, used.reserved_microusd):
            yield f"the ending says {said}, the log {(used.spent_microusd, used.reserved_microusd)}"


def windows_conserved(case: Case) -> Iterator[str]:
    """No lease is held any more; what the windows took is what was charged, and no run counts as running."""
    items: list[dict[str, Any]] = [
        {name: _plain(value) for name, value in item.items()} for item in case.world.items("BudgetsTable")
    ]
    leases = [item for item in items if item["account"] == LEASE]
    charged = sum(lease.get("charged_microusd", 0) for lease in leases)
    for lease in leases:
        if lease["status"] == "held":
            yield f"the lease of {lease['window']} is still held"
    opened = any(event.name == "run.opened" for event in case.events)
    if opened and leases and leases[0].get("charged_microusd") != case.run.usage.charged_microusd:
        yield f"the lease was charged {leases[0].get('charged_microusd')}, the log has {case.run.usage}"
    for item in items:
        if item["window"] == RUNNING and item["runs"] != 0:
            yield f"{item['account']}: {item['runs']} runs hold a place"
        if item["window"].startswith(("hour#", "day#")):
            taken, settled = item["taken_microusd"], item.get("settled_microusd", 0)
            if taken != settled or settled != charged:
                yield f"{item['account']} {item['window']}: took {taken}, settled {settled}, leases charged {charged}"


def moves_conserved(case: Case) -> Iterator[str]:
    """What the windows count of the business's own money is what the log says was moved, and below every ceiling.

    Where the executor died for good between two requests they may count more: what was begun stays so, and what was
    undone stays counted, since nobody else gives it back.
    """
    logged = {(one.turn, one.index): one for one in case.run.moves} if case.events else {}
    items: list[dict[str, Any]] = [
        {name: _plain(value) for name, value in item.items()} for item in case.world.items("MovesTable")
    ]
    sums: Counter[tuple[str, str]] = Counter()
    expected = {"held": "begun", "kept": "kept", "returned": "returned", "undone": "undone"}
    reserved = {item["window"]: item for item in items if item["window"].startswith("call#")}
    ended = case.run.ending
    cut = ended is not None and getattr(ended, "status", None) != "answered"
    for (turn, index), one in logged.items():
        item = reserved.pop(call_window(turn, index), {"status": "not there"})
        stays = cut and (item["status"] == "begun" or (one.became, item["status"]) == ("undone", "kept"))
        if item["status"] != expected[one.became] and not stays:
            yield f"the move of turn {turn}, call {index} is {one.became} by the log and {item['status']} in the table"
        if one.counts or stays:
            for account in (one.customer, f"tenant#{case.run.request.tenant}", "account"):
                for window in (one.hour, one.day):
                    sums[account or "", window] += one.micro
            sums[of_run(case.played.scenario.run_id), TOTAL] += one.micro
    yield from (
        f"{name} is {item['status']}, and no log has it"
        for name, item in reserved.items()
        if item["status"] not in ("returned", "begun")
    )
    for item in reserved.values():
        if item["status"] == "begun":  # and its intention was never written
            for account in (item["customer"], f"tenant#{item['tenant']}", "account"):
                for window in (item["hour"], item["day"]):
                    sums[account, window] += item["micro"]
            sums[of_run(case.played.scenario.run_id), TOTAL] += item["micro"]
    counted = {(item["account"], item["window"]): item["moved"] for item in items if item.get("moved")}
    if counted != dict(sums):
        yield f"the windows count {counted}, the log {dict(sums)}"
    own = case.world.playbook.agent.moves.ceilings
    limits = {"moves": (own.run,) * 2, "customer": (own.customer_hour, own.customer_day)}
    limits |= {"tenant": (own.tenant_hour, own.tenant_day), "account": (own.all_hour, own.all_day)}
    for (account, window), micro in counted.items():
        if micro > limits[account.partition("#")[0]][window.startswith("day#")]:
            yield f"{account} {window} moved {micro}, above its ceiling"


def log_complete(case: Case) -> Iterator[str]:
    """Every digest is right, and what must be there once is there once."""
    names = Counter(event.name for event in case.events)
    if case.events and names["run.opened"] + names["run.refused"] != 1:
        yield f"opened {names['run.opened']} times, refused {names['run.refused']} times"
    shown = case.world.events(case.played.scenario.run_id, opens=False)
    for asked in shown.facts(ModelRequested):  # the digests are of what everybody may see
        if prompt_digest(shown, rebuild(shown, asked), asked.inference) != asked.prompt_sha256:
            yield f"{asked.seq}: the prompt's digest is wrong"
    performed = {request.body["Item"]["seq"]["S"] for request in _appends(case)}
    lost = performed - {event.seq for event in case.events}
    if lost:
        yield f"written and gone: {sorted(lost)}"


def log_testifies(case: Case) -> Iterator[str]:
    """Nobody touched the log, so it fits, whatever came late: no fault pages anybody for tampering."""
    settled = any(event.name == "run.settled" for event in case.events)
    found = check(case.events, settling=not settled).first
    if found is not None:
        yield f"{found.seq} {found.why}"
    yield from case.world.touched


def others_told(case: Case) -> Iterator[str]:
    """The outcome was announced, under one id however often; the caller's queue has it."""
    notice = case.run.outcome if case.events else None
    if notice is None:
        return
    told = [json.loads(entry["Detail"]) for entry in case.world.wire.heard if entry["DetailType"] != "Run Escalated"]
    if not case.world.dead_letters and notice.event_id not in {detail["event_id"] for detail in told}:
        yield "nobody was told how it ended"
    if len({detail["event_id"] for detail in told}) > 1:
        yield "two different endings were announced"
    replies = _messages(case.world, REPLIES)
    if case.played.scenario.reply_to and not replies and not case.world.dead_letters:
        yield "the caller got no reply"
    if len(set(replies)) > 1:
        yield "the caller got different replies"


def answers_count(case: Case) -> Iterator[str]:
    """Whoever answers in time is heard: no run ends, or waits, for want of an answer that is in its log.

    Nobody is told that their answer came too late where the run went on with it. What the table has as answered is in
    the log.
    """
    if not case.survivable:
        return
    answers = [event for event in case.events if event.name in ("escalation.answered", "call.approval_answered")]
    on_record = {event.body.get("escalation_id") for event in answers}
    for item in case.world.items("EscalationsTable"):
        asked_as = item["escalation_id"]["S"]
        if item.get("status", {}).get("S") == "answered" and asked_as not in on_record:
            yield f"{asked_as} counts as answered, and no answer to it is in the log"
    for event in answers:
        follows = min((one.at for one in case.events if one.at > event.at), default=None)
        waited = follows is not None and datetime.fromisoformat(follows) - datetime.fromisoformat(event.at)
        if waited and waited > _GOES_ON_WITHIN:
            yield f"{event.seq} is in the log, and the run waited {waited} all the same"
        told = [one for one in case.played.refused if f"{event.body.get('escalation_id')}: the run" in one]
        end = case.run.fact(RunEnded)
        if told and event.body.get("by") and end is not None and end.status == "answered":
            yield f"{event.seq}: the run went on with it, and the person was told: {told[0]}"
    end = case.run.fact(RunEnded)
    if end is None or end.status != "unanswered":
        return
    asked = max((event.turn for event in case.events if event.name == "escalation.opened"), default=None)
    if any(event.name == "escalation.answered" and event.turn == asked for event in case.events):
        yield f"the question of turn {asked} was answered, and the run ended as if nobody had"


def nothing_stuck(case: Case) -> Iterator[str]:
    """No message, token, escalation or claim is left behind."""
    world = case.world
    for queue in ("RunRequestQueue", "RunRequestDeadLetterQueue"):
        left = world.messages(queue)
        # What is no request that anybody could take lies where the alarm is.
        refused = queue == "RunRequestDeadLetterQueue" and case.played.execution is None and not case.survivable
        if left and not refused:
            yield f"{len(left)} messages in {queue}"
    if world.dead_letters and case.survivable:
        yield f"no function took {[arn.rsplit(':', 1)[-1] for arn, _ in world.dead_letters]}"
    states = world.wire.states
    if waiting := states.waiting - states.over - set(states.answers):
        yield f"task tokens that nobody waits for or answers: {sorted(waiting)}"
    if case.events and case.run.ending and world.items("EscalationsTable"):
        shown = world.run(Invocation(0, "PeopleApiFunction", "test", http_event("GET", "/escalations")))
        if json.loads(shown["body"])["escalations"]:
            yield "an escalation of an ended run is still shown as open"
    settled = (
        {f"{call.turn:04d}.{call.index}" for call in case.run.calls if call.status == "ok"} if case.events else set()
    )
    for item in world.items("IdempotencyTable"):
        position = item["id"]["S"].rpartition(case.played.scenario.run_id + ".")[2]
        if item.get("status", {}).get("S") == "INPROGRESS" and position in settled:
            yield f"the call {position} is settled, and its claim is held for ever"


#: In the order in which a reader wants to know.
RULES: Sequence[Callable[[Case], Iterator[str]]] = (
    ended,
    effects_as_the_log_says,
    effects_end_as_somebody_chose,
    given_up_is_undone,
    budgets_conserved,
    windows_conserved,
    moves_conserved,
    log_complete,
    log_testifies,
    others_told,
    answers_count,
    nothing_stuck,
)


def _done(world: World) -> Counter[tuple[int, int]]:
    """Count the writes to the shop that were carried out, by the call's position."""
    return Counter(
        (invocation.payload["turn"], invocation.payload["index"])
        for invocation, request in world.wire.written
        if set(request.target.split("+")) & set(TABLES)
    )


def _appends(case: Case) -> Iterator[Request]:
    for _, request in case.world.wire.written:
        if request.target == "RunLogTable" and request.operation == "PutItem":
            yield request


def _told(case: Case, call: CallState) -> bool:
    """Say whether a person was asked about the run since, or the run was cut, which its event tells."""
    return _asked(case.events, call.turn) or (case.failed and _heard_of_it(case))


def _asked(events: Sequence[Event], since_turn: int) -> bool:
    return any(event.name == "escalation.opened" and event.turn >= since_turn for event in events)


def _heard_of_it(case: Case) -> bool:
    """Say whether the event of the run's end says that its effects are for a person to look at."""
    details = [json.loads(entry["Detail"]) for entry in case.world.wire.heard]
    return any(detail.get("effects") == "frozen" for detail in details)


def _reason(decision: Answer | CallTools | HandOver) -> ExitReason | None:
    return decision.reason if isinstance(decision, HandOver) else None


def _cost(models: Catalog, model: str, counted: object) -> int:
    tokens = TokenCounts(input=counted["inputTokens"], output=counted["outputTokens"])  # type: ignore[index]
    return models.price(model, on=NOON.date()).price().cost(tokens)


def _plain(value: dict[str, str]) -> int | str:
    return int(value["N"]) if "N" in value else str(value.get("S"))


def shop_now(world: World) -> Shop:
    """Return the shop as the tables have it."""
    return Shop.of({table: world.items(table) for table in TABLES})


def _messages(world: World, queue: str) -> list[str]:
    url = world.client("sqs").get_queue_url(QueueName=queue)["QueueUrl"]
    return [message["Body"] for message in world.taken(url)]
