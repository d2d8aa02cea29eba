"""A project: a playbook, and what stands beside it: its business.yaml and its store.

::

    itdesk/
      business.yaml    tables, secrets, and the executor's rights to them
      itdesk/          the playbook: agent.yaml, tools/, fallbacks/, store/
      scenarios/, tests/
"""

import importlib
import sys
from datetime import date
from inspect import signature
from pathlib import Path
from traceback import extract_tb
from types import ModuleType
from typing import TYPE_CHECKING

from ballast.errors import PlaybookInvalid
from ballast.playbook import Playbook
from ballast.playbook.certificate import deployed_templates
from ballast.playbook.context import tools_environ
from ballast.playbook.load import playbook_in
from ballast.runtime import utc_now

if TYPE_CHECKING:
    from localcloud.cloud import LocalCloud

#: The project's part of the template.
BUSINESS = "business.yaml"
#: Parameters of the template that name the project's folder and its business.yaml.
PLAYBOOK_FOLDER, BUSINESS_TEMPLATE = "PlaybookFolder", "BusinessTemplate"


def project_of(playbook: Path) -> Path:
    """Return the project's folder: the one above the playbook's. ``playbook`` may be either of them.

    Raises ``PlaybookInvalid`` for a folder with several playbooks.
    """
    folder = playbook.resolve()
    return folder if playbook_in(folder) != folder else folder.parent


def business_of(playbook: Path) -> Path | None:
    """Return the business.yaml of a playbook: the one in its project, or in its own folder; None if it has none."""
    folders = (project_of(playbook), playbook_in(playbook.resolve()))
    return next((folder / BUSINESS for folder in folders if (folder / BUSINESS).is_file()), None)


def business_templates(playbook: Path) -> list[Path]:
    """Return the business's templates that are deployed: those that samconfig.toml names, else ``business_of``.

    Raises ``InvalidInput`` if one of them is not there.
    """
    named = [one.file.resolve() for one in deployed_templates(project_of(playbook))]
    own = business_of(playbook)
    return list(dict.fromkeys(named)) or ([own] if own is not None else [])


def template_parameters(playbook: Path) -> dict[str, str]:
    """Return the template's parameters for a playbook, as its samconfig.toml gives them to `sam build`."""
    given = {PLAYBOOK_FOLDER: str(project_of(playbook))}
    business = business_of(playbook)
    return given | ({BUSINESS_TEMPLATE: str(business)} if business else {})


def seed_store(
    cloud: "LocalCloud", playbook: Playbook, seed: int, size: dict[str, int], *, today: date | None = None
) -> None:
    """Fill the business's tables with ``seed_store`` of the playbook's ``store`` package, if it has one.

    ``today`` is the store's newest day; None is the real one.
    Raises ``PlaybookInvalid`` if the package cannot be imported or fails.
    """
    store = store_of(playbook)
    if store is None:
        return  # nothing to seed
    client = cloud.session.client("dynamodb")
    try:
        environ = tools_environ(cloud.environ("ExecutorFunction"))
        store.seed_store(client, environ, today=today or utc_now().date(), seed=seed, **size)
    except Exception as problem:
        where = _where(problem, playbook.folder)
        text = f"{where}: seed_store of its store failed: {type(problem).__name__}: {problem}"
        raise PlaybookInvalid(text) from problem


def store_of(playbook: Playbook) -> ModuleType | None:
    """Import a playbook's ``store`` and return it; None if it has none.

    Raises ``PlaybookInvalid`` if it cannot be imported, or has no ``seed_store`` that can be called.
    """
    name = f"{package_of(playbook)}.store"
    try:
        store = importlib.import_module(name)
    except Exception as problem:
        if isinstance(problem, ModuleNotFoundError) and problem.name == name:
            return None
        where = _where(problem, playbook.folder)
        text = f"{where}: the store cannot be imported: {type(problem).__name__}: {problem}"
        raise PlaybookInvalid(text) from problem
    seed = getattr(store, "seed_store", None)
    form = "Write `def seed_store(client, environ, *, today: date, seed: int) -> None`, which fills the tables."
    if not callable(seed):
        raise PlaybookInvalid(f"{store.__file__ or playbook.folder}: the store has no seed_store. {form}")
    try:
        signature(seed).bind(None, {}, today=None, seed=0)
    except TypeError as problem:
        raise PlaybookInvalid(f"{store.__file__}: seed_store cannot be called as it is: {problem}. {form}") from None
    except ValueError:
        pass  # it has no signature that can be read
    return store


def _where(problem: Exception, folder: Path) -> str:
    """Return the place in the playbook's code that an error comes from: its last frame there, or its syntax error."""
    if isinstance(problem, SyntaxError) and problem.filename:
        return f"{problem.filename}, line {problem.lineno}"
    at = [frame for frame in extract_tb(problem.__traceback__) if str(folder) in frame.filename][-1:]
    return f"{at[0].filename}, line {at[0].lineno}" if at else str(folder)


def package_of(playbook: Playbook) -> str:
    """Return the name under which the playbook's folder was imported: its own, or an alias."""
    return next(
        name
        for name, module in list(sys.modules.items())
        if "." not in name and str(playbook.folder) in [str(Path(part).resolve()) for part in _parts(module)]
    )


def _parts(module: object) -> list[str]:
    return [part for part in vars(module).get("__path__", ()) if isinstance(part, str)]
