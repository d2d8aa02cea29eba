"""Files of a run on `ballast up`: the API's links lead to this server, and only to what was signed."""

from __future__ import annotations

import base64
import json
import urllib.error
import urllib.request
from collections.abc import Iterator
from datetime import timedelta
from email.message import Message

import pytest

from ballast.runtime import utc_now
from localcloud.cloud import LocalCloud
from localcloud.gateway import Served, serve
from localcloud.gateway.http_api import Reply, Request
from localcloud.gateway.identity import member_of
from localcloud.gateway.links import FileLinks
from tests.e2e.served import ask, served_cloud
from tests.support.files import GOOD, png


@pytest.fixture(scope="module")
def up() -> Iterator[tuple[LocalCloud, Served]]:
    with served_cloud() as opened:
        yield opened


@pytest.fixture(scope="module")
def run_id(up: tuple[LocalCloud, Served]) -> str:
    """Return a run with a picture and a page with a script."""
    cloud, served = up
    files = [
        {"name": name, "format": form, "data": base64.b64encode(content).decode()}
        for name, form, content in (("tent.png", "png", png(7, 7)), ("Größe 1.html", "html", GOOD["html"]))
    ]
    status, run = ask(served, "POST", "/runs", {"text": "What is this?", "attachments": files})
    assert status == 202, run
    cloud.wait(run["run_id"], 600)
    return str(run["run_id"])


def load(url: str, method: str = "GET", host: str | None = None) -> tuple[int, Message, bytes]:
    """Follow a link without an identity; return status, headers and content."""
    sent = urllib.request.Request(url, method=method, headers={"Host": host} if host else {})
    try:
        with urllib.request.urlopen(sent, timeout=600) as reply:
            return reply.status, reply.headers, reply.read()
    except urllib.error.HTTPError as problem:
        return problem.code, problem.headers, problem.read()


@pytest.mark.parametrize(
    ("number", "content", "name"), [(1, png(7, 7), "tent.png"), (2, GOOD["html"], "Gr%C3%B6%C3%9Fe%201.html")]
)
def test_a_link_loads_the_file_from_this_server_as_a_download(
    up: tuple[LocalCloud, Served], run_id: str, number: int, content: bytes, name: str
) -> None:
    _cloud, served = up

    status, link = ask(served, "GET", f"/runs/{run_id}/attachments/{number}")

    assert status == 200
    assert link["url"].startswith(f"{served.url}/")
    got, headers, body = load(link["url"])
    assert (got, body) == (200, content)
    assert headers["content-type"] == "application/octet-stream"
    assert headers["content-disposition"] == f"attachment; filename*=UTF-8''{name}"
    assert headers["x-content-type-options"] == "nosniff"
    assert "sandbox" in headers["content-security-policy"]


def test_no_other_site_no_other_method_and_no_other_token_loads_it(up: tuple[LocalCloud, Served], run_id: str) -> None:
    _cloud, served = up
    url = ask(served, "GET", f"/runs/{run_id}/attachments/1")[1]["url"]

    assert load(url, host="evil.example")[0] == 421
    assert load(url, method="DELETE")[0] == 403
    assert load(f"{url}x")[0] == 403
    assert load(f"{served.url}/local-files/")[0] == 403
    assert load(url)[0] == 200


def test_who_does_not_see_the_run_gets_no_link(up: tuple[LocalCloud, Served], run_id: str) -> None:
    cloud, served = up

    assert ask(served, "GET", f"/runs/{run_id}/attachments/3")[0] == 404
    with serve(cloud, authorizer=member_of("acme", "ann", "tenant")) as acmes:
        assert ask(acmes, "GET", f"/runs/{run_id}/attachments/1")[0] == 404


def test_a_link_ends_with_the_address_that_was_signed(up: tuple[LocalCloud, Served], run_id: str) -> None:
    cloud, _served = up
    later = [timedelta()]
    links = FileLinks(cloud, now=lambda: utc_now() + later[0])
    key = "attachments/default/x/y"
    signed = (
        cloud.runtime("ApiFunction")
        .client("s3")
        .generate_presigned_url(
            "get_object",
            Params={
                "Bucket": cloud.physical_id("PayloadBucket"),
                "Key": key,
                "ResponseContentType": "application/octet-stream",
                "ResponseContentDisposition": "attachment",
            },
            ExpiresIn=300,
        )
    )
    asked = Request("GET", f"/runs/{run_id}/attachments/1", [("Host", "localhost:1")])
    told = {"url": signed, "expires_at": (utc_now() + timedelta(seconds=300)).isoformat()}
    made = links.localized(asked, Reply(200, [], json.dumps(told).encode()))
    path = json.loads(made.body)["url"].removeprefix("http://localhost:1")
    followed = Request("GET", path, [])

    first, later[0] = links.followed(followed), timedelta(seconds=301)
    last = links.followed(followed)

    assert (first and first.status, last and last.status) == (404, 403)
