"""``ballast check`` of what only a deployment or a play would show: packages, rights, names, store, stand-ins."""

import shutil
from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from cli.checks import Finding, checked
from cli.checks.code import Code
from cli.checks.lint import lint
from cli.checks.packages import _WITH_HASHES, packages
from cli.checks.rights import rights
from cli.checks.standing import unanswered
from cli.checks.statements import breaches
from cli.checks.template import template
from cli.commands.new import write
from localcloud.cloud import ROOT
from tests.support.remote_desk import declare
from tests.support.remote_mcp import notes_tools

HERE = "${AWS::Region}:${AWS::AccountId}"
TODAY = date(2026, 11, 29)
TABLE = {
    "Type": "AWS::DynamoDB::Table",
    "DeletionPolicy": "Retain",
    "UpdateReplacePolicy": "Retain",
    "Properties": {"PointInTimeRecoverySpecification": {}, "SSESpecification": {}},
}
ARN = {"Fn::GetAtt": ["Mine", "Arn"]}


def there(rest: str) -> dict[str, str]:
    return {"Fn::Sub": f"arn:aws:{rest}"}


def policy(action: Any, resource: Any, **more: Any) -> dict[str, Any]:
    statement = {"Sid": "Planted", "Effect": "Allow", "Action": action, "Resource": resource, **more}
    statement = {name: value for name, value in statement.items() if value is not None}
    properties = {"Roles": [{"Ref": "ExecutorRole"}], "PolicyDocument": {"Statement": [statement]}}
    return {"Type": "AWS::IAM::Policy", "Properties": properties}


def of_statement(action: Any, resource: Any, *, calls: bool = False, **more: Any) -> list[Finding]:
    resources = {"Mine": TABLE, "Secret": {"Type": "AWS::SecretsManager::Secret"}, "ToolsPolicy": None}
    resources["ToolsPolicy"] = policy(action, resource, **more)
    parameters = {"Table": {"Type": "String", "Default": "shop"}, "All": {"Type": "String", "Default": "*"}}
    return [*breaches({"Parameters": parameters, "Resources": resources}, "business.yaml", calls=calls)]


@pytest.mark.parametrize(
    ("action", "resource", "says"),
    [
        ("dynamodb:PutItem", there(f"dynamodb:{HERE}:table/ballast-RunLogTable-1"), "could be, on RunLogTable"),
        ("dynamodb:GetItem", there(f"dynamodb:{HERE}:table/*"), "could be, on"),
        ("dynamodb:GetItem", there(f"dynamodb:{HERE}:table/${{Table}}*"), "could be, on"),
        ("dynamodb:GetItem", there(f"dynamodb:{HERE}:table/${{All}}"), "could be, on"),
        ("dynamodb:GetItem", "*", "on everything"),
        ("dynamodb:*", ARN, "create, delete or share"),
        ("dynamodb:DeleteTable", ARN, "create, delete or share"),
        ("sts:AssumeRole", "arn:aws:iam::123456789012:role/other", "nobody may change rights or take on other roles"),
        ("iam:PassRole", "arn:aws:iam::123456789012:role/other", "nobody may"),
        ("states:StartExecution", "arn:aws:states:eu-west-1:1:stateMachine:other", "may start an execution"),
        ("bedrock:InvokeModel", "arn:aws:bedrock:*::foundation-model/x", "only AgentFunction may call a model"),
        ("lambda:InvokeFunction", "arn:aws:lambda:eu-west-1:1:function:stock", "nobody may call another function"),
        ("sqs:SendMessage", there(f"sqs:{HERE}:shop-EscalationQueue-1"), "could be, on EscalationQueue"),
        ("lambda:InvokeFunction", there(f"lambda:{HERE}:function:x-ExecutorFunction-1"), "ExecutorFunction"),
        ("dynamodb:GetItem", {"Ref": "Mine"}, "write !GetAtt Mine.Arn"),
        ("dynamodb:GetItem", "shop", "something else than arn:"),
    ],
)
def test_a_statement_that_no_tool_may_have_is_an_error_with_its_place(action: str, resource: Any, says: str) -> None:
    [found] = of_statement(action, resource)

    assert (found.level, found.file, found.field, says in found.problem) == ("error", "business.yaml", "Planted", True)
    assert found.remedy


def test_everything_but_some_actions_is_an_error() -> None:
    [found] = of_statement(None, ARN, NotAction="iam:*")

    assert (found.level, "It allows *" in found.problem) == ("error", True)


@pytest.mark.parametrize(
    ("action", "resource"),
    [
        (["dynamodb:GetItem", "dynamodb:Query"], [ARN, {"Fn::Sub": "${Mine.Arn}/index/*"}]),
        ("secretsmanager:GetSecretValue", {"Ref": "Secret"}),
        ("dynamodb:GetItem", there(f"dynamodb:{HERE}:table/${{Table}}")),
        ("ssm:GetParametersByPath", there(f"ssm:{HERE}:parameter/shop/*")),
        ("sqs:SendMessage", "arn:aws:sqs:eu-west-1:111122223333:orders"),
        ("s3:GetObject", {"Fn::ImportValue": "Bucket"}),
    ],
)
def test_what_the_docs_call_yours_is_not_blamed(action: Any, resource: Any) -> None:
    assert of_statement(action, resource) == []


def either(one: Any, other: Any, condition: str = "IsLive") -> dict[str, Any]:
    return {"Fn::If": [condition, one, other]}


BUCKET = "arn:aws:s3:::shop/*"
STREAM = {"Fn::GetAtt": ["Mine", "StreamArn"]}


@pytest.mark.parametrize(
    ("action", "resource", "found"),
    [
        ("dynamodb:GetItem", either([ARN], [ARN, {"Fn::Sub": "${Mine.Arn}/index/*"}]), []),
        ([either("dynamodb:GetItem", ["dynamodb:Query"]), "dynamodb:PutItem"], [either(ARN, [ARN])], []),
        ("dynamodb:GetItem", [ARN, either({"Ref": "AWS::NoValue"}, ARN)], []),
        # each side is judged, and those of one condition with each other alone
        (either("dynamodb:GetItem", "dynamodb:DeleteTable"), ARN, [("error", "dynamodb:DeleteTable")]),
        ("dynamodb:GetItem", either(ARN, either(ARN, "*", "Other")), [("error", "on everything")]),
        (either("dynamodb:GetItem", "s3:GetObject"), either(ARN, BUCKET), []),
        (either("dynamodb:GetItem", "s3:GetObject"), either(BUCKET, ARN), [("error", "s3"), ("error", "dynamodb")]),
        # what cannot be read may be right
        ("dynamodb:GetItem", {"Fn::FindInMap": ["A", "B", "C"]}, [("warning", "cannot be read")]),
        (["dynamodb:GetItem", {"Ref": "Table"}], ARN, [("warning", "Which actions it allows")]),
        ({"Fn::Join": [":", ["dynamodb", "GetItem"]]}, ARN, []),
        # a wildcard stands for the actions that are on that kind of resource
        ("dynamodb:Get*", ARN, []),
        ("dynamodb:?et*", [ARN, {"Fn::Sub": "${Mine.Arn}/index/*"}], []),
        ("dynamodb:Get*", STREAM, []),
        ("dynamodb:Update*", {"Fn::Sub": "${Mine.Arn}/index/*"}, []),
        ("dynamodb:Update*", ARN, [("error", "stands for dynamodb:update")]),
        ("dynamodb:Get*", there(f"dynamodb:{HERE}:table/other/stream/*"), []),
        ("kms:Sign", "arn:aws:kms:eu-west-1:1:key/x", [("error", "may sign a person's answer")]),
    ],
)
def test_a_side_of_a_condition_and_a_wildcard_are_judged_by_what_they_stand_for(
    action: Any, resource: Any, found: list[tuple[str, str]]
) -> None:
    made = of_statement(action, resource)

    assert [one.level for one in made] == [level for level, _ in found], made
    assert all(says in one.problem for one, (_, says) in zip(made, found, strict=True)), made


def test_a_function_of_servers_may_be_called_by_its_arn() -> None:
    assert of_statement("lambda:InvokeFunction", "arn:aws:lambda:eu-west-1:1:function:stock", calls=True) == []
    assert of_statement("lambda:UpdateFunctionCode", "arn:aws:lambda:eu-west-1:1:function:stock", calls=True)


def test_an_action_that_has_no_resource_is_a_warning_on_everything() -> None:
    [found] = of_statement("textract:AnalyzeDocument", "*")

    assert found.level == "warning"


def test_roles_and_policies_of_others_and_bare_tables_are_told() -> None:
    trust = {"Statement": [{"Effect": "Allow", "Principal": {"AWS": "*"}, "Action": "sts:AssumeRole"}]}
    reads = {"PolicyDocument": policy("dynamodb:GetItem", "*")["Properties"]["PolicyDocument"]}
    role = {"Type": "AWS::IAM::Role", "Properties": {"AssumeRolePolicyDocument": trust, "Policies": [reads]}}
    astray = policy("dynamodb:GetItem", ARN)
    astray["Properties"]["Roles"] = [{"Ref": "Other"}, "acme-reports"]
    of_other = policy("dynamodb:GetItem", ARN)
    of_other["Properties"]["Roles"] = [{"Ref": "Other"}]
    bare = {"Type": "AWS::DynamoDB::Table"}
    resources = {"Mine": TABLE, "Other": role, "ToolsPolicy": astray, "OfOther": of_other, "Bare": bare}

    found = [(one.level, one.field) for one in breaches({"Resources": resources}, "business.yaml", calls=False)]

    assert sorted(found) == [
        *(("error", "Planted"), ("hint", "Bare"), ("hint", "Bare")),
        *(("warning", "Other"), ("warning", "ToolsPolicy")),
    ]


MAPPING = {"Type": "AWS::Lambda::EventSourceMapping", "Properties": {"EventSourceArn": ARN}}


@pytest.mark.parametrize(
    ("other", "roles", "is_told"),
    [
        (None, [], True),
        (TABLE, [], True),
        (MAPPING, [], False),
        (policy("dynamodb:GetItem", ARN), [{"Ref": "Other"}], False),
        (policy("dynamodb:DeleteTable", ARN, Effect="Deny"), [{"Ref": "ExecutorRole"}], True),
    ],
)
def test_a_table_is_of_use_to_the_tools_or_to_another_resource(
    other: dict[str, Any] | None, roles: list[Any], is_told: bool, tmp_path: Path
) -> None:
    resources = {"Mine": TABLE}
    if other is not None:
        resources["Its"] = {**other, "Properties": {**other["Properties"], "Roles": roles}}

    found = [*rights(Code(tmp_path), {"Resources": resources}, {}, "business.yaml")]

    assert ["Mine" in one.field for one in found if one.level == "warning"].count(True) == is_told


def project(folder: Path, code: str, requirements: str | None = None) -> list[tuple[str, str, str]]:
    (folder / "desk" / "tools").mkdir(parents=True)
    (folder / "desk" / "agent.yaml").write_text("name: desk\n")
    (folder / "desk" / "tools" / "one.py").write_text(code)
    (folder / "own.py").write_text("")
    (folder / "vendor").mkdir()
    for name in ("httpx-0.28.1-py3-none-any.whl", "all.tar.gz"):
        (folder / "vendor" / name).write_text("")
    if requirements is not None:
        (folder / "requirements.txt").write_text(requirements)
    return [(one.level, Path(one.file).name.replace(", ", " "), one.field) for one in packages(folder)]


LINE_1 = "one.py line 1"
HASH = "--hash=sha256:" + "0" * 64
HTTPX = "httpx==0.28.1\nanyio==4.0\ncertifi==2026.1.1\nhttpcore==1.0.9\nidna==3.20\nh11==0.16.0\n"


@pytest.mark.parametrize(
    ("code", "requirements", "found"),
    [
        ("import moto\n", None, [("error", LINE_1, "moto")]),
        (
            "import httpcore\nimport httpcore\n",
            HTTPX.replace("httpcore==1.0.9\n", ""),
            [("error", LINE_1, "httpcore")],
        ),
        ("from moto.core import x\n", "# nothing\n", [("error", LINE_1, "moto")]),
        ("def f():\n    import httpx\n", None, [("error", "one.py line 2", "httpx")]),
        ("import cli.parser\n", None, [("error", LINE_1, "cli")]),
        ("import no_such\n", None, [("warning", LINE_1, "no_such")]),
        ("import httpx\n", "httpx\n" + HTTPX[14:], [("warning", "requirements.txt line 1", "httpx")]),
        (
            "import httpx\n",
            HTTPX.replace("idna==3.20\n", ""),
            [("warning", "requirements.txt", "idna")],
        ),
        ("import httpx\n", f"{HTTPX}===\n", [("error", "requirements.txt line 7", "")]),
        ("", "-r more.txt\n", [("error", "more.txt", "")]),
        ("import httpx\n", HTTPX, []),
        # a package that is not here may bring it under any name
        ("import no_such\n", f"surely-not-installed==1.0 \\\n    {HASH}\n", []),
        # pip installs nothing where one of several lines has no hash, or a hash is none
        (
            "",
            f"a==1 {HASH}\nb==1\nc==1 {HASH[:-2]}\n",
            [("error", "requirements.txt line 3", "c"), ("error", "requirements.txt line 2", "b")],
        ),
        ("", f"a==1 {HASH} {HASH}\nb==1\n{HASH}\n", [("error", "requirements.txt line 3", "")]),
        # Lambda's Python and machine decide about markers
        ("import no_such\n", "no_such==1 ; python_version < '3.9'\n", [("error", LINE_1, "no_such")]),
        ("import no_such\n", "no_such==1 ; python_version == '3.13' and platform_machine == 'aarch64'\n", []),
        ("", "no_such==1 ; sys_platform == 'win32'\n", []),
        # a line that is not for Lambda needs no hash, the end of an address is one, and a path names a wheel
        ("", f"a==1 {HASH}\nb==1 ; sys_platform == 'win32'\nc @ https://x.test/c.whl#sha256={HASH[14:]}\n", []),
        ("", f"a==1\nb==1 {HASH} ; sys_platform == 'win32'\n", [("error", "requirements.txt line 1", "a")]),
        ("", "\ufeffa==1\r\nb==2\r\n", []),
        ("import httpx\n", HTTPX.replace("httpx==0.28.1", "./vendor/httpx-0.28.1-py3-none-any.whl"), []),
        ("import httpx\n", "./vendor/all.tar.gz\n", [("warning", LINE_1, "httpx")]),
        # what the needed packages need, all at once
        (
            "import httpx\n",
            HTTPX.replace("httpcore==1.0.9\n", "").replace("h11==0.16.0\n", ""),
            [("warning", "requirements.txt", "httpcore"), ("warning", "requirements.txt", "h11")],
        ),
        # lines with which pip installs nothing, or another version than the tested one
        ("", "a==1\nA==1\n", []),
        ("", "a==1\nA==2\n", [("error", "requirements.txt line 2", "A")]),
        ("", f"./vendor\n./vendored\n{HTTPX}", [("error", "requirements.txt line 2", "")]),
        ("", "b @ file:vendored.whl\n", [("error", "requirements.txt line 1", "")]),
        ("", "git+https://x.test/y\n", [("warning", "requirements.txt line 1", "")]),
        ("", "a @ git+ssh://git@x.test/y.git@0a1b2c3\ngit+https://x.test/y@v1.2#egg=y\n", []),
        ("", HTTPX.replace("httpcore==1.0.9", "httpcore==0.9"), [("warning", "requirements.txt", "httpcore")]),
        ("import json, boto3, yaml, pydantic, aws_lambda_powertools, own\nfrom . import two\n", None, []),
        ("from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    import moto\n", None, []),
        (
            "from desk import two\nfrom desk.core import x\n",
            None,
            [("hint", LINE_1, "desk"), ("hint", "one.py line 2", "desk")],
        ),
        ("try:\n    import moto\nexcept ImportError:\n    moto = None\n", None, []),
    ],
)
def test_an_import_is_of_what_lambda_will_have(
    code: str, requirements: str | None, found: list[tuple[str, str, str]], tmp_path: Path
) -> None:
    assert project(tmp_path, code, requirements) == found


@pytest.mark.parametrize(
    ("requirements", "problem", "remedy"),
    [
        ("httpx\n", "httpx has no version", "Pin it: httpx=="),
        ("httpx~=0.1.0\n", "httpx~=0.1.0 is a range", "Pin one version of it: httpx==VERSION"),
        ("httpx==0.1.*\n", "httpx==0.1.* is a range", "Pin one version of it: httpx==VERSION"),
        ("httpx>=0.1\n", "httpx>=0.1 is a range", "Pin one version of it: httpx==0."),
        (f"httpx>=0.1 {HASH}\n", "httpx>=0.1 is a range", f"Make the file anew {_WITH_HASHES}"),
        (f"a==1 {HASH}\nhttpx==0.28.1\n", "httpx has no hash", f"Make the file anew {_WITH_HASHES}"),
        (HTTPX.replace("idna==3.20\n", ""), "anyio and httpx need idna", "Add the line idna=="),
        (HTTPX[14:].replace("idna==3.20\n", ""), "anyio needs idna", "Add the line idna=="),
        (f"httpcore==1.0.9 {HASH}\ncertifi==2026.1.1 {HASH}\n", "httpcore needs h11", "Make requirements.txt anew"),
    ],
)
def test_what_to_do_with_a_line_fits_the_file_that_it_is_in(
    requirements: str, problem: str, remedy: str, tmp_path: Path
) -> None:
    project(tmp_path, "", requirements)

    [found, *_] = packages(tmp_path)

    assert found.problem.startswith(problem)
    assert found.remedy.replace(f"{tmp_path}/", "").startswith(remedy)


def test_constraints_say_versions_and_hashes_and_bring_no_package(tmp_path: Path) -> None:
    (tmp_path / "pins").mkdir()
    (tmp_path / "pins" / "all.txt").write_text("--constraint more.txt\n-c all.txt\na==1\nhttpx==0.28.1\n")
    (tmp_path / "pins" / "more.txt").write_text(f"b==2 {HASH}\n")

    found = project(tmp_path, "import httpx\n", f"-c pins/all.txt\na {HASH}\nb\nc\n")

    of_c = [("warning", "requirements.txt line 4", "c"), ("error", "requirements.txt line 4", "c")]
    assert found == [*of_c, ("error", LINE_1, "httpx")]


def test_what_the_store_imports_counts_where_a_tool_takes_it(tmp_path: Path) -> None:
    assert project(tmp_path, "from ..other import x\n") == []
    (tmp_path / "desk" / "store.py").write_text("import moto\n")
    assert [*packages(tmp_path)] == []

    (tmp_path / "desk" / "tools" / "one.py").write_text("from ..store import x\n")

    assert [one.field for one in packages(tmp_path)] == ["moto"]


def test_servers_need_a_version_that_the_platform_goes_with(tmp_path: Path) -> None:
    project(tmp_path, "", "jsonschema-rs==0.1.0\n")
    (tmp_path / "desk" / "servers").mkdir()
    (tmp_path / "desk" / "servers" / "idp.yaml").write_text("{}\n")

    assert [(one.level, one.field) for one in packages(tmp_path)] == [("warning", "jsonschema-rs")]


def test_servers_need_the_package_that_checks_their_arguments(tmp_path: Path) -> None:
    project(tmp_path, "")
    (tmp_path / "desk" / "servers").mkdir()
    (tmp_path / "desk" / "servers" / "one.yaml").write_text("kind: mcp\n")

    [found] = packages(tmp_path)

    assert (found.level, found.field) == ("error", "jsonschema-rs")
    assert found.remedy.startswith("Add the line jsonschema-rs==0.")


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("project") / "sounddesk"
    write("sounddesk", made)
    return made


def changed(sound: Path, tmp_path: Path, name: str, change: Callable[[str], str]) -> Path:
    shutil.copytree(sound, tmp_path / "sounddesk", ignore=shutil.ignore_patterns("__pycache__"))
    file = tmp_path / "sounddesk" / name
    file.parent.mkdir(exist_ok=True)
    file.write_text(change(file.read_text() if file.is_file() else ""))
    return tmp_path / "sounddesk"


def test_names_that_cloudformation_does_not_have_are_told(sound: Path, tmp_path: Path) -> None:
    def change(text: str) -> str:
        text = text.replace("[TablesAreProtected,", "[TablesProtected,").replace('"${AccountsTable}"', '"${Account}"')
        text = text.replace("dynamodb:UpdateItem", "dynamodb:UpdateItme").replace(
            "GetAtt AccountsTable.Arn", "GetAtt X.Arn"
        )
        text = text.replace("KeySchema: [{AttributeName: account_id", "KeySchema: [{AttributeName: account")
        return text.replace("Resources:\n", "Resources:\n  Odd: {Type: 'AWS::SecretManager::Secret'}\n", 1)

    found = [*lint(changed(sound, tmp_path, "business.yaml", change) / "business.yaml")]

    told = {(one.level, one.remedy.partition("(")[2].partition(" ")[0]) for one in found}
    assert {("error", one) for one in ("E1028", "E6101", "E3006", "E1010", "E3039")} | {("warning", "W3037")} <= told
    assert "nearest is 'updateitem'" in " ".join(one.problem for one in found)


def test_the_templates_of_the_projects_here_are_sound() -> None:
    for file in (ROOT / "scaffold", ROOT / "examples" / "itdesk", ROOT):
        assert [*lint(file / "business.yaml")] == []


def errors(folder: Path) -> list[tuple[str, str]]:
    found = checked(folder, today=TODAY).findings
    return [(Path(one.file).name, one.problem) for one in found if one.level == "error"]


STAND_INS = """from contextlib import contextmanager


@contextmanager
def stand_ins():
    yield {"DOORS_URL": "http://127.0.0.1:1"}
"""


@pytest.mark.parametrize(
    ("name", "change", "where", "says"),
    [
        ("scenarios/stand_ins.py", lambda _: STAND_INS.replace("ins():", "ins(:"), "stand_ins.py, line 5", "Syntax"),
        ("scenarios/stand_ins.py", lambda _: "import no_such\n", "stand_ins.py, line 1", "cannot be imported"),
        ("scenarios/stand_ins.py", lambda _: "x = 1\n", "stand_ins.py", "has no function stand_ins"),
        ("scenarios/stand_ins.py", lambda _: STAND_INS, "stand_ins.py, line 6", "business.yaml does not give"),
        ("scenarios/stand_ins.py", lambda _: "stand_ins = FUNCTIONS = print", "stand_ins.py", "must be handlers"),
        ("sounddesk/store/__init__.py", lambda text: f"{text}\nif x\n", "__init__.py, line", "Syntax"),
        (
            "sounddesk/store/__init__.py",
            lambda text: text.replace("def seed_store", "def seed"),
            "__init__.py",
            "has no",
        ),
        ("sounddesk/store/__init__.py", lambda text: text.replace("seed: int", "sed: int"), "__init__.py", "be called"),
    ],
)
def test_a_store_and_stand_ins_that_cannot_be_used_are_told(
    name: str, change: Callable[[str], str], where: str, says: str, sound: Path, tmp_path: Path
) -> None:
    [(file, problem)] = errors(changed(sound, tmp_path, name, change))

    assert (where in file, says in problem) == (True, True), (file, problem)


def test_a_store_that_cannot_be_read_is_told_beside_a_tool_that_cannot(sound: Path, tmp_path: Path) -> None:
    folder = changed(sound, tmp_path, "sounddesk/store/__init__.py", lambda _: "def seed_store((\n")
    tool = folder / "sounddesk" / "tools" / "look_up_account.py"
    tool.write_text(f"{tool.read_text()}\nif x\n")

    assert {file.partition(",")[0] for file, _ in errors(folder)} == {"__init__.py", "look_up_account.py"}


def test_a_right_is_counted_for_the_table_that_the_code_uses(sound: Path, tmp_path: Path) -> None:
    def change(text: str) -> str:
        start, end = text.index("  AccountsTable:"), text.index("  # What the tools need")
        other = text[start:end].replace("AccountsTable", "OtherTable")
        return (text[:end] + other + text[end:]).replace("GetAtt AccountsTable.Arn", "GetAtt OtherTable.Arn")

    told = [problem for _, problem in errors(changed(sound, tmp_path, "business.yaml", change))]

    assert told
    assert all("needs this right on AccountsTable" in one for one in told)


GIVEN = "            Action: [dynamodb:GetItem, dynamodb:UpdateItem]\n            Resource: !GetAtt AccountsTable.Arn\n"
CHANGE = "{Effect: Allow, Action: dynamodb:UpdateItem, Resource: !GetAtt AccountsTable.Arn}"
UNDER_IF = f"""            Action: [dynamodb:GetItem]
            Resource: !GetAtt AccountsTable.Arn
          - !If [TablesAreProtected, {CHANGE}, {CHANGE}]
"""
RESOURCES = "Resources:\n"
MORE = """

def more(ctx: ToolContext, **words: Any) -> None:
    {}


MORE = [more]
"""
OUTPUT = """!Sub '{"ACCOUNTS_TABLE": "${AccountsTable}"}'"""
NAMED = "arn:${AWS::Partition}:dynamodb:${AWS::Region}:${AWS::AccountId}:table/${AWS::StackName}-accounts"
QUERY = 'ctx.client("dynamodb").query(TableName=accounts_table(ctx.environ), IndexName="by-owner")'
SETTINGS = 'return cls(**{name: environ[name.upper()] for name in ("accounts_table",)})'


def statement(action: str, resource: str) -> tuple[str, str]:
    return (GIVEN, f"{GIVEN}          - {{Effect: Allow, Action: '{action}', Resource: {resource}}}\n")


def told(sound: Path, tmp_path: Path, change: tuple[str, str] | None, line: str = "") -> list[tuple[str, str]]:
    def changed_text(text: str) -> str:
        assert change is None or change[0] in text
        return text if change is None else text.replace(*change)

    folder = changed(sound, tmp_path, "business.yaml", changed_text)
    code = folder / "sounddesk" / "accounts.py"
    code.write_text(code.read_text() + (MORE.format(line) if line else ""))
    return sorted((one.level, one.field) for one in checked(folder, today=TODAY).findings if one.level != "hint")


@pytest.mark.sampled(4)
@pytest.mark.parametrize(
    ("change", "line"),
    [
        ((GIVEN, UNDER_IF), ""),
        ((OUTPUT, """!Join ['', ['{"ACCOUNTS_TABLE": "', !Ref AccountsTable, '"}']]"""), ""),
        (statement("dynamodb:Query", '!Join ["/", [!GetAtt AccountsTable.Arn, index, by-owner]]'), QUERY),
        (statement("dynamodb:Query", "!Sub '${AccountsTable.Arn}/index/by-*'"), QUERY),
        (statement("iot:Publish", "!Sub 'arn:${AWS::Partition}:iot:eu-west-1:1:topic/x'"), 'ctx.client("iot-data")'),
        (
            statement("geo:SearchPlaceIndexForText", "!Sub 'arn:${AWS::Partition}:geo:eu-west-1:1:place-index/x'"),
            'ctx.client("location").search_place_index_for_text(IndexName="x")',
        ),
        (None, 'ctx.client("sts").get_caller_identity()'),
        (None, 'ctx.client("rds").generate_db_auth_token(DBHostname="x", Port=1, DBUsername="y")'),
    ],
)
def test_a_right_in_any_form_that_gives_it_is_no_finding(
    change: tuple[str, str] | None, line: str, sound: Path, tmp_path: Path
) -> None:
    assert told(sound, tmp_path, change, line) == []


@pytest.mark.parametrize("crm", [', "CRM": "${C}"', "${C}"])
def test_what_only_aws_knows_is_no_finding(crm: str, sound: Path, tmp_path: Path) -> None:
    output = f"""!Sub ['{{"ACCOUNTS_TABLE": "${{AccountsTable}}"{crm}}}', {{C: !ImportValue x}}]"""
    effect = "            Effect: !If [TablesAreProtected, Allow, Allow]\n"
    folder = changed(
        sound,
        tmp_path,
        "business.yaml",
        lambda text: text.replace(OUTPUT, output).replace("            Effect: Allow\n", effect),
    )

    assert told(folder, tmp_path / "again", None, 'ctx.environ["CRM"]') == []


@pytest.mark.parametrize(
    ("change", "line", "found"),
    [
        ((GIVEN, UNDER_IF.replace("UpdateItem", "PutItem")), "", [("error", "dynamodb:UpdateItem")]),
        (
            statement("dynamodb:Query", '!Join ["/", [!GetAtt AccountsTable.Arn, index, by-day]]'),
            QUERY,
            [("error", "index/by-owner")],
        ),
        (None, 'ctx.client("iot-data")', [("error", "iot:…")]),
        (None, 'ctx.client("sts").assume_role()', [("error", "sts:AssumeRole")]),
        # what names ExecutorRole and gives no right hides none that is missing; what nobody can read may give it
        (
            (
                RESOURCES,
                RESOURCES + "  P: {Type: AWS::SSM::Parameter, Properties: {Type: String, Value: !Ref ExecutorRole}}\n",
            ),
            'ctx.client("iot-data")',
            [("error", "iot:…")],
        ),
        (
            (
                RESOURCES,
                RESOURCES + "  Cu: {Type: Custom::X, Properties: {ServiceToken: x, Role: !Ref ExecutorRole}}\n",
            ),
            'ctx.client("iot-data")',
            [("warning", "Cu")],
        ),
        # a resource that cannot be read is one finding, and hides no other
        (
            (RESOURCES, RESOURCES + "  Fn::Transform: {Name: AWS::Include, Parameters: {Location: s3://x/y}}\n"),
            'ctx.client("iot-data")',
            [("error", "iot:…"), ("warning", "Fn::Transform")],
        ),
        (
            (OUTPUT, """!Join ['', ['{"ACCOUNT_TABLE": "', !Ref AccountsTable, '"}']]"""),
            "",
            [("error", "ACCOUNTS_TABLE"), ("warning", "Outputs.Environment ACCOUNT_TABLE")],
        ),
    ],
)
def test_a_right_that_no_form_gives_is_still_told(
    change: tuple[str, str] | None, line: str, found: list[tuple[str, str]], sound: Path, tmp_path: Path
) -> None:
    assert told(sound, tmp_path, change, line) == found


def test_what_a_loop_may_make_is_not_known_and_blamed_for_nothing_else(sound: Path, tmp_path: Path) -> None:
    loop = '  "Fn::ForEach::Q": [N, [A, B], {"${N}Queue": {Type: AWS::SQS::Queue}}]\n'
    given, statements = statement("sqs:SendMessage", "!GetAtt AQueue.Arn")

    def change(text: str) -> str:
        text = text.replace(given, statements).replace(RESOURCES, RESOURCES + loop, 1)
        return f"Transform: AWS::LanguageExtensions\n{text}"

    found = [one for one in template(changed(sound, tmp_path, "business.yaml", change)) if one.level != "hint"]

    assert [(one.level, one.field) for one in found] == [("warning", ""), ("warning", "Fn::ForEach::Q")]
    assert {one.remedy for one in found} == {"Write the resources out, each with its Type and its Properties."}


def test_a_table_with_a_name_of_its_own_is_named_by_a_written_arn(sound: Path, tmp_path: Path) -> None:
    def change(text: str) -> str:
        named = "    Properties:\n      TableName: !Sub '${AWS::StackName}-accounts'\n      Attr"
        text = text.replace("    Properties:\n      Attr", named)
        return text.replace("Resource: !GetAtt AccountsTable.Arn", f"Resource: !Sub '{NAMED}'")

    found = checked(changed(sound, tmp_path, "business.yaml", change), today=TODAY).findings

    assert [one for one in found if one.field == "AccountsTable" and one.level != "hint"] == []


def test_a_variable_that_a_settings_model_reads_is_not_to_be_removed(sound: Path, tmp_path: Path) -> None:
    def change(text: str) -> str:
        assert 'return environ["ACCOUNTS_TABLE"]' in text
        return text.replace('environ["ACCOUNTS_TABLE"]', "Names.of(environ)") + (
            f"\n\nclass Names:\n    @classmethod\n    def of(cls, environ: Any) -> Any:\n        {SETTINGS}\n"
        )

    found = checked(changed(sound, tmp_path, "sounddesk/accounts.py", change), today=TODAY).findings

    assert [one.field for one in found if one.field.startswith("Outputs.Environment")] == []
    assert [one.field for one in found if "Which variable is read" in one.problem] == ["environ"]


def test_an_action_without_a_resource_is_told_once_and_truly(sound: Path, tmp_path: Path) -> None:
    change = statement("cloudwatch:PutMetricData", "'*'")

    found = told(sound, tmp_path, change, 'ctx.client("cloudwatch").put_metric_data()')

    assert [level for level, _ in found] == ["warning"]
    [said] = of_statement("cloudwatch:PutMetricData", "*")
    assert "IAM knows no resource for" in said.problem
    assert "tables" not in said.problem


@pytest.mark.parametrize(
    ("name", "slash", "remedy"),
    [("/hotel/rate", "/", "parameter${Rate}"), ("rate", "", "parameter/${Rate}"), ("/rate", "", ""), ("rate", "/", "")],
)
def test_the_slash_before_a_parameters_name_is_counted(name: str, slash: str, remedy: str) -> None:
    rate = {"Type": "AWS::SSM::Parameter", "Properties": {"Name": name}}
    tools_policy = policy("ssm:GetParameter", there(f"ssm:{HERE}:parameter{slash}${{Rate}}"))

    found = [*breaches({"Resources": {"Rate": rate, "ToolsPolicy": tools_policy}}, "business.yaml", calls=False)]

    assert [(one.level, one.remedy) for one in found] == ([("error", f"Write `{remedy}`.")] if remedy else [])


@pytest.mark.parametrize(
    ("functions", "told"),
    [
        ('FUNCTIONS = {"stok": handler}', True),
        ("", True),
        ('FUNCTIONS = {"stock": handler}', False),
        ('FUNCTIONS = {"STOCK": handler}', False),
        ("FUNCTIONS = {NAME: handler}", False),
        ('FUNCTIONS = {}\nFUNCTIONS["stock"] = handler', False),
    ],
)
def test_a_declared_function_without_a_handler_is_told(functions: str, told: bool, tmp_path: Path) -> None:
    (tmp_path / "desk").mkdir()
    (tmp_path / "scenarios").mkdir()
    (tmp_path / "desk" / "agent.yaml").write_text("name: desk\n")
    (tmp_path / "scenarios" / "stand_ins.py").write_text(f"{functions}\n")
    declare(tmp_path / "desk", "notes", {"kind": "lambda", "function": {"env": "STOCK"}}, notes_tools({}))
    arn = "arn:aws:lambda:eu-west-1:111122223333:function:stock"

    found = [(one.level, one.field) for one in unanswered(tmp_path, {"STOCK": arn})]

    assert found == ([("warning", "FUNCTIONS")] if told else [])
    assert not [*unanswered(tmp_path, {"STOCK": "${Stock}"})]  # what it will be called is not known here
