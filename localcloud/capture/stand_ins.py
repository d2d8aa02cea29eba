"""Stand-ins for sealed and personal values: of the same form, and the same one for the same value. Pure.

::

    *****  in a field `card`           4000 0000 0000 0002      by the field's name and schema: its form is sealed
    jane.roe@acme.com                  person1@example.com      two spellings of one value: one stand-in
    DE89 3704 0044 0532 0130 00        DE36 9000 0000 0000 0001 00, with valid check digits, grouped as it was
    dana@example.com, +1 555 0100      stay: they are nobody's

A masked value has no identity in a record, so fields whose names end in the same words (`email`, `customer_email`) get
one stand-in.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

from ballast.contracts.wire import canonical
from ballast.masking import MASK
from localcloud.capture.personal import Personal, country_of, iban_check, luhn, personal_in, spelled

#: Domains that nobody can have (RFC 2606, RFC 6761).
_NOBODYS = re.compile(r"(?i)(?:^|\.)(?:example(?:\.(?:com|net|org))?|test|invalid|localhost|local)$")
_FIRST_WORDS = re.compile(r"[A-Za-z]+")
#: Test numbers of the card networks, and stand-ins: nobody's.
_TEST_CARDS = ("4111111111111111", "4242424242424242", "5555555555554444", "378282246310005")


def card(number: int, length: int = 16, first: str = "4") -> str:
    """Return a card number of nobody's, with a valid check digit."""
    body = f"{first}{'0' * (length - 2 - len(str(number)))}{number}"
    return f"{body}{luhn(body)}"


def iban(number: int, country: str = "DE", length: int = 22) -> str:
    """Return an IBAN with valid check digits."""
    account = f"9{'0' * (length - 7)}{number:02d}"[: length - 4]
    return f"{country}{iban_check(country, account)}{account}"


#: What a field's name says about its value: the words, and the stand-in for the n-th such value.
_BY_NAME: tuple[tuple[re.Pattern[str], Callable[[int], Any]], ...] = tuple(
    (re.compile(rf"(?i)(?:^|_)(?:{words})s?(?:$|_)"), make)
    for words, make in (
        ("e_?mail|mail", lambda n: f"person{n}@example.com"),
        ("iban|bank_account", iban),
        ("card|pan|card_number|credit_card", card),
        ("phone|mobile|tel|telephone|fax", lambda n: f"+1555010{n:04d}"),
        ("birth|birthday|dob|date_of_birth|born", lambda n: f"1990-01-{n % 28 + 1:02d}"),
        ("postal_code|zip|zip_code|postcode", lambda n: f"{n:05d}"),
        ("ssn|social_security", lambda n: f"900-00-{n:04d}"),
        ("street|address", lambda n: f"{n} Example Street"),
        ("city|town", lambda n: "Exampleton"),
        ("country", lambda n: "US"),
        ("cvc|cvv", lambda n: f"{n:03d}"),
        ("amount|price|salary|income|balance", lambda n: f"{n}.00"),
        ("name|first_name|last_name|surname", lambda n: f"Person {n}"),
    )
)

_PHONES = re.compile(r"(?:^|_)(?:phone|mobile|tel|telephone|fax)s?(?:$|_)")

#: The schema of a field: from (tool or "", the field's path) to it, or None.
SchemaOf = Callable[[str, tuple[str, ...]], Mapping[str, Any] | None]


class StandIns:
    """Stand-ins of one run. ``replaced`` maps what each stands for, in words, to the stand-in: for the report."""

    def __init__(self, schema_of: SchemaOf = lambda _tool, _path: None) -> None:
        self._schema_of = schema_of
        self._by_name: dict[str, Any] = {}
        self._by_field: dict[tuple[str, tuple[str, ...]], Any] = {}
        self._by_value: dict[str, str] = {}
        self._counts: dict[str, int] = {}
        self.replaced: dict[str, str] = {}

    def of(self, value: Any, path: tuple[str, ...] = (), tool: str = "") -> Any:
        """Return ``value`` with stand-ins at any depth. ``tool``: whose arguments or result it is."""
        self._learn(value, path, tool, with_schema=True)
        self._learn(value, path, tool, with_schema=False)
        return self._of(value, path, tool)

    def of_typed(self, text: str) -> tuple[str, bool]:
        """Return what a user typed with stand-ins, and whether it has a personal value that was not met before."""
        known = len(self.replaced)
        return self._text(text), len(self.replaced) > known

    def hidden(self, value: Any) -> Any:
        """Return ``value`` with a mask for each stand-in, at any depth: to compare a record with a play of its case.

        What is sealed is a stand-in in the record's reading and a mask in the play's log, and both may be in a text.
        """
        if isinstance(value, Mapping):
            return {name: self.hidden(inner) for name, inner in value.items()}
        if isinstance(value, list | tuple):
            return [self.hidden(inner) for inner in value]
        if isinstance(value, str):
            words = sorted({one for one in self._made if isinstance(one, str) and one}, key=len, reverse=True)
            form = "|".join(map(re.escape, words))
            return re.sub(rf"(?<!\w)(?:{form})(?!\w)", lambda _found: MASK, value) if form else value
        return MASK if any(type(one) is type(value) and one == value for one in self._made) else value

    def hides(self, value: Any) -> bool:
        """Whether a value is, or has in it, a mask or a stand-in."""
        return MASK in canonical(self.hidden(value))

    @property
    def _made(self) -> list[Any]:
        return [*self._by_field.values(), *self._by_value.values()]

    def _learn(self, value: Any, path: tuple[str, ...], tool: str, *, with_schema: bool) -> None:
        """Choose the stand-ins of masked fields before those of masked words in texts; first those with a schema."""
        if isinstance(value, Mapping):
            inner_tool = value["tool"] if isinstance(value.get("tool"), str) else tool
            for name, inner in value.items():
                within = () if _begins(name, inner) else (*path, str(name))
                self._learn(inner, within, inner_tool, with_schema=with_schema)
        elif isinstance(value, list | tuple):
            for inner in value:
                self._learn(inner, path, tool, with_schema=with_schema)
        elif value == MASK and with_schema == (self._schema_of(tool, path) is not None):
            self._of_field(path, tool)

    def _of(self, value: Any, path: tuple[str, ...], tool: str) -> Any:
        if isinstance(value, Mapping):
            inner_tool = value["tool"] if isinstance(value.get("tool"), str) else tool
            return {
                self._text(str(name)): self._of(inner, () if _begins(name, inner) else (*path, str(name)), inner_tool)
                for name, inner in value.items()
            }
        if isinstance(value, list | tuple):
            return [self._of(inner, path, tool) for inner in value]
        if value == MASK:
            return self._of_field(path, tool)
        if type(value) is int:
            return self._number(value, path[-1] if path else "")
        return self._text(value) if isinstance(value, str) else value

    def _number(self, value: int, name: str) -> int:
        """Return the stand-in of a number that is a card's, or by its field's name a phone's; else the number."""
        begins = "+" if _PHONES.search(_words_of(name)) else f"{_words_of(name)} "
        made = self._text(f"{begins}{value}").removeprefix(begins)
        return int(made) if made.isdigit() and len(made) == len(str(value)) else value

    def _of_field(self, path: tuple[str, ...], tool: str) -> Any:
        name = _words_of(path[-1] if path else "value")
        if (tool, path) in self._by_field:
            return self._by_field[tool, path]
        made = self._by_field[tool, path] = self._chosen(name, self._schema_of(tool, path) or {})
        self._by_name.setdefault(name, made)
        self.replaced[f"sealed {name}"] = str(made)
        return made

    def _chosen(self, name: str, schema: Mapping[str, Any]) -> Any:
        known = next((one for one in self._by_name if _same_words(one, name)), None)
        if known is not None and _fits(self._by_name[known], schema):
            return self._by_name[known]
        made = _of_schema(schema)
        if made is None:
            made = next((make(self._next(form.pattern)) for form, make in _BY_NAME if form.search(name)), None)
        if made is None or not _fits(made, schema):
            made = _of_pattern(schema)
        if made is None:
            made = _of_type(schema, self._next("value"))
        return made

    def _text(self, text: str) -> str:
        while MASK in text:
            text = text.replace(MASK, str(self._of_words(text.partition(MASK)[0])), 1)
        make = {"e-mail": self._email, "IBAN": self._iban, "card": self._card, "phone": self._phone}
        parts, at = [], 0
        for found in personal_in(text):
            made = make[found.kind](found)
            if made is not None:
                parts += [text[at : found.start], made]
                at = found.end
        return "".join([*parts, text[at:]])

    def _of_words(self, before: str) -> Any:
        """Return the stand-in of a masked word, by the last word before it that names a sealed field."""
        for word in reversed(_FIRST_WORDS.findall(before.lower())[-6:]):
            for name, made in self._by_name.items():
                if word in name.split("_"):
                    return made
        return next(iter(self._by_name.values())) if len(self._by_name) == 1 else "sealed-value"

    def _next(self, kind: str) -> int:
        self._counts[kind] = self._counts.get(kind, 0) + 1
        return self._counts[kind]

    def _kept(self, kind: str, value: str, make: Callable[[int], str]) -> str:
        if value not in self._by_value:
            self._by_value[value] = make(self._next(kind))
            self.replaced[f"{kind} {self._next('shown')}"] = self._by_value[value]
        return self._by_value[value]

    def _email(self, found: Personal) -> str | None:
        if _NOBODYS.search(found.value.rpartition("@")[2]):
            return None
        return self._kept("e-mail", found.value, lambda number: f"person{number}@example.com")

    def _card(self, found: Personal) -> str | None:
        digits = found.value
        if digits in _TEST_CARDS or digits[1:-4].strip("0") == "":
            return None
        made = self._kept("card", digits, lambda number: card(number, len(digits), digits[0]))
        return spelled(found.shown, made)

    def _iban(self, found: Personal) -> str | None:
        whole = found.value
        if whole[5:-3].strip("0") == "":
            return None
        return spelled(found.shown, self._kept("IBAN", whole, lambda number: iban(number, whole[:2], len(whole))))

    def _phone(self, found: Personal) -> str | None:
        digits = found.value
        if digits.startswith("15550"):
            return None
        code = country_of(digits)
        # Behind a country's code no number begins with zeros, and the country stays: a rule may go by it.
        begins = "155501" if code == "1" else code
        made = self._kept("phone", digits, lambda number: f"{begins}{number:0{len(digits) - len(begins)}d}")
        zeros = "00" if found.shown.startswith("00") else ""
        return spelled(found.shown.replace("(0)", ""), f"{zeros}{made}")


def _words_of(name: str) -> str:
    """Return a field's name in lower case, its words apart by ``_``."""
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name).lower()


def _begins(name: Any, inner: Any) -> bool:
    """Whether the paths of fields begin anew below this name: at arguments, results and contexts."""
    return name in ("arguments", "result", "context") and isinstance(inner, Mapping)


def _same_words(one: str, other: str) -> bool:
    ours, theirs = one.split("_"), other.split("_")
    shorter = min(len(ours), len(theirs))
    return ours[-shorter:] == theirs[-shorter:]


def _of_schema(schema: Mapping[str, Any]) -> Any:
    if "const" in schema:
        return schema["const"]
    return next((schema[name][0] for name in ("enum", "examples") if schema.get(name)), None)


def _of_pattern(schema: Mapping[str, Any]) -> Any:
    """Return the first stand-in of a known form that fits a field's pattern, whatever its name; None if none does.

    The pattern may be the defect. So one with an ``@`` in it is of an e-mail address, also where none fits.
    """
    if not isinstance(schema.get("pattern"), str):
        return None
    forms = [make(1) for _, make in _BY_NAME]
    return next((one for one in forms if _fits(one, schema)), forms[0] if "@" in schema["pattern"] else None)


def _of_type(schema: Mapping[str, Any], number: int) -> Any:
    kind = schema.get("type")
    if kind in ("integer", "number"):
        return int(schema.get("minimum", schema.get("exclusiveMinimum", number - 1) + 1))
    if kind == "boolean":
        return True
    formats = {"email": f"person{number}@example.com", "date": "1990-01-01", "date-time": "1990-01-01T00:00:00Z"}
    formats |= {"uuid": f"00000000-0000-4000-8000-{number:012d}", "uri": "https://example.com/"}
    made = formats.get(str(schema.get("format")), f"sealed-{number}")
    most, least = schema.get("maxLength"), schema.get("minLength", 0)
    return made[:most].ljust(least, "0")


def _fits(made: Any, schema: Mapping[str, Any]) -> bool:
    kind, pattern = schema.get("type"), schema.get("pattern")
    if kind in ("integer", "number"):
        return isinstance(made, int) and not isinstance(made, bool)
    if kind == "boolean":
        return isinstance(made, bool)
    if isinstance(made, str) and isinstance(pattern, str):
        try:
            if re.search(pattern, made) is None:
                return False
        except re.error:
            return True
    if isinstance(made, str):
        return bool(schema.get("minLength", 0) <= len(made) <= schema.get("maxLength", len(made)))
    return not schema or kind is None
