"""Grounding: where each value of a call's arguments comes from, and who vouches for it. Pure.

A value marked ``Grounded`` must occur in the run; otherwise it was invented. A value that occurs only in untrusted text
is tainted, and the tool's ``taint`` says what follows. An amount that does not occur but follows from known amounts is
derived, and a person checks the derivation.

An argument without a mark needs no ground. It is still tainted if only untrusted text names it. If the run has read
untrusted text and no trusted source accounts for the argument, it may come from that text (decoded, or in other words),
and a person looks. The same holds for a run with files, whose content is not searched. ``FreeText`` marks the model's
own words.

People's words name a value without necessarily meaning it: "O-1002 must not be touched". A value is ``words_only``, and
another person sees the words, if words alone name it and others named it too, or if only a colleague's words do.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import field, replace
from decimal import Decimal
from typing import Any, Literal

from pydantic import BaseModel

from ballast.validation.amounts import KnownAmounts
from ballast.validation.index import Group
from ballast.validation.marks import FieldValue, FreeText, Grounded, Sensitive, is_default, leaves, leaves_with_defaults
from ballast.validation.sources import Source
from ballast.validation.taint import TextsRead, wanted_of
from ballast.validation.values import Leaf, SearchValue
from ballast.values import dataclass

#: What happens to a call with values that only untrusted text names: a person decides, it is refused, or it is allowed.
Taint = Literal["approve", "refuse", "allow"]
#: Sources whose plain numbers may be added to an amount: "raise my rent by 100".
_PEOPLES = ("request", "requester", "person")
#: A colleague's words: naming a value does not approve it.
_PERSON = "person"
#: The most characters of a quote.
_QUOTED = 200


@dataclass(frozen=True)
class WordsOnly:
    """The words that name a value, if only words do.

    where     who said them: ``person`` or ``requester``
    quote     the words; "" if they may not be shown
    disputed  whether others have named the value as well
    """

    where: str
    quote: str
    disputed: bool


@dataclass(frozen=True)
class Grounding:
    """Where each value comes from, by the path of its field.

    known       from a trusted source: the path and the source
    tainted     from untrusted text only: the path and the source
    derived     an amount that does not occur: the path and how it follows from known ones
    ungrounded  from nowhere
    unvouched   arguments without a mark that nothing trusted accounts for, after untrusted text was read
    words_only  from words alone, if they may be a "no" or are a colleague's; a value with a mark is in ``known``, too
    files       whether the run has files, from which an ``unvouched`` argument may come
    only_files  whether it has files and has read no other untrusted text
    """

    known: Mapping[str, str] = field(default_factory=dict)
    tainted: Mapping[str, str] = field(default_factory=dict)
    ungrounded: tuple[str, ...] = ()
    derived: Mapping[str, str] = field(default_factory=dict)
    unvouched: tuple[str, ...] = ()
    words_only: Mapping[str, WordsOnly] = field(default_factory=dict)
    files: bool = False
    only_files: bool = False


def ground(
    args: BaseModel,
    opening: Sequence[Source],
    run: Callable[[], Sequence[Source]],
    *,
    unmarked: bool = False,
) -> Grounding:
    """Find the source of each marked value of ``args``.

    ``run`` is called only if the opening does not settle it: most values are in the request. With ``unmarked``,
    arguments without a mark are checked against untrusted text as well.
    """
    marked = [found for found in leaves(type(args), args, Grounded) if found.mark is not None]
    blank = tuple(found.path for found in marked if _is_blank(found.value) and not _may_be_empty(found))
    marked = [found for found in marked if not _is_blank(found.value)]
    trusted_opening = Group(source for source in opening if source.trusted)
    plain = _unmarked(args) if unmarked else []
    plain = [found for found in plain if found.in_list or not trusted_opening.names(wanted_of(found))]
    known: dict[str, str] = {}
    left: list[FieldValue] = []
    for found in marked:
        origin = _origin(wanted_of(found), trusted_opening)
        if origin is None:
            left.append(found)
        else:
            known[found.path] = origin
    if not left and not plain:
        return Grounding(known=known, ungrounded=blank)
    everything = [*opening, *run()]
    secret = {one.path for one in leaves(type(args), args, Sensitive) if one.mark is not None}
    sought = _Search(everything, secret)
    for found in plain:
        sought.check_against_untrusted(found)
    sought.check_all_against_untrusted(args, plain)
    for found in left:
        sought.seek(found)
    return Grounding(
        known | sought.known,
        sought.tainted,
        (*blank, *sought.ungrounded),
        sought.derived,
        tuple(sought.unvouched),
        sought.words_only,
        sought.files,
        sought.only_files,
    )


class _Search:
    """The search for the sources of values that the opening does not name.

    A colleague's words are considered last: values that they alone account for are ``words_only``.
    """

    def __init__(self, sources: Sequence[Source], secret: set[str]) -> None:
        self._sources, self._secret = sources, secret
        self._firm = Group(source for source in sources if source.trusted and not source.words)
        self._worded = Group(source for source in sources if source.trusted and source.words)
        self._untrusted = Group(source for source in sources if not (source.trusted or source.file))
        self._trusted = Group(source for source in sources if source.trusted)
        self._amounts: dict[bool, KnownAmounts] = {}
        self._taken = self._texts_read = self._with_words_trusted = TextsRead(sources)
        if self._worded:
            self._texts_read = TextsRead(
                one for one in sources if not (one.words and one.trusted) or one.where != _PERSON
            )
            # Here people's words count as trusted.
            self._with_words_trusted = TextsRead(replace(source, words=False) for source in sources)
        self.files = self._taken.files
        self.only_files = self.files and not self._untrusted
        self.known: dict[str, str] = {}
        self.tainted: dict[str, str] = {}
        self.derived: dict[str, str] = {}
        self.ungrounded: dict[str, None] = {}
        self.unvouched: dict[str, None] = {}
        self.words_only: dict[str, WordsOnly] = {}

    def check_against_untrusted(self, found: FieldValue) -> None:
        """Classify an argument without a mark that untrusted text names, alone or with people's words."""
        where = _taints(found, self._untrusted, self._texts_read)
        if where is None:
            return
        if _taints(found, self._untrusted, self._with_words_trusted) is None:
            self._note_words_only(found, disputed=True)
        else:
            self.tainted[found.path] = where

    def check_all_against_untrusted(self, args: BaseModel, plain: Sequence[FieldValue]) -> None:
        """Find the arguments without a mark that may come from untrusted text."""
        missing = [one for one in _unvouched(args, plain, self._texts_read) if one.path not in self.tainted]
        if not missing:
            return
        unsaid = {one.path for one in _unvouched(args, plain, self._with_words_trusted)}
        for found in missing:
            if found.path in self.words_only:
                continue
            self.unvouched[found.path] = None
            if found.path not in unsaid:
                self._note_words_only(found, disputed=not self._taken.settles(wanted_of(found)))

    def seek(self, found: FieldValue) -> None:
        path, wanted = found.path, wanted_of(found)
        if (origin := _origin(wanted, self._firm)) is not None:
            self.known[path] = origin
            return
        if (origin := _origin(wanted, self._worded)) is not None:
            self.known[path] = origin
            self._note_if_words_only(found)
            return
        named = _origin(wanted, self._untrusted, loose=True)
        how = self._derived(wanted, path, trusted_only=True)
        if how is None and named is None and (how := self._derived(wanted, path, trusted_only=False)) is not None:
            named = "computed from it"
        if named is not None:
            self.tainted[path] = named
        if how is not None:
            self.derived[path] = how
        if named is None and how is None:
            self.ungrounded[path] = None

    def _note_if_words_only(self, found: FieldValue) -> None:
        """Note that only words name a marked value, unless the requester's words settle it."""
        wanted = wanted_of(found)
        if not self._texts_read.settles(wanted):
            self._note_words_only(found, disputed=not self._taken.settles(wanted))

    def _note_words_only(self, found: FieldValue, *, disputed: bool) -> None:
        wanted = wanted_of(found)
        # An argument combined from several words shows the newest ones.
        holding = [*self._worded.naming(wanted, loose=True)] or [*self._worded][-1:]
        source = next((one for one in holding if one.where == _PERSON), holding[0])
        at = next(source.index.holding(wanted, loose=True), 0)
        leaf = source.leaves[at] if source.leaves else Leaf("")
        quote = "" if found.path in self._secret else " ".join(str(leaf.value).split())
        quote = quote if len(quote) <= _QUOTED else f"{quote[:_QUOTED]}…"
        self.words_only[found.path] = WordsOnly(source.where, quote, disputed)

    def _derived(self, wanted: SearchValue, path: str, *, trusted_only: bool) -> str | None:
        if wanted.amount is None:
            return None
        if trusted_only not in self._amounts:
            sources = [source for source in self._sources if source.trusted or not trusted_only]
            self._amounts[trusted_only] = known_amounts(sources)
        how = self._amounts[trusted_only].derive(wanted.amount) or _bare(wanted, wanted.amount, self._trusted)
        return "it follows from known amounts" if how and path in self._secret else how


def known_amounts(sources: Iterable[Source]) -> KnownAmounts:
    """Return the amounts and percentages of these sources."""
    amounts: dict[Decimal, str] = {}
    percents: dict[Decimal, str] = {}
    numbers: dict[Decimal, str] = {}
    for source in sources:
        for leaf in source.leaves:
            for value in leaf.possible_amounts:
                if source.is_new(value):
                    amounts.setdefault(abs(value), source.where)
            for percent in leaf.percentages:
                percents.setdefault(percent, source.where)
            if source.where in _PEOPLES:
                numbers |= {value: source.where for value in leaf.numbers if value > 0}
    return KnownAmounts({value: where for value, where in amounts.items() if value}, percents, numbers)


def _bare(wanted: SearchValue, value: Decimal, trusted: Group[Source]) -> str | None:
    where = _origin(wanted, trusted, loose=True)
    return None if where is None else f"{value} stands in {where}, but not as an amount of money"


def _unmarked(args: BaseModel) -> list[FieldValue]:
    """Return the values that are neither ``Grounded`` nor ``FreeText``, and free text with ``quotes=False``."""
    grounded, free = leaves_with_defaults(type(args), args, Grounded), leaves_with_defaults(type(args), args, FreeText)
    both = zip(grounded, free, strict=True)
    return [
        said
        for found, said in both
        if found.mark is None
        and not _is_blank(found.value)
        and not (isinstance(said.mark, FreeText) and said.mark.quotes)
    ]


def _taints(found: FieldValue, untrusted: Group[Source], texts_read: TextsRead) -> str | None:
    taints = (
        texts_read.quotes_untrusted(str(found.value))
        if isinstance(found.mark, FreeText)
        else texts_read.only_untrusted_names(found)
    )
    if not taints:
        return None
    return _origin(wanted_of(found), untrusted, loose=True) or next(one.where for one in untrusted)


def _unvouched(args: BaseModel, plain: Sequence[FieldValue], texts_read: TextsRead) -> list[FieldValue]:
    """Return the arguments without a mark that no trusted source accounts for; 0 and 1 do not count.

    Free text that may not quote is one of them, if it may quote a file.
    """
    given = [found for found in plain if not found.chosen and not is_default(type(args), found)]
    missing = texts_read.unaccounted(found for found in given if not isinstance(found.mark, FreeText))
    quotes = [one for one in given if isinstance(one.mark, FreeText) and texts_read.may_quote_a_file(str(one.value))]
    return [*(found for found in missing if found.in_list or found.value not in (0, 1)), *quotes]


def _origin(wanted: SearchValue, sources: Group[Source], *, loose: bool = False) -> str | None:
    return next((source.where for source in sources.naming(wanted, loose=loose)), None)


def _may_be_empty(found: FieldValue) -> bool:
    return isinstance(found.mark, Grounded) and found.mark.may_be_empty and found.value == ""


def _is_blank(value: Any) -> bool:
    """Return whether a value is blank: an empty text names nothing, and is in every text."""
    return not str(value).strip()
