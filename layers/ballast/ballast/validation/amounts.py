"""Amounts of money: how to recognize them, and which follow from known ones. Pure.

An amount is a number with a currency (``$40``, ``40 EUR``, ``40 dollars``), or the number of a field with a money name
(``amount_usd``, ``total``). A house number, a weight, a version, an invoice number or a number of unknown meaning is
not one. An amount that does not occur may follow from known ones, and then a person looks; for that, a number with
decimals or after a money word ("pay me 40") counts as well:

======================= =======================================================
sum, difference         1100.00 + 100.00, 480.00 − 80.00; three terms at most
percentage              10 % of 50.00, 50.00 less 10 %; a percentage that is named
equal parts, multiples  120.00 / 3, 3 × 24.50, a half and one amount more or less
======================= =======================================================
"""

from collections.abc import Iterator, Mapping
from dataclasses import field
from decimal import ROUND_HALF_UP, Decimal
from functools import cached_property
from itertools import islice

from ballast.regex import regex
from ballast.validation.numbers import TextNumber
from ballast.values import dataclass


def _set(words: str) -> frozenset[str]:
    return frozenset(words.split())


_NAME = regex(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])")
#: Heads of a field's name that make an amount of it, whatever stands before them.
_MONEY_HEADS = _set(
    "amt price prices cost costs fee fees charge charges pay payment payments refund refunds refunded refundable usd "
    "eur gbp chf jpy money debit deposit rent salary wage tax vat discount tip bill fare cents dollars euros"
)
#: Heads that make one of it unless a measure is before them: ``order_total`` is one, ``hours_spent`` is not.
_SUM_HEADS = _set("amount amounts total totals subtotal sum balance due paid credit budget owed spent")
#: Heads that make one of it only after such a word: ``hourly_rate`` and ``order_value``, but not ``tax_rate``.
_HEADS_BEHIND = {
    "rate": _set("hourly daily nightly weekly monthly yearly annual hour day night week month room rental wage pay"),
    "value": _set("order cart basket invoice deal contract purchase transaction sale sales price amount total refund"),
    "quote": _set("price cost fee"),
    "estimate": _set("price cost fee"),
}
_MEASURES = _set(
    "count counts quantity qty number numbers num no nr units pieces seconds minutes hours days nights weeks months "
    "years time age percent percentage pct points score rating stars pages rows attempts weight size kg g gram grams "
    "mg lb lbs oz ounces km miles meters metres length distance volume area liters litres leave vacation loyalty"
)
#: Words that end the head of a name: what follows says of what, or which one.
_OF = _set("per of for with without incl including excl excluding")
_WHICH = _set(
    "net gross each available outstanding remaining current original final estimated before after min max pending "
    "payable requested approved received transferred withheld issued saved sent applied included collected returned "
    "captured authorized held claimed billed invoiced deducted charged"
)
#: Parts of a field's name that make it a count, a share or an identifier.
_COUNT_NAMES = _set(
    "count counts quantity qty number numbers num no nr items item units pieces nights days hours weeks months years "
    "age id ids percent percentage pct rate ratio page pages limit offset index position size weight "
    "day week month year date time minutes seconds score points rank level version code zip postal phone card note "
    "reference ref invoice order room line row house street apartment floor seat gate zone district address latitude "
    "longitude lat lon lng altitude kg g gram grams mg lb lbs oz ounces m cm mm km miles meter meters metres inch "
    "inches feet ft width height length depth volume area liters litres ml distance radius temperature degrees speed "
    "rating stars reason method type status kind name text last4 digits account iban"
)
#: Whole names, without underscores, of fields that choose a part of a list.
_PAGING_NAMES = _set(
    "page pageno pagenum pagenumber pageindex pagesize perpage limit maxresults numresults resultlimit offset skip top "
    "topk topn take first last pagelimit resultsperpage itemsperpage maxitems maxhits pagetoken"
)
_PERCENT_NAMES = frozenset({"percent", "percentage", "pct"})
#: Money words, at most two words before a number.
_SPEAKS_OF_MONEY = regex(
    r"(?<![^\W_])(?:pay\w*|paid|refund\w*|amounts?|amounting|totals?|price[sd]?|costs?|fees?|charge[sd]?|transfer\w*"
    r"|wire[sd]?|send|sends|sent|sum|worth|owe[sd]?|spen[dt]\w*|deposit\w*|balance|rent|bills?|invoice[sd]?|credit\w*"
    r"|zahl\w*|bezahl\w*|überweis\w*|erstatt\w*|betrag|preis|kostet|rembours\w*|montant|prix|pagar?|importe|precio)"
    r"(?:[\s:=(]+[^\W\d_]+){0,2}[\s:=(]{1,3}$"
)
_LABEL = regex(
    r"(?<![^\W_])(?:amount|amt|total|subtotal|price|sum|cost|fee|balance|betrag|summe|preis|montant|prix|importe|precio)"
    r"\s?[:=]\s?$"
)
#: Numbers beside a currency that are not amounts: a size ("size 44 EUR"), a labelled number ("order 1001 USD").
_SIZE = r"(?:sizes?|größen?|grösse|groesse|taille|talla|taglia)"
_SIZE_BEFORE = regex(rf"(?<![^\W_]){_SIZE}(?: is| of| in)?[\s:=(#-]{{0,3}}$")
_SIZE_AFTER = regex(rf"[\s-](?:[^\W\d_]+[\s-])?{_SIZE}(?![^\W_])|[\s-]?(?:pallets?|paletten?)(?![^\W_])")
_FOOTWEAR = regex(r"\s(?:shoes?|boots?|sneakers?|sandals?|trainers|heels|slippers|schuhe?|stiefel)(?![^\W_])")
_IDENTIFIES = regex(
    r"(?:(?<![^\W_])(?:orders?|invoices?|items?|number|num|nr|no|id|ids|ref|reference|article|model|version|line|row|page"
    r"|room|gate|seat|floor|table|house|apartment|apt|bus|flight|step|level|question|chapter|sku|bestellung|rechnung"
    r"|artikel|nummer|zimmer|commande|facture|pedido|factura)(?:\.?\s|\.)|\#\s?)$"
)
_DECIMALS = regex(r"[0-9][0-9.,' ]*[.,][0-9]{2}(?![0-9])")
_ENDS = regex(r"\s*(?:$|[.;!?,)\n](?![0-9]))")
_GOES_ON = regex(
    r"\s+(?!(?:now|please|for|to|from|back|and|or|on|in|at|as|of|via|by|if|because|today|only|again|thanks|instead|each"
    r"|more|less|in|total|bitte|für|an|von|zurück|und|pour|por|para)(?![^\W_]))[^\W\d_]"
)
_BEFORE = 48
_PERCENT = regex(
    r"(?<![\w.,])([0-9]{1,4}(?:[.,][0-9]{1,2})?)[\s-]{0,2}"
    r"(?:%|٪|pct\b|percent(?:age)?\b|per cent\b|prozent\b|procent\b|pour cent\b|por ?ciento\b|por cento\b|per ?cento\b)"
)
#: Bounds on amounts, percentages, terms and parts; more of them would derive nearly any number.
_AMOUNTS, _PERCENTS, _TERMS, _PARTS = 400, 12, 40, range(2, 13)
#: The most derivations of the simplest kind that are shown.
_SHOWN = 2
_CENT = Decimal("0.01")


def names_amount(name: str) -> bool:
    """Return whether a field of that name holds an amount of money, by the head of the name.

    The head is the last word, or the one before per, of and for: ``lineItemTotal``, ``price_per_item``. ``cost_center``
    and ``paid_at`` have another head.
    """
    before, head = _head(name)
    if head in _MONEY_HEADS:
        return True
    if head in _SUM_HEADS:
        return before not in _MEASURES
    return before in _HEADS_BEHIND.get(head, ())


def _head(name: str) -> tuple[str, str]:
    """Return the head of a compound and the word before it; "" if there is none."""
    words = [part.lower() for part in _NAME.findall(name[:100])]
    words = words[: next((at for at, word in enumerate(words) if at and word in _OF), None)]
    while len(words) > 1 and words[-1] in _WHICH:
        words.pop()
    return (words[-2] if len(words) > 1 else "", words[-1]) if words else ("", "")


def names_paging(name: str) -> bool:
    """Return whether a field of that name chooses a part of a list, or its size."""
    return name[:100].replace("_", "").replace("-", "").lower() in _PAGING_NAMES


def names_percentage(name: str) -> bool:
    """Return whether a field of that name holds a percentage."""
    return bool(_parts(name) & _PERCENT_NAMES)


def names_count(name: str) -> bool:
    """Return whether a field of that name holds a count, a share or an identifier."""
    return bool(_parts(name) & _COUNT_NAMES) and not names_amount(name)


def _parts(name: str) -> frozenset[str]:
    return frozenset(part.lower() for part in _NAME.findall(name[:100]))


def is_amount(normalized: str, named: TextNumber) -> bool:
    """Return whether a text names a number as an amount: with a currency, or after a money label."""
    if not named.currency:
        return _is_labelled(normalized, named)
    if _SIZE_BEFORE.search(normalized, max(0, named.start - _BEFORE), named.start) or _SIZE_AFTER.match(
        normalized, named.end
    ):
        return False
    if _FOOTWEAR.match(normalized, named.end) and "eur" in normalized[named.start : named.end].replace("euro", ""):
        return False
    # Identifiers are integers without a currency between them and their label: "item $12" is a price.
    whole = normalized[named.start : named.start + 1].isdigit() and named.value == named.value.to_integral_value()
    decimals = _DECIMALS.match(normalized, named.start) is not None
    labelled = _IDENTIFIES.search(normalized, max(0, named.start - _BEFORE), named.start)
    return not (whole and not decimals and labelled)


def _is_labelled(normalized: str, named: TextNumber) -> bool:
    """Return whether a text labels a number as money: "amount: 40", "Total = 40.00"."""
    if _LABEL.search(normalized[max(0, named.start - _BEFORE) : named.start]) is None:
        return False
    return _ENDS.match(normalized, named.end) is not None


def may_be_amount(normalized: str, named: TextNumber) -> bool:
    """Return whether a number without a currency may be meant as an amount."""
    if named.money or named.value != named.value.to_integral_value():
        return True
    if _GOES_ON.match(normalized, named.end):
        return False
    return _SPEAKS_OF_MONEY.search(normalized[max(0, named.start - _BEFORE) : named.start]) is not None


def percentages(normalized: str, name: str, number: Decimal | None) -> Iterator[Decimal]:
    """Yield the percentages in a text, or the number of a field that is named as a percentage."""
    if number is not None:
        if _parts(name) & _PERCENT_NAMES:
            yield number
    elif (
        "%" in normalized
        or "٪" in normalized
        or "pct" in normalized
        or "cent" in normalized
        or "ciento" in normalized
        or "prozent" in normalized
    ):
        for found in _PERCENT.findall(normalized):
            yield Decimal(found.replace(",", "."))


@dataclass(frozen=True)
class KnownAmounts:
    """Known amounts, percentages and plain numbers, each with the first source that names it.

    numbers  plain numbers that people named: "raise my rent by 100"
    """

    amounts: Mapping[Decimal, str]
    percents: Mapping[Decimal, str]
    numbers: Mapping[Decimal, str] = field(default_factory=dict)

    def derive(self, value: Decimal) -> str | None:
        """Return the simplest derivation of ``value`` from known amounts; None if there is none."""
        if value <= 0:
            return None
        for way in (self._two_terms, self._share, self._three_terms, self._equal_parts):
            if found := list(islice(dict.fromkeys(way(value)), _SHOWN)):
                return ", or ".join(found)
        return None

    @cached_property
    def _few(self) -> Mapping[Decimal, str]:
        return dict(islice(self.amounts.items(), _AMOUNTS))

    def _two_terms(self, value: Decimal) -> Iterator[str]:
        for others in filter(None, (self._few, self.numbers)):
            for one, where in self._few.items():
                other = value - one
                if abs(other) not in others:
                    continue
                if other < 0:
                    yield f"{_term(one, where)} − {_term(-other, others[-other])}"
                elif other <= one or other not in self._few:
                    yield f"{_term(one, where)} + {_term(other, others[other])}"

    # Tables that do not depend on the value are built once.

    @cached_property
    def _shares(self) -> Mapping[Decimal, list[tuple[str, Decimal, Decimal]]]:
        found: dict[Decimal, list[tuple[str, Decimal, Decimal]]] = {}
        for percent in islice(self.percents, _PERCENTS):
            for one in self._few:
                part = (one * percent / 100).quantize(_CENT, ROUND_HALF_UP)
                for result, how in {one + part: "plus", one - part: "less", part: ""}.items():
                    found.setdefault(result, []).append((how, percent, one))
        return found

    def _share(self, value: Decimal) -> Iterator[str]:
        for how, percent, one in self._shares.get(value, ()):
            term = _term(one, self._few[one])
            of = f"{percent} % ({self.percents[percent]}) of {term}"
            yield f"{term} {how} {of}" if how else of

    @cached_property
    def _sums(self) -> Mapping[Decimal, list[tuple[Decimal, Decimal, Decimal]]]:
        found: dict[Decimal, list[tuple[Decimal, Decimal, Decimal]]] = {}
        few = sorted(islice(self._few, _TERMS))
        for at, one in enumerate(few):
            for position, other in enumerate(few[at + 1 :], start=at + 1):
                for last in few[position:]:
                    found.setdefault(one + other + last, []).append((one, other, last))
        return found

    def _three_terms(self, value: Decimal) -> Iterator[str]:
        for terms in self._sums.get(value, ()):
            yield " + ".join(_term(one, self._few[one]) for one in terms)

    @cached_property
    def _parts(self) -> Mapping[Decimal, list[tuple[str, int, Decimal]]]:
        found: dict[Decimal, list[tuple[str, int, Decimal]]] = {}
        for one in self._few:
            for parts in _PARTS:
                share = (one / parts).quantize(_CENT, ROUND_HALF_UP)
                found.setdefault(share, []).append(("/", parts, one))
                found.setdefault(one * parts, []).append(("×", parts, one))
        return found

    @cached_property
    def _halves(self) -> Mapping[Decimal, Decimal]:
        return {one: (one / _PARTS.start).quantize(_CENT, ROUND_HALF_UP) for one in self._few}

    def _equal_parts(self, value: Decimal) -> Iterator[str]:
        for how, parts, one in self._parts.get(value, ()):
            term = _term(one, self._few[one])
            yield f"{term} / {parts}" if how == "/" else f"{parts} × {term}"
        for one, share in self._halves.items():
            other = value - share
            where = self._few.get(abs(other)) or self.numbers.get(abs(other))
            if where is not None:
                sign = "+" if other > 0 else "−"
                yield f"{_term(one, self._few[one])} / {_PARTS.start} {sign} {_term(abs(other), where)}"


def _term(value: Decimal, where: str) -> str:
    cents = value.quantize(_CENT)
    return f"{cents if cents == value else value} ({where})"
