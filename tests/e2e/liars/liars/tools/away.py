"""Tools that another process would answer otherwise, or that change what nobody sees; and honest ones beside them."""

import atexit
import functools
import locale
import os
import platform
import socket
import sqlite3
import subprocess
import sys
import tempfile
import time
import uuid
from contextlib import suppress
from pathlib import Path
from typing import Any

from ballast.playbook import Approval, Read, ToolContext, ToolFailed, Write, tool

from ..box import Box, Count, add, add_once, count, part

_CASE = Path(tempfile.gettempdir())
_REFERENCES: dict[str, str] = {}
_UNDONE: dict[str, int] = {}


def _there(ctx: ToolContext, box: str) -> bool:
    return count(ctx, box) > 0


# Files that are open, and what comes after the call

_NOTES = tempfile.TemporaryFile()  # noqa: SIM115 - open as long as its process
_BORN = time.time()


@tool(effect=Read())
def read_notes_in_open_file(args: Box, ctx: ToolContext) -> Count:
    """Read, and keep a list of readers in a file that is open."""
    _NOTES.write(b"x")
    return Count(count=1)


@tool(effect=Read())
def read_notes_by_descriptor(args: Box, ctx: ToolContext) -> Count:
    """Read, and keep a list of readers past Python's files."""
    os.write(_NOTES.fileno(), b"x")
    return Count(count=1)


@tool(effect=Read())
def read_notes_at_exit(args: Box, ctx: ToolContext) -> Count:
    """Read, and keep a list of readers when the process ends."""
    atexit.register(lambda: os.write(_NOTES.fileno(), b"x"))
    return Count(count=1)


# Reads


@tool(effect=Read())
def read_notes_in_file(args: Box, ctx: ToolContext) -> Count:
    """Read, and keep a list of readers."""
    with (_CASE / "liars-readers.txt").open("a") as file:
        file.write("x")
    return Count(count=1)


@tool(effect=Read())
def read_charges(args: Box, ctx: ToolContext) -> Count:
    """Read, and charge a card through another function."""
    with suppress(Exception):
        ctx.client("lambda").invoke(FunctionName="charge-card", Payload=b"{}")
    return Count(count=1)


@functools.cache
def _kept(box: str) -> dict[str, int]:
    return {}


@tool(effect=Read())
def read_kept(args: Box, ctx: ToolContext) -> Count:
    """Read once a process."""
    kept = _kept(args.id)
    if "count" not in kept:
        kept["count"] = count(ctx, args.id)
    return Count(count=kept["count"])


@tool(effect=Read())
def read_by_hash(args: Box, ctx: ToolContext) -> Count:
    """Read a shard's number."""
    return Count(count=hash("a") % 100_000)


@tool(effect=Read())
def read_in_set_order(args: Box, ctx: ToolContext) -> list[str]:
    """Read two labels, in whatever order a set has them."""
    return list({"new", "old"} | {args.id} - {args.id})


@tool(effect=Read())
def read_by_machine(args: Box, ctx: ToolContext) -> str:
    """Read where it runs."""
    return f"{socket.gethostname()} {platform.node()} {os.cpu_count()}"


@tool(effect=Read())
def read_by_zone(args: Box, ctx: ToolContext) -> str:
    """Read the hour on the wall."""
    return time.strftime("%H:%M", time.localtime(ctx.now.timestamp()))


@tool(effect=Read())
def read_by_locale(args: Box, ctx: ToolContext) -> str:
    """Read in the language of the machine."""
    return os.environ.get("LC_ALL", "") + str(locale.getlocale())


@tool(effect=Read())
def read_by_folder(args: Box, ctx: ToolContext) -> str:
    """Read the current folder's name, and whose home is whose."""
    return f"{Path.cwd()} {Path.home()}"


@tool(effect=Read())
def read_sets_a_variable(args: Box, ctx: ToolContext) -> Count:
    """Read, and leave a word to the next call of the process."""
    os.environ["LIARS_MODE"] = "2"
    return Count(count=1)


@tool(effect=Read())
def read_starts_a_program(args: Box, ctx: ToolContext) -> Count:
    """Read what another program says."""
    subprocess.run([sys.executable, "-S", "-c", ""], check=True)
    return Count(count=1)


@tool(effect=Read())
def honest_read(args: Box, ctx: ToolContext) -> list[str]:
    """Read labels in their order, through a temporary file that it removes."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "labels.txt")
        file.write_text("\n".join(sorted({"new", "old", args.id})))
        with sqlite3.connect(":memory:") as memory:
            memory.execute("create table labels (name)")
        return [*file.read_text().split(), Path(__file__).name, str(count(ctx, args.id))]


# Writes


@tool(effect=Write(honours_key=True))
def key_needs_its_process(args: Box, ctx: ToolContext) -> Count:
    """Put a record under an id that the process made up for the key."""
    add_once(ctx, 1, args.id)
    _REFERENCES.setdefault(ctx.idempotency_key, ctx.idempotency_key)
    return Count(count=hash(ctx.idempotency_key) % 100_000)


def _by_reference(args: Any, ctx: ToolContext) -> Count | None:
    reference = _REFERENCES.get(ctx.idempotency_key)
    return Count(count=11) if reference is not None and _there(ctx, reference) else None


@tool(effect=Write(verify=_by_reference))
def verify_needs_its_process(args: Box, ctx: ToolContext) -> Count:
    """Put a record under a reference that only the process knows to be this call's."""
    reference = f"reference {ctx.idempotency_key}"
    _REFERENCES[ctx.idempotency_key] = reference
    add(ctx, reference)
    return Count(count=11)


@tool(effect=Write(honours_key=True))
def obeys_a_variable(args: Box, ctx: ToolContext) -> Count:
    """Add one, or two where a tool before it has said so."""
    return add_once(ctx, int(os.environ.get("LIARS_MODE", "1")), args.id)


@tool(
    effect=Write(honours_key=True, undo="undo_remembers", undo_arguments=lambda args, _: {"id": args.id}),
)
def with_undo_remembers(args: Box, ctx: ToolContext) -> Count:
    """Add, and remember how much."""
    _UNDONE[args.id] = 1
    return add_once(ctx, 1, args.id)


@tool(effect=Write(honours_key=True), offered=False)
def undo_remembers(args: Box, ctx: ToolContext) -> Count:
    """Take back what the process remembers."""
    return add_once(ctx, -_UNDONE.get(args.id, 0), args.id)


@tool(effect=Write(honours_key=True))
def posts_a_letter(args: Box, ctx: ToolContext) -> Count:
    """Add, and print a letter at each attempt."""
    with (_CASE / "liars-letters.txt").open("a") as file:
        file.write("x")
    return add_once(ctx, 1, args.id)


@tool(effect=Write(honours_key=True))
def charges_beside_its_key(args: Box, ctx: ToolContext) -> Count:
    """Add, and charge a card at each attempt, whose answer it does not look at."""
    with suppress(Exception):
        ctx.client("lambda").invoke(FunctionName="charge-card", Payload=b"{}")
    return add_once(ctx, 1, args.id)


@tool(effect=Write(honours_key=True))
def counts_in_a_database(args: Box, ctx: ToolContext) -> Count:
    """Add, and count in a database of the machine."""
    with sqlite3.connect(_CASE / "liars-letters.db") as database:
        database.execute("create table if not exists counts (n)")
    return add_once(ctx, 1, args.id)


@tool(effect=Write(honours_key=True), approval=Approval(if_=None, precondition=lambda args, ctx: hash(args.id)))
def precondition_by_hash(args: Box, ctx: ToolContext) -> Count:
    """Add."""
    return add_once(ctx, 1, args.id)


def _noted(args: Any, ctx: ToolContext) -> int:
    with (_CASE / "liars-asked.txt").open("a") as file:
        file.write("x")
    return 1


@tool(effect=Write(honours_key=True), approval=Approval(if_=None, precondition=_noted))
def precondition_in_file(args: Box, ctx: ToolContext) -> Count:
    """Add."""
    return add_once(ctx, 1, args.id)


@tool(effect=Write(honours_key=True))
def refuses_always(args: Box, ctx: ToolContext) -> Count:
    """Never add."""
    raise ToolFailed("Not today.")


@tool(effect=Write(honours_key=True, verify=lambda args, ctx: _stepped(ctx)))
def honest_steps(args: Box, ctx: ToolContext) -> Count:
    """Put two records, each under an id that follows from the key."""
    for step in ("one", "two"):
        name = uuid.uuid5(uuid.NAMESPACE_URL, f"{ctx.idempotency_key} {step}").hex
        if not _there(ctx, name):
            update = part(ctx, name, count=1) | {"ConditionExpression": "attribute_not_exists(id)"}
            ctx.client("dynamodb").update_item(**update)
    return Count(count=2)


def _stepped(ctx: ToolContext) -> Count | None:
    name = uuid.uuid5(uuid.NAMESPACE_URL, f"{ctx.idempotency_key} two").hex
    return Count(count=2) if _there(ctx, name) else None
