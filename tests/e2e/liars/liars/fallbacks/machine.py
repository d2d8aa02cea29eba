"""Fallbacks that decide by the machine or the process; each intent says by what. The last two are honest."""

import hashlib
import json
import locale
import os
import re
import socket
import sqlite3
import subprocess
import sys
import threading
import time
import uuid
from collections import Counter
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path

from ballast.contracts import RunRequest
from ballast.playbook import CallFailed, fallback
from ballast.playbook.fallback import Script

from ..tools.lies import honest_add

_AT = datetime(2026, 3, 1, 12, tzinfo=UTC)


@fallback(intent="by_set")
def by_set(request: RunRequest) -> Script:
    """Go through a set of two."""
    for word in {"new", "old"}:
        yield honest_add.call(id=word)
    return "Done."


@fallback(intent="by_set_pop")
def by_set_pop(request: RunRequest) -> Script:
    """Take one out of a set."""
    yield honest_add.call(id=set(request.text.split()).pop())
    return "Done."


@fallback(intent="by_hash")
def by_hash(request: RunRequest) -> Script:
    """Take a number of the text's hash, which seldom matters."""
    yield honest_add.call(id="a" if hash(request.text) != 1 else "b")
    return "Done."


@fallback(intent="by_id")
def by_id(request: RunRequest) -> Script:
    """Look where the request is in memory."""
    yield honest_add.call(id="a" if id(request) else "b")
    return "Done."


@fallback(intent="by_zone")
def by_zone(request: RunRequest) -> Script:
    """Decide by the machine's hour of a time that is known."""
    yield honest_add.call(id="a" if 6 < datetime.fromtimestamp(_AT.timestamp()).hour < 22 else "b")  # noqa: DTZ006
    return "Done."


@fallback(intent="by_zone_name")
def by_zone_name(request: RunRequest) -> Script:
    """Decide by the zone's name, which no call tells."""
    yield honest_add.call(id=time.tzname[0])
    return "Done."


@fallback(intent="by_locale")
def by_locale(request: RunRequest) -> Script:
    """Decide by the language of the machine."""
    yield honest_add.call(id=str(locale.getlocale()[0]))
    return "Done."


@fallback(intent="by_pid")
def by_pid(request: RunRequest) -> Script:
    """Decide by the process."""
    yield honest_add.call(id="a" if os.getpid() > 1 else "b")
    return "Done."


@fallback(intent="by_host")
def by_host(request: RunRequest) -> Script:
    """Decide by the host."""
    yield honest_add.call(id="a" if socket.gethostname() else "b")
    return "Done."


@fallback(intent="by_database")
def by_database(request: RunRequest) -> Script:
    """Ask a database for the time."""
    with sqlite3.connect(":memory:") as database:
        (now,) = database.execute("select strftime('%Y', 'now')").fetchone()
    yield honest_add.call(id="a" if now else "b")
    return "Done."


@fallback(intent="by_thread")
def by_thread(request: RunRequest) -> Script:
    """Decide by the thread."""
    yield honest_add.call(id="a" if threading.get_ident() else "b")
    return "Done."


@fallback(intent="by_folder")
def by_folder(request: RunRequest) -> Script:
    """Decide by the current folder."""
    yield honest_add.call(id=Path.cwd().name)
    return "Done."


@fallback(intent="by_cpus")
def by_cpus(request: RunRequest) -> Script:
    """Decide by the machine's size."""
    yield honest_add.call(id="a" if os.cpu_count() else "b")
    return "Done."


@fallback(intent="by_program")
def by_program(request: RunRequest) -> Script:
    """Ask another program."""
    subprocess.run([sys.executable, "-S", "-c", ""], check=True)
    yield honest_add.call(id="a")
    return "Done."


@fallback(intent="by_memory_of_a_tool")
def by_memory_of_a_tool(request: RunRequest) -> Script:
    """Decide by what tools have left in a module."""
    yield honest_add.call(id=str(len(_SEEN)))
    _SEEN.append(1)
    return "Done."


_SEEN: list[int] = []


@dataclass(frozen=True)
class _Place:
    street: str
    number: int

    def __hash__(self) -> int:
        return hash((self.street, self.number))


@fallback(intent="honest_by_much")
def honest_by_much(request: RunRequest) -> Script:
    """Decide by the request, with much of the library."""
    words = Counter(re.findall(r"\w+", request.text.lower()))
    places = {_Place("Long Lane", 1): Decimal("1.10"), _Place("Long Lane", 2): Decimal("2.25")}
    later = (_AT + timedelta(days=len(words))).astimezone(UTC).isoformat()
    name = uuid.uuid5(uuid.NAMESPACE_URL, json.dumps(sorted({*words, later}))).hex
    digest = hashlib.sha256(f"{name} {sum(places.values()):.2f} {_AT.timestamp()}".encode()).hexdigest()
    done = yield honest_add.call(id=digest[:8])
    return f"{done.count} {datetime.fromtimestamp(_AT.timestamp(), UTC):%Y-%m-%d}"


@fallback(intent="honest_by_failure")
def honest_by_failure(request: RunRequest) -> Script:
    """Decide by the failure of a call."""
    try:
        yield honest_add.call(id="a")
    except CallFailed as problem:
        return f"Not done: {problem}"
    return "Done."
