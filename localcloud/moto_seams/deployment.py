"""moto's CloudFormation: state machines that execute, functions without code, resolved properties."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from localcloud.moto_seams.replaced import SeamBroken, replaced


@contextmanager
def stacks_run() -> Iterator[None]:
    """Make a stack's state machines executable, and let its functions and layers have no code.

    Relies on ``moto.stepfunctions.models`` putting a stack's state machines into its global
    ``stepfunctions_backends``, which are not the interpreter's; and on ``moto.awslambda.models``
    asking its global ``do_validate_s3()`` whether code must exist where ``Code`` says. For speed,
    also on ``Stack.parse_template``, which parses JSON as YAML; and on
    ``parsing.random_suffix()``: with the same names each time, a definition is parsed once.
    """
    from moto.awslambda import models as awslambda
    from moto.cloudformation import parsing
    from moto.cloudformation.models import Stack
    from moto.stepfunctions import models as stepfunctions
    from moto.stepfunctions.parser.models import stepfunctions_parser_backends

    suffixes = (f"LOCAL{number:07d}" for number in itertools.count(1))
    with (
        replaced(Stack, "parse_template", staticmethod(json.loads)),
        replaced(parsing, "random_suffix", lambda: next(suffixes)),
        replaced(stepfunctions, "stepfunctions_backends", stepfunctions_parser_backends),
        replaced(awslambda, "do_validate_s3", lambda: False),
    ):
        yield


def created_stack(account: str, region: str, name: str, template: str, parameters: Mapping[str, str]) -> str:
    """Create a stack and return its id. Raises ``StackRefused``, with moto's reason.

    CreateStack does the same. To quote a template of 300 KB for a form and to sign it takes as long as a stack.
    Relies on ``_answer``.
    """
    from moto.cloudformation.responses import CloudFormationResponse
    from moto.core.exceptions import ServiceException

    given = [{"ParameterKey": key, "ParameterValue": value} for key, value in parameters.items()]
    asked = {"StackName": name, "TemplateBody": template, "Parameters": given, "Capabilities": ["CAPABILITY_IAM"]}
    try:
        return str(_answer(CloudFormationResponse(), "create_stack", account, region, asked)["StackId"])
    except ServiceException as refusal:
        raise StackRefused(refusal.message) from None


def create_alarm(account: str, region: str, alarm: Mapping[str, Any]) -> None:
    """Create an alarm as PutMetricAlarm takes it. Two dozen requests took a quarter of a cloud's opening.

    Relies on ``_answer``.
    """
    from moto.cloudwatch.responses import CloudWatchResponse

    _answer(CloudWatchResponse(), "put_metric_alarm", account, region, alarm)


class StackRefused(Exception):
    """moto's CloudFormation refuses a stack, for the reason that the message says."""


def _answer(responses: Any, method: str, account: str, region: str, parameters: Mapping[str, Any]) -> Any:
    """Have moto answer a request that is not signed, sent and read first.

    Relies on responses of services with ``automated_parameter_parsing``: they read ``params`` and ``uri_match``, find
    their backend by ``current_account`` and ``region``, and return an ``ActionResult`` with the ``result``.
    """
    if not responses.automated_parameter_parsing:
        raise SeamBroken(f"{responses!r} reads its parameters by itself. moto is pinned: install that version.")
    vars(responses).update(params=dict(parameters), uri_match={}, current_account=account, region=region)
    return getattr(responses, method)().result


def physical_ids_of(account: str, region: str, stack_id: str) -> dict[str, str]:
    """Return the physical ids of a stack's resources by their logical ids.

    DescribeStackResources says the same, and more; formatting the times of a hundred resources takes a tenth of a
    second. Relies on ``cloudformation_backends``, on ``Stack.stack_resources`` and on ``physical_resource_id``.
    """
    from moto.cloudformation.models import cloudformation_backends

    resources: Any = cloudformation_backends[account][region].stacks[stack_id].stack_resources
    there = [one for one in resources if getattr(one, "physical_resource_id", None) is not None]
    return {one.logical_resource_id: one.physical_resource_id for one in there}


def resolved(account: str, region: str, stack_id: str, properties: Mapping[str, Any]) -> dict[str, Any]:
    """Return a resource's ``properties`` with the stack's references and functions resolved.

    Relies on ``cloudformation_backends``, on ``Stack.resource_map`` and on ``parsing.clean_json``.
    """
    from moto.cloudformation.models import cloudformation_backends
    from moto.cloudformation.parsing import clean_json

    stack = cloudformation_backends[account][region].stacks[stack_id]
    values: dict[str, Any] = clean_json(dict(properties), stack.resource_map)
    return values
