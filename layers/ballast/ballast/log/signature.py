"""Signatures of people's answers in the log: an answer without a valid one counts for nothing.

A function that may append to the log may overwrite it too, since IAM cannot bind ``PutItem`` to a condition. So an
event alone does not prove that a person made it; a MAC does, by a key with which only the people's functions may sign::

    people's functions   append ─ GenerateMac over ``message`` ─▶ the item has ``mac``
    functions that act   read ─ VerifyMac ─ valid ─▶ the event
                                          └ invalid or missing ─▶ ignored; ``UnsignedAnswers``
    all others           read it unverified, and have no right that it could use

A run without people makes no request. Imports ``ballast.contracts``, ``ballast.metrics`` and ``ballast.runtime``.
"""

from __future__ import annotations

import hmac
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any

from pydantic import Field

from ballast.aws_errors import consequences
from ballast.contracts.wire import canonical, sha256
from ballast.log.event import Event, is_a_persons
from ballast.metrics import metric_line
from ballast.runtime import Runtime, Settings

#: The domain and the version of the signed form: a MAC of one form is never valid for another.
DOMAIN = "ballast person's answer 1"
ALGORITHM = "HMAC_SHA_256"
_MAC_BYTES = 32
#: Verified answers that a warm function remembers.
_KEPT_VERDICTS = 1_024


class SignatureSettings(Settings):
    """answer_key_arn: the KMS key of people's answers; by its role a function may sign with it, or verify."""

    answer_key_arn: Annotated[str, Field(min_length=1)]


def message(run_id: str, seq: str, at: str, body: Mapping[str, Any]) -> bytes:
    """Return what is signed of an event: one line, short enough for KMS. Pure.

    ``seq`` is its position (turn, kind, call, round), ``body`` as it is stored (with sealed values closed): the
    decision or the approval, its binding, changed arguments, by whom, when, and the time that it gives the run.
    """
    said = {"run_id": run_id, "seq": seq, "at": at, "body": body}
    return f"{DOMAIN}\n{sha256(canonical(said))}".encode("ascii")


@dataclass(frozen=True)
class Signatures:
    """The key, with the rights of one function. ``signs``: it may sign, and verifies by signing again."""

    kms: Any
    key_arn: str
    emit: Callable[[str], None]
    signs: bool = False
    _verdicts: dict[tuple[bytes, bytes], bool] = field(default_factory=dict, compare=False)

    @classmethod
    def of(cls, runtime: Runtime) -> Signatures:
        """Return the signatures as who acts on answers has them. Raises ``SettingInvalid``."""
        return cls(runtime.lazy("kms"), SignatureSettings.of(runtime).answer_key_arn, runtime.emit)

    @classmethod
    def signing(cls, runtime: Runtime) -> Signatures:
        """Return the signatures as the people's functions have them. Raises ``SettingInvalid``."""
        return cls(runtime.lazy("kms"), SignatureSettings.of(runtime).answer_key_arn, runtime.emit, signs=True)

    def sign(self, event: Event, written: Mapping[str, Any]) -> dict[str, Any]:
        """Return the attributes that the item of ``event`` gets besides: none where no person made it.

        Raises ``RetryLater`` where KMS cannot be asked now.
        """
        if not self.signs or not is_a_persons(event.name, written):
            return {}
        signed = message(event.run_id, event.seq, event.at, written)
        return {"mac": self._made(signed)}

    def hold(self, event: Event, item: Mapping[str, Any]) -> bool:
        """Say whether ``event``, with its body as ``item`` has it, may be believed; report one that may not.

        Raises ``RetryLater`` where KMS cannot be asked now: then nobody knows, and nothing is taken for valid.
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
        """Say that ``event`` is not believed, which wakes somebody."""
        fields = {"run_id": event.run_id, "seq": event.seq, "message": f"A person's answer is not believed: {why}."}
        self.emit(metric_line({"UnsignedAnswers": 1}, fields=fields))

    @property
    def _key(self) -> str:
        return f"Key {self.key_arn} (ANSWER_KEY_ARN)"
