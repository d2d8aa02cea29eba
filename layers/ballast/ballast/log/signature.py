"""Signatures of people's answers in the log. An answer without a valid signature is ignored.

A function that may append to the log may also overwrite it, because IAM cannot bind ``PutItem`` to a condition. So an
event alone does not prove that a person wrote it. A MAC does: only the people's functions may sign with its key::

    people's functions   append ─ GenerateMac over ``message`` ─▶ the item has ``mac``
    functions that act   read ─ VerifyMac ─ valid ─▶ the event
                                          └ invalid or missing ─▶ ignored; ``UnsignedAnswers``
    all others           read it unverified, and have no rights that a forged answer could use

A run without people's answers makes no request to KMS.
Imports ``ballast.contracts``, ``ballast.metrics`` and ``ballast.runtime``.
"""

from __future__ import annotations

import hmac
from collections.abc import Callable, Mapping
from dataclasses import field
from typing import Annotated, Any

from pydantic import Field

from ballast.aws_errors import consequences
from ballast.contracts.wire import canonical, sha256
from ballast.log.event import Event, is_a_persons
from ballast.metrics import metric_line
from ballast.runtime import Runtime, Settings
from ballast.values import dataclass

#: The domain and the version of the signed form: a MAC of one form is never valid for another.
DOMAIN = "ballast person's answer 1"
ALGORITHM = "HMAC_SHA_256"
_MAC_BYTES = 32
#: Number of verified answers that a warm function remembers.
_KEPT_VERDICTS = 1_024


class SignatureSettings(Settings):
    """answer_key_arn: the KMS key of people's answers; a function's role lets it sign or verify with the key."""

    answer_key_arn: Annotated[str, Field(min_length=1)]


def message(run_id: str, seq: str, at: str, body: Mapping[str, Any]) -> bytes:
    """Return the signed message of an event: one line, short enough for KMS. Pure.

    ``seq`` is its position (turn, kind, call, round). ``body`` is the stored one, with sensitive values sealed: the
    decision or approval, its binding, changed arguments, the person, the time, and the run's new deadlines.
    """
    said = {"run_id": run_id, "seq": seq, "at": at, "body": body}
    return f"{DOMAIN}\n{sha256(canonical(said))}".encode("ascii")


@dataclass(frozen=True)
class Signatures:
    """The key, with the rights of one function. ``signs``: the function may sign, and verifies by signing again."""

    kms: Any
    key_arn: str
    emit: Callable[[str], None]
    signs: bool = False
    _verdicts: dict[tuple[bytes, bytes], bool] = field(default_factory=dict, compare=False)

    @classmethod
    def of(cls, runtime: Runtime) -> Signatures:
        """Return the signatures of a function that acts on answers: it verifies. Raises ``SettingInvalid``."""
        return cls(runtime.lazy("kms"), SignatureSettings.of(runtime).answer_key_arn, runtime.emit)

    @classmethod
    def signing(cls, runtime: Runtime) -> Signatures:
        """Return the signatures of a people's function: it signs. Raises ``SettingInvalid``."""
        return cls(runtime.lazy("kms"), SignatureSettings.of(runtime).answer_key_arn, runtime.emit, signs=True)

    def sign(self, event: Event, written: Mapping[str, Any]) -> dict[str, Any]:
        """Return the signature's attributes for the item of ``event``; none if it is not a person's event.

        Raises ``RetryLater`` if KMS is not available.
        """
        if not self.signs or not is_a_persons(event.name, written):
            return {}
        signed = message(event.run_id, event.seq, event.at, written)
        return {"mac": self._made(signed)}

    def hold(self, event: Event, item: Mapping[str, Any]) -> bool:
        """Return whether ``event``, with the body in ``item``, is valid; report an invalid one.

        Raises ``RetryLater`` if KMS is not available: no event counts as valid without a check.
        """
        if not is_a_persons(event.name, event.body):
            return True
        kept = item.get("mac")
        mac = kept if isinstance(kept, bytes) else b""
        signed = message(event.run_id, event.seq, event.at, event.body)
        known = signed, mac
        if known not in self._verdicts:
            valid = len(mac) == _MAC_BYTES and self._valid(signed, mac)
            if len(self._verdicts) >= _KEPT_VERDICTS:
                self._verdicts.clear()
            self._verdicts[known] = valid
            if not valid:
                self.report(event, "its signature is not that of what it says" if mac else "it is not signed")
        return self._verdicts[known]

    def _valid(self, signed: bytes, mac: bytes) -> bool:
        if self.signs:
            return hmac.compare_digest(self._made(signed), mac)
        with consequences(self._key):
            try:
                answer = self.kms.verify_mac(KeyId=self.key_arn, MacAlgorithm=ALGORITHM, Message=signed, Mac=mac)
            except self.kms.exceptions.KMSInvalidMacException:
                return False
        return answer["MacValid"] is True

    def _made(self, signed: bytes) -> bytes:
        with consequences(self._key):
            made = self.kms.generate_mac(KeyId=self.key_arn, MacAlgorithm=ALGORITHM, Message=signed)
        return bytes(made["Mac"])

    def report(self, event: Event, why: str) -> None:
        """Report that ``event`` is ignored. This raises an alarm."""
        fields = {"run_id": event.run_id, "seq": event.seq, "message": f"A person's answer is ignored: {why}."}
        self.emit(metric_line({"UnsignedAnswers": 1}, fields=fields))

    @property
    def _key(self) -> str:
        return f"Key {self.key_arn} (ANSWER_KEY_ARN)"
