"""Files of a request: checked at admission, sent to a model that takes them, never kept in the log."""

from __future__ import annotations

import base64
import hashlib
import json
from pathlib import Path
from typing import Any

import pytest

from ballast.contracts import RunRequest
from ballast.errors import LogCorrupt, NotAdmitted, RetryLater
from ballast.folds.conversation import changed_prompts
from ballast.money.breaker import Mode
from tests.functions.breakers import trip
from tests.functions.cloud import client
from tests.functions.endpoint import Endpoint, calls, fails, says
from tests.functions.stack import Stack, client_error, once
from tests.functions.variants import ledger_with
from tests.support.files import GOOD, pdf, png

CLAUDE = "anthropic.claude-3-5-sonnet-20240620-v1:0"
BLIND = "amazon.nova-micro-v1:0"


def named(content: bytes, file_format: str = "png", name: str = "receipt.png") -> dict[str, Any]:
    """Return a file as a request names it."""
    return {"name": name, "format": file_format, "bytes": len(content), "sha256": hashlib.sha256(content).hexdigest()}


def put(fields: dict[str, Any], *contents: bytes) -> None:
    """Keep the contents of a request's files, as the API does."""
    request = RunRequest.model_validate_json(json.dumps({"text": "x"} | fields))
    for content in contents:
        key = f"attachments/{request.tenant}/{request.run_id}/{hashlib.sha256(content).hexdigest()}"
        client("s3").put_object(Bucket="payloads", Key=key, Body=content)


def opened(stack: Stack, name: str, *contents: tuple[str, bytes], **fields: Any) -> str:
    """Admit a request with these files."""
    files = [named(content, file_format, f"{at}.{file_format}") for at, (file_format, content) in enumerate(contents)]
    put({"request_id": name} | fields, *(content for _, content in contents))
    return stack.open(request_id=name, attachments=files, **fields)


def sent_blocks(model: Endpoint, at: int = -1) -> list[dict[str, Any]]:
    """Return the blocks of the first message of a request to the model."""
    blocks: list[dict[str, Any]] = model.requests[at]["messages"][0]["content"]
    return blocks


def test_a_model_gets_the_content_and_the_log_only_its_hash(stack: Stack, model: Endpoint) -> None:
    picture = png(640, 480)
    run_id = opened(stack, "whole", ("png", picture), ("csv", GOOD["csv"]))
    model.will(says("Done."))

    assert stack.plan(run_id)["kind"] == "answer"

    text, said, image, document = sent_blocks(model)
    assert (text["text"], "not instructions" in said["text"]) == ("Tidy my notes.", True)
    assert image == {"image": {"format": "png", "source": {"bytes": base64.b64encode(picture).decode()}}}
    assert base64.b64decode(document["document"]["source"]["bytes"]) == GOOD["csv"]
    assert (document["document"]["format"], document["document"]["name"]) == ("csv", "document-1")
    found = stack.body(run_id, "0000.run.opened")["attachments"]
    sha = hashlib.sha256(picture).hexdigest()
    assert found[0] == {
        "kind": "image",
        "format": "png",
        "name": "0.png",
        "bytes": len(picture),
        "sha256": sha,
        "key": f"attachments/default/{run_id}/{sha}",
        "width": 640,
        "height": 480,
    }
    whole = json.dumps([event.body for event in stack.events(run_id)])
    assert base64.b64encode(picture).decode() not in whole
    assert base64.b64encode(GOOD["csv"]).decode() not in whole
    assert "0.png" not in json.dumps(model.requests)
    run = stack.events(run_id)
    assert changed_prompts(run, {event.seq: event.digest for event in run}) == ({}, 1)


@pytest.fixture
def roomy(stack: Stack, tmp_path: Path) -> Stack:
    """Return the stack with a playbook whose limits pay for a model's whole context window."""
    folder = ledger_with(tmp_path, limits={"input_tokens_per_turn": 200_000, "cost_microusd": 2_000_000})
    for environ in stack.environs.values():
        if "PLAYBOOK_DIR" in environ:
            environ["PLAYBOOK_DIR"] = folder
    return stack


@pytest.mark.sampled(5)
@pytest.mark.parametrize("file_format", GOOD)
def test_each_format_arrives(roomy: Stack, model: Endpoint, file_format: str) -> None:
    run_id = opened(roomy, f"arrives-{file_format}", (file_format, GOOD[file_format]))
    model.will(says("Done."))

    assert roomy.plan(run_id)["kind"] == "answer"
    assert base64.b64encode(GOOD[file_format]).decode() in json.dumps(sent_blocks(model))


@pytest.mark.parametrize("files", [("pdf",), ("pdf", "csv", "xlsx")])
def test_a_file_without_a_bound_is_reserved_as_a_full_window_until_the_model_has_counted_it(
    roomy: Stack, model: Endpoint, files: tuple[str, ...]
) -> None:
    run_id = opened(roomy, f"unbounded-{len(files)}", *((one, GOOD[one]) for one in files))
    counted = {"inputTokens": 4_000, "outputTokens": 20}
    model.will(calls({"name": "read_note", "input": {"note_id": "n"}}, usage=counted), says("Done."))

    roomy.plan(run_id)
    first = roomy.body(run_id, "0001.model.requested")
    roomy.plan(run_id, 2)

    assert first["input_tokens_bound"] == 200_000
    assert first["gen_ai.request.max_tokens"] == 500  # what could fill the window leaves the answer its room
    assert roomy.body(run_id, "0002.model.requested")["input_tokens_bound"] < 10_000


def test_usage_of_a_file_without_a_bound_is_charged_as_reported(roomy: Stack, model: Endpoint) -> None:
    run_id = opened(roomy, "long-pdf", ("pdf", GOOD["pdf"]))
    model.will(says("Done.", usage={"inputTokens": 180_000, "outputTokens": 5}))

    roomy.plan(run_id)

    said = roomy.body(run_id, "0001.model.responded")
    assert (said["cost_microusd"], said.get("usage_disbelieved")) == (180_000 * 3 + 5 * 15, None)


def test_the_reservation_counts_them_in_every_turn(stack: Stack, model: Endpoint) -> None:
    bare, with_picture = stack.open(), opened(stack, "reserves", ("png", png(640, 480)))
    for run_id in (bare, with_picture):
        # Usage that nobody can believe: the next bound counts the whole conversation anew.
        model.will(calls({"name": "read_note", "input": {"note_id": "n"}}, usage=False), says("Done."))
        stack.plan(run_id)
        stack.plan(run_id, 2)

    for seq in ("0001.model.requested", "0002.model.requested"):
        one, other = (stack.body(run_id, seq)["input_tokens_bound"] for run_id in (bare, with_picture))
        assert other - one >= 46 * 35  # a token for each patch of 14 x 14


def test_a_bound_of_the_card_is_the_most_of_a_picture(stack: Stack, model: Endpoint) -> None:
    model.will(says("Done."), says("Done."))
    bounds = []
    for side in (2_000, 8_000):
        run_id = opened(stack, f"large-{side}", ("png", png(side, side)))
        stack.plan(run_id)
        bounds.append(stack.body(run_id, "0001.model.requested")["input_tokens_bound"])

    assert abs(bounds[0] - bounds[1]) < 20


# Admission


def refusal(stack: Stack, *files: dict[str, Any], **fields: Any) -> str:
    """Return why a request with these files is refused; it is recorded, and no model is asked."""
    with pytest.raises(NotAdmitted) as refused:
        stack.open(attachments=list(files), **fields)
    return str(refused.value)


def test_another_tenants_content_is_not_there(stack: Stack) -> None:
    content = png(3, 3)
    put({"request_id": "theirs", "tenant": "acme"}, content)

    assert "attachments.0: is not there" in refusal(stack, named(content), request_id="theirs", tenant="globex")


def test_another_runs_content_is_not_there(stack: Stack) -> None:
    content = png(3, 4)
    put({"request_id": "first-run"}, content)

    assert "attachments.0: is not there" in refusal(stack, named(content), request_id="other-run")


def test_content_that_was_changed_is_not_there(stack: Stack) -> None:
    content, changed = png(3, 5), png(3, 6)
    put({"request_id": "changed"}, content)
    key = f"attachments/default/{RunRequest(request_id='changed', text='x').run_id}/{named(content)['sha256']}"
    client("s3").put_object(Bucket="payloads", Key=key, Body=changed)

    assert "is not there" in refusal(stack, named(content), request_id="changed")


@pytest.mark.parametrize(
    ("file_format", "content"), [("pdf", GOOD["html"]), ("png", GOOD["jpeg"]), ("docx", GOOD["xlsx"]), ("txt", pdf())]
)
def test_content_of_another_format_is_refused(stack: Stack, file_format: str, content: bytes) -> None:
    name = f"named-{file_format}"
    put({"request_id": name}, content)

    assert f"attachments.0: is no {file_format} file" in refusal(stack, named(content, file_format), request_id=name)


def test_a_wrong_size_is_refused(stack: Stack) -> None:
    content = png(3, 7)
    put({"request_id": "size"}, content)

    assert "is not there" in refusal(stack, named(content) | {"bytes": len(content) + 1}, request_id="size")


def test_more_files_or_bytes_than_the_limits_are_refused_and_a_request_only_tightens_them(stack: Stack) -> None:
    content = png(3, 8)
    put({"request_id": "many"}, content)
    one = named(content)

    assert "limits.attachments is 5" in refusal(stack, *[one] * 6)
    assert "limits.attachments is 0" in refusal(stack, one, limits={"attachments": 0})
    assert "limits.attachment_bytes is 66" in refusal(stack, one, limits={"attachment_bytes": 66})
    assert "above the ceiling" in refusal(stack, one, limits={"attachments": 6})


def test_a_model_that_takes_none_refuses_them_by_name(stack: Stack, tmp_path: Path) -> None:
    stack.environs["admit"]["PLAYBOOK_DIR"] = ledger_with(tmp_path, model=BLIND, cheaper_model=None)
    content = png(3, 9)
    put({"request_id": "blind"}, content)

    said = refusal(stack, named(content), request_id="blind")

    assert said.startswith(f"attachments: the model {BLIND} takes no images")
    assert "agent.yaml" in said
    run_id = RunRequest(request_id="blind", text="x").run_id
    assert "takes no images" in stack.body(run_id, "0000.run.refused")["message"]


def test_files_that_no_attempt_can_hold_are_refused_with_the_limit(stack: Stack) -> None:
    content = b"x" * 360_000  # a token for three bytes; the playbook's prompts have 100,000
    put({"request_id": "no-room"}, content)

    said = refusal(stack, named(content, "txt"), request_id="no-room")

    assert said.startswith("attachments: they may be 120064 tokens")
    assert "may take 12" in said
    assert "of limits.input_tokens_per_turn, which is 100000" in said
    assert "Send fewer or smaller files" in said


@pytest.mark.parametrize("intent", ["tidy", "no_script"])
def test_files_that_the_agent_could_not_see_are_refused_where_a_script_would_go_on_too(
    stack: Stack, intent: str
) -> None:
    put({"request_id": f"unseen-{intent}"}, GOOD["pdf"])

    said = refusal(stack, named(GOOD["pdf"], "pdf"), request_id=f"unseen-{intent}", intent=intent)

    assert "nothing in a file of pdf bounds its text" in said
    assert "limits.input_tokens_per_turn" in said


def test_a_refused_file_without_a_bound_names_each_limit_and_what_can_be_sent_instead(stack: Stack) -> None:
    put({"request_id": "no-bound"}, GOOD["pdf"])

    said = refusal(stack, named(GOOD["pdf"], "pdf"), request_id="no-bound")

    assert said.startswith("attachments: nothing in a file of pdf bounds its text")
    assert "200000 of limits.input_tokens_per_turn, which is 100000 and 1200960 of limits.cost_microusd" in said
    assert "Send its text as txt, md or csv, or its pages as images" in said


@pytest.mark.parametrize("code", ["SlowDown", "InternalError", "ServiceUnavailable"])
def test_a_bucket_that_is_down_is_asked_again(stack: Stack, code: str) -> None:
    content = png(4, len(code))
    stack.alone("admit")
    stack.on("admit", "s3", "GetObject", once(client_error(code)))
    put({"request_id": f"down-{code}"}, content)

    with pytest.raises(RetryLater):
        stack.open(request_id=f"down-{code}", attachments=[named(content)])

    stack.open(request_id=f"down-{code}", attachments=[named(content)])


# The agent


def test_content_that_is_gone_costs_nothing(stack: Stack, model: Endpoint) -> None:
    run_id = opened(stack, "gone", ("png", png(5, 5)))
    client("s3").delete_object(Bucket="payloads", Key=stack.body(run_id, "0000.run.opened")["attachments"][0]["key"])

    with pytest.raises(LogCorrupt, match="gone"):
        stack.plan(run_id)

    assert stack.seqs(run_id) == ["0000.run.opened"]
    assert model.requests == []


def test_content_that_was_changed_after_admission_is_never_sent(stack: Stack, model: Endpoint) -> None:
    run_id = opened(stack, "swapped", ("png", png(5, 6)))
    key = stack.body(run_id, "0000.run.opened")["attachments"][0]["key"]
    client("s3").put_object(Bucket="payloads", Key=key, Body=png(6, 5))

    with pytest.raises(LogCorrupt):
        stack.plan(run_id)

    assert model.requests == []


def test_a_warm_agent_reads_a_file_once_a_run(stack: Stack, model: Endpoint) -> None:
    first, second = opened(stack, "warm", ("png", png(5, 15))), opened(stack, "warm-too", ("png", png(5, 15)))
    model.will(calls({"name": "read_note", "input": {"note_id": "n"}}), says("Done."))
    stack.plan(first)
    for run_id in (first, second):
        [kept] = stack.body(run_id, "0000.run.opened")["attachments"]
        client("s3").delete_object(Bucket="payloads", Key=kept["key"])

    stack.plan(first, 2)

    assert sent_blocks(model)[2]["image"]["source"] == {"bytes": base64.b64encode(png(5, 15)).decode()}
    with pytest.raises(LogCorrupt, match="gone"):
        stack.plan(second)


def test_a_second_model_that_takes_none_is_passed_over(stack: Stack, model: Endpoint, tmp_path: Path) -> None:
    for function in ("planner", "admit"):
        stack.environs[function]["PLAYBOOK_DIR"] = ledger_with(tmp_path / function, second_model=BLIND)
    run_id = opened(stack, "passed-over", ("png", png(5, 7)))
    model.will(*[fails(429, "ThrottlingException")] * 2, says("Done."))
    for _ in range(2):
        with pytest.raises(RetryLater):
            stack.plan(run_id)

    assert stack.plan(run_id)["kind"] == "answer"

    assert all(CLAUDE in request["path"].replace("%3A", ":") for request in model.requests)
    assert "takes no images" in stack.body(run_id, "0001.model.3.requested")["passed_over"][BLIND]


def test_a_cheaper_model_that_takes_none_is_passed_over(stack: Stack, model: Endpoint) -> None:
    trip(stack, Mode.CHEAPER)
    picture, bare = opened(stack, "cheaper", ("png", png(5, 8))), stack.open()
    model.will(says("Done."), says("Done."))

    for run_id in (picture, bare):
        stack.plan(run_id)

    asked = [stack.body(run_id, "0001.model.requested")["gen_ai.request.model"] for run_id in (picture, bare)]
    assert asked == [CLAUDE, BLIND]


def test_where_no_model_takes_them_the_agent_gives_up_and_says_why(
    stack: Stack, model: Endpoint, tmp_path: Path
) -> None:
    run_id = opened(stack, "none-left", ("png", png(5, 9)))
    stack.environs["planner"]["PLAYBOOK_DIR"] = ledger_with(tmp_path, model=BLIND, cheaper_model=None)

    assert stack.plan(run_id)["reason"] == "model_refused"

    assert "takes no images" in stack.body(run_id, "0001.plan.decided")["note"]
    assert model.requests == []


# Files of results

PHOTO = '''
from pydantic import BaseModel, ConfigDict

from ballast.playbook import Read, ToolContext, Write, tool
from tests.support.files import GOOD, png


class Photo(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    of: str
    many: int = 1


def _attach(args: Photo, ctx: ToolContext) -> str:
    for at in range(args.many):
        if args.of == "lie":
            ctx.attach("x.pdf", "pdf", GOOD["html"])
        elif args.of == "unknown":
            ctx.attach("x.exe", "exe", b"MZ")
        else:
            ctx.attach("../" + args.of, args.of if args.of in GOOD else "png", GOOD.get(args.of) or png(9, 9 + at))
    return f"Taken of {args.of}."


@tool(effect=Read())
def photograph(args: Photo, ctx: ToolContext) -> str:
    """Take a picture."""
    return _attach(args, ctx)


@tool(effect=Write(undo=None, honours_key=True, on_rollback="keep"))
def develop(args: Photo, ctx: ToolContext) -> str:
    """Take a picture, once."""
    return _attach(args, ctx)
'''


@pytest.fixture
def photos(stack: Stack, tmp_path: Path) -> Stack:
    """Return the stack with a playbook whose tools give files."""
    folder = ledger_with(tmp_path)
    (Path(folder) / "tools" / "photo.py").write_text(PHOTO, encoding="utf-8")
    for environ in stack.environs.values():
        if "PLAYBOOK_DIR" in environ:
            environ["PLAYBOOK_DIR"] = folder
    return stack


def taken(stack: Stack, model: Endpoint, tool: str = "photograph", **arguments: Any) -> str:
    """Let the agent call the tool and see its result, and return the run's id."""
    run_id = stack.open()
    model.will(calls({"name": tool, "input": {"of": "me"} | arguments}), says("I see."))
    stack.plan(run_id)
    assert stack.execute(run_id) == "ok"
    stack.plan(run_id, 2)
    return run_id


@pytest.mark.parametrize("tool", ["photograph", "develop"])
def test_a_result_brings_its_file_to_the_model_and_only_its_hash_to_the_log(
    photos: Stack, model: Endpoint, tool: str
) -> None:
    run_id = taken(photos, model, tool)

    picture = png(9, 9)
    result, said, image = model.requests[-1]["messages"][-1]["content"]
    assert "Taken of me." in json.dumps(result)
    assert "the result of call t0001c1, in order: image 1 (png)" in said["text"]
    assert image["image"]["source"] == {"bytes": base64.b64encode(picture).decode()}
    sha = hashlib.sha256(picture).hexdigest()
    [found] = photos.body(run_id, "0001.call.1.settled")["attachments"]
    assert (found["key"], found["name"]) == (f"attachments/default/{run_id}/{sha}", "file.png")
    events = photos.events(run_id)
    assert base64.b64encode(picture).decode() not in json.dumps([event.body for event in events])
    assert changed_prompts(events, {event.seq: event.digest for event in events}) == ({}, 2)


@pytest.mark.sampled
@pytest.mark.parametrize(
    ("arguments", "notice"),
    [
        ({"of": "lie"}, "File 1 of the result is left out: is no pdf file"),
        ({"of": "unknown"}, "has no format that a model takes"),
        ({"many": 6}, "File 6 of the result is left out: the run has 5 files"),
    ],
)
@pytest.mark.parametrize("tool", ["photograph", "develop"])
def test_what_is_no_file_or_too_much_is_left_out_and_said(
    photos: Stack, model: Endpoint, arguments: dict[str, Any], notice: str, tool: str
) -> None:
    run_id = taken(photos, model, tool, **arguments)

    settled = photos.body(run_id, "0001.call.1.settled")
    assert settled["status"] == "ok"
    assert notice in settled["notice"]
    assert len(settled.get("attachments", ())) == (5 if "many" in arguments else 0)
    assert notice in json.dumps(model.requests[-1])


def test_a_bucket_that_is_down_changes_no_write_and_lets_a_read_be_tried_again(photos: Stack, model: Endpoint) -> None:
    for tool in ("develop", "photograph"):
        run_id = photos.open()
        model.will(calls({"name": tool, "input": {"of": "me"}}))
        photos.plan(run_id)
        photos.alone("executor")
        photos.on("executor", "s3", "PutObject", once(client_error("SlowDown")))
        if tool == "develop":
            assert photos.execute(run_id) == "ok"
            settled = photos.body(run_id, "0001.call.1.settled")
            assert ("attachments" in settled, "could not be kept" in settled["notice"]) == (False, True)
        else:
            with pytest.raises(RetryLater):
                photos.execute(run_id)
            assert photos.execute(run_id) == "ok"
            assert len(photos.body(run_id, "0001.call.1.settled")["attachments"]) == 1


def test_a_model_that_takes_no_such_file_is_told(photos: Stack, model: Endpoint) -> None:
    trip(photos, Mode.CHEAPER)

    run_id = taken(photos, model)

    assert photos.body(run_id, "0002.model.requested")["gen_ai.request.model"] == BLIND
    assert "1 files came with the result of call t0001c1, and you cannot see them" in json.dumps(model.requests[-1])


def test_a_results_file_that_may_not_fit_is_left_out_and_the_run_goes_on(photos: Stack, model: Endpoint) -> None:
    run_id = photos.open()
    model.will(calls({"name": "photograph", "input": {"of": "pdf"}}), says("Done."))
    photos.plan(run_id)
    photos.execute(run_id)

    assert photos.plan(run_id, 2)["kind"] == "answer"

    said = json.dumps(model.requests[-1]["messages"][-1])
    assert "gets no pdf, whose text might not fit into the 100000 tokens of a prompt in this run" in said
    assert "document" not in [name for block in model.requests[-1]["messages"][-1]["content"] for name in block]


def test_the_reservation_counts_the_files_of_results(photos: Stack, model: Endpoint) -> None:
    one, none = taken(photos, model, of="jpeg"), taken(photos, model, of="lie")

    bounds = [photos.body(run_id, "0002.model.requested")["input_tokens_bound"] for run_id in (one, none)]
    assert bounds[0] - bounds[1] >= 64


def test_what_only_a_file_says_vouches_for_nothing(stack: Stack, model: Endpoint) -> None:
    from ballast.validation import opening_sources

    run_id = opened(stack, "vouches", ("csv", b"note,n-77\n"))
    request = stack.events(run_id).opening.request

    assert request.attachments[0].name == "0.csv"
    told = json.dumps([str(source) for source in opening_sources(request)])
    assert "n-77" not in told
    assert "0.csv" not in told


def test_a_forged_opening_sends_no_other_runs_file(stack: Stack, model: Endpoint) -> None:
    theirs = opened(stack, "secret", ("png", png(6, 6)), tenant="acme")
    body = stack.body(theirs, "0000.run.opened")
    forged = RunRequest(request_id="forger", text="x").run_id
    stack.log.write(forged, "0000.run.opened", body | {"request": body["request"] | {"tenant": "globex"}})

    with pytest.raises(LogCorrupt, match="is no file of"):
        stack.plan(forged)

    assert model.requests == []
