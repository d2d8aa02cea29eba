"""A local cloud that is ready for runs: a model behind it and a seeded store."""

import importlib
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from datetime import date
from pathlib import Path
from traceback import extract_tb
from typing import TYPE_CHECKING, Any

from ballast.errors import InvalidInput, PlaybookInvalid
from ballast.playbook import Playbook, load_playbook
from ballast.runtime import utc_now
from localcloud.gc_paused import gc_paused

if TYPE_CHECKING:
    from localcloud.clock import Clock
    from localcloud.cloud import LocalCloud
    from localcloud.converse import Bedrock, Source


#: Sizes of the support desk's store. A scenario needs only the well-known orders; thousands take a second to write.
SMALL_STORE = {"customers": 20, "orders": 40}
STORE = {"customers": 100, "orders": 400}


@contextmanager
def local_stack(
    model: "Source | Bedrock",
    *,
    playbook: Path | None = None,
    seed: int = 1,
    size: dict[str, int] | None = None,
    clock: "Clock | None" = None,
    parameters: Mapping[str, str] | None = None,
    enforce_iam: bool = True,
) -> Iterator["LocalCloud"]:
    """Yield a local cloud whose agent calls ``model`` and whose tables hold the playbook's store.

    seed, size   of the generated store
    clock        the cloud's clock; None is real time
    parameters   the template's; each of the others has its default
    enforce_iam  give each function only the rights of its role
    Raises ``PlaybookInvalid``, and ``InvalidInput`` if Bedrock is chosen without credentials.
    """
    with ExitStack() as stack:
        with gc_paused():
            cloud = _set_up(stack, model, playbook, seed, size or {}, clock, parameters or {}, enforce_iam)
        yield cloud


def _set_up(
    stack: ExitStack,
    model: "Source | Bedrock",
    playbook: Path | None,
    seed: int,
    size: dict[str, int],
    clock: "Clock | None",
    parameters: Mapping[str, str],
    enforce_iam: bool,
) -> "LocalCloud":
    from localcloud.clock import WallClock
    from localcloud.cloud import PLAYBOOK, LocalCloud
    from localcloud.converse import Bedrock, ConverseServer
    from localcloud.sessions import NotLocal

    loaded = load_playbook(playbook or PLAYBOOK)
    options: dict[str, Any] = {"playbook": playbook, "clock": clock or WallClock(), "parameters": parameters}
    options["enforce_iam"] = enforce_iam
    if isinstance(model, Bedrock):
        options |= {"allow_bedrock": True, "parameters": {**parameters, "ModelId": model.model_id}}
    else:
        options["model_endpoint_url"] = stack.enter_context(ConverseServer(model, loaded.models)).url
    try:
        cloud = stack.enter_context(LocalCloud(**options))
    except NotLocal as problem:
        raise InvalidInput(f"--model: {problem}") from None
    seed_store(cloud, loaded, seed, size)
    return cloud


def parameters_of(words: Sequence[str]) -> dict[str, str]:
    """Return the template's parameters from ``NAME=VALUE`` words. Raises ``InvalidInput`` for invalid ones."""
    from localcloud.cloud import ROOT
    from localcloud.parameters import broken
    from localcloud.parameters import typed as parameters
    from localcloud.template import load_template

    template = load_template(ROOT / "template.yaml")
    try:
        given = parameters(template["Parameters"], words)
    except ValueError as problem:
        raise InvalidInput(f"--parameter: {problem}") from None
    if wrong := broken(template, given):
        raise InvalidInput(f"--parameter: {' '.join(wrong)}")
    return given


def shortened(seconds: float) -> None:
    """Sleep for a retry, at most 0.1 s, so that a demo stays quick."""
    time.sleep(min(seconds, 0.1))


def seed_store(
    cloud: "LocalCloud", playbook: Playbook, seed: int, size: dict[str, int], *, today: date | None = None
) -> None:
    """Fill the business's tables with ``seed_store`` of the playbook's ``store`` package, if it has one.

    ``today`` is the store's newest day; None is the real one.
    Raises ``PlaybookInvalid`` if the package cannot be imported or fails.
    """
    name = f"{package_of(playbook)}.store"
    try:
        store = importlib.import_module(name)
    except ModuleNotFoundError as problem:
        if problem.name == name:
            return  # nothing to seed
        raise PlaybookInvalid(f"{playbook.folder}: its store cannot be imported: {problem}") from problem
    except Exception as problem:
        text = f"{playbook.folder}: its store cannot be imported: {type(problem).__name__}: {problem}"
        raise PlaybookInvalid(text) from problem
    client = cloud.session.client("dynamodb")
    try:
        store.seed_store(client, cloud.environ("ExecutorFunction"), today=today or utc_now().date(), seed=seed, **size)
    except Exception as problem:
        # The last frame in the playbook's code says where.
        at = [frame for frame in extract_tb(problem.__traceback__) if str(playbook.folder) in frame.filename][-1:]
        where = f" ({at[0].filename}, line {at[0].lineno})" if at else ""
        text = f"{playbook.folder}: seed_store of its store failed: {type(problem).__name__}: {problem}{where}"
        raise PlaybookInvalid(text) from problem


def package_of(playbook: Playbook) -> str:
    """Return the name under which the playbook's folder was imported: its own, or an alias."""
    return next(
        name
        for name, module in list(sys.modules.items())
        if "." not in name and str(playbook.folder) in [str(Path(part).resolve()) for part in _parts(module)]
    )


def _parts(module: object) -> list[str]:
    return [part for part in vars(module).get("__path__", ()) if isinstance(part, str)]
