"""Pairs of a card's facts that cannot both be true. Pure.

``Catalog.check`` asks when a playbook is loaded. Whoever reads the card of an old run does not: its prices must stay
readable. A pair of which one fact is then never read, such as ``strict_tools`` for a model that cannot be sent closed
objects, is none.
"""

import re
from collections.abc import Iterator
from typing import Any

from ballast.contracts.attachment import MOST_FILE_BYTES, MOST_FILES
from ballast.models.card import AWS_REGION, IN_REGION, Asked, Cache, Dialect, Media, ModelCard, Thinking
from ballast.money import Price
from ballast.money.prices import LEAST_USEFUL_TOKENS

#: Forms of the ids of calls that Ballast sends back, the usual one first; a model must take one of them.
_OUR_IDS = (("t0001c1", "t9999c50"), ("t0001c001", "t9999c050"))
#: Settings of a request that thinking may forbid, and the facts that take them.
_FORBIDDEN = ("temperature", "top_p", "prefill")


def contradictions(card: ModelCard) -> Iterator[str]:
    """Yield which facts of ``card`` contradict each other: ``field: why, and what to do``."""
    yield from _names(card)
    yield from _sizes(card)
    yield from _dialect(card.tool_schema)
    yield from _left_over(card)
    for files in filter(None, (card.images, card.documents)):
        yield from _files(files)
    if card.cache is not None:
        yield from _cache(card.cache)
    if card.thinking is not None:
        yield from _thinking(card.thinking)
        yield from _while_it_thinks(card, card.thinking)


def _names(card: ModelCard) -> Iterator[str]:
    if arns := [one for one in (card.id, *card.also) if one.startswith("arn:")]:
        yield f"id: {', '.join(arns)} is an ARN; write the card under its model's id, and the ARN under `arns:`"
    if card.converse_api and card.families == () and (card.on_demand, card.profiles) != (None, None):
        yield "on_demand: is not true, and profiles names none, so nothing could call it; correct one of them"
    yield from _twice("profiles", card.profiles or ())
    if card.id in card.also:
        yield f"also: names {card.id} itself"
    yield from _twice("also", card.also)
    yield from _twice("tool_choice", card.tool_choice)
    if not any(all(re.search(card.tool_use_id, one) for one in form) for form in _OUR_IDS):
        forms = " nor ".join(form[0] for form in _OUR_IDS)
        yield f"tool_use_id: fits none of the ids that Ballast sends: neither {forms}"


def _sizes(card: ModelCard) -> Iterator[str]:
    window = card.context_window
    sizes = {
        "max_output": card.max_output,
        "cache.least_tokens": card.cache.least_tokens if card.cache is not None else 0,
        "images.most_tokens": (card.images.most_tokens or 0) if card.images is not None else 0,
    }
    if card.max_output < LEAST_USEFUL_TOKENS:
        yield f"max_output: is {card.max_output}; an answer of less than {LEAST_USEFUL_TOKENS} is not worth its prompt"
    for name, size in sizes.items():
        if size > window:
            yield f"{name}: is {size}, above context_window, which is {window}"
    for price in card.prices:
        own = {"": price} | {f"regions.{name}: ": one for name, one in price.regions.items()}
        own |= {f"tiers.{name.value}: ": one for name, one in price.tiers.items()}
        for where, rates in own.items():
            for name in ("input", "output"):
                if isinstance(rates, Price) and getattr(rates, name) == 0:
                    yield f"prices: {price.version}: {where}{name}: is 0, so no limit would bound a run"
        dearer = [name for name, made in price.regions.items() if re.match(AWS_REGION, name)]
        if dearer and IN_REGION not in price.regions:
            yield (
                f"prices: {price.version}: regions: names {', '.join(dearer)} and not in-region, which any other "
                "region costs; add it"
            )
        if price.long_prompt is not None and price.long_prompt.over >= window:
            yield f"prices: {price.version}: long_prompt.over must be below context_window, which is {window}"


def _dialect(dialect: Dialect) -> Iterator[str]:
    root, unsupported = dialect.root_keys, set(dialect.unsupported)
    if taken := [name for name in ("type", "properties") if name in unsupported]:
        yield f"tool_schema.unsupported: without {', '.join(taken)} a tool would have no arguments"
    if dialect.additional_properties and "additionalProperties" in unsupported:
        yield (
            "tool_schema.additional_properties: is true, and unsupported names additionalProperties; "
            "take one of them away"
        )
    if dialect.refs and (named := [name for name in ("$defs", "$ref") if name in unsupported]):
        yield f"tool_schema.refs: is true, and unsupported names {', '.join(named)}; write refs: false"
    if root is None:
        return
    if lost := [name for name in ("type", "properties") if name not in root]:
        yield f"tool_schema.root_keys: must have {', '.join(lost)}, without which a tool would have no arguments"
    if dialect.refs and "$defs" not in root:
        yield "tool_schema.refs: is true, and root_keys lacks $defs, to which they lead; add it, or write refs: false"
    if not dialect.additional_properties and "additionalProperties" in root:
        yield "tool_schema.root_keys: names additionalProperties, which additional_properties says it does not take"
    if both := [name for name in root if name in unsupported]:
        yield f"tool_schema.root_keys: names {', '.join(both)}, which unsupported names as well"


def _left_over(card: ModelCard) -> Iterator[str]:
    """Yield the facts that need another one which is false."""
    places = card.cache.places if card.cache is not None else ()
    needs_tools = {
        "strict_tools": card.strict_tools,
        "tool_changes": card.tool_changes,
        "cache.places": "tools" in places,
        "images.in_results": card.images is not None and card.images.in_results,
        "documents.in_results": card.documents is not None and card.documents.in_results,
    }
    for name in (one for one, says in needs_tools.items() if says and not card.tools):
        yield f"{name}: needs tools, and tools is false"
    if "system" in places and not card.system:
        yield "cache.places: names system, and system is false"
    if card.temperature_with_top_p and not (card.temperature and card.top_p):
        yield "temperature_with_top_p: needs temperature and top_p, which are not both true"


def _files(files: Media) -> Iterator[str]:
    field = f"{files.kind}s"
    yield from _twice(f"{field}.formats", files.formats)
    for name, most in (("most", MOST_FILES[files.kind]), ("most_bytes", MOST_FILE_BYTES[files.kind])):
        if (size := getattr(files, name)) > most:
            yield f"{field}.{name}: is {size}; Converse takes at most {most}"


def _cache(cache: Cache) -> Iterator[str]:
    if cache.most_tokens is not None and cache.least_tokens > cache.most_tokens:
        yield f"cache.least_tokens: is {cache.least_tokens}, above most_tokens, which is {cache.most_tokens}"
    yield from _twice("cache.places", cache.places)
    yield from _twice("cache.ttls", cache.ttls)
    if "5m" in cache.ttls[1:]:
        yield "cache.ttls: names 5m after 1h; the first is that of a point without a lifetime, which is 5m"


def _thinking(form: Thinking) -> Iterator[str]:
    for name in ("budget", "adaptive", "effort", "off"):
        if (asked := getattr(form, name)) is not None:
            yield from (f"thinking.{name}.{one}" for one in _asked(asked))
    if form.default == "always" and form.off is not None:
        yield "thinking.off: forbids what default says it always does; write default: yes, or leave off out"
    if form.default == "yes" and form.off is None:
        yield "thinking.off: must say how thinking is forbidden where default is yes; or write default: always"
    if form.default == "no" and form.off is not None:
        yield "thinking.off: forbids what default says it does not do; write default: yes, or leave off out"
    if form.default == "no" and form.budget is None and form.adaptive is None and form.effort is None:
        yield "thinking.default: is no, and nothing asks for thinking; write budget, adaptive or effort, or no thinking"
    if form.off is not None:
        known = form.effort.levels if form.effort is not None else {}
        if unknown := [one for one in form.off.not_with if one not in known]:
            yield f"thinking.off.not_with: names {', '.join(unknown)}, which is no level of thinking.effort"
        if form.off.not_with and {*known} == {*form.off.not_with}:
            yield "thinking.off.not_with: names every level of thinking.effort, so none could be sent; leave one out"
    if form.given_back == "must" and not form.returned:
        yield "thinking.given_back: is must, and returned is false, so nothing could be given back"
    if "max_tokens" in form.forbids:
        yield "thinking.forbids: max_tokens would leave attempts without a bound; name it for a level of effort instead"
    usual = form.effort.default if form.effort is not None else None
    if form.effort is not None and usual is not None and "max_tokens" in form.effort.levels[usual]:
        yield f"thinking.effort.default: {usual} takes no max_tokens, so no attempt would have a bound; leave it out"


def _asked(asked: Asked) -> Iterator[str]:
    if not asked.additional_fields and not asked.output_config:
        yield "additional_fields: is empty, as output_config is, so nothing would be asked; write what is sent"
        return
    wanted = asked.placeholder
    found = {one for one in _texts([asked.additional_fields, asked.output_config]) if one.startswith("$")}
    if wanted is not None and wanted not in found:
        yield f"additional_fields: must hold the text {wanted} where the value goes, or output_config must"
    if wrong := sorted(found - {wanted}):
        only = f"only {wanted} stands" if wanted else "nothing stands"
        yield f"additional_fields: {', '.join(wrong)} would be sent as it is: {only} for a value here"


def _while_it_thinks(card: ModelCard, form: Thinking) -> Iterator[str]:
    if form.budget is not None and form.budget.least >= card.max_output:
        yield f"thinking.budget.least: must be below max_output, which is {card.max_output}"
    if form.default != "always":
        return
    for name in _FORBIDDEN:
        if name in form.forbids and getattr(card, name):
            yield f"{name}: is true, and thinking.forbids it while the model thinks, which it always does"
    if "forced_tool_choice" in form.forbids and {*card.tool_choice} & {"any", "tool"}:
        yield "tool_choice: thinking.forbids a forced one while the model thinks, which it always does"


def _texts(value: Any) -> Iterator[str]:
    """Yield the texts in JSON ``value``, names left out."""
    if isinstance(value, str):
        yield value
    for inner in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        yield from _texts(inner)


def _twice(field: str, values: tuple[str, ...]) -> Iterator[str]:
    if more := sorted({one for one in values if values.count(one) > 1}):
        yield f"{field}: names {', '.join(more)} twice"
