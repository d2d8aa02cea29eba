"""The cost of a run is computed in one place: what its log counts, and an operator's correction beside it."""

import io
import json
from typing import Any

import pytest
from rich.console import Console

from ballast.errors import LogCorrupt
from ballast.folds.usage import Correction, corrected
from ballast.log.event import Event, order
from ballast.log.events import RunCorrected
from ballast.run import Run
from cli.cost.explain import explained
from cli.cost.render import render as render_cost
from cli.trace.render import render
from tests.support.runs import Story, says
from tests.support.timelines import timeline

AT = "2026-03-02T09:00:00+00:00"


def answered(cost_microusd: int = 450) -> Story:
    """Return a run that was answered for so much."""
    story = Story().opened()
    story.replies(story.asks(1), says("All is tidy."), cost=cost_microusd)
    return story.ends()


def with_corrections(events: Any, *bodies: Any) -> tuple[Event, ...]:
    """Return the log with these bodies in the places of corrections."""
    run_id = events[0].run_id
    more = [Event(run_id=run_id, seq=RunCorrected.key(n), at=AT, body=body) for n, body in enumerate(bodies, start=1)]
    return tuple(sorted([*events, *more], key=order))


def shown(drawn: Any) -> str:
    out = io.StringIO()
    Console(file=out, width=120).print(drawn, crop=False)
    return " ".join(out.getvalue().split())


def said(charged: Any = 10_000, **more: Any) -> dict[str, Any]:
    return {"was_microusd": 450, "charged_microusd": charged, "by": "ann", "reason": "by the bill"} | more


def test_a_run_that_nobody_corrected_cost_what_its_log_counts() -> None:
    found = Run.of(answered().events).cost

    assert (found.counted_microusd, found.corrected) == (450, None)


def test_a_correction_stands_beside_what_the_log_counts_with_who_and_why() -> None:
    found = Run.of(with_corrections(answered().events, said())).cost

    assert found.counted_microusd == 450
    assert found.corrected == Correction(10_000, 450, "ann", "by the bill", AT)


def test_the_newest_of_eleven_is_told() -> None:
    bodies = [said(number, reason="") for number in range(1, 12)]

    found = corrected(Run.of(with_corrections(answered().events, *bodies)))

    assert found is not None
    assert found.charged_microusd == 11


@pytest.mark.parametrize(
    "body",
    [
        {}, said(-1), said(1.5), said(True), said("5"), said(None), said(10**15 + 1), said(by=""), said(by=None),
        said(by="x" * 257), said(reason=None), said(reason="x" * 501), said(was_microusd="lots"), said(was_microusd=-1),
    ],
)  # fmt: skip
def test_what_no_operator_can_have_ordered_is_no_correction_and_hides_none(body: dict[str, Any]) -> None:
    events = with_corrections(answered().events, said(), body)

    assert corrected(Run.of(events)) == corrected(Run.of(with_corrections(answered().events, said())))
    assert Run.of(with_corrections(answered().events, body)).cost.corrected is None


@pytest.mark.parametrize("found", [-1, 1.5, True, None, "5", [], {}, 1e300])
def test_what_is_no_amount_is_believed_by_no_fold(found: Any) -> None:
    failed = Event(run_id="run-x", seq="0001.model.failed", at=AT, body={"attempt": 1, "cost_microusd": found})

    with pytest.raises(LogCorrupt, match=r"run-x 0001\.model\.failed: cost_microusd: "):
        _ = failed.fact
    for name, field in [("model.responded", "cost_microusd"), ("model.requested", "reserved_microusd")]:
        events = [
            event.model_copy(update={"body": event.body | {field: found}}) if event.name == name else event
            for event in answered().events
        ]
        with pytest.raises(LogCorrupt, match=field):
            _ = Run.of(events).usage
    ended = [
        event.model_copy(update={"body": event.body | {"spent_microusd": found}})
        if event.name == "run.ended"
        else event
        for event in answered().events
    ]
    with pytest.raises(LogCorrupt, match="spent_microusd"):
        _ = Run.of(ended).cost
    extended = Event(run_id=ended[0].run_id, seq="0001.lease.extended", at=AT, body={"microusd": found})
    with pytest.raises(LogCorrupt, match="microusd"):
        _ = Run.of([*answered().events, extended]).opening


def test_the_notice_has_it_where_it_is_told_after() -> None:
    before, after = Run.of(answered().events).outcome, Run.of(with_corrections(answered().events, said())).outcome

    assert before is not None
    assert after is not None
    assert (before.model_dump()["cost_usd"], before.model_dump()["corrected"]) == ("0.00045", None)
    told = json.loads(after.detail)
    assert told["cost_usd"] == "0.00045"
    assert told["corrected"] == {"cost_usd": "0.01", "by": "ann", "reason": "by the bill", "at": AT}
    assert told["event_id"] == json.loads(before.detail)["event_id"]


def test_the_trace_says_it_beside_the_cost() -> None:
    made = timeline(with_corrections(answered().events, said(by="a\x1b[31mnn")))

    assert "$0.00045" in shown(render(made))
    assert "corrected to $0.01, by a" in shown(render(made))
    assert "\x1b[31m" not in shown(render(made))
    assert json.loads(made.to_json())["corrected"]["charged_microusd"] == 10_000
    assert timeline(answered().events).corrected is None


def test_the_explanation_of_costs_says_it_beside_its_sums() -> None:
    one = with_corrections(answered().events, said())

    made = explained([one])

    assert made.total.charged == 450
    assert made.as_corrected == 10_000
    assert made.as_data()["corrected"][one[0].run_id]["by"] == "ann"
    text = shown(render_cost(made))
    assert "$0.00045 of $0.25 charged" in text
    assert "corrected to $0.01, by ann: by the bill" in text


def test_of_several_runs_those_that_were_corrected_are_named_and_added_up() -> None:
    one = with_corrections(answered().events, said())
    other = tuple(event.model_copy(update={"run_id": "run-" + "b" * 24}) for event in answered(1_000).events)

    made = explained([one, other])

    assert (made.total.charged, made.as_corrected) == (1_450, 11_000)
    assert "with these corrections the total is $0.011" in shown(render_cost(made))


def test_a_log_with_a_cost_that_is_none_is_left_out_of_the_sums() -> None:
    odd = [
        event.model_copy(update={"body": event.body | {"cost_microusd": -5}})
        if event.name == "model.responded"
        else event
        for event in answered().events
    ]
    left_out: dict[str, str] = {}

    made = explained([odd], left_out)

    assert (made.runs, list(left_out.values())) == ((), ["LogCorrupt"])
