"""The needs of the servers that a playbook declares: variables, services that are signed for, actions."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ballast.errors import PlaybookInvalid
from ballast.playbook.servers.checks import read_declaration
from ballast.playbook.servers.declaration import LambdaServer, SigV4Credential
from cli.checks.files import files_in

#: The action that reads a secret, by the store that a declaration names.
_READS_A_SECRET = {"secretsmanager": "secretsmanager:GetSecretValue", "ssm": "ssm:GetParameter"}


@dataclass
class Declared:
    """What the declarations of servers need, each with its file: variables, services that are signed for, actions.

    aims      the functions and secrets that they use: see ``Code.aims``
    is_whole  whether all of them could be read
    """

    variables: dict[str, str]
    services: dict[str, str]
    actions: dict[str, str]
    aims: list[tuple[str, str, bool, str]]
    is_whole: bool = True

    def aim(self, action: str, named: Any, file: str) -> None:
        """Add what an action is on: a name, or the variable that has it."""
        variable = getattr(named, "env", named.get("env") if isinstance(named, dict) else None)
        if isinstance(variable or named, str):
            self.aims.append((action, variable or named, variable is not None, file))

    def read(self, value: Any, file: str) -> None:
        """Add the variables and secrets that a part of a declaration names."""
        if not isinstance(value, dict):
            return
        if value.keys() == {"env"}:
            self.variables.setdefault(value["env"], file)
        for name, inside in value.items():
            if name in _READS_A_SECRET and inside is not None:
                self.actions.setdefault(_READS_A_SECRET[name], file)
                self.aim(_READS_A_SECRET[name], inside, file)
            self.read(inside, file)


def declared_in(folder: Path) -> Declared:
    """Return what the declarations in a playbook's folder need."""
    found = Declared({}, {}, {}, [])
    files = files_in(folder / "servers", "*.yaml")
    found.is_whole = len(files) == len([*(folder / "servers").glob("*.yaml")])
    for file in files:
        try:
            declared = read_declaration(file)
        except PlaybookInvalid:
            found.is_whole = False  # loading the playbook says why
            continue
        found.read(declared.server.model_dump(mode="json"), str(file))
        if isinstance(declared.server, LambdaServer):
            found.actions.setdefault("lambda:InvokeFunction", str(file))
            found.aim("lambda:InvokeFunction", declared.server.function, str(file))
        elif isinstance(signs := declared.server.credential, SigV4Credential):
            found.services.setdefault(signs.service, str(file))
    return found
