"""A traceback from the handler to a tool has at most twelve frames of ours.

Counted are the frames of files under ``functions`` and ``layers/ballast``, from ``lambda_handler`` to the frame that
calls the tool. Not counted: the test, the tool itself, Powertools and Python's own library. A tool with ``timeout_s``
runs in a thread; its frames and those of the thread that waits for it are in one traceback. The tool raises what ends
its process: that passes every handler of ours, so that its traceback is the whole way.
"""

import traceback
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel, ConfigDict

from ballast.playbook import CallLimits, Circuit, Playbook, Read, ToolContext, Write, tool
from functions.executor.handler import build
from tests.functions.stack import LambdaDied, Stack

ROOT = Path(__file__).parents[3]
OURS = (ROOT / "functions", ROOT / "layers" / "ballast")
MOST = 12


class Nothing(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


def dies(args: Nothing, ctx: ToolContext) -> str:
    """Die."""
    raise LambdaDied


@pytest.mark.parametrize("limits", [CallLimits(), CallLimits(timeout_s=20)])
@pytest.mark.parametrize("circuit", [None, Circuit("shop")])
@pytest.mark.parametrize("effect", [Read(), Write()])
def test_from_the_handler_to_the_tool_there_are_at_most_twelve_frames_of_ours(
    stack: Stack, effect: Read | Write, circuit: Circuit | None, limits: CallLimits
) -> None:
    has_only(stack, tool(effect=effect, circuit=circuit, limits=limits)(dies))
    run_id = stack.open()
    stack.propose(run_id, {"tool": "dies", "arguments": {}})

    with pytest.raises(LambdaDied) as died:
        stack.execute(run_id)

    *way, last = traceback.extract_tb(died.tb)
    names = [f"{Path(one.filename).stem}.{one.name}" for one in way if is_ours(one.filename)]
    assert last.name == "dies"
    assert names[:3] == ["edge.lambda_handler", "handler.lambda_handler", "executor.execute"]
    assert {"effect.carry_out", "downstream.run_tool"} < set(names)
    assert len(names) <= MOST, " → ".join(names)


def has_only(stack: Stack, made: Any) -> None:
    """Let the executor's playbook have this tool and no other."""
    stack.alone("executor")
    runtime = stack.runtime("executor")
    executor = runtime.get(build)
    playbook = Playbook(Path(), executor.playbook.agent, {made.name: made}, {})
    runtime._built[build] = replace(executor, playbook=playbook)


def is_ours(filename: str) -> bool:
    return any(Path(filename).is_relative_to(folder) for folder in OURS)
