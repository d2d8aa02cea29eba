"""Many values against many texts: the work grows with the sum of both, not with their product.

Work is counted in calls, of Python and of what is written in C: it is the same on any machine.
"""

import cProfile
import json
from collections.abc import Callable
from decimal import Decimal
from typing import Annotated, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import BaseModel, ConfigDict, create_model

from ballast.contracts import Answer, RunRequest
from ballast.log.event import Event
from ballast.masking import Finder, Secret
from ballast.playbook import Grounded
from ballast.run import Run
from ballast.validation import ground, opening_sources, unknown_values, why_no_object
from ballast.validation.amounts import KnownAmounts
from ballast.validation.computed import CallInputs
from ballast.validation.index import Index
from ballast.validation.sources import Source
from ballast.validation.values import Kind, Leaf, SearchValue
from ballast.validation.words import Words, normalize, occurs, tokens
from functions.people.rights import guides_of
from tests.support.sampling import sampled
from tests.unit.validation.test_long_texts import texts

CLOSED = ConfigDict(extra="forbid", frozen=True)
MARKED: dict[type, type[BaseModel]] = {
    kind: create_model("Marked", __config__=CLOSED, values=(list[Annotated[kind, Grounded]], ...))  # type: ignore[valid-type]
    for kind in (str, Decimal)
}
PLAIN = create_model("Plain", __config__=CLOSED, values=(list[str], ...))


def work(do: Callable[[], Any]) -> int:
    """Return how many calls are made. ``cProfile`` counts them in C; a function of Python's takes ten times as long."""
    counted = cProfile.Profile()
    counted.runcall(do)
    return sum(entry.callcount for entry in counted.getstats())


def opening(values: list[Any], *, one_text: bool = False) -> tuple[Source, ...]:
    known: Any = " ".join(map(str, values)) if one_text else values
    return opening_sources(RunRequest(request_id="r", text="x", context={"known": known}))


def results(values: list[Any], *, trusted: bool = True) -> list[Source]:
    """Return one source for each value, as so many calls would bring them."""
    return [Source(f"{turn:04d}.call.1", trusted, (Leaf(value),), {"q": turn}) for turn, value in enumerate(values, 1)]


def grounded(values: list[Any], sources: Any, *, opened: Any = ()) -> Callable[[], Any]:
    made = MARKED[type(values[0])](values=values)
    return lambda: ground(made, opened, lambda: sources, unmarked=True)


def plain(values: list[str], sources: Any) -> Callable[[], Any]:
    return lambda: ground(PLAIN(values=values), (), lambda: sources, unmarked=True)


def answered(text: str, known: list[Any], *patterns: str, one_text: bool = True) -> Callable[[], Any]:
    sources = opening(known, one_text=one_text)
    return lambda: unknown_values(Answer(text=text), sources, (), patterns)


def ids(count: int, start: int = 0) -> list[str]:
    return [f"O-{number}" for number in range(start, start + count)]


def prices(count: int, start: int = 0) -> list[Decimal]:
    return [Decimal(7 + (start + number) ** 2) / 100 for number in range(count)]


def dollars(count: int) -> list[str]:
    return [f"${price:.2f}" for price in prices(count, 90_001)]


def ibans(count: int) -> list[str]:
    return [f"PW{number:08d}" for number in range(count)]


def pairs(count: int) -> list[str]:
    """Return texts of few different words."""
    return [f"{number:013b}".replace("0", "ab ").replace("1", "cd ").strip() for number in range(count)]


def guided(values: list[str], said: list[str]) -> Callable[[], Any]:
    def event(seq: str, **body: Any) -> Event:
        return Event(run_id="r", seq=seq, at="2026-03-01T12:00:00+00:00", body=body)

    call = {"tool": "act", "arguments": {"ids": values}}
    approved = event("0001.call.1.approval_answered", by="mia", approve=True, comment=" ".join(said))
    log = [approved, event("0002.plan.decided", planner="agent", decision={"kind": "call_tools", "calls": [call]})]
    return lambda: guides_of(Run(log), 2, 1)


def notes(count: int) -> list[str]:
    return [f"note-{number} says word{number}" for number in range(count)]


CASES: dict[str, Callable[[int], Callable[[], Any]]] = {
    "ids, among the facts": lambda n: grounded(ids(n), (), opened=opening(ids(n))),
    "ids, in one text": lambda n: grounded(ids(n), (), opened=opening(ids(n), one_text=True)),
    "ids, in a result each": lambda n: grounded(ids(n), results(ids(n))),
    "ids that nobody names": lambda n: grounded(ids(n, 90_000), results(ids(n))),
    "ids that only untrusted text names": lambda n: grounded(ids(n), results(ids(n), trusted=False)),
    "addresses": lambda n: grounded([f"u{i}@x.org" for i in range(n)], results([f"u{i}@x.org" for i in range(n)])),
    "phones": lambda n: grounded([f"+1555{i:06d}" for i in range(n)], results([f"+1555{i:06d}" for i in range(n)])),
    "web addresses": lambda n: grounded(
        [f"https://x.org/{i}" for i in range(n)], results([f"https://x.org/{i}" for i in range(n)])
    ),
    "codes": lambda n: grounded(ibans(n), opening([" ".join(ibans(n))])),
    "texts of the same words": lambda n: grounded(pairs(n), results(pairs(n))),
    "amounts, in one text": lambda n: grounded(prices(n, 90_001), opening(dollars(n), one_text=True)),
    "amounts that nobody names": lambda n: grounded(prices(n, 500_001), opening(dollars(n), one_text=True)),
    "arguments without a mark, untrusted": lambda n: plain(notes(n), results(notes(n), trusted=False)),
    "arguments without a mark, both": lambda n: plain(notes(n), results(notes(n), trusted=False) + results(notes(n))),
    "short arguments without a mark": lambda n: plain(
        [str(i % 97) for i in range(n)], results(notes(n), trusted=False) + results(ids(n))
    ),
    "words of people": lambda n: grounded(
        ids(n), [Source("requester", True, (Leaf(one),), words=True) for one in ids(n)]
    ),
    "words about what was raised": lambda n: grounded(
        ids(n), [Source("requester", True, (Leaf(" ".join(ids(n))),), words=True, asked_about=tuple(map(Leaf, ids(n))))]
    ),
    "ids that a call brought": lambda n: grounded(
        ids(n), [Source("0001.call.1", True, tuple(map(Leaf, ids(n))), {"ids": ids(n)})]
    ),
    "amounts that a call brought": lambda n: grounded(
        prices(n, 500_001), [Source("0001.call.1", True, tuple(map(Leaf, dollars(n))), {"all": dollars(n)})]
    ),
    "ids of an answer": lambda n: answered(" ".join(ids(n)), ids(n), r"O-\d+", one_text=False),
    "ids of an answer that nobody names": lambda n: answered(" ".join(ids(n, 90_000)), ids(n), r"O-\d+"),
    "amounts of an answer": lambda n: answered(" ".join(f"${price:.2f}" for price in prices(n, 500_001)), dollars(n)),
    "values that people named": lambda n: guided(ids(n), ids(n, 90_000)),
    "short secrets at their field": lambda n: (
        lambda: Finder(frozenset(Secret(str(i), "pin", "act") for i in range(n))).data(
            {"text": " ".join(f"pin={i % 10}x" for i in range(n)), "rows": [{"pin": str(i)} for i in range(n)]}, _PUT
        )
    ),
    "times of one day": lambda n: (
        lambda: Finder(
            frozenset(Secret(f"2026-03-01T{i // 60 % 24:02d}:{i % 60:02d}:07", "at", "act") for i in range(n))
        ).masked(" ".join(f"2026-03-01T{i // 60 % 24:02d}:{i % 60:02d}:08" for i in range(n)))
    ),
    "keys of an object": lambda n: lambda: why_no_object(json.dumps({f"k{i}": i for i in range(n)})),
}


class _Put:
    inside = staticmethod(lambda text: "*")
    whole = staticmethod(lambda text: "*")


_PUT: Any = _Put()


#: Few amounts are worked out and many are not: these two need more values until twice as many are twice the work.
SLOW_STARTS = ("amounts that nobody names", "amounts of an answer")


@pytest.mark.sampled(5)
@pytest.mark.parametrize("case", sampled(tuple(CASES), tuple(one for one in CASES if one not in SLOW_STARTS)))
def test_twice_as_much_of_both_is_twice_the_work(case: str) -> None:
    # A part of the work that grew with the product shows at the same size in both: fewer values have less room.
    count, most = (300, 2.6) if case in SLOW_STARTS else (120, 2.3)
    some, more = work(CASES[case](count)), work(CASES[case](2 * count))

    assert more <= most * some, f"{some} calls, then {more}"


def test_what_is_derived_is_worked_out_once_for_all_values() -> None:
    known = KnownAmounts(
        dict.fromkeys(prices(400, 90001), "request"), {Decimal(one): "request" for one in range(3, 15)}
    )
    known.derive(Decimal("0.01"))

    assert work(lambda: known.derive(Decimal("0.02"))) < 2_500


VALUES: list[tuple[Any, Kind | None]] = [
    *[(value, None) for value in ("O-1002", "o 1002", "jo@x.org", "+1 555 010 0200", "https://x.org/a", "1002")],
    *[(value, None) for value in ("DE89370400440532013000", "5 Pier Road", Decimal("84.50"), 7, Decimal("1E+99"))],
    *[("84.50", Kind.AMOUNT), ("15", Kind.NUMBER), ("15550100200", Kind.PHONE), ("", None), ("-", None)],
]
LEAVES = [
    *map(Leaf, ("order–O-1002–and", "photo-O-1002", "O 1002, O-1003", "write to Jo@X.org", "call +1 555 0100200.")),
    *map(Leaf, ("see http://x.org/a/", "DE89 3704 0044 0532 0130 00", "5 Pier  Road", "$84.50", "80–84.50 dollars", 7)),
    *(Leaf(Decimal("84.50"), "amount"), Leaf(Decimal("84.50")), Leaf("15 %"), Leaf(15, "percent"), Leaf(""), Leaf("-")),
    *map(
        Leaf, ("order-O-1002", "O-1002-it came", "orderO-1002", "1002 of 1003", "1.002", "XDE89 3704 0044 0532 0130 00")
    ),
]


@pytest.mark.parametrize("loose", [False, True])
@pytest.mark.parametrize(("value", "kind"), VALUES)
def test_an_index_finds_what_a_look_at_each_text_finds(value: Any, kind: Kind | None, loose: bool) -> None:
    wanted, index = SearchValue.of(value, kind), Index(LEAVES)
    at_first = [*index.holding(wanted, loose=loose)]
    for _ in range(20):
        [*index.holding(SearchValue.of("another"))]

    assert [*index.holding(wanted, loose=loose)] == at_first
    assert at_first == [
        at for at, leaf in enumerate(LEAVES) if (wanted.may_occur_in if loose else wanted.occurs_in)(leaf)
    ]


@settings(max_examples=200)
@given(wanted=texts(5), some=st.lists(texts(7), max_size=4), with_it=st.booleans())
def test_words_are_found_as_in_each_text(wanted: str, some: list[str], with_it: bool) -> None:
    mine = tokens(normalize(wanted))
    theirs = [
        tokens(normalize(text)) for text in ([*some, f"{some[0]}{wanted}{some[-1]}"] if with_it and some else some)
    ]

    assert Words(theirs).owners(mine) == {at for at, text in enumerate(theirs) if occurs(mine, text)}


@pytest.mark.parametrize("count", [0, 1, 2, 6])
def test_what_a_call_brought_is_its_own(count: int) -> None:
    brought = CallInputs.of({"ids": ids(count)})

    for _ in range(20):
        assert not brought.explains(SearchValue.of("O-77"))
    assert [brought.explains(SearchValue.of(one)) for one in ids(count)] == [True] * count
