"""The models that the agent's role may call: those that the playbook names."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from ballast.errors import ModelRefused, PlaybookInvalid
from ballast.models.catalog import FOLLOWS_REGION, IN_REGION, Catalog
from ballast.playbook.agent import read_agent
from ballast.playbook.load import playbook_in

#: The template's parameter with their ARNs.
PARAMETER = "ModelArns"
#: Partitions by the prefix of a region's name.
_PARTITIONS = {"us-gov-": "aws-us-gov", "us-iso": "aws-iso", "cn-": "aws-cn", "": "aws"}


def model_arns(playbook: Path, region: str = "", *, model_id: str = "") -> list[str]:
    """Return the ARNs of the models that ``agent.yaml`` in ``playbook`` names, and of the profiles that lead to them.

    playbook  its folder, or a layer with it
    region    of the stack; "" for any region and partition: they are ``*`` then. The account is always ``*``
    model_id  the template's ``ModelId``: it replaces ``model`` and ``model_for``; "" does not
    Raises ``PlaybookInvalid``, also for a model that ``region`` cannot call, and ``SettingInvalid`` for its
    ``models.yaml``.
    """
    playbook = playbook_in(playbook)
    catalog, named = Catalog.of_playbook(playbook), named_models(playbook, model_id)
    if region:
        _check_reached(playbook, catalog, named, region)
    return list(dict.fromkeys(arn for model in named.values() for arn in _arns(catalog, model, region)))


def named_models(playbook: Path, model_id: str = "") -> dict[str, str]:
    """Return the models that a stack with that ``ModelId`` asks, by the field of ``agent.yaml``."""
    named = read_agent(playbook / "agent.yaml").models
    if not model_id:
        return named
    return {"model": model_id, **{field: model for field, model in named.items() if not field.startswith("model")}}


def partition_of(region: str) -> str:
    """Return the partition of a region."""
    return next(found for start, found in _PARTITIONS.items() if region.startswith(start))


def _check_reached(playbook: Path, catalog: Catalog, named: Mapping[str, str], region: str) -> None:
    """Raise ``PlaybookInvalid`` for a ``region.MODEL`` that the region cannot call in any form."""
    for field, model in named.items():
        if model.startswith(FOLLOWS_REGION) and catalog.knows(model):
            try:
                catalog.check(model, tools=False, region=region)
            except ModelRefused as refused:
                raise PlaybookInvalid(f"{playbook / 'agent.yaml'}: {field}: in {region}: {refused}") from None


def _arns(catalog: Catalog, model_id: str, region: str) -> list[str]:
    """Return the ARNs that a role needs to call one model.

    A profile forwards to its model in other regions, so the role needs the model in all of them.
    Source: docs.aws.amazon.com/bedrock/latest/userguide/inference-profiles-prereq.html
    """
    if region:
        model_id = catalog.in_region(model_id, region)
    base, family = catalog.named(model_id)
    if model_id.startswith("arn:"):
        forwards = "inference-profile/" in model_id and base != model_id
        return [model_id, *([_model(model_id.split(":")[1], "*", base)] if forwards else [])]
    partition = partition_of(region) if region else "*"
    if family == IN_REGION:
        return [_model(partition, region or "*", base)]
    profile = f"*.{base}" if model_id.startswith(FOLLOWS_REGION) else model_id
    return [f"arn:{partition}:bedrock:{region or '*'}:*:inference-profile/{profile}", _model(partition, "*", base)]


def _model(partition: str, region: str, base: str) -> str:
    return f"arn:{partition}:bedrock:{region}::foundation-model/{base}"
