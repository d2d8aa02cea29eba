"""Write the evidence in a run's endings: the events, the mark of each, and the digest over all. Pure.

``ballast.log.evidence`` explains the evidence and checks it.
"""

import base64
import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from ballast.contracts.wire import canonical
from ballast.log.event import Event, order
from ballast.log.events import RunEnded, RunSettled

#: The field of a body that holds the evidence.
EVIDENCE = "evidence"
#: Listed bytes of a mark, enough to name an event; ``sha256`` covers the whole marks.
LISTED_BYTES = 6
CARRIERS = (RunEnded.NAME, RunSettled.NAME)


def vouching(event: Event, covers: Sequence[Event], unsigned: Iterable[str] = ()) -> Event:
    """Return ``event`` with evidence for ``covers`` and for itself.

    covers    the run's events; those that an earlier carrier among them vouches for are not listed again
    unsigned  the keys of unsigned events that claim to be a person's answer
    """
    known = {seq for carrier in covers if carrier.name in CARRIERS for seq in vouched_keys(carrier)}
    fresh = [one for one in sorted(covers, key=order) if one.seq not in known and one.seq != event.seq]
    marks = [mark_of(one) for one in fresh]
    since = covers[0].at if covers else event.at
    told = {seq for carrier in covers if carrier.name in CARRIERS for seq in unsigned_keys(carrier)}
    apart = " ".join(sorted(set(unsigned) - told))
    together = together_of(marks)
    evidence = {
        "sha256": whole_of(together, since, event, apart),
        "events": together,
        "since": since,
        **({"unsigned": apart} if apart else {}),
        "keys": " ".join(one.seq for one in fresh),
        "marks": base64.b64encode(b"".join(mark[:LISTED_BYTES] for mark in marks)).decode("ascii"),
    }
    return event.model_copy(update={"body": event.body | {EVIDENCE: evidence}})


def vouched_for(run: Iterable[Event]) -> frozenset[str]:
    """Return the keys of the events that the run's endings vouch for: those that existed at settlement."""
    return frozenset(seq for event in run if carries(event) for seq in vouched_keys(event))


def carries(event: Event) -> bool:
    """Return whether ``event`` is an ending with evidence."""
    return event.name in CARRIERS and EVIDENCE in event.body


def evidence_sha256(event: Event) -> str | None:
    """Return the digest in ``event``; None if an older version wrote it."""
    evidence = event.body.get(EVIDENCE)
    found = evidence.get("sha256") if isinstance(evidence, Mapping) else None
    return found if isinstance(found, str) else None


def place_of(seq: str) -> tuple[Any, ...]:
    """Return the place of a key in the order of the work; an invalid key sorts last."""
    try:
        return 0, order(Event(run_id="", seq=seq, at="", body={})), seq
    except ValueError:
        return 1, (), seq


def vouched_keys(carrier: Event) -> Iterator[str]:
    """Yield the keys that ``carrier`` vouches for."""
    evidence = carrier.body.get(EVIDENCE)
    keys = evidence.get("keys") if isinstance(evidence, Mapping) else None
    if isinstance(keys, str):
        yield from keys.split()


def unsigned_keys(carrier: Event) -> Iterator[str]:
    """Yield the keys of people's answers that were not signed when ``carrier`` was written."""
    evidence = carrier.body.get(EVIDENCE)
    keys = evidence.get("unsigned") if isinstance(evidence, Mapping) else None
    if isinstance(keys, str):
        yield from keys.split()


def listed(evidence: Mapping[str, Any]) -> Iterator[tuple[str, bytes]]:
    """Yield each key and the beginning of its mark. Raises an error of ``event.GARBLED`` if it is garbled."""
    marks, keys = base64.b64decode(evidence["marks"], validate=True), evidence["keys"].split()
    if len(marks) != len(keys) * LISTED_BYTES:
        raise ValueError("there is not one mark for each key")
    for number, seq in enumerate(keys):
        if place_of(seq)[0]:
            raise ValueError("an entry of the keys is not a key")
        yield seq, marks[number * LISTED_BYTES : (number + 1) * LISTED_BYTES]


def mark_of(event: Event, digest: str | None = None) -> bytes:
    told = canonical([event.seq, event.at, digest or event.digest, event.stored])
    return hashlib.sha256(told.encode("ascii")).digest()


def together_of(marks: Sequence[bytes]) -> str:
    return hashlib.sha256(b"".join(marks)).hexdigest()


def whole_of(together: Any, since: Any, carrier: Event, apart: Any) -> str:
    """Return the digest over the marks of the events (``together``) and of ``carrier`` without its evidence.

    since  when the first event was written
    apart  the keys of unsigned answers; "" if there are none
    """
    own = base64.b64encode(mark_of(carrier)).decode("ascii")
    return hashlib.sha256(canonical([together, own, since, apart]).encode("ascii")).hexdigest()


def whole_before(marks: Sequence[bytes], since: Any, carrier: Event, apart: Any) -> str:
    """Return the digest as an older version computed it."""
    beside = [since, apart] if apart != "" else since
    return hashlib.sha256(b"".join([*marks, mark_of(carrier), canonical(beside).encode("ascii")])).hexdigest()


def without_evidence(carrier: Event) -> Event:
    body = {name: value for name, value in carrier.body.items() if name != EVIDENCE}
    return carrier.model_copy(update={"body": body})
