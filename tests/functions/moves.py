"""The playbook ``purse``, whose tools move the business's own money, as a test uses it."""

from decimal import Decimal
from pathlib import Path
from typing import Any

from ballast.money.moves import of_customer, of_run, units
from ballast.run import Run
from tests.functions.cloud import client
from tests.functions.stack import Stack

PURSE = Path(__file__).with_name("playbooks") / "purse"
HOUR, DAY = "hour#2026-03-01T12", "day#2026-03-01"


def pay(amount: str, tool: str = "pay_freely", **arguments: Any) -> dict[str, Any]:
    """Return a call that pays so many euros."""
    return {"tool": tool, "arguments": {"amount": amount} | arguments}


def items() -> dict[tuple[str, str], dict[str, Any]]:
    """Return the table of moves by (account, window)."""
    found = client("dynamodb").scan(TableName="moves", ConsistentRead=True)["Items"]
    return {(item["account"]["S"], item["window"]["S"]): item for item in found}


def window(account: str, name: str = DAY) -> Decimal:
    """Return what a window counts, in euros; ``account``: a customer such as C-1, tenant#…, account, or run-…."""
    if account.startswith("C-"):
        account = of_customer("default", account)
    elif account.startswith("run-"):
        account, name = of_run(account), "total"
    return units(int(items().get((account, name), {}).get("moved", {"N": "0"})["N"]))


def status(run_id: str, turn: int = 1, index: int = 1) -> str | None:
    """Return how a call's reservation stands."""
    item = items().get((of_run(run_id), f"call#{turn:04d}.{index}"))
    return item["status"]["S"] if item else None


def adds_up(stack: Stack, *run_ids: str, cut: bool = False) -> None:
    """Check that the windows count what the reservations say, and these what the logs of the runs say.

    Of a run that was ``cut`` between two requests they may count more: only the executor gives back what was begun.
    """
    table = items()
    sums: dict[tuple[str, str], int] = {}
    for (account, name), item in table.items():
        if not name.startswith("call#") or item["status"]["S"] not in ("held", "begun", "kept"):
            continue
        accounts = [item["customer"]["S"]] if "customer" in item else []
        places = [(account, "total")]
        for one in (*accounts, f"tenant#{item['tenant']['S']}", "account"):
            places += [(one, item["hour"]["S"]), (one, item["day"]["S"])]
        for place in places:
            sums[place] = sums.get(place, 0) + int(item["micro"]["N"])
    counted = {place: int(item["moved"]["N"]) for place, item in table.items() if "moved" in item}
    assert {place: micro for place, micro in counted.items() if micro} == sums
    for run_id in run_ids:
        logged = sum(one.micro for one in Run.of(stack.events(run_id)).moves if one.counts)
        total = counted.get((of_run(run_id), "total"), 0)
        assert total == logged or (cut and total > logged), run_id


def run(stack: Stack, *calls: dict[str, Any], **request: Any) -> str:
    """Admit a run in which the agent proposes ``calls``, and return its id."""
    run_id = stack.open(**request)
    stack.propose(run_id, *calls)
    return run_id


def aborted(stack: Stack, run_id: str) -> None:
    """Settle a run that was cut from outside, as EventBridge has it done."""
    change = {"name": run_id, "status": "ABORTED"}
    stack.invoke("settle", {"detail-type": "Step Functions Execution Status Change", "detail": change})
