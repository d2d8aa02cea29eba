"""The gold plan of each task: its calls, their results in tau2 alone, and a model that plays them."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from pydantic import JsonValue
from pydantic_core import to_jsonable_python

from bench.tau2.environments import Tau2Environment, fresh_environment, tasks
from localcloud.converse import Reply, ScriptModel


@dataclass(frozen=True)
class GoldCall:
    """One action of a gold plan, by the agent (``assistant``) or by the customer's own hands (``user``)."""

    tool: str
    arguments: Mapping[str, Any]
    requestor: str = "assistant"


@dataclass(frozen=True)
class GoldPlan:
    """What tau2 holds to be the right way through a task."""

    domain: str
    task_id: str
    calls: tuple[GoldCall, ...]

    @property
    def text(self) -> str:
        """The text of the plan's request; the model knows the plan by it."""
        return f"Play the gold actions of tau2's {self.domain} task {self.task_id}."


@dataclass(frozen=True)
class CallOutcome:
    """What came of one call: ``ok`` with its result as JSON, or ``failed`` with the tool's message."""

    status: str
    value: JsonValue


def gold_plans(domain: str) -> tuple[GoldPlan, ...]:
    """Return the plan of every task of ``domain``. Raises ``ImportError`` where tau2 is not installed."""
    return tuple(
        GoldPlan(domain, task_id, tuple(map(_call, task.evaluation_criteria.actions or [])))
        for task_id, task in tasks(domain).items()
    )


def _call(action: Any) -> GoldCall:
    return GoldCall(action.name, action.arguments, action.requestor)


def play_directly(plan: GoldPlan) -> tuple[Tau2Environment, tuple[CallOutcome, ...]]:
    """Make the plan's calls on tau2 alone, as its own loop does.

    Returns the environment after them, and what came of each: a gold plan may hold calls that tau2
    refuses, such as a look-up of an order that is not there.
    """
    environment = fresh_environment(plan.domain, plan.task_id)
    outcomes = []
    for call in plan.calls:
        try:
            result = environment.make_tool_call(call.tool, requestor=call.requestor, **call.arguments)
        except Exception as problem:
            outcomes.append(CallOutcome("failed", str(problem)))
            continue
        environment.sync_tools()
        outcomes.append(CallOutcome("ok", to_jsonable_python(result)))
    return environment, tuple(outcomes)


class GoldModel:
    """A model for the Converse double: one gold call a turn, then an answer."""

    def __init__(self, plans: Iterable[GoldPlan]) -> None:
        self._scripts = {plan.text: _script(plan) for plan in plans}

    def reply(self, request: Mapping[str, Any], model_id: str) -> Reply:
        """Say the next step of the plan that the conversation began with."""
        return self._scripts[request["messages"][0]["content"][0]["text"]].reply(request, model_id)


def _script(plan: GoldPlan) -> ScriptModel:
    calls: list[dict[str, Any]] = [
        {"call": [{"tool": call.tool, "arguments": dict(call.arguments)}]} for call in plan.calls
    ]
    return ScriptModel.of([*calls, {"say": "Done."}], plan.text)
