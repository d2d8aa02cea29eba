"""A tool is not blamed for what an earlier call of its scenario leaves in another way each time."""

from types import SimpleNamespace
from typing import Any

import pytest

from cli.certify.report import Finding
from cli.certify.run import _of_a_steady_store


def finding(rule: str, state: Any) -> Finding:
    return Finding("pay", rule, state, "two", "Seen.", "Mend it.")


@pytest.mark.parametrize(
    ("earlier", "states", "left"),
    [
        ("", {"money": "held", "key": "broken"}, {"money": "held", "key": "broken"}),
        ("book: seen outside", {"money": "held", "key": "held"}, {"money": "held", "key": "held"}),
        (
            "book: seen outside",
            {"money": "held", "repeatable": "held", "key": "broken"},
            {"money": "held", "repeatable": "not tried"},
        ),
    ],
)
def test_what_is_broken_is_not_told_of_a_tool_after_a_call_that_leaves_something_else_each_time(
    earlier: str, states: dict[str, str], left: dict[str, str]
) -> None:
    rig, sample = (
        SimpleNamespace(unsteady_before=lambda _: earlier),
        SimpleNamespace(tool=SimpleNamespace(name="pay"), scenario="two"),
    )
    found = [finding(rule, state) for rule, state in states.items()]

    told = _of_a_steady_store(rig, sample, found)  # type: ignore[arg-type]

    assert {one.rule: one.state for one in told} == left
    needed = [one for one in told if one.needed]
    assert all("book" in one.seen for one in needed)
    assert len(needed) == ("not tried" in left.values())
