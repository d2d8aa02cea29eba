"""Models play the desk as the published table says, and the bench fails where one does not."""

from __future__ import annotations

import ast
from functools import cache

import pytest

from ballast.errors import ModelRefused
from ballast.models.catalog import Catalog
from ballast.playbook import load_playbook
from bench import families
from bench.publish import published
from functions.agent import request
from localcloud.cloud import PLAYBOOK, ROOT
from tests.support.sampling import sampled

MODELS = Catalog()
LLAMA, PALMYRA = "us.meta.llama4-scout-17b-instruct-v1:0", "us.writer.palmyra-x5-v1:0"


def published_table() -> list[str]:
    return published("python -m bench.families").output.splitlines()


@cache
def reasons() -> dict[str, str]:
    """Return why each model is no agent of the desk; "" for those that are."""
    desk, found = load_playbook(PLAYBOOK), {}
    for card in MODELS.cards():
        found[families.called(card)] = ""
        try:
            desk.check_model(families.called(card), on=families.DAY.date())
        except ModelRefused as refused:
            found[families.called(card)] = str(refused)
    return found


def test_every_card_is_published_as_played_or_with_the_reason_for_which_the_desk_does_not_load() -> None:
    shown, found = published_table(), reasons()
    at = next(at for at, one in enumerate(shown) if one.startswith("No agent: "))
    agents = [model for model, reason in found.items() if not reason]

    # Before them: the heading, and a line for each family.
    assert sorted(one.split()[0] for one in shown[1:at] if "documents" not in one) == sorted(agents)
    assert shown[at] == f"No agent: {len(found) - len(agents)} models"
    rest = " ".join(" ".join(shown[at + 1 :]).split())
    for model, reason in found.items():
        assert not reason or " ".join(f"{model}: {reason.splitlines()[0]}".split()) in rest


def test_a_model_of_each_family_plays_as_published() -> None:
    desk_loads = [card for card in MODELS.cards() if not reasons()[families.called(card)]]
    cards = list({families.family_of(card): card for card in desk_loads}.values())
    shown = published_table()

    few = sampled(cards, cards[:: len(cards) // 3])
    played = list(families.rows(MODELS, few))

    assert len(cards) > 15
    assert len(played) == len(few) > 3
    for row in played:
        assert [run.wrong for run in row.runs] == [""] * len(row.runs)
        assert families.line(row) in shown
    documents = list(families.table([], families.legend(MODELS)))
    assert documents[documents.index("Documents") :] == shown[shown.index("Documents") :]


@pytest.mark.deep
def test_a_model_that_is_sent_what_it_refuses_fails(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(request, "_TAKES", ())  # what a card does not take is sent

    assert families.main(["--model", PALMYRA]) == 1

    assert "doesn't support the status field" in capsys.readouterr().err


@pytest.mark.deep
def test_a_charge_that_is_not_the_cards_fails(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(families, "charge_by_card", lambda *_: 1)

    assert families.main(["--model", LLAMA]) == 1

    shown = capsys.readouterr()
    assert "by its card it is 4" in shown.err
    assert "WRONG" in shown.out


def test_a_name_that_no_card_has_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    assert families.main(["--model", "no-such-model"]) == 1

    assert "`ballast prices` lists them" in capsys.readouterr().err


def test_an_option_of_several_words_may_be_given_several_times() -> None:
    """Of ``--model a --model b`` argparse keeps b alone, unless it is told to extend."""
    wrong = []
    for file in (ROOT / "bench").rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if not isinstance(node, ast.Call) or getattr(node.func, "attr", "") != "add_argument":
                continue
            given = {one.arg: ast.unparse(one.value) for one in node.keywords if one.arg}
            name = ast.unparse(node.args[0])
            if name.startswith("'--") and given.get("nargs") in ("'+'", "'*'"):
                # A default with words would be extended, too.
                wrong += [] if given.get("action") == "'extend'" and given.get("default") in (None, "[]") else [name]

    assert wrong == []
