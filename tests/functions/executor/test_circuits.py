"""A downstream that fails too often is not called by any process: the call fails and nothing is executed."""

from collections.abc import Iterator
from importlib.util import find_spec
from typing import Any

import pytest
from aws_lambda_powertools.utilities.circuit_breaker import CircuitBreakerOpenError

from ballast.errors import RetryLater
from ballast.playbook import Circuit
from ballast.playbook.context import Bill
from functions.executor.downstream import CircuitOpen, Downstreams
from tests.functions.cloud import client
from tests.functions.executor.provider import MODULES, errors, raised
from tests.functions.stack import LambdaDied, Stack, client_error
from tests.functions.writes import add, at

CIRCUIT = {"id": {"S": "circuit#carrier"}}


def forget() -> None:
    """Close the circuit, in the table and in what Powertools counts in this process."""
    from aws_lambda_powertools.utilities.circuit_breaker import base

    base._LOCAL_FAILURES.clear()
    base._LAST_OBSERVED_STATE.clear()
    client("dynamodb").delete_item(TableName="idempotency", Key=CIRCUIT)


@pytest.fixture(autouse=True)
def closed(writes: Stack) -> Iterator[None]:
    """Forget what Powertools counts in this process, and what the table says."""
    forget()
    writes.alone("executor")
    yield
    forget()


def call(stack: Stack, tool: str, how: str, *, fresh: bool = False) -> str:
    """Execute one call in a run of its own and return its status; ``fresh`` in a new process."""
    run_id = stack.open()
    stack.propose(run_id, add(tool, how))
    return stack.execute(run_id, runtime=stack.cold("executor") if fresh else None)


def _raise(problem: BaseException) -> None:
    raise problem


def open_it(stack: Stack) -> None:
    """Let the carrier fail until it is left alone."""
    for _ in range(2):
        call(stack, "carrier_read", "always_down")


def test_an_open_circuit_is_open_for_every_process_and_nothing_is_executed(writes: Stack) -> None:
    open_it(writes)
    run_id = writes.open()
    writes.propose(run_id, add("carrier_add"))

    assert writes.execute(run_id, runtime=writes.cold("executor")) == "failed"

    settled = writes.body(run_id, "0001.call.1.settled")
    assert settled["circuit"] == "carrier"
    assert settled["message"] == (
        "carrier failed too often and is not called for a while. Nothing was executed. The last error: ConnectionError."
    )
    assert writes.count("n-1") == 0
    read = writes.open()
    writes.propose(read, add("carrier_read"))
    assert writes.execute(read, runtime=writes.cold("executor")) == "failed"
    assert writes.body(read, "0001.call.1.settled")["circuit"] == "carrier"


def test_what_the_business_says_no_to_is_no_failure_of_the_downstream(writes: Stack) -> None:
    for _ in range(4):
        assert call(writes, "carrier_add", "no") == "failed"

    assert call(writes, "carrier_add", "well") == "ok"


@pytest.mark.parametrize("module", MODULES)
def test_whatever_a_client_raises_is_a_failure_of_the_downstream(writes: Stack, module: str) -> None:
    if find_spec(module.partition(".")[0]) is None:
        pytest.skip(f"{module} is not installed: make unit installs it")
    downstreams = Downstreams.of(writes.runtime("executor"), "idempotency")

    for kind in errors(module):
        forget()
        for _ in range(2):
            with pytest.raises(Exception):  # noqa: B017, PT011  whatever it is
                downstreams.call(Circuit("carrier", failures=2), None, _raise, raised(kind))
        with pytest.raises(CircuitOpen):
            downstreams.call(Circuit("carrier", failures=2), None, lambda: "never")


def test_the_breaker_of_a_client_is_not_ours(writes: Stack) -> None:
    downstreams = Downstreams.of(writes.runtime("executor"), "idempotency")
    theirs = CircuitBreakerOpenError("the client has left its provider alone")

    for _ in range(2):
        with pytest.raises(CircuitBreakerOpenError, match="the client"):
            downstreams.call(Circuit("carrier", failures=2), None, _raise, theirs)

    with pytest.raises(CircuitOpen):  # it counts as any other error
        downstreams.call(Circuit("carrier", failures=2), None, lambda: "never")


def test_after_a_while_one_call_probes_and_closes_it(writes: Stack) -> None:
    open_it(writes)
    client("dynamodb").update_item(
        TableName="idempotency",
        Key=CIRCUIT,
        UpdateExpression="SET opened_at = :then",
        ExpressionAttributeValues={":then": {"N": "1"}},
    )

    statuses = [call(writes, "carrier_add", "well", fresh=True) for _ in range(2)]

    assert statuses == ["ok", "ok"]
    assert client("dynamodb").get_item(TableName="idempotency", Key=CIRCUIT)["Item"]["state"]["S"] == "CLOSED"


@pytest.mark.parametrize("tool", ["carrier_add", "carrier_read"])
@pytest.mark.parametrize("code", ["ThrottlingException", "AccessDeniedException"])
def test_a_call_that_cannot_become_the_probe_has_executed_nothing(writes: Stack, code: str, tool: str) -> None:
    open_it(writes)
    client("dynamodb").update_item(
        TableName="idempotency",
        Key=CIRCUIT,
        UpdateExpression="SET opened_at = :then",
        ExpressionAttributeValues={":then": {"N": "1"}},
    )

    def fails(request: dict[str, Any]) -> None:
        if request["Item"].get("id") == CIRCUIT["id"]:
            raise client_error(code)

    writes.on("executor", "dynamodb", "PutItem", fails)
    run_id = writes.open()
    writes.propose(run_id, add(tool))

    assert writes.execute(run_id) == "failed"

    assert "0001.call.1.doubted" not in writes.seqs(run_id)
    assert "Nothing was executed." in writes.body(run_id, "0001.call.1.settled")["message"]
    assert writes.count("n-1") == 0


@pytest.mark.parametrize("circuit", [None, Circuit("carrier")])
def test_the_bill_says_whether_the_function_itself_has_begun(writes: Stack, circuit: Circuit | None) -> None:
    downstreams, bill = Downstreams.of(writes.runtime("executor"), "idempotency"), Bill()

    assert downstreams.call(circuit, None, lambda: bill.begun, bill=bill)


def test_where_the_circuit_itself_cannot_be_made_the_function_has_not_begun() -> None:
    def breaks() -> Any:
        raise ImportError("no circuit breaker")

    bill = Bill()
    with pytest.raises(ImportError):
        Downstreams(breaks, print).call(Circuit("carrier"), None, lambda: "never", bill=bill)

    assert not bill.begun


def test_an_effect_that_may_have_happened_is_not_called_failed_because_the_circuit_is_open(writes: Stack) -> None:
    run_id = writes.open()
    writes.propose(run_id, add("carrier_add", "outage_after"))
    with pytest.raises(RetryLater):
        writes.execute(run_id)
    open_it(writes)

    with pytest.raises(RetryLater, match="is not called for a while"):
        writes.execute(run_id, runtime=writes.cold("executor"))

    assert "0001.call.1.settled" not in writes.seqs(run_id)
    assert writes.count("n-1") == 1


def test_a_breaker_whose_table_does_not_answer_is_no_outage(writes: Stack) -> None:
    writes.on("executor", "dynamodb", "GetItem", at("idempotency", client_error("InternalServerError")))
    run_id = writes.open()
    writes.propose(run_id, add("carrier_read"))

    assert writes.execute(run_id) == "ok"


def test_a_tool_without_a_circuit_asks_the_table_nothing(writes: Stack) -> None:
    writes.on("executor", "dynamodb", "GetItem", at("idempotency", LambdaDied()))
    run_id = writes.open()
    writes.propose(run_id, add("keyed_add"))

    assert writes.execute(run_id) == "ok"
