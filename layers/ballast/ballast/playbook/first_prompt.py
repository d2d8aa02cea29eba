"""The first prompt of a run. Admit computes its bound, the agent sends it. Pure.

::

    request, playbook, card ── first_prompt ─▶ system, tools in the model's dialect, one message
                                 └ input_bound ─▶ attempt_within ─▶ Reservation │ the limit that forbids it
"""

from __future__ import annotations

import json
import re
import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from operator import add, gt, itemgetter
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple

from pydantic import Field

from ballast.attachments.prompt import (
    Bound,
    estimated_tokens,
    estimated_with_files,
    likely_tokens_of,
    listed,
    with_files,
)
from ballast.contracts import ExitReason, Limits, RunRequest
from ballast.contracts.attachment import Kept
from ballast.contracts.wire import Wire, utf8_size
from ballast.errors import ModelRefused
from ballast.folds.append_only import PersistentList
from ballast.folds.conversation import Prompt
from ballast.money import LEAST_USEFUL_TOKENS, Price, Reservation, affordable, worst_cost

if TYPE_CHECKING:
    from ballast.models.card import ModelCard
    from ballast.playbook.inference import Taken
    from ballast.playbook.load import Playbook


#: Tokens that a provider may add to a prompt, for example for the use of tools.
PROVIDER_OVERHEAD_TOKENS = 1_024
#: Text has about 4 bytes a token, JSON 3. Nothing that a prompt holds much of has fewer than this.
LEAST_BYTES_A_TOKEN = 2
#: Bytes of a token in a text of words.
USUAL_BYTES_OF_WORDS = 4
#: Bedrock's limits of strict tools in a request, and of the fields in all of them that may be left out, and that have
#: several forms (a value or null).
MOST_STRICT_TOOLS, MOST_OPTIONAL_FIELDS, MOST_FORMS = 20, 24, 16
_TOO_MUCH = (
    f"a request has at most {MOST_STRICT_TOOLS} strict tools, and in all of them {MOST_OPTIONAL_FIELDS} fields that "
    f"may be left out and {MOST_FORMS} of several forms"
)
#: The name of Ballast's own tool.
ASK_REQUESTER = "ask_requester"


class Question(Wire):
    """The arguments of ``ask_requester``."""

    question: Annotated[str, Field(min_length=1, max_length=2_000)]


_OURS = ("title", "description")
ASK_REQUESTER_SPEC: dict[str, Any] = {
    "toolSpec": {
        "name": ASK_REQUESTER,
        "description": (
            "Ask the person who sent the request one question, and wait for the reply. Only for what nobody "
            "else can know; it may take long. It must be the only call of its turn."
        ),
        # Without pydantic's titles and this module's docstrings, which are not for the model.
        "inputSchema": {"json": {k: v for k, v in Question.model_json_schema().items() if k not in _OURS}},
    }
}


def first_prompt(playbook: Playbook, request: RunRequest, card: ModelCard, files: Sequence[Kept] = ()) -> Prompt:
    """Return a run's first prompt with its ``files``, as the model of ``card`` gets it. Raises ``ModelRefused``."""
    agent = playbook.agent
    specs = [*(made.spec for made in playbook.offered(request.intent)), *playbook.own_specs(request.intent)]
    return Prompt(
        system=[{"text": text} for text in agent.system_texts(request.intent)],
        tools=tool_config(specs, card, strict=agent.inference.strict_tools),
        messages=PersistentList(({"role": "user", "content": request_blocks(request, files)},)),
    )


def tool_config(specs: Sequence[Mapping[str, Any]], card: ModelCard, *, strict: bool = False) -> dict[str, Any] | None:
    """Return Converse's ``toolConfig`` in the model's dialect, by name; None without tools, which Converse demands.

    ``strict``: the provider holds the model to each schema that it can, if the card takes that. The same tools give the
    same bytes. Raises ``ModelRefused`` for a name or a schema that the model cannot be told.
    """
    made = [spec for spec, _ in _declared(specs, card, strict=strict)]
    return {"tools": [{"toolSpec": spec} for spec in made]} if made else None


def why_not_strict(specs: Sequence[Mapping[str, Any]], card: ModelCard) -> str | None:
    """Return why the provider of ``card`` is not held to one of these tools; None if it is to all."""
    return next((f"{spec['name']}: {why}" for spec, why in _declared(specs, card, strict=True) if why), None)


def _declared(
    specs: Sequence[Mapping[str, Any]], card: ModelCard, *, strict: bool
) -> Iterator[tuple[dict[str, Any], str]]:
    """Yield each tool's declaration, by name, and why it is not strict; "" if it is, or need not be."""
    # A function that asks no model reads no schema.
    from ballast.models.tool_schema import NotInlinable, NotStrict, TooLarge, in_dialect, strict_form, strict_size

    held = optional = forms = 0
    for one in sorted((one["toolSpec"] for one in specs), key=itemgetter("name")):
        if not re.search(card.tool_name, one["name"]):
            raise ModelRefused(
                f"The model {card.id} ({card.name}) takes no tool named {one['name']}: a name must match "
                f"{card.tool_name}. Rename the tool, or name another model."
            )
        try:
            schema = in_dialect(one["inputSchema"]["json"], card.tool_schema)
        except NotInlinable as problem:
            raise ModelRefused(
                f"The model {card.id} ({card.name}) follows no references in a tool's schema, and the arguments of "
                f"{one['name']} contain themselves ({problem}). Bound their depth with a model for each level, or "
                "name another model."
            ) from None
        except TooLarge as problem:
            raise ModelRefused(
                f"The arguments of {one['name']} {problem}, as the model {card.id} ({card.name}) reads them. Define "
                "less, refer to a definition fewer times, or split the tool."
            ) from None
        usual = {**one, "inputSchema": {"json": schema}}
        if not strict or not card.strict_tools:
            yield usual, ""
            continue
        try:
            closed = strict_form(schema, card.tool_schema)
        except NotStrict as problem:
            yield usual, f"its arguments {problem}"
            continue
        more = tuple(map(add, (held, optional, forms), (1, *strict_size(closed))))
        if any(map(gt, more, (MOST_STRICT_TOOLS, MOST_OPTIONAL_FIELDS, MOST_FORMS))):
            yield usual, _TOO_MUCH
            continue
        held, optional, forms = more
        yield {**one, "inputSchema": {"json": closed}, "strict": True}, ""


def request_blocks(request: RunRequest, files: Sequence[Kept] = ()) -> list[dict[str, Any]]:
    """Return the request as Converse content blocks; each of its ``files`` by its name in the bucket."""
    blocks: list[dict[str, Any]] = [{"text": request.text}]
    if request.context:
        facts = json.dumps(request.context, ensure_ascii=False, sort_keys=True)
        blocks.append({"text": f"Facts that the caller vouches for, as JSON: {facts}"})
    return blocks + listed(files, "the request")


def input_bound(system: Any, tools: Any, messages: Any) -> int:
    """Return an upper bound of the tokens of new content, without the provider's overhead.

    A token of any byte-pair vocabulary has at least one byte of UTF-8, of the text or of its NFKC form if the tokenizer
    normalizes it. JSON's escapes would count non-Latin scripts two to four times.
    """
    size = utf8_size([system, tools, messages])
    text = json.dumps([system, tools, messages], ensure_ascii=False, separators=(",", ":"))
    if text.isascii() or unicodedata.is_normalized("NFKC", text):
        return size
    return max(size, len(unicodedata.normalize("NFKC", text).encode("utf-8", "surrogatepass")))


def estimate_of(size: int, files: Sequence[Kept], card: ModelCard, *, counted: int = 0) -> Bound:
    """Return the estimate of a prompt: tokens that were ``counted`` before, ``size`` bytes of new texts, and files.

    Tokens have 3 bytes for the limits, which it should not pass unseen, and 4 for the room of the answer. It bounds
    nothing: money is reserved by ``input_bound``.
    """
    fewer = counted + estimated_tokens(size, bytes_a_token=USUAL_BYTES_OF_WORDS)
    return estimated_with_files(counted + estimated_tokens(size), fewer, files, card)


def cache_ttl(
    playbook: Playbook, card: ModelCard, limits: Limits, *, tools: Any, bound: int, size: int | None
) -> str | None:
    """Return the lifetime of the cache points of an attempt; None if it sends none.

    ``bound``: upper bound of the prompt's tokens; ``size``: bytes of its texts, None if it holds files as well. A
    prompt that is surely shorter than the model's minimum is never cached. The first request of a run pays for the
    cache, so a second one must be likely: a run with one turn has none, and one without tools answers at once.
    """
    caching = playbook.agent.cache
    if not caching or card.cache is None or limits.turns == 1 or tools is None:
        return None
    at_most = bound if size is None else min(bound, size // LEAST_BYTES_A_TOKEN)
    if at_most < card.cache.least_tokens:
        return None
    return caching.taken_by(card)


def reserved_price(price: Price, card: ModelCard, ttl: str | None) -> Price:
    """Return the price by which an attempt with cache points of that lifetime is reserved.

    A model that takes no cache points may cache by itself, so any class counts.
    """
    return price if card.cache is None else price.cached_for(ttl)


def window_left(card: ModelCard, estimate: Bound) -> int:
    """Return the tokens of the window that the prompt leaves; all of it where the provider cuts a longer reply.

    A file that could fill the window leaves room for an answer: the provider refuses one that really does.
    """
    return card.context_window - (0 if card.max_tokens_over_window else estimate.known)


def why_not_in_window(card: ModelCard, estimate: Bound, limits: Limits, taken: Taken) -> str | None:
    """Return why the prompt and a whole answer hardly fit the window of ``card``; None if they do."""
    answer = min(card.max_output, limits.tokens_per_turn + taken.thinking_tokens)
    if estimate.known + answer <= card.context_window:
        return None
    return (
        f"has a window of {card.context_window} tokens, and the prompt may be {estimate.known} of them, with an answer "
        f"of up to {answer}"
    )


def room_for(card: ModelCard, taken: Taken, *, bound: int) -> bool:
    """Say whether the thinking that is asked for, and an answer, surely fit the window beside a prompt of ``bound``."""
    return bound + taken.budget + LEAST_USEFUL_TOKENS <= card.context_window


def least_tokens(playbook: Playbook, model: str) -> int:
    """Return about how many tokens the longest first prompt has that ``model`` gets, with a useful answer.

    That is what the agent says to each request of an intent: its instructions, the answer's schema, the tools.
    """
    agent, least = playbook.agent, []
    every: list[str | None] = [*agent.intents] or [None]
    own = [intent for intent in every if model in agent.models_for(intent)]
    for intent in every if model in (agent.second_model, agent.cheaper_model) else own or every:
        specs = [*(made.spec for made in playbook.offered(intent)), *playbook.own_specs(intent)]
        said = utf8_size([agent.system_texts(intent), specs]) // USUAL_BYTES_OF_WORDS
        of_intent = agent.intents[intent].limits if intent else None  # not `limits_for`: it may be wrong, which is told
        a_turn = (of_intent and of_intent.tokens_per_turn) or agent.limits.tokens_per_turn
        least.append(said + min(LEAST_USEFUL_TOKENS, a_turn))
    return max(least)


def attempt_within(
    limits: Limits,
    price: Price,
    card: ModelCard,
    taken: Taken,
    *,
    bound: Bound,
    estimate: Bound,
    tokens_so_far: int,
    left_microusd: int,
) -> Reservation | ExitReason:
    """Return the reservation of the next model attempt, or the limit that forbids it.

    ``bound`` of the prompt's tokens reserves what the run can use up, money and ``tokens_per_run``. Whether the prompt
    fits is told by the ``estimate``. ``left_microusd``: the money that the run may still spend. What the model thinks
    counts as output, so it has room besides the answer's ``tokens_per_turn``.
    """
    if estimate.most > limits.input_tokens_per_turn:
        return ExitReason.TOKEN_LIMIT
    least = taken.budget + min(LEAST_USEFUL_TOKENS, limits.tokens_per_turn)
    fits = min(card.max_output, max(least, window_left(card, estimate)))
    wanted = min(limits.tokens_per_turn + taken.thinking_tokens, fits)
    max_tokens = min(wanted, limits.tokens_per_run - tokens_so_far - bound.most)
    if max_tokens < min(least, wanted):
        return ExitReason.RUN_TOKEN_LIMIT
    found = affordable(price, input_bound=bound.most, max_tokens=max_tokens, left_microusd=left_microusd, least=least)
    return found or ExitReason.COST_LIMIT


class FirstAttempt(NamedTuple):
    """An agent's first attempt: its reservation, or the limit that forbids it.

    bound, estimate  of its prompt
    price            by which it is reserved
    """

    found: Reservation | ExitReason
    bound: Bound
    estimate: Bound
    price: Price


def first_attempt(
    playbook: Playbook,
    request: RunRequest,
    limits: Limits,
    price: Price,
    card: ModelCard,
    files: Sequence[Kept] = (),
    *,
    record: Sequence[Any] = (),
    tokens_so_far: int = 0,
    charged_microusd: int = 0,
) -> FirstAttempt:
    """Return the first attempt of the playbook's agent at a run with that request and these ``files``.

    record  what it is told besides: what others did before
    tokens_so_far, charged_microusd  what others have used of ``limits``

    ``price`` and ``card`` are the model's. Raises ``ModelRefused``.
    """
    prompt, taken = first_prompt(playbook, request, card, files), playbook.agent.inference.taken_by(card)
    config = taken.output_config_for(playbook.agent.answer_schema(request.intent))
    size = input_bound(prompt.system, prompt.tools, [*prompt.messages, *record, *filter(None, [config])])
    bound = with_files(size + PROVIDER_OVERHEAD_TOKENS, files, card)
    estimate = estimate_of(size, files, card, counted=PROVIDER_OVERHEAD_TOKENS)
    ttl = cache_ttl(playbook, card, limits, tools=prompt.tools, bound=bound.most, size=None if files else size)
    price = reserved_price(price, card, ttl)
    found = attempt_within(
        limits,
        price,
        card,
        taken,
        bound=bound,
        estimate=estimate,
        tokens_so_far=tokens_so_far,
        left_microusd=limits.cost_microusd - charged_microusd,
    )
    return FirstAttempt(found, bound, estimate, price)


def why_no_attempt(
    playbook: Playbook, request: RunRequest, limits: Limits, price: Price, card: ModelCard, files: Sequence[Kept] = ()
) -> str | None:
    """Return what of the request forbids the first attempt, and the remedy; None if nothing does.

    That is a limit of its own, or its ``files``. ``limits`` are the run's, with the request's applied. A limit of the
    playbook that forbids it even without the files is not the request's fault. ``price`` and ``card`` are the model's.
    """
    reason, bound, estimate, price = first_attempt(playbook, request, limits, price, card, files)
    if isinstance(reason, Reservation):
        return None
    taken = playbook.agent.inference.taken_by(card)
    useful = taken.budget + min(LEAST_USEFUL_TOKENS, limits.tokens_per_turn)
    needed = {
        "input_tokens_per_turn": estimate.most,
        "tokens_per_run": bound.most + useful,
        "cost_microusd": worst_cost(price, input_bound=bound.most, max_tokens=useful),
    }
    if files:
        return _too_large(files, card, limits, needed)
    name = _LIMITS[reason]
    if getattr(request.limits, name, None) is None:
        return None
    return (
        f"request: limits.{name} is {getattr(limits, name)}, and one attempt at the model may take {needed[name]}. "
        "Nothing was started, since all that the run could do is to ask a person. Send "
        f"{needed[name]} or more, or leave it out."
    )


#: The limit behind each reason that forbids an attempt.
_LIMITS = {
    ExitReason.TOKEN_LIMIT: "input_tokens_per_turn",
    ExitReason.RUN_TOKEN_LIMIT: "tokens_per_run",
    ExitReason.COST_LIMIT: "cost_microusd",
}


def _too_large(files: Sequence[Kept], card: ModelCard, limits: Limits, needed: Mapping[str, int]) -> str:
    """Return why no attempt can be made with these files, each limit that is too low, and the remedy."""
    low = [
        f"{least} of limits.{name}, which is {getattr(limits, name)}"
        for name, least in needed.items()
        if getattr(limits, name) < least
    ]
    unbounded = sorted({one.format for one in files if not one.bounded})
    if unbounded:
        what = f"nothing in a file of {', '.join(unbounded)} bounds its text, so it may fill the context window of"
        what += f" {card.id} ({card.context_window} tokens)"
        remedy = "Send its text as txt, md or csv, or its pages as images; or let agent.yaml have such limits"
    else:
        what = f"they may be {sum(likely_tokens_of(one, card) for one in files)} tokens to {card.id}"
        remedy = "Send fewer or smaller files, or let agent.yaml have such limits"
    return f"attachments: {what}, and one attempt at it may take {' and '.join(low)}. {remedy}."
