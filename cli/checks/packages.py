"""Findings about packages: what the playbook's code imports, against what its layer will have in Lambda.

What this machine has is no measure: the platform's own environment has packages that no layer gets.
"""

import ast
import re
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache
from importlib import metadata
from pathlib import Path

from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name

from ballast.playbook.load import playbook_in
from cli.checks import Finding
from localcloud.cloud import ROOT
from localcloud.project import project_of

_FILE = "requirements.txt"
#: What Lambda's own runtime of Python brings.
_OF_LAMBDA = ("boto3", "botocore", "jmespath", "python-dateutil", "s3transfer", "six", "urllib3")
#: What `sam build` leaves at home of a project.
_STAYS = ("scenarios", "tests")
#: Of servers/: what checks the arguments of their tools.
_OF_SERVERS = "jsonschema-rs"
#: Errors after which code goes on without a package; the latter where nothing but imports was tried.
_ABSENT, _ANY = {"ImportError", "ModuleNotFoundError"}, {"Exception", "BaseException"}


@dataclass
class _Pins:
    """The packages that a layer gets, by their normalized names, and what is wrong with the lines that name them."""

    names: set[str] = field(default_factory=set)
    wrong: list[Finding] = field(default_factory=list)


def packages(folder: Path) -> Iterator[Finding]:
    """Yield imports of packages that Lambda will not have, and lines of requirements.txt that pin nothing."""
    project, playbook = project_of(folder), playbook_in(folder.resolve())
    file = project / _FILE
    pins = _Pins()
    _read(file, pins, required=False)
    yield from pins.wrong
    shipped = pins.names | _of_platform()
    yield from _left_out(pins.names, shipped, str(file))
    if any((playbook / "servers").glob("*.yaml")) and _OF_SERVERS not in shipped:
        said = f"The playbook has servers/, whose tools need {_OF_SERVERS} in Lambda, and no line of {_FILE} names it."
        yield Finding("error", str(playbook / "servers"), _OF_SERVERS, said, _add(_OF_SERVERS, file))
    own = {path.stem for path in project.iterdir() if path.name not in _STAYS} | {playbook.name, "ballast"}
    known = own | sys.stdlib_module_names | {one for one in _brought_by() if shipped & {*_brought_by()[one]}}
    unsure = {name for name in pins.names if not _is_installed(name)}
    for place, name in _imports(playbook):
        if name not in known and canonicalize_name(name) not in shipped:
            yield from _missing(place, name, unsure, file)


def _missing(place: str, name: str, unsure: set[str], file: Path) -> Iterator[Finding]:
    bringers = [one for one in _brought_by().get(name, ()) if one != "ballast"]
    if bringers:
        known = f"of the package {' or '.join(bringers)}, " if [canonicalize_name(name)] != bringers else ""
        said = f"The code imports {name}, {known}which no layer of the functions will have: no line of {file} names it."
        yield Finding("error", place, name, said, _add(bringers[0], file))
    elif name in _brought_by():  # the platform's own folders: cli, localcloud, functions
        said = f"The code imports {name}, which is a part of the platform that no function of a tool has."
        yield Finding("error", place, name, said, "Import from ballast.playbook and ballast.contracts only.")
    elif not unsure:  # else one of these may bring it, and only an installation of them tells
        said = f"The code imports {name}, which is not installed here, and no line of {file} seems to bring it."
        yield Finding("warning", place, name, said, f"Install its package here, and pin it in {_FILE}.")


def _add(name: str, file: Path) -> str:
    pin = f"{name}=={metadata.version(name)}" if _is_installed(name) else f"{name}==…"
    return f"Add the line {pin} to {file}: `sam build` puts it into the playbook's layer."


def _left_out(pinned: set[str], shipped: set[str], file: str) -> Iterator[Finding]:
    """Yield what the pinned packages need and no line pins: `sam build` takes what is listed, and no more."""
    for name in sorted(pinned):
        for said in (metadata.requires(name) or ()) if _is_installed(name) else ():
            one = Requirement(said)
            if one.marker is None and canonicalize_name(one.name) not in shipped:
                problem = (
                    f"{name} needs {one.name}, which no line names, and `sam build` installs no more than the lines."
                )
                yield Finding("warning", file, name, problem, _add(canonicalize_name(one.name), Path(file)))


def _read(file: Path, pins: _Pins, *, required: bool) -> None:
    """Add what a file of requirements pins, and what the files pin that it names."""

    def tell(level: str, number: int, name: str, problem: str, remedy: str) -> None:
        assert level in ("error", "warning")
        pins.wrong.append(Finding(level, f"{file}, line {number}", name, problem, remedy))  # type: ignore[arg-type]

    try:
        text = file.read_text(encoding="utf-8")
    except FileNotFoundError:
        if required:
            pins.wrong.append(
                Finding("error", str(file), "", "There is no such file.", f"Write it, or correct {_FILE}.")
            )
        return
    except (OSError, ValueError) as problem:
        pins.wrong.append(Finding("error", str(file), "", f"It cannot be read: {problem}.", "Save it as UTF-8 text."))
        return
    for number, line in _lines(text):
        option = re.match(r"(?:-r|--requirement)[ =]*(\S+)", line)
        if option is not None:
            _read(file.parent / option[1], pins, required=True)
        if line.startswith("-"):
            continue
        try:
            one = Requirement(re.split(r"\s+--", line, maxsplit=1)[0])
        except InvalidRequirement as problem:
            said = f"`{line}` names no package: {str(problem).splitlines()[0]}."
            tell("error", number, "", said, "Write NAME==VERSION, such as httpx==0.28.1.")
            continue
        pins.names.add(canonicalize_name(one.name))
        versions = [(each.operator, each.version.endswith(".*")) for each in one.specifier]
        if one.url is None and not {("==", False), ("===", False)} & {*versions}:
            said = f"{one.name} has no version: what is deployed would be another one than was tested."
            tell("warning", number, one.name, said, f"Pin it: {_pin(one.name)}.")


def _pin(name: str) -> str:
    return f"{name}=={metadata.version(name)}" if _is_installed(name) else f"{name}==VERSION"


def _lines(text: str) -> Iterator[tuple[int, str]]:
    """Yield the lines of a file of requirements, with their numbers: without comments, continued ones as one."""
    start, so_far = 1, ""
    for number, raw in enumerate([*text.splitlines(), ""], 1):
        if not so_far:
            start = number
        if raw.endswith("\\"):
            so_far += f"{raw[:-1]} "
            continue
        line = re.sub(r"(^|\s)#.*", "", so_far + raw).strip()
        so_far = ""
        if line:
            yield start, line


def _of_platform() -> set[str]:
    """Return the packages that each function has: those of the platform's layer, and those of Lambda's runtime."""
    pins = _Pins()
    _read(ROOT / "layers" / "ballast" / _FILE, pins, required=True)
    return {canonicalize_name(one) for one in (*pins.names, *_OF_LAMBDA)}


@cache
def _brought_by() -> Mapping[str, tuple[str, ...]]:
    """Return the packages that bring each name that can be imported here, normalized."""
    found = metadata.packages_distributions()
    mine = dict.fromkeys(("ballast", "cli", "localcloud", "functions"), ("ballast",))
    return {name: tuple(sorted({canonicalize_name(one) for one in of})) for name, of in found.items()} | mine


def _is_installed(name: str) -> bool:
    try:
        metadata.version(name)
    except metadata.PackageNotFoundError:
        return False
    return True


def _imports(playbook: Path) -> Iterator[tuple[str, str]]:
    """Yield what the files of a playbook import: each place, with the first part of the name.

    The store's files fill the local cloud: they count where a tool imports them.
    """
    trees: dict[Path, ast.AST] = {}
    for file in sorted(playbook.rglob("*.py")):
        try:
            trees[file] = ast.parse(file.read_text(encoding="utf-8"))
        except (OSError, SyntaxError, ValueError):
            continue  # loading the playbook says why
    stores = {file for file in trees if file.relative_to(playbook).parts[0] in ("store", "store.py")}
    if any(_takes_store(node) for file, tree in trees.items() if file not in stores for node in ast.walk(tree)):
        stores = set()
    for file, tree in trees.items():
        for node in _always(tree) if file not in stores else ():
            names = [one.name for one in node.names] if isinstance(node, ast.Import) else [node.module or ""]
            for name in names:
                yield f"{file}, line {node.lineno}", name.partition(".")[0]


def _takes_store(node: ast.AST) -> bool:
    match node:
        case ast.ImportFrom(level=level, module=module, names=names) if level:
            return (module or "").split(".")[0] == "store" or (not module and any(one.name == "store" for one in names))
    return False


def _always(node: ast.AST) -> Iterator[ast.Import | ast.ImportFrom]:
    """Yield the imports that are made in any case: not those of types only, nor those that may fail."""
    match node:
        case ast.Import() | ast.ImportFrom(level=0):
            yield node
        case ast.If(test=ast.Name(id="TYPE_CHECKING") | ast.Attribute(attr="TYPE_CHECKING"), orelse=rest):
            for other in rest:
                yield from _always(other)
        case ast.Try() if any(_takes_absence(one, node) for one in node.handlers):
            return
        case _:
            for inner in ast.iter_child_nodes(node):
                yield from _always(inner)


def _takes_absence(handler: ast.ExceptHandler, tried: ast.Try) -> bool:
    named = {getattr(one, "id", "") for one in (ast.walk(handler.type) if handler.type is not None else ())}
    only_imports = all(isinstance(one, ast.Import | ast.ImportFrom) for one in tried.body)
    return bool(named & _ABSENT) or (only_imports and (not named or bool(named & _ANY)))
