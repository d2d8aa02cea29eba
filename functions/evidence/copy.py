"""Lambda on the log's stream: copy each new event, once, to a bucket whose objects nobody can change or delete.

Deployed where the stack's parameter ``LogCopyDays`` asks for it::

    run-…/0003.call.1.settled.json   the item as it was written, in DynamoDB's JSON (binary values as base64)
    payloads/…                       the item's payload, under the same key as in the payload bucket

An item that Ballast did not write is copied as it is; one whose payload cannot be copied is reported and does not
delay others. An existing copy stays: a repeated record, or an event that was written over, changes nothing.
"""

import hashlib
from collections.abc import Mapping
from typing import Any

from ballast.aws_errors import consequences, readable
from ballast.contracts.wire import canonical
from ballast.edge import guarded
from ballast.log.codec import payload_of
from ballast.log.event import GARBLED
from ballast.metrics import metric_line
from ballast.runtime import Runtime, Settings, lambda_runtime, made_at_init
from ballast.table import plain
from ballast.values import dataclass

#: The longest key of S3; a table's may be longer.
_KEY_BYTES = 1_024


class CopySettings(Settings):
    """LogCopy's environment.

    log_copy_bucket  the bucket with Object Lock
    payload_bucket   where large bodies of the log are
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
        settings = CopySettings.of(runtime)
        return cls(runtime.client("s3"), settings)

    def copy(self, item: Mapping[str, Any]) -> str | None:
        """Copy one item of the log and its payload; return what could not be copied, None where all was.

        A retry would not help. Raises ``RetryLater``, and other errors that are not the item's fault.
        """
        pointing = plain({name: item[name] for name in ("run_id", "seq", "payload") if name in item})
        name = f"{pointing['run_id']}/{pointing['seq']}.json"
        content = canonical(item).encode("ascii")
        if len(name.encode("utf-8", "surrogatepass")) > _KEY_BYTES:
            name = f"odd/{hashlib.sha256(content).hexdigest()}.json"
        self._put(name, content)
        try:
            key = payload_of(pointing)
        except ValueError:
            return "its payload is no key of a payload"
        if key is None:
            return None
        with consequences(f"Bucket {self.settings.payload_bucket} (PAYLOAD_BUCKET)"):
            found = readable(self.s3, self.settings.payload_bucket, key)
            if found is None:
                return "its payload is gone, or there is no right to read it"
            content = found["Body"].read()
        self._put(key, content)
        return None

    def _put(self, key: str, content: bytes) -> None:
        from botocore.exceptions import ClientError

        with consequences(f"Bucket {self.settings.log_copy_bucket} (LOG_COPY_BUCKET)"):
            try:
                # Object Lock needs a checksum; the condition keeps the first copy the current one.
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


@made_at_init(Copier.of)
@guarded
def lambda_handler(event: Any, context: Any, *, runtime: Runtime | None = None) -> None:
    """Copy the new events of ``event``, the stream's.

    An item that cannot be copied whole is reported and does not delay others. Any other error is raised at the end:
    then the stream sends the batch again.
    """
    process = runtime or lambda_runtime()
    copier = process.get(Copier.of)
    failed: Exception | None = None
    for record in event["Records"]:
        if record["eventName"] != "INSERT":
            continue
        change = record["dynamodb"]
        try:
            why = copier.copy(change["NewImage"])
        except GARBLED as problem:
            why = f"it is no item of the log ({type(problem).__name__})"
        except Exception as problem:
            failed, why = failed or problem, type(problem).__name__
        if why is not None:
            about = {name: _named(change, name) for name in ("run_id", "seq")}
            process.emit(metric_line({"LogCopiesFailed": 1}, fields=about | {"why": why}))
    if failed is not None:
        raise failed


def _named(change: Mapping[str, Any], name: str) -> str:
    try:
        return str(plain(change["Keys"])[name])
    except GARBLED:
        return "?"
