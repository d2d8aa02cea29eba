"""The other process of ``cli.certify.elsewhere``: ``python -m cli.certify.worker FD FOLDER``.

It imports the playbook and forks for each play, so that no play remembers another one. What Python tells of the
machine is another machine's. Its clients' requests go to the process that started it.
"""

from __future__ import annotations

import io
import os
import platform
import select
import signal
import socket
import sys
import threading
import time
import traceback
import uuid
from collections.abc import Mapping
from contextlib import suppress
from datetime import timedelta
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from botocore.awsrequest import AWSResponse
from botocore.handlers import BUILTIN_HANDLERS

from ballast.contracts import RunRequest
from ballast.playbook import Playbook, Tool, ToolContext, load_playbook
from cli.certify.audit import Heard, OpenFiles, ended, exit_functions_forgotten, listening
from cli.certify.declared import Declared, declared
from cli.certify.elsewhere import EXIT, Came, Play
from cli.certify.kept_elsewhere import KeptElsewhere
from cli.certify.modules import memory_of
from cli.certify.plays import Plays
from cli.certify.pure import watched
from cli.certify.rig import End, Rig, Sample
from cli.certify.set_order import ORDER, turn_sets_of
from cli.certify.surroundings import Surroundings
from localcloud.project import package_of
from localcloud.sessions import Keys, LocalSession, Models

_HOST = "elsewhere.example"


class _RigAway(Rig):
    """A rig without a local cloud: its clients ask the process at the other end of ``line``."""

    def __init__(self, playbook: Playbook, line: Connection) -> None:
        self.playbook, self._line = playbook, line
        self.kept = KeptElsewhere()
        self._clients: dict[tuple[str, str], Any] = {}
        self._session: LocalSession | None = None
        self._credentials: tuple[str, str, str | None] | None = None
        self._sent: list[str] = []
        self._sent_at: dict[str, float] = {}
        self._now: End | None = None
        self._fault = None
        self._recording = self._asks = self._of_servers = False
        self._tables: dict[str, Any] = {}
        self._meanwhile = None
        self._counting = threading.Lock()
        self._close_connections = lambda: None
        self.attempts = 0
        self.plays, self._under = Plays(), ""
        self.surroundings = Surroundings(package_of(playbook))
        self._store = self._store_package()
        self._doubles = [] if self._store is None else [self._store]
        self._play = Play("attempt")
        self._outside_tools: set[str] = set()
        self._reached_outside = False
        self.heard = Heard()
        BUILTIN_HANDLERS.append(("before-send", self._forwarded))  # of clients that a tool makes for itself

    def _records(self, tool: Tool) -> bool:
        return self._play.records

    # Before the fork

    def prepare(self, play: Play) -> None:
        """Make what costs time and remembers nothing: clients; and let the doubles have what they keep."""
        if play.keys != self._credentials:
            self._credentials, self._clients = play.keys, {}
            self._session = LocalSession(Keys(*play.keys), _open_gate, models=Models())  # type: ignore[arg-type]
        for service in play.services:
            self._client(service)
        if play.kept is not None:
            self._store.put_back(play.kept)

    # In the fork

    def play(self, play: Play) -> Came:
        """Play it once."""
        self._play, self._tables = play, dict(play.tables)
        self._sent[:] = play.sent
        self.kept.buckets[:] = play.buckets
        ORDER.turned, ORDER.asked = play.turned, False
        self.heard.clear()
        exit_functions_forgotten()
        came, files = Came(), OpenFiles()
        if play.zone:
            os.environ["TZ"] = play.zone
            time.tzset()
        if play.what == "script":
            came.answer = self._script(play)
        else:
            self._tool(play, came)
        came.sent, came.sets = list(self._sent), ORDER.asked
        came.hidden, came.process = [*self.heard.hidden(), *files.written()], self.heard.process()
        if play.kept is not None:
            came.kept = self._store.kept()
        return came

    def _tool(self, play: Play, came: Came) -> None:
        tool = self.playbook.tools[play.tool]
        given = {**play.context, "client": self._client, "token": self._token}
        sample = Sample("", tool, tool.read(play.args), ToolContext(**given))
        rules = declared(tool)
        if play.what == "attempt":
            before = self._memories(rules)
            came.end = self.attempt(sample, draw=play.draw)
            after = self._memories(rules)
            came.kept_for = [at for at, said in after.items() if before.get(at) != said]
            return
        rule = rules[play.what]
        if play.what != "verify":
            came.answer, came.end = self.ask(play.what, lambda args, ctx: rule.said(args, ctx, play.result), sample)
            return
        answer, came.end = self.ask(play.what, rule.function, sample)
        if answer is not None and came.end.how == "ok":
            with suppress(Exception):
                came.answer = tool.dump(None if answer is True and tool.returns_nothing else answer)
                came.found = answer is not False or came.answer is False

    def _memories(self, rules: Mapping[str, Declared]) -> dict[tuple[str, str], str]:
        package = package_of(self.playbook)
        return {
            (name, kept): said
            for name, rule in rules.items()
            if rule.gets != "context"
            for kept, said in memory_of(rule.function, package).items()
        }

    def _script(self, play: Play) -> list[str]:
        from cli.certify.scripts import outcome_of, steps_as_text

        request: RunRequest = play.context["request"]
        script = self.playbook.fallbacks[str(request.intent)]
        outcomes = [outcome_of(self.playbook, one) for one in play.outcomes]
        now = play.context["now"] + timedelta(seconds=1)
        with self.surroundings.of(now, play.draw), listening(self.heard):
            return steps_as_text(script, request, outcomes)

    def _run(self, tool: str, run: Any, end: End, context: Any, **options: Any) -> None:
        def heard() -> None:
            with listening(self.heard):
                run()
                self.heard.changes += ended(str(self.playbook.folder))

        super()._run(tool, heard, end, context, **options)

    def _client(self, service: str, *given: Any, **options: Any) -> Any:
        if (service, "") not in self._clients:
            assert self._session is not None
            client = self._session.client(service)
            self._watch(client)
            self._clients[service, ""] = client
        return self._clients[service, ""]

    def _forwarded(self, request: Any, event_name: str = "", **_: Any) -> Any:
        """Answer a request of a client through the other process."""
        body = request.body
        body = body.read() if hasattr(body, "read") else body
        headers = [
            (name, value if isinstance(value, str) else value.decode()) for name, value in request.headers.items()
        ]
        self._line.send(("asks", event_name, (request.method, request.url, headers, body)))
        answer = self._line.recv()
        if isinstance(answer, str):
            raise ConnectionError(answer)
        status, found, content = answer
        return AWSResponse(request.url, status, found, _Raw(content))

    def _token(self, name: str) -> str:
        from ballast.on_behalf import NoToken

        self._line.send(("token", name))
        there, said = self._line.recv()
        if not there:
            raise NoToken(said)
        return str(said)


def _open_gate(request: Any, **_: Any) -> None:
    """Let every request pass: it goes to the other process."""


class _Raw(io.BytesIO):
    def stream(self, *_: Any, **__: Any) -> Any:
        """Yield the content in parts, as urllib3's responses do."""
        while part := self.read(65536):
            yield part


def be_elsewhere() -> None:
    """Let Python tell of another machine. Comes before the playbook's import."""
    real = os.uname()
    others = os.uname_result((real.sysname, _HOST, "0.0", "#0", real.machine))
    cpus = 3 if os.cpu_count() != 3 else 5
    socket.gethostname = lambda: _HOST
    socket.getfqdn = lambda name="": name or _HOST
    socket.gethostbyname = _of_itself(socket.gethostbyname)
    platform.node = lambda: _HOST
    platform.platform = lambda *_, **__: f"{real.sysname}-0.0-elsewhere"
    os.uname = lambda: others
    os.cpu_count = lambda: cpus
    for name in ("sched_getaffinity", "process_cpu_count", "getloadavg"):
        if hasattr(os, name):
            answers = {"sched_getaffinity": set(range(cpus)), "process_cpu_count": cpus, "getloadavg": (9.0, 9.0, 9.0)}
            setattr(os, name, lambda *_, _answer=answers[name]: _answer)
    uuid.getnode = lambda: 0x02E15E3E4E5E
    sys.argv[:] = sys.orig_argv[:] = ["bootstrap"]
    time.tzset()


def _of_itself(before: Any) -> Any:
    return lambda name: "198.51.100.7" if name == _HOST else before(name)


def main(fd: int, folder: Path, *, anew: bool = False) -> None:
    """Serve plays until the other end of the line closes. ``anew``: import the playbook in each play."""
    line = Connection(fd)
    be_elsewhere()
    turn_sets_of(folder)
    rig = None if anew else _imported(folder, line)
    if rig is None and not anew:
        return
    if threading.active_count() > 1:
        # A fork has no thread but the one that forks: a loop or a worker that a module has started would be missing.
        os.execv(sys.executable, [sys.executable, "-m", "cli.certify.worker", str(fd), str(folder), "anew"])  # noqa: S606
    while True:
        try:
            play = line.recv()
        except (EOFError, OSError):
            return
        if not isinstance(play, Play):
            continue  # the answer to a play that was ended
        if rig is not None and not _prepared(rig, play, line):
            continue
        ends, of_child = os.pipe()
        child = os.fork()
        if child == 0:
            os.close(ends)
            _play_and_exit(rig or folder, play, line)
        os.close(of_child)
        ended = bool(select.select([ends], [], [], play.most_s)[0])
        if not ended:
            os.kill(child, signal.SIGKILL)
        os.close(ends)
        _, status = os.waitpid(child, 0)
        if not ended:
            line.send(("endless",))
        elif os.waitstatus_to_exitcode(status) != EXIT:
            line.send(("broke", f"Its process ended by itself ({os.waitstatus_to_exitcode(status)})."))


def _imported(folder: Path, line: Connection) -> _RigAway | None:
    """Import the playbook and tell what its modules read; None if it cannot be imported."""
    try:
        at_import, drawn = list[str](), list[tuple[str, int]]()
        with watched(str(folder), at_import, chance_alone=True, drawn=drawn):
            playbook = load_playbook(folder, check_models=False)
        rig = _RigAway(playbook, line)
    except Exception as problem:
        said = "The playbook cannot be imported in another process, from a copy of what is shipped"
        line.send(("broke", f"{said}: {type(problem).__name__}: {problem}"))
        return None
    line.send(("ready", at_import, drawn))
    return rig


def _prepared(rig: _RigAway, play: Play, line: Connection) -> bool:
    try:
        rig.prepare(play)
    except Exception as problem:
        line.send(("broke", f"It cannot be prepared in another process: {type(problem).__name__}: {problem}"))
        return False
    return True


def _play_and_exit(given: _RigAway | Path, play: Play, line: Connection) -> None:
    """Play in a rig that is prepared, or in that of the playbook of a folder."""
    code = 1
    try:
        if isinstance(given, Path):
            rig = _RigAway(load_playbook(given, check_models=False), line)
            rig.prepare(play)
        else:
            rig = given
        came = rig.play(play)
        line.send(("end", came))
        code = EXIT
    except BaseException as problem:
        where = traceback.extract_tb(problem.__traceback__)[-1]
        line.send(("broke", f"{type(problem).__name__}: {problem} ({where.filename}, line {where.lineno})"))
        code = EXIT
    finally:
        os._exit(code)


if __name__ == "__main__":
    main(int(sys.argv[1]), Path(sys.argv[2]), anew=sys.argv[3:] == ["anew"])
