"""``ballast breaker`` explains every mode without importing the layer."""

import pytest

from ballast.money.breaker import Mode
from cli.commands.breaker import show
from cli.help_texts import MODES
from cli.parser import parser
from cli.screen import Screen


def test_every_mode_is_explained_in_the_order_of_its_strictness(capsys: pytest.CaptureFixture[str]) -> None:
    assert list(MODES) == list(Mode)

    with pytest.raises(SystemExit):
        parser().parse_args(["breaker", "--help"])

    printed = capsys.readouterr().out
    assert [mode for mode in MODES if f"  {mode:14} {MODES[mode]}" not in printed] == []


def test_what_is_half_open_says_that_some_pass_and_a_hostile_reason_is_harmless(
    capsys: pytest.CaptureFixture[str],
) -> None:
    held = {
        "mode": "fallback_only",
        "state": "half_open",
        "tenant": None,
        "since": "2026-03-01T12:00:00+00:00",
        "until": "2026-03-01T12:10:00+00:00",
        "by": "alarm",
        "reason": "red\x1b[2J",
        "tenants": [],
    }

    show(held, Screen())

    printed = capsys.readouterr().out
    assert "breaker: fallback_only (half-open)" in printed
    assert "since 2026-03-01 12:00 UTC, one run in twenty passes since 2026-03-01 12:10 UTC" in printed
    assert "\x1b" not in printed
