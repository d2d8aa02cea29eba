"""Clients of botocore that do not sign: the matrix sends many thousands of requests, and moto checks no signature."""

from __future__ import annotations

from typing import Any

import botocore

from localcloud.sessions import REGION

#: moto reads account and region from a signature, and does not check it.
SIGNATURE = (
    f"AWS4-HMAC-SHA256 Credential=LOCALADMIN/20260301/{REGION}/aws/aws4_request, SignedHeaders=host, Signature=0"
)


def quick_clients(session: Any) -> None:
    """Let the clients of a session sign nothing; who sends their requests adds ``SIGNATURE``."""
    session.events.register("choose-signer.*.*", lambda **_: botocore.UNSIGNED)
