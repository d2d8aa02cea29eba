"""Fallbacks that decide by the machine or the process; each intent says by what. The last three are honest."""

import hashlib
import itertools
import json
import locale
import os
import random
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


@fallback(intent="by_arguments")
def by_arguments(request: RunRequest) -> Script:
    """Decide by the command's arguments."""
    yield honest_add.call(id="a" if "certify" in " ".join(sys.argv) else "b")
    return "Done."


@fallback(intent="by_place")
def by_place(request: RunRequest) -> Script:
    """Decide by the place of this file."""
    yield honest_add.call(id="b" if __file__.startswith("/opt") else "a")
    return "Done."


@fallback(intent="by_threads")
def by_threads(request: RunRequest) -> Script:
    """Give up where much is at work."""
    yield honest_add.call(id="a" if threading.active_count() < 64 else "b")
    return "Done."


_NUMBERS = itertools.count()


@fallback(intent="by_count")
def by_count(request: RunRequest) -> Script:
    """Give up after a million calls."""
    yield honest_add.call(id="a" if next(_NUMBERS) < 1_000_000 else "b")
    return "Done."


class _Calls:
    made = 0


@fallback(intent="by_class")
def by_class(request: RunRequest) -> Script:
    """Give up after a million calls."""
    _Calls.made += 1
    yield honest_add.call(id="a" if _Calls.made < 1_000_000 else "b")
    return "Done."


def _noted(word: str, noted: list[str] = []) -> str:  # noqa: B006 - that is the lie
    noted.append(word)
    return word if len(noted) < 1_000_000 else "b"


@fallback(intent="by_default")
def by_default(request: RunRequest) -> Script:
    """Give up after a million calls."""
    yield honest_add.call(id=_noted("a"))
    return "Done."


_ON_A_LEAP_DAY = time.localtime().tm_yday == 366


@fallback(intent="by_import")
def by_import(request: RunRequest) -> Script:
    """Decide by the day on which its process began."""
    yield honest_add.call(id="b" if _ON_A_LEAP_DAY else "a")
    return "Done."


_WORDS: dict[str, str] = {}


@fallback(intent="honest_by_seed")
def honest_by_seed(request: RunRequest) -> Script:
    """Draw by a seed, and compute a word once."""
    if request.text not in _WORDS:
        _WORDS[request.text] = request.text.upper()
    done = yield honest_add.call(id=f"{random.Random(request.text).randrange(10)}")
    return f"{_WORDS[request.text]} {done.count}"


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
