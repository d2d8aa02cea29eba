"""``ballast new``: write a project that runs at once."""

import keyword
import os
import re
import shutil
import sys
import tempfile
from argparse import Namespace
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

from ballast.errors import InvalidInput
from cli.exits import Exit
from cli.screen import Screen
from localcloud.cloud import ROOT

#: The project that is copied, and the name in it that the new one's replaces.
SCAFFOLD, _STANDS_FOR = ROOT / "scaffold", "newdesk"
_NAME = re.compile(r"[a-z][a-z0-9_]{1,39}")
#: Folders of a project, the package of the bundled playbook, what Python imports by itself at its start, and what
#: Lambda's Python has beside the standard library.
_TAKEN = {"tests", "scenarios", "reports", "tools", "fallbacks", "store", "playbook", "sitecustomize", "usercustomize"}
_TAKEN |= {"conftest", "awslambdaric", "bootstrap", "runtime_client", "snapshot_restore_py", "simplejson"}
_LEFT_BY_TOOLS = re.compile(r"__pycache__|\..*_cache|\.aws-sam|\.ballast")


def new(typed: Namespace) -> int:
    """Write the project and say what to do next; return 0. Raises ``InvalidInput``."""
    name = checked_name(typed.name)
    if typed.into is None and Path.cwd().resolve().is_relative_to(ROOT.resolve()):
        raise InvalidInput(
            f"This folder is in the platform's repository, which your project does not belong into. Name another one: "
            f"ballast new {name} --into {os.path.relpath(ROOT.parent)}. To make it here all the same: --into ."
        )
    project = Path(typed.into or ".") / name
    write(name, project)
    screen = Screen()
    screen.line(f"{project} is a playbook with three tools, a fallback, three scenarios and tests.", "bold")
    screen.line("Next:")
    activate = f"source {ROOT / '.venv' / 'bin' / 'activate'}"
    for command, what in (
        *(((activate, ""),) if shutil.which("ballast") is None else ()),
        (f"cd {project}", ""),
        ("ballast check", "what can be known without a model"),
        ("ballast test", "the scenarios, through the whole machine"),
        ("pytest", "the tools, the gate and the fallback"),
        ("ballast certify", "what the tools declare, tried"),
        ("ballast up --model …", "serve it, with a model of yours (ballast run --help)"),
        ("sam build && sam deploy --guided", "to AWS"),
    ):
        screen.line(f"  {command:36}{what}".rstrip())
    return Exit.OK


def checked_name(name: str) -> str:
    """Return a name that a package, an agent and a stack may have. Raises ``InvalidInput``."""
    if not _NAME.fullmatch(name) or keyword.iskeyword(name):
        raise InvalidInput(
            f"NAME {name!r}: must be 2 to 40 small letters, digits and _, with a letter first, and no word of Python: "
            "it is a package's name, such as itdesk."
        )
    if name in _TAKEN or name in sys.stdlib_module_names or find_spec(name) is not None:
        raise InvalidInput(f"NAME {name!r}: is the name of another package here. Choose another one, such as itdesk.")
    return name


def write(name: str, project: Path) -> None:
    """Write the project into a folder that does not exist. Raises ``InvalidInput``."""
    if project.exists() or project.is_symlink():
        raise InvalidInput(f"{project}: exists already, and nothing is overwritten. Choose another name, or remove it.")
    try:
        project.parent.mkdir(parents=True, exist_ok=True)
        making = Path(tempfile.mkdtemp(prefix=f".{name}.", dir=project.parent))
    except OSError as problem:
        raise InvalidInput(f"{project}: cannot be made ({problem.strerror}). Name another folder: --into.") from None
    try:
        for file in _files():
            target = making / str(file.relative_to(SCAFFOLD)).replace(_STANDS_FOR, name)
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_text(_text(file, name, project), encoding="utf-8")
        making.chmod(0o755)
        making.rename(project)
    except OSError as problem:
        raise InvalidInput(f"{project}: cannot be written ({problem.strerror}).") from None
    finally:
        shutil.rmtree(making, ignore_errors=True)


def _files() -> Iterator[Path]:
    for file in sorted(SCAFFOLD.rglob("*")):
        if file.is_file() and not any(_LEFT_BY_TOOLS.fullmatch(part) for part in file.relative_to(SCAFFOLD).parts):
            yield file


def _text(file: Path, name: str, project: Path) -> str:
    # An editor reads a schema's path from the file that names it; `sam` and a reader, from the project's folder.
    beside = (project / file.relative_to(SCAFFOLD)).parent if file.suffix == ".yaml" else project
    stands_for = {
        "PLATFORM": Path(os.path.relpath(ROOT, beside.resolve())).as_posix(),
        "PROJECT": Path(os.path.relpath(project.resolve(), ROOT)).as_posix(),
        # A stack's name has no _.
        _STANDS_FOR: name.replace("_", "-") if file.name == "samconfig.toml" else name,
    }
    # In one pass: a folder of the path may have such a name itself.
    return re.sub("|".join(stands_for), lambda found: stands_for[found[0]], file.read_text(encoding="utf-8"))
