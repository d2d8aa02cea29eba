"""``ballast budget``: the command that it sends, and the limits and windows that it shows."""

from typing import Any

import pytest

from ballast.errors import InvalidInput
from cli import main
from cli.commands.budget import command, show
from cli.exits import Exit
from cli.local_stack import parameters_of
from cli.parser import parser
from cli.screen import Screen


def typed(*words: str) -> Any:
    return parser().parse_args(["--stack", "ballast-dev", "budget", *words])


@pytest.mark.parametrize(
    ("words", "sent"),
    [
        ([], {}),
        (["acme"], {"tenant": "acme"}),
        (["acme", "--hour", "0.50", "--day", "$20", "--runs", "0"],
         {"tenant": "acme", "hour_microusd": 500_000, "day_microusd": 20_000_000, "runs": 0}),
        (["--hour", "default", "--runs", "3"], {"runs": 3, "forget": ["hour_microusd"]}),
        (["--moves-hour", "0", "--moves-day", "90000.50"], {"moves_hour": 0, "moves_day": 90_000_500_000}),
        (["acme", "--customer", "C-1001", "--moves-day", "900"],
         {"tenant": "acme", "customer": "C-1001", "moves_day": 900_000_000}),
        (["acme", "--each-run", "300", "--each-customer-day", "default", "--each-customer-hour", "1"],
         {"tenant": "acme", "moves_run": 300_000_000, "moves_customer_hour": 1_000_000,
          "forget": ["moves_customer_day"]}),
        (["--move", "run-1a2b.0003.1", "--happened", "no", "--by", "ops"],
         {"move": {"run_id": "run-1a2b", "turn": 3, "index": 1, "happened": False, "by": "ops"}}),
        (["--correct", "run-1a2b", "--charged", "0.0123", "--reason", "by the bill", "--by", "ann"],
         {"correct": {"run_id": "run-1a2b", "charged_microusd": 12_300, "by": "ann", "reason": "by the bill"}}),
        (["--correct", "run-1a2b", "--charged", "2", "--by", "ann", "--above-lease"],
         {"correct": {"run_id": "run-1a2b", "charged_microusd": 2_000_000, "by": "ann", "reason": "",
                      "above_lease": True}}),
    ],
)  # fmt: skip
def test_what_was_typed_is_sent_in_micro_dollars(words: list[str], sent: dict[str, Any]) -> None:
    assert command(typed(*words)) == {"command": "budget"} | sent


@pytest.mark.parametrize(
    ("words", "names"), [(["--hour", "a lot"], "--hour"), (["--day", "-1"], "--day"), (["--runs", "1.5"], "--runs")]
)
def test_what_is_no_amount_names_its_option(words: list[str], names: str) -> None:
    with pytest.raises((InvalidInput, SystemExit), match=names if names != "--day" else None):
        command(typed(*words))


@pytest.mark.parametrize(
    ("words", "names"),
    [
        (["--moves-day", "much"], "--moves-day"),
        (["--each-run", "1.0000001"], "--each-run"),
        (["--move", "run-1.0003.1"], "--happened"),
        (["--happened", "yes"], "--move"),
        (["--move", "run-1", "--happened", "yes"], "RUN.TURN.CALL"),
        (["--correct", "run-1"], "--charged"),
        (["--above-lease"], "--correct"),
        (["--charged", "1"], "--correct"),
        (["--correct", "run-1", "--charged", "much"], "--charged"),
        (["--reason", "why"], "--correct"),
        (["acme", "--by", "ann"], "--correct"),
    ],
)
def test_what_cannot_be_set_of_what_moves_names_its_option(words: list[str], names: str) -> None:
    with pytest.raises(InvalidInput, match=names):
        command(typed(*words))


def test_what_tools_moved_is_shown_with_its_ceilings_and_what_was_set(capsys: pytest.CaptureFixture[str]) -> None:
    window = {"window": "hour#2026-03-01T12", "limit_microusd": 500_000, "taken_microusd": 0, "settled_microusd": 0}
    moves = {
        "currency": "EUR",
        "windows": [{"window": "day#2026-03-01", "limit": 900_000_000, "moved": 480_250_000}],
        "run": 200_000_000,
        "each_customer": {"hour": 200_000_000, "day": 500_000_000},
        "set": ["moves_day"],
    }
    show({"tenant": "acme", "windows": [window], "runs": {"limit": 10, "now": 2}, "set": [], "moves": moves}, Screen())

    printed = capsys.readouterr().out
    assert "480.25 of 900.00 EUR  (set here)" in printed
    assert "each run             at most 200.00 EUR" in printed
    assert "at most 200.00 an hour, 500.00 a day, EUR" in printed


def test_without_a_stack_it_says_how_a_local_cloud_gets_its_limits(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["budget"]) == Exit.USAGE

    assert "ballast up --parameter TenantHourUsd=" in capsys.readouterr().err


def test_a_budget_is_shown_with_what_is_spent_what_is_held_and_what_was_set(
    capsys: pytest.CaptureFixture[str],
) -> None:
    window = {"window": "hour#2026-03-01T12", "limit_microusd": 500_000}
    show(
        {
            "tenant": "acme",
            "windows": [window | {"taken_microusd": 500_000, "settled_microusd": 120_000}],
            "runs": {"limit": 10, "now": 2},
            "set": ["hour_microusd"],
        },
        Screen(),
    )

    printed = capsys.readouterr().out
    assert "tenant acme" in printed
    assert "$0.50 of $0.50 taken: $0.12 spent, $0.38 held by runs  (set here)" in printed
    assert "2 of 10" in printed


def test_up_takes_parameters_of_the_template_and_no_others() -> None:
    assert parameters_of(["TenantHourUsd=0.50", "TenantRuns=1"]) == {"TenantHourUsd": "0.50", "TenantRuns": "1"}
    for text in ("TenantHour=1", "TenantHourUsd"):
        with pytest.raises(InvalidInput, match=r"--parameter.*TenantHourUsd"):
            parameters_of([text])


def test_a_correction_is_shown_with_what_it_was(capsys: pytest.CaptureFixture[str]) -> None:
    corrected = {"run_id": "run-1a2b", "was_microusd": 120_000, "charged_microusd": 12_300}
    show({"tenant": None, "windows": [], "runs": {"limit": 1, "now": 0}, "set": [], "corrected": corrected}, Screen())

    assert "run-1a2b is charged $0.0123 (it was $0.12)" in capsys.readouterr().out
