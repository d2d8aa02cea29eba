"""A playbook loads from its folder, at any path, under any name, beside other playbooks."""

import statistics
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from ballast.contracts import RunRequest
from ballast.errors import PlaybookInvalid
from ballast.playbook import Effect, Playbook, ToolContext, load_playbook
from tests.unit.playbook_api.written import FALLBACK, TOOL, tool_with, written

REQUEST = RunRequest(request_id="r", intent="order_status", text="Where?", context={"order_id": "O-1"})


def context() -> ToolContext:
    now = datetime(2026, 11, 1, tzinfo=UTC)
    return ToolContext("run-1", 1, 1, "key", REQUEST, now, environ={}, client=lambda service: service)


def looked_up(playbook: Playbook) -> Any:
    tool = playbook.tools["look_up"]
    return tool.dump(tool(tool.arguments(order_id="O-1"), context()))


def test_a_playbook_is_its_agent_its_tools_and_its_fallbacks(tmp_path: Path) -> None:
    playbook = load_playbook(written(tmp_path / "desk_of_a_test"))

    assert playbook.agent.name == "support"
    assert playbook.agent.limits_for("order_status").turns == 3
    assert playbook.agent.limits_for(None).turns == 5
    assert looked_up(playbook) == {"id": "O-1"}
    assert next(playbook.fallbacks["order_status"](REQUEST)).tool == "look_up"


def test_a_name_of_ballasts_own_is_no_tools(tmp_path: Path) -> None:
    folder = written(tmp_path / "desk_of_a_test")
    (folder / "tools" / "asking.py").write_text(TOOL.replace("look_up", "ask_requester"))

    with pytest.raises(PlaybookInvalid, match="ask_requester is Ballast's own"):
        load_playbook(folder)


def test_two_playbooks_of_the_same_name_do_not_mix(tmp_path: Path) -> None:
    other = tool_with("args.order_id", "'other'")
    one = load_playbook(written(tmp_path / "one" / "desk_of_a_test"))
    two = load_playbook(written(tmp_path / "two" / "desk_of_a_test", other))

    assert (looked_up(one), looked_up(two)) == ({"id": "O-1"}, {"id": "other"})
    assert looked_up(load_playbook(one.folder)) == {"id": "O-1"}


@pytest.mark.parametrize("name", ["statistics", "colorsys", "json", "ballast", "boto3", "tests"])
def test_a_folder_may_be_called_like_a_module_without_taking_its_place(tmp_path: Path, name: str) -> None:
    before = sys.modules.get(name)

    playbook = load_playbook(written(tmp_path / name))

    assert looked_up(playbook) == {"id": "O-1"}
    assert sys.modules.get(name) is before
    assert statistics.mean([1, 3]) == 2


@pytest.mark.parametrize("name", ["support-desk", "2nd desk", "désk_of_a_test", "class"])
def test_a_folder_may_have_any_name(tmp_path: Path, name: str) -> None:
    assert looked_up(load_playbook(written(tmp_path / name))) == {"id": "O-1"}


def test_a_playbook_is_found_by_a_path_that_goes_round(tmp_path: Path) -> None:
    folder = written(tmp_path / "desk_of_a_test")
    (tmp_path / "link").symlink_to(folder)
    first = load_playbook(folder)

    for path in (tmp_path / "link", folder / "tools" / "..", str(folder)):
        assert load_playbook(path).tools["look_up"] is first.tools["look_up"]


def test_a_playbook_without_fallbacks_has_none(tmp_path: Path) -> None:
    nothing: dict[str, str | None] = {"fallbacks/__init__.py": None, "fallbacks/order_status.py": None}

    assert load_playbook(written(tmp_path / "desk_of_a_test", nothing)).fallbacks == {}


def test_folders_inside_need_no_init(tmp_path: Path) -> None:
    nothing: dict[str, str | None] = {"tools/__init__.py": None, "fallbacks/__init__.py": None}

    assert looked_up(load_playbook(written(tmp_path / "desk_of_a_test", nothing))) == {"id": "O-1"}


def test_a_tool_that_a_file_imports_from_another_is_one_tool(tmp_path: Path) -> None:
    again: dict[str, str | None] = {"tools/again.py": "from .look_up import look_up\n"}

    assert list(load_playbook(written(tmp_path / "desk_of_a_test", again)).tools) == ["look_up"]


def test_tools_are_in_the_order_of_their_names(tmp_path: Path) -> None:
    """The prompt lists them; another order would be another prompt."""
    more: dict[str, str | None] = {
        f"tools/{name}.py": TOOL.replace("look_up", name) for name in ("zebra", "ape", "Bee")
    }

    tools = load_playbook(written(tmp_path / "desk_of_a_test", more)).tools

    assert list(tools) == ["Bee", "ape", "look_up", "zebra"]


def test_only_calls_that_all_read_may_run_side_by_side(tmp_path: Path) -> None:
    write: dict[str, str | None] = {"tools/put.py": TOOL.replace("look_up", "put").replace("Read()", "Write()")}
    playbook = load_playbook(written(tmp_path / "desk_of_a_test", write))

    assert playbook.tools["put"].effect is Effect.WRITE
    assert playbook.side_by_side(iter(["look_up", "look_up", "invented"]))
    assert not playbook.side_by_side(iter(["look_up", "put"]))


def test_a_fallback_s_call_is_checked_when_it_is_proposed(tmp_path: Path) -> None:
    bad: dict[str, str | None] = {"fallbacks/order_status.py": FALLBACK.replace("order_id=request", "order=request")}
    script = load_playbook(written(tmp_path / "desk_of_a_test", bad)).fallbacks["order_status"]

    with pytest.raises(Exception, match=r"look_up: order_id: Field required; order: Extra inputs") as refused:
        next(script(REQUEST))

    assert type(refused.value).__name__ == "SchemaViolation"
