"""Seal the sensitive values of an event with the stack's key, or mask them, before they are written.

Only functions with the right to use the key can read the values; all others read the same events with masks::

    append   body ─ find the sensitive values ─▶ body with tokens, and the encrypted value of each token
    read     with the key: the original body     without it: the body with every token masked

KMS encrypts each spelling of a value with the key itself, bound to its run: a value is a few bytes, and this needs no
library.
Imports ``ballast.contracts``, ``ballast.playbook``, ``ballast.runtime`` and what is below them.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from ballast.aws_errors import consequences
from ballast.errors import NAMES as OUR_NAMES
from ballast.errors import LogCorrupt, SettingInvalid
from ballast.log.event import Event
from ballast.masking import SEALED, Finder, Secret, masked, sealed, unsealed, without_tokens
from ballast.runtime import Runtime, Settings
from ballast.values import dataclass

if TYPE_CHECKING:
    from ballast.playbook import Playbook

#: KMS's limit of bytes in one request.
_MAX_BYTES = 4_096
#: KMS's errors for a ciphertext that this key did not make.
_NOT_OURS = frozenset({"InvalidCiphertextException", "IncorrectKeyException", "ValidationException"})

Body = dict[str, Any]


class SealSettings(Settings):
    """sensitive_key_arn: the KMS key; required only if the playbook marks fields as sensitive."""

    sensitive_key_arn: str = ""


@dataclass(frozen=True)
class Seal:
    """Seals and opens events, with the rights of one function and the marks of one playbook.

    opens  whether the function may decrypt; a function that only writes reads the values masked
    """

    kms: Any
    key_arn: str
    playbook: Playbook
    opens: bool = True

    @classmethod
    def of(cls, runtime: Runtime, playbook: Playbook, *, opens: bool = True) -> Seal | None:
        """Return the seal; None if the playbook marks nothing as sensitive. Raises ``SettingInvalid``."""
        if not playbook.marks_sensitive:
            return None
        key_arn = SealSettings.of(runtime).sensitive_key_arn
        if not key_arn and playbook.agent.sensitive.policy != "mask":
            raise SettingInvalid(
                "SENSITIVE_KEY_ARN: the playbook marks fields as sensitive, to be encrypted. template.yaml sets it."
            )
        return cls(runtime.lazy("kms"), key_arn, playbook, opens)

    def secrets(self, body: Body) -> frozenset[Secret]:
        """Return the values that the playbook marks in ``body``."""
        from ballast.playbook.sensitive import sensitive_values

        return frozenset(sensitive_values(self.playbook, body))

    def finder(self, secrets: Iterable[Secret]) -> Finder:
        """Return a finder of these secrets in the events of a run."""
        return Finder.of(secrets, self.playbook.names | OUR_NAMES)

    def close(self, event: Event, secrets: Iterable[Secret]) -> tuple[Event, Body]:
        """Return the event for its writer's own use, and its body to store, with secrets sealed."""
        written = self.closed(event.run_id, event.body, secrets)
        if written is event.body:
            return event, written
        if self.masks:
            return event.model_copy(update={"body": written}), written
        return event.with_shown(shown(*split(written))), written

    def closed(self, run_id: str, body: Body, secrets: Iterable[Secret]) -> Body:
        """Return ``body`` with ``secrets`` sealed; the same object if it has none."""
        finder = self.finder(secrets)
        if self.masks:
            made: Body = masked(body, finder)
            return body if made == body else made
        kept: dict[str, list[str]] = {}
        tokens: dict[str, str] = {}

        def token(text: str) -> str:
            if text not in tokens:
                parts = self._encrypted(run_id, text)
                tokens[text] = token_of(parts)
                kept[tokens[text]] = parts
            return tokens[text]

        made = sealed(body, finder, token)
        return made | {SEALED: kept} if kept else body

    def shown(self, body: Body, secrets: Iterable[Secret]) -> Body:
        """Return ``body`` with ``secrets`` masked."""
        made: Body = masked(body, self.finder(secrets))
        return made

    def open(self, event: Event, body: Body, tokens: Mapping[str, list[str]]) -> Event:
        """Return ``event`` with its original ``body``. Raises ``LogCorrupt``."""
        return event.model_copy(update={"body": self.opened(event.run_id, body, tokens)}).with_shown(event.body)

    def opened(self, run_id: str, body: Body, tokens: Mapping[str, list[str]]) -> Body:
        """Return the original of a split body. Raises ``LogCorrupt``."""
        made: Body = unsealed(body, {token: self._decrypted(run_id, parts) for token, parts in tokens.items()})
        return made

    @property
    def masks(self) -> bool:
        """Whether sensitive values are masked for ever and not stored."""
        return self.playbook.agent.sensitive.policy == "mask"

    def _encrypted(self, run_id: str, secret: str) -> list[str]:
        data = secret.encode("utf-8", "surrogatepass")
        parts = []
        for start in range(0, len(data), _MAX_BYTES):
            with consequences(f"Key {self.key_arn} (SENSITIVE_KEY_ARN)"):
                made = self.kms.encrypt(
                    KeyId=self.key_arn,
                    Plaintext=data[start : start + _MAX_BYTES],
                    EncryptionContext={"run_id": run_id},
                )
            parts.append(base64.b64encode(made["CiphertextBlob"]).decode("ascii"))
        return parts

    def _decrypted(self, run_id: str, parts: list[str]) -> str:
        from botocore.exceptions import ClientError, ParamValidationError

        data = b""
        for part in parts:
            with consequences(f"Key {self.key_arn} (SENSITIVE_KEY_ARN)"):
                try:
                    made = self.kms.decrypt(
                        KeyId=self.key_arn,
                        CiphertextBlob=base64.b64decode(part),
                        EncryptionContext={"run_id": run_id},
                    )
                except ClientError as problem:
                    if problem.response.get("Error", {}).get("Code") not in _NOT_OURS:
                        raise
                    raise LogCorrupt(f"{run_id}: a sealed value cannot be opened ({problem}).") from None
                except (ParamValidationError, ValueError, TypeError) as problem:
                    raise LogCorrupt(f"{run_id}: a sealed value cannot be opened ({type(problem).__name__}).") from None
            data += made["Plaintext"]
        try:
            return data.decode("utf-8", "surrogatepass")
        except UnicodeDecodeError:
            raise LogCorrupt(f"{run_id}: a sealed value is not a text.") from None


def split(body: Body) -> tuple[Body, dict[str, list[str]]]:
    """Return a stored body, and the encrypted values of its tokens. Raises ``ValueError`` if it is garbled."""
    tokens = body.get(SEALED)
    if tokens is None:
        return body, {}
    whole = isinstance(tokens, dict) and all(isinstance(parts, list) for parts in tokens.values())
    if not whole:
        raise ValueError(f"its {SEALED} is no mapping of tokens to texts")
    if any(token_of(parts) != token for token, parts in tokens.items()):
        raise ValueError("a sealed value is not the one that was written; somebody exchanged it")
    return {name: value for name, value in body.items() if name != SEALED}, tokens


def shown(body: Body, tokens: Mapping[str, Any]) -> Body:
    """Return a split body with every token masked."""
    made: Body = without_tokens(body, list(tokens)) if tokens else body
    return made


def token_of(parts: list[str]) -> str:
    """Return the token of a value. It derives from KMS's ciphertext, so nobody can write it in advance."""
    digest = hashlib.sha256("".join(map(str, parts)).encode("utf-8")).hexdigest()
    return f"\u27e6{digest[:24]}\u27e7"
