"""The runtime of one deployed function: its environment, its credentials and a clock.

Everything is built on first use and once per ``Runtime``. A Lambda process has one ``Runtime``;
tests and the local cloud run many functions in one process and give each its own. So no
module reads ``os.environ`` or makes a client when it is imported.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from functools import cache
from typing import TYPE_CHECKING, Any, ClassVar, Self, TextIO, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError

from ballast.errors import SettingInvalid
from ballast.masking import masked_context, without_inputs
from ballast.metrics import SERVICE, MetricLine

if TYPE_CHECKING:
    import boto3
    from botocore.config import Config

T = TypeVar("T")


def utc_now() -> datetime:
    """Return the current time, aware, in UTC."""
    return datetime.now(UTC)


class Runtime:
    """One function's environment, AWS session, clock and output, and the objects built from them."""

    def __init__(
        self,
        environ: Mapping[str, str],
        *,
        session: boto3.Session | None = None,
        clock: Callable[[], datetime] = utc_now,
        stdout: TextIO | None = None,
    ) -> None:
        self.environ = environ
        self.clock = clock
        self._stdout = stdout
        self._session = session
        self._built: dict[object, Any] = {}
        self._masks: list[Callable[[str, Any], str]] = []
        self._lock = threading.RLock()

    def client(
        self, service: str, config: Config | None = None, endpoint_url: str | None = None, *, variant: str = ""
    ) -> Any:
        """Return this function's client of ``service``, made on first use and then kept.

        ``variant`` distinguishes clients of one service with different ``config``.
        """

        def make(_: Runtime) -> Any:
            import boto3

            with self._lock:
                self._session = self._session or boto3.Session()
                # The type stubs need a literal service name; here it is a variable.
                session: Any = self._session
                return session.client(service, config=config, endpoint_url=endpoint_url)

        return self._once(("client", service, variant), make)

    def lazy(self, service: str) -> Any:
        """Return a proxy that makes ``client(service)`` on first use: many invocations need only some clients."""
        return _Lazy(self, service)

    @property
    def stack(self) -> str:
        """The name of the function's stack, from STACK_NAME."""
        return self.environ.get("STACK_NAME") or SERVICE

    @property
    def region(self) -> str:
        """The function's region, from Lambda or its AWS session; empty if neither is known."""
        return self.environ.get("AWS_REGION") or getattr(self._session, "region_name", None) or ""

    def emit(self, line: str) -> None:
        """Write one line where Lambda collects logs and embedded metrics. A metric line gets the stack's name."""
        print(line.of(self.stack) if isinstance(line, MetricLine) else line, file=self._stdout, flush=True)

    def mask_by(self, mask: Callable[[str, Any], str]) -> None:
        """Add ``mask`` to the masks of ``masked``. It takes a text and the current event."""
        self._masks.append(mask)

    def masked(self, text: str, event: Any = None) -> str:
        """Return ``text`` with all known sensitive values masked, so that it may leave the function.

        pydantic's quotes of refused values are removed: they are abbreviated, so no mask would find them.
        A function that does not know which values of a request are sensitive masks all of them.
        """
        text = without_inputs(text)
        for mask in self._masks or (masked_context,):
            text = mask(text, event)
        return text

    def get(self, factory: Callable[[Runtime], T]) -> T:
        """Return ``factory(self)``, made on first use and then kept."""
        return self._once(factory, factory)

    def _once(self, key: object, make: Callable[[Runtime], T]) -> T:
        with self._lock:
            if key not in self._built:
                self._built[key] = make(self)
            built: T = self._built[key]
        return built


class _Lazy:
    def __init__(self, runtime: Runtime, service: str) -> None:
        self._runtime, self._service = runtime, service

    def __getattr__(self, name: str) -> Any:
        return getattr(self._runtime.client(self._service), name)


@cache
def lambda_runtime() -> Runtime:
    """Return the runtime of this Lambda process: ``os.environ`` and the function's own role."""
    return Runtime(os.environ)


class Settings(BaseModel):
    """The environment variables of one function: a variable is the field's name in capitals.

    A subclass documents a function's environment.
    """

    model_config: ClassVar[ConfigDict] = ConfigDict(frozen=True, extra="forbid")

    @classmethod
    def of(cls, runtime: Runtime) -> Self:
        """Read the settings from ``runtime``. Raises ``SettingInvalid``, which names the variable."""
        found = {name: runtime.environ[name.upper()] for name in cls.model_fields if name.upper() in runtime.environ}
        try:
            return cls.model_validate(found)
        except ValidationError as problem:
            names = ", ".join(sorted(str(item["loc"][0]).upper() for item in problem.errors()))
            raise SettingInvalid(
                f"Environment variable missing or wrong: {names}. "
                "template.yaml sets it under the function's Environment; deploy again after mending it."
            ) from None
