"""``template.yaml`` as CloudFormation gets it from ``sam deploy``, and its HTTP API's routes, which moto lacks."""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import yaml

from localcloud.sessions import REGION, core_session

#: A placeholder for code locations: handlers are imported from the working tree.
_NOWHERE = "s3://ballast-local/not-uploaded.zip"
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
    """Return the SAM template in ``path``, or raise ``TemplateInvalid``."""
    document = _yaml(path)
    if not isinstance(document.get("Resources"), dict):
        raise TemplateInvalid(f"{path}: has no Resources.")
    return document


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
    """Return the CloudFormation template of the SAM template ``sam``, whose file is in ``folder``.

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
    """Translate SAM to CloudFormation, both as JSON. Cached, because tests deploy one template many times."""
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
