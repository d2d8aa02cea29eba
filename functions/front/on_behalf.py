"""Tokens at the front door: read from their header, held against what the playbook wants, kept before the run starts.

::

    X-On-Behalf-Of: Bearer TOKEN                       the only token that the playbook's servers want
    X-On-Behalf-Of: desk=Bearer TOKEN, crm=Bearer …    by the names in `credential: {kind: requester, name: desk}`

No text of the header is ever repeated: neither in an error nor in a log.
"""

import json
import re
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any

from aws_lambda_powertools.event_handler.openapi.params import Header

from ballast.contracts import RunRequest
from ballast.http.problem import Problem, conflict
from ballast.on_behalf import HEADER, RequesterTokens, SealedTokensSettings, Token, subjects
from ballast.runtime import Runtime
from ballast.values import dataclass
from functions.front.start import Executions, is_repeat

#: Characters of one token.
MOST_CHARS = 8_192
#: RFC 6750, section 2.1, with a name before it.
_PART = re.compile(
    r"(?:(?P<name>[A-Za-z0-9][A-Za-z0-9._-]{0,63})=)?[Bb][Ee][Aa][Rr][Ee][Rr] +(?P<token>[A-Za-z0-9._~+/-]+=*)"
)


OnBehalfOf = Annotated[
    str | None,
    Header(
        alias=HEADER,
        description="A token with which the run's calls act on your behalf: `Bearer TOKEN`, or several as "
        "`NAME=Bearer TOKEN, NAME=Bearer TOKEN`, by the names that the playbook's servers want (400 for others). "
        "It is kept sealed until the run ends, at most for a day. A repeat with the same key may bring a fresh one "
        "of the same person; another caller's is refused (409).",
    ),
]


class OnBehalfSettings(SealedTokensSettings):
    """The environment of tokens at the door.

    requester_tokens_table  where they are kept
    sensitive_key_arn       the KMS key that seals them
    playbook_dir            folder of the playbook, whose servers say which tokens they want
    """

    playbook_dir: str


@dataclass(frozen=True)
class Door:
    """Takes the tokens of a request, or refuses them.

    wanted  the names of the tokens that the playbook's servers want
    """

    wanted: frozenset[str]
    tokens: RequesterTokens

    @classmethod
    def of(cls, runtime: Runtime) -> "Door":
        """Return the door of ``runtime``'s stack. Raises ``PlaybookInvalid``."""
        from ballast.playbook.load import playbook_in  # only a request with a token needs it
        from ballast.playbook.servers.checks import wanted_tokens

        playbook = playbook_in(Path(OnBehalfSettings.of(runtime).playbook_dir).resolve())
        return cls(wanted_tokens(playbook), runtime.get(RequesterTokens.of))

    def read(self, header: str, now: datetime) -> tuple[Token, ...]:
        """Return the tokens of the header. Raises ``Problem`` (400), which names the header."""
        found: dict[str, Token] = {}
        for part in header.split(","):
            made = _PART.fullmatch(part.strip())
            if made is None:
                raise _refused("is not `Bearer TOKEN`, or `NAME=Bearer TOKEN, NAME=Bearer TOKEN`.")
            if len(made["token"]) > MOST_CHARS:
                raise _refused(f"has a token of more than {MOST_CHARS} characters.")
            token = Token.read(self._name(made["name"]), made["token"], now)
            if token.expires_at <= now.timestamp():
                raise _refused(f"has a token ({token.name}) that has expired. Fetch a fresh one.")
            if token.name in found:
                raise _refused(f"has two tokens for {token.name}. Send one.")
            found[token.name] = token
        return tuple(found.values())

    def keep(self, executions: Executions, request: RunRequest, requester: str, tokens: tuple[Token, ...]) -> None:
        """Keep the tokens for the request's run, unless that has ended; a repeat brings fresh ones of the same people.

        Raises ``Problem`` (409) for the run of another caller, or of tokens about others; what is kept stays then.
        """
        running = executions.describe(request.run_id)
        if running is not None:
            if running["status"] != "RUNNING" or not is_repeat(request, running["input"]):
                return  # nobody would use them; ``Executions.start`` says the rest
            sent: Mapping[str, Any] = json.loads(running["input"])
            if sent.get("requested_by") != requester or sent.get("on_behalf_subjects", {}) != subjects(tokens):
                raise _others(request)
        if not self.tokens.keep(request.run_id, requester, tokens):
            raise _others(request)

    def _name(self, sent: str | None) -> str:
        known = ", ".join(sorted(self.wanted))
        if not self.wanted:
            raise _refused("is for a playbook with `credential: {kind: requester}`, and no server of this one has it.")
        if sent is None and len(self.wanted) > 1:
            raise _refused(f"has a token without a name, and several are wanted: {known}. Write NAME=Bearer TOKEN.")
        name = next(iter(self.wanted)) if sent is None else sent
        if name not in self.wanted:
            raise _refused(f"names a token that no server of this playbook wants. It may name: {known}.")
        return name


def _refused(why: str) -> Problem:
    return Problem(400, "Bad request", f"The header {HEADER} {why} Nothing was started, and no token was kept.")


def _others(request: RunRequest) -> Problem:
    return conflict(
        "Another requester",
        f"The run of this Idempotency-Key ({request.run_id}) was started by another caller, or with other tokens: "
        f"those in {HEADER} were not kept. A repeat may bring fresh tokens of the same names, about the same person. "
        "Send a new key for a run of your own.",
    )
