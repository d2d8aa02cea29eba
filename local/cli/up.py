"""``ballast up``: the whole stack on localhost, until Ctrl-C."""

from __future__ import annotations

import os
import time
from argparse import Namespace
from collections.abc import Callable, Sequence
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING

from ballast.contracts.wire import Name
from ballast.errors import InvalidInput
from ballast.http.identity import DEFAULT_TENANT, Role
from local.cli.answer import user
from local.cli.exits import Exit
from local.cli.mailbox import Mailbox
from local.cli.output import Screen
from local.cli.people import PeopleElsewhere
from local.cli.stage import STORE, stage
from local.journal import Journal, state_folder

if TYPE_CHECKING:
    from local.up.endings import Endings
    from local.up.gateway import Reply, Request

#: How often endings and answers are looked for.
_EVERY_S = 0.2


def up(typed: Namespace, *, pause: Callable[[float], None] = time.sleep) -> int:
    """Serve what was typed until Ctrl-C; return 0. Raises ``InvalidInput``.

    ``pause`` waits between two looks at the runs; what it raises ends the serving.
    """
    from local.cli.run import chosen_model
    from local.converse import model_source
    from local.up import serve
    from local.up.endings import Endings
    from local.up.identity import CLAIMS, bearer_of

    role = _role(typed)
    source = model_source(chosen_model(typed))
    home, screen = state_folder(os.environ), _OneAtATime()
    folder = Path(typed.playbook) if typed.playbook else None
    screen.line("Deploying template.yaml into a local cloud …", "dim")
    seed = 1 if typed.seed is None else typed.seed
    try:
        size = None if folder else STORE
        parameters = CLAIMS | _parameters(typed.parameter)
        with stage(source, playbook=folder, seed=seed, size=size, parameters=parameters) as cloud:
            environ = cloud.environ("ApiFunction")
            who = bearer_of(user(), role, environ, tenant=typed.tenant, groups=typed.group)
            people, endings, journal = PeopleElsewhere(cloud, Mailbox(home), screen), Endings(cloud), Journal(home)
            try:
                told = _teller(screen)
                with serve(cloud, authorizer=who, host=typed.host, port=typed.port, told=told) as served:
                    _say_what_is_served(screen, served.url, typed, role)
                    _attend(people, endings, journal, screen, pause)
            finally:
                people.leave()
                for run_id, events in endings.going_on():
                    if events:
                        journal.save(run_id, "up, cut off", events)
    except KeyboardInterrupt:
        screen.line()
        screen.line("Stopped.")
    return Exit.OK


def _attend(
    people: PeopleElsewhere, endings: Endings, journal: Journal, screen: Screen, pause: Callable[[float], None]
) -> None:
    """Print endings, keep logs, pass answers on; does not return."""
    from local.trace.fold import timeline
    from local.trace.words import usd

    while True:
        people.attend()
        people.withdraw_what_is_closed()
        for run_id, events in endings.new():
            if not events:
                screen.line(f"{run_id}  ended before anything was in its log", "bold")
                continue
            journal.save(run_id, "up", events)
            made = timeline(events)
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
    for line in examples(url):
        screen.line(f"  {line}")
    screen.line()
    screen.line("Who asks for a run does not approve its calls. Say who asks, and with which rights, as NAME:ROLE:")
    screen.line(f"  curl -u mia:member {url}/runs …               mia asks for a run")
    screen.line(f"  curl -u rae:reviewer {url}/escalations/ID …   rae decides; +GROUP names a group of hers")
    screen.line("  In the console, `Token …` takes NAME:ROLE too.")
    screen.line()


def examples(url: str) -> list[str]:
    """Return what to try first."""
    body = '{"text": "Please cancel order O-1002.", "context": {"order_id": "O-1002", "customer_id": "C-1001"}}'
    return [
        f"curl -s {url}/runs --json '{body}' -H 'Prefer: wait=20'",
        f"curl -s {url}/runs",
        f"curl -s {url}/runs/RUN_ID/events",
        f"curl -s {url}/escalations",
    ]


def _parameters(typed: Sequence[str]) -> dict[str, str]:
    """Return parameters of the template by name. Raises ``InvalidInput`` for one that it does not have."""
    from local.cloud import ROOT
    from local.template import load_template

    known = load_template(ROOT / "template.yaml")["Parameters"]
    made = {}
    for text in typed:
        name, found, value = text.partition("=")
        if not found or name not in known:
            raise InvalidInput(f"--parameter {text[:80]!r}: write NAME=VALUE; template.yaml has {', '.join(known)}.")
        made[name] = value
    return made


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
