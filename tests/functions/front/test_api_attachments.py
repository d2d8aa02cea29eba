"""POST /runs with files: their content goes to the caller's own prefix of the bucket, and nowhere else."""

import base64
import hashlib
import json
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from ballast.contracts import RunRequest
from ballast.http.api import MAX_BODY_BYTES, MAX_LARGE_BODY_BYTES
from tests.functions.cloud import client
from tests.functions.front.test_api_start import BODY, executions, post
from tests.functions.http import ACME, GLOBEX, Reply, ask, event
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


# Links


def opened(stack: Stack, name: str, content: bytes, **sent: Any) -> str:
    """Post a run with a file and admit it, and return its id."""
    run_id = str(post(stack, with_files(file(content, name="Größe 1.exe")), name, **sent).body["run_id"])
    stack.invoke("admit", {"request": input_of(run_id)["request"]})
    return run_id


def link(stack: Stack, run_id: str, number: object = 1, **sent: Any) -> Reply:
    """Ask for the link of a file."""
    return ask(stack, "api", event("GET", f"/runs/{run_id}/attachments/{number}", **sent))


def test_a_link_loads_one_object_as_a_download_for_five_minutes(stack: Stack) -> None:
    run_id = opened(stack, "linked", png(8, 1))

    reply = link(stack, run_id)

    assert reply.status == 200
    assert reply.headers["cache-control"] == "no-store"
    shown = reply.body
    listed = ask(stack, "api", event("GET", f"/runs/{run_id}")).body["attachments"]
    assert listed == [{name: shown[name] for name in ("name", "format", "bytes")}]
    assert (shown["name"], shown["format"], shown["bytes"]) == ("Größe 1.exe", "png", len(png()))
    url = urlsplit(shown["url"])
    query = {name: values[0] for name, values in parse_qs(url.query).items()}
    assert (url.scheme, url.path.split("/", 2)[-1].endswith(shown["sha256"])) == ("https", True)
    assert f"attachments/default/{run_id}/" in url.path
    assert query["X-Amz-Algorithm"] == "AWS4-HMAC-SHA256"
    assert query["X-Amz-Expires"] == "300"
    assert query["response-content-type"] == "application/octet-stream"
    assert query["response-content-disposition"] == "attachment; filename*=UTF-8''Gr%C3%B6%C3%9Fe%201.exe.png"


def test_only_who_sees_the_run_gets_a_link(stack: Stack) -> None:
    run_id = opened(stack, "theirs", png(8, 2), who=ACME)

    assert link(stack, run_id, who=ACME).status == 200
    assert link(stack, run_id, who=GLOBEX).status == 404
    assert link(stack, run_id, who=None).status == 401


@pytest.mark.parametrize(("number", "status"), [(0, 422), (2, 404), (999, 404), ("1.5", 422), ("x", 422), (-1, 422)])
def test_there_is_no_link_to_what_is_not_there(stack: Stack, number: object, status: int) -> None:
    run_id = opened(stack, f"none-{number}", png(8, 3))

    assert link(stack, run_id, number).status == status


@pytest.mark.parametrize("changed", [{"tenant": "globex"}, {"run": "run-" + "b" * 24}, {"sha256": "0" * 64}])
def test_a_forged_entry_gets_no_link_to_another_runs_file(stack: Stack, changed: dict[str, str]) -> None:
    run_id = opened(stack, f"forged-{next(iter(changed))}", png(8, 4))
    body = stack.body(run_id, "0000.run.opened")
    kept_file = body["attachments"][0]
    tenant, run, sha = (
        changed.get(n) or usual
        for n, usual in (("tenant", "default"), ("run", run_id), ("sha256", kept_file["sha256"]))
    )
    forged = RunRequest(request_id=f"forger-{next(iter(changed))}", text="x").run_id
    where = forged if "run" not in changed else run
    stack.log.write(
        forged, "0000.run.opened", body | {"attachments": [kept_file | {"key": f"attachments/{tenant}/{where}/{sha}"}]}
    )

    assert link(stack, forged).status == 404
