"""tau2's environments: a fresh one for each run, in the state in which its task begins.

tau2 keeps a domain's whole database in memory. Imports tau2 and nothing of Ballast.
"""

import copy
import importlib
import pickle
from collections.abc import Iterator, Mapping
from functools import cache
from types import ModuleType
from typing import Any, Protocol

from pydantic_core import to_jsonable_python

#: The domains with a playbook here.
DOMAINS = ("airline", "retail", "telecom")


class Tau2Environment(Protocol):
    """What is used here of ``tau2.environment.environment.Environment``.

    tools       the agent's, with its database
    user_tools  those in the customer's own hands, with a database of their own; None where there are none
    """

    tools: Any
    user_tools: Any

    def make_tool_call(self, tool_name: str, requestor: str = "assistant", **arguments: Any) -> Any:
        """Run the tool and return its result, or raise whatever it raises."""

    def set_state(self, initialization_data: Any, initialization_actions: Any, message_history: list[Any]) -> None:
        """Bring a fresh database into a task's initial state."""

    def sync_tools(self) -> None:
        """Carry over what a call changed between the agent's side and the user's."""

    def run_env_assertion(self, assertion: Any, raise_assertion_error: bool) -> bool:
        """Say whether something that a task asks for has come about."""

    def get_db_hash(self) -> str | None:
        """Return the hash of the agent's whole database."""

    def get_user_db_hash(self) -> str | None:
        """Return the hash of the user's, None where there is none."""


class Table(dict[str, Any]):
    """A table of a database that shares its entries with other copies: one that is asked for by its key is its own.

    Who goes through all of them only looks: ``untouched`` tells.
    """

    def __init__(self, shared: Mapping[str, Any]) -> None:
        super().__init__(shared)
        self._shared = set(shared)

    def __getitem__(self, key: str) -> Any:
        """Return the entry, from now on this table's own."""
        if key in self._shared:
            self._shared.discard(key)
            super().__setitem__(key, copy.deepcopy(super().__getitem__(key)))
        return super().__getitem__(key)

    def __setitem__(self, key: str, value: Any) -> None:
        """Put an entry of this table's own."""
        self._shared.discard(key)
        super().__setitem__(key, value)


def toolkits(environment: Tau2Environment) -> dict[str, Any]:
    """Return tau2's toolkits by who uses them, as its gold plans name them."""
    both = {"assistant": environment.tools, "user": environment.user_tools}
    return {requestor: toolkit for requestor, toolkit in both.items() if toolkit is not None}


def hashes(environment: Tau2Environment) -> tuple[str | None, str | None]:
    """Return tau2's hashes of both databases."""
    return environment.get_db_hash(), environment.get_user_db_hash()


def alike(one: Tau2Environment, other: Tau2Environment) -> bool:
    """Say whether both databases are equal, and so their hashes: without taking these of what both share."""
    return all(toolkit.db == toolkits(other)[requestor].db for requestor, toolkit in toolkits(one).items())


def changes(environment: Tau2Environment, other: Tau2Environment) -> dict[str, Any]:
    """Return each entry of the databases that is not as in another environment, as JSON; None: it is gone.

    An entry that both share is not looked at.
    """
    found: dict[str, Any] = {}
    for requestor, toolkit in toolkits(environment).items():
        there = toolkits(other)[requestor].db
        for name, has in vars(toolkit.db).items():
            for entry, one, before in _entries(name, has, getattr(there, name)):
                if one is not before and one != before:
                    found[f"{requestor} {entry}"] = to_jsonable_python(one)
    return found


def _entries(name: str, has: Any, had: Any) -> Iterator[tuple[str, Any, Any]]:
    if isinstance(has, list) and isinstance(had, list):
        has, had = dict(enumerate(has)), dict(enumerate(had))
    if not (isinstance(has, dict) and isinstance(had, dict)):
        yield name, has, had
        return
    for key in {**has, **had}:
        yield f"{name}.{key}", has.get(key), had.get(key)


def unmet(environment: Tau2Environment, task_id: str, domain: str) -> list[str]:
    """Return what the task asserts of its ending and is not so."""
    wanted = tasks(domain)[task_id].evaluation_criteria.env_assertions or []
    return [
        f"{one.func_name} {one.arguments}"
        for one in wanted
        if not environment.run_env_assertion(one, raise_assertion_error=False)
    ]


@cache
def domain_module(domain: str) -> ModuleType:
    """Import ``tau2.domains.<domain>.environment``. Raises ``ImportError`` where tau2 is not installed."""
    # By name and not by an import statement: tau2 is optional, and it has no types.
    importlib.import_module("loguru").logger.disable("tau2")
    return importlib.import_module(f"tau2.domains.{domain}.environment")


@cache
def tasks(domain: str) -> Mapping[str, Any]:
    """Return the domain's tasks (``tau2.data_model.tasks.Task``) of the base split by id, in tau2's order."""
    return {str(task.id): task for task in domain_module(domain).get_tasks()}


@cache
def _pristine(domain: str) -> tuple[bytes, Mapping[str, Mapping[str, Any]]]:
    """Return the domain's environment with its tables taken out, and the tables by name."""
    environment = domain_module(domain).get_environment()
    database = environment.tools.db
    tables = {name: value for name, value in vars(database).items() if isinstance(value, dict)}
    for name in tables:
        setattr(database, name, {})
    return pickle.dumps(environment), tables


def fresh_environment(domain: str, task_id: str | None) -> Tau2Environment:
    """Return a new environment in the task's initial state; without a task, in the domain's.

    Raises ``LookupError`` for a task that the domain does not have.
    """
    # What is small is copied by pickle; airline's and retail's tables would take a tenth of a second.
    rest, tables = _pristine(domain)
    environment: Tau2Environment = pickle.loads(rest)  # noqa: S301  our own bytes
    for name, table in tables.items():
        setattr(environment.tools.db, name, Table(table))
    if task_id is None:
        return environment
    task = tasks(domain).get(task_id)
    if task is None:
        raise LookupError(f"tau2's {domain} has no task {task_id}; it has {', '.join(tasks(domain))}.")
    start = task.initial_state
    if start is not None:
        environment.set_state(start.initialization_data, start.initialization_actions, start.message_history or [])
    return environment


def untouched(domain: str) -> bool:
    """Say whether what all copies share is still as tau2 ships it: a test of ``Table``, and of who only looks."""
    shared, shipped = fresh_environment(domain, None), domain_module(domain).get_environment()
    return hashes(shared) == hashes(shipped)
