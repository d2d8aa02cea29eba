"""Small playbooks, written to a folder by a test."""

from pathlib import Path

AGENT = """\
name: support
model: amazon.nova-lite-v1:0
instructions: Help.
limits: {turns: 5, deadline_s: 60}
intents:
  order_status: {limits: {turns: 3}}
"""
TOOL = '''\
from ballast.playbook import Read, ToolContext, Write, tool
from pydantic import BaseModel, ConfigDict


class Args(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)
    order_id: str


@tool(effect=Read())
def look_up(args: Args, ctx: ToolContext) -> dict[str, str]:
    """Look up an order."""
    return {"id": args.order_id}
'''
FALLBACK = '''\
from ballast.playbook import fallback

from ..tools.look_up import look_up


@fallback(intent="order_status")
def order_status(request):
    """Say where the order is."""
    order = yield look_up.call(order_id=request.context["order_id"])
    return f"Order {order['id']} is on its way."
'''
#: Relative path to content: a playbook that loads.
GOOD = {
    "__init__.py": "",
    "agent.yaml": AGENT,
    "tools/__init__.py": "",
    "tools/look_up.py": TOOL,
    "fallbacks/__init__.py": "",
    "fallbacks/order_status.py": FALLBACK,
}


def written(folder: Path, files: dict[str, str | None] | None = None) -> Path:
    """Write a good playbook with ``files`` instead of, or besides, its own; None leaves one out."""
    for name, content in (GOOD | (files or {})).items():
        if content is not None:
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_text(content, encoding="utf-8")
    return folder


def without(name: str) -> dict[str, str | None]:
    return {name: None}


def tool_with(old: str, new: str) -> dict[str, str | None]:
    """Return the tool's file with one thing changed."""
    assert TOOL.count(old) == 1, old
    return {"tools/look_up.py": TOOL.replace(old, new)}


def agent_with(old: str, new: str) -> dict[str, str | None]:
    assert AGENT.count(old) == 1, old
    return {"agent.yaml": AGENT.replace(old, new)}
