"""List the arguments of a playbook's tools of which nobody has said where their values must come from."""

from typing import TYPE_CHECKING

from ballast.validation.marks import undeclared

if TYPE_CHECKING:
    from ballast.playbook.load import Playbook


def undeclared_arguments(playbook: "Playbook") -> tuple[str, ...]:
    """Return ``tool.field`` for each argument that is neither ``Grounded`` nor ``FreeText`` nor a choice, by name.

    A choice (a Literal, an Enum, a boolean) can only be what the tool's author wrote. For every other one an author
    decides: a value that somebody must have named, or the model's own words.
    """
    tools = sorted(playbook.tools.values(), key=lambda made: made.name)
    return tuple(f"{made.name}.{path}" for made in tools for path in dict.fromkeys(undeclared(made.arguments)))
