"""packaging/Makefile makes every function and layer of the template, from the folder that the template names.

What it makes is in ``tests/artifacts``.
"""

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import yaml

from ballast.playbook.file_digests import CERTIFICATE, of_playbook, of_trials
from ballast.playbook.samconfig import named_templates
from tests.template import rendered
from tests.template.rendered import ROOT, TEMPLATE, of_type, written

BUILT = of_type(written(), "AWS::Serverless::Function", "AWS::Serverless::LayerVersion")


def targets() -> dict[str, str]:
    """Return the folder of each function and layer that the Makefile names."""
    text = (ROOT / "packaging" / "Makefile").read_text(encoding="utf-8").replace("\\\n", " ")
    lines = re.findall(r"^(build-[\w -]+):\s*FOLDER := (\S+)$", text, flags=re.MULTILINE)
    return {target.removeprefix("build-"): folder for several, folder in lines for target in several.split()}


def test_everything_that_is_built_is_built_by_the_makefile() -> None:
    rule = {"BuildMethod": "makefile", "ContextPath": "packaging", "WorkingDirectory": "."}
    layers = of_type(written(), "AWS::Serverless::LayerVersion")

    for name, resource in BUILT.items():
        expected = rule | ({"BuildArchitecture": "arm64"} if name in layers else {})
        if name == "PlaybookLayer":  # it is made in a project's folder
            expected |= {"WorkingDirectory": {"Ref": "PlaybookFolder"}}
        assert resource["Metadata"] == expected, name


def test_the_makefile_has_the_folder_of_everything_that_is_built() -> None:
    where = {name: one["Properties"].get("CodeUri", one["Properties"].get("ContentUri")) for name, one in BUILT.items()}

    assert targets() == {name: uri.rstrip("/") for name, uri in where.items()} | {"PlaybookLayer": "."}


def test_a_project_names_its_own_playbook_and_business() -> None:
    template = yaml.load(TEMPLATE.read_text(encoding="utf-8"), rendered._Loader)
    resources = template["Resources"]

    assert resources["PlaybookLayer"]["Properties"]["ContentUri"] == {"Ref": "PlaybookFolder"}
    assert resources["Business"]["Properties"]["TemplateURL"] == {"Ref": "BusinessTemplate"}


def scripted(name: str, *arguments: Path) -> str:
    """Run a step of the build as the Makefile does; return what it says."""
    command = [sys.executable, "-I", "-B", str(ROOT / "packaging" / name), *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=True).stderr


def test_a_certificate_covers_every_file_that_a_layer_gets(tmp_path: Path) -> None:
    """Each file below changes the layer and the digests, or neither."""
    project, outside = tmp_path / "project", tmp_path / "outside"
    files = ("itdesk/agent.yaml", "itdesk/.rates.json", "itdesk/.data/a.json", "shared/__init__.py", "rates.csv")
    files += ("shared/.kept", "itdesk/tests/a.toml")
    files += ("itdesk/__pycache__/rates.json", "itdesk/a.pyc", "itdesk/.git/HEAD", "itdesk/.x_cache/a")
    files += (".venv/a", "tests/test_a.py", "README.md", "pyproject.toml", "itdesk/.DS_Store")
    for file in (*(project / name for name in files), outside / "limits.json"):
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(str(file))
    (project / "itdesk" / "linked").symlink_to(outside)
    (project / "shared" / "endless").symlink_to(project)

    scripted("copy_project.py", project, tmp_path / "layer")
    layer = {file.relative_to(tmp_path / "layer").as_posix() for file in (tmp_path / "layer").rglob("*")}
    layer = {name for name in layer if (tmp_path / "layer" / name).is_file()}

    covered = {f"itdesk/{name}" for name in of_playbook(project / "itdesk")} | of_trials(project, "itdesk", []).keys()
    assert layer == covered == {*files[:7], "itdesk/linked/limits.json"}
    recipe = (ROOT / "packaging" / "Makefile").read_text(encoding="utf-8")
    assert 'build-PlaybookLayer: COPIED = $(PYTHON) -I -B "$(HERE)/copy_project.py" $(FOLDER)' in recipe


def test_a_build_leaves_out_a_certificate_that_was_made_with_other_files_of_the_project(tmp_path: Path) -> None:
    project, layer = tmp_path / "project", tmp_path / "layer"
    for name in ("business.yaml", "scenarios/one/script.yaml", "scenarios/stand_ins.py", "itdesk/agent.yaml"):
        (project / name).parent.mkdir(parents=True, exist_ok=True)
        (project / name).write_text(name)
    built = layer / "itdesk" / CERTIFICATE
    built.parent.mkdir(parents=True)

    def build() -> str:
        built.write_text(json.dumps({"tried_with": tried_with}))
        return scripted("check_certificate.py", project, layer)

    tried_with = of_trials(project, "itdesk", [])
    assert list(tried_with) == ["business.yaml", "scenarios/one/script.yaml", "scenarios/stand_ins.py"]
    assert (build(), built.exists()) == ("", True)
    (project / "shared.py").write_text("# Imported by a tool.")
    assert "shared.py is new" in build()
    tried_with = of_trials(project, "itdesk", [])
    assert (build(), built.exists()) == ("", True)
    (project / "scenarios" / "stand_ins.py").write_text("# Another one.")
    assert "scenarios/stand_ins.py" in build()
    assert not built.exists()

    # What is deployed by samconfig.toml and requirements.txt is covered, here and in a copy, from which SAM builds.
    (project / "stage").mkdir()
    (project / "stage" / "b.yaml").write_text("one")
    (project / ".pins").mkdir()
    (project / ".pins" / "all.txt").write_text("-c more.txt\n")
    (project / ".pins" / "more.txt").write_text("idna==3.10\n")
    (project / "requirements.txt").write_text("-r .pins/all.txt\n")
    settings = (
        '[prod.build.parameters]\nparameter_overrides = "PlaybookFolder=../of/project BusinessTemplate=../of/%s"\n'
    )
    (project / "samconfig.toml").write_text(settings % "project/.pins/b.yaml")
    (project / ".pins" / "b.yaml").write_text("one")
    templates = [one.file for one in named_templates(project)]
    tried_with = of_trials(project, "itdesk", templates)
    assert {".pins/all.txt", ".pins/b.yaml", ".pins/more.txt"} <= tried_with.keys()
    project = shutil.copytree(project, tmp_path / "far" / "away" / "copy")
    assert (build(), built.exists()) == ("", True)
    for file in (".pins/more.txt", ".pins/b.yaml"):
        before = (project / file).read_text()
        (project / file).write_text("another")
        assert file in build()
        (project / file).write_text(before)
    (project / "samconfig.toml").write_text(settings % "project/.pins/c.yaml")
    assert ".pins/b.yaml is gone" in build()
    recipe = (ROOT / "packaging" / "Makefile").read_text(encoding="utf-8")
    assert 'check_certificate.py" $(FOLDER) "$(ARTIFACTS_DIR)/python"' in recipe
