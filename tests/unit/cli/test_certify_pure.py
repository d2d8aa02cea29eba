"""Calls of C functions that were allowed once, and are not where another one calls, or on another value."""

import datetime
import random
from typing import Any

from cli.certify.pure import watched

_OWN = "/playbook"
#: The same code as the library's and as the playbook's own.
_CODE = """
def number_of(value):
    return id(value)

def seconds_of(moment):
    return moment.timestamp()

def drawn_from(generator):
    return generator.random()
"""


def compiled(file: str) -> dict[str, Any]:
    made: dict[str, Any] = {}
    exec(compile(_CODE, file, "exec"), made)
    return made


def test_what_the_library_may_call_the_playbook_may_not() -> None:
    library, own, reads = compiled("/library/code.py"), compiled(f"{_OWN}/code.py"), list[str]()

    with watched(_OWN, reads):
        library["number_of"](1)
        assert reads == []
        own["number_of"](1)

    assert reads == ["a place in memory, id() (code.py, line 3)"]


def test_a_time_with_a_zone_allows_none_without() -> None:
    own, reads = compiled(f"{_OWN}/code.py"), list[str]()
    noon = datetime.datetime(2026, 3, 1, 12, tzinfo=datetime.UTC)

    with watched(_OWN, reads):
        own["seconds_of"](noon)
        assert reads == []
        own["seconds_of"](noon.replace(tzinfo=None))

    assert [one.partition(",")[0] for one in reads] == ["the machine's time zone"]


def test_a_seeded_generator_allows_none_that_is_not() -> None:
    own, reads = compiled(f"{_OWN}/code.py"), list[str]()
    other = random.Random()

    with watched(_OWN, reads):
        seeded = random.Random()
        seeded.seed(7)
        own["drawn_from"](seeded)
        assert reads == []
        own["drawn_from"](other)

    assert [one.partition(",")[0] for one in reads] == ["randomness"]
