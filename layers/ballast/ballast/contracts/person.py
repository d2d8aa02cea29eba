"""Compare recorded identities: two of them may be one person. Pure."""

from collections.abc import Iterable

#: Parts of an ARN of a shared role; the session's name follows them.
_SHARED = (":assumed-role/", ":federated-user")


def same_person(one: str, other: str) -> bool:
    """Return whether two identities are, or may be, one person.

    ``IamPersonPattern`` decides whether a role's session name is recorded (an older version always recorded it). If
    only one of the two has a session name, they cannot be told apart and count as one person.
    """
    short, long = sorted((one, other), key=len)
    return short == long or (any(shared in short for shared in _SHARED) and long.startswith(f"{short}/"))


def how_many(people: Iterable[str]) -> int:
    """Return the least number of different people behind these identities."""
    found: list[str] = []
    for one in sorted(set(people), key=len):
        if not any(same_person(one, known) for known in found):
            found.append(one)
    return len(found)
