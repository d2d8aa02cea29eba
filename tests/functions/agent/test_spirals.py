"""The loop signal for writes about the same things in new words, with the argument models of real tools."""

import enum
import uuid
from collections.abc import Callable
from datetime import date
from decimal import Decimal
from itertools import permutations
from pathlib import Path
from typing import Annotated, Any, Literal

import pytest
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, create_model

from ballast.contracts import CallTools, ToolCall
from ballast.folds.loops import Rung, notice
from ballast.playbook import AgentConfig, FreeText, Grounded, Playbook, Write, tool
from ballast.run import Run
from functions.agent.loops import detected_loops, loop_signals
from tests.functions.endpoint import Endpoint, calls
from tests.functions.roomy import opened
from tests.functions.stack import Stack
from tests.unit.folds.loop_runs import LoopRun

AGENT = AgentConfig.model_validate({"name": "a", "model": "m", "instructions": "x", "limits": {}})
WORDS = ("alpha", "beta", "gamma", "delta", "epsilon", "zeta", "eta", "theta", "iota", "kappa", "lambda", "mu", "nu")
LAPS = 13
#: A notice from the sixth on, never forbidden; with similar words a notice at the fourth, forbidden at the seventh.
SEEN = [None] * 5 + ["notice"] * 8
SEEN_ALIKE = [None] * 3 + ["notice"] * 3 + ["forbid"] * 7

Id = Annotated[str, Grounded]
Make = Callable[[int], dict[str, Any]]


class Order(enum.Enum):
    FIRST = "O-1001"
    SECOND = "O-1002"


def model(**fields: Any) -> type[BaseModel]:
    made: type[BaseModel] = create_model(
        "Sent", __config__=ConfigDict(extra="forbid", frozen=True, arbitrary_types_allowed=True), **fields
    )
    return made


def playbook_of(arguments: type[BaseModel], **declared: Any) -> Playbook:
    def act(args: Any, ctx: Any) -> None:
        """Act."""

    act.__annotations__["args"] = arguments
    return Playbook(Path(), AGENT, {"act": tool(effect=Write(**declared))(act)}, {})


def steps(playbook: Playbook, make: Make, laps: int = LAPS) -> list[str | None]:
    """Play that many writes, obeying the signals; return the rung recorded with each, if any."""
    run, read, found = LoopRun(), Run(), []
    for lap in range(laps):
        arguments = make(lap)
        decision = CallTools(calls=(ToolCall(tool="act", arguments=arguments),))
        signs = loop_signals(read, run.turn + 1, decision, playbook)
        found.append(signs[0].step if signs else None)
        forbidden = found[-1] == "forbid"
        run = run.refused("act", arguments, error="ToolForbidden") if forbidden else run.writes("act", arguments)
        read = read.with_event(*run.events[len(read) :])
    assert (detected_loops(Run(run.events), playbook).rung is Rung.LOOP) is ("forbid" in found)
    return found


def reworded(lap: int) -> str:
    """Return the same words in another order."""
    return " ".join(list(permutations(["late", "parcel", "again", "today"]))[lap])


def said(lap: int) -> str:
    return f"new words, {WORDS[lap]}"


ONE_LINE = model(order_id=(Id, ...), text=(str, ...))

SPIRALS: dict[str, tuple[type[BaseModel], Make]] = {
    "an id and a text": (ONE_LINE, lambda n: {"order_id": "O-1001", "text": said(n)}),
    "an id and a word": (ONE_LINE, lambda n: {"order_id": "O-1001", "text": WORDS[n]}),
    "the id spelt otherwise": (
        ONE_LINE,
        lambda n: {"order_id": ["O-1001", "o-1001", "O 1001", "O1001", " O-1001", "#O-1001"][n % 6], "text": said(n)},
    ),
    "an address in another case": (
        model(to=(Id, ...), text=(str, ...)),
        lambda n: {"to": ["Jo@example.org", "jo@example.org"][n % 2], "text": said(n)},
    ),
    "a whole number as an id": (
        model(order=(Annotated[int, Grounded], ...), text=(str, ...)),
        lambda n: {"order": 1001, "text": WORDS[n]},
    ),
    "ids in another order": (
        model(ids=(list[Id], ...), text=(str, ...)),
        lambda n: {"ids": [["O-1", "O-2", "O-3"], ["O-3", "O-1", "O-2"]][n % 2], "text": said(n)},
    ),
    "an id once more each time": (
        model(ids=(list[Id], ...), text=(str, ...)),
        lambda n: {"ids": ["O-1"] * (n + 1), "text": said(n)},
    ),
    "a set of ids": (
        model(ids=(set[Id], ...), text=(str, ...)),
        lambda n: {"ids": ["O-1", "O-2"][:: (-1) ** n], "text": said(n)},
    ),
    "a mapping by id": (model(notes=(dict[Id, str], ...)), lambda n: {"notes": {"O-1001": said(n)}}),
    "rows with an id": (
        model(notes=(list[ONE_LINE], ...)),  # type: ignore[valid-type]
        lambda n: {"notes": [{"order_id": "O-1001", "text": said(n)}] * (1 + n % 3)},
    ),
    "a UUID": (
        model(order_id=(Annotated[uuid.UUID, Grounded], ...), text=(str, ...)),
        lambda n: {"order_id": "12345678-1234-4234-8234-123456789012", "text": WORDS[n]},
    ),
    "a choice": (
        model(order_id=(Annotated[Order, Grounded], ...), text=(str, ...)),
        lambda n: {"order_id": "O-1001", "text": WORDS[n]},
    ),
    "an alias": (
        model(order_id=(Id, Field(alias="from")), text=(str, ...)),
        lambda n: {"from": "O-1001", "text": WORDS[n]},
    ),
    "a validator that strips": (
        model(order_id=(Annotated[str, BeforeValidator(lambda v: v.strip().upper()), Grounded], ...), text=(str, ...)),
        lambda n: {"order_id": ["o-1001", " O-1001", "O-1001 "][n % 3], "text": WORDS[n]},
    ),
    "an id in a model that is marked whole": (
        model(target=(Annotated[model(id=(str, ...), kind=(str, ...)), Grounded], ...), text=(str, ...)),
        lambda n: {"target": {"id": "O-1", "kind": "order"}, "text": WORDS[n]},
    ),
    "an optional id that is not given": (
        model(order_id=(Annotated[str | None, Grounded], None), path=(str, ...), text=(str, ...)),
        lambda n: {"path": "a.txt", "text": said(n)},
    ),
    "no mark: a path and a word": (
        model(path=(str, ...), text=(str, ...)),
        lambda n: {"path": "a.txt", "text": WORDS[n]},
    ),
    "no mark: code without spaces": (
        model(path=(str, ...), text=(str, ...)),
        lambda n: {"path": "a.txt", "text": f"x={n}"},
    ),
    "no mark: a field with another name": (
        model(doc=(str, ...), addition=(str, ...)),
        lambda n: {"doc": "F-13", "addition": WORDS[n]},
    ),
    "no mark: the path spelt otherwise": (
        model(path=(str, ...), text=(str, ...)),
        lambda n: {"path": ["a.txt", "A.txt"][n % 2], "text": said(n)},
    ),
    "no mark: a default that is sent now and then": (
        model(path=(str, ...), mode=(str, "append"), text=(str, ...)),
        lambda n: {"path": "a.txt", "text": said(n)} | ({"mode": "append"} if n % 2 else {}),
    ),
    "words of the model's own by the mark": (
        model(path=(str, ...), x=(Annotated[str, FreeText], ...)),
        lambda n: {"path": "a.txt", "x": f"v-{n}"},
    ),
}


ALIKE: dict[str, tuple[type[BaseModel], Make]] = {
    "no mark: words of a script without spaces": (
        model(path=(str, ...), x=(str, ...)),
        lambda n: {"path": "a.txt", "x": "订单已经发货了" + "好" * n},
    ),
    "an id and a text": (ONE_LINE, lambda n: {"order_id": "O-1001", "text": reworded(n)}),
    "small words": (ONE_LINE, lambda n: {"order_id": "O-1001", "text": f"{'the ' * n}parcel is late"}),
    "no mark: mails": (
        model(to=(str, ...), subject=(str, ...), body=(str, ...)),
        lambda n: {"to": "jo@example.org", "subject": "Your parcel", "body": reworded(n)},
    ),
    "the same amount in ever new spellings, and like words": (
        model(order_id=(Id, ...), amount=(Annotated[Decimal, Grounded], ...), text=(str, ...)),
        lambda n: {"order_id": "O-1001", "amount": ["5.50", "5.5", "5.500"][n % 3], "text": reworded(n)},
    ),
    "the same amount without a mark": (
        model(order_id=(Id, ...), amount=(Decimal, ...), text=(str, ...)),
        lambda n: {"order_id": "O-1001", "amount": ["5.50", "5.5", "5.500"][n % 3], "text": reworded(n)},
    ),
}


TURNS: tuple[type[BaseModel], Make] = (
    ONE_LINE,
    lambda n: {"order_id": "O-1001", "text": reworded(n) if n % 2 == 0 else f"{'the ' * n}customer called"},
)


@pytest.mark.parametrize("case", ALIKE)
def test_nearly_the_same_words_about_the_same_things_are_forbidden_sooner(case: str) -> None:
    arguments, make = ALIKE[case]
    assert steps(playbook_of(arguments), make) == SEEN_ALIKE


def test_two_texts_by_turns_are_each_counted() -> None:
    arguments, make = TURNS

    assert steps(playbook_of(arguments), make, laps=14) == [None] * 5 + ["notice"] * 7 + ["forbid"] * 2


@pytest.mark.sampled(8)
@pytest.mark.parametrize("case", SPIRALS)
def test_ever_new_words_about_the_same_things_are_noticed_and_never_forbidden(case: str) -> None:
    arguments, make = SPIRALS[case]

    assert steps(playbook_of(arguments), make) == SEEN


@pytest.mark.parametrize("repeat", ["once", "allow"])
def test_it_is_the_same_whether_a_write_may_be_repeated(repeat: str) -> None:
    (arguments, make), (_, alike) = SPIRALS["an id and a text"], ALIKE["an id and a text"]

    assert steps(playbook_of(arguments, repeat=repeat), make) == SEEN
    assert steps(playbook_of(arguments, repeat=repeat), alike) == SEEN_ALIKE


ADDED = (
    *("Set up CI", "Write the privacy page", "Fix login on Safari", "Translate e-mails", "Choose a payment provider"),
    *("Load test checkout", "Back up the database", "Invite beta users", "Draw the logo", "Rotate the keys"),
    *("Publish the roadmap", "Train support", "Measure page speed", "Order stickers", "Book the venue"),
)
AMOUNTS = [f"{n + 1}.50" for n in range(len(ADDED))]

#: Long honest work: each call adds one more entry to the same record.
ADDS: dict[str, tuple[type[BaseModel], Make]] = {
    "issues": (
        model(repo=(Id, ...), title=(str, ...), body=(str, ...)),
        lambda n: {"repo": "shop", "title": ADDED[n], "body": f"{ADDED[n]}, please."},
    ),
    "invoice lines": (
        model(invoice_id=(Id, ...), description=(str, ...), quantity=(int, ...), price=(Decimal, ...)),
        lambda n: {"invoice_id": "I-1", "description": ADDED[n], "quantity": 1, "price": AMOUNTS[n]},
    ),
    "entries of an FAQ": (
        model(kb=(Id, ...), question=(str, ...), answer=(str, ...)),
        lambda n: {"kb": "K-1", "question": f"{ADDED[n]}?", "answer": f"{ADDED[n]}."},
    ),
    "a checklist": (
        model(list_id=(Id, ...), item=(str, ...)),
        lambda n: {"list_id": "L-1", "item": ADDED[n]},
    ),
    "a survey": (
        model(form=(Id, ...), question=(str, ...), answer=(str, ...)),
        lambda n: {"form": "F-1", "question": f"{ADDED[n]}?", "answer": "yes"},
    ),
    "instalments": (
        model(invoice_id=(Id, ...), amount=(Decimal, ...)),
        lambda n: {"invoice_id": "I-1", "amount": AMOUNTS[n]},
    ),
    "grounded instalments": (
        model(invoice_id=(Id, ...), amount=(Annotated[Decimal, Grounded], ...)),
        lambda n: {"invoice_id": "I-1", "amount": AMOUNTS[n]},
    ),
    "instalments, the amount as a text": (
        model(invoice_id=(Id, ...), total=(Id, ...)),
        lambda n: {"invoice_id": "I-1", "total": AMOUNTS[n]},
    ),
    "instalments of an order with a number": (
        model(order=(Annotated[int, Grounded], ...), amount=(Decimal, ...)),
        lambda n: {"order": 1001, "amount": AMOUNTS[n]},
    ),
    "refunds for the same reason": (
        model(order_id=(Id, ...), amount=(Decimal, ...), text=(str, ...)),
        lambda n: {"order_id": "O-1001", "amount": AMOUNTS[n], "text": "It arrived broken."},
    ),
    "amounts in rows": (
        model(order_id=(Id, ...), lines=(list[model(amount=(Decimal, ...), note=(str, ...))], ...)),  # type: ignore[misc]
        lambda n: {"order_id": "O-1001", "lines": [{"amount": AMOUNTS[n], "note": "It arrived broken."}]},
    ),
}


@pytest.mark.parametrize("case", ADDS)
def test_long_work_that_adds_to_the_same_thing_is_never_stopped(case: str) -> None:
    arguments, make = ADDS[case]

    assert "forbid" not in steps(playbook_of(arguments), make, laps=len(ADDED))


def test_what_was_said_of_other_words_is_no_warning_of_another_signal() -> None:
    """A tool is forbidden only after a notice about the same target."""
    run = LoopRun()
    for words in ADDED[:7]:
        run = run.writes("append", {"file": "F-13", "text": words})
    sign = run.on("append", {"file": "F-13", "text": ADDED[7]})

    assert sign is not None
    assert sign.rung is Rung.NOTICE
    assert "will be forbidden" not in notice("append", sign)
    assert run.verdict.rung is Rung.NONE


def test_planner_and_executor_let_fifteen_different_texts_under_one_id_happen(stack: Stack, model: Endpoint) -> None:
    run_id = opened(stack, turns=40, tool_calls=60, calls_per_tool=50)
    statuses, kinds = [], set()

    for turn, words in enumerate(ADDED, start=1):
        model.will(calls({"name": "write_note", "input": {"note_id": "n-1", "text": words}}))
        assert stack.plan(run_id, turn)["kind"] == "call_tools"
        statuses.append(stack.execute(run_id, turn))
        signs = stack.body(run_id, f"{turn:04d}.model.responded").get("despair", [])
        kinds |= {(one["kind"], one["step"]) for one in signs}

    assert statuses == ["ok"] * len(ADDED)
    assert kinds == {("other_words", "notice")}


OTHERS: dict[str, tuple[type[BaseModel], Make]] = {
    "other ids": (ONE_LINE, lambda n: {"order_id": f"O-{n}", "text": said(n)}),
    "ids of other groups of digits": (ONE_LINE, lambda n: {"order_id": f"O-{n}-{20 - n}", "text": said(n)}),
    "other whole numbers": (
        model(order=(Annotated[int, Grounded], ...), text=(str, ...)),
        lambda n: {"order": n, "text": WORDS[n]},
    ),
    "another item of a list": (
        model(ids=(list[Id], ...), text=(str, ...)),
        lambda n: {"ids": ["O-1", f"O-{n + 2}"], "text": said(n)},
    ),
    "other days": (
        model(order_id=(Id, ...), on=(Annotated[date, Grounded], ...), text=(str, ...)),
        lambda n: {"order_id": "O-1", "on": f"2026-01-{n + 1:02d}", "text": "a b"},
    ),
    "another number beside the id": (
        model(order_id=(Id, ...), priority=(int, ...), text=(str, ...)),
        lambda n: {"order_id": "O-1001", "priority": n, "text": said(n)},
    ),
    "lines of an order, only the order marked": (
        model(order_id=(Id, ...), sku=(str, ...), qty=(int, ...)),
        lambda n: {"order_id": "O-1", "sku": f"SKU-{n}", "qty": 1},
    ),
    "refunds line by line": (
        model(order_id=(Id, ...), line=(int, ...), amount=(Annotated[Decimal, Grounded], ...)),
        lambda n: {"order_id": "O-1", "line": n, "amount": f"{n + 1}.50"},
    ),
    "days of one employee": (
        model(employee_id=(Id, ...), day=(date, ...), hours=(Decimal, ...)),
        lambda n: {"employee_id": "E-1", "day": f"2026-01-{n + 1:02d}", "hours": "8"},
    ),
    "choices of several words": (
        model(order_id=(Id, ...), note=(Literal[tuple(f"step {word}" for word in WORDS)], ...)),
        lambda n: {"order_id": "O-1", "note": f"step {WORDS[n]}"},
    ),
    "tags": (model(ticket_id=(Id, ...), tag=(str, ...)), lambda n: {"ticket_id": "T-1", "tag": WORDS[n]}),
    "rights": (
        model(user_id=(Id, ...), permission=(str, ...)),
        lambda n: {"user_id": "U-1", "permission": f"{WORDS[n]}:read"},
    ),
    "photos": (
        model(listing_id=(Id, ...), photo_url=(str, ...)),
        lambda n: {"listing_id": "L-1", "photo_url": f"https://x/{n}.png"},
    ),
    "fields of a customer": (
        model(customer_id=(Id, ...), field=(str, ...), value=(str, ...)),
        lambda n: {"customer_id": "C-1", "field": WORDS[n], "value": said(n)},
    ),
    "seats": (
        model(booking_id=(Id, ...), passenger=(str, ...), seat=(str, ...)),
        lambda n: {"booking_id": "B-1", "passenger": f"Ms {WORDS[n]}", "seat": f"{n}A"},
    ),
    "no mark: rows of a table": (
        model(table=(str, ...), row=(dict[str, str], ...)),
        lambda n: {"table": "t", "row": {"a": WORDS[n], "b": "x y"}},
    ),
    "no mark: other paths": (
        model(path=(str, ...), text=(str, ...)),
        lambda n: {"path": f"notes/{WORDS[n]}.txt", "text": said(n)},
    ),
    "no mark: another place": (
        model(path=(str, ...), line=(int, ...), text=(str, ...)),
        lambda n: {"path": "a.txt", "line": n, "text": said(n)},
    ),
    "no mark: no text at all": (
        model(path=(str, ...), size=(int, ...)),
        lambda n: {"path": "a.txt", "size": n},
    ),
    "no mark: members of a team": (
        model(team=(str, ...), user=(str, ...)),
        lambda n: {"team": "core", "user": WORDS[n]},
    ),
    "no mark: two names": (model(parent=(str, ...), child=(str, ...)), lambda n: {"parent": "x", "child": WORDS[n]}),
    "no mark: folders": (
        model(folder=(str, ...), name=(str, ...)),
        lambda n: {"folder": "a/b", "name": f"New {WORDS[n]}"},
    ),
    "no mark: on and off": (
        model(path=(str, ...), locked=(bool, ...), version=(int, ...), text=(str, ...)),
        lambda n: {"path": "a.txt", "locked": n % 2 == 0, "version": n // 2, "text": said(n)},
    ),
}


@pytest.mark.sampled(8)
@pytest.mark.parametrize("case", OTHERS)
def test_writes_about_other_things_are_none(case: str) -> None:
    arguments, make = OTHERS[case]

    assert steps(playbook_of(arguments), make, laps=12) == [None] * 12


def test_the_executor_refuses_the_seventh(stack: Stack, model: Endpoint) -> None:
    run_id = opened(stack)
    statuses, recorded = [], []

    for turn in range(1, 9):
        model.will(calls({"name": "write_note", "input": {"note_id": "n-1", "text": reworded(turn)}}))
        stack.plan(run_id, turn)
        statuses.append(stack.execute(run_id, turn))
        recorded.append(stack.body(run_id, f"{turn:04d}.model.responded").get("despair"))

    assert statuses == ["ok"] * 6 + ["refused"] * 2
    assert [signs[0]["step"] if signs else None for signs in recorded] == SEEN_ALIKE[:8]
    assert recorded[3][0]["kind"] == "write_spiral"
