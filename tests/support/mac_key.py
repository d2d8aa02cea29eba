"""A KMS signing key in memory, with ``GenerateMac`` and ``VerifyMac``."""
# ruff: noqa: N803  parameters are named as boto3 names them

import hashlib
import hmac
from types import SimpleNamespace
from typing import Any

from botocore.exceptions import ClientError


class KMSInvalidMac(ClientError):
    """The MAC does not match the message."""


class MacKey:
    """A client of KMS with one key, whatever its name."""

    exceptions = SimpleNamespace(KMSInvalidMacException=KMSInvalidMac)

    def __init__(self, secret: bytes = b"in memory") -> None:
        self._secret = secret

    def generate_mac(self, *, KeyId: str, MacAlgorithm: str, Message: bytes) -> dict[str, Any]:
        """Sign."""
        return {"Mac": hmac.digest(self._secret, Message, hashlib.sha256)}

    def verify_mac(self, *, KeyId: str, MacAlgorithm: str, Message: bytes, Mac: bytes) -> dict[str, Any]:
        """Verify; raise if the MAC is invalid."""
        made = self.generate_mac(KeyId=KeyId, MacAlgorithm=MacAlgorithm, Message=Message)["Mac"]
        if not hmac.compare_digest(made, Mac):
            raise KMSInvalidMac({"Error": {"Code": "KMSInvalidMacException", "Message": ""}}, "VerifyMac")
        return {"MacValid": True}
