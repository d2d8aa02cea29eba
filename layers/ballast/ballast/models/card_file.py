"""A file of model cards, as it is written: families, cards that are like one, and the documents behind their facts.

Facts are validated one card at a time, by ``ballast.models.catalog``.
"""

import re
from collections.abc import Mapping
from dataclasses import field, fields
from datetime import date
from functools import cached_property
from pathlib import Path
from typing import Any

from ballast.errors import SettingInvalid
from ballast.values import dataclass
from ballast.yaml_files import read_yaml

#: What a playbook's price has from the one below it.
_INHERITED = ("regions", "tiers", "long_prompt")
#: ARNs of AWS that end with a model's id, or with that of an inference profile.
ARN_OF_MODEL = re.compile(r"^arn:[^:]+:[^:]+:[^:]*:[^:]*:(?:foundation-model|inference-profile)/([^/]+)$")
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
        for model in self.models:
            found |= dict.fromkeys(self.also(model), model)
        return found

    def also(self, model: str) -> tuple[str, ...]:
        """Return the other ids of the card under ``model``."""
        also = self.models[model].get("also")
        return tuple(map(str, also)) if isinstance(also, list) else ()

    def facts(self, model: str) -> dict[str, Any]:
        """Return the facts of the card under ``model``, its families' included. Raises ``ValueError``."""
        for one in self.also(model):
            if others := [name for name in self.models if name != model and one in (name, *self.also(name))]:
                raise ValueError(f"also: {one} is an id of {', '.join(others)}, too; leave it out of one of them")
        common: dict[str, Any] = {"vendor": self.vendor} if self.vendor else {}
        if self.as_of:
            common["as_of"] = str(self.as_of)
        facts = common | self._with_family(self.models[model], frozenset())
        if "id" in facts:
            raise ValueError("id: is no fact of a card: it is the id under which the card stands; leave it out")
        return facts

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
        return over(self._with_family(self.families[family], seen | {family}), own)

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


def over(below: dict[str, Any], above: Mapping[str, Any]) -> dict[str, Any]:
    """Return ``below`` with ``above`` over it, mapping by mapping. Anything else is replaced."""
    made = dict(below)
    for name, value in above.items():
        old = made.get(name)
        made[name] = over(old, value) if isinstance(old, dict) and isinstance(value, dict) else value
    return made


def prices_of(written: Any, *, caches: bool) -> list[Any]:
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


def inheriting(own: list[Any], below: list[Any]) -> list[Any]:
    """Return a playbook's prices with what each leaves out of the price that would count without it.

    That is its predecessor, or else the platform's of that day in ``below``. A null inherits nothing.
    """
    made: list[Any] = []
    for price in own:
        day = str(price.get("valid_from", ""))
        older = [one for one in below if str(one.get("valid_from", "")) <= day] or below[:1]
        before = (made or older)[-1:]
        kept = {name: before[0][name] for name in _INHERITED if before and name in before[0] and name not in price}
        made.append(kept | {name: value for name, value in price.items() if value is not None})
    return made


def read_cards(file: Path) -> CardFile:
    """Read a file of cards; the facts of its cards are not validated yet. Raises ``SettingInvalid``."""
    try:
        return CardFile.of(read_yaml(file))
    except (OSError, ValueError) as problem:
        raise SettingInvalid(f"{file}: {problem}.") from None
