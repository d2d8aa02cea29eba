"""What an ending's evidence is made of: the marks of events, and the digests over them. Pure."""

import base64
import hashlib
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from ballast.contracts import Event
from ballast.contracts.event import order
from ballast.contracts.wire import canonical

#: What a body has its evidence under.
EVIDENCE = "evidence"
#: So many bytes of a mark are listed: enough to name an event; the whole marks are in ``sha256``.
LISTED_BYTES = 6


def place(seq: str) -> tuple[Any, ...]:
    """Return the place of a key in the order of the work; what is no key comes last."""
    try:
        return 0, order(Event(run_id="", seq=seq, at="", body={})), seq
    except ValueError:
        return 1, (), seq


def texts(value: Any) -> tuple[str, ...]:
    return tuple(one for one in value if isinstance(one, str)) if isinstance(value, list | tuple) else ()


def keys_vouched_for(carrier: Event) -> Iterator[str]:
    """Yield the keys that ``carrier`` vouches for."""
    evidence = carrier.body.get(EVIDENCE)
    keys = evidence.get("keys") if isinstance(evidence, Mapping) else None
    if isinstance(keys, str):
        yield from keys.split()


def listed_apart(carrier: Event) -> Iterator[str]:
    """Yield the keys of people's answers that were not signed when ``carrier`` was written."""
    evidence = carrier.body.get(EVIDENCE)
    keys = evidence.get("unsigned") if isinstance(evidence, Mapping) else None
    if isinstance(keys, str):
        yield from keys.split()


def listed_marks(evidence: Mapping[str, Any]) -> Iterator[tuple[str, bytes]]:
    """Yield each key and the beginning of its mark. Raises where ``evidence`` is garbled."""
    marks, keys = base64.b64decode(evidence["marks"], validate=True), evidence["keys"].split()
    if len(marks) != len(keys) * LISTED_BYTES:
        raise ValueError("there is not one mark for each key")
    for number, seq in enumerate(keys):
        if place(seq)[0]:
            raise ValueError("there is something among the keys that is none")
        yield seq, marks[number * LISTED_BYTES : (number + 1) * LISTED_BYTES]


def mark_of(event: Event, digest: str | None = None) -> bytes:
    told = canonical([event.seq, event.at, digest or event.digest, event.stored])
    return hashlib.sha256(told.encode("ascii")).digest()


def together_digest(marks: Sequence[bytes]) -> str:
    return hashlib.sha256(b"".join(marks)).hexdigest()


def whole_digest(together: Any, since: Any, carrier: Event, apart: Any) -> str:
    """Return the digest of what ``carrier`` (without its evidence) vouches for (``together``), and of itself.

    since  when the first event was written
    apart  the keys of answers that are not signed; "" where there is none
    """
    own = base64.b64encode(mark_of(carrier)).decode("ascii")
    return hashlib.sha256(canonical([together, own, since, apart]).encode("ascii")).hexdigest()


def whole_before(marks: Sequence[bytes], since: Any, carrier: Event, apart: Any) -> str:
    """Return the same as an older version computed it."""
    beside = [since, apart] if apart != "" else since
    return hashlib.sha256(b"".join([*marks, mark_of(carrier), canonical(beside).encode("ascii")])).hexdigest()


def without_evidence(carrier: Event) -> Event:
    body = {name: value for name, value in carrier.body.items() if name != EVIDENCE}
    return carrier.model_copy(update={"body": body})
