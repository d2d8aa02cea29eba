"""A project outside of the repository is built from its own folder, and the repository's playbook is not in it."""

from pathlib import Path

import pytest
import yaml

from cli.commands.new import write
from tests.artifacts.build import ROOT, Tools, Unavailable
from tests.support.sampling import FULL
from tests.template.rendered import _Loader

pytestmark = pytest.mark.timeout(1800)


@pytest.fixture(scope="module")
def built(tools: Tools, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Let SAM build the layer in a project's folder, whose path has a space; return its build folder."""
    project = tmp_path_factory.mktemp("out of") / "it_desk"
    write("it_desk", project)
    (project / ".venv").mkdir()
    (project / ".venv" / "large").write_text("not to be shipped")
    (project / "requirements.txt").write_text("# nothing to pin\n")
    for name in ("knowledge/README.md", "tests/data.toml", "scenarios/.kept", "business.yaml"):
        (project / "it_desk" / name).parent.mkdir(exist_ok=True)
        (project / "it_desk" / name).write_text("of the playbook")
    try:
        # What is built is read and translated; to validate it as well takes a process of the SAM CLI.
        for command in [*([["validate"]] if FULL else []), ["build", "PlaybookLayer"]]:
            done = tools.sam(command, project, capture_output=True)
            assert done.returncode == 0, done.stdout + done.stderr
    except Unavailable as problem:
        pytest.skip(f"NO ARTIFACTS: {problem}")
    return project / ".aws-sam" / "build"


@pytest.mark.deep
def test_the_layer_has_the_projects_playbook_and_nothing_besides(built: Path) -> None:
    layer = built / "PlaybookLayer" / "python"
    source = ROOT / "scaffold" / "newdesk"

    shipped = {str(file.relative_to(layer)) for file in layer.rglob("*") if file.is_file() and file.suffix != ".pyc"}

    expected = {f"it_desk/{file.relative_to(source)}" for file in source.rglob("*") if file.suffix in (".py", ".yaml")}
    deep = {"knowledge/README.md", "tests/data.toml", "scenarios/.kept", "business.yaml"}
    expected |= {"it_desk/__pycache__/agent.yaml.json", "it_desk/__pycache__/shipped.json"}  # made at build
    assert shipped == expected | {"requirements.txt"} | {f"it_desk/{name}" for name in deep}


def test_the_nested_stack_is_the_projects_business(built: Path) -> None:
    template = yaml.load((built / "template.yaml").read_text(), _Loader)

    nested = (built / template["Resources"]["Business"]["Properties"]["TemplateURL"]).read_text()

    assert "AccountsTable" in nested
    assert "OrdersTable" not in nested
    executor = template["Resources"]["ExecutorFunction"]["Properties"]["Environment"]["Variables"]
    assert executor["TOOLS_ENVIRONMENT"] == {"Fn::GetAtt": ["Business", "Outputs.Environment"]}
