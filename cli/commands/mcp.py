"""``ballast mcp``: serve the API's tools on standard input and output to another agent, as the person who starts it."""

from __future__ import annotations

import http.client
import os
import re
import sys
import time
import urllib.error
import urllib.request
from argparse import Namespace
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any
from urllib.parse import urlsplit

from ballast.errors import InvalidInput
from cli.exits import Exit
from cli.mcp_bridge import Bridge, HttpReply, Post, address_of, is_local, lines_of
from cli.own_stdout import for_protocol
from cli.parser import PORT

if TYPE_CHECKING:
    import boto3

#: Adds credentials to the headers of a body for an address.
Sign = Callable[[str, bytes, Mapping[str, str]], Mapping[str, str]]
#: Seconds for a reply: API Gateway gives up before.
_TIMEOUT_S = 40
_GATEWAY = re.compile(r"[a-z0-9]+\.execute-api\.([a-z0-9-]+)\.")


def mcp(typed: Namespace) -> int:
    """Serve until standard input ends; return 0. Raises ``InvalidInput``."""
    with for_protocol() as (messages, out), _api(typed) as post:
        Bridge(post, lambda line: _write(out, line), time.sleep).serve(lines_of(messages))
    return Exit.OK


def _write(out: IO[bytes], line: str) -> None:
    out.write(line.encode())
    out.flush()


@contextmanager
def _api(typed: Namespace) -> Iterator[Post]:
    """Yield what sends a message to the API that was typed."""
    chosen = [f"--{name}" for name in ("stack", "url", "playbook") if getattr(typed, name) is not None]
    if len(chosen) > 1:
        raise InvalidInput(f"{' and '.join(chosen)}: choose one; each says where the API is.")
    if typed.playbook is None and (typed.model is not None or typed.seed is not None):
        raise InvalidInput("--model and --seed go with --playbook. A stack, and `ballast up`, have a model already.")
    token = os.environ.get("BALLAST_TOKEN", "")
    if typed.playbook is not None:
        with _local_cloud(typed) as url:
            yield poster(address_of(url), _unsigned)
        return
    session: boto3.Session | None = None
    if typed.stack is not None:
        from cli.deployed_stack import output, stack_outputs, users_session

        session = users_session(typed)
        address = address_of(output(stack_outputs(session, typed.stack), "ApiUrl"))
    else:
        address = address_of(typed.url or f"http://127.0.0.1:{PORT}")
    if token:
        yield poster(address, bearer(token))
    elif is_local(address):
        yield poster(address, _unsigned)
    else:
        from cli.deployed_stack import users_session

        yield poster(address, signer(session or users_session(typed), address))


@contextmanager
def _local_cloud(typed: Namespace) -> Iterator[str]:
    """Serve the playbook in a local cloud and yield its address. The client is a member; people use the console."""
    from ballast.playbook import load_playbook
    from cli.commands.run import chosen_model
    from cli.escalations import user
    from cli.local_stack import local_stack
    from localcloud.converse import model_source
    from localcloud.gateway import serve
    from localcloud.gateway.identity import CLAIMS, bearer_of

    folder, source = Path(typed.playbook), model_source(chosen_model(typed))
    load_playbook(folder)
    print("Deploying template.yaml into a local cloud …", file=sys.stderr)
    seed = 1 if typed.seed is None else typed.seed
    with local_stack(source, playbook=folder, seed=seed, parameters=CLAIMS) as cloud:
        who = bearer_of(f"{user()}.agent", "member", cloud.environ("ApiFunction"))
        with serve(cloud, authorizer=who) as served:
            print(f"People answer in {served.url}/console, with the token {user()}:reviewer.", file=sys.stderr)
            yield served.url


def poster(address: str, sign: Sign) -> Post:
    """Return what sends a body to the address. It follows no redirect: credentials are for this address alone."""
    # A proxy of the environment is not for this machine's own addresses.
    handlers = [urllib.request.ProxyHandler({})] if is_local(address) else []
    opener = urllib.request.build_opener(_NoRedirect, *handlers)

    def post(body: bytes, headers: Mapping[str, str]) -> HttpReply:
        sent = urllib.request.Request(address, body, dict(sign(address, body, headers)), method="POST")  # noqa: S310
        try:
            with opener.open(sent, timeout=_TIMEOUT_S) as reply:
                return HttpReply(reply.status, reply.read())
        except urllib.error.HTTPError as problem:
            with problem:
                return HttpReply(problem.code, problem.read())
        except http.client.HTTPException as problem:  # the reply broke off
            raise ConnectionError(type(problem).__name__) from None

    return post


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *_: Any) -> None:
        return None


def _unsigned(_address: str, _body: bytes, headers: Mapping[str, str]) -> Mapping[str, str]:
    return headers


def bearer(token: str) -> Sign:
    """Return what adds the token. Raises ``InvalidInput`` for one that is no header's value."""
    if not token.isascii() or not token.isprintable() or " " in token:
        raise InvalidInput("BALLAST_TOKEN: must be a token alone, without spaces or line ends, and without `Bearer`.")
    return lambda _address, _body, headers: {**headers, "Authorization": f"Bearer {token}"}


def signer(session: boto3.Session, address: str) -> Sign:
    """Return what signs a request with the session's credentials (SigV4). Raises ``InvalidInput`` without any."""
    from botocore.auth import SigV4Auth
    from botocore.awsrequest import AWSRequest

    found = _GATEWAY.match(urlsplit(address).hostname or "")
    region = found[1] if found else session.region_name
    credentials = session.get_credentials()
    if credentials is None:
        raise InvalidInput(
            "There are no AWS credentials to sign with. Sign in (`aws sso login`) or set AWS_PROFILE; where the stack "
            "takes tokens (AuthMode=JWT), put one into BALLAST_TOKEN."
        )
    if region is None:
        raise InvalidInput("--region: name the API's region, or set AWS_REGION: the address does not say it.")

    def sign(address: str, body: bytes, headers: Mapping[str, str]) -> Mapping[str, str]:
        request = AWSRequest("POST", address, dict(headers), body)
        # Frozen at each request: a session's credentials are renewed.
        SigV4Auth(credentials.get_frozen_credentials(), "execute-api", region).add_auth(request)
        return dict(request.headers.items())

    return sign
