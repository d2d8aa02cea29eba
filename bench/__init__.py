"""Benchmarks: each measures one thing, prints a table, and fails if what it measured did not end correctly."""


class NotMeasured(Exception):
    """The measured work did not end correctly, so its time means nothing."""


def require(holds: bool, what: str) -> None:
    """Raise ``NotMeasured`` with ``what`` unless ``holds``."""
    if not holds:
        raise NotMeasured(what)
