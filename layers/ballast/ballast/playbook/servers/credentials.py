"""Credentials of the executor for a server: read when they are needed, kept in memory, and never told.

A secret comes from Secrets Manager or from SSM through Powertools' parameters, which keep it for five minutes. A token
is kept until a minute before it expires, a short one for half of its time. Where a server refuses a credential (401),
it is read anew once: it may have been rotated. Whatever fails here, nothing was sent to the server.
"""

import base64
import json
import re
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import field
from typing import Any
from urllib.parse import quote, urlencode, urlsplit, urlunsplit

from ballast.aws_errors import RETRYABLE_CODES
from ballast.errors import RetryLater, SettingInvalid
from ballast.on_behalf import NoToken, again
from ballast.playbook.context import NotConfigured, NotSent, ToolContext, ToolFailed
from ballast.playbook.servers.declaration import (
    BasicCredential,
    Credential,
    HeaderCredential,
    OAuthCredential,
    QueryCredential,
    RequesterCredential,
    Secret,
    SigV4Credential,
)
from ballast.playbook.servers.http import Exchange, Reply, send, stood_in, text_of, url_of
from ballast.playbook.servers.proof import AnswerLost, NotNow, Unauthorized
from ballast.playbook.servers.spellings import hidden
from ballast.values import dataclass

#: A secret is read anew after so many seconds, a token is fetched anew so many seconds before it expires.
_SECRET_S, _EARLY_S = 300, 60
#: Answers of an authorization server that say that a request like this one gets no token.
_NOT_THIS_CLIENT = frozenset({400, 401, 403})
#: Codes of a store's refusals that pass: the role's own credentials are renewed.
_PASSING = frozenset({"ExpiredTokenException", "RequestExpired", "InternalServiceError"})
#: Secrets that a process remembers to keep out of results.
_USED = 20
#: A token without `expires_in`, or with one that is no time, is kept for so many seconds, and no other for longer than
#: a day: the server may refuse any of them, and it is fetched anew then.
_USUAL_TOKEN_S, _MOST_TOKEN_S = 300, 86_400
_TOKEN_BYTES = 65_536


@dataclass
class Credentials:
    """The credential of one server."""

    declared: Credential | None
    private: bool = False
    _token: "_Token | None" = field(default=None, repr=False)
    _providers: dict[str, Any] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _used: set[str] = field(default_factory=set, repr=False)

    def hide(self, result: Any) -> Any:
        """Return a decoded result without the secrets that this process has sent."""
        return hidden(result, self._used.copy())

    def applied(
        self, exchange: Exchange, ctx: ToolContext, left: Callable[[], float], *, anew: bool = False
    ) -> Exchange:
        """Return the request with the credential, read ``anew``. Raises ``RetryLater`` or ``NotSent``.

        ``left``: seconds that the call has left (``deadline_in``), of which a token takes its part.
        """
        try:
            made = self._applied(exchange, ctx, left, anew=anew)
        except (RetryLater, ToolFailed, SettingInvalid):
            raise
        except Exception as problem:  # its text may quote a secret; nothing of the call was sent
            why = f"its credential cannot be made ({type(problem).__name__})"
            raise NotNow(f"Nothing was sent: {why}.", why) from None
        if len(self._used) > _USED:  # tokens of many requesters; a call needs its own only
            self._used.clear()
        self._used.update(made.secrets)
        return made

    def _applied(self, exchange: Exchange, ctx: ToolContext, left: Callable[[], float], *, anew: bool) -> Exchange:
        match self.declared:
            case None:
                return exchange
            case HeaderCredential(secret=secret, header=header, prefix=prefix):
                value = self._secret(secret, ctx, anew=anew)
                return _with(exchange, {header: f"{prefix}{value}"}, value)
            case QueryCredential(secret=secret, name=name):
                value = self._secret(secret, ctx, anew=anew)
                parts = urlsplit(exchange.url)
                query = "&".join(filter(None, [parts.query, urlencode({name: value}, quote_via=quote)]))
                return _with(exchange.but(url=urlunsplit(parts._replace(query=query))), {}, value)
            case BasicCredential(user=user, password=password):
                value = self._secret(password, ctx, anew=anew)
                pair = base64.b64encode(f"{text_of('credential.user', user, ctx)}:{value}".encode()).decode()
                return _with(exchange, {"Authorization": f"Basic {pair}"}, pair, value)
            case SigV4Credential():
                return self._signed(self.declared, exchange, ctx)
            case RequesterCredential(header=header, prefix=prefix):
                value = _requesters(self.declared, ctx)
                return _with(exchange, {header: f"{prefix}{value}"}, value)
            case OAuthCredential():
                token = self._oauth(self.declared, ctx, left, anew=anew)
                return _with(exchange, {"Authorization": f"Bearer {token.text}"}, token.text, *token.made_with)
        raise NotConfigured("its credential is of a kind that is not supported.")

    def is_old(self, reply: Reply) -> bool:
        """Say whether a server refused a credential that is read anew: it may have been rotated.

        Raises ``Unauthorized`` for the requester's, which nobody else can mend.
        """
        if reply.status != 401 or self.declared is None:
            return False
        if isinstance(self.declared, RequesterCredential):
            name = self.declared.name
            raise Unauthorized(
                f"The server refused the requester's token {name!r} (401): it did nothing. {again('another one')}", 401
            )
        return True

    def whose(self, ctx: ToolContext) -> str:
        """Return whom the server takes the caller for, as far as calls of several runs differ in it; "" if they do not.

        What a server keeps for a client, such as a session, is used again for nobody else.
        """
        return ctx.run_id if isinstance(self.declared, RequesterCredential) else ""

    def _secret(self, secret: Secret, ctx: ToolContext, *, anew: bool) -> str:
        store, name = ("secretsmanager", secret.secretsmanager) if secret.secretsmanager else ("ssm", secret.ssm)
        assert name is not None
        named = text_of(f"the name of a secret in {store}", name, ctx)
        try:
            kept = self._provider(store, ctx).get(named, max_age=_SECRET_S, force_fetch=anew, **_decrypted(store))
        except Exception as problem:  # its text or its cause may quote the secret
            raise _unread(named, store, problem) from None
        value: Any = str(kept)
        if secret.field is not None:
            try:
                value = json.loads(value)[secret.field]
            except (ValueError, LookupError, TypeError):
                raise NotConfigured(
                    f"the secret {named} has no field {secret.field}: it must be a JSON object with that field."
                ) from None
        if not isinstance(value, str) or not value.strip():
            raise NotConfigured(f"the secret {named} is no text, or an empty one.")
        return value.strip("\r\n")

    def _provider(self, store: str, ctx: ToolContext) -> Any:
        if store not in self._providers:
            from aws_lambda_powertools.utilities.parameters import SecretsProvider, SSMProvider

            kind = SecretsProvider if store == "secretsmanager" else SSMProvider
            self._providers[store] = kind(boto3_client=ctx.client(store))
        return self._providers[store]

    def _oauth(self, declared: OAuthCredential, ctx: ToolContext, left: Callable[[], float], *, anew: bool) -> "_Token":
        with self._lock:
            if anew or self._token is None or self._token.until <= time.monotonic():
                self._token = None
                self._token = self._fetched(declared, ctx, left, anew=anew)
            return self._token

    def _fetched(
        self, declared: OAuthCredential, ctx: ToolContext, left: Callable[[], float], *, anew: bool
    ) -> "_Token":
        secret = self._secret(declared.client_secret, ctx, anew=anew)
        client = text_of("credential.client_id", declared.client_id, ctx)
        form = {"grant_type": "client_credentials", "scope": declared.scope, "audience": declared.audience}
        pair = base64.b64encode(f"{quote(client, safe='')}:{quote(secret, safe='')}".encode()).decode()
        exchange = Exchange(
            "POST",
            url_of(declared.token_url, ctx, private=self.private),
            {
                "Authorization": f"Basic {pair}",
                "Content-Type": "application/x-www-form-urlencoded",
                "Accept": "application/json",
            },
            urlencode({name: value for name, value in form.items() if value}).encode(),
            (secret, pair),
        )
        try:
            private = self.private or stood_in(declared.token_url, ctx)
            reply = send(exchange, seconds=left(), most_bytes=_TOKEN_BYTES, private=private, environ=ctx.environ)
            said: Any = json.loads(reply.text) if reply.status == 200 else None
        except (AnswerLost, ValueError):
            said = None
        else:
            if reply.status in _NOT_THIS_CLIENT:
                raise NotConfigured(
                    f"the authorization server answered {reply.status}: it knows no such client, secret, scope or "
                    "audience. Correct the server's credential."
                )
        token = said.get("access_token") if isinstance(said, Mapping) else None
        if not isinstance(token, str) or not token:
            raise RetryLater("Nothing was sent: the authorization server gave no token.")
        lasts_s = _seconds_of(said.get("expires_in"))
        # The authorization server may be the tool's own: then it knows the secret, and may send it back.
        return _Token(token, time.monotonic() + max(lasts_s - _EARLY_S, lasts_s / 2), (secret, pair))

    def _signed(self, declared: SigV4Credential, exchange: Exchange, ctx: ToolContext) -> Exchange:
        from botocore.auth import SigV4Auth
        from botocore.awsrequest import AWSRequest
        from botocore.session import Session

        with self._lock:
            session = self._providers.setdefault("session", None) or Session()
            self._providers["session"] = session
        found = session.get_credentials()
        region = (
            text_of("credential.region", declared.region, ctx) if declared.region else ctx.environ.get("AWS_REGION")
        )
        if not region:
            raise NotConfigured("its credential names no region to sign with, and the executor has none.")
        if found is None:
            raise RetryLater("Nothing was sent: the executor has no AWS credentials to sign with.")
        frozen = found.get_frozen_credentials()
        request = AWSRequest(exchange.method, exchange.url, dict(exchange.headers), exchange.body or b"")
        SigV4Auth(frozen, declared.service, region).add_auth(request)
        secrets = tuple(filter(None, [frozen.secret_key, frozen.token]))
        return _with(exchange, dict(request.headers.items()), *secrets)


@dataclass(frozen=True)
class _Token:
    """A token of OAuth, when it is fetched anew (of ``time.monotonic``), and the secrets that it was asked for with."""

    text: str = field(repr=False)
    until: float
    made_with: tuple[str, ...] = field(repr=False)


def _seconds_of(expires_in: Any) -> float:
    """Return for how many seconds a token is kept: what the server says, as far as that is a time."""
    if isinstance(expires_in, str) and re.fullmatch("[0-9]{1,9}", expires_in):
        expires_in = int(expires_in)
    if isinstance(expires_in, bool) or not isinstance(expires_in, int | float) or not expires_in > 0:
        return _USUAL_TOKEN_S
    return float(min(expires_in, _MOST_TOKEN_S))


def _unread(named: str, store: str, problem: Exception) -> Exception:
    """Return what a store's error says: an outage passes; a missing secret or right does not."""
    from botocore.exceptions import ClientError

    cause = problem.__context__  # Powertools raises an error of its own, with only the text of the client's
    code = str(cause.response.get("Error", {}).get("Code", "")) if isinstance(cause, ClientError) else ""
    broken = isinstance(cause, ClientError) and cause.response["ResponseMetadata"].get("HTTPStatusCode", 0) >= 500
    if not code or broken or code in RETRYABLE_CODES | _PASSING:
        why = code or type(cause or problem).__name__
        return RetryLater(f"Nothing was sent: the secret {named} cannot be read from {store} now ({why}).")
    return NotConfigured(
        f"the secret {named} cannot be read from {store} ({code}). Make it, and give the executor's role the right to "
        "read it, in ToolsPolicy of business.yaml."
    )


def _requesters(declared: RequesterCredential, ctx: ToolContext) -> str:
    """Return the requester's token. It is read for each request, and kept nowhere."""
    try:
        return ctx.token(declared.name)
    except NoToken as none:
        raise NotSent(f"Nothing was sent: {none}") from None
    except Exception as problem:
        raise RetryLater(
            f"Nothing was sent: the requester's token cannot be read ({type(problem).__name__})."
        ) from None


def _decrypted(store: str) -> dict[str, bool]:
    return {"decrypt": True} if store == "ssm" else {}


def _with(exchange: Exchange, headers: Mapping[str, str], *secrets: str) -> Exchange:
    for value in headers.values():
        if any(not 32 <= ord(char) <= 126 for char in value):
            raise NotConfigured("its credential has characters that no header can have.")
    given = {name.lower() for name in headers}
    kept = {name: value for name, value in exchange.headers.items() if name.lower() not in given}
    return exchange.but(headers={**kept, **headers}, secrets=(*exchange.secrets, *secrets))
