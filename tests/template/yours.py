"""The playbooks that the template ships, and the variables that their code names."""

from pathlib import Path

from cli.checks.code import Code
from tests.template.rendered import ROOT, Template


def playbooks(template: Template) -> list[Path]:
    """Return the folders that the playbook's layer ships a playbook in."""
    layer = ROOT / template["Resources"]["PlaybookLayer"]["Properties"]["ContentUri"]
    return [file.parent for file in sorted(layer.rglob("agent.yaml"))]


def named_in(folder: Path) -> set[str]:
    """Return the texts in a playbook's code that could be the name of an environment variable."""
    return set(Code(folder).named)


def needed_by(folder: Path) -> set[str]:
    """Return the variables that a playbook's code cannot do without, since it looks them up by name."""
    return set(Code(folder).needed)
