"""A scenario: its files, and the comparison of a run with what it expects."""

import re
from collections.abc import Callable, Iterator, Sequence
from decimal import Decimal
from difflib import get_close_matches
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    Field,
    JsonValue,
    PrivateAttr,
    ValidationError,
    model_validator,
)

from ballast.contracts import Answer as AnAnswer
from ballast.contracts import Planner, RunRequest
from ballast.contracts.timeline import Call, Timeline
from ballast.contracts.wire import Json, Name, Text, Wire, canonical, parse
from ballast.errors import InvalidInput, Tainted, Ungrounded
from ballast.log.events import NO_UNDO
from ballast.money.amounts import dollars
from ballast.playbook.load import playbook_in
from ballast.secret_scan.readings import is_seen, may_say, says
from ballast.validation import fit_schema
from ballast.validation.schema import schema_complaint
from ballast.yaml_files import load
from localcloud.project import project_of
from localcloud.scenarios.doubles import Double
from localcloud.scenarios.people import Amount, Answer
from localcloud.scenarios.stored import Item, different

FOLDER = Path(__file__).resolve().parent

#: Real seconds after which a scenario counts as one that does not end.
ENDS_WITHIN_S = 120.0
#: The order in which a newcomer should see them; others follow by name.
FIRST = ["happy-path", "bad-calls", "loop", "hung-model", "fallback", "rollback", "escalation", "approval"]
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")


def _by_name(effect: Any) -> Any:
    return {"tool": effect} if isinstance(effect, str) else effect


class ExpectedEffect(Wire):
    """A write that must have happened: its tool, and those of its arguments that matter.

    undone  whether it was rolled back afterwards
    """

    tool: Name
    arguments: dict[str, JsonValue] = Field(default_factory=dict)
    undone: bool = False


Effects = tuple[Annotated[ExpectedEffect, BeforeValidator(_by_name)], ...]
Status = Literal["answered", "unanswered", "refused", "failed"]
By = Literal["agent", "fallback", "rollback", "human"]


def _pattern(text: str) -> str:
    try:
        re.compile(text)
    except re.error as problem:
        raise ValueError(f"must be a regular expression: {problem}") from None
    return text


def _seen(phrase: str) -> str:
    if not is_seen(phrase):
        raise ValueError("must have a sign that one sees: no answer has this phrase")
    return phrase


def _schema(schema: dict[str, Json]) -> dict[str, Json]:
    if problem := schema_complaint(schema):
        raise ValueError(problem)
    return schema


class Unlike(Wire):
    """An ending that must not come again: the run fails if all that is given here is so again.

    effects  every write that happened, in order
    answer   the words of the whole answer; case and spaces do not count
    """

    status: Status | None = None
    by: By | None = None
    effects: Effects | None = None
    answer: Text | None = None

    @model_validator(mode="after")
    def _says_something(self) -> Self:
        if not self.model_dump(exclude_none=True):
            raise ValueError("must have at least one of status, by, effects, answer")
        return self


class Judged(Wire):
    """What `ballast eval --judge` asks a model of the answer, after all other checks have passed.

    rubric  what a good answer does, in words
    right   answers that the judge must pass before it is believed
    wrong   answers that it must fail before it is believed
    """

    rubric: Annotated[Text, Field(max_length=4_000)]
    right: tuple[Annotated[Text, Field(max_length=4_000)], ...] = ()
    wrong: tuple[Annotated[Text, Field(max_length=4_000)], ...] = ()


class Expected(Wire):
    """What must be true when the run has ended.

    status          how it ended; null: not compared
    degraded        whether somebody else than the agent answered; null: not compared
    reason          why the first planner was stopped; "" if it answered; null: not compared
    refused         the errors of the refused calls, in order; null: not compared
    failed          the tools whose calls failed, or whose effect is unknown, in order; null: not compared
    effects         every write that happened, in order, undone ones included; null: not compared
    answer          texts that the answer must contain
    answer_matches  regular expressions, each of which must be found in the answer
    answer_schema   a schema that the answer's JSON must fit
    forbidden       phrases that neither the answer nor a question to the requester may contain, as a person reads them
    grounded        no call or answer is refused for a value that is made up, and the answer's amounts and ids are known
    moved           the business's own money that stands as moved, in the playbook's currency; null: not compared
    costs_at_most   US dollars for models and tools; null: not compared
    unlike          an ending that must not come again
    judged          what a judge model is asked (`ballast eval --judge`); `ballast test` asks none
    """

    status: Status | None
    by: By | None = None
    degraded: bool | None = False
    reason: str | None = ""
    refused: tuple[str, ...] | None = ()
    failed: tuple[Name, ...] | None = ()
    effects: Effects | None = None
    answer: tuple[str, ...] = ()
    answer_matches: tuple[Annotated[Text, AfterValidator(_pattern)], ...] = ()
    answer_schema: Annotated[dict[str, Json], AfterValidator(_schema)] | None = None
    forbidden: tuple[Annotated[Text, AfterValidator(_seen)], ...] = ()
    grounded: bool = False
    moved: Amount | None = None
    costs_at_most: Amount | None = None
    store: tuple[Item, ...] = ()
    unlike: Unlike | None = None
    judged: Judged | None = None


class Scenario(Wire):
    """One scenario. ``people`` answer in this order.

    by          who sends the request, and so may not decide about it; null: nobody knows
    model       as `ballast run --model` has it; null: the script.yaml beside
    seed        of the generated store
    parameters  the template's
    tools       outcomes of calls that the local store does not give, in place of a tool's own code; see ``Double``
    ends_within_s  real seconds after which it counts as one that does not end; null: 120, and with a real model, too, a
                   minute more than the run's deadline
    """

    name: str
    description: Annotated[str, Field(min_length=1, max_length=100)]
    request: RunRequest
    by: Annotated[str, Field(min_length=1, max_length=256)] | None = None
    model: str | None = None
    seed: int = 1
    parameters: dict[str, str] = Field(default_factory=dict)
    people: tuple[Answer, ...] = ()
    tools: tuple[Double, ...] = ()
    ends_within_s: Annotated[int, Field(ge=1, le=86_400)] | None = None
    expect: Expected
    _folder: Path = PrivateAttr(default=FOLDER)

    @property
    def script(self) -> Path:
        """The file with the model's replies."""
        return self._folder / self.name / "script.yaml"

    def longest_s(self, deadline_s: int | None = None) -> float:
        """Return the real seconds within which a run of it must end.

        deadline_s  of the run, where a model answers that is no script and takes its own time
        """
        if self.ends_within_s is not None:
            return self.ends_within_s
        return ENDS_WITHIN_S if deadline_s is None else max(ENDS_WITHIN_S, deadline_s + 60)

    @property
    def answers(self) -> list[dict[str, Any]]:
        """What its people answer, as ``People`` gives it."""
        return [one.model_dump(mode="json", exclude_none=True) for one in self.people]

    def within(self, folder: Path) -> "Scenario":
        """Return this scenario as one of ``folder``."""
        self._folder = folder
        return self


def folder_of(playbook: Path) -> Path:
    """Return the folder of a playbook's scenarios: ``scenarios`` in its project, or in its own folder.

    Raises ``InvalidInput`` if there is none.
    """
    if not playbook.is_dir():
        raise InvalidInput(f"{playbook}: there is no such folder. Name a project, a playbook or a folder of scenarios.")
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
        content = load(file.read_text(encoding="utf-8"), yaml.SafeLoader)
    except OSError as problem:
        raise InvalidInput(f"{file}: cannot be read ({problem.strerror}).") from None
    except (yaml.YAMLError, ValueError, RecursionError) as problem:
        raise InvalidInput(f"{file}: is not YAML: {problem}") from None
    if not isinstance(content, dict):
        raise InvalidInput(f"{file}: is empty, or no mapping. Write `description`, `request` and `expect`.")
    if isinstance(content.get("request"), dict):
        content = {**content, "request": {"request_id": f"scenario-{name}", **content["request"]}}
    content = {"name": name, **content}
    try:
        return parse(Scenario, content, what=str(file), most=1_000).within(folder)
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


def _without_undo(ended: Timeline) -> Iterator[Call]:
    """Yield the effects whose undo could not be made: a rollback would leave them to a person, each time."""
    for turn in ended.turns:
        for call in turn.calls:
            if call.outcome == "ok" and call.message.startswith(NO_UNDO.partition("{")[0]):
                yield call


def unmet(
    scenario: Scenario,
    ended: Timeline,
    read_item: ReadItem,
    *,
    moved: Callable[[], Decimal] = Decimal,
    made_up: Callable[[], Sequence[str]] = tuple,
    data: Callable[[], Any] = lambda: None,
) -> list[str]:
    """Return what is not as expected, one sentence each; empty if everything is.

    moved    the business's own money that the run moved
    made_up  amounts and ids of the answer that do not occur in the run
    data     the answer's data, where its intent has a schema
    """
    expect = scenario.expect
    refused = [call.error for turn in ended.turns for call in turn.calls if call.outcome == "refused"]
    failed = [call for turn in ended.turns for call in turn.calls if call.outcome in ("failed", "unknown")]
    pairs = [
        ("status", expect.status, ended.status),
        ("by", expect.by or "", ended.by if expect.by or expect.status else ""),
        ("degraded", expect.degraded, ended.degraded),
        ("reason", expect.reason, ended.reason),
        ("refused calls", None if expect.refused is None else list(expect.refused), refused),
        ("failed calls", None if expect.failed is None else list(expect.failed), [call.tool for call in failed]),
    ]
    wrong = [
        f"{what}: expected {wanted!r}, was {str(found) if isinstance(found, str) else found!r}"
        for what, wanted, found in pairs
        if wanted is not None and wanted != found
    ]
    if expect.failed is not None and len(failed) != len(expect.failed):
        wrong += [f"  {call.tool}: {call.message}" for call in failed]
    wrong += [f"{call.tool} can never be undone. {call.message}" for call in _without_undo(ended)]
    if expect.effects is not None:
        wrong += _other_effects(expect.effects, ended)
    wrong += _wrong_words(expect, ended, data)
    if expect.grounded:
        wrong += _made_up(ended, made_up)
    if expect.moved is not None and (found := moved()) != expect.moved:
        wrong.append(f"moved: expected {expect.moved}, was {found}")
    if expect.costs_at_most is not None and ended.money.charged_microusd > expect.costs_at_most * 1_000_000:
        wrong.append(f"cost: expected at most ${expect.costs_at_most}, was ${dollars(ended.money.charged_microusd)}")
    for item in expect.store:
        wrong += different(item, read_item(item.table, item.key))
    if expect.unlike is not None and _same_ending(expect.unlike, ended):
        wrong.append(
            f"unlike: it ended in the same way again ({', '.join(expect.unlike.model_dump(exclude_none=True))})"
        )
    return wrong


def _wrong_words(expect: Expected, ended: Timeline, data: Callable[[], Any]) -> Iterator[str]:
    for text in expect.answer:
        if text not in ended.answer:
            yield f"answer: expected {text!r} in it, was {ended.answer!r}"
    for pattern in expect.answer_matches:
        if re.search(pattern, ended.answer) is None:
            yield f"answer: expected a match of {pattern!r}, was {ended.answer!r}"
    told = [("the answer", ended.answer)]
    told += [
        (f"what was asked in turn {turn.turn}", turn.escalation.summary)
        for turn in ended.turns
        if turn.escalation is not None and turn.escalation.kind == "question"
    ]
    for phrase in expect.forbidden:
        for where, text in told:
            if says(text, phrase):
                yield f"forbidden: {phrase!r} is in {where}: {text!r}"
    if expect.answer_schema is not None and not ended.answer.strip():
        yield "answer_schema: there is no answer"
    elif expect.answer_schema is not None:
        read = fit_schema(AnAnswer(text=ended.answer, data=data()), expect.answer_schema)
        for complaint in read.complaints:
            yield f"answer_schema: {complaint}; the answer was {ended.answer!r}"


def _made_up(ended: Timeline, made_up: Callable[[], Sequence[str]]) -> Iterator[str]:
    for turn in ended.turns:
        for call in turn.calls:
            if call.outcome == "refused" and call.error in (Ungrounded.__name__, Tainted.__name__):
                yield f"grounded: turn {turn.turn}, {call.tool}: {call.message}"
        for attempt in turn.attempts:
            for complaint in attempt.refused_answer:
                yield f"grounded: turn {turn.turn}, an answer was refused: {complaint}"
    if ended.by == Planner.AGENT:
        for value in made_up():
            yield f"grounded: {value} of the answer does not occur in the request, the caller's facts or a result"


def _same_ending(unlike: Unlike, ended: Timeline) -> bool:
    return (
        unlike.status in (None, ended.status)
        and unlike.by in (None, ended.by)
        and (unlike.effects is None or not _other_effects(unlike.effects, ended))
        and (unlike.answer is None or may_say(ended.answer, unlike.answer))
    )


def written(ended: Timeline) -> list[ExpectedEffect]:
    """Return the writes that happened in a run, as a scenario expects them."""
    return [
        ExpectedEffect(
            tool=call.tool, arguments=call.arguments if isinstance(call.arguments, dict) else {}, undone=gone
        )
        for call, gone in _effects(ended)
    ]


def _effects(ended: Timeline) -> list[tuple[Call, bool]]:
    """Return each write that happened, and whether it was undone."""
    undone = {call.undoes for turn in ended.turns for call in turn.calls if call.undoes and call.outcome == "ok"}
    return [
        (call, (turn.turn, call.index) in undone)
        for turn in ended.turns
        for call in turn.calls
        if call.effect == "write" and call.outcome == "ok" and call.repeats is None and call.undoes is None
    ]


def _other_effects(wanted: Sequence[ExpectedEffect], ended: Timeline) -> list[str]:
    found = _effects(ended)
    as_wanted = len(wanted) == len(found) and all(
        one.tool == call.tool and one.undone == gone and _has(call, one.arguments)
        for one, (call, gone) in zip(wanted, found, strict=True)
    )
    if as_wanted:
        return []
    said = [_said(one.tool, one.arguments or None, one.undone) for one in wanted]
    was = [_said(call.tool, call.arguments or {}, gone) for call, gone in found]
    return [f"effects: expected {', '.join(said) or 'none'}; was {', '.join(was) or 'none'}"]


def _has(call: Call, arguments: dict[str, JsonValue]) -> bool:
    sent = call.arguments if isinstance(call.arguments, dict) else {}
    return all(name in sent and sent[name] == value for name, value in arguments.items())


def _said(tool: str, arguments: Any, undone: bool) -> str:
    inside = ", ".join(f"{name}={value!r}" for name, value in arguments.items()) if isinstance(arguments, dict) else ""
    named = tool if arguments is None else f"{tool}({inside})"
    return f"{named}{' (undone)' if undone else ''}"
