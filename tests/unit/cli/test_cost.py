"""Costs: whatever a run did, every table accounts for every micro-dollar."""

import io
import json
from argparse import Namespace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given, settings
from rich.console import Console

from ballast.contracts import CallTools, ExitReason, HandOver, Limits, Planner, ToolCall
from ballast.errors import InvalidInput
from ballast.log.event import Event
from ballast.log.events import CallIntended, CallSettled
from ballast.run import Run
from cli import main
from cli.commands import cost as command
from cli.cost.explain import by_tool, charges, explained
from cli.cost.render import render
from cli.saved_runs import SavedRuns
from tests.support.random_runs import runs
from tests.support.runs import STARTED, Story, says, wants

NOW = datetime(2026, 11, 25, 12, tzinfo=UTC)


def written() -> Story:
    """Return a run of two turns: two calls for 4,000 micro-dollars, then an answer for 1,001."""
    story = Story(limits=Limits(cost_microusd=50_000)).opened()
    story.replies(story.asks(1), wants(("look_up_order", {"order_id": "O-1"}), ("send_letter", {})), cost=4_001)
    story.replies(story.asks(2), says("It is on its way."), cost=1_001)
    return story.ends()


@settings(max_examples=60)
@given(runs())
def test_the_charges_of_any_run_add_up_to_what_counts_against_its_ceiling(story: Story) -> None:
    events = story.events

    made = explained([events])

    assert made.total.charged == Run.of(events).usage.charged_microusd
    for name, sums in made.tables().items():
        assert sum(one.charged for one in sums) == made.total.charged, name
        assert sum(one.reserved for one in sums) == made.total.reserved, name
        assert sum(one.input_tokens for one in sums) == made.total.input_tokens, name
    assert made.unspent == made.ceiling - made.total.charged


def test_a_completion_that_calls_two_tools_is_split_between_them_to_the_last_micro_dollar() -> None:
    sums = {one.name: one.charged for one in by_tool(charges(written().run.timeline()))}

    assert sums == {"look_up_order": 2_001, "send_letter": 2_000, "(answering)": 1_001}


def test_an_attempt_without_an_outcome_is_charged_at_its_worst() -> None:
    story = Story().opened()
    story.asks(1, reserved=9_000)

    (charge,) = charges(story.run.timeline())

    assert (charge.outcome, charge.reserved, charge.charged, charge.returned) == ("open", 9_000, 9_000, 0)


@pytest.mark.parametrize(("settled", "charged"), [({"status": "ok", "cost_microusd": 300}, 300), (None, 500)])
def test_a_tool_with_a_price_is_charged_what_it_reports_or_what_it_reserved(
    settled: dict[str, object] | None, charged: int
) -> None:
    story = Story().opened()
    story.decides(1, Planner.FALLBACK, CallTools(calls=(ToolCall(tool="send_letter"),)))
    intended = {"tool": "send_letter", "effect": "write", "planner": "fallback", "reserved_microusd": 500}
    story.write(CallIntended.key(1, 1), intended)
    if settled:
        story.write(CallSettled.key(1, 1), {"tool": "send_letter"} | settled)

    (charge,) = charges(story.run.timeline())

    assert (charge.kind, charge.name, charge.planner, charge.charged) == ("tool", "send_letter", "fallback", charged)


def test_what_a_stopped_loop_would_have_burned_is_told_and_is_no_part_of_the_sum() -> None:
    story = Story(limits=Limits(turns=12, cost_microusd=50_000)).opened()
    story.replies(story.asks(1), wants(("look_up_order", {"order_id": "O-1"})), cost=4_000)
    story.decides(2, Planner.AGENT, HandOver(to=Planner.PERSON, reason=ExitReason.LOOP))

    made = explained([story.events])

    assert (made.saved, made.total.charged) == (11 * 4_000, 4_000)


@pytest.mark.parametrize(
    ("saved", "said"),
    [
        (4_500, "80% of the input tokens were read from the prompt cache, which saved $0.0045"),
        (-250, "80% of the input tokens were read from the prompt cache; writing to it cost $0.00025 more"),
    ],
)
def test_what_the_prompt_cache_saved_is_told_and_is_no_part_of_the_sum(saved: int, said: str) -> None:
    story = Story(limits=Limits(cost_microusd=50_000)).opened()
    asked = story.asks(1)
    story.replies(asked, wants(("look_up_order", {"order_id": "O-1"}), ("send_letter", {})), cost=4_001)
    answered = next(event for event in story.written if event.name == "model.responded")
    tokens = {"gen_ai.usage.cache_read.input_tokens": 400, "cache_saved_microusd": saved}
    body = {**answered.body, **tokens}
    events = [one.model_copy(update={"body": body}) if one is answered else one for one in story.events]

    made = explained([events])

    assert (made.total.cache_read, made.total.cache_saved, made.total.charged) == (400, saved, 4_001)
    for sums in made.tables().values():
        assert (sum(one.cache_read for one in sums), sum(one.cache_saved for one in sums)) == (400, saved)
    assert made.as_data()["cache_saved_microusd"] == saved
    console = Console(width=200, record=True, file=io.StringIO())
    console.print(render(made))
    drawn = console.export_text()
    assert said in drawn
    assert "cache saved $" in drawn


def test_without_cached_tokens_nothing_is_said_of_a_cache() -> None:
    console = Console(width=200, record=True, file=io.StringIO())
    console.print(render(explained([written().events])))

    assert "cache" not in console.export_text()


def test_a_refused_request_cost_nothing() -> None:
    story = Story()
    story.refused()

    made = explained([story.events])

    assert (made.total.charged, made.ceiling, made.running) == (0, 0, 0)


@pytest.mark.parametrize(
    ("text", "is_"),
    [
        ("30m", NOW - timedelta(minutes=30)),
        ("6h", NOW - timedelta(hours=6)),
        ("2d", NOW - timedelta(days=2)),
        ("2026-11-25T02:00Z", datetime(2026, 11, 25, 2, tzinfo=UTC)),
        ("2026-11-25T02:00", datetime(2026, 11, 25, 2, tzinfo=UTC)),
    ],
)
def test_a_time_is_so_long_ago_or_a_moment(text: str, is_: datetime) -> None:
    assert command.moment(text, NOW) == is_


@pytest.mark.parametrize("text", ["", "yesterday", "6", "h", "-1h", "6 hours"])
def test_what_is_no_time_is_refused_with_what_to_write(text: str) -> None:
    with pytest.raises(InvalidInput, match=r"--since.*6h"):
        command.moment(text, NOW)


@pytest.fixture
def saved_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> SavedRuns:
    monkeypatch.setenv("BALLAST_HOME", str(tmp_path))
    made = SavedRuns(tmp_path)
    made.save(written().events[0].run_id, "a run", written().events)
    return made


def test_the_command_explains_a_saved_run(saved_runs: SavedRuns, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["cost", written().events[0].run_id[:8]]) == 0

    shown = capsys.readouterr().out
    assert "$0.005002 of $0.05 charged" in shown
    assert "$0.044998 of the ceiling was returned" in shown
    assert "reserved $0.02 over all attempts, of which $0.014998 was returned" in shown
    for heading in ("by turn", "by tool", "by planner"):
        assert heading in shown


def test_the_command_adds_up_what_was_opened_since(saved_runs: SavedRuns, capsys: pytest.CaptureFixture[str]) -> None:
    before, after = STARTED - timedelta(seconds=1), STARTED + timedelta(days=1)

    assert main(["cost", "--since", before.isoformat(), "--json"]) == 0
    everything = json.loads(capsys.readouterr().out)
    assert main(["cost", "--since", after.isoformat()]) == 0
    nothing = capsys.readouterr().out
    assert main(["cost", "--since", before.isoformat(), "--tenant", "acme", "--json"]) == 0
    of_acme = json.loads(capsys.readouterr().out)

    assert everything["charged_microusd"] == 5_002
    assert everything["runs"] == [written().events[0].run_id]
    assert nothing.startswith("No run since")
    assert of_acme["runs"] == []


@pytest.mark.parametrize(
    "words", [["cost"], ["cost", "run-a", "--since", "1h"], ["cost", "run-a", "--tenant", "acme"], ["cost", "no-such"]]
)
def test_what_cannot_be_explained_says_what_to_type(
    saved_runs: SavedRuns, words: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(words) == 2

    assert "ballast cost: " in capsys.readouterr().err


def test_nothing_in_a_log_reaches_the_terminal_as_a_control_character(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("BALLAST_HOME", str(tmp_path))
    story = Story().opened()
    story.replies(story.asks(1), wants(("evil\x1b[31m[red]", {})))
    SavedRuns(tmp_path).save(story.events[0].run_id, "", story.events)

    assert main(["cost", story.events[0].run_id]) == 0

    shown = capsys.readouterr().out
    assert "\x1b" not in shown
    assert "evil" in shown


class Stack:
    """A deployed stack with one run of each tenant."""

    def __init__(self, most: int = 1) -> None:
        self.most, self.asked = most, list[tuple[str, datetime]]()

    def runs_since(self, tenant: str, since: datetime, most: int) -> list[str]:
        self.asked.append((tenant, since))
        return [f"{tenant}-{number}" for number in range(self.most)]

    def read_all(self, run_id: str) -> tuple[tuple[Event, ...], dict[str, str]]:
        return (written().events if not run_id.startswith("run-") else ()), {}


def typed(**given: object) -> Namespace:
    return Namespace(**{"run": None, "since": None, "tenant": None, "json": True} | given)


def test_a_stack_is_asked_for_its_tenants_runs(capsys: pytest.CaptureFixture[str]) -> None:
    from cli.screen import Screen

    stack = Stack()

    code = command.cost_on_stack(typed(since="2026-11-01T00:00Z", tenant=["acme", "default"]), stack, Screen())  # type: ignore[arg-type]

    assert code == 0
    assert [tenant for tenant, _ in stack.asked] == ["acme", "default"]
    assert json.loads(capsys.readouterr().out)["charged_microusd"] == 2 * 5_002


@pytest.mark.parametrize(
    ("stack", "given"), [(Stack(), {"run": "run-none"}), (Stack(most=command.MOST_RUNS + 1), {"since": "1d"})]
)
def test_a_stack_says_what_it_does_not_have_and_what_is_too_much(stack: Stack, given: dict[str, object]) -> None:
    from cli.screen import Screen

    with pytest.raises(InvalidInput):
        command.cost_on_stack(typed(**given), stack, Screen())  # type: ignore[arg-type]
