"""Exported runs: what is written is read again, in each form; anything else is refused by name."""

import base64
import gzip
import json
from pathlib import Path
from typing import Any

import pytest

from ballast.errors import InvalidInput
from ballast.log import exported
from ballast.log.event import Event

RUN = "run-" + "a" * 24
EVENTS = tuple(
    Event(run_id=RUN, seq=seq, at="2026-03-01T12:00:00+00:00", body=body).with_stored({"tenant": "acme"})
    for seq, body in (("0000.run.opened", {"request": {"text": "\ud800"}}), ("0001.model.requested", {"attempt": 1}))
)


def text_of(*runs: str) -> str:
    return "\n".join(line for run in runs for line in exported.write(run, EVENTS, title="demo"))


def digests(events: tuple[Event, ...]) -> list[str]:
    return [event.digest for event in events]


def test_a_run_that_was_written_is_read_the_same() -> None:
    (run,) = exported.read_text(text_of(RUN), "x")

    assert (run.run_id, run.title, run.whole) == (RUN, "demo", True)
    assert [(one, one.stored) for one in run.events] == [(one, one.stored) for one in EVENTS]


def test_a_file_may_hold_many_runs() -> None:
    other = "run-" + "b" * 24

    assert [run.run_id for run in exported.read_text(text_of(RUN, other), "x")] == [RUN, other]


def test_masked_values_stay_masked() -> None:
    event = EVENTS[0].with_shown({"request": "*****"})

    assert "ud800" not in "".join(exported.write(RUN, [event]))


def test_a_saved_run_and_pages_of_the_api_are_read() -> None:
    lines = [event.model_dump(mode="json") for event in EVENTS]
    saved = {"version": 1, "run_id": RUN, "title": "t", "events": lines, "stored": [dict(one.stored) for one in EVENTS]}
    pages = [{"events": [{**line, "corrupt": None, "left_out": None}], "next": None} for line in lines]

    (one,) = exported.read_text(json.dumps(saved, indent=1), "x")
    (other,) = exported.read_text("\n".join(map(json.dumps, pages)), "x")

    assert digests(one.events) == digests(other.events) == digests(EVENTS)
    assert (one.whole, other.whole) == (True, False)


def test_copies_of_the_log_in_s3_are_read(tmp_path: Path) -> None:
    folder = tmp_path / RUN
    folder.mkdir()
    for event in EVENTS:
        item: dict[str, Any] = {"run_id": {"S": RUN}, "seq": {"S": event.seq}, "at": {"S": event.at}}
        item |= {"digest": {"S": event.digest}, "body": {"S": json.dumps(event.body)}, "tenant": {"S": "acme"}}
        item |= {"mac": {"B": base64.b64encode(b"mac").decode()}}
        (folder / f"{event.seq}.json").write_text(json.dumps(item), encoding="utf-8")

    (run,) = exported.read(tmp_path)

    assert digests(run.events) == digests(EVENTS)
    assert dict(run.events[0].stored) == {"tenant": "acme", "mac": b"mac".hex()}


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "is empty"),
        ("{", "line 1 is no JSON"),
        ('{"a": 1}', "is no exported run"),
        ('{"ballast": "run", "version": 2, "run_id": "r"}', "version 2 is newer"),
        ('{"ballast": "run", "version": true, "run_id": "r"}', "version: must be a whole number"),
        ('{"ballast": "run", "version": 1}', "run_id: the header"),
        ('{"ballast": "run", "version": 1, "run_id": "' + RUN + '"}', "a run without an event"),
        ('{"ballast": "run", "version": 1, "run_id": "' + RUN + '"}\n[]', "event 1 is no JSON object"),
        ('{"ballast": "run", "version": 1, "run_id": "' + RUN + '"}\n{"seq": "x"}', "event 1"),
        ('{"events": [{"seq": "0000.run.opened", "at": "", "body": {}, "left_out": 9}]}', "was left out of its page"),
        ('[{"seq": "0000.run.opened", "at": "", "body": {}}]', "run_id: nothing names the run"),
    ],
)
def test_anything_else_is_refused_and_says_why(text: str, says: str) -> None:
    with pytest.raises(InvalidInput, match=says):
        list(exported.read_text(text, "x.jsonl"))


@pytest.mark.parametrize(
    "run_id", ["r", "run-a: the same\n99 runs", f"{RUN}\n", f"{RUN}b", "run-" + "A" * 24, "\u202e" + RUN]
)
@pytest.mark.parametrize("form", ["header", "saved", "event"])
def test_an_id_that_no_run_has_is_refused_and_printed_by_nobody(run_id: str, form: str) -> None:
    line = {"seq": "0000.run.opened", "at": "", "body": {}}
    texts = {
        "header": json.dumps({"ballast": "run", "version": 1, "run_id": run_id}) + json.dumps(line),
        "saved": json.dumps({"run_id": run_id, "events": [line]}),
        "event": json.dumps([line | {"run_id": run_id}]),
    }
    told: list[str] = []

    with pytest.raises(InvalidInput, match="run_id: must be") as refused:
        list(exported.read_text(texts[form], "x.jsonl"))
    if form == "header":
        assert list(exported.read_text(texts[form], "x.jsonl", bad=lambda name, *_: told.append(name))) == []
        assert told == ["x.jsonl"]
    assert "\n" not in str(refused.value)
    assert "\u202e" not in str(refused.value)


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16"])
def test_what_a_shell_on_windows_redirects_is_read(tmp_path: Path, encoding: str) -> None:
    (tmp_path / "run.jsonl").write_text(text_of(RUN).replace("\n", "\r\n"), encoding=encoding)

    (run,) = exported.read(tmp_path / "run.jsonl")

    assert digests(run.events) == digests(EVENTS)


def test_a_packed_file_is_refused_with_what_unpacks_it(tmp_path: Path) -> None:
    for name in ("run.jsonl.gz", "run.jsonl"):
        (tmp_path / name).write_bytes(gzip.compress(text_of(RUN).encode()))
        with pytest.raises(InvalidInput, match=f"is compressed. Unpack it first: `gunzip .*{name}`"):
            list(exported.read(tmp_path / name))
    (tmp_path / "run.jsonl").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(InvalidInput, match="is not UTF-8"):
        list(exported.read(tmp_path / "run.jsonl"))
