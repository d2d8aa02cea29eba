"""One Python process for each built function: started with the template's environment, sent events, and inspected."""

from __future__ import annotations

import json
import logging
import os
import re
import subprocess
import tempfile
import threading
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Self, cast

from localcloud.functions import Function
from localcloud.sessions import REGION
from tests.artifacts.build import Artifact, Build

LOG = logging.getLogger(__name__)

CHILD = Path(__file__).with_name("child.py")
#: What Python and boto3 read of the machine, in Lambda too.
_OF_THE_MACHINE = {"/dev/null", "/dev/urandom"}
_SERVICE_MODEL = re.compile(r"/botocore/data/([a-z0-9-]+)/\d{4}-\d\d-\d\d/service-2\.json")


@dataclass(frozen=True)
class Seen:
    """What a process loaded, opened and talked to, from before its handler was imported to its end.

    outside   what belongs neither to the function, its layers, boto3 nor Python; empty where all is well
    compiled  the function's and layers' sources that it compiled, since they had no bytecode; likewise
    clients   of which AWS services it made clients, by boto3's names
    modules   what it imported, by file
    peak_mb   the most megabytes that it had in memory; 0 where the system does not say it
    """

    outside: tuple[str, ...]
    compiled: tuple[str, ...]
    clients: frozenset[str]
    modules: Mapping[str, str]
    peak_mb: float


class HandlerFailed(Exception):
    """The handler raised, or could not be imported; the text has its traceback."""


class Lambda:
    """A context manager: the process of one function.

    environ  the function's environment, as the stack has it
    """

    def __init__(self, build: Build, artifact: Artifact, environ: Mapping[str, str], endpoint_url: str) -> None:
        self._artifact = artifact
        self._roots = [str(path.resolve()) for path in (artifact.code, artifact.opt, build.runtime)]
        self._python, self._path = build.python, [*self._roots]
        self._path[1] += "/python"
        self._environ = {
            **environ,
            **{name: self._here(value) for name, value in artifact.fixed.items()},
            "AWS_ENDPOINT_URL": endpoint_url,
            "AWS_REGION": REGION,
            "AWS_DEFAULT_REGION": REGION,
            "AWS_ACCESS_KEY_ID": "LOCALADMIN",
            "AWS_SECRET_ACCESS_KEY": "local",
            "AWS_LAMBDA_FUNCTION_NAME": artifact.name,
            "LAMBDA_TASK_ROOT": self._roots[0],
            "TZ": "UTC",
        }
        self._one_at_a_time = threading.Lock()

    def _here(self, path: str) -> str:
        """Return where a path in Lambda is on this machine."""
        code, opt, _ = self._roots
        return opt + path.removeprefix("/opt") if path.startswith("/opt") else code + path.removeprefix("/var/task")

    def __enter__(self) -> Self:
        self._home = tempfile.TemporaryDirectory(prefix="ballast-lambda-")  # nobody's, and empty
        self._printed = tempfile.TemporaryFile("w+", encoding="utf-8")
        self._process = subprocess.Popen(
            [self._python, "-I", "-S", "-B", CHILD],
            cwd=self._artifact.code,
            env={**self._environ, "HOME": self._home.name},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._printed,
            text=True,
            encoding="utf-8",
        )
        self._send({"handler": self._artifact.handler, "path": self._path})
        return self

    def __exit__(
        self, kind: type[BaseException] | None, problem: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._process.kill()
        self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout):
            with suppress(BrokenPipeError):  # what it was sent last it will not read
                cast(IO[str], pipe).close()
        self._printed.close()
        self._home.cleanup()

    def handler(self, event: Any, context: Any, *, runtime: Any = None) -> Any:
        """Do what the function's handler does; its error is raised by its own name, as Lambda reports it."""
        said = {
            "event": event,
            "remaining_ms": context.get_remaining_time_in_millis(),
            "context": {name: value for name, value in vars(context).items() if not name.startswith("_")},
        }
        with self._one_at_a_time:
            self._send(said)
            return self._result()

    def imported(self) -> Self:
        """Wait until the handler is imported. Raises ``HandlerFailed``."""
        self._result()
        return self

    def end(self) -> Seen:
        """End the process and return what it saw."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        said = self._answer()
        roots = (*self._roots, *said["python"])

        def is_outside(file: str) -> bool:
            within = any(file == root or file.startswith(root + os.sep) for root in roots)
            is_python_packages = "/site-packages/" in file and not file.startswith(self._roots[2])
            return file not in _OF_THE_MACHINE and file != str(CHILD) and (is_python_packages or not within)

        outside = [f"imported {name} from {file}" for name, file in said["modules"].items() if is_outside(file)]
        outside += [f"opened {file}" for file in said["opened"] if is_outside(file)]
        outside += [f"wrote {file}" for file in said["written"] if file != "/dev/null"]
        outside += [f"talked to {host}" for host in said["connected"] if host != "127.0.0.1"]
        outside += [f"started {process}" for process in said["started"]]
        clients = frozenset(found[1] for file in said["opened"] if (found := _SERVICE_MODEL.search(file)))
        compiled = [
            file for file in said["compiled"] if file.startswith(tuple(root + os.sep for root in self._roots[:2]))
        ]
        return Seen(tuple(outside), tuple(compiled), clients, said["modules"], said["peak_mb"])

    def _send(self, said: Any) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(said) + "\n")
        self._process.stdin.flush()

    def _result(self) -> Any:
        answered = self._answer()
        if "error" in answered:
            # The workflow catches it, and what the test sees is only what came of that.
            LOG.warning("%s: %s", self._artifact.name, answered["trace"])
            failed = type(answered["error"], (HandlerFailed,), {})
            raise failed(f"{self._artifact.name}: {answered['message']}\n{answered['trace']}")
        return answered["result"]

    def _answer(self) -> Any:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            self._printed.seek(0)
            raise HandlerFailed(f"{self._artifact.name}: its process died and printed:\n{self._printed.read()}")
        return json.loads(line)


class Lambdas:
    """A context manager: the processes of the functions of one build, started side by side."""

    def __init__(self, build: Build) -> None:
        self._build = build
        self._started: dict[str, Lambda] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, problem: BaseException | None, trace: TracebackType | None
    ) -> None:
        for started in self._started.values():
            started.__exit__(kind, problem, trace)

    def start(self, name: str, environ: Mapping[str, str], endpoint_url: str) -> None:
        """Start a function's process; its handler is imported while the caller goes on."""
        self._started[name] = Lambda(self._build, self._build.functions[name], environ, endpoint_url).__enter__()

    def imported(self) -> None:
        """Wait until every handler is imported. Raises ``HandlerFailed``."""
        for started in self._started.values():
            started.imported()

    def handler_of(self, function: Function) -> Any:
        """Return what stands for the handler in a ``LocalCloud``."""
        return self._started[function.logical_id].handler

    def end(self) -> dict[str, Seen]:
        """End all processes and return what each saw."""
        return {name: started.end() for name, started in self._started.items()}
