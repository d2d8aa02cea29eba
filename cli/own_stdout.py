"""Standard output for one document or protocol alone, whatever the code of a playbook and its children print.

::

    descriptor 1 ─▶ kept aside: only ``print_document``, or the caller, writes there
    sys.stdout, sys.__stdout__, os.write(1, …), children ─▶ standard error

A program reads such an output, so one line of a tool's child would spoil it, or stand in it as a message.
"""

from __future__ import annotations

import io
import os
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, redirect_stdout, suppress
from contextvars import ContextVar
from typing import BinaryIO, TextIO

_OUT: ContextVar[TextIO | None] = ContextVar("own_stdout", default=None)


def print_document(text: str) -> None:
    """Print a command's JSON on standard output."""
    print(text, file=_OUT.get(), flush=True)


@contextmanager
def for_documents() -> Iterator[None]:
    """Within the block only ``print_document`` prints on standard output."""
    with ExitStack() as stack:
        out = stack.enter_context(_kept(1))
        before = sys.stdout
        if out is not None:
            before = io.TextIOWrapper(out, before.encoding, errors="replace")
            stack.callback(_closed, before)
        stack.enter_context(redirect_stdout(sys.stderr))
        token = _OUT.set(before)
        stack.callback(_OUT.reset, token)
        yield


@contextmanager
def for_protocol() -> Iterator[tuple[BinaryIO, BinaryIO]]:
    """Yield standard input and output; within the block nobody else reads the one or writes to the other."""
    with ExitStack() as stack:
        read, written = stack.enter_context(_kept(0)), stack.enter_context(_kept(1))
        pair = read or sys.stdin.buffer, written or sys.stdout.buffer
        stack.enter_context(redirect_stdout(sys.stderr))
        yield pair


@contextmanager
def _kept(descriptor: int) -> Iterator[BinaryIO | None]:
    """Keep a standard descriptor aside: 0 ends at once for everybody else, 1 is standard error.

    None where Python's stream is another one, as in a test that captures it.
    """
    stream = sys.stdin if descriptor == 0 else sys.stdout
    try:
        own, error = stream.fileno() == descriptor, sys.stderr.fileno()
    except (OSError, ValueError):
        own = False
    if not own:
        yield None
        return
    if descriptor:
        stream.flush()
    kept = os.dup(descriptor)
    other = error if descriptor else os.open(os.devnull, os.O_RDONLY)
    os.dup2(other, descriptor)
    if not descriptor:
        os.close(other)
    try:
        with os.fdopen(os.dup(kept), "wb" if descriptor else "rb") as file:
            yield file
    finally:
        if descriptor and sys.__stdout__ is not None:
            with suppress(OSError, ValueError):
                sys.__stdout__.flush()  # while it still leads to standard error
        os.dup2(kept, descriptor)
        os.close(kept)


def _closed(stream: TextIO) -> None:
    """Close a stream, of which nothing is left unless its reader has gone."""
    with suppress(BrokenPipeError):
        stream.close()
