"""Lambda on the log's stream: copy each new event, once, to a bucket whose objects nobody can change or delete.

Only deployed where the stack's parameter ``LogCopyDays`` asks for it::

    run-…/0003.call.1.settled.json   the item as it was written, in DynamoDB's JSON (binary values as base64)
    odd/…                            the same, where the key is too long for a name
    payloads/…                       what the item points to, under the same key as in the payload bucket

What is there already stays: a record that comes again, or an event that was written anew, changes nothing.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ballast.contracts.wire import canonical, sha256
from ballast.edge import guarded
from ballast.log.aws_errors import consequences, is_gone
from ballast.log.codec import payload_of
from ballast.metrics import metric_line
from ballast.runtime import Runtime, Settings, lambda_runtime

#: S3's limit, in bytes.
_LONGEST_NAME = 1024


class CopySettings(Settings):
    """What copying needs.

    log_copy_bucket  the bucket with Object Lock
    payload_bucket   where large bodies are
    """

    log_copy_bucket: str
    payload_bucket: str


@dataclass(frozen=True)
class Copier:
    """Copies events, with the rights of this function."""

    s3: Any
    settings: CopySettings

    @classmethod
    def of(cls, runtime: Runtime) -> "Copier":
        """Return the copier of ``runtime``'s function."""
        settings = CopySettings.of(runtime)
        return cls(runtime.client("s3"), settings)

    def copy(self, item: Mapping[str, Any]) -> bool:
        """Copy an item of the log, and its payload; return False where that is gone, or none. Raises ``RetryLater``."""
        name = f"{item['run_id']['S']}/{item['seq']['S']}.json"
        if len(name.encode("utf-8")) > _LONGEST_NAME:  # no key of ours
            name = f"odd/{sha256(name)}.json"
        self._put(name, canonical(item).encode("ascii"))
        try:
            key = payload_of(dict(item))
        except (ValueError, AttributeError):
            return False  # somebody made it up: the item itself is copied
        if key is None:
            return True
        with consequences(f"Bucket {self.settings.payload_bucket} (PAYLOAD_BUCKET)"):
            try:
                found = self.s3.get_object(Bucket=self.settings.payload_bucket, Key=key)
            except self.s3.exceptions.ClientError as problem:
                if not is_gone(problem):
                    raise
                return False  # nor will it be there the next time
        self._put(key, found["Body"].read())
        return True

    def _put(self, key: str, content: bytes) -> None:
        from botocore.exceptions import ClientError

        with consequences(f"Bucket {self.settings.log_copy_bucket} (LOG_COPY_BUCKET)"):
            try:
                # Object Lock wants a checksum; the condition keeps the first copy the current one.
                self.s3.put_object(
                    Bucket=self.settings.log_copy_bucket,
                    Key=key,
                    Body=content,
                    ChecksumAlgorithm="SHA256",
                    IfNoneMatch="*",
                )
            except ClientError as problem:
                if problem.response.get("Error", {}).get("Code") != "PreconditionFailed":
                    raise


@guarded
def lambda_handler(event: Any, context: Any, *, runtime: Runtime | None = None) -> None:
    """Copy the new events of ``event``, the stream's. Raises what failed: the stream sends the batch again.

    One that cannot be copied holds up no other of its batch.
    """
    process = runtime or lambda_runtime()
    copier = process.get(Copier.of)
    failed: list[Exception] = []
    for record in event["Records"]:
        if record["eventName"] != "INSERT":
            continue
        whole = False
        try:
            whole = copier.copy(record["dynamodb"]["NewImage"])
        except Exception as problem:
            failed.append(problem)
        if not whole:
            keys = record["dynamodb"].get("Keys", {})
            about = {name: str(keys.get(name, {}).get("S", "?")) for name in ("run_id", "seq")}
            process.emit(metric_line({"LogCopiesFailed": 1}, fields=about))
    if failed:
        raise failed[0]
