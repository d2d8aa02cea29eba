"""The models that the agent's role may call: those that the playbook names."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from ballast.errors import ModelRefused, PlaybookInvalid
from ballast.models.card import IN_REGION
from ballast.models.catalog import FOLLOWS_REGION, Catalog, geographies_of
from ballast.playbook.agent import AgentConfig, agent_file, read_agents
from ballast.playbook.load import playbook_in

#: The template's parameter with their ARNs.
PARAMETER = "ModelArns"
#: Partitions by the prefix of a region's name.
_PARTITIONS = {"us-gov-": "aws-us-gov", "us-iso": "aws-iso", "cn-": "aws-cn", "": "aws"}


def model_arns(playbook: Path, region: str = "", *, model_id: str = "", reached: bool = True) -> list[str]:
    """Return the ARNs of the models that the agents of ``playbook`` name, and of the profiles that lead to them.

    playbook  its folder, or a layer with it
    region    of the stack; "" for any region and partition: they are ``*`` then. The account is always ``*``
    model_id  the template's ``ModelId``: it replaces ``model`` and ``model_for``; "" does not
    reached   also check that ``region`` reaches each model. The local cloud stands in no region: it does not

    Raises ``PlaybookInvalid``, also for a model that a stack in ``region`` cannot ask, and ``SettingInvalid`` for its
    ``models.yaml``.
    """
    playbook = playbook_in(playbook)
    catalog, named = Catalog.of_playbook(playbook), named_models(playbook, model_id)
    first, others = read_agents(playbook)
    files = {str(agent_file(playbook, first, one.name).relative_to(playbook)): one for one in (first, *others.values())}
    _check_reached(playbook, catalog, named, region if reached else "", files)
    return list(dict.fromkeys(arn for model in named.values() for arn in _arns(catalog, model, region)))


def named_models(playbook: Path, model_id: str = "") -> dict[str, str]:
    """Return the models that a stack with that ``ModelId`` asks, by file and field: ``agent.yaml: model``."""
    first, others = read_agents(playbook)
    found: dict[str, str] = {}
    for agent in (first, *others.values()):
        named = agent.models
        if model_id:
            kept = {field: model for field, model in named.items() if not field.startswith("model")}
            named = {"model": model_id, **kept}
        file = agent_file(playbook, first, agent.name).relative_to(playbook)
        found |= {f"{file}: {field}": model for field, model in named.items()}
    return found


def partition_of(region: str) -> str:
    """Return the partition of a region."""
    return next(found for start, found in _PARTITIONS.items() if region.startswith(start))


def _check_reached(
    playbook: Path, catalog: Catalog, named: Mapping[str, str], region: str, agents: Mapping[str, AgentConfig]
) -> None:
    """Raise ``PlaybookInvalid`` for a model that a stack in ``region`` ("" for any) cannot ask, naming the field.

    It needs a card, a form that the region reaches, and tools where its agent is offered some. A model that is asked
    in some runs alone (``model_for``) may have none of them: which tools those runs offer only the loaded playbook
    knows.
    """
    for where, model in named.items():
        file, _, field = where.partition(": ")
        tools = not field.startswith("model_for") and agents[file].tools != ()
        try:
            catalog.check(model, tools=tools, region=region)
        except ModelRefused as refused:
            raise PlaybookInvalid(f"{playbook / where}: {f'in {region}: ' if region else ''}{refused}") from None
        if region and (why := _unreached(catalog, model, region)):
            raise PlaybookInvalid(f"{playbook / where}: in {region}: {why}")


def _unreached(catalog: Catalog, model_id: str, region: str) -> str | None:
    """Return why an ARN or a profile cannot be called from ``region``; None if it can."""
    if model_id.startswith("arn:"):
        partition, _, of_region = model_id.split(":")[1:4]
        if (partition, of_region) != (partition_of(region), region):
            return f"{model_id} is of {of_region} ({partition}). Name one of the stack's own region."
    base, family = catalog.named(catalog.in_region(model_id, region))
    profile = catalog.named(model_id.rpartition("/")[2])[1] if model_id.startswith("arn:") else family
    reached = geographies_of(region)
    if profile in (IN_REGION, *reached):
        return None
    has = f"It reaches {', '.join(f'{one}.' for one in reached)}" if reached else "It reaches none"
    return f"no profile {profile}. can be called there. {has}: name one of those, or {FOLLOWS_REGION}{base}."


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
