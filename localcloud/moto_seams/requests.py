"""moto's way from a signed HTTP request to its answer, for requests that come from outside of this process."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from botocore.awsrequest import AWSPreparedRequest


def answer(request: AWSPreparedRequest) -> tuple[int, dict[str, str], bytes]:
    """Return status, headers and body of moto's answer; the same as a client in this process gets.

    Relies on ``moto.core.models.botocore_stubber.process_request`` taking a prepared request whose URL is AWS's.
    """
    from moto.core.models import botocore_stubber

    found = botocore_stubber.process_request(request)
    if found is None:
        return 404, {}, b""
    status, headers, body = found
    return (
        status,
        {name: str(value) for name, value in headers.items()},
        body.encode() if isinstance(body, str) else body,
    )
