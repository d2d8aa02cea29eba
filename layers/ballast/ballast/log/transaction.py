"""One conditional transaction on DynamoDB, tried again where another one was in its way."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from ballast.aws_errors import consequences
from ballast.errors import RetryLater

#: Windows are items that many runs write. At most 3.5 s in all; then the workflow's own retries follow.
ATTEMPTS = 8
FIRST_PAUSE_S = 0.05
LONGEST_PAUSE_S = 1.0
_FAILED = "ConditionalCheckFailed"
_PASSING = {"TransactionConflict", "ThrottlingError", "ProvisionedThroughputExceeded"}


@dataclass(frozen=True)
class Transactions:
    """Writes several items or none of them.

    random  a number in [0, 1), for the pauses: those who met once should not meet again
    sleep   waits so many seconds
    """

    dynamodb: Any
    resource: str
    random: Callable[[], float]
    sleep: Callable[[float], None]

    def write(self, items: Sequence[dict[str, Any]]) -> frozenset[int]:
        """Write all of ``items`` and return the empty set, or none and return whose conditions failed.

        Raises ``RetryLater`` where conflicts and throttles do not end. The first item decides what the
        others mean, so where nothing is known of it the transaction is tried again.
        """
        for attempt in range(ATTEMPTS):
            if attempt:
                self.sleep(self.random() * min(LONGEST_PAUSE_S, FIRST_PAUSE_S * 2 ** (attempt - 1)))
            codes = self._attempt(items)
            failed = frozenset(index for index, code in enumerate(codes) if code == _FAILED)
            if not codes or (failed and codes[0] not in _PASSING):
                return failed
        raise RetryLater(f"{self.resource}: other transactions were in the way {ATTEMPTS} times; try again.")

    def write_with(self, first: dict[str, Any], others: Sequence[dict[str, Any]]) -> bool:
        """Write ``first`` with those of ``others`` whose conditions hold; False, and nothing, where its own does not.

        For changes of items that may be gone by now: TTL has removed them, and nobody counts by them. Raises as
        ``write``.
        """
        left = list(others)
        while failed := self.write([first, *left]):
            if 0 in failed:
                return False
            left = [item for place, item in enumerate(left, start=1) if place not in failed]
        return True

    def _attempt(self, items: Sequence[dict[str, Any]]) -> list[str]:
        """Return the reasons of the cancellation, item by item; none where it was written."""
        with consequences(self.resource):
            try:
                self.dynamodb.transact_write_items(TransactItems=list(items))
            except self.dynamodb.exceptions.TransactionCanceledException as cancelled:
                codes = [reason.get("Code", "None") for reason in cancelled.response["CancellationReasons"]]
                if not {*codes} <= {"None", _FAILED, *_PASSING}:
                    raise
                return codes
            except self.dynamodb.exceptions.ClientError as problem:
                # The call itself met the conflict or the throttle: as if each item had.
                if problem.response.get("Error", {}).get("Code") not in _PASSING_CALLS:
                    raise
                return ["TransactionConflict"] * len(items)
        return []


_PASSING_CALLS = {"TransactionConflictException", "TransactionInProgressException", "ThrottlingException"}
