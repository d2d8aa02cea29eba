"""The run's cost by cause. Each charge is divided without a remainder, so the parts add up to the run's cost.

::

    a model attempt ── open, failed ─────────────────▶ open_attempts, failed_attempts
                    └─ its usage cannot be right ─────▶ bound_replies
                    └─ its answer was not sent ───────▶ refused_answers
                    └─ a share for each of its calls ─▶ loop_laps, refused_calls
                    └─ the rest: prompt ──────────────▶ cache_misses, prompt_growth, first_prompt
                                 reply ───────────────▶ replies
    an attempt at a paid tool ── of such a call ─────▶ loop_laps, refused_calls
                              └─ the rest ───────────▶ tools, tool_attempts

The log has no prices. The rates of input and output follow from the attempts' own tokens and costs where two of them
differ enough; otherwise prompt and reply stay together. Within a prompt, a token that was read from the cache weighs a
tenth of one that was not: the usual ratio of providers.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from fractions import Fraction

from ballast.contracts import Planner
from ballast.contracts.timeline import Call, CallAttempt, ModelAttempt, Position, Timeline, Turn
from ballast.contracts.why import MONEY_CAUSES, MoneyShare
from ballast.values import dataclass

_PER_PRICE = 1_000_000
#: How far a rate may be off, as a share of itself, because costs are rounded up to micro-dollars.
_SURE = Fraction(1, 20)
_READ, _NOT_READ = 1, 10
#: Signals of a chain: the calls between its first one and the signal are its laps as well.
CHAINS = ("same_error", "unchanged_result", "write_spiral")
#: A notice that each call may say something new is no lap.
_NO_LAP = "other_words"
FORBIDDEN = "ToolForbidden"


def laps(made: Timeline) -> frozenset[Position]:
    """Return the calls that repeated earlier calls: those of the loop's signals, repeats, and forbidden ones."""
    found: set[Position] = set()
    chains: list[tuple[str, Position, Position]] = []
    for turn in made.turns:
        for call in turn.calls:
            at = turn.turn, call.index
            signal = call.signal if call.signal and call.signal.kind != _NO_LAP else None
            if call.repeats or call.error == FORBIDDEN or signal:
                found.add(at)
            if signal and signal.first and signal.kind in CHAINS:
                chains.append((call.tool, signal.first, at))
    for turn in made.turns if chains else ():
        for call in turn.calls:
            at = turn.turn, call.index
            if turn.planner == Planner.AGENT and any(call.tool == tool and a < at < b for tool, a, b in chains):
                found.add(at)
    return frozenset(found)


def is_refused(call: Call) -> bool:
    """Whether the gate or a rule refused the call."""
    return call.outcome == "refused"


@dataclass(frozen=True)
class Miss:
    """A prompt of which the provider's cache served less than it had held at the attempt before.

    pause_s  seconds since that attempt; None if unknown
    cold     that attempt neither read from the cache nor wrote to it, so there was nothing to serve any more
    """

    turn: int
    tokens: int
    pause_s: int | None
    cold: bool = False


@dataclass(frozen=True)
class Spending:
    """The run's cost by cause, and the cache's misses."""

    shares: tuple[MoneyShare, ...]
    misses: tuple[Miss, ...]

    def of(self, cause: str) -> int:
        """Return the micro-dollars of one cause."""
        return sum(one.microusd for one in self.shares if one.cause == cause)


def spending(made: Timeline, repeated: frozenset[Position]) -> Spending:
    """Return where the run's money went; ``repeated``: its laps."""
    sums: dict[str, int] = defaultdict(int)
    where: dict[str, set[int]] = defaultdict(set)
    prompts = _Prompts(made)
    for turn in made.turns:
        for cause, microusd in (*_of_models(turn, repeated, prompts), *_of_tools(turn, repeated)):
            sums[cause] += microusd
            if microusd:
                where[cause].add(turn.turn)
    cost = made.spent_microusd + made.reserved_microusd
    # The ending counts what was known then; outcomes may come later, and a garbled log need not add up.
    sums["after_the_ending"] = cost - sum(sums.values())
    shares = (
        MoneyShare(cause=name, words=words, microusd=sums[name], turns=tuple(sorted(where[name])))
        for name, words in MONEY_CAUSES.items()
        if sums[name]
    )
    return Spending(tuple(sorted(shares, key=lambda one: -one.microusd)), tuple(prompts.misses))


def bound_replies(made: Timeline) -> list[tuple[int, ModelAttempt]]:
    """Return the replies that are charged at their bound, and not by their usage, with their turns."""
    return [(turn.turn, one) for turn in made.turns for one in turn.attempts if one.bound_because]


def bound_calls(made: Timeline) -> list[tuple[int, Call, CallAttempt]]:
    """Return the attempts at paid tools that brought nothing and are charged at their bound, with turns and calls."""
    return [
        (turn.turn, call, one) for turn in made.turns for call in turn.calls for one in call.attempts if _bound(one)
    ]


def _bound(one: CallAttempt) -> bool:
    """Whether the attempt is charged all that was reserved for it, though nobody knows what it really cost."""
    return one.outcome in ("failed", "denied", "unknown") and 0 < one.reserved_microusd == one.charged_microusd


def _of_models(turn: Turn, repeated: frozenset[Position], prompts: _Prompts) -> Iterator[tuple[str, int]]:
    for one in turn.attempts:
        cost = one.charged_microusd
        if one.state != "responded":
            yield ("open_attempts" if one.state == "open" else "failed_attempts"), cost
            continue
        if one.bound_because:  # its tokens say nothing
            yield "bound_replies", cost
            continue
        prompts.see(turn, one)
        if one.refused_answer:
            yield "refused_answers", cost
            continue
        calls = turn.calls if turn.decided is None or turn.decided.kind == "call_tools" else ()
        again = sum((turn.turn, call.index) in repeated for call in calls)
        refused = sum(is_refused(call) and (turn.turn, call.index) not in repeated for call in calls)
        parts = _divided(cost, (again, refused, len(calls) - again - refused)) if calls else (0, 0, cost)
        yield "loop_laps", parts[0]
        yield "refused_calls", parts[1]
        yield from prompts.divided(turn, one, parts[2])


def _of_tools(turn: Turn, repeated: frozenset[Position]) -> Iterator[tuple[str, int]]:
    for call in turn.calls:
        wasted = "loop_laps" if (turn.turn, call.index) in repeated else "refused_calls" if is_refused(call) else ""
        for one in call.attempts:
            certain = one.outcome in ("ok", "failed", "denied") and not _bound(one)
            yield wasted or ("tools" if certain else "tool_attempts"), one.charged_microusd


def _divided(amount: int, weights: Sequence[int]) -> tuple[int, ...]:
    """Return ``amount`` divided by ``weights`` into integers with that sum; the last part takes what does not divide.

    Without any weight the last part takes all.
    """
    total = sum(weights)
    parts = [amount * weight // total for weight in weights] if total else [0] * len(weights)
    at = max((place for place, weight in enumerate(weights) if weight), default=len(weights) - 1)
    parts[at] += amount - sum(parts)
    return tuple(parts)


class _Prompts:
    """Divides the cost of replies, by the tokens of the attempts before them."""

    def __init__(self, made: Timeline) -> None:
        replies = (one for turn in made.turns for one in turn.attempts if one.state == "responded")
        attempts = [one for one in replies if not one.bound_because]
        by_price: dict[tuple[str, str], list[ModelAttempt]] = defaultdict(list)
        for one in attempts:
            by_price[one.model, one.price_version].append(one)
        self.rates: Mapping[tuple[str, str], Rates | None] = {key: rates(of) for key, of in by_price.items()}
        # Of each conversation with a model: the tokens of its first prompt, those that its cache holds, and since when.
        self.first: dict[tuple[str, str], int] = {}
        self.held: dict[tuple[str, str], tuple[int, str]] = {}
        self.now: dict[tuple[str, str], tuple[int, str]] = {}
        self.cold: dict[tuple[str, str], bool] = {}
        self.misses: list[Miss] = []

    def see(self, turn: Turn, one: ModelAttempt) -> None:
        """Take note of a reply, in the order of the work."""
        key = one.model, turn.by_agent
        self.now[key] = self.held.get(key, (0, ""))
        self.first.setdefault(key, one.prompt_tokens)
        # A reply without any cached token does not change what the cache once held.
        holds = one.cached_tokens + one.cache_write_tokens or self.now[key][0]
        self.held[key] = holds, one.at
        tokens = self.missed(key, one)
        if tokens:
            pause = _seconds(self.now[key][1], one.at)
            self.misses.append(Miss(turn.turn, tokens, pause, self.cold.get(key, False)))
        self.cold[key] = not one.cached_tokens + one.cache_write_tokens

    def missed(self, key: tuple[str, str], one: ModelAttempt) -> int:
        """Return the tokens that the cache had held and did not serve."""
        return max(0, min(self.now[key][0], one.prompt_tokens) - max(0, one.cached_tokens))

    def divided(self, turn: Turn, one: ModelAttempt, cost: int) -> Iterator[tuple[str, int]]:
        """Yield the parts of ``cost``, which is the attempt's or a share of it."""
        known = self.rates[one.model, one.price_version]
        if known is None or one.cost_microusd <= 0 or one.prompt_tokens <= 0 or one.output_tokens < 0:
            yield "prompts_and_replies", cost
            return
        reply = min(one.cost_microusd, round(one.output_tokens * known.output / _PER_PRICE))
        # Of a share of the cost, the same share is the reply's.
        of_reply = cost * reply // one.cost_microusd
        key = one.model, turn.by_agent
        first, missed = min(self.first[key], one.prompt_tokens), self.missed(key, one)
        read = min(one.prompt_tokens, max(0, one.cached_tokens))
        missed_of_first = max(0, min(first, read + missed) - read)
        read_of_first = min(first, read)
        weights = (
            _NOT_READ * missed,
            _READ * (read - read_of_first)
            + _NOT_READ * (one.prompt_tokens - first - (read - read_of_first) - (missed - missed_of_first)),
            _READ * read_of_first + _NOT_READ * (first - read_of_first - missed_of_first),
        )
        yield "replies", of_reply
        parts = _divided(cost - of_reply, weights)
        yield from zip(("cache_misses", "prompt_growth", "first_prompt"), parts, strict=True)


@dataclass(frozen=True)
class Rates:
    """Micro-dollars per million tokens of plain input and of output."""

    input: Fraction
    output: Fraction


def rates(attempts: Iterable[ModelAttempt]) -> Rates | None:
    """Return the rates that explain the cost of all these attempts; None if the log does not show them.

    Two attempts with different shares of output give two equations. What the cache saved is recorded, so that the cost
    without a cache is known of each.
    """
    seen = [
        (one.prompt_tokens, one.output_tokens, one.cost_microusd + one.cache_saved_microusd)
        for one in attempts
        if one.prompt_tokens > 0 and one.output_tokens >= 0 and one.cost_microusd > 0
    ]
    if len(seen) < 2:
        return None
    ordered = sorted(seen, key=lambda one: Fraction(one[1], one[0]))
    (p, o, cost), (q, r, other) = ordered[0], ordered[-1]
    by = p * r - q * o
    if not by:
        return None
    found = Rates(Fraction((cost * r - other * o) * _PER_PRICE, by), Fraction((other * p - cost * q) * _PER_PRICE, by))
    # Each cost is rounded up by less than one micro-dollar.
    if found.input <= 0 or found.output <= 0 or Fraction((o + r) * _PER_PRICE, by) > _SURE * found.input:
        return None
    fits = (abs(p * found.input + o * found.output - cost * _PER_PRICE) <= 2 * _PER_PRICE for p, o, cost in seen)
    return found if all(fits) else None


def _seconds(start: str, end: str) -> int | None:
    try:
        return round((datetime.fromisoformat(end) - datetime.fromisoformat(start)).total_seconds())
    except (TypeError, ValueError):
        return None
