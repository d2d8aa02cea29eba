"""Opening and closing a local cloud: nothing stays half open or running, and nothing reaches AWS."""

import sys
import threading
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from botocore.config import Config
from moto.core.models import botocore_stubber

from ballast.errors import InvalidInput
from cli.local_stack import local_stack
from localcloud.clock import VirtualClock
from localcloud.cloud import FunctionError, LocalCloud
from localcloud.converse import Bedrock, ConverseServer, ScriptModel
from localcloud.sandbox import SandboxEnded
from localcloud.sessions import NotLocal
from localcloud.template import TemplateInvalid
from tests.workflow.local_cloud.conftest import TEMPLATE, begin, eventually

NOON = datetime(2031, 5, 6, 12, tzinfo=UTC)


def edited(tmp_path: Path, *changes: tuple[str, str]) -> Path:
    text = TEMPLATE.read_text(encoding="utf-8")
    for before, after in changes:
        assert before in text
        text = text.replace(before, after)
    (tmp_path / "machine.asl.yaml").write_text((TEMPLATE.parent / "machine.asl.yaml").read_text(encoding="utf-8"))
    made = tmp_path / "template.yaml"
    made.write_text(text, encoding="utf-8")
    return made


def test_one_clock_and_one_set_of_parameters_hold_for_the_whole_cloud() -> None:
    with LocalCloud(
        template=TEMPLATE, clock=lambda: NOON, parameters={"Greeting": "moin"}, model_endpoint_url="http://127.0.0.1:9"
    ) as cloud:
        begin(cloud, "run-noon", {"describe": True})
        ended = cloud.wait("run-noon", 600)
        environ = cloud.environ("WorkFunction")

    assert ended.output["started_ms"] == int(NOON.timestamp() * 1000)
    assert ended.output["result"]["now"] == NOON.isoformat()
    assert environ["GREETING"] == "moin"
    assert environ["MODEL_ENDPOINT_URL"] == "http://127.0.0.1:9"


def test_there_is_one_local_cloud_at_a_time_and_the_next_is_empty_and_named_alike() -> None:
    with (
        LocalCloud(template=TEMPLATE),
        pytest.raises(RuntimeError, match="open already"),
        LocalCloud(template=TEMPLATE),
    ):
        pass

    names = []
    for _ in range(2):
        with LocalCloud(template=TEMPLATE) as cloud:
            names.append(cloud.physical_id("RunLogTable"))
            dynamodb = cloud.session.client("dynamodb")
            assert dynamodb.scan(TableName=names[-1])["Count"] == 0
            dynamodb.put_item(TableName=names[-1], Item={"run_id": {"S": "a"}, "seq": {"S": "b"}})

    assert names[0] == names[1]


def test_closing_ends_what_still_runs_even_after_ctrl_c(bench: Any) -> None:
    from moto.stepfunctions.parser.backend.execution import Execution

    seam, stdout, clock = Execution.start, sys.stdout, VirtualClock()
    threads = set(threading.enumerate())
    clients: list[Any] = []

    def interrupted() -> None:
        with LocalCloud(template=TEMPLATE, clock=clock) as cloud:
            clients.append(cloud.session.client("dynamodb"))
            for n in range(3):
                begin(cloud, f"run-{n}", {"go": "ask"})
            begin(cloud, "run-retry", {"fail_times": 99, "key": "ctrl-c"})  # waits 3 s before its retry
            eventually(lambda: len(bench.tokens) == 3 and bench.attempts)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()

    eventually(lambda: not set(threading.enumerate()) - threads)
    assert clock.monotonic() == 0
    assert not botocore_stubber.enabled
    assert Execution.start is seam
    assert sys.stdout is stdout
    with pytest.raises(SandboxEnded, match="closed"):
        clients[0].list_tables()


def test_a_handler_left_behind_reaches_nothing_after_the_end(bench: Any) -> None:
    clock = VirtualClock()
    bench.pause = clock.pause
    with LocalCloud(template=TEMPLATE, clock=clock) as cloud:
        called: list[str] = []
        cloud.before_invoke.append(lambda function, _: called.append(function))
        begin(cloud, "run-hung", {"hang_s": 0.3})
        eventually(lambda: called)

    clock.pause(1)
    clock.pause(1)
    assert bench.after_the_hang == ["before"]


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        (
            [("RUN_LOG_TABLE: !Ref RunLogTable", "RUN_LOG_TABLE: nobody-made-me")],
            "RUN_LOG_TABLE names the table nobody-made-me",
        ),
        ([("CodeUri: ./", "CodeUri: nowhere/")], "CodeUri names nowhere/, but there is no such folder"),
        ([("DefinitionUri: machine.asl.yaml", "DefinitionUri: gone.yaml")], "gone.yaml: cannot be read"),
        (
            [("        ShortFunctionArn: !GetAtt ShortFunction.Arn\n", "")],
            "ShortFunctionArn}, which DefinitionSubstitutions lacks",
        ),
        ([("Resources:", "Resources: [")], "is not YAML"),
        ([("Type: AWS::Serverless::Function", "Type: AWS::Serverless::Funktion")], "references undefined resource"),
        ([("DefinitionUri: machine.asl.yaml", "Name: x")], "'Definition' or 'DefinitionUri'"),
    ],
)
def test_a_template_that_cannot_be_deployed_is_refused_with_the_reason(
    tmp_path: Path, changes: list[tuple[str, str]], words: str
) -> None:
    with pytest.raises(TemplateInvalid) as caught, LocalCloud(template=edited(tmp_path, *changes)):
        pass

    assert words in str(caught.value)
    assert not botocore_stubber.enabled  # nothing was left half open


def test_an_unknown_parameter_is_refused() -> None:
    with pytest.raises(TemplateInvalid, match="has no parameter Greetings"):
        LocalCloud(template=TEMPLATE, parameters={"Greetings": "x"}).__enter__()


def test_nothing_is_sent_to_bedrock_or_to_anybody_else() -> None:
    config = Config(retries={"total_max_attempts": 1})
    with LocalCloud(template=TEMPLATE) as cloud:
        session = cloud.runtime("WorkFunction")
        with pytest.raises(NotLocal, match="no model here"):
            session.client("bedrock-runtime", config=config).converse(
                modelId="m", messages=[{"role": "user", "content": [{"text": "x"}]}]
            )
        with pytest.raises(NotLocal, match=r"nothing to example\.com"):
            cloud.session.client("sqs", endpoint_url="https://example.com", config=config).list_queues()


def test_a_model_in_this_process_is_as_strict_as_bedrock() -> None:
    message = {"role": "user", "content": [{"text": " "}]}
    ask: Any = {"modelId": "anthropic.claude-3-5-sonnet-20240620-v1:0", "messages": [message]}

    with LocalCloud(template=TEMPLATE, model=ScriptModel.of([{"say": "hello"}])) as cloud:
        client = cloud.runtime("WorkFunction").client("bedrock-runtime")
        with pytest.raises(client.exceptions.ValidationException, match=r"messages\.0\.content\.0 is blank"):
            client.converse(**ask)


def test_where_the_user_sends_requests_plays_no_part(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "config").write_text("[default]\nregion = us-east-1\nendpoint_url = http://127.0.0.1:9\n")
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    monkeypatch.setenv("AWS_REGION", "us-east-1")
    monkeypatch.setenv("HTTPS_PROXY", "http://127.0.0.1:9")
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    model_id = "anthropic.claude-3-5-sonnet-20240620-v1:0"
    ask: Any = {"modelId": model_id, "messages": [{"role": "user", "content": [{"text": "x"}]}]}

    with ConverseServer(ScriptModel.of([{"say": "hello"}])) as server, LocalCloud(template=TEMPLATE) as cloud:
        model = cloud.runtime("WorkFunction").client("bedrock-runtime", endpoint_url=server.url)
        assert model.converse(**ask)["stopReason"] == "end_turn"
        begin(cloud, "run-x", {})

        assert cloud.wait("run-x", 600).status == "SUCCEEDED"
        assert ":eu-west-1:" in cloud.physical_id("AgentStateMachine")


def test_real_bedrock_needs_the_users_own_credentials(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")

    with pytest.raises(NotLocal, match="No AWS credentials for Bedrock"):
        LocalCloud(template=TEMPLATE, allow_bedrock=True).__enter__()

    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIAUSERSOWN")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "theirs")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-west-2")
    with LocalCloud(template=TEMPLATE, allow_bedrock=True, enforce_iam=False) as cloud:
        bedrock = cloud.runtime("WorkFunction").client("bedrock-runtime")
        assert bedrock.meta.region_name == "us-west-2"
        assert bedrock._request_signer._credentials.access_key == "AKIAUSERSOWN"
        assert cloud.runtime("WorkFunction").client("sqs")._request_signer._credentials.access_key == "LOCALADMIN"


def test_a_handlers_own_failure_in_the_front_door_is_told(tmp_path: Path) -> None:
    with LocalCloud(template=TEMPLATE) as cloud, pytest.raises(FunctionError) as caught:
        cloud.invoke("StartFunction", {})

    assert caught.value.name == "KeyError"


def test_a_queue_whose_mapping_the_template_disables_feeds_no_function(tmp_path: Path) -> None:
    template = edited(tmp_path, ("      BatchSize: 3\n", "      BatchSize: 3\n      Enabled: false\n"))
    with LocalCloud(template=template) as cloud:
        cloud.session.client("sqs").send_message(QueueUrl=cloud.physical_id("Requests"), MessageBody="waits")

        assert cloud.pump() == 0


def test_bedrock_without_credentials_is_refused_with_what_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_PROFILE", "AWS_WEB_IDENTITY_TOKEN_FILE"):
        monkeypatch.delenv(name, raising=False)
    for name in ("AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE"):
        monkeypatch.setenv(name, str(tmp_path / "none"))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")

    with (
        pytest.raises(InvalidInput, match=r"--model: .*[Cc]redentials"),
        local_stack(Bedrock("eu.amazon.nova-lite-v1:0")),
    ):
        pass
