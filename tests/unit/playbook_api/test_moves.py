"""``moves`` of tools and of agent.yaml: checked at load, with default ceilings."""

from pathlib import Path
from typing import Any

import pytest

from ballast.errors import PlaybookInvalid
from ballast.money.moves import Ceilings
from ballast.playbook import RunSoFar, ToolContext, Write, load_playbook, tool
from ballast.run import Run
from tests.unit.playbook_api.test_tool import Args
from tests.unit.playbook_api.written import agent_with, written

EURO = 1_000_000


def declared(**more: Any) -> Any:
    def pay(args: Args, ctx: ToolContext) -> None:
        """Pay."""

    return tool(effect=Write(**more))(pay)


def amount(args: Any, _: Any) -> Any:
    return args.amount


@pytest.mark.parametrize(
    ("more", "says"),
    [
        ({"moves": 5}, r"effect\.moves must be a function of \(args, request\)"),
        ({"moves": amount, "moves_key": "customer_id"}, "moves_key one of"),
        ({"moves": amount, "undo_gives_back": True}, 'undo_gives_back=True needs undo="'),
        ({"moves_key": amount}, "need moves="),
        ({"undo_gives_back": True, "undo": "other"}, "need moves="),
    ],
)
def test_a_declaration_that_makes_no_sense_is_refused_at_load(more: dict[str, Any], says: str) -> None:
    with pytest.raises(PlaybookInvalid, match=says):
        declared(**more)


def test_a_playbook_that_says_nothing_has_ceilings_all_the_same(tmp_path: Path) -> None:
    moves = load_playbook(written(tmp_path / "plain")).agent.moves

    assert moves.on_full == "refuse"
    assert moves.ceilings == Ceilings(*(n * EURO for n in (200, 200, 500, 1_000, 5_000, 2_000, 10_000)))


def test_amounts_are_texts_or_whole_numbers(tmp_path: Path) -> None:
    said = 'moves: {currency: EUR, run: "99.50", customer: {day: 7}}\ninstructions:'

    moves = load_playbook(written(tmp_path / "euros", agent_with("instructions:", said))).agent.moves

    assert (moves.currency, moves.ceilings.run, moves.ceilings.customer_day) == ("EUR", 99_500_000, 7 * EURO)
    assert moves.ceilings.customer_hour == 200 * EURO


@pytest.mark.parametrize(
    ("said", "names"),
    [
        ("{run: 99.5}", r"moves\.run: .*as text"),
        ("{run: true}", r"moves\.run: .*as text"),
        ("{run: null}", r"moves\.run: .*as text"),
        ("{run: -1}", r"moves\.run: .*not an amount"),
        ("{run: '1e9'}", r"moves\.run: .*not an amount"),
        ("{customer: {week: 1}}", r"moves\.customer\.week: Extra inputs"),
        ("{runs: 1}", r"moves\.runs: Extra inputs"),
        ("{on_full: allow}", r"moves\.on_full"),
        ("{currency: euros}", r"moves\.currency"),
    ],
)
def test_a_ceiling_that_is_none_names_its_field(tmp_path: Path, said: str, names: str) -> None:
    with pytest.raises(PlaybookInvalid, match=names):
        load_playbook(written(tmp_path / "broken", agent_with("instructions:", f"moves: {said}\ninstructions:")))


def test_a_rule_that_may_not_see_the_windows_is_told_who_may() -> None:
    run = RunSoFar((), Run.of(()).usage)

    assert run.moved == 0
    for name in ("customer", "tenant", "everyone"):
        with pytest.raises(LookupError, match=r"approval\.if_ of a tool with moves"):
            getattr(run, name)
