"""The Converse request of an attempt, made from its prompt, its model's card and the playbook's settings. Pure.

::

    card, settings ─▶ sent_as ─▶ model.requested ─▶ converse_request ─▶ arguments of ``converse``
                                     └ shaped: one message in the model's form

``sent_as`` is recorded with the attempt, so the request of any turn can be made again from the log alone.
"""

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from ballast.contracts.service_tier import ServiceTier
from ballast.contracts.wire import canonical, sha256
from ballast.folds.append_only import PersistentList
from ballast.folds.conversation import Prompt, in_full, said
from ballast.log.events import ModelRequested, ModelResponded, SentAs
from ballast.models.card import ModelCard
from ballast.playbook.agent import AgentConfig
from ballast.playbook.inference import Taken
from ballast.run import Run
from functions.agent.caching import ending_in_text, with_cache_points
from functions.agent.reply import sendable
from functions.agent.text import cited_text
from functions.agent.usage import messages_bytes

Messages = PersistentList[Any]
#: Ids of the calls that Ballast sends back; a model that takes none of them gets ids of nine characters.
_USUAL_IDS = ("t0001c1", "t9999c50")
_OUR_ID = re.compile(r"t(\d{4,})([cs])(\d{1,3})")
#: Bedrock's values of ``requestMetadata``.
_METADATA = re.compile(r"[a-zA-Z0-9\s:_@$#=/+,.-]{1,256}", re.ASCII)
#: Facts that are recorded only where the model does not take something.
_TAKES = ("system", "text_beside_results", "result_status", "result_json")
#: Facts that decide how a recorded message is sent.
_SHAPE = (*_TAKES, "after_results", "wide_ids")


def sent_as(card: ModelCard, taken: Taken, agent: AgentConfig, intent: str | None) -> SentAs:
    """Return the form in which an attempt at the model of ``card`` is sent, for a request of that intent."""
    facts: dict[str, Any] = {name: False for name in _TAKES if not getattr(card, name)}
    if not all(re.search(card.tool_use_id, one) for one in _USUAL_IDS):
        facts["wide_ids"] = True
    if agent.cache and card.cache is not None and "messages" in card.cache.places and not card.cache.after_results:
        facts["after_results"] = False
    settings = {
        "top_p": taken.top_p,
        "additional_fields": taken.additional_fields,
        "output_config": taken.output_config_for(agent.answer_schema(intent)),
        "guardrail": agent.guardrail and {"id": agent.guardrail.id, "version": str(agent.guardrail.version)},
    }
    return SentAs(
        card=card.id,
        as_of=card.as_of.isoformat(),
        own_reasoning=card.thinking is not None and card.thinking.given_back == "must",
        **facts,
        **{name: value for name, value in settings.items() if value},
    )


def converse_request(run: Run, requested: ModelRequested, *, stack: str, agent: str | None = None) -> dict[str, Any]:
    """Return the arguments of ``converse`` for an attempt that is not in ``run`` yet.

    AWS's bill and invocation logs show ``requestMetadata``: the run, its tenant and the ``stack``, and the
    ``agent`` where the playbook has several.
    """
    prompt, form = run.prompt.extended(requested, run), requested.sent_as

    def answered(before: Messages, asked: ModelRequested, responded: ModelResponded) -> Messages:
        return before.with_more(map(sendable, shaped_turn(run, asked, responded, requested)))

    messages = run.along(prompt.after, _form_key("sendable", requested), Messages(), answered)
    new = shaped(prompt.messages[len(messages) :], form)
    sent = _with_system(prompt, [*messages, *map(sendable, new)], form)
    tier = requested.service_tier or ServiceTier.DEFAULT
    inference: dict[str, Any] = {"maxTokens": requested.max_tokens}
    # boto3 accepts only floats here.
    inference |= {} if requested.temperature is None else {"temperature": float(requested.temperature)}
    inference |= {} if form.top_p is None else {"topP": float(form.top_p)}
    optional = {
        # The default tier is left out: a model without tiers refuses the field.
        "serviceTier": None if tier == ServiceTier.DEFAULT else {"type": tier},
        "toolConfig": sendable(prompt.tools),
        "additionalModelRequestFields": form.additional_fields,
        "outputConfig": form.output_config,
        "guardrailConfig": form.guardrail
        and {"guardrailIdentifier": form.guardrail["id"], "guardrailVersion": form.guardrail["version"]},
        "requestMetadata": {
            name: _metadata(value)
            for name, value in (
                ("run", run.run_id),
                ("tenant", run.opening.request.tenant),
                ("stack", stack),
                ("agent", agent),
            )
            if value is not None
        },
    }
    given = {name: value for name, value in optional.items() if value}
    return with_cache_points({"modelId": requested.model, **sent, "inferenceConfig": inference, **given}, form)


def _metadata(value: str) -> str:
    """Return ``value``, or its hex SHA-256 if Bedrock would refuse it."""
    return value if _METADATA.fullmatch(value) else f"sha256:{sha256(value)}"


def _with_system(prompt: Prompt, messages: list[Any], form: SentAs) -> dict[str, Any]:
    """Return ``system`` and ``messages``; for a model without system prompts, the first message begins with it."""
    if form.system:
        return {"system": sendable(prompt.system), "messages": messages}
    first = messages[0]
    text = "\n\n".join(block["text"] for block in prompt.system)
    return {"messages": [{**first, "content": [{"text": text}, *first["content"]]}, *messages[1:]]}


def _form_key(what: str, requested: ModelRequested) -> str:
    """Return the name of a fold of messages in the form of ``requested``."""
    form = requested.sent_as.model_dump(exclude_unset=True, exclude={"cache_points", "cache_ttl"})
    return f"{what} to {requested.model} as {canonical(form)}"


# Messages in a model's form


def earlier_bytes(run: Run, requested: ModelRequested) -> int:
    """Return the bytes of the texts in the messages before those of ``requested``; the run remembers them."""

    def answered(before: int, asked: ModelRequested, responded: ModelResponded) -> int:
        return before + messages_bytes(shaped_turn(run, asked, responded, requested))

    return run.along(requested.after, _form_key("bytes", requested), 0, answered)


def shaped_turn(
    run: Run, asked: ModelRequested, responded: ModelResponded, requested: ModelRequested
) -> list[dict[str, Any]]:
    """Return the messages of an earlier turn as the model of ``requested`` gets them."""
    made_by, form = asked.sent_as.card, requested.sent_as
    own = made_by == form.card if made_by else asked.model == requested.model
    return [*shaped(in_full(asked, run), form), _models_message(said(responded), form, own=own)]


def shaped(messages: Iterable[Mapping[str, Any]], form: SentAs) -> list[dict[str, Any]]:
    """Return recorded messages of the user in that form, still as JSON."""
    return [_users_message(message, form) for message in messages]


def shaped_alike(one: SentAs, other: SentAs) -> bool:
    """Say whether a message has the same bytes in both forms."""
    return all(getattr(one, name) == getattr(other, name) for name in _SHAPE)


def _users_message(message: Mapping[str, Any], form: SentAs) -> dict[str, Any]:
    content = list(message["content"])
    if not form.text_beside_results and any("toolResult" in block for block in content):
        texts = [block for block in content if "text" in block]
        content = [block for block in content if "text" not in block]
        last = max(at for at, block in enumerate(content) if "toolResult" in block)
        result = content[last]["toolResult"]
        content[last] = {"toolResult": {**result, "content": [*result["content"], *texts]}}
    return {**message, "content": [_result(block, form) for block in ending_in_text(content, form)]}


def _result(block: Mapping[str, Any], form: SentAs) -> dict[str, Any]:
    if "toolResult" not in block:
        return dict(block)
    result = {name: value for name, value in block["toolResult"].items() if name != "status" or form.result_status}
    content = [part if form.result_json or "json" not in part else _as_text(part["json"]) for part in result["content"]]
    return {"toolResult": {**result, "toolUseId": _sent_id(result["toolUseId"], form), "content": content}}


def _as_text(value: Any) -> dict[str, Any]:
    return {"text": json.dumps(value, ensure_ascii=False, sort_keys=True)}


def _models_message(message: Mapping[str, Any], form: SentAs, *, own: bool) -> dict[str, Any]:
    content: Sequence[Mapping[str, Any]] = message["content"]
    if form.own_reasoning is not None:
        returns = own and form.own_reasoning
        content = [block for block in content if returns or "reasoningContent" not in block]
        content = content if own else _of_another_model(content)
    made = [_result(block, form) if "toolResult" in block else _call(block, form) for block in _calls_last(content)]
    return {**message, "content": made or [{"text": "(nothing)"}]}


def _calls_last(content: Sequence[Mapping[str, Any]]) -> Sequence[Mapping[str, Any]]:
    """Return a model's message with the text that follows its calls before them: Claude refuses it behind them.

    A message with calls that the provider answered itself stays as it is: its results follow them.
    """
    first = next((at for at, block in enumerate(content) if "toolUse" in block), len(content))
    if any("toolResult" in block for block in content):
        return content
    said: list[Mapping[str, Any]] = []
    rest: list[Mapping[str, Any]] = []
    for block in content[first:]:
        (said if "text" in block or "citationsContent" in block else rest).append(block)
    return [*content[:first], *said, *rest]


def _of_another_model(content: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """Return what another model wrote, without what only its own provider reads, such as server tools."""
    answered = {block["toolResult"].get("toolUseId") for block in content if "toolResult" in block}
    kept: list[Mapping[str, Any]] = []
    for block in content:
        use, cited = block.get("toolUse"), cited_text(block)
        if "text" in block or (
            use is not None and use.get("type") != "server_tool_use" and use["toolUseId"] not in answered
        ):
            kept.append(block)
        elif cited and cited.strip():
            kept.append({"text": cited})
    return kept


def _call(block: Mapping[str, Any], form: SentAs) -> dict[str, Any]:
    use = block.get("toolUse")
    if use is None:
        return dict(block)
    return {"toolUse": {**use, "toolUseId": _sent_id(use["toolUseId"], form)}}


def _sent_id(own: str, form: SentAs) -> str:
    found = _OUR_ID.fullmatch(own) if form.wide_ids else None
    return own if found is None else f"t{found[1]}{found[2]}{int(found[3]):03d}"
