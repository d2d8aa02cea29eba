"""The playbook ``writes``, whose tools differ in what they declare about their effects, as a test uses it."""

import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.functions.cloud import client

WRITES = Path(__file__).with_name("playbooks") / "writes"


def add(tool: str, how: str = "well", **arguments: Any) -> dict[str, Any]:
    """Return a call that adds to the note n-1, with that trouble in its first attempt."""
    return {"tool": tool, "arguments": {"note_id": "n-1", "how": how} | arguments}


def leases_are_over() -> None:
    """Let the lease of every attempt in progress be over."""
    for item in client("dynamodb").scan(TableName="idempotency")["Items"]:
        if item.get("status", {}).get("S") == "INPROGRESS":
            client("dynamodb").update_item(
                TableName="idempotency",
                Key={"id": item["id"]},
                UpdateExpression="SET in_progress_expiration = :then",
                ExpressionAttributeValues={":then": {"N": "0"}},
            )


def tools_have_ended() -> None:
    """Wait for the threads of tools that nobody waits for any more."""
    for thread in threading.enumerate():
        if thread.name in ("tool", "tool that hangs"):
            thread.join(300)
            assert not thread.is_alive()


def at(table: str, problem: BaseException) -> Callable[[dict[str, Any]], None]:
    """Return what raises ``problem`` at the first request to ``table``, plain or in a transaction."""
    left = [problem]

    def do(params: dict[str, Any]) -> None:
        tables = {params.get("TableName")}
        for part in params.get("TransactItems", []):
            tables |= {inner["TableName"] for inner in part.values()}
        if left and table in tables:
            raise left.pop()

    return do
