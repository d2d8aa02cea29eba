"""packaging/Makefile makes every function and layer of the template, from the folder that the template names.

What it makes is in ``tests/artifacts``.
"""

import re

import yaml

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
