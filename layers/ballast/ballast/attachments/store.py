"""The content of a run's files in the payload bucket, under a prefix of its own.

::

    attachments/TENANT/RUN/SHA256

A key is made, never taken from anybody: no request can name another tenant's or run's file. Each read checks size and
hash, so nobody can put another content in the place of one that was checked. The bucket's lifecycle forgets the files
with the log.
"""

from __future__ import annotations

import base64
import hashlib
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from pydantic import ValidationError

from ballast.attachments.files import WrongContent, measured
from ballast.aws_errors import consequences, readable
from ballast.contracts.attachment import FORMATS, Attachment, Kept
from ballast.errors import LogCorrupt
from ballast.runtime import Settings
from ballast.values import dataclass

if TYPE_CHECKING:
    from ballast.runtime import Runtime


class BucketSettings(Settings):
    """``payload_bucket``: the bucket."""

    payload_bucket: str


def named(name: str, file_format: str, content: bytes) -> Attachment:
    """Return the file of that content. Raises ``ValidationError``, also for a size that no file may have."""
    read = {"name": name, "format": file_format, "bytes": len(content)}
    return Attachment.model_validate(read | {"sha256": hashlib.sha256(content).hexdigest()})


@dataclass(frozen=True)
class Attachments:
    """The files in the bucket, with the rights of one function."""

    s3: Any
    bucket: str

    @classmethod
    def of(cls, runtime: Runtime) -> Attachments:
        """Return the files of ``runtime``'s stack."""
        return cls(runtime.lazy("s3"), BucketSettings.of(runtime).payload_bucket)

    def put(self, tenant: str, run_id: str, attachment: Attachment, content: bytes) -> None:
        """Keep the content of a run's file; the same again is harmless. Raises ``RetryLater``."""
        digest = base64.b64encode(bytes.fromhex(attachment.sha256)).decode("ascii")
        with consequences(self._where):
            self.s3.put_object(
                Bucket=self.bucket,
                Key=key_of(tenant, run_id, attachment.sha256),
                Body=content,
                ChecksumSHA256=digest,
                # Nothing opens the object in a browser, whatever it holds.
                ContentType="application/octet-stream",
                ContentDisposition="attachment",
            )

    def checked(self, tenant: str, run_id: str, attachment: Attachment) -> Kept:
        """Read and check a run's file, and return it as the log keeps it.

        Raises ``WrongContent`` if it is missing, not what the request says, or not of its format, and ``RetryLater``.
        """
        key = key_of(tenant, run_id, attachment.sha256)
        content = self._read(key, attachment)
        if content is None:
            raise WrongContent("is not there: its content was never sent, was changed, or has expired. Send it again")
        fields = attachment.model_dump() | measured(attachment.format, content)
        return Kept.model_validate(fields | {"key": key})

    def keep(self, tenant: str, run_id: str, name: str, file_format: str, content: bytes) -> Kept:
        """Check and keep a file that a tool gives, and return it as the log has it.

        A name that no file may have is replaced. Raises ``WrongContent``, and ``RetryLater``.
        """
        if file_format not in FORMATS:
            raise WrongContent(f"has no format that a model takes: {', '.join(FORMATS)}")
        fields = measured(file_format, content)
        try:
            one = named(name, file_format, content)
        except ValidationError:
            one = named(f"file.{file_format}", file_format, content)
        self.put(tenant, run_id, one, content)
        return Kept.model_validate(one.model_dump() | fields | {"key": key_of(tenant, run_id, one.sha256)})

    def read(self, tenant: str, run_id: str, kept: Kept) -> bytes:
        """Return the content of a file of the run's log.

        Raises ``LogCorrupt`` if it is gone, another, or another run's, and ``RetryLater``.
        """
        if not is_of(tenant, run_id, kept):
            raise LogCorrupt(f"{kept.key}: is no file of {run_id}; somebody changed the log.")
        content = self._read(kept.key, kept)
        if content is None:
            raise LogCorrupt(
                f"s3://{self.bucket}/{kept.key}: the file is gone, or its content is not the recorded one."
            )
        return content

    def link(self, kept: Kept, seconds: int) -> str:
        """Return an address from which anybody who has it can load the file for so many seconds; as a download."""
        stem = kept.name.removesuffix(f".{kept.format}")
        named = {"ResponseContentDisposition": f"attachment; filename*=UTF-8''{quote(f'{stem}.{kept.format}')}"}
        where = {"Bucket": self.bucket, "Key": kept.key, "ResponseContentType": "application/octet-stream"}
        made: str = self.s3.generate_presigned_url("get_object", Params=where | named, ExpiresIn=seconds)
        return made

    def _read(self, key: str, attachment: Attachment) -> bytes | None:
        with consequences(self._where):
            found = readable(self.s3, self.bucket, key)
            if found is None or found.get("ContentLength", 0) != attachment.bytes:
                return None
            content: bytes = found["Body"].read()
        right = hashlib.sha256(content).hexdigest() == attachment.sha256
        return content if right else None

    @property
    def _where(self) -> str:
        return f"Bucket {self.bucket} (PAYLOAD_BUCKET)"


class ReadContents:
    """The contents that a warm function has read of the run that it follows; those of another run are dropped.

    most_bytes  what it keeps together; a file beyond that is read each time
    """

    def __init__(self, store: Attachments, most_bytes: int = 16 * 1024 * 1024) -> None:
        self._store, self._most_bytes = store, most_bytes
        self._of_run: tuple[tuple[str, str], dict[tuple[str, str, int], bytes]] = ("", ""), {}

    def read(self, tenant: str, run_id: str, kept: Kept) -> bytes:
        """Return the content of a file of the run's log; see ``Attachments.read``."""
        run, contents = self._of_run
        if run != (tenant, run_id):
            contents = {}
            self._of_run = (tenant, run_id), contents
        # All that a read checks is in the key, so a forged entry of the log finds nothing here.
        checked = kept.key, kept.sha256, kept.bytes
        content = contents.get(checked)
        if content is None:
            content = self._store.read(tenant, run_id, kept)
            if sum(map(len, contents.values())) + len(content) <= self._most_bytes:
                contents[checked] = content
        return content


def is_of(tenant: str, run_id: str, kept: Kept) -> bool:
    """Return whether the file is that run's: whoever writes the log could name another one's."""
    return kept.key == key_of(tenant, run_id, kept.sha256)


def key_of(tenant: str, run_id: str, sha256: str) -> str:
    """Return the object's key of a run's file."""
    return f"attachments/{tenant}/{run_id}/{sha256}"
