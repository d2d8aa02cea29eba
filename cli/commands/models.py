"""``ballast models``: the models that the agent's role may call, as the template's parameter ``ModelArns``."""

import re
import sys
from argparse import Namespace
from collections.abc import Iterator, Mapping
from datetime import UTC, date, datetime
from pathlib import Path

from ballast.errors import InvalidInput, PlaybookInvalid
from ballast.models.catalog import Catalog, partition_of
from ballast.models.retirement import retired, retires_soon
from ballast.playbook.agent import Guardrail, read_agent
from ballast.playbook.load import playbook_in
from ballast.playbook.samconfig import FILE, settings_in
from cli.exits import Exit
from localcloud.model_arns import PARAMETER, model_arns, named_models, passed_over
from localcloud.project import project_of

#: An account in a profile's ARN is the stack's own; ``model_arns`` leaves it open.
_ACCOUNT = re.compile(r":[0-9]{12}(?=:inference-profile/)")
_REGION = re.compile(r"arn:[^:]*:bedrock:([a-z0-9-]+):")
#: Characters that CloudFormation takes as the value of a parameter.
MOST_VALUE = 4_096
GUARDRAIL = "GuardrailId"
_GUARDRAIL_ARN = re.compile(r"arn:([^:]+:[^:]+:[^:]+):[^:]+:guardrail/(.+)")


def models(typed: Namespace) -> int:
    """Print ``ModelArns`` of a playbook, or compare it with the settings; return the exit code.

    Raises ``BallastError`` and ``TemplateInvalid``.
    """
    from localcloud.cloud import PLAYBOOK, ROOT

    playbook = PLAYBOOK if typed.playbook is None else Path(typed.playbook)
    today = datetime.now(UTC).date()
    if typed.of_region and not _is_region(typed.of_region):
        raise InvalidInput(f"--region {typed.of_region}: is no region of AWS. Name one like eu-central-1.")
    if not typed.check:
        value = ",".join(model_arns(playbook, typed.of_region or "", model_id=typed.model_id, on=today))
        if len(value) > MOST_VALUE:
            raise InvalidInput(_too_long(value))
        print(f"{PARAMETER}={value}")
        told = [*_passed_over(playbook, typed.of_region or "", today)]
        for notice in [*told, *retirements(playbook, today, model_id=typed.model_id)]:
            print(notice, file=sys.stderr)
        return Exit.OK
    samconfig = Path(typed.samconfig) if typed.samconfig else _settings_of(playbook, ROOT)
    if not _environments(samconfig):
        raise InvalidInput(f"{samconfig}: has no [NAME.deploy.parameters], so nothing was compared. Name another file.")
    found = list(problems(playbook, ROOT / "template.yaml", samconfig, today=today))
    for problem in found:
        print(problem)
    return Exit.USAGE if any(problem.fails for problem in found) else Exit.OK


def _settings_of(playbook: Path, platform: Path) -> Path:
    """Return the project's own samconfig.toml: the platform's is for the playbooks in it, and for no other.

    Raises ``InvalidInput`` if the project has none.
    """
    project = project_of(playbook)
    own = (folder / FILE for folder in (project, playbook_in(playbook.resolve())) if (folder / FILE).is_file())
    if (found := next(own, None)) is not None:
        return found
    if project.is_relative_to(platform):
        return platform / FILE
    raise InvalidInput(
        f"{project}: has no {FILE}, so nothing was compared. Name the settings that it is deployed with: "
        "ballast models --check --samconfig FILE."
    )


def _is_region(name: str) -> bool:
    """Say whether botocore lists the region. A name of a region's form may be none."""
    from botocore.session import get_session

    return any(name in partition["regions"] for partition in get_session().get_data("partitions")["partitions"])


class Problem(str):
    """What is wrong. ``fails``: now, so that nothing should be deployed with it; otherwise it will be."""

    fails = True


class Notice(Problem):
    """What works less than it is written, or will be wrong on a day to come."""

    fails = False


def retirements(playbook: Path, today: date, *, model_id: str = "") -> Iterator[Problem]:
    """Yield which of the models that a stack asks are retired, and which will be soon (``Notice``).

    ``model_id``: the template's ``ModelId``. What cannot be read is for others to name.
    """
    folder = playbook_in(playbook)
    models = Catalog.of_playbook(folder)
    for named, model in named_models(folder, model_id).items():
        file, _, field = named.partition(": ")
        where = f"{field} in {folder / file}"
        if not models.knows(model):
            continue
        card = models.card(model)
        if said := retired(card, model, today):
            yield Problem(f"{where}: {said}")
        elif said := retires_soon(card, model, today):
            yield Notice(f"{where}: {said}")


def _passed_over(playbook: Path, region: str, today: date) -> Iterator[Notice]:
    """Yield which of the models that stand in for another one a stack in ``region`` goes without."""
    folder = playbook_in(playbook)
    for named, why in passed_over(folder, region, on=today):
        file, _, field = named.partition(": ")
        yield Notice(f"{field} in {folder / file}: {why}")


def problems(playbook: Path, template: Path, samconfig: Path, *, today: date) -> Iterator[Problem]:
    """Yield for each environment of ``samconfig`` what of it does not fit ``agent.yaml``.

    That is ``ModelArns``, ``GuardrailId``, a model that its region cannot call, or one that is retired, or will be soon
    (``Notice``). An environment that sets a parameter not has the template's default. Raises ``InvalidInput``,
    ``PlaybookInvalid`` and ``TemplateInvalid``.
    """
    from localcloud.template import load_template

    defaults = {name: str(one.get("Default", "")) for name, one in load_template(template)["Parameters"].items()}
    guardrail = read_agent(playbook_in(playbook) / "agent.yaml").guardrail
    told: set[str] = set()
    for environment, given, region in _environments(samconfig):
        where = f"{samconfig}: {environment}"
        parameters = defaults | given
        for one in retirements(playbook, today, model_id=parameters["ModelId"]):
            if one not in told:
                told.add(one)
                yield one
        if said := _of_guardrail(guardrail, parameters[GUARDRAIL], region):
            yield Problem(f"{where}: {GUARDRAIL} {said}")
        for one in _passed_over(playbook, region, today):
            yield Notice(f"{where}: {one}")
        if len(parameters[PARAMETER]) > MOST_VALUE:
            yield Problem(f"{where}: {_too_long(parameters[PARAMETER])}")
        try:
            yield from _of_models(playbook, where, parameters, region, today)
        except PlaybookInvalid as unreachable:
            yield Problem(f"{where}: {unreachable}")


def _too_long(value: str) -> str:
    return (
        f"{PARAMETER} has {len(value)} characters, and CloudFormation takes {MOST_VALUE} in a parameter. Name fewer "
        "models in agent.yaml, or give the agent's role the rest by a statement of your own beside CallModels in "
        "template.yaml, and deploy with those that remain."
    )


def _of_guardrail(guardrail: Guardrail | None, granted: str, region: str) -> str | None:
    """Return how the parameter ``granted`` differs from what ``agent.yaml`` names; None if it does not.

    The role may apply a guardrail of the stack's own account, region and partition alone.
    """
    if guardrail is None:
        return None if granted == "none" else f"is {granted}, and agent.yaml names no guardrail. Leave it out."
    arn = _GUARDRAIL_ARN.fullmatch(guardrail.id)
    named = arn[2] if arn else guardrail.id
    own = f"{partition_of(region)}:bedrock:{region}" if region else ""
    if arn and (arn[1] != own if own else arn[1].split(":")[1] != "bedrock"):
        return (
            f"cannot grant {guardrail.id}, which agent.yaml names: the role may apply guardrails of the stack's own "
            f"account and region{f', {region}' if region else ''}. Name one there, by its id."
        )
    if named == granted:
        return None
    has = "is not set" if granted == "none" else f"is {granted}"
    return f"{has}, and agent.yaml names the guardrail {named}: without it each call is denied. Set it to {named}."


def _of_models(
    playbook: Path, where: str, parameters: Mapping[str, str], region: str, today: date
) -> Iterator[Problem]:
    """Yield how ``ModelArns`` differ from what ``agent.yaml`` names. Raises ``PlaybookInvalid``."""
    model_id = parameters["ModelId"]
    given = {_ACCOUNT.sub(":*", one.strip()) for one in parameters[PARAMETER].split(",")}
    elsewhere = [] if region else _REGION.findall(" ".join(given))
    regions = dict.fromkeys([region, *elsewhere, ""])
    right = [set(model_arns(playbook, one, model_id=model_id, on=today)) for one in regions]
    if given in right:
        return
    missing, more = sorted(right[0] - given), sorted(given - right[0])
    said = [f"lacks {', '.join(missing)}"] if missing else []
    said += [f"has {', '.join(more)}, which the playbook does not name"] if more else []
    command = f"ballast models --playbook {playbook}{f' --region {region}' if region else ''}"
    command += f" --model {model_id}" if model_id else ""
    yield Problem(
        f"{where}: {PARAMETER} {' and '.join(said)}. Set it in parameter_overrides to what `{command}` prints."
    )


def _environments(samconfig: Path) -> list[tuple[str, dict[str, str], str]]:
    """Return the name, the parameters and the region ("" if it has none) of each environment of ``samconfig``."""
    try:
        settings = settings_in(samconfig)
    except (OSError, ValueError) as problem:
        raise InvalidInput(f"{samconfig}: {problem}") from None
    of_all = {one.environment for one in settings if one.command == "global" and one.parameters}
    deploys = {one.environment: one for one in settings if one.command == "deploy"}
    deploys |= {one.environment: one for one in settings if one.environment in of_all - deploys.keys()}
    found = [(name, one.parameters, one.region) for name, one in deploys.items()]
    for name, _, region in found:
        if region and not _is_region(region):
            raise InvalidInput(
                f"{samconfig}: {name}: region {region}: is no region of AWS. Name one like eu-central-1."
            )
    return found
