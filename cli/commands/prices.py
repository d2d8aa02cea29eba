"""``ballast prices``: model cards and prices, and a check of their files."""

import json
from argparse import Namespace
from collections.abc import Iterator
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

from rich.text import Text

from ballast.errors import BallastError, InvalidInput, ModelRefused, SettingInvalid
from ballast.models.card import DatedPrice, ModelCard
from ballast.models.card_file import CardFile, read_cards
from ballast.models.catalog import OWN_FILE, Catalog, facts_without_source
from ballast.models.contradictions import contradictions
from ballast.money import ModelPrice, Price, dollars
from ballast.money.prices import CLASSES
from ballast.playbook import load_playbook
from ballast.playbook.agent import AgentConfig, agent_file, read_agents
from cli.commands.models import retirements
from cli.exits import Exit
from cli.own_stdout import print_document
from cli.screen import Screen

#: Fields of a card that are no facts about what the model takes.
_HEAD = ("id", "name", "vendor", "as_of", "prices", "sources")


def prices(typed: Namespace) -> int:
    """Show cards and prices, or check them, and return the exit code. Raises ``BallastError``."""
    playbook = _folder(typed.playbook)
    if typed.check:
        return _checked(playbook, Screen())
    models, today = Catalog() if playbook is None else Catalog.of_playbook(playbook), datetime.now(UTC).date()
    if typed.model is not None:
        card = models.card(typed.model)
        if typed.json:
            print_document(json.dumps(_document(models, typed.model, card, today), indent=2))
        else:
            _show(models, typed.model, card, today, Screen())
        return Exit.OK
    wanted = [card for card in models.cards() if _matches(card, typed.words)]
    if typed.json:
        print_document(json.dumps([_document(models, card.id, card, today) for card in wanted], indent=2))
    else:
        _list(wanted, today, Screen())
    return Exit.OK


def _folder(playbook: str | None) -> Path | None:
    if playbook is None or (Path(playbook) / "agent.yaml").is_file():
        return None if playbook is None else Path(playbook)
    raise InvalidInput(f"--playbook {playbook}: holds no agent.yaml. Name a playbook's folder.")


def _matches(card: ModelCard, words: list[str]) -> bool:
    said = " ".join((card.id, *card.also, card.name, card.vendor)).lower()
    return all(word.lower() in said for word in words)


# Show


def _list(cards: list[ModelCard], today: date, screen: Screen) -> None:
    if not cards:
        screen.line("No model's id, name or vendor has all these words.")
        return
    for card in cards:
        valid = [price for price in card.prices if price.valid_from <= today]
        said = f"{_rates(valid[-1])}; {_families(valid[-1])}" if valid else "no price today"
        screen.row(Text(f"{card.id}  {card.name}"), said)
    screen.line(f"{len(cards)} models. US dollars per million tokens; of a family, in percent of that.", "dim")


def _price(models: Catalog, model_id: str, today: date) -> ModelPrice | None:
    try:
        return models.price(model_id, on=today)
    except ModelRefused:
        return None


def _rates(price: Price) -> str:
    said = f"{dollars(price.input)} in, {dollars(price.output)} out"
    if price.cache_read != price.input or price.cache_write_5m != price.input:
        said += f", cache read {dollars(price.cache_read)}, write {dollars(price.cache_write_5m)}"
        if price.cache_write_1h != price.cache_write_5m:
            said += f" (1h {dollars(price.cache_write_1h)})"
    if price.long_prompt is not None:
        long = price.long_prompt
        said += f"; over {long.over} prompt tokens {long.input} % in, {long.output} % out"
    return said


def _families(price: DatedPrice) -> str:
    said = [f"{name} {_part(made)}" for name, made in price.regions.items()]
    return ", ".join(said) or "families not listed"


def _show(models: Catalog, model_id: str, card: ModelCard, today: date, screen: Screen) -> None:
    documents = list(dict.fromkeys(source for sources in card.sources.values() for source in sources))
    screen.line(f"{model_id}: {card.name}, {card.vendor}. Facts as of {card.as_of}.", "bold")
    for name in ModelCard.model_fields:
        value = getattr(card, name)
        if name in _HEAD or (name in ("also", "retires") and not value):
            continue
        known = ", ".join(str(documents.index(source) + 1) for source in card.sources.get(name, ()))
        said = _said(value.model_dump(mode="json", exclude_defaults=True) if hasattr(value, "model_dump") else value)
        screen.line(f"  {name:<24}{said}" + (f"  [{known}]" if known else ""))
    screen.line("Prices, US dollars per million tokens", "bold")
    for dated in card.prices:
        screen.line(f"  version {dated.version}, from {dated.valid_from}: {_rates(dated)}")
        for what, made in (("families", dated.regions), ("tiers", dated.tiers)):
            if made:
                screen.line(f"    {what}: " + ", ".join(f"{name} {_part(one)}" for name, one in made.items()))
        if dated.batch is not None:
            screen.line(f"    batch: {dated.batch} %")
    price = _price(models, model_id, today)
    if price is not None:
        screen.line(f"  {model_id} today: {_rates(price.price())}")
    if documents:
        screen.line("Sources", "bold")
    for number, source in enumerate(documents, 1):
        read = f"read {source.seen}" if source.seen else "not read yet"
        screen.line(f"  [{number}] " + ", ".join(filter(None, (source.title, source.address, read))))


def _part(made: int | Price) -> str:
    return f"{made} %" if isinstance(made, int) else _rates(made)


def _said(value: Any) -> str:
    """Return a fact in words; what is nested deeper than a list of parts, as JSON."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, dict):
        parts = (f"{name} {json.dumps(one) if isinstance(one, dict) else _said(one)}" for name, one in value.items())
        return "; ".join(parts) or "nothing special"
    if isinstance(value, list | tuple):
        return ", ".join(map(str, value)) or "none"
    return "none" if value is None else str(value)


def _document(models: Catalog, model_id: str, card: ModelCard, today: date) -> dict[str, Any]:
    """Return a card as JSON, with the price of ``model_id`` today: micro-dollars per million tokens, by tier."""
    price = _price(models, model_id, today)
    made = card.model_dump(mode="json")
    if price is None:
        return made | {"price": None}
    tiers = {tier.value: {name: getattr(one, name) for name in CLASSES} for tier, one in price.tiers.items()}
    return made | {"price": tiers.pop("default") | {"version": price.version, "tiers": tiers}}


# Check


def _checked(playbook: Path | None, screen: Screen) -> Exit:
    found = list(problems(playbook))
    for problem in found:
        screen.line(problem, "red")
    if found:
        screen.line(f"{len(found)} problem{'s' if len(found) > 1 else ''}.")
        return Exit.USAGE
    for notice in retirements(playbook, datetime.now(UTC).date()) if playbook is not None else ():
        screen.line(notice, "yellow")
    screen.line("The model cards and prices are well formed.")
    return Exit.OK


def problems(playbook: Path | None, vendors: Path | None = None, *, today: date | None = None) -> Iterator[str]:
    """Yield what is wrong with the platform's cards, and with a playbook's cards and models.

    ``vendors``: the folder of the platform's cards; by default the shipped one. ``today``: None is the real day.
    """
    models = Catalog() if vendors is None else Catalog(vendors=vendors)
    day = today or datetime.now(UTC).date()
    for file in sorted(models.vendors.glob("*.yaml")):
        try:
            cards = read_cards(file)
        except SettingInvalid as problem:
            yield str(problem)
        else:
            yield from _of_cards(models, file, cards, day, shipped=True)
    if playbook is None:
        return
    file = playbook / OWN_FILE
    if file.is_file():
        try:
            models = Catalog(read_cards(file), str(file), models.vendors)
        except SettingInvalid as problem:
            yield str(problem)
            return  # a model that agent.yaml names may be in it
        yield from _of_cards(models, file, models.own, day, shipped=False)
    try:
        agent, others = read_agents(playbook)
    except BallastError as problem:
        yield str(problem)
        return
    for one in (agent, *others.values()):
        yield from _of_agent(agent_file(playbook, agent, one.name), one, models, day)


def _of_agent(file: Path, agent: AgentConfig, models: Catalog, today: date) -> Iterator[str]:
    """Yield which of the models that an agent's ``file`` names cannot be the agent's ``today``."""
    folder = file.parent.parent if file.parent.name == "agents" else file.parent
    loaded = None
    if (folder / "tools").is_dir():  # which intents offer a tool, only the tools say
        try:
            loaded = load_playbook(folder, check_models=False)
            loaded = loaded.as_agent(loaded.agents[agent.name])
        except BallastError as problem:
            yield str(problem)
    for field, model in agent.models.items():
        try:
            if loaded is None:
                models.check(model, tools=False, on=today, check_retired=True, tier=agent.service_tier)
            else:
                loaded.check_model(model, on=today, check_retired=True)
        except BallastError as problem:
            yield f"{file}: {field}: {problem}"


def _of_cards(models: Catalog, file: Path, cards: CardFile, today: date, *, shipped: bool) -> Iterator[str]:
    told: set[str] = set()
    for model in cards.models:
        where = f"{file}: models.{model}"
        if shipped and model.partition(".")[0] != file.stem:
            yield f"{where}: stands in the wrong file: the catalog looks for it in {model.partition('.')[0]}.yaml."
            continue
        try:
            card = models.card(model)
        except BallastError as problem:
            if str(problem) not in told:  # another card's, which takes this one's id
                told.add(str(problem))
                yield str(problem)
            continue
        for contradiction in contradictions(card):
            yield f"{where}: {contradiction}."
        if shipped and card.converse_api and None in (card.on_demand, card.profiles):
            yield f"{where}: must say where it is served: on_demand and profiles, each with a source."
        if shipped and (missing := list(facts_without_source(card))):
            yield f"{where}: no source for {', '.join(missing)}. Name a document under `sources:`."
    for arn in cards.arns:
        try:
            models.check(arn, tools=False, on=today)
        except BallastError as problem:
            said = str(problem)
            yield said if said.startswith(f"{file}: arns.{arn}: ") else f"{file}: arns.{arn}: {said}"
