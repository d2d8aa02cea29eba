"""Callers and their rights, read from API Gateway's authorizer, never from the body.

::

    nobody      no identity, or one that the settings do not know: refused
    member      of a tenant: starts its runs, reads them, replies to the agent's questions to them
    reviewer    a member who also decides the escalations of the tenant's runs
    operator    reads and decides for every tenant, and sets the spend breaker

A person who started a run or proposed a call does not decide about it, whatever their rights.
"""

from __future__ import annotations

import hashlib
import re
import warnings
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Literal

from pydantic import TypeAdapter, ValidationError

from ballast.contracts import RunRequest
from ballast.contracts.wire import Name
from ballast.http.problem import Problem
from ballast.metrics import metric_line
from ballast.runtime import Runtime, Settings
from ballast.values import dataclass

#: The tenant of an operator's run if the request names none.
DEFAULT_TENANT: str = RunRequest.model_fields["tenant"].default
#: Characters of a recorded identity. A longer one is cut and ends with a digest, so that no two become the same.
MAX_PRINCIPAL_CHARS = 256

Role = Literal["member", "reviewer", "operator"]

#: Claims whose text is a list of words (RFC 8693, section 4.2); the second is Microsoft's name.
_SCOPES = ("scope", "scp")
#: A caller's rights; ``functions/people/rights.py`` narrows them for one escalation.
Right = Literal["start", "read", "cancel", "reply", "decide", "operate"]

_MEMBER: tuple[Right, ...] = ("start", "read", "cancel", "reply")
_RIGHTS: dict[Role, tuple[Right, ...]] = {
    "member": _MEMBER,
    "reviewer": (*_MEMBER, "decide"),
    "operator": (*_MEMBER, "decide", "operate"),
}

_NAME: TypeAdapter[str] = TypeAdapter(Name)


class CallerSettings(Settings):
    """How to read an identity. A claim or pattern that is "" matches nobody.

    tenant_claim          the claim of a JWT that names the tenant
    reviewer_claim        CLAIM=VALUE of a JWT whose bearer is a reviewer, for example scope=ballast/review
    operator_claim        the same for operators
    group_claim           the claim of a JWT that lists the groups that a tool's ``approvers`` may name
    iam_tenant_pattern    regular expression for the ARN of a member's role or user; its group ``tenant`` is the tenant
    iam_reviewer_pattern  the same for reviewers; an optional group ``group`` is the group that they approve for
    iam_operator_pattern  regular expression for the ARN of an operator's role or user, with an optional ``group``
    iam_person_pattern    the same for roles whose session names are forced to be people's names. All who share another
                          role count as one person, since a caller chooses the name of a session

    A claim or pattern that cannot be used matches nobody either, and is reported whenever it is needed (metric
    ``SettingsUnusable``): a mistake in one of them does not take anybody else's access away.
    """

    tenant_claim: str = "tenant"
    reviewer_claim: str = ""
    operator_claim: str = ""
    group_claim: str = ""
    iam_tenant_pattern: str = r":assumed-role/ballast-tenant-(?P<tenant>[A-Za-z0-9._-]+)/"
    iam_reviewer_pattern: str = r":(assumed-role|user)/ballast-reviewer-(?P<tenant>[A-Za-z0-9._-]+)(/|$)"
    iam_operator_pattern: str = r":(assumed-role|user)/ballast-operator(/|$)"
    iam_person_pattern: str = ""


@dataclass(frozen=True)
class Caller:
    """An identity and its rights.

    principal  the person, as they are recorded; one person may have several sessions
    tenant     the tenant whose runs they see; None for an operator, who sees every tenant's
    role       see the module
    groups     the groups whose approvals they may give
    """

    principal: str
    tenant: str | None
    role: Role = "member"
    groups: frozenset[str] = frozenset()

    @property
    def rights(self) -> tuple[Right, ...]:
        """The caller's rights on what they see."""
        return _RIGHTS[self.role]

    @property
    def operates(self) -> bool:
        """Whether the caller is an operator."""
        return "operate" in self.rights

    def sees(self, tenant: str | None) -> bool:
        """Whether the caller sees this tenant's runs and escalations."""
        return self.tenant is None or self.tenant == tenant

    def reviews(self, tenant: str) -> bool:
        """Whether the caller decides this tenant's escalations."""
        return "decide" in self.rights and self.sees(tenant)

    def tenant_for(self, named: str | None) -> str:
        """Return the tenant to act for if the request names ``named``. Raises ``Problem`` (403) for another tenant."""
        if self.tenant is None:
            return named or DEFAULT_TENANT
        if named is not None and named != self.tenant:
            raise Problem(403, "Forbidden", f"You are the tenant {self.tenant}. Leave tenant out, or name yourself.")
        return self.tenant


@dataclass(frozen=True)
class Callers:
    """Reads identities from requests.

    unusable  by name, the settings that cannot be used, and what is wrong with each
    """

    settings: CallerSettings
    tenant: re.Pattern[str] | None
    reviewer: re.Pattern[str] | None
    operator: re.Pattern[str] | None
    person: re.Pattern[str] | None
    unusable: Mapping[str, str]
    emit: Callable[[str], None]

    @classmethod
    def of(cls, runtime: Runtime) -> Callers:
        """Read the settings of ``runtime``."""
        settings = CallerSettings.of(runtime)
        read = settings.model_dump()
        unusable = {name: why for name, text in read.items() if (why := why_unusable(name, text)) is not None}
        settings = settings.model_copy(update=dict.fromkeys(unusable, ""))
        tenant, reviewer, operator, person = (
            re.compile(text) if (text := getattr(settings, f"iam_{whose}_pattern")) else None
            for whose in ("tenant", "reviewer", "operator", "person")
        )
        return cls(settings, tenant, reviewer, operator, person, unusable, runtime.emit)

    def identify(self, authorizer: Any) -> Caller:
        """Return the caller that ``requestContext.authorizer`` identifies.

        Raises ``Problem``: 401 without an authorizer, so that a route that was left open by mistake stays closed; 403
        if the identity is unknown.
        """
        match authorizer:
            case {"jwt": {"claims": Mapping() as claims}}:
                self._report("_claim")
                return self._by_token(claims, authorizer["jwt"].get("scopes"))
            case {"iam": {"userArn": str(arn)}} if arn:
                self._report("_pattern")
                return self._by_arn(arn)
        raise Problem(
            401, "Not authorised", "The request carries no identity. Sign it (SigV4), or send a token, as configured."
        )

    def _report(self, kind: str) -> None:
        """Report in the log and in a metric the settings of that kind that cannot be used."""
        for name, why in self.unusable.items():
            if name.endswith(kind):
                self.emit(metric_line({"SettingsUnusable": 1}, fields={"setting": name.upper(), "why": why}))

    def _hint(self) -> str:
        patterns = [name.upper() for name in self.unusable if name.endswith("_pattern")]
        return f" Tell an operator: {', '.join(patterns)} of the stack cannot be used and matches nobody." * bool(
            patterns
        )

    def _by_token(self, claims: Mapping[str, Any], scopes: Any) -> Caller:
        principal = claims.get("sub") or claims.get("client_id") or claims.get("azp")
        if not isinstance(principal, str):
            raise Problem(403, "Forbidden", "The token does not say who you are: it has no claim 'sub'.")
        principal = _recorded(principal)
        settings = self.settings
        groups = (
            frozenset(_values(settings.group_claim, claims.get(settings.group_claim)))
            if settings.group_claim
            else frozenset[str]()
        )
        if _has(claims, scopes, settings.operator_claim):
            return Caller(principal, None, "operator", groups)
        tenant = _name(claims.get(settings.tenant_claim), f"The token's claim {settings.tenant_claim!r}")
        role: Role = "reviewer" if _has(claims, scopes, settings.reviewer_claim) else "member"
        return Caller(principal, tenant, role, groups)

    def _by_arn(self, arn: str) -> Caller:
        # arn:aws:sts::123456789012:assumed-role/ROLE/SESSION. The caller chooses the session's name, so no pattern sees
        # it, and another name does not make the caller another person.
        role_arn = re.sub(r"(:(?:assumed-role/[^/]+|federated-user)/).*", r"\1", arn, flags=re.DOTALL)
        one_each = role_arn == arn or (self.person is not None and self.person.search(role_arn) is not None)
        # The account and what follows it identify the person.
        principal = _recorded((arn if one_each else role_arn.rstrip("/")).split(":", 4)[-1])
        found = {
            role: match
            for role, pattern in (("operator", self.operator), ("reviewer", self.reviewer), ("member", self.tenant))
            if pattern is not None and (match := pattern.search(role_arn))
        }
        if "operator" in found and len(found) > 1:
            raise Problem(
                403, "Forbidden", "The stack's patterns match this role as an operator's and a tenant's. Correct them."
            )
        groups = frozenset(name for match in found.values() if (name := match.groupdict().get("group")))
        if "operator" in found:
            return Caller(principal, None, "operator", groups)
        tenants = {match["tenant"] for match in found.values()}
        if len(tenants) > 1:
            raise Problem(403, "Forbidden", "The stack's patterns match this role as two tenants'. Correct them.")
        if not tenants:
            raise Problem(
                403,
                "Forbidden",
                "This identity belongs to no tenant, reviewer or operator here: its ARN matches none of "
                "IamTenantPattern, IamReviewerPattern and IamOperatorPattern. Check the name of the role."
                f"{self._hint()}",
            )
        tenant = _name(tenants.pop(), "The role's name")
        if "reviewer" in found:
            return Caller(principal, tenant, "reviewer", groups)
        return Caller(principal, tenant)


def _recorded(principal: str) -> str:
    if len(principal) <= MAX_PRINCIPAL_CHARS:
        return principal
    digest = hashlib.sha256(principal.encode()).hexdigest()[:32]
    return f"{principal[: MAX_PRINCIPAL_CHARS - 33]}~{digest}"


def _has(claims: Mapping[str, Any], scopes: Any, wanted: str) -> bool:
    claim, _, value = wanted.partition("=")
    if not claim or not value:
        return False
    held = set(_values(claim, claims.get(claim)))
    return value in held or (claim == "scope" and value in _values(claim, scopes))


def _values(name: str, claim: Any) -> Iterable[str]:
    """Return a claim's values. A text is one value, even with spaces in it.

    Only scopes come as ``a b``; API Gateway writes a list as the text ``[a b]``, so no value of a list may have a space
    (docs/http.md).
    """
    if isinstance(claim, str):
        if claim.startswith("[") and claim.endswith("]"):
            return [value.rstrip(",") for value in claim[1:-1].split()]
        return claim.split() if name in _SCOPES else (claim,)
    if isinstance(claim, list | tuple):
        return [value for value in claim if isinstance(value, str)]
    return ()


def why_unusable(setting: str, text: str) -> str | None:
    """Return why ``text`` cannot be a value of that setting; None if it can be, or is "".

    ``setting`` is a field of ``CallerSettings``.
    """
    if not text:
        return None
    if setting in ("reviewer_claim", "operator_claim"):
        claim, _, value = text.partition("=")
        return None if claim and value else "it must be CLAIM=VALUE, or empty"
    if not setting.endswith("_pattern"):
        return None
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about syntax that a later Python may read differently
            pattern = re.compile(text)
    except (re.error, OverflowError, RecursionError) as problem:
        return f"it is not a regular expression: {problem}"
    if setting in ("iam_tenant_pattern", "iam_reviewer_pattern") and "tenant" not in pattern.groupindex:
        return "it has no group (?P<tenant>…) to name the tenant"
    return None


def _name(tenant: Any, what: str) -> str:
    try:
        return _NAME.validate_python(tenant, strict=True)
    except ValidationError:
        raise Problem(403, "Forbidden", f"{what} does not name a tenant.") from None
