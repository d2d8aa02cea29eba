"""A project as ``ballast new`` writes it runs at once, and the page about its tests says what is true."""

import json
import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path
from xml.etree import ElementTree

import jsonschema
import pytest
import yaml

from ballast.playbook import load_playbook
from cli import main
from cli.certify.run import certify
from cli.commands.new import SCAFFOLD, checked_name
from localcloud.cloud import ROOT, LocalCloud
from localcloud.scenarios import find
from localcloud.template import TemplateInvalid
from tests.support.sampling import FULL

PAGE = ROOT / "docs" / "testing-your-playbook.md"


def new(name: str, into: Path) -> Path:
    assert main(["new", name, "--into", str(into)]) == 0
    return into / name


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Make a project with the scenario and the tests of the page in it."""
    made = new("pagedesk", tmp_path_factory.mktemp("a b"))
    for file, text in re.findall(r"```yaml\n# (scenarios/\S+)\n(.*?)```", PAGE.read_text(), flags=re.DOTALL):
        (made / file).parent.mkdir(exist_ok=True)
        (made / file).write_text(text)
    snippets = re.findall(r"```python\n(.*?)```", PAGE.read_text(), flags=re.DOTALL)
    assert len(snippets) == 6
    for number, snippet in enumerate(snippets):
        (made / "tests" / f"test_page_{number}.py").write_text(snippet)
    return made


def run(*command: str, within: Path) -> subprocess.CompletedProcess[str]:
    environ = {**os.environ, "PYTHONDONTWRITEBYTECODE": "1"}
    environ.pop("PYTEST_XDIST_WORKER", None)
    return subprocess.run(
        [sys.executable, "-m", *command], cwd=within, env=environ, capture_output=True, text=True, check=False
    )


@pytest.mark.deep
def test_its_scenarios_and_that_of_the_page_end_as_expected(
    project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("BALLAST_HOME", str(tmp_path / "home"))

    code = main(["test", str(project), "--json", "--junit", str(tmp_path / "reports" / "junit.xml")])

    results = json.loads(capsys.readouterr().out)
    assert [one["wrong"] or one["error"] for one in results if not one["passed"]] == []
    assert code == 0
    assert {one["scenario"] for one in results} == {"approved", "model-away", "on-leave", "suspended"}
    suite = ElementTree.parse(tmp_path / "reports" / "junit.xml").getroot()
    assert (suite.get("tests"), suite.get("failures"), suite.get("errors")) == ("4", "0", "0")


def test_its_own_tests_and_those_of_the_page_pass(project: Path) -> None:
    ended = run("pytest", "-q", "-p", "no:cacheprovider", within=project)

    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert "15 passed" in ended.stdout


def test_ruff_and_mypy_have_nothing_to_say(tmp_path: Path) -> None:
    """Of mypy: by the settings that it writes, with FULL=1. The gate's own mypy checks the scaffold as it is."""
    # The longest name, and the shortest: lines may be wrapped otherwise.
    for name in ("a" * 40, "it_desk"):
        made = new(name, tmp_path)
        for command in (["check", "--no-cache", "."], ["format", "--no-cache", "--check", "."]):
            ended = run("ruff", *command, within=made)
            assert ended.returncode == 0, ended.stdout + ended.stderr
    if FULL:
        ended = run("mypy", "--cache-dir", str(tmp_path / "cache"), within=made)
        assert ended.returncode == 0, ended.stdout + ended.stderr
    assert "scaffold/newdesk" in tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["mypy"]["files"]


def test_a_right_that_is_missing_fails_here_and_not_in_production(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("BALLAST_HOME", str(tmp_path / "home"))
    project = new("poordesk", tmp_path)
    business = project / "business.yaml"
    business.write_text(business.read_text().replace("dynamodb:UpdateItem", "dynamodb:Query"))

    assert main(["test", str(project), "model-away"]) == 1

    said = capsys.readouterr().out
    assert "FAIL  model-away" in said
    assert "status: expected 'answered', was" in said or "no answer left" in said
    run_id = re.search(r"See it: ballast trace (run-\w+)", said)
    assert run_id is not None
    assert main(["trace", run_id[1], "--full"]) == 0
    assert "AccessDeniedException" in capsys.readouterr().out


SECRET = """
  IdpSecret:
    Type: AWS::SecretsManager::Secret
    Properties: {GenerateSecretString: {SecretStringTemplate: '{"user": "desk"}', GenerateStringKey: password}}

  # What the tools need"""
STATEMENT = """
          - {Sid: ReadTheSecret, Effect: Allow, Action: secretsmanager:GetSecretValue, Resource: !Ref IdpSecret}

Outputs:"""


@pytest.mark.sampled(1)
@pytest.mark.parametrize("allowed", [True, False])
def test_a_secret_is_read_with_the_right_to_it_and_not_without(
    allowed: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("BALLAST_HOME", str(tmp_path / "home"))
    project = new("openeddesk" if allowed else "closeddesk", tmp_path)
    business, tool = project / "business.yaml", project / project.name / "tools" / "look_up_account.py"
    text = business.read_text().replace("\n  # What the tools need", SECRET)
    text = text.replace('"${AccountsTable}"}', '"${AccountsTable}", "IDP_SECRET_ARN": "${IdpSecret}"}')
    business.write_text(text.replace("\nOutputs:", STATEMENT) if allowed else text)
    read = 'ctx.client("secretsmanager").get_secret_value(SecretId=ctx.environ["IDP_SECRET_ARN"])'
    check = f"""    assert {read}["SecretString"] == '{{"user": "desk", "password": "local-secret"}}'\n"""
    tool.write_text(tool.read_text().replace("    return find", f"{check}    return find"))

    assert main(["check", str(project)]) == (0 if allowed else 2)
    assert main(["test", str(project), "suspended"]) == (0 if allowed else 1)

    said = capsys.readouterr().out
    assert ("failed calls: expected [], was ['look_up_account']" in said) != allowed
    assert ("is not authorized to perform: secretsmanager:GetSecretValue" in said) != allowed


def test_a_scenario_that_ends_otherwise_shows_each_difference(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("BALLAST_HOME", str(tmp_path / "home"))
    project = new("wrongdesk", tmp_path)
    scenario = project / "scenarios" / "suspended" / "scenario.yaml"
    text = scenario.read_text().replace("days: 7}}]", "days: 8}}]").replace("answer: [A-1001]", "answer: [A-1009]")
    scenario.write_text(
        text.replace('costs_at_most: "0.05"', 'costs_at_most: "0"').replace("state: suspended", "state: gone")
    )
    junit = tmp_path / "junit.xml"

    assert main(["test", str(project), "suspended", "--junit", str(junit)]) == 1

    said = capsys.readouterr().out
    call = "suspend_account(account_id='A-1001', days={})"
    for part in (
        f"effects: expected {call.format(8)}; was {call.format(7)}",
        "answer: expected 'A-1009' in it, was 'Account A-1001 is suspended for 7 days.'",
        "cost: expected at most $0, was $0.00",
        "AccountsTable A-1001: state expected 'gone', was 'suspended'",
    ):
        assert part in said
    failure = ElementTree.parse(junit).getroot().find("testcase/failure")
    assert failure is not None
    assert "effects: expected" in str(failure.text)


@pytest.mark.parametrize(
    "name",
    [
        *("", "X", "IT", "it-desk", "1st", "it desk", "../up", "a", "a" * 41, "class", "itdésk", "it.desk", "_desk"),
        *("tests", "json", "ballast", "playbook", "functions", "cli", "localcloud", "pydantic"),
        *("sitecustomize", "usercustomize"),
    ],
)
def test_a_name_that_cannot_be_a_package_is_refused(
    name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["new", name, "--into", str(tmp_path)]) == 2

    assert "NAME" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("there", ["a folder", "a file", "an empty folder", "a link to nowhere"])
def test_nothing_is_overwritten(there: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    target = tmp_path / "mydesk"
    match there:
        case "a folder":
            target.mkdir()
            (target / "notes.txt").write_text("mine")
        case "an empty folder":
            target.mkdir()
        case "a file":
            target.write_text("mine")
        case _:
            target.symlink_to(tmp_path / "nowhere")
    before = sorted(str(file) for file in tmp_path.rglob("*"))

    assert main(["new", "mydesk", "--into", str(tmp_path)]) == 2

    assert "nothing is overwritten" in capsys.readouterr().err
    assert sorted(str(file) for file in tmp_path.rglob("*")) == before


def test_a_folder_that_cannot_be_made_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "file").write_text("")

    assert main(["new", "mydesk", "--into", str(tmp_path / "file")]) == 2

    assert "cannot be made" in capsys.readouterr().err


def test_the_name_stands_everywhere_and_the_scaffolds_nowhere(tmp_path: Path) -> None:
    project = new("it_desk", tmp_path)

    texts = {file.relative_to(project): file.read_text() for file in project.rglob("*") if file.is_file()}

    assert [str(file) for file, text in texts.items() if "newdesk" in text + str(file)] == []
    assert not any("PLATFORM" in text or "PROJECT" in text for text in texts.values())
    assert len(texts) == sum(1 for file in SCAFFOLD.rglob("*") if file.is_file() and "cache" not in str(file))
    assert 'stack_name = "it-desk"' in texts[Path("samconfig.toml")]
    assert checked_name("it_desk") == "it_desk"


def test_its_samconfig_leads_to_the_template_and_back(tmp_path: Path) -> None:
    project = new("it_desk", tmp_path / "PROJECTS" / "newdesk")  # names that stand for something in the scaffold
    text = (project / "samconfig.toml").read_text()

    template = re.search(r'template_file = "(.*?)"', text)
    folder = re.search(r'PlaybookFolder=\\"(.*?)\\"', text)
    business = re.search(r'BusinessTemplate=\\"(.*?)\\"', text)

    assert template is not None
    assert folder is not None
    assert business is not None
    assert (project / template[1]).resolve() == ROOT / "template.yaml"
    assert (ROOT / folder[1]).resolve() == project.resolve()
    assert (ROOT / business[1]).resolve() == (project / "business.yaml").resolve()


def test_an_editor_finds_the_schema_of_each_file_that_names_one(tmp_path: Path) -> None:
    project = new("it_desk", tmp_path)
    document = ROOT / "examples" / "itdesk" / "idp.openapi.yaml"
    typed = ["import", "openapi", str(document), "--playbook", str(project), "--name", "idp", "--private"]
    assert main(typed) == 0

    found = {
        file.relative_to(project): re.match(r"# yaml-language-server: \$schema=(\S+)\n", file.read_text())
        for file in project.rglob("*.yaml")
        if file.name != "business.yaml"
    }

    assert len(found) == 8
    for file, named in found.items():
        assert named is not None, file
        schema = json.loads((project / file.parent / named[1]).read_text())
        written = yaml.safe_load((project / file).read_text())
        jsonschema.validate(written, schema, cls=jsonschema.Draft202012Validator)


def test_an_approval_that_is_lost_is_red_in_a_test_and_keeps_a_certificate_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("BALLAST_HOME", str(tmp_path / "home"))
    monkeypatch.setattr("cli.certify.run.MOST_SAMPLES", 0)  # the scenario is what is tried here
    project = new("lostdesk", tmp_path)
    tool = project / "lostdesk" / "tools" / "suspend_account.py"
    tool.write_text(tool.read_text().replace("DAYS_WITHOUT_APPROVAL = 30", "DAYS_WITHOUT_APPROVAL = 9999"))
    lost = "people.0: the run asked nobody, so the answer of rae was not needed"

    assert main(["test", str(project), "approved"]) == 1
    told = capsys.readouterr()

    assert "FAIL  approved" in told.out
    assert lost in told.out
    assert told.err == "approved (1 of 1) …\n"
    scenario = find("approved", project / "scenarios")
    found = certify(load_playbook(project), [scenario], folder=project, say=lambda _: None).findings
    assert [lost in one.seen for one in found if one.of == "scenario approved" and one.needed] == [True]


@pytest.mark.parametrize(
    ("old", "new_text", "says"),
    [
        ("!GetAtt AccountsTable.Arn", "!Ref AccountsTable", "ARN"),
        ("KeySchema: [{AttributeName: account_id", "KeySchema: [{AttributeName: account", "cannot be made"),
    ],
)
def test_what_the_local_cloud_refuses_of_business_yaml_names_that_file(
    old: str, new_text: str, says: str, tmp_path: Path
) -> None:
    file = new("odddesk", tmp_path) / "business.yaml"
    file.write_text(file.read_text().replace(old, new_text))

    with pytest.raises(
        TemplateInvalid, match=rf"^{file}: .*{says}.*`ballast check` tells what AWS refuses; where it tells nothing"
    ):
        LocalCloud(file.parent).__enter__()


def test_a_business_yaml_may_have_mappings_and_leave_names_to_aws(tmp_path: Path) -> None:
    file = new("odddesk", tmp_path) / "business.yaml"
    mapped = "{Type: String, Value: !FindInMap [Rates, !Ref Stage, Night]}"
    extra = f"""Mappings:
  Rates: {{dev: {{Night: "80"}}, staging: {{Night: "90"}}, prod: {{Night: "120"}}}}
Resources:
  Rate: {{Type: AWS::SSM::Parameter, Properties: {mapped}}}
  Letters: {{Type: AWS::SQS::Queue, Properties: {{FifoQueue: true}}}}
  News: {{Type: AWS::SNS::Topic, Properties: {{FifoTopic: true}}}}
"""
    file.write_text(file.read_text().replace("Resources:\n", extra, 1))

    with LocalCloud(file.parent) as cloud:
        (rate,) = cloud.session.client("ssm").get_parameters(Names=["ballast-local-Rate"])["Parameters"]
        queues = cloud.session.client("sqs").list_queues(QueueNamePrefix="ballast-local-Letters")["QueueUrls"]
        topics = [one["TopicArn"] for one in cloud.session.client("sns").list_topics()["Topics"]]

    assert rate["Value"] == "80"
    assert [one.rpartition("/")[2] for one in queues] == ["ballast-local-Letters.fifo"]
    assert "ballast-local-News.fifo" in [one.rpartition(":")[2] for one in topics]
