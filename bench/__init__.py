"""Benchmarks: each measures one thing, prints a table, and fails where what it timed did not happen as it must."""


class NotMeasured(Exception):
    """What was timed did not end as it must, so its time says nothing."""


def require(holds: bool, what: str) -> None:
    """Raise ``NotMeasured`` with ``what``, unless it ``holds``."""
    if not holds:
        raise NotMeasured(what)
