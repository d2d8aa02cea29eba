"""Turn an AWS client's error into the consequence that it has."""

from collections.abc import Iterator
from contextlib import contextmanager

from ballast.errors import RetryLater, SettingInvalid

#: Error codes after which nothing was done and the same request may be sent again.
RETRYABLE_CODES = frozenset(
    {
        "InternalServerError",
        "InternalError",
        "InternalFailure",
        "LimitExceededException",
        "ProvisionedThroughputExceededException",
        "RequestLimitExceeded",
        "RequestTimeout",
        "ServiceUnavailable",
        "ServiceUnavailableException",
        "SlowDown",
        "ThrottledException",
        "Throttling",
        "ThrottlingException",
        "TooManyRequestsException",
        "TransactionInProgressException",
    }
)
_ABSENT_CODES = frozenset({"ResourceNotFoundException", "NoSuchBucket", "QueueDoesNotExist", "StateMachineDoesNotExist"})


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
        if code in RETRYABLE_CODES:
            raise RetryLater(f"{resource}: {code}; nothing was done, try again.") from problem
        if code in _ABSENT_CODES or code.endswith("NonExistentQueue"):
            raise SettingInvalid(
                f"{resource} does not exist ({code}). Deploy the stack, or mend the function's environment in template.yaml."
            ) from problem
        raise
    except (ConnectionError, HTTPClientError) as problem:
        raise RetryLater(f"{resource}: {type(problem).__name__}; try again.") from problem
