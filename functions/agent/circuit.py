"""The circuit breaker of each model, by Powertools: a provider that is down is not asked again and again.

::

    closed ──5 failures in a row──▶ open ──30 s──▶ half open: one call ──it succeeds──▶ closed
                                      ▲                                └─it fails──▶ open

Only what another attempt could mend counts as a failure: throttles, outages, calls that were given time and
did not answer. Each warm Lambda counts its own; the state is shared through a table, which is read at most
every five seconds. A table that does not answer is a closed circuit: Powertools fails open.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

from ballast.metrics import metric_line
from functions.agent.converse import ModelAway

if TYPE_CHECKING:
    from ballast.runtime import Runtime

T = TypeVar("T")

FAILURES = 5
RECOVERY_S = 30


class CircuitOpen(Exception):
    """The model is not asked: its circuit is open."""


class Circuits:
    """The circuits of all models. Without a table there is none, and every model is asked."""

    def __init__(self, store: Any, table_name: str, emit: Callable[[str], None]) -> None:
        self._store, self._table, self._emit = store, table_name, emit

    @classmethod
    def of(cls, runtime: Runtime, table_name: str) -> Circuits:
        """Build it with ``runtime``'s client; once per runtime. ``table_name`` "" is no table."""
        if not table_name:
            return cls(None, "", runtime.emit)
        from aws_lambda_powertools.utilities.circuit_breaker.persistence import CircuitBreakerDynamoDBPersistence

        client = runtime.client("dynamodb")
        return cls(
            CircuitBreakerDynamoDBPersistence(table_name=table_name, boto3_client=client), table_name, runtime.emit
        )

    def call(self, model_id: str, ask: Callable[[], T]) -> T:
        """Return ``ask()`` where the circuit lets it through. Raises ``CircuitOpen``, and what ``ask`` raises.

        ``CircuitOpen`` says that the model was not asked. So the error of a breaker within ``ask`` is none.
        """
        if self._store is None:
            return ask()
        from aws_lambda_powertools.utilities.circuit_breaker import CircuitBreakerConfig, circuit_breaker
        from aws_lambda_powertools.utilities.circuit_breaker.exceptions import CircuitBreakerOpenError

        begun = False

        def begin() -> T:
            nonlocal begun
            begun = True
            return ask()

        guarded: Callable[[], T] = circuit_breaker(
            # Powertools counts by this name in the whole process, where the local cloud has more than one stack.
            name=f"{self._table}/{model_id}",
            persistence_store=self._store,
            on_transition=self._tell,
            config=CircuitBreakerConfig(
                failure_threshold=FAILURES,
                recovery_timeout=RECOVERY_S,
                # Of many Lambdas only the one that probes may try again; one success is enough.
                success_threshold=1,
                handled_exceptions=ModelAway,
            ),
        )(begin)
        try:
            return guarded()
        except CircuitBreakerOpenError:
            if begun:
                raise
            raise CircuitOpen(f"The circuit of {model_id} is open: it failed {FAILURES} times in a row.") from None

    def _tell(self, transition: Any) -> None:
        if transition.to_state == "OPEN":
            model_id = transition.circuit_name.removeprefix(f"{self._table}/")
            self._emit(metric_line({"ModelCircuitsOpened": 1}, fields={"model": model_id}))
