"""Events of a second process beside a turn's reply: they are put in, and not asked of the replay."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ballast.log.event import Event
from localcloud.replay.playing import Playing
from localcloud.replay.recorded import RecordedRun

REQUESTED = {"model": "m", "input_tokens_bound": 1, "gen_ai.request.max_tokens": 1, "reserved_microusd": 1}


def recorded(*events: tuple[str, str, Mapping[str, Any]]) -> RecordedRun:
    """Return a run of (key, second, body)."""
    made = [
        Event(run_id="run-a", seq=seq, at=f"2026-11-30T12:00:{second}+00:00", body=dict(body))
        for seq, second, body in events
    ]
    return RecordedRun.of(made)


def asked(seq: str, second: str, attempt: int) -> tuple[str, str, dict[str, Any]]:
    return seq, second, {**REQUESTED, "attempt": attempt}


SAID = {"model": "m", "cost_microusd": 1, "decision": {"kind": "answer", "text": "Done."}}
REPLIED = ("0001.model.responded", "02.000", {"attempt": 1, **SAID})


def test_an_attempt_that_began_after_the_reply_is_another_processs_with_its_failure() -> None:
    failed = ("0001.model.2.failed", "04.000", {"attempt": 2, "model": "m", "error": "late", "cost_microusd": 0})
    run = recorded(
        asked("0001.model.requested", "01.000", 1), asked("0001.model.2.requested", "03.000", 2), REPLIED, failed
    )

    assert run.beside == {"0001.model.2.requested", "0001.model.2.failed"}
    assert run.beside <= Playing(run).late


def test_attempts_before_the_reply_are_the_turns_own() -> None:
    failed = ("0001.model.failed", "01.500", {"attempt": 1, "model": "m", "error": "busy", "cost_microusd": 0})
    reply = ("0001.model.responded", "02.000", {"attempt": 2, **SAID})
    run = recorded(
        asked("0001.model.requested", "01.000", 1), failed, asked("0001.model.2.requested", "01.700", 2), reply
    )

    assert run.beside == frozenset()


def test_a_hand_over_beside_a_reply_is_another_processs_and_one_alone_is_the_turns() -> None:
    gives_up = {"kind": "hand_over", "to": "human", "reason": "model_unavailable"}
    decided = ("0001.plan.decided", "01.900", {"planner": "agent", "decision": gives_up})
    script = ("0002.plan.decided", "03.000", {"planner": "fallback", "decision": {"kind": "answer", "text": "Done."}})

    assert recorded(asked("0001.model.requested", "01.000", 1), decided, REPLIED, script).beside == {decided[0]}
    assert recorded(asked("0001.model.requested", "01.000", 1), decided, script).beside == frozenset()
