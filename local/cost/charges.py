"""The charges of one run, as its log has them: of each model attempt, and of each tool call with a price. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from ballast.contracts import CallTools
from ballast.folds.usage import CACHE_READ_TOKENS, CACHE_WRITE_TOKENS, INPUT_TOKENS, OUTPUT_TOKENS
from ballast.log.event import Event
from ballast.run import Run

_IN = (INPUT_TOKENS, CACHE_READ_TOKENS, CACHE_WRITE_TOKENS)


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


def charges(events: Sequence[Event]) -> tuple[Charge, ...]:
    """Return the charges of a run, in the order of the work. Their sum is what counts against its ceiling."""
    if not any(event.name in ("run.opened", "run.refused") for event in events):
        return ()
    return (*_of_models(events), *_of_tools(events))


def _of_models(events: Sequence[Event]) -> list[Charge]:
    settled = {
        (event.turn, event.body["attempt"]): event
        for event in events
        if event.name in ("model.responded", "model.failed")
    }
    tenant, made = Run.of(events).request.tenant, Run.of(events).proposals
    found = []
    for event in events:
        if event.name != "model.requested":
            continue
        after = settled.get((event.turn, event.index))
        body = after.body if after else {}
        stands = made.get(event.turn) if after and after.name == "model.responded" else None
        decision = stands.decision if stands else None
        reserved = event.body["reserved_microusd"]
        found.append(
            Charge(
                run_id=event.run_id,
                tenant=tenant,
                turn=event.turn,
                kind="model",
                name=event.body["gen_ai.request.model"],
                planner="agent",
                outcome=after.name.partition(".")[2] if after else "open",
                reserved=reserved,
                charged=body.get("cost_microusd", 0) if after else reserved,
                tools=tuple(call.tool for call in decision.calls) if isinstance(decision, CallTools) else (),
                input_tokens=sum(body.get(name, 0) for name in _IN),
                output_tokens=body.get(OUTPUT_TOKENS, 0),
                price_version=body.get("price_version") or event.body.get("price_version", ""),
            )
        )
    return found


def _of_tools(events: Sequence[Event]) -> list[Charge]:
    settled = {(event.turn, event.index): event for event in events if event.name == "call.settled"}
    again = {(event.turn, event.index) for event in events if event.name == "call.reserved"}
    tenant, made = Run.of(events).request.tenant, Run.of(events).proposals
    found = []
    for event in events:
        if event.name not in ("call.intended", "call.reserved"):
            continue
        reserved = event.body.get("reserved_microusd", 0)
        # Of a call that was tried twice the outcome is the second attempt's.
        tried_again = event.name == "call.intended" and (event.turn, event.index) in again
        after = None if tried_again else settled.get((event.turn, event.index))
        charged = after.body.get("cost_microusd", reserved) if after else reserved
        if not reserved and not charged:
            continue
        found.append(
            Charge(
                run_id=event.run_id,
                tenant=tenant,
                turn=event.turn,
                kind="tool",
                name=event.body["tool"],
                planner=event.body.get("planner") or made[event.turn].planner,
                outcome=after.body["status"] if after else "open",
                reserved=reserved,
                charged=charged,
            )
        )
    return found
