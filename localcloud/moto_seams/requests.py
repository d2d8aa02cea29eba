"""moto's way from a signed HTTP request to the method that answers it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from typing import TYPE_CHECKING

from localcloud.moto_seams.replaced import replaced
from localcloud.sessions import Models

if TYPE_CHECKING:
    from botocore.awsrequest import AWSPreparedRequest


@contextmanager
def methods_looked_up_once() -> Iterator[None]:
    """Let moto look up a class's methods once, not for every request.

    Relies on ``moto.core.responses`` calling ``method_names_from_class`` through its own global.
    """
    from moto.core import responses
    from moto.core.utils import method_names_from_class

    with replaced(responses, "method_names_from_class", cache(method_names_from_class)):
        yield


@contextmanager
def service_models_read_once() -> Iterator[None]:
    """Let moto take the service models that the sessions have read: each is a file of some hundred kilobytes.

    Relies on ``moto.core.utils`` calling ``create_loader()`` through its own global.
    """
    from moto.core import utils

    with replaced(utils, "create_loader", Models):
        yield


def answer(request: AWSPreparedRequest) -> tuple[int, dict[str, str], bytes]:
    """Return status, headers and body of moto's answer, as a client in this process gets it.

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
