"""Short digests of what a run is made of: the playbook, its agents, the models' cards, the platform's code.

``run.opened`` records them, so that a replay knows what ran. Each is the beginning of a SHA-256: enough to tell two
versions apart, and no evidence. They are computed once a process, from files that a deployed function never changes.
"""

import hashlib
from collections.abc import Iterable
from functools import cache
from pathlib import Path

from ballast.contracts.wire import canonical
from ballast.playbook.load import Playbook

_DIGITS = 16
_LAYER = Path(__file__).resolve().parents[1]


def made_of(playbook: Playbook) -> dict[str, str]:
    """Return the digests by what they are of.

    playbook  its Python files and ``servers/``
    agent     every agent as it is read: instructions, limits, models, rules
    cards     the platform's model cards and the playbook's own, with their prices
    code      the layer's Python files
    """
    agents = {name: agent.model_dump(mode="json") for name, agent in playbook.agents.items()}
    return {
        "playbook": playbook.code_sha256[:_DIGITS],
        "agent": hashlib.sha256(canonical(agents).encode("ascii")).hexdigest()[:_DIGITS],
        "cards": _cards(playbook.folder),
        "code": platform_code(),
    }


@cache
def _cards(folder: Path) -> str:
    # `sam build` parses the cards beforehand, so their files have another form there.
    cards = (file for file in (_LAYER / "models").rglob("*") if file.is_file() and file.suffix not in (".py", ".pyc"))
    return _digest([*sorted(cards), *sorted(folder.glob("models.yaml"))])


@cache
def platform_code() -> str:
    """Return the digest of the layer's Python files, in a source tree and where it is deployed."""
    return _digest(sorted(file for file in _LAYER.rglob("*.py") if file != _LAYER / "testing.py"))  # is not shipped


def _digest(files: Iterable[Path]) -> str:
    whole = hashlib.sha256()
    for file in files:
        whole.update(f"{file.name}\0".encode())
        whole.update(hashlib.sha256(file.read_bytes()).digest())
    return whole.hexdigest()[:_DIGITS]
