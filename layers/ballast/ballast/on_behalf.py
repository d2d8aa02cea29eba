"""Tokens that callers bring, so that a run acts on their behalf: sealed, apart from the log, gone with the run.

::

    POST /runs, X-On-Behalf-Of ─▶ the front door keeps ─▶ one item a run ─▶ the executor opens ─▶ the server that
                                  (it cannot read)           │              (only it can read)      wants it
                                                             └ deleted at the run's end, and by TTL

KMS encrypts each token, bound to its run, its name and its requester, so no part of an item can stand in another one.
Imports ``ballast.table`` and what is below it.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import field
from datetime import datetime
from typing import Any

from ballast.aws_errors import consequences
from ballast.runtime import Runtime, Settings
from ballast.table import Put, Table, absent, equals
from ballast.values import dataclass

#: The header of POST /runs.
HEADER = "X-On-Behalf-Of"
#: A token is kept for so long at most, whatever it says of itself.
MOST_S = 24 * 60 * 60
#: KMS's limit of bytes in one request.
_PART_BYTES = 4_096
#: KMS's errors for a ciphertext that this key did not make, or not for this.
_NOT_OURS = frozenset({"InvalidCiphertextException", "IncorrectKeyException", "ValidationException"})


class NoToken(Exception):
    """There is no token that may be used. The text says why, and what the requester does about it."""


class TokensSettings(Settings):
    """requester_tokens_table: the table of the tokens that callers bring."""

    requester_tokens_table: str


class SealedTokensSettings(TokensSettings):
    """sensitive_key_arn: the KMS key that seals them."""

    sensitive_key_arn: str = ""


@dataclass(frozen=True)
class Token:
    """A token as its caller brings it.

    name        the server's declaration calls it so
    value       the secret
    expires_at  epoch seconds
    subject     a digest of the person or client that a JWT is about, "" if the token does not say it; unverified
    """

    name: str
    value: str = field(repr=False)
    expires_at: int = 0
    subject: str = ""

    @classmethod
    def read(cls, name: str, value: str, now: datetime) -> Token:
        """Return the token, with what a JWT says of itself: that can only shorten its life."""
        latest, claims = int(now.timestamp()) + MOST_S, _claims(value)
        expires = claims.get("exp")
        if isinstance(expires, int | float) and not isinstance(expires, bool) and expires < latest:
            latest = int(max(0, expires))  # in this order: the smallest float is no integer
        about = [claims.get("iss"), claims.get("sub")]
        subject = hashlib.sha256(json.dumps(about).encode()).hexdigest() if any(about) else ""
        return cls(name, value, latest, subject)


def no_token(name: str) -> str:
    """Raise what a call gets where nobody brought a token."""
    raise NoToken(
        f"The request brought no token {name!r}. Only POST /runs takes one, in its header {HEADER}: "
        "the requester sends a new request with it."
    )


@dataclass(frozen=True)
class RequesterTokens:
    """The tokens of runs, with the rights of one function: to keep, to open, or to forget them."""

    table: Table
    kms: Any
    key_arn: str = ""

    @classmethod
    def of(cls, runtime: Runtime) -> RequesterTokens:
        """Return the tokens of ``runtime``'s stack, for a function that keeps or opens them."""
        settings = SealedTokensSettings.of(runtime)
        return cls(_table(runtime, settings), runtime.lazy("kms"), settings.sensitive_key_arn)

    @classmethod
    def to_forget(cls, runtime: Runtime) -> RequesterTokens:
        """Return the tokens of ``runtime``'s stack, for a function that can only delete them."""
        return cls(_table(runtime, TokensSettings.of(runtime)), None)

    def keep(self, run_id: str, requester: str, tokens: Sequence[Token]) -> bool:
        """Keep the tokens of a run, all at once, in the place of earlier ones of the same requester and subjects.

        Return False, and keep nothing, if the run has those of somebody else. Raises ``RetryLater``.
        """
        sealed = {
            one.name: {"expires_at": one.expires_at, "parts": self._seal(run_id, requester, one)} for one in tokens
        }
        whose = {"requester": requester, "subjects": subjects(tokens)}
        it_is_new, it_is_the_same_persons = absent("run_id"), equals("requester", requester)
        item = {"run_id": run_id, **whose, "tokens": sealed, "expires_at": max(one.expires_at for one in tokens)}
        condition = it_is_new | (it_is_the_same_persons & equals("subjects", whose["subjects"]))
        return self.table.write(Put(item, only_if=condition)).written

    def open(self, run_id: str, requester: str | None, name: str, now: datetime) -> str:
        """Return the run's token of that name. Raises ``NoToken``, and ``RetryLater`` for an outage.

        ``requester``: who asked for the run, as its log says. The token of anybody else is not used.
        """
        item = self.table.get({"run_id": run_id})
        kept = item["tokens"].get(name) if item is not None else None
        if item is None or kept is None:
            return no_token(name)
        if requester is None or item["requester"] != requester:
            raise NoToken(f"The token {name!r} that is kept for this run is not its requester's, so it was not used.")
        if kept["expires_at"] <= now.timestamp():
            raise NoToken(
                f"The requester's token {name!r} has expired. {again('a fresh one')} Nobody else's is used instead."
            )
        parts = [self._opened(part, _bound(run_id, requester, name, at)) for at, part in enumerate(kept["parts"])]
        if any(part is None for part in parts):
            raise NoToken(f"What is kept as the token {name!r} of this run was not sealed as that: tell an operator.")
        return b"".join(filter(None, parts)).decode("ascii")

    def forget(self, run_id: str) -> None:
        """Delete the tokens of a run; harmless if it has none. Raises ``RetryLater``."""
        self.table.delete({"run_id": run_id})

    def _seal(self, run_id: str, requester: str, token: Token) -> list[bytes]:
        data, parts = token.value.encode("ascii"), []
        for start in range(0, len(data), _PART_BYTES):
            with consequences(f"Key {self.key_arn} (SENSITIVE_KEY_ARN)"):
                made = self.kms.encrypt(
                    KeyId=self.key_arn,
                    Plaintext=data[start : start + _PART_BYTES],
                    EncryptionContext=_bound(run_id, requester, token.name, start // _PART_BYTES),
                )
            parts.append(made["CiphertextBlob"])
        return parts

    def _opened(self, part: bytes, bound: Mapping[str, str]) -> bytes | None:
        from botocore.exceptions import ClientError

        with consequences(f"Key {self.key_arn} (SENSITIVE_KEY_ARN)"):
            try:
                made = self.kms.decrypt(KeyId=self.key_arn, CiphertextBlob=part, EncryptionContext=bound)
            except ClientError as problem:
                if problem.response.get("Error", {}).get("Code") not in _NOT_OURS:
                    raise
                return None
        plaintext: bytes = made["Plaintext"]
        return plaintext


def again(what: str) -> str:
    """Return the remedy: how a requester brings a token for a run that goes on."""
    return (
        f"The requester can repeat the same POST /runs, with its Idempotency-Key and {what} in {HEADER}, while the run "
        "goes on; then the call can be made again."
    )


def subjects(tokens: Sequence[Token]) -> dict[str, str]:
    """Return whom the tokens are about, by their names."""
    return {one.name: one.subject for one in tokens}


def _table(runtime: Runtime, settings: TokensSettings) -> Table:
    return Table.of(runtime, settings.requester_tokens_table, "REQUESTER_TOKENS_TABLE")


def _bound(run_id: str, requester: str, name: str, part: int) -> dict[str, str]:
    return {"run_id": run_id, "requester": requester, "token": name, "part": str(part)}


def _claims(token: str) -> Mapping[str, Any]:
    """Return what a JWT says of itself; {} for any other token. Nothing of it is verified."""
    parts = token.split(".")
    if len(parts) != 3:
        return {}
    try:
        found = json.loads(base64.urlsafe_b64decode(parts[1] + "=" * (-len(parts[1]) % 4)), parse_constant=str)
    except (ValueError, binascii.Error, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}
