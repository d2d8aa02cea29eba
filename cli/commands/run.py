"""``ballast run``: run one request and show its trace.

The request comes from a file, standard input or options.
"""

from __future__ import annotations

import json
import os
import re
import sys
import uuid
from argparse import Namespace
from base64 import b64encode
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from ballast.attachments.files import WrongContent, measured
from ballast.attachments.store import Attachments, named
from ballast.contracts import RunRequest
from ballast.contracts.attachment import FORMATS, Attachment
from ballast.contracts.wire import complaints, parse
from ballast.errors import InvalidInput
from ballast.on_behalf import HEADER
from ballast.playbook import load_playbook
from ballast.runtime import utc_now
from cli.deployed_stack import EVERY_S
from cli.escalation_files import EscalationFiles
from cli.escalations import user
from cli.exits import exit_of
from cli.follow import Cloud, run_and_follow
from cli.function_output import FunctionOutput
from cli.local_stack import STORE, deploying, local_stack, parameters_of
from cli.responders import NoResponder, TerminalResponder
from cli.saved_runs import SavedRuns, state_folder
from cli.screen import Screen
from localcloud.cloud import PLAYBOOK
from localcloud.converse import check_that_it_answers, label_of, model_source

if TYPE_CHECKING:
    from cli.deployed_stack import DeployedCloud
    from localcloud.cloud import LocalCloud

_NO_MODEL = """\
--model: no model was chosen. Choose one here, or set BALLAST_MODEL for every command:
  --model http://localhost:11434/v1#NAME   a model of an OpenAI-compatible server (Ollama, llama.cpp, vLLM)
  --model bedrock:ID                       Amazon Bedrock, with your own credentials and at your cost
  --model FILE                             a script of replies (.yaml) or a saved run (.json)
`ballast demo` needs no model."""


def run(typed: Namespace) -> int:
    """Run the typed request in a local cloud; return 0 if it was answered, else as ``exits`` says.

    Checks all that was typed before it starts anything.
    """
    spec = chosen_model(typed)
    folder = Path(typed.playbook) if typed.playbook else PLAYBOOK
    request = request_of(typed, agent=load_playbook(folder, on=datetime.now(UTC).date(), check_retired=True).agent.name)
    behalf = on_behalf_header(typed.on_behalf_of_env, os.environ)
    source, parameters = model_source(spec), parameters_of(typed.parameter)
    home = state_folder(os.environ)
    screen = Screen()
    if spec.startswith(("http", "bedrock:")):
        screen.line("Checking that the model answers …", "dim")
        check_that_it_answers(source, spec)
    screen.line(deploying(folder), "dim")
    size = None if typed.playbook else STORE
    seed, wait = 1 if typed.seed is None else typed.seed, _waits_for_people(typed)
    iam = not typed.no_iam
    with local_stack(source, playbook=folder, seed=seed, size=size, parameters=parameters, enforce_iam=iam) as cloud:
        printed = FunctionOutput(home, screen, verbose=typed.verbose)
        cloud.printed.append(printed)
        attach(cloud, request, typed.attach)
        responder = TerminalResponder(cloud, EscalationFiles(home), screen) if wait else NoResponder()
        title = f"run with {label_of(spec)}"
        made = run_and_follow(
            cloud,
            request,
            responder,
            screen=screen,
            saved_runs=SavedRuns(home),
            title=title,
            wait=wait,
            requested_by=typed.requested_by or user(),
            begin=partial(start_on_behalf, cloud, request, behalf, typed.attach) if behalf else None,
        )
        screen.line()
    screen.trace(made, full=typed.full)
    if printed.file(made.run_id).exists():
        screen.line(f"Its functions' output is in {printed.file(made.run_id)}.", "dim")
    return exit_of(made.status)


def run_on_stack(typed: Namespace, cloud: DeployedCloud, screen: Screen) -> int:
    """Run the typed request on a deployed stack and return the exit code. Raises ``InvalidInput``."""
    if typed.on_behalf_of_env:
        raise InvalidInput(
            "--on-behalf-of-env is for a local run. A deployed stack knows who you are by its HTTP API: send "
            f"POST /runs with the token in the header {HEADER}."
        )
    for option in ("model", "playbook", "seed", "parameter", "verbose"):
        if getattr(typed, option) not in (None, [], False):
            raise InvalidInput(f"--{option} is for a local run; the stack has its own. Leave it out with --stack.")
    if typed.requested_by is not None:
        raise InvalidInput(
            "--as is for a local run: a stack records the callers of its HTTP API alone, and this command invokes a "
            "function. Leave it out with --stack."
        )
    request = request_of(typed)
    attach(cloud, request, typed.attach)
    made = run_and_follow(
        cloud,
        request,
        NoResponder(),  # people read the stack's escalation queue; nothing is taken out of it here
        screen=screen,
        saved_runs=SavedRuns(state_folder(os.environ)),
        title=f"run on {typed.stack}",
        every_s=EVERY_S,
        wait=_waits_for_people(typed),
    )
    screen.line()
    screen.trace(made, full=typed.full)
    return exit_of(made.status)


def on_behalf_header(typed: Sequence[str], environ: Mapping[str, str]) -> str:
    """Return the header of the tokens in the typed variables, "" without any. Raises ``InvalidInput``."""
    parts = []
    for one in typed:
        name, equals, variable = one.rpartition("=")
        token = environ.get(variable, "").strip()
        if not token:
            raise InvalidInput(
                f"--on-behalf-of-env {one}: there is no environment variable of that name, or it is empty. "
                "Put the token into it; the option takes the variable's name, never the token."
                if re.fullmatch(r"([A-Za-z0-9._-]{1,64}=)?[A-Z_][A-Z0-9_]{0,63}", one)
                else "--on-behalf-of-env: takes the name of a set variable, such as DESK_TOKEN; never the token."
            )
        parts.append(f"{name}{equals}Bearer {token}")
    return ", ".join(parts)


def start_on_behalf(cloud: LocalCloud, request: RunRequest, header: str, files: Sequence[str] = ()) -> str:
    """Start the run by POST /runs, as the local operator whose token the header has. Raises ``InvalidInput``."""
    from localcloud.gateway.http_api import Request, event_of, match, reply_of
    from localcloud.gateway.identity import operator

    sent = request.model_dump(mode="json", exclude={"request_id", "attachments"}, exclude_none=True)
    sent["attachments"] = [
        {"name": one.name, "format": one.format, "data": b64encode(content).decode()}
        for one, content in map(attached_file, files)
    ]
    headers = [("Content-Type", "application/json"), ("Idempotency-Key", request.request_id), (HEADER, header)]
    asked = Request("POST", "/runs", headers, json.dumps(sent).encode())
    matched = match(cloud.routes, "POST", "/runs")
    assert matched is not None
    event = event_of(asked, matched, authorizer=operator("you"), request_id=str(uuid.uuid4()), now=utc_now())
    reply = reply_of(cloud.invoke(matched.route.function, event))
    answer = json.loads(reply.body)
    if reply.status >= 300:
        raise InvalidInput(str(answer.get("detail") or answer))
    return str(answer["run_id"])


def chosen_model(typed: Namespace) -> str:
    """Return the model that was typed, or $BALLAST_MODEL. Raises ``InvalidInput`` if there is none."""
    spec = typed.model or os.environ.get("BALLAST_MODEL")
    if not spec:
        raise InvalidInput(_NO_MODEL)
    return str(spec)


def _waits_for_people(typed: Namespace) -> bool:
    """Return whether to wait for people: as typed, else whether standard output is a terminal."""
    return bool(sys.stdout.isatty() if typed.wait is None else typed.wait)


_FORM = "A request has request_id and text, and may have agent, intent, context, tenant and limits."
_ONLY_WITH_TEXT = ("agent", "intent", "tenant")


def request_of(typed: Namespace, *, agent: str | None = None) -> RunRequest:
    """Return the typed request; ``agent``, the playbook's, fills in for a request that names none.

    Raises ``InvalidInput`` that names the option or the field, and the remedy.
    """
    if (typed.file is None) == (typed.text is None):
        raise InvalidInput("Give the request either as a file (`-` for standard input) or as --text TEXT.")
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
    if typed.attach:
        fields["attachments"] = [one.model_dump() for one, _ in map(attached_file, typed.attach)]
    try:
        return parse(RunRequest, fields, what="The request")
    except InvalidInput as wrong:
        raise InvalidInput(f"{wrong} {_FORM}") from None


#: Suffixes that are not Converse's name of the format.
_SUFFIXES = {"jpg": "jpeg", "htm": "html", "markdown": "md"}


def attached_file(file: str) -> tuple[Attachment, bytes]:
    """Return a typed file and its content. Raises ``InvalidInput``."""
    path = Path(file)
    suffix = path.suffix[1:].lower()
    file_format = _SUFFIXES.get(suffix, suffix)
    try:
        content = path.read_bytes()
        measured(file_format, content)
        return named(path.name, file_format, content), content
    except OSError as problem:
        raise InvalidInput(f"--attach {file}: cannot be read ({problem.strerror}).") from None
    except ValidationError as problem:
        raise InvalidInput(f"--attach {file}: {complaints(problem)}.") from None
    except (KeyError, WrongContent) as wrong:
        why = f"has no format that a model takes: {', '.join(FORMATS)}" if isinstance(wrong, KeyError) else wrong
        raise InvalidInput(f"--attach {file}: {why}.") from None


def attach(cloud: Cloud, request: RunRequest, files: Sequence[str]) -> None:
    """Keep the content of the typed files where the run finds it."""
    if files:
        kept = Attachments(cloud.session.client("s3"), cloud.physical_id("PayloadBucket"))
        for one, content in map(attached_file, files):
            kept.put(request.tenant, request.run_id, one, content)


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
