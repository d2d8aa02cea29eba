"""Short digests of what a run is made of: the playbook, its agents, the models' cards, the platform's code.

``run.opened`` records them, so that a replay knows what ran. Each is the beginning of a SHA-256: enough to tell two
versions apart, and no evidence. They are computed once a process, from files that a deployed function never changes,
and where a function does not have the files, from the digests that the build kept.
"""

import hashlib
from collections.abc import Iterable, Mapping
from functools import cache
from pathlib import Path

from ballast.contracts.wire import canonical
from ballast.playbook.file_digests import kept, of_platform, of_playbook, of_project
from ballast.playbook.load import Playbook

_DIGITS = 16
_LAYER = Path(__file__).resolve().parents[1]
#: Files of a playbook that ``agent`` and ``cards`` are about.
_APART = ("agent.yaml", "agents/", "models.yaml")
#: What only a project has beside its playbook's folder.
_OF_A_PROJECT = ("scenarios", "business.yaml", "requirements.txt")


def made_of(playbook: Playbook) -> dict[str, str]:
    """Return the digests by what they are of.

    playbook  each file that is shipped of its project: code, ``servers/``, data, packages beside it
    agent     every agent as it is read: instructions, limits, models, rules
    cards     the platform's model cards and the playbook's own, with their prices
    code      the platform's: layer, functions and workflow
    """
    agents = {name: agent.model_dump(mode="json") for name, agent in playbook.agents.items()}
    return {
        "playbook": _playbook(playbook.folder),
        "agent": hashlib.sha256(canonical(agents).encode("ascii")).hexdigest()[:_DIGITS],
        "cards": _cards(playbook.folder),
        "code": platform_code(),
    }


def _playbook(folder: Path) -> str:
    files = kept(folder)
    if files is None:
        # A playbook alone may lie among anything.
        whole = any((folder.parent / name).exists() for name in _OF_A_PROJECT)
        files = of_project(folder.parent) if whole else of_playbook(folder)
    within = "" if "agent.yaml" in files else f"{folder.name}/"
    apart = tuple(f"{within}{path}" for path in _APART)
    return _short({path: one for path, one in files.items() if not path.startswith(apart)})


@cache
def _cards(folder: Path) -> str:
    # `sam build` parses the cards beforehand, so their files have another form there.
    cards = (file for file in (_LAYER / "models").rglob("*") if file.is_file() and file.suffix not in (".py", ".pyc"))
    return _digest([*sorted(cards), *sorted(folder.glob("models.yaml"))])


@cache
def platform_code() -> str:
    """Return the digest of the platform's code, in a source tree and where it is deployed."""
    files = kept(_LAYER)
    return _short(of_platform(_LAYER.parents[2]) if files is None else files)


def _short(digests: Mapping[str, str]) -> str:
    return hashlib.sha256(canonical(dict(digests)).encode("ascii")).hexdigest()[:_DIGITS]


def _digest(files: Iterable[Path]) -> str:
    whole = hashlib.sha256()
    for file in files:
        whole.update(f"{file.name}\0".encode())
        whole.update(hashlib.sha256(file.read_bytes()).digest())
    return whole.hexdigest()[:_DIGITS]
