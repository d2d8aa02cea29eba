"""The command ``ballast``. ``main`` is its entry point; a command's module is imported when it is typed."""

import atexit
import gc
import keyword
import logging
import os
import signal
import sys
import threading
from argparse import Namespace
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext, suppress
from importlib import import_module
from pathlib import Path

from cli.exits import Exit
from cli.own_stdout import for_documents
from cli.parser import parser
from localcloud.gc_paused import gc_paused


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command and return its exit code; print an expected failure as one sentence on stderr."""
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):  # a terminal that lacks a character gets a `?`, not a traceback
            stream.reconfigure(errors="replace")
    typed = parser().parse_args(argv)
    # moto logs a traceback for each Task that fails; the run's log says it better.
    logging.getLogger("moto").addHandler(logging.NullHandler())
    # At exit the kernel takes all memory back; a last garbage collection would take a second.
    atexit.register(gc.freeze)
    try:
        with _interruptible(), for_documents() if getattr(typed, "json", False) else nullcontext():
            _filled_in(typed)
            _take_own_playbook(typed)
            with gc_paused():
                command = _command(typed.command, on_stack=typed.stack is not None)
            with _as_deployed(typed):
                return command(typed)
    except KeyboardInterrupt:
        print("\nInterrupted.", file=sys.stderr)
        return Exit.INTERRUPTED
    except BrokenPipeError:
        # The reader of the output has gone. Without this, Python complains when it flushes at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return Exit.PIPE_CLOSED
    except Exception as problem:
        code = _expected(problem)
        if code is None:
            raise
        print(f"ballast {typed.command}: {_printable(str(problem))}", file=sys.stderr)
        return code


def _filled_in(typed: Namespace) -> None:
    """Raise ``InvalidInput`` if a command of ``ballast why`` was typed as it is, with a placeholder."""
    for name, given in vars(typed).items():
        for value in given if isinstance(given, list) else [given]:
            if not isinstance(value, str) or "<" not in value:
                continue
            from ballast.errors import InvalidInput
            from ballast.why.advice import placeholder_in

            if found := placeholder_in(value):
                option = name.replace("_", "-")
                raise InvalidInput(f"--{option}: {found} stands for what only you know. Write that in its place.")


#: The commands that take the playbook of the current folder, if there is one, and else the support desk; by the option
#: that names another one.
_OF_A_PLAYBOOK = {
    **dict.fromkeys(("demo", "import", "models", "run", "up", "replay", "why"), "playbook"),
    "what-if": "baseline",
}
#: Those that play runs of a deployed stack on this machine, and those that say it when they take the support desk.
_PLAYS_RECORDS = ("replay", "what-if", "why")


def _take_own_playbook(typed: Namespace) -> None:
    """Choose the playbook of the current folder where none was typed, and say so. Raises ``PlaybookInvalid``."""
    option, plays_records = _OF_A_PLAYBOOK.get(typed.command), typed.command in _PLAYS_RECORDS
    if option is None or getattr(typed, option) is not None or (typed.stack is not None and not plays_records):
        return
    if getattr(typed, "log_only", False):  # nothing is played
        return
    from ballast.playbook.load import playbook_in

    folder = playbook_in(Path())
    if (folder / "agent.yaml").is_file():
        setattr(typed, option, ".")
        where = folder.resolve().relative_to(Path.cwd().parent)
        print(f"The playbook is {where}, of this folder; --{option} PATH chooses another.", file=sys.stderr)
    elif plays_records:
        print(f"The playbook is the support desk; --{option} PATH chooses another.", file=sys.stderr)


@contextmanager
def _as_deployed(typed: Namespace) -> Iterator[None]:
    """Let the playbook import what lies beside it in its project, as in Lambda's layer; what is installed goes before.

    Folders that no playbook is in are left to the command to tell.
    """
    before = [*sys.path]
    for option in ("path", "playbook", "baseline"):
        if isinstance(given := getattr(typed, option, None), str):
            sys.path += _beside(Path(given))
    try:
        yield
    finally:
        sys.path[:] = before


def _beside(folder: Path) -> list[str]:
    from ballast.errors import PlaybookInvalid
    from ballast.playbook.load import playbook_in
    from localcloud.project import project_of

    with suppress(PlaybookInvalid, OSError, ValueError):
        if (playbook_in(folder.resolve()) / "agent.yaml").is_file():
            return [str(project_of(folder))]
    return []


def _command(name: str, *, on_stack: bool) -> Callable[[Namespace], int]:
    """Return the function of a command: the one of its own name in ``cli.commands``."""
    if on_stack and name not in ("redrive", "mcp"):
        from cli.deployed_stack import on_stack as command

        return command
    function = f"{name}_" if keyword.iskeyword(name) else name.replace("-", "_")
    found: Callable[[Namespace], int] = getattr(import_module(f"cli.commands.{function}"), function)
    return found


def _printable(text: str) -> str:
    """Return a text in which nothing steers a terminal: a server, a model or a file may have written a part of it."""
    return "".join(char if char.isprintable() or char in "\n\t" else ascii(char)[1:-1] for char in text)


def _expected(problem: Exception) -> Exit | None:
    """Return the exit code of a failure that the user can correct; None for a defect."""
    from ballast.errors import BallastError, MayNotAnswer, NotAdmitted
    from cli.escalation_files import NobodyWaits
    from localcloud.template import TemplateInvalid

    if isinstance(problem, NobodyWaits):
        return Exit.NOBODY_WAITS
    if isinstance(problem, MayNotAnswer):
        return Exit.MAY_NOT
    if isinstance(problem, NotAdmitted):
        return Exit.REFUSED
    return Exit.USAGE if isinstance(problem, BallastError | TemplateInvalid) else None


@contextmanager
def _interruptible() -> Iterator[None]:
    """Treat SIGTERM (`docker stop`, a CI's timeout) and SIGHUP as Ctrl-C within the block.

    A signal that is already ignored (`nohup`) stays ignored.
    """
    if threading.current_thread() is not threading.main_thread():  # Python takes handlers there only
        yield
        return
    taken = [one for one in (signal.SIGTERM, signal.SIGHUP) if signal.getsignal(one) is signal.SIG_DFL]
    for one in taken:
        signal.signal(one, signal.default_int_handler)
    try:
        yield
    finally:
        for one in taken:
            signal.signal(one, signal.SIG_DFL)
