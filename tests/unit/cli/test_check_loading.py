"""``ballast check`` of what loading refuses: the field as its file has it, and the problem apart from the remedy."""

from pathlib import Path
from typing import Any

import pytest

from ballast.errors import PlaybookInvalid
from ballast.playbook.agent import read_agent
from ballast.playbook.servers.checks import checked_declaration
from cli.checks import Finding
from cli.checks.loading import finding_of, load_findings
from tests.support.remote_desk import desk_server

AGENT = "name: desk\nmodel: a.model\ninstructions: Work.\n"


def told(folder: Path, refused: PlaybookInvalid) -> list[tuple[str, str]]:
    return [(one.field, one.problem) for one in load_findings(folder, [refused])]


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        (AGENT + "cache: {ttl: 2h}", [("cache.ttl", "Input should be '5m' or '1h'.")]),
        (AGENT + "limits: {turns: many}", [("limits.turns", "Input should be a valid integer.")]),
        (AGENT + "model_for: [{model: a, turn: 1}]", [("model_for.0.turn", "There is no such setting.")]),
        (
            AGENT + "intents: {a: {answer_schema: {type: objekt}}}",
            [("intents.a.answer_schema", "is not a usable schema: (whole): type cannot be 'objekt'.")],
        ),
        ("", [("", "It is empty, or no mapping of settings.")]),
    ],
)
def test_an_agent_s_field_is_named_as_its_file_has_it(text: str, wanted: list[tuple[str, str]], tmp_path: Path) -> None:
    file = tmp_path / "agent.yaml"
    file.write_text(text)

    with pytest.raises(PlaybookInvalid) as refused:
        read_agent(file)

    assert told(tmp_path, refused.value) == wanted


@pytest.mark.parametrize(
    ("server", "wanted"),
    [
        ({"timeout_s": 80}, [("server.timeout_s", "Input should be less than or equal to 50.")]),
        ({"circuit": {"failure": 5}}, [("server.circuit.failure", "There is no such setting.")]),
        ({"credential": {"kind": "header", "header": "X"}}, [("server.credential.secret", "It is missing.")]),
    ],
)
def test_a_server_s_field_is_named_as_its_file_has_it(
    server: dict[str, Any], wanted: list[tuple[str, str]], tmp_path: Path
) -> None:
    with pytest.raises(PlaybookInvalid) as refused:
        checked_declaration(tmp_path / "desk.yaml", {"server": desk_server(**server), "tools": {}})

    assert sorted(one for one in told(tmp_path, refused.value) if one[0] != "tools") == wanted


def test_a_kind_that_does_not_exist_is_told_with_those_that_do(tmp_path: Path) -> None:
    server = desk_server(credential={"kind": "headr"})

    with pytest.raises(PlaybookInvalid) as refused:
        checked_declaration(tmp_path / "desk.yaml", {"server": server, "tools": {}})

    [(field, problem)] = [one for one in told(tmp_path, refused.value) if one[0] != "tools"]
    assert (field, problem[:36]) == ("server.credential.kind", "Input should be one of 'header', 'qu")


@pytest.mark.parametrize(
    ("said", "wanted"),
    [
        (
            "/d/a.yaml: tools.b: approval.approvers must be a name, letters, digits and . _ -, not ''.",
            ("tools.b", "approval.approvers must be a name, letters, digits and . _ -, not ''.", ""),
        ),
        ("/d/a.yaml: tools.b.marks/note: must be a mark.", ("tools.b.marks/note", "must be a mark.", "")),
        ("/d/a.yaml: tools: is wrong. Correct v1.2 of it.", ("tools", "is wrong.", "Correct v1.2 of it.")),
    ],
)
def test_an_error_s_text_is_cut_after_its_field_and_its_first_sentence(said: str, wanted: tuple[str, ...]) -> None:
    field, problem, remedy = wanted

    assert finding_of("/d", said) == Finding(
        "error", "/d/a.yaml", field, problem, remedy or "Correct it, and check again."
    )
