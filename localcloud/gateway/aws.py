"""An AWS endpoint on localhost, through which other processes use the local stack with any AWS SDK.

::

    boto3, aws ─ AWS_ENDPOINT_URL ─▶ AwsEndpoint ─ signed anew ─▶ moto
                                             └ Lambda's Invoke ─▶ the function's handler, in this process

Every caller may do everything with any keys: nothing is checked here, and only this machine can reach the port. A page
in a browser cannot: it sends no AWS ``Authorization`` header to another origin without a preflight.
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

from botocore.exceptions import ClientError

from localcloud.gateway.http_api import Reply, Request
from localcloud.sessions import REGION

if TYPE_CHECKING:
    from localcloud.cloud import LocalCloud

#: Services by the names in requests' signatures. The others work inside the local cloud only.
SERVICES = ("cloudformation", "dynamodb", "events", "lambda", "sqs", "states", "sts")
_SCOPE = re.compile(r"AWS4-HMAC-SHA256 Credential=[^/]+/\d{8}/[a-z0-9-]+/(?P<service>[a-z0-9-]+)/aws4_request")
_INVOKE = re.compile(r"/2015-03-31/functions/(?P<function>[^/?]+)/invocations")
#: Headers of the caller's signature or connection; the forwarded request has its own.
_OURS = {"authorization", "connection", "content-length", "expect", "host", "x-amz-date", "x-amz-security-token"}


class AwsEndpoint:
    """Answers requests of AWS SDKs for one local cloud. Called from many threads."""

    def __init__(self, cloud: LocalCloud) -> None:
        self._cloud = cloud

    def __call__(self, request: Request) -> Reply:
        """Return AWS's reply."""
        scope = _SCOPE.match({name.lower(): value for name, value in request.headers}.get("authorization", ""))
        if scope is None:
            return _refused(403, "MissingAuthenticationToken", "Sign the request. Any keys will do.")
        service = scope["service"]
        if service not in SERVICES:
            words = f"ballast up offers {', '.join(SERVICES)}, not {service}. Use the HTTP API for the rest."
            return _refused(501, "NotImplemented", words)
        if service == "lambda":
            return self._invoked(request)
        return self._passed_on(request, service)

    def _passed_on(self, request: Request, service: str) -> Reply:
        """Sign the request as the local cloud's administrator and forward it."""
        from botocore.auth import SigV4Auth
        from botocore.awsrequest import AWSRequest

        from localcloud.moto_seams.requests import answer

        headers = {name: value for name, value in request.headers if name.lower() not in _OURS}
        url = f"https://{service}.{REGION}.amazonaws.com{request.target}"
        passed = AWSRequest(method=request.method, url=url, data=request.body, headers=headers)
        administrator: Any = self._cloud.session.get_credentials()
        SigV4Auth(administrator, service, REGION).add_auth(passed)
        status, answered, body = answer(passed.prepare())
        return Reply(status, [(name.lower(), value) for name, value in answered.items()], body)

    def _invoked(self, request: Request) -> Reply:
        """Invoke a function's handler; moto has no code for it."""
        wanted = _INVOKE.fullmatch(request.path)
        sent = {name.lower(): value for name, value in request.headers}
        if wanted is None or request.method != "POST":
            return _refused(501, "NotImplemented", "Of Lambda's operations, ballast up supports only Invoke.")
        if sent.get("x-amz-invocation-type", "RequestResponse") != "RequestResponse":
            return _refused(
                400, "InvalidParameterValueException", "InvocationType: ballast up supports only RequestResponse."
            )
        try:
            body, error = self._cloud.invoke_raw(unquote(wanted["function"]), request.body or b"{}")
        except ClientError as problem:
            told = problem.response["Error"]
            status = 404 if told["Code"] == "ResourceNotFoundException" else 400
            return _refused(status, told["Code"], told["Message"])
        headers = [("content-type", "application/json")] + ([("x-amz-function-error", error)] if error else [])
        return Reply(200, headers, body)


def _refused(status: int, code: str, message: str) -> Reply:
    """Return an error in the JSON form of AWS SDKs."""
    body = json.dumps({"__type": code, "message": message}).encode()
    return Reply(status, [("content-type", "application/x-amz-json-1.1"), ("x-amzn-errortype", code)], body)
