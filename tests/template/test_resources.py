"""Properties that every function and every store of data must have."""

import re
from typing import Any

import pytest
import yaml

from ballast.log.run_log import LONGEST_RUN_DAYS
from cli.walls.yours import PLATFORM
from tests.template import rendered
from tests.template.rendered import ROOT, Template, of_type

TEMPLATE = rendered.written()
FUNCTIONS = sorted(of_type(TEMPLATE, "AWS::Serverless::Function"))
#: Callers' tokens: a copy of them, or a table that outlives its stack, would keep what was deleted.
SECRETS = "RequesterTokensTable"
TABLES = sorted(of_type(TEMPLATE, "AWS::DynamoDB::Table").keys() - {SECRETS})
QUEUES = sorted(PLATFORM & of_type(TEMPLATE, "AWS::SQS::Queue").keys())
#: Each side of the walls has a log group: the folder's, but that of the planners without a model.
DETERMINISTIC = {"fallback", "rollback"}
DATA = [*TABLES, *QUEUES, "PayloadBucket", "LogCopyBucket"]


def properties(template: Template, name: str) -> dict[str, Any]:
    """Return a resource's properties."""
    found: dict[str, Any] = template["Resources"][name]["Properties"]
    return found


@pytest.mark.parametrize("name", FUNCTIONS)
def test_a_function_runs_on_the_agreed_machine(deployed: Template, name: str) -> None:
    function = properties(deployed, name)

    assert (function["Runtime"], function["Architectures"]) == ("python3.13", ["arm64"])
    assert function["TracingConfig"] == {"Mode": "Active"}
    assert function["Timeout"] == {"AgentFunction": 120, "ExecutorFunction": 60}.get(name, 30)


@pytest.mark.parametrize("name", FUNCTIONS)
def test_a_function_writes_json_to_the_log_group_of_its_side_that_forgets(deployed: Template, name: str) -> None:
    logging = properties(deployed, name)["LoggingConfig"]
    log_group = logging["LogGroup"]["Ref"]
    folder = TEMPLATE["Resources"][name]["Properties"]["CodeUri"].removeprefix("functions/").rstrip("/")

    assert logging["LogFormat"] == "JSON"
    assert log_group == ("DeterministicLogGroup" if folder in DETERMINISTIC else f"{folder.capitalize()}LogGroup")
    assert properties(deployed, log_group)["RetentionInDays"]["Fn::If"][0] == "LogRetentionIsByStage"


@pytest.mark.parametrize("name", FUNCTIONS)
def test_a_function_is_imported_in_lambda_as_it_is_in_tests(name: str) -> None:
    function = TEMPLATE["Resources"][name]
    folder = function["Properties"]["CodeUri"]

    assert function["Properties"]["Handler"].startswith(folder.replace("/", "."))


@pytest.mark.parametrize("name", FUNCTIONS)
def test_a_function_is_restored_from_a_snapshot_only_where_somebody_asks(deployed: Template, name: str) -> None:
    restored = {"Fn::If": ["FunctionsAreRestored", {"ApplyOn": "PublishedVersions"}, {"Ref": "AWS::NoValue"}]}

    assert properties(deployed, name)["SnapStart"] == restored
    assert deployed["Conditions"]["FunctionsAreRestored"] == {"Fn::Equals": [{"Ref": "SnapStart"}, "on"]}
    assert deployed["Parameters"]["SnapStart"]["Default"] == "off"


def test_globals_name_no_resource_but_the_runtime() -> None:
    variables = {"STACK_NAME": {"Ref": "AWS::StackName"}, "PYDANTIC_DISABLE_PLUGINS": "__all__"}
    assert TEMPLATE["Globals"]["Function"]["Environment"] == {"Variables": variables}
    assert TEMPLATE["Globals"]["Function"]["Layers"] == [{"Ref": "BallastLayer"}]


def test_only_functions_that_read_the_playbook_have_its_layer() -> None:
    for name in FUNCTIONS:
        function = properties(TEMPLATE, name)
        told_where_it_is = "PLAYBOOK_DIR" in function.get("Environment", {}).get("Variables", {})

        assert ({"Ref": "PlaybookLayer"} in function.get("Layers", [])) == told_where_it_is, name


@pytest.mark.parametrize("name", DATA)
def test_data_outlives_its_stack(name: str) -> None:
    resource = TEMPLATE["Resources"][name]

    assert (resource["DeletionPolicy"], resource["UpdateReplacePolicy"]) == ("RetainExceptOnCreate", "Retain")


@pytest.mark.parametrize("name", TABLES)
def test_a_table_is_recoverable_encrypted_protected_and_paid_by_use(name: str) -> None:
    table = properties(TEMPLATE, name)

    assert table["PointInTimeRecoverySpecification"] == {"PointInTimeRecoveryEnabled": True}
    assert table["SSESpecification"] == {"SSEEnabled": True}
    assert table["DeletionProtectionEnabled"] == {"Fn::If": ["TablesAreProtected", True, False]}
    assert table["BillingMode"] == "PAY_PER_REQUEST"


def test_callers_tokens_are_encrypted_expire_and_are_in_no_copy() -> None:
    table = properties(TEMPLATE, SECRETS)

    assert table["SSESpecification"] == {"SSEEnabled": True}
    assert table["TimeToLiveSpecification"] == {"AttributeName": "expires_at", "Enabled": True}
    assert table.keys() & {"PointInTimeRecoverySpecification", "StreamSpecification", "GlobalSecondaryIndexes"} == set()
    assert TEMPLATE["Resources"][SECRETS].keys() & {"DeletionPolicy", "UpdateReplacePolicy"} == set()


def test_a_first_deploy_that_fails_leaves_nothing_but_where_tables_are_protected() -> None:
    kept = {name for name, found in TEMPLATE["Resources"].items() if found.get("DeletionPolicy") == "Retain"}
    protected = TEMPLATE["Conditions"]["TablesAreProtected"]

    assert kept == set()
    assert TEMPLATE["Parameters"]["Stage"]["Default"] == "dev"
    assert protected == {"Fn::Not": [{"Fn::Equals": [{"Ref": "Stage"}, "dev"]}]}


@pytest.mark.parametrize(
    ("name", "parameter"), [("ExecutorFunction", "ExecutorConcurrency"), ("SettleFunction", "SettleConcurrency")]
)
def test_what_records_effects_and_endings_can_be_kept_free_of_everybody_elses_load(name: str, parameter: str) -> None:
    reserved = properties(TEMPLATE, name)["ReservedConcurrentExecutions"]["Fn::If"]

    assert reserved[1:] == [{"Ref": parameter}, {"Ref": "AWS::NoValue"}]
    assert TEMPLATE["Conditions"][reserved[0]] == {"Fn::Not": [{"Fn::Equals": [{"Ref": parameter}, "0"]}]}
    assert TEMPLATE["Parameters"][parameter]["Default"] == "0"


@pytest.mark.parametrize(
    ("name", "attribute"),
    [
        ("BudgetsTable", "expires_at"),
        ("MovesTable", "expires_at"),
        ("RunLogTable", "expires_at"),
        ("EscalationsTable", "expires_at"),
        ("IdempotencyTable", "expiration"),
        ("ModelCircuitsTable", "expiration"),
    ],
)
def test_only_what_may_be_forgotten_expires(name: str, attribute: str) -> None:
    assert properties(TEMPLATE, name)["TimeToLiveSpecification"] == {"AttributeName": attribute, "Enabled": True}
    ours = [table for table in TABLES if table in PLATFORM]
    forgetful = [table for table in ours if "TimeToLiveSpecification" in properties(TEMPLATE, table)]
    assert forgetful == [
        *("BudgetsTable", "EscalationsTable", "IdempotencyTable", "ModelCircuitsTable", "MovesTable", "RunLogTable")
    ]


def test_what_is_kept_of_a_run_outlives_the_longest_run() -> None:
    definition = yaml.safe_load((ROOT / "statemachine" / "agent.asl.yaml").read_text())
    pattern = TEMPLATE["Parameters"]["RunRetentionDays"]["AllowedPattern"]
    least_days = min(days for days in range(4_000) if re.fullmatch(pattern, str(days)))

    assert least_days * 86_400 > definition["TimeoutSeconds"]
    assert (least_days, definition["TimeoutSeconds"]) == (LONGEST_RUN_DAYS + 1, LONGEST_RUN_DAYS * 86_400)


def test_the_payload_bucket_is_private_encrypted_versioned_and_forgets_with_the_log() -> None:
    bucket = properties(TEMPLATE, "PayloadBucket")

    assert set(bucket["PublicAccessBlockConfiguration"].values()) == {True}
    assert bucket["BucketEncryption"]["ServerSideEncryptionConfiguration"]
    assert bucket["VersioningConfiguration"] == {"Status": "Enabled"}
    (rule,) = bucket["LifecycleConfiguration"]["Rules"]
    assert (rule["Status"], rule["ExpirationInDays"]) == ("Enabled", {"Ref": "RunRetentionDays"})


@pytest.mark.parametrize("name", QUEUES)
def test_a_queue_is_encrypted_and_keeps_for_fourteen_days(name: str) -> None:
    queue = properties(TEMPLATE, name)

    assert queue["SqsManagedSseEnabled"] is True
    assert queue["MessageRetentionPeriod"] == 14 * 24 * 3600


def test_a_question_that_nobody_finishes_goes_to_the_dead_letter_queue() -> None:
    redrive = properties(TEMPLATE, "EscalationQueue")["RedrivePolicy"]

    assert redrive == {
        "deadLetterTargetArn": {"Fn::GetAtt": ["EscalationDeadLetterQueue", "Arn"]},
        "maxReceiveCount": 5,
    }


@pytest.mark.parametrize("name", [*QUEUES, "PayloadBucket", "LogCopyBucket", "AlarmTopic", "TicketTopic"])
def test_nothing_travels_unencrypted(name: str) -> None:
    policies = of_type(TEMPLATE, "AWS::SQS::QueuePolicy", "AWS::S3::BucketPolicy", "AWS::SNS::TopicPolicy").values()
    of_this = [
        policy["Properties"]["PolicyDocument"]["Statement"]
        for policy in policies
        for keys in [policy["Properties"]]
        if {"Ref": name} in [*keys.get("Queues", []), *keys.get("Topics", []), keys.get("Bucket")]
    ]
    (statements,) = of_this
    denied = [s for s in statements if s["Effect"] == "Deny"]

    assert [s["Condition"] for s in denied] == [{"Bool": {"aws:SecureTransport": "false"}}]
    assert name in str(denied[0]["Resource"])
    assert all(s["Principal"].keys() == {"Service"} for s in statements if s["Effect"] == "Allow")


def test_the_copies_are_private_encrypted_locked_and_off_unless_asked_for() -> None:
    bucket = properties(TEMPLATE, "LogCopyBucket")

    assert TEMPLATE["Parameters"]["LogCopyDays"]["Default"] == "0"
    assert TEMPLATE["Conditions"]["LogIsCopied"] == {"Fn::Not": [{"Fn::Equals": [{"Ref": "LogCopyDays"}, "0"]}]}
    of_copies = {name for name, found in TEMPLATE["Resources"].items() if found.get("Condition") == "LogIsCopied"}
    assert of_copies == {
        *("LogCopyBucket", "LogCopyBucketPolicy", "LogCopyFunction", "LogCopySource"),
    }
    assert bucket["ObjectLockEnabled"] is True
    rule = bucket["ObjectLockConfiguration"]["Rule"]["DefaultRetention"]
    assert rule == {"Mode": "COMPLIANCE", "Days": {"Ref": "LogCopyDays"}}
    assert bucket["VersioningConfiguration"] == {"Status": "Enabled"}
    assert set(bucket["PublicAccessBlockConfiguration"].values()) == {True}
    assert bucket["BucketEncryption"]["ServerSideEncryptionConfiguration"]
