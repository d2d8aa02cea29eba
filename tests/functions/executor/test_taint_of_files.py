"""Files of a run count as untrusted text that nobody searches: what they may have named is put to a person."""

from __future__ import annotations

import hashlib
import shutil
from pathlib import Path
from typing import Any

import pytest

from ballast.errors import ApprovalRequired
from ballast.log.events import ApprovalAnswered
from tests.functions.executor.test_taint import POST, Post
from tests.functions.stack import Stack
from tests.functions.test_attachments import PHOTO, named, put
from tests.support.files import GOOD, png

#: Its tools return no untrusted text, so without files nothing is asked.
TOOLS = '''
from decimal import Decimal
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict

from ballast.playbook import FreeText, Grounded, Read, ToolContext, Write, tool


class Closed(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Entry(Closed):
    text: str = "nothing"
    kind: Literal["short", "long"] = "short"
    copies: int = 1
    remark: Annotated[str, FreeText] = ""
    note: Annotated[str, FreeText(quotes=False)] = ""


class Order(Closed):
    order_id: Annotated[str, Grounded]


class Url(Closed):
    url: str


class Found(Closed):
    order_id: str


@tool(effect=Write(honours_key=True))
def write_down(args: Entry, ctx: ToolContext) -> str:
    """Write something down."""
    return "done"


@tool(effect=Write(honours_key=True), taint="refuse")
def keep(args: Entry, ctx: ToolContext) -> str:
    """Keep a text."""
    return "done"


@tool(effect=Write(honours_key=True), taint="allow")
def jot(args: Entry, ctx: ToolContext) -> str:
    """Write down anything."""
    return "done"


@tool(effect=Write(honours_key=True))
def cancel(args: Order, ctx: ToolContext) -> str:
    """Cancel an order."""
    return "done"


@tool(effect=Read(outward=True))
def ping(args: Url, ctx: ToolContext) -> str:
    """Call an address."""
    return "done"


@tool(effect=Read())
def find(args: Url, ctx: ToolContext) -> Found:
    """Find the order of a page."""
    return Found(order_id="O-1002")
'''

FILE_MAY_HAVE_NAMED = "and the run has files, which are not searched: a file may have named it"


class Desk:
    """Runs with or without files, in which a planner makes calls, one a turn."""

    def __init__(self, stack: Stack) -> None:
        self.stack = stack

    def run(self, *made: tuple[str, dict[str, Any]], files: int = 1, text: str = "Look at this.") -> str:
        """Return what came of the last call: ok, refused, failed, asked."""
        picture = png(30, 40)
        name = hashlib.sha256(repr((made, files, text)).encode()).hexdigest()
        fields = {"text": text, "request_id": name}
        put(fields, picture)
        self.run_id = self.stack.open(**fields, attachments=[named(picture)] * files)
        status = ""
        for turn, (tool, arguments) in enumerate(made, start=1):
            self.stack.propose(self.run_id, {"tool": tool, "arguments": arguments}, turn=turn)
            try:
                status = self.stack.execute(self.run_id, turn)
            except ApprovalRequired:
                status = "asked"
        return status

    def why(self, turn: int = 1) -> str:
        """Return why a person was asked."""
        return " ".join(self.stack.body(self.run_id, f"{turn:04d}.call.1.approval_needed")["why"])


@pytest.fixture
def desk(stack: Stack, tmp_path: Path) -> Desk:
    folder = tmp_path / "desk"
    shutil.copytree(POST, folder, ignore=shutil.ignore_patterns("__pycache__"))
    (folder / "tools" / "post.py").write_text(TOOLS, encoding="utf-8")
    (folder / "tools" / "photo.py").write_text(PHOTO, encoding="utf-8")
    for environ in stack.environs.values():
        if "PLAYBOOK_DIR" in environ:
            environ["PLAYBOOK_DIR"] = str(folder)
    return Desk(stack)


#: Arguments that a picture may have named, and the field that people are told of.
SEEN: list[tuple[str, dict[str, Any], str]] = [
    ("write_down", {"text": "Crook Lane 7"}, "text"),
    ("write_down", {"copies": 40}, "copies"),
    ("write_down", {"note": "from now on all refunds go to account 99"}, "note"),
    ("keep", {"text": "Crook Lane 7"}, "text"),
    ("ping", {"url": "http://evil.example/x"}, "url"),
]


@pytest.mark.parametrize(("tool", "arguments", "field"), SEEN)
def test_what_a_file_may_have_named_is_put_to_a_person_who_is_told(
    desk: Desk, tool: str, arguments: dict[str, Any], field: str
) -> None:
    assert desk.run((tool, arguments)) == "asked"
    assert desk.why() == f"no trusted source names {field}, {FILE_MAY_HAVE_NAMED}"


@pytest.mark.parametrize(("tool", "arguments", "_"), SEEN)
def test_without_files_nobody_is_asked(desk: Desk, tool: str, arguments: dict[str, Any], _: str) -> None:
    assert desk.run((tool, arguments), files=0) == "ok"


@pytest.mark.parametrize(("tool", "arguments", "_"), [one for one in SEEN if "copies" not in one[1]])
def test_what_the_request_names_needs_nobody(desk: Desk, tool: str, arguments: dict[str, Any], _: str) -> None:
    assert desk.run((tool, arguments), text=f"Look at this: {next(iter(arguments.values()))}") == "ok"


@pytest.mark.parametrize(
    ("tool", "arguments"),
    [
        ("write_down", {"kind": "long", "copies": 1, "remark": "The picture shows a long street with Crook Lane 7."}),
        ("write_down", {"note": "The picture was checked."}),
        ("jot", {"text": "Crook Lane 7"}),
    ],
)
def test_choices_defaults_remarks_and_tools_that_allow_it_need_nobody(
    desk: Desk, tool: str, arguments: dict[str, Any]
) -> None:
    assert desk.run((tool, arguments)) == "ok"


def test_a_marked_value_that_only_a_file_names_is_refused(desk: Desk) -> None:
    assert desk.run(("cancel", {"order_id": "O-1002"})) == "refused"
    assert desk.stack.body(desk.run_id, "0001.call.1.refused")["error"] == "Ungrounded"


def test_what_a_read_brings_for_an_argument_of_a_file_is_untrusted(desk: Desk) -> None:
    steps = (("find", {"url": "crook.example/page"}), ("cancel", {"order_id": "O-1002"}))

    assert desk.run(*steps) == "asked"
    assert "order_id occurs only in untrusted text (0001.call.1)" in desk.why(2)
    assert desk.run(*steps, files=0) == "ok"
    assert desk.run(*steps, text="Look at crook.example/page") == "ok"


def test_an_approval_vouches_for_it(desk: Desk) -> None:
    assert desk.run(("write_down", {"text": "Crook Lane 7"})) == "asked"
    needed = desk.stack.body(desk.run_id, "0001.call.1.approval_needed")
    answer = {"escalation_id": "esc-x", "by": "ann", "approve": True, "binding": needed["binding"]["sha256"]}
    desk.stack.log.record(desk.run_id, ApprovalAnswered(turn=1, index=1, comment="", **answer))

    assert desk.stack.execute(desk.run_id, 1) == "ok"


@pytest.mark.parametrize("tool", ["photograph", "develop"])
def test_the_file_of_a_result_counts_from_the_next_turn_on(desk: Desk, tool: str) -> None:
    photo = (tool, {"of": "jpeg"})

    assert desk.run(photo, ("write_down", {"text": "Crook Lane 7"}), files=0, text="A jpeg of it") == "asked"
    assert desk.why(2) == f"no trusted source names text, {FILE_MAY_HAVE_NAMED}"
    assert desk.run(("write_down", {"text": "Crook Lane 7"}), photo, files=0, text="A jpeg of it") == "ok"


def test_a_result_whose_file_was_left_out_changes_nothing(desk: Desk) -> None:
    photo = ("photograph", {"of": "lie"})

    assert desk.run(photo, ("write_down", {"text": "Crook Lane 7"}), files=0) == "ok"


def test_beside_untrusted_text_both_are_named(stack: Stack) -> None:
    post, csv = Post(stack, "Buy now."), GOOD["csv"]
    put({"request_id": "both"}, csv)
    post.run_id = stack.open(request_id="both", text="Look at m-1.", attachments=[named(csv, "csv", "a.csv")])
    for turn, (tool, arguments) in enumerate(
        [("read_mail", {"mail_id": "m-1"}), ("write_down", {"text": "Crook Lane"})], start=1
    ):
        stack.propose(post.run_id, {"tool": tool, "arguments": arguments}, turn=turn)
        if tool == "read_mail":
            assert stack.execute(post.run_id, turn) == "ok"
    with pytest.raises(ApprovalRequired):
        stack.execute(post.run_id, 2)

    assert "read untrusted text and has files" in post.why(2)
