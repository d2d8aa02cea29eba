"""Stand-ins of a project's servers in the local cloud: ``scenarios/stand_ins.py``.

::

    @contextmanager
    def stand_ins() -> Iterator[dict[str, str]]:
        with DoorSystem() as doors:            # an HTTP server on 127.0.0.1
            yield {"DOORS_URL": doors.url}     # in place of what business.yaml says

A tool then calls the stand-in through its own code and its own declaration. Nothing of the file is deployed.
"""

import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from traceback import extract_tb
from types import ModuleType
from typing import Any

from ballast.errors import PlaybookInvalid
from localcloud.project import project_of

#: The file in the project, and the function in it.
FILE, FUNCTION = Path("scenarios", "stand_ins.py"), "stand_ins"
_MODULE = "ballast_stand_ins"


@contextmanager
def standing_in(playbook: Path) -> Iterator[tuple[ModuleType | None, Mapping[str, str]]]:
    """Run the stand-ins of a playbook's project; yield their module and the variables that lead to them.

    A project without the file has none: None, and no variable. Raises ``PlaybookInvalid`` for a file that cannot be
    imported, that has no such function, or whose function yields something else.
    """
    file = project_of(playbook) / FILE
    module = imported(playbook)
    if module is None:
        yield None, {}
        return
    try:
        opened = getattr(module, FUNCTION)()
        variables = opened.__enter__()
    except Exception as problem:
        raise PlaybookInvalid(f"{file}: {FUNCTION}() failed: {type(problem).__name__}: {problem}") from problem
    try:
        yield module, _checked(variables, file)
    finally:
        opened.__exit__(None, None, None)
        sys.modules.pop(_MODULE, None)


def imported(playbook: Path) -> ModuleType | None:
    """Import the stand-ins of a playbook's project, and start none; None if it has none. Raises ``PlaybookInvalid``."""
    file = project_of(playbook) / FILE
    if not file.is_file():
        return None
    spec = spec_from_file_location(_MODULE, file)
    assert spec is not None
    assert spec.loader is not None
    module = module_from_spec(spec)
    sys.modules[_MODULE] = module  # so that its own classes find their module
    try:
        spec.loader.exec_module(module)
    except Exception as problem:
        sys.modules.pop(_MODULE, None)
        line = problem.lineno if isinstance(problem, SyntaxError) else _line(problem, file)
        where = f"{file}, line {line}" if line else str(file)
        raise PlaybookInvalid(f"{where}: cannot be imported: {type(problem).__name__}: {problem}") from problem
    if not callable(getattr(module, FUNCTION, None)):
        raise PlaybookInvalid(
            f"{file}: has no function {FUNCTION}. Write a context manager `{FUNCTION}()` that yields the variables "
            'that lead to your servers, such as {"DOORS_URL": "http://127.0.0.1:8500"}.'
        )
    return module


def _line(problem: Exception, file: Path) -> int | None:
    return next((one.lineno for one in reversed(extract_tb(problem.__traceback__)) if one.filename == str(file)), None)


def _checked(variables: Any, file: Path) -> Mapping[str, str]:
    pairs = variables.items() if isinstance(variables, Mapping) else [(None, None)]
    if all(isinstance(name, str) and isinstance(value, str) for name, value in pairs):
        return dict(pairs)
    raise PlaybookInvalid(f"{file}: {FUNCTION}() must yield names and texts, such as {{'DOORS_URL': 'http://…'}}.")
