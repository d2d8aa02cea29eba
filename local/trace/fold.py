"""From the log to the timeline: a pure function of the entries, whole or cut off anywhere."""

from collections.abc import Iterable, Mapping
from typing import get_args

from ballast.folds.cost import corrected
from ballast.log.event import Event, order
from ballast.run import Run
from local.trace.ending import ending
from local.trace.reading import between, mapping, text, whole
from local.trace.timeline import Ceilings, Status, Timeline, Turn
from local.trace.turns import turns

_ENDINGS = frozenset({"0000.run.refused", "9999.run.ended"})
_UNREADABLE = 'How it stands cannot be read: somebody changed its log. See "The log was touched" in docs/operating.md.'
_ENDED = frozenset(get_args(Status)) - {"corrupt"}


def timeline(events: Iterable[Event], corrupt: Mapping[str, str] | None = None, *, run_id: str = "") -> Timeline:
    """Return the timeline of one run. Raises ``ValueError`` where there is no entry at all.

    ``corrupt`` says what is wrong with entries that cannot be read, by key; the others are told all the same.
    """
    log = sorted(events, key=order)
    wrong = tuple(f"{seq}: {why}" for seq, why in (corrupt or {}).items())
    if not log and wrong:
        return Timeline(run_id=run_id, status="corrupt", ending=_UNREADABLE, corrupt=wrong)
    if not log:
        raise ValueError("The log holds no entry of this run.")
    bodies = {event.name: event.body for event in log if event.name.startswith("run.")}
    opened = bodies.get("run.opened") or bodies.get("run.refused") or {}
    ended = bodies.get("run.ended", {})
    limits = mapping(opened, "limits")
    made = turns(log, log[0].at, whole(limits.get("cost_microusd")))
    status = _status(bodies.keys(), text(ended, "status"), made)
    if status in ("open", "waiting") and (corrupt or {}).keys() & _ENDINGS:
        status = "corrupt"
    refused = text(bodies.get("run.refused", {}), "message")
    told = _UNREADABLE if status == "corrupt" else ending(status, text(ended, "by"), _reason(bodies), made, refused)
    last = made[-1] if made else Turn(turn=0, planner="")
    return Timeline(
        run_id=log[0].run_id,
        status=status,
        corrupt=wrong,
        ending=told,
        by=text(ended, "by"),
        degraded=ended.get("degraded") is True,
        reason=_reason(bodies) or (_first_pivot(made) if ended.get("degraded") is True else ""),
        answer=text(ended, "answer") or _answer(made),
        request=dict(mapping(opened, "request")),
        agent=text(opened, "agent"),
        model=text(opened, "model"),
        opened_at=log[0].at,
        duration_ms=between(log[0].at, next((e.at for e in log if e.name == "run.ended"), max(e.at for e in log))),
        ceilings=Ceilings(
            cost_microusd=last.cost_ceiling_microusd or whole(limits.get("cost_microusd")),
            turns=whole(limits.get("turns")),
            tool_calls=whole(limits.get("tool_calls")),
            deadline_s=whole(limits.get("deadline_s")),
        ),
        spent_microusd=_or(whole(ended.get("spent_microusd")), last.spent_microusd),
        reserved_microusd=_or(whole(ended.get("reserved_microusd")), last.reserved_microusd),
        corrected=corrected(Run.of(log)),
        effects=text(ended, "effects"),
        input_tokens=last.input_tokens,
        output_tokens=last.output_tokens,
        agent_turns=sum(bool(turn.attempts) for turn in made),
        agent_calls=sum(len(turn.calls) for turn in made if turn.planner == "agent"),
        tool_calls=last.tool_calls,
        refused_calls=sum(call.outcome == "refused" for turn in made for call in turn.calls),
        turns=made,
    )


def _status(named: Iterable[str], ended: str, made: tuple[Turn, ...]) -> Status:
    if ended in _ENDED:
        found: Status = ended  # type: ignore[assignment]  # it is one of them: the line above
        return found
    if "run.refused" in named:
        return "refused"
    return "waiting" if made and _waits(made[-1]) else "open"


def _waits(turn: Turn) -> bool:
    unanswered = turn.escalation is not None and not turn.escalation.by
    return unanswered or any(call.outcome == "waiting" for call in turn.calls)


def _reason(bodies: dict[str, dict[str, object]]) -> str:
    return text(bodies.get("run.ended", {}), "reason") or text(bodies.get("run.refused", {}), "reason")


def _first_pivot(made: tuple[Turn, ...]) -> str:
    """Return why the first planner was not the last one."""
    return next((turn.pivot.reason for turn in made if turn.pivot), "")


def _answer(made: tuple[Turn, ...]) -> str:
    last = made[-1].decided if made else None
    return last.text if last is not None and last.kind == "answer" else ""


def _or(recorded: int | None, summed: int) -> int:
    return summed if recorded is None else recorded
