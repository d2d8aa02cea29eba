"""``template.yaml`` as CloudFormation gets it from ``sam deploy``, and its HTTP API's routes, which moto lacks."""

from __future__ import annotations

import json
import logging
import pickle
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from importlib.metadata import version
from pathlib import Path
from typing import Any

import yaml

from localcloud.kept import kept
from localcloud.sessions import REGION, core_session

#: A placeholder for code locations: handlers are imported from the working tree.
_NOWHERE = "s3://ballast-local/not-uploaded.zip"
_IN_SUB = re.compile(r"\$\{([A-Za-z0-9:.]+)\}")
_SUBSTITUTION = re.compile(r"\$\{([A-Za-z0-9_]+)\}")


class TemplateInvalid(Exception):
    """The template cannot be deployed; the text names the file, the resource and the remedy."""


class MadeLater(TemplateInvalid):
    """It refers to what ``Fn::ForEach`` or another macro may make, which only the deployment shows."""


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


#: Properties that name a file or folder beside the template. As for `sam build`, a parameter may name it.
_LOCAL = ("CodeUri", "ContentUri", "TemplateURL")


def load_template(path: Path, parameters: Mapping[str, str] | None = None) -> dict[str, Any]:
    """Return the SAM template in ``path`` with its nested stacks' resources in it, or raise ``TemplateInvalid``.

    ``parameters``: those that name local files; each of the others has its default.
    """
    return with_nested_stacks(_template(path), path.parent, parameters)


def _template(path: Path) -> dict[str, Any]:
    """Return a template without what a macro makes at its deployment, which is not known here."""
    document = _yaml(path)
    if not isinstance(document.get("Resources"), dict):
        raise TemplateInvalid(f"{path}: has no Resources.")
    made = {name: one for name, one in document["Resources"].items() if not _is_unread(one)}
    empty = {name: {**one, "Properties": {}} for name, one in made.items() if one.get("Properties", {}) is None}
    return {**document, "Resources": {**made, **empty}}


def _is_unread(resource: Any) -> bool:
    properties = resource.get("Properties") if isinstance(resource, dict) else None
    is_read = isinstance(resource, dict) and isinstance(resource.get("Type"), str)
    return not is_read or not isinstance(properties, dict | None) or "Fn::Transform" in (properties or ())


def unread_in(path: Path) -> dict[str, re.Pattern[str]]:
    """Return what stands under Resources and is none that can be read here, with the logical ids that it may make."""
    found = _yaml(path).get("Resources")
    unread = {name: one for name, one in found.items() if _is_unread(one)} if isinstance(found, dict) else {}
    return {name: re.compile("|".join(_ids(name, one))) for name, one in unread.items()}


def _ids(name: str, made: Any) -> list[str]:
    match made:
        case [_, _, dict(inside)] if name.startswith("Fn::ForEach::"):
            return [found for key, one in inside.items() for found in _ids(str(key), one)]
    if name.startswith("Fn::"):
        return [".*"]
    return [".*".join(map(re.escape, re.split(r"[$&]\{[^}]*\}", name)))]


def with_unread(
    template: Mapping[str, Any], unread: Mapping[str, re.Pattern[str]], but: Iterable[str] = ()
) -> dict[str, Any]:
    """Return a template with a resource, of no known type, for each name of it that one of ``unread`` may make.

    ``but`` are names that are something else.
    """
    known = {*template["Resources"], *template.get("Parameters", {}), *but}
    named = _referred_to([template["Resources"], template.get("Outputs", {})]) - known
    made = {name for name in named if any(one.fullmatch(name) for one in unread.values())}
    return {**template, "Resources": {**template["Resources"], **{one: {"Type": "AWS::MadeLater"} for one in made}}}


def with_nested_stacks(
    template: dict[str, Any], folder: Path, parameters: Mapping[str, str] | None = None
) -> dict[str, Any]:
    """Return ``template`` with each nested stack of a local file replaced by that file's resources.

    A stack is a boundary of names: a nested template sees only its own parameters, and only its outputs are seen. Both
    are resolved here, so that one stack has what CloudFormation makes of two. Raises ``TemplateInvalid``.
    """
    template = _with_local_paths(template, parameters or {})
    stacks = {
        name: found["Properties"]
        for name, found in template["Resources"].items()
        if found.get("Type") == "AWS::CloudFormation::Stack" and "://" not in found["Properties"]["TemplateURL"]
    }
    for name, stack in stacks.items():
        file = folder / stack["TemplateURL"]
        given = stack.get("Parameters", {})
        nested = _template(file)
        declared = nested.get("Parameters", {})
        if unknown := given.keys() - declared.keys():
            raise TemplateInvalid(f"{name}: {file} has no parameter {', '.join(sorted(unknown))}.")
        values = {key: given.get(key, one.get("Default")) for key, one in declared.items()}
        if missing := [key for key, value in values.items() if value is None]:
            raise TemplateInvalid(f"{name}: give {file} its parameter {', '.join(missing)}.")
        own = {*values, *nested["Resources"]}
        if foreign := sorted(_referred_to([nested["Resources"], nested.get("Outputs", {})]) - own):
            unread = unread_in(file)
            if unread and not {*foreign} - with_unread(nested, unread)["Resources"].keys():
                what = f"{', '.join(unread)} cannot be read here: write out what it makes."
                raise MadeLater(f"{file}: has no {', '.join(foreign)}. {what}")
            raise TemplateInvalid(f"{file}: has no {', '.join(foreign)}. Pass it in as a parameter.")
        asked = _conditions_in([nested["Resources"], nested.get("Conditions", {}), nested.get("Outputs", {})])
        if unknown := asked - nested.get("Conditions", {}).keys():
            raise TemplateInvalid(f"{file}: has no condition {', '.join(sorted(unknown))}. Write it under Conditions.")
        nested = _replaced(nested, {("Ref", key): value for key, value in values.items()})
        for section in ("Mappings", "Conditions"):  # of one name, and each stack's own
            clash = _clash(template.get(section, {}), nested.get(section, {}))
            nested = _renamed(nested, section, {key: f"{name}{key}" for key in clash})
        outputs = {
            ("Fn::GetAtt", f"{name}.Outputs.{key}"): one["Value"] for key, one in nested.get("Outputs", {}).items()
        }
        rest = {key: one for key, one in template["Resources"].items() if key != name}
        template = _replaced({**template, "Resources": rest}, outputs)
        if name in _referred_to([template["Resources"], template.get("Outputs", {})]):
            known = ", ".join(nested.get("Outputs", {})) or "none"
            raise TemplateInvalid(f"{name}: is referred to by an output that {file} does not have. It has: {known}.")
        for section in ("Mappings", "Conditions", "Resources"):
            ours, theirs = template.get(section, {}), nested.get(section, {})
            if clash := _clash(ours, theirs):
                raise TemplateInvalid(
                    f"{file}: {', '.join(clash)} is something else in the template around it. Rename it."
                )
            template = {**template, section: {**ours, **theirs}}
    return template


def _with_local_paths(template: dict[str, Any], parameters: Mapping[str, str]) -> dict[str, Any]:
    """Return ``template`` with the parameters that name local files replaced by their values, as `sam build` does."""
    values = {name: one["Default"] for name, one in template.get("Parameters", {}).items() if "Default" in one}
    values |= parameters
    resources = {}
    for name, found in template["Resources"].items():
        properties = found.get("Properties", {})
        for key in _LOCAL:
            match properties.get(key):
                case {"Ref": str(parameter)} if parameter in values:
                    properties = {**properties, key: values[parameter]}
        resources[name] = {**found, "Properties": properties} if properties else found
    return {**template, "Resources": resources}


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
        elif key == "Fn::Sub":
            text, given = part if isinstance(part, list) and len(part) == 2 else (part, {})
            found |= {name.partition(".")[0] for name in _IN_SUB.findall(str(text)) if name not in given}
    return {name for name in found if not name.startswith("AWS::")}


def _clash(ours: Mapping[str, Any], theirs: Mapping[str, Any]) -> list[str]:
    return sorted(key for key in ours.keys() & theirs.keys() if ours[key] != theirs[key])


def _renamed(nested: dict[str, Any], section: str, names: Mapping[str, str]) -> dict[str, Any]:
    """Return a nested template with other names of some mappings or conditions, also where it asks for them."""
    if not names:
        return nested
    by = "Fn::FindInMap" if section == "Mappings" else "Fn::If"

    def renamed(value: Any) -> Any:
        match value:
            case {"Condition": str(name)} if section == "Conditions" and name in names:
                return {key: renamed(one) for key, one in value.items()} | {"Condition": names[name]}
            case dict() if len(value) == 1 and by in value and isinstance(value[by], list) and value[by]:
                first, *rest = value[by]
                return {by: [names.get(first, first) if isinstance(first, str) else first, *renamed(rest)]}
            case dict():
                return {key: renamed(one) for key, one in value.items()}
            case list():
                return [renamed(one) for one in value]
        return value

    given = nested.get(section, {})
    whole: dict[str, Any] = renamed(nested)
    return {**whole, section: {names.get(key, key): renamed(one) for key, one in given.items()}}


def _conditions_in(value: Any) -> set[str]:
    """Return the names of the conditions that ``value`` asks for."""
    if isinstance(value, list):
        return set().union(*map(_conditions_in, value))
    if not isinstance(value, dict):
        return set()
    found = set().union(*map(_conditions_in, value.values()))
    match value:
        case {"Fn::If": [str(name), *_]}:
            found.add(name)
        case {"Type": str(), "Condition": str(name)} | {"Value": _, "Condition": str(name)}:
            found.add(name)
        case {"Condition": str(name)} if len(value) == 1:
            found.add(name)
    return found


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
        case [("Fn::Sub", [str(text), dict(named)])]:
            for (_, name), to in by.items():
                if name not in named:
                    text = text.replace(f"${{{name}}}", _in_sub(to))
            return {"Fn::Sub": [text, _replaced(named, by)]}
    return {key: _replaced(part, by) for key, part in value.items()}


def _in_sub(value: Any) -> str:
    """Return a text, a number, a ``Ref`` or an ``Fn::GetAtt`` as ``Fn::Sub`` has it."""
    match value:
        case {"Ref": name}:
            return f"${{{name}}}"
        case {"Fn::GetAtt": named}:
            return f"${{{named if isinstance(named, str) else '.'.join(named)}}}"
    return str(value)


@lru_cache(maxsize=16)
def _parsed(text: str) -> bytes:
    """Return the content of a YAML file, pickled: each caller gets a copy, and parsing takes many times as long."""
    return pickle.dumps(yaml.load(text, Loader=_Loader))  # noqa: S506 - a safe loader


def parsed(text: str) -> Any:
    """Return the content of a YAML file, with CloudFormation's short forms. Each caller gets a copy."""
    return pickle.loads(_parsed(text))  # noqa: S301 - our own bytes


def _yaml(path: Path) -> dict[str, Any]:
    try:
        document = parsed(path.read_text(encoding="utf-8"))
    except OSError as problem:
        raise TemplateInvalid(f"{path}: cannot be read: {problem.strerror}.") from None
    except yaml.YAMLError as problem:
        raise TemplateInvalid(f"{path}: is not YAML: {problem}") from None
    if not isinstance(document, dict):
        raise TemplateInvalid(f"{path}: is not a mapping.")
    return document


def to_cloudformation(sam: Mapping[str, Any], folder: Path, parameters: Mapping[str, str]) -> dict[str, Any]:
    """Return the CloudFormation template of the SAM template ``sam``, whose file is in ``folder``.

    State machines' definitions are read and embedded, their substitutions applied.
    Raises ``TemplateInvalid``.
    """
    resolved: dict[str, Any] = json.loads(json.dumps(sam))
    for name, resource in resolved["Resources"].items():
        _resolve_local_files(name, resource, folder)
    defaults = {key: value["Default"] for key, value in sam.get("Parameters", {}).items() if "Default" in value}
    given: dict[str, Any] = {**defaults, **parameters}
    # Where a project is makes no difference, so a copy of it elsewhere costs no translation.
    places = {f"/place-of/{name}/": one for name, one in given.items() if isinstance(one, str) and one.startswith("/")}
    given |= {place.split("/")[2]: place for place in places}
    translated = _translate(json.dumps(resolved), json.dumps(given))
    for place, one in places.items():
        translated = translated.replace(place, json.dumps(one)[1:-1])
    made: dict[str, Any] = json.loads(translated)
    for name, resource in made["Resources"].items():
        if resource["Type"] == "AWS::StepFunctions::StateMachine":
            _apply_substitutions(name, resource["Properties"])
    return made


@lru_cache(maxsize=8)
def _translate(sam: str, parameters: str) -> str:
    """Translate SAM to CloudFormation, both as JSON.

    Cached, because tests deploy one template many times, and kept for the next process: it takes half a second.
    """
    of = json.dumps([version("aws-sam-translator"), REGION, sam, parameters])
    return kept("sam", of, lambda: _translated(sam, parameters))


def _translated(sam: str, parameters: str) -> str:
    import boto3
    from samtranslator.model.exceptions import InvalidDocumentException
    from samtranslator.parser.parser import Parser
    from samtranslator.translator.translator import Translator

    # It logs about unsent metrics whenever a translator is garbage-collected.
    logging.getLogger("samtranslator").setLevel(logging.ERROR)
    # The session only provides the region; SAM makes no request with it here.
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
    """Substitute ``DefinitionSubstitutions`` as CloudFormation does; moto does not.

    Joins pieces of text instead of using ``Fn::Sub``, which would substitute ``$states``.
    """
    separator, lines = properties["DefinitionString"]["Fn::Join"]
    values = properties.pop("DefinitionSubstitutions", {})
    pieces = _SUBSTITUTION.split(separator.join(lines))  # text, name, text, name, …, text
    for missing in set(pieces[1::2]) - set(values):
        raise TemplateInvalid(f"{name}: the definition uses ${{{missing}}}, which DefinitionSubstitutions lacks.")
    pieces[1::2] = [values[used] for used in pieces[1::2]]
    properties["DefinitionString"] = {"Fn::Join": ["", pieces]}


_KIND = "AWS::ApiGatewayV2::"


@dataclass(frozen=True)
class HttpRoute:
    """A route of the HTTP API.

    key       as API Gateway has it: ``GET /console``, ``ANY /escalations/{escalation_id}``, ``$default``
    function  the logical id of the function that answers
    public    whether it takes requests without an identity
    """

    key: str
    function: str
    public: bool


def without_http_api(template: Mapping[str, Any]) -> tuple[dict[str, Any], tuple[HttpRoute, ...]]:
    """Return the CloudFormation template without its HTTP API, and the API's routes.

    References to the API become its logical id in lower case. Raises ``TemplateInvalid``.
    """
    of_api = {name: found for name, found in template["Resources"].items() if found["Type"].startswith(_KIND)}
    integrations = {
        name: found["Properties"] for name, found in of_api.items() if found["Type"] == f"{_KIND}Integration"
    }
    routes = tuple(
        _route(name, found["Properties"], integrations)
        for name, found in of_api.items()
        if found["Type"] == f"{_KIND}Route"
    )
    rest = {
        **template,
        "Resources": {name: found for name, found in template["Resources"].items() if name not in of_api},
    }
    text = json.dumps(rest)
    for name in of_api:
        text = text.replace(json.dumps({"Ref": name}), json.dumps(name.lower())).replace(f"${{{name}}}", name.lower())
    made: dict[str, Any] = json.loads(text)
    return made, routes


def _route(name: str, route: Mapping[str, Any], integrations: Mapping[str, Mapping[str, Any]]) -> HttpRoute:
    match route.get("Target"):
        case {"Fn::Sub": str(target)}:
            integration = target.removeprefix("integrations/").strip("${}")
            match integrations.get(integration, {}).get("IntegrationUri"):
                case {"Fn::GetAtt": [str(function), "Arn"]}:
                    return HttpRoute(str(route["RouteKey"]), function, route.get("AuthorizationType") == "NONE")
    raise TemplateInvalid(
        f"{name}: its Target leads to no function. Write `!Sub integrations/${{…Integration}}`, "
        "and there `IntegrationUri: !GetAtt …Function.Arn`."
    )
