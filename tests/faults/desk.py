"""The support desk under a random mix of all faults: one seed, one run, the same each time.

A seed draws who wants what (one to three jobs of the desk, on any order), how the conversation ends, what people
answer, and then several faults of all kinds (``tests.faults.mix``). After the run the same must hold as after every
case of the matrix; and the store's money and stock must be what the log says, to the cent and to the piece.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from random import Random
from typing import Any

from ballast.contracts.decision import STOP_REASONS
from tests.faults.invariants import Case, broken_rules, by_the_log, shop_now
from tests.faults.judge import harness_broke, limited
from tests.faults.mix import Mix
from tests.faults.play import how_it_ended, play
from tests.faults.scenarios import Operator, Scenario, Way
from tests.faults.shop import Shop
from tests.faults.world import World


@dataclass(frozen=True)
class Ran:
    """What came of a seed.

    wants      what was asked for
    injected   the faults that happened, in order
    ended      how the run ended, and what became of its effects
    by_log, in_store  cents refunded and pieces sold in this run: as the log says, and as the tables say
    wrong      empty where everything holds
    """

    seed: int
    wants: str
    injected: tuple[str, ...]
    ended: str
    by_log: tuple[int, int] = (0, 0)
    in_store: tuple[int, int] = (0, 0)
    wrong: tuple[str, ...] = ()


def run_of(world: World, seed: int, before: Shop) -> Ran:
    """Play the run of ``seed`` and look at what it left."""
    draw = Random(seed)
    drawn = _Drawn(draw, before)
    scenario, mix = drawn.scenario(seed), Mix(draw)
    try:
        with limited():
            played = play(world, scenario, mix)
            # Several faults at one place may outlast every retry: then the run may fail, by its name.
            wrong = broken_rules(world, played, before, survivable=False)
            ended = how_it_ended(world, played)
            case = Case(world, played, world.events(scenario.run_id), before, survivable=False)
            by_log, in_store = by_the_log(case), shop_now(world)
    except Exception as problem:
        return Ran(seed, drawn.wants, tuple(mix.injected), "?", wrong=(harness_broke(problem),))
    wrong += [f"the store: {odd}" for odd in in_store.contradictions()]
    effects = next((event.body.get("effects") for event in case.events if event.name == "run.ended"), None)
    return Ran(
        seed=seed,
        wants=drawn.wants,
        injected=tuple(mix.injected),
        ended=f"{ended}; effects {effects}" if effects else ended,
        by_log=_moved(before, by_log),
        in_store=_moved(before, in_store),
        wrong=tuple(wrong),
    )


def _moved(before: Shop, after: Shop) -> tuple[int, int]:
    return after.refunded_cents - before.refunded_cents, after.units_sold - before.units_sold


@dataclass
class _Drawn:
    """A conversation in the making."""

    draw: Random
    shop: Shop
    texts: list[str] = field(default_factory=list)
    says: list[dict[str, Any]] = field(default_factory=list)
    kinds: list[str] = field(default_factory=list)
    context: dict[str, str] = field(default_factory=dict)

    @property
    def wants(self) -> str:
        """In words, short."""
        return ", ".join(self.kinds)

    def scenario(self, seed: int) -> Scenario:
        """Draw everything but the faults."""
        draw = self.draw
        for _ in range(draw.choice((1, 1, 2, 3))):
            draw.choice((self._status, self._cancel, self._cancel, self._refund, self._refund, self._details))()
        if draw.random() < 0.3:
            self.says.append({"say": "…", "stop": draw.choice(sorted(STOP_REASONS))})
        self.says.append({"say": "That is done."})
        intent = self.kinds[0] if len(set(self.kinds)) == 1 and draw.random() < 0.7 else None
        answers = [self._answer() for _ in range(draw.randint(0, 5))]
        wants_reply = draw.random() < 0.3
        ways: tuple[Way, ...] = ("http", "queue", "event", "direct")
        comes = draw.choice(ways)
        return Scenario(
            name=f"seed {seed}",
            text=" ".join(self.texts),
            says=self.says,
            answers=answers,
            intent=intent,
            context=self.context,
            reply_to=wants_reply and comes != "http",  # whoever asks over HTTP asks there again
            comes=comes,
            by=draw.choice(("http", "command")),
            operator=self._operator() if draw.random() < 0.15 else None,
            status="aborted",  # it may be; nothing here expects it
        )

    def _operator(self) -> Operator:
        draw = self.draw
        if draw.random() < 0.3:
            mode = draw.choice(("cheaper", "fallback_only", "stopped"))
            return Operator("Plan", draw.randint(1, 3), "BudgetApiFunction", "/breaker", {"mode": mode, "reason": "x"})
        state = draw.choice(("Plan", "Execute", "Execute", "Escalate", "AskApproval"))
        return Operator(state, draw.randint(1, 2), "ApiFunction", "/runs/{run_id}/cancel")

    def _answer(self) -> dict[str, Any]:
        """Draw what people say, whatever they are asked."""
        draw = self.draw
        decision: dict[str, Any] = {"kind": "answer", "text": "A colleague has seen to it."}
        other = draw.random()
        if other < 0.3:
            decision = {"kind": "hand_over", "to": draw.choice(("agent", "fallback", "rollback")), "reason": "guidance"}
            if decision["to"] == "agent":
                decision |= {"guidance": "Go on, please.", "add_budget_microusd": draw.choice((0, 50_000))}
        elif other < 0.5:
            call = {"tool": "cancel_order", "arguments": {"order_id": draw.choice(sorted(self.shop.orders))}}
            decision = {"kind": "call_tools", "calls": [call]}
        approval = {"approve": draw.random() < 0.7, "comment": "I have looked at it."}
        return {"whatever is asked": {"approval": approval, "escalation": {"decision": decision}}}

    # The jobs

    def _order(self) -> dict[str, Any]:
        order = self.shop.orders[self.draw.choice(sorted(self.shop.orders))]
        self.context.setdefault("order_id", order["order_id"])
        self.says.append(_calls(("look_up_order", {"order_id": order["order_id"]})))
        return order

    def _status(self) -> None:
        order = self._order()
        self.texts.append(f"Where is order {order['order_id']}?")
        self.kinds.append("order_status")

    def _cancel(self) -> None:
        order = self._order()
        calls = [("cancel_order", {"order_id": order["order_id"]})]
        self.texts.append(f"Please cancel order {order['order_id']}.")
        if self.draw.random() < 0.6:
            calls.append(self._refund_of(order, "cancelled"))
        self._in_turns(calls)
        self.kinds.append("cancel_order")

    def _refund(self) -> None:
        order = self._order()
        self._in_turns([self._refund_of(order, "damaged")])
        self.kinds.append("refund")

    def _details(self) -> None:
        customer_id = self.draw.choice(sorted(self.shop.customers))
        self.context.setdefault("customer_id", customer_id)
        phone = f"+1 555 {self.draw.randint(1000, 9999)}"
        self.texts.append(f"The phone of customer {customer_id} is {phone}.")
        self.says.append(_calls(("look_up_customer", {"customer_id": customer_id})))
        self._in_turns([("update_customer", {"customer_id": customer_id, "phone": phone})])
        self.kinds.append("change_details")

    def _refund_of(self, order: dict[str, Any], reason: str) -> tuple[str, dict[str, Any]]:
        cents = int(self.draw.choice((order["paid_cents"], order["total_cents"], 1000)))
        amount = f"{cents // 100}.{cents % 100:02d}"
        self.texts.append(f"I want {amount} USD of order {order['order_id']} back.")
        return "refund_order", {"order_id": order["order_id"], "amount_usd": amount, "reason": reason}

    def _in_turns(self, calls: Sequence[tuple[str, dict[str, Any]]]) -> None:
        """All in one turn, or one a turn; one of them may be proposed twice."""
        wanted = list(calls)
        if self.draw.random() < 0.2:
            wanted.append(self.draw.choice(wanted))
        if self.draw.random() < 0.5:
            self.says.append(_calls(*wanted))
        else:
            self.says += [_calls(call) for call in wanted]


def _calls(*calls: tuple[str, dict[str, Any]]) -> dict[str, Any]:
    return {"call": [{"tool": tool, "arguments": arguments} for tool, arguments in calls]}
