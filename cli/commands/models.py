"""``ballast models``: the models that the agent's role may call, as the template's parameter ``ModelArns``."""

import re
import shlex
import tomllib
from argparse import Namespace
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from ballast.errors import InvalidInput
from cli.exits import Exit
from localcloud.model_arns import PARAMETER, model_arns

#: An account in a profile's ARN is the stack's own; ``model_arns`` leaves it open.
_ACCOUNT = re.compile(r":[0-9]{12}(?=:inference-profile/)")
_REGION = re.compile(r"arn:[^:]*:bedrock:([a-z0-9-]+):")


def models(typed: Namespace) -> int:
    """Print ``ModelArns`` of a playbook, or compare it with the settings; return the exit code.

    Raises ``BallastError`` and ``TemplateInvalid``.
    """
    from localcloud.cloud import PLAYBOOK, ROOT

    playbook = PLAYBOOK if typed.playbook is None else Path(typed.playbook)
    if not typed.check:
        arns = model_arns(playbook, typed.of_region or "", model_id=typed.model_id)
        print(f"{PARAMETER}={','.join(arns)}")
        return Exit.OK
    found = list(problems(playbook, ROOT / "template.yaml", Path(typed.samconfig or ROOT / "samconfig.toml")))
    for problem in found:
        print(problem)
    return Exit.USAGE if found else Exit.OK


def problems(playbook: Path, template: Path, samconfig: Path) -> Iterator[str]:
    """Yield for each environment of ``samconfig`` how its ``ModelArns`` differ from what ``agent.yaml`` names.

    An environment that sets none has the template's default. Raises ``InvalidInput``, ``PlaybookInvalid`` and
    ``TemplateInvalid``.
    """
    from localcloud.template import load_template

    default = load_template(template)["Parameters"][PARAMETER]["Default"]
    for environment, parameters, region in _environments(samconfig):
        model_id = parameters.get("ModelId", "")
        given = {_ACCOUNT.sub(":*", one.strip()) for one in parameters.get(PARAMETER, default).split(",")}
        regions = dict.fromkeys([region, *(_REGION.findall(" ".join(given))), ""])
        right = [set(model_arns(playbook, one, model_id=model_id)) for one in regions]
        if given in right:
            continue
        missing, more = sorted(right[0] - given), sorted(given - right[0])
        said = [f"lacks {', '.join(missing)}"] if missing else []
        said += [f"has {', '.join(more)}, which the playbook does not name"] if more else []
        command = f"ballast models --playbook {playbook}{f' --region {region}' if region else ''}"
        command += f" --model {model_id}" if model_id else ""
        yield (
            f"{samconfig}: {environment}: {PARAMETER} {' and '.join(said)}. Set it in parameter_overrides to what "
            f"`{command}` prints."
        )


def _environments(samconfig: Path) -> list[tuple[str, dict[str, str], str]]:
    """Return the name, the parameters and the region ("" if it has none) of each environment of ``samconfig``."""
    try:
        document = tomllib.loads(samconfig.read_text(encoding="utf-8"))
        return [
            (name, _overrides(settings.get("parameter_overrides", "")), str(settings.get("region", "")))
            for name, commands in document.items()
            if isinstance(commands, Mapping) and "deploy" in commands
            for settings in [_settings(commands, "global") | _settings(commands, "deploy")]
        ]
    except (OSError, ValueError) as problem:
        raise InvalidInput(f"{samconfig}: {problem}") from None


def _settings(commands: Mapping[str, Any], command: str) -> dict[str, Any]:
    return dict(commands.get(command, {}).get("parameters", {}))


def _overrides(written: str | list[str]) -> dict[str, str]:
    words = shlex.split(written) if isinstance(written, str) else written
    return {name: value.strip("\"'") for name, _, value in (str(word).partition("=") for word in words)}
