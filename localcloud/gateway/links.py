"""Links to a run's files that a browser on this machine can follow: the local S3 has no address of its own.

::

    GET /runs/ID/attachments/1 ─▶ the API's reply, with S3's presigned address ─ kept here, under a token ─▶
    {"url": "http://localhost:8787/local-files/TOKEN"} ─▶ the object, with the right and the headers of the address

Like a presigned address, a link needs no identity, is one object's and ends with the address.
"""

from __future__ import annotations

import json
import re
import secrets
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime
from threading import Lock
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import parse_qs, unquote, urlsplit

from botocore.exceptions import ClientError

from localcloud.gateway.http_api import Reply, Request

if TYPE_CHECKING:
    from localcloud.cloud import LocalCloud

_ASKED = re.compile(r"/runs/[^/]+/attachments/[^/]+")
_PATH = "/local-files/"
_API = "ApiFunction"


class _Signed(NamedTuple):
    """A presigned address: the arguments of ``GetObject``, and its end."""

    asked: dict[str, Any]
    until: datetime


class FileLinks:
    """The links of one local cloud. Called from many threads. ``now``: another time than the API's."""

    def __init__(self, cloud: LocalCloud, now: Callable[[], datetime] | None = None) -> None:
        self._cloud, self._lock = cloud, Lock()
        self._now = now or (lambda: cloud.runtime(_API).clock())
        self._signed: dict[str, _Signed] = {}

    def localized(self, request: Request, reply: Reply) -> Reply:
        """Return the API's reply with a link of this server in place of S3's; any other reply as it is."""
        if reply.status != 200 or not _ASKED.fullmatch(request.path):
            return reply
        told = json.loads(reply.body)
        token = secrets.token_urlsafe(32)
        with self._lock:
            now = self._now()
            self._signed = {made: one for made, one in self._signed.items() if one.until > now}
            self._signed[token] = _Signed(self._asked(told["url"]), datetime.fromisoformat(told["expires_at"]))
        host = next(value for name, value in request.headers if name.lower() == "host")
        body = json.dumps(told | {"url": f"http://{host}{_PATH}{token}"})
        return replace(reply, body=body.encode())

    def followed(self, request: Request) -> Reply | None:
        """Return the object of a link; None if the request is for no link."""
        if not request.path.startswith(_PATH):
            return None
        with self._lock:
            signed = self._signed.get(request.path.removeprefix(_PATH))
        if request.method not in ("GET", "HEAD") or signed is None or signed.until <= self._now():
            return Reply.of_gateway(403, "Forbidden: ask the API for a new link.")
        try:
            found = self._s3().get_object(**signed.asked)
        except ClientError as problem:
            return Reply.of_gateway(problem.response["ResponseMetadata"]["HTTPStatusCode"], str(problem))
        headers = [
            ("content-type", found["ContentType"]),
            ("content-disposition", found["ContentDisposition"]),
            ("x-content-type-options", "nosniff"),
            # It shares the console's origin here, as no object of S3 does.
            ("content-security-policy", "sandbox; default-src 'none'"),
            ("cache-control", "no-store"),
        ]
        return Reply(200, headers, found["Body"].read())

    def _asked(self, url: str) -> dict[str, Any]:
        parts = urlsplit(url)
        said = {name: values[0] for name, values in parse_qs(parts.query).items()}
        bucket = self._cloud.physical_id("PayloadBucket")
        return {
            "Bucket": bucket,
            "Key": unquote(parts.path).removeprefix("/").removeprefix(f"{bucket}/"),
            "ResponseContentType": said["response-content-type"],
            "ResponseContentDisposition": said["response-content-disposition"],
        }

    def _s3(self) -> Any:
        """Return a client with the rights of the function that signed."""
        return self._cloud.runtime(_API).client("s3")
