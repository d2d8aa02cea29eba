"""An author tries both sides of an approval on one machine: over HTTP, and with the ``ballast`` command."""

from __future__ import annotations

import base64
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from ballast.errors import MayNotAnswer
from cli import main
from cli.commands.up import up
from cli.exits import Exit
from cli.parser import parser
from localcloud.clock import WallClock
from localcloud.cloud import LocalCloud
from localcloud.converse.server import ConverseServer
from localcloud.converse.source import CallableModel, Reply, said, turns_taken
from localcloud.gateway import Served, serve
from localcloud.gateway.identity import CLAIMS, bearer_of
from tests.e2e.served import ask
from tests.e2e.test_up_command import on

PLAYBOOK = Path(__file__).parents[1] / "functions" / "playbooks" / "asking"
HAPPY = str(Path(__file__).parents[2] / "localcloud" / "scenarios" / "happy-path" / "script.yaml")


def model(request: Mapping[str, Any], model_id: str) -> Reply:
    """Stamp a note thrice, which somebody of finance approves."""
    if turns_taken(request):
        return said([{"text": "Done."}], "end_turn", request)
    stamp = {"toolUseId": "s", "name": "stamp_for_finance", "input": {"note_id": "n-1", "times": 3}}
    return said([{"toolUse": stamp}], "tool_use", request)


# First those that open a cloud of their own: there is room for one in a process.


@pytest.mark.sampled(1)
@pytest.mark.parametrize(
    ("words", "who"),
    [
        ([], "an operator."),
        (["--tenant", "acme"], "a member of the tenant acme."),
        (["--role", "reviewer"], "a reviewer of the tenant default."),
        (["--role", "reviewer", "--tenant", "acme", "--group", "it"], "a reviewer of the tenant acme, in it."),
    ],
)
def test_up_says_who_whoever_asks_is(
    words: list[str],
    who: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("BALLAST_HOME", str(tmp_path))

    def pause(_seconds: float) -> None:
        raise KeyboardInterrupt

    assert up(parser().parse_args(["up", "--port", "0", "--model", HAPPY, *words]), pause=pause) == Exit.OK

    printed = capsys.readouterr().out
    assert who in printed
    assert "rae:reviewer" in printed


@pytest.mark.parametrize(
    ("words", "named"),
    [
        (["--role", "operator", "--tenant", "acme"], "--tenant"),
        (["--group", "a b"], "--group 'a b'"),
        (["--role", "reviewer", "--parameter", "ReviewerClaim="], "ReviewerClaim"),
    ],
)
def test_roles_that_do_not_fit_are_named(words: list[str], named: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["up", "--port", "0", "--model", HAPPY, *words]) == Exit.USAGE

    assert named in capsys.readouterr().err


@pytest.fixture(scope="module")
def served() -> Iterator[tuple[LocalCloud, Served]]:
    with (
        ConverseServer(CallableModel(model)) as double,
        LocalCloud(PLAYBOOK, double.url, clock=WallClock(sleep=lambda _: None), parameters=CLAIMS) as cloud,
        serve(cloud, authorizer=bearer_of("jo", "operator", cloud.environ("ApiFunction"))) as at,
    ):
        yield cloud, at


def as_(who: str) -> dict[str, str]:
    """Return the header that ``curl -u`` sends."""
    return {"Authorization": "Basic " + base64.b64encode(who.encode()).decode()}


def asks_finance(served: Served) -> str:
    """Start a run as mia, and return the id of what it asks people."""
    _, run = ask(served, "POST", "/runs", {"agent": "tester", "text": "Stamp n-1."}, as_("mia:member"))
    for _ in range(30_000):
        _, run = ask(served, "GET", f"/runs/{run['run_id']}", headers=as_("mia:member"))
        if run["status"] == "waiting":
            return str(run["escalation_id"])
    raise AssertionError(run)


def test_one_person_asks_and_another_approves(served: tuple[LocalCloud, Served]) -> None:
    _, at = served
    path = f"/escalations/{asks_finance(at)}"

    tried = {}
    for who in ("mia:member", "mia:operator+finance", "lee:member+finance", "rae:reviewer", "ann:operator"):
        shown = ask(at, "GET", path, headers=as_(who))[1]
        tried[who] = ask(at, "POST", path, {"approve": True}, as_(who))[0]
        assert (shown["you_may"], bool(shown["you_may_not"])) == ([], True), who

    assert set(tried.values()) == {403}, tried
    assert ask(at, "POST", path, {"approve": True}, as_("fay:boss"))[0] == 401
    status, taken = ask(at, "POST", path, {"approve": True}, {"Authorization": "Bearer fay:reviewer+finance"})
    assert (status, taken["status"]) == (200, "answered")


def test_who_one_is_is_said_and_only_an_operator_sets_the_breaker(served: tuple[LocalCloud, Served]) -> None:
    _, at = served
    seen = {
        who: ask(at, "GET", "/me", headers=as_(who))[1] for who in ("mia:member", "rae:reviewer+it", "ann:operator")
    }
    set_by = {who: ask(at, "POST", "/breaker", {"mode": "normal"}, as_(who))[0] for who in seen}

    told = [(one["principal"], one["role"], one["tenant"], one["groups"]) for one in seen.values()]
    assert told == [
        ("mia", "member", "default", []),
        ("rae", "reviewer", "default", ["it"]),
        ("ann", "operator", None, []),
    ]
    assert list(set_by.values()) == [403, 403, 200]
    assert ask(at, "GET", "/me")[1]["principal"] == "jo"


def test_the_command_says_who_may_and_takes_a_group(
    served: tuple[LocalCloud, Served], capsys: pytest.CaptureFixture[str]
) -> None:
    cloud, at = served
    escalation_id = asks_finance(at)

    assert on(cloud, "escalations") == Exit.OK
    printed = capsys.readouterr().out
    for words in (
        "Only members of finance may approve it: --group finance.",
        "May not approve: mia",
        f"ballast answer {escalation_id} --approve --group finance",
    ):
        assert words in printed
    with pytest.raises(MayNotAnswer, match=r"mia asked for this run.*--by NAME"):
        on(cloud, "answer", escalation_id, "--approve", "--by", "mia", "--group", "finance")
    with pytest.raises(MayNotAnswer, match=r"only members of finance.*--group NAME"):
        on(cloud, "answer", escalation_id, "--approve", "--by", "fay", "--group", "it")
    assert on(cloud, "answer", escalation_id, "--approve", "--by", "fay", "--group", "it", "--group", "finance") == 0
    assert f"Accepted: {escalation_id}" in capsys.readouterr().out


def test_the_help_teaches_roles(capsys: pytest.CaptureFixture[str]) -> None:
    for command, words in (("up", ("rae:reviewer", "--role", "+finance")), ("answer", ("--group finance", "--by fay"))):
        with pytest.raises(SystemExit):
            main([command, "--help"])
        printed = capsys.readouterr().out
        assert all(word in printed for word in words), command
