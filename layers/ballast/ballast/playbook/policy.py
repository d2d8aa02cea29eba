"""The version of the rules for a tool: what an approval is bound to besides the call itself."""

from ballast.contracts.wire import canonical, sha256
from ballast.playbook.load import Playbook
from ballast.playbook.tool import Tool


def policy_version(playbook: Playbook, tool: Tool) -> str:
    """Return the hex SHA-256 of the tool's declaration, the agent's rules for approvals and the playbook's code.

    The code is that of every module, since a rule may name a constant of another one: where any of it
    has changed, what a person approved may not be what would be done now.
    """
    agent = playbook.agent
    return sha256(
        canonical(
            {
                "tool": tool.name,
                "schema": tool.schema,
                "effect": tool.effect,
                "undo": tool.undo,
                "approvals": tool.approval.people,
                "approvers": tool.approval.approvers,
                "on_unanswered": tool.approval.on_unanswered or agent.on_unanswered,
                "approve_over_microusd": agent.approve_over_microusd,
                "code": playbook.code_sha256,
                **({"on_full": agent.moves.on_full} if tool.moves else {}),
            }
        )
    )
