"""Prefixes and actions that IAM has, from the list that cfn-lint brings."""

import json
from collections.abc import Mapping
from functools import cache
from importlib.metadata import distribution
from pathlib import Path
from typing import Any

#: Actions that IAM has a resource for and whose calls name none, so that a statement must say ``*``.
_ON_EVERYTHING = frozenset({"cloudwatch:putmetricdata"})


def services_of_iam() -> frozenset[str]:
    """Return the prefixes that an action may have."""
    return frozenset(_services())


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


@cache
def _services() -> Mapping[str, Any]:
    found = distribution("cfn-lint").locate_file("cfnlint/data/AdditionalSpecs/Policies.json")
    listed = Path(str(found))
    return dict(json.loads(listed.read_text(encoding="utf-8")))
