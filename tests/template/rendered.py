"""``template.yaml`` as it is written, and as CloudFormation gets it."""

import copy
import json
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import boto3
import pytest
import yaml
from samtranslator.parser.parser import Parser
from samtranslator.plugins.policies.policy_templates_plugin import PolicyTemplatesForResourcePlugin
from samtranslator.translator import translator
from samtranslator.yaml_helper import intrinsics_multi_constructor

from cli.walls.rights import of_type as of_type
from localcloud.template import with_nested_stacks

ROOT = Path(__file__).parents[2]
TEMPLATE = ROOT / "template.yaml"
BUSINESS = ROOT / "business.yaml"
WORKFLOW = ROOT / "statemachine" / "agent.asl.yaml"

Template = dict[str, Any]


# Before a test puts ours in its place.
_make_policy_templates = translator.make_policy_template_for_function_plugin


class _Loader(getattr(yaml, "CSafeLoader", yaml.SafeLoader)):  # type: ignore[misc]
    """Reads a template as SAM does, in a tenth of the time."""


_Loader.add_multi_constructor("!", intrinsics_multi_constructor)


def written() -> Template:
    """Return the template as its author wrote it, business.yaml in it; what YAML's anchors share is copied."""
    template: Template = json.loads(_written())
    return template


@cache
def _written() -> str:
    template = json.loads(json.dumps(yaml.load(TEMPLATE.read_text(encoding="utf-8"), _Loader)))
    return json.dumps(with_nested_stacks(template, ROOT))


def workflow() -> dict[str, Any]:
    """Return the state machine's definition."""
    definition: dict[str, Any] = yaml.load(WORKFLOW.read_text(encoding="utf-8"), _Loader)
    return definition


def translated(template: Template) -> Template:
    """Return what SAM makes of ``template``: functions, their roles, plain resources."""
    template = copy.deepcopy(template)
    for resource in template["Resources"].values():
        properties = resource.get("Properties", {})
        for local_path in {"CodeUri", "ContentUri", "DefinitionUri"} & properties.keys():
            properties[local_path] = {"Bucket": "uploads", "Key": "uploaded-by-sam-deploy"}
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(translator, "make_policy_template_for_function_plugin", _policy_templates)
        result: Template = translator.Translator({}, Parser(), boto_session=_session(boto3.Session)).translate(
            template, {}
        )
    return result


@cache
def _session(make: Callable[..., boto3.Session]) -> boto3.Session:
    """Return a session; ``make`` is boto3's class, or what a test has put in its place."""
    return make(region_name="eu-west-1")


@cache
def _policy_templates() -> PolicyTemplatesForResourcePlugin:
    """SAM holds its own policy templates to their schema for each template that it translates. Once is enough."""
    return _make_policy_templates()
