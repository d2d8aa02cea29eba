"""The models that the agent's role may call: those that the playbook names."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from pathlib import Path

from ballast.errors import ModelRefused, PlaybookInvalid
from ballast.models.card import IN_REGION
from ballast.models.catalog import FOLLOWS_REGION, Catalog, partition_of
from ballast.playbook.agent import AgentConfig, agent_file, read_agents
from ballast.playbook.load import playbook_in

#: The template's parameter with their ARNs.
PARAMETER = "ModelArns"


def model_arns(
    playbook: Path, region: str = "", *, model_id: str = "", reached: bool = True, on: date | None = None
) -> list[str]:
    """Return the ARNs of the models that the agents of ``playbook`` name, and of the profiles that lead to them.

    playbook  its folder, or a layer with it
    region    of the stack; "" for any region and partition: they are ``*`` then. The account is always ``*``
    model_id  the template's ``ModelId``: it replaces ``model`` and ``model_for``; "" does not
    reached   also check that ``region`` reaches each model. The local cloud stands in no region: it does not
    on        the day on which each must have a price; None for any day

    Raises ``PlaybookInvalid``, also for a model that a stack in ``region`` cannot ask, and ``SettingInvalid`` for its
    ``models.yaml``.
    """
    playbook = playbook_in(playbook)
    catalog, named = Catalog.of_playbook(playbook), named_models(playbook, model_id)
    first, others = read_agents(playbook)
    files = {str(agent_file(playbook, first, one.name).relative_to(playbook)): one for one in (first, *others.values())}
    _check_reached(playbook, catalog, named, region if reached else "", files, on)
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


def _check_reached(
    playbook: Path,
    catalog: Catalog,
    named: Mapping[str, str],
    region: str,
    agents: Mapping[str, AgentConfig],
    on: date | None,
) -> None:
    """Raise ``PlaybookInvalid`` for a model that a stack in ``region`` ("" for any) cannot ask, naming the field.

    It needs a card, a form that the region reaches, a price in the agent's service tier, and tools where its agent is
    offered some. A model that is asked in some runs alone (``model_for``) may have no tools: which tools those runs
    offer only the loaded playbook knows.
    """
    for where, model in named.items():
        file, _, field = where.partition(": ")
        tools = not field.startswith("model_for") and agents[file].tools != ()
        try:
            catalog.check(model, tools=tools, region=region, tier=(tier := agents[file].service_tier))
            catalog.price(model, on=on or date.max).price(tier)  # whether it is retired, others tell
        except ModelRefused as refused:
            raise PlaybookInvalid(f"{playbook / where}: {f'in {region}: ' if region else ''}{refused}") from None


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
