"""Findings about packages: what the playbook's code imports, against what its layer will have in Lambda.

What this machine has is no measure: the platform's own environment has packages that no layer gets.
"""

import ast
import re
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import cache
from importlib import metadata
from pathlib import Path

from packaging.markers import Marker, default_environment
from packaging.requirements import InvalidRequirement, Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name

from ballast.playbook.load import playbook_in
from cli.checks import Finding, Level
from cli.checks.files import files_in, never_ends, parsed
from cli.checks.statements import platform
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
#: Digits of the hashes that pip takes, by algorithm.
_DIGITS = {"sha256": 64, "sha384": 96, "sha512": 128}
#: How a file gets its lines with a version, a hash, and all that they need.
_WITH_HASHES = "with hashes (pip-compile --generate-hashes, or uv pip compile --generate-hashes)"
#: A wheel by its path or its address: its file's name begins with the package's.
_WHEEL = re.compile(r"(?:[^@]*/)?([A-Za-z0-9_.]+)(?:-[^-/]+){4,5}\.whl(?:\[[^]]*\])?(?:#\S*)?")
#: A path or an address of something else, which pip takes and whose package no line names.
_NAMELESS = re.compile(r"\.{0,2}/|(\w+\+)?\w+://|file:|[^@;]+\.(zip|tar\.gz|tgz|tar\.bz2)$")


@dataclass
class _Pins:
    """The packages that a layer gets, by their normalized names, and what is wrong with the lines that name them.

    elsewhere  packages whose lines are for another Python or machine than Lambda's, each with its marker
    hashed     whether each line that is for Lambda has a hash, by its place and its package
    strict     whether pip demands hashes: by an option, or by a hash of any line
    unpinned   lines without a version: their place, their package, and the range that they have
    fixed      packages whose version a file of constraints says
    known      packages whose hash a file of constraints says
    open       whether a line brings packages that cannot be known here: a folder, an archive, an address
    as_here    packages that are pinned in the version that is installed here, so that their needs are known
    versions   the version that a line pins of each package
    """

    names: set[str] = field(default_factory=set)
    wrong: list[Finding] = field(default_factory=list)
    elsewhere: dict[str, str] = field(default_factory=dict)
    hashed: dict[tuple[str, str], bool] = field(default_factory=dict)
    strict: bool = False
    unpinned: list[tuple[str, str, SpecifierSet]] = field(default_factory=list)
    fixed: set[str] = field(default_factory=set)
    known: set[str] = field(default_factory=set)
    open: bool = False
    as_here: set[str] = field(default_factory=set)
    versions: dict[str, str] = field(default_factory=dict)


def packages(folder: Path) -> Iterator[Finding]:
    """Yield imports of packages that Lambda will not have, and lines of requirements.txt that pin nothing."""
    file = project_of(folder) / _FILE
    pins = _Pins()
    _read(file, pins, required=False)
    yield from pins.wrong
    yield from _without_version(pins)
    yield from _unhashed(pins)
    for one in _absent(folder, file, pins):
        yield replace(one, level="warning") if pins.open and one.level == "error" else one


def _absent(folder: Path, file: Path, pins: _Pins) -> Iterator[Finding]:
    """Yield what the code and the pinned packages need and no line brings."""
    project, playbook = project_of(folder), playbook_in(folder.resolve())
    shipped = pins.names | _of_platform()
    own = {path.stem for path in project.iterdir() if path.name not in _STAYS} | {playbook.name, "ballast"}
    known = own | sys.stdlib_module_names | {one for one in _brought_by() if shipped & {*_brought_by()[one]}}
    unsure = {name for name in pins.names if not _is_installed(name)}
    pins.elsewhere = {name: marker for name, marker in pins.elsewhere.items() if name not in shipped}
    imported = dict[str, list[str]]()
    for place, name in _imports(playbook):
        imported.setdefault(name, []).append(place)
        if name == playbook.name:
            said = "It imports the playbook by the name of its folder, and a playbook may be loaded under another one."
            yield Finding("hint", place, name, said, "Import relatively inside of a playbook: from .core import …")
    absent = {name for name in imported if name not in known and canonicalize_name(name) not in shipped}
    told = {package for name in absent for package in _bringers(name)[:1] if package not in pins.elsewhere}
    yield from _left_out(pins, shipped, file, told)
    yield from _ruled_out(pins, file)
    has_servers = any((playbook / "servers").glob("*.yaml"))
    if has_servers and _OF_SERVERS in pins.versions:
        for one in map(Requirement, metadata.requires("ballast") or ()):
            if canonicalize_name(one.name) == _OF_SERVERS:
                yield from _fits(pins, "the platform", one, file)
    if has_servers and _OF_SERVERS not in shipped:
        said = f"The playbook has servers/, whose tools need {_OF_SERVERS} in Lambda, and no line of {_FILE} names it."
        yield Finding("error", str(playbook / "servers"), _OF_SERVERS, said, _add(_OF_SERVERS, file, pins))
    for name, places in imported.items():
        for found in _missing(places[0], name, unsure, file, pins) if name in absent else ():
            more = f" {len(places)} places import it." if places[1:] else ""
            yield replace(found, problem=found.problem + more)


def _bringers(name: str) -> list[str]:
    return [one for one in _brought_by().get(name, ()) if one != "ballast"]


def _missing(place: str, name: str, unsure: set[str], file: Path, pins: _Pins) -> Iterator[Finding]:
    bringers = _bringers(name)
    named = next((one for one in (*bringers, canonicalize_name(name)) if one in pins.elsewhere), None)
    if named is not None:
        said = f"The code imports {name}, and {_not_there(named, pins.elsewhere, file)}."
        yield Finding("error", place, name, said, _remark(named))
    elif bringers:
        known = f"of the package {' or '.join(bringers)}, " if [canonicalize_name(name)] != bringers else ""
        said = f"The code imports {name}, {known}which no layer of the functions will have: no line of {file} names it."
        yield Finding("error", place, name, said, _add(bringers[0], file, pins))
    elif name in _brought_by():  # the platform's own folders: cli, localcloud, functions
        said = f"The code imports {name}, which is a part of the platform that no function of a tool has."
        yield Finding("error", place, name, said, "Import from ballast.playbook and ballast.contracts only.")
    elif not unsure:  # else one of these may bring it, and only an installation of them tells
        said = f"The code imports {name}, which is not installed here, and no line of {file} seems to bring it."
        yield Finding("warning", place, name, said, f"Install its package here, and pin it in {_FILE}.")


def _add(name: str, file: Path, pins: _Pins, *within: SpecifierSet) -> str:
    """Return how a package gets into a file, in a version of these ranges."""
    line = f"Add the line {_pin(name, *within)} to {file}"
    how = f"Make {file} anew {_WITH_HASHES}, {name} included" if pins.strict else line
    return f"{how}: `sam build` puts it into the playbook's layer."


def _not_there(name: str, elsewhere: Mapping[str, str], file: Path) -> str:
    return f"the line of {name} in {file} is not for {_lambda()[0]}, as `{elsewhere[name]}` says: nothing is installed"


def _remark(name: str) -> str:
    return f"Take the marker off the line of {name}, or write one that holds there."


def _needs(name: str) -> list[Requirement]:
    """Return what a package needs in Lambda, as the version of it says that is installed here."""
    if not _is_installed(name):
        return []
    return [one for one in map(Requirement, metadata.requires(name) or ()) if _is_for_lambda(one.marker)]


def _ruled_out(pins: _Pins, file: Path) -> Iterator[Finding]:
    """Yield versions that another pinned package does not go with."""
    for name in sorted(pins.as_here):
        for one in _needs(name):
            yield from _fits(pins, name, one, file)


def _fits(pins: _Pins, name: str, needed: Requirement, file: Path) -> Iterator[Finding]:
    version = pins.versions.get(canonicalize_name(needed.name))
    if version is not None and not needed.specifier.contains(version, prereleases=True):
        said = f"{name} needs {needed.name}{needed.specifier}, and {file.name} pins {version}."
        remedy = f"Pin a version that fits: {_pin(needed.name, needed.specifier)}."
        yield Finding("warning", str(file), needed.name, said, remedy)


def _left_out(pins: _Pins, shipped: set[str], file: Path, told: set[str]) -> Iterator[Finding]:
    """Yield what the pinned packages need and no line pins: `sam build` takes what is listed, and no more.

    What such a package needs in its turn is told at once; of those in ``told`` it is said that the code imports them.
    """
    waiting, missing = sorted(pins.names), dict[str, dict[str, SpecifierSet]]()
    for name in waiting:  # grows
        for one in _needs(name):
            needed = canonicalize_name(one.name)
            if needed in shipped:
                continue
            if needed not in waiting and needed not in pins.elsewhere:
                waiting.append(needed)
            if needed in pins.elsewhere:
                problem = f"{name} needs {one.name}, and {_not_there(needed, pins.elsewhere, file)}."
                level: Level = "error" if name in pins.as_here else "warning"
                yield Finding(level, str(file), needed, problem, _remark(needed))
            else:
                missing.setdefault(needed, {})[name] = one.specifier
    for lacked, of in missing.items():
        if lacked not in told:
            needs = f"{' and '.join(of)} need{'' if len(of) > 1 else 's'} {lacked}"
            said = f"{needs}, which no line names, and `sam build` installs no more than the lines."
            yield Finding("warning", str(file), lacked, said, _add(lacked, file, pins, *of.values()))


def _without_version(pins: _Pins) -> Iterator[Finding]:
    """Yield the lines without a version, of packages that no file of constraints pins either."""
    for place, name, within in pins.unpinned:
        if canonicalize_name(name) not in pins.fixed:
            what = f"{name}{within} is a range, and no pinned version" if within else f"{name} has no version"
            pin = f"Pin one version of it: {_pin(name, within)}." if within else f"Pin it: {_pin(name)}."
            remedy = f"Make the file anew {_WITH_HASHES}." if pins.strict else pin
            yield Finding("warning", place, name, f"{what}: what is deployed may be another than was tested.", remedy)


def _unhashed(pins: _Pins) -> Iterator[Finding]:
    """Yield the lines without a hash where others have one: pip then installs nothing at all."""
    for (place, name), has in pins.hashed.items():
        if pins.strict and not has and canonicalize_name(name) not in pins.known:
            said = f"{name} has no hash, and other lines have one: pip installs none of them."
            yield Finding("error", place, name, said, f"Make the file anew {_WITH_HASHES}, or leave all hashes off.")


@cache
def _lambda() -> tuple[str, dict[str, str]]:
    """Return the functions' Python and machine in words, and what the markers of requirements are compared with."""
    functions = platform()["Globals"]["Function"]
    version = str(functions["Runtime"]).removeprefix("python")
    machine = {"arm64": "aarch64"}.get(functions["Architectures"][0], functions["Architectures"][0])
    known = {
        "implementation_name": "cpython",
        "implementation_version": f"{version}.0",
        "os_name": "posix",
        "platform_machine": str(machine),
        "platform_python_implementation": "CPython",
        "platform_system": "Linux",
        "python_full_version": f"{version}.0",
        "python_version": version,
        "sys_platform": "linux",
    }
    return f"Lambda's Python {version} on linux, {machine}", {**_here(), **known, "extra": ""}


def _here() -> dict[str, str]:
    return {name: str(value) for name, value in default_environment().items()}


def _is_for_lambda(marker: Marker | None) -> bool:
    return marker is None or marker.evaluate(_lambda()[1])


def _hashes(line: str) -> Iterator[str]:
    """Yield what is wrong with the hashes of a line."""
    for one in re.findall(r"--hash[= ]\s*(\S+)", line):
        kind, _, digits = one.partition(":")
        if kind not in _DIGITS:
            yield f"`{one}` is no hash that pip takes: {', '.join(_DIGITS)}"
        elif not re.fullmatch(rf"[0-9a-fA-F]{{{_DIGITS[kind]}}}", digits):
            yield f"`{one}` is no {kind}: that has {_DIGITS[kind]} hexadecimal digits, and this one {len(digits)} signs"


def _read(file: Path, pins: _Pins, *, required: bool, constrains: bool = False, seen: tuple[Path, ...] = ()) -> None:
    """Add what a file of requirements pins, and what the files pin that it names.

    constrains  whether the file only says versions and hashes of packages that other files name
    seen        the files that lead to this one
    """

    def tell(number: int, name: str, problem: str, remedy: str) -> None:
        pins.wrong.append(Finding("error", f"{file}, line {number}", name, problem, remedy))

    if never_ends(file):
        return  # told as what cannot be read
    try:
        text = file.read_text(encoding="utf-8-sig")
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
        option = re.match(r"(-r|-c|--requirement(?=[ =])|--constraint(?=[ =]))[ =]*(.+)", line)
        if option is not None:
            other = file.parent / option[2].strip("\"'")
            pins.open = pins.open or "://" in option[2]
            if "://" not in option[2] and other.resolve() not in (*seen, file.resolve()):
                _read(other, pins, required=True, constrains="c" in option[1][:3], seen=(*seen, file.resolve()))
        if re.match(r"--?hash\b", line):
            said = "The hash stands on a line of its own, and belongs to no package: pip refuses the file."
            tell(number, "", said, "End the line before with a backslash.")
            before = next(reversed(pins.hashed), None)
            if before is not None:
                pins.hashed[before] = True
        pins.strict = pins.strict or bool(re.search(r"(^|\s)--(require-hashes|hash)\b", line))
        if line.startswith("-"):
            pins.open = pins.open or re.match(r"-e|--editable", line) is not None
            continue
        try:
            one = _requirement(re.split(r"\s+--", line, maxsplit=1)[0])
        except InvalidRequirement as problem:
            said = f"`{line}` names no package: {str(problem).splitlines()[0]}."
            tell(number, "", said, "Write NAME==VERSION, such as httpx==0.28.1.")
            continue
        for level, problem_, remedy in _astray(line, {file.parent, (*seen, file)[0].parent}):
            pins.wrong.append(Finding(level, f"{file}, line {number}", "", problem_, remedy))
        if one is None:
            pins.open = True
            continue
        for wrong in _hashes(line):
            tell(number, one.name, f"{wrong}.", "Write the whole hash, as pip-compile --generate-hashes does.")
        _add_line(pins, one, f"{file}, line {number}", has_hash=_has_hash(line, one), constrains=constrains)


def _astray(line: str, folders: set[Path]) -> Iterator[tuple[Level, str, str]]:
    """Yield what is wrong with the path or the address that a line names: its level, the problem, the remedy."""
    said = line.partition(" @ ")[2] or (line if _NAMELESS.match(line) or _WHEEL.fullmatch(line) else "")
    named = re.split(r"[;#\[]|\s", said.strip(), maxsplit=1)[0].removeprefix("file:")
    if re.match(r"git\+", named) and not re.search(r"@[^/@]*\d[^/@]*$", named):
        yield "warning", f"{named} names no commit: what is deployed may be another one.", "Write @ and the commit."
    if named and "://" not in named and ";" not in line and not any((one / named).exists() for one in folders):
        yield "error", f"There is no {named}: pip installs nothing.", "Correct the path, or remove the line."


def _requirement(said: str) -> Requirement | None:
    """Return the requirement of a line; None for a path or an address that does not say of which package it is."""
    path, *marker = re.split(r"\s+(?=;)", said, maxsplit=1)
    if (wheel := _WHEEL.fullmatch(path)) is not None:
        address = path if "://" in path else f"file:{path}"
        return Requirement(" ".join([f"{wheel[1]} @ {address}", *marker]))
    return None if _NAMELESS.match(path) else Requirement(said)


def _has_hash(line: str, one: Requirement) -> bool:
    return "--hash" in line or re.search(r"[#&](sha256|sha384|sha512)=[0-9a-fA-F]", one.url or "") is not None


def _add_line(pins: _Pins, one: Requirement, place: str, *, has_hash: bool, constrains: bool) -> None:
    """Add what one line says of its package, if it is for Lambda."""
    name, is_here = canonicalize_name(one.name), _is_installed(one.name)
    if not _is_for_lambda(one.marker):
        if not constrains:
            pins.elsewhere[name] = str(one.marker)
        return
    exact = [each.version for each in one.specifier if each.operator == "==" and not each.version.endswith(".*")]
    before = pins.versions.setdefault(name, exact[0]) if exact else None
    if before is not None and not one.specifier.contains(before, prereleases=True):
        said = f"{one.name} is pinned as {before}, too: pip installs neither of them."
        pins.wrong.append(Finding("error", place, one.name, said, "Keep one of the lines."))
    versions = [(each.operator, each.version.endswith(".*")) for each in one.specifier]
    is_pinned = one.url is not None or bool({("==", False), ("===", False)} & {*versions})
    if is_pinned and is_here and str(one.specifier) == f"=={metadata.version(one.name)}":
        pins.as_here.add(name)
    if constrains:
        pins.fixed |= {name} if is_pinned else set()
        pins.known |= {name} if has_hash else set()
        return
    pins.names.add(name)
    pins.hashed[place, one.name] = has_hash
    if not is_pinned:
        pins.unpinned.append((place, one.name, one.specifier))


def _pin(name: str, *within: SpecifierSet) -> str:
    """Return the line of a package with the version that is here, if that is in these ranges."""
    here = metadata.version(name) if _is_installed(name) else ""
    fits = here and all(one.contains(here, prereleases=True) for one in within)
    return f"{name}=={here if fits else 'VERSION'}"


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
    trees = {file: tree for file in files_in(playbook, "**/*.py") if (tree := parsed(file)) is not None}
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
