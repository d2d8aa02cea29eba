"""Play tau2's gold plans with one fault at each call in turn, with the effect protocol and without it.

For every call of every gold plan, and for each fault, the whole plan is played: the executor's real handler on tables
in memory, retried as agent.asl.yaml says, with Powertools' leases in virtual time. Then both of tau2's databases must
be as after the plan without a fault; or the effect is marked unknown and a person was told, who looks, makes the call
again where it had not happened, and hands back: after that the databases must be as after the plan as well.

  duplicate      the executor's event is delivered a second time, when the first is done
  side_by_side   it is delivered a second time while the first is at work
  crash_after    the tool acts, then the process dies before anything is recorded
  crash_before   the process dies as the tool is about to act: the same traces, and nothing happened
  timeout        the tool acts, but its caller sees a timeout

Without the protocol the tool is simply called whenever the event comes.
"""

import argparse
import json
import os
import random
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict

from rich.console import Console
from rich.progress import Progress

from bench.tau2.cases import Case, Fault
from bench.tau2.environments import DOMAINS
from bench.tau2.fault_tables import fails, show
from bench.tau2.memory import Clock, virtual_time
from bench.tau2.player import Played, Player, all_cases, players
from bench.tau2.whole import play_whole

_EXAMPLES = """examples:
  python -m bench.tau2.faults                                      every case: about 6000, a few minutes on two cores
  python -m bench.tau2.faults --sample 20                          20 of each domain and fault, in half a minute
  python -m bench.tau2.faults --whole 2                            2 of each through the whole state machine, a minute
  python -m bench.tau2.faults --domain airline --task 2            every fault at every call of one task
  python -m bench.tau2.faults --case 'airline/2/4/crash_after'     one case, and what happened in it step by step

ends with 0 where every case came out as said above, 1 where one is wrong, 2 where tau2 is missing, 130 after Ctrl-C
"""
#: Without a terminal a line every so many seconds.
_REPORT_S = 15
#: Where nothing says how wide the output may be.
_WIDTH = 104


def main(arguments: Sequence[str] | None = None) -> int:
    """Return 0 where no case is wrong, 1 where one is, 2 where something is missing, 130 after Ctrl-C."""
    options = _parser().parse_args(arguments)
    try:
        if options.case:
            return _replay(options.case, wraps=options.wrapped)
        wanted = _wanted(options)
    except ImportError as missing:
        print(f"{missing}. Install tau2: make tau2", file=sys.stderr)
        return 2
    except ValueError as problem:
        print(problem, file=sys.stderr)
        return 2
    started, played, stopped = time.perf_counter(), list[Played](), False
    try:
        if options.whole:
            _play_whole(wanted, played)
        else:
            _play(wanted, options.workers, played, **({"wraps": True} if options.wrapped else {}))
    except KeyboardInterrupt:
        stopped = True
        print(f"Stopped after {len(played)} of {len(wanted)} cases.", file=sys.stderr)
    if options.json:
        for one in played:
            print(json.dumps(asdict(one)))
    else:
        show(Console(width=None if sys.stdout.isatty() else _WIDTH), played, time.perf_counter() - started)
    return 130 if stopped else int(any(map(fails, played)))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m bench.tau2.faults",
        description=__doc__,
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--domain", choices=DOMAINS, action="append", help="only this one; may be given again")
    parser.add_argument("--task", action="append", metavar="ID", help="only this task of tau2's; may be given again")
    parser.add_argument("--fault", choices=list(Fault), action="append", help="only this one; may be given again")
    parser.add_argument("--sample", type=_count, metavar="N", help="only N cases of each domain and fault")
    parser.add_argument("--whole", type=_count, metavar="N", help="N of each, through the whole state machine")
    parser.add_argument("--seed", type=int, default=0, metavar="S", help="which ones these draw (%(default)s)")
    parser.add_argument("--case", metavar="NAME", help="play this one, and tell what happened")
    parser.add_argument("--wrapped", action="store_true", help="by a client that wraps its errors; not with --whole")
    parser.add_argument("--workers", type=_count, default=os.cpu_count(), metavar="N", help="processes (%(default)s)")
    parser.add_argument("--json", action="store_true", help="one JSON object a case, for machines")
    return parser


def _count(text: str) -> int:
    if (value := int(text)) < 1:
        raise argparse.ArgumentTypeError("must be 1 or more")
    return value


def _wanted(options: argparse.Namespace) -> list[Case]:
    """Return the cases that are asked for. Raises ``ValueError`` where there are none."""
    found: list[Case] = []
    for domain in options.domain or DOMAINS:
        here = [case for case in all_cases(domain) if not options.task or case.task_id in options.task]
        for fault in options.fault or Fault:
            of_fault = [case for case in here if case.fault == fault]
            draw = random.Random(f"{options.seed} {domain} {fault}")  # noqa: S311  it hides nothing
            at_most = options.whole or options.sample or len(of_fault)
            found += draw.sample(of_fault, min(at_most, len(of_fault)))
    if not found:
        raise ValueError(f"No task {', '.join(options.task)}: tau2's ids are those that bench.tau2.run --json prints.")
    return found


def _play(wanted: Sequence[Case], workers: int, played: list[Played], *, wraps: bool = False) -> None:
    """Play the cases, add what comes of them to ``played``, and say how far it is."""
    with _telling(len(wanted), played) as tell, players(wanted, workers, wraps=wraps) as tasks:
        for of_a_task in tasks:
            played += of_a_task
            tell()


def _play_whole(wanted: Sequence[Case], played: list[Played]) -> None:
    """The same through the whole state machine, one case after the other; what is naive has none."""
    with _telling(len(wanted), played) as tell:
        for verdict in play_whole(wanted):
            played.append(Played(verdict, None))
            tell()


@contextmanager
def _telling(total: int, played: Sequence[Played]) -> Iterator[Callable[[], None]]:
    """Yield what to call when ``played`` has grown."""
    reported = started = time.perf_counter()
    terminal = sys.stderr.isatty()
    with Progress(console=Console(stderr=True), transient=True, disable=not terminal) as progress:
        bar = progress.add_task("cases", total=total)

        def tell() -> None:
            nonlocal reported
            progress.update(bar, completed=len(played))
            now = time.perf_counter()
            if not terminal and now - reported > _REPORT_S:
                reported = now
                print(f"{len(played)} of {total} cases, {now - started:.0f} s", file=sys.stderr)

        yield tell


def _replay(name: str, *, wraps: bool) -> int:
    try:
        case = Case.named(name)
    except ValueError:
        case = None
    if case is None or case.domain not in DOMAINS or case not in all_cases(case.domain):
        raise ValueError(f"No case {name}: it is DOMAIN/TASK/CALL/FAULT, as in airline/2/4/crash_after.")
    clock = Clock()
    with virtual_time(clock):
        played, heard = Player(clock, wraps=wraps).replay(case)
    for line in heard:
        print(line)
    print(f"with the protocol: {played.protocol.came}{' (' + played.protocol.why + ')' if played.protocol.why else ''}")
    if played.naive is not None:
        print(f"without it: {played.naive.came}{'' if played.naive.told else ', and the agent was told otherwise'}")
    return int(fails(played))


if __name__ == "__main__":
    sys.exit(main())
