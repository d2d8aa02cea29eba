"""A local cloud that is ready for runs: a model behind it and a seeded store."""

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ballast.errors import InvalidInput
from ballast.playbook import load_playbook
from ballast.playbook.load import playbook_in
from localcloud.gc_paused import gc_paused
from localcloud.project import seed_store

if TYPE_CHECKING:
    from localcloud.clock import Clock
    from localcloud.cloud import LocalCloud
    from localcloud.converse import Bedrock, Source


#: Sizes of the support desk's store. A scenario needs only the well-known orders; thousands take a second to write.
SMALL_STORE = {"customers": 20, "orders": 40}
STORE = {"customers": 100, "orders": 400}


def deploying(playbook: Path | None) -> str:
    """Return the line that says which playbook is deployed; None: the support desk."""
    from localcloud.cloud import PLAYBOOK

    folder = playbook_in((playbook or PLAYBOOK).resolve())
    of = "the support desk" if folder == PLAYBOOK.resolve() else f"the playbook {folder.name}"
    return f"Deploying template.yaml with {of} into a local cloud …"


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
    """Sleep for a retry, at most 0.1 s, so that a demo stays quick; its clock counts the rest as passed."""
    time.sleep(min(seconds, 0.1))
