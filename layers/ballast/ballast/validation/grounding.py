"""Whether the values that a call acts on were ever heard of, and from whom. Pure.

An argument marked ``Grounded`` must occur in what the run knows: one that does not was invented. One that
occurs only where nobody vouches for the text is tainted, and what follows is the tool's to say.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from pydantic import BaseModel

from ballast.validation.marks import Found, Grounded, leaves
from ballast.validation.sources import Source
from ballast.validation.value import Wanted

#: What a tool does with values that only untrusted text names: let a person decide, refuse the call, or allow it.
Taint = Literal["approve", "refuse", "allow"]


@dataclass(frozen=True)
class Grounding:
    """Where each marked value comes from, by the path of its field.

    known       from a source that somebody vouches for: the path and the source
    tainted     from untrusted text only: the path and the source
    ungrounded  from nowhere
    """

    known: Mapping[str, str] = field(default_factory=dict)
    tainted: Mapping[str, str] = field(default_factory=dict)
    ungrounded: tuple[str, ...] = ()


def ground(args: BaseModel, opening: Sequence[Source], run: Callable[[], Sequence[Source]]) -> Grounding:
    """Find where each marked value of ``args`` comes from.

    ``run`` is asked only where the opening does not settle it: most values are the request's own.
    """
    marked = [found for found in leaves(type(args), args, Grounded) if found.mark is not None and _says(found.value)]
    known: dict[str, str] = {}
    left: list[tuple[str, Wanted]] = []
    for found in marked:
        wanted = _wanted(found)
        origin = _origin(wanted, opening, trusted=True)
        if origin is None:
            left.append((found.path, wanted))
        else:
            known[found.path] = origin
    if not left:
        return Grounding(known=known)
    everything = [*opening, *run()]
    tainted: dict[str, str] = {}
    ungrounded: list[str] = []
    for path, wanted in left:
        if (origin := _origin(wanted, everything, trusted=True)) is not None:
            known[path] = origin
        elif (origin := _origin(wanted, everything, trusted=False)) is not None:
            tainted[path] = origin
        else:
            ungrounded.append(path)
    return Grounding(known, tainted, tuple(dict.fromkeys(ungrounded)))


def _wanted(found: Found) -> Wanted:
    return Wanted.of(found.value, found.mark.kind if isinstance(found.mark, Grounded) else None)


def _origin(wanted: Wanted, sources: Sequence[Source], *, trusted: bool) -> str | None:
    return next((source.where for source in sources if source.trusted is trusted and source.holds(wanted)), None)


def _says(value: Any) -> bool:
    """Say whether there is anything to find: an empty text takes something away and names nothing."""
    return str(value).strip() != ""
