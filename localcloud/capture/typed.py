"""Words that a user types into a captured test: with the same stand-ins as the record, or refused. Pure.

::

    --expect answer=otto@acme.com     the record has it ─▶ answer=person1@example.com
                                      it has not ────────▶ refused: no run of the test could give that value
    --expect forbidden=acme.com       a part of it ──────▶ refused: no text of the test has it any more

A defect is judged twice, in the record as it is and with its stand-ins, and must be the same one.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from ballast.errors import InvalidInput
from ballast.secret_scan.readings import plain
from localcloud.capture.invariant import Defect
from localcloud.capture.stand_ins import StandIns

_OF_TEXTS = ("answer", "forbidden")


def with_stand_ins(said: Sequence[str], stand_ins: StandIns, recorded: Any, replaced: Any) -> list[str]:
    """Return ``NAME=VALUE`` words with the stand-ins of the record. Raises ``InvalidInput``.

    recorded, replaced  what the record has, as it is and with stand-ins
    """
    before, after = "\n".join(_texts(recorded)), "\n".join(_texts(replaced))
    made = []
    for word in said:
        name, equals, value = word.partition("=")
        shown, unknown = stand_ins.of_typed(value.strip())
        if unknown:
            raise InvalidInput(
                f"--expect {name}: has a personal value that the record does not have (a sealed one is masked there), "
                "so it has no stand-in, and the test could never meet it. Use words without it."
            )
        if name in _OF_TEXTS and (plain(value) in before) != (plain(shown) in after):
            raise InvalidInput(
                f"--expect {name}: is a part of a sealed or personal value, or of its stand-in. The test has the "
                "stand-in. Type the whole value as the record has it, or other words."
            )
        made.append(f"{name}{equals}{shown}")
    return made


def check_same(recorded: Defect, replaced: Defect) -> None:
    """Raise ``InvalidInput`` if stand-ins change what is wrong with the run."""
    if len(recorded.kinds) != len(replaced.kinds) or recorded.ending != replaced.ending:
        raise InvalidInput(
            "--expect: holds in the record and not with its stand-ins, or the other way round: the test would judge "
            "another defect. Type a sealed or personal value exactly as the record has it, or other words."
        )


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, Mapping):
        for name, inner in value.items():
            yield plain(str(name))
            yield from _texts(inner)
    elif isinstance(value, list | tuple):
        for inner in value:
            yield from _texts(inner)
    elif value is not None:
        yield plain(str(value))
