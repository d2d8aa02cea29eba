"""The caller's identity in ``ballast up``: the default person, or the person and role that a request names."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from typing import Any

import pytest

from ballast.errors import InvalidInput
from ballast.http.identity import Caller, Callers
from ballast.runtime import Runtime
from localcloud.gateway.http_api import Request
from localcloud.gateway.identity import bearer_of, member_of, named, operator

#: As the template gives them to a function, with the parameters of `ballast up`.
ENVIRON = {
    "TENANT_CLAIM": "tenant",
    "REVIEWER_CLAIM": "role=reviewer",
    "OPERATOR_CLAIM": "role=operator",
    "GROUP_CLAIM": "groups",
}
ACMES = bearer_of("jo", "member", ENVIRON, tenant="acme")


def basic(text: str) -> str:
    return "Basic " + base64.b64encode(text.encode()).decode()


def asking(header: str, default: Mapping[str, Any] = ACMES, environ: Mapping[str, str] = ENVIRON) -> Caller:
    """Return whom the API takes the sender of that header to be."""
    request = Request("GET", "/runs", [("Authorization", header)])
    return Runtime(environ).get(Callers.of).identify(named(default, request, environ))


@pytest.mark.parametrize("form", [basic, lambda text: f"Bearer {text}"])
@pytest.mark.parametrize(
    ("said", "caller"),
    [
        ("mia:member", Caller("mia", "acme", "member")),
        ("rae:reviewer", Caller("rae", "acme", "reviewer")),
        ("fay:reviewer+finance", Caller("fay", "acme", "reviewer", frozenset({"finance"}))),
        ("fay:reviewer+finance+it", Caller("fay", "acme", "reviewer", frozenset({"finance", "it"}))),
        ("ann:operator", Caller("ann", None, "operator")),
        ("ann:operator+finance", Caller("ann", None, "operator", frozenset({"finance"}))),
    ],
)
def test_a_request_says_who_asks_and_with_which_rights(form: Any, said: str, caller: Caller) -> None:
    assert asking(form(said)) == caller


def test_a_name_alone_is_another_person_with_the_same_rights() -> None:
    assert asking(basic("lee:")) == Caller("lee", "acme", "member")
    of_all = asking(basic("lee:"), operator("ann"))
    assert (of_all.principal, of_all.role) == ("123456789012:user/ballast-operator/lee", "operator")


def test_an_operators_default_tenant_is_the_tenant_of_who_is_named() -> None:
    default = bearer_of("jo", "operator", ENVIRON)

    assert asking(basic("mia:member"), default) == Caller("mia", "default", "member")
    assert asking(basic("rae:reviewer"), operator("ann")) == Caller("rae", "default", "reviewer")


@pytest.mark.parametrize("said", ["mia:admin", "mia:Reviewer", "mia:reviewer+", "mia:member+a b", "mia:operator,it"])
def test_a_role_that_there_is_not_is_refused_and_not_ignored(said: str) -> None:
    with pytest.raises(InvalidInput, match="member, reviewer or operator"):
        asking(basic(said))


@pytest.mark.parametrize(
    "header", ["", "Bearer eyJhbGciOi.J9.x", "Basic !", "Digest a:b", basic(":member"), basic("a b:x")]
)
def test_what_names_nobody_is_whoever_reaches_the_port(header: str) -> None:
    assert asking(header) == Caller("jo", "acme", "member")


def test_a_stack_whose_parameters_name_no_claim_says_which_to_set() -> None:
    bare = ENVIRON | {"REVIEWER_CLAIM": "", "OPERATOR_CLAIM": "", "GROUP_CLAIM": ""}
    for said, parameter in (("a:reviewer", "ReviewerClaim"), ("a:operator", "OperatorClaim"), ("a:member+x", "Group")):
        with pytest.raises(InvalidInput, match=parameter):
            asking(basic(said), member_of("acme", "jo", "tenant"), bare)


def test_one_claim_may_hold_roles_and_groups() -> None:
    environ = ENVIRON | {"REVIEWER_CLAIM": "cognito:groups=reviewers", "GROUP_CLAIM": "cognito:groups"}

    fay = asking(basic("fay:reviewer+finance"), environ=environ)

    assert (fay.role, fay.groups) == ("reviewer", frozenset({"reviewers", "finance"}))
