"""The circuit breakers of downstreams: Powertools' utility over the idempotency table.

An open circuit is in the table (``circuit#<name>``), so every process of the executor sees it within
seconds. The failures that open it are counted in each process by itself: a healthy call writes nothing.
Where the table cannot be read a circuit counts as closed: a breaker must not be an outage itself.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from ballast.errors import SettingInvalid
from ballast.playbook import Circuit, ToolFailed
from ballast.runtime import Runtime
from functions.executor.once import OnceSettings

T = TypeVar("T")


class CircuitOpen(Exception):
    """The downstream failed so often that it is left alone for a while. Nothing was executed."""


class Circuits:
    """All circuits that the playbook's tools name."""

    def __init__(self, make_store: Callable[[], Any]) -> None:
        self._make_store = make_store
        self._made: Any = None

    @classmethod
    def of(cls, runtime: Runtime) -> Circuits:
        """Build them with ``runtime``'s client, once a tool names one."""

        def make_store() -> Any:
            from aws_lambda_powertools.utilities.circuit_breaker.persistence import CircuitBreakerDynamoDBPersistence

            table_name = OnceSettings.of(runtime).idempotency_table
            return CircuitBreakerDynamoDBPersistence(table_name, boto3_client=runtime.client("dynamodb"))

        return cls(make_store)

    def call(self, circuit: Circuit | None, function: Callable[[], T]) -> T:
        """Return ``function()``, or raise ``CircuitOpen`` without calling it.

        Whatever it raises counts as a failure of the downstream, except what the business said no to. A client may have
        a breaker by Powertools of its own: what that raises comes from ``function``, and passes as any other error.
        """
        if circuit is None:
            return function()
        from aws_lambda_powertools.utilities.circuit_breaker import (
            CircuitBreakerConfig,
            CircuitBreakerOpenError,
            circuit_breaker,
        )

        config = CircuitBreakerConfig(
            failure_threshold=circuit.failures,
            recovery_timeout=circuit.recovery_s,
            success_threshold=1,  # one probe: the next calls may come to other processes
            ignored_exceptions=(ToolFailed, SettingInvalid),
        )
        self._made = self._made or self._make_store()
        begun = False

        def begin() -> T:
            nonlocal begun
            begun = True
            return function()

        guarded: Callable[[], T] = circuit_breaker(f"circuit#{circuit.name}", self._made, config=config)(begin)
        try:
            return guarded()
        except CircuitBreakerOpenError:
            if begun:
                raise
            raise CircuitOpen(
                f"{circuit.name} failed too often and is left alone for a while. Nothing was executed."
            ) from None
