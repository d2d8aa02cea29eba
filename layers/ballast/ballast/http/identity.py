"""Who calls: the tenant comes from what API Gateway's authorizer vouches for, never from the body."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pydantic import TypeAdapter, ValidationError

from ballast.contracts import RunRequest
from ballast.contracts.wire import Name
from ballast.errors import SettingInvalid
from ballast.http.problem import Problem
from ballast.runtime import Runtime, Settings

#: On whose account an operator's run goes who names no tenant.
DEFAULT_TENANT: str = RunRequest.model_fields["tenant"].default
#: As long as what is recorded of who answered; an ARN with a long path is longer.
MAX_PRINCIPAL_CHARS = 256

_NAME: TypeAdapter[str] = TypeAdapter(Name)


class CallerSettings(Settings):
    """How to read an identity.

    tenant_claim        the claim of a JWT that names the tenant
    iam_tenant_pattern  regular expression; where a caller's ARN matches, its group ``tenant`` is the tenant
    """

    tenant_claim: str = "tenant"
    iam_tenant_pattern: str = r":assumed-role/ballast-tenant-(?P<tenant>[A-Za-z0-9._-]+)/"


@dataclass(frozen=True)
class Caller:
    """Who calls. ``tenant`` None: an operator, who reads every tenant's runs and may start them for any."""

    principal: str
    tenant: str | None

    def sees(self, tenant: str) -> bool:
        """Whether this tenant's runs and escalations exist, for this caller."""
        return self.tenant is None or self.tenant == tenant

    def tenant_for(self, named: str | None) -> str:
        """Return the tenant to act for, where the request names ``named``; raise 403 for another's."""
        if self.tenant is None:
            return named or DEFAULT_TENANT
        if named is not None and named != self.tenant:
            raise Problem(403, "Forbidden", f"You are the tenant {self.tenant}. Leave tenant out, or name yourself.")
        return self.tenant


@dataclass(frozen=True)
class Callers:
    """Reads identities out of requests."""

    claim: str
    pattern: re.Pattern[str]

    @classmethod
    def of(cls, runtime: Runtime) -> Callers:
        """Put it together; once per runtime. Raises ``SettingInvalid``."""
        settings = CallerSettings.of(runtime)
        try:
            pattern = re.compile(settings.iam_tenant_pattern)
        except re.error as problem:
            raise SettingInvalid(f"IAM_TENANT_PATTERN is no regular expression: {problem}.") from None
        if "tenant" not in pattern.groupindex:
            raise SettingInvalid("IAM_TENANT_PATTERN has no group (?P<tenant>…), which says who the tenant is.")
        return cls(settings.tenant_claim, pattern)

    def identify(self, authorizer: Any) -> Caller:
        """Return the caller that ``requestContext.authorizer`` vouches for.

        Without one there is nobody: a route that was left open by mistake answers 401. Raises ``Problem``.
        """
        match authorizer:
            case {"jwt": {"claims": Mapping() as claims}}:
                return self._by_token(claims)
            case {"iam": {"userArn": str(arn)}} if arn:
                return self._by_role(arn)
        raise Problem(
            401, "Not authorised", "The request carries no identity. Sign it (SigV4), or send a token, as configured."
        )

    def _by_token(self, claims: Mapping[str, Any]) -> Caller:
        tenant = claims.get(self.claim)
        principal = claims.get("sub") or claims.get("client_id") or claims.get("azp")
        if not isinstance(principal, str):
            raise Problem(403, "Forbidden", "The token says nothing of whom it is for: it has no claim 'sub'.")
        return Caller(principal[:MAX_PRINCIPAL_CHARS], _name(tenant, f"The token's claim {self.claim!r}"))

    def _by_role(self, arn: str) -> Caller:
        # arn:aws:sts::123456789012:assumed-role/ROLE/SESSION: the account and what follows say who it is.
        principal = arn.split(":", 4)[-1][:MAX_PRINCIPAL_CHARS]
        found = self.pattern.search(arn)
        return Caller(principal, _name(found["tenant"], "The role's name") if found else None)


def _name(tenant: Any, what: str) -> str:
    try:
        return _NAME.validate_python(tenant, strict=True)
    except ValidationError:
        raise Problem(403, "Forbidden", f"{what} does not name a tenant.") from None
