"""Prefixes and actions that IAM has, from the list that cfn-lint brings, and AWS's own policies, from moto's."""

import ast
import json
import re
from collections.abc import Mapping
from fnmatch import fnmatchcase
from functools import cache
from importlib.metadata import distribution
from pathlib import Path
from typing import Any

#: Actions that IAM has a resource for and whose calls name none, so that a statement must say ``*``.
_ON_EVERYTHING = frozenset({"cloudwatch:putmetricdata"})


def services_of_iam() -> frozenset[str]:
    """Return the prefixes that an action may have."""
    return frozenset(_services())


def has_action(action: str) -> bool:
    """Return whether IAM has an action of exactly this name."""
    service, _, name = action.lower().partition(":")
    return name in _services().get(service, {}).get("Actions", {})


def has_no_resource(action: str) -> bool:
    """Return whether IAM has no resource for an action, so that a statement about it can only say ``*``."""
    service, _, name = action.lower().partition(":")
    known = _services().get(service, {}).get("Actions", {}).get(name)
    return action.lower() in _ON_EVERYTHING or (known is not None and not known.get("Resources"))


def services_of_resources(action: str) -> frozenset[str]:
    """Return the services whose resources an action can be on, as their ARNs have them; none if that is not known."""
    service, _, name = action.lower().partition(":")
    known = _services().get(service, {})
    kinds = known.get("Actions", {}).get(name, {}).get("Resources") or ()
    forms = [form for kind in kinds for form in known.get("Resources", {}).get(kind, {}).get("ARNFormats", ())]
    found = {form.split(":")[2] for form in forms if form.count(":") > 2}
    return (
        frozenset(found)
        if len(forms) >= len(kinds) and all(map(str.isalnum, (one.replace("-", "") for one in found)))
        else frozenset()
    )


#: What an ARN has behind its account, for kinds whose ARNs look alike in the list.
_FORMS = {
    ("dynamodb", "table"): r"table/[^/]*",
    ("s3", "bucket"): r"[^/]*",
    ("s3", "object"): r"[^/]*/.*",
}


def actions_on(action: str, arn: str) -> list[str]:
    """Return the actions that one with wildcards stands for on a resource, as far as IAM's list has them.

    arn  the resource's, which may have wildcards itself
    """
    service, _, name = action.lower().partition(":")
    rest = arn.split(":", 5)[5] if arn.count(":") > 4 else "*"
    is_open = re.match(r"[^/:]*[*?]", rest) is not None  # the wildcard may stand for a kind, too
    below = [f"{kind}/x" for kind in _services().get(service, {}).get("Resources", {})]
    ends = [rest.replace("*", one).replace("?", "x") for one in ("", *below, *(f"x/{one}" for one in below))]
    found = []
    for one, about in _services().get(service, {}).get("Actions", {}).items():
        forms = [form for kind in about.get("Resources") or () for form in _forms(service, kind)]
        if fnmatchcase(one, name) and (is_open or any(re.fullmatch(form, end) for form in forms for end in ends)):
            found.append(f"{service}:{one}")
    return found


def _forms(service: str, kind: str) -> list[str]:
    """Return what the ARNs of a kind of resource may have behind the account; anything where that is not known."""
    if (service, kind) in _FORMS:
        return [_FORMS[service, kind]]
    if service == "dynamodb" and kind != "global-table":
        return [rf"table/[^/]*/{kind}/.*"]
    listed = _services()[service].get("Resources", {}).get(kind, {}).get("ARNFormats", ())
    return [re.sub(r"\$\{\w+\}", ".*", one.split(":", 5)[5]) if one.count(":") > 4 else ".*" for one in listed] or [
        ".*"
    ]


@cache
def _services() -> Mapping[str, Any]:
    found = distribution("cfn-lint").locate_file("cfnlint/data/AdditionalSpecs/Policies.json")
    listed = Path(str(found))
    return dict(json.loads(listed.read_text(encoding="utf-8")))


@cache
def policies_of_aws() -> Mapping[str, Any]:
    """Return the policies of AWS's own by their names; each has its ``Document``. It is read, for moto need not run."""
    found = distribution("moto").locate_file("moto/iam/aws_managed_policies.py")
    tree = ast.parse(Path(str(found)).read_text(encoding="utf-8"))
    texts = [one.value for one in ast.walk(tree) if isinstance(one, ast.Constant) and isinstance(one.value, str)]
    return dict(json.loads(max(texts, key=len)))


#: Keys that every request of a role has.
_ALWAYS_THERE = frozenset(
    {"aws:principalarn", "aws:principalaccount", "aws:principaltype", "aws:userid", "aws:requestedregion"}
)


def holds_always(condition: Any) -> bool:
    """Return whether a statement's condition certainly holds for every request of a role, as if it were not there."""
    if not isinstance(condition, dict) or not all(isinstance(keys, dict) for keys in condition.values()):
        return not condition
    return all(_holds(operator, key, one) for operator, keys in condition.items() for key, one in keys.items())


def _holds(operator: str, key: str, value: Any) -> bool:
    values = [str(one).lower() for one in (value if isinstance(value, list) else [value])]
    name, of = operator.lower(), key.lower()
    if re.fullmatch(r"(string|arn)(like|equals)(ifexists)?", name) and name not in (
        "stringequals",
        "stringequalsifexists",
    ):
        return "*" in values and (of in _ALWAYS_THERE or name.endswith("ifexists"))
    if name == "null":
        return values == ["false"] and of in _ALWAYS_THERE
    return name in ("bool", "boolifexists") and of == "aws:securetransport" and values == ["true"]
