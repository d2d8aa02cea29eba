"""Masking changes no amount, count or key: money and calls are the same with and without sensitive values."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from ballast.errors import NAMES
from ballast.log.event import Event
from ballast.masking import Finder, Secret, as_text, masked
from ballast.run import Run
from tests.support.random_runs import _TOOLS, runs
from tests.support.runs import Story

COMMON = ["0", "1", "2", "7", "true", "false", "ok", "null", "agent", "answer", "call", "text", "failed", "0001"]


def every_value(value: Any) -> Iterator[str]:
    """Yield every key, text and number, whosever it is."""
    if isinstance(value, Mapping):
        for key, inner in value.items():
            yield key
            yield from every_value(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from every_value(inner)
    elif value is not None and value != "":
        yield as_text(value)


def books(events: Sequence[Event]) -> dict[str, Any]:
    run = Run.of(events)
    opened = run.opening
    return {
        "seqs": [event.seq for event in events],
        "usage": run.usage,
        "calls": [(one.turn, one.index, one.status, one.effect, one.planner, one.call.tool) for one in run.calls],
        "decisions": [(turn, one.planner, one.decision.kind) for turn, one in run.proposals.items()],
        "effects": run.effects("answered"),
        "ending": getattr(run.ending, "status", None),
        "limits": (opened.limits, opened.deadline_ms, opened.request.request_id, opened.request.tenant),
        "next": run.successor(opened_by, has_fallback=True) if (opened_by := _last_planner(events)) else None,
        "reasons": [getattr(one.decision, "reason", None) for one in run.proposals.values()],
        "keys": [sorted(event.body) for event in events],
    }


def _last_planner(events: Sequence[Event]) -> Any:
    made = Run.of(events).proposals
    return made[max(made)].planner if made else None


@settings(phases=[Phase.generate])
@given(runs(), st.data())
def test_the_books_are_the_same_whatever_is_masked(story: Story, data: st.DataObject) -> None:
    events = story.events
    met = sorted({text for event in events for text in (*every_value(event.body), event.run_id, event.seq[:4])})
    values = data.draw(st.lists(st.sampled_from([*met, *COMMON]), min_size=1, max_size=4))
    fields = data.draw(st.lists(st.sampled_from(["order_id", "status", "tool", "name", "text", "turn"]), max_size=2))
    secrets = [Secret(value, field) for value in values for field in ("", *fields)]
    finder = Finder.of(secrets, frozenset({*_TOOLS, "web", "ask_requester", *NAMES}))

    shown = [event.model_copy(update={"body": masked(event.body, finder)}) for event in events]

    assert books(shown) == books(events)
