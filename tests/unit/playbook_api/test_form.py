"""A call's arguments have one JSON form: what is compared, undone, passed on, shown and executed is the same."""

import random
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from pydantic import BaseModel

from ballast.contracts import Planner, RunRequest, ToolCall
from ballast.contracts.wire import canonical
from ballast.errors import PlaybookInvalid, SchemaViolation
from ballast.playbook import AgentConfig, Effect, Playbook, Tool, ToolContext, tool
from ballast.playbook.gate import admit_call
from tests.support.tool_models import KNOWN, MODELS, Known

REQUEST = RunRequest(request_id="r", text="x")
AGENT = AgentConfig.model_validate({"name": "a", "model": "m", "instructions": "x", "limits": {}})


def of(model: type[BaseModel]) -> Tool:
    def act(args: BaseModel, ctx: ToolContext) -> None:
        """Act."""

    act.__annotations__["args"] = model
    return tool(effect=Effect.WRITE, argument_bytes=10**6, depth=60)(act)


def admitted(playbook: Playbook, made: Tool, arguments: Any) -> BaseModel:
    call = ToolCall(tool=made.name, arguments=arguments)
    return admit_call(playbook, call, REQUEST, Planner.AGENT, lambda: None)[1]  # type: ignore[arg-type,return-value]


def with_tool(made: Tool) -> Playbook:
    return Playbook(Path(), AGENT, {made.name: made}, {})


def shuffled(value: Any, chance: random.Random) -> Any:
    if isinstance(value, list):
        return [shuffled(one, chance) for one in value]
    if not isinstance(value, dict):
        return value
    items = list(value.items())
    chance.shuffle(items)
    return {name: shuffled(one, chance) for name, one in items}


@settings(suppress_health_check=[HealthCheck.too_slow], deadline=None)
@given(known=MODELS, data=st.data(), chance=st.randoms(use_true_random=False))
def test_every_way_to_a_call_ends_in_one_form(known: Known, data: st.DataObject, chance: Any) -> None:
    made = of(known.type)
    playbook = with_tool(made)
    sent = data.draw(known.sent)

    args = admitted(playbook, made, sent)

    form = made.form.write(args)
    again = admitted(playbook, made, form)
    assert again == args
    assert canonical(made.form.write(again)) == canonical(form)
    assert canonical(made.form.write(admitted(playbook, made, shuffled(sent, chance)))) == canonical(form)
    # A fallback, and an undo, give what Python has, or the form itself.
    fields = {name: getattr(args, name) for name in type(args).model_fields}
    assert canonical(made.call(**fields).arguments) == canonical(form)
    assert canonical(made.call(**form).arguments) == canonical(form)
    calls = [ToolCall(tool=made.name, arguments=one) for one in (sent, form, shuffled(sent, chance))]
    assert len({playbook.identity(call) for call in calls}) == 1
