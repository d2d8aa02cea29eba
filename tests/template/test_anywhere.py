"""The template deploys into any partition and twice into one account, and finds mistakes before anything is made."""

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

import boto3
import pytest

from localcloud.cloud import LocalCloud
from localcloud.parameters import broken
from localcloud.template import TemplateInvalid, load_template
from tests.template import rendered
from tests.template.rendered import TEMPLATE, WORKFLOW, of_type

WRITTEN = rendered.written()
#: A region of each partition.
PARTITIONS = {"aws": "eu-west-1", "aws-cn": "cn-north-1", "aws-us-gov": "us-gov-west-1"}
#: Condition keys that IAM types as ArrayOfString: without a set operator a condition on one may deny everything.
MULTIVALUED = re.compile(
    r"^(aws:(tagkeys|principalorgpaths|resourceorgpaths|calledvia|federatedprovider)|events:(source|detail-type)"
    r"|dynamodb:(attributes|leadingkeys)|kms:(encryptioncontextkeys|grantoperations)|sqs:attributes"
    r"|ses:recipients|secretsmanager:addreplicaregions|s3:requestobjecttagkeys)$",
    re.IGNORECASE,
)


def statements(template: Mapping[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield every policy statement of the template with the resource that it stands in."""
    for name, resource in template["Resources"].items():
        yield from ((name, found) for found in _found(resource))


def _found(value: Any) -> Iterator[dict[str, Any]]:
    if isinstance(value, dict):
        if "Effect" in value:
            yield value
        for part in value.values():
            yield from _found(part)
    elif isinstance(value, list):
        for part in value:
            yield from _found(part)


@pytest.mark.parametrize("name", sorted(of_type(WRITTEN, "AWS::SQS::QueuePolicy", "AWS::SNS::TopicPolicy")))
def test_a_policy_is_for_one_queue_or_topic_and_names_it_alone(name: str) -> None:
    properties = WRITTEN["Resources"][name]["Properties"]
    (of,) = properties.get("Queues") or properties["Topics"]
    arn = of if "Topics" in properties else {"Fn::GetAtt": [of["Ref"], "Arn"]}

    assert [one["Resource"] for one in properties["PolicyDocument"]["Statement"]] == [arn] * len(
        properties["PolicyDocument"]["Statement"]
    )
    assert name == f"{of['Ref']}Policy"


def multivalued_problems(template: Mapping[str, Any]) -> list[str]:
    """Return the conditions on keys of several values that lack a set operator, or hold where there is no value."""
    wrong = []
    for name, statement in statements(template):
        conditions = statement.get("Condition", {})
        for operator, keys in conditions.items():
            for key in filter(MULTIVALUED.match, keys):
                if operator == "Null":
                    continue
                if not operator.startswith(("ForAllValues:", "ForAnyValue:")):
                    wrong.append(f"{name}: {key} under {operator} has no set operator")
                elif operator.startswith("ForAllValues:") and conditions.get("Null", {}).get(key) != "false":
                    wrong.append(f"{name}: {key} under {operator} also holds where there is none")
    return wrong


def test_a_condition_on_a_key_of_several_values_has_a_set_operator() -> None:
    assert multivalued_problems(WRITTEN) == []
    assert any("events:source" in json.dumps(found) for _, found in statements(WRITTEN))


@pytest.mark.parametrize(
    ("condition", "problems"),
    [
        ({"StringEquals": {"events:source": "ballast"}}, 1),
        ({"StringEquals": {"aws:TagKeys": ["a"]}}, 1),
        ({"StringLike": {"dynamodb:LeadingKeys": ["${aws:userid}"]}}, 1),
        ({"ForAllValues:StringEquals": {"events:source": "ballast"}}, 1),
        ({"ForAllValues:StringEquals": {"events:source": "x"}, "Null": {"events:source": "true"}}, 1),
        ({"ForAllValues:StringEquals": {"events:source": "x"}, "Null": {"events:source": "false"}}, 0),
        ({"ForAnyValue:StringEquals": {"aws:CalledVia": ["x"]}}, 0),
        ({"StringEquals": {"aws:SourceAccount": "1"}}, 0),
    ],
)
def test_a_condition_without_its_set_operator_is_found(condition: Any, problems: int) -> None:
    template = {"Resources": {"Planted": {"Properties": {"Statement": [{"Effect": "Allow", "Condition": condition}]}}}}

    assert len(multivalued_problems(template)) == problems


def test_no_partition_is_written_out() -> None:
    for file in (TEMPLATE, WORKFLOW):
        assert re.findall(r"arn:aws[\w-]*:|amazonaws\.com(?!\b)|\.amazonaws\.com\.cn", file.read_text("utf-8")) == []
    # Services' principals are the same in every partition; addresses are not.
    addresses = re.findall(r"[\w${}:.-]+\.amazonaws\.com", TEMPLATE.read_text(encoding="utf-8"))
    assert {one.split(".")[0] for one in addresses} <= {"events", "apigateway", "cloudwatch", "dynamodb"}


@pytest.mark.parametrize("partition", sorted(PARTITIONS))
def test_every_arn_is_of_the_partition_that_the_stack_is_in(partition: str, monkeypatch: pytest.MonkeyPatch) -> None:
    region = PARTITIONS[partition]
    session = boto3.Session(region_name=region)
    monkeypatch.setattr(boto3, "Session", lambda **_: session)

    made = rendered.translated(WRITTEN)
    definition = WORKFLOW.read_text(encoding="utf-8")
    for name, value in substitutions(made).items():
        definition = definition.replace(f"${{{name}}}", value if isinstance(value, str) else name)
    whole = _with_pseudo_parameters(json.dumps(made), partition, region) + definition.replace("Partition", partition)

    arns = re.findall(r"arn:([\w${}:-]*?):[a-z0-9-]+:", whole)
    assert len(arns) > 40
    assert set(arns) == {partition}


def substitutions(template: Mapping[str, Any]) -> dict[str, Any]:
    """Return what the state machine's placeholders stand for."""
    (machine,) = of_type(dict(template), "AWS::StepFunctions::StateMachine").values()
    found: dict[str, Any] = machine["Properties"]["DefinitionSubstitutions"]
    return found


def _with_pseudo_parameters(text: str, partition: str, region: str) -> str:
    for name, value in (("Partition", partition), ("Region", region), ("AccountId", "1"), ("StackName", "s")):
        text = text.replace(f"${{AWS::{name}}}", value)
    return text


@pytest.mark.parametrize("name", sorted(of_type(rendered.translated(WRITTEN), "AWS::Events::Rule")))
def test_a_rule_hears_of_its_own_stack_alone(deployed: rendered.Template, name: str) -> None:
    properties = deployed["Resources"][name]["Properties"]
    if "ScheduleExpression" in properties:
        return

    assert '{"Ref": ' in json.dumps(properties["EventPattern"]["detail"])


NAMES = ("TableName", "QueueName", "TopicName", "BucketName", "FunctionName", "RoleName", "RuleName", "Name")


def test_what_has_a_name_of_its_own_has_the_stacks() -> None:
    """Two stacks of one account would want the same name."""
    for name, resource in WRITTEN["Resources"].items():
        for key in NAMES:
            value = resource.get("Properties", {}).get(key)
            if value is None or resource["Type"] in ("AWS::Lambda::Permission", "AWS::Lambda::EventSourceMapping"):
                continue
            if resource["Type"] == "AWS::ApiGatewayV2::Authorizer":
                continue  # within its API
            assert "${AWS::StackName}" in json.dumps(value), name
        for key in ("LogGroupName", "DashboardName"):
            value = resource.get("Properties", {}).get(key)
            assert value is None or "${AWS::StackName}" in json.dumps(value), name


PATTERNS = {
    name: parameter["AllowedPattern"]
    for name, parameter in load_template(TEMPLATE)["Parameters"].items()
    if "AllowedPattern" in parameter
}


@pytest.mark.parametrize(
    ("name", "right", "wrong"),
    [
        ("AlarmEmail", ["", "oncall@example.com"], ["oncall", "a b@c.d", "@example.com", "a@b"]),
        ("TicketEmail", ["", "desk@mail.example.com"], ["desk@", "desk@example"]),
        ("ApiRequestsPerSecond", ["1", "50", "10000"], ["0", "1.5", "", "-1", "fast", "1e3"]),
        ("AccountRuns", ["0", "500"], ["1.5", "", "-1", "many"]),
        ("TenantRuns", ["0", "100"], ["0.5", "", "-1"]),
        ("AdmissionWaitSeconds", ["0", "9", "3900", "86399", "86400"], ["86401", "90000", "100000", "1.5", "", "-1"]),
        ("ExecutorConcurrency", ["0", "5", "900"], ["0.0", "00", "01", "1.5", "-1", ""]),
        ("SettleConcurrency", ["0", "5", "900"], ["0.0", "00", "01", "1.5", "-1", ""]),
        ("JwtIssuer", ["", "https://issuer.example"], ["http://issuer.example", "issuer"]),
        ("JwtAudience", ["ballast"], ["", " "]),
    ],
)
def test_a_parameter_takes_what_can_work_and_nothing_else(name: str, right: list[str], wrong: list[str]) -> None:
    assert [one for one in right if not re.fullmatch(PATTERNS[name], one)] == []
    assert [one for one in wrong if re.fullmatch(PATTERNS[name], one)] == []


@pytest.mark.parametrize("name", ["IamTenantPattern", "IamReviewerPattern", "IamOperatorPattern", "IamPersonPattern"])
def test_a_pattern_with_open_brackets_or_without_its_group_is_refused(name: str) -> None:
    wants_tenant = name in ("IamTenantPattern", "IamReviewerPattern")
    right = ["", ":assumed-role/t-(?P<tenant>[a-z]+)/", r":(role|user)/x\.(?P<tenant>[^/]+)-(?P<group>\w{2,5})/"]
    wrong = [
        "(?P<tenant>[a-z]+",
        "(?P<tenant>[a-z)/",
        "(?P<tenant>a)\\",
        "(?P<tenant>a)]",
        "(?P<tenant>a))",
        "(?P<tenant>a) ",
    ]
    without_group = [":role/x", "(?P<tennant>a)"]

    assert [one for one in right if not re.fullmatch(PATTERNS[name], one)] == []
    assert [re.compile(one) for one in right]
    assert [one for one in wrong if re.fullmatch(PATTERNS[name], one)] == []
    assert [one for one in without_group if re.fullmatch(PATTERNS[name], one)] == (
        [] if wants_tenant else without_group
    )


def test_every_default_fits_its_pattern() -> None:
    parameters = load_template(TEMPLATE)["Parameters"]

    def parts(parameter: Mapping[str, Any]) -> list[str]:
        default = str(parameter["Default"])
        return default.split(",") if parameter["Type"] == "CommaDelimitedList" else [default]

    unfit = [
        name for name, one in PATTERNS.items() if not all(re.fullmatch(one, part) for part in parts(parameters[name]))
    ]
    assert unfit == []


@pytest.mark.parametrize(
    ("parameters", "said"),
    [
        ({}, []),
        ({"JwtIssuer": "https://issuer.example"}, []),
        ({"AuthMode": "JWT", "JwtIssuer": "https://issuer.example"}, []),
        ({"AuthMode": "JWT"}, ["TokensHaveAnIssuer"]),
        ({"AuthMode": "JWT", "JwtIssuer": ""}, ["TokensHaveAnIssuer"]),
    ],
)
def test_parameters_that_fail_together_are_refused_before_anything_is_made(
    parameters: dict[str, str], said: list[str]
) -> None:
    found = broken(load_template(TEMPLATE), parameters)

    assert [one.split(":")[0] for one in found] == said


def test_the_local_cloud_refuses_what_the_rules_refuse() -> None:
    with pytest.raises(TemplateInvalid, match="AuthMode JWT needs JwtIssuer"):
        LocalCloud(parameters={"AuthMode": "JWT"}).__enter__()
