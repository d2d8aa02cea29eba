"""The caller's identity in ``ballast up``, unchecked: one person for all, unless a request names another. Pure."""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Iterable, Mapping
from typing import Any

from ballast.errors import InvalidInput
from ballast.http.identity import DEFAULT_TENANT, Role
from localcloud.gateway.http_api import Request
from localcloud.sessions import ACCOUNT

#: The template's claim parameters for `ballast up`, unless the command line sets others.
CLAIMS = {"ReviewerClaim": "role=reviewer", "OperatorClaim": "role=operator", "GroupClaim": "groups"}

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_ROLE = re.compile(r"(?P<role>member|reviewer|operator)(?P<groups>(\+[A-Za-z0-9][A-Za-z0-9._-]{0,63})*)")
_FORM = "NAME:ROLE, where ROLE is member, reviewer or operator, and may be followed by +GROUP, such as rae:reviewer+it"


def operator(name: str) -> dict[str, Any]:
    """Return the identity of an operator, in the form of API Gateway's IAM authorizer."""
    return {"iam": {"userArn": f"arn:aws:iam::{ACCOUNT}:user/ballast-operator/{name}", "accountId": ACCOUNT}}


def member_of(tenant: str, name: str, claim: str) -> dict[str, Any]:
    """Return the identity of a tenant's member, in the form of a JWT authorizer."""
    return {"jwt": {"claims": {"sub": name, claim: tenant}, "scopes": None}}


def bearer_of(
    name: str, role: Role, environ: Mapping[str, str], *, tenant: str | None = None, groups: Iterable[str] = ()
) -> dict[str, Any]:
    """Return the identity of somebody with that role, in the form of a JWT authorizer.

    ``environ`` of an API function names the claims. Raises ``InvalidInput`` if it names none for the role.
    """
    held: dict[str, list[str]] = {}
    if role != "member":
        claim, _, value = environ.get(f"{role.upper()}_CLAIM", "").partition("=")
        if not value:
            parameter = f"{role.capitalize()}Claim"
            raise InvalidInput(
                f"role: {parameter} is empty, so no token makes a {role}. Set it: --parameter {parameter}=…"
            )
        held.setdefault(claim, []).append(value)
    if named_groups := list(groups):
        claim = environ.get("GROUP_CLAIM", "")
        if not claim:
            raise InvalidInput("group: GroupClaim is empty, so tokens name no groups. Set it: --parameter GroupClaim=…")
        held.setdefault(claim, []).extend(named_groups)
    # As API Gateway writes a list.
    claims = {claim: values[0] if len(values) == 1 else f"[{' '.join(values)}]" for claim, values in held.items()}
    if role != "operator":
        claims[environ["TENANT_CLAIM"]] = tenant or DEFAULT_TENANT
    return {"jwt": {"claims": {"sub": name, **claims}, "scopes": None}}


def named(authorizer: Mapping[str, Any], request: Request, environ: Mapping[str, str]) -> Mapping[str, Any]:
    """Return the identity of the sender: the person that the request names, else ``authorizer``.

    ``curl -u NAME:`` is another person with the same rights. ``curl -u NAME:ROLE`` and the token ``NAME:ROLE`` are a
    person with that role: whoever asks for a run may not approve its calls, and on one machine one user plays both.
    Raises ``InvalidInput`` for an unknown role.
    """
    sent = {key.lower(): value for key, value in request.headers}.get("authorization", "")
    name, _, wanted = _said(sent).partition(":")
    if not _NAME.fullmatch(name):
        return authorizer
    if wanted:
        role = _ROLE.fullmatch(wanted)
        if role is None:
            raise InvalidInput(f"Name the caller as {_FORM}.")
        groups = role["groups"].split("+")[1:]
        tenant = authorizer.get("jwt", {}).get("claims", {}).get(environ["TENANT_CLAIM"])
        kind: Any = role["role"]
        return bearer_of(name, kind, environ, tenant=tenant, groups=groups)
    match authorizer:
        case {"iam": {"userArn": str(arn)}}:
            return {"iam": {**authorizer["iam"], "userArn": f"{arn.rpartition('/')[0]}/{name}"}}
        case {"jwt": {"claims": Mapping() as claims}}:
            return {"jwt": {"claims": {**claims, "sub": name}, "scopes": None}}
    return authorizer


def _said(header: str) -> str:
    """Return the ``NAME:ROLE`` of a header; empty for a token of any other form."""
    scheme, _, sent = header.partition(" ")
    if scheme.lower() == "bearer":
        return sent.strip() if ":" in sent else ""
    if scheme.lower() != "basic":
        return ""
    try:
        return base64.b64decode(sent.strip(), validate=True).decode("ascii")
    except (binascii.Error, UnicodeDecodeError):
        return ""
