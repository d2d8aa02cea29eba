"""The results of the cases as tables."""

from collections.abc import Callable, Iterable, Sequence

from rich.box import SIMPLE
from rich.console import Console
from rich.table import Table

from bench.tau2.cases import Fault
from bench.tau2.judge import EQUAL, UNKNOWN, WRONG, Verdict
from bench.tau2.player import Played

#: How a dead attempt is resolved, in the order of the table.
MEANS = {
    "read": "a read: again",
    "key": "a write with its key",
    "verify": "a write, asked after",
    "person": "a write, a person",
}
#: So many cases that are wrong are told one by one.
_TOLD = 20


def fails(played: Played) -> bool:
    """Say whether the protocol did not keep its promise in a case."""
    return played.protocol.came == WRONG or not played.protocol.told


def show(console: Console, played: Sequence[Played], seconds: float) -> None:
    """Print the tables, and each case that is wrong with the protocol."""
    if not played:
        return
    title = f"tau2's gold plans with a fault at each call: {len(played)} cases, {seconds:.0f} s"
    with_protocol = [one.protocol for one in played]
    without = [one.naive for one in played if one.naive is not None]
    console.print(_by_fault(f"{title}\n\nWith the protocol", with_protocol))
    if without:
        console.print(_by_fault("Without it: the tool is called whenever the event comes", without))
    console.print(_by_means(with_protocol, without))
    wrong = [one.protocol for one in played if fails(one)]
    for verdict in wrong[:_TOLD]:
        why = verdict.why or "a write that happened was told as one that did not, or the other way round"
        console.print(f"{verdict.case.name}: {why}", markup=False, soft_wrap=True)
    if len(wrong) > _TOLD:
        console.print(f"… and {len(wrong) - _TOLD} more")


def _by_fault(title: str, verdicts: Sequence[Verdict]) -> Table:
    table = _table(title, "domain", "fault")
    for domain in dict.fromkeys(verdict.case.domain for verdict in verdicts):
        for fault in Fault:
            here = [one for one in verdicts if one.case.domain == domain and one.case.fault is fault]
            if here:
                table.add_row(domain, fault.value.replace("_", " "), *_counts(here))
        table.add_section()
    table.add_row("all", "", *_counts(verdicts))
    return table


def _by_means(with_protocol: Sequence[Verdict], without: Sequence[Verdict]) -> Table:
    table = _table("By how the call is resolved, all faults", "call", "")
    for means, words in MEANS.items():
        for what, verdicts in (("with the protocol", with_protocol), ("without", without)):
            here = [one for one in verdicts if one.means == means]
            if here:
                table.add_row(words if verdicts is with_protocol else "", what, *_counts(here))
    return table


def _table(title: str, *names: str) -> Table:
    table = Table(title=title, box=SIMPLE, pad_edge=False)
    for name in names:
        table.add_column(name, no_wrap=True)
    for name in ("cases", "at\nwrites", "hash\nequal", "unknown,\nescalated", "wrong", "agent\ntold\notherwise"):
        table.add_column(name, justify="right")
    return table


def _counts(verdicts: Iterable[Verdict]) -> list[str]:
    here = list(verdicts)

    def count(fits: Callable[[Verdict], bool]) -> str:
        return str(sum(map(fits, here)))

    return [
        str(len(here)),
        count(lambda one: one.means != "read"),
        count(lambda one: one.came == EQUAL),
        count(lambda one: one.came == UNKNOWN),
        count(lambda one: one.came == WRONG),
        count(lambda one: not one.told),
    ]
