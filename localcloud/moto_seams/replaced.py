"""Replace one attribute of moto within a block."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any


class SeamBroken(RuntimeError):
    """moto no longer has the part that a seam relies on."""


@contextmanager
def replaced(owner: object, name: str, value: object) -> Iterator[Any]:
    """Set ``owner.name`` to ``value`` within the block; yield the previous value."""
    try:
        before = vars(owner)[name]
    except KeyError:
        raise SeamBroken(f"{owner!r} has no {name}. moto is pinned in pyproject.toml: install that version.") from None
    setattr(owner, name, value)
    try:
        yield before
    finally:
        setattr(owner, name, before)
