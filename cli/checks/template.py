"""Findings about business.yaml: variables and rights, against what the playbook's code names."""

import json
import re
from collections.abc import Iterator, Mapping
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

from ballast.errors import InvalidInput, PlaybookInvalid, SettingInvalid
from ballast.playbook.certificate import uncovered
from ballast.playbook.context import tools_environ
from ballast.playbook.load import playbook_in
from ballast.playbook.servers.checks import read_declaration, why_no_url
from ballast.playbook.servers.declaration import LambdaServer
from cli.checks import Finding
from cli.checks.code import Code
from cli.checks.lint import lint
from cli.checks.loading import finding_of
from cli.checks.standing import yielded
from cli.checks.statements import breaches
from localcloud.cloud import ROOT
from localcloud.project import (
    BUSINESS,
    BUSINESS_TEMPLATE,
    business_of,
    business_templates,
    project_of,
    template_parameters,
)
from localcloud.template import TemplateInvalid, load_template

_IN_SUB = re.compile(r"\$\{([A-Za-z0-9:]+)(\.[A-Za-z0-9.]+)?\}")
#: Service names of boto3 whose prefix in IAM is another one.
_PREFIX = {"sesv2": "ses", "stepfunctions": "states", "bedrock-agent-runtime": "bedrock"}
#: Variables that Lambda's own runtime gives, or that are settings of Python and Powertools.
_OF_THE_RUNTIME = re.compile(r"(AWS|LAMBDA|POWERTOOLS|LC)_.*|PYTHON.*|HOME|LANG|LD_LIBRARY_PATH|PATH|PWD|TMPDIR|TZ|_.*")


def template(folder: Path) -> Iterator[Finding]:
    """Yield variables and rights that the code needs and does not get, and rights that it does not need.

    Of each template that is deployed, and of business.yaml, with which runs are played here.
    """
    own, project = business_of(folder), project_of(folder)
    try:
        named = business_templates(folder)
        for why in uncovered(project):
            yield finding_of(str(project), why)
    except InvalidInput as problem:
        named = []
        yield finding_of(str(project), str(problem))
    files = dict.fromkeys([*([own.resolve()] if own is not None else []), *named])
    for file in files or [None]:
        yield from _of_template(folder, file)
        yield from lint(file) if file is not None else ()


def _of_template(folder: Path, own: Path | None) -> Iterator[Finding]:
    """Yield the findings about one template of the business; None: the platform's own."""
    code, parameters = Code(playbook_in(folder.resolve())), template_parameters(folder)
    parameters |= {BUSINESS_TEMPLATE: str(own)} if own is not None else {}
    file = str(own or ROOT / BUSINESS)
    try:
        whole = load_template(ROOT / "template.yaml", parameters)
        business = load_template(Path(parameters.get(BUSINESS_TEMPLATE, ROOT / BUSINESS)))
    except TemplateInvalid as problem:
        remedy = "Correct business.yaml: it has the parameters Stage and ExecutorRole, and the output Environment."
        yield Finding("error", file, "", f"The template cannot be put together: {problem}", remedy)
        return
    variables = whole["Resources"]["ExecutorFunction"]["Properties"]["Environment"]["Variables"]
    environment: dict[str, str] = {}
    try:
        environment = _environment(variables)
    except SettingInvalid as problem:
        yield Finding("error", file, "Outputs.Environment", str(problem), "Correct the output.")
        return
    yield from _missing_variables(code, {*environment, *variables}, own)
    yield from _unfollowed(code)
    for name, place in yielded(folder):
        if name not in environment:
            said = f"The stand-ins lead to {name}, which business.yaml does not give to the tools: nothing is played."
            yield Finding("error", place, name, said, "Correct the name, or add it to the output Environment.")
    if own is not None:
        yield from _urls(playbook_in(folder.resolve()), environment, file)
        yield from _unread_variables(code, environment, file)
        yield from _rights(code, business, file)
        yield from _rights_to_tables(code, business, environment, file)
        yield from breaches(business, file, calls=_calls_functions(playbook_in(folder.resolve())))


def _calls_functions(playbook: Path) -> bool:
    """Return whether a server of servers/ is a function, which the executor then has to call."""
    for declared in (playbook / "servers").glob("*.yaml"):
        try:
            if isinstance(read_declaration(declared).server, LambdaServer):
                return True
        except PlaybookInvalid:
            continue  # loading the playbook says why
    return False


def _environment(variables: Mapping[str, Any]) -> dict[str, str]:
    """Return the names in TOOLS_ENVIRONMENT, each with the logical id in its value. Raises ``SettingInvalid``."""
    made = variables.get("TOOLS_ENVIRONMENT", "")
    if isinstance(made, dict) and "Fn::Sub" in made:
        text = made["Fn::Sub"] if isinstance(made["Fn::Sub"], str) else made["Fn::Sub"][0]
    elif isinstance(made, str):
        text = made
    else:  # such as Fn::ToJsonString: what it will be is not known here
        inside = made.get("Fn::ToJsonString", {}) if isinstance(made, dict) else {}
        text = json.dumps(dict.fromkeys(inside, ""))
    given = {name: str(value) for name, value in variables.items() if name != "TOOLS_ENVIRONMENT"}
    found = tools_environ({**given, "TOOLS_ENVIRONMENT": text})
    return {name: value for name, value in found.items() if name not in given and name != "TOOLS_ENVIRONMENT"}


def _missing_variables(code: Code, given: set[str], own: Path | None) -> Iterator[Finding]:
    where = f"of {own}" if own else f"of a {BUSINESS} in the project; `ballast new` writes one that shows how"
    for name, place in code.needed.items():
        if name not in given:
            yield Finding(
                "error",
                place,
                name,
                "The code reads this variable, and nothing gives it to the tools.",
                f'Add "{name}": "${{…}}" to the output Environment {where}.',
            )
    for name, place in code.asked_for.items():
        if name not in given and not _OF_THE_RUNTIME.fullmatch(name):
            yield Finding(
                "warning",
                place,
                name,
                "The code looks for this variable, and nothing gives it to the tools, so it is never there.",
                f'Correct the name, remove it, or add "{name}": "${{…}}" to the output Environment {where}.',
            )


def _unfollowed(code: Code) -> Iterator[Finding]:
    """Yield the places at which the code names a variable or a service that only a run knows."""
    for place, what in code.unfollowed.items():
        of = "Which service is called" if "client" in what else "Which variable is read"
        yield Finding(
            "hint",
            place,
            what,
            f"{of} cannot be known here: its name is not written out. A check says nothing of it.",
            'Write the name out where it is used, as in ctx.environ["TABLE"] and ctx.client("s3"), or test this place.',
        )


def _urls(playbook: Path, environment: Mapping[str, str], file: str) -> Iterator[Finding]:
    """Yield the URLs in business.yaml at which no server of servers/ is ever called. One with ${…} is not known."""
    for declared in sorted((playbook / "servers").glob("*.yaml")):
        try:
            server = read_declaration(declared).server
        except PlaybookInvalid:
            continue  # loading the playbook says why
        if isinstance(server, LambdaServer):
            continue
        url = server.url
        if url is None or isinstance(url, str) or "${" in environment.get(url.env, "${"):
            continue
        if wrong := why_no_url(environment[url.env], private=server.private):
            yield Finding(
                "error",
                file,
                f"Outputs.Environment {url.env}",
                f"It is the URL of servers/{declared.name}, and {wrong[0].lower()}{wrong[1:]}",
                f"Correct it, or the server in servers/{declared.name}.",
            )


def _unread_variables(code: Code, environment: Mapping[str, str], file: str) -> Iterator[Finding]:
    for name in environment:
        if _OF_THE_RUNTIME.fullmatch(name) and not name.startswith("_"):
            said = "Lambda's runtime, or Python, has a variable of this name: a tool would take one for the other."
            yield Finding("warning", file, f"Outputs.Environment {name}", said, "Give it another name, or remove it.")
        elif name not in code.named:
            yield Finding(
                "warning",
                file,
                f"Outputs.Environment {name}",
                "No code of the playbook names this variable.",
                "Remove it: a variable is a right to know a name.",
            )


def _rights(code: Code, business: Mapping[str, Any], file: str) -> Iterator[Finding]:
    statements = list(_statements(business))
    tables = [name for name, one in business["Resources"].items() if one["Type"].startswith("AWS::DynamoDB::")]
    for action, place in code.dynamodb.items():
        if tables and not any(_allows(one, f"dynamodb:{action}") for one in statements):
            yield Finding(
                "error",
                place,
                f"dynamodb:{action}",
                f"The code needs this right, and no statement of {file} gives it.",
                "Add it to ToolsPolicy, for the table that the code uses.",
            )
    for table in tables:
        if not any(table in _named(one.get("Resource")) for one in statements):
            yield Finding(
                "warning",
                file,
                table,
                "No statement of ToolsPolicy names this table: no tool can use it.",
                f"Add a statement with the actions that the tools need, and Resource: !GetAtt {table}.Arn.",
            )
    for index, place in code.indexes.items():
        if not any(_allows(one, "dynamodb:Query") and _reaches(one, index) for one in statements):
            yield Finding(
                "error",
                place,
                f"index/{index}",
                f"The code queries this index, and no statement of {file} gives the right to it; that to its table "
                "is not enough.",
                f'Allow dynamodb:Query on !Sub "${{….Arn}}/index/{index}".',
            )
    for service, place in code.services.items():
        prefix = _PREFIX.get(service, service)
        if service != "dynamodb" and not any(_touches(one, prefix) for one in statements):
            yield Finding(
                "error",
                place,
                f"{prefix}:…",
                f"The code has a client of {service}, or a server signs for it, and no statement of {file} gives a "
                "right to it.",
                "Add the actions that the tool calls to ToolsPolicy, for that one resource.",
            )
    for action, place in code.actions.items():
        if not any(_allows(one, action) for one in statements):
            yield Finding(
                "error",
                place,
                action,
                f"The server that it declares needs this right, and no statement of {file} gives it.",
                "Add it to ToolsPolicy, for the function or the secret that the declaration names.",
            )
    yield from _too_much(code, statements, file)


def _rights_to_tables(
    code: Code, business: Mapping[str, Any], environment: Mapping[str, str], file: str
) -> Iterator[Finding]:
    """Yield actions that a call needs on one table and that the statements give for other ones alone."""
    statements, resources = list(_statements(business)), business["Resources"]
    for (action, variable), place in code.on_tables.items():
        named = re.fullmatch(r"\$\{(\w+)\}", environment.get(variable, ""))
        giving = [one for one in statements if _allows(one, f"dynamodb:{action}")]
        reached = [_named(part) & resources.keys() for one in giving for part in _parts(one.get("Resource"))]
        known = named is not None and named[1] in resources and all(reached)  # else a part may be any table
        if named is not None and known and giving and not any(named[1] in one for one in reached):
            yield Finding(
                "error",
                place,
                f"dynamodb:{action}",
                f"The code needs this right on {named[1]}, and the statements of {file} give it for others alone.",
                f"Add it to ToolsPolicy, with Resource: !GetAtt {named[1]}.Arn.",
            )


def _too_much(code: Code, statements: list[Mapping[str, Any]], file: str) -> Iterator[Finding]:
    for number, one in enumerate(statements, 1):
        name = str(one.get("Sid", f"statement {number}"))
        wide = [action for action in _listed(one.get("Action")) if action == "*" or action.endswith(":*")]
        if "*" in _listed(one.get("Resource")) or wide:
            yield Finding(
                "warning",
                file,
                name,
                f"It allows {', '.join(wide) or 'its actions'} on {'everything' if not wide else 'its resources'}: a "
                "tool that is misled could use all of it.",
                "Name the actions and the one resource.",
            )
        unused = [
            action
            for action in _listed(one.get("Action"))
            if re.fullmatch(r"dynamodb:[A-Za-z]+", action) and action.partition(":")[2] not in code.dynamodb
        ]
        if unused and code.dynamodb:
            yield Finding(
                "hint", file, name, f"No code of the playbook needs {', '.join(unused)}.", "Remove what is not needed."
            )


def _statements(business: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    for resource in business["Resources"].values():
        if resource["Type"] in ("AWS::IAM::Policy", "AWS::IAM::ManagedPolicy", "AWS::IAM::RolePolicy"):
            document = resource.get("Properties", {}).get("PolicyDocument", {})
            for one in _parts(document.get("Statement", [])):
                if isinstance(one, dict) and one.get("Effect") == "Allow":
                    yield one


def _parts(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def _listed(value: Any) -> list[str]:
    return [str(one) for one in _parts(value) if isinstance(one, str)]


def _allows(statement: Mapping[str, Any], action: str) -> bool:
    return any(fnmatchcase(action.lower(), one.lower()) for one in _listed(statement.get("Action")))


def _reaches(statement: Mapping[str, Any], index: str) -> bool:
    said = json.dumps(statement.get("Resource"))
    return f"/index/{index}" in said or "/index/*" in said or statement.get("Resource") == "*"


def _touches(statement: Mapping[str, Any], prefix: str) -> bool:
    services = (action.partition(":")[0].lower() for action in _listed(statement.get("Action")))
    return any(fnmatchcase(prefix, service) for service in services)


def _named(value: Any) -> set[str]:
    """Return the logical ids that a value refers to."""
    if isinstance(value, list):
        return set().union(*map(_named, value))
    if isinstance(value, str):
        return {found for found, _ in _IN_SUB.findall(value)}
    if isinstance(value, dict):
        found = set().union(*map(_named, value.values()))
        for key, part in value.items():
            if key in ("Ref", "Fn::GetAtt"):
                found.add((part if isinstance(part, str) else str(part[0])).partition(".")[0])
        return found
    return set()
