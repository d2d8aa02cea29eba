"""``ballast up``: serve the whole stack on localhost until Ctrl-C."""

from __future__ import annotations

import json
import os
import re
import time
from argparse import Namespace
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, closing
from datetime import UTC, datetime
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING, Any

from pydantic import TypeAdapter, ValidationError

from ballast.contracts import RunRequest
from ballast.contracts.wire import Name
from ballast.errors import InvalidInput
from ballast.http.identity import DEFAULT_TENANT, Role
from ballast.playbook import Playbook, load_playbook
from ballast.run import Run
from cli.commands.models import retirements
from cli.commands.run import chosen_model
from cli.escalation_files import EscalationFiles
from cli.escalations import user
from cli.exits import Exit
from cli.follow import abort_all
from cli.function_output import FunctionOutput
from cli.local_stack import STORE, deploying, local_stack, parameters_of
from cli.responders import SentMessages, TerminalResponder
from cli.saved_runs import SavedRuns, state_folder
from cli.screen import Screen
from cli.trace.text import usd
from localcloud.converse import model_source
from localcloud.deploy import STACK
from localcloud.gateway import serve
from localcloud.gateway.aws import AwsEndpoint
from localcloud.gateway.identity import CLAIMS, bearer_of
from localcloud.gateway.server import HttpServer
from localcloud.sessions import REGION

if TYPE_CHECKING:
    from localcloud.cloud import LocalCloud
    from localcloud.gateway.http_api import Reply, Request
    from localcloud.gateway.server import HttpServer


#: Seconds between two checks for endings and answers.
_EVERY_S = 0.2
_RUN_IDS = re.compile(r"\brun-[a-z2-7]{24}\b")
#: A token's claims about its bearer; each has a parameter of the template and an environment variable.
_CLAIMED = ("tenant", "reviewer", "operator", "group")


def up(typed: Namespace, *, pause: Callable[[float], None] = time.sleep) -> int:
    """Serve until Ctrl-C; return 0. Raises ``InvalidInput``.

    ``pause`` sleeps between two checks of the runs; an exception from it ends the serving.
    """
    # Check all that was typed before deploying anything.
    role = _role(typed)
    source, parameters = model_source(chosen_model(typed)), CLAIMS | parameters_of(typed.parameter)
    claims = {f"{name.upper()}_CLAIM": parameters.get(f"{name.capitalize()}Claim", name) for name in _CLAIMED}
    bearer_of(user(), role, claims, tenant=typed.tenant, groups=typed.group)
    folder, today = Path(typed.playbook) if typed.playbook else None, datetime.now(UTC).date()
    if folder is not None:
        load_playbook(folder, on=today, check_retired=True)
    screen = _LockedScreen()
    with ExitStack() as ports:
        server = ports.enter_context(closing(HttpServer(host=typed.host, port=typed.port)))
        aws = ports.enter_context(closing(_aws_server(typed, server.port)))
        try:
            for notice in retirements(folder or _desk(), today):
                screen.line(notice, "yellow")
            screen.line(deploying(folder), "dim")
            seed, size = 1 if typed.seed is None else typed.seed, None if folder else STORE
            iam = not typed.no_iam
            with local_stack(
                source, playbook=folder, seed=seed, size=size, parameters=parameters, enforce_iam=iam
            ) as cloud:
                _serve(cloud, server, aws, typed, role, screen, pause)
        except KeyboardInterrupt:
            screen.line()
            screen.line("Stopped.")
    return Exit.OK


def _desk() -> Path:
    from localcloud.cloud import PLAYBOOK

    return PLAYBOOK


def _aws_server(typed: Namespace, port: int) -> HttpServer:
    """Return a server for AWS SDKs: on the typed port, else on the one after the API's, else on any."""
    if typed.aws_port is not None:
        return HttpServer(host=typed.host, port=typed.aws_port, option="--aws-port")
    try:
        return HttpServer(host=typed.host, port=port + 1 if typed.port else 0)
    except InvalidInput:  # taken
        return HttpServer(host=typed.host, port=0)


def _serve(
    cloud: LocalCloud,
    server: HttpServer,
    aws: HttpServer,
    typed: Namespace,
    role: Role,
    screen: Screen,
    pause: Callable[[float], None],
) -> None:
    """Serve until ``pause`` raises; then abort the running runs and save their logs, and what came after an ending."""
    home = state_folder(os.environ)
    who = bearer_of(user(), role, cloud.environ("ApiFunction"), tenant=typed.tenant, groups=typed.group)
    responder = TerminalResponder(cloud, EscalationFiles(home), screen, SentMessages(cloud))
    endings, saved_runs = RunEndings(cloud), SavedRuns(home)
    cloud.printed.append(FunctionOutput(home, screen, verbose=typed.verbose))
    try:
        aws.answer = AwsEndpoint(cloud)
        with serve(cloud, authorizer=who, on_reply=_request_printer(screen), on=server) as served, aws:
            _show_api(screen, served.url, typed, role)
            _show_aws_endpoint(screen, aws.url)
            _report_endings(cloud, responder, endings, saved_runs, screen, pause)
    finally:
        responder.close()
        abort_all(cloud, endings.running())
        for run_id in endings.running():
            if events := cloud.events(run_id):
                saved_runs.save(run_id, "up, cut off", events, cut_off=not events.has_ended)
        for run_id, events in endings.grown(of_all=True):
            saved_runs.save(run_id, "up", events)


def _report_endings(
    cloud: LocalCloud,
    responder: TerminalResponder,
    endings: RunEndings,
    saved_runs: SavedRuns,
    screen: Screen,
    pause: Callable[[float], None],
) -> None:
    """Print endings, save logs, deliver answers; never returns. Makes no request while no function runs."""
    seen = -1
    while True:
        responder.poll()
        ran = cloud.invocations
        if ran != seen:
            seen = ran
            responder.withdraw_closed()
        for run_id, events in endings.new():
            responder.withdraw_closed()
            if not events:
                screen.line(f"{run_id}  ended with an empty log", "bold")
                continue
            saved_runs.save(run_id, "up", events)
            made = events.timeline()
            by = f" by {made.by}" if made.by else ""
            screen.line(f"{run_id}  {made.status}{by}, {usd(made.spent_microusd)} spent", "bold")
        for run_id, events in endings.grown():
            saved_runs.save(run_id, "up", events)
        pause(_EVERY_S)


def _request_printer(screen: Screen) -> Callable[[Request, Reply], None]:
    def show(request: Request, reply: Reply) -> None:
        style = "red" if reply.status >= 500 else "yellow" if reply.status >= 400 else "dim"
        where = dict(reply.headers).get("location", "")
        screen.line(f"{reply.status} {request.method} {request.target[:200]}{f'  -> {where}' if where else ''}", style)

    return show


def _show_api(screen: Screen, url: str, typed: Namespace, role: Role) -> None:
    of = "" if role == "operator" else f" of the tenant {typed.tenant or DEFAULT_TENANT}"
    groups = f", in {', '.join(typed.group)}" if typed.group else ""
    who = f"{user()}, {'an' if role == 'operator' else 'a'} {role}{of}{groups}"
    screen.line(f"{url} serves the HTTP API; every caller is {who}. Ctrl-C ends it.", "bold")
    screen.line(f"  {url}/console for people, {url}/openapi.json for clients")
    screen.line()
    for line in examples(url, example_of(load_playbook(Path(typed.playbook)) if typed.playbook else None)):
        screen.line(f"  {line}")
    screen.line()
    screen.line("Whoever asks for a run may not approve its calls. To be somebody else, send NAME:ROLE:")
    screen.line(f"  curl -u mia:member {url}/runs …               mia asks for a run")
    screen.line(f"  curl -u rae:reviewer {url}/escalations/ID …   rae decides; add +GROUP for a group of hers")
    screen.line("  In the console, type NAME:ROLE under `Token …`.")
    screen.line()


def _show_aws_endpoint(screen: Screen, url: str) -> None:
    from localcloud.cloud import ROOT

    consumer = os.path.relpath(ROOT / "docs" / "examples" / "escalation_consumer.py")
    screen.line("Queues, events and functions, for other processes with any AWS SDK:", "bold")
    screen.line(f"  export AWS_ENDPOINT_URL={url} AWS_DEFAULT_REGION={REGION} AWS_ACCESS_KEY_ID=local \\")
    screen.line("      AWS_SECRET_ACCESS_KEY=local")
    screen.line(f"  python {consumer} --stack {STACK}")
    screen.line("  aws events put-events --entries file://request.json    # docs/events/README.md")
    screen.line()


def example_of(playbook: Playbook | None) -> str:
    """Return an example request as JSON; without ``playbook``, one for the support desk."""
    if playbook is None:
        return '{"text": "Please cancel order O-1002.", "context": {"order_id": "O-1002", "customer_id": "C-1001"}}'
    intent = next(iter(playbook.agent.intents), None)
    return json.dumps({"agent": playbook.agent.name, "text": "YOUR REQUEST"} | ({"intent": intent} if intent else {}))


def examples(url: str, body: str) -> list[str]:
    """Return commands to try first; ``body`` is a request."""
    return [
        f"curl -s {url}/runs --json '{body}' -H 'Prefer: wait=20'",
        f"curl -s {url}/runs",
        f"curl -s {url}/runs/RUN_ID/events",
        f"curl -s {url}/escalations",
    ]


def _role(typed: Namespace) -> Role:
    """Return the role of every caller. Raises ``InvalidInput`` for options that contradict each other."""
    for option, name in (("--tenant", typed.tenant), *(("--group", group) for group in typed.group)):
        try:
            TypeAdapter(Name | None).validate_python(name)
        except ValidationError:
            what = option.removeprefix("--")
            raise InvalidInput(
                f"{option} {name!r}: not a {what} name. Use letters, digits, `.`, `_` and `-`."
            ) from None
    if typed.role == "operator" and typed.tenant is not None:
        raise InvalidInput(
            "--tenant: an operator has no tenant and sees all. Leave --tenant out, or choose another --role."
        )
    role: Role = typed.role or ("operator" if typed.tenant is None else "member")
    return role


class _LockedScreen(Screen):
    """A screen that prints whole lines from many threads."""

    def __init__(self) -> None:
        super().__init__()
        self._printing = Lock()

    def line(self, text: str = "", style: str | None = None) -> None:
        """Print one line."""
        with self._printing:
            super().line(text, style)


class RunEndings:
    """Notes each run when it is admitted, however it was started, and yields it once when it has ended.

    Afterwards people may give feedback, and correct an unknown effect: ``grown`` yields it again then.
    """

    def __init__(self, cloud: LocalCloud) -> None:
        self._cloud = cloud
        self._running: dict[str, None] = {}
        self._ended: deque[str] = deque()
        self._events: dict[str, int] = {}
        self._named: dict[str, None] = {}
        self._one_at_a_time = Lock()
        cloud.before_invoke.append(self._invoked)
        cloud.after_invoke.append(self._done)
        cloud.run_ended.append(self._ended.append)

    def _invoked(self, function: str, payload: Mapping[str, Any]) -> None:
        if function != "AdmitFunction":
            return
        try:
            request = RunRequest.model_validate(payload.get("request"))
        except ValidationError:  # not a request; the function refuses it
            return
        with self._one_at_a_time:
            self._running[request.run_id] = None

    def _done(self, _function: str, payload: Mapping[str, Any], _result: object) -> None:
        if self._events:
            named = _RUN_IDS.findall(json.dumps(payload, default=str))
            with self._one_at_a_time:
                self._named |= dict.fromkeys(run_id for run_id in named if run_id in self._events)

    def grown(self, *, of_all: bool = False) -> Iterator[tuple[str, Run]]:
        """Yield the id and the log of runs that ended and have more events since they were yielded last.

        Looks at those that an invocation has named since the last call, or ``of_all``.
        """
        with self._one_at_a_time:
            named = list(self._events) if of_all else list(self._named)
            self._named.clear()
        for run_id in named:
            events = self._cloud.events(run_id)
            if len(events) > self._events[run_id]:
                self._events[run_id] = len(events)
                yield run_id, events

    def new(self) -> Iterator[tuple[str, Run]]:
        """Yield the id and the log of each run that ended since the last call."""
        while self._ended:
            run_id = self._ended.popleft()
            with self._one_at_a_time:
                admitted = run_id in self._running
                self._running.pop(run_id, None)
            if admitted:
                events = self._cloud.events(run_id)
                self._events[run_id] = len(events)
                yield run_id, events

    def running(self) -> list[str]:
        """Return the ids of the runs that have not ended, or whose end ``new`` has not yielded yet."""
        with self._one_at_a_time:
            return list(self._running)
