"""Remedies that several rules share, in the words of where a tool is declared: a tool of ``servers/`` has YAML only."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from ballast.playbook import Tool
from ballast.playbook.servers.tools import RemoteCall
from cli.certify.report import Finding

OWN_CLIENT = (
    'Use ctx.client("dynamodb"): a client that the tool makes, such as boto3.client, boto3.resource or one of a '
    "session, has neither the executor's retries nor the faults of this command."
)
NAME_REQUESTS = "Name the function by which its client sends in REQUESTS of the playbook's store package."


def tell_of_effects(*, stand_ins: bool) -> str:
    """Return how a service outside of AWS comes to tell its effects. ``stand_ins``: whether scenarios/ has some."""
    if stand_ins:
        return "Give scenarios/stand_ins.py seen_outside(), which returns the effects that stand, as JSON."
    return (
        "Start a stand-in of the service in scenarios/stand_ins.py, and give it seen_outside(), which returns the "
        "effects that stand, as JSON."
    )


#: What a stand-in breaks for the tool that calls it.
_STAND_IN = (
    "Look at its stand-in first: it must read no clock and draw nothing at random, and reset() must forget all that "
    "it keeps. If the server itself is so, correct "
)
_KEY = "key or idempotent: leave them out where the server does not count a key once, and declare verify."
_VERIFY = "verify: its tool, arguments and found must lead to the effect under the key; absent has only statuses by "
_VERIFY += "which the server says that it did not happen, such as 404."
#: By rule, in its file in servers/.
_IN_YAML: Mapping[str, str] = {
    "repeatable": f"{_STAND_IN}what its file in servers/ declares.",
    "result": "Let its stand-in answer as the server does; pin it anew if the server has changed (ballast import).",
    "process": f"{_STAND_IN}what its file in servers/ declares.",
    "key": f"{_STAND_IN}{_KEY}",
    "sent": f"Name in key the header or the argument that the server counts once; else correct {_KEY}",
    "verify": f"{_STAND_IN}{_VERIFY}",
    "interrupted": f"{_STAND_IN}{_KEY}",
    "errors": f"Correct {_VERIFY} refusals has none that the server also answers when it is out of order.",
    "pages": "Say in verify.arguments what makes the server answer with the one effect, and not with a page of many.",
    "failure": "Leave statuses out of refusals by which the server does not prove that nothing was done.",
    "circuit": "Leave statuses out of refusals that the server also answers when it is out of order.",
    "timeout": "Set server.timeout_s, or the tool's limits.timeout_s.",
    "money": "Say in result what the server answers, with amounts as text or whole cents, or mask that field.",
    "read": "Say effect: write, with what tells its effect: key, idempotent or verify.",
    "undo": f"{_STAND_IN}undo: its tool and its arguments.",
    "undo_arguments": "Correct undo.arguments.",
    "later": f"The server must know the effect as long as a run lives. Else correct {_KEY}",
    "between": f"{_STAND_IN}{_KEY} Correct undo where it takes back what another call did.",
    "keys": f"{_STAND_IN}{_KEY}",
    "overwrites": f"{_STAND_IN}{_KEY}",
    "overlap": f"{_STAND_IN}{_KEY}",
    "stale": f"{_STAND_IN}{_VERIFY}",
    "aws": "Leave error out of refusals where the function may have had its effect, and declare verify.",
}


def in_its_words(finding: Finding, tool: Tool) -> Finding:
    """Return a finding with a remedy that its tool's author can follow."""
    if not isinstance(tool.function, RemoteCall) or finding.state != "broken":
        return finding
    return replace(finding, remedy=_IN_YAML.get(finding.rule, finding.remedy))
