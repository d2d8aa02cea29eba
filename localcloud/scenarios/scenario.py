"""A scenario: its files, and the comparison of a run with what it expects."""

import re
from collections.abc import Callable, Iterator, Sequence
from decimal import Decimal
from difflib import get_close_matches
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, Field, JsonValue, PrivateAttr, ValidationError

from ballast.contracts import RunRequest
from ballast.contracts.timeline import Call, Timeline
from ballast.contracts.wire import Name, Wire, canonical, parse
from ballast.errors import InvalidInput
from ballast.money.amounts import dollars
from ballast.playbook.load import playbook_in
from localcloud.project import project_of

FOLDER = Path(__file__).resolve().parent

#: The order in which a newcomer should see them; others follow by name.
FIRST = ["happy-path", "bad-calls", "loop", "hung-model", "fallback", "rollback", "escalation", "approval"]
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")


class Answer(Wire):
    """A person's answer: the payload of AnswerEscalation without the escalation's id.

    refused  this person must not be let answer; the next one answers the same escalation
    """

    by: str
    decision: dict[str, JsonValue] | None = None
    approve: bool | None = None
    comment: str = ""
    arguments: dict[str, JsonValue] | None = None
    groups: tuple[Name, ...] = ()
    refused: bool = False


class Item(Wire):
    """An expected item of a table: these attributes must have these values.

    table       the logical id in business.yaml
    attributes  null: there must be no such item
    """

    table: str
    key: dict[str, str]
    attributes: Annotated[dict[str, JsonValue], Field(min_length=1)] | None


def _by_name(effect: Any) -> Any:
    return {"tool": effect} if isinstance(effect, str) else effect


class ExpectedEffect(Wire):
    """A write that must have happened: its tool, and those of its arguments that matter.

    undone  whether it was rolled back afterwards
    """

    tool: Name
    arguments: dict[str, JsonValue] = Field(default_factory=dict)
    undone: bool = False


def _amount(value: Any) -> Any:
    if isinstance(value, float):
        raise ValueError('must be a text or a whole number, such as "0.05"')
    return value


Amount = Annotated[Decimal, BeforeValidator(_amount), Field(ge=0, strict=False)]


class Expected(Wire):
    """What must be true when the run has ended.

    reason          why the first planner was stopped; "" if it answered
    refused         the errors of the refused calls, in order
    failed          the tools whose calls failed, or whose effect is unknown, in order
    effects         every write that happened, in order, undone ones included; null: not compared
    answer          texts that the answer must contain
    moved           the business's own money that stands as moved, in the playbook's currency; null: not compared
    costs_at_most   US dollars for models and tools; null: not compared
    """

    status: Literal["answered", "unanswered", "refused", "failed"]
    by: Literal["agent", "fallback", "rollback", "human"] | None = None
    degraded: bool = False
    reason: str = ""
    refused: tuple[str, ...] = ()
    failed: tuple[Name, ...] = ()
    effects: tuple[Annotated[ExpectedEffect, BeforeValidator(_by_name)], ...] | None = None
    answer: tuple[str, ...] = ()
    moved: Amount | None = None
    costs_at_most: Amount | None = None
    store: tuple[Item, ...] = ()


class Scenario(Wire):
    """One scenario. ``people`` answer in this order.

    by          who sends the request, and so may not decide about it; null: nobody knows
    model       as `ballast run --model` has it; null: the script.yaml beside
    seed        of the generated store
    parameters  the template's
    """

    name: str
    description: Annotated[str, Field(min_length=1, max_length=100)]
    request: RunRequest
    by: Annotated[str, Field(min_length=1, max_length=256)] | None = None
    model: str | None = None
    seed: int = 1
    parameters: dict[str, str] = Field(default_factory=dict)
    people: tuple[Answer, ...] = ()
    expect: Expected
    _folder: Path = PrivateAttr(default=FOLDER)

    @property
    def script(self) -> Path:
        """The file with the model's replies."""
        return self._folder / self.name / "script.yaml"

    def within(self, folder: Path) -> "Scenario":
        """Return this scenario as one of ``folder``."""
        self._folder = folder
        return self


def folder_of(playbook: Path) -> Path:
    """Return the folder of a playbook's scenarios: ``scenarios`` in its project, or in its own folder.

    Raises ``InvalidInput`` if there is none.
    """
    places = (project_of(playbook), playbook_in(playbook.resolve()))
    found = next((one / "scenarios" for one in places if (one / "scenarios").is_dir()), None)
    if found is None:
        raise InvalidInput(
            f"{playbook}: has no scenarios. Make {places[0] / 'scenarios' / 'NAME' / 'scenario.yaml'} with a request "
            "and what to expect, and script.yaml beside it with the model's replies."
        )
    return found


def names(folder: Path | None = None) -> list[str]:
    """Return the names of all scenarios in ``folder``, by default the bundled ones, in the order of ``FIRST``."""
    found = sorted(file.parent.name for file in (folder or FOLDER).glob("*/scenario.yaml"))
    return sorted(found, key=lambda name: FIRST.index(name) if name in FIRST else len(FIRST))


def find(name: str, folder: Path | None = None) -> Scenario:
    """Return the scenario. Raises ``InvalidInput`` for an unknown name or an invalid file."""
    folder = folder or FOLDER
    if name not in names(folder):
        raise InvalidInput(f"There is no scenario {name!r}. The scenarios are: {', '.join(names(folder))}.")
    import yaml

    file = folder / name / "scenario.yaml"
    if not _NAME.fullmatch(name):
        raise InvalidInput(f"{file}: the folder's name must be letters, digits, `.`, `_` and `-`.")
    try:
        content = yaml.safe_load(file.read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError, ValueError) as problem:
        raise InvalidInput(f"{file}: is not YAML: {problem}") from None
    if isinstance(content, dict) and isinstance(content.get("request"), dict):
        content = {**content, "request": {"request_id": f"scenario-{name}", **content["request"]}}
    content = {"name": name, **content} if isinstance(content, dict) else content
    try:
        return parse(Scenario, content, what=str(file)).within(folder)
    except InvalidInput as problem:
        near = "".join(sorted(_near_names(content)))
        raise InvalidInput(f"{problem}{near}") from None


def _near_names(content: Any) -> Iterator[str]:
    """Yield a sentence for each field that a scenario has not, where there is one of nearly that name."""
    from localcloud.editor_schemas import models_in

    try:
        Scenario.model_validate_json(canonical(content))
    except ValidationError as problem:
        for item in problem.errors(include_url=False, include_input=False, include_context=False):
            if item["type"] != "extra_forbidden":
                continue
            here: list[type[BaseModel]] = [Scenario]
            for step in item["loc"][:-1]:
                fields = [one.model_fields[step] for one in here if isinstance(step, str) and step in one.model_fields]
                here = [inner for field in fields for inner in models_in(field.annotation)] or here
            known = {name for one in here for name in one.model_fields}
            if near := get_close_matches(str(item["loc"][-1]), known, n=1):
                yield f" Write `{near[0]}` for `{'.'.join(map(str, item['loc']))}`."
    except (TypeError, ValueError):
        return


#: (logical id of the table, key) to the item's attributes; None if there is no such item.
ReadItem = Callable[[str, dict[str, str]], dict[str, Any] | None]


def unmet(
    scenario: Scenario, ended: Timeline, read_item: ReadItem, *, moved: Callable[[], Decimal] = Decimal
) -> list[str]:
    """Return what is not as expected, one sentence each; empty if everything is.

    ``moved``: the business's own money that the run moved.
    """
    expect = scenario.expect
    refused = tuple(call.error for turn in ended.turns for call in turn.calls if call.outcome == "refused")
    failed = [call for turn in ended.turns for call in turn.calls if call.outcome in ("failed", "unknown")]
    pairs = [
        ("status", expect.status, ended.status),
        ("by", expect.by or "", ended.by),
        ("degraded", expect.degraded, ended.degraded),
        ("reason", expect.reason, ended.reason),
        ("refused calls", list(expect.refused), list(refused)),
        ("failed calls", list(expect.failed), [call.tool for call in failed]),
    ]
    wrong = [f"{what}: expected {wanted!r}, was {found!r}" for what, wanted, found in pairs if wanted != found]
    if len(failed) != len(expect.failed):
        wrong += [f"  {call.tool}: {call.message}" for call in failed]
    if expect.effects is not None:
        wrong += _other_effects(expect.effects, ended)
    wrong += [
        f"answer: expected {text!r} in it, was {ended.answer!r}" for text in expect.answer if text not in ended.answer
    ]
    if expect.moved is not None and (found := moved()) != expect.moved:
        wrong.append(f"moved: expected {expect.moved}, was {found}")
    if expect.costs_at_most is not None and ended.money.charged_microusd > expect.costs_at_most * 1_000_000:
        wrong.append(f"cost: expected at most ${expect.costs_at_most}, was ${dollars(ended.money.charged_microusd)}")
    for item in expect.store:
        wrong += _different(item, read_item(item.table, item.key))
    return wrong


def _other_effects(wanted: Sequence[ExpectedEffect], ended: Timeline) -> list[str]:
    undone = {call.undoes for turn in ended.turns for call in turn.calls if call.undoes and call.outcome == "ok"}
    found = [
        (call, (turn.turn, call.index) in undone)
        for turn in ended.turns
        for call in turn.calls
        if call.effect == "write" and call.outcome == "ok" and call.repeats is None and call.undoes is None
    ]
    as_wanted = len(wanted) == len(found) and all(
        one.tool == call.tool and one.undone == gone and _has(call, one.arguments)
        for one, (call, gone) in zip(wanted, found, strict=True)
    )
    if as_wanted:
        return []
    said = [_said(one.tool, one.arguments, one.undone) for one in wanted]
    was = [_said(call.tool, call.arguments, gone) for call, gone in found]
    return [f"effects: expected {', '.join(said) or 'none'}; was {', '.join(was) or 'none'}"]


def _has(call: Call, arguments: dict[str, JsonValue]) -> bool:
    sent = call.arguments if isinstance(call.arguments, dict) else {}
    return all(name in sent and sent[name] == value for name, value in arguments.items())


def _said(tool: str, arguments: Any, undone: bool) -> str:
    inside = ", ".join(f"{name}={value!r}" for name, value in arguments.items()) if isinstance(arguments, dict) else ""
    return f"{tool}({inside}){' (undone)' if undone else ''}"


def _different(item: Item, found: dict[str, Any] | None) -> list[str]:
    where = f"{item.table} {', '.join(item.key.values())}"
    if item.attributes is None:
        return [] if found is None else [f"{where}: expected no such item"]
    if found is None:
        return [f"{where}: is not there"]
    return [
        f"{where}: {name} expected {wanted!r}, was {_as_written(found.get(name))!r}"
        for name, wanted in item.attributes.items()
        if not _is(wanted, found.get(name))
    ]


def _is(wanted: JsonValue, found: Any) -> bool:
    """Say whether an item's value, as ``ballast.table`` reads it, is the expected one.

    A set of DynamoDB is read as a tuple and has no order: it is compared with a list without order.
    """
    if isinstance(wanted, bool) or isinstance(found, bool):
        return wanted is found
    if isinstance(wanted, float):
        return isinstance(found, int | Decimal) and Decimal(str(wanted)) == found
    if isinstance(wanted, dict):
        same = isinstance(found, dict) and wanted.keys() == found.keys()
        return same and all(_is(value, found[name]) for name, value in wanted.items())
    if isinstance(wanted, list):
        if not isinstance(found, list | tuple) or len(wanted) != len(found):
            return False
        if isinstance(found, tuple):
            return all(any(_is(one, other) for one in wanted) for other in found)
        return all(_is(one, other) for one, other in zip(wanted, found, strict=True))
    return bool(wanted == found)


def _as_written(found: Any) -> Any:
    """Return a value as a scenario would have it: a set is a sorted list, a number a number."""
    if isinstance(found, tuple):
        return sorted(map(_as_written, found))
    if isinstance(found, list):
        return [_as_written(one) for one in found]
    if isinstance(found, dict):
        return {name: _as_written(value) for name, value in found.items()}
    return float(found) if isinstance(found, Decimal) else found
