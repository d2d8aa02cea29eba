"""A scenario: its files, and the comparison of a run with what it expects."""

from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, JsonValue

from ballast.contracts import RunRequest
from ballast.contracts.timeline import Timeline
from ballast.contracts.wire import Wire, parse
from ballast.errors import InvalidInput

FOLDER = Path(__file__).resolve().parent

#: The order in which a newcomer should see them; others follow by name.
FIRST = ["happy-path", "bad-calls", "loop", "hung-model", "fallback", "rollback", "escalation", "approval"]


class Answer(Wire):
    """A person's answer: the payload of AnswerEscalation without the escalation's id."""

    by: str
    decision: dict[str, JsonValue] | None = None
    approve: bool | None = None
    comment: str = ""
    arguments: dict[str, JsonValue] | None = None


class Item(Wire):
    """An expected item of a table: these attributes must have these values."""

    table: str
    key: dict[str, str]
    attributes: dict[str, JsonValue] = Field(min_length=1)


class Expected(Wire):
    """What must be true when the run has ended.

    reason   why the first planner was stopped; "" if it answered
    refused  the errors of the refused calls, in order
    """

    status: Literal["answered", "unanswered", "refused", "failed"]
    by: Literal["agent", "fallback", "rollback", "human"] | None = None
    degraded: bool = False
    reason: str = ""
    refused: tuple[str, ...] = ()
    store: tuple[Item, ...] = ()


class Scenario(Wire):
    """One scenario. ``people`` answer in this order."""

    name: str
    description: Annotated[str, Field(min_length=1, max_length=100)]
    request: RunRequest
    people: tuple[Answer, ...] = ()
    expect: Expected

    @property
    def script(self) -> Path:
        """The file with the model's replies."""
        return FOLDER / self.name / "script.yaml"


def names() -> list[str]:
    """Return the names of all scenarios, in the order of ``FIRST``."""
    found = sorted(file.parent.name for file in FOLDER.glob("*/scenario.yaml"))
    return sorted(found, key=lambda name: FIRST.index(name) if name in FIRST else len(FIRST))


def find(name: str) -> Scenario:
    """Return the scenario. Raises ``InvalidInput`` for an unknown name or an invalid file."""
    if name not in names():
        raise InvalidInput(f"There is no scenario {name!r}. The scenarios are: {', '.join(names())}.")
    import yaml

    file = FOLDER / name / "scenario.yaml"
    try:
        content = yaml.safe_load(file.read_text(encoding="utf-8"))
    except yaml.YAMLError as problem:
        raise InvalidInput(f"{file}: is not YAML: {problem}") from None
    return parse(Scenario, {"name": name, **content} if isinstance(content, dict) else content, what=str(file))


#: (logical id of the table, key) to the item's attributes; None if there is no such item.
ReadItem = Callable[[str, dict[str, str]], dict[str, Any] | None]


def unmet(scenario: Scenario, ended: Timeline, read_item: ReadItem) -> list[str]:
    """Return what is not as expected, one sentence each; empty if everything is."""
    expect = scenario.expect
    refused = tuple(call.error for turn in ended.turns for call in turn.calls if call.outcome == "refused")
    pairs = [
        ("status", expect.status, ended.status),
        ("by", expect.by or "", ended.by),
        ("degraded", expect.degraded, ended.degraded),
        ("reason", expect.reason, ended.reason),
        ("refused calls", list(expect.refused), list(refused)),
    ]
    wrong = [f"{what}: expected {wanted!r}, was {found!r}" for what, wanted, found in pairs if wanted != found]
    for item in expect.store:
        wrong += _different(item, read_item(item.table, item.key))
    return wrong


def _different(item: Item, found: dict[str, Any] | None) -> list[str]:
    where = f"{item.table} {', '.join(item.key.values())}"
    if found is None:
        return [f"{where}: is not there"]
    return [
        f"{where}: {name} expected {wanted!r}, was {found.get(name)!r}"
        for name, wanted in item.attributes.items()
        if found.get(name) != wanted
    ]
