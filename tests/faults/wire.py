"""Carry out every AWS request of every function by moto or a fake; count it, and inject faults into it."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import unquote, urlsplit

import boto3
from botocore.awsrequest import AWSPreparedRequest, AWSResponse
from botocore.exceptions import ReadTimeoutError

from ballast.errors import ProcessEnds
from localcloud.converse.source import STATUS, ModelError, Source
from localcloud.converse.strict import Strict
from localcloud.sessions import REGION, Models, core_session
from localcloud.stepfunctions.states import Execution
from tests.faults.clock import Clock
from tests.faults.quick import SIGNATURE, quick_clients

#: What a request takes, on the virtual clock.
REQUEST_S = 0.01


class LambdaDied(ProcessEnds):
    """The process is gone: no handler of ours catches it. ``error`` is how Lambda reports it."""

    def __init__(self, error: str) -> None:
        super().__init__(error)
        self.error = error


@dataclass
class Request:
    """One API call of a handler, however often botocore sends it.

    number  from 1 within its invocation
    sent    attempts at sending it so far
    """

    number: int
    service: str
    operation: str
    target: str
    body: Any = None
    sent: int = 0

    @property
    def changes_something(self) -> bool:
        """Whether it is more than a look."""
        return not self.operation.startswith(("Get", "BatchGet", "Query", "Describe", "List"))

    @property
    def label(self) -> str:
        """e.g. ``dynamodb.PutItem RunLogTable``."""
        return f"{self.service}.{self.operation} {self.target}".strip()


@dataclass
class Invocation:
    """One invocation of a function.

    number   from 1 within the case; 0 for those that a fault brings in
    state    the state of the workflow, or who else invokes
    """

    number: int
    function: str
    state: str
    payload: Any
    deadline: float = 0.0
    requests: list[Request] = field(default_factory=list)


_WRITES = ("PutItem", "UpdateItem", "DeleteItem", "TransactWriteItems")

#: Carries a request out and returns the response.
Perform = Callable[[], AWSResponse]
#: What a fault does to a request; see ``tests.faults.kinds``.
Meddle = Callable[[Invocation, Request, AWSPreparedRequest, Perform], AWSResponse]


#: A request to Step Functions: operation and body.
Asked = tuple[str, Mapping[str, Any]]


class StepFunctions:
    """The executions, as far as functions ask for them. Answers are taken once.

    waiting, over  the task tokens that were given out, and those whose task has ended
    asked          the requests that changed something
    """

    def __init__(self) -> None:
        self.executions: dict[str, Execution] = {}
        self.answers: dict[str, Any] = {}
        self.waiting: set[str] = set()
        self.over: set[str] = set()
        self.asked: list[Asked] = []

    def answer(self, operation: str, body: Mapping[str, Any]) -> tuple[int, Any]:
        """Return status and body of the response."""
        if operation != "DescribeExecution":
            self.asked.append((operation, body))
        try:
            return 200, getattr(self, f"_{operation}")(body)
        except _Refused as refused:
            return 400, {"__type": refused.args[0], "message": "refused"}

    def _StartExecution(self, body: Mapping[str, Any]) -> Any:  # noqa: N802
        arn = f"{body['stateMachineArn'].replace(':stateMachine:', ':execution:')}:{body['name']}"
        if arn in self.executions and self.executions[arn].input != json.loads(body["input"]):
            raise _Refused("ExecutionAlreadyExists")
        if arn in self.executions and self.executions[arn].status != "RUNNING":
            raise _Refused("ExecutionAlreadyExists")
        self.executions.setdefault(arn, Execution(arn, body["name"], json.loads(body["input"])))
        return {"executionArn": arn, "startDate": 0}

    def _DescribeExecution(self, body: Mapping[str, Any]) -> Any:  # noqa: N802
        found = self._found(body)
        shown: dict[str, Any] = {
            "executionArn": found.arn,
            "stateMachineArn": "",
            "name": found.name,
            "status": found.status,
        }
        shown |= {"startDate": 0, "input": json.dumps(found.input)}
        if found.status == "SUCCEEDED":
            shown["output"] = json.dumps(found.output)
        return shown

    def _StopExecution(self, body: Mapping[str, Any]) -> Any:  # noqa: N802
        found = self._found(body)
        if found.status == "RUNNING":
            found.status = "ABORTED"
        return {"stopDate": 0}

    def _SendTaskSuccess(self, body: Mapping[str, Any]) -> Any:  # noqa: N802
        token = body["taskToken"]
        if token in self.over or token in self.answers:
            raise _Refused("TaskTimedOut")
        if token not in self.waiting:
            raise _Refused("TaskDoesNotExist")
        self.answers[token] = json.loads(body["output"])
        return {}

    def _found(self, body: Mapping[str, Any]) -> Execution:
        try:
            return self.executions[body["executionArn"]]
        except KeyError:
            raise _Refused("ExecutionDoesNotExist") from None


class _Refused(Exception):
    pass


@dataclass
class _At:
    """Which invocation is at which request."""

    invocation: Invocation
    request: Request | None = None


@dataclass
class ModelCall:
    """A completion that was made, whether anybody heard of it or not: the provider's side of the bill."""

    model: str
    usage: Mapping[str, int]


class Wire:
    """The functions' way to AWS.

    meddle  gets each sending of a request and may carry it out, or not, or twice
    heard   the entries of every PutEvents that was carried out
    written the writes to tables that were carried out, with the invocation that asked for them
    """

    def __init__(self, clock: Clock, names: Callable[[str], str]) -> None:
        self._clock, self._names = clock, names
        # In a context and not in a thread: the executor runs a tool that has a timeout in a thread of its own.
        self._at: ContextVar[_At] = ContextVar("at")
        self.states = StepFunctions()
        self.renew(None)
        session: Any = boto3.Session("LOCALADMIN", "local", region_name=REGION, botocore_session=_core())
        from moto.core.models import botocore_stubber

        self._moto = botocore_stubber
        session.events.unregister("before-send", botocore_stubber)
        quick_clients(session)
        session.events.register("before-call.*.*", self._before_call)
        session.events.register("before-send.*.*", self._before_send)
        self.session: Any = _Clients(session)

    def renew(self, model: Source | None) -> None:
        """Forget the case before."""
        self.model = model
        self._strict = Strict.of(model, clock=lambda: self._clock.now) if model is not None else None
        states = self.states
        for forgotten in (states.executions, states.answers, states.waiting, states.over, states.asked):
            forgotten.clear()
        self.heard: list[dict[str, Any]] = []
        self.model_calls: list[ModelCall] = []
        self.written: list[tuple[Invocation, Request]] = []
        self.meddle: Meddle = lambda _invocation, _request, _prepared, perform: perform()

    def copied(self) -> dict[str, Any]:
        """Return what it has seen so far, and how far the model has come."""
        seen = {name: list(getattr(self, name)) for name in ("heard", "model_calls", "written")}
        return seen | {"model": copy.deepcopy(getattr(self.model, "state", None))}

    def restore(self, copied: Mapping[str, Any]) -> None:
        """Go back to what ``copied`` returned."""
        self.heard, self.model_calls = list(copied["heard"]), list(copied["model_calls"])
        self.written = list(copied["written"])
        if copied["model"] is not None:
            self.model.state = copy.deepcopy(copied["model"])  # type: ignore[union-attr]

    @contextmanager
    def invoking(self, invocation: Invocation) -> Iterator[None]:
        """Within the block, requests are those of ``invocation``; blocks may nest."""
        token = self._at.set(_At(invocation))
        try:
            yield
        finally:
            self._at.reset(token)

    def _before_call(self, model: Any, params: Mapping[str, Any], **_: Any) -> None:
        at = self._at.get()
        body = _json(params.get("body"))
        service = str(model.service_model.service_name)
        target = self._names(_target(body, str(params.get("url_path", ""))))
        at.request = Request(len(at.invocation.requests) + 1, service, str(model.name), target, body)
        at.invocation.requests.append(at.request)

    def _before_send(self, request: AWSPreparedRequest, event_name: str, **_: Any) -> AWSResponse:
        invocation, asked = self._at.get().invocation, self._at.get().request
        assert asked is not None
        asked.sent += 1

        def perform() -> AWSResponse:
            self._clock.advance(REQUEST_S)
            response = self._perform(invocation, asked, request, event_name)
            if self._clock.now.timestamp() > invocation.deadline:
                raise LambdaDied("Sandbox.Timedout")
            return response

        if self._clock.now.timestamp() > invocation.deadline:
            raise LambdaDied("Sandbox.Timedout")
        return self.meddle(invocation, asked, request, perform)

    def _perform(
        self, invocation: Invocation, asked: Request, request: AWSPreparedRequest, event_name: str
    ) -> AWSResponse:
        if asked.service == "stepfunctions":
            status, body = self.states.answer(asked.operation, asked.body)
            return response_of(request, status, body)
        if asked.service == "bedrock-runtime":
            return self._converse(request)
        if asked.operation == "PutEvents":
            self.heard += asked.body["Entries"]
        request.headers["Authorization"] = SIGNATURE
        made = self._moto(event_name, request)
        assert made is not None, f"moto does not know {asked.label}"
        if asked.operation in _WRITES and made.status_code == 200:
            self.written.append((invocation, asked))
        return made

    def _converse(self, request: AWSPreparedRequest) -> AWSResponse:
        assert self._strict is not None
        model_id = unquote(urlsplit(request.url).path.split("/")[2])
        try:
            reply = self._strict.reply(_json(request.body), model_id)
        except ModelError as error:
            self._clock.advance(error.wait_s)
            if error.wait_s > 1:
                raise ReadTimeoutError(endpoint_url=request.url) from None
            return error_of(request, error.code, STATUS[error.code])
        self._clock.advance(reply.wait_s)
        if isinstance(reply.body.get("usage"), Mapping):
            self.model_calls.append(ModelCall(model_id, reply.body["usage"]))
        return response_of(request, 200, reply.body)


def response_of(request: AWSPreparedRequest, status: int, body: Any, headers: Mapping[str, str] = {}) -> AWSResponse:
    """Return a response with that JSON."""
    from moto.core.botocore_stubber import MockRawResponse

    text = body if isinstance(body, str) else json.dumps(body)
    return AWSResponse(request.url, status, dict(headers), MockRawResponse(text))  # type: ignore[arg-type]


def error_of(request: AWSPreparedRequest, code: str, status: int) -> AWSResponse:
    """Return an error as the service of ``request`` sends it."""
    if ".s3." in request.url or "//s3" in request.url:
        return response_of(request, status, f"<Error><Code>{code}</Code><Message>injected</Message></Error>")
    return response_of(request, status, {"__type": code, "message": "injected"}, {"x-amzn-errortype": code})


def _json(body: Any) -> Any:
    if isinstance(body, bytes | bytearray | str):
        try:
            return json.loads(body)
        except ValueError:
            return None
    return body if isinstance(body, dict) else None


def _target(body: Any, path: str) -> str:
    """Return the name of the table, queue or bucket that a request is about."""
    if not isinstance(body, Mapping):
        return path.strip("/").split("/")[0]
    if "TableName" in body:
        return str(body["TableName"])
    if "QueueUrl" in body:
        return str(body["QueueUrl"]).rsplit("/", 1)[-1]
    if "RequestItems" in body:
        return "+".join(body["RequestItems"])
    items = [next(iter(item.values())) for item in body.get("TransactItems", ())]
    return "+".join(dict.fromkeys(str(item["TableName"]) for item in items))


def _core() -> Any:
    core = core_session()
    core.register_component("data_loader", Models())
    return core


class _Clients:
    """A session that makes each client once, whatever its options."""

    def __init__(self, session: boto3.Session) -> None:
        self._session = session
        self._made: dict[str, Any] = {}

    def client(self, service: str, **options: Any) -> Any:
        config = options.get("config")
        key = f"{service} {options.get('endpoint_url')} {config and config._user_provided_options}"
        if key not in self._made:
            self._made[key] = self._session.client(service, **options)  # type: ignore[call-overload]
        return self._made[key]
