"""The door takes a token that a server wants, seals it, and repeats it nowhere."""

import base64
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ballast.contracts import RunRequest
from ballast.on_behalf import MOST_S, RequesterTokens, Token
from functions.front.start import Executions
from tests.functions import remote
from tests.functions.cloud import client
from tests.functions.http import ACME, OPERATOR, Reply, ask, event, key
from tests.functions.http import token as bearer
from tests.functions.stack import Stack
from tests.support.remote_desk import desk_server, tools

pytestmark = pytest.mark.usefixtures("waiting_workflow")
BODY = {"text": "Tidy my notes.", "agent": "tester"}
SECRET = "s3cr3t.of.ann"
Wanting = Callable[..., Stack]


@pytest.fixture
def wanting(stack: Stack, tmp_path: Path) -> Wanting:
    """Return what gives the stack a playbook whose servers want these tokens."""

    def make(*names: str) -> Stack:
        servers = {
            f"s{at}": (desk_server(credential={"kind": "requester", "name": name}), tools())
            for at, name in enumerate(names)
        }
        return remote.with_servers(stack, tmp_path, servers, DESK_URL="http://127.0.0.1:9")

    return make


def jwt(**claims: Any) -> str:
    parts = ({"alg": "none"}, claims)
    return ".".join(base64.urlsafe_b64encode(json.dumps(one).encode()).decode().rstrip("=") for one in parts) + ".c2ln"


def post(stack: Stack, header: str | None, *, name: str | None = None, who: Any = OPERATOR, body: Any = BODY) -> Reply:
    """Post a request with that header; whatever the answer is, it does not repeat the header."""
    headers = {"idempotency-key": name or key()} | ({} if header is None else {"x-on-behalf-of": header})
    reply = ask(stack, "api", event("POST", "/runs", who=who, body=body, headers=headers))
    assert SECRET not in reply.text + repr(reply.headers) + stack.stdout.getvalue()
    return reply


def kept(run_id: str) -> dict[str, Any]:
    """Return what is kept for the run."""
    found = client("dynamodb").get_item(TableName="requester-tokens", Key={"run_id": {"S": run_id}})
    return dict(found.get("Item", {}))


def items() -> int:
    return len(client("dynamodb").scan(TableName="requester-tokens")["Items"])


def sent_with(run_id: str) -> dict[str, Any]:
    arn = f"arn:aws:states:eu-west-1:123456789012:execution:agent:{run_id}"
    return dict(json.loads(client("stepfunctions").describe_execution(executionArn=arn)["input"]))


@pytest.mark.parametrize("header", [f"Bearer {SECRET}", f"bearer   {SECRET}", f"desk=Bearer {SECRET}"])
def test_a_token_is_kept_sealed_before_the_run_starts(wanting: Wanting, header: str) -> None:
    stack = wanting("desk")

    run_id = post(stack, header).body["run_id"]

    item = kept(run_id)
    assert SECRET not in repr(item)
    assert item["tokens"]["M"].keys() == {"desk"}
    assert sent_with(run_id)["on_behalf"] == ["desk"]
    assert SECRET not in repr(sent_with(run_id))


def test_tokens_of_several_servers_come_by_name_in_one_header(wanting: Wanting) -> None:
    stack = wanting("desk", "crm", "desk")

    run_id = post(stack, f"desk=Bearer {SECRET},crm=Bearer {SECRET}x").body["run_id"]

    assert kept(run_id)["tokens"]["M"].keys() == {"desk", "crm"}
    assert sent_with(run_id)["on_behalf"] == ["desk", "crm"]


@pytest.mark.parametrize(
    ("wanted", "header", "said"),
    [
        ((), f"Bearer {SECRET}", "no server of this one"),
        (("desk",), f"crm=Bearer {SECRET}", "It may name: desk"),
        (("desk", "crm"), f"Bearer {SECRET}", "several are wanted: crm, desk"),
        (("desk",), f"Bearer {SECRET}, desk=Bearer {SECRET}", "two tokens for desk"),
        (("desk",), f"Basic {SECRET}", "is not `Bearer TOKEN`"),
        (("desk",), SECRET, "is not `Bearer TOKEN`"),
        (("desk",), "", "is not `Bearer TOKEN`"),
        (("desk",), f"Bearer {SECRET}\u00e9", "is not `Bearer TOKEN`"),
        (("desk",), f"Bearer {SECRET} {SECRET}", "is not `Bearer TOKEN`"),
        (("desk",), f"Bearer {SECRET},", "is not `Bearer TOKEN`"),
        (("desk",), f"{SECRET}=Bearer a", "It may name: desk"),
        (("desk",), f"Bearer {SECRET * 1_000}", "more than 8192 characters"),
        (("desk",), f"Bearer {jwt(exp=1_000_000_000)}", "has expired"),
        (("desk",), f"Bearer {jwt(exp=-1e300)}", "has expired"),
    ],
)
def test_another_header_is_refused_by_its_name_and_nothing_is_kept(
    wanting: Wanting, wanted: tuple[str, ...], header: str, said: str
) -> None:
    stack, name, before = wanting(*wanted), key(), items()

    reply = post(stack, header, name=name)

    assert reply.status == 400
    assert "X-On-Behalf-Of" in reply.body["detail"]
    assert said in reply.body["detail"]
    assert items() == before
    run_id = RunRequest(request_id=name, **BODY).run_id
    assert ask(stack, "api", event("GET", f"/runs/{run_id}")).status == 404


@pytest.mark.parametrize("body", [{"text": ""}, BODY | {"context": {"n": 2**60}}])
def test_a_request_that_is_refused_keeps_no_token(wanting: Wanting, body: Any) -> None:
    stack, before = wanting("desk"), items()

    assert post(stack, f"Bearer {SECRET}", body=body).status >= 400
    assert items() == before


def test_nobody_without_an_identity_may_leave_a_token(wanting: Wanting) -> None:
    stack, before = wanting("desk"), items()

    assert post(stack, f"Bearer {SECRET}", who=None).status == 401
    assert items() == before


@pytest.mark.parametrize(
    ("claims", "lasts_s"),
    [
        ({"exp": 60}, 60),
        ({"exp": 60.5}, 60),
        ({"exp": 10**9}, MOST_S),
        ({"exp": "soon"}, MOST_S),
        ({"exp": True}, MOST_S),
        ({}, MOST_S),
    ],
)
def test_what_a_token_says_of_its_life_can_only_shorten_it(
    wanting: Wanting, claims: dict[str, Any], lasts_s: int
) -> None:
    stack = wanting("desk")
    now = int(stack.clock().timestamp())
    claims = {
        name: now + value if isinstance(value, int | float) and value is not True else value
        for name, value in claims.items()
    }

    run_id = post(stack, f"Bearer {jwt(**claims)}").body["run_id"]

    assert kept(run_id)["expires_at"] == {"N": str(now + lasts_s)}


@pytest.mark.parametrize("token", ["a.!!!.c", "a.bm8.c", "a.W10.c", f"a.{'W' * 6000}.c", "a.eyJleHAiOk5hTn0.c"])
def test_a_token_that_only_looks_like_a_jwt_is_any_token(wanting: Wanting, token: str) -> None:
    stack = wanting("desk")

    assert post(stack, f"Bearer {token}").status in (202, 400)


def test_a_repeat_of_the_same_caller_brings_a_fresh_token(wanting: Wanting) -> None:
    stack, name = wanting("desk"), key()
    first = post(stack, f"Bearer {jwt(sub='ann', n=1)}", name=name).body["run_id"]
    before = kept(first)

    assert post(stack, f"Bearer {jwt(sub='ann', n=2)}", name=name).status == 202
    after = kept(first)
    assert post(stack, None, name=name).status == 202

    assert before["tokens"] != after["tokens"] == kept(first)["tokens"]


@pytest.mark.parametrize(
    ("header", "who", "body"),
    [
        (f"Bearer {jwt(sub='ann')}", OPERATOR.replace("/ann", "/lee"), BODY),
        (f"Bearer {jwt(sub='lee')}", OPERATOR, BODY),
        (f"Bearer {SECRET}", OPERATOR, BODY),
        (f"Bearer {jwt(sub='ann')}", OPERATOR, BODY | {"text": "Something else."}),
    ],
    ids=["another caller", "about another person", "about nobody", "another request"],
)
def test_a_repeat_changes_nothing_of_whom_the_run_acts_for(wanting: Wanting, header: str, who: str, body: Any) -> None:
    stack, name = wanting("desk"), key()
    run_id = post(stack, f"Bearer {jwt(sub='ann')}", name=name).body["run_id"]
    before = kept(run_id)

    assert post(stack, header, name=name, who=who, body=body).status == 409
    assert kept(run_id) == before


@pytest.mark.parametrize("who", [OPERATOR, OPERATOR.replace("/ann", "/lee")])
def test_a_run_that_began_without_a_token_gets_none(wanting: Wanting, who: str) -> None:
    stack, name = wanting("desk"), key()
    run_id = post(stack, None, name=name).body["run_id"]

    assert post(stack, f"Bearer {SECRET}", name=name, who=who).status == 409
    assert kept(run_id) == {}


def test_of_two_first_requests_at_once_one_alone_has_its_token_kept(wanting: Wanting) -> None:
    tokens, run_id = wanting("desk").runtime("api").get(RequesterTokens.of), f"run-{'a' * 24}"
    mine, others = Token("desk", "a", 1), Token("desk", "b", 1, subject="lee")

    kept_of = [tokens.keep(run_id, who, [one]) for who, one in (("ann", mine), ("lee", mine), ("ann", others))]

    assert kept_of == [True, False, False]
    assert kept(run_id)["requester"] == {"S": "ann"}


def test_a_run_that_somebody_else_starts_in_between_is_not_said_to_act_for_this_caller(wanting: Wanting) -> None:
    stack, name = wanting("desk"), key()
    request = RunRequest(request_id=name, **BODY)

    def starts_first(params: dict[str, Any]) -> None:
        others = json.loads(params["input"]) | {"requested_by": "lee"}
        others.pop("on_behalf")
        others.pop("on_behalf_subjects")
        arn = params["stateMachineArn"]
        client("stepfunctions").start_execution(stateMachineArn=arn, name=request.run_id, input=json.dumps(others))

    stack.on("api", "stepfunctions", "StartExecution", starts_first)

    assert post(stack, f"Bearer {SECRET}", name=name).status == 409


def test_a_token_for_a_run_that_has_ended_is_not_kept(wanting: Wanting, monkeypatch: pytest.MonkeyPatch) -> None:
    stack, name = wanting("desk"), key()
    run_id = post(stack, f"Bearer {SECRET}", name=name).body["run_id"]
    client("dynamodb").delete_item(TableName="requester-tokens", Key={"run_id": {"S": run_id}})
    running = stack.runtime("api").get(Executions.of).describe(run_id) or {}
    monkeypatch.setattr(Executions, "describe", lambda *_: {**running, "status": "SUCCEEDED"})

    assert post(stack, f"Bearer {SECRET}", name=name).status == 202
    assert kept(run_id) == {}


def test_a_tenants_caller_with_a_jwt_of_their_own_brings_another_token(wanting: Wanting) -> None:
    """The Authorization header says who calls; it goes to no server."""
    stack = wanting("desk")

    for who in (bearer("acme"), ACME):
        run_id = post(stack, f"Bearer {SECRET}", who=who).body["run_id"]
        assert kept(run_id)["tokens"]["M"].keys() == {"desk"}
