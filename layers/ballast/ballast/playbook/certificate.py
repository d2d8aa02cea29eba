"""The certificate of a playbook: what `ballast certify` tried and found to hold, for exactly this code.

It stands beside agent.yaml as ``certificate.json``. It fits as long as the playbook's code, the declarations of its
tools and the platform's version are those that were tried. It is no signature: whoever may deploy may write one.
"""

import json
from pathlib import Path
from typing import Annotated, Literal

from pydantic import AwareDatetime, Field

from ballast.contracts.wire import Wire, canonical, parse, sha256
from ballast.errors import InvalidInput
from ballast.playbook.load import Playbook, policy_version

FILE = "certificate.json"
#: The platform's version, as pyproject.toml has it.
PLATFORM = "0.1.0"
_Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]


class Certificate(Wire):
    """A certificate.

    platform       the platform's version
    code_sha256    the playbook's code
    policy_sha256  the declarations of its tools, and the settings of its agents that bind approvals
    certified_at   when
    scenarios      whose calls were the samples
    held           the rules that held, by tool or fallback
    relies_on      what a rule that held takes from others unseen, in words, by tool and rule
    not_tried      why a rule was not tried, in words, by tool or fallback and rule: such as a write that goes to a
                   person when its end is not known
    """

    version: Literal[2] = 2
    platform: str
    code_sha256: _Sha256
    policy_sha256: _Sha256
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


def why_uncertified(playbook: Playbook) -> str | None:
    """Return why the playbook has no certificate that fits, and what to do; None if it has one."""
    remedy = "Run `ballast certify` on the project and deploy again."
    try:
        certificate = certificate_of(playbook)
    except InvalidInput as problem:
        return f"{problem} {remedy}"
    pairs = [
        ("its code has changed", certificate.code_sha256, playbook.code_sha256),
        ("a tool's declaration or an agent's approval settings have changed", certificate.policy_sha256, None),
        (f"it was made with version {certificate.platform} of the platform", certificate.platform, PLATFORM),
    ]
    for what, had, has in pairs:
        if had != (policy_sha256(playbook) if has is None else has):
            return f"{FILE}: does not fit the playbook any more: {what}. {remedy}"
    return None
