"""A run's tau2 environment as a service to which the tools send requests, in this process.

A run's effects live as long as the process that executes its calls. Imports nothing of Ballast.
"""

import threading
from collections.abc import Mapping, Sequence
from contextlib import suppress
from functools import cache
from typing import Any

from pydantic import JsonValue
from pydantic_core import to_jsonable_python

from bench.tau2.environments import Tau2Environment, changes, fresh_environment

#: A run, its domain and task, and its requests: a tool, its arguments and a key each.
Asked = tuple[str, str, str | None, tuple[tuple[str, Mapping[str, Any], str | None], ...]]


class Refused(Exception):
    """tau2's tool said no; the text is its own."""


class Downstream:
    """One run's environment.

    A request that comes with an idempotency key is answered once and for all: the answer is kept together
    with the effect, and given again under the same key. tau2's own tools know no keys.
    """

    def __init__(self, environment: Tau2Environment) -> None:
        self.environment = environment
        self._answers: dict[str, Any] = {}
        self.asked: list[tuple[str, Mapping[str, Any], str | None]] = []

    def request(self, tool: str, arguments: Mapping[str, Any], *, key: str | None = None) -> Any:
        """Run tau2's tool, for whoever has it, and return its result as JSON. Raises ``Refused``."""
        if key in self._answers:
            return self._answers[key]
        self.asked.append((tool, arguments, key))
        theirs = self.environment.user_tools
        requestor = "user" if theirs is not None and theirs.has_tool(tool) else "assistant"
        try:
            result = self.environment.make_tool_call(tool, requestor=requestor, **arguments)
        except Exception as problem:
            # tau2's own loop hands every exception of a tool to the model as its result.
            raise Refused(str(problem)) from problem
        self.environment.sync_tools()
        answer = to_jsonable_python(result)
        if key is not None:
            self._answers[key] = answer
        return answer


class Downstreams:
    """The downstream of each run that is under way, made at the run's first call."""

    def __init__(self) -> None:
        self._by_run: dict[str, Downstream] = {}
        self._begun: dict[str, tuple[str, str | None]] = {}
        self._lock = threading.Lock()

    def of(self, run_id: str, domain: str, task_id: str | None) -> Downstream:
        """Return the run's downstream."""
        with self._lock:
            if run_id not in self._by_run:
                self._by_run[run_id] = Downstream(fresh_environment(domain, task_id))
                self._begun[run_id] = domain, task_id
            return self._by_run[run_id]

    def put(self, run_id: str, downstream: Downstream) -> None:
        """Give a run another one, such as one on a bad line."""
        with self._lock:
            self._by_run[run_id] = downstream

    def take(self, run_id: str, domain: str, task_id: str | None) -> Tau2Environment:
        """Return the environment of a run that has ended, and let go of it."""
        environment = self.of(run_id, domain, task_id).environment
        with self._lock:
            del self._by_run[run_id]
        return environment

    def clear(self) -> None:
        """Let go of every run's."""
        with self._lock:
            self._by_run.clear()

    def asked(self) -> list[Asked]:
        """Return what each run was asked for since it began."""
        with self._lock:
            return [(run_id, *self._begun[run_id], tuple(one.asked)) for run_id, one in self._by_run.items()]

    def ask_again(self, asked: Sequence[Asked]) -> None:
        """Let go of every run, and ask for the same again: tau2 answers alike."""
        self.clear()
        for run_id, domain, task_id, requests in asked:
            downstream = self.of(run_id, domain, task_id)
            for tool, arguments, key in requests:
                with suppress(Refused):
                    downstream.request(tool, arguments, key=key)

    def effects(self) -> dict[str, JsonValue]:
        """Return what calls have changed, by run and entry of its databases."""
        with self._lock:
            return {
                f"{run_id} {entry}": value
                for run_id, one in self._by_run.items()
                for entry, value in changes(one.environment, _as_begun(*self._begun[run_id])).items()
            }


@cache
def _as_begun(domain: str, task_id: str | None) -> Tau2Environment:
    """Return a task's environment to compare with, after what tau2 itself does at every call."""
    environment = fresh_environment(domain, task_id)
    environment.sync_tools()
    return environment


#: Shared by the playbooks' tools, which write, and by the benchmark, which looks at what came of it.
DOWNSTREAMS = Downstreams()

# For `ballast certify`: each playbook's store package has these five.

#: The function through which every request passes.
REQUESTS = ((Downstream, "request"),)


def seed_store(*_: object, **__: object) -> None:
    """Forget every run: its next call finds its databases as its task begins."""
    DOWNSTREAMS.clear()


def seen_outside() -> dict[str, JsonValue]:
    """Return what calls have changed."""
    return DOWNSTREAMS.effects()


def kept() -> list[Asked]:
    """Return what another process needs to have the same databases."""
    return DOWNSTREAMS.asked()


def put_back(kept: Sequence[Asked]) -> None:
    """Have the databases of the process that kept them."""
    DOWNSTREAMS.ask_again(kept)
