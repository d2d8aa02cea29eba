"""A run's ceiling is leased from the windows when it is admitted; the rest is returned when it ends."""

import json
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from ballast.contracts import RunRequest
from ballast.errors import AtCapacity, NotAdmitted, RequestConflict, RetryLater, RunEnded, TooManyRuns, WindowFull
from functions.lifecycle.admit import AdmitSettings
from tests.functions.cloud import NOON, client
from tests.functions.endpoint import Endpoint, reads, says
from tests.functions.stack import LambdaDied, Stack, client_error, once

HOUR, DAY = "hour#2026-03-01T12", "day#2026-03-01"
EVENTS = Path(__file__).resolve().parents[2] / "events" / "eventbridge"


#: Counts the tests: the log outlives each, so a name is used once.
_TEST = count(1)
_NAMES: dict[str, int] = {}


@pytest.fixture(autouse=True)
def names_of_its_own() -> None:
    _NAMES["test"] = next(_TEST)


def set_limits(stack: Stack, **limits: str) -> None:
    """Give the tenants and the account these limits, e.g. ``tenant_hour_usd="0.001"``."""
    for function in ("admit", "extend"):
        stack.environs[function] |= {name.upper(): value for name, value in limits.items()}


def admit(stack: Stack, name: str, ceiling: int = 400, **fields: Any) -> str:
    """Admit a run with that ceiling in micro-dollars and return its id."""
    how = {field: fields.pop(field) for field in ("when_full_by_way", "entered_at") if field in fields}
    event: dict[str, Any] = {"request": request(name, ceiling, **fields)}
    if "when_full_by_way" in how:
        event["when_full"] = how["when_full_by_way"]
    if "entered_at" in how:
        event["entered_at"] = how["entered_at"]
    return str(stack.invoke("admit", event)["run_id"])


def request(name: str, ceiling: int = 400, **fields: Any) -> dict[str, Any]:
    return {
        "request_id": f"{_NAMES['test']}-{name}",
        "agent": "tester",
        "text": "Tidy.",
        "intent": "tidy",
        "tenant": "acme",
        "limits": {"cost_microusd": ceiling},
        **fields,
    }


def run_id_of(name: str, **fields: Any) -> str:
    return RunRequest.model_validate(request(name, **fields), strict=False).run_id


def settle(stack: Stack, run_id: str, ending: str = "answer") -> Any:
    return stack.invoke("settle", {"run_id": run_id, "turn": 1, "ending": ending})


def item(account: str, window: str) -> dict[str, Any]:
    """Return an item of the budgets table as plain values."""
    key = {"account": {"S": account}, "window": {"S": window}}
    found = client("dynamodb").get_item(TableName="budgets", Key=key).get("Item", {})
    return {name: next(iter(value.values())) for name, value in found.items()}


def taken(account: str = "tenant#acme", window: str = HOUR) -> int:
    return int(item(account, window).get("taken_microusd", 0))


def settled(account: str = "tenant#acme", window: str = HOUR) -> int:
    return int(item(account, window).get("settled_microusd", 0))


def runs(account: str = "tenant#acme") -> int:
    return int(item(account, "running").get("runs", 0))


def test_a_ceiling_is_taken_from_every_window_that_it_lies_in(stack: Stack) -> None:
    run_id = admit(stack, "taken", 400)

    for account in ("account", "tenant#acme"):
        assert (taken(account, HOUR), taken(account, DAY), runs(account)) == (400, 400, 1)
    assert item("lease", run_id)["status"] == "held"
    assert stack.body(run_id, "0000.run.opened")["lease"] == {"microusd": 400, "hour": HOUR, "day": DAY}


def test_what_was_not_spent_goes_back_and_the_log_says_so(stack: Stack, model: Endpoint) -> None:
    run_id = admit(stack, "back", 100_000)
    model.will(reads("n-1"), says("All is tidy."))
    stack.plan(run_id)
    stack.plan(run_id, 2)

    settle(stack, run_id)

    for account in ("account", "tenant#acme"):
        for window in (HOUR, DAY):
            assert (taken(account, window), settled(account, window)) == (900, 900)
        assert runs(account) == 0
    charge = stack.body(run_id, "9999.run.settled")
    assert {name: value for name, value in charge.items() if name != "evidence"} == {
        "leased_microusd": 100_000,
        "charged_microusd": 900,
        "returned_microusd": 99_100,
    }


def test_what_is_reserved_when_the_run_ends_is_charged(stack: Stack, model: Endpoint) -> None:
    run_id = admit(stack, "reserved", 100_000)
    stack.on("planner", "bedrock-runtime", "Converse", once(LambdaDied()))
    with pytest.raises(LambdaDied):
        stack.plan(run_id)

    settle(stack, run_id, "failed")

    reserved = stack.body(run_id, "0001.model.requested")["reserved_microusd"]
    assert taken() == settled() == reserved


@pytest.mark.parametrize("ending", ["answer", "unanswered", "failed", "run-aborted", "run-timed-out", "run-failed"])
def test_every_ending_gives_back_once(stack: Stack, ending: str) -> None:
    run_id = admit(stack, f"ends-{ending}")
    before = admit(stack, "goes-on", 300)

    for _ in range(2):
        if ending.startswith("run-"):
            event = json.loads((EVENTS / f"{ending}.json").read_text(encoding="utf-8"))
            event["detail"]["name"] = run_id
            stack.invoke("settle", event)
        else:
            settle(stack, run_id, ending)

    assert (taken(), settled(), runs()) == (300, 0, 1)
    assert (item("lease", run_id)["status"], item("lease", before)["status"]) == ("settled", "held")


# No room


@pytest.mark.parametrize(
    ("limits", "opens_at", "says_what"),
    [
        ({"tenant_hour_usd": "0.001"}, "2026-03-01T13:00:00+00:00", "tenant's hour of 0.001"),
        ({"tenant_day_usd": "0.001"}, "2026-03-02T00:00:00+00:00", "tenant's day of 0.001"),
        ({"account_hour_usd": "0.001"}, "2026-03-01T13:00:00+00:00", "all tenants' hour of 0.001"),
        ({"account_day_usd": "0.001"}, "2026-03-02T00:00:00+00:00", "all tenants' day of 0.001"),
        ({"tenant_hour_usd": "0.001", "account_day_usd": "0.0011"}, "2026-03-02T00:00:00+00:00", "and"),
    ],
)
def test_a_full_window_refuses_and_says_when_it_opens(
    stack: Stack, limits: dict[str, str], opens_at: str, says_what: str
) -> None:
    set_limits(stack, **limits)
    admit(stack, "first", 600)
    admit(stack, "second", 400)

    with pytest.raises(WindowFull, match=says_what) as refused:
        admit(stack, "third", 400)

    body = stack.body(run_id_of("third"), "0000.run.refused")
    assert (body["reason"], body["opens_at"], body["message"]) == ("WindowFull", opens_at, str(refused.value))
    assert opens_at[:16] in str(refused.value)
    assert (taken(), runs()) == (1_000, 2)


@pytest.mark.parametrize(("ceiling", "fits"), [(399, True), (400, True), (401, False)])
def test_a_window_is_filled_to_the_last_micro_dollar_and_not_beyond(stack: Stack, ceiling: int, fits: bool) -> None:
    set_limits(stack, tenant_hour_usd="0.001")
    admit(stack, "before", 600)

    if fits:
        admit(stack, "edge", ceiling)
    else:
        with pytest.raises(WindowFull):
            admit(stack, "edge", ceiling)

    assert taken() == 600 + (ceiling if fits else 0)


def test_the_next_hour_has_room_again_and_gives_nothing_to_the_last(stack: Stack) -> None:
    set_limits(stack, tenant_hour_usd="0.001")
    early = admit(stack, "early", 1_000)
    stack.clock.advance(3600)

    admit(stack, "late", 1_000)
    settle(stack, early)

    assert (taken(window=HOUR), taken(window="hour#2026-03-01T13"), taken(window=DAY)) == (0, 1_000, 1_000)


def test_what_could_never_fit_is_refused_and_does_not_wait(stack: Stack) -> None:
    set_limits(stack, tenant_hour_usd="0.001")

    with pytest.raises(WindowFull, match=r"never.*limits\.cost_microusd"):
        admit(stack, "too-large", 1_001, when_full="wait")

    assert "opens_at" not in stack.body(run_id_of("too-large"), "0000.run.refused")


def test_another_tenant_has_room_of_its_own(stack: Stack) -> None:
    set_limits(stack, tenant_hour_usd="0.001")
    admit(stack, "acmes", 1_000)

    admit(stack, "zeniths", 1_000, tenant="zenith")

    assert (taken(), taken("tenant#zenith"), taken("account")) == (1_000, 1_000, 2_000)


@pytest.mark.parametrize("whose", ["tenant", "account"])
def test_runs_at_once_are_bounded_and_a_place_comes_free_when_one_ends(stack: Stack, whose: str) -> None:
    set_limits(stack, **{f"{whose}_runs": "2"})
    first = admit(stack, "place-1")
    admit(stack, "place-2")
    with pytest.raises(TooManyRuns, match="2 runs at once"):
        admit(stack, "place-3")
    settle(stack, first)

    admit(stack, "place-4")

    assert runs() == 2


def test_limits_in_the_table_go_before_the_defaults(stack: Stack) -> None:
    for account, numbers in {"tenant#acme": {"hour_microusd": "700"}, "account": {"runs": "1"}}.items():
        values = {name: {"N": number} for name, number in numbers.items()}
        key = {"account": {"S": account}, "window": {"S": "limits"}}
        client("dynamodb").put_item(TableName="budgets", Item=key | values)

    with pytest.raises(WindowFull):
        admit(stack, "over-its-own", 701)
    admit(stack, "within-its-own", 700)
    with pytest.raises(TooManyRuns):
        admit(stack, "over-everybodys", 1, tenant="zenith")


# Waiting


def test_a_request_that_waits_is_told_to_come_again_and_gets_in_when_there_is_room(stack: Stack) -> None:
    set_limits(stack, tenant_hour_usd="0.001")
    first = admit(stack, "there", 1_000)
    with pytest.raises(AtCapacity, match="hour"):
        admit(stack, "waits", 800, when_full="wait")
    assert stack.seqs(run_id_of("waits")) == []
    settle(stack, first)

    admit(stack, "waits", 800, when_full="wait")

    assert taken() == 800


@pytest.mark.parametrize(("waited_s", "error"), [(3_599, AtCapacity), (3_600, WindowFull)])
def test_a_request_waits_no_longer_than_it_may(stack: Stack, waited_s: int, error: type[Exception]) -> None:
    set_limits(stack, tenant_day_usd="0.001")
    admit(stack, "there-for-long", 1_000)
    stack.clock.advance(waited_s)

    with pytest.raises(error):
        admit(stack, "waits-long", 800, when_full="wait", entered_at=NOON.isoformat())

    assert ("0000.run.refused" in stack.seqs(run_id_of("waits-long"))) == (error is WindowFull)


@pytest.mark.parametrize(
    ("own", "by_way", "error"),
    [
        (None, "wait", AtCapacity),
        (None, "refuse", TooManyRuns),
        ("refuse", "wait", TooManyRuns),
        ("wait", "refuse", AtCapacity),
    ],
)
def test_the_request_chooses_and_where_it_does_not_the_way_that_it_came(
    stack: Stack, own: str | None, by_way: str, error: type[Exception]
) -> None:
    set_limits(stack, tenant_runs="0")

    with pytest.raises(error):
        admit(stack, "chooses", when_full=own, when_full_by_way=by_way)


# Whatever happens in between


@pytest.mark.parametrize("when", ["on", "after"])
@pytest.mark.parametrize("operation", ["TransactWriteItems", "PutItem"])
def test_whenever_admission_dies_the_retry_leases_once_and_opens_the_run(
    stack: Stack, when: str, operation: str
) -> None:
    fault = stack.on if when == "on" else stack.after
    fault("admit", "dynamodb", operation, once(LambdaDied()))
    with pytest.raises(LambdaDied):
        admit(stack, "dies")

    run_id = admit(stack, "dies")

    assert stack.seqs(run_id) == ["0000.run.opened"]
    assert (taken(), runs()) == (400, 1)


@pytest.mark.parametrize("when", ["on", "after"])
@pytest.mark.parametrize("operation", ["TransactWriteItems", "GetItem", "PutItem"])
def test_whenever_settling_dies_the_retry_gives_back_once(stack: Stack, when: str, operation: str) -> None:
    run_id = admit(stack, "settling-dies")
    fault = stack.on if when == "on" else stack.after
    fault("settle", "dynamodb", operation, once(LambdaDied()))
    with pytest.raises(LambdaDied):
        settle(stack, run_id)

    settle(stack, run_id)

    assert (taken(), settled(), runs()) == (0, 0, 0)


def test_a_refusal_that_was_decided_stands_though_there_is_room_later(stack: Stack) -> None:
    set_limits(stack, tenant_runs="1")
    first = admit(stack, "has-the-place")
    seq = "0000.run.refused"
    stack.on("admit", "dynamodb", "PutItem", once(LambdaDied(), seq=seq))
    with pytest.raises(LambdaDied):
        admit(stack, "refused-and-dies")
    settle(stack, first)

    with pytest.raises(NotAdmitted):
        admit(stack, "refused-and-dies")

    assert stack.seqs(run_id_of("refused-and-dies"))[0] == seq
    assert (taken(), runs()) == (0, 0)


def test_another_request_under_the_same_id_gets_no_lease_of_its_own(stack: Stack) -> None:
    stack.on("admit", "dynamodb", "PutItem", once(LambdaDied(), seq="0000.run.opened"))
    with pytest.raises(LambdaDied):
        admit(stack, "same-id", 400)

    with pytest.raises(RequestConflict):
        admit(stack, "same-id", 400, text="Burn.")

    assert stack.seqs(run_id_of("same-id")) == []
    assert taken() == 400


def test_an_earlier_lease_is_the_ceiling_whatever_the_playbook_says_now(stack: Stack) -> None:
    stack.on("admit", "dynamodb", "PutItem", once(LambdaDied(), seq="0000.run.opened"))
    with pytest.raises(LambdaDied):
        admit(stack, "cheaper", 400)
    key = {"account": {"S": "lease"}, "window": {"S": run_id_of("cheaper")}}
    client("dynamodb").update_item(
        TableName="budgets",
        Key=key,
        UpdateExpression="SET parts.#turn.microusd = :less",
        ExpressionAttributeNames={"#turn": "0000"},
        ExpressionAttributeValues={":less": {"N": "250"}},
    )

    run_id = admit(stack, "cheaper", 400)

    assert stack.body(run_id, "0000.run.opened")["limits"]["cost_microusd"] == 250


def test_conflicts_that_do_not_end_mean_try_again_later(stack: Stack, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ballast.table.FIRST_PAUSE_S", 0)

    def conflict(_: Any) -> None:
        raise client_error("TransactionConflictException")

    stack.on("admit", "dynamodb", "TransactWriteItems", conflict)

    with pytest.raises(RetryLater, match="BUDGETS_TABLE"):
        admit(stack, "conflicts")

    assert stack.seqs(run_id_of("conflicts")) == []


# Budgets that people add


def extend(stack: Stack, run_id: str, turn: int = 2, microusd: int = 300) -> Any:
    """Record that a person adds that much in that turn, and have it leased."""
    decision = {"kind": "hand_over", "to": "agent", "reason": "guidance", "add_budget_microusd": microusd}
    body = {"escalation_id": "esc-x", "kind": "escalation", "by": "ann", "decision": decision}
    stack.log.write(run_id, f"{turn:04d}.escalation.answered", body)
    return stack.invoke("extend", {"run_id": run_id, "turn": turn})


def ceiling(stack: Stack, run_id: str) -> int:

    return stack.events(run_id).opening.cost_ceiling_microusd


def test_an_added_budget_is_leased_from_the_windows_of_its_own_time(stack: Stack) -> None:
    run_id = admit(stack, "extended", 400)
    stack.clock.advance(3600)

    extended = extend(stack, run_id)

    assert extended == {"run_id": run_id, "turn": 2, "leased_microusd": 700}
    assert (taken(window=HOUR), taken(window="hour#2026-03-01T13"), taken(window=DAY)) == (400, 300, 700)
    assert ceiling(stack, run_id) == 700
    settle(stack, run_id)
    assert (taken(window=HOUR), taken(window="hour#2026-03-01T13"), taken(window=DAY)) == (0, 0, 0)


@pytest.mark.parametrize("when", ["on", "after"])
@pytest.mark.parametrize("operation", ["TransactWriteItems", "PutItem"])
def test_whenever_an_extension_dies_the_retry_leases_it_once(stack: Stack, when: str, operation: str) -> None:
    run_id = admit(stack, "extension-dies", 400)
    fault = stack.on if when == "on" else stack.after
    fault("extend", "dynamodb", operation, once(LambdaDied()))
    with pytest.raises(LambdaDied):
        extend(stack, run_id)

    for _ in range(2):
        stack.invoke("extend", {"run_id": run_id, "turn": 2})

    assert (taken(), ceiling(stack, run_id)) == (700, 700)


def test_a_budget_for_which_there_is_no_room_raises_no_ceiling(stack: Stack) -> None:
    set_limits(stack, tenant_hour_usd="0.0006")
    run_id = admit(stack, "no-room", 400)

    with pytest.raises(WindowFull, match="tenant's hour"):
        extend(stack, run_id)

    assert (taken(), ceiling(stack, run_id)) == (400, 400)


def test_an_ended_run_gets_no_more_budget(stack: Stack) -> None:
    run_id = admit(stack, "ended", 400)
    settle(stack, run_id)

    with pytest.raises(RunEnded):
        extend(stack, run_id)

    assert taken() == 0


def test_the_settings_say_which_amount_is_none() -> None:
    names = ("run_log_table", "payload_bucket", "budgets_table", "reply_queue_prefix", "playbook_dir")
    names += ("requester_tokens_table",)
    amounts = {f"{whose}_{window}_usd": "1" for whose in ("tenant", "account") for window in ("hour", "day")}
    numbers = {"tenant_runs": 1, "account_runs": 1, "admission_wait_s": 0}
    given = dict.fromkeys(names, "x") | amounts | numbers | {"tenant_day_usd": "a lot"}
    settings = AdmitSettings.model_validate(given)

    with pytest.raises(Exception, match="TENANT_DAY_USD"):
        settings.tenant_limits()
