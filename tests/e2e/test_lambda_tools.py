"""Lambda functions as tools in the local cloud: their handlers of scenarios/stand_ins.py answer."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from ballast.contracts import RunRequest
from ballast.errors import PlaybookInvalid
from ballast.playbook import load_playbook
from ballast.playbook.servers.declaration import pin
from cli.certify.report import summed_up
from cli.certify.run import certify
from cli.commands.new import write
from localcloud.cloud import LocalCloud
from localcloud.converse.source import CallableModel, said
from localcloud.scenarios import find, folder_of
from localcloud.stand_ins import StandInFunctions, standing_in

ARN = "arn:aws:lambda:eu-central-1:111122223333:function"
STAND_INS = """
from contextlib import contextmanager

KEPT, KEYS = {}, {}


def stock(event, context):
    if event["tool"] == "find":
        return {"items": [KEYS[event["ref"]]] if event["ref"] in KEYS else []}
    if event["tool"] == "release":
        KEPT.pop(event["id"], None)
        return None
    if event["article"] == "none":
        raise LookupError("no such article")
    made = {"id": f"R-{len(KEYS) + 1}", "ref": event["ref"]}
    if event["ref"] not in KEYS:
        KEPT[made["id"]] = made
    return KEYS.setdefault(event["ref"], made)


FUNCTIONS = {"STOCK": stock, "denied": stock}


@contextmanager
def stand_ins():
    reset()
    yield {}


def reset():
    KEPT.clear()
    KEYS.clear()


def seen_outside():
    return dict(KEPT)
"""
TEXTS = {"type": "string"}


def tool(name: str, *arguments: str, **more: Any) -> dict[str, Any]:
    schema = {"type": "object", "properties": dict.fromkeys(arguments, TEXTS), "required": list(arguments)}
    text = f"{name.capitalize()} articles."
    return {"pinned": {"sha256": pin(name, text, schema), "description": text, "schema": schema}, **more}


def tools() -> dict[str, Any]:
    verify = {"tool": "stock_find", "arguments": {"ref": {"key": True}}, "found": "/items/0"}
    undo = {"tool": "stock_release", "arguments": {"id": {"result": "/id"}}}
    free = {"/article": "free_text"}
    reserve = {"effect": "write", "key": {"argument": "ref"}, "verify": verify, "undo": undo, "refusals": ["error"]}
    release = {"effect": "write", "idempotent": True, "on_rollback": "keep", "marks": {"/id": "grounded"}}
    return {
        "reserve": tool("reserve", "article", "ref", marks=free, **reserve),
        "find": tool("find", "ref", effect="read", outward=False),
        "release": tool("release", "id", **release),
    }


@pytest.fixture
def shop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("BALLAST_HOME", str(tmp_path / "home"))
    project = tmp_path / "stockshop"
    write("stockshop", project)
    servers = project / "stockshop" / "servers"
    servers.mkdir()
    for name, function in (("stock", {"env": "STOCK"}), ("denied", f"{ARN}:denied"), ("missing", f"{ARN}:missing")):
        server = {"kind": "lambda", "function": function, "tool_field": "tool", "timeout_s": 2}
        only = (
            tools()
            if name == "stock"
            else {"release": tool("release", "id", effect="write", marks={"/id": "free_text"})}
        )
        (servers / f"{name}.yaml").write_text(json.dumps({"server": server, "tools": only}), encoding="utf-8")
    (project / "scenarios" / "stand_ins.py").write_text(STAND_INS, encoding="utf-8")
    business = project / "business.yaml"
    text = business.read_text(encoding="utf-8")
    allowed = json.dumps(
        {"Effect": "Allow", "Action": "lambda:InvokeFunction", "Resource": [f"{ARN}:stock", f"{ARN}:missing"]}
    )
    text = text.replace("        Statement:\n", f"        Statement:\n          - {allowed}\n")
    text = text.replace("'{\"ACCOUNTS", f'\'{{"STOCK": "{ARN}:stock", "ACCOUNTS')
    business.write_text(text, encoding="utf-8")
    return project


def model(request: Any, _: str) -> Any:
    calls = [
        ("stock_reserve", {"article": "lamp"}),
        ("stock_reserve", {"article": "none"}),
        ("denied_release", {"id": "a"}),
        ("missing_release", {"id": "a"}),
    ]
    turn = sum(message["role"] == "assistant" for message in request["messages"])
    if turn < len(calls):
        name, arguments = calls[turn]
        use = {"toolUse": {"toolUseId": f"t-{turn}", "name": name, "input": arguments}}
        return said([use], "tool_use", request)
    return said([{"text": "Done."}], "end_turn", request)


def test_a_function_is_answered_by_its_handler_with_the_rights_of_business_yaml(shop: Path) -> None:
    with LocalCloud(shop, model=CallableModel(model), enforce_iam=True) as cloud:
        run_id = cloud.start(RunRequest(request_id="r-1", text="Reserve a lamp."))
        cloud.wait(run_id, 120)
        ended = cloud.events(run_id)
        assert cloud.stand_ins is not None
        kept = cloud.stand_ins.seen_outside()

    assert [one.status for one in ended.calls] == ["ok", "failed", "failed", "failed"]
    told = [one.message for one in ended.calls]
    assert [one["id"] for one in kept.values()] == ["R-1"]
    assert "LookupError: no such article" in told[1]
    assert "AccessDeniedException" in told[2]
    assert 'FUNCTIONS = {"missing": handler}' in told[3]


def test_functions_that_are_no_handlers_by_name_are_refused(shop: Path) -> None:
    file = shop / "scenarios" / "stand_ins.py"
    file.write_text(STAND_INS.replace('"STOCK": stock', '"STOCK": "stock"'), encoding="utf-8")

    with (
        standing_in(shop / "stockshop") as (module, _),
        pytest.raises(PlaybookInvalid, match=r"FUNCTIONS must be handlers by the names of functions"),
    ):
        StandInFunctions(module, shop / "stockshop")


@pytest.mark.deep
def test_a_function_is_certified_by_what_its_stand_in_tells(shop: Path) -> None:
    folder = shop / "scenarios" / "stock"
    folder.mkdir()
    expect = {"status": "answered", "by": "agent"}
    scenario = {"description": "A lamp is reserved.", "request": {"text": "Reserve a lamp."}, "expect": expect}
    (folder / "scenario.yaml").write_text(json.dumps(scenario), encoding="utf-8")
    script = {"turns": [{"call": [{"tool": "stock_reserve", "arguments": {"article": "lamp"}}]}, {"say": "Done."}]}
    (folder / "script.yaml").write_text(json.dumps(script), encoding="utf-8")

    found = summed_up(
        certify(load_playbook(shop), [find("stock", folder_of(shop))], folder=shop, say=lambda _: None).findings
    )

    of_stock = [one for one in found if one.of.startswith("stock_")]
    assert {(one.of, one.rule): one.seen for one in of_stock if one.state == "broken" or one.needed} == {}
    held = {(one.of, one.rule) for one in of_stock if one.state == "held"}
    assert {("stock_reserve", rule) for rule in ("key", "verify", "interrupted", "undo", "process", "aws")} <= held
    assert {("stock_release", "key"), ("stock_release", "keys"), ("stock_find", "read")} <= held
