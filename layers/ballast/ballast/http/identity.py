"""Callers and their rights, read from what API Gateway's authorizer vouches for, never from the body.

::

    nobody      no identity, or one that the settings do not know: refused
    member      of a tenant: starts its runs, reads them, replies to questions put to them
    reviewer    a member who also decides what the tenant's runs ask people
    operator    reads and decides for every tenant, and sets the spend breaker

Somebody who started a run, or who proposed a call, decides nothing about it, whatever their rights.
"""

from __future__ import annotations

import hashlib
import re
import warnings
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from pydantic import TypeAdapter, ValidationError

from ballast.contracts import RunRequest
from ballast.contracts.wire import Name
from ballast.http.problem import Problem
from ballast.metrics import metric_line
from ballast.runtime import Runtime, Settings

#: On whose account an operator's run goes who names no tenant.
DEFAULT_TENANT: str = RunRequest.model_fields["tenant"].default
#: Characters of a recorded identity. A longer one is cut and ends with a digest, so that no two become one.
MAX_PRINCIPAL_CHARS = 256

Role = Literal["member", "reviewer", "operator"]

#: Claims whose text is a list of words, RFC 8693 section 4.2; the second is what Microsoft calls it.
_SCOPES = ("scope", "scp")
#: What a caller may do at all; about one escalation, ``functions/people/rights.py`` says more.
Right = Literal["start", "read", "cancel", "reply", "decide", "operate"]

_MEMBER: tuple[Right, ...] = ("start", "read", "cancel", "reply")
_RIGHTS: dict[Role, tuple[Right, ...]] = {
    "member": _MEMBER,
    "reviewer": (*_MEMBER, "decide"),
    "operator": (*_MEMBER, "decide", "operate"),
}

_NAME: TypeAdapter[str] = TypeAdapter(Name)


class CallerSettings(Settings):
    """How to read an identity.

    tenant_claim          the claim of a JWT that names the tenant
    reviewer_claim        CLAIM=VALUE of a JWT whose bearer is a reviewer, for example scope=ballast/review; "" is none
    operator_claim        the same for operators
    group_claim           the claim of a JWT that lists the groups that a tool's ``approvers`` may name; "" is none
    iam_tenant_pattern    regular expression for the ARN of a member's role or user; its group ``tenant`` is the tenant
    iam_reviewer_pattern  the same for reviewers; an optional group ``group`` is the group that they approve for
    iam_operator_pattern  regular expression for the ARN of an operator's role or user, with such a group or without;
                          "" is none
    iam_person_pattern    for the ARNs of roles whose session names are forced to be people's; "" is none: all who
                          share a role are one person, since a caller chooses the name of a session

    A claim or a pattern that is "", or that cannot be used, knows nobody. The latter is reported whenever it is needed
    (``SettingsUnusable``): a mistake in one of them takes nobody else's access away.
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

    principal  who it is, as it is recorded: one person, who may have several sessions
    tenant     whose runs it sees; None is every tenant's, for operators
    role       see the module
    groups     the groups whose approvals it may give
    """

    principal: str
    tenant: str | None
    role: Role = "member"
    groups: frozenset[str] = frozenset()

    @property
    def rights(self) -> tuple[Right, ...]:
        """What it may do at all, with what it sees."""
        return _RIGHTS[self.role]

    @property
    def operates(self) -> bool:
        """Whether it is an operator."""
        return "operate" in self.rights

    def sees(self, tenant: str | None) -> bool:
        """Whether this tenant's runs and escalations exist, for this caller."""
        return self.tenant is None or self.tenant == tenant

    def reviews(self, tenant: str) -> bool:
        """Whether it decides what this tenant's runs ask people."""
        return "decide" in self.rights and self.sees(tenant)

    def tenant_for(self, named: str | None) -> str:
        """Return the tenant to act for, where the request names ``named``; raise 403 for another's."""
        if self.tenant is None:
            return named or DEFAULT_TENANT
        if named is not None and named != self.tenant:
            raise Problem(403, "Forbidden", f"You are the tenant {self.tenant}. Leave tenant out, or name yourself.")
        return self.tenant


@dataclass(frozen=True)
class Callers:
    """Reads identities out of requests.

    unusable  settings that know nobody since they are no such thing, by name, and what is wrong with each
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
        """Read the settings; once per runtime."""
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
        """Return the caller that ``requestContext.authorizer`` vouches for.

        Without one there is nobody: a route that was left open by mistake answers 401. Raises ``Problem``.
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
        """Say in the log and in a metric which settings of that kind know nobody and should."""
        for name, why in self.unusable.items():
            if name.endswith(kind):
                self.emit(metric_line({"SettingsUnusable": 1}, fields={"setting": name.upper(), "why": why}))

    def _hint(self) -> str:
        patterns = [name.upper() for name in self.unusable if name.endswith("_pattern")]
        return f" Tell an operator: {', '.join(patterns)} of the stack cannot be used and knows nobody." * bool(
            patterns
        )

    def _by_token(self, claims: Mapping[str, Any], scopes: Any) -> Caller:
        principal = claims.get("sub") or claims.get("client_id") or claims.get("azp")
        if not isinstance(principal, str):
            raise Problem(403, "Forbidden", "The token says nothing of whom it is for: it has no claim 'sub'.")
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
        # arn:aws:sts::123456789012:assumed-role/ROLE/SESSION. The session's name is the caller's own choice, so no
        # pattern sees it, and it makes nobody another person.
        role_arn = re.sub(r"(:(?:assumed-role/[^/]+|federated-user)/).*", r"\1", arn, flags=re.DOTALL)
        one_each = role_arn == arn or (self.person is not None and self.person.search(role_arn) is not None)
        # The account and what follows say who it is.
        principal = _recorded((arn if one_each else role_arn.rstrip("/")).split(":", 4)[-1])
        found = {
            role: match
            for role, pattern in (("operator", self.operator), ("reviewer", self.reviewer), ("member", self.tenant))
            if pattern is not None and (match := pattern.search(role_arn))
        }
        if "operator" in found and len(found) > 1:
            raise Problem(
                403, "Forbidden", "By the stack's patterns the role is an operator's and a tenant's; mend them."
            )
        groups = frozenset(name for match in found.values() if (name := match.groupdict().get("group")))
        if "operator" in found:
            return Caller(principal, None, "operator", groups)
        tenants = {match["tenant"] for match in found.values()}
        if len(tenants) > 1:
            raise Problem(403, "Forbidden", "The role is two tenants' by the stack's patterns; mend them.")
        if not tenants:
            raise Problem(
                403,
                "Forbidden",
                "This identity is no tenant's, no reviewer's and no operator's here: its ARN matches none of "
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
    """Return a claim's values. A text is one value, whatever is in it.

    Only scopes come as ``a b``, and API Gateway writes a list as the text ``[a b]``: of a list no value may have a
    space, see docs/http.md.
    """
    if isinstance(claim, str):
        if claim.startswith("[") and claim.endswith("]"):
            return [value.rstrip(",") for value in claim[1:-1].split()]
        return claim.split() if name in _SCOPES else (claim,)
    if isinstance(claim, list | tuple):
        return [value for value in claim if isinstance(value, str)]
    return ()


def why_unusable(setting: str, text: str) -> str | None:
    """Return why nobody can be known by ``text``, a value of that setting; None where it can be used, or is "".

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
            warnings.simplefilter("ignore")  # of what a later Python may read otherwise
            pattern = re.compile(text)
    except (re.error, OverflowError, RecursionError) as problem:
        return f"it is no regular expression: {problem}"
    if setting in ("iam_tenant_pattern", "iam_reviewer_pattern") and "tenant" not in pattern.groupindex:
        return "it has no group (?P<tenant>…), which says who the tenant is"
    return None


def _name(tenant: Any, what: str) -> str:
    try:
        return _NAME.validate_python(tenant, strict=True)
    except ValidationError:
        raise Problem(403, "Forbidden", f"{what} does not name a tenant.") from None
