"""The certificate of a playbook: what `ballast certify` tried and found to hold, for exactly this code.

It stands beside agent.yaml as ``certificate.json``. It fits as long as the playbook's files, the declarations of its
tools and the platform's code are those that were tried, and as long as it names each of its tools and fallbacks. What
is not deployed, such as scenarios, is compared where it is: by ``ballast certify --check`` and by the build. It is no
signature: whoever may deploy may write one.
"""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Literal

from pydantic import AwareDatetime, Field

from ballast.contracts.wire import Wire, canonical, parse, sha256
from ballast.errors import InvalidInput
from ballast.playbook.declaration import Effect
from ballast.playbook.file_digests import CERTIFICATE, changed, includes, of_playbook, of_trials
from ballast.playbook.load import Playbook, policy_version
from ballast.playbook.made_of import platform_code
from ballast.playbook.samconfig import FILE as SAMCONFIG
from ballast.playbook.samconfig import NamedTemplate, named_templates
from ballast.playbook.tool import Tool

FILE = CERTIFICATE
#: The platform's version, as pyproject.toml has it.
PLATFORM = "0.1.0"
#: Rules that hold for every tool of a certified playbook.
ALWAYS = ("sampled", "result", "arguments", "repeatable", "process", "sight")
_REMEDY = "Run `ballast certify` on the project and deploy again."
_Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]


class Certificate(Wire):
    """A certificate.

    platform       the platform's version
    platform_code  digest of its code
    playbook       digest of each file of the playbook's folder, by path: all that is deployed
    policy_sha256  the declarations of its tools, and the settings of its agents that bind approvals
    tried_with     digest of each file of the project with which it was tried, by path: business.yaml, requirements.txt,
                   scenarios and their stand-ins, and what is shipped beside the playbook. Compared by the build, and
                   not where it is deployed
    certified_at   when
    scenarios      whose calls were the samples
    held           the rules that held, by tool or fallback
    relies_on      what a rule that held takes from others unseen, in words, by tool and rule
    not_tried      why a rule was not tried, in words, by tool or fallback and rule: such as a write that goes to a
                   person when its end is not known
    """

    version: Literal[3] = 3
    platform: str
    platform_code: str
    playbook: dict[str, _Sha256]
    policy_sha256: _Sha256
    tried_with: dict[str, _Sha256]
    certified_at: AwareDatetime
    scenarios: tuple[str, ...]
    held: dict[str, tuple[str, ...]]
    relies_on: dict[str, dict[str, str]] = Field(default_factory=dict)
    not_tried: dict[str, dict[str, str]] = Field(default_factory=dict)


def policy_sha256(playbook: Playbook) -> str:
    """Return the hash of what an approval is bound to, over all tools and agents."""
    versions = {
        f"{name} {tool.name}": policy_version(playbook.as_agent(agent), tool)
        for name, agent in playbook.agents.items()
        for tool in playbook.tools.values()
    }
    return sha256(canonical(versions))


def certificate_of(playbook: Playbook) -> Certificate:
    """Read the playbook's certificate. Raises ``InvalidInput`` if there is none, or it cannot be read."""
    file = Path(playbook.folder) / FILE
    try:
        content = json.loads(file.read_bytes())
    except FileNotFoundError:
        raise InvalidInput(f"{file.name}: the playbook has no certificate.") from None
    except (OSError, ValueError, RecursionError) as problem:
        raise InvalidInput(f"{file.name}: cannot be read: {problem}.") from None
    return parse(Certificate, content, what=file.name)


def why_uncertified(playbook: Playbook, *, on_this_platform: bool = True) -> str | None:
    """Return why the playbook has no certificate that fits, and what to do; None if it has one.

    ``on_this_platform``: whether the platform's own code counts.
    """
    try:
        certificate = certificate_of(playbook)
    except InvalidInput as problem:
        return f"{problem} {_REMEDY}"
    if what := next(_unfit(certificate, playbook, on_this_platform), None):
        return f"{FILE}: does not fit the playbook any more: {what}. {_REMEDY}"
    if what := next(_unnamed(certificate, playbook), None):
        return f"{FILE}: {what}. {_REMEDY}"
    return None


def deployed_templates(project: Path) -> list[NamedTemplate]:
    """Return the business templates that samconfig.toml names.

    Raises ``InvalidInput`` if one is not there, or if samconfig.toml cannot be read.
    """
    try:
        found = named_templates(project)
    except (OSError, ValueError) as problem:
        raise InvalidInput(f"{project / SAMCONFIG}: {problem}") from None
    for one in found:
        where = f"{project / SAMCONFIG}: {one.where}: BusinessTemplate {one.value}"
        if not one.file.is_file():
            raise InvalidInput(
                f"{where}: is no file ({one.file}). Its path is relative to the platform's template.yaml."
            )
    return found


def uncovered(project: Path) -> Iterator[str]:
    """Yield why a certificate cannot cover what is deployed: a build has a copy of the project, and no file beside it.

    Raises ``InvalidInput`` as ``deployed_templates``.
    """
    for one in deployed_templates(project):
        if not one.file.resolve().is_relative_to(project.resolve()):
            yield (
                f"{project / SAMCONFIG}: {one.where}: BusinessTemplate {one.value}: is outside of the project, and no "
                "certificate covers it. Move it into the project."
            )
    for line, file in includes(project):
        if file is None:
            yield (
                f"{project / 'requirements.txt'}: {line}: names what is no file of the project, and no certificate "
                "covers it. Put the file into the project, or its lines here."
            )


def why_tried_otherwise(playbook: Playbook, project: Path) -> str | None:
    """Return which file of the project is not the one with which the playbook was tried, and what to do; else None."""
    try:
        templates = [one.file for one in deployed_templates(project)]
    except InvalidInput as problem:
        return str(problem)
    if what := changed(certificate_of(playbook).tried_with, of_trials(project, Path(playbook.folder).name, templates)):
        return f"{FILE}: was made with other files of the project: {what}. {_REMEDY}"
    return None


def _unfit(certificate: Certificate, playbook: Playbook, on_this_platform: bool) -> Iterator[str]:
    if what := changed(certificate.playbook, of_playbook(Path(playbook.folder))):
        yield f"its code has changed: {what}" if what.endswith(".py") else f"a file has changed: {what}"
    if certificate.policy_sha256 != policy_sha256(playbook):
        yield "a tool's declaration or an agent's approval settings have changed"
    if certificate.platform != PLATFORM:
        yield f"it was made with version {certificate.platform} of the platform"
    if on_this_platform and certificate.platform_code != platform_code():
        yield "it was made with other code of the platform"


def _unnamed(certificate: Certificate, playbook: Playbook) -> Iterator[str]:
    """Yield what of the playbook a certificate does not say to hold."""
    if not certificate.scenarios:
        yield "it names no scenario whose calls were tried"
    named: Mapping[str, tuple[str, ...]] = certificate.held
    for name, tool in playbook.tools.items():
        known = {*named.get(name, ()), *certificate.not_tried.get(name, {})}
        missing = [rule for rule in ALWAYS if rule not in named.get(name, ())]
        missing += [rule for rule in _declared(tool) if rule not in known]
        if missing:
            yield f"it does not say of the tool {name} that {', '.join(missing)} held"
    for intent in playbook.fallbacks:
        if "pure" not in named.get(f"fallback {intent}", ()):
            yield f"it does not say of the fallback {intent} that pure held"


def _declared(tool: Tool) -> Iterator[str]:
    """Yield the rules of what a tool declares; each holds, or was not tried for a reason."""
    if tool.effect is Effect.READ:
        yield "read"
        return
    yield "failure"
    if tool.policy.honours_key:
        yield "key"
    if tool.policy.verify is not None:
        yield "verify"
    if tool.undo is not None:
        yield "undo"
