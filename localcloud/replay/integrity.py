"""Errors of a record itself: an event that its type cannot read, or that is not what the endings vouch for. Pure.

::

    0003.model.responded  decision.data is "x", and must be an object     named with its field, and nothing is played
    0009.call.1.settled   has not the mark that 9999.run.ended lists       named first, whatever follows from it

A replay takes a tool's result, a time or a person's answer from the record, so a changed one shows only later, in what
is computed from it. The marks tell which event it was. Pages of the API have no marks to compare, and an open run has
none: there the digest of a prompt tells which events are new in it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime
from typing import Any

from pydantic import ValidationError

from ballast.folds.conversation import changed_prompts
from ballast.log.event import GARBLED, Event
from ballast.log.events import KINDS, ModelRequested, Other
from ballast.log.vouching import (
    EVIDENCE,
    LISTED_BYTES,
    carries,
    listed,
    mark_of,
    place_of,
    together_of,
    unsigned_keys,
    whole_of,
    without_evidence,
)
from localcloud.replay.lane import Difference, Ending, Replayed
from localcloud.replay.recorded import RecordedRun

_TYPE = "the record was changed, or a version wrote it that this one cannot read"
_CHANGED = "the record was changed afterwards"
_SOME = 8


def unreadable(recorded: RecordedRun) -> Difference | None:
    """Return the first event that does not fit its type; None if all do."""
    return next((found for event in recorded.events if (found := _misfit(event)) is not None), None)


def _misfit(event: Event) -> Difference | None:
    try:
        if datetime.fromisoformat(event.at).tzinfo is None:
            raise ValueError("no time zone")
    except ValueError:
        return Difference(event.seq, "at", event.at, None, f"it is no time in UTC; {_TYPE}")
    try:
        KINDS.get(event.name, Other).read(event.key, event.body)
    except ValidationError as problem:
        first = problem.errors(include_url=False, include_input=False)[0]
        path, value = _within(event.body, first["loc"])
        said = " ".join(first["msg"].split())
        return Difference(event.seq, path, value, None, f"it does not fit its type: {said}; {_TYPE}")
    except GARBLED as problem:
        return Difference(event.seq, "", event.shown, None, f"it does not fit its type: {problem}; {_TYPE}")
    return None


def _within(body: Any, steps: tuple[int | str, ...]) -> tuple[str, Any]:
    """Return the path of a field and its value. A step that the body does not have is the name of a type."""
    path, at = [], body
    for number, step in enumerate(steps):
        try:
            at = at[step]
        except (LookupError, TypeError):
            if number < len(steps) - 1 or not isinstance(at, dict):
                continue
            at = None  # a field that is missing
        path.append(str(step))
    return ".".join(path), at


def blamed(recorded: RecordedRun, played: Replayed) -> Replayed:
    """Return a replay that did not come out the same, with the changed event of the record as its difference."""
    if recorded.lacks_attributes or not any(map(carries, recorded.events)):
        return _by_its_prompt(recorded, played)
    found = _changed(recorded)
    if found is None:
        return played
    seq, carrier = found
    why = f"it is not what {carrier} vouches for: {_CHANGED}"
    there = played.difference
    if there is not None and there.seq == seq:
        made = replace(there, why=f"{there.why}; {why}")
    else:
        follows = f". From it follows {there}" if there is not None else ""
        made = Difference(seq, "", None, None, f"{why}{follows}")
    # What was inferred from a changed record, such as a death, did not happen.
    return replace(played, ending=Ending.DIFFERENT, difference=made, notes=())


def _changed(recorded: RecordedRun) -> tuple[str, str] | None:
    """Return the first event that is not as it was, with the ending that says so; None if all are."""
    wrong: dict[str, str] = {}
    # The newest first: a carrier vouches for the earlier ones.
    for carrier in reversed([one for one in recorded.events if carries(one)]):
        if carrier.seq in wrong:
            continue
        try:
            wrong |= dict.fromkeys(_unlike(recorded, carrier), carrier.seq)
        except GARBLED:
            wrong[carrier.seq] = carrier.seq
    seq = min(wrong, key=place_of, default=None)
    return None if seq is None else (seq, wrong[seq])


def _unlike(recorded: RecordedRun, carrier: Event) -> Iterator[str]:
    """Yield the events that are not as ``carrier`` has them: itself, if only its own list is not."""
    evidence = carrier.body[EVIDENCE]
    there = [(recorded.by_seq[seq], mark) for seq, mark in listed(evidence) if seq in recorded.by_seq]
    marks = [mark_of(event) for event, _ in there]
    unlike = [event.seq for (event, told), mark in zip(there, marks, strict=True) if mark[:LISTED_BYTES] != told]
    if "events" not in evidence:  # an older version's: its own digest is over all events
        yield from unlike
        return
    apart = " ".join(unsigned_keys(carrier))
    whole = whole_of(evidence["events"], evidence.get("since"), without_evidence(carrier), apart)
    as_it_was = together_of(marks) == evidence["events"]
    if whole != evidence.get("sha256") or (as_it_was and unlike):
        yield carrier.seq
    if not as_it_was:
        yield from unlike


def _by_its_prompt(recorded: RecordedRun, played: Replayed) -> Replayed:
    """Return the replay, with the events that are new in a prompt whose digest the record itself does not have."""
    there = played.difference
    asked = recorded.by_seq.get(there.seq) if there is not None else None
    if (
        there is None
        or asked is None
        or asked.name != ModelRequested.NAME
        or not isinstance(asked.fact, ModelRequested)
    ):
        return played
    wrong, _ = changed_prompts(recorded.events, {event.seq: event.digest for event in recorded.events})
    if asked.seq not in wrong:
        return played
    new = list(asked.fact.covers)
    some = f"{', '.join(new[:_SOME])}{' and others' if len(new) > _SOME else ''}"
    return replace(
        played, difference=replace(there, why=f"{there.why}; or one of the events new in it was changed: {some}")
    )
