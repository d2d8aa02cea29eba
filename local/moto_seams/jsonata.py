"""Evaluate the state machine's JSONata, which moto parses but has no evaluator for."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from typing import Any, NoReturn

from jsonata.jexception import JException
from jsonata.jsonata import Jsonata
from jsonata.timebox import Timebox
from jsonata.utils import Utils

from local.moto_seams.replaced import replaced

_STATES = ("input", "context", "result", "errorOutput")
# jsonata-python keeps the expression that a thread evaluates in a thread-local of the class, and an
# expression's time in the expression: one evaluation at a time lets executions share parsed ones.
_ONE_AT_A_TIME = threading.Lock()


class QueryFailed(Exception):
    """The expression is wrong, fails, or returns nothing or something that is not JSON."""


@dataclass(frozen=True)
class _Parsed:
    expression: Jsonata
    states: tuple[str, ...]


def evaluate(text: str, variables: Mapping[str, Any], states: Mapping[str, Any]) -> Any:
    """Return the JSON value of the expression ``text`` (without the ``{% %}``).

    ``variables`` are the state machine's, without ``$``; ``states`` is what ``$states`` holds.
    Raises ``QueryFailed`` whose text says what is wrong.
    """
    with _ONE_AT_A_TIME:
        try:
            parsed = _parse(text)
            bindings = {name: _bound(value) for name, value in variables.items()}
            bindings["states"] = {name: _bound(states[name]) for name in parsed.states}
            Jsonata.CURRENT.jsonata = parsed.expression
            value = parsed.expression.evaluate(None, bindings)
        except JException as problem:
            raise QueryFailed(f"The JSONata expression '{text}' threw an error: {problem}") from None
    if value is None:
        raise QueryFailed(f"The JSONata expression '{text}' returned nothing (undefined).")
    try:
        return _as_json(value)
    except TypeError:
        raise QueryFailed(f"The JSONata expression '{text}' returned an unsupported result type.") from None


@lru_cache(maxsize=1024)
def _parse(text: str) -> _Parsed:
    from moto.stepfunctions.parser.asl.component.intrinsic.jsonata import get_intrinsic_functions_declarations
    from moto.stepfunctions.parser.asl.jsonata.jsonata import extract_jsonata_variable_references

    references = extract_jsonata_variable_references(text)
    own_functions = get_intrinsic_functions_declarations(references)
    expression = Jsonata(f"({own_functions}{text})")
    expression.set_output_convert_nulls(False)  # so that null and undefined can be told apart
    named = {name for name in _STATES for used in references if f"{used}.".startswith(f"$states.{name}.")}
    return _Parsed(expression, _STATES if "$states" in references else tuple(sorted(named)))


def _bound(value: Any) -> Any:
    """JSON as jsonata-python has it: its own null, since ``None`` is undefined."""
    if value is None:
        return Utils.NULL_VALUE
    if isinstance(value, dict):
        return {key: _bound(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_bound(item) for item in value]
    if isinstance(value, str | int | float):
        return value
    return json.loads(_moto_json(value))


def _moto_json(value: Any) -> str:
    from moto.stepfunctions.parser.asl.utils.encoding import to_json_str

    text: str = to_json_str(value)
    return text


def _as_json(value: Any) -> Any:
    """Plain JSON; a whole number is an int, as JavaScript writes it. Raises ``TypeError`` on functions."""
    if value is None or value is Utils.NULL_VALUE:
        return None
    if isinstance(value, dict):
        return {key: _as_json(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_as_json(item) for item in value]
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if isinstance(value, str | int | float):
        return value
    raise TypeError(type(value).__name__)


@contextmanager
def jsonata_evaluated(clock: Callable[[], datetime]) -> Iterator[None]:
    """Give moto's interpreter a JSONata evaluator whose ``$millis()`` and ``$now()`` follow ``clock``.

    Relies on ``StringJSONata._eval_body(env)`` pushing the value of ``self.expression`` on
    ``env.stack``; on ``env.states._states_data`` and on the two scopes of ``env.variable_store``.
    moto itself pastes the variables as text in front of the expression, strings unescaped,
    and parses all of it anew each time. Also relies on jsonata-python asking
    ``Timebox.current_milli_time`` for the time of an evaluation.
    """
    from moto.stepfunctions.parser.asl.component.common.string.string_expression import StringJSONata

    def eval_body(self: Any, env: Any) -> None:
        store = env.variable_store
        variables = {**store._outer_scope, **store._inner_scope}
        try:
            value = evaluate(self.expression, variables, env.states._states_data)
        except QueryFailed as problem:
            _fail_state(env, str(problem))
        env.stack.append(value)

    def millis() -> int:
        return int(clock().timestamp() * 1000)

    with (
        replaced(StringJSONata, "_eval_body", eval_body),
        replaced(Timebox, "current_milli_time", staticmethod(millis)),
    ):
        yield


def _fail_state(env: Any, cause: str) -> NoReturn:
    """Fail the state as Step Functions does: with ``States.QueryEvaluationError``, which a Catch may name."""
    from moto.stepfunctions.parser.api import EvaluationFailedEventDetails, HistoryEventType
    from moto.stepfunctions.parser.asl.component.common.error_name.failure_event import (
        FailureEvent,
        FailureEventException,
    )
    from moto.stepfunctions.parser.asl.component.common.error_name.states_error_name import StatesErrorName
    from moto.stepfunctions.parser.asl.component.common.error_name.states_error_name_type import StatesErrorNameType
    from moto.stepfunctions.parser.asl.eval.event.event_detail import EventDetails

    name = StatesErrorName(typ=StatesErrorNameType.StatesQueryEvaluationError)
    details = EventDetails(  # type: ignore[typeddict-item]
        evaluationFailedEventDetails=EvaluationFailedEventDetails(cause=cause, error=name.error_name)
    )
    env.event_manager.add_event(
        context=env.event_history_context, event_type=HistoryEventType.EvaluationFailed, event_details=details
    )
    raise FailureEventException(
        FailureEvent(env=env, error_name=name, event_type=HistoryEventType.EvaluationFailed, event_details=details)
    )
