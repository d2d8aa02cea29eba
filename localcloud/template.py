"""``template.yaml`` as CloudFormation: what ``sam deploy`` would send, with local files resolved first."""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

import yaml

from localcloud.sessions import REGION, core_session

#: Where code is said to be. Nothing is put there: handlers are imported from the working tree.
_NOWHERE = "s3://ballast-local/not-uploaded.zip"
_IN_SUB = re.compile(r"\$\{([A-Za-z0-9:.]+)\}")
_SUBSTITUTION = re.compile(r"\$\{([A-Za-z0-9_]+)\}")


class TemplateInvalid(Exception):
    """The template cannot be deployed; the text names the file, the resource and the remedy."""


class _Loader(yaml.CSafeLoader if hasattr(yaml, "CSafeLoader") else yaml.SafeLoader):  # type: ignore[misc]
    """YAML with CloudFormation's short forms (``!Ref``, ``!GetAtt``, ``!Sub``, …)."""


def _short_form(loader: Any, suffix: str, node: yaml.Node) -> dict[str, Any]:
    if isinstance(node, yaml.ScalarNode):
        value: Any = loader.construct_scalar(node)
        if suffix == "GetAtt":
            value = value.split(".", 1)
    elif isinstance(node, yaml.SequenceNode):
        value = loader.construct_sequence(node, deep=True)
    else:
        value = loader.construct_mapping(node, deep=True)
    return {suffix if suffix in ("Ref", "Condition") else f"Fn::{suffix}": value}


_Loader.add_multi_constructor("!", _short_form)


def load_template(path: Path) -> dict[str, Any]:
    """Return the SAM template in ``path`` with its nested stacks' resources in it, or raise ``TemplateInvalid``."""
    document = _yaml(path)
    if not isinstance(document.get("Resources"), dict):
        raise TemplateInvalid(f"{path}: has no Resources.")
    return with_nested_stacks(document, path.parent)


def with_nested_stacks(template: dict[str, Any], folder: Path) -> dict[str, Any]:
    """Return ``template`` with each nested stack of a local file replaced by that file's resources.

    A stack is a boundary of names: a nested template sees only its own parameters, and only its outputs are seen. Both
    are resolved here, so that one stack has what CloudFormation makes of two. Raises ``TemplateInvalid``.
    """
    stacks = {
        name: found["Properties"]
        for name, found in template["Resources"].items()
        if found.get("Type") == "AWS::CloudFormation::Stack" and "://" not in found["Properties"]["TemplateURL"]
    }
    for name, stack in stacks.items():
        file = folder / stack["TemplateURL"]
        given = stack.get("Parameters", {})
        nested = _yaml(file)
        declared = nested.get("Parameters", {})
        if unknown := given.keys() - declared.keys():
            raise TemplateInvalid(f"{name}: {file} has no parameter {', '.join(sorted(unknown))}.")
        values = {key: given.get(key, one.get("Default")) for key, one in declared.items()}
        if missing := [key for key, value in values.items() if value is None]:
            raise TemplateInvalid(f"{name}: give {file} its parameter {', '.join(missing)}.")
        own = {*values, *nested["Resources"]}
        if foreign := sorted(_referred_to(nested["Resources"]) - own):
            raise TemplateInvalid(f"{file}: has no {', '.join(foreign)}. Pass it in as a parameter.")
        nested = _replaced(nested, {("Ref", key): value for key, value in values.items()})
        outputs = {
            ("Fn::GetAtt", f"{name}.Outputs.{key}"): one["Value"] for key, one in nested.get("Outputs", {}).items()
        }
        rest = {key: one for key, one in template["Resources"].items() if key != name}
        template = _replaced({**template, "Resources": rest}, outputs)
        if name in _referred_to([template["Resources"], template.get("Outputs", {})]):
            known = ", ".join(nested.get("Outputs", {})) or "none"
            raise TemplateInvalid(f"{name}: is referred to by an output that {file} does not have. It has: {known}.")
        for section in ("Conditions", "Resources"):
            ours, theirs = template.get(section, {}), nested.get(section, {})
            if clash := sorted(key for key in ours.keys() & theirs.keys() if ours[key] != theirs[key]):
                raise TemplateInvalid(
                    f"{file}: {', '.join(clash)} is something else in the template around it. Rename it."
                )
            template = {**template, section: {**ours, **theirs}}
    return template


def _referred_to(value: Any) -> set[str]:
    """Return the names that ``value`` refers to, without pseudo parameters."""
    if isinstance(value, list):
        return set().union(*map(_referred_to, value))
    if not isinstance(value, dict):
        return set()
    found = set().union(*map(_referred_to, value.values()))
    for key, part in value.items():
        if key == "Ref":
            found.add(str(part))
        elif key == "Fn::GetAtt":
            found.add((part if isinstance(part, str) else part[0]).partition(".")[0])
        elif key == "Fn::Sub" and isinstance(part, str):
            found |= {name.partition(".")[0] for name in _IN_SUB.findall(part)}
    return {name for name in found if not name.startswith("AWS::")}


def _replaced(value: Any, by: Mapping[tuple[str, str], Any]) -> Any:
    """Return ``value`` with what it refers to replaced, also within ``Fn::Sub``."""
    if isinstance(value, list):
        return [_replaced(part, by) for part in value]
    if not isinstance(value, dict):
        return value
    match list(value.items()):
        case [("Ref" | "Fn::GetAtt" as kind, named)]:
            key = (kind, named if isinstance(named, str) else ".".join(named))
            return by.get(key, value)
        case [("Fn::Sub", str(text))]:
            for (_, name), to in by.items():
                text = text.replace(f"${{{name}}}", _in_sub(to))
            return {"Fn::Sub": text}
    return {key: _replaced(part, by) for key, part in value.items()}


def _in_sub(value: Any) -> str:
    """Return a text, a number, a ``Ref`` or an ``Fn::GetAtt`` as ``Fn::Sub`` has it."""
    match value:
        case {"Ref": name}:
            return f"${{{name}}}"
        case {"Fn::GetAtt": named}:
            return f"${{{named if isinstance(named, str) else '.'.join(named)}}}"
    return str(value)


def _yaml(path: Path) -> dict[str, Any]:
    try:
        document = yaml.load(path.read_text(encoding="utf-8"), Loader=_Loader)  # noqa: S506 - a safe loader
    except OSError as problem:
        raise TemplateInvalid(f"{path}: cannot be read: {problem.strerror}.") from None
    except yaml.YAMLError as problem:
        raise TemplateInvalid(f"{path}: is not YAML: {problem}") from None
    if not isinstance(document, dict):
        raise TemplateInvalid(f"{path}: is not a mapping.")
    return document


def to_cloudformation(sam: Mapping[str, Any], folder: Path, parameters: Mapping[str, str]) -> dict[str, Any]:
    """Return the template that CloudFormation gets of ``sam``, a template that lies in ``folder``.

    State machines' definitions are read and embedded, their substitutions applied.
    Raises ``TemplateInvalid``.
    """
    resolved: dict[str, Any] = json.loads(json.dumps(sam))
    for name, resource in resolved["Resources"].items():
        _resolve_local_files(name, resource, folder)
    defaults = {key: value["Default"] for key, value in sam.get("Parameters", {}).items() if "Default" in value}
    made: dict[str, Any] = json.loads(_translate(json.dumps(resolved), json.dumps({**defaults, **parameters})))
    for name, resource in made["Resources"].items():
        if resource["Type"] == "AWS::StepFunctions::StateMachine":
            _apply_substitutions(name, resource["Properties"])
    return made


@lru_cache(maxsize=8)
def _translate(sam: str, parameters: str) -> str:
    """Translate SAM to CloudFormation, both as JSON. Cached, since tests open many clouds of one template."""
    import boto3
    from samtranslator.model.exceptions import InvalidDocumentException
    from samtranslator.parser.parser import Parser
    from samtranslator.translator.translator import Translator

    # It tells of metrics that it did not send, whenever a translator is collected.
    logging.getLogger("samtranslator").setLevel(logging.ERROR)
    # The session only says in which region; SAM makes no request with it here.
    translator = Translator(
        {}, Parser(), boto_session=boto3.Session(region_name=REGION, botocore_session=core_session())
    )
    try:
        return json.dumps(translator.translate(json.loads(sam), json.loads(parameters)))
    except InvalidDocumentException as problem:
        raise TemplateInvalid("; ".join(str(cause.message) for cause in problem.causes)) from None


def _resolve_local_files(name: str, resource: dict[str, Any], folder: Path) -> None:
    properties = resource.get("Properties", {})
    for key in ("CodeUri", "ContentUri"):
        where = properties.get(key)
        if isinstance(where, str) and not where.startswith("s3://"):
            if not (folder / where).is_dir():
                raise TemplateInvalid(f"{name}: {key} names {where}, but there is no such folder in {folder}.")
            properties[key] = _NOWHERE
    definition = properties.get("DefinitionUri")
    if isinstance(definition, str):
        del properties["DefinitionUri"]
        properties["Definition"] = _yaml(folder / definition)


def _apply_substitutions(name: str, properties: dict[str, Any]) -> None:
    """Put the values of ``DefinitionSubstitutions`` where CloudFormation would; moto does not.

    As a join of the text's pieces and not as ``Fn::Sub``, which would take ``$states`` for its own.
    """
    separator, lines = properties["DefinitionString"]["Fn::Join"]
    values = properties.pop("DefinitionSubstitutions", {})
    pieces = _SUBSTITUTION.split(separator.join(lines))  # text, name, text, name, …, text
    for missing in set(pieces[1::2]) - set(values):
        raise TemplateInvalid(f"{name}: the definition uses ${{{missing}}}, which DefinitionSubstitutions lacks.")
    pieces[1::2] = [values[used] for used in pieces[1::2]]
    properties["DefinitionString"] = {"Fn::Join": ["", pieces]}
