"""Exit codes: one number for each kind of ending, the same for every command."""

from enum import IntEnum


class Exit(IntEnum):
    """Exit codes; ``cli.help_texts`` explains them to users."""

    OK = 0
    UNEXPECTED = 1
    USAGE = 2
    REFUSED = 3
    UNANSWERED = 4
    NOBODY_WAITS = 5
    UNFIT = 6
    NOT_COVERED = 7
    MAY_NOT = 8
    INTERRUPTED = 130
    PIPE_CLOSED = 141


def exit_of(status: str) -> Exit:
    """Return the exit code of a run that ended with ``status``."""
    return {"answered": Exit.OK, "refused": Exit.REFUSED}.get(status, Exit.UNANSWERED)
