"""One run of the support desk as each model of the catalog, against the strict double of Converse.

    python -m bench.families [--model NAME ...] [--json]

Each card that can be an agent plays the happy path (two reads, two writes, an answer) through the template's own
stack: its requests are made from its card, and the double refuses what Bedrock refuses. If it takes strict tools or can
be asked to think, it plays the path again and is asked for both. A model that thinks has reasoning in each reply. Every
run must be answered, without a refused request, and must be charged what its card's rates make of the reported tokens;
else the command exits with 1. A card that cannot be an agent is listed with the reason why the desk does not load.

Columns: whether a temperature was sent; tools' schemas (bare: without ``additionalProperties``; closed; strict, in the
second run); tool results as json or text, and whether with a status; cache points of the last request; how it was asked
to think in the second run; blocks of its own reasoning that it got back; how the runs ended; US dollars of the model
calls of each run, at the price of the profile shown (tokens are the double's estimate).
"""

from __future__ import annotations

import argparse
import json
import re
import shutil
import sys
import tempfile
import textwrap
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from copy import deepcopy
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from fractions import Fraction
from itertools import groupby
from math import ceil
from pathlib import Path
from typing import Any

import yaml

from ballast.errors import PlaybookInvalid
from ballast.log.events import ModelFailed, ModelRequested, ModelResponded
from ballast.models.card import DatedPrice, ModelCard, Source
from ballast.models.catalog import Catalog
from ballast.money.prices import CLASSES
from ballast.playbook import load_playbook
from ballast.playbook.inference import Inference
from bench.turns import ROOMY
from cli.local_stack import SMALL_STORE
from localcloud.clock import VirtualClock
from localcloud.cloud import PLAYBOOK, LocalCloud
from localcloud.converse.script import ScriptModel
from localcloud.converse.source import Reply, said
from localcloud.project import seed_store
from localcloud.scenarios import Scenario, find, unmet
from localcloud.sessions import REGION
from tests.support.tables_in_memory import Tables

#: The day of the runs: prices that are valid then count.
DAY = datetime(2026, 12, 1, 12, tzinfo=UTC)
#: The profile that a model is called by, the first one that it has.
PROFILES = ("us", "global", "eu", "in-region")
#: How a model is asked to think: the first of these that it takes.
THINKS: tuple[dict[str, Any], ...] = (
    {"thinking": 2_000},
    {"thinking": "adaptive"},
    {"effort": "high"},
    {"effort": "medium"},
)
#: The most expensive model has to be able to finish.
LIMITS = {"cost_microusd": 20_000_000}
HEADINGS = (
    f"{'model':<45}{'temp':<5}{'tools':<7}{'results':<12}{'pts':<4}{'thinks':<9}{'back':<5}{'status':<8}{'usual':>10}"
    f"{'asked':>10}"
)
THOUGHT = "The order has not shipped, so the shop's rules allow it."
_GENERATIONS = re.compile(r"(Claude|Llama|Nova)\D*(\d?)")
#: Beginnings of models that send calls under the stop reason of an answer.
CALLS_UNDER_END_TURN = ("openai.gpt-oss",)


@dataclass(frozen=True)
class Lane:
    """A run of one model: how it is called, and how it is asked to think; ``asks`` {} is the playbook as it is."""

    card: ModelCard
    model: str
    asks: Mapping[str, Any] = field(default_factory=dict)

    @property
    def thinks(self) -> bool:
        """Whether its replies have reasoning."""
        form = self.card.thinking
        asked = self.asks.keys() & {"thinking", "effort"}
        return form is not None and form.returned and (bool(asked) or form.default != "no")


@dataclass(frozen=True)
class Ended:
    """What became of one lane.

    sent     what its requests had, by part
    microusd  what its model calls were charged
    wrong    what is not as it must be; "" if everything is
    """

    status: str
    sent: Mapping[str, Any]
    microusd: int
    wrong: str = ""


@dataclass(frozen=True)
class Row:
    """One model: how its runs ended (as the desk asks, and asked for more), or why there are none.

    reason   why it cannot be an agent, as the load of the desk says it; "" if it can
    sources  the numbers of its card's documents in the legend
    """

    model: str
    family: str
    as_of: str
    sources: tuple[int, ...]
    reason: str = ""
    runs: tuple[Ended, ...] = ()


def called(card: ModelCard) -> str:
    """Return the id by which the model of ``card`` is called here."""
    family = next((one for one in PROFILES if one in card.families), (*card.families, "in-region")[0])
    return card.id if family == "in-region" else f"{family}.{card.id}"


def family_of(card: ModelCard) -> str:
    """Return what a model's siblings share: vendor and generation (Claude 4, Nova 2), else the vendor."""
    found = _GENERATIONS.match(card.name)
    return " ".join(filter(None, found.groups())) if found else card.vendor


def lanes(card: ModelCard) -> Iterator[Lane]:
    """Yield the runs of a model: as the desk asks, and asked for strict tools and to think, if it takes either."""
    yield Lane(card, called(card))
    thinks = (asks for asks in THINKS if not asks.keys() & Inference(**asks).taken_by(card).refused.keys())
    asks = {} if card.thinking is None else next(thinks, {})
    if asks or card.strict_tools:
        yield Lane(card, called(card), {**asks, "strict_tools": True})


# The playbook


def why_not_an_agent(folder: Path, model: str) -> str:
    """Return why the desk does not load with ``model``; "" if it does."""
    _write(folder, {"model": model, "cheaper_model": None})
    try:
        load_playbook(folder, on=DAY.date())
    except PlaybookInvalid as problem:
        return str(problem).partition(": model: ")[2]
    return ""


def _write(folder: Path, changed: Mapping[str, Any]) -> None:
    """Write the desk's ``agent.yaml`` with some of it changed."""
    agent = yaml.safe_load((PLAYBOOK / "agent.yaml").read_text(encoding="utf-8"))
    agent["limits"] |= LIMITS
    agent |= changed
    (folder / "agent.yaml").write_text(json.dumps(agent), encoding="utf-8")


@contextmanager
def desk() -> Iterator[Path]:
    """Yield a copy of the desk's playbook, whose ``agent.yaml`` can be written."""
    with tempfile.TemporaryDirectory() as home:
        folder = Path(home) / "families_desk"
        shutil.copytree(PLAYBOOK, folder, ignore=shutil.ignore_patterns("__pycache__"))
        yield folder


def _with_models(scenario: Scenario, asks: Mapping[str, Any], played: Sequence[Lane]) -> dict[str, Any]:
    """Return the change of ``agent.yaml`` that gives each model an intent of its own."""
    agent = yaml.safe_load((PLAYBOOK / "agent.yaml").read_text(encoding="utf-8"))
    usual = agent["intents"][scenario.request.intent]
    intents = {_intent(lane): usual for lane in played}
    return {
        "inference": agent["inference"] | asks,
        "intents": agent["intents"] | intents,
        "model_for": [{"model": lane.model, "intents": [_intent(lane)]} for lane in played],
    }


def _intent(lane: Lane) -> str:
    return "as_" + "".join(one if one.isalnum() else "_" for one in lane.card.id.lower())


# The model


class Actor:
    """The script of the scenario, said as the model that is asked says it."""

    def __init__(self, scenario: Scenario) -> None:
        self._script = ScriptModel.read(scenario.script)
        self.lane: Lane | None = None
        self.requests: list[Mapping[str, Any]] = []

    def begin(self, lane: Lane) -> None:
        """Begin the run of ``lane``."""
        self.lane, self.requests = lane, []

    def reply(self, request: Mapping[str, Any], model_id: str, /) -> Reply:
        """Return the script's reply, with reasoning if the model thinks."""
        lane = self.lane
        assert lane is not None
        self.requests.append(request)
        body = self._script.reply(request, model_id).body
        content, stop = list(body["output"]["message"]["content"]), body["stopReason"]
        if lane.thinks:
            text = {"text": THOUGHT}
            if lane.card.vendor == "Anthropic":
                text["signature"] = f"{lane.card.id}:{len(self.requests)}"
            content.insert(0, {"reasoningContent": {"reasoningText": text}})
        return said(content, "end_turn" if lane.card.id.startswith(CALLS_UNDER_END_TURN) else stop, request)


# Runs


def play(played: Sequence[Lane], folder: Path) -> Iterator[tuple[Lane, Ended]]:
    """Play lanes that are asked in one way, in one stack; yield each with what became of it."""
    scenario = find("happy-path")
    _write(folder, _with_models(scenario, played[0].asks, played))
    clock, tables, actor = VirtualClock(DAY), Tables(), Actor(scenario)
    with LocalCloud(playbook=folder, model=actor, clock=clock, parameters=ROOMY, dynamodb=tables) as cloud:
        seed_store(cloud, load_playbook(folder), 1, SMALL_STORE, today=DAY.date())
        before = deepcopy(tables.items)
        for lane in played:
            yield lane, _run(cloud, lane, scenario, actor)
            tables.items.clear()
            tables.items.update(deepcopy(before))


def _run(cloud: LocalCloud, lane: Lane, scenario: Scenario, actor: Actor) -> Ended:
    actor.begin(lane)
    request = scenario.request.model_copy(update={"request_id": lane.card.id, "intent": _intent(lane)})
    run_id = cloud.start(request)
    try:
        execution = cloud.wait(run_id, 120)
    except TimeoutError:  # a person was asked
        cloud.stop(run_id)
        execution = cloud.wait(run_id, 120)
    status = str((execution.output or {}).get("status", execution.status))
    log = cloud.events(run_id)
    replies = log.facts(ModelResponded)
    wrong = [fact.error for fact in log.facts(ModelFailed)]
    wrong += unmet(scenario, log.timeline(), lambda table, key: cloud.table(table).get(key))
    if asked := {fact.model for fact in log.facts(ModelRequested)} - {lane.model}:
        wrong.append(f"asked {', '.join(asked)}")
    own, charged = sum(charge_by_card(lane, fact) for fact in replies), sum(fact.cost_microusd for fact in replies)
    if own != charged or charged == 0:
        wrong.append(f"charged {charged} micro-dollars, and by its card it is {own}")
    return Ended(status, sent(actor.requests) if actor.requests else {}, charged, "; ".join(wrong))


def charge_by_card(lane: Lane, reply: ModelResponded) -> int:
    """Return what the card's figures make of a reply's tokens, in micro-dollars, without the runtime's arithmetic."""
    price = [one for one in lane.card.prices if one.valid_from <= DAY.date()][-1]
    read, written, hour = reply.cache_read_tokens or 0, reply.cache_write_tokens or 0, reply.cache_write_1h_tokens or 0
    tokens = (reply.input_tokens or 0, reply.output_tokens or 0, read, written - hour, hour)
    total = sum(count * rate for count, rate in zip(tokens, rates(price, lane.model, lane.card), strict=True))
    return ceil(total / 1_000_000)


def rates(price: DatedPrice, model: str, card: ModelCard) -> list[Fraction]:
    """Return the rates of the five classes for the profile in ``model``, of a short prompt."""
    family = "in-region" if model == card.id else model.removesuffix(f".{card.id}")
    made = price.regions[family]
    if family == "in-region":
        made = price.regions.get(REGION, made)
    if isinstance(made, int):
        return [Fraction(getattr(price, name) * made, 100) for name in CLASSES]
    return [Fraction(getattr(made, name)) for name in CLASSES]


def sent(requests: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Return what the requests of a run had: of most parts, the last one has all."""
    last = requests[-1]
    specs = [tool["toolSpec"] for tool in last["toolConfig"]["tools"] if "toolSpec" in tool]
    blocks = [block for message in last["messages"] for block in message["content"]]
    results = [block["toolResult"] for block in blocks if "toolResult" in block]
    return {
        "settings": sorted(last["inferenceConfig"].keys() - {"maxTokens"}),
        "closed": any("additionalProperties" in spec["inputSchema"]["json"] for spec in specs),
        "strict": any(spec.get("strict", False) for spec in specs),
        "results": "json" if any("json" in part for one in results for part in one["content"]) else "text",
        "status": any("status" in one for one in results),
        "points": json.dumps(last).count('"cachePoint"'),
        "fields": last.get("additionalModelRequestFields", {}) | last.get("outputConfig", {}),
        "reasoning": sum("reasoningContent" in block for block in blocks),
    }


# The table


def rows(models: Catalog, cards: Sequence[ModelCard]) -> Iterator[Row]:
    """Play ``cards`` and yield what became of each, family by family."""
    documents = legend(models)
    with desk() as folder:
        reasons = {card.id: why_not_an_agent(folder, called(card)) for card in cards}
        ways: dict[str, list[Lane]] = {}
        for card in cards:
            for lane in () if reasons[card.id] else lanes(card):
                ways.setdefault(json.dumps(lane.asks), []).append(lane)
        runs: dict[str, list[Ended]] = {}
        for way in ways.values():
            for lane, ended in play(way, folder):
                runs.setdefault(lane.card.id, []).append(ended)
    for card in sorted(cards, key=lambda one: (family_of(one), one.id)):
        sources = {documents.index(one) + 1 for some in card.sources.values() for one in some}
        ended_ = tuple(runs.get(card.id, ()))
        yield Row(called(card), family_of(card), f"{card.as_of}", tuple(sorted(sources)), reasons[card.id], ended_)


def legend(models: Catalog) -> list[Source]:
    """Return the documents behind all cards, in the order in which the cards first name them."""
    return list(dict.fromkeys(one for card in models.cards() for some in card.sources.values() for one in some))


def table(found: Sequence[Row], documents: Sequence[Source]) -> Iterator[str]:
    """Yield the table's lines: the models that played by family, the others with the reason, the documents."""
    yield HEADINGS
    played = [row for row in found if not row.reason]
    for family, group in groupby(played, key=lambda row: row.family):
        rows_ = list(group)
        numbers = sorted({number for row in rows_ for number in row.sources})
        yield f"{family}: facts as of {min(row.as_of for row in rows_)}, documents {_ranges(numbers)}"
        yield from map(line, rows_)
    yield f"No agent: {len(found) - len(played)} models"
    for row in found:
        if row.reason:
            yield from _wrapped(f"{row.model}: {row.reason.splitlines()[0]}")
    yield "Documents"
    for number, one in enumerate(documents, 1):
        yield from _wrapped(f"{number:>2} {one.title}; {f'read {one.seen}' if one.seen else 'not read yet'}")


def line(row: Row) -> str:
    """Return the line of a model that played."""
    usual, last = row.runs[0].sent, row.runs[-1].sent
    if not usual or not last:
        return f"{row.model:<45}{row.runs[0].wrong or row.runs[-1].wrong}"
    temperature = "temperature" if "temperature" in usual["settings"] else "-"
    tools = "strict" if last["strict"] else "closed" if usual["closed"] else "bare"
    results = usual["results"] + (" status" if usual["status"] else "")
    status = "/".join(dict.fromkeys(run.status if not run.wrong else "WRONG" for run in row.runs))
    dollars = "".join(f"{run.microusd / 1_000_000:>10.6f}" for run in row.runs)
    return (
        f"{row.model:<45}{temperature[:4]:<5}{tools:<7}{results:<12}{last['points']:<4}{_way(last['fields']):<9}"
        f"{max(run.sent['reasoning'] for run in row.runs):<5}{status:<8}{dollars}"
    )


def _way(fields: Mapping[str, Any]) -> str:
    """Return how a model was asked to think, in a word: of the fields, the innermost text or number that says it."""
    values = list(_leaves(fields))
    number = next((f"{one}" for one in values if isinstance(one, int)), None)
    words = [one for one in values if isinstance(one, str) and one != "enabled"]
    return number or next(iter(words), "-")


def _leaves(value: Any) -> Iterator[Any]:
    if isinstance(value, dict):
        for inner in value.values():
            yield from _leaves(inner)
    else:
        yield value


def _ranges(numbers: Sequence[int]) -> str:
    """Return numbers in order, with runs of them joined: 1-3, 6."""
    runs: list[list[int]] = []
    for number in numbers:
        if runs and runs[-1][-1] == number - 1:
            runs[-1].append(number)
        else:
            runs.append([number])
    return ", ".join(f"{run[0]}-{run[-1]}" if len(run) > 1 else f"{run[0]}" for run in runs)


def _wrapped(text: str) -> list[str]:
    return textwrap.wrap(text, 116, subsequent_indent="   ", break_on_hyphens=False)


def main(arguments: Sequence[str] | None = None) -> int:
    """Play and print; 1 where a run did not end as it must."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--model",
        nargs="+",
        action="extend",
        metavar="NAME",
        default=[],
        help="words of ids or names; all, if left out",
    )
    parser.add_argument("--json", action="store_true")
    wanted = parser.parse_args(arguments)
    models = Catalog()
    words = [one.lower() for one in wanted.model]
    cards = [one for one in models.cards() if not words or any(w in f"{called(one)} {one.name}".lower() for w in words)]
    if not cards:
        print(f"No card's id or name has {' or '.join(wanted.model)}. `ballast prices` lists them.", file=sys.stderr)
        return 1
    found, documents = list(rows(models, cards)), legend(models)
    if wanted.json:
        made = {
            "models": [asdict(row) for row in found],
            "documents": [one.model_dump(mode="json") for one in documents],
        }
        print(json.dumps(made, indent=2))
    else:
        print("\n".join(table(found, documents)), flush=True)
    wrong = [f"{row.model}: {run.wrong or run.status}" for row in found for run in row.runs if run.wrong]
    print("\n".join(wrong), file=sys.stderr, end="\n" if wrong else "")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
