"""The circuit of each model: after some failures in a row, the model is not asked for a while.

::

    closed ──5 failures in a row──▶ open ──30 s──▶ half open: one call ──it succeeds──▶ closed
                                      ▲                                └─it fails──▶ open

Powertools' circuit breaker decides. It does nothing for a closed circuit without a failure, and imports boto3, so it is
imported when a call fails or a circuit is not closed: a cold start does without both.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from datetime import datetime, timedelta
from functools import cached_property, partial
from typing import TYPE_CHECKING, Any, Never, TypeVar

from ballast.metrics import metric_line
from ballast.table import Table
from functions.agent.converse import CircuitFailure

if TYPE_CHECKING:
    from ballast.runtime import Runtime

T = TypeVar("T")

#: A circuit opens after so many failures in a row, and lets one call through after so many seconds.
FAILURES = 5
RECOVERY_S = 30
#: A circuit that was closed counts as closed for so long, as with Powertools.
_CLOSED_FOR = timedelta(seconds=5)


class CircuitOpen(Exception):
    """The model is not asked: its circuit is open."""


class Circuits:
    """The circuits of all models. Without a table there are none, and every model is asked.

    Each warm Lambda counts its own failures. The table shares the state; it is read at most every five seconds. If it
    cannot be read the circuit counts as closed: Powertools fails open.
    """

    def __init__(self, runtime: Runtime, table_name: str) -> None:
        """``table_name`` "" is no table."""
        self._runtime, self._name = runtime, table_name
        self._table = Table.of(runtime, table_name, "MODEL_CIRCUITS_TABLE")
        self._closed_at: dict[str, datetime] = {}
        self._counts = False

    def call(self, model_id: str, ask: Callable[[], T]) -> T:
        """Return ``ask()`` if the circuit lets it through. Raises ``CircuitOpen``, and whatever ``ask`` raises.

        ``CircuitOpen`` means that the model was not asked: an error of another circuit inside ``ask`` is passed on.
        """
        if not self._name:
            return ask()
        if self._counts or not self._is_closed(model_id):
            return self._guarded(model_id, ask)
        try:
            return ask()
        except CircuitFailure as failure:
            self._counts = True  # from now on a success ends the row of failures
            with suppress(CircuitOpen):  # another process has opened it meanwhile; this one has asked
                self._guarded(model_id, partial(_raise, failure))
            raise

    def _is_closed(self, model_id: str) -> bool:
        """Return whether the table says so; False if it cannot be read, which Powertools then reports."""
        key, now = self._key(model_id), self._runtime.clock()
        if key in self._closed_at and timedelta(0) <= now - self._closed_at[key] < _CLOSED_FOR:
            return True
        try:
            item = self._table.get({"id": key})
        except Exception:
            return False
        closed = item is None or item.get("state") == "CLOSED"
        if closed:
            self._closed_at[key] = now
        return closed

    def _guarded(self, model_id: str, ask: Callable[[], T]) -> T:
        from aws_lambda_powertools.utilities.circuit_breaker import CircuitBreakerConfig, circuit_breaker
        from aws_lambda_powertools.utilities.circuit_breaker.exceptions import CircuitBreakerOpenError

        begun = False

        def begin() -> T:
            nonlocal begun
            begun = True
            return ask()

        guarded: Callable[[], T] = circuit_breaker(
            name=self._key(model_id),
            persistence_store=self._store,
            on_transition=self._report,
            config=CircuitBreakerConfig(
                failure_threshold=FAILURES,
                recovery_timeout=RECOVERY_S,
                # Only one of many Lambdas probes at a time, so one success has to be enough.
                success_threshold=1,
                handled_exceptions=CircuitFailure,
            ),
        )(begin)
        try:
            return guarded()
        except CircuitBreakerOpenError:
            if begun:
                raise
            raise CircuitOpen(f"The circuit of {model_id} is open: it failed {FAILURES} times in a row.") from None

    @cached_property
    def _store(self) -> Any:
        from aws_lambda_powertools.utilities.circuit_breaker.persistence import CircuitBreakerDynamoDBPersistence

        return CircuitBreakerDynamoDBPersistence(self._name, boto3_client=self._runtime.client("dynamodb"))

    def _key(self, model_id: str) -> str:
        """Powertools counts by this name per process, and one process of the local cloud runs several stacks."""
        return f"{self._name}/{model_id}"

    def _report(self, transition: Any) -> None:
        if transition.to_state == "OPEN":
            model_id = transition.circuit_name.removeprefix(self._key(""))
            self._runtime.emit(metric_line({"ModelCircuitsOpened": 1}, fields={"model": model_id}))


def _raise(problem: Exception) -> Never:
    raise problem
