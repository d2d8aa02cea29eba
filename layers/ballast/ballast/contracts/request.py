"""A caller's request, and the id of its run."""

import base64
import hashlib
import re
from typing import Annotated, Any, Literal

from pydantic import (
    Field,
    SerializerFunctionWrapHandler,
    StringConstraints,
    ValidationInfo,
    field_validator,
    model_serializer,
)

from ballast.contracts.attachment import MOST_ATTACHMENTS, Attachment
from ballast.contracts.limits import LimitsPatch
from ballast.contracts.wire import Json, Name, Text, Wire, canonical, sha256

#: The most characters of a request's text, and the most bytes of its text and of its context as JSON.
#: Together they stay well below 256 KiB, Step Functions' limit of an execution's input.
MAX_TEXT_CHARS = 20_000
MAX_TEXT_BYTES = 131_072  # JSON in ASCII has 6 bytes for most letters that are not Latin, 12 for an emoji
MAX_CONTEXT_BYTES = 32_768

RequestId = Annotated[str, StringConstraints(pattern=r"^[\x21-\x7e]{1,128}$")]
#: The URL that SQS returns: https://sqs.REGION.amazonaws.com/ACCOUNT/NAME.
QueueUrl = Annotated[
    str, StringConstraints(pattern=r"^https://[a-z0-9.-]{1,128}/[0-9]{12}/[A-Za-z0-9_-]{1,80}(\.fifo)?$")
]

WhenFull = Literal["refuse", "wait"]
#: The agent of a request without one in older versions. A repeat of such a request must get the same digest.
_UNNAMED = "support"


class RunRequest(Wire):
    """One request for a run.

    request_id  the caller's idempotency key, unique per tenant
    agent       name of the agent; by default the deployed one
    intent      the subject of the request, if the caller knows it; chooses the fallback
    text        the request in words; untrusted
    context     facts that the caller vouches for, such as an order id
    tenant      the tenant that pays
    limits      may only tighten the playbook's limits
    attachments images and documents; their content lies in the payload bucket, under tenant, run and hash
    reply_to    URL of an SQS queue that also gets the outcome; its name is the stack's prefix and the tenant
    when_full   what to do if a window or the limit of concurrent runs has no room: ``refuse`` and say when
                there will be room, or ``wait`` for a limited time. By default a request by message waits, and
                every other request is refused
    """

    request_id: RequestId
    agent: Name | None = None
    intent: Name | None = None
    text: Annotated[Text, StringConstraints(max_length=MAX_TEXT_CHARS)]
    context: dict[str, Json] = Field(default_factory=dict)
    tenant: Name = "default"
    limits: LimitsPatch | None = None
    attachments: Annotated[tuple[Attachment, ...], Field(max_length=MOST_ATTACHMENTS)] = ()
    reply_to: QueueUrl | None = None
    when_full: WhenFull | None = None

    @model_serializer(mode="wrap")
    def _without_none(self, whole: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """Leave out ``attachments`` where there are none: older functions and digests do not know the field."""
        made: dict[str, Any] = whole(self)
        if not self.attachments:
            made.pop("attachments", None)
        return made

    @field_validator("text", "context")
    @classmethod
    def _small_enough(cls, value: str | dict[str, Json], field: ValidationInfo) -> str | dict[str, Json]:
        size, limit = len(canonical(value)), MAX_TEXT_BYTES if field.field_name == "text" else MAX_CONTEXT_BYTES
        if size > limit:
            raise ValueError(f"must be at most {limit} bytes of JSON, is {size}")
        return value

    @property
    def run_id(self) -> str:
        """The run's id. It derives from tenant and request id, and is a legal execution name."""
        digest = hashlib.sha256(f"{self.tenant}\0{self.request_id}".encode()).digest()
        return "run-" + base64.b32encode(digest[:15]).decode("ascii").lower()

    @property
    def digest(self) -> str:
        """Hex SHA-256 of the whole request. It distinguishes a repeat from a conflict."""
        whole = self.model_dump(mode="json")
        return sha256(canonical(whole | {"agent": self.agent or _UNNAMED}))

    def named(self, agent: str) -> "RunRequest":
        """Return the request; if it names no agent, with the name of the deployed ``agent``."""
        return self if self.agent is not None else self.model_copy(update={"agent": agent})


def why_no_reply(prefix: str, queue_url: str | None, tenant: str) -> str | None:
    """Return why the tenant's runs may not reply to that queue; None if they may."""
    if queue_url is None or may_reply_to(prefix, queue_url, tenant):
        return None
    own = f"{prefix}{tenant}"
    return (
        f"reply_to: the queue's name must be {own!r}, or begin with {own + '--'!r}: the stack's parameter "
        "ReplyQueuePrefix, then the tenant. Name such a queue, or leave reply_to out."
    )


def may_reply_to(prefix: str, queue_url: str, tenant: str) -> bool:
    """Return whether the queue is the tenant's, by its name: PREFIX + TENANT, then optionally --ANYTHING.

    A tenant with two dashes in its name has no queue: the queue's name could belong to another tenant.
    """
    if "--" in tenant:
        return False
    own = re.escape(f"{prefix}{tenant}")
    return re.fullmatch(rf"{own}(--[A-Za-z0-9][A-Za-z0-9_-]*)?(\.fifo)?", queue_url.rsplit("/", 1)[-1]) is not None
