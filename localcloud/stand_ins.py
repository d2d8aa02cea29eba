"""Stand-ins of a project's servers in the local cloud: ``scenarios/stand_ins.py``.

::

    @contextmanager
    def stand_ins() -> Iterator[dict[str, str]]:
        with DoorSystem() as doors:            # an HTTP server on 127.0.0.1
            yield {"DOORS_URL": doors.url}     # in place of what business.yaml says

    FUNCTIONS = {"stock": handler}             # handler(event, context), for servers of the kind lambda

A tool then calls the stand-in through its own code and its own declaration. Nothing of the file is deployed.
"""

from __future__ import annotations

import io
import json
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from traceback import extract_tb
from types import ModuleType
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urlsplit

from botocore.awsrequest import AWSResponse
from botocore.compat import HTTPHeaders

from ballast.errors import PlaybookInvalid
from ballast.playbook.context import NotConfigured, tools_environ
from ballast.playbook.load import playbook_in
from ballast.playbook.servers.checks import read_declaration
from ballast.playbook.servers.declaration import FromEnvironment, LambdaServer
from localcloud.functions import Reported, marshalled
from localcloud.iam import Access
from localcloud.project import project_of
from localcloud.sessions import ACCOUNT, REGION

if TYPE_CHECKING:
    from localcloud.functions import Function
    from localcloud.sessions import LocalSession

#: The file in the project, and the function in it.
FILE, FUNCTION, HANDLERS = Path("scenarios", "stand_ins.py"), "stand_ins", "FUNCTIONS"
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


class StandInFunctions:
    """The handlers of ``FUNCTIONS``, which answer where a tool invokes a Lambda function.

    A handler is named by its function, or by the variable that names the function.
    """

    def __init__(self, module: ModuleType | None, playbook: Path) -> None:
        """Raises ``PlaybookInvalid`` for ``FUNCTIONS`` that are no handlers by name."""
        self._handlers, self._file = getattr(module, HANDLERS, {}), project_of(playbook) / FILE
        pairs = self._handlers.items() if isinstance(self._handlers, Mapping) else [(None, None)]
        if not all(isinstance(name, str) and callable(handler) for name, handler in pairs):
            raise PlaybookInvalid(
                f"{self._file}: {HANDLERS} must be handlers by the names of functions, such as "
                f'{HANDLERS} = {{"stock": handler}} with def handler(event, context).'
            )
        self._declared = [server.function for _, server in lambda_servers(playbook)]

    def answer(self, session: LocalSession, function: Function, *, checked: bool) -> None:
        """Answer the invocations of a session that has no client yet: that of ``function``, which calls the tools.

        ``checked``: whether its role must have the right. What neither ``FUNCTIONS`` nor a declaration of servers/
        names is left to others. Raises in an invocation ``NotConfigured`` for a declared function without a handler.
        """
        if not self._handlers and not self._declared:
            return
        given = tools_environ(function.environ)
        handlers = {plain(given.get(name, name)): handler for name, handler in self._handlers.items()}
        declared = {
            plain(given.get(one.env, one.env) if isinstance(one, FromEnvironment) else one) for one in self._declared
        }

        def before_send(request: Any, **_: Any) -> Any:
            invoked = unquote(urlsplit(request.url).path.split("/")[3])
            name = plain(invoked)
            if name not in handlers and name not in declared:
                return None
            if checked and (denied := _denied(function.role_arn, invoked)):
                return _response(request.url, 403, denied, {"x-amzn-errortype": "AccessDeniedException"})
            if name not in handlers:
                raise NotConfigured(
                    f"The function {name} has no stand-in on this machine. Write it in {self._file}: "
                    f'{HANDLERS} = {{"{name}": handler}}, with def handler(event, context).'
                )
            return _invoked(handlers[name], request)

        session.events.register_first("before-send.lambda.Invoke", before_send)


def lambda_servers(playbook: Path) -> Iterator[tuple[Path, LambdaServer]]:
    """Yield the declared servers of a playbook that are Lambda functions, each with its file."""
    for file in sorted((playbook_in(playbook) / "servers").glob("*.yaml")):
        try:
            server = read_declaration(file).server
        except PlaybookInvalid:
            continue  # loading the playbook says why
        if isinstance(server, LambdaServer):
            yield file, server


def plain(function: str) -> str:
    """Return the name of a function without account, region, version and alias."""
    _, found, name = function.rpartition("function:")
    parts = name.split(":")
    # Without the word, an account may stand before the name: 123456789012:stock.
    return parts[1] if not found and len(parts) > 1 and parts[0].isdigit() else parts[0]


def _denied(role_arn: str, function: str) -> Any:
    """Return Lambda's refusal where a role may not invoke that function, None where it may."""
    from localcloud.moto_seams.iam import denial, missing_rights

    arn = function
    if not arn.startswith("arn:"):
        qualifier = function.rpartition("function:")[2].partition(f"{plain(function)}:")[2]
        arn = f"arn:aws:lambda:{REGION}:{ACCOUNT}:function:{plain(function)}{':' if qualifier else ''}{qualifier}"
    missing = missing_rights(ACCOUNT, role_arn, [Access("lambda:InvokeFunction", arn)])
    return {"Message": denial(role_arn, missing[0])} if missing else None


def _invoked(handler: Any, request: Any) -> AWSResponse:
    """Return what Lambda answers: the result of the handler, or the error that it raised."""
    body = request.body.read() if hasattr(request.body, "read") else request.body
    try:
        result = json.loads(marshalled(handler(json.loads(body or b"null"), None)))
    except Reported as problem:  # the handler has acted, and its runtime says that it did not end
        return _failed(request.url, problem.name, str(problem))
    except (SystemExit, KeyboardInterrupt) as end:  # of the function's process, not of ours
        return _failed(request.url, "Runtime.ExitError", f"Runtime exited with error: {type(end).__name__} {end}")
    except Exception as problem:
        return _failed(request.url, type(problem).__name__, str(problem))
    return _response(request.url, 200, result, {})


def _failed(url: str, error_type: str, message: str) -> AWSResponse:
    said = {"errorMessage": message, "errorType": error_type}
    return _response(url, 200, said, {"X-Amz-Function-Error": "Unhandled"})


def _response(url: str, status: int, content: Any, headers: Mapping[str, str]) -> AWSResponse:
    made, text = HTTPHeaders(), json.dumps(content).encode()
    for name, value in {"Content-Type": "application/json", "Content-Length": str(len(text)), **headers}.items():
        made[name] = value
    return AWSResponse(url, status, made, _Body(text))


class _Body(io.BytesIO):
    """A body, as urllib3 has it."""

    def stream(self, *_: Any, **__: Any) -> Iterator[bytes]:
        """Yield all of it."""
        yield self.read()
