"""Capture seeded defects: how many captured tests fail on the defect and pass on its fix, how short, how long.

    python -m bench.capture [--only NAME] [--part 1/4] [--kept FILE] [--table]

Each defect changes a line of the playbook ``bench/capture_desk``, or a part of the handlers. A run meets it in the
middle of a longer conversation, ``ballast capture`` makes a test of that run, and ``ballast test`` plays the test with
the defect and without it. Exits with 1 where a test does not fail, or does not pass.

With ``--kept`` each result is added to a file, and a defect that the file has is not played again: so all can be
played in parts. Capture itself plays the test with the defect; ``--fully`` plays it once more.
"""

from __future__ import annotations

import argparse
import importlib
import json
import os
import shutil
import subprocess
import sys
import threading
import traceback
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory, TemporaryFile
from time import perf_counter
from typing import Any

import yaml

from cli import main as ballast
from localcloud.moto_seams.replaced import replaced

DESK = Path(__file__).resolve().parent / "capture_desk"
TILL, AGENT, FALLBACK = "tools/till.py", "agent.yaml", "fallbacks/desk.py"
REQUEST: Mapping[str, Any] = {
    "text": "Please refund 40.00 for O-1, cancel O-2, and write to ann@example.com. "
    "What do a tent, a mat and a lamp cost?",
    "intent": "desk",
    "context": {"order_id": "O-1", "channel": "shop", "clerk": "Kim"},
}


def _call(tool: str, **arguments: Any) -> dict[str, Any]:
    return {"tool": tool, "arguments": arguments}


SCRIPT: Sequence[Mapping[str, Any]] = (
    {"say": "Prices first.", "call": [_call("price", article="tent"), _call("price", article="mat")]},
    {"call": [_call("stock", article="tent")]},
    {"say": "And the lamp.", "call": [_call("price", article="lamp"), _call("stock", article="lamp")]},
    {"say": "Now the money.", "call": [_call("refund", order_id="O-1", amount_usd="40.00")]},
    {"call": [_call("cancel", order_id="O-2"), _call("send_note", to="ann@example.com", text="O-2 is cancelled.")]},
    {"say": "I have refunded 40.00 USD for O-1 and cancelled O-2."},
)
DOWN: Sequence[Mapping[str, Any]] = ({"call": [_call("price", article="lamp")]}, {"error": "AccessDeniedException"})
#: A note that is refused, and one of a stranger's order: for defects that let something pass.
LARGE = (*SCRIPT[:3], {"call": [_call("refund", order_id="O-1", amount_usd="300.00")]}, {"say": "Done with O-1."})
MADE_UP = (*SCRIPT[:4], {"say": "I have refunded O-77."})
ZERO = (*SCRIPT[:2], {"call": [_call("refund", order_id="O-1", amount_usd="0.00")]}, {"say": "Done with O-1."})
UNKNOWN = (*SCRIPT[:2], {"call": [_call("cancel", order_id="O-9")]}, {"say": "It is cancelled."})
INFO = {**REQUEST, "intent": "info"}


#: Who answers a run that gives up in the midst of its writes.
_PERSON = tuple({"by": "Lee", "decision": {"kind": "answer", "text": "A colleague will call."}} for _ in range(3))


@dataclass(frozen=True)
class Defect:
    """A seeded defect.

    file, right, wrong  the line of the playbook that it changes; ``file`` "" for a defect in the handlers
    seam                of the handlers: module, its class or "", and the name that ``wrong`` replaces
    typed               what the user types to say what is right
    people              who answers in the run that meets it
    """

    name: str
    file: str
    right: Any
    wrong: Any
    typed: str
    script: Sequence[Mapping[str, Any]] = SCRIPT
    request: Mapping[str, Any] = field(default_factory=lambda: REQUEST)
    people: Sequence[Mapping[str, Any]] = _PERSON


_NONE_FAILED, _NONE_REFUSED = "--expect failed=none", "--expect refused=none"
_ALL = "--expect effects=refund,cancel,send_note"
_AGENT, _NO_77, _CHEAP = "--expect by=agent", "--expect forbidden=O-77", "--expect cost_at_most=0.02"
_REJECTED = ({"by": "Lee", "approve": False}, {"by": "Lee", "approve": False}, {"by": "Lee", "approve": False})


def _raises(error: type[Exception], tool: str) -> Any:
    """Return what replaces a method of ``Tool``: it raises for one tool."""

    def made(real: Any) -> Any:
        def method(self: Any, *given: Any, **named: Any) -> Any:
            if self.name == tool:
                raise error(f"{tool}: seeded")
            return real(self, *given, **named)

        return method

    return made


def _complains(real: Any) -> Any:
    return lambda self, *given: "the till is closed." if self.name == "refund" else real(self, *given)


def _costs_ten_times(real: Any) -> Any:
    return lambda *given, **named: 10 * real(*given, **named)


def defects() -> list[Defect]:
    """Return all of them."""
    from ballast.errors import SchemaViolation, TooLarge

    return [
        # Tools that say no, and tools that break
        Defect("refund-limit", TILL, 'MOST_REFUND = Decimal("400.00")', 'MOST_REFUND = Decimal("4.00")', _NONE_FAILED),
        Defect("refund-compares", TILL, "args.amount_usd) > MOST_REFUND", "args.amount_usd) < MOST_REFUND", _ALL),
        Defect("cancel-not-open", TILL, '("O-1", "O-2", "O-3")', '("O-1", "O-3")', _NONE_FAILED),
        Defect("cancel-inverted", TILL, "order_id not in OPEN", "order_id in OPEN", _ALL),
        Defect("price-missing", TILL, '"mat": Decimal("84.50"), ', "", _NONE_FAILED),
        Defect("price-inverted", TILL, "article not in PRICES", "article in PRICES", "--invariant failed"),
        Defect("stock-missing", TILL, ', "lamp": 5}', "}", _NONE_FAILED),
        Defect("stock-by-zero", TILL, "left // 2", "left // (left - 5)", _NONE_FAILED),
        Defect("stock-type", TILL, "left=left, boxes", "left=str(left) + ' pieces', boxes", _NONE_FAILED),
        Defect("price-key", TILL, "str(PRICES[args.article])", "str(PRICES[args.article.upper()])", _NONE_FAILED),
        Defect("note-attribute", TILL, "len(args.text) // 100", "len(args.body) // 100", _NONE_FAILED),
        Defect("note-by-zero", TILL, "// 100 + 1", "// (100 - 100) + 1", "--expect effects=refund,cancel,send_note"),
        Defect("refund-result", TILL, 'status="refunded")', "status=None)", _NONE_FAILED),
        Defect("cancel-raises", TILL, 'status="cancelled")', 'status="cancelled"[99])', _ALL),
        # Rules of tools
        Defect("validate-sign", TILL, 'amount_usd) > 0 else "', 'amount_usd) < 0 else "', _NONE_REFUSED),
        Defect("validate-bound", TILL, 'amount_usd) > 0 else "', 'amount_usd) > 50 else "', _ALL),
        Defect("validate-breaks", TILL, "return None if Decimal(args.amount_usd)", "return None if Decimal(args.total)",
               _NONE_REFUSED),
        Defect("validate-gone", TILL, "    validate=_positive,\n", "", "--expect effects=none", ZERO),
        Defect("pattern-order", TILL, 'class Order(Closed):\n    """Which order."""\n\n    order_id: str = '
               'Field(pattern="^O-[0-9]{1,6}$")', 'class Order(Closed):\n    """Which order."""\n\n    order_id: str = '
               'Field(pattern="^O-[0-9]{4,6}$")', _NONE_REFUSED),
        Defect("pattern-amount", TILL, r"[0-9]{1,4}\.[0-9]{2}$", r"[0-9]{3,4}\.[0-9]{2}$", _ALL),
        Defect("pattern-mail", TILL, "^[^@]+@[^@]+$", "^[^@]+@[^@.]+$", _NONE_REFUSED),
        Defect("article-length", TILL, "article: str = Field(max_length=20)", "article: str = Field(max_length=3)",
               _NONE_REFUSED),
        Defect("note-length", TILL, "MOST_NOTE = 200", "MOST_NOTE = 10", _NONE_REFUSED),
        Defect("article-type", TILL, "article: str = Field(max_length=20)", "article: int = Field(le=20)",
               "--invariant refused"),
        Defect("approval-all", TILL, 'APPROVAL_ABOVE = Decimal("200.00")', 'APPROVAL_ABOVE = Decimal("2.00")', _ALL,
               people=_REJECTED),
        Defect("approval-inverted", TILL, "> APPROVAL_ABOVE and", "< APPROVAL_ABOVE and", _ALL, people=_REJECTED),
        Defect("approval-gone", TILL, "    approval=Approval(if_=_large),\n", "", "--expect effects=none", LARGE,
               people=()),
        Defect("moves-twice", TILL, "moves=lambda args, _: Decimal(args.amount_usd)",
               "moves=lambda args, _: 2 * Decimal(args.amount_usd)", "--expect moved=40.00"),
        Defect("moves-too-much", TILL, "moves=lambda args, _: Decimal(args.amount_usd)",
               "moves=lambda args, _: 20 * Decimal(args.amount_usd)", _ALL),
        Defect("unknown-order", TILL, "        raise ToolFailed(f\"{args.order_id} is not open.\")",
               "        pass", "--expect effects=none", UNKNOWN),
        # The agent's configuration
        Defect("turns", AGENT, "  turns: 12", "  turns: 3", _AGENT),
        Defect("tool-calls", AGENT, "tool_calls: 24", "tool_calls: 4", _AGENT),
        Defect("calls-per-tool", AGENT, "calls_per_tool: 12", "calls_per_tool: 1", _AGENT),
        Defect("cost", AGENT, "cost_microusd: 150000", "cost_microusd: 7000", _AGENT),
        Defect("tokens-per-run", AGENT, "tokens_per_run: 400000", "tokens_per_run: 4000", "--invariant status"),
        Defect("writes-cancel", AGENT, "writes: [refund, cancel, send_note]", "writes: [refund, send_note]",
               _NONE_REFUSED),
        Defect("writes-all", AGENT, "writes: [refund, cancel, send_note]", "writes: []", _ALL),
        Defect("writes-info", AGENT, "    writes: []", "    writes: [refund, cancel, send_note]",
               "--expect effects=none", SCRIPT, INFO),
        Defect("ungrounded", AGENT, "ground_answers: true", "ground_answers: false", _NO_77, MADE_UP),
        Defect("answer-ids", AGENT, "O-[0-9]{1,6}", "X-[0-9]{1,6}", _NO_77, MADE_UP),
        Defect("moves-run", AGENT, '  run: "500.00"', '  run: "5.00"', _ALL),
        Defect("instructions", AGENT, "and send notes.", "and send notes. " + 800 * "Be kind to everybody who asks. ",
               "--expect cost_at_most=0.008"),
        # The fallback
        Defect("fallback-context", FALLBACK, 'context.get("order_id", "")', 'context.get("order", "")',
               "--expect by=fallback", DOWN),
        Defect("fallback-amount", FALLBACK, 'amount_usd="40.00")', 'amount_usd="40")', "--expect by=fallback", DOWN),
        Defect("fallback-inverted", FALLBACK, "    if not order_id:", "    if order_id:", "--expect by=fallback", DOWN),
        Defect("fallback-words", FALLBACK, "and 40.00 USD goes back", "and 400.00 USD goes back",
               "--expect by=fallback", DOWN),
        Defect("fallback-no-refund", FALLBACK,
               '        yield refund.call(order_id=order_id, amount_usd="40.00")\n', "",
               "--expect effects=cancel,refund", DOWN),
        # The handlers
        Defect("gate-schema", "", ("ballast.playbook.tool", "Tool", "read"), _raises(SchemaViolation, "cancel"), _ALL),
        Defect("gate-size", "", ("ballast.playbook.tool", "Tool", "bounded_form"), _raises(TooLarge, "refund"),
               _NONE_REFUSED),
        Defect("gate-rule", "", ("ballast.playbook.tool", "Tool", "complaint"), _complains, _NONE_REFUSED),
        Defect("executor-result", "", ("ballast.playbook.tool", "Tool", "dump"), _raises(ValueError, "stock"),
               _NONE_FAILED),
        Defect("prices", "", ("ballast.money.prices", "Price", "cost"), _costs_ten_times, _CHEAP),
    ]  # fmt: skip


@dataclass(frozen=True)
class Caught:
    """What became of one defect."""

    name: str
    fails: bool
    passes: bool
    before: int
    after: int
    seconds: float
    said: str

    @property
    def is_caught(self) -> bool:
        """Whether the test fails on the defect and passes on the fix."""
        return self.fails and self.passes


def caught(defect: Defect, folder: Path, *, fully: bool = False) -> Caught:
    """Meet one defect, capture the run, and play the test with and without the defect."""
    project = folder / "shop"
    shutil.copytree(DESK, project / "till", ignore=shutil.ignore_patterns("__pycache__"))
    live = project / "scenarios" / "live"
    live.mkdir(parents=True)
    scenario = {
        "description": "the run that meets the defect",
        "request": dict(defect.request),
        "people": [{**one, "if_asked": True} for one in defect.people],  # the defect may be that nobody is asked
        "expect": {"status": None, "degraded": None, "reason": None, "refused": None, "failed": None},
    }
    (live / "scenario.yaml").write_text(yaml.safe_dump(scenario))
    (live / "script.yaml").write_text(yaml.safe_dump({"turns": [dict(one) for one in defect.script]}))
    with seeded(defect, project):
        code, said = typed("test", str(project), "live", "--json", having=defect)
        if code:
            return Caught(defect.name, False, False, 0, 0, 0.0, said)
        run_id = yaml.safe_load(said)[0]["run_id"]
        started = perf_counter()
        capture = ("capture", run_id, "--playbook", str(project), "--name", "caught", *defect.typed.split())
        code, said = typed(*capture, having=defect)
        seconds = perf_counter() - started
        if code:
            return Caught(defect.name, False, False, 0, 0, seconds, said)
        # Capture has played the files that it wrote, as `ballast test` does; ``fully`` has them played once more.
        fails = not fully or typed("test", str(project), "caught", having=defect)[0] == 1
    code, said = typed("test", str(project), "caught")
    after = yaml.safe_load((project / "scenarios" / "caught" / "script.yaml").read_text())["turns"]
    return Caught(defect.name, fails, code == 0, len(defect.script), len(after) - 1, seconds, said)


@contextmanager
def seeded(defect: Defect, project: Path) -> Iterator[None]:
    """Have a defect of the playbook within the block. One of the handlers is in the processes that ``typed`` starts."""
    if not defect.file:
        yield
        return
    file = project / "till" / defect.file
    right = file.read_text()
    if right.count(defect.right) < 1:
        raise ValueError(f"{defect.name}: {defect.file} has no {defect.right!r}")
    file.write_text(right.replace(defect.right, defect.wrong))
    try:
        yield
    finally:
        file.write_text(right)


def typed(*words: str, having: Defect | None = None) -> tuple[int, str]:
    """Type a command in a process of its own; return its exit code and what it printed.

    having  the defect that the handlers of that process have

    It is a copy of this process where there is no other thread, so that Python need not load everything anew.
    """
    name = having.name if having is not None and not having.file else None
    if hasattr(os, "fork") and threading.active_count() == 1:
        return _typed_in_a_copy(words, name)
    played = subprocess.run(  # noqa: S603  our own command
        [sys.executable, "-m", "bench.capture", *(["--having", name] if name else []), "--type", *words],
        check=False,
        capture_output=True,
        text=True,
        cwd=DESK.parents[1],
    )
    return _said(played.returncode, played.stdout, played.stderr)


def _said(code: int, out: str, err: str) -> tuple[int, str]:
    return code, out + err if code else out


def _typed_in_a_copy(words: Sequence[str], having: str | None) -> tuple[int, str]:
    with TemporaryFile("w+") as out, TemporaryFile("w+") as err:
        sys.stdout.flush()
        sys.stderr.flush()
        child = os.fork()
        if child == 0:
            code = 1
            try:
                os.dup2(out.fileno(), 1)
                os.dup2(err.fileno(), 2)
                # A test's runner may have put something else in their places.
                sys.stdout, sys.stderr = (os.fdopen(number, "w", closefd=False) for number in (1, 2))
                code = int(_type(words, having))
            except SystemExit as ended:
                code = ended.code if isinstance(ended.code, int) else 1
            except BaseException:
                traceback.print_exc()
            finally:
                sys.stdout.flush()
                sys.stderr.flush()
                os._exit(code)  # nothing of the parent's is closed or printed twice
        _, ended_with = os.waitpid(child, 0)
        out.seek(0)
        err.seek(0)
        return _said(os.waitstatus_to_exitcode(ended_with), out.read(), err.read())


def _type(words: Sequence[str], having: str | None) -> int:
    with ExitStack() as stack:
        for defect in defects():
            if defect.name == having:
                module, owner, name = defect.right
                holder = getattr(importlib.import_module(module), owner)
                stack.enter_context(replaced(holder, name, defect.wrong(vars(holder)[name])))
        return ballast(words)


def main(arguments: list[str] | None = None) -> int:
    """See the module."""
    parser = argparse.ArgumentParser(prog="python -m bench.capture", description=__doc__)
    parser.add_argument("--only", action="append", default=[], metavar="NAME", help="one defect. May be repeated")
    parser.add_argument("--part", type=_part, default=(1, 1), metavar="K/N", help="each Nth defect, from the Kth on")
    parser.add_argument("--kept", type=Path, metavar="FILE", help="JSON Lines with the results of all parts so far")
    parser.add_argument("--fully", action="store_true", help="play each test once more after it was written")
    parser.add_argument("--table", action="store_true", help="print the table that docs/capture.md has")
    parser.add_argument("--having", metavar="NAME", help="a defect of the handlers that --type has")
    parser.add_argument("--type", nargs=argparse.REMAINDER, metavar="WORD", help="only type this command")
    options = parser.parse_args(arguments)
    if options.type:
        return _type(options.type, options.having)
    every = defects()
    if unknown := {*options.only} - {one.name for one in every}:
        parser.error(f"--only: there is no defect {', '.join(sorted(unknown))}")
    chosen = [one for one in every if not options.only or one.name in options.only]
    chosen = chosen[options.part[0] - 1 :: options.part[1]]
    found = _kept(options.kept)
    _load()
    for number, defect in enumerate(chosen, 1):
        one = found.get(defect.name)
        if one is None:
            with TemporaryDirectory() as folder:
                os.environ["BALLAST_HOME"] = f"{folder}/home"
                one = caught(defect, Path(folder), fully=options.fully)
            found[defect.name] = one
            if options.kept:
                with options.kept.open("a", encoding="utf-8") as kept:
                    kept.write(json.dumps(asdict(one)) + "\n")
        how = (
            f"{one.before:2} turns to {one.after}, {one.seconds:5.1f} s" if one.is_caught else f"NOT CAUGHT\n{one.said}"
        )
        print(f"{number:2}/{len(chosen)} {one.name:20} {how}", flush=True)
    results = [(one, found[one.name]) for one in every if one.name in found]
    print("\n".join(table(results) if options.table else summary([one for _, one in results])))
    return int(not all(found[one.name].is_caught for one in chosen))


def _load() -> None:
    """Load what each command needs, so that the copies of this process have it."""
    from localcloud.cloud import LocalCloud

    with LocalCloud(DESK, enforce_iam=True):
        pass


def _part(word: str) -> tuple[int, int]:
    number, _, of = word.partition("/")
    if not (number.isdecimal() and of.isdecimal() and 1 <= int(number) <= int(of)):
        raise argparse.ArgumentTypeError("must be K/N, such as 2/4")
    return int(number), int(of)


def _kept(file: Path | None) -> dict[str, Caught]:
    """Return the results in a file, by the defect's name; the last one counts."""
    if file is None or not file.exists():
        return {}
    return {one["name"]: Caught(**one) for one in map(json.loads, file.read_text(encoding="utf-8").splitlines())}


def summary(found: Sequence[Caught]) -> list[str]:
    """Return two sentences: how many are caught, and how short and quick."""
    good = [one for one in found if one.is_caught]
    fail = sum(one.fails for one in found)
    said = [f"{len(found)} defects: {fail} tests fail on the defect, {len(good)} also pass on the fix"]
    if good:
        before, after = median(one.before for one in good), median(one.after for one in good)
        said.append(f"median: {before:g} turns to {after:g} in {median(one.seconds for one in good):.1f} s")
    return said


_KINDS: Mapping[str, str] = {TILL: "tools and their rules", AGENT: "agent.yaml", FALLBACK: "fallback", "": "handlers"}


def table(results: Sequence[tuple[Defect, Caught]]) -> list[str]:
    """Return a table in Markdown: a row for each kind of defects, and one for all."""
    head = "| defects in | seeded | test fails on the defect | passes on the fix | turns before | after | seconds |"
    rows = [head, "|---|---|---|---|---|---|---|"]
    kinds: list[tuple[str | None, str]] = [*_KINDS.items(), (None, "all")]
    for file, kind in kinds:
        some = [one for defect, one in results if file in (None, defect.file)]
        good = [one for one in some if one.is_caught]
        middle = [median(of(one) for one in good) for of in (_before, _after, _seconds)] if good else [0, 0, 0]
        figures = f"{len(some)} | {sum(one.fails for one in some)} | {sum(one.passes for one in some)}"
        rows.append(f"| {kind} | {figures} | {middle[0]:g} | {middle[1]:g} | {middle[2]:.1f} |")
    return rows


def _before(one: Caught) -> int:
    return one.before


def _after(one: Caught) -> int:
    return one.after


def _seconds(one: Caught) -> float:
    return one.seconds


if __name__ == "__main__":
    sys.exit(main())
