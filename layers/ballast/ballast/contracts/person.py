"""Whether two recorded identities may be one person. Pure."""

from collections.abc import Iterable

#: Of a role that several share; what follows it is the session's name.
_SHARED = (":assumed-role/", ":federated-user")


def same_person(one: str, other: str) -> bool:
    """Whether two identities are one person, or may be.

    Of a role the name of the session is recorded or not, as ``IamPersonPattern`` has it (an older version always
    recorded it). Where only one of the two has it, nobody can tell its bearer from the other: they are one.
    """
    short, long = sorted((one, other), key=len)
    return short == long or (any(shared in short for shared in _SHARED) and long.startswith(f"{short}/"))


def how_many(people: Iterable[str]) -> int:
    """Return how many different people these are at least."""
    found: list[str] = []
    for one in sorted(set(people), key=len):
        if not any(same_person(one, known) for known in found):
            found.append(one)
    return len(found)
