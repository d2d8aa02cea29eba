"""``ballast check`` of values that a scenario expects of a write, and that no record has in that form."""

import json
from collections.abc import Mapping
from datetime import date
from decimal import Decimal
from pathlib import Path
from types import SimpleNamespace
from typing import Annotated, Any, cast

import pytest
from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from ballast.contracts import RunRequest
from ballast.contracts.wire import Wire, parse
from ballast.errors import BallastError, InvalidInput
from ballast.playbook import Playbook, ToolContext, Write, tool
from cli.checks.expectations import never
from cli.checks.plays import _findings as findings_of
from localcloud.scenarios import Scenario, find


class Room(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    beds: int
    view: str = "sea"


class Charge(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    amount: Decimal
    night: date = Field(alias="onNight")
    room: Room
    tags: frozenset[str] = frozenset()
    days: float = 1.0
    code: Annotated[str, AfterValidator(str.upper)] = "X"


@tool(effect=Write())
def charge(args: Charge, ctx: ToolContext) -> str:
    """Charge a stay."""
    return ""


def told(arguments: Mapping[str, Any]) -> list[str]:
    """Return what is said of a scenario that expects this call."""
    data = {
        "name": "one",
        "description": "x",
        "request": RunRequest(request_id="r-1", text="Charge.").model_dump(mode="json", exclude_none=True),
        "expect": {"status": "answered", "effects": [{"tool": "charge", "arguments": dict(arguments)}]},
    }
    playbook = SimpleNamespace(tools={"charge": charge}, fallbacks={}, agents={}, agent=SimpleNamespace(name="desk"))
    found = never(parse(Scenario, data, what="it"), cast(Playbook, playbook), "scenario.yaml", whole=True)
    return [f"{one.field} {one.problem} {one.remedy}" for one in found]


ALL = {"amount": "120", "onNight": "2026-12-24", "room": {"beds": 2, "view": "sea"}, "tags": ["b", "a"], "days": 2}


def test_a_value_is_expected_as_the_record_has_it() -> None:
    assert told(ALL) == []
    assert sorted(charge.form.write(charge.read(ALL))["tags"]) == ["a", "b"]
    assert told({"code": "x"}) == []  # the author's own validator may do anything


@pytest.mark.parametrize(
    ("arguments", "written"),
    [({"amount": 120}, 'amount: "120"'), ({"room": {"beds": 2}}, 'room: {"beds": 2, "view": "sea"}')],
)
def test_a_value_in_another_form_than_the_record_s_is_told_with_that_form(
    arguments: dict[str, Any], written: str
) -> None:
    (found,) = told(arguments)

    assert found.startswith("expect.effects charge ")
    assert f"Write {written}, as" in found
    (name,) = arguments
    assert charge.form.write(charge.read({**ALL, **arguments}))[name] == json.loads(written.partition(": ")[2])


def test_a_date_without_quotation_marks_is_told_with_its_field(tmp_path: Path) -> None:
    file = tmp_path / "one" / "scenario.yaml"
    file.parent.mkdir()
    file.write_text(
        "description: x\nrequest: {text: Charge.}\n"
        "expect: {status: answered, effects: [{tool: charge, arguments: {onNight: 2026-12-24, 2026-01-01: 1}}]}\n"
    )

    with pytest.raises(InvalidInput) as refused:
        find("one", tmp_path)

    found = list(findings_of("scenario.yaml", str(refused.value)))
    assert [(one.file, one.field) for one in found] == [
        (str(file), "expect.effects.0.arguments"),
        (str(file), "expect.effects.0.arguments.onNight"),
    ]
    assert [one.problem for one in found] == [
        "2026-01-01 is a date, which JSON does not have.",
        "2026-12-24 is a date, which JSON does not have.",
    ]
    assert {one.remedy for one in found} == {"Write it in quotation marks."}


def test_what_json_does_not_have_is_told_where_it_stands() -> None:
    class One(Wire):
        items: list[Any]

    ring: list[Any] = [{1}]
    ring.append(ring)
    with pytest.raises(BallastError, match=r"One is not valid: items\.0: holds a value of type set, which JSON does"):
        parse(One, {"items": ring}, what="One")
    with pytest.raises(BallastError, match=r"One is not JSON: items\. Send text"):
        parse(One, {"items": [float("nan")]}, what="One")
