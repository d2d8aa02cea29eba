"""``python -m bench.hot_window``: load limit of one window's item, and of shards of it; simulated, by seed.

Each run takes from its account's items when it is admitted and returns to them when it ends: two transactions per
run, which meet in the account's hour, day and runs at once. The simulation sends them with the retries that
``ballast.table`` really makes, against what DynamoDB is documented to do:

- a transaction that finds one of its items in another one, prepared and not yet committed, is cancelled;
- a partition gives 1,000 write units a second; an item in a transaction takes two (prepare, commit).

``docs/scale.md`` has the sources, the assumptions and the conclusions. ``--hold-ms``, the time from a
transaction's prepare to its commit, is an assumption: measure it.

The second table leases ceilings from a window that is split into shards until a run is refused, and
shows what stays unused.
"""

import argparse
import heapq
import math
import random
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from ballast.table import FIRST_PAUSE_S, LONGEST_PAUSE_S, TRANSACTION_ATTEMPTS
from bench import NotMeasured, require

RATES = (10, 25, 50, 100, 200, 400, 800)
SHARDS = (1, 2, 4, 8, 16, 32)
#: Write units a second of one partition, and those of a run's three items of the account in one transaction.
PARTITION_UNITS, UNITS = 1_000, 3 * 2
#: The approximate time of a conflict's or throttle's response.
_REFUSED_S = 0.005


@dataclass
class Shard:
    """The items of one account, or a part of them: in one partition, and in one transaction at a time."""

    free_at: float = 0.0
    units: float = PARTITION_UNITS
    seen_at: float = 0.0

    def takes(self, now: float, hold_s: float) -> str | None:
        """Begin a transaction that lasts ``hold_s``, or return why it is cancelled. Every attempt costs its units."""
        self.units = min(PARTITION_UNITS, self.units + (now - self.seen_at) * PARTITION_UNITS)
        self.seen_at = now
        if self.units < UNITS:
            return "throttle"
        self.units -= UNITS
        if now < self.free_at:
            return "conflict"
        self.free_at = now + hold_s
        return None


@dataclass
class Figures:
    """The outcome of a number of transactions."""

    seconds: float
    sent: int = 0
    tries: int = 0
    conflicts: int = 0
    throttles: int = 0
    given_up: int = 0
    took_s: list[float] = field(default_factory=list)

    @property
    def cancelled(self) -> float:
        """The share of attempts that met another transaction, or a partition without units."""
        return (self.conflicts + self.throttles) / self.tries

    @property
    def runs_per_s(self) -> float:
        """Runs whose two transactions were written in the first invocation, a second."""
        return len(self.took_s) / 2 / self.seconds

    def quantile_ms(self, share: float) -> float:
        """Return the time within which this share of the transactions was written."""
        times = sorted(self.took_s)
        return 1_000 * times[max(0, math.ceil(share * len(times)) - 1)] if times else math.inf


def simulate(runs_per_s: float, shards: int, *, seconds: float, hold_s: float, seed: int) -> Figures:
    """Send ``runs_per_s`` admissions and as many settlements at random times; return the outcome."""
    dice = random.Random(f"{runs_per_s} {shards} {seed}")  # noqa: S311  no secret
    parts = [Shard() for _ in range(shards)]
    found = Figures(seconds)
    # (time, a number that makes entries unique, time of the first attempt, shard, attempt)
    queue = [(at, number, at, dice.randrange(shards), 1) for number, at in _arrivals(2 * runs_per_s, seconds, dice)]
    heapq.heapify(queue)
    found.sent = len(queue)
    while queue:
        now, number, first, shard, attempt = heapq.heappop(queue)
        found.tries += 1
        # From 0.5 to 1.5 times: a network and two round trips.
        cancelled = parts[shard].takes(now, hold_s * (0.5 + dice.random()))
        if cancelled is None:
            found.took_s.append(parts[shard].free_at - first)
            continue
        found.conflicts += cancelled == "conflict"
        found.throttles += cancelled == "throttle"
        if attempt == TRANSACTION_ATTEMPTS:
            found.given_up += 1
            continue
        pause = dice.random() * min(LONGEST_PAUSE_S, FIRST_PAUSE_S * 2 ** (attempt - 1))
        heapq.heappush(queue, (now + _REFUSED_S + pause, number, first, shard, attempt + 1))
    require(bool(found.took_s), f"None of {found.sent} transactions was written in {seconds:g} s.")
    return found


def _arrivals(rate: float, seconds: float, dice: random.Random) -> Iterator[tuple[int, float]]:
    at, number = dice.expovariate(rate), 0
    while at < seconds:
        yield number, at
        at, number = at + dice.expovariate(rate), number + 1


@dataclass(frozen=True)
class Leased:
    """What was leased of a window until the first run was refused, and how many shards a run tried."""

    unused: float
    looks: float


def lease_out(shards: int, *, limit: int, ceilings: Sequence[int], seed: int) -> Leased:
    """Lease ``ceilings`` (repeatedly, in random order) from shards of ``limit``; a full shard passes to the next."""
    dice = random.Random(f"{shards} {seed}")  # noqa: S311  no secret
    room = [limit // shards + (number < limit % shards) for number in range(shards)]
    runs = looks = 0
    while True:
        ceiling, first = dice.choice(ceilings), dice.randrange(shards)
        order = [(first + number) % shards for number in range(shards)]
        fits = next((number for number, shard in enumerate(order) if room[shard] >= ceiling), None)
        if fits is None:
            return Leased(sum(room) / limit, looks / max(1, runs))
        room[order[fits]] -= ceiling
        runs, looks = runs + 1, looks + fits + 1


def conflicts(seconds: float, hold_s: float, seed: int, rates: Sequence[int] = RATES) -> Iterator[str]:
    """Yield the table of conflicts and throughput."""
    each = f"each {1_000 * hold_s:g} ms on average"
    yield f"Two transactions a run on the account's items, {each}; {TRANSACTION_ATTEMPTS} tries."
    yield f"{seconds:g} s of arrivals. In each cell: tries that were cancelled | p99 ms | runs/s written\n"
    yield "runs/s " + "".join(f"{f'{shards} shards':>21}" for shards in SHARDS)
    for rate in rates:
        cells = []
        for shards in SHARDS:
            found = simulate(rate, shards, seconds=seconds, hold_s=hold_s, seed=seed)
            cells.append(f"{found.cancelled:>7.0%} |{found.quantile_ms(0.99):>5.0f} |{found.runs_per_s:>4.0f}")
        yield f"{rate:>6} " + "".join(f"{cell:>21}" for cell in cells)


def leasing(seed: int) -> Iterator[str]:
    """Yield the table of what stays unused."""
    yield "A window of 100 US dollars, ceilings from 0.05 to 0.50, until the first run is refused:\n"
    yield "shards   unused   shards looked at by a run"
    for shards in SHARDS:
        leased = lease_out(shards, limit=100_000_000, ceilings=range(50_000, 500_001, 50_000), seed=seed)
        yield f"{shards:>6}{leased.unused:>9.2%}{leased.looks:>12.2f}"


def main() -> int:
    """Print both tables."""
    typed = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    typed.add_argument("--table", choices=("conflicts", "leasing"), help="only this one")
    typed.add_argument("--seconds", type=float, default=10)
    typed.add_argument("--hold-ms", type=float, default=10)
    typed.add_argument("--seed", type=int, default=1)
    options = typed.parse_args()
    try:
        if options.table != "leasing":
            for line in conflicts(options.seconds, options.hold_ms / 1_000, options.seed):
                print(line, flush=True)
        if options.table is None:
            print()
        if options.table != "conflicts":
            print(*leasing(options.seed), sep="\n")
    except NotMeasured as problem:
        print(problem, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
