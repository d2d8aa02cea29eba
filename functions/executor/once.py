"""Run a write at most once per key, through Powertools' idempotency utility.

Know its window: a record says INPROGRESS until the first attempt ends or its lease (the Lambda's
remaining time) runs out. After that a second attempt runs the function again, and the function itself
must know that it is not the first (``protocol.Write``)::

    attempt 1  ──INPROGRESS──▶ effect ──▶ COMPLETED            the normal case
    attempt 2               └▶ AttemptInProgress (retry)       while 1 still runs
    attempt 2                                   └▶ the recorded result
    attempt 1  ──INPROGRESS──▶ effect ──▶ dies
    attempt 2  ── lease over ──▶ resolves what 1 left behind
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ballast.aws_errors import consequences
from ballast.errors import AttemptInProgress
from ballast.runtime import Runtime, Settings
from ballast.table import Table

#: Longer than any run lives: the state machine is cut after 40 days.
KEPT_S = 45 * 24 * 3600
#: What the ids of outcomes begin with.
PREFIX = "call"


class OnceSettings(Settings):
    """idempotency_table: Powertools' table."""

    idempotency_table: str

    def table(self, runtime: Runtime) -> Table:
        """Return the table, for what is not Powertools'."""
        return Table.of(runtime, self.idempotency_table, "IDEMPOTENCY_TABLE")


class Once:
    """Powertools' idempotency over one table."""

    def __init__(self, persistence: Any, table_name: str) -> None:
        self._persistence = persistence
        self._table = f"Table {table_name} (IDEMPOTENCY_TABLE)"

    @classmethod
    def of(cls, runtime: Runtime) -> Once:
        """Build it with ``runtime``'s client; once per runtime."""
        from aws_lambda_powertools.utilities.idempotency import DynamoDBPersistenceLayer

        table_name = OnceSettings.of(runtime).idempotency_table
        return cls(DynamoDBPersistenceLayer(table_name=table_name, boto3_client=runtime.client("dynamodb")), table_name)

    def run(self, key: str, effect: Callable[[], dict[str, Any]], context: Any) -> dict[str, Any]:
        """Return ``effect()``, or what it returned before under ``key``.

        ``context`` is the Lambda context; its remaining time is the lease. Raises
        ``AttemptInProgress`` while another attempt runs, what ``effect`` raises (the record is
        gone then, and the next attempt runs it again), ``RetryLater`` where the table did not
        answer before the effect, and ``SettingInvalid`` where it is missing.
        """
        from aws_lambda_powertools.utilities.idempotency import IdempotencyConfig, idempotent_function
        from aws_lambda_powertools.utilities.idempotency.exceptions import (
            IdempotencyAlreadyInProgressError,
            IdempotencyInconsistentStateError,
            IdempotencyPersistenceLayerError,
        )

        config = IdempotencyConfig(expires_after_seconds=KEPT_S, hash_function="sha256")
        config.register_lambda_context(context)

        outcomes: list[dict[str, Any]] = []
        begun = False

        def run(**_: Any) -> dict[str, Any]:
            nonlocal begun
            begun = True
            outcomes.append(effect())
            return outcomes[0]

        once: Callable[..., dict[str, Any]] = idempotent_function(
            run,
            data_keyword_argument="key",
            persistence_store=self._persistence,
            config=config,
            key_prefix=PREFIX,
        )
        try:
            return once(key=key)
        except (IdempotencyAlreadyInProgressError, IdempotencyInconsistentStateError) as running:
            if begun:  # it is an error of the effect's own
                raise
            raise AttemptInProgress(f"{key}: another attempt at this call has not ended.") from running
        except IdempotencyPersistenceLayerError as problem:
            if outcomes:  # it is known and will be in the log; only this second record of it is not
                return outcomes[0]
            with consequences(self._table):
                raise problem.__cause__ or problem from None
