"""The counts at the end of `ballast certify`."""

import io

import pytest
from rich.console import Console

from cli.certify.report import Finding
from cli.commands.certify import _show, counted
from cli.screen import Screen


def finding(state: str, *, needed: bool = False) -> Finding:
    return Finding("suspend_account", "key", state, "suspended", "Seen.", "Mend it.", needed)


@pytest.mark.parametrize(
    ("states", "said"),
    [
        ([("held", False), ("not tried", False)], "1 held, 0 broken, 1 not tried, none of them needed"),
        (
            [("broken", False), ("not tried", True), ("not tried", False)],
            "0 held, 1 broken, 2 not tried, 1 of them needed",
        ),
    ],
)
def test_of_what_was_not_tried_only_what_is_needed_keeps_the_certificate_back(
    states: list[tuple[str, bool]], said: str
) -> None:
    assert counted([finding(state, needed=needed) for state, needed in states]) == said


def test_what_was_not_tried_is_named_though_it_is_not_needed() -> None:
    printed = io.StringIO()

    _show([finding("held"), finding("not tried")], Screen(Console(file=printed)), all_of_them=False)

    assert "  not tried, and not needed: key\n" in printed.getvalue()
