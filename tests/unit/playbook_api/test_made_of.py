"""The digests of what a run is made of: a file of each deployed kind has a part in one, and in no other."""

from pathlib import Path

import pytest

from ballast.playbook import load_playbook
from ballast.playbook.file_digests import keep, kept, of_platform, of_project
from ballast.playbook.made_of import made_of, platform_code
from cli.commands.new import write
from localcloud.cloud import ROOT


def made_in(project: Path) -> dict[str, str]:
    return made_of(load_playbook(project / "madedesk"))


@pytest.fixture
def project(tmp_path: Path) -> Path:
    write("madedesk", tmp_path / "project")
    return tmp_path / "project"


@pytest.mark.parametrize(
    ("file", "text", "differs"),
    [
        ("madedesk/tools/look_up_account.py", "\n# changed\n", {"playbook"}),
        ("madedesk/fallbacks/account_status.py", "\n# changed\n", {"playbook"}),
        ("madedesk/data.json", "{}", {"playbook"}),
        ("madedesk/prompts/first.md", "Be brief.", {"playbook"}),
        ("madedesk/knowledge/agent.yaml", "a: 1", {"playbook"}),
        ("shared/__init__.py", "RATE = 2\n", {"playbook"}),
        ("agents/models.yaml", "a: 1", {"playbook"}),
        ("requirements.txt", "# a pin\n", {"playbook"}),
        ("madedesk/agent.yaml", "\npark_timeout_s: 7777\n", {"agent"}),
        ("madedesk/agents/other.yaml", "model: us.amazon.nova-pro-v1:0\ninstructions: Count.\n", {"agent"}),
        ("madedesk/certificate.json", "{}", set()),
        ("scenarios/status/notes.txt", "Not shipped.", set()),
        ("tests/test_more.py", "", set()),
    ],
)
def test_each_kind_of_file_has_a_part_in_one_digest(project: Path, file: str, text: str, differs: set[str]) -> None:
    before = made_in(project)
    (project / file).parent.mkdir(parents=True, exist_ok=True)
    with (project / file).open("a", encoding="utf-8") as written:
        written.write(text)

    after = made_in(project)

    assert {name for name in before if before[name] != after[name]} == differs


def test_a_built_playbook_is_what_its_build_kept(project: Path) -> None:
    before = made_in(project)
    keep(of_project(project), project / "madedesk")
    (project / "shared").mkdir()
    (project / "shared" / "beside.py").write_text("")  # as other packages of a layer lie there

    assert made_in(project) == before


@pytest.mark.parametrize(
    "file",
    [
        *("layers/ballast/ballast/run.py", "functions/agent/handler.py", "functions/executor/effect.py"),
        "statemachine/agent.asl.yaml",
    ],
)
def test_the_platforms_code_is_layer_functions_and_workflow(tmp_path: Path, file: str) -> None:
    for one in ("layers/ballast/ballast/run.py", "functions/agent/handler.py", "functions/executor/effect.py"):
        (tmp_path / one).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / one).write_text("")
    (tmp_path / "statemachine").mkdir()
    (tmp_path / "statemachine" / "agent.asl.yaml").write_text("")
    before = of_platform(tmp_path)

    (tmp_path / file).write_text("# changed\n")

    assert {path for path, one in of_platform(tmp_path).items() if before[path] != one} == {file}


def test_the_source_tree_has_no_kept_digests_and_all_code() -> None:
    assert kept(ROOT / "layers" / "ballast" / "ballast") is None
    assert {path.split("/")[0] for path in of_platform(ROOT)} == {"layers", "functions", "statemachine"}
    assert len(platform_code()) == 16
