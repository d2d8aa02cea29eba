"""Update the benchmark figures in the documents: run each published command and replace its output.

    python -m bench.publish [--only turns leases ...]

A document shows a command and its output as

    ```console
    $ python -m bench.turns
    ...
    ```

Runs each such block of ``python -m bench...`` in README.md, docs/ and bench/. If the command ends with 0, its
output replaces the block's; otherwise this command ends with 1. Run it on an idle machine.
"""

import argparse
import re
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
_BLOCK = re.compile(r"^```console\n\$ (?P<command>.+)\n(?P<output>(?:(?!```).*\n)*)```$", re.MULTILINE)
_BENCH = "python -m bench."


@dataclass(frozen=True)
class Block:
    """A command in a document, and its output there."""

    document: Path
    command: str
    output: str


def documents() -> list[Path]:
    """Return the documents that may have such blocks."""
    return [ROOT / "README.md", *sorted(ROOT.glob("docs/**/*.md")), *sorted(ROOT.glob("bench/**/*.md"))]


def blocks(document: Path) -> Iterator[Block]:
    """Yield a document's commands with their outputs."""
    for found in _BLOCK.finditer(document.read_text(encoding="utf-8")):
        yield Block(document, found["command"], found["output"])


def published(command: str) -> Block:
    """Return the one block of ``command``. Raises ``LookupError``."""
    found = [block for document in documents() for block in blocks(document) if block.command == command]
    if len(found) != 1:
        raise LookupError(f"`{command}` is published {len(found)} times, not once.")
    return found[0]


def replaced(text: str, command: str, output: str) -> str:
    """Return a document's text with ``command``'s output replaced."""
    return _BLOCK.sub(
        lambda found: f"```console\n$ {command}\n{output.rstrip()}\n```" if found["command"] == command else found[0],
        text,
    )


def play(command: str) -> str | None:
    """Run a benchmark, print and return its output; None if it does not end with 0."""
    words = [sys.executable, *command.split()[1:]]
    ended = subprocess.run(words, check=False, cwd=ROOT, stdout=subprocess.PIPE, text=True)  # noqa: S603
    print(ended.stdout, flush=True)
    return ended.stdout if ended.returncode == 0 else None


def main(arguments: Sequence[str] | None = None) -> int:
    """Run and publish; return 1 if a benchmark failed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--only", nargs="+", action="extend", metavar="BENCH", help="such as turns or tau2.run; all, if left out"
    )
    wanted = parser.parse_args(arguments).only
    failed = []
    for document in documents():
        for block in blocks(document):
            if not block.command.startswith(_BENCH):
                continue
            if wanted and block.command.removeprefix(_BENCH).split()[0] not in wanted:
                continue
            print(f"━━━━ {block.command}\n", flush=True)
            started = time.perf_counter()
            output = play(block.command)
            took = f"{time.perf_counter() - started:.0f} s"
            if output is None:
                failed.append(block.command)
                print(f"Failed after {took}: {document.relative_to(ROOT)} stays as it is.\n", file=sys.stderr)
                continue
            document.write_text(replaced(document.read_text(encoding="utf-8"), block.command, output), encoding="utf-8")
            print(f"Took {took}; written to {document.relative_to(ROOT)}.\n", flush=True)
    if failed:
        print(f"Not published: {', '.join(failed)}.", file=sys.stderr)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
