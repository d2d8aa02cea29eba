"""The charges of one run, as its timeline has them: of each model attempt, and of each tool call with a price. Pure."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from ballast.contracts.timeline import Timeline


@dataclass(frozen=True)
class Charge:
    """What was reserved and charged at one moment; amounts in micro-dollars.

    kind     a model attempt, or a tool call with a cost of its own
    name     the model's id, or the tool's name
    planner  who proposed it
    tools    of a model attempt: the tools that its completion called, empty where it called none
    outcome  responded | failed | open (nobody knows: the whole reservation stays charged); of a tool: its status
    """

    run_id: str
    tenant: str
    turn: int
    kind: Literal["model", "tool"]
    name: str
    planner: str
    outcome: str
    reserved: int
    charged: int
    tools: tuple[str, ...] = ()
    input_tokens: int = 0
    output_tokens: int = 0
    price_version: str = ""

    @property
    def returned(self) -> int:
        """What of the reservation was free again; negative where more was used than promised."""
        return self.reserved - self.charged


def charges(made: Timeline) -> tuple[Charge, ...]:
    """Return the charges of a run, in the order of the work. Their sum is what counts against its ceiling."""
    return (*_of_models(made), *_of_tools(made))


def _of_models(made: Timeline) -> Iterator[Charge]:
    for turn in made.turns:
        calls = turn.decided is not None and turn.decided.kind == "call_tools"
        for one in turn.attempts:
            yield Charge(
                run_id=made.run_id,
                tenant=made.tenant,
                turn=turn.turn,
                kind="model",
                name=one.model,
                planner="agent",
                outcome=one.state,
                reserved=one.reserved_microusd,
                charged=one.charged_microusd,
                tools=tuple(call.tool for call in turn.calls) if calls and one.state == "responded" else (),
                input_tokens=one.prompt_tokens,
                output_tokens=one.output_tokens,
                price_version=one.price_version,
            )


def _of_tools(made: Timeline) -> Iterator[Charge]:
    for turn in made.turns:
        for call in turn.calls:
            for one in call.attempts:
                yield Charge(
                    run_id=made.run_id,
                    tenant=made.tenant,
                    turn=turn.turn,
                    kind="tool",
                    name=call.tool,
                    planner=turn.planner,
                    outcome=one.outcome,
                    reserved=one.reserved_microusd,
                    charged=one.charged_microusd,
                )
