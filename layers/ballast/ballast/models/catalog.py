"""The catalog: the platform's model cards, and those of a playbook over them.

A vendor's file is ``vendors/NAME.yaml``, where NAME is the part of its models' ids before the first dot. So a function
reads the one file that its model is in, and validates one card of it::

    eu.amazon.nova-pro-v1:0 ─▶ eu + amazon.nova-pro-v1:0 ─▶ vendors/amazon.yaml ─▶ facts of the family,
                                                            models.yaml ─────────▶ then of the model,
                                                                                   then the playbook's ─▶ ModelCard
"""

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import field, fields
from datetime import date
from functools import cache, cached_property
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from ballast.contracts.wire import complaints
from ballast.errors import ModelRefused, SettingInvalid
from ballast.models.card import ModelCard
from ballast.models.contradictions import contradictions
from ballast.models.retirement import retired
from ballast.money import ModelPrice
from ballast.values import dataclass
from ballast.yaml_files import read_yaml

VENDORS = Path(__file__).with_name("vendors")
#: A playbook's own cards, beside its ``agent.yaml``.
OWN_FILE = "models.yaml"
#: Prefix of a model id: use the profile of the stack's geography.
FOLLOWS_REGION = "region."
IN_REGION = "in-region"
_PROFILE = re.compile(r"^(us|us-gov|eu|apac|jp|au|in|ca|sa|global|region)\.")
#: ARNs that end with a model's id, or with that of an inference profile of the provider's own.
_ARN = re.compile(r"^arn:[^:]+:[^:]+:[^:]*:[^:]*:(?:foundation-model|inference-profile)/([^/]+)$")
#: Geographies of the profiles that a region can call, by the prefix of its name. A model uses the first one it has.
_GEOGRAPHIES = {
    "us-gov-": ("us-gov",),
    "us-iso": (),
    "cn-": (),
    "us-": ("us", "global"),
    "ca-": ("ca", "us", "global"),
    "eu-": ("eu", "global"),
    "ap-northeast-1": ("jp", "apac", "global"),
    "ap-northeast-3": ("jp", "apac", "global"),
    "ap-southeast-2": ("au", "apac", "global"),
    "ap-southeast-4": ("au", "apac", "global"),
    "ap-south-1": ("in", "apac", "global"),
    "ap-south-2": ("in", "apac", "global"),
    "ap-": ("apac", "global"),
    "sa-": ("sa", "global"),
    "": ("global",),
}
_SIMILAR = 3
_CACHE_CLASSES = ("cache_read", "cache_write_5m", "cache_write_1h")


@dataclass(frozen=True)
class CardFile:
    """A file of cards as it is written. Its cards' facts are validated one by one, when a card is needed.

    vendor, as_of  of each card that does not say otherwise
    sources        documents by a short name, which cards and families use in their ``sources``
    families       facts that several cards share; a card or a family takes them by ``like``
    models         a card's facts by base id
    arns           the model or profile behind an ARN: an application inference profile, provisioned capacity
    """

    vendor: str = ""
    as_of: date | str = ""
    sources: Mapping[str, dict[str, Any]] = field(default_factory=dict)
    families: Mapping[str, dict[str, Any]] = field(default_factory=dict)
    models: Mapping[str, dict[str, Any]] = field(default_factory=dict)
    arns: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def of(cls, data: Any) -> "CardFile":
        """Return the file with ``data``, plain JSON. Raises ``ValueError``, which names the field."""
        parts = {one.name for one in fields(cls)}
        if not isinstance(data, dict):
            raise ValueError(f"(whole): must be a mapping with some of: {', '.join(sorted(parts))}")
        if unknown := sorted(data.keys() - parts):
            raise ValueError(f"{', '.join(unknown)}: unknown. A file of cards has {', '.join(sorted(parts))}")
        for name, value in data.items():
            if name in ("vendor", "as_of"):
                if not isinstance(value, str):
                    raise ValueError(f"{name}: must be text")
                continue
            inside = str if name == "arns" else dict
            if not isinstance(value, dict) or not all(isinstance(one, inside) for one in value.values()):
                raise ValueError(
                    f"{name}: must be a mapping, and each in it {'text' if inside is str else 'a mapping'}"
                )
        return cls(**data)

    @cached_property
    def ids(self) -> dict[str, str]:
        """Each base id of the file, and the id that its card stands under."""
        found = {model: model for model in self.models}
        for model, facts in self.models.items():
            also = facts.get("also")
            found |= {str(one): model for one in (also if isinstance(also, list) else [])}
        return found

    def facts(self, model: str) -> dict[str, Any]:
        """Return the facts of the card under ``model``, its families' included. Raises ``ValueError``."""
        common: dict[str, Any] = {"vendor": self.vendor} if self.vendor else {}
        if self.as_of:
            common["as_of"] = str(self.as_of)
        return common | self._with_family(self.models[model], frozenset())

    def _with_family(self, facts: Mapping[str, Any], seen: frozenset[str]) -> dict[str, Any]:
        own = {name: value for name, value in facts.items() if name != "like"}
        if "sources" in own:
            own["sources"] = self._documents(own["sources"])
        if "like" not in facts:
            return own
        family = str(facts["like"])
        if family not in self.families:
            known = f"It must be one of: {', '.join(self.families)}" if self.families else "The file has no `families:`"
            raise ValueError(f"like: there is no family {family!r}. {known}")
        if family in seen:
            raise ValueError(f"like: the family {family} is like itself")
        return _over(self._with_family(self.families[family], seen | {family}), own)

    def _documents(self, sources: Any) -> dict[str, Any]:
        if not isinstance(sources, dict):
            raise ValueError("sources: must name documents for each fact")
        found: dict[str, Any] = {}
        for fact, names in sources.items():
            for name in names if isinstance(names, list) else [names]:
                if name not in self.sources:
                    raise ValueError(f"sources.{fact}: there is no document {name!r} under the file's `sources:`")
                found.setdefault(fact, []).append(self.sources[name])
        return found


def _over(below: dict[str, Any], above: Mapping[str, Any]) -> dict[str, Any]:
    """Return ``below`` with ``above`` over it, mapping by mapping. Anything else is replaced."""
    made = dict(below)
    for name, value in above.items():
        old = made.get(name)
        made[name] = _over(old, value) if isinstance(old, dict) and isinstance(value, dict) else value
    return made


@dataclass(frozen=True)
class Catalog:
    """All model cards and prices that a playbook can use.

    own    the playbook's own cards, over the platform's
    where  the file of ``own``, for messages
    """

    own: CardFile = field(default_factory=CardFile)
    where: str = OWN_FILE
    vendors: Path = VENDORS
    _read: dict[str, ModelCard] = field(default_factory=dict, init=False, repr=False, compare=False)

    @classmethod
    def of_playbook(cls, folder: Path) -> "Catalog":
        """Return the catalog with the cards of the playbook in ``folder``. Raises ``SettingInvalid``."""
        file = folder / OWN_FILE
        return cls(read_cards(file), str(file)) if file.is_file() else cls()

    # Cards

    def card(self, model_id: str) -> ModelCard:
        """Return the card of a model id, a profile's id, or an ARN. Raises ``ModelRefused``, which says what to add."""
        base, _ = self.named(model_id)
        return self._card(base, model_id)

    def knows(self, model_id: str) -> bool:
        """Return whether the model has a card."""
        base, _ = self.named(model_id)
        return self._places(base) != []

    def cards(self) -> list[ModelCard]:
        """Return all cards by id; reads every file."""
        return [self.card(base) for base in self.ids()]

    def ids(self) -> list[str]:
        """Return the base ids of all cards; reads every file."""
        files = [_vendor(file) for file in _files(self.vendors)]
        return sorted({model for file in [*files, self.own] for model in file.models})

    def _card(self, base: str, model_id: str) -> ModelCard:
        if base not in self._read:
            self._read[base] = self._validated(base, model_id)
        return self._read[base]

    def _validated(self, base: str, model_id: str) -> ModelCard:
        places = self._places(base)
        if not places:
            raise ModelRefused(self._unknown(base, model_id))
        made: dict[str, Any] = {}
        for where, file in places:
            model = file.ids[base]
            try:
                facts = file.facts(model)
                caches = facts.get("cache", made.get("cache")) is not None
                added = _prices(facts.pop("prices", []), caches=caches)
            except ValueError as problem:
                raise SettingInvalid(f"{where}: models.{model}.{problem}.") from None
            prices = [*made.get("prices", []), *added]
            made = _over(made or {"id": model, "name": model}, facts) | {"prices": prices}
        where, file = places[-1]
        try:
            return ModelCard.model_validate_json(json.dumps(made))
        except ValidationError as problem:
            raise SettingInvalid(f"{where}: models.{file.ids[base]}: {complaints(problem)}.") from None

    def _places(self, base: str) -> list[tuple[str, CardFile]]:
        """Return the files that have facts of ``base``: the vendor's, then the playbook's."""
        found = [(str(self.where), self.own)] if base in self.own.ids else []
        file = self._vendor_file(base)
        if file is not None and base in _vendor(file).ids:
            found.insert(0, (str(file), _vendor(file)))
        return found

    def _vendor_file(self, base: str) -> Path | None:
        vendor = base.partition(".")[0]
        return next((one for one in _files(self.vendors) if one.stem == vendor), None)

    def named(self, model_id: str) -> tuple[str, str]:
        """Return the base id and the region family that a model id names; ``region`` for ``region.MODEL``."""
        named = self.own.arns.get(model_id, model_id)
        arn = _ARN.match(named)
        named = arn[1] if arn else named
        profile = _PROFILE.match(named)
        if profile is None or self._places(named):
            return named, IN_REGION
        return named[profile.end() :], profile[1]

    def _unknown(self, base: str, model_id: str) -> str:
        behind = self.own.arns.get(model_id)
        if model_id.startswith("arn:") and behind is None and _ARN.match(model_id) is None:
            return (
                f"No model card for {model_id!r}, so it is not called. Say which model is behind it in the playbook's "
                f"{OWN_FILE}:\n\narns:\n  {model_id}: MODEL_ID"
            )
        similar = _similar(base, self.ids())
        meant = f" Similar: {', '.join(similar)}." if similar else ""
        which = repr(model_id) if behind is None else f"{behind!r}, which `arns:` of {OWN_FILE} names for {model_id}"
        return (
            f"No model card for {which}, so it is not called.{meant} Correct the id, or add a card to the "
            f"playbook's {OWN_FILE}:\n\n{_LINES_TO_ADD.format(base=base)}"
        )

    # Prices

    def price(self, model_id: str, *, on: date) -> ModelPrice:
        """Return what the model costs on that day. Raises ``ModelRefused``, which says what to add."""
        base, family = self.named(model_id)
        card = self._card(base, model_id)
        valid = [price for price in card.prices if price.valid_from <= on]
        if not valid:
            known = "is known" if on == date.max else f"is valid on {on}"
            raise ModelRefused(
                f"No price for the model {model_id!r} {known}, so it is not called. Add one to the "
                f"playbook's {OWN_FILE}:\n\n{_PRICE_TO_ADD.format(base=base)}"
            )
        return valid[-1].of(model_id, family)

    def newest_price(self, model_id: str) -> ModelPrice:
        """Return the newest price, whatever the day. Raises ``ModelRefused``."""
        return self.price(model_id, on=date.max)

    def price_of(self, version: str, model_id: str) -> ModelPrice:
        """Return the price of ``version``, which a charge in the log names. Raises ``SettingInvalid``."""
        base, family = self.named(model_id)
        for price in self._card(base, model_id).prices:
            if price.version == version:
                return price.of(model_id, family)
        raise SettingInvalid(
            f"The model {model_id!r} has no price of version {version!r}. Put it back: never remove a used price."
        )

    # Use

    def in_region(self, model_id: str, region: str) -> str:
        """Return the id to call in ``region``: ``region.MODEL`` becomes the profile of the region's geography.

        A model without a profile there is called by its own id; any other id is returned unchanged.
        """
        if not model_id.startswith(FOLLOWS_REGION):
            return model_id
        model = model_id.removeprefix(FOLLOWS_REGION)
        has = self.card(model).families if self.knows(model) else ()
        reaches = next(found for beginning, found in _GEOGRAPHIES.items() if region.startswith(beginning))
        return next((f"{geography}.{model}" for geography in reaches if geography in has), model)

    def check(self, model_id: str, *, tools: bool, on: date | None = None, region: str = "") -> None:
        """Raise ``ModelRefused`` if the model cannot be an agent's, or its card contradicts itself.

        tools   the agent has tools to offer
        on      the day on which it must still be served; None: whatever the card says about that
        region  where it is called; "" for anywhere
        """
        base, family = self.named(self.in_region(model_id, region) if region else model_id)
        card = self._card(base, model_id)
        if found := list(contradictions(card)):
            where, file = self._places(base)[-1]
            raise ModelRefused(f"{where}: models.{file.ids[base]}: {'; '.join(found)}.")
        if not card.converse_api:
            raise ModelRefused(f"Converse does not serve the model {model_id!r} ({card.name}). Name another one.")
        self.newest_price(model_id)
        if card.families and family not in (*card.families, FOLLOWS_REGION[:-1]):
            ids = [base if one == IN_REGION else f"{one}.{base}" for one in card.families]
            missing = f"profile that {region} reaches" if model_id.startswith(FOLLOWS_REGION) else ""
            raise ModelRefused(
                f"The model {base!r} has no {missing or _FAMILY.get(family, family)}. It has: {', '.join(ids)}."
            )
        if tools and not card.tools:
            raise ModelRefused(
                f"The model {model_id!r} ({card.name}) takes no tools, and the playbook has some. Name another one."
            )
        if on is not None and (said := retired(card, model_id, on)):
            raise ModelRefused(said)


_FAMILY = {IN_REGION: "form without an inference profile"} | {
    one: f"inference profile {one}." for one in ("us", "us-gov", "eu", "apac", "jp", "au", "in", "ca", "sa", "global")
}
_LINES_TO_ADD = """\
models:
  {base}:
    vendor: VENDOR
    name: NAME
    as_of: 2026-01-31
    context_window: 128000
    max_output: 4096
    tools: true
    temperature: true
    prices:
      - {{version: "mine-1", valid_from: 2026-01-31, input: 1000000, output: 5000000}}  # micro-dollars per 1M tokens"""
_PRICE_TO_ADD = """\
models:
  {base}:
    prices:
      - {{version: "mine-1", valid_from: 2026-01-31, input: 1000000, output: 5000000}}  # micro-dollars per 1M tokens"""


def _prices(written: Any, *, caches: bool) -> list[Any]:
    """Return a file's prices of one model, whole. Raises ``ValueError`` if they are not oldest first.

    A price that names no class of the cache is that of a model that reports none: they cost as much as input. It is
    refused where the model ``caches``, since writes cost more there.
    """
    if not isinstance(written, list) or not all(isinstance(one, dict) for one in written):
        raise ValueError("prices: must be a list of prices")
    days = [str(one.get("valid_from", "")) for one in written]
    if days != sorted(set(days)):
        raise ValueError("prices: each must be valid from a later day than the one before")
    bare = [str(one.get("version")) for one in written if not any(name in one for name in _CACHE_CLASSES)]
    if caches and bare:
        raise ValueError(
            f"prices: {', '.join(bare)}: the model caches prompts. Add what that costs: {', '.join(_CACHE_CLASSES)}"
        )
    return [
        one if any(name in one for name in _CACHE_CLASSES) else dict.fromkeys(_CACHE_CLASSES, one.get("input")) | one
        for one in written
    ]


@cache
def _files(folder: Path) -> tuple[Path, ...]:
    return tuple(folder.glob("*.yaml"))


@cache
def _vendor(file: Path) -> CardFile:
    return read_cards(file)  # the platform's files do not change while a process lives


def read_cards(file: Path) -> CardFile:
    """Read a file of cards; the facts of its cards are not validated yet. Raises ``SettingInvalid``."""
    try:
        return CardFile.of(read_yaml(file))
    except (OSError, ValueError) as problem:
        raise SettingInvalid(f"{file}: {problem}.") from None


def _similar(typed: str, known: list[str]) -> list[str]:
    """Return the ids that ``typed`` may mean, most likely first: with its words in a row, with most of them, alike."""
    from difflib import SequenceMatcher, get_close_matches

    wanted = _words(typed)

    def likeness(one: str) -> tuple[bool, float, float]:
        words = _words(one)
        row = any(words[at : at + len(wanted)] == wanted for at in range(len(words)))
        shared = sum(bool(get_close_matches(word, words, cutoff=0.8)) for word in wanted) / len(wanted)
        return row, shared, SequenceMatcher(None, wanted, words).ratio() + SequenceMatcher(None, typed, one).ratio()

    alike = {one: likeness(one) for one in known} if wanted else {}
    found = [one for one, (row, shared, ratio) in alike.items() if row or shared > 0.5 or ratio > 1]
    return sorted(found, key=lambda one: alike[one], reverse=True)[:_SIMILAR]


def _words(model: str) -> list[str]:
    """Return the words and numbers of an id, without its version."""
    return re.findall("[a-z]+|[0-9]+", re.sub(r"-v[0-9]+(:[0-9]+)?$", "", model.lower()))


def facts_without_source(card: ModelCard) -> Iterator[str]:
    """Yield the facts of a card that no document stands behind."""
    given = card.model_fields_set - {"id", "also", "vendor", "name", "as_of", "sources"}
    yield from sorted(given - card.sources.keys())
