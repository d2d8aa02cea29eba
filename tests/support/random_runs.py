"""A Hypothesis strategy for whole runs: what planners, tools, people and crashes may do to a log.

It walks the workflow's loop with random outcomes. Attempts that crashed or hung stay in flight,
and their completions may arrive at any later moment, as from a Lambda that nobody waits for.
"""

from typing import Any

from hypothesis import strategies as st

from ballast.contracts import Answer, CallTools, ExitReason, HandOver, Planner, RunRequest, ToolCall
from ballast.contracts.task import HandedOver
from ballast.log.event import Event
from tests.support.runs import Decided, Story

_TOOLS = ("look_up_order", "refund_order", "send_letter", "invented")
_ARGUMENTS: tuple[Any, ...] = (
    {"order_id": "O-1"},
    {"order_id": "O-2"},
    {},
    "no object",
    None,
    {"name": "half an emoji \ud83d"},
    7,
)

_WORDS = st.sampled_from([{"text": "Let me look."}, {"text": " \n"}, {"text": ""}])
_REASONING = st.just({"reasoningContent": {"reasoningText": {"text": "Hm.", "signature": "s"}}})
_CALLS = st.builds(
    lambda tool, arguments, key: {"toolUse": {"toolUseId": key, "name": tool, "input": arguments}},
    st.sampled_from(_TOOLS),
    st.sampled_from(_ARGUMENTS),
    st.sampled_from(["", "call_0", "call_1"]),
)
_SERVERS = st.just({"toolUse": {"toolUseId": "srv", "name": "web", "input": {}, "type": "server_tool_use"}})
# Made once: creating a strategy costs more than drawing from it.
_BELOW = {size: st.integers(0, size - 1) for size in range(1, 20)}
_KINDS = st.sampled_from(["calls"] * 6 + ["answer", "odd", "question", "hand_over"])
AGENTS = ("support", "billing", "archive")
_AGENTS = st.sampled_from(AGENTS)
_BESIDE = st.lists(_WORDS | _REASONING | _SERVERS, max_size=2)
_SOME_CALLS, _A_CALL = st.lists(_CALLS, min_size=1, max_size=3), st.lists(_CALLS, max_size=1)
_USAGE = st.sampled_from([{"inputTokens": 100, "outputTokens": 20}] * 4 + [{}])
_CACHED = st.sampled_from([{}, {"cacheReadInputTokens": 40}, {"cacheWriteInputTokenCount": 7}])
_ODD = st.sampled_from(("max_tokens", "guardrail_intervened", "no_such_reason", "end_turn", "tool_use"))


@st.composite
def replies(draw: st.DrawFn) -> dict[str, Any]:
    """One Converse reply: mostly one to three tool calls, sometimes an answer, sometimes neither."""
    beside = draw(_BESIDE)
    match draw(_KINDS):
        case "calls":
            content, stop_reason = [*beside, *draw(_SOME_CALLS)], "tool_use"
        case "answer":
            content, stop_reason = [*beside, {"text": "It was shipped."}], "end_turn"
        case "question":
            ask = {"toolUseId": "call_0", "name": "ask_requester", "input": {"question": "Which order?"}}
            content, stop_reason = [*beside, {"toolUse": ask}], "tool_use"
        case "hand_over":
            sent = {"agent": draw(_AGENTS), "note": "Look at O-1."}
            use = {"toolUseId": "call_0", "name": "hand_over", "input": sent}
            content, stop_reason = [*beside, {"toolUse": use}], "tool_use"
        case _:
            content, stop_reason = [*beside, *draw(_A_CALL)], draw(_ODD)
    return {
        "output": {"message": {"role": "assistant", "content": content}},
        "stopReason": stop_reason,
        "usage": draw(_USAGE) | draw(_CACHED),
    }


@st.composite
def runs(draw: st.DrawFn, max_turns: int = 7) -> Story:
    """One run, from its opening to any point: running, waiting, ended."""
    text = draw(st.sampled_from(["Where is O-1?", "Refund it.\nPlease ☂", "  x"]))
    context: dict[str, Any] = draw(st.sampled_from([{}, {"order_id": "O-1", "paid": 12.5}]))
    story = Story(request=RunRequest(request_id=draw(st.uuids()).hex, intent="refund", text=text, context=context))
    _Walk(draw, story.opened()).go(max_turns)
    return story


class _Walk:
    """The workflow; ``draw`` decides what happens next."""

    def __init__(self, draw: st.DrawFn, story: Story) -> None:
        self.draw, self.story = draw, story
        self.turn, self.planner = 1, Planner.AGENT
        self.agent = AGENTS[0]
        #: The agent that the workflow has replaced, and that the next event tells of.
        self.cut: dict[str, Any] = {}
        self.in_flight: list[Event] = []
        self.to_announce: list[int] = []

    def go(self, max_turns: int) -> None:
        decision: Decided | None = None
        while self.turn <= max_turns:
            if decision is None:
                decision = self._plan()
            decision = self._follow(decision)
            if decision is None and self._one(*[False] * 14, True):
                return  # this is how far it has come
            if isinstance(decision, str):
                break
        for _ in range(2):
            self._late()

    def _one(self, *choices: Any) -> Any:
        return choices[self.draw(_BELOW[len(choices)])]

    def _late(self) -> None:
        """Record a late arrival: a completion, or the mark that an escalation was announced."""
        if self.in_flight and self._one(True, False):
            self.story.replies(self.in_flight.pop(0), self.draw(replies()))
        if self.to_announce and self._one(True, False):
            self.story.announces(self.to_announce.pop(0))

    def _plan(self) -> Decided:
        self._late()
        match self.planner:
            case Planner.AGENT:
                self.story.agents[self.turn] = self.agent
                return self._agent()
            case Planner.ROLLBACK:
                return self._rollback()
            case _:
                return self._fallback()

    def _agent(self) -> Decided:
        over = HandOver(to=self.story.run.successor(Planner.AGENT, has_fallback=True), reason=ExitReason.TURN_LIMIT)
        if self._one(*[False] * 7, True):
            return self.story.decides(self.turn, Planner.AGENT, over)
        for _ in range(3):
            if self.turn in self.story.run.proposals:
                return self.story.run.proposals[self.turn].decision
            asked = self.story.asks(self.turn, reserved=self._one(5_000, 9_000))
            match self._one(*["reply"] * 6, "fail", "crash", "hang"):
                case "reply":
                    self._late()
                    return self.story.replies(asked, self.draw(replies()), cost=self._one(0, 3_000, 5_000))
                case "fail":
                    self.story.breaks(asked, charged=self._one(True, False))
                case "crash":
                    self.in_flight.append(asked)
                    self._late()
                case "hang":
                    self.in_flight.append(asked)
                    self.cut = {"handed_over": HandedOver(**{"from": Planner.AGENT}, reason=ExitReason.MODEL_TIMEOUT)}
                    return HandOver(to=Planner.ROLLBACK, reason=ExitReason.MODEL_TIMEOUT)
        return self.story.decides(self.turn, Planner.AGENT, over, note="The model did not answer.")

    def _rollback(self) -> Decided:
        run, cut = self.story.run, self.cut
        self.cut = {}
        failed = [one for one in run.calls if one.planner is Planner.ROLLBACK and one.status != "ok"]
        left = run.to_undo
        if failed:
            over = HandOver(to=Planner.PERSON, reason=ExitReason.ROLLBACK_INCOMPLETE)
            return self.story.decides(self.turn, Planner.ROLLBACK, over, note="The undo did not work.", **cut)
        if left and left[0].undo:
            undo = CallTools(calls=(left[0].undo,))
            undoes = [left[0].turn, left[0].index]
            return self.story.decides(self.turn, Planner.ROLLBACK, undo, undoes=undoes, **cut)
        to = run.successor(Planner.ROLLBACK, has_fallback=self._one(True, False))
        return self.story.decides(self.turn, Planner.ROLLBACK, HandOver(to=to, reason=ExitReason.ROLLED_BACK), **cut)

    def _fallback(self) -> Decided:
        decision = self._one(
            CallTools(calls=(ToolCall(tool=self._one(*_TOOLS[:3]), arguments={"order_id": "O-1"}),)),
            Answer(text="It is on its way."),
            HandOver(to=Planner.PERSON, reason=ExitReason.FALLBACK_GAVE_UP),
        )
        return self.story.decides(self.turn, Planner.FALLBACK, decision)

    def _follow(self, decision: Decided) -> Any:
        """Carry out ``decision``; return the next one, None to ask a planner, "over" at the end."""
        if isinstance(decision, Answer):
            self.story.ends("answered", by=self._one("agent", "fallback", "human"))
            return "over"
        if isinstance(decision, CallTools):
            broken = self._execute(decision)
            return self._escalate("effect_unknown") if broken else self._next_turn()
        if decision.to is Planner.PERSON:
            return self._escalate(decision.reason)
        if decision.to is Planner.REQUESTER:
            return self._ask_requester()
        self.planner = decision.to
        self.agent = decision.agent or self.agent
        return self._next_turn()

    def _next_turn(self) -> None:
        self.turn += 1

    def _ask_requester(self) -> Any:
        self.turn += 1
        self.story.escalates(self.turn, ExitReason.QUESTION, kind="question")
        self._late()
        match self._one("reply", "reply", "empty", "silence", "wait"):
            case "wait":
                return "over"
            case "silence":
                return HandOver(to=Planner.ROLLBACK, reason=ExitReason.REQUESTER_SILENT)
            case said:
                reply = f"Reply {self.turn}." if said == "reply" else ""
                back = HandOver(to=Planner.AGENT, reason=ExitReason.GUIDANCE, guidance=reply)
                return self.story.person(self.turn, back, kind="question")

    def _escalate(self, reason: str) -> Any:
        self.turn += 1
        self.story.escalates(self.turn, reason)
        self.to_announce.append(self.turn)
        self._late()
        match self._one("wait", "silence", "answer", "call", "back", "back", "fallback"):
            case "wait":
                return "over"
            case "silence":
                self.story.ends("unanswered", by=None)
                return "over"
            case "answer":
                return self.story.person(self.turn, Answer(text="I have called you."))
            case "call":
                refund = ToolCall(tool="refund_order", arguments={"order_id": "O-1"})
                return self.story.person(self.turn, CallTools(calls=(refund, refund)))
            case "fallback":
                return self.story.person(self.turn, HandOver(to=Planner.FALLBACK, reason=ExitReason.GUIDANCE))
        back = HandOver(
            to=Planner.AGENT,
            reason=ExitReason.GUIDANCE,
            guidance=self._one("", f"Guidance {self.turn}."),
            add_budget_microusd=self._one(0, 50_000),
            agent=self._one(None, None, None, *AGENTS),
        )
        return self.story.person(self.turn, back)

    def _execute(self, decision: CallTools) -> bool:
        """Execute the calls; return whether the executor failed on the way."""
        positions = range(1, len(decision.calls) + 1)
        reads_only = self.story.run.proposals[self.turn].parallel
        for index in self.draw(st.permutations(positions)) if reads_only else positions:
            status = self._one(*["ok"] * 6, "failed", "refused", "denied", "unknown", "crashed")
            if self._one(*[False] * 5, True):
                self.story.asks_approval(self.turn, index)
                if status != "denied" or self._one(True, False):
                    self.story.approves(self.turn, index, status != "denied")
            if status == "crashed":
                self.story.intends(self.turn, index, decision.calls[index - 1])
                return True
            self.story.executes(self.turn, index, status, {"order_id": "O-1", "note": "☂ \ud83d"})
            if status == "unknown":
                return True
            self._late()
        return False
