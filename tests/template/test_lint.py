"""cfn-lint over what is deployed: the template as written, and as SAM translates it, workflow included."""

import copy
import json
from pathlib import Path
from typing import Any

import pytest

from localcloud.cloud import ROOT
from tests.support.sampling import sampled
from tests.template.rendered import BUSINESS, TEMPLATE, Template, of_type, workflow

#: One of each partition, and two whose models differ.
REGIONS = ("eu-west-1", "us-east-1", "us-gov-west-1", "cn-north-1")


def complaints(text: str, regions: tuple[str, ...] = REGIONS[:1]) -> list[str]:
    """Return what cfn-lint has to say; errors and warnings."""
    from cfnlint.api import lint  # a second, which a worker without these tests need not spend
    from cfnlint.config import ManualArgs

    return [str(match) for match in lint(text, config=ManualArgs(regions=[*regions]))]


#: The main one is checked below as it is deployed; as it is written, with FULL=1 and by `make build`.
WRITTEN = sampled((TEMPLATE, BUSINESS), (BUSINESS,))
PROJECTS = [ROOT / "scaffold" / "business.yaml", ROOT / "examples" / "itdesk" / "business.yaml"]


@pytest.mark.parametrize("file", [*WRITTEN, *PROJECTS], ids=lambda file: f"{file.parent.name}/{file.name}")
def test_a_template_as_written_is_clean(file: Path) -> None:
    assert complaints(file.read_text(encoding="utf-8")) == []


def test_the_translated_template_and_the_workflow_in_it_are_clean(deployed: Template) -> None:
    for_the_build = {"PlaybookFolder", "BusinessTemplate"}  # `sam build` has put paths in their places
    parameters = {name: one for name, one in deployed["Parameters"].items() if name not in for_the_build}

    assert complaints(with_workflow(deployed | {"Parameters": parameters}, workflow()), REGIONS) == []


def test_flaws_in_the_template_and_in_the_workflow_are_reported(deployed: Template) -> None:
    definition = workflow()
    definition["States"]["Plan"]["Type"] = "Tusk"
    definition["States"]["Settle"]["Retries"] = []
    definition["States"]["Decide"]["Choices"] = "all"
    few = of_type(deployed, "AWS::StepFunctions::StateMachine") | {
        "SettleFunction": deployed["Resources"]["SettleFunction"]
    }
    text = with_workflow(deployed | {"Resources": few}, definition).replace(
        '{"Ref": "RunLogTable"}', '{"Ref": "RunLogTabel"}'
    )

    found = "\n".join(complaints(text))

    assert "'Tusk' is not one of" in found
    assert "'Retries' was unexpected" in found
    assert "'all' is not of type" in found
    assert "RunLogTabel" in found


def with_workflow(deployed: Template, definition: dict[str, Any]) -> str:
    """Return ``deployed`` with the definition in it, as JSON."""
    template = copy.deepcopy(deployed)
    (machine,) = of_type(template, "AWS::StepFunctions::StateMachine").values()
    del machine["Properties"]["DefinitionS3Location"]
    # cfn-lint knows of one partition, and looks before anything is substituted.
    definition = json.loads(json.dumps(definition).replace("${Partition}", "aws"))
    machine["Properties"]["Definition"] = _numbers_for_expressions(definition)
    return json.dumps(template)


def _numbers_for_expressions(value: Any) -> Any:
    """Replace the JSONata in two fields that cfn-lint takes for numbers only; Step Functions takes both."""
    match value:
        case dict():
            return {
                key: 1
                if key in {"TimeoutSeconds", "MaxConcurrency"} and isinstance(part, str)
                else _numbers_for_expressions(part)
                for key, part in value.items()
            }
        case list():
            return [_numbers_for_expressions(part) for part in value]
    return value
