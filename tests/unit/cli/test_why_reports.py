"""Incidents of a night: seeded runs, and the report on each as somebody reads it who has nothing else.

``reports/NAME.txt`` is the report at 80 columns. After a change of its words, read each file that differs as somebody
would at 3 AM, then write them anew: ``.venv/bin/python -m tests.unit.cli.test_why_reports``.
"""

import io
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from ballast.contracts import Answer, CallTools, ExitReason, HandOver, Limits, Planner, RunRequest, ToolCall
from ballast.contracts.task import HandedOver
from ballast.log.event import Event
from ballast.log.events import BreakerHeld, RunFeedback, RunSettled
from ballast.run import Run
from ballast.why import explained
from cli.commands.why import rendered
from tests.support.runs import STARTED, Story, says, wants
from tests.support.terminal import Terminal, screen_on
from tests.support.timelines import timeline
from tests.unit.cli.test_trace_hostile import HOSTILE

REPORTS = Path(__file__).parent / "reports"
REQUEST = RunRequest(
    request_id="night-1", intent="refund", tenant="acme", text="My tent arrived torn.", context={"order_id": "O-1004"}
)
#: Micro-dollars per million tokens: input, output, read from the cache, written to it.
IN, OUT, READ, WRITTEN = 3_000_000, 15_000_000, 300_000, 3_750_000
ORDER = {"order_id": "O-1004"}
REFUND = {"order_id": "O-1004", "amount_usd": "120.00"}


@dataclass
class Night(Story):
    """A run with a clock that a test moves. Each entry of the log takes a second."""

    request: RunRequest = REQUEST
    clock_s: float = 0
    answer_in_s: int = 86_400

    def write(self, seq: str, body: Mapping[str, Any]) -> Event:
        known = len(self.written)
        event = super().write(seq, body)
        if len(self.written) > known:
            at = (STARTED + timedelta(seconds=self.clock_s)).isoformat()
            self.written[-1] = event = event.model_copy(update={"at": at})
            self.clock_s += 1
        return event

    def _asks_people(self, seq: str, **body: str) -> str:
        """Ask people, who have ``answer_in_s`` to answer."""
        known = len(self.written)
        asked = super()._asks_people(seq, **body)
        if len(self.written) > known:
            until = datetime.fromisoformat(self.written[-1].at) + timedelta(seconds=self.answer_in_s)
            self.amend(answer_by=until.isoformat())
        return asked

    def moves(self, turn: int, index: int, usd: int) -> None:
        """Add to an intended call how much of the business's own money it moves."""
        at = next(place for place, one in enumerate(self.written) if one.seq == f"{turn:04d}.call.{index}.intended")
        moves = {"micro": usd * 1_000_000, "unit": "USD", "customer": None, "hour": "h", "day": "d", "back": False}
        body = self.written[at].body | {"moves": moves}
        self.written[at] = self.written[at].model_copy(update={"body": body})

    def leased(self) -> "Night":
        """Open the run with a lease of its ceiling."""
        self.opened()
        self.amend(lease={"microusd": self.limits.cost_microusd})
        return self

    def amend(self, **fields: Any) -> None:
        """Change the body of the newest entry."""
        last = self.written[-1]
        self.written[-1] = last.model_copy(update={"body": last.body | fields})

    def model(
        self,
        turn: int,
        reply: dict[str, Any],
        tokens: int,
        out: int = 120,
        *,
        read: int = 0,
        written: int = 0,
        **more: Any,
    ) -> None:
        """Ask the model and have it reply after 2 s; ``tokens``: its plain input."""
        left = self.limits.cost_microusd - self.run.usage.charged_microusd
        most = ((tokens + read + written) * WRITTEN + 1_024 * OUT) // 1_000_000 + 1
        asked = self.asks(turn, reserved=min(left, most))
        self.clock_s += 2
        usage = {"inputTokens": tokens, "outputTokens": out}
        usage |= {"cacheReadInputTokens": read, "cacheWriteInputTokens": written}
        plain = (tokens + read + written) * IN + out * OUT
        cost = -(-(tokens * IN + read * READ + written * WRITTEN + out * OUT) // 1_000_000)
        self.replies(asked, reply | {"usage": usage}, cost=cost)
        self.amend(latency_ms=1_900, cache_saved_microusd=-(-plain // 1_000_000) - cost, **more)

    def settles(self) -> "Night":
        """Settle its lease."""
        used = self.run.usage.charged_microusd
        left = self.limits.cost_microusd - used
        self.record(
            RunSettled(leased_microusd=self.limits.cost_microusd, charged_microusd=used, returned_microusd=left)
        )
        return self


def burning() -> Night:
    """A long conversation that its results make longer and longer, until its ceiling stops it."""
    night = Night(limits=Limits(cost_microusd=600_000, turns=20)).leased()
    for turn in range(1, 8):
        night.model(turn, wants(("search_docs", {"query": f"torn tent {turn}"})), 6_000 * turn)
        night.executes(turn, 1, "ok", {"hits": f"page {turn}"})
    night.decides(8, Planner.AGENT, HandOver(to=Planner.PERSON, reason=ExitReason.COST_LIMIT))
    night.escalates(9, "cost_limit")
    return night


def loop() -> Night:
    """A search that says the same whatever is asked; told and forbidden, the agent goes on."""
    night = Night().leased()
    for turn in range(1, 8):
        count = turn
        step = "notice" if count < 5 else "forbid"
        signal = {"index": 1, "kind": "unchanged_result", "count": count, "same_as": [1, 1], "step": step}
        told = {"despair": [signal | {"answer": False}]} if count >= 3 else {}
        night.model(turn, wants(("search_docs", {"query": f"tent {turn}"})), 2_000 + 400 * turn, **told)
        if count < 6:
            night.executes(turn, 1, "ok", {"hits": []})
        else:
            body = {"tool": "search_docs", "error": "ToolForbidden", "message": "search_docs is forbidden."}
            night.write(f"{turn:04d}.call.1.refused", body)
    night.decides(8, Planner.AGENT, HandOver(to=Planner.FALLBACK, reason=ExitReason.LOOP))
    night.decides(9, Planner.FALLBACK, Answer(text="We will look into it."))
    night.ends(by="fallback")
    return night.settles()


def cache_stopped() -> Night:
    """The agent waits for an approval longer than the cache lives; after that each prompt is paid for in full."""
    night = Night().leased()
    night.model(1, wants(("look_up_order", ORDER)), 300, written=14_000)
    night.executes(1, 1, "ok", {"status": "delivered"})
    night.model(2, wants(("refund_order", REFUND)), 200, 180, read=14_300)
    night.asks_approval(2, 1)
    night.clock_s += 900
    night.approves(2, 1, True)
    night.executes(2, 1, "ok", {"refunded": "120.00"})
    night.model(3, wants(("send_letter", ORDER)), 15_200, 60)
    night.executes(3, 1, "ok", {})
    night.model(4, says("Your money is on its way."), 15_600, 90)
    night.ends()
    return night.settles()


def throttled() -> Night:
    """The provider throttles each attempt, and no script serves the intent."""
    night = Night().leased()
    for _ in range(4):
        asked = night.asks(1)
        night.breaks(asked, ExitReason.MODEL_THROTTLED)
        night.amend(error="ThrottlingException: Too many tokens, please wait before trying again.")
        night.clock_s += 8
    night.decides(1, Planner.AGENT, HandOver(to=Planner.FALLBACK, reason=ExitReason.MODEL_THROTTLED))
    night.decides(2, Planner.FALLBACK, HandOver(to=Planner.PERSON, reason=ExitReason.NO_FALLBACK))
    night.escalates(3, "no_fallback")
    return night


def unknown_effect() -> Night:
    """The bank's answer to a refund is lost, and nothing can tell whether it was made."""
    night = Night().leased()
    night.model(1, wants(("look_up_order", ORDER)), 1_500)
    night.executes(1, 1, "ok", {"status": "delivered"})
    night.model(2, wants(("refund_order", REFUND)), 1_900)
    night.executes(2, 1, "unknown")
    night.amend(message="ReadTimeout: the bank did not answer.")
    night.moves(2, 1, 120)
    night.decides(3, Planner.AGENT, HandOver(to=Planner.PERSON, reason=ExitReason.EFFECT_UNKNOWN))
    night.escalates(4, "effect_unknown")
    return night


def ungrounded() -> Night:
    """The agent invents an amount again and again; the script answers."""
    night = Night(limits=Limits(refused_calls=2)).leased()
    for turn in range(1, 4):
        night.model(turn, wants(("refund_order", REFUND | {"amount_usd": f"{90 + turn}.00"})), 1_500 + 300 * turn)
        message = (
            "refund_order: amount_usd must occur in the request, in its facts or in the result of an earlier turn."
        )
        body = {"tool": "refund_order", "arguments": REFUND, "error": "Ungrounded", "message": message}
        body |= {"sourceless": ["amount_usd"], "arguments": {"order_id": "O-1004", "amount_usd": f"{90 + turn}.00"}}
        night.write(f"{turn:04d}.call.1.refused", body)
    night.decides(4, Planner.AGENT, HandOver(to=Planner.FALLBACK, reason=ExitReason.REFUSED_CALL_LIMIT))
    night.decides(5, Planner.FALLBACK, Answer(text="We will look into it."))
    night.ends(by="fallback")
    return night.settles()


def rejected() -> Night:
    """A person rejects the refund; the agent says so."""
    night = Night().leased()
    night.model(1, wants(("refund_order", REFUND)), 1_500)
    night.asks_approval(1, 1)
    night.amend(why=["the run would refund more than $100.00"])
    night.clock_s += 400
    night.approves(1, 1, False)
    night.amend(comment="The tent is older than two years.")
    night.executes(1, 1, "denied")
    night.amend(message="A person rejected it. The tent is older than two years.")
    night.model(2, says("We cannot refund this order."), 1_800)
    night.ends()
    return night.settles()


def window_full() -> Night:
    """The tenant's hour has no room for the run."""
    night = Night().refused("WindowFull")
    night.amend(message="The hour of acme has $0.12 left, and this run needs $0.25. There is room at 10:00 UTC.")
    return night


def breaker() -> Night:
    """An alarm has set the spend breaker to fallback_only."""
    night = Night().leased()
    night.model(1, wants(("look_up_order", ORDER)), 1_500)
    night.executes(1, 1, "ok", {"status": "delivered"})
    over = HandOver(to=Planner.FALLBACK, reason=ExitReason.BREAKER_OPEN)
    held = BreakerHeld(
        mode="fallback_only", by="BurnRateFastAlarm", reason="25 % of the day's budget in an hour", at=""
    )
    night.decides(2, Planner.AGENT, over, breaker=held)
    night.decides(3, Planner.FALLBACK, Answer(text="Your order was delivered."))
    night.ends(by="fallback")
    return night.settles()


def timed_out_model() -> Night:
    """The model hangs; the workflow cuts it, and the script answers in time."""
    night = Night().leased()
    night.model(1, wants(("look_up_order", ORDER)), 1_500)
    night.executes(1, 1, "ok", {"status": "delivered"})
    asked = night.asks(2, reserved=22_000)
    night.clock_s += 58
    night.breaks(asked, ExitReason.MODEL_TIMEOUT, charged=True)
    night.amend(error="Read timeout on endpoint URL")
    night.decides(2, Planner.AGENT, HandOver(to=Planner.FALLBACK, reason=ExitReason.MODEL_TIMEOUT))
    night.decides(3, Planner.FALLBACK, Answer(text="Your order was delivered."))
    night.ends(by="fallback")
    return night.settles()


def hung() -> Night:
    """The function of the agent dies without a word; the workflow hands over to the script, which gives up."""
    night = Night().leased()
    night.asks(1, reserved=30_000)
    night.clock_s += 100
    cut = HandedOver(**{"from": Planner.AGENT}, reason=ExitReason.PLANNER_FAILED, error="Sandbox.Timedout")
    over = HandOver(to=Planner.PERSON, reason=ExitReason.FALLBACK_GAVE_UP)
    night.decides(2, Planner.FALLBACK, over, handed_over=cut, note="O-1004 is not in the store.")
    night.escalates(3, "fallback_gave_up")
    night.clock_s += 86_400
    return night.ends("unanswered", by=None)  # type: ignore[return-value]


def hand_over() -> Night:
    """One agent hands over to another, which runs out of turns."""
    night = Night(limits=Limits(turns=3)).leased()
    sent = {"agent": "billing", "note": "The customer wants the money back for O-1004."}
    night.model(1, wants(("hand_over", sent)), 900, 60)
    for turn in (2, 3):
        night.model(turn, wants(("look_up_order", {"order_id": f"O-{turn}"})), 1_000 * turn)
        night.executes(turn, 1, "failed")
        night.amend(message="No such order.")
    night.decides(4, Planner.AGENT, HandOver(to=Planner.PERSON, reason=ExitReason.TURN_LIMIT))
    night.escalates(5, "turn_limit")
    return night


def circuit_open() -> Night:
    """The bank was down so often that nobody calls it for a while."""
    night = Night().leased()
    night.model(1, wants(("refund_order", REFUND)), 1_500)
    night.executes(1, 1, "failed")
    night.amend(message="bank failed too often and is not called for a while. Nothing was executed.", circuit="bank")
    night.model(2, says("I cannot refund it now. Please try again later."), 1_800)
    night.ends()
    return night.settles()


def cut_off() -> Night:
    """The log ends while a write is under way."""
    night = Night().leased()
    night.model(1, wants(("refund_order", REFUND)), 1_500)
    night.intends(1, 1, ToolCall(tool="refund_order", arguments=REFUND))
    night.moves(1, 1, 120)
    night.asks(2)
    return night


def rolled_back() -> Night:
    """A write is undone after the deadline; a second one cannot be undone."""
    night = Night(limits=Limits(deadline_s=30)).leased()
    night.model(1, wants(("refund_order", REFUND)), 1_500)
    night.executes(1, 1, "ok", {"refunded": "120.00"})
    night.moves(1, 1, 120)
    night.clock_s += 30
    night.decides(2, Planner.AGENT, HandOver(to=Planner.ROLLBACK, reason=ExitReason.DEADLINE))
    undo = night.run.to_undo[0]
    assert undo.undo is not None
    night.decides(3, Planner.ROLLBACK, CallTools(calls=(undo.undo,)), undoes=[undo.turn, undo.index])
    night.executes(3, 1, "failed")
    night.amend(message="The bank has paid it out already.")
    over = HandOver(to=Planner.PERSON, reason=ExitReason.ROLLBACK_INCOMPLETE)
    night.decides(4, Planner.ROLLBACK, over, note="cancel_refund failed.")
    night.escalates(5, "rollback_incomplete")
    return night


def said_to_be_wrong() -> Night:
    """The agent answers, and a person says the next day that it was wrong."""
    night = Night().leased()
    night.model(1, wants(("look_up_order", ORDER)), 1_500)
    night.executes(1, 1, "ok", {"status": "delivered"})
    night.model(2, says("Your order was never sent."), 1_800)
    night.ends()
    night.settles()
    night.clock_s += 86_400
    night.record(RunFeedback(verdict="wrong", by="kim", role="reviewer", note="It was delivered on Monday."))
    return night


def stood_in() -> Night:
    """The model's circuit is open; another model stands in and answers."""
    night = Night().leased()
    night.amend(model="big-model")
    night.model(1, wants(("look_up_order", ORDER)), 1_500)
    at = next(place for place, one in enumerate(night.written) if one.seq == "0001.model.requested")
    rests = {"big-model": "The circuit of big-model is open: it failed 5 times in a row."}
    night.written[at] = night.written[at].model_copy(update={"body": night.written[at].body | {"passed_over": rests}})
    night.executes(1, 1, "ok", {"status": "delivered"})
    night.model(2, says("Your order was delivered."), 1_900)
    night.ends()
    return night.settles()


def huge_result() -> Night:
    """One result is so large that each later prompt, and so the ceiling, is its."""
    night = Night(limits=Limits(cost_microusd=400_000, turns=20)).leased()
    for turn, tokens in enumerate((900, 1_100, 41_000, 41_300), 1):
        name = "export_history" if turn == 2 else "look_up_order"
        night.model(turn, wants((name, {"order_id": f"O-{turn}"})), tokens)
        night.executes(turn, 1, "ok", {"status": "delivered"})
    night.decides(5, Planner.AGENT, HandOver(to=Planner.PERSON, reason=ExitReason.COST_LIMIT))
    night.escalates(6, "cost_limit")
    return night


def unsent_result() -> Night:
    """A result is so large that the next prompt does not fit into the ceiling, of which little is spent."""
    night = Night().leased()
    night.model(1, wants(("look_up_order", ORDER)), 900)
    night.executes(1, 1, "ok", {"status": "delivered"})
    night.model(2, wants(("export_history", ORDER)), 1_100)
    night.executes(2, 1, "ok", {"events": ["a gate move of the yard"] * 4_000})
    night.decides(3, Planner.AGENT, HandOver(to=Planner.PERSON, reason=ExitReason.COST_LIMIT))
    night.escalates(4, "cost_limit")
    return night


def too_late() -> Night:
    """Nobody approves in time; the agent writes twice more, and the run ends without an answer: one write stands."""
    night = Night(limits=Limits(deadline_s=3_000), answer_in_s=900).leased()
    night.model(1, wants(("refund_order", REFUND)), 1_500)
    night.asks_approval(1, 1)
    night.answer_in_s, night.clock_s = 86_400, night.clock_s + 900
    night.approves(1, 1, False)
    night.amend(approve=None, by=None, comment="")
    night.executes(1, 1, "denied")
    for turn in (2, 3):
        night.model(turn, wants(("refund_order", {"order_id": f"O-{turn}", "amount_usd": "9.00"})), 1_700)
        night.executes(turn, 1, "ok", {"refunded": "9.00"})
        night.moves(turn, 1, 9)
    night.model(4, says("Your", "content_filtered"), 1_900, 9)
    undo = night.run.to_undo[0]
    assert undo.undo is not None
    night.decides(5, Planner.ROLLBACK, CallTools(calls=(undo.undo,)), undoes=[undo.turn, undo.index])
    night.executes(5, 1, "ok", {})
    over = HandOver(to=Planner.PERSON, reason=ExitReason.ROLLBACK_INCOMPLETE)
    night.decides(6, Planner.ROLLBACK, over, note="The money of O-2 is paid out.")
    night.escalates(7, "rollback_incomplete")
    night.clock_s += 86_400
    return night.ends("unanswered", by=None)  # type: ignore[return-value]


def deployed() -> Night:
    """A deployment changes the instructions in the middle of a run, so the cache does not serve the next prompt."""
    night = Night().leased()
    night.model(1, wants(("look_up_order", ORDER)), 300, written=14_000)
    night.executes(1, 1, "ok", {"status": "delivered"})
    night.model(2, wants(("refund_order", REFUND)), 200, 180, read=14_300)
    night.executes(2, 1, "ok", {"refunded": "120.00"})
    night.model(3, says("Your money is on its way."), 300, 60, written=14_700)
    for at, one in enumerate(night.written):
        if one.name == "model.requested" and one.turn != 2:
            said = [{"text": "Be kind." if one.turn == 1 else "Be kind and brief."}]
            night.written[at] = one.model_copy(update={"body": one.body | {"system": said}})
    night.ends()
    return night.settles()


def approval_void() -> Night:
    """What an approval relied on changes before the call acts; asked again, another person rejects it."""
    night = Night().leased()
    night.model(1, wants(("refund_order", REFUND)), 1_500)
    at = "0001.call.1.approval_"
    before, after = ({"precondition": {"status": status, "left": "120.00"}} for status in ("delivered", "refunded"))
    night.write(f"{at}needed", {"tool": "refund_order", "binding": before, "why": ["it is above $100.00"]})
    night.asks_approval(1, 1)
    night.clock_s += 300
    night.approves(1, 1, True)
    night.write(f"{at}void", {"tool": "refund_order", "moved": ["precondition"], "binding": after})
    night.write(f"{at}needed.2", {"tool": "refund_order", "binding": after, "why": ["it is above $100.00"]})
    for seq in ("requested", "answered"):
        body = next(one.body for one in night.written if one.seq == f"{at}{seq}")
        night.write(f"{at}{seq}.2", {**body, "escalation_id": "esc-again"})
    night.amend(approve=False, by="lars", comment="It was refunded by phone.")
    night.executes(1, 1, "denied")
    night.model(2, says("It was refunded already."), 1_800)
    night.ends()
    return night.settles()


def doubted() -> Night:
    """A write's answer is lost; its ``verify`` finds later that it happened."""
    night = Night().leased()
    night.model(1, wants(("refund_order", REFUND)), 1_500)
    night.intends(1, 1, ToolCall(tool="refund_order", arguments=REFUND))
    lost = {"attempt": 1, "message": "refund_order broke: ReadTimeout: the bank did not answer.", "ran": True}
    night.write("0001.call.1.doubted.1", {"tool": "refund_order", **lost})
    night.clock_s += 65
    night.write("0001.call.1.settled", {"tool": "refund_order", "status": "ok", "result": {"refunded": "120.00"}})
    night.model(2, says("120.00 dollars are on their way."), 1_800)
    night.ends()
    return night.settles()


def answered_by_a_person() -> Night:
    """The answer to a payment is lost; a person answers, and whether the money moved is still open."""
    night = Night().leased()
    night.model(1, wants(("refund_order", REFUND)), 1_500)
    night.executes(1, 1, "unknown")
    night.amend(message="ReadTimeout: the bank did not answer.")
    night.moves(1, 1, 120)
    night.decides(2, Planner.AGENT, HandOver(to=Planner.PERSON, reason=ExitReason.EFFECT_UNKNOWN))
    night.escalates(3, "effect_unknown")
    night.clock_s += 600
    night.person(3, Answer(text="We look into your refund."))
    night.ends(by=Planner.PERSON)
    return night.settles()


#: Each incident, and what the first lines of its report must name.
INCIDENTS: dict[str, tuple[Callable[[], Night], tuple[str, ...]]] = {
    "burning": (burning, ("waits for a person", "cost ceiling", "$0.60", "growing conversation")),
    "loop": (loop, ("fallback answered", "repeated itself", "search_docs", "same result")),
    "cache-stopped": (cache_stopped, ("provider's cache stopped", "turn 3", "paid for again")),
    "throttled": (throttled, ("waits for a person", "provider throttled the model test-model", "4 attempts")),
    "unknown-effect": (unknown_effect, ("Nobody knows whether refund_order", "turn 2", "bank did not answer")),
    "ungrounded": (
        ungrounded,
        (
            "too many of its calls were refused",
            "refused by grounding: refund_order",
            "(amount_usd 91.00; amount_usd 92.00; amount_usd 93.00: ",
        ),
    ),
    "rejected": (rejected, ("kim, rejected refund_order", "older than two years")),
    "window-full": (window_full, ("not admitted", "no room", "10:00 UTC")),
    "breaker": (breaker, ("spend breaker", "fallback_only", "BurnRateFastAlarm")),
    "timed-out-model": (timed_out_model, ("fallback answered", "test-model did not answer in time")),
    "hung": (
        hung,
        ("The agent's function failed", "Sandbox.Timedout", "nobody answered its escalation", "without an answer"),
    ),
    "hand-over": (
        hand_over,
        (
            "waits for a person",
            "limit of turns",
            "limits.turns: 3 allowed, 3 used",
            "2 calls of look_up_order failed",
            "No such order",
        ),
    ),
    "circuit-open": (circuit_open, ("circuit of bank was open", "refund_order (turn 1, call 1) was not executed")),
    "cut-off": (cut_off, ("has no ending", "no reply is recorded")),
    "rolled-back": (rolled_back, ("waits for a person", "not everything could be undone", "cancel_refund")),
    "said-to-be-wrong": (said_to_be_wrong, ("agent answered", "kim, says that it was wrong", "delivered on Monday")),
    "stood-in": (stood_in, ("big-model was not asked", "is open", "test-model stood in")),
    "huge-result": (huge_result, ("cost ceiling", "growing conversation")),
    "unsent-result": (unsent_result, ("cost ceiling", "only $0.0096 was spent", "export_history (turn 2), 108,012")),
    "too-late": (too_late, ("without an answer", "provider filtered the reply of the model test-model")),
    "deployed": (deployed, ("cache stopped", "instructions or tools had changed", "deployment")),
    "approval-void": (approval_void, ("person, lars, rejected refund_order", "refunded by phone")),
    "doubted": (doubted, ("refund_order (turn 1, call 1) was in doubt at first", "bank did not answer", "it happened")),
    "answered-by-a-person": (answered_by_a_person, ("kim answered", "refund_order", "bank did not answer")),
    "corrupt": (loop, ("cannot be read", "changed it", "0009.plan.decided")),
}


def drawn(name: str, width: int = 80, *, colours: bool = False) -> str:
    """Return the report on an incident as a terminal shows it, of a run of a deployed stack."""
    made = INCIDENTS[name][0]()
    wrong: dict[str, str] = {}
    run = made.run
    if name == "corrupt":
        run = run.only(lambda event: event.seq not in ("0009.plan.decided", "9999.run.ended"))
        why = "the body does not match its digest"
        wrong = {"0009.plan.decided": why, "9999.run.ended": why}
    return printed(run, wrong, width, colours=colours)


def printed(
    run: Run,
    wrong: Mapping[str, str],
    width: int,
    *,
    colours: bool = False,
    piped: bool = False,
    now: datetime | None = None,
) -> str:
    report = explained(run, timeline(run, wrong), stack="ballast-prod")
    out = io.StringIO() if piped else Terminal()
    screen_on(out, width, system="standard" if colours else None).show(rendered(report, now=now))
    return out.getvalue()


@pytest.mark.parametrize("name", INCIDENTS)
def test_the_first_lines_name_the_cause(name: str) -> None:
    sentence = " ".join(drawn(name).split("\n\n")[1].split()).casefold()

    for words in INCIDENTS[name][1]:
        assert words.casefold() in sentence


@pytest.mark.parametrize("name", INCIDENTS)
def test_the_report_reads_as_it_was_reviewed(name: str) -> None:
    assert drawn(name) == (REPORTS / f"{name}.txt").read_text(encoding="utf-8")


def test_each_reviewed_report_is_of_an_incident() -> None:
    assert {file.stem for file in REPORTS.glob("*.txt")} == INCIDENTS.keys()


@pytest.mark.sampled(8)
@pytest.mark.parametrize("name", INCIDENTS)
def test_a_narrow_terminal_shows_it_whole_and_breaks_no_command(name: str) -> None:
    wide, narrow = (re.sub(r"\x1b\[[0-9;]*m", "", drawn(name, width, colours=True)) for width in (120, 36))

    commands = [line for line in wide.splitlines() if line.startswith("  ballast --stack")]
    assert commands
    assert [line for line in narrow.splitlines() if line.startswith("  ballast --stack")] == commands
    assert max(len(line) for line in narrow.splitlines() if line not in commands) <= 36
    assert narrow.split() == wide.split()


@pytest.mark.parametrize("name", INCIDENTS)
def test_the_first_line_says_whether_to_act_and_a_section_what_was_done(name: str) -> None:
    lines = drawn(name).splitlines()

    assert lines[1].startswith(("Act: ", "Nobody has to act."))
    assert lines[lines.index("What it did") + 1].startswith("  - ")


@pytest.mark.parametrize("name", INCIDENTS)
def test_a_command_has_no_value_that_only_its_reader_knows(name: str) -> None:
    free = re.compile(r'--(?:say|guidance|comment|happened|charged|reason|add-budget) (?!"<[^<>]+>")')

    commands = [line for line in drawn(name, 500).splitlines() if line.startswith("  ballast")]

    assert commands
    for command in commands:
        assert not free.search(command)
        assert command.endswith('>"') is ("<" in command)
        assert re.sub(r'"<[^<>]+>"', "", command).find("<") < 0  # no shell reads a redirection


@pytest.mark.parametrize("name", INCIDENTS)
def test_a_share_is_the_same_in_a_sentence_and_in_the_sums(name: str) -> None:
    report = " ".join(drawn(name, 500).split())

    for percent, words in re.findall(r"(\d+) % of its time went into ([a-z:, ]+) \(turn", report):
        assert f" {percent} %, {words}" in report


def test_the_time_that_is_left_is_told_by_whoever_has_a_clock() -> None:
    run = rolled_back().run
    until = datetime.fromisoformat(explained(run, timeline(run)).answer_by)

    assert "(2 h 10 min left)" in printed(run, {}, 80, now=until - timedelta(minutes=130))
    assert "(over)" in printed(run, {}, 80, now=until + timedelta(seconds=1))
    assert "left)" not in printed(run, {}, 80)


def test_nothing_in_a_run_can_steer_the_terminal() -> None:
    night = Night().leased()
    night.model(1, wants((HOSTILE[:-1], {"a": HOSTILE})), 1_500)
    night.executes(1, 1, "unknown")
    night.amend(message=HOSTILE)
    night.decides(2, Planner.AGENT, HandOver(to=Planner.PERSON, reason=ExitReason.EFFECT_UNKNOWN), note=HOSTILE)
    night.escalates(3, HOSTILE)
    night.amend(escalation_id=HOSTILE, summary=HOSTILE)

    seen = printed(night.run, {}, 80)

    assert not re.search(r"[\x00-\x09\x0b-\x1f\x7f-\x9f\u200e\u200f\u2028-\u202e\ud800-\udfff]", seen)
    assert "[bold]x[/bold]" in seen


if __name__ == "__main__":
    for one in INCIDENTS:
        (REPORTS / f"{one}.txt").write_text(drawn(one), encoding="utf-8")
