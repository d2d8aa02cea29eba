"""Evaluate the state machine's JSONata with jsonata-python and moto's versions of Step Functions' own functions."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from typing import Any

from jsonata.jexception import JException
from jsonata.jsonata import Jsonata
from jsonata.timebox import Timebox
from jsonata.utils import Utils

from localcloud.moto_seams.replaced import replaced

_STATES = ("input", "context", "result", "errorOutput")
# jsonata-python keeps the expression that a thread evaluates in a thread-local of the class, and an
# expression's time in the expression: one evaluation at a time lets executions share parsed ones.
_ONE_AT_A_TIME = threading.Lock()


class QueryFailed(Exception):
    """The expression is invalid, fails, or returns nothing or something that is not JSON."""


@dataclass(frozen=True)
class _Parsed:
    expression: Jsonata
    states: tuple[str, ...]


def evaluate(text: str, variables: Mapping[str, Any], states: Mapping[str, Any]) -> Any:
    """Return the JSON value of the expression ``text`` (without the ``{% %}``).

    ``variables`` are the state machine's, without ``$``; ``states`` is what ``$states`` holds.
    Raises ``QueryFailed`` that says what is wrong.
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
    """Return JSON in jsonata-python's form: it has its own null, because ``None`` means undefined."""
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
    """Return plain JSON; a whole number becomes an int, as JavaScript writes it. Raises ``TypeError`` for functions."""
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
def jsonata_clock(clock: Callable[[], datetime]) -> Iterator[None]:
    """Let ``$millis()`` and ``$now()`` follow ``clock``.

    Relies on jsonata-python asking ``Timebox.current_milli_time`` for the time of an evaluation.
    """

    def millis() -> int:
        return int(clock().timestamp() * 1000)

    with replaced(Timebox, "current_milli_time", staticmethod(millis)):
        yield
