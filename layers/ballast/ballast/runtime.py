"""The runtime of one deployed function: its environment, its credentials and a clock.

Everything is built on first use and once per ``Runtime``. A Lambda process has one ``Runtime``;
tests and the local cloud run many functions in one process and give each its own. So no
module reads ``os.environ`` or makes a client when it is imported, except where Lambda initializes
a function (``made_at_init``).
"""

from __future__ import annotations

import gc
import os
import threading
from collections.abc import Callable, Collection, Mapping
from contextlib import suppress
from datetime import UTC, datetime
from functools import cache, cached_property
from typing import TYPE_CHECKING, Any, ClassVar, Protocol, Self, TextIO, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError

from ballast.errors import SettingInvalid
from ballast.masking import masked_context, without_inputs
from ballast.metrics import SERVICE, MetricLine

if TYPE_CHECKING:
    from botocore.config import Config

T = TypeVar("T")


class Session(Protocol):
    """What a ``Runtime`` uses of boto3's session."""

    @property
    def region_name(self) -> str | None:
        """The region of its clients."""

    @property
    def client(self) -> Callable[..., Any]:
        """Makes a client of the service that is named first."""


def utc_now() -> datetime:
    """Return the current time, aware, in UTC."""
    return datetime.now(UTC)


class Runtime:
    """One function's environment, AWS session, clock and output, and the objects built from them."""

    def __init__(
        self,
        environ: Mapping[str, str],
        *,
        session: Session | None = None,
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
        self,
        service: str,
        config: Config | None = None,
        endpoint_url: str | None = None,
        *,
        variant: str = "",
        regional: bool = False,
    ) -> Any:
        """Return this function's client of ``service``, made on first use and then kept.

        ``variant`` distinguishes clients of one service with different ``config``. ``regional``: the service belongs to
        ``REGIONAL``, which has only what several functions use.
        """

        def make(_: Runtime) -> Any:
            with self._lock:
                self._session = self._session or _Session()
                if regional and isinstance(self._session, _Session):
                    self._session.regional.add(service)
                return self._session.client(service, config=config, endpoint_url=endpoint_url)

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


#: Services whose endpoint follows the same pattern in each region, by the name in their endpoint.
REGIONAL = frozenset({"dynamodb", "events", "kms", "lambda", "monitoring", "secretsmanager", "sqs", "states"})


class _Session:
    """A session of the function's own role, which starts in half of boto3's time and makes the same clients.

    boto3 loads resources and transfers for what botocore's own session does without them. Before botocore reads the
    model of one service, it looks through the folders of all of them and reads a table of all their endpoints, which is
    a megabyte of JSON.
    """

    def __init__(self) -> None:
        from botocore.exceptions import DataNotFoundError
        from botocore.loaders import create_loader
        from botocore.session import Session

        def list_asked(type_name: str) -> list[str]:
            found = []
            for one in self._asked:
                with suppress(DataNotFoundError):
                    found += [one] if loader.list_api_versions(one, type_name) else []
            return found

        def load_with_path(name: str) -> tuple[Any, str]:
            other = any(map(self._core.get_config_variable, ("use_dualstack_endpoint", "use_fips_endpoint")))
            if name != "endpoints" or other:
                return loaded(name)
            partitions, path = loaded("partitions")
            table = cache(lambda: {one["partition"]: one["services"] for one in loaded(name)[0]["partitions"]})
            made = [_endpoints(one, self.regional, table) for one in partitions["partitions"]]
            return {"partitions": made}, path

        self._asked: set[str] = set()
        self.regional = set(REGIONAL)
        self._core = Session()
        loader = create_loader(self._core.get_config_variable("data_path"))
        loaded = loader.load_data_with_path
        loader.load_data_with_path = load_with_path  # type: ignore[method-assign]
        loader.list_available_services = list_asked  # type: ignore[method-assign]
        self._core.register_component("data_loader", loader)

    @property
    def region_name(self) -> str | None:
        """The region of its clients."""
        region: str | None = self._core.get_config_variable("region")
        return region

    def client(self, service_name: str, **options: Any) -> Any:
        """Return a client, as boto3's session does."""
        self._asked.add(service_name)
        if service_name == "s3":
            return self._with_transfers.client("s3", **options)
        return self._core.create_client(service_name, **options)

    @cached_property
    def _with_transfers(self) -> Any:
        """boto3's session, which gives clients of S3 more methods, such as ``upload_file``. A second one would fail."""
        import boto3

        return boto3.Session(botocore_session=self._core)


def _endpoints(
    partition: Mapping[str, Any], regional: Collection[str], table: Callable[[], Mapping[str, Any]]
) -> dict[str, Any]:
    """Return a partition in the form of botocore's table of endpoints.

    ``table`` returns the services of each partition; it is called for a service that is not ``regional``.
    """

    class Services(dict[str, Any]):
        def get(self, name: str, default: Any = None) -> Any:
            return default if name in regional else table().get(partition["id"], {}).get(name, default)

    return {
        "partition": partition["id"],
        "dnsSuffix": partition["outputs"]["dnsSuffix"],
        "regionRegex": partition["regionRegex"],
        "regions": partition["regions"],
        "defaults": {
            "hostname": "{service}.{region}.{dnsSuffix}",
            "protocols": ["https"],
            "signatureVersions": ["v4"],
        },
        "services": Services(),
    }


class _Lazy:
    def __init__(self, runtime: Runtime, service: str) -> None:
        self._runtime, self._service = runtime, service

    def __getattr__(self, name: str) -> Any:
        return getattr(self._runtime.client(self._service), name)


#: What a program needs to start, and to find its files and packages.
_OF_A_PROGRAM = ("PATH", "HOME", "LANG", "LC_ALL", "TMPDIR", "TZ", "USER", "XDG_CACHE_HOME", "XDG_DATA_HOME")


def environ_of_a_program() -> dict[str, str]:
    """Return the environment for a program of somebody else: nothing of AWS, and no secret."""
    return {name: os.environ[name] for name in _OF_A_PROGRAM if name in os.environ}


@cache
def lambda_runtime() -> Runtime:
    """Return the runtime of this Lambda process: ``os.environ`` and the function's own role."""
    return Runtime(os.environ)


def made_at_init(factory: Callable[[Runtime], Any], *services: str) -> Callable[[T], T]:
    """Decorate a Lambda handler: make what each of its invocations uses while Lambda initializes the function.

    A handler that another function's module imports makes nothing: ``_HANDLER`` is Lambda's name of the function's own.
    That phase has two cores, an invocation only a part of one. With SnapStart the snapshot holds what was made. In any
    other process nothing is made. What cannot be made is left to the first invocation, which raises the error by its
    name and masked; here it would end the process.

    services  AWS services whose clients ``factory`` makes only on first use, though each invocation uses them
    """

    def decorated(handler: T) -> T:
        own = getattr(handler, "__module__", "") == os.environ.get("_HANDLER", "").rpartition(".")[0]
        if own and "AWS_LAMBDA_INITIALIZATION_TYPE" in os.environ:
            _register_restore(os.environ["AWS_LAMBDA_INITIALIZATION_TYPE"])
            runtime = lambda_runtime()
            try:
                runtime.get(factory)
                for service in services:
                    runtime.client(service)
            except Exception as problem:
                runtime.emit(
                    f'{{"level": "WARNING", "message": "not made at init", "error": "{type(problem).__name__}"}}'
                )
            # ``ballast`` turned it off. What init made is never searched again.
            gc.freeze()
            gc.enable()
        return handler

    return decorated


def _register_restore(kind: str) -> None:
    """Where a snapshot is taken, see to what must not be the same in each copy of it.

    That is the state of ``random``, by which botocore spreads its retries. Ids come from the system, the clock is
    read anew, credentials are fetched by the client, and no connection is open before the first invocation.
    """
    if kind == "snap-start":
        import random

        from snapshot_restore_py import register_after_restore  # type: ignore[import-not-found]  # Lambda brings it

        register_after_restore(random.seed)


class Settings(BaseModel):
    """The environment variables of one function: a variable is the field's name in capitals.

    A subclass documents a function's environment.
    """

    model_config: ClassVar[ConfigDict] = ConfigDict(frozen=True, extra="forbid", defer_build=True)

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
