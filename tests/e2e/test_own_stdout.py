"""Standard output of ``ballast mcp`` and of ``--json``, while a tool and its children print and read."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest

NOISE = """
import os, subprocess, sys
def noise():
    print("NOISE of print")
    print("NOISE of dunder", file=sys.__stdout__)
    os.write(1, b"NOISE of write\\n")
    subprocess.run([sys.executable, "-c", "import sys; print('NOISE of a child that read', len(sys.stdin.read()))"])
"""
MCP = """
from contextlib import contextmanager
from argparse import Namespace
import cli.commands.mcp as command
from cli.mcp_bridge import HttpReply
def post(body, headers):
    noise()
    return HttpReply(200, b'{"jsonrpc": "2.0", "id": 1, "result": {}}')
@contextmanager
def api(typed):
    noise()
    yield post
command._api = api
sys.exit(command.mcp(Namespace()))
"""
JSON = """
import json
import cli.commands.prices as command
from cli import main
before = command.print_document
def after(text):
    noise()
    before(text)
    noise()
command.print_document = after
code = main(["prices", "--json"])
print(json.dumps("printed afterwards"))
sys.exit(code)
"""
PING = b'{"jsonrpc": "2.0", "id": 1, "method": "ping"}\n'


@pytest.mark.parametrize(("script", "printed"), [(MCP, 2), (JSON, 2)], ids=["mcp", "json"])
def test_nothing_but_what_a_program_reads_stands_on_standard_output(script: str, printed: int) -> None:
    done = subprocess.run([sys.executable, "-c", NOISE + script], input=PING * 2, capture_output=True, check=False)

    assert done.returncode == 0, done.stderr
    assert b"NOISE" not in done.stdout
    decoder, left, found = json.JSONDecoder(), done.stdout.decode().strip(), 0
    while left:
        _, end = decoder.raw_decode(left)
        left, found = left[end:].strip(), found + 1
    assert found == printed
    for said in (b"of print", b"of dunder", b"of write"):
        assert done.stderr.count(b"NOISE " + said) >= 2
    if script is MCP:
        assert done.stderr.count(b"NOISE of a child that read 0") == 3


def test_a_reader_that_has_gone_ends_the_command_quietly() -> None:
    script = "import sys; from cli import main; sys.stdin.read(); sys.exit(main(['prices', '--json']))"
    read, write = os.pipe()
    os.close(read)
    done = subprocess.run(
        [sys.executable, "-c", script], stdin=subprocess.DEVNULL, stdout=write, stderr=subprocess.PIPE, check=False
    )
    os.close(write)

    assert (done.returncode, done.stderr) == (141, b"")
