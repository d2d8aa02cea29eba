"""``ballast check`` of tools' functions by their form: methods, partials, aliases, and errors that are suppressed."""

import contextlib
from contextlib import suppress
from functools import partial
from types import SimpleNamespace
from typing import Any, cast

import pytest
from pydantic import BaseModel, ConfigDict, Field, computed_field

from ballast.contracts import RunRequest
from ballast.playbook import Approval, Playbook, Tool, ToolContext, Write, fallback, tool
from ballast.playbook.fallback import Fallback, Script
from cli.checks.functions import functions
from cli.checks.rules import rules


class Stay(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True)

    stay_id: str = Field("S-1", alias="stayId")
    fee: float = 0.5
    hidden: str = Field("", exclude=True)

    @computed_field  # type: ignore[prop-decorator]
    @property
    def nights(self) -> int:
        return 2


class Aliased(Stay):
    model_config = ConfigDict(serialize_by_alias=True)


class Hold(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    stay_id: str = "S-1"
    fee: float = 0.5


class Freed(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    stay_id: str


@tool(effect=Write())
def free(args: Freed, ctx: ToolContext) -> str:
    """Free a room."""
    return ""


def told(returns: type[BaseModel] = Stay, if_: Any = None, script: Fallback | None = None, **effect: Any) -> list[str]:
    """Return the problems and remedies of a tool with that effect, or of a fallback."""

    def hold(args: Hold, ctx: ToolContext) -> Any:
        """Hold a room."""

    hold.__annotations__["return"] = returns
    made = tool(effect=Write(undo="free", **effect), approval=if_ and Approval(if_=if_))(hold)
    tools: dict[str, Tool] = {"hold": made, "free": free}
    playbook = SimpleNamespace(tools=tools, fallbacks={"a": script} if script else {}, folder=".")
    found = [*functions(cast(Playbook, playbook)), *rules(cast(Playbook, playbook), whole=True)]
    return [f"{one.problem} {one.remedy}" for one in found]


def by_id(args: Hold, result: Any) -> dict[str, Any]:
    return {"stay_id": args.stay_id}


class Tariff:
    fee = 2

    def of(self, args: Hold, request: RunRequest) -> Any:
        return self.fee

    def of_its_guest(self, args: Hold, request: RunRequest) -> Any:
        return args.fee

    def undone(self, args: Hold, result: Any) -> dict[str, Any]:
        return {"stay_id": args["stay"]}  # type: ignore[index]

    def undone_by(self, args: Hold, result: Any) -> dict[str, Any]:
        return {"stay_id": result["stay"]}

    def asks(self, args: Hold, request: RunRequest, run: Any) -> bool:
        return bool(run.done("holds"))

    def its_own(self, args: Hold, request: RunRequest, most: Any = None) -> bool:
        return bool(most and most.done("holds"))


def priced(tariff: Any, args: Hold, request: RunRequest, more: Any = 0) -> Any:
    return tariff.fee


def priced_by_guest(tariff: Any, args: Hold, request: RunRequest, more: Any = 0) -> Any:
    return args.fee


@pytest.mark.parametrize(
    ("effect", "says"),
    [
        ({"moves": Tariff().of}, ""),
        ({"moves": Tariff().of_its_guest}, "It returns a float"),
        ({"moves": partial(priced, Tariff())}, ""),
        ({"moves": partial(priced_by_guest, Tariff(), more=1)}, "It returns a float"),
        ({"undo_arguments": Tariff().undone}, ""),
        ({"undo_arguments": Tariff().undone_by}, "the result has no stay"),
        ({"if_": Tariff().asks}, "there is no tool holds"),
        ({"if_": Tariff().its_own}, ""),
    ],
)
def test_a_method_and_a_partial_are_read_by_the_parameters_that_are_left(effect: dict[str, Any], says: str) -> None:
    found = told(**{"undo_arguments": by_id, **effect})

    assert [says in one for one in found] == ([True] if says else [])


@pytest.mark.parametrize(
    ("returns", "undo", "says"),
    [
        (Stay, lambda args, result: {"stay_id": result["stayId"]}, 'Write result["stay_id"]'),
        (Stay, lambda args, result: {"stay_id": result["hidden"]}, "has: fee, nights, stay_id."),
        (Stay, lambda args, result: {"stay_id": result["stay_id"]}, ""),
        (Stay, lambda args, result: {"stay_id": result["nights"]}, ""),
        (Aliased, lambda args, result: {"stay_id": result["stayId"]}, ""),
        (Aliased, lambda args, result: {"stay_id": result["stay_id"]}, "has: fee, nights, stayId."),
    ],
)
def test_a_result_has_the_names_under_which_it_is_recorded(returns: type[BaseModel], undo: Any, says: str) -> None:
    found = told(returns, undo_arguments=undo)

    assert [says in one for one in found] == ([True] if says else [])
    assert made_of(returns, undo) is bool(says)


def made_of(returns: type[BaseModel], undo: Any) -> bool:
    """Return whether reading the recorded result fails."""

    def get(args: Hold, ctx: ToolContext) -> Any:
        """Get."""

    get.__annotations__["return"] = returns
    try:
        undo(None, tool(effect=Write())(get).dump(returns()))
    except KeyError:
        return True
    return False


def suppressing_undo(args: Hold, result: Any) -> dict[str, Any]:
    found = {"stay_id": args.stay_id}
    with suppress(KeyError):
        found["stay_id"] = result["stay"]
    return found


@tool(effect=Write(undo="free", undo_arguments=by_id))
def held(args: Hold, ctx: ToolContext) -> Stay:
    """Hold a room."""
    return Stay()


MISSED = (AttributeError, KeyError)


@fallback(intent="a")
def suppressed(request: RunRequest) -> Script:
    freed: Stay = yield free.call(stay_id="S-1")
    stay: Stay = yield held.call()
    with suppress(AttributeError):
        str(stay.name)  # type: ignore[attr-defined]
    return str(freed)


@fallback(intent="a")
def suppressed_by_name(request: RunRequest) -> Script:
    stay: Stay = yield held.call()
    with contextlib.suppress(*MISSED):
        str(stay.name)  # type: ignore[attr-defined]
    return ""


@fallback(intent="a")
def caught_by_name(request: RunRequest) -> Script:
    stay: Stay = yield held.call()
    try:
        str(stay.name)  # type: ignore[attr-defined]
    except MISSED:
        return "nothing"
    return ""


@fallback(intent="a")
def suppressed_otherwise(request: RunRequest) -> Script:
    stay: Stay = yield held.call()
    with suppress(KeyError), open("a"):
        str(stay.name)  # type: ignore[attr-defined]
    return ""


@pytest.mark.parametrize(
    ("script", "fails"),
    [(suppressed, False), (suppressed_by_name, False), (caught_by_name, False), (suppressed_otherwise, True)],
)
def test_an_error_that_a_with_suppresses_is_caught(script: Fallback, fails: bool) -> None:
    found = told(undo_arguments=suppressing_undo, script=script)

    assert ["has no name: the fallback fails here" in one for one in found] == ([True] if fails else [])
