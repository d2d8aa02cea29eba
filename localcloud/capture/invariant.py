"""Expectations of a captured test, and the comparison of two runs by their defect. Pure."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from typing import Any, get_args

import yaml

from ballast.contracts.timeline import Timeline
from ballast.contracts.wire import canonical, parse
from ballast.errors import InvalidInput
from ballast.money import dollars
from ballast.playbook import Effect, Tool
from ballast.yaml_files import load
from localcloud.capture.case import Case, Hidden, as_it_is, asked_after_the_fix
from localcloud.scenarios import Scenario, unmet
from localcloud.scenarios.scenario import By, written
from localcloud.scenarios.stored import Item

#: How a run ended, as far as a scenario can expect it.
_STATUSES = ("answered", "unanswered", "refused", "failed")
_BY = get_args(By)
#: Nothing is compared but what the invariant names.
NOTHING: Mapping[str, Any] = {"status": None, "degraded": None, "reason": None, "refused": None, "failed": None}
_WORDS = ("status", "by", "reason", "degraded", "refused", "failed", "effects", "answer", "forbidden", "grounded")
#: A word without a digit in it.
_WORD = re.compile(r"(?<!\S)[^\W\d]+(?=\W*(?:\s|$))")
EXPECTATIONS = (*_WORDS, "moved", "cost_at_most", "store")
#: Expectations that may be given more than once.
_REPEATED = ("answer", "forbidden", "store")
_SUCH_AS = {
    "status": f"Write one of {', '.join(_STATUSES)}.",
    "by": f"Write one of {', '.join(_BY)}.",
    "reason": "Write a reason, such as turn_limit, or none.",
    "degraded": "Write true or false.",
    "grounded": "Write true or false.",
    "refused": "Write the errors of refused calls, such as UnknownTool, or none.",
    "failed": "Write tools with commas between them, or none.",
    "effects": "Write tools with commas between them, in order, or none.",
    "answer": "Write words that the answer must have.",
    "forbidden": "Write words that the answer may not have.",
    "moved": "Write an amount such as 40.00.",
    "cost_at_most": "Write an amount in US dollars such as 0.05.",
    "store": "Write an item as in scenario.yaml: {table: OrdersTable, key: {order_id: O-1}, attributes: {paid: 40}}.",
}


def expected(
    said: Sequence[str],
    invariant: str | None,
    recorded: Timeline,
    tools: Mapping[str, bool] | None = None,
    hides: Callable[[Any], bool] = lambda _value: False,
) -> dict[str, Any]:
    """Return what a scenario expects: as the user says it, else the inverse of how the recorded run ended.

    said       ``NAME=VALUE``, such as ``status=answered``, ``effects=refund_order``, ``cost_at_most=0.05``
    invariant  what of the recorded ending must not come again; "status" by default
    tools      the playbook's tools, each with whether it writes; None: names of tools are not checked
    hides      whether a value is sealed, or has a stand-in in it: no play of the test could be compared by it
    Raises ``InvalidInput``.
    """
    if recorded.status not in _STATUSES:
        raise InvalidInput(
            f"{recorded.run_id}: its status is {recorded.status}, which no scenario can end with. "
            f"Capture a run that is {', '.join(_STATUSES)}."
        )
    made = dict(NOTHING)
    given: set[str] = set()
    for word in said:
        name, equals, value = word.partition("=")
        if not equals or name not in EXPECTATIONS:
            raise InvalidInput(f"--expect {word}: write NAME=VALUE, with one of {', '.join(EXPECTATIONS)}.")
        value = value.strip()
        if not value:
            raise InvalidInput(f"--expect {name}=: has no value. {_SUCH_AS[name]}")
        if name in given and name not in _REPEATED:
            raise InvalidInput(f"--expect {name}: is given twice. Only {' and '.join(_REPEATED)} may be.")
        given.add(name)
        _expect(made, name, value)
        if tools is not None and name in ("effects", "failed"):
            _check_tools(name, made[name], tools)
    if not said:
        made |= _inverse(invariant or "status", recorded, hides)
    elif invariant is not None:
        raise InvalidInput("--invariant takes the record's inverse, and --expect says what is right. Give one of them.")
    return made


def _check_tools(name: str, listed: Sequence[str], tools: Mapping[str, bool]) -> None:
    for one in listed:
        if one not in tools:
            raise InvalidInput(
                f"--expect {name}={one}: the playbook has no tool {one}. It has: {', '.join(sorted(tools)) or 'none'}."
            )
        if name == "effects" and not tools[one]:
            writes = ", ".join(sorted(tool for tool, is_write in tools.items() if is_write)) or "none"
            raise InvalidInput(f"--expect effects={one}: {one} reads, and effects are writes. Writes: {writes}.")


def _expect(made: dict[str, Any], name: str, value: str) -> None:
    listed = [] if value == "none" else [one.strip() for one in value.split(",")]
    if "" in listed and name in ("refused", "failed", "effects"):
        raise InvalidInput(f"--expect {name}={value}: there is nothing beside a comma. {_SUCH_AS[name]}")
    match name:
        case "status":
            if value not in _STATUSES:
                raise InvalidInput(f"--expect status={value}: must be one of {', '.join(_STATUSES)}.")
            made["status"] = value
        case "by":
            if value not in _BY:
                raise InvalidInput(f"--expect by={value}: must be one of {', '.join(_BY)}.")
            made |= {"by": value, "status": made["status"] or "answered"}
        case "reason":
            made["reason"] = "" if value == "none" else value
        case "degraded" | "grounded":
            if value not in ("true", "false"):
                raise InvalidInput(f"--expect {name}={value}: must be true or false.")
            made[name] = value == "true"
        case "refused" | "failed" | "effects":
            made[name] = listed
        case "answer" | "forbidden":
            made[name] = [*made.get(name, []), value]
        case "store":
            made[name] = [*made.get(name, []), _item(value)]
        case _:
            made["costs_at_most" if name == "cost_at_most" else name] = _amount(name, value)


def _item(value: str) -> dict[str, Any]:
    """Return an item of a table as scenario.yaml has it. Raises ``InvalidInput``."""
    try:
        read = load(value, yaml.SafeLoader)
    except (yaml.YAMLError, ValueError, RecursionError):
        read = None
    if not isinstance(read, dict):
        raise InvalidInput(f"--expect store={value}: is no item. {_SUCH_AS['store']}")
    try:
        return parse(Item, read, what="--expect store").model_dump(mode="json")
    except InvalidInput as problem:
        raise InvalidInput(f"{problem} {_SUCH_AS['store']}") from None


def _amount(name: str, value: str) -> str:
    try:
        amount = Decimal(value)
    except InvalidOperation:
        amount = Decimal(-1)
    if not amount.is_finite() or amount < 0:
        raise InvalidInput(f"--expect {name}={value}: must be an amount such as 0.05.")
    return f"{amount:f}"


def _inverse(invariant: str, recorded: Timeline, hides: Callable[[Any], bool]) -> dict[str, Any]:
    match invariant:
        case "status":
            return {"unlike": {"status": recorded.status} | ({"by": recorded.by} if recorded.by else {})}
        case "by":
            if not recorded.by:
                raise InvalidInput("--invariant by: nobody answered the run. Say what is right: --expect by=agent.")
            return {"unlike": {"by": recorded.by}}
        case "effects":
            effects = [one.model_dump(mode="json") for one in written(recorded)]
            return {"unlike": {"effects": [one | {"arguments": _telling(one["arguments"], hides)} for one in effects]}}
        case "answer":
            if not recorded.answer.strip():
                raise InvalidInput("--invariant answer: the run has no answer. Use --invariant status.")
            return {"unlike": {"answer": recorded.answer}}
        case "reason":
            return {"reason": ""}
        case "degraded":
            return {"degraded": False}
        case "grounded":
            return {"grounded": True}
        case "refused" | "failed":
            return {invariant: []}
    cost = dollars(recorded.money.charged_microusd)
    raise InvalidInput(f"--invariant cost: the run cost ${cost}. Say what is right: --expect cost_at_most=0.01.")


def _telling(arguments: Mapping[str, Any], hides: Callable[[Any], bool]) -> dict[str, Any]:
    return {name: value for name, value in arguments.items() if not hides(value)}


def sealed_arguments(recorded: Timeline, hides: Callable[[Any], bool]) -> list[str]:
    """Return the arguments of the recorded writes by which no two runs can be compared, as ``tool.argument``."""
    return list(
        dict.fromkeys(
            f"{one.tool}.{name}" for one in written(recorded) for name, value in one.arguments.items() if hides(value)
        )
    )


def last_people(expect: Mapping[str, Any], recorded: Timeline) -> tuple[Mapping[str, Any], ...]:
    """Return who answers a repaired run that asks a person where the recorded one did not: a fix may be to ask first.

    They approve the writes that the test expects, as often as it expects them, and every call where it expects moved
    money without naming writes; no call with which the run would have moved more. Where an item of a table is expected,
    they approve the writes of the record. They reject everything else.
    """
    writes = [_tool(one) for one in expect.get("effects") or ()]
    moves = Decimal(expect.get("moved") or 0) > 0
    stored = any(item["attributes"] is not None for item in expect.get("store") or ())
    if "effects" not in expect and stored and not moves:
        # What they wrote was wrong, not that they were made.
        writes = [one.tool for one in written(recorded)]
        moves = not writes
    return (asked_after_the_fix(writes or ("effects" not in expect and moves), expect.get("moved")),)


def _tool(effect: Any) -> str:
    return effect if isinstance(effect, str) else effect["tool"]


def can_be_met(expect: Mapping[str, Any], case: Case, whole: Case, tools: Mapping[str, Tool]) -> bool:
    """Whether a shorter case still has the calls that the expectation needs, as far as the whole case has them.

    A write that the defect kept from happening shows in no play of the defect, so nothing else holds it: the expected
    writes, all that move money where its sum is expected, all writes where an item of a table is.
    """
    wanted = Counter(map(_tool, expect.get("effects") or ()))
    for name, tool in tools.items():
        moves = Decimal(expect.get("moved") or 0) > 0 and tool.moves is not None
        if moves or (expect.get("store") and tool.effect is Effect.WRITE):
            wanted[name] = max(wanted[name], whole.calls_of(name))
    return all(case.calls_of(tool) >= min(number, whole.calls_of(tool)) for tool, number in wanted.items())


def judges_the_ending_alone(expect: Mapping[str, Any]) -> bool:
    """Whether nothing but how the run ends is judged: its status, who answered, and why the first planner stopped."""
    judged = {name for name, value in expect.items() if value is not None} - {"unlike"}
    return judged <= {"status", "by", "reason", "degraded"} and set(expect.get("unlike", ())) <= {"status", "by"}


def check_mendable(expect: Mapping[str, Any], said: Sequence[str], case: Case, recorded: Timeline) -> None:
    """Raise ``InvalidInput`` where no fix could make the test pass: the script repeats the agent's recorded answer.

    An answer without any call stays what it is, and so does one of which nobody says what was wrong with it.
    """
    if recorded.by != "agent" or not judges_the_ending_alone(expect):
        return
    calls = any(step.get("call") for step in case.steps)
    if said and calls:
        return
    writes = list(dict.fromkeys(one.tool for one in written(recorded)))
    made = f" It wrote: {', '.join(writes)}." if writes else ""
    people = "".join(
        f" {one.by} says that it did wrong{f': {one.note}' if one.note else ''}."
        for one in recorded.feedback
        if one.verdict == "wrong"
    )
    raise InvalidInput(
        f"{recorded.run_id}: the agent answered{'' if calls else ' without a call'}, and only how the run ended is "
        f"judged. A script repeats that answer, so no fix could make the test pass.{made}{people} Say with --expect "
        "what is right: effects=TOOL,… or none (the writes), moved=AMOUNT, store='{table: …, key: {…}, attributes: "
        "{…}}' (what a write left behind), refused=none, failed=none, forbidden=TEXT or grounded=true (the answer), "
        "cost_at_most=USD."
    )


def is_an_answer_alone(case: Case) -> bool:
    """Whether a script is nothing but replies without calls: only a rule about answers can change the ending."""
    return all("error" not in step and "stop" not in step and not step.get("call") for step in case.steps)


def calls_lacking(expect: Mapping[str, Any], case: Case) -> list[str]:
    """Return the tools of expected writes and failures that the script does not call, or not often enough."""
    wanted = Counter(map(_tool, expect.get("effects") or ())) | Counter(expect.get("failed") or ())
    return [tool for tool, number in wanted.items() if case.calls_of(tool) < number]


_MOVED = re.compile(r"moved: expected (?P<expected>[0-9.]+), was (?P<was>[0-9.]+)")


def answers_against(expect: Mapping[str, Any], case: Case, wrong: Sequence[str] = ()) -> list[str]:
    """Return what people of the record say against what the test expects, in words: a fix that still asks hears it.

    wrong  what is not as expected now
    """
    effects = expect.get("effects")
    wanted = Counter(map(_tool, effects or ()))
    moves = Decimal(expect.get("moved") or 0) > 0
    found = next(filter(None, map(_MOVED.match, wrong)), None)
    too_much = effects is None and found is not None and Decimal(found["was"]) > Decimal(found["expected"])
    told = []
    for tool in dict.fromkeys(one["tool"] for one in case.people if one.get("tool")):
        given = Counter(one.get("approve") for one in case.people if one.get("tool") == tool)
        if given[False] and (tool in wanted if effects is not None else moves):
            told.append(f"reject {tool}, which the test expects")
        if given[True] and effects is not None and tool not in wanted:
            told.append(f"approve {tool}, which the test does not expect")
        if given[True] and too_much:
            told.append(f"approve {tool}, whatever has been moved by then")
    return told


@dataclass(frozen=True)
class Defect:
    """How a run is wrong, so that another run can be told to be wrong in the same way.

    kinds   which expectations are not met; of texts of the answer, which text
    ending  status, planner and reason
    others  what else must be the same, by the expectation; without a value that is a mask in one log and a stand-in in
            another
    answer  the words of an answer that has not the expected text; numbers and ids may be of the one run
    """

    kinds: frozenset[str]
    ending: tuple[str, str, str]
    others: tuple[str, ...]
    answer: str = ""

    @classmethod
    def of(cls, made: Timeline, wrong: Sequence[str], hidden: Hidden = as_it_is) -> Defect | None:
        """Return the defect of a run; None if it is as expected. ``hidden``: what of its values can be compared."""
        found = [one for one in wrong if not one.startswith(" ")]
        if not found:
            return None
        kinds = frozenset(map(_kind, found))
        others = {one for one in found if one.startswith(("refused", "failed", "moved:", "store:"))}
        if "effects" in kinds:
            others.add(f"effects {canonical([hidden(one.model_dump(mode='json')) for one in written(made)])}")
        # A call that another agent, or a fallback, makes is refused for another cause.
        others |= {
            f"{turn.planner} {turn.by_agent or made.agent}: {call.tool} {call.error}"
            for turn in made.turns
            for call in turn.calls
            if (call.outcome == "refused" and "refused" in kinds)
            or (call.outcome in ("failed", "unknown") and "failed" in kinds)
        }
        # What went wrong on the way stays, so that a fix of it shows.
        if kinds - {"cost", "refused", "failed"}:
            others |= {
                f"{call.tool} {call.outcome} {call.error}"
                for turn in made.turns
                for call in turn.calls
                if call.outcome in ("refused", "failed", "unknown", "denied")
            }
        lacks = any(one.startswith("answer: ") for one in found)
        answer = " ".join(_WORD.findall(made.answer)) if lacks else ""
        return cls(kinds, (made.status, made.by, made.reason), tuple(sorted(others)), answer)


def _kind(sentence: str) -> str:
    """Return which expectation a sentence of ``unmet`` is about."""
    kind = re.split(r"[:, ]", sentence, maxsplit=1)[0]
    return re.split(", was | is in ", sentence, maxsplit=1)[0] if kind in ("answer", "forbidden") else kind


def defect_of_record(scenario: Scenario, recorded: Timeline, hidden: Hidden = as_it_is) -> Defect:
    """Return how the record is wrong. Raises ``InvalidInput`` if it is as expected.

    Expectations about the store, the money that moved and made-up values are not in a timeline: playing it tells.
    """
    told = {"moved": None, "grounded": False, "store": ()}
    bare = scenario.model_copy(update={"expect": scenario.expect.model_copy(update=told)})
    found = Defect.of(recorded, unmet(bare, recorded, lambda _table, _key: None), hidden)
    untold = scenario.expect.moved is not None or scenario.expect.grounded or bool(scenario.expect.store)
    if found is None and not untold:
        raise InvalidInput(
            f"{recorded.run_id}: the recorded run is as expected, so there is no defect to capture: it ended "
            f"{recorded.status}{f' by {recorded.by}' if recorded.by else ''}. Say with --expect what is right."
        )
    return found or Defect(frozenset(), (recorded.status, recorded.by, recorded.reason), ())
