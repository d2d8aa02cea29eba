"""Another Lambda function as a tool: one synchronous invocation a call, and no retry that nobody asked for.

botocore would invoke the function again after a lost answer. The executor decides about that, so its client makes one
attempt.
"""

import json
import re
from typing import Any

from ballast.contracts.wire import occurs_twice, read_digits
from ballast.errors import RetryLater
from ballast.playbook.context import NotConfigured, NotSent, ToolContext
from ballast.playbook.servers.declaration import LambdaServer
from ballast.playbook.servers.http import text_of
from ballast.playbook.servers.proof import AnswerLost, NotNow, is_functions_own, refused_by_error, told
from ballast.playbook.servers.tools import RemoteCall
from ballast.playbook.servers.values import Answer

#: Error codes by which Lambda says that it did not start the function, and may start it later or not.
_NOT_NOW = frozenset(
    [
        "TooManyRequestsException",
        "EC2ThrottledException",
        "ENILimitReachedException",
        "EFSMountConnectivityException",
        "ResourceConflictException",
        "ResourceNotReadyException",
        "SubnetIPAddressLimitReachedException",
        "ThrottlingException",
        "SnapStartNotReadyException",
        "KMSDisabledException",
        "EC2AccessDeniedException",
    ]
)
_NOT_VOUCHED = "The declaration does not say that an error means that nothing was done"
_NOT_CONFIGURED = frozenset(["AccessDeniedException", "ResourceNotFoundException"])
_REFUSALS = frozenset(
    [
        "InvalidRequestContentException",
        "RequestTooLargeException",
        "InvalidParameterValueException",
        "UnsupportedMediaTypeException",
        "UnrecognizedClientException",
        "ExpiredTokenException",
        "InvalidSignatureException",
    ]
)


#: The fields by which a response of Lambda@Edge is told from other results that have a ``status``.
_OF_EDGE = frozenset({"statusDescription", "headers", "bodyEncoding"})
_STATUS = re.compile(r"[ \t]*([+-]?\d{1,9})(\.0*)?([ \t]|$)")


def _error_in(said: Any) -> str:
    """Return how a result says that it is an error, "" where it does not. The result may be JSON in a text.

    One field decides, whatever stands beside it: the ``statusCode`` of a function behind API Gateway or a load
    balancer (it is not the invocation's), or a part of what Lambda or Step Functions makes of an error. A ``status``
    has many meanings, and counts in the form of a response of Lambda@Edge.
    """
    if isinstance(said, str):
        try:
            said = read_digits(said)
        except (ValueError, RecursionError):
            return ""
    if not isinstance(said, dict):
        return ""
    status = _status(said.get("statusCode"))
    if status is not None and not 200 <= status <= 299:
        return f"statusCode {status}"
    of_edge = not said.keys().isdisjoint(_OF_EDGE) or said.keys() == {"status", "body"}
    status = _status(said.get("status")) if of_edge else None
    if status is not None and 300 <= status <= 599:
        return f"status {status}"
    if said.get("Error") and "Cause" in said:
        return "Error and Cause"
    return " and ".join(name for name in ("errorType", "errorMessage") if said.get(name))


def _status(value: Any) -> int | float | None:
    """Return a number, also one that a text begins with (``502 Bad Gateway``)."""
    if isinstance(value, str):
        found = _STATUS.match(value)
        return int(found[1]) if found else None
    return value if isinstance(value, int | float) and not isinstance(value, bool) else None


class LambdaTransport:
    """Invokes one function."""

    def __init__(self, declared: LambdaServer) -> None:
        self._declared = declared

    def send(self, call: RemoteCall, payload: dict[str, Any], key: str | None, ctx: ToolContext) -> Answer:
        """Return what the function answers; see ``Transport``. The key is an argument, if the tool has one."""
        from botocore.exceptions import (
            BotoCoreError,
            ClientError,
            ConnectTimeoutError,
            CredentialRetrievalError,
            EndpointConnectionError,
            NoCredentialsError,
            ParamValidationError,
            PartialCredentialsError,
        )

        declared = self._declared
        name = text_of("the function's name", declared.function, ctx)
        event = payload
        if declared.tool_field is not None:
            if declared.tool_field in payload:  # an argument that its schema does not name
                raise NotSent(f"Nothing was sent: {declared.tool_field} names the tool, and an argument has that name.")
            event = {**payload, declared.tool_field: call.remote_name}
        try:
            client, sent = self._client(call, ctx), json.dumps(event, allow_nan=False).encode()
        except Exception as problem:
            raise NotNow(f"Nothing was sent: the invocation cannot be made ({type(problem).__name__}).") from None
        try:
            answer = client.invoke(FunctionName=name, Payload=sent)
            body = answer["Payload"].read(declared.reply_bytes + 1)
        except ClientError as refused:
            code = str(refused.response.get("Error", {}).get("Code", ""))
            if code in _NOT_NOW:
                raise RetryLater(f"Lambda did not start {call.remote_name} now ({code}).") from None
            if code in _NOT_CONFIGURED:
                raise NotConfigured(
                    f"Lambda did not start {name} ({code}). Name the right function, and give the executor's role the "
                    "right to invoke it, in ToolsPolicy of business.yaml."
                ) from None
            if code in _REFUSALS:
                raise NotSent(f"Lambda did not start {call.remote_name} ({code}). Nothing was done.") from None
            raise AnswerLost(f"Lambda answered {code}.") from None
        except (ConnectTimeoutError, EndpointConnectionError) as problem:
            raise RetryLater(f"Nothing was sent: Lambda cannot be reached ({type(problem).__name__}).") from None
        except (
            NoCredentialsError,
            PartialCredentialsError,
            CredentialRetrievalError,
            ParamValidationError,
        ) as problem:
            raise NotNow(f"Nothing was sent: the invocation cannot be signed ({type(problem).__name__}).") from None
        except (BotoCoreError, OSError) as problem:
            raise AnswerLost(f"The function's answer was lost ({type(problem).__name__}).") from None
        if len(body) > declared.reply_bytes:
            raise AnswerLost(f"The function's answer has more than {declared.reply_bytes} bytes.")
        return self._answer(call, body, failed="FunctionError" in answer)

    @staticmethod
    def _answer(call: RemoteCall, body: bytes, *, failed: bool) -> Answer:
        try:
            said: Any = read_digits(body) if body.strip() else None
        except (ValueError, RecursionError):
            raise AnswerLost("The function's answer is no JSON.") from None
        if not failed:
            error = _error_in(said) if call.declared.result.checked else ""
            if error and call.declared.effect == "write":
                raise AnswerLost(
                    f"{call.remote_name} returned {error}, which does not say whether it acted. A function should "
                    "raise an error; if this is a result all the same, declare result: {checked: false}."
                )
            twice = "returned JSON in which a name occurs twice" if said and occurs_twice(body) else ""
            return Answer(said, f"returned {error}" if error else twice)
        told_of = said if isinstance(said, dict) else {}
        why = f"{told_of.get('errorType', '')}: {told_of.get('errorMessage', '')}"
        text = f"{call.remote_name} failed: {told(why)}"
        own = is_functions_own(told_of.get("errorType"), told_of.get("errorMessage"))
        if call.declared.effect == "read" or ("error" in call.declared.refusals and own):
            raise refused_by_error(text)
        why = "The function was ended under way" if "error" in call.declared.refusals else _NOT_VOUCHED
        raise AnswerLost(f"{text}. {why}.")

    def _client(self, call: RemoteCall, ctx: ToolContext) -> Any:
        from botocore.config import Config

        seconds = call.declared.limits.timeout_s or self._declared.timeout_s
        config = Config(connect_timeout=min(3, seconds), read_timeout=seconds, retries={"total_max_attempts": 1})
        return ctx.client("lambda", config, variant=f"tool {seconds:g}")
