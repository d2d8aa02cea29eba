"""The request of ``ballast run``: from a file, standard input or options; errors name what to correct."""

import hashlib
import io
import json
from pathlib import Path

import pytest

from ballast.contracts import RunRequest
from ballast.errors import InvalidInput
from cli.commands.run import on_behalf_header, request_of
from cli.parser import parser
from tests.support.files import jpeg


def requested(*words: str) -> RunRequest:
    return request_of(parser().parse_args(["run", *words]), agent="support")


def test_options_become_a_request_with_an_id_of_its_own() -> None:
    request = requested("--text", "Hi", "--intent", "refund", "--tenant", "acme", "--context", "order_id=O-1=2")

    assert (request.text, request.intent, request.tenant) == ("Hi", "refund", "acme")
    assert request.context == {"order_id": "O-1=2"}
    assert request.agent == "support"
    assert requested("--text", "Hi", "--agent", "billing").agent == "billing"
    assert request.request_id != requested("--text", "Hi").request_id


def test_a_fact_is_text_unless_it_is_marked_as_json() -> None:
    assert requested("--text", "Hi", "--context", "a=5", "--context", "b:=5").context == {"a": "5", "b": 5}


def test_a_file_is_taken_as_it_is_and_its_id_can_be_replaced(tmp_path: Path) -> None:
    file = tmp_path / "request.json"
    file.write_text(json.dumps({"request_id": "r-1", "agent": "other", "text": "Zoë", "limits": {"turns": 3}}))

    assert requested(str(file)).request_id == "r-1"
    assert requested(str(file), "--request-id", "r-2").request_id == "r-2"
    assert requested(str(file)).agent == "other"


def test_standard_input_is_a_file_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO('{"request_id": "r-1", "text": "Hi"}'))

    assert requested("-").request_id == "r-1"


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        (b"{", "is not JSON"),
        (b"[]", "must be a JSON object"),
        (b"\xff", "is not UTF-8"),
        (b'{"request_id": "r-1"}', "text: Field required"),
        (b'{"text": 5}', "text: Input should be a valid string"),
        (b'{"text": "x", "intnt": "y"}', "intnt: Extra inputs are not permitted"),
        (b'{"text": "x", "request_id": "a b"}', "request_id"),
        (b'{"text": "x", "limits": {"turns": 0}}', "limits.turns"),
        (b'{"text": "x", "context": "O-1"}', "context"),
    ],
)
def test_a_wrong_file_names_the_field(tmp_path: Path, content: bytes, complaint: str) -> None:
    file = tmp_path / "request.json"
    file.write_bytes(content)

    with pytest.raises(InvalidInput, match=complaint):
        requested(str(file))


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        ([], "either as a file"),
        (["f.json", "--text", "x"], "either as a file"),
        (["no-such.json"], "no-such.json: cannot be read"),
        (["--text", "x", "--context", "order"], "write KEY=VALUE"),
        (["--text", "x", "--context", "=v"], "write KEY=VALUE"),
        (["--text", "x", "--context", "a:={"], "what follows := is not JSON"),
        (["f.json", "--intent", "x"], "--intent goes with --text"),
        (["f.json", "--agent", "x"], "--agent goes with --text"),
        (["f.json", "--tenant", "x"], "--tenant goes with --text"),
        (["f.json", "--context", "a=b"], "--context goes with --text"),
    ],
)
def test_wrong_usage_says_what_to_type(words: list[str], complaint: str) -> None:
    with pytest.raises(InvalidInput, match=complaint):
        requested(*words)


def test_a_typed_file_is_named_by_its_hash_and_its_suffix_is_its_format(tmp_path: Path) -> None:
    picture = tmp_path / "tent.jpg"
    picture.write_bytes(jpeg())

    (attached,) = requested("--text", "Hi", "--attach", str(picture)).attachments

    assert (attached.name, attached.format, attached.bytes) == ("tent.jpg", "jpeg", len(jpeg()))
    assert attached.sha256 == hashlib.sha256(jpeg()).hexdigest()


@pytest.mark.parametrize(
    ("name", "content", "says"),
    [
        ("x.exe", b"MZ", "no format that a model takes: png, jpeg"),
        ("x", b"MZ", "no format that a model takes"),
        ("x.pdf", b"<html>", "is no pdf file"),
        (".hidden.txt", b"x", "name"),
        ("gone.png", None, "cannot be read"),
    ],
)
def test_a_typed_file_that_cannot_be_sent_says_why(tmp_path: Path, name: str, content: bytes | None, says: str) -> None:
    file = tmp_path / name
    if content is not None:
        file.write_bytes(content)

    with pytest.raises(InvalidInput, match=f"^--attach .*{says}"):
        requested("--text", "Hi", "--attach", str(file))


def test_a_token_comes_from_a_variable_by_its_name() -> None:
    environ = {"DESK": "a.b.c", "CRM": "x"}

    assert on_behalf_header(["DESK"], environ) == "Bearer a.b.c"
    assert on_behalf_header(["desk=DESK", "crm=CRM"], environ) == "desk=Bearer a.b.c, crm=Bearer x"
    assert on_behalf_header([], environ) == ""


@pytest.mark.parametrize(
    ("typed", "says"),
    [("NONE", "no environment variable"), ("desk=EMPTY", "or it is empty"), ("eyJ.s3cr3t.x", "never the token")],
)
def test_a_variable_that_is_not_there_is_named_and_a_typed_token_is_not_repeated(typed: str, says: str) -> None:
    with pytest.raises(InvalidInput, match=says) as refused:
        on_behalf_header([typed], {"EMPTY": " "})

    assert "s3cr3t" not in str(refused.value)
