"""The request of ``ballast run``, from a file, standard input or options."""

import json
import sys
import uuid
from argparse import Namespace
from pathlib import Path
from typing import Any

from ballast.contracts import RunRequest
from ballast.contracts.wire import parse
from ballast.errors import InvalidInput

_FORM = "A request has request_id and text, and may have agent, intent, context, tenant and limits."
_ONLY_WITH_TEXT = ("intent", "tenant")


def request_of(typed: Namespace, *, agent: str | None = None) -> RunRequest:
    """Return the request that was typed; ``agent`` is the playbook's, for a request that names none, where it is known.

    Raises ``InvalidInput`` naming the option or the field and what to do.
    """
    if (typed.file is None) == (typed.text is None):
        raise InvalidInput("Give the request as a file (`-` is standard input) or as --text TEXT: one of the two.")
    if typed.file is None:
        fields = _typed(typed)
    else:
        _refuse_ignored(typed)
        fields = _read(typed.file)
        if typed.request_id is not None:
            fields["request_id"] = typed.request_id
    fields.setdefault("request_id", f"local-{uuid.uuid4().hex[:12]}")
    if agent is not None:
        fields.setdefault("agent", agent)
    try:
        return parse(RunRequest, fields, what="The request")
    except InvalidInput as wrong:
        raise InvalidInput(f"{wrong} {_FORM}") from None


def _typed(typed: Namespace) -> dict[str, Any]:
    fields: dict[str, Any] = {"text": typed.text}
    for name in (*_ONLY_WITH_TEXT, "request_id"):
        if getattr(typed, name) is not None:
            fields[name] = getattr(typed, name)
    context = dict(_fact(pair) for pair in typed.context)
    if context:
        fields["context"] = context
    return fields


def _fact(pair: str) -> tuple[str, Any]:
    """Return ``key=text`` or ``key:=JSON`` as a pair."""
    name, equals, value = pair.partition("=")
    if not equals or not name.rstrip(":"):
        raise InvalidInput(f"--context {pair!r}: write KEY=VALUE, such as order_id=O-1001, or KEY:=JSON.")
    if not name.endswith(":"):
        return name, value
    try:
        return name[:-1], json.loads(value)
    except ValueError as problem:
        raise InvalidInput(f"--context {pair!r}: what follows := is not JSON ({problem}).") from None


def _refuse_ignored(typed: Namespace) -> None:
    for name in _ONLY_WITH_TEXT:
        if getattr(typed, name) is not None:
            raise InvalidInput(f"--{name} goes with --text; in a request file it is the field {name!r}.")
    if typed.context:
        raise InvalidInput("--context goes with --text; in a request file it is the field 'context'.")


def _read(file: str) -> dict[str, Any]:
    where = "standard input" if file == "-" else file
    try:
        text = sys.stdin.read() if file == "-" else Path(file).read_text(encoding="utf-8")
    except OSError as problem:
        raise InvalidInput(f"{where}: cannot be read ({problem.strerror}).") from None
    except UnicodeDecodeError:
        raise InvalidInput(f"{where}: is not UTF-8 text.") from None
    try:
        fields = json.loads(text)
    except ValueError as problem:
        raise InvalidInput(f"{where}: is not JSON ({problem}).") from None
    if not isinstance(fields, dict):
        raise InvalidInput(f'{where}: must be a JSON object such as {{"request_id": "r-1", "text": "Hello"}}.')
    return fields
