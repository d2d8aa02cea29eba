"""Seal the sensitive values of an event with the stack's key, or mask them, before they are written.

Only who has the right to use the key gets them back; everybody else reads the same events with the values masked::

    append   body ─ which of its values are sensitive? ─▶ body with tokens, and what each token stands for, encrypted
    read     with the key: the body as it was            without it: the body with every token masked

Each spelling in which a value stands is encrypted by the key itself, bound to its run: it is a few bytes, and no
library is needed for it.
Imports ``ballast.contracts``, ``ballast.playbook``, ``ballast.runtime`` and what is below them.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ballast.aws_errors import consequences
from ballast.contracts.secret import SEALED, Finder, Secret, masked, sealed, unsealed, without_tokens
from ballast.errors import NAMES as OUR_NAMES
from ballast.errors import LogCorrupt, SettingInvalid
from ballast.log.event import Event
from ballast.runtime import Runtime, Settings

if TYPE_CHECKING:
    from ballast.playbook import Playbook

#: What KMS takes at once.
_MAX_BYTES = 4_096
#: What KMS says of something that our key did not make.
_NOT_OURS = frozenset({"InvalidCiphertextException", "IncorrectKeyException", "ValidationException"})

Body = dict[str, Any]


class SealSettings(Settings):
    """sensitive_key_arn: the KMS key; needed only where the playbook marks something as sensitive."""

    sensitive_key_arn: str = ""


@dataclass(frozen=True)
class Seal:
    """Closes and opens events, with the rights of one function and the marks of one playbook.

    opens  whether the function has the right to; who only writes reads the values masked
    """

    kms: Any
    key_arn: str
    playbook: Playbook
    opens: bool = True

    @classmethod
    def of(cls, runtime: Runtime, playbook: Playbook, *, opens: bool = True) -> Seal | None:
        """Put it together; None where the playbook marks nothing. Raises ``SettingInvalid``."""
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
        """Return what finds these secrets in the events of a run."""
        return Finder.of(secrets, self.playbook.names | OUR_NAMES)

    def close(self, event: Event, secrets: Iterable[Secret]) -> tuple[Event, Body]:
        """Return the event as its writer goes on with it, and its body as it is written."""
        written = self.closed(event.run_id, event.body, secrets)
        if written is event.body:
            return event, written
        if self.masks:
            return event.model_copy(update={"body": written}), written
        return event.with_shown(shown(*split(written))), written

    def closed(self, run_id: str, body: Body, secrets: Iterable[Secret]) -> Body:
        """Return ``body`` as it may be kept: the very same where none of ``secrets`` is in it."""
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
        """Return ``body`` as everybody may see it."""
        made: Body = masked(body, self.finder(secrets))
        return made

    def open(self, event: Event, body: Body, tokens: Mapping[str, list[str]]) -> Event:
        """Return ``event`` with its ``body`` as it was before it was closed. Raises ``LogCorrupt``."""
        return event.model_copy(update={"body": self.opened(event.run_id, body, tokens)}).with_shown(event.body)

    def opened(self, run_id: str, body: Body, tokens: Mapping[str, list[str]]) -> Body:
        """Return a split body as it was before it was closed. Raises ``LogCorrupt``."""
        made: Body = unsealed(body, {token: self._decrypted(run_id, parts) for token, parts in tokens.items()})
        return made

    @property
    def masks(self) -> bool:
        """Whether what is sensitive is not kept at all."""
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
            raise LogCorrupt(f"{run_id}: a sealed value is no text.") from None


def split(body: Body) -> tuple[Body, dict[str, list[str]]]:
    """Return a written body without what its tokens stand for, and that. Raises ``ValueError`` if it is garbled."""
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
    """Return a split body as everybody may see it."""
    made: Body = without_tokens(body, list(tokens)) if tokens else body
    return made


def token_of(parts: list[str]) -> str:
    """Return what stands for a value: nobody can write it before, since it follows from what KMS returned."""
    digest = hashlib.sha256("".join(map(str, parts)).encode("utf-8")).hexdigest()
    return f"\u27e6{digest[:24]}\u27e7"
