"""Turn an AWS client's error into the consequence that it has."""

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

#: S3 says the second of what is not there to who may not list the bucket, which none of our roles may.
_UNREADABLE_CODES = frozenset(
    {"NoSuchKey", "AccessDenied", "404", "403", "NotFound", "Forbidden", "InvalidObjectState"}
)


def readable(s3: Any, bucket: str, key: str) -> Mapping[str, Any] | None:
    """Return S3's answer to ``GetObject``; None where the object is gone, or there is no right to read it."""
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
    """Raise ``RetryLater`` for a throttle or an outage and ``SettingInvalid`` where ``resource`` is missing.

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
    """Say whether a transaction was cancelled by a conflict or a throttle, and by nothing else."""
    reasons = {reason.get("Code", "None") for reason in response.get("CancellationReasons", [])} - {"None"}
    return bool(reasons) and reasons <= _PASSING_REASONS
