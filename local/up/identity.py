"""Who asks, locally, where nothing is checked: everybody is the same person, unless the request names another. Pure."""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Mapping
from typing import Any

from local.sessions import ACCOUNT
from local.up.gateway import Request

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")


def operator(name: str) -> dict[str, Any]:
    """Return the identity of an operator, as API Gateway's IAM authorizer vouches for one."""
    return {"iam": {"userArn": f"arn:aws:iam::{ACCOUNT}:user/ballast-operator/{name}", "accountId": ACCOUNT}}


def reviewer_of(tenant: str, name: str) -> dict[str, Any]:
    """Return the identity of a tenant's reviewer, as API Gateway's IAM authorizer vouches for one."""
    return {"iam": {"userArn": f"arn:aws:iam::{ACCOUNT}:user/ballast-reviewer-{tenant}/{name}", "accountId": ACCOUNT}}


def member_of(tenant: str, name: str, claim: str) -> dict[str, Any]:
    """Return the identity of somebody of a tenant, as a JWT authorizer vouches for one."""
    return {"jwt": {"claims": {"sub": name, claim: tenant}, "scopes": None}}


def named(authorizer: Mapping[str, Any], request: Request) -> Mapping[str, Any]:
    """Return ``authorizer`` under the name that ``curl -u NAME:`` sends: the same rights, another person.

    Whoever asks for a run may not approve its calls, and on one machine one person plays both.
    """
    name = _basic_name({key.lower(): value for key, value in request.headers}.get("authorization", ""))
    match authorizer:
        case {"iam": {"userArn": str(arn)}} if name:
            return {"iam": {**authorizer["iam"], "userArn": f"{arn.rpartition('/')[0]}/{name}"}}
        case {"jwt": {"claims": Mapping() as claims}} if name:
            return {"jwt": {"claims": {**claims, "sub": name}, "scopes": None}}
    return authorizer


def _basic_name(header: str) -> str | None:
    scheme, _, sent = header.partition(" ")
    if scheme.lower() != "basic":
        return None
    try:
        name = base64.b64decode(sent.strip(), validate=True).decode("ascii").partition(":")[0]
    except (binascii.Error, UnicodeDecodeError):
        return None
    return name if _NAME.fullmatch(name) else None
