"""The cost of runs, explained: the charges of each run's timeline, added up by turn, tool, planner, model and tenant.

Pure: logs in, one ``Explanation`` out. Amounts are integer micro-dollars, and every table has the same total.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Literal

from ballast.contracts.timeline import Correction, Timeline
from ballast.errors import LogCorrupt
from ballast.log.event import GARBLED, Event
from ballast.run import Run


@dataclass(frozen=True)
class Charge:
    """One charge of a run; amounts in micro-dollars.

    kind     a model attempt, or a tool call with a cost of its own
    name     the model's id, or the tool's name
    planner  who proposed it
    by_agent name of the agent that proposed it; "" for other planners
    bound_because  of a reply: why it is charged at its bound, and not by its usage
    tools    of a model attempt: the tools that its completion called; empty if it called none
    outcome  responded | failed | open (unknown: the whole reservation stays charged); of a tool: its status
    cache_read  of the input tokens: read from the provider's cache
    cache_saved what the input tokens would have cost without the cache, less what they cost; may be negative
    """

    run_id: str
    tenant: str
    turn: int
    kind: Literal["model", "tool"]
    name: str
    planner: str
    outcome: str
    reserved: int
    charged: int
    tools: tuple[str, ...] = ()
    input_tokens: int = 0
    output_tokens: int = 0
    cache_read: int = 0
    cache_saved: int = 0
    price_version: str = ""
    by_agent: str = ""
    bound_because: str = ""

    @property
    def returned(self) -> int:
        """The unused part of the reservation; negative if more was used."""
        return self.reserved - self.charged


def charges(made: Timeline) -> tuple[Charge, ...]:
    """Return the charges of a run, in order. Their sum counts against its ceiling."""
    return (*_of_models(made), *_of_tools(made))


def _of_models(made: Timeline) -> Iterator[Charge]:
    for turn in made.turns:
        calls = turn.decided is not None and turn.decided.kind == "call_tools"
        for one in turn.attempts:
            yield Charge(
                run_id=made.run_id,
                tenant=made.tenant,
                turn=turn.turn,
                kind="model",
                name=one.model,
                planner="agent",
                outcome=one.state,
                reserved=one.reserved_microusd,
                charged=one.charged_microusd,
                tools=tuple(call.tool for call in turn.calls) if calls and one.state == "responded" else (),
                input_tokens=one.prompt_tokens,
                output_tokens=one.output_tokens,
                cache_read=one.cached_tokens,
                cache_saved=one.cache_saved_microusd,
                price_version=one.price_version,
                by_agent=turn.by_agent or made.agent,
                bound_because=one.bound_because,
            )


def _of_tools(made: Timeline) -> Iterator[Charge]:
    for turn in made.turns:
        for call in turn.calls:
            for one in call.attempts:
                yield Charge(
                    run_id=made.run_id,
                    tenant=made.tenant,
                    turn=turn.turn,
                    kind="tool",
                    name=call.tool,
                    planner=turn.planner,
                    outcome=one.outcome,
                    reserved=one.reserved_microusd,
                    charged=one.charged_microusd,
                    by_agent=turn.by_agent or made.agent if turn.planner == "agent" else "",
                )


#: Stands for a completion that called no tool.
ANSWERING = "(answering)"


_SUMMED = ("reserved", "charged", "input_tokens", "output_tokens", "cache_read", "cache_saved")


@dataclass(frozen=True)
class Sum:
    """The sum of the charges under one name; amounts in micro-dollars."""

    name: str
    count: int = 0
    reserved: int = 0
    charged: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    cache_read: int = 0
    cache_saved: int = 0

    def plus(self, more: "Charge | Sum") -> "Sum":
        """Return the sum with one more charge, or with another sum."""
        count = more.count if isinstance(more, Sum) else 1
        return Sum(self.name, self.count + count, **{one: getattr(self, one) + getattr(more, one) for one in _SUMMED})


def summed(charges: Iterable[Charge], by: Callable[[Charge], str]) -> list[Sum]:
    """Return one sum per name, the most expensive first."""
    sums: dict[str, Sum] = {}
    for charge in charges:
        name = by(charge)
        sums[name] = sums.get(name, Sum(name)).plus(charge)
    return sorted(sums.values(), key=lambda one: (-one.charged, one.name))


def by_tool(charges: Sequence[Charge]) -> list[Sum]:
    """Return the cost of each tool: its own price and its share of the model attempts that called it.

    A completion that calls several tools is split evenly among the calls; the first takes what does not divide.
    """
    return summed((part for charge in charges for part in _parts(charge)), lambda charge: charge.name)


def _parts(charge: Charge) -> list[Charge]:
    if charge.kind == "tool":
        return [charge]
    names = charge.tools or (ANSWERING if charge.outcome == "responded" else f"({charge.outcome})",)
    parts = []
    for position, name in enumerate(names):

        def share(amount: int, position: int = position) -> int:
            each, rest = divmod(amount, len(names))
            return each + (rest if position == 0 else 0)

        shares: dict[str, Any] = {one: share(getattr(charge, one)) for one in _SUMMED}
        parts.append(replace(charge, name=name, **shares))
    return parts


def total(parts: Iterable[Charge | Sum]) -> Sum:
    """Return the sum of all."""
    made = Sum("total")
    for one in parts:
        made = made.plus(one)
    return made


@dataclass(frozen=True)
class Explanation:
    """What some runs cost; amounts in micro-dollars.

    ceiling    the sum of their ceilings, with what people added
    running    how many of them have not ended: the rest of their lease is still held
    saved      what the stopped loops could have cost within their limits; in no sum
    corrected  operators' corrections, by run; in no sum
    """

    runs: tuple[str, ...]
    charges: tuple[Charge, ...]
    ceiling: int
    running: int
    saved: int
    corrected: Mapping[str, Correction] = field(default_factory=dict)

    @property
    def as_corrected(self) -> int:
        """The total, with operators' corrections applied."""
        others = sum(one.charged for one in self.charges if one.run_id not in self.corrected)
        return others + sum(one.charged_microusd for one in self.corrected.values())

    @property
    def total(self) -> Sum:
        """The sum of all charges."""
        return total(self.charges)

    @property
    def unspent(self) -> int:
        """The part of the ceilings that was not charged: returned when the runs ended, or still leased."""
        return self.ceiling - self.total.charged

    def tables(self) -> dict[str, list[Sum]]:
        """Return the sums of each grouping. Every table has the same total."""
        one_run = len(self.runs) == 1
        tables: dict[str, list[Sum]] = {}
        if one_run:
            tables["turn"] = sorted(
                summed(self.charges, lambda charge: str(charge.turn)), key=lambda one: int(one.name)
            )
        else:
            tables["tenant"] = summed(self.charges, lambda charge: charge.tenant)
            tables["run"] = summed(self.charges, lambda charge: charge.run_id)
        tables["tool"] = by_tool(self.charges)
        tables["planner"] = summed(self.charges, lambda charge: charge.planner)
        if len({charge.by_agent for charge in self.charges if charge.by_agent}) > 1:
            tables["agent"] = summed(self.charges, lambda charge: charge.by_agent or f"({charge.planner})")
        tables["model or paid tool"] = summed(self.charges, lambda charge: charge.name)
        return tables

    def as_data(self) -> dict[str, Any]:
        """Return it as JSON."""
        return {
            "runs": list(self.runs),
            "running": self.running,
            "ceiling_microusd": self.ceiling,
            "reserved_microusd": self.total.reserved,
            "charged_microusd": self.total.charged,
            "returned_microusd": self.total.reserved - self.total.charged,
            "unspent_microusd": self.unspent,
            "saved_microusd": self.saved,
            "cache_saved_microusd": self.total.cache_saved,
            "as_corrected_microusd": self.as_corrected,
            "corrected": {run_id: one.model_dump() for run_id, one in self.corrected.items()},
            "by": {name: [asdict(one) for one in sums] for name, sums in self.tables().items()},
            "charges": [asdict(charge) for charge in self.charges],
        }


def _explain_run(run: Run) -> tuple[Timeline, Sequence[Charge], int]:
    """Return a run's timeline, its charges and its ceiling.

    A timeline leaves out entries that cannot be read. Raises ``LogCorrupt`` if one is about money: a sum would hide it.
    """
    _ = run.usage
    made = run.timeline()
    if run.is_open:
        return made, charges(made), run.opening.cost_ceiling_microusd
    if run.has_ended:
        _ = run.request
        return made, charges(made), 0
    return made, (), 0


def explained(logs: Iterable[Sequence[Event]], left_out: dict[str, str] | None = None) -> Explanation:
    """Explain the runs of these logs.

    A run with an event that cannot be read is named in ``left_out``. Without ``left_out`` it raises ``LogCorrupt``.
    """
    runs: list[str] = []
    found: list[Charge] = []
    said: dict[str, Correction] = {}
    ceiling = running = saved = 0
    for events in logs:
        run_id = events[0].run_id
        try:
            run = Run.of(events)
            made, charged, leased = _explain_run(run)
        except (LogCorrupt, *GARBLED) as problem:
            if left_out is None:
                raise
            left_out[run_id] = type(problem).__name__
            continue
        runs.append(run_id)
        found += charged
        running += not run.has_ended
        ceiling += leased
        saved += made.money.saved_microusd
        if made.corrected is not None:
            said[run_id] = made.corrected
    return Explanation(tuple(runs), tuple(found), ceiling, running, saved, said)
