"""KMS with two keys in memory: one signs, one encrypts, and both follow from secrets that a test knows."""
# ruff: noqa: N803  parameters are named as boto3 names them

import hashlib
import hmac
import itertools
import json
from collections.abc import Mapping
from types import SimpleNamespace
from typing import Any

from botocore.exceptions import ClientError

from tests.support.mac_key import KMSInvalidMac, MacKey

_NONCE, _TAG = 16, 32


class InvalidCiphertext(ClientError):
    """The ciphertext was made with another key or another context."""


class SealingKey(MacKey):
    """A client of KMS, whatever the keys' names. Not secret: for tests only.

    Each encryption has the next nonce, so that the same text looks different each time, as with KMS, and the same
    sequence of calls gives the same bytes each time.
    """

    exceptions = SimpleNamespace(KMSInvalidMacException=KMSInvalidMac, InvalidCiphertextException=InvalidCiphertext)

    def __init__(self, signing: bytes, sealing: bytes) -> None:
        super().__init__(signing)
        self._sealing = sealing
        self._nonces = itertools.count(1)

    def encrypt(self, *, KeyId: str, Plaintext: bytes, EncryptionContext: Mapping[str, str]) -> dict[str, Any]:
        """Encrypt, bound to the context."""
        nonce = next(self._nonces).to_bytes(_NONCE, "big")
        hidden = self._mixed(nonce, Plaintext)
        return {"CiphertextBlob": nonce + self._tag(nonce, hidden, EncryptionContext) + hidden}

    def decrypt(self, *, KeyId: str, CiphertextBlob: bytes, EncryptionContext: Mapping[str, str]) -> dict[str, Any]:
        """Decrypt; raise if the ciphertext was not made by ``encrypt`` with this secret and context."""
        nonce, tag = CiphertextBlob[:_NONCE], CiphertextBlob[_NONCE : _NONCE + _TAG]
        hidden = CiphertextBlob[_NONCE + _TAG :]
        if not hmac.compare_digest(tag, self._tag(nonce, hidden, EncryptionContext)):
            raise InvalidCiphertext({"Error": {"Code": "InvalidCiphertextException", "Message": ""}}, "Decrypt")
        return {"Plaintext": self._mixed(nonce, hidden)}

    def _mixed(self, nonce: bytes, data: bytes) -> bytes:
        blocks = range(-(-len(data) // hashlib.sha256().digest_size))
        stream = b"".join(self._derived(b"stream", nonce + block.to_bytes(8, "big")) for block in blocks)
        return bytes(one ^ other for one, other in zip(data, stream, strict=False))

    def _tag(self, nonce: bytes, hidden: bytes, context: Mapping[str, str]) -> bytes:
        return self._derived(b"tag", nonce + hidden + json.dumps(dict(context), sort_keys=True).encode())

    def _derived(self, use: bytes, data: bytes) -> bytes:
        return hmac.digest(self._sealing, use + b"\0" + data, hashlib.sha256)
