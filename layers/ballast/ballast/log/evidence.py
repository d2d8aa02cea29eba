"""Evidence in a run's ending: a digest over every event, and the check of a log against it. Pure.

``run.ended`` vouches for every event before it and for itself; ``run.settled`` for the ending, for the events in
between, and for itself::

    opened … settled ─▶ run.ended ─▶ announced · replied · late events ─▶ run.settled ─▶ the lease, in another table

``sha256`` is computed over the digest of all those marks (``events``) and the carrier's own mark, with its expiry. So
the carrier can be checked against the lease even after TTL has removed some of the events.

An event's *mark* is the SHA-256 of its key, its time, the digest of its body, and its other attributes: those of the
indexes, the expiry, the hash of its ciphertexts. ``sha256`` covers the whole marks in the order of the work. The first
bytes of each mark are listed too, to name an event that does not fit.

An unsigned answer of a person is ignored: Settle verifies signatures, and leaves such an answer out of the marks. Its
key is listed separately (``unsigned``, also in ``sha256``), so that a reader without the signing key can name it.

The digest has no secret key: every writer of the log can compute a new one. So the settled lease also has the digest
of ``run.settled``, and only the functions of the budgets table can write there.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import field
from datetime import datetime
from typing import Any, Literal

from ballast.contracts.task import LAST_TURN
from ballast.folds.conversation import changed_prompts
from ballast.folds.feedback import feedback_of
from ballast.folds.settled_moves import move_settled_of
from ballast.folds.usage import correction_of
from ballast.log.event import GARBLED, Event, is_a_persons
from ballast.log.events import (
    ApprovalAnswered,
    ApprovalVoid,
    CallIntended,
    CallSettled,
    EscalationAnnounced,
    EscalationOpened,
    ModelFailed,
    ModelRequested,
    ModelResponded,
    PlanDecided,
    RunAnnounced,
    RunCorrected,
    RunEnded,
    RunFeedback,
    RunMoveSettled,
    RunOpened,
    RunRefused,
    RunReplied,
    RunSettled,
)
from ballast.log.vouching import (
    CARRIERS,
    EVIDENCE,
    LISTED_BYTES,
    carries,
    evidence_sha256,
    listed,
    mark_of,
    place_of,
    together_of,
    unsigned_keys,
    vouched_for,
    vouched_keys,
    vouching,
    whole_before,
    whole_of,
    without_evidence,
)
from ballast.run import Run
from ballast.values import dataclass

__all__ = [
    "EVIDENCE",
    "Anchor",
    "Finding",
    "Verdict",
    "check",
    "evidence_sha256",
    "forgets",
    "vouched_for",
    "vouching",
]

_ODD = "Ballast never writes such a body; somebody changed or added it"
_UNSIGNED = (
    "says that a person decided, and no person's function signed it: somebody forged or changed it. "
    "Nothing that acts believes it"
)
_NOT_NOBODYS = "says that nobody answered, but the executor did not write it: somebody forged it"

Status = Literal["fits", "unfit", "not_covered", "open", "refused"]


@dataclass(frozen=True)
class Finding:
    """The first event of a run that does not fit: its key, and what is wrong with it."""

    seq: str
    why: str


@dataclass(frozen=True)
class Verdict:
    """The result of a check.

    status   ``fits``; ``unfit``; ``not_covered``: ended, but by a version without evidence, or partly removed by
             TTL; ``open``: not ended yet; ``refused``. For the last two only prompts and single events were checked
    first    the first event that does not fit, in the order of the work
    covered  number of events that a digest covers
    prompts  number of rebuilt prompts that equal the sent ones
    late     keys of events that running work wrote after the ending; no digest covers them
    unsigned  keys of events that claim to be a person's answer and are not signed: forged, and ignored
    """

    status: Status
    first: Finding | None = None
    covered: int = 0
    prompts: int = 0
    late: tuple[str, ...] = ()
    unsigned: tuple[str, ...] = ()


@dataclass(frozen=True)
class Anchor:
    """The settled lease's record of a run's end, outside the log.

    settled  whether the lease was settled
    sha256   the evidence in ``run.settled``; None if an older version settled it
    corrections  number of operators' corrections of the charge; None if unknown
    corrected    the body of the last correction; None if there is none, or if an older version wrote it
    """

    settled: bool
    sha256: str | None
    corrections: int | None = None
    corrected: Mapping[str, Any] | None = None


@dataclass
class _Check:
    """The state of one check. ``marks``: the marks of the events in the log, by key.

    checked  the carriers with a correct digest, even if some of their events are missing
    """

    run: Run
    broken: Mapping[str, str]
    marks: dict[str, bytes]
    wrong: dict[str, str] = field(default_factory=dict)
    missing: set[str] = field(default_factory=set)
    covered: set[str] = field(default_factory=set)
    checked: set[str] = field(default_factory=set)


def check(
    events: Iterable[Event],
    *,
    broken: Mapping[str, str] | None = None,
    anchor: Anchor | None = None,
    settling: bool = False,
    now: datetime | None = None,
    most_chars: int | None = None,
    unsigned: Iterable[str] = (),
) -> Verdict:
    """Return whether the run of ``events`` (all of them, in the order of the work) is unchanged.

    broken      the errors of events that could not be read, by key
    anchor      the settled lease's record, if known
    settling    ``run.settled`` is about to be written, so it may be missing
    now         the time, because TTL may have removed events; None: TTL has removed none
    most_chars  most characters of prompts to rebuild; the newest prompt is always rebuilt. None: no limit
    unsigned    keys of people's answers whose signature a reader with the key refused; without the key they are found
                by the endings' lists and by missing signatures
    """
    try:
        return _verdict(Run.of(events), dict(broken or {}), anchor, settling, now, most_chars, frozenset(unsigned))
    except GARBLED as problem:  # a garbled body must not keep other runs from being checked
        return Verdict("unfit", Finding("", f"the run cannot be checked ({type(problem).__name__}): {_ODD}"))


def _verdict(
    run: Run,
    broken: dict[str, str],
    anchor: Anchor | None,
    settling: bool,
    now: datetime | None,
    most_chars: int | None,
    unsigned: frozenset[str],
) -> Verdict:
    digests: dict[str, str] = {}
    marks: dict[str, bytes] = {}
    for event in run:
        try:
            digests[event.seq] = event.digest
            marks[event.seq] = mark_of(event, digests[event.seq])
        except GARBLED as problem:
            broken.setdefault(event.seq, _unreadable(problem))
    names, whole = run.names, run.only(lambda event: event.seq in marks)
    it = _Check(whole, broken, marks)
    it.wrong.update(it.broken)
    carriers = [event for event in whole if carries(event)]
    # The newest first: a carrier vouches for the earlier ones.
    for carrier in reversed(carriers):
        if carrier.seq not in it.wrong:
            with _finding(it, carrier):
                _check_carrier(it, carrier)
    _check_anchor(it, run, anchor)
    _check_corrections(it, anchor)
    believed = [carrier for carrier in carriers if carrier.seq in it.checked and carrier.seq not in it.wrong]
    forgotten = now is not None and forgets(believed, now) and _only_missing(it)
    prompts = 0
    if not forgotten:
        changed, prompts = changed_prompts(whole, digests, most_chars)
        it.wrong.update({seq: why for seq, why in changed.items() if seq not in it.wrong})
    forged = _check_answers(it, carriers, unsigned, ended=RunEnded.NAME in names)
    trusted = carriers and RunEnded.NAME in names and not {RunEnded.key(), RunSettled.key()} & it.wrong.keys()
    late = _check_uncovered(it) if trusted else ()
    if carriers and not settling:
        _check_settled(it, run)
    first = _first(it, besides=it.missing if forgotten else set())
    status: Status
    if first is not None:
        status = "unfit"
    elif RunRefused.NAME in names:
        status = "refused"
    elif RunEnded.NAME not in names and not carriers:
        status = "open"
    else:
        status = "fits" if carriers and not forgotten else "not_covered"
    return Verdict(status, first, len(it.covered), prompts, late, forged)


@contextmanager
def _finding(it: _Check, event: Event) -> Iterator[None]:
    """Report ``event`` if it cannot be checked: every writer of the log can put any body there."""
    try:
        yield
    except GARBLED as problem:
        it.wrong.setdefault(event.seq, _unreadable(problem))


def _unreadable(problem: Exception) -> str:
    return f"cannot be checked ({type(problem).__name__}): {_ODD}"


def _check_carrier(it: _Check, carrier: Event) -> None:
    """Compare the events with the marks that ``carrier`` vouches for."""
    evidence = carrier.body[EVIDENCE]
    it.covered.add(carrier.seq)
    try:
        keys = list(listed(evidence))
    except GARBLED:
        it.wrong.setdefault(carrier.seq, "its evidence cannot be read")
        return
    whole: list[bytes] = []
    fits = True
    for seq, beginning in keys:
        it.covered.add(seq)
        mark = it.marks.get(seq)
        if mark is not None and mark[:LISTED_BYTES] == beginning:
            whole.append(mark)
            continue
        fits = False
        if mark is None and seq not in it.broken:
            it.missing.add(seq)
        said = f"is missing: {carrier.seq} vouches for it" if mark is None else f"was changed after {carrier.seq}"
        it.wrong.setdefault(seq, said)
    since, own, apart = evidence.get("since"), without_evidence(carrier), evidence.get("unsigned", "")
    if "events" in evidence:
        right = whole_of(evidence["events"], since, own, apart) == evidence.get("sha256")
        if right and fits:
            right = together_of(whole) == evidence["events"]
    else:  # an older version's, which can only be checked while all its events exist
        right = not fits or whole_before(whole, since, own, apart) == evidence.get("sha256")
    if not right:
        it.wrong[carrier.seq] = "was changed: it, its time, its index or what it says of the others is not what it was"
    elif fits or "events" in evidence:
        it.checked.add(carrier.seq)


def _check_answers(it: _Check, carriers: Sequence[Event], unsigned: frozenset[str], *, ended: bool) -> tuple[str, ...]:
    """Find unsigned events that claim to be a person's answer. Runs that an older version ended have no signatures."""
    forged = {*unsigned} | {seq for carrier in carriers for seq in unsigned_keys(carrier)}
    # A file of an older version does not have the events' other attributes.
    known = any(event.stored for event in it.run)
    if known and (carriers or not ended):
        for event in it.run:
            with _finding(it, event):
                signed = event.seq in it.covered or "mac" in dict(event.stored)
                if not signed and is_a_persons(event.name, event.body):
                    forged.add(event.seq)
    for seq in forged:
        it.wrong[seq] = _UNSIGNED if seq in it.run.by_seq else f"{_UNSIGNED}. It has been deleted since"
    voided = {
        ApprovalAnswered.key(event.turn, event.index, event.round) for event in it.run if _lacks_a_signature(event)
    }
    nobodys = {e.seq for e in it.run if e.seq in voided and not is_a_persons(e.name, e.body)} - forged
    it.wrong |= dict.fromkeys(nobodys, _NOT_NOBODYS)
    return tuple(sorted(forged | nobodys, key=place_of))


def _lacks_a_signature(event: Event) -> bool:
    """Return whether the event voids an approval because it is not signed."""
    try:
        fact = event.fact if event.name == ApprovalVoid.NAME else None
    except GARBLED:
        return False
    return isinstance(fact, ApprovalVoid) and "signature" in fact.moved


def _check_uncovered(it: _Check) -> tuple[str, ...]:
    """Find events that no carrier vouches for: late events of running work, and events that somebody added."""
    late = []
    ended = it.run.by_seq.get(RunEnded.key())
    told = set(vouched_keys(ended)) if ended is not None and carries(ended) else it.covered
    by_it = it.run.only(lambda event: event.seq in told)
    for event in it.run:
        if event.name in CARRIERS or event.seq in told:
            continue
        may_be = False
        with _finding(it, event):
            may_be = _may_be_late(event, by_it, it.run)
        if not may_be:
            it.wrong.setdefault(event.seq, "was added: no work that was still running at the run's end writes it")
        elif event.seq not in it.covered and event.seq not in it.wrong:
            late.append(event.seq)
    return tuple(late)


#: Agent, rollback, fallback and people: each takes a turn, and hands over to the next one if it fails.
_PLANNERS = 4


def _may_be_late(event: Event, told: Run, run: Run) -> bool:
    """Return whether work still running at the run's end, an operator or a person writes such an event.

    ``told``: the events that the ending vouches for.
    """
    if event.seq in (RunAnnounced.key(), RunReplied.key()):
        return True
    if event.name == RunCorrected.NAME:
        return correction_of(event) is not None
    if event.name == RunMoveSettled.NAME:
        return move_settled_of(event) is not None
    if event.name == RunFeedback.NAME:
        return feedback_of(event) is not None
    begun = {
        EscalationAnnounced.NAME: EscalationOpened.key(event.turn),
        CallSettled.NAME: CallIntended.key(event.turn, event.index),
    }
    if begun.get(event.name) in told.by_seq:
        return True
    if event.name == CallSettled.NAME and told.call(event.turn, event.index) is not None:
        match event.fact:
            case CallSettled(effect="read", cost_microusd=None):
                return True  # such a read has no intention
    if event.name in (ModelRequested.NAME, ModelResponded.NAME, ModelFailed.NAME, PlanDecided.NAME):
        asked, over = told.facts(ModelRequested), (*told.facts(ModelResponded), *told.facts(ModelFailed))
        begun_attempts = {one.attempt for one in asked if one.turn == event.turn}
        if begun_attempts - {one.attempt for one in over if one.turn == event.turn}:
            return True
    ended = run.fact(RunEnded)
    if ended is None or ended.status == "answered":
        return False
    # The run was cut off or failed: a planner that could not write has no entry in its turn.
    last = max((one.turn for one in told if one.turn < LAST_TURN), default=0)
    return max(1, last) <= event.turn <= last + _PLANNERS


def _check_settled(it: _Check, run: Run) -> None:
    """Report a required ``run.settled`` that is missing or has no evidence."""
    seq, settled = RunSettled.key(), run.by_seq.get(RunSettled.key())
    if settled is not None and not carries(settled):
        it.wrong.setdefault(seq, "has no evidence, and the ending has: somebody changed it")
    if settled is None and seq not in it.broken and _had_a_lease(run):
        it.wrong.setdefault(
            seq, "is missing: the run has ended. If that was minutes ago, look again; else it was deleted"
        )
    ended, ending = RunEnded.key(), run.by_seq.get(RunEnded.key())
    if settled is not None and carries(settled) and ending is not None and not carries(ending):
        it.wrong.setdefault(ended, "has no evidence, and what came after it has: an older version's, or not Settle's")
    if ending is None and ended not in it.broken:
        it.wrong.setdefault(ended, "is missing: the run was settled")


def _had_a_lease(run: Run) -> bool:
    """Return whether the run had a lease, as every run of this version does; its opening may be missing or garbled."""
    try:
        opened = run.fact(RunOpened)
    except GARBLED:
        return True
    return opened is None or opened.lease is not None


def _check_anchor(it: _Check, run: Run, anchor: Anchor | None) -> None:
    """Compare the ending with the settled lease."""
    if anchor is None or not anchor.settled or anchor.sha256 is None:
        return
    seq, settled = RunSettled.key(), run.by_seq.get(RunSettled.key())
    if RunEnded.NAME not in run.names and RunEnded.key() not in it.broken:
        it.wrong.setdefault(RunEnded.key(), "is missing: the run's lease was settled")
    if settled is None:
        if seq not in it.broken:
            it.missing.discard(seq)
            it.wrong.setdefault(seq, "is missing: the run's lease was settled")
    elif evidence_sha256(settled) != anchor.sha256:
        it.wrong.setdefault(
            seq, "its digest is not the one in the settled lease: the log was rewritten after the run's end"
        )


def _check_corrections(it: _Check, anchor: Anchor | None) -> None:
    """Report corrections without an operator's command, newest first: the lease has commands, the log has copies."""
    if anchor is None or not anchor.settled or anchor.corrections is None:
        return
    told = [event for event in it.run if event.name == RunCorrected.NAME]
    others = [event for event in told if not _is_copy(event, anchor.corrected)]
    copied = anchor.corrected is None or len(others) < len(told)
    ordered = anchor.corrections - (anchor.corrected is not None)
    for event in others[ordered:]:
        it.wrong.setdefault(event.seq, "is a correction that the run's lease does not have: no operator sent it")
    if not copied:
        it.wrong.setdefault(
            RunCorrected.key(anchor.corrections),
            "is missing: an operator corrected the run's lease. Send the same command again to write it",
        )


def _first(it: _Check, besides: set[str]) -> Finding | None:
    seq = min(it.wrong.keys() - besides, key=place_of, default=None)
    return None if seq is None else Finding(seq, it.wrong[seq])


def _is_copy(event: Event, ordered: Mapping[str, Any] | None) -> bool:
    """Return whether a correction is the copy of an operator's command."""
    try:
        return event.fact.body == ordered
    except GARBLED:
        return False


def _only_missing(it: _Check) -> bool:
    return it.wrong.keys() <= it.missing


def forgets(carriers: Iterable[Event], now: datetime) -> bool:
    """Return whether TTL may have removed events of this run: their retention, counted from its first event, is over.

    ``carriers``: its endings. Before acting on the result, pass only endings with a checked digest.
    """
    for carrier in carriers:
        try:
            expires_at = int(dict(carrier.stored)["expires_at"])
            kept_s = expires_at - int(datetime.fromisoformat(carrier.at).timestamp())
            began = datetime.fromisoformat(carrier.body[EVIDENCE]["since"])
            over = now.timestamp() > began.timestamp() + kept_s
        except GARBLED:
            continue
        if over:
            return True
    return False
