"""The tree of errors is as drawn, and the state machine names no other error."""

import inspect
import re
from pathlib import Path

import pytest

from ballast import errors

ASL = Path(__file__).resolve().parents[3] / "statemachine" / "agent.asl.yaml"
CLASSES = {
    name: one for name, one in inspect.getmembers(errors, inspect.isclass) if issubclass(one, errors.BallastError)
}


def drawn() -> dict[str, str | None]:
    """Return each class of the drawing at the top of ``errors.py`` with the parent that it hangs from."""
    parents: dict[str, str | None] = {}
    path: list[str] = []
    for line in (errors.__doc__ or "").splitlines():
        found = re.match(r"^ {4}(?P<indent>[│├└─ ]*)(?P<name>[A-Z][A-Za-z]+)(?: |$)", line)
        if found and found["name"] in CLASSES:
            level = len(found["indent"]) // 4
            path = [*path[:level], found["name"]]
            parents[found["name"]] = path[level - 1] if level else None
    return parents


def named_by_the_workflow() -> set[str]:
    text = ASL.read_text(encoding="utf-8")
    listed = ", ".join(re.findall(r"ErrorEquals: \[(.*?)\]", text))
    compared = re.findall(r"errorOutput\.Error = '(\w+)'", text)
    others = ("States.", "Lambda.", "Sandbox.", "Runtime.")
    return {name for name in [*listed.split(", "), *compared] if not name.startswith(others)}


def test_every_error_is_in_the_drawing() -> None:
    assert drawn().keys() == CLASSES.keys()


@pytest.mark.parametrize(("name", "parent"), drawn().items())
def test_an_error_hangs_where_it_is_drawn(name: str, parent: str | None) -> None:
    assert [base.__name__ for base in CLASSES[name].__bases__] == [parent or "Exception"]


@pytest.mark.parametrize("name", sorted(named_by_the_workflow()))
def test_an_error_that_the_state_machine_names_is_one_of_ours(name: str) -> None:
    assert name in CLASSES


def test_the_state_machine_names_errors() -> None:
    assert {"RetryLater", "ApprovalRequired", "EffectUnknown"} <= named_by_the_workflow()


def test_the_state_machine_retries_every_error_that_says_try_again() -> None:
    """It matches names and not base classes, so each subclass has to be listed."""
    lists = re.findall(r"Retry:\n\s+- ErrorEquals: \[(.*?)\]", ASL.read_text(encoding="utf-8"))
    again = {name for name, one in CLASSES.items() if issubclass(one, errors.RetryLater)}
    again.remove("AtCapacity")  # only Admit raises it, and retries it by a rule of its own
    again.remove("NotYetResumed")  # whoever answers hears it, and no task of the workflow

    assert lists
    assert all(again <= set(names.split(", ")) for names in lists)


def test_the_state_machine_refuses_a_run_for_every_error_that_does_not_admit_it() -> None:
    refusals = re.search(r"ErrorEquals: \[(NotAdmitted.*?)\]", ASL.read_text(encoding="utf-8"))
    not_admitted = {name for name, one in CLASSES.items() if issubclass(one, errors.NotAdmitted)}

    assert refusals
    assert not_admitted <= set(refusals[1].split(", "))


@pytest.mark.parametrize("name", CLASSES)
def test_an_error_says_what_it_means(name: str) -> None:
    assert (CLASSES[name].__doc__ or "").strip().endswith(".")
