"""Read a call whose sensitive arguments are masked in the record, and so fit no validator.

The record has the call's one form, which an earlier reading of the whole values made. A masked call is read as that
form: its unmasked fields are compared with it, and its validators are not run. Everything after that is played.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from pydantic import BaseModel, ValidationError

from ballast.contracts.wire import canonical
from ballast.errors import SchemaViolation
from ballast.masking import MASK
from ballast.playbook.arguments.form import ArgumentsForm
from ballast.run import Run


def forms_of(run: Run, tool: str) -> list[dict[str, Any]]:
    """Return the masked arguments of calls of ``tool`` that the events have anywhere, those with most fields first."""
    found: dict[str, dict[str, Any]] = {}
    for event in run:
        for arguments in _arguments(event.shown, tool):
            text = canonical(arguments)
            if MASK in text:
                found.setdefault(text, arguments)
    return sorted(found.values(), key=len, reverse=True)


def _arguments(value: Any, tool: str) -> Iterator[dict[str, Any]]:
    if isinstance(value, Mapping):
        if value.get("tool") == tool and isinstance(value.get("arguments"), dict):
            yield value["arguments"]
        for inner in value.values():
            yield from _arguments(inner, tool)
    elif isinstance(value, list):
        for inner in value:
            yield from _arguments(inner, tool)


def _masked_paths(value: Any, path: str) -> Iterator[str]:
    if isinstance(value, Mapping):
        for name, inner in value.items():
            yield from _masked_paths(inner, f"{path}.{name}" if path else str(name))
    elif isinstance(value, list):
        for at, inner in enumerate(value):
            yield from _masked_paths(inner, f"{path}.{at}")
    elif MASK in str(value):
        yield path


class SealedForm:
    """A tool's form that also reads masked arguments of the run that is played."""

    def __init__(self, tool: str, model: type[BaseModel], real: ArgumentsForm) -> None:
        self._tool, self._model, self._real = tool, model, real
        self._forms: list[dict[str, Any]] = []
        self._made: dict[int, tuple[BaseModel, dict[str, Any]]] = {}

    def begin(self, run: Run | None) -> None:
        """Begin with another run; None: it has no masked value."""
        self._forms = [] if run is None else forms_of(run, self._tool)
        self._made.clear()

    def read(self, arguments: Any) -> Any:
        """See ``ArgumentsForm``."""
        try:
            return self._real.read(arguments)
        except (ValidationError, SchemaViolation):
            return self._masked(arguments)

    def from_python(self, values: Mapping[str, Any]) -> Any:
        """See ``ArgumentsForm``."""
        try:
            return self._real.from_python(values)
        except (ValidationError, SchemaViolation):
            return self._masked(dict(values))

    def write(self, args: Any) -> dict[str, Any]:
        """See ``ArgumentsForm``."""
        return dict(self._made[id(args)][1]) if id(args) in self._made else self._real.write(args)

    def without_defaults(self, args: Any) -> dict[str, Any]:
        """See ``ArgumentsForm``."""
        return self.write(args) if id(args) in self._made else self._real.without_defaults(args)

    def comparable(self, args: Any) -> Any:
        """See ``ArgumentsForm``."""
        return canonical(self.write(args)) if id(args) in self._made else self._real.comparable(args)

    def hidden(self, args: Any) -> frozenset[str]:
        """Return the paths of masked values in ``args``; none if they were read whole."""
        return frozenset(_masked_paths(self._made[id(args)][1], "")) if id(args) in self._made else frozenset()

    def _masked(self, arguments: Any) -> BaseModel:
        """Return the masked call, or raise the error that is being handled."""
        if isinstance(arguments, dict) and MASK in str(arguments):
            for form in self._forms:
                if all(form.get(name) == value for name, value in arguments.items()):
                    args = self._model.model_construct(**form)
                    self._made[id(args)] = args, form
                    return args
        raise  # noqa: PLE0704  only called while an error is handled
