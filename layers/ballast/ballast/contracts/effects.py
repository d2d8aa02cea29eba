"""How the writes of a run ended."""

from enum import StrEnum


class Effects(StrEnum):
    """How the effects of a run ended.

    none    it never wrote
    kept    they stand, and whoever answered went on from them
    undone  every one of them was undone
    frozen  one is unknown, could not be undone or must not be, or the run broke off: a person is told
    """

    NONE = "none"
    KEPT = "kept"
    UNDONE = "undone"
    FROZEN = "frozen"
