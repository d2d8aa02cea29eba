"""For any model that loads: proposal, gate, intention, approval, undo, repeat, fallback and display are one call."""

from dataclasses import replace
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from ballast.contracts import ToolCall
from ballast.contracts.wire import canonical
from ballast.errors import PlaybookInvalid, SchemaViolation, TooLarge
from ballast.log.events import PlanDecided
from ballast.playbook import Approval, Playbook, Tool, ToolContext, Write, tool
from functions.executor.handler import build
from tests.functions.approvals import answered, asks
from tests.functions.stack import Stack
from tests.support.sampling import examples
from tests.support.tool_models import MODELS, Known, respelled


def tools_of(model: Any, done: list[Any]) -> dict[str, Tool]:
    """Return a write that a person approves, and its undo; what each was given is in ``done``."""

    def act(args: Any, ctx: ToolContext) -> None:
        """Act."""
        done.append(("act", args))

    def take_back(args: Any, ctx: ToolContext) -> None:
        """Take it back."""
        done.append(("take_back", args))

    for function in (act, take_back):
        function.__annotations__["args"] = model
    undo = tool(effect=Write(honours_key=True), taint="allow")(take_back)
    made = tool(
        effect=Write(undo="take_back", honours_key=True, on_rollback="undo"),
        approval=Approval(if_=lambda _, __: "always"),
        taint="allow",
    )(act)
    return {"act": made, "take_back": undo}


def with_playbook(stack: Stack, tools: dict[str, Tool]) -> Playbook:
    """Let the executor have these tools."""
    stack.alone("executor")
    runtime = stack.runtime("executor")
    executor = runtime.get(build)
    playbook = Playbook(Path(), executor.playbook.agent, tools, {})
    runtime._built[build] = replace(executor, playbook=playbook)
    return playbook


@settings(
    max_examples=examples(3, 20),
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture, HealthCheck.filter_too_much],
)
@given(known=MODELS, data=st.data(), chance=st.randoms(use_true_random=False))
def test_any_call_is_one_call_all_the_way(stack: Stack, known: Known, data: st.DataObject, chance: Any) -> None:
    done: list[Any] = []
    try:
        tools = tools_of(known.type, done)
    except PlaybookInvalid:
        assume(False)
    playbook, made = with_playbook(stack, tools), tools["act"]
    sent = data.draw(known.sent)
    try:
        args = made.read(sent)
        form = made.bounded_form(args)
    except (SchemaViolation, TooLarge):
        assume(False)
    run_id = stack.open()
    stack.propose(run_id, {"tool": "act", "arguments": sent}, {"tool": "act", "arguments": respelled(sent, chance)})

    needed = asks(stack, run_id)
    answered(stack, run_id, approve=True)
    assert stack.execute(run_id, asked=1) == "ok"
    bodies = {event.seq: event.body for event in stack.events(run_id)}
    undo = bodies["0001.call.1.settled"]["undo"]
    decision = {"kind": "call_tools", "calls": [undo]}
    repeated = stack.execute(run_id, 1, 2)
    stack.log.record(run_id, PlanDecided(turn=2, planner="rollback", decision=decision, undoes=(1, 1)))
    assert stack.execute(run_id, 2) == "ok"

    # What people saw, what was about to be done, what was recorded to undo it, and what shows the call.
    shown = stack.events(run_id).call(1, 1)
    assert shown is not None
    said = [needed["arguments"], bodies["0001.call.1.intended"]["arguments"], undo["arguments"]]
    assert {canonical(one) for one in (*said, shown.as_admitted.arguments)} == {canonical(form)}
    assert done == [("act", args), ("take_back", args)]
    # The same call in another spelling is a repeat, and a fallback hands on the same.
    assert repeated == "ok"
    assert stack.body(run_id, "0001.call.2.settled")["repeat_of"] == [1, 1]
    fields = {name: getattr(args, name) for name in type(args).model_fields}
    assert canonical(made.call(**fields).arguments) == canonical(made.call(**form).arguments) == canonical(form)
    calls = [ToolCall(tool="act", arguments=one) for one in (sent, form, respelled(sent, chance))]
    assert len({playbook.identity(call) for call in calls}) == 1
