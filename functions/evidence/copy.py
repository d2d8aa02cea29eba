"""Lambda on the log's stream: copy each new event, once, to a bucket whose objects nobody can change or delete.

Only deployed where the stack's parameter ``LogCopyDays`` asks for it::

    run-…/0003.call.1.settled.json   the item as it was written, in DynamoDB's JSON (binary values as base64)
    payloads/…                       what the item points to, under the same key as in the payload bucket

What is there already stays: a record that comes again, or an event that was written anew, changes nothing.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ballast.contracts.wire import canonical
from ballast.edge import guarded
from ballast.log.aws_errors import consequences
from ballast.log.codec import payload_of
from ballast.metrics import metric_line
from ballast.runtime import Runtime, Settings, lambda_runtime


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
        """Copy one item of the log, and its payload; return False where the payload is gone. Raises ``RetryLater``."""
        name = f"{item['run_id']['S']}/{item['seq']['S']}.json"
        self._put(name, canonical(item).encode("ascii"))
        key = payload_of(dict(item))
        if key is None:
            return True
        with consequences(f"Bucket {self.settings.payload_bucket} (PAYLOAD_BUCKET)"):
            try:
                found = self.s3.get_object(Bucket=self.settings.payload_bucket, Key=key)
            except self.s3.exceptions.NoSuchKey:
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
    """Copy the new events of ``event``, the stream's. Raises what failed: the stream sends the batch again."""
    process = runtime or lambda_runtime()
    copier = process.get(Copier.of)
    for record in event["Records"]:
        if record["eventName"] != "INSERT":
            continue
        whole = False
        try:
            whole = copier.copy(record["dynamodb"]["NewImage"])
        finally:
            if not whole:
                keys = record["dynamodb"].get("Keys", {})
                about = {name: str(keys.get(name, {}).get("S", "?")) for name in ("run_id", "seq")}
                process.emit(metric_line({"LogCopiesFailed": 1}, fields=about))
