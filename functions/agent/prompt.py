"""The prompt of one attempt: what is new for the model, the reservation, the digest, and the Converse request. Pure.

::

    the run ─▶ new_messages ─▶ compose: bound ─▶ reservation ─▶ digest ─▶ model.requested ─▶ converse_request
"""

import json
from collections.abc import Callable, Mapping
from typing import Any

from ballast.contracts import ExitReason, HandOver, Planner
from ballast.contracts.service_tier import ServiceTier
from ballast.errors import ToolForbidden
from ballast.folds.append_only import PersistentList
from ballast.folds.calls import CallState
from ballast.folds.conversation import Prompt, prompt_digest, said
from ballast.folds.loops import Loops, Signal, as_recorded, notice
from ballast.log.events import EscalationAnnounced, ModelRequested, ModelResponded
from ballast.log.keys import Key
from ballast.money import ModelPrice
from ballast.playbook import Playbook
from ballast.playbook.first_prompt import (
    PROVIDER_OVERHEAD_TOKENS,
    attempt_within,
    first_prompt,
    input_bound,
    request_blocks,
)
from ballast.run import Run
from functions.agent.decision import refused_answer_notice
from functions.agent.loops import loop_notices
from functions.agent.reply import call_id, sendable
from functions.agent.usage import messages_bytes, sent_bytes

Messages = PersistentList[Any]
#: Prompts have about 4 bytes a token. A reported count with more bytes a token may be right, but no bound uses it.
_USUAL_BYTES = 16


def compose(
    run: Run,
    turn: int,
    *,
    attempt: int,
    priced: ModelPrice,
    playbook: Playbook,
    loops: Loops,
    shown: Callable[[dict[str, Any]], dict[str, Any]],
) -> ModelRequested | ExitReason:
    """Return what is recorded before the call, or the limit that forbids it.

    ``priced`` is the model that is asked. ``shown`` masks the sensitive values of an event's body. Raises
    ``ModelRefused`` if the model has no price for the playbook's tier.
    """
    opened = run.opening
    tier = playbook.agent.service_tier
    price = priced.worst(tier)
    notices = loop_notices(loops, run)
    delta = ModelRequested(
        turn=turn,
        attempt=attempt,
        after=run.prompt.after,
        covers=[event.seq for event in run.unseen],
        messages=new_messages(run, notices),
        model=priced.model_id,
        temperature=str(playbook.agent.temperature),
        reserved_microusd=0,
        price_version=priced.version,
        service_tier=tier,
        **_changed_parts(run.prompt, first_prompt(playbook, opened.request)),
        **({"despair": as_recorded(notices)} if notices else {}),
    )
    bound = _input_bound(run, delta)
    reservation = attempt_within(
        opened.limits,
        price,
        bound=bound,
        tokens_so_far=run.counts.tokens,
        left_microusd=opened.cost_ceiling_microusd - run.usage.charged_microusd,
    )
    if isinstance(reservation, ExitReason):
        return reservation
    requested = delta.model_copy(
        update={
            "max_tokens": reservation.max_tokens,
            "prompt_bound": bound,
            "sent_bytes": _sent_bytes(run, run.prompt.extended(delta)),
            "reserved_microusd": reservation.microusd,
        }
    )
    masked = run.as_shown.prompt.extended(_as_shown(requested, shown))
    return requested.model_copy(update={"prompt_sha256": prompt_digest(run, masked, requested.inference)})


def _sent_bytes(run: Run, prompt: Prompt) -> int:
    """Return the bytes of a prompt's texts. The run remembers those of its earlier messages."""

    def answered(before: tuple[int, int], requested: ModelRequested, responded: ModelResponded) -> tuple[int, int]:
        more = (*requested.messages, said(responded))
        return before[0] + len(more), before[1] + messages_bytes(more)

    count, size = run.along(prompt.after, "sent bytes", (0, 0), answered)
    return sent_bytes(prompt.system, prompt.tools, prompt.messages[count:], before=size)


def _changed_parts(before: Prompt, first: Prompt) -> dict[str, Any]:
    """Return the instructions and the tools, each only if it differs from ``before``."""
    system = {"system": first.system} if first.system != before.system else {}
    return system | ({"tools": first.tools} if first.tools != before.tools else {})


def _as_shown(requested: ModelRequested, shown: Callable[[dict[str, Any]], dict[str, Any]]) -> ModelRequested:
    made = ModelRequested.read(Key.of(requested.seq), shown(requested.body))
    assert isinstance(made, ModelRequested)
    return made


def _input_bound(run: Run, delta: ModelRequested) -> int:
    """Return an upper bound of the prompt's tokens: the last exact count plus the bytes of what is new.

    Without an exact count every byte of the prompt counts as a token.
    """
    new = input_bound(delta.system, delta.tools, delta.messages)
    if delta.after is None:
        return new + PROVIDER_OVERHEAD_TOKENS
    last = run.newest(ModelResponded)
    known = None if last is None else _exact_tokens(run, last, delta.model)
    if known is not None:
        return known + new
    before = run.prompt
    return new + input_bound(before.system, before.tools, list(before.messages)) + PROVIDER_OVERHEAD_TOKENS


def _exact_tokens(run: Run, last: ModelResponded, model_id: str) -> int | None:
    """Return the prompt and output tokens of ``last``; None if another model counted them or they are in doubt."""
    if last.input_tokens is None or last.usage_disbelieved is not None or last.model != model_id:
        return None
    asked = run.fact(ModelRequested, last.turn, last.attempt)
    prompt, sent = last.tokens - (last.output_tokens or 0), asked.sent_bytes if asked is not None else 0
    return None if prompt * _USUAL_BYTES < sent else last.tokens


def converse_request(run: Run, requested: ModelRequested) -> dict[str, Any]:
    """Return the arguments of ``converse`` for an attempt that is not in ``run`` yet."""
    prompt = run.prompt.extended(requested)

    def answered(before: Messages, asked: ModelRequested, responded: ModelResponded) -> Messages:
        return before.with_more(map(sendable, (*asked.messages, said(responded))))

    messages = run.along(prompt.after, "sendable", Messages(), answered)
    tier = requested.service_tier or ServiceTier.DEFAULT
    # The default tier is left out: a model without tiers refuses the field.
    named = {} if tier == ServiceTier.DEFAULT else {"serviceTier": {"type": tier}}
    return named | {
        "modelId": requested.model,
        "system": sendable(prompt.system),
        "messages": [*messages, *map(sendable, prompt.messages[len(messages) :])],
        "toolConfig": sendable(prompt.tools),
        "inferenceConfig": {
            "maxTokens": requested.max_tokens,
            # boto3 accepts only a float here.
            "temperature": float(requested.temperature or 0),
        },
    }


# What is new for the model. Each turn records its texts, so a text may change without changing an old run's prompt.


def new_messages(run: Run, notices: Mapping[int, Signal] | None = None) -> list[dict[str, Any]]:
    """Return one user message: the request at first, later the results of the calls and what other planners did.

    Converse demands a result for every call of the last completion, executed or not. ``notices`` holds the loop
    signals that the model is told, by the position of the call.
    """
    if run.prompt.after is None:
        return [{"role": "user", "content": request_blocks(run.opening.request) + _other_planners(run)}]
    results = _results(run, Key.of(run.prompt.after).turn, notices or {})
    blocks = results + refused_answer_notice(run) + _other_planners(run)
    return [{"role": "user", "content": blocks or [{"text": "Continue."}]}]


def _results(run: Run, turn: int, notices: Mapping[int, Signal]) -> list[dict[str, Any]]:
    """Return the results of the calls of ``turn``, whose completion ends the prompt so far."""
    states = {state.index: state for state in run.turn(turn).calls if state.planner is Planner.AGENT}
    # A server-side tool's call is among them; its id is not a ``call_id``.
    ids = [block["toolUse"]["toolUseId"] for block in run.prompt.messages[-1]["content"] if "toolUse" in block]
    wanted = [(index, call_id(turn, index)) for index in range(1, len(ids) + 1)]
    reply = _requesters_reply(run, turn)
    if reply is not None:
        return [{"toolResult": _reply(reply, key)} for _, key in wanted if key in ids]
    return [
        {"toolResult": _with_notice(_result(states.get(index), key), states.get(index), notices.get(index))}
        for index, key in wanted
        if key in ids
    ]


def _requesters_reply(run: Run, turn: int) -> str | None:
    """Return the reply to the agent's question of ``turn``: "" if none came, None if ``turn`` asked none."""
    asking = run.proposals.get(turn)
    if asking is None or not isinstance(asking.decision, HandOver) or asking.decision.to is not Planner.REQUESTER:
        return None
    reply = run.proposals.get(turn + 1)
    if reply is None or reply.planner is not Planner.REQUESTER or not isinstance(reply.decision, HandOver):
        return ""
    return reply.decision.guidance


def _reply(reply: str, key: str) -> dict[str, Any]:
    if not reply.strip():
        return {"toolUseId": key, "content": [{"text": "Nobody replied in time."}], "status": "error"}
    return {"toolUseId": key, "content": [{"text": reply}], "status": "success"}


def _result(state: CallState | None, key: str) -> dict[str, Any]:
    if state is not None and state.status == "ok":
        content: list[dict[str, Any]] = [
            {"json": state.result if isinstance(state.result, dict) else {"result": state.result}}
        ]
        if state.notice:
            content.append({"text": state.notice})
        return {"toolUseId": key, "content": content + _changed_arguments(state), "status": "success"}
    return {"toolUseId": key, "content": [{"text": _why_not(state)}, *_changed_arguments(state)], "status": "error"}


def _changed_arguments(state: CallState | None) -> list[dict[str, Any]]:
    """Return the text that names the arguments of a call if a person changed them before approving it."""
    if state is None or state.proposed is None:
        return []
    arguments = json.dumps(state.as_admitted.arguments, ensure_ascii=False, sort_keys=True)
    return [{"text": f"A person changed the arguments of this call to {arguments} and approved that instead."}]


def _with_notice(result: dict[str, Any], state: CallState | None, sign: Signal | None) -> dict[str, Any]:
    if state is None or sign is None or state.error == ToolForbidden.__name__:  # the refusal says it already
        return result
    return result | {"content": [*result["content"], {"text": notice(state.call.tool, sign)}]}


def _why_not(state: CallState | None) -> str:
    if state is None or state.status == "proposed":
        return "Not executed: the turn ended before this call."
    if state.status == "refused":
        return f"Refused, nothing was done. {state.message}"
    if state.status == "denied":
        return f"Denied, nothing was done. {state.message}".strip()
    if state.status == "failed":
        return f"Failed. {state.message}"
    return "It is unknown whether this call took effect. Do not repeat it."


def _other_planners(run: Run) -> list[dict[str, Any]]:
    """Return at most one text: what fallback, rollback and people did, and what a person asks, in order."""
    # Recorded late: the agent may have seen the escalation's answer already.
    fresh = {event.turn for event in run.unseen if event.turn > 0 and event.name != EscalationAnnounced.NAME}
    notes: list[str] = []
    for turn in sorted(fresh):
        made = run.turn(turn).proposal
        if made is None or made.planner in (Planner.AGENT, Planner.REQUESTER):
            continue
        for state in run.turn(turn).calls:
            arguments = json.dumps(state.as_admitted.arguments, ensure_ascii=False, sort_keys=True)
            notes.append(f"{made.planner} called {state.call.tool}({arguments}): {state.status}.")
        if isinstance(made.decision, HandOver) and made.decision.guidance:
            notes.append(f"A person says: {made.decision.guidance}")
    if not notes:
        return []
    return [{"text": "While others were in charge: " + " ".join(notes)}]
