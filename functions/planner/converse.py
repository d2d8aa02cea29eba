"""The one place that calls a model: Bedrock Converse through boto3, without botocore's retries."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ballast.contracts import ExitReason

if TYPE_CHECKING:
    from ballast.runtime import Runtime

#: Errors after which another attempt may succeed, and whether Bedrock may charge for this one.
_TRY_AGAIN: dict[str, tuple[ExitReason, bool]] = {
    "ThrottlingException": (ExitReason.MODEL_THROTTLED, False),
    "ModelNotReadyException": (ExitReason.MODEL_UNAVAILABLE, False),
    "ServiceUnavailableException": (ExitReason.MODEL_UNAVAILABLE, False),
    "ServiceUnavailable": (ExitReason.MODEL_UNAVAILABLE, False),
    "InternalServerException": (ExitReason.MODEL_UNAVAILABLE, True),
    "ModelErrorException": (ExitReason.MODEL_UNAVAILABLE, True),
    "ModelTimeoutException": (ExitReason.MODEL_TIMEOUT, True),
}
#: The same for a status that came without such a name: from a gateway, a proxy or a double.
_TRY_AGAIN_STATUS: dict[int, tuple[ExitReason, bool]] = {
    408: (ExitReason.MODEL_TIMEOUT, True),
    424: (ExitReason.MODEL_UNAVAILABLE, True),
    429: (ExitReason.MODEL_THROTTLED, False),
    500: (ExitReason.MODEL_UNAVAILABLE, True),
    502: (ExitReason.MODEL_UNAVAILABLE, True),
    503: (ExitReason.MODEL_UNAVAILABLE, False),
    504: (ExitReason.MODEL_TIMEOUT, True),
}


@dataclass(frozen=True)
class ModelFailure(Exception):
    """The call brought no completion.

    again    another attempt may succeed
    charged  the attempt may have cost something; its reservation stays charged
    """

    reason: ExitReason
    again: bool
    charged: bool
    detail: str


class Converse:
    """A Converse client with its time limit. The endpoint is AWS's, or the local cloud's."""

    def __init__(self, client: Any) -> None:
        self._client = client

    @classmethod
    def of(cls, runtime: Runtime, *, endpoint_url: str, timeout_s: int) -> Converse:
        """Build the client, once per runtime. ``endpoint_url`` "" is AWS's own."""
        from botocore.config import Config

        config = Config(
            # A retry is a new attempt with its own reservation, never a hidden one.
            retries={"total_max_attempts": 1, "mode": "standard"},
            connect_timeout=5,
            read_timeout=timeout_s,
        )
        return cls(runtime.client("bedrock-runtime", config=config, endpoint_url=endpoint_url or None))

    def reply(self, request: dict[str, Any]) -> dict[str, Any]:
        """Send ``request`` (the arguments of ``converse``) and return the reply. Raises ``ModelFailure``."""
        from botocore.exceptions import (
            BotoCoreError,
            ClientError,
            ConnectTimeoutError,
            EndpointConnectionError,
            HTTPClientError,
            ParamValidationError,
            ReadTimeoutError,
        )

        try:
            reply: dict[str, Any] = self._client.converse(**request)
        except ClientError as problem:
            raise _failure(problem.response) from problem
        except ReadTimeoutError as problem:
            raise ModelFailure(ExitReason.MODEL_TIMEOUT, True, True, str(problem)[:500]) from problem
        except (ConnectTimeoutError, EndpointConnectionError) as problem:
            raise ModelFailure(ExitReason.MODEL_UNAVAILABLE, True, False, str(problem)[:500]) from problem
        except ParamValidationError as problem:
            raise ModelFailure(ExitReason.MODEL_REFUSED, False, False, str(problem)[:500]) from problem
        except (HTTPClientError, BotoCoreError) as problem:
            # The connection broke: it may have been charged.
            raise ModelFailure(ExitReason.MODEL_UNAVAILABLE, True, True, str(problem)[:500]) from problem
        except Exception as problem:
            # botocore's parser raises whatever a reply of another shape makes it stumble over.
            detail = f"The reply is none of Converse's: {type(problem).__name__}: {problem}"[:500]
            raise ModelFailure(ExitReason.MALFORMED_MODEL_OUTPUT, False, True, detail) from problem
        return reply


def _failure(response: Mapping[str, Any]) -> ModelFailure:
    """Return what an error response means: by its name, else by its status."""
    error = response.get("Error", {})
    status = response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
    known = _TRY_AGAIN.get(error.get("Code", "")) or _TRY_AGAIN_STATUS.get(status)
    reason, charged = known or (ExitReason.MODEL_REFUSED, False)
    detail = f"{error.get('Code', '')}: {error.get('Message', '')}"[:500]
    return ModelFailure(reason, known is not None, charged, detail)
