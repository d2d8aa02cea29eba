"""Logs that an earlier version wrote read, verify, trace and cost the same; see ``tests/recorded``.

How a value is computed today is ``tests/recorded/readings.py``'s; the recordings and what is expected never change.
"""

import json
import re
from collections.abc import Callable
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from ballast.log.event import Event
from tests.recorded import record
from tests.recorded.readings import SECTIONS, readings
from tests.recorded.recording import RUNS, Recording, expected, load, names
from tests.support.log_items import decode, encode

Change = Callable[[Recording], Recording]


@cache
def read(name: str) -> dict[str, Any]:
    return without_additions(readings(load(name)))


def without_additions(reading: Any) -> Any:
    """Return what was read, without what the version before did not show.

    That is how a prompt was sent, what the cache saved, a run's files, which agent did what, and why people were
    asked once they have answered.
    """
    if isinstance(reading, dict):
        added = _ADDED | {"changed_by"} if "changed" in reading else _ADDED  # of the timeline, not of the API
        return {name: without_additions(value) for name, value in reading.items() if name not in added}
    if isinstance(reading, list) and all(isinstance(line, str) for line in reading):
        lines = "\n".join(line for line in reading if not line.startswith("  sent as   "))
        return _ASKED_BECAUSE.sub("", lines).split("\n") if reading else []
    return [without_additions(one) for one in reading] if isinstance(reading, list) else reading


_ADDED = {"sent_as", "cache_saved_microusd", "cache_saved", "cache_read"}
_ADDED |= {"attachments", "attachment_bytes", "files", "recorded_files"}
_ADDED |= {"by_agent", "from_agent", "to_agent", "feedback", "on_behalf", "made_of", "circuit", "sourceless"}
_ADDED |= {"bound_because", "settled_moves", "reached", "when_rolled_back", "unlike"}
_ASKED_BECAUSE = re.compile(r"\s+\(asked\s+because[^)]*\)")

#: What the version before said wrongly: its trace left out what tools cost, here $0.0015, until the run had ended.
WRONGLY_SAID = {
    ("paid-calls", "trace"): {
        "so far    $0.000995 of": "so far    $0.002495 of",
        '"spent_microusd": 995,': '"spent_microusd": 2495,',
        "so far    $0.002014 of": "so far    $0.003514 of",
        '"spent_microusd": 2014,': '"spent_microusd": 3514,',
        "so far    $0.003011 of": "so far    $0.004511 of",
        '"spent_microusd": 3011,': '"spent_microusd": 4511,',
    }
}


@pytest.mark.sampled(60)
@pytest.mark.parametrize("section", SECTIONS)
@pytest.mark.parametrize("name", names())
def test_a_recorded_run_reads_as_it_did_when_it_was_recorded(name: str, section: str) -> None:
    wanted = json.dumps(expected(name)[section])
    for wrong, right in WRONGLY_SAID.get((name, section), {}).items():
        assert wrong in wanted
        wanted = wanted.replace(wrong, right)

    assert read(name)[section] == json.loads(wanted)


@pytest.mark.parametrize("name", names())
def test_nothing_of_a_recorded_reading_is_left_out(name: str) -> None:
    assert set(expected(name)) == set(read(name)) == set(SECTIONS)


def test_every_take_is_recorded_and_nothing_else() -> None:
    files = {file.name for file in RUNS.iterdir()}

    assert files == {f"{name}{end}" for name in record.takes() for end in (".json", ".expected.json")}


def test_the_recordings_stay_small() -> None:
    assert sum(file.stat().st_size for file in RUNS.iterdir()) < 1_500_000


# What the recordings must hold, so that they are worth reading


@pytest.mark.parametrize(
    ("name", "event"),
    [
        ("approval", "0002.call.1.approval_answered"),
        ("several-people", "0001.call.1.approval_given.1.3"),
        ("void-approval", "0001.call.1.approval_void"),
        ("void-approval", "0001.call.1.approval_answered.2"),
        ("refused", "0000.run.refused"),
        ("question", "0002.escalation.answered"),
        ("doubted-write", "0001.call.1.doubted"),
        ("corrected", "9999.run.corrected"),
        ("added-budget", "0002.lease.extended"),
    ],
)
def test_a_recording_has_the_event_for_which_it_was_made(name: str, event: str) -> None:
    assert event in [item["seq"]["S"] for item in load(name).items]


def test_answers_of_people_are_signed_and_who_checks_the_key_believes_them() -> None:
    signed = {name for name in names() if any("mac" in item for item in load(name).items)}

    assert {"approval", "escalation", "rollback", "several-people", "void-approval", "question"} <= signed
    assert {name for name in names() if expected(name)["events"]["acts"]["unsigned"]} == {"forged-answer"}


def test_sealed_values_are_in_no_recording_and_only_who_has_the_key_reads_them() -> None:
    secrets = (record.CARD, record.PIN, record.TAX_NUMBER)

    for name in ("sealed", "masked"):
        shown = json.dumps(expected(name)["events"]["shows"], ensure_ascii=False)
        assert not [one for one in secrets if one in load(name).as_text() + shown]
    opened = json.dumps(expected("sealed")["events"]["acts"]["bodies"])
    assert all(one in opened for one in secrets)
    assert expected("masked")["events"]["acts"]["bodies"] == {}


def test_verdicts_are_what_each_run_was_made_for() -> None:
    found = {name: expected(name)["verdict"]["with_anchor"] for name in names()}

    unfit = {name: one["first"]["seq"] for name, one in found.items() if one["status"] == "unfit"}
    assert unfit == {"forged-answer": "0001.call.1.approval_answered", "garbled": "0001.call.1.settled"}
    assert found["late-event"]["late"] == ["0001.model.responded"]
    assert [name for name, one in found.items() if one["status"] not in ("fits", "unfit")] == ["refused"]


def test_a_prompt_and_a_result_are_in_s3() -> None:
    assert len(load("large-result").payloads) == 2


# Each assertion above can fail


def changed_item(seq: str, change: Callable[[dict[str, Any]], dict[str, Any]]) -> Change:
    """Return what changes the item under ``seq``."""

    def apply(recording: Recording) -> Recording:
        assert any(item["seq"]["S"] == seq for item in recording.items)
        items = tuple(change(item) if item["seq"]["S"] == seq else item for item in recording.items)
        return replace(recording, items=items)

    return apply


def with_another_digest(item: dict[str, Any]) -> dict[str, Any]:
    digest = item["digest"]["S"]
    return item | {"digest": {"S": ("0" if digest[0] != "0" else "1") + digest[1:]}}


def one_microdollar_less(item: dict[str, Any]) -> dict[str, Any]:
    """Change one digit of a price, and leave the digest."""
    assert '"cost_microusd":879' in item["body"]["S"]
    return item | {"body": {"S": item["body"]["S"].replace('"cost_microusd":879', '"cost_microusd":878')}}


def one_microdollar_less_and_a_new_digest(item: dict[str, Any]) -> dict[str, Any]:
    """Change one digit of a price, as somebody does who knows how digests are made."""
    was = decode(one_microdollar_less(item), None)
    made = Event(run_id=was.run_id, seq=was.seq, at=was.at, body=was.body)
    return item | encode(made, was.body)[0]


def with_another_key(seq: str) -> Callable[[dict[str, Any]], dict[str, Any]]:
    return lambda item: item | {"seq": {"S": seq}}


def with_another_mac(item: dict[str, Any]) -> dict[str, Any]:
    mac = item["mac"]["B"]
    return item | {"mac": {"B": bytes([mac[0] ^ 1]) + mac[1:]}}


def with_another_secret(key: str) -> Change:
    def apply(recording: Recording) -> Recording:
        secret = bytes.fromhex(recording.keys[key])
        other = bytes([secret[0] ^ 1]) + secret[1:]
        return replace(recording, keys={**recording.keys, key: other.hex()})

    return apply


def with_lease(name: str, value: dict[str, str]) -> Change:
    def apply(recording: Recording) -> Recording:
        assert recording.lease is not None
        assert recording.lease[name] != value
        return replace(recording, lease=recording.lease | {name: value})

    return apply


def with_another_payload(recording: Recording) -> Recording:
    payloads = {key: bytes([one[0], one[1], one[2] ^ 1]) + one[3:] for key, one in recording.payloads.items()}
    return replace(recording, payloads=payloads)


def with_another_comment(recording: Recording) -> Recording:
    (item,) = recording.escalations
    return replace(recording, escalations=(item | {"summary": {"S": item["summary"]["S"] + "."}},))


def a_second_later(recording: Recording) -> Recording:
    return changed_item("0001.call.1.intended", lambda item: item | {"at": {"S": "2026-03-01T12:00:09+00:00"}})(
        recording
    )


ALL = set(SECTIONS)
CHANGES: dict[str, tuple[str, Change, set[str]]] = {
    "a digest": ("corrected", changed_item("0002.model.responded", with_another_digest), ALL),
    "a price": ("corrected", changed_item("0002.model.responded", one_microdollar_less), ALL),
    "a price and its digest": (
        "corrected",
        changed_item("0002.model.responded", one_microdollar_less_and_a_new_digest),
        ALL - {"api"},  # whose cost is the ending's
    ),
    "a key of an event": (
        "corrected",
        changed_item("0001.call.1.settled", with_another_key("0001.call.2.settled")),
        ALL - {"money"},
    ),
    "a time": ("corrected", a_second_later, {"events", "verdict"}),
    "the settled charge": ("corrected", with_lease("charged_microusd", {"N": "12301"}), {"money"}),
    "the anchor": ("corrected", with_lease("log_sha256", {"S": "0" * 64}), {"verdict", "money"}),
    "a signature": (
        "several-people",
        changed_item("0001.call.1.approval_answered", with_another_mac),
        {"events", "verdict", "folds"},
    ),
    "the signing key": ("several-people", with_another_secret("signing"), {"events", "verdict", "folds"}),
    "the sealing key": ("sealed", with_another_secret("sealing"), {"events", "verdict", "folds"}),
    "a payload": ("large-result", with_another_payload, ALL),
    "a summary": ("approval", with_another_comment, {"api"}),
}


@pytest.mark.parametrize("what", CHANGES)
def test_one_changed_byte_is_noticed_where_it_counts(what: str) -> None:
    name, change, sections = CHANGES[what]

    found = without_additions(readings(change(load(name))))

    differs = {section for section in SECTIONS if found[section] != expected(name)[section]}
    assert differs == sections


def test_each_section_can_fail_alone_or_with_others() -> None:
    assert set().union(*(sections for _, _, sections in CHANGES.values())) == ALL


# Recording


def test_what_is_recorded_is_not_recorded_again(capsys: pytest.CaptureFixture[str]) -> None:
    before = (RUNS / "corrected.json").read_bytes()

    assert record.main(["corrected"]) == 1

    assert "never recorded again" in capsys.readouterr().err
    assert (RUNS / "corrected.json").read_bytes() == before


def test_a_take_that_is_not_there_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    assert record.main(["nothing-like-it"]) == 2

    assert "nothing-like-it" in capsys.readouterr().err


def test_without_a_name_the_takes_are_listed(capsys: pytest.CaptureFixture[str]) -> None:
    assert record.main([]) == 0

    listed = capsys.readouterr().out.splitlines()
    assert [line.split()[:2] for line in listed] == [[name, "recorded"] for name in record.takes()]


def test_a_recording_survives_its_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    recording = load("large-result")
    monkeypatch.setattr("tests.recorded.recording.RUNS", tmp_path)

    (tmp_path / "large-result.json").write_text(recording.as_text(), encoding="utf-8")

    assert load("large-result") == recording
