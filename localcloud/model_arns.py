"""The models that the agent's role may call: those that the playbook names."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import date
from pathlib import Path

from ballast.errors import ModelRefused, PlaybookInvalid
from ballast.models.card import IN_REGION
from ballast.models.catalog import FOLLOWS_REGION, Catalog, partition_of
from ballast.playbook.agent import AgentConfig, agent_file, read_agents
from ballast.playbook.load import playbook_in

#: The template's parameter with their ARNs.
PARAMETER = "ModelArns"


def model_arns(playbook: Path, region: str = "", *, on: date, model_id: str = "", reached: bool = True) -> list[str]:
    """Return the ARNs of the models that the agents of ``playbook`` name, and of the profiles that lead to them.

    playbook  its folder, or a layer with it
    region    of the stack; "" for any region and partition: they are ``*`` then. The account is always ``*``
    on        the day on which each must have a price. Whether it is retired by then, others tell
    model_id  the template's ``ModelId``: it replaces ``model`` and ``model_for``; "" does not
    reached   also check that ``region`` reaches each model. The local cloud stands in no region: it does not

    What the deployed agent passes over in ``region`` (``passed_over``) is left out. Raises ``PlaybookInvalid``, also
    for any other model that a stack in ``region`` cannot ask, and ``SettingInvalid`` for its ``models.yaml``.
    """
    playbook = playbook_in(playbook)
    catalog, named = Catalog.of_playbook(playbook), named_models(playbook, model_id)
    if reached:
        named = {where: one for where, one in named.items() if not _stands_in_nowhere(catalog, where, one, region)}
    first, others = read_agents(playbook)
    files = {str(agent_file(playbook, first, one.name).relative_to(playbook)): one for one in (first, *others.values())}
    _check_reached(playbook, catalog, named, region if reached else "", files, on)
    return list(dict.fromkeys(arn for model in named.values() for arn in _arns(catalog, model, region)))


def passed_over(playbook: Path, region: str, *, on: date) -> Iterator[tuple[str, str]]:
    """Yield each ``second_model`` and ``cheaper_model`` that nothing serves in ``region``, by file and field, and why.

    A playbook that follows its stack's region deploys wherever its own model is served: the agent goes on without them.
    """
    playbook = playbook_in(playbook)
    catalog, named = Catalog.of_playbook(playbook), named_models(playbook)
    for where, model in named.items():
        if not _stands_in_nowhere(catalog, where, model, region):
            continue
        file, _, field = where.partition(": ")
        why = f"in {region}: {catalog.why_unreached(model, region)} Until then the agent passes it over there"
        if field == "cheaper_model":
            others = catalog.cheaper_than(named[f"{file}: model"], region, on=on, like=model)
            why += ", and the breaker's mode `cheaper` changes nothing."
            why += f" Cheaper there, for example: {', '.join(others)}." if others else ""
        else:
            why += "."
        yield where, why


def _stands_in_nowhere(catalog: Catalog, where: str, model: str, region: str) -> bool:
    """Return whether the model only stands in for another one, follows the region, and nothing serves it there."""
    stands_in = where.partition(": ")[2] in ("second_model", "cheaper_model")
    return bool(region) and stands_in and catalog.in_region(model, region).startswith(FOLLOWS_REGION)


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
    on: date,
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
            catalog.check(model, tools=tools, on=on, region=region, tier=agents[file].service_tier)
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
