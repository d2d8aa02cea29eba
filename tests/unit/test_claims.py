"""Claims of a token, in each form in which API Gateway passes them on."""

from typing import Any

import pytest

from ballast.http.identity import Caller, Callers
from ballast.http.problem import Problem
from ballast.runtime import Runtime

ENVIRON = {
    "REVIEWER_CLAIM": "cognito:groups=reviewers",
    "OPERATOR_CLAIM": "cognito:groups=operators",
    "GROUP_CLAIM": "cognito:groups",
}


def caller(claims: dict[str, Any], scopes: Any = None, **environ: str) -> Caller:
    """Return the bearer of a token with these claims."""
    callers = Callers.of(Runtime(ENVIRON | environ))
    return callers.identify({"jwt": {"claims": {"sub": "u", "tenant": "acme"} | claims, "scopes": scopes}})


@pytest.mark.parametrize(
    ("claim", "role"),
    [
        ("operators", "operator"),
        ("[operators]", "operator"),
        ("[staff operators]", "operator"),
        ("[staff, operators]", "operator"),
        (["staff", "operators"], "operator"),
        ("[reviewers]", "reviewer"),
        ("non operators", "member"),
        ("formerly operators", "member"),
        ("staff,operators", "member"),
        ("[staff,operators]", "member"),
        ("operators reviewers", "member"),
        ("ex-operators", "member"),
        ("Operators", "member"),
        (" operators", "member"),
        ("[[operators]]", "member"),
        (["non operators"], "member"),
        ({"a": "operators"}, "member"),
        (True, "member"),
        ("", "member"),
        ("[]", "member"),
    ],
)
def test_a_text_is_one_value_and_a_list_is_several(claim: Any, role: str) -> None:
    assert caller({"cognito:groups": claim}).role == role


@pytest.mark.parametrize("wanted", ["department=operators", "title=operators", "email=operators"])
@pytest.mark.parametrize("said", ["operators of nothing", "the operators", "x,operators", "operators,"])
def test_words_inside_of_a_text_are_no_right(wanted: str, said: str) -> None:
    claim = wanted.partition("=")[0]

    assert caller({claim: said}, OPERATOR_CLAIM=wanted).role == "member"
    assert caller({claim: "operators"}, OPERATOR_CLAIM=wanted).role == "operator"


@pytest.mark.parametrize(
    ("claims", "scopes"),
    [({"scope": "openid ballast/review"}, None), ({}, ["openid", "ballast/review"]), ({"scope": "ballast/review"}, [])],
)
def test_scopes_are_words(claims: dict[str, Any], scopes: Any) -> None:
    assert caller(claims, scopes, REVIEWER_CLAIM="scope=ballast/review").role == "reviewer"
    assert caller(claims, scopes, REVIEWER_CLAIM="scope=review").role == "member"


def test_groups_are_those_of_the_list() -> None:
    assert caller({"cognito:groups": "[finance reviewers]"}).groups == {"finance", "reviewers"}
    assert caller({"cognito:groups": "finance reviewers"}).groups == {"finance reviewers"}


@pytest.mark.parametrize(
    ("arn", "role"),
    [
        ("arn:aws:iam::123456789012:user/ballast-operator", "operator"),
        ("arn:aws:iam::123456789012:user/ballast-operator/ann", "operator"),
        ("arn:aws:iam::123456789012:user/ballast-reviewer-acme", "reviewer"),
        ("arn:aws:iam::123456789012:user/ballast-reviewer-acme/ann", "reviewer"),
        ("arn:aws:sts::123456789012:assumed-role/ballast-operator/s", "operator"),
        ("arn:aws:iam::123456789012:user/ballast-operators", None),
        ("arn:aws:iam::123456789012:user/x/ballast-operator", None),
        ("arn:aws:sts::123456789012:assumed-role/ballast-operator-x/s", None),
        ("arn:aws:sts::123456789012:assumed-role/x/ballast-operator", None),
    ],
)
def test_a_user_is_found_by_its_name_or_by_its_path(arn: str, role: str | None) -> None:
    callers = Callers.of(Runtime({}))
    if role is None:
        with pytest.raises(Problem):
            callers.identify({"iam": {"userArn": arn}})
    else:
        assert callers.identify({"iam": {"userArn": arn}}).role == role
