"""Find what was sent in a call's arguments and is not in what was read: an entry, an item, a digit. Pure."""

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import fields, is_dataclass
from typing import Any

from pydantic import AliasChoices, AliasPath, BaseModel
from pydantic_core import to_jsonable_python

from ballast.contracts.wire import MAX_WHOLE, canonical, whole
from ballast.playbook.hardened import holds

_MAX_NAME_CHARS = 80


def lost(sent: Any, read: Any, path: str = "", *, by_name: bool = False) -> str | None:
    """Return where JSON ``sent`` has what ``read``, made of it, does not have, and why; None where all of it came.

    ``by_name``: it was read by Python's names as well, also where a model does not say so.
    A value that has another shape than what was sent is a validator's work, and is not looked into.
    """
    if isinstance(sent, Mapping):
        return _lost_of_object(sent, read, path, by_name)
    if isinstance(sent, list | tuple):
        return _lost_of_list(sent, read, path, by_name)
    if _rounded(sent, read):
        return f"{path or '(whole)'}: has more digits than its number keeps"
    return None


def _lost_of_object(sent: Mapping[str, Any], read: Any, path: str, by_name: bool) -> str | None:
    where = path or "(whole)"
    if isinstance(read, Mapping):
        if len(read) < len(sent):
            return f"{where}: has names that are one once they are read, or that are dropped"
        entries = {next(iter(to_jsonable_python({key: 0}))): value for key, value in read.items()}
        inside: Iterable[tuple[str, Any]] = ((name, entries[name]) for name in sent if name in entries)
    elif isinstance(read, BaseModel) or (is_dataclass(read) and not isinstance(read, type)):
        known = dict(_names(read))
        twice = next((one for one in known.values() if len(one & set(sent)) > 1), None)
        if twice is not None:
            return f"{where}: {' and '.join(sorted(twice & set(sent)))} are one field; send one of them"
        extras = getattr(read, "__pydantic_extra__", None) or {}
        # Pydantic takes the name of an aliased field, reads nothing by it, and calls it no extra one.
        passed = next((name for name in sent if name in _unread(read, by_name) and name not in extras), None)
        if passed is not None:
            names = " or ".join(sorted(known[passed] - {passed}))
            return f"{f'{path}.{passed}'.lstrip('.')}: is not its name; send {names}"
        by_sent = {name: field for field, names in known.items() for name in names}
        inside = (
            (name, extras[name] if name in extras else getattr(read, by_sent[name], None))
            for name in sent
            if name in extras or name in by_sent
        )
    else:
        return None
    return _first(
        lost(sent[name], value, f"{path}.{whole(str(name), _MAX_NAME_CHARS)}".lstrip("."), by_name=by_name)
        for name, value in inside
    )


def _lost_of_list(sent: list[Any] | tuple[Any, ...], read: Any, path: str, by_name: bool) -> str | None:
    where = path or "(whole)"
    if isinstance(read, set | frozenset):
        if len(read) < len({canonical(one) for one in sent}):
            return f"{where}: has items that are one once they are read"
        if any(_rounded(one, item) for one in sent for item in read if item == _as_float(one)):
            return f"{where}: has more digits than its numbers keep"
        return None
    if isinstance(read, str | bytes | Mapping) or not isinstance(read, Collection) or len(read) != len(sent):
        return None
    pairs = zip(sent, read, strict=True)
    return _first(lost(one, item, f"{path}.{at}".lstrip("."), by_name=by_name) for at, (one, item) in enumerate(pairs))


def _names(read: Any) -> Iterator[tuple[str, frozenset[str]]]:
    """Yield each field with the names that it may be sent under, without those that are another field's own."""
    infos: Mapping[str, Any]
    if isinstance(read, BaseModel):
        infos = type(read).model_fields
    else:
        infos = getattr(type(read), "__pydantic_fields__", None) or dict.fromkeys(one.name for one in fields(read))
    aliases = {name: frozenset(_aliases(info)) or frozenset({name}) for name, info in infos.items()}
    for name in infos:
        others = {alias for other, names in aliases.items() if other != name for alias in names}
        yield name, aliases[name] | ({name} - others)


def _unread(read: Any, by_name: bool) -> frozenset[str]:
    """Return the names of Python's that a model's fields are not read by."""
    config = getattr(read, "model_config", None) or getattr(type(read), "__pydantic_config__", None) or {}
    if by_name or config.get("validate_by_name") or config.get("populate_by_name"):
        return frozenset()
    known = dict(_names(read))
    infos = getattr(type(read), "__pydantic_fields__", None) or {}
    aliases = {name: frozenset(_aliases(info)) for name, info in infos.items()}
    others = frozenset(alias for names in aliases.values() for alias in names)
    return frozenset(name for name in known if aliases.get(name) and name not in others)


def _aliases(info: Any) -> Iterator[str]:
    alias = getattr(info, "validation_alias", None) or getattr(info, "alias", None)
    for one in alias.choices if isinstance(alias, AliasChoices) else (alias,):
        steps = one.path if isinstance(one, AliasPath) else [one]
        if len(steps) == 1 and isinstance(steps[0], str):
            yield steps[0]


def _rounded(sent: Any, read: Any) -> bool:
    """Say whether a number was rounded when it was read; one that a validator has made another is not."""
    if type(sent) is int and type(read) is float:
        return not holds(sent) and _as_float(sent) == read
    return type(sent) is float and type(read) is int and abs(sent) > MAX_WHOLE and int(sent) == read


def _as_float(sent: Any) -> Any:
    try:
        return float(sent) if type(sent) is int else sent
    except OverflowError:
        return sent


def _first(found: Iterator[str | None]) -> str | None:
    return next((one for one in found if one is not None), None)
