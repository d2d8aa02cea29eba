"""packaging/Makefile makes every function and layer of the template, from the folder that the template names.

What it makes is in ``tests/artifacts``.
"""

import json
import re
import subprocess
import sys
from pathlib import Path

import yaml

from ballast.playbook.file_digests import CERTIFICATE, of_trials
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


def test_a_build_leaves_out_a_certificate_that_was_made_with_other_files_of_the_project(tmp_path: Path) -> None:
    project, layer = tmp_path / "project", tmp_path / "layer"
    for name in ("business.yaml", "scenarios/one/script.yaml", "scenarios/stand_ins.py", "itdesk/agent.yaml"):
        (project / name).parent.mkdir(parents=True, exist_ok=True)
        (project / name).write_text(name)
    built = layer / "itdesk" / CERTIFICATE
    built.parent.mkdir(parents=True)

    def build() -> str:
        built.write_text(json.dumps({"tried_with": tried_with}))
        script = ROOT / "packaging" / "check_certificate.py"
        command = [sys.executable, "-I", "-B", str(script), str(project), str(layer)]
        return subprocess.run(command, capture_output=True, text=True, check=True).stderr

    tried_with = of_trials(project)
    assert list(tried_with) == ["business.yaml", "scenarios/one/script.yaml", "scenarios/stand_ins.py"]
    assert (build(), built.exists()) == ("", True)
    (project / "scenarios" / "stand_ins.py").write_text("# Another one.")
    assert "scenarios/stand_ins.py" in build()
    assert not built.exists()
    recipe = (ROOT / "packaging" / "Makefile").read_text(encoding="utf-8")
    assert 'check_certificate.py" $(FOLDER) "$(ARTIFACTS_DIR)/python"' in recipe
