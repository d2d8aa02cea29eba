"""boto3 sessions that reach moto and loopback addresses, and nothing else."""

from __future__ import annotations

import copy
import ipaddress
import os
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any, ClassVar, Protocol
from urllib.parse import urlsplit
from urllib.request import getproxies

import boto3
import botocore.session
from botocore.config import Config
from botocore.errorfactory import ClientExceptionsFactory
from botocore.handlers import BUILTIN_HANDLERS
from botocore.hooks import HierarchicalEmitter
from botocore.loaders import Loader

from localcloud.sandbox import SandboxEnded, check_sandbox

if TYPE_CHECKING:
    from botocore.awsrequest import AWSPreparedRequest

REGION = "eu-west-1"
ACCOUNT = "123456789012"  # moto's


#: Settings that botocore would otherwise read from the environment and ``~/.aws``: endpoints and credentials.
#: (Each: name in the configuration file, environment variable, value, conversion.)
_NOTHING_OF_THE_USERS: dict[str, Any] = {
    "profile": (None, None, None, None),
    "config_file": (None, None, os.devnull, None),
    "credentials_file": (None, None, os.devnull, None),
    "ignore_configured_endpoint_urls": (None, None, True, None),
}


class NotLocal(Exception):
    """A request that would leave this machine."""


@dataclass(frozen=True)
class Keys:
    """Credentials: made up, or given by moto's STS."""

    access_key: str = "LOCALADMIN"
    secret_key: str = "local"  # noqa: S105 - of nothing
    token: str | None = None


@dataclass(frozen=True)
class Bedrock:
    """Access to real Bedrock: credentials and region."""

    keys: Keys
    region: str

    def options(self, config: Config | None) -> dict[str, Any]:
        """Return the client options for these credentials, with the environment's proxies."""
        proxies = Config(proxies=getproxies())
        return {
            "aws_access_key_id": self.keys.access_key,
            "aws_secret_access_key": self.keys.secret_key,
            "aws_session_token": self.keys.token,
            "region_name": self.region,
            "config": proxies if config is None else config.merge(proxies),
        }


class Gate:
    """Allows or refuses every request of one local cloud's sessions before it is sent."""

    def __init__(self, *, allow_bedrock: bool) -> None:
        self._allow_bedrock = allow_bedrock
        self.closed = False

    def __call__(self, request: AWSPreparedRequest, **_: Any) -> None:
        check_sandbox()
        if self.closed:
            # A handler that was left behind, or a client kept beyond the cloud's end.
            raise SandboxEnded("the local cloud is closed")
        host = urlsplit(request.url).hostname or ""
        if _is_loopback(host):
            return
        if host.startswith("bedrock-runtime") and not self._allow_bedrock:
            raise NotLocal(
                "The agent has no model here. Give LocalCloud the url of a Converse double as model_endpoint_url, "
                "or ask for Bedrock itself with allow_bedrock=True (`--model bedrock:MODEL_ID`)."
            )
        if not host.endswith(".amazonaws.com"):
            raise NotLocal(f"The local cloud sends nothing to {host}.")


def _is_loopback(host: str) -> bool:
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


#: Told of each write to a table with a stream: table, event name, keys, old item, new item, in DynamoDB's JSON.
Written = Callable[[str, str, dict[str, Any], dict[str, Any] | None, dict[str, Any] | None], None]


class DynamoDB(Protocol):
    """DynamoDB in place of moto's, once the stack is deployed: for many more requests than moto can handle."""

    def take(self, deployed: Sequence[Mapping[str, Any]], written: Written) -> None:
        """Take over the tables, each as DescribeTable returns it, all empty."""

    def answer(self, session: LocalSession) -> None:
        """Answer the requests of a session that has no client yet. Its role's rights have then been checked."""


class Models(Loader):
    """botocore's loader of service models; reads each file once per process for all sessions."""

    _read: ClassVar[dict[str, Any]] = {}
    _services: ClassVar[list[str]] = []

    def load_data_with_path(self, name: str) -> Any:
        """As in botocore."""
        if name not in self._read:
            self._read[name] = super().load_data_with_path(name)
        return self._read[name]

    def list_available_services(self, type_name: str) -> list[str]:
        """Return all services. botocore looks into 400 folders for the type; without it a service has no versions."""
        if not self._services:
            there = {name for path in self.search_paths if os.path.isdir(path) for name in os.listdir(path)}
            self._services.extend(sorted(name for name in there if not name.endswith((".json", ".gz"))))
        return self._services


_ERRORS = ClientExceptionsFactory()


def core_session() -> botocore.session.Session:
    """Return a botocore session that reads nothing from the user's environment and files."""
    core = botocore.session.Session(
        session_vars=_NOTHING_OF_THE_USERS,
        event_hooks=copy.copy(_handlers(tuple(BUILTIN_HANDLERS))),
        include_builtin_handlers=False,
    )
    # Classes of a service's errors: the same ones for every session, for they cost as much as a client.
    parts: Any = core
    parts._internal_components.register_component("exceptions_factory", _ERRORS)
    # A fixed name: botocore would build its own for each request, and nothing here reads it.
    core.set_default_client_config(Config(proxies={}, user_agent="ballast-local"))
    return core


@cache
def _handlers(_builtin: tuple[Any, ...]) -> HierarchicalEmitter:
    """Return an emitter with these handlers, botocore's own: a copy of it takes a tenth of the time to register them.

    They are no session's own. There are more of them once moto is imported.
    """
    emitter = HierarchicalEmitter()
    botocore.session.Session(session_vars=_NOTHING_OF_THE_USERS, event_hooks=emitter)
    return emitter


class LocalSession(boto3.Session):
    """One principal's session; with ``bedrock`` its Bedrock client is the user's."""

    def __init__(self, keys: Keys, gate: Gate, *, models: Models, bedrock: Bedrock | None = None) -> None:
        core = core_session()
        core.register_component("data_loader", models)  # nine functions read the same service models
        super().__init__(
            aws_access_key_id=keys.access_key,
            aws_secret_access_key=keys.secret_key,
            aws_session_token=keys.token,
            region_name=REGION,
            botocore_session=core,
        )
        # Before moto's own handler, which is one of botocore's built-in ones.
        self.events.register_first("before-send", gate)
        self._bedrock = bedrock
        self._plain: dict[str, Any] = {}
        self._one_at_a_time = threading.Lock()  # boto3's sessions are not thread-safe

    def client(self, service_name: str, *args: Any, **kwargs: Any) -> Any:
        """As in boto3; a client without options is made only once."""
        with self._one_at_a_time:
            if self._bedrock is not None and service_name == "bedrock-runtime" and not kwargs.get("endpoint_url"):
                kwargs |= self._bedrock.options(kwargs.get("config"))
            if args or kwargs:
                return super().client(service_name, *args, **kwargs)  # type: ignore[call-overload]
            if service_name not in self._plain:
                made: Any = super().client(service_name)  # type: ignore[call-overload]
                # botocore makes them on first use without a lock: a second thread would catch other classes.
                _ = made.exceptions
                self._plain[service_name] = made
            return self._plain[service_name]


def users_bedrock() -> Bedrock:
    """Return the user's own access to Bedrock, read before moto replaces its sources.

    The credentials are read once: a run that outlives them must be started again.
    """
    session = boto3.Session()
    found = session.get_credentials()
    if found is None:
        raise NotLocal("No AWS credentials for Bedrock. Sign in first (`aws sso login`, or set AWS_PROFILE).")
    now: Any = found.get_frozen_credentials()
    return Bedrock(Keys(now.access_key, now.secret_key, now.token), session.region_name or REGION)
