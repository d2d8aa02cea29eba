"""POST /runs with files: their content goes to the caller's own prefix of the bucket, and nowhere else."""

import base64
import hashlib
import json
from typing import Any

import pytest

from ballast.contracts import RunRequest
from ballast.http.api import MAX_BODY_BYTES, MAX_LARGE_BODY_BYTES
from tests.functions.cloud import client
from tests.functions.front.test_api_start import BODY, executions, post
from tests.functions.http import ACME, ask, event
from tests.functions.stack import Stack, client_error, once
from tests.support.files import GOOD, png

pytestmark = pytest.mark.usefixtures("waiting_workflow")


def file(content: bytes, file_format: str = "png", name: str = "receipt.png") -> dict[str, Any]:
    """Return a file as a caller sends it."""
    return {"name": name, "format": file_format, "data": base64.b64encode(content).decode()}


def with_files(*files: dict[str, Any]) -> dict[str, Any]:
    """Return a request with these files."""
    return BODY | {"attachments": list(files)}


def kept() -> dict[str, bytes]:
    """Return the contents in the bucket, by key."""
    found = client("s3").list_objects_v2(Bucket="payloads", Prefix="attachments/").get("Contents", [])
    return {one["Key"]: client("s3").get_object(Bucket="payloads", Key=one["Key"])["Body"].read() for one in found}


def input_of(run_id: str) -> dict[str, Any]:
    """Return the input of the run's execution."""
    arn = f"arn:aws:states:eu-west-1:123456789012:execution:agent:{run_id}"
    return dict(json.loads(client("stepfunctions").describe_execution(executionArn=arn)["input"]))


def test_the_content_is_kept_by_tenant_run_and_hash_and_the_workflow_gets_the_hash(stack: Stack) -> None:
    picture = png(7, 1)
    sha = hashlib.sha256(picture).hexdigest()

    reply = post(stack, with_files(file(picture), file(GOOD["csv"], "csv", "Größe 1.csv")), "keeps", who=ACME)

    assert reply.status == 202
    run_id = reply.body["run_id"]
    assert kept()[f"attachments/acme/{run_id}/{sha}"] == picture
    sent = input_of(run_id)["request"]
    assert sent["attachments"][0] == {"name": "receipt.png", "format": "png", "bytes": len(picture), "sha256": sha}
    assert file(picture)["data"] not in json.dumps(input_of(run_id))


def test_the_same_again_is_one_run_and_other_content_a_conflict(stack: Stack) -> None:
    first, again = (post(stack, with_files(file(png(7, 2))), "twice") for _ in range(2))
    other = post(stack, with_files(file(png(7, 3))), "twice")

    assert (first.status, again.status, other.status) == (202, 202, 409)
    assert first.body["run_id"] == again.body["run_id"]


@pytest.mark.parametrize(
    ("wrong", "field", "says"),
    [
        (file(GOOD["html"], "pdf"), "attachments.0.data", "is no pdf file"),
        (file(png(9_000, 1)), "attachments.0.data", "8000"),
        (file(b"", "txt"), "attachments.0.data", ""),
        (file(png()) | {"data": "iVBORw0"}, "attachments.0.data", "is not base64"),
        (file(png()) | {"data": "iVBO Rw0="}, "attachments.0.data", "pattern"),
        (file(png()) | {"name": "../../other/run/x.png"}, "attachments.0.name", "pattern"),
        (file(png()) | {"name": "a\u202egnp.exe"}, "attachments.0.name", "pattern"),
        (file(png()) | {"format": "svg"}, "attachments.0.format", "'png'"),
        (file(png()) | {"key": "attachments/globex/x"}, "attachments.0.key", ""),
        (file(png()) | {"sha256": "0" * 64}, "attachments.0.sha256", ""),
    ],
)
def test_a_wrong_file_starts_nothing_and_is_not_kept(
    stack: Stack, wrong: dict[str, Any], field: str, says: str
) -> None:
    before = kept()

    reply = post(stack, with_files(wrong), f"wrong-{hashlib.sha256(repr(wrong).encode()).hexdigest()}")

    assert (reply.status, field in reply.wrong) == (422, True), reply.text
    assert says in reply.text
    assert kept() == before


def test_too_many_files_are_refused(stack: Stack) -> None:
    assert post(stack, with_files(*[file(png())] * 26)).wrong == {"attachments"}


def test_a_bucket_that_is_down_starts_nothing(stack: Stack) -> None:
    stack.alone("api")
    stack.on("api", "s3", "PutObject", once(client_error("SlowDown")))
    body = with_files(file(png(7, 4)))
    run_id = RunRequest(request_id="down", **BODY).run_id

    assert post(stack, body, "down").status == 503
    assert run_id not in executions()
    assert post(stack, body, "down").status == 202


def test_only_runs_may_be_started_with_large_bodies(stack: Stack) -> None:
    large = with_files(file(b"x" * MAX_BODY_BYTES, "txt"))

    assert post(stack, large).status == 202
    assert ask(stack, "api", event("POST", "/runs/run-x/cancel", body=large)).status == 413
    assert ask(stack, "api", event("POST", "/runs", body=" " * (MAX_LARGE_BODY_BYTES + 1))).status == 413
