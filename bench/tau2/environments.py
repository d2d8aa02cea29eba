"""tau2's environments: a fresh one for each run, held in this process.

tau2 keeps a domain's whole database in memory, so a run's effects live as long as the process
that executes its calls. Imports tau2 and nothing of Ballast.
"""

import importlib
import pickle
import threading
from collections.abc import Mapping
from functools import cache
from types import ModuleType
from typing import Any, Protocol


class Tau2Environment(Protocol):
    """What is used here of ``tau2.environment.environment.Environment``."""

    tools: Any

    def make_tool_call(self, tool_name: str, **arguments: Any) -> Any:
        """Run the tool and return its result, or raise whatever it raises."""

    def set_state(self, initialization_data: Any, initialization_actions: Any, message_history: list[Any]) -> None:
        """Bring a fresh database into a task's initial state."""

    def sync_tools(self) -> None:
        """Carry over what a call changed between the agent's side and the user's."""

    def get_db_hash(self) -> str:
        """Return the hash of the whole database."""


@cache
def domain_module(domain: str) -> ModuleType:
    """Import ``tau2.domains.<domain>.environment``. Raises ``ImportError`` where tau2 is not installed."""
    # By name and not by an import statement: tau2 is optional, and it has no types.
    importlib.import_module("loguru").logger.disable("tau2")
    return importlib.import_module(f"tau2.domains.{domain}.environment")


@cache
def tasks(domain: str) -> Mapping[str, Any]:
    """Return the domain's tasks (``tau2.data_model.tasks.Task``) by id, in tau2's order."""
    return {str(task.id): task for task in domain_module(domain).get_tasks()}


@cache
def _pristine(domain: str) -> bytes:
    return pickle.dumps(domain_module(domain).get_environment())


def fresh_environment(domain: str, task_id: str | None) -> Tau2Environment:
    """Return a new environment in the task's initial state; without a task, in the domain's.

    Raises ``LookupError`` for a task that the domain does not have.
    """
    # A copy by pickle costs less than half of reading and validating the JSON again.
    environment: Tau2Environment = pickle.loads(_pristine(domain))  # noqa: S301  our own bytes
    if task_id is None:
        return environment
    task = tasks(domain).get(task_id)
    if task is None:
        raise LookupError(f"tau2's {domain} has no task {task_id}; it has {', '.join(tasks(domain))}.")
    start = task.initial_state
    if start is not None:
        environment.set_state(start.initialization_data, start.initialization_actions, start.message_history or [])
    return environment


class RunEnvironments:
    """The environment of each run that is under way, made at the run's first call."""

    def __init__(self) -> None:
        self._by_run: dict[str, Tau2Environment] = {}
        self._lock = threading.Lock()

    def of(self, run_id: str, domain: str, task_id: str | None) -> Tau2Environment:
        """Return the run's environment."""
        with self._lock:
            if run_id not in self._by_run:
                self._by_run[run_id] = fresh_environment(domain, task_id)
            return self._by_run[run_id]

    def take(self, run_id: str, domain: str, task_id: str | None) -> Tau2Environment:
        """Return the environment of a run that has ended, and let go of it."""
        environment = self.of(run_id, domain, task_id)
        with self._lock:
            del self._by_run[run_id]
        return environment


#: Shared by the playbooks' tools, which write, and by the benchmark, which looks at what came of it.
RUN_ENVIRONMENTS = RunEnvironments()
