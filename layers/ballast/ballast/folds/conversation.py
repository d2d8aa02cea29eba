"""The prompt of any turn, rebuilt from the log, and what the model has not seen yet.

Each ``model.requested`` records only what is new in its prompt, and ``after``: the completion
that it continues. The exact prompt is the chain of those deltas and completions::

    0001.model.requested ─▶ 0001.model.responded ◀─after─ 0002.model.requested ─▶ …

A request that was never answered, or whose answer came after another planner had taken over,
is not on the chain of later requests; it still counts for the money.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from ballast.contracts import Event
from ballast.contracts.event import model_seq
from ballast.contracts.wire import canonical, sha256


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
    content = {
        "system": prompt.system,
        "tools": prompt.tools,
        "messages": list(prompt.messages),
        "inference": inference,
        "events": [digests[seq] for seq in prompt.covers],
    }
    return sha256(canonical(content))


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
