"""What a tool may use besides its arguments."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, TypeVar

from ballast.contracts import RunRequest
from ballast.playbook.cost import Bill
from ballast.playbook.once import Change, write_once, written_once

ResultT = TypeVar("ResultT")


@dataclass(frozen=True)
class ToolContext:
    """What a tool may use besides its arguments.

    run_id, turn, index  where the call stands
    idempotency_key      the same for every attempt at this call, different for every other call
    request              the run's request; its ``context`` is what the caller vouches for
    now                  the time of this attempt, UTC
    environ              the executor's environment: the names of the business's tables
    client               ``client("dynamodb")`` returns a boto3 client with the executor's role
    timeout_s            after so many seconds the executor gives this attempt up; None where the tool
                         has no ``timeout_s``. Give it to an HTTP client as its own timeout.
    bill                 what this attempt came to; a tool uses ``report_cost``
    """

    run_id: str
    turn: int
    index: int
    idempotency_key: str
    request: RunRequest
    now: datetime
    environ: Mapping[str, str]
    client: Callable[[str], Any]
    timeout_s: float | None = None
    bill: Bill = field(default_factory=Bill, repr=False, compare=False)

    def report_cost(self, microusd: int) -> None:
        """Say what the call really cost, in millionths of a US dollar; several reports add up.

        What is reported is charged, also where it is more than was declared; what is not, as it was declared.
        """
        self.bill.add(microusd)

    @property
    def idempotency_headers(self) -> dict[str, str]:
        """The HTTP header under which payment providers and the IETF draft expect the key."""
        return {"Idempotency-Key": self.idempotency_key}

    def write_once(
        self, *, table: str, key: str, result: type[ResultT], attempt: Callable[[], Change[ResultT]]
    ) -> ResultT:
        """Write to DynamoDB once: ``ballast.playbook.once.write_once``."""
        return write_once(self, table=table, key=key, result=result, attempt=attempt)

    def written_once(self, *, table: str, key: str, result: type[ResultT]) -> ResultT | None:
        """Return what ``write_once`` recorded for this call, None where it wrote nothing."""
        return written_once(self, table=table, key=key, result=result)
