"""The tree of errors is as drawn, and the state machine names no other error."""

import inspect
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

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


def named_in(kind: str) -> list[set[str]]:
    """Return the errors of each state that has a ``Retry`` or ``Catch``, also of the states inside a Map."""

    def of(states: dict[str, Any]) -> Iterator[set[str]]:
        for state in states.values():
            if kind in state:
                yield {name for rule in state[kind] for name in rule["ErrorEquals"]}
            yield from of(state.get("ItemProcessor", {}).get("States", {}))

    return list(of(yaml.safe_load(ASL.read_text(encoding="utf-8"))["States"]))


def named_by_the_workflow() -> set[str]:
    listed = set[str]().union(*named_in("Retry"), *named_in("Catch"))
    compared = set(re.findall(r"errorOutput\.Error = '(\w+)'", ASL.read_text(encoding="utf-8")))
    others = ("States.", "Lambda.", "Sandbox.", "Runtime.")
    return {name for name in listed | compared if not name.startswith(others)}


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
    retried = named_in("Retry")
    again = {name for name, one in CLASSES.items() if issubclass(one, errors.RetryLater)}
    again.remove("AtCapacity")  # only Admit raises it, and retries it by a rule of its own
    again.remove("NotYetResumed")  # whoever answers hears it, and no task of the workflow

    assert len(retried) > 10
    assert all(again <= names for names in retried)


def test_the_state_machine_refuses_a_run_for_every_error_that_does_not_admit_it() -> None:
    [refusals] = [names for names in named_in("Catch") if "NotAdmitted" in names]
    not_admitted = {name for name, one in CLASSES.items() if issubclass(one, errors.NotAdmitted)}

    assert not_admitted <= refusals


@pytest.mark.parametrize("name", CLASSES)
def test_an_error_says_what_it_means(name: str) -> None:
    assert (CLASSES[name].__doc__ or "").strip().endswith(".")
