"""One request to a server: which addresses are called, what is read, and which credentials go along."""

from __future__ import annotations

import base64
import functools
import json
import math
import re
import socket
import textwrap
import threading
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from html import escape
from types import SimpleNamespace
from typing import Any
from urllib.parse import quote

import pytest
from botocore.config import Config
from botocore.session import Session
from hypothesis import given, settings
from hypothesis import strategies as st

from ballast.contracts import RunRequest
from ballast.errors import PlaybookInvalid, RetryLater
from ballast.playbook import ToolContext, ToolFailed
from ballast.playbook.context import NotConfigured, NotSent
from ballast.playbook.servers import credentials as credentials_module
from ballast.playbook.servers import http, openapi
from ballast.playbook.servers.credentials import Credentials
from ballast.playbook.servers.declaration import Call, Declaration, OpenApiServer
from ballast.playbook.servers.http import Exchange, Reply, _allowed, deadline_in, send
from ballast.playbook.servers.openapi import OpenApiTransport, body_of, check_no_other, request_of
from ballast.playbook.servers.proof import AnswerLost, NotLookedAt, NotNow, is_functions_own
from ballast.playbook.servers.spellings import HIDDEN, hidden, without
from ballast.playbook.servers.tools import declared_tools
from functions.executor.downstream import _apart
from tests.support.remote_desk import Desk, pinned

REQUEST = RunRequest(request_id="r-1", agent="tester", text="Help.")


def context(client: Callable[..., Any] = lambda *_, **__: None, **environ: str) -> ToolContext:
    now = datetime(2026, 1, 1, tzinfo=UTC)
    return ToolContext("run-1", 1, 1, "run-1.0001.1", REQUEST, now, environ=environ, client=client, timeout_s=5)


# Addresses


@pytest.mark.parametrize(
    "address",
    [
        "169.254.169.254",
        "169.254.170.2",
        "fd00:ec2::254",
        "fe80::1",
        "0.0.0.0",
        "::",
        "224.0.0.1",
        "::ffff:169.254.169.254",
        "64:ff9b::a9fe:a9fe",
        "2002:a9fe:a9fe::1",
        "::a9fe:a9fe",
        "::7f00:1",
        "64:ff9b:1::a9fe:a9fe",
        "::ffff:0:169.254.169.254",
        "fec0::1",
    ],
)
def test_a_metadata_service_is_never_called(address: str) -> None:
    assert not any(_allowed(address, private=private, deployed=False) for private in (False, True))


@pytest.mark.parametrize(
    "address", ["10.0.0.1", "172.16.0.1", "192.168.1.1", "100.64.0.1", "fd12::1", "::ffff:10.0.0.1", "64:ff9b::a00:1"]
)
def test_a_private_address_is_called_only_where_it_is_declared(address: str) -> None:
    assert [_allowed(address, private=private, deployed=True) for private in (False, True)] == [False, True]


@pytest.mark.parametrize("address", ["127.0.0.1", "127.8.8.8", "::1", "::ffff:127.0.0.1"])
def test_loopback_is_lambdas_own_interface(address: str) -> None:
    assert not _allowed(address, private=True, deployed=True)
    assert _allowed(address, private=True, deployed=False)
    assert not _allowed(address, private=False, deployed=False)


def test_a_public_address_is_called() -> None:
    assert _allowed("93.184.216.34", private=False, deployed=True)
    assert _allowed("2606:2800:220:1:248:1893:25c8:1946", private=False, deployed=True)


# What is read


@contextmanager
def raw_server(*parts: bytes, pause: float = 0.0) -> Iterator[str]:
    """Serve the same bytes to every client, part by part, until the client has gone."""
    stop = threading.Event()
    listening = socket.create_server(("127.0.0.1", 0))
    listening.settimeout(0.05)

    def serve() -> None:
        while not stop.is_set():
            try:
                client, _ = listening.accept()
            except TimeoutError:
                continue
            with client:
                client.recv(65_536)
                try:
                    for part in parts:
                        client.sendall(part)
                        if pause and stop.wait(pause):
                            break
                except OSError:
                    continue

    thread = threading.Thread(target=serve, name="raw")
    thread.start()
    try:
        yield f"http://127.0.0.1:{listening.getsockname()[1]}"
    finally:
        stop.set()
        thread.join()
        listening.close()


def got(
    url: str,
    *,
    seconds: float = 5,
    most_bytes: int = 1_000,
    body: bytes | None = None,
    method: str = "GET",
    **more: Any,
) -> Reply:
    return send(
        Exchange(method, f"{url}/a", {}, body, **more),
        seconds=seconds,
        most_bytes=most_bytes,
        private=True,
        environ={},
    )


HEAD = b"HTTP/1.1 200 OK\r\n"


@pytest.mark.parametrize(
    ("parts", "said"),
    [
        ([HEAD + b"Content-Length: 5000\r\n\r\n", b"x" * 5_000], "more than 1000 bytes"),
        (
            [HEAD + b"Transfer-Encoding: chunked\r\n\r\n", b"800\r\n" + b"x" * 2_048 + b"\r\n0\r\n\r\n"],
            "more than 1000",
        ),
        ([HEAD + b"\r\n", b"x" * 5_000], "more than 1000 bytes"),
        ([HEAD + b"Content-Length: 50\r\n\r\nhalf"], "IncompleteRead"),
        ([HEAD + b"Transfer-Encoding: chunked\r\n\r\n5\r\nhalf"], "IncompleteRead"),
        ([HEAD + b"Content-Encoding: gzip\r\nContent-Length: 4\r\n\r\n\x1f\x8b\x08\x00"], "compressed"),
        ([b"SSH-2.0 hello\r\n"], "BadStatusLine"),
        ([HEAD + b"A: b\r\n" * 200 + b"\r\n"], "HTTPException"),
        ([HEAD + b"A: " + b"b" * 70_000 + b"\r\n\r\n"], "LineTooLong"),
        ([b""], "RemoteDisconnected"),
        ([b"HTTP/1.1 200"], "IncompleteRead"),
        ([HEAD], "RemoteDisconnected"),
        ([HEAD + b"Content-Ty"], "IncompleteRead"),
        ([HEAD + b"Content-Type: application/json\r\n"], "RemoteDisconnected"),
        ([b"HTTP/1.1 404 Not Found\r\nConte"], "IncompleteRead"),
        ([b"HTTP/1.1 103 Early Hints\r\n\r\n"], "RemoteDisconnected"),
        ([HEAD + b"Content-Length: 4\r\nContent-Length: 2\r\n\r\nhalf"], "HTTPException"),
    ],
)
def test_a_reply_that_cannot_be_read_leaves_the_effect_in_doubt(parts: list[bytes], said: str) -> None:
    with raw_server(*parts) as url, pytest.raises(AnswerLost, match=said):
        got(url)


@pytest.mark.parametrize(
    ("method", "length", "status"),
    [("HEAD", b"Content-Length: 40\r\n", b"404"), ("HEAD", b"", b"200"), ("POST", b"", b"204")],
)
def test_a_body_that_is_not_sent_is_not_compressed(method: str, length: bytes, status: bytes) -> None:
    with raw_server(b"HTTP/1.1 " + status + b" Such\r\nContent-Encoding: gzip\r\n" + length + b"\r\n") as url:
        assert got(url, method=method).status == int(status)


@pytest.mark.parametrize(
    "problem", [AnswerLost("said: secret"), NotNow("said: secret")], ids=lambda one: type(one).__name__
)
def test_what_other_runs_read_of_an_error_is_a_sentences_part(problem: Exception) -> None:
    assert re.fullmatch("it.+ (lost, or is none|called now)", _apart(problem))


@pytest.mark.parametrize("first", ["100 Continue", "102 Processing", "103 Early Hints"])
def test_what_only_precedes_an_answer_is_none(first: str) -> None:
    before = f"HTTP/1.1 {first}\r\nLink: </a>\r\n\r\n".encode()
    with raw_server(before * 2 + HEAD + b"Content-Length: 4\r\nContent-Length: 4\r\n\r\nwell") as url:
        assert (got(url).status, got(url).body) == (200, b"well")


def test_a_header_that_occurs_twice_has_both_values() -> None:
    links = b"Link: </t?page=2>; rel=next\r\nLink: </t?page=9>; rel=last\r\nVary: a\r\nVary: a\r\n"
    with raw_server(b"HTTP/1.1 200 OK\r\n" + links + b"Content-Length: 0\r\n\r\n") as url:
        headers = got(url).headers

    assert headers["link"] == "</t?page=2>; rel=next, </t?page=9>; rel=last"
    assert headers["vary"] == "a"


def test_a_reply_that_drips_is_given_up_in_time() -> None:
    drips = [HEAD + b"Content-Length: 900\r\n\r\n", *([b"x"] * 900)]
    with raw_server(*drips, pause=0.02) as url, pytest.raises(AnswerLost, match="TimeoutError"):
        got(url, seconds=0.2)


#: What a server sends before it repeats the second part for ever.
ENDLESS = {
    "a status line": (b"HTTP/1.1 200 ", b"O"),
    "a header": (HEAD + b"A: ", b"b"),
    "100 Continue": (b"", b"HTTP/1.1 100 Continue\r\n\r\n"),
    "103 Early Hints": (b"", b"HTTP/1.1 103 Early Hints\r\n\r\n"),
    "an extension of a chunk": (HEAD + b"Transfer-Encoding: chunked\r\n\r\n5;a=", b"b"),
    "the trailers": (HEAD + b"Transfer-Encoding: chunked\r\n\r\n0\r\n", b"A: b\r\n"),
    "empty events": (HEAD + b"Content-Type: text/event-stream\r\n\r\n", b"\n"),
}


@pytest.mark.parametrize("what", ENDLESS)
def test_no_part_of_a_reply_prolongs_a_request(what: str) -> None:
    first, more = ENDLESS[what]

    with raw_server(first, *([more] * 5_000), pause=0.01) as url, pytest.raises(AnswerLost, match="TimeoutError"):
        got(url, seconds=0.15, most_bytes=1_000_000)


def test_a_body_that_nobody_reads_prolongs_no_request() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:  # it accepts nothing
        url = f"http://127.0.0.1:{listening.getsockname()[1]}"
        with pytest.raises(AnswerLost, match="TimeoutError"):
            got(url, seconds=0.1, body=b"x" * 50_000_000)


class Ticks:
    """A clock that each look at it moves on."""

    def __init__(self, step: float) -> None:
        self.now, self.step = 0.0, step

    def monotonic(self) -> float:
        self.now += self.step
        return self.now


def test_one_deadline_holds_for_all_requests_of_a_call(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http, "time", Ticks(0.4))
    left = deadline_in(1)

    assert left() > left()
    with pytest.raises(NotNow, match="Nothing was sent"):
        left()


def test_a_token_takes_its_part_of_the_calls_time(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[float] = []
    answers = [
        Reply(200, {}, b'{"access_token": "t1"}'),
        Reply(401, {}, b""),
        Reply(200, {}, b'{"access_token": "t2"}'),
    ]

    def sent(exchange: Exchange, *, seconds: float, **_: Any) -> Reply:
        asked.append(round(seconds, 1))
        clock.now += 1
        return answers[len(asked) - 1]

    clock = Ticks(0)
    monkeypatch.setattr(http, "time", clock)
    for module in (credentials_module, openapi):
        monkeypatch.setattr(module, "send", sent)
    declared = OpenApiServer.model_validate(
        {
            "kind": "openapi",
            "url": "https://desk.example",
            "credential": {
                "kind": "oauth",
                "token_url": "https://token.example",
                "client_id": "me",
                "client_secret": {"secretsmanager": "k"},
            },
        }
    )
    transport = OpenApiTransport(declared)

    with pytest.raises(NotNow, match="Nothing was sent: the call's time was over"):
        transport._sent(EXCHANGE, context(Secrets("pw")), deadline_in(3))

    assert asked == [3, 2, 1]


def test_a_redirect_is_not_followed_and_its_target_gets_nothing() -> None:
    with Desk() as other:
        moved = b"HTTP/1.1 302 Found\r\nLocation: " + other.url.encode() + b"/tickets\r\nContent-Length: 0\r\n\r\n"
        with raw_server(moved) as url:
            assert got(url).status == 302
        assert other.seen == []


def test_nothing_was_sent_to_a_host_without_an_address() -> None:
    with pytest.raises(RetryLater, match="Nothing was sent"):
        got("http://nobody.invalid")


@pytest.mark.parametrize("value", ["a\r\nX-Other: b", "ü", "\x00"])
def test_a_header_is_one_line_of_ascii(value: str) -> None:
    exchange = Exchange("GET", "http://127.0.0.1:9/", {"X-A": value}, None)
    with pytest.raises(ToolFailed, match="the header X-A"):
        send(exchange, seconds=1, most_bytes=1, private=True, environ={})


@pytest.mark.parametrize("secret", ["plain", 'a"b\\c', "a/b+c=d e", "geheim-ü"])
def test_a_secret_that_a_server_sends_back_is_removed(secret: str) -> None:
    from urllib.parse import quote

    body = " ".join([secret, json.dumps(secret), json.dumps(secret, ensure_ascii=False), quote(secret, safe="")])

    left = without(body, (secret,))

    assert left.replace('"', "").split() == ["***"] * 4


SECRET = "Tok/en+4&<Zq-é_77'b\"x9"
FORMS: dict[str, Callable[[str], str]] = {
    "plain": str,
    "base64": lambda text: base64.b64encode(text.encode()).decode(),
    "base64 inside": lambda text: base64.b64encode(f"me:{text}!".encode()).decode(),
    "base64url": lambda text: base64.urlsafe_b64encode(f"a{text}".encode()).decode().rstrip("="),
    "hex": lambda text: text.encode().hex(),
    "HEX": lambda text: text.encode().hex().upper(),
    "percent": lambda text: re.sub("%..", lambda one: one[0].lower(), quote(text, safe="")),
    "all percent": lambda text: "".join(f"%{byte:02x}" for byte in text.encode()),
    "percent twice": lambda text: quote(quote(text, safe=""), safe=""),
    "entities": lambda text: "".join(f"&#{ord(char)};" for char in text),
    "hex entities": lambda text: "".join(f"&#x{ord(char):X};" for char in text),
    "html": escape,
    "\\u": lambda text: "".join(f"\\u{ord(char):04x}" for char in text),
    "json in text": lambda text: f"said: {json.dumps(json.dumps({'a': text}))}",
    "mixed": lambda text: (
        f"&#{ord(text[0])};%{ord(text[1]):02X}\\u{ord(text[2]):04X}"
        + text[3:].replace("%", "%25").replace("&", "&amp;")
    ),
}


@pytest.mark.sampled(30)
@pytest.mark.parametrize("secret", [SECRET, SECRET * 40, "eyJhbGciOiJub25lIn0.e30.x", "100%41&amp;é"], ids=len)
@pytest.mark.parametrize("form", FORMS)
def test_a_secret_is_found_in_each_spelling_also_cut_short(form: str, secret: str) -> None:
    for sent in (secret, secret[:9], secret[:-1]):
        body = json.dumps({"said": f"<{FORMS[form](sent)}>", "id": 7})
        assert "***" in without(body, (secret,))
        left = hidden(json.loads(body), (secret,))
        assert left["id"] == 7
        assert "***" in left["said"]
        for name, other in FORMS.items():
            assert "in" in name or other(secret[:9])[:12] not in left["said"]


KEY = "sk-Live/9fQ+2aZ7xW8mN4pR"
_64 = base64.b64encode(b"me: " + KEY.encode()).decode()
#: Texts that tell a key, whoever decodes them.
TELLING: dict[str, Any] = {
    "all but its beginning": KEY[3:],
    "twelve of its characters": KEY[5:17],
    "its end": f"key ends in {KEY[-8:]}",
    "small": KEY.lower(),
    "large": KEY.upper(),
    "spaced": " ".join(KEY),
    "in places to break": "<wbr>".join(KEY),
    "in zero width": "\u200b".join(KEY),
    "in written zero width": "\\u200b".join(KEY),
    "wide": "".join(chr(ord(one) + 0xFEE0) for one in KEY),
    "base64 in lines": "\r\n".join(textwrap.wrap(_64, 8)),
    "base64 in written lines": "\\n".join(textwrap.wrap(_64, 8)),
    "base64 of another alphabet": _64.replace("+", ".").replace("/", "~"),
    "base64, small": _64.lower(),
    "base64 of base64": base64.b64encode(base64.b64encode(KEY.encode())).decode(),
    "base64 of UTF-16": base64.b64encode(f"me:{KEY}".encode("utf-16-be")).decode(),
    "base32": base64.b32encode(f"abc{KEY}".encode()).decode(),
    "base32hex": base64.b32hexencode(f"ab{KEY}".encode()).decode(),
    "hex with spaces": KEY.encode().hex(" "),
    "hex with colons": KEY.encode().hex(":").upper(),
    "bytes": ", ".join(f"0x{byte:02x}" for byte in KEY.encode()),
    "percent, nine times": functools.reduce(lambda text, _: quote(text, safe=""), range(9), KEY),
    "a type": f"application/x-{KEY.lower().replace('/', '_')}",
    "characters": list(KEY),
    "codes": list(KEY.encode()),
    "a name": {KEY: 1},
    "a number": {"n": 3127845960017},
}


@pytest.mark.parametrize("form", TELLING)
def test_a_credential_is_found_whole_or_in_part(form: str) -> None:
    left = json.dumps(hidden({"said": TELLING[form], "id": 7}, (KEY, "3127845960017")))

    bare = re.sub(r"[^a-z0-9]", "", left.lower())
    assert "***" in left
    assert '"id": 7' in left
    for start in range(len(KEY) - 11):
        assert re.sub(r"[^a-z0-9]", "", KEY[start : start + 12].lower()) not in bare


def test_a_part_of_a_signed_token_is_the_token() -> None:
    parts = [_64, base64.urlsafe_b64encode(b'{"sub": "mia", "scope": "all"}').decode(), "dBjftJeZ4CVP-mB92K27uhbUJU1p1"]

    assert [without(f"bad: {part}", (".".join(parts),)) for part in parts] == ["bad: ***"] * 3


@pytest.mark.parametrize("charset", ["utf-16", "utf-16-le", "cp037", "latin-1", "none-such", "punycode"])
def test_a_text_is_read_in_its_charset(charset: str) -> None:
    body = KEY.encode(charset if charset not in ("none-such", "punycode") else "ascii")

    text = Reply(400, {"content-type": f'text/plain; Charset="{charset}"'}, body, (KEY,)).text

    assert text == "***"


PRINTED = st.characters(codec="ascii", min_codepoint=33, max_codepoint=126, exclude_characters="\\")
SPELLED = [str, str.upper, str.lower, lambda text: quote(text, safe=""), json.dumps, escape]


@given(st.text(PRINTED, min_size=12, max_size=60), st.data())
@settings(max_examples=100, deadline=None)
def test_no_twelve_characters_of_a_credential_are_left(secret: str, data: st.DataObject) -> None:
    start = data.draw(st.integers(0, len(secret) - 12))
    run = secret[start : data.draw(st.integers(start + 12, len(secret)))]
    around = data.draw(st.text(st.sampled_from("\u00e4 .\n{}\U0001f600"), max_size=5))
    text = f"{around}{data.draw(st.sampled_from(SPELLED))(run)}{around}"

    assert run not in without(text, (secret,))
    assert HIDDEN in without(text, (secret,))


@given(st.text(max_size=200))
@settings(max_examples=100, deadline=None)
def test_a_text_that_tells_nothing_stays(text: str) -> None:
    assert without(text, (KEY, SECRET)) == text


def test_what_is_no_secret_stays() -> None:
    said = {"a": "Token/en+4 50% &amp; \\u0041 é", "b": "VG9rL2Vu", "c": "deadbeef" * 8, "d": 1.5}
    body = json.dumps(said)
    assert without(body, (SECRET,)) == body
    assert hidden(said, (SECRET,)) == said
    assert without("\udcff\xfe\x00%e9", (SECRET,)) == "\udcff\xfe\x00%e9"


# Operations


def test_arguments_go_to_their_places() -> None:
    where = {"id": "path", "tags": "query", "on": "query", "X-Tenant": "header X-Tenant"}
    call = Call(method="POST", path="/a/{id}/b", where=where)
    payload = {"id": "x y?z%;é", "tags": ["a b", "c&d"], "on": True, "X-Tenant": "t", "n": 1.5, "text": "é"}

    made = request_of(call, payload, "https://desk.example/v2")

    assert made.url == "https://desk.example/v2/a/x%20y%3Fz%25%3B%C3%A9/b?tags=a%20b&tags=c%26d&on=true"
    assert made.headers == {"X-Tenant": "t", "Content-Type": "application/json"}
    assert json.loads(made.body or b"") == {"n": 1.5, "text": "é"}


@pytest.mark.parametrize(
    "value",
    [
        *["..", ".", "", " ", "...", "..;x", ";x", ".%20", "%2e%2e", "%252E%252e", "\uff0e\uff0e", "%u002e"],
        *["7/all", "7/../../admin", "7%2Fall", "7%252fall", "7%25252fall", "7\uff0fall", "7%u002Fall", "7%EF%BC%8Fall"],
        *[
            "..\\..\\admin",
            "7%5Call",
            "..\0",
            "7\tall",
            "7\nall",
            "7%0aall",
            "7%00",
            "7\x85all",
            "7\u2028all",
            "/7",
            "7/",
        ],
        *[["a", "b/c"], ["a", ".."], ["a,b", "c"], [], [None], None, {"a": 1}],
    ],
)
def test_a_path_names_one_thing(value: Any) -> None:
    call = Call(method="DELETE", path="/tickets/{id}", where={"id": "path"})

    with pytest.raises(NotSent, match=r"Nothing was sent: id .*\.$"):
        request_of(call, {"id": value}, "https://desk.example")


@pytest.mark.parametrize("value", ["7/..", "../7", "a//b", "/a", "a/", "a\\b", "a/%2e%2e", "a%2Fb/..;x", "a/\0"])
def test_a_declared_slash_leads_nowhere_else(value: str) -> None:
    call = Call(method="GET", path="/files/{path}/raw", where={"path": "path"})

    assert request_of(call, {"path": "docs/a.md"}, "https://a.example", ["path"]).url.endswith("/files/docs%2Fa.md/raw")
    with pytest.raises(NotSent, match=r"Nothing was sent: path "):
        request_of(call, {"path": value}, "https://a.example", ["path"])


def test_arguments_together_lead_nowhere_else() -> None:
    call = Call(method="GET", path="/files/{a}{b}/x", where={"a": "path", "b": "path"})

    assert request_of(call, {"a": "x", "b": ["y", 1, True]}, "https://a.example").url.endswith("/files/xy,1,true/x")
    with pytest.raises(NotSent, match="its path must not lead out of itself"):
        request_of(call, {"a": "%2", "b": "e%2e"}, "https://a.example")


@pytest.mark.parametrize("method", ["GET", "DELETE"])
@pytest.mark.parametrize("where", ["query", "header X-Ids"])
@pytest.mark.parametrize("value", [[], None, [None], ["a", None], [[]], {}, "", " ", [""], ["a", " "], "\u200b"])
def test_what_a_place_cannot_say_is_not_left_out(method: Any, where: str, value: Any) -> None:
    call = Call(method=method, path="/items", where={"ids": where})

    with pytest.raises(NotSent, match="Nothing was sent: ids "):
        request_of(call, {"ids": value}, "https://desk.example")


@pytest.mark.parametrize(
    ("path", "filled", "reaches"),
    [
        ("/items/{id}", "/items/all", "/items/all"),
        ("/items/{id}", "/items/%61ll", "/items/all"),
        ("/items/{id}", "/items/7%3Apurge", "/items/{id}:purge"),
        ("/{kind}/{id}", "/items/7", "/items/{id}"),
        ("/items/{id}", "/items/7", None),
        ("/items/{id}:purge", "/items/7:purge", None),
    ],
)
def test_no_argument_spells_the_path_of_another_operation(path: str, filled: str, reaches: str | None) -> None:
    every = ("/items/{id}", "/items/all", "/items/{id}:purge", "/{kind}/{id}", "/items/{id}/x")
    calls = [Call(method="DELETE", path=one) for one in every] + [Call(method="GET", path="/items/7")]
    call = Call(method="DELETE", path=path)

    if reaches is None:
        check_no_other(call, filled, calls)
        return
    with pytest.raises(NotSent, match=rf"that of another operation, DELETE {re.escape(reaches)}, "):
        check_no_other(call, filled, calls)


def test_an_item_of_a_header_ends_at_a_comma() -> None:
    call = Call(method="GET", path="/items", where={"ids": "header X-Ids"})

    assert request_of(call, {"ids": "a,b"}, "https://desk.example").headers == {"X-Ids": "a,b"}
    with pytest.raises(NotSent, match="one of its items has a comma"):
        request_of(call, {"ids": ["a,b", "c"]}, "https://desk.example")


def test_a_body_is_sent_as_the_type_that_is_pinned() -> None:
    usual = Call(method="PATCH", path="/items", body="body")
    merge = usual.model_copy(update={"media_type": "application/merge-patch+json"})

    types = [request_of(one, {"body": {}}, "https://a.example").headers["Content-Type"] for one in (usual, merge)]

    assert types == ["application/json", "application/merge-patch+json"]
    assert usual.said() == {"method": "PATCH", "path": "/items", "where": {}, "body": "body"}
    assert merge.said()["media_type"] == "application/merge-patch+json"


@pytest.mark.parametrize("payload", [{"a": {"b": 1}}, {"a": [[1]]}])
def test_a_query_holds_no_object(payload: dict[str, Any]) -> None:
    with pytest.raises(ToolFailed, match="has no place in a URL"):
        request_of(Call(method="GET", path="/", where={"a": "query"}), payload, "https://desk.example")


@pytest.mark.parametrize(
    ("kind", "body", "result"),
    [
        ("application/json", b'{"a": 12345678901234567.89}', {"a": "12345678901234567.89"}),
        ("application/hal+json; charset=utf-8", b"[1]", [1]),
        ("text/plain", b"hello", "hello"),
        ("text/plain", b"42", "42"),
        ("text/html", b'{"id": 7', '{"id": 7'),
        *((kind, b'{"id": 7}', {"id": 7}) for kind in ("", "text/json", "text/plain", "application/x-json")),
        ("image/png", b"\x89PNG", {"content_type": "image/png", "bytes": 4}),
        ("application/json", b"", None),
    ],
)
def test_a_reply_becomes_the_result(kind: str, body: bytes, result: Any) -> None:
    assert body_of(Reply(200, {"content-type": kind}, body)) == result


@pytest.mark.parametrize("body", [b"{", b'{"id": 7, "x": NaN}', b"[-Infinity]"])
def test_json_that_is_none_leaves_the_effect_in_doubt(body: bytes) -> None:
    with pytest.raises(AnswerLost):
        body_of(Reply(201, {"content-type": "application/json"}, body))


# Credentials


def credentials(**declared: Any) -> Credentials:
    server = {"kind": "openapi", "url": "https://desk.example", "credential": declared}
    tool = {"effect": "write", "pinned": pinned("a", {}, {"method": "POST", "path": "/"})}
    made = Declaration.model_validate_json(json.dumps({"server": server, "tools": {"a": tool}}))
    return Credentials(made.server.credential, private=True)  # type: ignore[union-attr]


class Secrets:
    """A client of Secrets Manager and SSM with one secret, which counts its reads."""

    def __init__(self, value: str) -> None:
        self.value, self.reads = value, 0

    def __call__(self, *_: Any, **__: Any) -> Secrets:
        return self

    def get_secret_value(self, **_: Any) -> dict[str, Any]:
        self.reads += 1
        return {"SecretString": self.value}


EXCHANGE = Exchange("POST", "https://desk.example/a?b=1", {"X-A": "b"}, b"{}")


def test_basic_sends_the_pair_and_hides_all_of_it() -> None:
    made = credentials(kind="basic", user={"env": "DESK_USER"}, password={"secretsmanager": "pw"})

    sent = made.applied(EXCHANGE, context(Secrets("p:w"), DESK_USER="me"), deadline_in(1))

    pair = base64.b64encode(b"me:p:w").decode()
    assert sent.headers["Authorization"] == f"Basic {pair}"
    assert {pair, "p:w"} <= {*sent.secrets}


def test_a_key_in_the_query_is_added_to_it() -> None:
    sent = credentials(kind="query", name="key", secret={"secretsmanager": "k"}).applied(
        EXCHANGE, context(Secrets("a&b")), deadline_in(1)
    )

    assert sent.url == "https://desk.example/a?b=1&key=a%26b"


@pytest.mark.parametrize("secret", ["a\r\nX-Other: b", "", "ü"])
def test_a_secret_that_no_header_can_have_sends_nothing_and_is_not_told(secret: str) -> None:
    made = credentials(kind="header", secret={"secretsmanager": "k"})

    with pytest.raises((RetryLater, ToolFailed)) as refused:
        made.applied(EXCHANGE, context(Secrets(secret)), deadline_in(1))
    assert not secret or secret not in str(refused.value)


def test_a_role_signs_the_request(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIDEXAMPLE")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "s3cr3t")
    monkeypatch.setenv("AWS_SESSION_TOKEN", "t0k3n")

    sent = credentials(kind="sigv4", service="bedrock-agentcore").applied(
        EXCHANGE, context(AWS_REGION="eu-central-1"), deadline_in(1)
    )

    assert "/eu-central-1/bedrock-agentcore/aws4_request" in sent.headers["Authorization"]
    assert sent.headers["X-A"] == "b"
    assert {*sent.secrets} == {"s3cr3t", "t0k3n"}


class Issuer(Desk):
    """An authorization server that counts the tokens it gives."""

    lasts: Any = 3_600

    def take(self, handler: Any) -> None:
        body = handler.rfile.read(int(handler.headers["Content-Length"]))
        self.seen.append({"headers": dict(handler.headers.items()), "body": body.decode()})
        self._answer(handler, 200, {"access_token": f"t0k3n-{len(self.seen)}", "expires_in": self.lasts})


def oauth(issuer: Desk) -> Credentials:
    secret = {"secretsmanager": "k"}
    return credentials(kind="oauth", token_url=issuer.url, client_id="me", client_secret=secret, scope="a b")


def test_a_token_is_fetched_once_and_kept_until_it_expires() -> None:
    with Issuer() as issuer:
        made, ctx = oauth(issuer), context(Secrets("pw"))
        first, again = made.applied(EXCHANGE, ctx, deadline_in(5)), made.applied(EXCHANGE, ctx, deadline_in(5))
        anew = made.applied(EXCHANGE, ctx, deadline_in(5), anew=True)

    sent = [one.headers["Authorization"] for one in (first, again, anew)]
    assert sent == ["Bearer t0k3n-1", "Bearer t0k3n-1", "Bearer t0k3n-2"]
    assert issuer.seen[0]["body"] == "grant_type=client_credentials&scope=a+b"
    assert issuer.seen[0]["headers"]["Authorization"] == f"Basic {base64.b64encode(b'me:pw').decode()}"
    assert "t0k3n-1" in first.secrets


@pytest.mark.parametrize(
    ("lasts", "kept_s"),
    [(90, 45), (30, 15), ("600", 540), (10**400, 86_340), (math.inf, 86_340)]
    + [(wrong, 240) for wrong in (math.nan, -5, 0, True, [1], "soon", None)],
    ids=lambda one: str(one)[:12],
)
def test_a_token_is_kept_for_a_time_whatever_its_server_says(
    lasts: Any, kept_s: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = [1_000.0]
    monkeypatch.setattr("ballast.playbook.servers.credentials.time", SimpleNamespace(monotonic=lambda: now[0]))
    with Issuer() as issuer:
        issuer.lasts = lasts
        made, ctx, sent = oauth(issuer), context(Secrets("pw")), []
        for now[0] in (1_000, 999.0 + kept_s, 1_001.0 + kept_s):
            sent.append(made.applied(EXCHANGE, ctx, deadline_in(5)).headers["Authorization"][-1])

    assert sent == ["1", "1", "2"]


def test_a_clients_secret_is_hidden_in_what_the_server_says() -> None:
    with Issuer() as issuer:
        made = oauth(issuer)
        for _ in range(2):  # also where the token was kept
            sent = made.applied(EXCHANGE, context(Secrets("cl1ent-s3cret-0000")), deadline_in(5))
    pair = base64.b64encode(b"me:cl1ent-s3cret-0000").decode()

    for told in ("cl1ent-s3cret-0000", pair, f"Basic {pair}"):
        assert told not in str(made.hide({"said": [told]}))
        assert told not in Reply(401, {}, told.encode(), sent.secrets).text


def test_what_fails_before_a_request_has_sent_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ballast.playbook.servers.credentials._seconds_of", lambda _: 1 / 0)
    with Issuer() as issuer, pytest.raises(NotNow, match=r"Nothing was sent: .*\(ZeroDivisionError\)"):
        oauth(issuer).applied(EXCHANGE, context(Secrets("pw")), deadline_in(5))


def test_without_a_token_nothing_is_sent() -> None:
    with raw_server(b"HTTP/1.1 400 No\r\nContent-Length: 6\r\n\r\ns3cr3t") as url:
        secret = {"secretsmanager": "k"}
        made = credentials(kind="oauth", token_url=url, client_id="me", client_secret=secret)
        with pytest.raises(NotConfigured, match="Not configured: the authorization server answered 400") as refused:
            made.applied(EXCHANGE, context(Secrets("pw")), deadline_in(5))
    assert "s3cr3t" not in str(refused.value)


@pytest.mark.parametrize("answer", [b"HTTP/1.1 503 No\r\n\r\n", b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}"])
def test_an_authorization_server_that_is_out_of_order_is_asked_again_later(answer: bytes) -> None:
    with raw_server(answer) as url:
        secret = {"secretsmanager": "k"}
        made = credentials(kind="oauth", token_url=url, client_id="me", client_secret=secret)
        with pytest.raises(RetryLater, match="gave no token"):
            made.applied(EXCHANGE, context(Secrets("pw")), deadline_in(5))


# Another Lambda function


@contextmanager
def lambda_endpoint(*answers: tuple[int, dict[str, str], Any]) -> Iterator[tuple[Callable[..., Any], list[Any]]]:
    """Yield what makes a real client of an endpoint with these answers, and the invocations that arrived."""
    seen: list[Any] = []
    left = list(answers)

    class Endpoint(Desk):
        def take(self, handler: Any) -> None:
            body = handler.rfile.read(int(handler.headers["Content-Length"]))
            seen.append((handler.path, json.loads(body)))
            status, headers, said = left.pop(0)
            if said is not None:
                self._answer(handler, status, said, headers)

    with Endpoint() as endpoint:

        def client(service: str, config: Config, variant: str) -> Any:
            return Session().create_client(
                service,
                region_name="eu-central-1",
                endpoint_url=endpoint.url,
                config=config,
                aws_access_key_id="a",
                aws_secret_access_key="b",
            )

        yield client, seen


def invoked(client: Callable[..., Any], tmp_path: Any, *, server: Any = None, **declared: Any) -> Any:
    import yaml

    server = {"kind": "lambda", "function": {"env": "STOCK"}, **(server or {})}
    tool = {"effect": "write", "pinned": pinned("take", {"properties": {"n": {"type": "integer"}}}, None), **declared}
    (tmp_path / "stock.yaml").write_text(yaml.safe_dump({"server": server, "tools": {"take": tool}}))
    made = {one.name: one for one in declared_tools(tmp_path)}["stock_take"]
    return made.function(made.read({"n": 2.0}), context(client, STOCK="stock-function"))


def test_a_function_is_invoked_once_with_the_arguments(tmp_path: Any) -> None:
    with lambda_endpoint((200, {}, {"left": 3})) as (client, seen):
        assert invoked(client, tmp_path) == {"left": 3}

    [(path, event)] = seen
    assert path == "/2015-03-31/functions/stock-function/invocations"
    assert event == {"n": 2}


def test_the_tools_of_one_function_are_told_apart_by_a_field(tmp_path: Any) -> None:
    with lambda_endpoint((200, {}, {})) as (client, seen):
        invoked(client, tmp_path, server={"tool_field": "tool"})

    assert seen[0][1] == {"n": 2, "tool": "take"}


def test_no_argument_names_the_tool(tmp_path: Any) -> None:
    open_ = pinned("take", {"properties": {"n": {}}, "additionalProperties": True}, None)
    with pytest.raises(PlaybookInvalid, match=r"pinned\.schema: has the argument n, by which server\.tool_field"):
        invoked(lambda *_: None, tmp_path, server={"tool_field": "n"})

    invoked_with = functools.partial(invoked, server={"tool_field": "tool"}, pinned=open_, set={})
    with lambda_endpoint((200, {}, {})) as (client, seen):
        invoked_with(client, tmp_path)
        [tool] = declared_tools(tmp_path)
        with pytest.raises(NotSent, match="tool names the tool, and an argument has that name"):
            tool.function(tool.read({"n": 1, "tool": "hammer"}), context(client, STOCK="stock-function"))
    assert len(seen) == 1


@pytest.mark.parametrize(
    ("answer", "error", "said"),
    [
        ((200, {}, None), AnswerLost, "was lost"),
        ((500, {"x-amzn-ErrorType": "ServiceException"}, {"message": "x"}), AnswerLost, "ServiceException"),
        ((429, {"x-amzn-ErrorType": "TooManyRequestsException"}, {"message": "x"}), RetryLater, "did not start"),
        ((403, {"x-amzn-ErrorType": "AccessDeniedException"}, {"message": "x"}), NotConfigured, "Nothing was sent"),
        ((404, {"x-amzn-ErrorType": "ResourceNotFoundException"}, {"message": "x"}), NotConfigured, "right function"),
        ((413, {"x-amzn-ErrorType": "RequestTooLargeException"}, {"message": "x"}), NotSent, "Nothing was done"),
        ((200, {"X-Amz-Function-Error": "Unhandled"}, {"errorMessage": "boom"}), AnswerLost, "boom"),
    ],
)
def test_a_function_that_fails_is_not_invoked_again(tmp_path: Any, answer: Any, error: Any, said: str) -> None:
    with lambda_endpoint(answer, (200, {}, {})) as (client, seen), pytest.raises(error, match=said):
        invoked(client, tmp_path)

    assert len(seen) == 1


def test_the_credentials_of_the_role_are_in_no_error_of_an_invocation(tmp_path: Any) -> None:
    denied = {"message": "The key AKIA-CANARY of the role, whose secret is c4nary, may not."}
    for status, code in ((403, "AccessDeniedException"), (500, "Odd"), (429, "EC2ThrottledException")):
        answer = (status, {"x-amzn-ErrorType": code}, denied)
        with lambda_endpoint(answer) as (client, _), pytest.raises(Exception, match="Lambda") as told:
            invoked(client, tmp_path)

        assert "anary" not in "".join(traceback.format_exception(told.value)).casefold()


ENVELOPES: Any = [
    {"statusCode": 500, "body": "{}"},
    {"statusCode": 404, "headers": {}, "body": ""},
    {"statusCode": "500", "body": "{}"},
    {"statusCode": 502.0, "statusDescription": "502 Bad Gateway", "headers": {}, "isBase64Encoded": False, "body": ""},
    {"statusCode": 500, "requestId": "1"},
    {"statusCode": 10**400},
    {"status": "500", "statusDescription": "x", "headers": {}, "body": ""},
    '{"statusCode": 500, "body": "{}"}',
    {"errorType": "OutOfStock", "errorMessage": "none left"},
    {"errorType": "OutOfStock", "errorMessage": "none left", "stack": ["a"]},
    {"errorMessage": "none left", "left": 3},
    {"Error": "OutOfStock", "Cause": "none left"},
]


@pytest.mark.parametrize("said", ENVELOPES, ids=lambda one: str(one)[:60])
def test_a_returned_error_is_no_end_of_a_write(tmp_path: Any, said: Any) -> None:
    with lambda_endpoint((200, {}, said)) as (client, _), pytest.raises(AnswerLost, match="does not say whether it"):
        invoked(client, tmp_path, refusals=["error"])


@pytest.mark.parametrize(
    ("said", "declared"),
    [
        *((one, {"result": {"checked": False}}) for one in ENVELOPES),
        *((one, {"effect": "read"}) for one in ENVELOPES),
        ({"statusCode": 201, "body": "{}"}, {}),
        ({"statusCode": "200 OK", "body": "{}"}, {}),
        ({"errorType": None, "errorMessage": "", "left": 3}, {}),
        ({"status": "560", "order": 7}, {}),
        ({"status": 3, "body": "On its way."}, {}),
        ("500 pieces are left", {}),
    ],
    ids=lambda one: str(one)[:60],
)
def test_what_only_looks_like_an_error_is_a_result(tmp_path: Any, said: Any, declared: Any) -> None:
    with lambda_endpoint((200, {}, said)) as (client, _):
        assert invoked(client, tmp_path, **declared) == said


def test_an_error_of_a_function_is_a_refusal_where_a_person_says_so(tmp_path: Any) -> None:
    answer = (200, {"X-Amz-Function-Error": "Unhandled"}, {"errorType": "OutOfStock", "errorMessage": "none left"})
    # Of a second attempt it may be the first one's doing, so it proves nothing about that.
    with lambda_endpoint(answer) as (client, _), pytest.raises(NotLookedAt, match="OutOfStock: none left"):
        invoked(client, tmp_path, refusals=["error"])


@pytest.mark.sampled(8)
@pytest.mark.parametrize(
    "ended",
    [
        {"errorMessage": "2026-11-30T02:00:00Z 1 Task timed out after 3.00 seconds"},
        {"errorType": "Sandbox.Timedout", "errorMessage": "Task timed out after 3.00 seconds"},
        {"errorType": "Runtime.ExitError", "errorMessage": "signal: killed"},
        {"errorType": "Function.ResponseSizeTooLarge", "errorMessage": "Response payload size exceeded"},
        {"errorType": 1},
        {"errorType": "java.lang.OutOfMemoryError", "errorMessage": "Java heap space"},
        {"errorType": "System.OutOfMemoryException", "errorMessage": ""},
        {"errorType": "MemoryError", "errorMessage": ""},
        {"errorType": "Function<NoMemoryError>", "errorMessage": "failed to allocate memory"},
        {"errorType": "java.lang.StackOverflowError", "errorMessage": ""},
        {"errorType": "PHPFatalError", "errorMessage": ""},
        {"errorType": "fatal", "errorMessage": ""},
        {"errorType": "Error", "errorMessage": "Reached heap limit: Allocation failed"},
        {"errorType": "RecursionError", "errorMessage": "maximum recursion depth exceeded"},
        {"errorType": "RangeError", "errorMessage": "Maximum call stack size exceeded"},
        {"errorType": "SIGKILL", "errorMessage": ""},
        {"errorType": "exit status 1", "errorMessage": ""},
        {"errorType": "Error", "errorMessage": "RequestId: 1 Process exited before completing request"},
        {"errorType": "ReadTimeout", "errorMessage": "no answer"},
        {"errorType": "System.Threading.Tasks.TaskCanceledException", "errorMessage": ""},
        {"errorType": "  ", "errorMessage": ""},
        None,
    ],
    ids=str,
)
def test_a_function_that_was_ended_under_way_has_not_refused(tmp_path: Any, ended: Any) -> None:
    answer = (200, {"X-Amz-Function-Error": "Unhandled"}, ended)
    with lambda_endpoint(answer) as (client, _), pytest.raises(AnswerLost):
        invoked(client, tmp_path, refusals=["error"])


@pytest.mark.parametrize(
    "said",
    [
        *("OrderAlreadyCancelledError", "StackNotFound", "BookingDeadlinePassed", "RuntimeError", "Function<NoSeat>"),
        *("FatalValidationError", "QueueError"),
    ],
)
def test_an_error_of_the_business_is_the_functions_own(said: str) -> None:
    assert is_functions_own(said, "The heap limit of orders is 5.")


def test_a_key_is_an_argument_of_a_function(tmp_path: Any) -> None:
    schema = {"properties": {"n": {"type": "integer"}, "token": {"type": "string", "format": "uuid"}}}
    with lambda_endpoint((200, {}, {}), (200, {}, {})) as (client, seen):
        for _ in range(2):
            invoked(client, tmp_path, pinned=pinned("take", schema, None), key={"argument": "token"})

    assert seen[0][1]["token"] == seen[1][1]["token"]
    assert len(seen[0][1]["token"]) == 36
