"""Findings about business.yaml: variables and rights, against what the playbook's code names."""

import json
import re
from collections.abc import Iterator, Mapping
from difflib import get_close_matches
from importlib.metadata import version
from pathlib import Path
from typing import Any

from ballast.errors import InvalidInput, PlaybookInvalid, SettingInvalid
from ballast.playbook.certificate import uncovered
from ballast.playbook.context import tools_environ
from ballast.playbook.load import playbook_in
from ballast.playbook.servers.checks import read_declaration, why_no_url
from ballast.playbook.servers.declaration import LambdaServer, SigV4Credential
from cli.checks import Finding, Level
from cli.checks.code import Code
from cli.checks.files import files_in
from cli.checks.lint import lint
from cli.checks.loading import finding_of
from cli.checks.operations import has_method, near_methods, services
from cli.checks.rights import rights
from cli.checks.standing import unanswered, yielded
from cli.checks.statements import breaches, platform
from cli.walls.arns import OPAQUE, Template, Unreadable, names
from localcloud.cloud import ROOT
from localcloud.project import (
    BUSINESS,
    BUSINESS_TEMPLATE,
    business_of,
    business_templates,
    project_of,
    template_parameters,
)
from localcloud.template import MadeLater, TemplateInvalid, load_template, unread_in, with_unread

#: Variables that Lambda's own runtime gives, or that are settings of Python and Powertools.
_OF_THE_RUNTIME = re.compile(r"(AWS|LAMBDA|POWERTOOLS|LC)_.*|PYTHON.*|HOME|LANG|LD_LIBRARY_PATH|PATH|PWD|TMPDIR|TZ|_.*")

_APART = "The template cannot be put together"
_WRITTEN_OUT = "Write the resources out, each with its Type and its Properties."
_PLACE = re.compile(rf"\$\{{([^}}]+)\}}|{OPAQUE}")
#: A text of a JSON document, and the colon where it is a name.
_JSON_TEXT = re.compile(r'("(?:[^"\\]|\\.)*")(\s*:)?')


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
        linted = [*lint(file)] if file is not None else []
        refused = any(one.level == "error" for one in linted)
        # What cfn-lint refuses it tells with its line: that nothing can be made of it then says no more.
        yield from (one for one in _of_template(folder, file) if not (refused and one.problem.startswith(_APART)))
        yield from linted


def _of_template(folder: Path, own: Path | None) -> Iterator[Finding]:
    """Yield the findings about one template of the business; None: the platform's own."""
    code, parameters = Code(playbook_in(folder.resolve())), template_parameters(folder)
    parameters |= {BUSINESS_TEMPLATE: str(own)} if own is not None else {}
    file = str(own or ROOT / BUSINESS)
    business, unread = None, dict[str, re.Pattern[str]]()
    try:
        business = load_template(Path(parameters.get(BUSINESS_TEMPLATE, ROOT / BUSINESS)))
        unread = unread_in(own) if own is not None else {}
        whole = load_template(ROOT / "template.yaml", parameters)
    except TemplateInvalid as problem:
        remedy = "Correct business.yaml: it has the parameters Stage and ExecutorRole, and the output Environment."
        remedy = _WRITTEN_OUT if isinstance(problem, MadeLater) else remedy
        said = f"{_APART}{' here' if unread else ''}: {problem}"
        yield Finding("warning" if unread else "error", file, "", said, remedy)
        whole = {}
    for name in unread:
        said = "What it makes is known at the deployment alone: nothing of it is checked, and the local cloud lacks it."
        yield Finding("warning", file, name, said, _WRITTEN_OUT)
    refused = list[Finding]()
    if business is not None and own is not None:
        refused += breaches(
            with_unread(business, unread, platform()["Resources"]),
            file,
            calls=_calls_functions(playbook_in(folder.resolve())),
        )
        yield from refused
    if business is None or not whole:
        return
    variables = whole["Resources"]["ExecutorFunction"]["Properties"]["Environment"]["Variables"]
    environment: dict[str, str] | None = None  # None: what it will be is not known here
    try:
        environment = _environment(whole, variables)
    except SettingInvalid as problem:
        yield Finding("error", file, "Outputs.Environment", str(problem), "Correct the output.")
        return
    if environment is not None:
        yield from _missing_variables(code, {*environment, *variables}, own)
    yield from _unfollowed(code)
    yield from _unknown_to_boto3(code)
    yield from _past_the_context(code, environment or {})
    for name, place in yielded(folder) if environment is not None else ():
        if environment is not None and name not in environment:
            said = f"The stand-ins lead to {name}, which business.yaml does not give to the tools: nothing is played."
            yield Finding("error", place, name, said, "Correct the name, or add it to the output Environment.")
    yield from unanswered(folder, environment or {})
    if own is not None:
        yield from _urls(playbook_in(folder.resolve()), environment or {}, file)
        yield from _unread_variables(code, environment or {}, file)
        told = {one.field for one in refused if one.level == "error"}
        needed = rights(code, business, environment or {}, file)
        yield from (one for one in needed if one.level != "warning" or one.file != file or one.field not in told)
        yield from _markers(code, business, environment or {})


def _calls_functions(playbook: Path) -> bool:
    """Return whether a server of servers/ is a function, or behind one's URL, which the executor then has to call."""
    for declared in files_in(playbook / "servers", "*.yaml"):
        try:
            server = read_declaration(declared).server
            signs = None if isinstance(server, LambdaServer) else server.credential
            if isinstance(server, LambdaServer) or (isinstance(signs, SigV4Credential) and signs.service == "lambda"):
                return True
        except PlaybookInvalid:
            return True  # loading the playbook says why; until it is read, the right may be the server's
    return False


def _environment(whole: Template, variables: Mapping[str, Any]) -> dict[str, str] | None:
    """Return the names in TOOLS_ENVIRONMENT, each with the text of its value; None if that cannot be read.

    A value that differs between stages is "${}". Raises ``SettingInvalid``.
    """
    given = {name: str(value) for name, value in variables.items() if name != "TOOLS_ENVIRONMENT"}
    made: dict[str, str] = {}
    try:
        for text in _environment_texts(whole, variables.get("TOOLS_ENVIRONMENT", "")):
            for name, value in _read_environment(whole, text, given).items():
                made[name] = value if made.get(name, value) == value else "${}"
    except Unreadable:
        return None
    return {name: value for name, value in made.items() if name not in given and name != "TOOLS_ENVIRONMENT"}


def _read_environment(whole: Template, text: str, given: Mapping[str, str]) -> Mapping[str, str]:
    """Return the variables in a text of TOOLS_ENVIRONMENT; a value that only AWS knows is "${}".

    Raises ``SettingInvalid`` where it is wrong whatever AWS puts in, and ``Unreadable`` where it may be right.
    """

    def put_in(place: re.Match[str]) -> str:
        known = place[1] is not None and (place[1].startswith("AWS::") or place[1].split(".")[0] in whole["Resources"])
        return place[0] if known else "${}"

    text = _PLACE.sub(put_in, text)
    try:
        return tools_environ({**given, "TOOLS_ENVIRONMENT": text})
    except SettingInvalid as problem:
        outside = "${}" in _JSON_TEXT.sub("", text)
        if outside or any("${}" in one and is_name for one, is_name in _JSON_TEXT.findall(text)):
            raise Unreadable(str(problem)) from None
        raise


def _environment_texts(whole: Template, made: Any) -> Iterator[str]:
    """Yield what the output Environment may be. Raises ``Unreadable``."""
    match made:
        case {"Fn::If": [_, one, other]}:
            yield from _environment_texts(whole, one)
            yield from _environment_texts(whole, other)
        case {"Fn::ToJsonString": dict(inside)}:
            for names_ in _keys(inside):
                yield json.dumps(dict.fromkeys(names_, ""))
        case {"Fn::Sub": [str(text), dict()]}:
            try:
                yield from [one.arn for one in names(whole, made)]
            except Unreadable:
                yield text
        case _:
            yield from [one.arn for one in names(whole, made)]


def _keys(inside: Mapping[str, Any]) -> Iterator[list[str]]:
    """Yield the keys of an object, of both sides of an ``Fn::If``. Raises ``Unreadable``."""
    match inside:
        case {"Fn::If": [_, dict(one), dict(other)]}:
            yield from _keys(one)
            yield from _keys(other)
        case _ if any(key == "Ref" or key.startswith("Fn::") for key in inside):
            raise Unreadable(json.dumps(inside)[:200])
        case _:
            yield [*inside]


def _missing_variables(code: Code, given: set[str], own: Path | None) -> Iterator[Finding]:
    where = f"of {own}" if own else f"of a {BUSINESS} in the project; `ballast new` writes one that shows how"
    for name, place in code.needed.items():
        if name not in given and not _OF_THE_RUNTIME.fullmatch(name):
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


def _past_the_context(code: Code, environment: Mapping[str, str]) -> Iterator[Finding]:
    """Yield variables of the output Environment that no process has, and clients that the context does not make."""
    levels: dict[bool | None, Level] = {True: "error", False: "warning", None: "hint"}
    for (name, place), is_certain in code.of_process.items():
        if name in environment:
            then = "this is a KeyError" if is_certain else "it is never there"
            said = f"The tools get it in ctx.environ, and os.environ does not have it: {then}."
            yield Finding(levels[is_certain], place, name, said, f'Read it by ctx.environ["{name}"].')
        elif name == "" and environment:
            said = f"os.environ is handed on, and has none of what the tools get: {', '.join(environment)}."
            yield Finding("hint", place, "os.environ", said, "Hand ctx.environ on, if these are read of it.")
    for (kind, service), place in code.of_boto3.items():
        said = f"boto3 makes this {kind} of {service}: it is led to AWS, also where a run is played on your laptop."
        remedy = f'Write ctx.client("{service}")'
        remedy += "." if kind == "client" else ", and call its operations: those of a resource have another form."
        yield Finding("hint", place, f"boto3 {service}", said, remedy)


def _unknown_to_boto3(code: Code) -> Iterator[Finding]:
    """Yield services and methods that are written out, and that boto3 does not have."""
    for service, place in code.clients.items():
        if service not in services():
            near = get_close_matches(service, services(), n=1)
            remedy = f'Write "{near[0]}".' if near else "Name a service as boto3 does."
            said = f"boto3 {version('boto3')} has no service of this name, so the call fails."
            yield Finding("error", place, service, said, remedy)
    for (service, method), place in code.calls.items():
        if service in services() and not has_method(service, method):
            near = near_methods(service, method)
            said = f"A client of {service} has no {method}, in boto3 {version('boto3')}: the call fails."
            yield Finding("error", place, method, said, f"Write {near[0]}." if near else "Correct the name.")


def _markers(code: Code, business: Mapping[str, Any], environment: Mapping[str, str]) -> Iterator[Finding]:
    """Yield keys under which ``write_once`` cannot mark a call in its table."""
    for (variable, key), place in code.markers.items():
        named = re.fullmatch(r"\$\{(\w+)\}", environment.get(variable, ""))
        table = business["Resources"].get(named[1], {}) if named is not None else {}
        schema = table.get("Properties", {}).get("KeySchema")
        if named is None or not isinstance(schema, list) or not all(isinstance(one, dict) for one in schema):
            continue
        keys = [str(one.get("AttributeName")) for one in schema]
        if any("{" in one for one in keys) or keys == [key]:
            continue
        remedy = f'Write key="{keys[0]}".' if len(keys) == 1 else "Name a table whose key is one attribute."
        said = f"The key of {named[1]} is {' and '.join(keys)}, and not {key}: DynamoDB refuses each call."
        yield Finding("error", place, "key", said, remedy)


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
    for service, place in code.unfollowed_clients.items():
        yield Finding(
            "hint",
            place,
            service,
            f"Which calls are made with this client of {service} cannot be known here. A check says nothing of their "
            "rights.",
            "Call it where it is made, or annotate what it is given to; else compare ToolsPolicy with the calls.",
        )


def _urls(playbook: Path, environment: Mapping[str, str], file: str) -> Iterator[Finding]:
    """Yield the URLs in business.yaml at which no server of servers/ is ever called. One with ${…} is not known."""
    for declared in files_in(playbook / "servers", "*.yaml"):
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
        elif not code.reads_unknown_variables and not code.mentions(name):
            yield Finding(
                "warning",
                file,
                f"Outputs.Environment {name}",
                "Nothing in the playbook's code names this variable, in any form.",
                "Remove it: a variable is a right to know a name.",
            )
