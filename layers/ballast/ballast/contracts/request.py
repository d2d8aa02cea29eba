"""What a caller asks for, and the identity of the run that comes of it."""

import base64
import hashlib
from typing import Annotated

from pydantic import Field, JsonValue, StringConstraints, field_validator

from ballast.contracts.limits import LimitsPatch
from ballast.contracts.wire import Name, Wire, canonical, sha256

#: Characters of text, and bytes of context as JSON, that a request may carry. Together they
#: stay well below the 256 KiB that Step Functions takes as an execution's input.
MAX_TEXT_CHARS = 20_000
MAX_CONTEXT_BYTES = 32_768


class RunRequest(Wire):
    """One request for a run.

    request_id  the caller's idempotency key, unique per tenant
    agent       the playbook's agent that is wanted
    intent      what the caller knows the request to be about; chooses the fallback
    text        the request in words: untrusted
    context     facts that the caller vouches for, such as an order id
    tenant      on whose account
    limits      may only tighten the playbook's
    """

    request_id: Annotated[str, StringConstraints(pattern=r"^[\x21-\x7e]{1,128}$")]
    agent: Name = "support"
    intent: Name | None = None
    text: Annotated[str, StringConstraints(min_length=1, max_length=MAX_TEXT_CHARS)]
    context: dict[str, JsonValue] = Field(default_factory=dict)
    tenant: Name = "default"
    limits: LimitsPatch | None = None

    @field_validator("context")
    @classmethod
    def _small_enough(cls, value: dict[str, JsonValue]) -> dict[str, JsonValue]:
        size = len(canonical(value).encode("utf-8", "surrogatepass"))
        if size > MAX_CONTEXT_BYTES:
            raise ValueError(f"must be at most {MAX_CONTEXT_BYTES} bytes of JSON, is {size}")
        return value

    @property
    def run_id(self) -> str:
        """The run's id: the same for the same tenant and request id, and a legal execution name."""
        digest = hashlib.sha256(f"{self.tenant}\0{self.request_id}".encode()).digest()
        return "run-" + base64.b32encode(digest[:15]).decode("ascii").lower()

    @property
    def digest(self) -> str:
        """Hex SHA-256 of the whole request: tells a repeat from a conflict."""
        return sha256(canonical(self.model_dump(mode="json")))
