"""Deploy ``template.yaml`` into moto."""

from __future__ import annotations

import json
import logging
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import date
from pathlib import Path
from typing import Any

from ballast.errors import PlaybookInvalid
from ballast.playbook.context import tools_environ
from ballast.playbook.servers.http import STAND_INS as STOOD_IN
from localcloud.event_sources import StreamSource, filters_of
from localcloud.functions import Function
from localcloud.model_arns import PARAMETER, model_arns
from localcloud.moto_seams.deployment import StackRefused, create_alarm, created_stack, physical_ids_of, resolved
from localcloud.parameters import broken, complaints
from localcloud.project import BUSINESS_TEMPLATE, template_parameters
from localcloud.sessions import ACCOUNT, REGION, LocalSession
from localcloud.stand_ins import FILE as STAND_INS
from localcloud.template import HttpRoute, TemplateInvalid, load_template, to_cloudformation, without_http_api

STACK = "ballast-local"
#: The variable with the output Environment of business.yaml.
_TOOLS = "TOOLS_ENVIRONMENT"


@dataclass(frozen=True)
class Deployment:
    """A deployed stack.

    outputs       the stack's outputs
    physical_ids  by logical id
    functions     by logical id
    routes        of the HTTP API
    streams       mappings of tables' streams to functions
    """

    outputs: Mapping[str, str]
    physical_ids: Mapping[str, str]
    functions: Mapping[str, Function]
    routes: tuple[HttpRoute, ...] = ()
    streams: tuple[StreamSource, ...] = ()

    def beside(self, other: Deployment, name: str) -> Deployment:
        """Return this deployment together with ``other``, whose names get the prefix ``name``."""
        theirs = {
            logical_id: replace(function, logical_id=f"{name}.{logical_id}")
            for logical_id, function in other.functions.items()
        }
        by_arn = {function.arn: function for function in theirs.values()}
        return replace(
            self,
            outputs={**self.outputs, **{f"{name}.{key}": value for key, value in other.outputs.items()}},
            physical_ids={**self.physical_ids, **{f"{name}.{key}": one for key, one in other.physical_ids.items()}},
            functions={**self.functions, **{function.logical_id: function for function in theirs.values()}},
            streams=(*self.streams, *(replace(one, function=by_arn[one.function.arn]) for one in other.streams)),
        )


def deploy(
    admin: LocalSession,
    template: Path,
    parameters: Mapping[str, str],
    overrides: Mapping[str, str],
    stack: str = STACK,
    of_tools: Mapping[str, str] | None = None,
    *,
    today: date,
) -> Deployment:
    """Create the stack and return its deployment.

    ``overrides`` replace environment variables of the functions that have them, ``of_tools`` those that business.yaml
    gives to the tools. ``ModelArns``, ``BusinessTemplate`` and ``PlaybookFolder`` are those of the playbook that
    ``overrides`` name, unless given. Its models must have prices ``today``. Raises ``TemplateInvalid``, and
    ``PlaybookInvalid``.
    """
    playbook = Path(overrides["PLAYBOOK_DIR"])
    of_project = template_parameters(playbook)
    sam = load_template(template, {**of_project, **parameters})
    of_project = {name: value for name, value in of_project.items() if name in sam.get("Parameters", {})}
    parameters = {**of_project, **parameters}
    if PARAMETER in sam.get("Parameters", {}) and PARAMETER not in parameters:
        model_id = parameters.get("ModelId", "")
        arns = model_arns(playbook, REGION, on=today, model_id=model_id, reached=False)
        parameters = {**parameters, PARAMETER: ",".join(arns)}
    if wrong := [*complaints(sam.get("Parameters", {}), parameters), *broken(sam, parameters)]:
        raise TemplateInvalid(f"{template}: {' '.join(wrong)}")
    made, routes = without_http_api(_without_dashboards(to_cloudformation(sam, template.parent, parameters)))
    made = _with_names(_with_alarms_names(made, stack), stack)
    made, secrets = _with_secrets(admin, made, stack)
    with _without_warnings(), _refusals_named(template, parameters.get(BUSINESS_TEMPLATE)):
        stack_id = created_stack(ACCOUNT, REGION, stack, json.dumps(made), parameters)
        described = admin.client("cloudformation").describe_stacks(StackName=stack)["Stacks"][0]
        physical_ids = physical_ids_of(ACCOUNT, REGION, stack_id) | secrets
    outputs = {output["OutputKey"]: output["OutputValue"] for output in described.get("Outputs", [])}
    functions = {
        name: _function(name, physical_ids[name], resolved(ACCOUNT, REGION, stack_id, found["Properties"]), overrides)
        for name, found in made["Resources"].items()
        if found["Type"] == "AWS::Lambda::Function" and name in physical_ids  # else its condition does not hold
    }
    if of_tools:
        functions = {name: _with_variables(one, of_tools) for name, one in functions.items()}
    by_name = {function.name: function for function in functions.values()}
    streams = tuple(
        _stream(name, resolved(ACCOUNT, REGION, stack_id, found["Properties"]), by_name)
        for name, found in made["Resources"].items()
        if found["Type"] == "AWS::Lambda::EventSourceMapping"
        and name in physical_ids
        and "StartingPosition" in found["Properties"]
    )
    _check_tables(admin, functions)
    _create_alarms(made, stack, stack_id)
    return Deployment(outputs, physical_ids, functions, routes, streams)


def _stream(mapping: str, properties: Mapping[str, Any], functions: Mapping[str, Function]) -> StreamSource:
    """Return the mapping of a table's stream."""
    return StreamSource(
        stream_arn=properties["EventSourceArn"],
        function=functions[properties["FunctionName"].rsplit(":", 1)[-1]],
        batch_size=int(properties.get("BatchSize", 100)),
        filters=filters_of(mapping, properties),
    )


def _without_dashboards(template: Mapping[str, Any]) -> dict[str, Any]:
    """Return the template without dashboards: nobody sees them here, and they refer to alarms, which moto lacks."""
    kept = {name: one for name, one in template["Resources"].items() if one["Type"] != "AWS::CloudWatch::Dashboard"}
    return {**template, "Resources": kept}


@contextmanager
def _without_warnings() -> Iterator[None]:
    """Silence moto's warnings about resources that it does not create: queue and bucket policies, alarms."""
    logger = logging.getLogger("moto")
    before = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message="Tried to parse")
            yield
    finally:
        logger.setLevel(before)


@contextmanager
def _refusals_named(template: Path, business: str | None) -> Iterator[None]:
    """Name the file of what the stack is refused for. moto sees one stack, and only half of it is the platform's."""
    where = f"{business or template}"
    more = (
        " `ballast check` tells what AWS refuses; where it tells nothing of this, only the local cloud cannot make it: "
        f"give the resource its properties in full, such as a name. (It is a part of {template}.)"
    )
    more = more if business else ""
    try:
        yield
    except StackRefused as refusal:
        raise TemplateInvalid(f"{where}: {str(refusal).rstrip('.')}.{more}") from None
    except (AttributeError, LookupError, TypeError, ValueError) as problem:
        if not business:
            raise
        said = f"The stack cannot be made of it: {type(problem).__name__}: {problem}"
        raise TemplateInvalid(f"{where}: {said.rstrip('.')}.{more}") from problem


def _function(logical_id: str, name: str, properties: Mapping[str, Any], overrides: Mapping[str, str]) -> Function:
    """Return the function with these resolved ``properties``, and Lambda's defaults for the others."""
    environ = {key: str(value) for key, value in properties.get("Environment", {}).get("Variables", {}).items()}
    return Function(
        logical_id=logical_id,
        name=name,
        arn=f"arn:aws:lambda:{REGION}:{ACCOUNT}:function:{name}",
        handler=properties["Handler"],
        environ=environ | {key: value for key, value in overrides.items() if key in environ},
        role_arn=properties["Role"],
        timeout_s=int(properties.get("Timeout", 3)),
        memory_mb=int(properties.get("MemorySize", 128)),
        dead_letters_arn=properties.get("DeadLetterConfig", {}).get("TargetArn"),
    )


def _with_variables(function: Function, of_tools: Mapping[str, str]) -> Function:
    """Return the function with other values of what business.yaml gives to its tools, if it has tools."""
    text = function.environ.get(_TOOLS)
    if text is None:
        return function
    given = json.loads(text or "{}")
    for name in of_tools:
        if name not in given:
            raise PlaybookInvalid(
                f"{STAND_INS}: stands in for {name}, which business.yaml does not give to the tools. Add it to the "
                f"output Environment, with its value on AWS. It has: {', '.join(given) or '(nothing)'}."
            )
    marked = {_TOOLS: json.dumps({**given, **of_tools}), STOOD_IN: ",".join(of_tools)}
    return replace(function, environ={**function.environ, **marked})


def _check_tables(admin: LocalSession, functions: Mapping[str, Function]) -> None:
    """Refuse a function whose table is missing, instead of failing its first run."""
    pages = admin.client("dynamodb").get_paginator("list_tables").paginate()
    tables = {table for page in pages for table in page["TableNames"]}
    for function in functions.values():
        for variable, table in tools_environ(function.environ).items():
            if variable.endswith("_TABLE") and table not in tables:
                raise TemplateInvalid(
                    f"{function.logical_id}: {variable} names the table {table}, which the stack does not create. "
                    "Add the table to business.yaml, or correct the variable under the function's Environment."
                )


def _alarm(stack: str, logical_id: str) -> str:
    """Return an alarm's name in the local cloud."""
    return f"{stack}-{logical_id}"


def _with_alarms_names(template: Mapping[str, Any], stack: str) -> dict[str, Any]:
    """Return the template with references to alarms replaced by names: moto's CloudFormation has no alarms."""
    text = json.dumps(template)
    for name, found in template["Resources"].items():
        if found["Type"] in ("AWS::CloudWatch::Alarm", "AWS::CloudWatch::CompositeAlarm"):
            text = text.replace(json.dumps({"Ref": name}), json.dumps(_alarm(stack, name)))
            text = text.replace(f"${{{name}}}", _alarm(stack, name))
    named: dict[str, Any] = json.loads(text)
    return named


def _with_names(template: Mapping[str, Any], stack: str) -> dict[str, Any]:
    """Return the template with the names that AWS makes and moto does not: those of other forms than a usual name."""
    resources = {
        name: {**found, "Properties": {**_own_name(f"{stack}-{name}", found), **found.get("Properties", {})}}
        for name, found in template["Resources"].items()
    }
    return {**template, "Resources": resources}


def _own_name(name: str, resource: Mapping[str, Any]) -> dict[str, str]:
    """Return the property with the name of a resource that has none of its own; nothing where moto makes one."""
    is_fifo = any(str(resource.get("Properties", {}).get(key)).lower() == "true" for key in ("FifoQueue", "FifoTopic"))
    match resource["Type"]:
        case "AWS::SSM::Parameter":
            return {"Name": name}
        case "AWS::SQS::Queue" if is_fifo:
            return {"QueueName": f"{name}.fifo"}
        case "AWS::SNS::Topic" if is_fifo:
            return {"TopicName": f"{name}.fifo"}
        case "AWS::ECR::Repository":
            return {"RepositoryName": name.lower()}
    return {}


def _with_secrets(
    admin: LocalSession, template: Mapping[str, Any], stack: str
) -> tuple[dict[str, Any], dict[str, str]]:
    """Create the secrets through the API, since moto's CloudFormation has none; return the template with their ARNs.

    A generated secret has a text of this machine's: whatever stands in for the service takes it.
    """
    found = {name: one for name, one in template["Resources"].items() if one["Type"] == "AWS::SecretsManager::Secret"}
    arns: dict[str, str] = {}
    for name, secret in found.items():
        properties = secret.get("Properties", {})
        called = properties.get("Name")
        made = admin.client("secretsmanager").create_secret(
            Name=called if isinstance(called, str) else f"{stack}-{name}", SecretString=_secret_text(properties)
        )
        arns[name] = made["ARN"]
    resources = {name: one for name, one in template["Resources"].items() if name not in arns}
    text = json.dumps({**template, "Resources": resources})
    for name, arn in arns.items():
        for reference in ({"Ref": name}, {"Fn::GetAtt": [name, "Id"]}):
            text = text.replace(json.dumps(reference), json.dumps(arn))
        text = text.replace(f"${{{name}}}", arn).replace(f"${{{name}.Id}}", arn)
    replaced: dict[str, Any] = json.loads(text)
    return replaced, arns


def _secret_text(properties: Mapping[str, Any]) -> str:
    if isinstance(properties.get("SecretString"), str):
        return str(properties["SecretString"])
    generated = properties.get("GenerateSecretString", {})
    if "GenerateStringKey" not in generated:
        return "local-secret"
    return json.dumps(json.loads(generated["SecretStringTemplate"]) | {generated["GenerateStringKey"]: "local-secret"})


def _create_alarms(template: Mapping[str, Any], stack: str, stack_id: str) -> None:
    """Create the alarms through the API: moto's CloudFormation has no alarms."""
    alarms = {name: found for name, found in template["Resources"].items() if found["Type"] == "AWS::CloudWatch::Alarm"}
    for name, alarm in alarms.items():
        properties = resolved(ACCOUNT, REGION, stack_id, alarm["Properties"])
        # CloudFormation converts a parameter's text to a number.
        numbers = {"Threshold": float(properties["Threshold"])} if "Threshold" in properties else {}
        create_alarm(ACCOUNT, REGION, {"AlarmName": _alarm(stack, name), **properties, **numbers})
