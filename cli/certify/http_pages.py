"""Answers of services outside of AWS in pages: the first one has half of a list, and names a next one.

A service answers a list in pages if its answer has a field for that, such as ``next`` or ``has_more``. Where it is
empty, a play fills it, and leaves the first half of the list. How a next page is asked for differs from service to
service: whoever asks the same path again is answered as always, and nothing is said of what follows from that. Where a
request says how much it wants (``limit=5``), its answer stays as it is.
"""

from __future__ import annotations

import http.client
import json
import re
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

from cli.certify.http_answers import answered_again
from cli.certify.threads import of_attempt
from localcloud.moto_seams.replaced import replaced

PAGED = "Where the first page of a service has half of the list, and names a next one"
#: Begins what names the next page.
_MADE_UP = "ballast page"
_NEXT = re.compile(
    r"^@?(odata\.)?(next(_?(page|token|cursor|url|link))*|(page|continuation)?_?(cursor|token)|has_?(more|next)|more)$",
    re.I,
)
#: Fields in which some services have that.
_WITHIN = ("links", "_links", "meta", "page", "pageInfo", "page_info", "pagination", "paging")
_HOW_MANY = re.compile(r"[?&$](limit|size|per_?page|page_?size|count|top|first|last|max_?\w*)=", re.I)


@dataclass
class HttpPaged:
    """What has become of a play: the paths whose lists were cut, whether more was asked of one, and what named it."""

    cut: list[Any] = field(default_factory=list)
    followed: bool = False
    names: set[str] = field(default_factory=set)

    def misled(self, said: str) -> bool:
        """Whether an answer rests on a first page alone. One that tells who asks that there is more does not."""
        told = _MADE_UP in said or any(f'"{name}"' in said for name in self.names)
        return bool(self.cut) and not self.followed and not told


@contextmanager
def http_pages() -> Iterator[HttpPaged]:
    """Within the block, answer an attempt's GET requests in pages where their answers say that there are some."""
    paged, connection = HttpPaged(), http.client.HTTPConnection
    put, answer = connection.putrequest, connection.getresponse

    def putrequest(self: Any, method: str, url: str, *given: Any, **options: Any) -> None:
        self.paged = (self.host, self.port, url) if method == "GET" and of_attempt() else None
        put(self, method, url, *given, **options)

    def getresponse(self: Any) -> Any:
        found = answer(self)
        if (at := getattr(self, "paged", None)) is None or found.status != http.client.OK:
            return found
        body, place = found.read(), (*at[:2], at[2].partition("?")[0])
        paged.followed |= place in paged.cut
        if place not in paged.cut and not _HOW_MANY.search(at[2]) and (half := _first_half(body, paged.names)):
            paged.cut.append(place)
            body = half
        return answered_again(found, body, "GET")

    with replaced(connection, "putrequest", putrequest), replaced(connection, "getresponse", getresponse):
        yield paged


def _first_half(body: bytes, names: set[str]) -> bytes:
    """Return an answer with the first half of its list that names a next page; b"" if it has no such thing."""
    said: Any = None
    with suppress(ValueError):
        said = json.loads(body)
    if not isinstance(said, dict):
        return b""
    lists = [name for name, one in said.items() if isinstance(one, list) and len(one) > 1]
    places = [said, *(said[name] for name in _WITHIN if isinstance(said.get(name), dict))]
    empty = [(place, name) for place in places for name, one in place.items() if _NEXT.match(name) and not one]
    if len(lists) != 1 or not empty:
        return b""
    whole = said[lists[0]]
    said[lists[0]] = whole[: len(whole) // 2]
    for place, name in empty:
        place[name] = True if place[name] is False else f"{_MADE_UP} 2"
        names.add(name)
    return json.dumps(said).encode()
