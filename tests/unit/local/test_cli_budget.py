"""``ballast budget`` sends what was typed, and shows limits, windows and what is full."""

from typing import Any

import pytest

from ballast.errors import InvalidInput
from local.cli import main
from local.cli.budget import order, show
from local.cli.exits import Exit
from local.cli.output import Screen
from local.cli.parser import parser
from local.cli.up import _parameters


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
    ],
)  # fmt: skip
def test_what_was_typed_is_sent_in_micro_dollars(words: list[str], sent: dict[str, Any]) -> None:
    assert order(typed(*words)) == sent


@pytest.mark.parametrize(
    ("words", "names"), [(["--hour", "a lot"], "--hour"), (["--day", "-1"], "--day"), (["--runs", "1.5"], "--runs")]
)
def test_what_is_no_amount_names_its_option(words: list[str], names: str) -> None:
    with pytest.raises((InvalidInput, SystemExit), match=names if names != "--day" else None):
        order(typed(*words))


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
    assert _parameters(["TenantHourUsd=0.50", "TenantRuns=1"]) == {"TenantHourUsd": "0.50", "TenantRuns": "1"}
    for text in ("TenantHour=1", "TenantHourUsd"):
        with pytest.raises(InvalidInput, match=r"--parameter.*TenantHourUsd"):
            _parameters([text])
