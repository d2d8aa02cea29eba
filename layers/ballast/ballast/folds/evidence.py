"""The evidence in a run's ending: a digest over every event, and the check of a log against it. Pure.

``run.ended`` vouches for every event that was there when it was written, and for itself; ``run.settled`` for the
ending, for what came in between, and for itself::

    opened … settled ─▶ run.ended ─▶ announced · replied · what came late ─▶ run.settled ─▶ the lease, in another table

``sha256`` is computed over the digest of all those marks (``events``) and the carrier's own, with its expiry. So the
carrier can be checked against the lease also where TTL has removed some of what it vouches for.

An event's *mark* is the SHA-256 of its key, its time, the digest of its body, and what the log keeps beside the body:
the attributes of the indexes, the expiry, the hash of its ciphertexts. ``sha256`` covers the whole marks in the order
of the work. The first bytes of each are listed beside it, so that the event that does not fit can be named.

A person's answer that was not signed is none: whoever settles a run verifies, and leaves it out of the marks. Its key
is listed apart (``unsigned``, also in ``sha256``), so that who reads without the signing key can name it.

The digest has no key: whoever may write the log can compute a new one. That is why ``run.settled``'s is kept in the
settled lease as well, where only the functions of money write.
"""

import base64
import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal

from ballast.contracts import Event
from ballast.contracts.event import LAST_TURN, approval_seq, call_seq, escalation_seq, is_a_persons, order, run_seq
from ballast.contracts.wire import canonical
from ballast.folds.conversation import changed_prompts

#: What a body has its evidence under.
EVIDENCE = "evidence"
#: So many bytes of a mark are listed: enough to name an event; the whole marks are in ``sha256``.
_LISTED_BYTES = 6
_CARRIERS = ("run.ended", "run.settled")
_UNSIGNED = (
    "says that a person decided, and no person's function signed it: somebody forged or changed it. "
    "Nothing that acts believes it"
)
_NOT_NOBODYS = "says that nobody answered, and the executor, which waited, did not write that: somebody forged it"

Status = Literal["fits", "unfit", "not_covered", "open", "refused"]


@dataclass(frozen=True)
class Finding:
    """The first event of a run that does not fit: its key, and what is wrong with it."""

    seq: str
    why: str


@dataclass(frozen=True)
class Verdict:
    """What a check found.

    status   ``fits``; ``unfit``; ``not_covered``: ended, but by a version without evidence, or partly forgotten by
             TTL; ``open``: not ended yet, and ``refused``: in both only prompts and single events were checked
    first    the first event that does not fit, in the order of the work
    covered  how many events a digest covers
    prompts  how many prompts were rebuilt and are the ones that were sent
    late     keys of events that came after the ending, as work that was under way may; no digest covers them
    unsigned  keys of events that claim to be a person's answer and are not signed: forged, and believed by nobody
    """

    status: Status
    first: Finding | None = None
    covered: int = 0
    prompts: int = 0
    late: tuple[str, ...] = ()
    unsigned: tuple[str, ...] = ()


@dataclass(frozen=True)
class Anchor:
    """What is known of a run's end from elsewhere than its log: the settled lease.

    settled  whether the lease was settled
    sha256   of the evidence in ``run.settled``; None where an older version settled it
    """

    settled: bool
    sha256: str | None


@dataclass
class _Check:
    """What one check has found so far. ``marks``: those of the events that are there, by key.

    checked  the carriers whose own digest is what they say, whatever is missing of the events that they vouch for
    """

    events: Sequence[Event]
    broken: Mapping[str, str]
    marks: dict[str, bytes]
    wrong: dict[str, str] = field(default_factory=dict)
    missing: set[str] = field(default_factory=set)
    covered: set[str] = field(default_factory=set)
    checked: set[str] = field(default_factory=set)


def vouching(event: Event, covers: Sequence[Event], unsigned: Iterable[str] = ()) -> Event:
    """Return ``event`` with the evidence that it gives for ``covers`` and for itself.

    covers    the run's log as it is known; what an earlier carrier in it vouches for is not listed again
    unsigned  the keys of what claims to be a person's answer there and is not signed
    """
    known = {seq for carrier in covers if carrier.name in _CARRIERS for seq in _vouched_for(carrier)}
    fresh = [one for one in sorted(covers, key=order) if one.seq not in known and one.seq != event.seq]
    marks = [_mark(one) for one in fresh]
    since = covers[0].at if covers else event.at
    told = {seq for carrier in covers if carrier.name in _CARRIERS for seq in _listed_apart(carrier)}
    apart = " ".join(sorted(set(unsigned) - told))
    together = _together(marks)
    evidence = {
        "sha256": _whole(together, since, event, apart),
        "events": together,
        "since": since,
        **({"unsigned": apart} if apart else {}),
        "keys": " ".join(one.seq for one in fresh),
        "marks": base64.b64encode(b"".join(mark[:_LISTED_BYTES] for mark in marks)).decode("ascii"),
    }
    return event.model_copy(update={"body": event.body | {EVIDENCE: evidence}})


def vouched_for(events: Sequence[Event]) -> frozenset[str]:
    """Return the keys of the events that the run's endings vouch for: what was there when it was settled."""
    carriers = (event for event in events if event.name in _CARRIERS and EVIDENCE in event.body)
    return frozenset(seq for carrier in carriers for seq in _vouched_for(carrier))


def evidence_sha256(event: Event) -> str | None:
    """Return the digest that ``event`` carries; None where an older version wrote it."""
    evidence = event.body.get(EVIDENCE)
    found = evidence.get("sha256") if isinstance(evidence, Mapping) else None
    return found if isinstance(found, str) else None


def check(
    events: Sequence[Event],
    *,
    broken: Mapping[str, str] | None = None,
    anchor: Anchor | None = None,
    settling: bool = False,
    now: datetime | None = None,
    most_chars: int | None = None,
    unsigned: Iterable[str] = (),
) -> Verdict:
    """Return whether the run of ``events`` (all of them, in the order of the work) is as it was written.

    broken      what is wrong with events that could not be read, by key
    anchor      what the settled lease says, where it is known
    settling    whether ``run.settled`` is only about to be written
    now         the time, for events that TTL may have removed by now; None: none may be
    most_chars  how much of the prompts is rebuilt, together; the newest one always is. None: all of all
    unsigned    keys of people's answers that a reader with the key did not believe; without the key they are told by
                what the endings list, and by the answers that have no signature at all
    """
    names = {event.name: event for event in events}
    digests = {event.seq: event.digest for event in events}
    marks = {event.seq: _mark(event, digests[event.seq]) for event in events}
    it = _Check(events, dict(broken or {}), marks)
    it.wrong.update(it.broken)
    carriers = [event for event in events if event.name in _CARRIERS and EVIDENCE in event.body]
    # The newest first: what it says of an earlier one decides whether that one is believed.
    for carrier in reversed(carriers):
        if carrier.seq not in it.wrong:
            _check_carrier(it, carrier)
    _check_anchor(it, names, anchor)
    believed = [carrier for carrier in carriers if carrier.seq in it.checked and carrier.seq not in it.wrong]
    forgotten = now is not None and _forgets(believed, now) and _only_missing(it)
    prompts = 0
    if not forgotten:
        changed, prompts = changed_prompts(events, digests, most_chars)
        it.wrong.update({seq: why for seq, why in changed.items() if seq not in it.wrong})
    forged = _check_answers(it, carriers, names, frozenset(unsigned))
    whole = carriers and "run.ended" in names and not {run_seq("ended"), run_seq("settled")} & it.wrong.keys()
    late = _check_uncovered(it, names) if whole else ()
    if carriers and not settling:
        _check_settled(it, names)
    first = _first(it, besides=it.missing if forgotten else set())
    status: Status
    if first is not None:
        status = "unfit"
    elif "run.refused" in names:
        status = "refused"
    elif "run.ended" not in names and not carriers:
        status = "open"
    else:
        status = "fits" if carriers and not forgotten else "not_covered"
    return Verdict(status, first, len(it.covered), prompts, late, forged)


def _check_carrier(it: _Check, carrier: Event) -> None:
    """Compare what is there with what ``carrier`` vouches for."""
    evidence = carrier.body[EVIDENCE]
    it.covered.add(carrier.seq)
    try:
        listed = list(_listed(evidence))
    except (KeyError, TypeError, ValueError, AttributeError):
        it.wrong.setdefault(carrier.seq, "its evidence cannot be read")
        return
    whole: list[bytes] = []
    fits = True
    for seq, beginning in listed:
        it.covered.add(seq)
        mark = it.marks.get(seq)
        if mark is not None and mark[:_LISTED_BYTES] == beginning:
            whole.append(mark)
            continue
        fits = False
        if mark is None and seq not in it.broken:
            it.missing.add(seq)
        said = f"is missing: {carrier.seq} vouches for it" if mark is None else f"was changed after {carrier.seq}"
        it.wrong.setdefault(seq, said)
    since, own, apart = evidence.get("since"), _without_evidence(carrier), evidence.get("unsigned", "")
    if "events" in evidence:
        right = _whole(evidence["events"], since, own, apart) == evidence.get("sha256")
        if right and fits:
            right = _together(whole) == evidence["events"]
    else:  # an older version's, which can only be checked while all that it vouches for is there
        right = not fits or _whole_before(whole, since, own, apart) == evidence.get("sha256")
    if not right:
        it.wrong[carrier.seq] = "was changed: it, its time, its index or what it says of the others is not what it was"
    elif fits or "events" in evidence:
        it.checked.add(carrier.seq)


def _check_answers(
    it: _Check, carriers: Sequence[Event], names: Mapping[str, Event], unsigned: frozenset[str]
) -> tuple[str, ...]:
    """Find what claims to be a person's answer and is not signed; what an older version ended has no signatures."""
    there = {event.seq for event in it.events}
    forged = unsigned | {seq for carrier in carriers for seq in _listed_apart(carrier)}
    # A file of an older version does not say what stood beside any event.
    known = any(event.stored for event in it.events)
    if known and (carriers or "run.ended" not in names):
        forged |= {
            event.seq
            for event in it.events
            if is_a_persons(event.name, event.body) and event.seq not in it.covered and "mac" not in dict(event.stored)
        }
    for seq in forged:
        it.wrong[seq] = _UNSIGNED if seq in there else f"{_UNSIGNED}. It has been deleted since"
    voided = {
        approval_seq(event.turn, event.index, "answered", event.round)
        for event in it.events
        if event.name == "call.approval_void" and "signature" in event.body.get("moved", ())
    }
    nobodys = {e.seq for e in it.events if e.seq in voided and not is_a_persons(e.name, e.body)} - forged
    it.wrong |= dict.fromkeys(nobodys, _NOT_NOBODYS)
    return tuple(sorted(forged | nobodys, key=_place))


def _check_uncovered(it: _Check, names: Mapping[str, Event]) -> tuple[str, ...]:
    """Find what no carrier vouches for: late work that had been under way, or something that was added."""
    late = []
    ended = names.get("run.ended")
    told = set(_vouched_for(ended)) if ended is not None and EVIDENCE in ended.body else it.covered
    by_it = [event for event in it.events if event.seq in told]
    for event in it.events:
        if event.name in _CARRIERS or event.seq in told:
            continue
        if not _may_be_late(event, by_it, ended):
            it.wrong.setdefault(event.seq, "was added: nothing that was under way when the run ended writes it")
        elif event.seq not in it.covered and event.seq not in it.wrong:
            late.append(event.seq)
    return tuple(late)


def _may_be_late(event: Event, told: Sequence[Event], ended: Event | None) -> bool:
    """Say whether work that was under way when the run ended writes such an event, or an operator who corrects it."""
    seqs = {one.seq for one in told}
    if event.seq in (run_seq("announced"), run_seq("replied")) or event.name == "run.corrected":
        return True
    begun = {
        "escalation.announced": escalation_seq(event.turn, "opened"),
        "call.settled": call_seq(event.turn, event.index, "intended"),
    }
    if begun.get(event.name) in seqs:
        return True
    if event.name.startswith("model.") or event.name == "plan.decided":
        of_the_turn = [one for one in told if one.turn == event.turn and one.name.startswith("model.")]
        over = {one.body.get("attempt") for one in of_the_turn if one.name != "model.requested"}
        if any(one.name == "model.requested" and one.body.get("attempt") not in over for one in of_the_turn):
            return True
    if ended is None or ended.body.get("status") == "answered":
        return False
    # It was cut, in the middle of whatever it did.
    last = max((one.turn for one in told if one.turn < LAST_TURN), default=0)
    return max(1, last) <= event.turn <= last + 1


def _check_settled(it: _Check, names: Mapping[str, Event]) -> None:
    """Find that ``run.settled`` is gone, or has lost its evidence, where there must be one."""
    opened, settled = names.get("run.opened"), names.get("run.settled")
    seq = run_seq("settled")
    if settled is not None and EVIDENCE not in settled.body:
        it.wrong.setdefault(seq, "has no evidence, and the ending has: somebody changed it")
    if settled is None and seq not in it.broken and (opened is None or "lease" in opened.body):
        it.wrong.setdefault(
            seq, "is missing: the run has ended. If that was minutes ago, look again; else it was deleted"
        )
    ended, ending = run_seq("ended"), names.get("run.ended")
    if settled is not None and EVIDENCE in settled.body and ending is not None and EVIDENCE not in ending.body:
        it.wrong.setdefault(ended, "has no evidence, and what came after it has: an older version's, or not Settle's")
    if "run.ended" not in names and ended not in it.broken:
        it.wrong.setdefault(ended, "is missing: the run was settled")


def _check_anchor(it: _Check, names: Mapping[str, Event], anchor: Anchor | None) -> None:
    """Compare the ending with what the settled lease says of it."""
    if anchor is None or not anchor.settled or anchor.sha256 is None:
        return
    settled = names.get("run.settled")
    seq = run_seq("settled")
    if "run.ended" not in names and run_seq("ended") not in it.broken:
        it.wrong.setdefault(run_seq("ended"), "is missing: the run's lease was settled")
    if settled is None:
        if seq not in it.broken:
            it.missing.discard(seq)
            it.wrong.setdefault(seq, "is missing: the run's lease was settled")
    elif evidence_sha256(settled) != anchor.sha256:
        it.wrong.setdefault(
            seq, "its digest is not the one in the settled lease: the log was written anew after its end"
        )


def _first(it: _Check, besides: set[str]) -> Finding | None:
    seq = min(it.wrong.keys() - besides, key=_place, default=None)
    return None if seq is None else Finding(seq, it.wrong[seq])


def _place(seq: str) -> tuple[Any, ...]:
    """Return the place of a key in the order of the work; what is no key comes last."""
    try:
        return 0, order(Event(run_id="", seq=seq, at="", body={})), seq
    except ValueError:
        return 1, (), seq


def _only_missing(it: _Check) -> bool:
    return it.wrong.keys() <= it.missing


def _forgets(carriers: Sequence[Event], now: datetime) -> bool:
    """Say whether TTL removes events of this run by now, by the expiry of ``carriers`` whose own digest was checked."""
    for carrier in carriers:
        try:
            expires_at = int(dict(carrier.stored)["expires_at"])
            kept_s = expires_at - int(datetime.fromisoformat(carrier.at).timestamp())
            began = datetime.fromisoformat(carrier.body[EVIDENCE]["since"])
        except (KeyError, TypeError, ValueError):
            continue
        if now.timestamp() > began.timestamp() + kept_s:
            return True
    return False


def _vouched_for(carrier: Event) -> Iterator[str]:
    """Yield the keys that ``carrier`` vouches for."""
    evidence = carrier.body.get(EVIDENCE)
    keys = evidence.get("keys") if isinstance(evidence, Mapping) else None
    if isinstance(keys, str):
        yield from keys.split()


def _listed_apart(carrier: Event) -> Iterator[str]:
    """Yield the keys of people's answers that were not signed when ``carrier`` was written."""
    evidence = carrier.body.get(EVIDENCE)
    keys = evidence.get("unsigned") if isinstance(evidence, Mapping) else None
    if isinstance(keys, str):
        yield from keys.split()


def _listed(evidence: Mapping[str, Any]) -> Iterator[tuple[str, bytes]]:
    """Yield each key and the beginning of its mark. Raises where ``evidence`` is garbled."""
    marks, keys = base64.b64decode(evidence["marks"], validate=True), evidence["keys"].split()
    if len(marks) != len(keys) * _LISTED_BYTES:
        raise ValueError("there is not one mark for each key")
    for number, seq in enumerate(keys):
        if _place(seq)[0]:
            raise ValueError("there is something among the keys that is none")
        yield seq, marks[number * _LISTED_BYTES : (number + 1) * _LISTED_BYTES]


def _mark(event: Event, digest: str | None = None) -> bytes:
    told = canonical([event.seq, event.at, digest or event.digest, event.stored])
    return hashlib.sha256(told.encode("ascii")).digest()


def _together(marks: Sequence[bytes]) -> str:
    return hashlib.sha256(b"".join(marks)).hexdigest()


def _whole(together: Any, since: Any, carrier: Event, apart: Any) -> str:
    """Return the digest of what ``carrier`` (without its evidence) vouches for (``together``), and of itself.

    since  when the first event was written
    apart  the keys of answers that are not signed; "" where there is none
    """
    own = base64.b64encode(_mark(carrier)).decode("ascii")
    return hashlib.sha256(canonical([together, own, since, apart]).encode("ascii")).hexdigest()


def _whole_before(marks: Sequence[bytes], since: Any, carrier: Event, apart: Any) -> str:
    """Return the same as an older version computed it."""
    beside = [since, apart] if apart != "" else since
    return hashlib.sha256(b"".join([*marks, _mark(carrier), canonical(beside).encode("ascii")])).hexdigest()


def _without_evidence(carrier: Event) -> Event:
    body = {name: value for name, value in carrier.body.items() if name != EVIDENCE}
    return carrier.model_copy(update={"body": body})
