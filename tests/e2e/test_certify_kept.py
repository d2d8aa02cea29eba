"""``ballast certify`` and what buckets and queues keep: it is put back as tables are, and objects are compared."""

import io
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from botocore.config import Config

from ballast.playbook import load_playbook
from ballast.playbook.context import tools_environ
from cli.certify.report import summed_up
from cli.certify.rig import _comparable, rig_for
from cli.certify.run import _with_each_template, certify
from cli.commands.new import write
from cli.scenario_runs import source_of, stack_of
from localcloud.scenarios import Scenario, find
from localcloud.template import load_template

RESOURCES = """
  Files: {Type: AWS::S3::Bucket}
  Notes: {Type: AWS::SQS::Queue}

  # What the tools need"""
STATEMENTS = """
          - {Effect: Allow, Action: [s3:GetObject, s3:PutObject, s3:DeleteObject], Resource: !Sub "${Files.Arn}/*"}
          - {Effect: Allow, Action: s3:ListBucket, Resource: !GetAtt Files.Arn}
          - {Effect: Allow, Action: [sqs:SendMessage, sqs:ReceiveMessage], Resource: !GetAtt Notes.Arn}

Outputs:"""
TOOLS = """
from ballast.playbook import ToolContext, Write, tool
from botocore.exceptions import ClientError

from ..accounts import AccountId, Closed


class Note(Closed):
    account_id: AccountId


class Kept(Closed):
    name: str


def put(ctx: ToolContext, text: str) -> Kept:
    name = f"notes/{ctx.idempotency_key}"
    try:
        ctx.client("s3").put_object(Bucket=ctx.environ["FILES"], Key=name, Body=text.encode(), IfNoneMatch="*")
    except ClientError as problem:
        if problem.response["Error"]["Code"] != "PreconditionFailed":
            raise
    return Kept(name=name)


@tool(effect=Write(honours_key=True, undo="drop_note", undo_arguments=lambda args, result: {"name": result["name"]}))
def keep_note(args: Note, ctx: ToolContext) -> Kept:
    \"\"\"Keep a note.\"\"\"
    return put(ctx, args.account_id)


@tool(effect=Write(honours_key=True), offered=False)
def drop_note(args: Kept, ctx: ToolContext) -> Kept:
    \"\"\"Drop a note.\"\"\"
    ctx.client("s3").delete_object(Bucket=ctx.environ["FILES"], Key=args.name)
    return args


@tool(effect=Write(honours_key=True, undo="drop_nothing", undo_arguments=lambda args, result: {"name": result["name"]}))
def lose_note(args: Note, ctx: ToolContext) -> Kept:
    \"\"\"Keep a note that stays.\"\"\"
    return put(ctx, args.account_id)


@tool(effect=Write(honours_key=True), offered=False)
def drop_nothing(args: Kept, ctx: ToolContext) -> Kept:
    \"\"\"Look whether the note is there.\"\"\"
    ctx.client("s3").head_object(Bucket=ctx.environ["FILES"], Key=args.name)
    return args
"""


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Make a project with a bucket and a queue, which deploys another template than business.yaml."""
    monkeypatch.setenv("BALLAST_HOME", str(tmp_path / "home"))
    made = tmp_path / "keptdesk"
    write("keptdesk", made)
    text = (made / "business.yaml").read_text().replace("\n  # What the tools need", RESOURCES)
    text = text.replace("\nOutputs:", STATEMENTS).replace(
        '"${AccountsTable}"}', '"${AccountsTable}", "FILES": "${Files}", "NOTES": "${Notes}"}'
    )
    (made / "stage.yaml").write_text(text)
    settings = made / "samconfig.toml"
    settings.write_text(settings.read_text().replace("business.yaml", "stage.yaml"))
    (made / "keptdesk" / "tools" / "notes.py").write_text(TOOLS)
    return made


def scenario_of(project: Path) -> Scenario:
    [made] = _with_each_template([find("suspended", project / "scenarios")], project)
    return made


def test_what_a_bucket_and_a_queue_keep_is_put_back_and_objects_are_compared(project: Path) -> None:
    playbook = load_playbook(project)
    scenario = scenario_of(project)
    assert scenario.parameters["BusinessTemplate"] == str(project / "stage.yaml")  # that is deployed, and tried

    with stack_of(scenario, source_of(scenario), playbook=project) as cloud, rig_for(cloud, playbook, 1) as rig:
        watched: list[Any] = []
        before, rig._watch = rig._watch, lambda client: (watched.append(client), before(client))  # type: ignore[method-assign,assign,func-returns-value]
        with ThreadPoolExecutor(8) as pool:
            clients = set(map(id, pool.map(lambda _: rig._client("s3"), range(32))))
        assert (len(clients), len(watched)) == (1, 1)
        once = rig._client("s3", Config(retries={"total_max_attempts": 1}), variant="once")
        assert once.meta.config.retries["total_max_attempts"] == 1
        environ = tools_environ(cloud.environ("ExecutorFunction"))
        files, notes, s3, sqs = environ["FILES"], environ["NOTES"], rig._client("s3"), rig._client("sqs")
        empty = rig.seen()

        s3.put_object(Bucket=files, Key="a", Body=b"one")
        sqs.send_message(QueueUrl=notes, MessageBody="hello")
        one = rig.seen()
        rig.fresh()

        assert one[f"bucket {files}"]["a"]["content"].startswith("sha256:")
        assert rig.seen() == empty
        assert s3.list_objects_v2(Bucket=files)["KeyCount"] == 0
        assert "Messages" not in sqs.receive_message(QueueUrl=notes)
        s3.put_object(Bucket=files, Key="a", Body=io.BytesIO(b"one"))
        assert rig.seen() == one
        s3.delete_object(Bucket=files, Key="a")
        s3.delete_object(Bucket=files, Key="a")
        assert rig.seen() == empty
        assert set(load_template(project / "business.yaml")["Resources"]) == {"AccountsTable", "ToolsPolicy"}


def test_a_project_without_a_template_of_its_own_is_tried_with_that_of_the_platform(project: Path) -> None:
    for name in ("samconfig.toml", "business.yaml"):
        (project / name).unlink()
    scenarios = [find("suspended", project / "scenarios")]

    assert [*_with_each_template(scenarios, project)] == scenarios
    assert [*_with_each_template(scenarios, None)] == scenarios


class _Once(io.RawIOBase):
    """A stream that cannot go back."""

    def __init__(self, content: bytes) -> None:
        self._content = content

    def read(self, size: int = -1) -> bytes:
        content, self._content = self._content, b""
        return content


def test_a_body_is_compared_by_its_content_and_sent_whole() -> None:
    forward = io.BytesIO(b"xxone")
    forward.seek(2)
    bodies = [b"one", bytearray(b"one"), io.BytesIO(b"one"), io.StringIO("one"), _Once(b"one"), forward]
    given = [{"Body": body} for body in bodies]

    said = {_comparable(params, "Body") for params in given}

    assert len(said) == 1
    left = [one["Body"].read() for one in given if hasattr(one["Body"], "read")]
    assert left == [b"one", "one", b"one", b"one"]
    assert _comparable({"Body": io.BytesIO(b"two")}, "Body") not in said


@pytest.mark.deep
def test_an_honest_tool_of_objects_is_certified_and_an_undo_that_leaves_them_is_found(project: Path) -> None:
    calls = [{"tool": name, "arguments": {"account_id": "A-1001"}} for name in ("keep_note", "lose_note")]
    made = project / "scenarios" / "suspended"
    (made / "script.yaml").write_text(f"turns: [{{call: {calls}}}, {{say: Done.}}]")
    request = "{text: Keep a note of A-1001., context: {account_id: A-1001}}"
    (made / "scenario.yaml").write_text(f"description: x\nrequest: {request}\nexpect: {{status: answered}}\n")

    found = certify(load_playbook(project), [find("suspended", project / "scenarios")], folder=project, say=print)

    states = {(one.of, one.rule): one for one in summed_up(found.findings)}
    mine = ("keep_note", "drop_note")
    assert [one for (of, _), one in states.items() if of in mine and (one.state == "broken" or one.needed)] == []
    assert states["keep_note", "undo"].state == "held"
    assert states["lose_note", "undo"].state == "broken"
    assert "is not as before: bucket" in states["lose_note", "undo"].seen
