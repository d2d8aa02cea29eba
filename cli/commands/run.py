"""``ballast run``: one request in a local cloud, on the screen."""

import os
import sys
from argparse import Namespace
from pathlib import Path

from ballast.errors import InvalidInput
from ballast.playbook import load_playbook
from cli.exits import exit_of
from cli.journal import Journal, state_folder
from cli.mailbox import Mailbox
from cli.output import Screen
from cli.people import Nobody, PeopleElsewhere
from cli.printed import PrintedOutput
from cli.request import request_of
from cli.stage import STORE, parameters_of, stage
from cli.watch import watch

_NO_MODEL = """\
--model: no model was chosen. Say which one answers, or set BALLAST_MODEL once and for all:
  --model http://localhost:11434/v1#NAME   a model of an OpenAI-compatible server (Ollama, llama.cpp, vLLM)
  --model bedrock:ID                       Amazon Bedrock, with your own credentials and at your cost
  --model FILE                             a script of replies (.yaml) or a saved run (.json)
`ballast demo` needs no model."""


def run(typed: Namespace) -> int:
    """Run what was typed; return 0 when it was answered, else what ``exits`` says.

    Everything that can be wrong in what was typed is found before anything is started.
    """
    spec = chosen_model(typed)
    from localcloud.cloud import PLAYBOOK
    from localcloud.converse import check_that_it_answers, model_source

    folder = Path(typed.playbook) if typed.playbook else PLAYBOOK
    request = request_of(typed, agent=load_playbook(folder).agent.name)
    source, parameters = model_source(spec), parameters_of(typed.parameter)
    home = state_folder(os.environ)
    screen = Screen()
    if spec.startswith(("http", "bedrock:")):
        screen.line("Asking the model whether it answers …", "dim")
        check_that_it_answers(source, spec)
    screen.line("Deploying template.yaml into a local cloud …", "dim")
    size = None if typed.playbook else STORE
    seed, wait = 1 if typed.seed is None else typed.seed, waits_for_people(typed)
    iam = not typed.no_iam
    with stage(source, playbook=folder, seed=seed, size=size, parameters=parameters, enforce_iam=iam) as cloud:
        printed = PrintedOutput(home, screen, verbose=typed.verbose)
        cloud.printed.append(printed)
        people = PeopleElsewhere(cloud, Mailbox(home), screen) if wait else Nobody()
        title = f"run with {spec}"
        made = watch(cloud, request, people, screen=screen, journal=Journal(home), title=title, wait=wait)
        screen.line()
    screen.trace(made, full=typed.full)
    if printed.file(made.run_id).exists():
        screen.line(f"What its functions printed is in {printed.file(made.run_id)}.", "dim")
    return exit_of(made.status)


def chosen_model(typed: Namespace) -> str:
    """Return which model was chosen, where it was typed or once and for all. Raises ``InvalidInput``."""
    spec = typed.model or os.environ.get("BALLAST_MODEL")
    if not spec:
        raise InvalidInput(_NO_MODEL)
    return str(spec)


def waits_for_people(typed: Namespace) -> bool:
    """Say whether a run that asks a person is waited for: as typed, else where a terminal shows what to type."""
    return bool(sys.stdout.isatty() if typed.wait is None else typed.wait)
