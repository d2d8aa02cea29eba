"""The template's ``Rules``: what CloudFormation holds parameters to together, before it makes anything. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def broken(template: Mapping[str, Any], parameters: Mapping[str, str]) -> list[str]:
    """Return what the rules of ``template`` say against ``parameters``; what is not given has its default."""
    known = {name: str(one["Default"]) for name, one in template.get("Parameters", {}).items() if "Default" in one}
    known |= parameters
    return [
        f"{name}: {assertion.get('AssertDescription', 'does not hold.')}"
        for name, rule in template.get("Rules", {}).items()
        if "RuleCondition" not in rule or _holds(rule["RuleCondition"], known)
        for assertion in rule["Assertions"]
        if not _holds(assertion["Assert"], known)
    ]


def _holds(condition: Any, known: Mapping[str, str]) -> bool:
    ((function, parts),) = condition.items()
    if function == "Fn::Equals":
        first, second = (_value(part, known) for part in parts)
        return bool(first == second)
    if function == "Fn::Contains":
        return _value(parts[1], known) in [_value(part, known) for part in parts[0]]
    if function == "Fn::Not":
        return not _holds(parts[0], known)
    if function in ("Fn::And", "Fn::Or"):
        return (all if function == "Fn::And" else any)(_holds(part, known) for part in parts)
    raise NotImplementedError(f"{function} in a rule of the template is not played here")


def _value(part: Any, known: Mapping[str, str]) -> Any:
    return known[part["Ref"]] if isinstance(part, dict) else part
