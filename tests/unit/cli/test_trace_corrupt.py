"""The trace of a run with an unreadable entry: it is named, and the others are shown."""

import io

import pytest
from rich.console import Console

from ballast.log.event import Event
from cli.trace import render
from tests.support.timelines import timeline

RUN = "run-" + "a" * 24
OPENED = Event(
    run_id=RUN,
    seq="0000.run.opened",
    at="2026-11-01T09:00:00+00:00",
    body={"request": {"text": "Where is my order?"}, "limits": {}, "agent": "desk"},
)


def shown(events: list[Event], corrupt: dict[str, str]) -> str:
    printed = io.StringIO()
    Console(file=printed, width=200).print(render(timeline(events, corrupt, run_id=RUN)))
    return printed.getvalue()


@pytest.mark.parametrize("seq", ["0001.model.responded", "0001.call.1.settled", "9999.run.ended"])
def test_a_corrupt_entry_is_named_and_the_others_are_told(seq: str) -> None:
    said = shown([OPENED], {seq: "the digest does not match"})

    assert f"{seq}: the digest does not match" in said
    assert "Where is my order?" in said


def test_a_run_of_which_nothing_can_be_read_is_named_all_the_same() -> None:
    said = shown([], {"0000.run.opened": "the digest does not match"})

    assert "0000.run.opened: the digest does not match" in said
    assert RUN in said
