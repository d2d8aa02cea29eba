"""The files between a waiting run and the person who answers it."""

import json
from pathlib import Path

import pytest

from ballast.errors import InvalidInput
from cli.escalation_files import EscalationFiles, NobodyWaits, WaitingEscalation

ONE = WaitingEscalation("esc-aaaa", {"kind": "approval", "reason": "approval_required"})


def test_an_answer_travels_to_the_waiting_side_and_its_result_comes_back(tmp_path: Path) -> None:
    waiting, person = EscalationFiles(tmp_path), EscalationFiles(tmp_path)
    waiting.post(ONE)

    receipt = person.send("esc-aaaa", {"approve": True})
    taken = waiting.take("esc-aaaa")
    assert taken is not None
    waiting.report("esc-aaaa", taken, {"ok": True, "run_id": "run-x"})
    waiting.close("esc-aaaa")

    assert taken["approve"] is True
    assert person.wait_for("esc-aaaa", receipt, timeout_s=5) == {"ok": True, "run_id": "run-x"}
    assert list((tmp_path / "escalations").glob("*.json")) == []


def test_a_notice_is_found_by_its_beginning_and_tells_what_the_queue_said(tmp_path: Path) -> None:
    waiting = EscalationFiles(tmp_path)
    waiting.post(ONE)

    assert EscalationFiles(tmp_path).find("esc-a") == ONE
    assert EscalationFiles(tmp_path).waiting() == [ONE]


def test_a_beginning_that_fits_two_is_refused(tmp_path: Path) -> None:
    waiting = EscalationFiles(tmp_path)
    for escalation_id in ("esc-aaaa", "esc-aabb"):
        waiting.post(WaitingEscalation(escalation_id, {}))

    with pytest.raises(InvalidInput, match="matches 2 waiting escalations"):
        EscalationFiles(tmp_path).find("esc-aa")


@pytest.mark.parametrize("typed", ["", "esc-zzzz", "*", "../runs/x"])
def test_nobody_waits_is_said_clearly(tmp_path: Path, typed: str) -> None:
    with pytest.raises(NobodyWaits, match=r"No process waits .*\(waiting: none at all"):
        EscalationFiles(tmp_path).find(typed)


def test_a_silent_process_is_no_success_and_the_answer_is_taken_back(tmp_path: Path) -> None:
    waiting, person = EscalationFiles(tmp_path), EscalationFiles(tmp_path)
    waiting.post(ONE)
    receipt = person.send("esc-aaaa", {"approve": True})

    with pytest.raises(NobodyWaits, match="did not confirm the answer"):
        person.wait_for("esc-aaaa", receipt, timeout_s=0.1)

    assert waiting.take("esc-aaaa") is None


def test_a_process_that_ends_before_it_confirms_is_noticed_at_once(tmp_path: Path) -> None:
    waiting, person = EscalationFiles(tmp_path), EscalationFiles(tmp_path)
    waiting.post(ONE)
    receipt = person.send("esc-aaaa", {"approve": True})
    waiting.close_all()

    slept: list[float] = []
    with pytest.raises(NobodyWaits):
        person.wait_for("esc-aaaa", receipt, timeout_s=3_600, sleep=slept.append)

    assert slept == []


def test_of_two_answers_at_once_the_second_is_refused(tmp_path: Path) -> None:
    EscalationFiles(tmp_path).post(ONE)
    waiting = EscalationFiles(tmp_path)

    waiting.send("esc-aaaa", {"approve": True})
    with pytest.raises(InvalidInput, match="another answer is being delivered"):
        waiting.send("esc-aaaa", {"approve": False})

    taken = waiting.take("esc-aaaa")
    assert taken is not None
    assert taken["approve"] is True


def test_after_an_answer_that_was_not_accepted_another_one_may_come(tmp_path: Path) -> None:
    waiting, person = EscalationFiles(tmp_path), EscalationFiles(tmp_path)
    waiting.post(ONE)
    first = person.send("esc-aaaa", {"approve": None})
    taken = waiting.take("esc-aaaa")
    assert taken is not None
    waiting.report("esc-aaaa", taken, {"ok": False, "message": "approve: send true or false"})

    assert person.wait_for("esc-aaaa", first, timeout_s=5)["ok"] is False
    person.send("esc-aaaa", {"approve": True})
    assert waiting.take("esc-aaaa") is not None


def test_two_processes_cannot_wait_for_the_same_answer(tmp_path: Path) -> None:
    first = EscalationFiles(tmp_path)
    first.post(ONE)

    with pytest.raises(InvalidInput, match="already waits for its answer"):
        EscalationFiles(tmp_path).post(ONE)


@pytest.mark.parametrize("content", ["", "{", "[]", "7"])
def test_a_broken_answer_file_is_thrown_away(tmp_path: Path, content: str) -> None:
    waiting = EscalationFiles(tmp_path)
    waiting.post(ONE)
    (tmp_path / "escalations" / "esc-aaaa.answer.json").write_text(content)

    assert waiting.take("esc-aaaa") is None
    waiting.send("esc-aaaa", {"approve": True})


@pytest.mark.parametrize("escalation_id", ["../x", "", "a/b", "esc.answer", "esc-\n"])
def test_an_id_that_is_no_plain_name_never_becomes_a_file(tmp_path: Path, escalation_id: str) -> None:
    with pytest.raises(InvalidInput):
        EscalationFiles(tmp_path).post(WaitingEscalation(escalation_id, {}))

    assert list(tmp_path.rglob("*.json")) == []


def test_a_nonce_from_outside_cannot_name_another_file(tmp_path: Path) -> None:
    waiting = EscalationFiles(tmp_path)
    waiting.post(ONE)

    waiting.report("esc-aaaa", {"nonce": "../../escape"}, {"ok": True})

    assert [file.name for file in tmp_path.rglob("*.json")] == ["esc-aaaa.json"]
    assert json.loads((tmp_path / "escalations" / "esc-aaaa.json").read_text())["kind"] == "approval"
