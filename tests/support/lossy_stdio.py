"""A lossy wire to an MCP server on stdio: ``python -m tests.support.lossy_stdio PLAN COMMAND …``.

PLAN is a file with one word a line, the trouble of the next calls: "crash" (before the server gets it), "lost" (after
its answer), "half" (of its answer), "slow" (after its answer, until it is killed), "well".
"""

import json
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any


def main(plan: str, *command: str) -> None:
    """Pass lines on both ways, with the plan's trouble at each call of a tool."""
    server = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    assert server.stdin is not None
    assert server.stdout is not None
    try:
        for line in sys.stdin.buffer:
            message: Any = json.loads(line)
            how = _next(Path(plan)) if message.get("method") == "tools/call" else "well"
            if how == "crash":
                return
            server.stdin.write(line)
            server.stdin.flush()
            if "id" not in message:
                continue
            answer = _answer(server.stdout, message["id"])
            if how == "lost":
                return
            if how == "slow":
                threading.Event().wait(60)
            sys.stdout.buffer.write(answer[: len(answer) // 2] if how == "half" else answer)
            sys.stdout.buffer.flush()
            if how == "half":
                return
    finally:
        server.kill()
        server.wait()


def _answer(lines: Any, wanted: object) -> bytes:
    for line in lines:
        message: Any = json.loads(line)
        if message.get("id") == wanted and "method" not in message:
            return bytes(line)
    sys.exit(1)


def _next(plan: Path) -> str:
    words = plan.read_text(encoding="utf-8").split() if plan.exists() else []
    plan.write_text("\n".join(words[1:]), encoding="utf-8")
    return words[0] if words else "well"


if __name__ == "__main__":
    main(*sys.argv[1:])
