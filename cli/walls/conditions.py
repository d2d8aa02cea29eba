"""Conditions of statements, once their sides are settled: whether they say who may, from where, or on which key."""

import re
from collections.abc import Iterator, Mapping
from typing import Any

from cli.walls.arns import texts
from cli.walls.rights import parts

#: Keys that say who asks, or from where. Others, such as ``aws:SecureTransport``, anybody can fulfil.
_WHO = re.compile(
    r"aws:(principal|source|vpc|ec2instancesource|userid|username|federated)|[\w.-]+:(aud|oaud|sub|amr|iss)$"
    r"|kms:calleraccount|s3:dataaccesspoint|sns:endpoint|saml:|lambda:(eventsourcetoken|functionurlauthtype)"
    r"|elasticfilesystem:access|vpc-lattice-svcs:source",
    re.IGNORECASE,
)
#: A value that says it in the place of its key: the resource's account is the caller's.
_OF_WHO = re.compile(r"\$\{!?aws:(principal|source)", re.IGNORECASE)
#: What matches everybody, with wildcards or as a network.
_ANYBODY = re.compile(
    r"(o-|r-)?[*?]+|arn:[\w*?-]*:[\w*?-]*:[*?]*:[*?]*:[*?]+|arn:[\w*?-]*:(iam|sts)::[*?]*:(root|\w+/[*?]+)"
    r"|(0\.0\.0\.0|::)/0"
)


def names_who(condition: Any) -> bool:
    """Say whether a condition leaves out anybody by who they are or where from; what cannot be read may do so."""
    if not _is_readable(condition):
        return bool(condition)
    present = {key.lower() for how, key, value in _tests(condition) if how == "null" and "false" in _written(value)}
    for how, key, value in _tests(condition):
        plain = how.removeprefix("foranyvalue:").removeprefix("forallvalues:").removesuffix("ifexists")
        true_without_it = how.startswith("forallvalues:") or how.endswith("ifexists")
        if plain == "null" or "not" in plain or (true_without_it and key.lower() not in present):
            continue
        if _is_some(plain, key, value):
            return True
    return False


def shuts_out_others(condition: Any) -> bool:
    """Say whether a denial's condition is true of all but some, whom it says by who they are or where from."""
    if not _is_readable(condition):
        return bool(condition)
    return any("not" in how and _is_some(how.replace("not", ""), key, value) for how, key, value in _tests(condition))


def names_the_key(condition: Any) -> bool:
    """Say whether a condition says by an alias which key of KMS is meant: none of the platform's has one."""
    for how, key, value in _tests(condition) if _is_readable(condition) else ():
        if re.fullmatch(r"(foranyvalue:)?string(equals|like)", how):
            aliases = _written(value) if key.lower() in ("kms:resourcealiases", "kms:requestalias") else []
            if aliases and all(re.match(r"alias/[^*?]", one) for one in aliases):
                return True
    return False


def _is_readable(condition: Any) -> bool:
    return isinstance(condition, dict) and not any(one.startswith("Fn::") for one in condition)


def _tests(condition: Mapping[str, Any]) -> Iterator[tuple[str, str, Any]]:
    """Yield each test: the operator in small letters, the key, and what it is compared with."""
    for operator, tested in condition.items():
        for key, value in tested.items() if isinstance(tested, dict) else ():
            yield operator.lower(), key, value


def _written(value: Any) -> list[str]:
    every = [str(one).lower() if isinstance(one, bool) else one for one in parts(value)]
    return [text for one in every for text in texts(one)]


def _is_some(operator: str, key: str, value: Any) -> bool:
    """Say whether a test of a key is true of some callers alone."""
    written = _written(value)
    if not _WHO.match(key):
        return bool(written) and all(_OF_WHO.search(one) for one in written)
    if key.lower() == "lambda:functionurlauthtype":
        return "NONE" not in written
    if operator == "bool":
        return "false" not in written
    if operator.startswith("string") and "like" not in operator:  # it has no wildcards
        return True
    return not any(_ANYBODY.fullmatch(one) for one in written)
