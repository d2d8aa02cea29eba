"""Every parameter, by its kind: unusable values are refused before anything is created, and accepted ones are read.

The judge is whoever reads it: the settings of the functions that get it, and the properties that it stands in.
"""

import math
import re
from collections.abc import Callable, Iterator
from decimal import Decimal
from functools import cache
from typing import Any

import pytest
from botocore.utils import is_valid_endpoint_url
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from ballast.http.identity import Callers, CallerSettings
from ballast.models.catalog import Catalog
from ballast.money.amounts import micro_dollars
from ballast.runtime import Runtime
from localcloud.parameters import broken, complaints
from localcloud.template import load_template
from tests.support.sampling import examples
from tests.template.rendered import TEMPLATE
from tests.template.test_environment import FUNCTIONS, settings_of

DEPLOYED = load_template(TEMPLATE)
DECLARED: dict[str, Any] = DEPLOYED["Parameters"]

NO_NUMBER = [
    "",
    " ",
    "x",
    "-1",
    "1e3",
    "0x5",
    "1_0",
    "5 ",
    " 5",
    "5\n",
    "\u0665",
    "1,5",
    "NaN",
    "inf",
    "1e400",
    "+5",
    ".",
]
NOT_WHOLE = [*NO_NUMBER, "41.5", "41.0", "400.", "041", "00"]
NO_AMOUNT = [*NO_NUMBER, "0.0000001", "1.", ".5", "$5", "007", "1e2", "1000000000000", "5.0.0", "1e-400", "0.1234567"]
NO_CLAIM = ["a", "=b", "a=", "a= b", "a=b ", " a=b", "a b=c", "a=b" + "c" * 200]
NO_ADDRESS = [
    *(
        "x",
        "ftp://x",
        "https://",
        "https:// x",
        "https://a b",
        "https://a..b",
        "https://-a",
        "https://a:0",
        "https://a:x",
    ),
    *("https://a:70000", "https://a/b c", "https://a?b", "https://a#b", "https://a\n", "https://" + "a" * 600),
]
NO_ADDRESSES = ["oncall", "a b@c.d", "@example.com", "a@b", "a@b.c\n", "a@b@c.d", "a" * 260 + "@b.c"]
NO_EXPRESSION = [
    *(
        "(",
        ")",
        "[",
        "]",
        "(?P<tenant>[a-z]+",
        "(?P<tenant>[a-z)/",
        "(?P<tenant>a)\\",
        "(?P<tenant>a))",
        "(?P<tenant>a) ",
    ),
    *("(?P<tenant>*)", "+(?P<tenant>x)", "*(?P<tenant>x)", "?(?P<tenant>x)", "(?P<tenant>x)**", "(?P<tenant>x|*)"),
    *("(?P<tenant>[z-a])", "(?P<tenant>[a-Z])", "(?P<tenant>[\\w-.])", "(?P<tenant>a{2,1})", "(?P<tenant>x)^*"),
    *("(?P<tenant>a)(?P<tenant>b)", "(?P<tenant>a(?P<tenant>b))", "(?P<a>a)(?P<tenant>b)(?P<a>c)"),
    *("(?P<tenant>a)(?P=nope)", "(?P<tenant>a)(?P=tenant", "(?P<tenant>x)(?(9)a)", "\\2(?P<tenant>x)"),
    *("(?P<tenant>\\y)", "(?P<tenant>x)\\k", "(?P<tenant>x)(?z)", "(?P<tenant>x)(?i)", "(?P<tenant>a)(?<=b*)"),
    *("(?P<tenant>[])", "(?P<tenant>[^])", "(?P<1>x)(?P<tenant>a)", "(?P<tenant>x){2}{3}", "{3}(?P<tenant>x)"),
    "(?P<tenant>" + "x" * 600 + ")",
]
EXPRESSIONS = [
    *(
        "",
        "(?P<tenant>)",
        ":assumed-role/t-(?P<tenant>[a-z]+)/",
        r":(role|user)/x\.(?P<tenant>[^/]+)-(?P<group>\w{2,5})/",
    ),
    *(
        ":assumed-role/((a|b)-)?(?P<tenant>.+)/",
        ":(?P<tenant>[A-Za-z0-9 _-]+)/",
        ":(?P<tenant>[]a])",
        ":(?P<tenant>[^]a])",
    ),
    *(
        r":assumed-role/AWSReservedSSO_(?P<tenant>[^_/]+)_[0-9a-f]{16}/",
        r":user/(?P<tenant>[^/]+)$",
        "(?i):role/(?P<tenant>x)",
    ),
    *(
        ":role/x(?P<tenant>.*)(?:/|$)",
        "^arn:aws:(?:iam|sts)::(?P<tenant>[0-9]{12}):",
        r":(?P<tenant>[\]a])",
        "(?!x)(?P<tenant>a)",
    ),
    *(
        "a??(?P<tenant>(?:a(b|c)+?)*)",
        r"\bx\d\s\W(?P<tenant>[\w.-]*)",
        "(?P<tenant>{a}b{2}c{,3}d{4,})",
        "(?P<tenant>[[(|*+?^$])",
    ),
]
#: (right, wrong), by kind
Values = tuple[list[str], list[str]]


def whole(least: int, most: int, *more: str) -> Values:
    """Return whole numbers from ``least`` to ``most``, and what is none of them; ``more`` is right as well."""
    inside = {least, least + 1, (least + most) // 2, most - 1, most}
    outside = [str(one) for one in (least - 1, most + 1, most * 10) if str(one) not in more]
    return [str(one) for one in sorted(inside)] + list(more), NOT_WHOLE + outside


def choice(*values: str) -> Values:
    """Return a closed list."""
    return list(values), ["", "x", values[0] + " ", f"{values[0]}.0", values[0].lower() + "x", "7.0", "1e1"]


AMOUNT: Values = (["0.000001", "0.5", "1", "99.50", "20", "999999999999.999999"], NO_AMOUNT)
AMOUNT_OR_NONE: Values = (["0", "0.0", "0.000000", *AMOUNT[0]], NO_AMOUNT)
PERCENT: Values = (["0", "5", "12.5", "100"], [one for one in NO_NUMBER if one not in ("1e3", "+5")] + ["100.1", "1e3"])
CLAIM: Values = (["", "scope=ballast/review", "cognito:groups=on call", "a=b=c"], NO_CLAIM)
EMAIL: Values = (["", "oncall@example.com", "desk@mail.example.com"], NO_ADDRESSES)
TENANTS: Values = (EXPRESSIONS, [*NO_EXPRESSION, ":role/x", "(?P<tennant>a)", "(?P<tenant_id>x)", "[(?P<tenant>]"])
PEOPLE: Values = ([*EXPRESSIONS, ":role/x", "a|b", "."], NO_EXPRESSION)
ISSUER = ["", "https://issuer.example", "https://cognito-idp.eu-west-1.amazonaws.com/eu-west-1_X", "https://a:8443/b/"]

KINDS: dict[str, Values] = {
    "PlaybookFolder": (["layers/playbook/", "../itdesk", "/home/me/it desk"], ["", "a\n", "a" * 1025]),
    "BusinessTemplate": (
        ["business.yaml", "../itdesk/business.yaml", "/home/me/it desk/b.yml"],
        ["", "business", "a.yaml\n", ".yaml.json", "a" * 1021 + ".yml"],
    ),
    "Stage": choice("dev", "staging", "prod"),
    "LogRetentionDays": choice("0", "1", "7", "400", "3653"),
    "AuthMode": (["IAM"], ["", "iam", "JWT"]),  # JWT needs an issuer beside it
    "RunRetentionDays": whole(41, 3653),
    "LogCopyDays": whole(0, 3653),
    "AccountRuns": whole(0, 999_999_999),
    "TenantRuns": whole(0, 999_999_999),
    "AdmissionWaitSeconds": whole(0, 86_400),
    "RequireCertificate": choice("true", "false"),
    "EscalationAgeAlarmSeconds": whole(60, 9_999_999),
    "SnapStart": choice("on", "off"),
    "QueueConcurrency": whole(2, 1_000),
    "ExecutorConcurrency": whole(0, 99_999),
    "SettleConcurrency": whole(0, 99_999),
    "ApiRequestsPerSecond": whole(1, 99_999),
    "AccountDayUsd": (AMOUNT[0], [*NO_AMOUNT, "0", "0.0", "0.000000"]),
    "AccountHourUsd": AMOUNT_OR_NONE,
    "TenantHourUsd": AMOUNT_OR_NONE,
    "TenantDayUsd": AMOUNT_OR_NONE,
    "HourlyCostAlarmUsd": AMOUNT_OR_NONE,
    "RunCostAlarmUsd": AMOUNT_OR_NONE,
    "LoopRateAlarmPercent": PERCENT,
    "FallbackRateAlarmPercent": PERCENT,
    "ReplyQueuePrefix": (["abc", "ballast-reply-", "A_9"], ["", "ab", "a b", "a.b", "a" * 61, "abc*", "\u00e4bc"]),
    "JwtIssuer": (ISSUER, [*NO_ADDRESS, "http://issuer.example", "issuer"]),
    "JwtAudience": (["ballast", "a,b", "api://x"], ["", " ", "a,,b", "a b", "a" * 257]),
    "TenantClaim": (["tenant", "custom:tenant", "https://x.example/t"], ["", "a b", "a=b", "a" * 129]),
    "ReviewerClaim": CLAIM,
    "OperatorClaim": CLAIM,
    "GroupClaim": (["", "cognito:groups"], ["a b", "a=b", "a" * 129]),
    "IamTenantPattern": TENANTS,
    "IamReviewerPattern": TENANTS,
    "IamOperatorPattern": PEOPLE,
    "IamPersonPattern": PEOPLE,
    "AlarmEmail": EMAIL,
    "TicketEmail": EMAIL,
    "ModelId": (
        ["", "amazon.nova-lite-v1:0", "region.anthropic.claude-haiku-4-5-20251001-v1:0", "arn:aws:bedrock:x:1:y/z"],
        ["a b", "a\n", "a" * 513, "*"],
    ),
    "ModelArns": (
        [
            "arn:*:bedrock:*:*:inference-profile/*.amazon.nova-pro-v1:0,arn:*:bedrock:*::foundation-model/openai.gpt-5",
            "arn:aws-us-gov:bedrock:us-gov-west-1:123456789012:application-inference-profile/desk",
            "arn:aws:bedrock:eu-west-1:123456789012:provisioned-model/abc",
        ],
        [
            *("", "*", "amazon.nova-pro-v1:0", "arn:*:bedrock:*::foundation-model/", "arn:aws:s3:::bucket/x"),
            *("arn:*:bedrock:*::foundation-model/*", "arn:*:bedrock:*:*:inference-profile/*", "arn:*:bedrock:*::*/a"),
            *("arn:*:bedrock:*::foundation-model/amazon.*", "arn:*:bedrock:*::foundation-model/*.*", "arn:*:*:*:*:a/b"),
            *("arn:*:bedrock:*::foundation-model/?mazon.nova", "arn:*:bedrock:*:*:inference-profile/eu.*"),
            *("arn:*:bedrock:*:*:guardrail/a", "arn:*:bedrock:*:*:agent-alias/a/b", "arn:*:dynamodb:*:*:table/a"),
            "arn:*:bedrock:*::foundation-model/amazon.nova-pro-v1:0,*",
        ],
    ),
    "GuardrailId": (["none", "gr1abc"], ["", "a/b", "*", "GR1", "a" * 65, "a\n"]),
    "ModelEndpointUrl": (["", "http://127.0.0.1:65535", "https://models.example/v1"], NO_ADDRESS),
}
#: What no ``AllowedPattern`` can see: refused here before deploying; on AWS it knows nobody, which is reported.
UNSEEN = {
    *("(?P<tenant>[z-a])", "(?P<tenant>[a-Z])", "(?P<tenant>[\\w-.])", "(?P<tenant>a{2,1})", "[(?P<tenant>]"),
    *("(?P<tenant>x){2}{3}", "{3}(?P<tenant>x)"),
}
#: With these, 0 takes the property or the resource away.
NONE_AT_0 = {"LogRetentionDays", "LogCopyDays", "ExecutorConcurrency", "SettleConcurrency"}


def refused(name: str, value: str) -> list[str]:
    """Return why a value is refused before anything is deployed."""
    return [*complaints(DECLARED, {name: value}), *broken(DEPLOYED, {name: value})]


def by_change_set(name: str, value: str) -> bool:
    """Say whether the change set takes a value: by the template alone."""
    declared = DECLARED[name]
    parts = value.split(",") if declared["Type"] == "CommaDelimitedList" else [value]
    return (
        all(re.fullmatch(declared.get("AllowedPattern", ".*"), part, re.ASCII) for part in parts)
        and value in declared.get("AllowedValues", [value])
        and declared.get("MinLength", 0) <= len(value) <= declared.get("MaxLength", 4_096)
    )


def test_every_parameter_has_its_kind() -> None:
    assert KINDS.keys() == DECLARED.keys()
    # What CloudFormation calls a number may have any fraction and any exponent; a threshold of an alarm may.
    assert {name for name, one in DECLARED.items() if one["Type"] == "Number"} == {
        "LoopRateAlarmPercent",
        "FallbackRateAlarmPercent",
    }


@pytest.mark.parametrize("name", KINDS)
def test_what_cannot_work_is_refused_before_anything_is_deployed(name: str) -> None:
    _, wrong = KINDS[name]

    assert [value for value in wrong if not refused(name, value)] == []
    if DECLARED[name]["Type"] != "Number":
        taken = {value for value in wrong if by_change_set(name, value)}
        assert taken == (UNSEEN & set(wrong) or {"JWT"} & set(wrong))


@pytest.mark.sampled(14)
@pytest.mark.parametrize("name", KINDS)
def test_what_can_work_is_taken_and_can_be_read(name: str) -> None:
    right, _ = KINDS[name]

    assert [(value, said) for value in right if (said := refused(name, value))] == []
    assert [value for value in right if DECLARED[name]["Type"] != "Number" and not by_change_set(name, value)] == []
    assert [(value, said) for value in right if (said := read_wrong(name, value))] == []


def test_a_parameter_that_needs_another_is_taken_with_it() -> None:
    assert broken(DEPLOYED, {"AuthMode": "JWT", "JwtIssuer": "https://issuer.example"}) == []


GENERATED = sorted(name for name, one in DECLARED.items() if "Pattern" not in name and "AllowedPattern" in one)


@pytest.mark.sampled(10)
@pytest.mark.parametrize("name", GENERATED)
@settings(max_examples=examples(10, 40), deadline=None, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_whatever_the_template_takes_can_be_read(name: str, data: st.DataObject) -> None:
    pattern = DECLARED[name]["AllowedPattern"].replace("(?=.*[1-9])", "")
    value = data.draw(st.from_regex(re.compile(pattern, re.ASCII), fullmatch=True))
    assume(by_change_set(name, value))

    assert refused(name, value) == []
    assert read_wrong(name, value) == []


@pytest.mark.parametrize("name", [name for name in KINDS if name.endswith("Pattern")])
@settings(max_examples=examples(50, 150), deadline=None, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_whatever_expression_is_taken_here_can_be_used(name: str, data: st.DataObject) -> None:
    pieces = [*"ab-]^[()|*+?.\\:={},2$ ", "(?P<tenant>", "(?:", "[^", r"\w", "[a-z]", "{2,3}", "(?P<g>", ")", "]"]
    value = "".join(data.draw(st.lists(st.sampled_from(pieces), max_size=9)))

    if not refused(name, value):
        assert read_wrong(name, value) == []


def read_wrong(name: str, value: str) -> list[str]:
    """Return who could not read the value: functions by their settings, properties by what they take."""
    found = [*_variables(name, value), *_properties(name, value)]
    return [f"{where}: {said}" for where, reads in found for said in [_said(reads)] if said]


def _said(reads: Callable[[], Any]) -> str:
    try:
        return "" if reads() is not False else "does not take it"
    except Exception as problem:  # whatever it is, it would be raised in the stack
        return f"{type(problem).__name__}: {problem}"


def _variables(name: str, value: str) -> Iterator[tuple[str, Callable[[], Any]]]:
    for function, one in FUNCTIONS.items():
        given = one["Properties"].get("Environment", {}).get("Variables", {})
        names = [variable for variable, source in given.items() if source == {"Ref": name}]
        if names:
            environ = {variable: _default(source) for variable, source in given.items()} | dict.fromkeys(names, value)
            yield function, lambda environ=environ, function=function: _read(function, environ)


def _default(source: Any) -> str:
    parameter = DECLARED.get(source["Ref"]) if isinstance(source, dict) and "Ref" in source else None
    return str(parameter["Default"]) if parameter else source if isinstance(source, str) else "x"


_settings = cache(settings_of)


def _read(function: str, environ: dict[str, str]) -> bool:
    runtime = Runtime(environ)
    for settings_class in _settings(function):
        read = settings_class.of(runtime)
        for variable, value in read.model_dump().items():
            if variable.endswith("_usd"):
                micro_dollars(value, what=variable)
            if variable == "model_endpoint_url" and value and not is_valid_endpoint_url(value):
                return False
            if variable == "model_id":
                Catalog().in_region(value, "eu-west-1")
        if settings_class is CallerSettings and Callers.of(runtime).unusable:
            return False
    return True


def _whole(least: int, most: int) -> Callable[[str], bool]:
    return lambda value: least <= int(value) <= most and str(int(value)) == value


def _finite(value: str) -> bool:
    return math.isfinite(float(value)) and float(value) >= 0


#: What a property takes, by its name; CloudFormation makes numbers of texts.
TAKES: dict[str, Callable[[str], Any]] = {
    "RetentionInDays": _whole(1, 3_653),
    "ExpirationInDays": _whole(1, 2**31 - 1),
    "Days": _whole(1, 36_500),
    "MaximumConcurrency": _whole(2, 1_000),
    "ReservedConcurrentExecutions": _whole(0, 99_999),
    "ThrottlingRateLimit": _finite,
    "ThrottlingBurstLimit": _whole(1, 2**31 - 1),
    "Threshold": _finite,
    "Expression": lambda value: Decimal(24) / Decimal(value) > 0,
    "DashboardBody": lambda value: Decimal(24) / Decimal(value) > 0,
    "Issuer": lambda value: value == "" or is_valid_endpoint_url(value),
    "Audience": lambda value: all(value.split(",")),
    "Endpoint": lambda value: value == "" or "@" in value,
    "DisplayName": lambda value: len(value) < 80,
    # IAM's form of an ARN; a guardrail's id stands at the end of one.
    "Resource": lambda value: all(
        re.fullmatch(r"[A-Za-z0-9_-]+|arn:[^:]+:bedrock:[^:]*:[^:]*:[a-z-]+/[^/]+", one) for one in value.split(",")
    ),
}


def _properties(name: str, value: str) -> Iterator[tuple[str, Callable[[], Any]]]:
    if name in NONE_AT_0 and value == "0":
        return
    for resource, one in DEPLOYED["Resources"].items():
        properties = {key: part for key, part in one.get("Properties", {}).items() if key != "Environment"}
        for key in set(_places(name, properties)) - {"AuthorizationType"}:
            yield f"{resource}.{key}", lambda key=key: TAKES[key](value)


def _places(name: str, value: Any, key: str = "") -> Iterator[str]:
    """Yield the property that each mention of the parameter stands in."""
    if value == {"Ref": name} or (isinstance(value, str) and f"${{{name}}}" in value):
        yield key
    elif isinstance(value, dict):
        for inner, part in value.items():
            if inner == "Fn::FindInMap":
                continue
            yield from _places(name, part, key if inner.startswith("Fn::") else inner)
    elif isinstance(value, list):
        for part in value:
            yield from _places(name, part, key)


#: Lambda's, of all names and values of a function's environment.
ENVIRONMENT_BYTES = 4_096
#: An ARN or a name of a resource, and the stack's name.
_LONGEST_NAME = 200


@pytest.mark.parametrize("function", sorted(FUNCTIONS))
def test_the_longest_parameters_fit_into_a_functions_environment(function: str) -> None:
    given = FUNCTIONS[function]["Properties"].get("Environment", {}).get("Variables", {})

    size = 128 + sum(len(name) + _longest(source) for name, source in given.items())

    assert size <= ENVIRONMENT_BYTES


def _longest(source: Any) -> int:
    if isinstance(source, str):
        return len(source)
    name = source.get("Ref", "") if isinstance(source, dict) else ""
    if name not in DECLARED:
        return _LONGEST_NAME if name else len(str(source))
    right = max(map(len, KINDS[name][0]))
    return int(DECLARED[name].get("MaxLength", right))
