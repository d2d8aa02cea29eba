"""An MCP server as a process of this machine, for ``ballast import`` and the local cloud. Not for Lambda.

Each call starts the command, and ends it. The process gets the variables that a program needs to start, and no
credentials of AWS.
"""

import json
import os
import select
import signal
import subprocess
import time
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

from ballast.errors import RetryLater
from ballast.playbook.context import NotConfigured
from ballast.playbook.servers.proof import AnswerLost, NotNow
from ballast.playbook.servers.response import response_in
from ballast.runtime import environ_of_a_program

#: Seconds that a program has to end before it is killed.
_GRACE_S = 2.0


class StdioPeer:
    """A started server; see ``ballast.playbook.servers.mcp.Peer``."""

    def __init__(self, command: Sequence[str], most_bytes: int) -> None:
        """Start the command. Raises ``NotConfigured`` where there is none, ``RetryLater`` where it does not start."""
        self._most_bytes, self._buffer = most_bytes, bytearray()
        try:
            self._process = subprocess.Popen(  # noqa: S603  a person wrote the command into the declaration
                list(command),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                env=environ_of_a_program(),
                start_new_session=True,
            )
        except (FileNotFoundError, PermissionError):
            raise NotConfigured(f"{command[0]} is no command that can be started here. Install it.") from None
        except OSError as problem:
            raise RetryLater(f"Nothing was sent: {command[0]} cannot be started ({type(problem).__name__}).") from None

    def ask(self, message: dict[str, Any], seconds: float) -> dict[str, Any]:
        """Return the response to a request. Raises ``AnswerLost``."""
        until = time.monotonic() + seconds
        self.tell(message, seconds)
        while True:
            found = response_in(self._line(until), message["id"])
            if found is not None:
                return found

    def tell(self, message: dict[str, Any], seconds: float) -> None:
        """Send a message. Raises ``NotNow`` where the server does not read it, and ``AnswerLost``."""
        assert self._process.stdin is not None
        number, until = self._process.stdin.fileno(), time.monotonic() + seconds
        left = memoryview(json.dumps(message, allow_nan=False, separators=(",", ":")).encode() + b"\n")
        os.set_blocking(number, False)
        while left:
            still = until - time.monotonic()
            if still <= 0 or not select.select([], [number], [], still)[1]:
                if len(left) > 1:  # half of a message is none
                    raise NotNow("Nothing was sent: the server does not read.")
                raise AnswerLost("The server took too long.")
            try:
                left = left[os.write(number, left) :]
            except BlockingIOError:
                continue
            except OSError:
                raise AnswerLost("The server's process has ended.") from None

    def _line(self, until: float) -> bytes:
        assert self._process.stdout is not None
        number = self._process.stdout.fileno()
        looked_at = 0
        while (end := self._buffer.find(b"\n", looked_at)) < 0:
            looked_at = len(self._buffer)
            left = until - time.monotonic()
            if left <= 0 or not select.select([number], [], [], left)[0]:
                raise AnswerLost("The server took too long.")
            part = os.read(number, 65_536)
            if not part:
                raise AnswerLost("The server's process has ended.")
            self._buffer += part
            if len(self._buffer) > self._most_bytes:
                raise AnswerLost(f"The server's reply has more than {self._most_bytes} bytes.")
        line = bytes(self._buffer[:end])
        del self._buffer[: end + 1]
        return line

    def close(self) -> None:
        """End the process and all of its group: what it started lives no longer than the call."""
        process = self._process
        for stream in (process.stdin, process.stdout):
            with suppress(OSError):
                if stream is not None:
                    stream.close()
        with suppress(subprocess.TimeoutExpired):
            process.wait(_GRACE_S)
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
