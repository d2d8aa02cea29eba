"""The Converse request of an attempt, made from its prompt, its model's card and the playbook's settings. Pure.

::

    card, settings ─▶ sent_as ─▶ model.requested ─▶ converse_request ─▶ arguments of ``converse``
                                     └ shaped: one message in the model's form

``sent_as`` is recorded with the attempt, so the request of any turn can be made again from the log alone.
"""

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from ballast.contracts.service_tier import ServiceTier
from ballast.contracts.wire import canonical, sha256
from ballast.folds.append_only import PersistentList
from ballast.folds.conversation import Prompt, asked_with, in_full, said
from ballast.log.events import ModelRequested, ModelResponded, SentAs
from ballast.models.card import ModelCard
from ballast.playbook.agent import AgentConfig
from ballast.playbook.inference import Taken
from ballast.run import Run
from ballast.values import dataclass
from functions.agent.caching import ending_in_text, with_cache_points
from functions.agent.reply import UNKNOWN_BLOCK, has_text, sendable
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
    own_reasoning = card.thinking is not None and card.thinking.given_back == "must"
    if own_reasoning and card.thinking is not None and card.thinking.bound:
        facts["bound_reasoning"] = True
    settings = {
        "top_p": taken.top_p,
        "additional_fields": taken.additional_fields,
        "output_config": taken.output_config_for(agent.answer_schema(intent)),
        "guardrail": agent.guardrail and {"id": agent.guardrail.id, "version": str(agent.guardrail.version)},
    }
    return SentAs(
        card=card.id,
        as_of=card.as_of.isoformat(),
        own_reasoning=own_reasoning,
        **facts,
        **{name: value for name, value in settings.items() if value},
    )


def converse_request(run: Run, requested: ModelRequested, *, stack: str, agent: str | None = None) -> dict[str, Any]:
    """Return the arguments of ``converse`` for an attempt that is not in ``run`` yet.

    AWS's bill and invocation logs show ``requestMetadata``: the run, its tenant and the ``stack``, and the
    ``agent`` where the playbook has several.
    """
    prompt, form = run.prompt.extended(requested, run), requested.sent_as
    back = reasoning_sent_back(run, requested)

    def answered(before: Messages, asked: ModelRequested, responded: ModelResponded) -> Messages:
        return before.with_more(map(sendable, shaped_turn(run, asked, responded, requested, back)))

    messages = run.along(prompt.after, _form_key("sendable", requested, back), Messages(), answered)
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


def _form_key(what: str, requested: ModelRequested, back: "SentBack | None") -> str:
    """Return the name of a fold of messages in the form of ``requested``."""
    form = requested.sent_as.model_dump(exclude_unset=True, exclude={"cache_points", "cache_ttl", "prefix"})
    under = "" if back is None else f" under {back.head}"
    return f"{what} to {requested.model} as {canonical(form)}{under}"


# Reasoning that is bound to what stood before it


@dataclass(frozen=True)
class SentBack:
    """The completions whose bound reasoning goes back.

    head         digest of the instructions and the tools
    prefix       digest of them and of the messages so far, as they are sent, reasoning left out
    completions  keys of the completions
    """

    head: str
    prefix: str
    completions: frozenset[str] = frozenset()

    def before(self, messages: Iterable[Mapping[str, Any]]) -> "SentBack":
        """Return it with ``messages`` sent too."""
        prefix = self.prefix
        for message in messages:
            prefix = sha256(prefix + canonical(message))
        return replace(self, prefix=prefix)


def reasoning_sent_back(run: Run, requested: ModelRequested) -> SentBack | None:
    """Return the earlier completions whose reasoning goes back with ``requested``; None where it is not bound.

    A provider takes bound reasoning only behind exactly what stood before it when it was made: instructions, tools,
    messages. Each request records the digest of that, with sensitive values masked. A playbook or a version of Ballast
    that was deployed in mid-run changes it. Then that reasoning and all before it stay behind, for good: the provider
    also refuses reasoning behind a gap, and reasoning that was made while an earlier one was missing.
    """
    if not requested.sent_as.bound_reasoning:
        return None
    prompt, shown = run.prompt.extended(requested, run), run.as_shown
    head = sha256(canonical([prompt.system, prompt.tools]))
    start = SentBack(head, head)

    def answered(before: SentBack, asked: ModelRequested, responded: ModelResponded) -> SentBack:
        sent, own = before.before(shaped(in_full(asked, shown), requested.sent_as)), _is_own(asked, requested)
        if own:
            fits = asked.sent_as.prefix == sent.prefix
            sent = replace(sent, completions=sent.completions | {responded.seq} if fits else frozenset())
        return sent.before([_models_message(said(responded), requested.sent_as, own=own, returns=False)])

    return shown.along(requested.after, _form_key("reasoning", requested, start), start, answered)


def with_prefix(run: Run, requested: ModelRequested, shown: ModelRequested) -> ModelRequested:
    """Return ``requested`` with the digest that its reply's reasoning is bound to, if it is.

    ``shown`` is the same request with its sensitive values masked.
    """
    back = reasoning_sent_back(run, requested)
    if back is None:
        return requested
    sent = back.before(shaped(in_full(shown, run.as_shown), requested.sent_as))
    return requested.model_copy(update={"sent_as": requested.sent_as.model_copy(update={"prefix": sent.prefix})})


def _is_own(asked: ModelRequested, requested: ModelRequested) -> bool:
    made_by, form = asked.sent_as.card, requested.sent_as
    return made_by == form.card if made_by else asked.model == requested.model


# Messages in a model's form


def earlier_bytes(run: Run, requested: ModelRequested) -> int:
    """Return the bytes of the texts in the messages before those of ``requested``; the run remembers them."""
    back = reasoning_sent_back(run, requested)

    def answered(before: int, asked: ModelRequested, responded: ModelResponded) -> int:
        return before + messages_bytes(shaped_turn(run, asked, responded, requested, back))

    return run.along(requested.after, _form_key("bytes", requested, back), 0, answered)


def shaped_turn(
    run: Run, asked: ModelRequested, responded: ModelResponded, requested: ModelRequested, back: SentBack | None
) -> list[dict[str, Any]]:
    """Return the messages of an earlier turn as the model of ``requested`` gets them."""
    return [
        *shaped(in_full(asked, run), requested.sent_as),
        _model_message_of(asked, responded, requested, back),
    ]


def sent_reply(run: Run, responded: ModelResponded, requested: ModelRequested) -> dict[str, Any]:
    """Return the message of an earlier completion as the model of ``requested`` gets it."""
    back = reasoning_sent_back(run, requested)
    return _model_message_of(asked_with(run, responded), responded, requested, back)


def _model_message_of(
    asked: ModelRequested, responded: ModelResponded, requested: ModelRequested, back: SentBack | None
) -> dict[str, Any]:
    own = _is_own(asked, requested)
    returns = own and bool(requested.sent_as.own_reasoning) and (back is None or responded.seq in back.completions)
    return _models_message(said(responded), requested.sent_as, own=own, returns=returns)


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


def _models_message(message: Mapping[str, Any], form: SentAs, *, own: bool, returns: bool) -> dict[str, Any]:
    content: Sequence[Mapping[str, Any]] = message["content"]
    if form.own_reasoning is not None:
        content = _legal(content, returns=returns, bound=form.bound_reasoning)
        content = content if own else _of_another_model(content)
    made = [_result(block, form) if "toolResult" in block else _call(block, form) for block in _calls_last(content)]
    if form.own_reasoning is not None and all("reasoningContent" in block for block in made):
        made.append({"text": "(nothing)"})  # some models refuse a message of reasoning alone
    return {**message, "content": made or [{"text": "(nothing)"}]}


def _legal(content: Sequence[Mapping[str, Any]], *, returns: bool, bound: bool) -> list[Mapping[str, Any]]:
    """Return the blocks of a model's message that may stand in one when it is sent back; the rest is only recorded.

    returns  whether its reasoning goes back
    bound    whether reasoning goes back only behind the very blocks behind which it was made
    """
    called = {block["toolUse"]["toolUseId"] for block in content if "toolUse" in block}
    answered = {block["toolResult"].get("toolUseId") for block in content if "toolResult" in block}
    kept: list[Mapping[str, Any]] = []
    intact = True
    for block in content:
        if "reasoningContent" in block:
            legal = block if returns and _is_signed(block) and (intact or not bound) else None
        elif "toolUse" in block:
            use = block["toolUse"]
            legal = block if use.get("type") != "server_tool_use" or use["toolUseId"] in answered else None
        elif "toolResult" in block:
            legal = _known_parts(block) if block["toolResult"].get("toolUseId") in called else None
        else:
            legal = _legal_words(block)
        # Each call has an id of ours, and not the one that the provider gave it.
        intact = intact and legal is block and "toolUse" not in block and "toolResult" not in block
        kept += [legal] if legal is not None else []
    return kept


def _legal_words(block: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """Return a block of words in a form that every provider takes back; None if it has none.

    A guardrail's mark asks for a check of what it marks, so only the requester's words have one.
    """
    marked = block.get("guardContent")
    inside = marked.get("text") if isinstance(marked, Mapping) else None
    cited = cited_text(block)
    if cited is not None and cited.strip():
        return {"text": cited} if _has_unknown(block) else block
    if "text" in block:
        return block if has_text(block) else None
    return {"text": inside["text"]} if isinstance(inside, Mapping) and has_text(inside) else None


def _is_signed(block: Mapping[str, Any]) -> bool:
    reasoning = block["reasoningContent"]
    if not isinstance(reasoning, Mapping) or len(reasoning) != 1:
        return False
    text = reasoning.get("reasoningText")
    if isinstance(text, Mapping):
        return isinstance(text.get("text"), str) and isinstance(text.get("signature"), str) and bool(text["signature"])
    return bool(reasoning.get("redactedContent"))


def _known_parts(block: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return a provider's own result without the parts that botocore does not know, which it refuses to send."""
    result = block["toolResult"]
    parts = result.get("content")
    known = [one for one in parts if not _has_unknown(one)] if isinstance(parts, list) else []
    return block if known == parts else {"toolResult": {**result, "content": known or [{"text": "(nothing)"}]}}


def _has_unknown(value: Any) -> bool:
    if isinstance(value, Mapping):
        return UNKNOWN_BLOCK in value or any(name != "json" and _has_unknown(one) for name, one in value.items())
    return isinstance(value, list) and any(map(_has_unknown, value))


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
