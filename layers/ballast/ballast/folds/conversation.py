"""Rebuild the prompt of any turn from the log, and compute its digest.

Each ``model.requested`` records only what is new in its prompt, and ``after``: the completion
that it continues. The exact prompt is the chain of those deltas and completions::

    0001.model.requested ─▶ 0001.model.responded ◀─after─ 0002.model.requested ─▶ …

A request without an answer, or with an answer after another planner took over, is not on the
chain of later requests. Its cost still counts.

The log holds the result of a call once, in ``call.settled``. The message that tells the model of it names that event::

    {"toolResult": {"toolUseId": "0001.1", "status": "success", "content": [{"result_of": "0001.call.1.settled"}]}}
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import field, replace
from typing import TYPE_CHECKING, Any

from ballast.contracts.wire import canonical
from ballast.errors import LogCorrupt
from ballast.folds.append_only import PersistentList
from ballast.log.event import GARBLED
from ballast.log.events import CallSettled, ModelRequested, ModelResponded
from ballast.values import dataclass

if TYPE_CHECKING:
    from ballast.run import Run


@dataclass(frozen=True)
class Prompt:
    """A prompt: Converse's ``system``, ``toolConfig`` and ``messages``, and the events that it covers."""

    system: Any = None
    tools: Any = None
    messages: PersistentList[dict[str, Any]] = field(default_factory=PersistentList)
    covers: PersistentList[str] = field(default_factory=PersistentList)
    after: str | None = None

    def extended(self, requested: ModelRequested, run: Run) -> Prompt:
        """Return the prompt with the delta that ``requested`` records; ``run`` holds the results that it names.

        Raises ``LookupError`` if one is missing.
        """
        given = requested.model_fields_set
        return Prompt(
            system=requested.system if "system" in given else self.system,
            tools=requested.tools if "tools" in given else self.tools,
            messages=self.messages.with_more(in_full(requested, run)),
            covers=self.covers.with_more(requested.covers),
            after=self.after,
        )


def answered_prompt(run: Run) -> Prompt:
    """Return the conversation up to and with the newest completion; empty before the first."""
    responded = run.newest(ModelResponded)
    return _through(run, None if responded is None else responded.seq)


def rebuild(run: Run, requested: ModelRequested) -> Prompt:
    """Return the exact prompt of ``requested``. Raises ``LookupError`` if a part is missing."""
    return _through(run, requested.after).extended(requested, run)


def _through(run: Run, after: str | None) -> Prompt:
    def answered(before: Prompt, requested: ModelRequested, responded: ModelResponded) -> Prompt:
        prompt = before.extended(requested, run)
        return replace(prompt, messages=prompt.messages.with_more((said(responded),)), after=responded.seq)

    return run.along(after, "prompt", Prompt(), answered)


# Results that are named


def result_block(result: Any) -> dict[str, Any]:
    """Return the content block that holds a call's result. Converse takes an object only."""
    return {"json": result if isinstance(result, dict) else {"result": result}}


def named_result(turn: int, index: int) -> dict[str, Any]:
    """Return the block that stands in the log for the ``result_block`` of the call at that position."""
    return {"result_of": CallSettled.key(turn, index)}


def in_full(requested: ModelRequested, run: Run) -> tuple[Any, ...]:
    """Return the new messages of ``requested``, with the results that they name. Raises ``LookupError``."""
    return tuple(_with_results(message, run) for message in requested.messages)


def _with_results(part: Any, run: Run) -> Any:
    """Return a message, or a part of one down to a result's content, with the results that it names."""
    match part:
        case {"content": [*blocks]}:
            return {**part, "content": [_with_results(block, run) for block in blocks]}
        case {"toolResult": {**result}}:
            return {**part, "toolResult": _with_results(result, run)}
        case {"result_of": str(seq)} if len(part) == 1:
            settled = run.at(seq).fact
            if not isinstance(settled, CallSettled):
                raise LookupError(seq)
            return result_block(settled.result)
    return part


def prompt_digest(run: Run, prompt: Prompt, inference: Mapping[str, Any]) -> str:
    """Return the hex SHA-256 of the exact prompt, its inference settings and every event that it covers.

    ``inference`` is {"model": …, "max_tokens": …, "temperature": …}. Changing, removing or
    reordering an earlier event changes the digest: tamper evidence. Pass the masked prompt: then the digest is
    the same for every reader, and does not help to guess a sensitive value.
    Raises ``KeyError`` if a covered event is missing.
    """

    def answered(before: _Written, requested: ModelRequested, responded: ModelResponded) -> _Written:
        return before.extended(requested, run.as_shown, lambda seq: run.at(seq).digest).answered(said(responded))

    written = run.as_shown.along(prompt.after, "written", _Written(), answered)
    whole = _Written(canonical(prompt.system), canonical(prompt.tools), written.messages, written.digests)
    new = prompt.messages[written.messages.count :], prompt.covers[written.digests.count :]
    return whole.with_more(*new, lambda seq: run.at(seq).digest).digest(inference)


#: Bytes of one part of a prompt's text. Prompts are kept and hashed in parts, and never copied as a whole.
_PART_BYTES = 32 * 1024


@dataclass(frozen=True)
class _Joined:
    """``count`` JSON values joined by commas, ``size`` bytes. A longer text shares its ``parts``."""

    parts: tuple[bytes, ...] = ()
    last: bytes = b""
    count: int = 0
    size: int = 0

    def with_more(self, values: Iterable[str]) -> _Joined:
        more = tuple(values)
        if not more:
            return self
        text = ",".join(("", *more) if self.count else more).encode("ascii")
        parts, last = self.parts, self.last + text
        if len(last) > _PART_BYTES:
            parts, last = (*parts, last), b""
        return _Joined(parts, last, self.count + len(more), self.size + len(text))


@dataclass(frozen=True)
class _Written:
    """A prompt as canonical JSON, in parts, and the digests of its covered events."""

    system: str = "null"
    tools: str = "null"
    messages: _Joined = _Joined()
    digests: _Joined = _Joined()

    def extended(self, requested: ModelRequested, run: Run, digest_of: Callable[[str], str]) -> _Written:
        given = requested.model_fields_set
        opened = replace(
            self,
            system=canonical(requested.system) if "system" in given else self.system,
            tools=canonical(requested.tools) if "tools" in given else self.tools,
        )
        return opened.with_more(in_full(requested, run), requested.covers, digest_of)

    def answered(self, message: Any) -> _Written:
        return replace(self, messages=self.messages.with_more((canonical(message),)))

    def with_more(self, messages: Iterable[Any], covers: Iterable[str], digest_of: Callable[[str], str]) -> _Written:
        digests = (f'"{digest_of(seq)}"' for seq in covers)
        messages = map(canonical, messages)
        return replace(self, messages=self.messages.with_more(messages), digests=self.digests.with_more(digests))

    def digest(self, inference: Any) -> str:
        """Return the SHA-256 of the canonical JSON of the prompt, the digests and ``inference``."""
        events, messages = self.digests, self.messages
        rest = f'],"system":{self.system},"tools":{self.tools}}}'
        found = hashlib.sha256(b'{"events":[')
        for part in (*events.parts, events.last, f'],"inference":{canonical(inference)},"messages":['.encode("ascii")):
            found.update(part)
        for part in (*messages.parts, messages.last, rest.encode("ascii")):
            found.update(part)
        return found.hexdigest()


def changed_prompts(run: Run, digests: Mapping[str, str], most_chars: int | None = None) -> tuple[dict[str, str], int]:
    """Return the run's wrong prompts, each error under its ``model.requested`` key, and the number of correct prompts.

    Each prompt is rebuilt with sensitive values masked and compared with its ``prompt_sha256``, in one pass.
    ``digests`` are the events' digests, by key. After ``most_chars`` characters of prompts only the newest one is
    compared, because each prompt contains all earlier ones and the work grows with the square of a run's length.
    """
    newest = next((event.seq for event in reversed(run.events) if event.name == ModelRequested.NAME), None)
    read = fit = 0
    # The prompts, by the completion at their end.
    written: dict[str | None, _Written] = {None: _Written()}
    wrong: dict[str, str] = {}
    for event in run.as_shown:
        if event.name not in (ModelRequested.NAME, ModelResponded.NAME):
            continue
        try:
            match event.fact:
                case ModelRequested() as asked:
                    prompt = written[asked.after].extended(asked, run.as_shown, digests.__getitem__)
                    read += prompt.messages.size
                    if most_chars is not None and read > most_chars and event.seq != newest:
                        continue
                    if prompt.digest(asked.inference) != asked.prompt_sha256:
                        wrong[event.seq] = f"its prompt is not the one that was sent, or one of {_some(asked.covers)}"
                    else:
                        fit += 1
                case ModelResponded() as responded:
                    asked = asked_with(run.as_shown, responded)
                    before = written[asked.after].extended(asked, run.as_shown, digests.__getitem__)
                    written[event.seq] = before.answered(said(responded))
        except (LogCorrupt, *GARBLED) as missing:
            wrong[event.seq] = f"its prompt cannot be rebuilt: {missing}"
    return wrong, fit


def _some(covers: Sequence[str]) -> str:
    return ", ".join(covers[:8]) + (" and others" if len(covers) > 8 else "")


def asked_with(run: Run, responded: ModelResponded) -> ModelRequested:
    """Return the request of that completion. Raises ``LookupError`` if it is missing."""
    asked = run.fact(ModelRequested, responded.turn, responded.attempt)
    if asked is None:
        raise LookupError(ModelRequested.key(responded.turn, responded.attempt))
    return asked


def said(responded: ModelResponded) -> dict[str, Any]:
    """Return the completion's message. Raises ``LookupError`` if it is missing."""
    if responded.message is None:
        raise LookupError(f"{responded.seq} has no message")
    return responded.message
