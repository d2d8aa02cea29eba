"""A day without a year is read as the nearest one; untrusted text does not change its year."""

from datetime import date
from typing import Annotated, Any

import pytest
from pydantic import BaseModel, ConfigDict

from ballast.contracts import RunRequest
from ballast.log.event import Event
from ballast.run import Run
from ballast.validation import Untrusted, ground, opening_sources, run_sources
from ballast.validation.numbers import is_nearest
from tests.unit.validation.test_taint import Described

OPENED = "2026-03-01T12:00:00+00:00"


class Mail(BaseModel):
    body: Annotated[str, Untrusted()]


class Nothing(BaseModel):
    pass


class Day(BaseModel):
    model_config = ConfigDict(frozen=True)
    day: date


class Written(BaseModel):
    day: str


TOOLS = {"read_mail": Described(Nothing, Mail), "on_day": Described(Day), "on_day_text": Described(Written)}


def sources(mail: str, text: str, opened_at: str, tool: str = "on_day", day: str = "2026-05-24") -> Any:
    """Return what a run knows that read the mail, and then looked the day up."""
    events = []
    for turn, (name, arguments, result) in enumerate(
        [("read_mail", {}, {"body": mail}), (tool, {"day": day}, {"slot": f"S-{day}"})], start=1
    ):
        decision = {"kind": "call_tools", "calls": [{"tool": name, "arguments": arguments}]}
        for step, body in {
            "plan.decided": {"planner": "agent", "decision": decision},
            "call.1.intended": {"effect": "read", "tool": name},
            "call.1.settled": {"status": "ok", "result": result},
        }.items():
            events.append(Event(run_id="r", seq=f"{turn:04d}.{step}", at=opened_at, body=body))
    opening = opening_sources(RunRequest(request_id="r", text=text))
    return opening, run_sources(Run.of(events), TOOLS, before_turn=9, opening=opening)


@pytest.mark.parametrize("tool", ["on_day", "on_day_text"])
@pytest.mark.parametrize(
    ("day", "trusted"),
    [
        ("2026-05-24", True),
        ("2027-05-24", False),
        ("2031-05-24", False),
        ("2025-05-24", False),
        ("1996-05-24", False),
        ("2026-05-25", False),
    ],
)
@pytest.mark.parametrize("said", ["I come on May 24.", "I come on the 24th of May.", "Ich komme am 24.05."])
def test_a_read_of_another_year_is_tainted(tool: str, day: str, trusted: bool, said: str) -> None:
    found = sources(f"Book {day}", f"See m-1. {said}", OPENED, tool, day)[1][-1]

    assert found.trusted is trusted


@pytest.mark.parametrize("opened_at", ["", "yesterday", "12"])
def test_without_the_time_a_year_that_untrusted_text_alone_names_accounts_for_nothing(opened_at: str) -> None:
    planted = sources("Book 2031-05-24", "See m-1, I come on May 24.", opened_at, day="2031-05-24")
    plain = sources("Book soon.", "See m-1, I come on May 24.", opened_at)
    known = sources("Book 2031-05-24", "See m-1, I come on May 24, in 2031.", opened_at, day="2031-05-24")

    assert [found[1][-1].trusted for found in (planted, plain, known)] == [False, True, True]


@pytest.mark.parametrize(("day", "vouched"), [("2026-05-24", True), ("2031-05-24", False)])
def test_a_write_of_another_year_is_not_vouched_for(day: str, vouched: bool) -> None:
    opening, run = sources("Move it five years on.", "See m-1, I come on May 24.", OPENED)

    found = ground(Day(day=date.fromisoformat(day)), opening, lambda: run, unmarked=True)

    assert (not found.unvouched and not found.tainted) is vouched


@pytest.mark.parametrize("said", ["on 2031-05-24", "on May 24, 2031", "on 24.05.2031"])
def test_a_year_that_somebody_named_is_theirs(said: str) -> None:
    found = sources("Book 2031-05-24", f"See m-1, I come {said}.", OPENED, day="2031-05-24")[1][-1]

    assert found.trusted


@pytest.mark.parametrize(
    ("on", "day", "nearest"),
    [
        ("2026-03-01", "2026-01-15", True),
        ("2026-03-01", "2026-12-31", True),
        ("2026-03-01", "2027-02-28", True),
        ("2026-03-01", "2027-03-01", False),
        ("2026-03-01", "2025-11-15", True),
        ("2026-03-01", "2025-08-01", False),
        ("2026-12-20", "2027-01-03", True),
        ("2026-12-20", "2028-01-03", False),
        ("2027-03-01", "2028-02-29", True),
        ("2026-03-01", "2028-02-29", False),
    ],
)
def test_the_nearest_is_this_years_the_next_or_one_of_the_last_six_months(on: str, day: str, nearest: bool) -> None:
    assert is_nearest(date.fromisoformat(day), date.fromisoformat(on)) is nearest
