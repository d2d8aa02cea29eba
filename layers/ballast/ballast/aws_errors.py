"""Map an AWS client's errors to ours, by their consequence."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from ballast.errors import RetryLater, SettingInvalid

#: Error codes after which nothing was done and the same request may be sent again.
RETRYABLE_CODES = frozenset(
    {
        "DependencyTimeoutException",
        "ExecutionLimitExceeded",
        "InternalServerError",
        "InternalError",
        "InternalException",
        "InternalFailure",
        "LimitExceededException",
        "ProvisionedThroughputExceededException",
        "KMS.ThrottlingException",
        "KMSInternalException",
        "KeyUnavailableException",
        "RequestLimitExceeded",
        "RequestThrottled",
        "RequestTimeout",
        "ServiceUnavailable",
        "ServiceUnavailableException",
        "SlowDown",
        "ThrottledException",
        "Throttling",
        "ThrottlingException",
        "TooManyRequestsException",
        "TransactionConflictException",
        "TransactionInProgressException",
    }
)
#: Reasons of ``TransactionCanceledException`` that pass by themselves.
_PASSING_REASONS = frozenset({"TransactionConflict", "ThrottlingError", "ProvisionedThroughputExceeded"})
_ABSENT_CODES = frozenset(
    {"ResourceNotFoundException", "NotFoundException", "NoSuchBucket", "QueueDoesNotExist", "StateMachineDoesNotExist"}
)

#: For a missing object S3 answers AccessDenied to a role that may not list the bucket, as all of ours.
_UNREADABLE_CODES = frozenset(
    {"NoSuchKey", "AccessDenied", "404", "403", "NotFound", "Forbidden", "InvalidObjectState"}
)


def readable(s3: Any, bucket: str, key: str) -> Mapping[str, Any] | None:
    """Return S3's answer to ``GetObject``; None if the object is gone, or may not be read."""
    from botocore.exceptions import ClientError

    try:
        found: Mapping[str, Any] = s3.get_object(Bucket=bucket, Key=key)
    except ClientError as problem:
        if problem.response.get("Error", {}).get("Code") in _UNREADABLE_CODES:
            return None
        raise
    return found


@contextmanager
def consequences(resource: str) -> Iterator[None]:
    """Raise ``RetryLater`` for a throttle or an outage, and ``SettingInvalid`` if ``resource`` is missing.

    Every other error passes as it is.
    """
    from botocore.exceptions import ClientError, ConnectionError, HTTPClientError

    try:
        yield
    except ClientError as problem:
        code = problem.response.get("Error", {}).get("Code", "")
        if code in RETRYABLE_CODES or _cancelled_for_a_while(problem.response):
            raise RetryLater(f"{resource}: {code}; nothing was done, try again.") from problem
        if code in _ABSENT_CODES or code.endswith("NonExistentQueue"):
            raise SettingInvalid(
                f"{resource} does not exist ({code}). "
                "Deploy the stack, or mend the function's environment in template.yaml."
            ) from problem
        raise
    except (ConnectionError, HTTPClientError) as problem:
        raise RetryLater(f"{resource}: {type(problem).__name__}; try again.") from problem


def _cancelled_for_a_while(response: Mapping[str, Any]) -> bool:
    """Return whether a transaction was cancelled only by conflicts or throttles."""
    reasons = {reason.get("Code", "None") for reason in response.get("CancellationReasons", [])} - {"None"}
    return bool(reasons) and reasons <= _PASSING_REASONS
