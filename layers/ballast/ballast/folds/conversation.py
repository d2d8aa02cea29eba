"""The prompt of any turn, rebuilt from the log, and what the model has not seen yet.

Each ``model.requested`` records only what is new in its prompt, and ``after``: the completion
that it continues. The exact prompt is the chain of those deltas and completions::

    0001.model.requested ─▶ 0001.model.responded ◀─after─ 0002.model.requested ─▶ …

A request that was never answered, or whose answer came after another planner had taken over,
is not on the chain of later requests; it still counts for the money.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ballast.contracts.wire import canonical, sha256
from ballast.log.event import GARBLED, Event
from ballast.log.keys import model_seq

#: What of a request, beside the prompt, its digest covers: ``gen_ai.request.…``.
_INFERENCE = ("model", "max_tokens", "temperature")


@dataclass(frozen=True)
class Prompt:
    """What a model saw: Converse's ``system``, ``toolConfig`` and ``messages``, and which events it covers."""

    system: Any = None
    tools: Any = None
    messages: tuple[dict[str, Any], ...] = ()
    covers: tuple[str, ...] = ()
    after: str | None = None


def answered_prompt(events: Sequence[Event], *, as_shown: bool = False) -> Prompt:
    """Return the conversation up to and with the newest completion; empty before the first.

    ``as_shown``: with sensitive values masked, as everybody may see it.
    """
    newest = next((event for event in reversed(events) if event.name == "model.responded"), None)
    return _through(events, newest.seq if newest else None, as_shown=as_shown)


def rebuild(events: Sequence[Event], requested: Event, *, as_shown: bool = False) -> Prompt:
    """Return the exact prompt that ``requested`` (a ``model.requested``) was sent with; ``as_shown`` as above."""
    body = requested.shown if as_shown else requested.body
    return extended(_through(events, requested.body["after"], as_shown=as_shown), body)


def extended(before: Prompt, requested: dict[str, Any]) -> Prompt:
    """Return ``before`` with the delta that the body of a ``model.requested`` records."""
    return Prompt(
        system=requested.get("system", before.system),
        tools=requested.get("tools", before.tools),
        messages=(*before.messages, *requested["messages"]),
        covers=(*before.covers, *requested["covers"]),
        after=before.after,
    )


def unseen(events: Sequence[Event], prompt: Prompt) -> tuple[Event, ...]:
    """Return the events that no request on ``prompt``'s chain covered."""
    covered = set(prompt.covers)
    return tuple(event for event in events if event.seq not in covered)


def prompt_digest(events: Sequence[Event], prompt: Prompt, inference: dict[str, Any]) -> str:
    """Return the hex SHA-256 of the exact prompt, its inference settings and every event that it covers.

    ``inference`` is {"model": …, "max_tokens": …, "temperature": …}. Changing, removing or
    reordering an earlier event changes the digest: tamper evidence. Give it the prompt as it is shown: then
    it is the same for who may see sensitive values and who may not, and no help in guessing one.
    Raises ``KeyError`` where a covered event is gone.
    """
    digests = {event.seq: event.digest for event in events}
    messages = [canonical(message) for message in prompt.messages]
    head = canonical(prompt.system), canonical(prompt.tools)
    return _digest([digests[seq] for seq in prompt.covers], inference, messages, *head)


def _digest(digests: Sequence[str], inference: Any, messages: Sequence[str], system: str, tools: str) -> str:
    """Return the SHA-256 of the canonical JSON of these, of which all but the first two are canonical JSON already."""
    return sha256(
        f'{{"events":{canonical(list(digests))},"inference":{canonical(inference)},'
        f'"messages":[{",".join(messages)}],"system":{system},"tools":{tools}}}'
    )


@dataclass(frozen=True)
class _Written:
    """A prompt whose parts are canonical JSON already, and the digests of what it covers."""

    system: str = "null"
    tools: str = "null"
    messages: tuple[str, ...] = ()
    digests: tuple[str, ...] = ()


def changed_prompts(
    events: Sequence[Event], digests: Mapping[str, str], most_chars: int | None = None
) -> tuple[dict[str, str], int]:
    """Return what is wrong with the prompt of each ``model.requested`` of ``events``, by its key, and how many fit.

    Each is rebuilt as everybody may see it and compared with its ``prompt_sha256``, in one pass. ``digests`` are the
    events' own, by key. After prompts of ``most_chars`` characters together only the newest one is compared: each
    holds all earlier ones, so that the work grows with the square of a run's length.
    """
    newest = next((event.seq for event in reversed(events) if event.name == "model.requested"), None)
    read = fit = 0
    by_seq = {event.seq: event for event in events}
    # By the completion that they end with.
    written: dict[str | None, _Written] = {None: _Written()}
    wrong: dict[str, str] = {}
    for event in events:
        try:
            if event.name == "model.requested":
                prompt = _extended(written[event.shown["after"]], event.shown, digests)
                read += sum(map(len, prompt.messages))
                if most_chars is not None and read > most_chars and event.seq != newest:
                    continue
                inference = {name: event.body[f"gen_ai.request.{name}"] for name in _INFERENCE}
                made = _digest(prompt.digests, inference, prompt.messages, prompt.system, prompt.tools)
                if made != event.body["prompt_sha256"]:
                    wrong[event.seq] = (
                        f"its prompt is not the one that was sent, or one of {_some(event.body['covers'])}"
                    )
                else:
                    fit += 1
            elif event.name == "model.responded":
                requested = by_seq[model_seq(event.turn, event.body["attempt"], "requested")]
                before = _extended(written[requested.shown["after"]], requested.shown, digests)
                said = (*before.messages, canonical(event.shown["message"]))
                written[event.seq] = _Written(before.system, before.tools, said, before.digests)
        except GARBLED as missing:
            wrong[event.seq] = f"its prompt cannot be rebuilt: {missing}"
    return wrong, fit


def _some(covers: Sequence[str]) -> str:
    return ", ".join(covers[:8]) + (" and others" if len(covers) > 8 else "")


def _extended(before: _Written, requested: dict[str, Any], digests: Mapping[str, str]) -> _Written:
    return _Written(
        canonical(requested["system"]) if "system" in requested else before.system,
        canonical(requested["tools"]) if "tools" in requested else before.tools,
        (*before.messages, *map(canonical, requested["messages"])),
        (*before.digests, *(digests[seq] for seq in requested["covers"])),
    )


def _through(events: Sequence[Event], responded_seq: str | None, *, as_shown: bool) -> Prompt:
    by_seq = {event.seq: event for event in events}
    chain: list[tuple[Event, Event]] = []
    seq = responded_seq
    while seq is not None:
        responded = by_seq[seq]
        requested = by_seq[model_seq(responded.turn, responded.body["attempt"], "requested")]
        chain.append((requested, responded))
        seq = requested.body["after"]
    prompt = Prompt()
    for requested, responded in reversed(chain):
        said = responded.shown if as_shown else responded.body
        prompt = extended(prompt, requested.shown if as_shown else requested.body)
        prompt = Prompt(
            system=prompt.system,
            tools=prompt.tools,
            messages=(*prompt.messages, said["message"]),
            covers=prompt.covers,
            after=responded.seq,
        )
    return prompt
