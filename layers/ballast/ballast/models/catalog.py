"""The catalog: the platform's model cards, and those of a playbook over them.

A vendor's file is ``vendors/NAME.yaml``, where NAME is the part of its models' ids before the first dot. So a function
reads the one file that its model is in, and validates one card of it::

    eu.amazon.nova-pro-v1:0 ─▶ eu + amazon.nova-pro-v1:0 ─▶ vendors/amazon.yaml ─▶ facts of the family,
                                                            models.yaml ─────────▶ then of the model,
                                                                                   then the playbook's ─▶ ModelCard
"""

import json
import re
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import field
from datetime import date
from functools import cache
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from ballast.contracts.service_tier import ServiceTier
from ballast.contracts.wire import complaints
from ballast.errors import ModelRefused, SettingInvalid
from ballast.models.card import AWS_REGION, IN_REGION, ModelCard
from ballast.models.card_file import ARN_OF_MODEL, CardFile, inheriting, over, prices_of, read_cards
from ballast.models.contradictions import contradictions
from ballast.models.retirement import retired
from ballast.money import ModelPrice
from ballast.values import dataclass

VENDORS = Path(__file__).with_name("vendors")
#: A playbook's own cards, beside its ``agent.yaml``.
OWN_FILE = "models.yaml"
#: Prefix of a model id: use the profile of the stack's geography.
FOLLOWS_REGION = "region."
_PROFILE = re.compile(r"^(us|us-gov|eu|apac|jp|au|in|ca|sa|global|region)\.")
#: Geographies of the profiles that a region can call, by the prefix of its name.
_GEOGRAPHIES = {
    "us-gov-": ("us-gov",),
    "us-iso": (),
    "cn-": (),
    "eusc-": (),
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
#: Partitions by the prefix of a region's name.
_PARTITIONS = {"us-gov-": "aws-us-gov", "us-iso": "aws-iso", "cn-": "aws-cn", "eusc-": "aws-eusc", "": "aws"}
_SIMILAR = 3


def geographies_of(region: str) -> tuple[str, ...]:
    """Return the geographies whose profiles ``region`` can call; a model uses the first one that it has."""
    return next(found for beginning, found in _GEOGRAPHIES.items() if region.startswith(beginning))


def partition_of(region: str) -> str:
    """Return the partition of a region."""
    return next(found for start, found in _PARTITIONS.items() if region.startswith(start))


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
        profile = _PROFILE.match(base)
        if profile is not None and self._places(base[profile.end() :]):
            model = base[profile.end() :]
            raise SettingInvalid(
                f"{self.where}: models.{base}: is the id of an inference profile. Write its facts under {model}; what "
                f"it costs there is `regions: {{{profile[1]}: …}}` of a price."
            )
        for where, file in places:
            model = file.ids[base]
            try:
                facts = file.facts(model)
                caches = facts.get("cache", made.get("cache")) is not None
                added = prices_of(facts.pop("prices", []), caches=caches)
                if file is self.own:
                    self._check_ids(model)
                    added = inheriting(added, made.get("prices", []))
            except ValueError as problem:
                raise SettingInvalid(f"{where}: models.{model}.{problem}.") from None
            prices = [*made.get("prices", []), *added]
            made = over(made or {"id": model, "name": model}, facts) | {"prices": prices}
        where, file = places[-1]
        try:
            return ModelCard.model_validate_json(json.dumps(made))
        except ValidationError as problem:
            raise SettingInvalid(f"{where}: models.{file.ids[base]}: {complaints(problem)}.") from None

    def _check_ids(self, model: str) -> None:
        """Raise ``ValueError`` if the playbook's card of ``model`` takes the id of another one."""
        platforms = self._shipped(model)
        for one in self.own.also(model):
            if (other := self._shipped(one)) not in (None, platforms):
                raise ValueError(f"also: {one} is an id of the platform's {other}; write its facts under {other}")
            profile = _PROFILE.match(one)
            if profile is not None and self._places(one[profile.end() :]):
                raise ValueError(f"also: {one} is the id of an inference profile of {one[profile.end() :]}")

    def _shipped(self, base: str) -> str | None:
        """Return the id under which the platform has a card of ``base``; None if it has none."""
        file = self._vendor_file(base)
        return None if file is None else _vendor(file).ids.get(base)

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
        arn = ARN_OF_MODEL.match(named)
        named = arn[1] if arn else named
        profile = _PROFILE.match(named)
        if profile is None or self._places(named):
            return named, IN_REGION
        return named[profile.end() :], profile[1]

    def _unknown(self, base: str, model_id: str) -> str:
        behind = self.own.arns.get(model_id)
        if model_id.startswith("arn:") and behind is None and ARN_OF_MODEL.match(model_id) is None:
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

    def price(self, model_id: str, *, on: date, region: str = "") -> ModelPrice:
        """Return what the model costs on that day. Raises ``ModelRefused``, which says what to add.

        region  where it is called; "" for the most expensive one, by which attempts are reserved
        """
        base, family = self.named(model_id)
        card = self._card(base, model_id)
        valid = [price for price in card.prices if price.valid_from <= on]
        if not valid:
            first = min((price.valid_from for price in card.prices), default=None)
            known = "is known" if first is None else f"is valid on {on}, the first one is from {first} on"
            raise ModelRefused(
                f"No price for the model {model_id!r} {known}, so it is not called. Add one to the "
                f"playbook's {OWN_FILE}:\n\n{_PRICE_TO_ADD.format(base=base)}"
            )
        return valid[-1].of(model_id, family, region)

    def price_of(self, version: str, model_id: str, region: str = "") -> ModelPrice:
        """Return the price of ``version``, which a charge in the log names, in ``region``. Raises ``SettingInvalid``.

        "" and a region without a price of its own: the most expensive one.
        """
        base, family = self.named(model_id)
        for price in self._card(base, model_id).prices:
            if price.version == version:
                return price.of(model_id, family, region)
        raise SettingInvalid(
            f"The model {model_id!r} has no price of version {version!r}. Put it back: never remove a used price."
        )

    # Use

    def in_region(self, model_id: str, region: str) -> str:
        """Return the id to call in ``region``: ``region.MODEL`` becomes the profile of the region's geography.

        A model without a profile there is called by its own id if it is known to be served by that in ``region``.
        Any other id is returned unchanged, also ``region.MODEL`` where nothing serves the model: it cannot be called.
        """
        if not model_id.startswith(FOLLOWS_REGION):
            return model_id
        model = model_id.removeprefix(FOLLOWS_REGION)
        if not self.knows(model):
            return model  # it is refused by that name
        card = self.card(model)
        here = [f"{geography}.{model}" for geography in geographies_of(region) if geography in card.families]
        return next(iter([*here, *([model] if card.served_in(region) else [])]), model_id)

    def check(
        self,
        model_id: str,
        *,
        tools: bool,
        on: date,
        check_retired: bool = False,
        region: str = "",
        tier: ServiceTier = ServiceTier.DEFAULT,
    ) -> None:
        """Raise ``ModelRefused`` if the model cannot be an agent's, or its card contradicts itself.

        tools          the agent has tools to offer
        on             the day on which it must have a price
        check_retired  it must still be served on that day
        region         where it is called; "" for anywhere
        tier           the service tier that the agent asks for
        """
        if model_id in self.own.arns and (why := _no_own_arn(model_id)):
            raise ModelRefused(f"{self.where}: arns.{model_id}: {why}.")
        base, family = self.named(self.in_region(model_id, region) if region else model_id)
        card = self._card(base, model_id)
        if found := list(contradictions(card)):
            where, file = self._places(base)[-1]
            raise ModelRefused(f"{where}: models.{file.ids[base]}: {'; '.join(found)}.")
        if not card.converse_api:
            raise ModelRefused(f"Converse does not serve the model {model_id!r} ({card.name}). Name another one.")
        self.price(model_id, on=on).price(tier)
        # An ARN of the playbook's own may be provisioned capacity, which no model's card knows of.
        owned = family == IN_REGION and model_id in self.own.arns
        if card.families and not owned and family not in (*card.families, FOLLOWS_REGION[:-1]):
            ids = [base if one == IN_REGION else f"{one}.{base}" for one in card.families]
            missing = f"profile that {region} reaches" if model_id.startswith(FOLLOWS_REGION) else ""
            fact = f"on_demand: [{region or 'REGION'}]" if family == IN_REGION else "profiles:"
            raise ModelRefused(
                f"The model {base!r} has no {missing or _FAMILY.get(family, family)}. It has: {', '.join(ids)}. "
                f"If it is served in this form by now, say so for it in {OWN_FILE}: `{fact}`."
            )
        if why := self.why_unreached(model_id, region):
            raise ModelRefused(why)
        if tools and not card.tools:
            raise ModelRefused(
                f"The model {model_id!r} ({card.name}) takes no tools, and the playbook has some. Name another one."
            )
        if check_retired and (said := retired(card, model_id, on)):
            raise ModelRefused(said)

    def cheaper_than(self, model_id: str, region: str, *, on: date, like: str) -> list[str]:
        """Return some models with tools that cost less than ``model_id`` in ``region``, those nearest in price first.

        Models of the vendor of ``like`` come before others. Reads every file.
        """
        usual, vendor = self.price(self.in_region(model_id, region), on=on), self.card(like).vendor
        found = []
        for base in self.ids():
            one = f"{FOLLOWS_REGION}{base}"
            with suppress(ModelRefused, SettingInvalid):
                self.check(one, tools=True, on=on, check_retired=True, region=region)
                price = self.price(self.in_region(one, region), on=on)
                if price.is_cheaper_than(usual, ServiceTier.DEFAULT):
                    found.append((self.card(base).vendor != vendor, -price.price().output, one))
        return [one for _, _, one in sorted(found)[:_SIMILAR]]

    def why_unreached(self, model_id: str, region: str = "") -> str | None:
        """Return why the model cannot be called from ``region`` under that id; None if it can.

        An ARN can be called from its own region alone, also where ``region`` is "", which is anywhere.
        """
        behind, here, where = self.own.arns.get(model_id, model_id), region, ""
        for arn in (one for one in (model_id, behind) if one.startswith("arn:")):
            partition, _, of_region = f"{arn}:::".split(":")[1:4]
            here, where = here or of_region, "" if region else f"in {of_region}, of which the ARN is, "
            if (partition, of_region) != (partition_of(here), here):
                return f"{arn} is of {of_region} ({partition}). Name one of the stack's own region."
        if not re.match(AWS_REGION, here):
            return None
        base, family = self.named(self.in_region(behind, here))
        card, reached = self._card(base, base), geographies_of(here)
        # An ARN of the playbook's own may be provisioned capacity.
        if family in reached or (family == IN_REGION and (behind != model_id or card.served_in(here))):
            return None
        offered = next((f"{one}.{base}" for one in reached if one in card.families), None)
        if family in (IN_REGION, FOLLOWS_REGION[:-1]):
            why = f"is not known to be served by its own id in {here}; name {offered}"
            if offered is None:
                ids = [base if one == IN_REGION else f"{one}.{base}" for one in card.families]
                own = f" ({base} in {', '.join(card.on_demand)})" if isinstance(card.on_demand, tuple) else ""
                why = f"has no profile that {here} reaches, and is not known to be served there by its own id. It has: "
                why += f"{', '.join(ids)}{own}. Name another model"
            return (
                f"{where}the model {base!r} {why}. If it is served there by now, say so for it in {OWN_FILE}: "
                f"`on_demand: [{here}]`."
            )
        has = f"It reaches {', '.join(f'{one}.' for one in reached)}" if reached else "It reaches none"
        remedy = f"name {offered}" if offered else "the model has no profile of those, so name another model"
        return f"{where}no profile {family}. can be called there. {has}: {remedy}."


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


@cache
def _files(folder: Path) -> tuple[Path, ...]:
    return tuple(folder.glob("*.yaml"))


@cache
def _vendor(file: Path) -> CardFile:
    return read_cards(file)  # the platform's files do not change while a process lives


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


def _no_own_arn(name: str) -> str | None:
    """Return why ``name`` cannot stand under ``arns:``: what names its model itself is charged as that."""
    if not name.startswith("arn:"):
        return "is not an ARN. Facts of a model stand under `models:`"
    return "names its model itself; leave it out" if ARN_OF_MODEL.match(name) else None


def facts_without_source(card: ModelCard) -> Iterator[str]:
    """Yield the facts of a card that no document stands behind."""
    given = card.model_fields_set - {"id", "also", "vendor", "name", "as_of", "sources"}
    yield from sorted(given - card.sources.keys())
