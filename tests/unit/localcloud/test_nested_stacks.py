"""A nested stack of a local file becomes a part of the template around it."""

from pathlib import Path
from typing import Any

import pytest

from localcloud.template import MadeLater, TemplateInvalid, load_template, unread_in, with_unread

TEMPLATE = """
Parameters: {Stage: {Type: String}}
Conditions: {Safe: !Equals [!Ref Stage, prod]}
Resources:
  Queue: {Type: AWS::SQS::Queue}
  Business:
    Type: AWS::CloudFormation::Stack
    Properties: {TemplateURL: business.yaml, Parameters: {Kind: !Ref Stage}}
  Rule:
    Type: AWS::Events::Rule
    Properties:
      Name: !GetAtt Business.Outputs.Name
      Description: !Sub "${Business.Outputs.Arn}/index, ${Business.Outputs.Name} of ${Queue.Arn}"
"""
NESTED = """
Parameters: {Kind: {Type: String}, Days: {Type: Number, Default: 7}}
Conditions: {Safe: !Equals [!Ref Kind, prod]}
Resources:
  Table:
    Type: AWS::DynamoDB::Table
    Properties: {TableName: !Sub "${Kind}-${AWS::StackName}", Days: !Ref Days}
Outputs: {Name: {Value: !Ref Table}, Arn: {Value: !GetAtt Table.Arn}}
"""


def loaded(tmp_path: Path, template: str = TEMPLATE, nested: str = NESTED) -> dict[str, Any]:
    (tmp_path / "business.yaml").write_text(nested)
    (tmp_path / "template.yaml").write_text(template)
    return load_template(tmp_path / "template.yaml")


def test_its_resources_take_its_parameters_and_its_outputs_are_taken(tmp_path: Path) -> None:
    made = loaded(tmp_path)

    assert made["Resources"].keys() == {"Queue", "Rule", "Table"}
    assert made["Resources"]["Table"]["Properties"] == {
        "TableName": {"Fn::Sub": "${Stage}-${AWS::StackName}"},
        "Days": 7,
    }
    assert made["Resources"]["Rule"]["Properties"] == {
        "Name": {"Ref": "Table"},
        "Description": {"Fn::Sub": "${Table.Arn}/index, ${Table} of ${Queue.Arn}"},
    }
    assert made["Conditions"] == {"Safe": {"Fn::Equals": [{"Ref": "Stage"}, "prod"]}}


@pytest.mark.parametrize(
    ("template", "nested", "says"),
    [
        (TEMPLATE.replace("Kind:", "Sort:"), NESTED, "has no parameter Sort"),
        (TEMPLATE.replace(", Parameters: {Kind: !Ref Stage}", ""), NESTED, "give .* its parameter Kind"),
        (TEMPLATE, NESTED.replace("!Ref Days", "!GetAtt Queue.Arn"), "has no Queue. Pass it in as a parameter"),
        (TEMPLATE, NESTED.replace("${Kind}", "${Stage}"), "has no Stage. Pass it in as a parameter"),
        (TEMPLATE, NESTED.replace("Ref Table", "Ref Tabel"), "business.yaml: has no Tabel"),
        (TEMPLATE, NESTED.replace("!Ref Days", "!If [Saef, 1, 2]"), "business.yaml: has no condition Saef"),
        (TEMPLATE, NESTED.replace("  Table:", "  Queue:").replace(" Table", " Queue"), "Queue is something else"),
        (TEMPLATE.replace("business.yaml", "none.yaml"), NESTED, "none.yaml: cannot be read"),
        (TEMPLATE.replace("GetAtt Business.Outputs.Name", "GetAtt Business.Outputs.Nme"), NESTED, "It has: Name, Arn"),
        (TEMPLATE.replace("${Business.Outputs.Arn}", "${Business.Outputs.An}"), NESTED, "It has: Name, Arn"),
    ],
)
def test_what_cloudformation_would_not_find_is_refused(tmp_path: Path, template: str, nested: str, says: str) -> None:
    with pytest.raises(TemplateInvalid, match=says):
        loaded(tmp_path, template, nested)


def test_a_stack_of_a_template_elsewhere_is_left_as_it_is(tmp_path: Path) -> None:
    made = loaded(tmp_path, TEMPLATE.replace("business.yaml", '"https://bucket.example/business.yaml"'))

    assert "Business" in made["Resources"]


def test_a_parameter_may_name_the_file(tmp_path: Path) -> None:
    template = TEMPLATE.replace(
        "Parameters: {Stage: {Type: String}}", "Parameters: {Stage: {}, Mine: {Default: x.yaml}}"
    )
    template = template.replace("TemplateURL: business.yaml", "TemplateURL: !Ref Mine")
    (tmp_path / "project").mkdir()
    (tmp_path / "project" / "business.yaml").write_text(NESTED.replace("Table:", "Other:").replace("Table", "Other"))
    (tmp_path / "x.yaml").write_text(NESTED)
    (tmp_path / "template.yaml").write_text(template)

    by_default = load_template(tmp_path / "template.yaml")
    given = load_template(tmp_path / "template.yaml", {"Mine": str(tmp_path / "project" / "business.yaml")})

    assert by_default["Resources"].keys() == {"Queue", "Rule", "Table"}
    assert given["Resources"].keys() == {"Queue", "Rule", "Other"}


def test_a_text_with_a_map_is_replaced_as_well(tmp_path: Path) -> None:
    nested = NESTED.replace('!Sub "${Kind}-${AWS::StackName}"', '!Sub ["${Kind}-${Days}-${Own}", {Own: !Ref Kind}]')

    made = loaded(tmp_path, nested=nested)

    named = made["Resources"]["Table"]["Properties"]["TableName"]
    assert named == {"Fn::Sub": ["${Stage}-7-${Own}", {"Own": {"Ref": "Stage"}}]}


def test_a_condition_of_the_same_name_is_the_nested_stacks_own(tmp_path: Path) -> None:
    nested = NESTED.replace("Kind, prod", "Kind, dev").replace("!Ref Days", "!If [Safe, 1, 2]")
    nested = nested.replace("{Value: !Ref Table}", "{Value: !If [Safe, a, b]}")
    nested = nested.replace("    Type: AWS::DynamoDB", "    Condition: Safe\n    Type: AWS::DynamoDB")

    made = loaded(tmp_path, nested=nested)

    assert made["Conditions"] == {
        "Safe": {"Fn::Equals": [{"Ref": "Stage"}, "prod"]},
        "BusinessSafe": {"Fn::Equals": [{"Ref": "Stage"}, "dev"]},
    }
    assert made["Resources"]["Table"]["Condition"] == "BusinessSafe"
    assert made["Resources"]["Table"]["Properties"]["Days"] == {"Fn::If": ["BusinessSafe", 1, 2]}
    assert made["Resources"]["Rule"]["Properties"]["Name"] == {"Fn::If": ["BusinessSafe", "a", "b"]}


def test_what_a_macro_makes_is_left_out_and_told(tmp_path: Path) -> None:
    loop = '  "Fn::ForEach::Tables": [N, [A, B], {"${N}Table": {Type: AWS::DynamoDB::Table}}]\n  Topic:\n'
    nested = NESTED.replace("  Table:\n", loop + "    Type: AWS::SNS::Topic\n    Properties:\n  Table:\n")

    assert loaded(tmp_path, nested=nested)["Resources"].keys() == {"Queue", "Rule", "Table", "Topic"}
    assert [*unread_in(tmp_path / "business.yaml")] == ["Fn::ForEach::Tables"]
    for text in ("!GetAtt ATable.Arn", '!Sub ["${ATable}-${X}", {X: y}]'):
        with pytest.raises(
            MadeLater, match=r"ATable\. Fn::ForEach::Tables cannot be read here: write out what it makes"
        ):
            loaded(tmp_path, nested=nested.replace("!Ref Days", text))
    with pytest.raises(TemplateInvalid, match=r"has no AQueue\. Pass it in as a parameter\.$"):
        loaded(tmp_path, nested=nested.replace("!Ref Days", "!GetAtt AQueue.Arn"))


@pytest.mark.parametrize(
    ("made", "may_be", "is_not"),
    [
        ('"Fn::ForEach::A": [N, [x], {"${N}Table": {Type: T}, "Q&{N}": {Type: T}}]', "xTable Table Qx", "xQ OurTables"),
        ('"Fn::ForEach::A": [N, [x], {"Fn::ForEach::B": [M, [y], {"${N}A${M}": {Type: T}}]}]', "xAy", "xBy"),
        ('"Fn::ForEach::A": !Ref Made', "Any", ""),
        ('"Fn::Transform": {Name: AWS::Include}', "Any", ""),
        ("Queue: {Type: T, Properties: {Fn::Transform: {Name: x}}}", "Queue", "Queues"),
    ],
)
def test_what_a_macro_may_make_is_of_no_known_type(made: str, may_be: str, is_not: str, tmp_path: Path) -> None:
    (tmp_path / "business.yaml").write_text(f"Resources:\n  {made}\n")
    refers: dict[str, Any] = {"A": {"Type": "T", "Properties": [{"Ref": one} for one in f"{may_be} {is_not}".split()]}}

    whole = with_unread({"Resources": refers}, unread_in(tmp_path / "business.yaml"))
    none = with_unread({"Resources": refers}, unread_in(tmp_path / "business.yaml"), but=may_be.split())

    assert whole["Resources"].keys() == {"A", *may_be.split()}
    assert none["Resources"] == refers
