"""``ballast up``: the whole stack on localhost, until Ctrl-C."""

from __future__ import annotations

import json
import os
import time
from argparse import Namespace
from collections.abc import Callable
from contextlib import ExitStack, closing
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING

from ballast.contracts.wire import Name
from ballast.errors import InvalidInput
from ballast.http.identity import DEFAULT_TENANT, Role
from ballast.playbook import Playbook, load_playbook
from cli.commands.answer import user
from cli.exits import Exit
from cli.journal import Journal, state_folder
from cli.mailbox import Mailbox
from cli.output import Screen
from cli.people import OverheardQueue, PeopleElsewhere
from cli.printed import PrintedOutput
from cli.stage import STORE, stage
from cli.stage import parameters_of as _parameters
from cli.watch import close

if TYPE_CHECKING:
    from localcloud.cloud import LocalCloud
    from localcloud.gateway.endings import Endings
    from localcloud.gateway.gateway import Reply, Request
    from localcloud.gateway.server import HttpServer

#: How often endings and answers are looked for.
_EVERY_S = 0.2
#: The claims of a token that say who somebody is: a parameter and a variable each.
_CLAIMED = ("tenant", "reviewer", "operator", "group")


def up(typed: Namespace, *, pause: Callable[[float], None] = time.sleep) -> int:
    """Serve what was typed until Ctrl-C; return 0. Raises ``InvalidInput``.

    ``pause`` waits between two looks at the runs; what it raises ends the serving.
    """
    from cli.commands.run import chosen_model
    from localcloud.converse import model_source
    from localcloud.gateway.identity import CLAIMS, bearer_of
    from localcloud.gateway.server import HttpServer

    # What can be wrong in what was typed is found before anything is deployed.
    role = _role(typed)
    source, parameters = model_source(chosen_model(typed)), CLAIMS | _parameters(typed.parameter)
    claims = {f"{name.upper()}_CLAIM": parameters.get(f"{name.capitalize()}Claim", name) for name in _CLAIMED}
    bearer_of(user(), role, claims, tenant=typed.tenant, groups=typed.group)
    folder = Path(typed.playbook) if typed.playbook else None
    if folder is not None:
        load_playbook(folder)
    screen = _OneAtATime()
    with ExitStack() as ports:
        server = ports.enter_context(closing(HttpServer(host=typed.host, port=typed.port)))
        aws = ports.enter_context(closing(_aws_server(typed, server.port)))
        try:
            screen.line("Deploying template.yaml into a local cloud …", "dim")
            seed, size = 1 if typed.seed is None else typed.seed, None if folder else STORE
            iam = not typed.no_iam
            with stage(source, playbook=folder, seed=seed, size=size, parameters=parameters, enforce_iam=iam) as cloud:
                _serve(cloud, server, aws, typed, role, screen, pause)
        except KeyboardInterrupt:
            screen.line()
            screen.line("Stopped.")
    return Exit.OK


def _aws_server(typed: Namespace, port: int) -> HttpServer:
    """Return a server for AWS's SDKs: on the port that was typed, else on the next one after the API's, or any."""
    from localcloud.gateway.server import HttpServer

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
    """Serve until ``pause`` raises; then close the runs that go on, and keep their logs."""
    from localcloud.gateway import serve
    from localcloud.gateway.aws import AwsEndpoint
    from localcloud.gateway.endings import Endings
    from localcloud.gateway.identity import bearer_of

    home = state_folder(os.environ)
    who = bearer_of(user(), role, cloud.environ("ApiFunction"), tenant=typed.tenant, groups=typed.group)
    people = PeopleElsewhere(cloud, Mailbox(home), screen, OverheardQueue(cloud))
    endings, journal = Endings(cloud), Journal(home)
    cloud.printed.append(PrintedOutput(home, screen, verbose=typed.verbose))
    try:
        aws.answer = AwsEndpoint(cloud)
        with serve(cloud, authorizer=who, told=_teller(screen), on=server) as served, aws:
            _say_what_is_served(screen, served.url, typed, role)
            _say_where_aws_is(screen, aws.url)
            _attend(cloud, people, endings, journal, screen, pause)
    finally:
        people.leave()
        close(cloud, endings.going_on())
        for run_id in endings.going_on():
            if events := cloud.events(run_id):
                journal.save(run_id, "up, cut off", events, cut_off=not events.has_ended)


def _attend(
    cloud: LocalCloud,
    people: PeopleElsewhere,
    endings: Endings,
    journal: Journal,
    screen: Screen,
    pause: Callable[[float], None],
) -> None:
    """Print endings, keep logs, pass answers on; does not return. Where no function ran, it asks the cloud nothing."""
    from cli.trace.words import usd

    seen = -1
    while True:
        people.attend()
        ran = cloud.invocations
        if ran != seen:
            seen = ran
            people.withdraw_what_is_closed()
        for run_id, events in endings.new():
            people.withdraw_what_is_closed()
            if not events:
                screen.line(f"{run_id}  ended before anything was in its log", "bold")
                continue
            journal.save(run_id, "up", events)
            made = events.timeline()
            by = f" by {made.by}" if made.by else ""
            screen.line(f"{run_id}  {made.status}{by}, {usd(made.spent_microusd)} spent", "bold")
        pause(_EVERY_S)


def _teller(screen: Screen) -> Callable[[Request, Reply], None]:
    def told(request: Request, reply: Reply) -> None:
        style = "red" if reply.status >= 500 else "yellow" if reply.status >= 400 else "dim"
        where = dict(reply.headers).get("location", "")
        screen.line(f"{reply.status} {request.method} {request.target[:200]}{f'  -> {where}' if where else ''}", style)

    return told


def _say_what_is_served(screen: Screen, url: str, typed: Namespace, role: Role) -> None:
    of = "" if role == "operator" else f" of the tenant {typed.tenant or DEFAULT_TENANT}"
    groups = f", in {', '.join(typed.group)}" if typed.group else ""
    who = f"{user()}, {'an' if role == 'operator' else 'a'} {role}{of}{groups}"
    screen.line(f"{url} serves the HTTP API; whoever asks is {who}. Ctrl-C ends it.", "bold")
    screen.line(f"  {url}/console for people, {url}/openapi.json for clients")
    screen.line()
    for line in examples(url, example_of(load_playbook(Path(typed.playbook)) if typed.playbook else None)):
        screen.line(f"  {line}")
    screen.line()
    screen.line("Who asks for a run does not approve its calls. Say who asks, and with which rights, as NAME:ROLE:")
    screen.line(f"  curl -u mia:member {url}/runs …               mia asks for a run")
    screen.line(f"  curl -u rae:reviewer {url}/escalations/ID …   rae decides; +GROUP names a group of hers")
    screen.line("  In the console, `Token …` takes NAME:ROLE too.")
    screen.line()


def _say_where_aws_is(screen: Screen, url: str) -> None:
    from localcloud.deploy import STACK
    from localcloud.sessions import REGION

    screen.line("Queues, events and functions, for other processes and any AWS SDK:", "bold")
    screen.line(f"  export AWS_ENDPOINT_URL={url} AWS_DEFAULT_REGION={REGION} AWS_ACCESS_KEY_ID=local \\")
    screen.line("      AWS_SECRET_ACCESS_KEY=local")
    screen.line(f"  python docs/examples/escalation_consumer.py --stack {STACK}")
    screen.line("  aws events put-events --entries file://request.json    # docs/events/README.md")
    screen.line()


def example_of(playbook: Playbook | None) -> str:
    """Return a request to try first, as JSON. ``playbook``: one's own; None for the support desk."""
    if playbook is None:
        return '{"text": "Please cancel order O-1002.", "context": {"order_id": "O-1002", "customer_id": "C-1001"}}'
    intent = next(iter(playbook.agent.intents), None)
    return json.dumps({"agent": playbook.agent.name, "text": "YOUR REQUEST"} | ({"intent": intent} if intent else {}))


def examples(url: str, body: str) -> list[str]:
    """Return what to try first; ``body`` is a request."""
    return [
        f"curl -s {url}/runs --json '{body}' -H 'Prefer: wait=20'",
        f"curl -s {url}/runs",
        f"curl -s {url}/runs/RUN_ID/events",
        f"curl -s {url}/escalations",
    ]


def _role(typed: Namespace) -> Role:
    """Return the role of whoever asks. Raises ``InvalidInput`` for options that do not fit."""
    from pydantic import TypeAdapter, ValidationError

    for option, name in (("--tenant", typed.tenant), *(("--group", group) for group in typed.group)):
        try:
            TypeAdapter(Name | None).validate_python(name)
        except ValidationError:
            what = "tenant's" if option == "--tenant" else "group's"
            raise InvalidInput(f"{option} {name!r}: is no {what} name (letters, digits, `.`, `_`, `-`).") from None
    if typed.role == "operator" and typed.tenant is not None:
        raise InvalidInput("--tenant: an operator is of no tenant, and sees all. Leave it out, or take another --role.")
    role: Role = typed.role or ("operator" if typed.tenant is None else "member")
    return role


class _OneAtATime(Screen):
    """Requests end in many threads; their lines stay whole."""

    def __init__(self) -> None:
        super().__init__()
        self._printing = Lock()

    def line(self, text: str = "", style: str | None = None) -> None:
        """Print one line."""
        with self._printing:
            super().line(text, style)
