"""The prompt of any turn, rebuilt from the log, and what the model has not seen yet.

Each ``model.requested`` records only what is new in its prompt, and ``after``: the completion
that it continues. The exact prompt is the chain of those deltas and completions::

    0001.model.requested ─▶ 0001.model.responded ◀─after─ 0002.model.requested ─▶ …

A request that was never answered, or whose answer came after another planner had taken over,
is not on the chain of later requests; it still counts for the money.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from ballast.contracts.wire import canonical, sha256
from ballast.errors import LogCorrupt
from ballast.log.event import GARBLED
from ballast.log.events import ModelRequested, ModelResponded

if TYPE_CHECKING:
    from ballast.run import Run


@dataclass(frozen=True)
class Prompt:
    """What a model saw: Converse's ``system``, ``toolConfig`` and ``messages``, and which events it covers."""

    system: Any = None
    tools: Any = None
    messages: tuple[dict[str, Any], ...] = ()
    covers: tuple[str, ...] = ()
    after: str | None = None

    def extended(self, requested: ModelRequested) -> Prompt:
        """Return the prompt with the delta that ``requested`` records."""
        given = requested.model_fields_set
        return Prompt(
            system=requested.system if "system" in given else self.system,
            tools=requested.tools if "tools" in given else self.tools,
            messages=(*self.messages, *requested.messages),
            covers=(*self.covers, *requested.covers),
            after=self.after,
        )


def answered_prompt(run: Run) -> Prompt:
    """Return the conversation up to and with the newest completion; empty before the first."""
    responded = run.facts(ModelResponded)
    return _through(run, responded[-1].seq if responded else None)


def rebuild(run: Run, requested: ModelRequested) -> Prompt:
    """Return the exact prompt that ``requested`` was sent with. Raises ``LookupError`` where a part of it is gone."""
    return _through(run, requested.after).extended(requested)


def _through(run: Run, after: str | None) -> Prompt:
    return run.along(after, "prompt", Prompt(), _answered)


def _answered(before: Prompt, requested: ModelRequested, responded: ModelResponded) -> Prompt:
    prompt = before.extended(requested)
    return replace(prompt, messages=(*prompt.messages, said(responded)), after=responded.seq)


def prompt_digest(run: Run, prompt: Prompt, inference: Mapping[str, Any]) -> str:
    """Return the hex SHA-256 of the exact prompt, its inference settings and every event that it covers.

    ``inference`` is {"model": …, "max_tokens": …, "temperature": …}. Changing, removing or
    reordering an earlier event changes the digest: tamper evidence. Give it the prompt as it is shown: then
    it is the same for who may see sensitive values and who may not, and no help in guessing one.
    Raises ``KeyError`` where a covered event is gone.
    """

    def answered(before: _Written, requested: ModelRequested, responded: ModelResponded) -> _Written:
        return before.extended(requested, lambda seq: run.by_seq[seq].digest).answered(said(responded))

    written = run.as_shown.along(prompt.after, "written", _Written(), answered)
    whole = _Written(
        canonical(prompt.system),
        canonical(prompt.tools),
        (*written.messages, *map(canonical, prompt.messages[len(written.messages) :])),
        (*written.digests, *(run.by_seq[seq].digest for seq in prompt.covers[len(written.digests) :])),
    )
    return whole.digest(inference)


@dataclass(frozen=True)
class _Written:
    """A prompt whose parts are canonical JSON already, and the digests of what it covers."""

    system: str = "null"
    tools: str = "null"
    messages: tuple[str, ...] = ()
    digests: tuple[str, ...] = ()

    def extended(self, requested: ModelRequested, digest_of: Callable[[str], str]) -> _Written:
        given = requested.model_fields_set
        return _Written(
            canonical(requested.system) if "system" in given else self.system,
            canonical(requested.tools) if "tools" in given else self.tools,
            (*self.messages, *map(canonical, requested.messages)),
            (*self.digests, *map(digest_of, requested.covers)),
        )

    def answered(self, message: Any) -> _Written:
        return replace(self, messages=(*self.messages, canonical(message)))

    def digest(self, inference: Any) -> str:
        """Return the SHA-256 of the canonical JSON of these and of ``inference``."""
        events = ",".join(f'"{digest}"' for digest in self.digests)
        return sha256(
            f'{{"events":[{events}],"inference":{canonical(inference)},'
            f'"messages":[{",".join(self.messages)}],"system":{self.system},"tools":{self.tools}}}'
        )


def changed_prompts(run: Run, digests: Mapping[str, str], most_chars: int | None = None) -> tuple[dict[str, str], int]:
    """Return what is wrong with the prompt of each ``model.requested`` of the run, by its key, and how many fit.

    Each is rebuilt as everybody may see it and compared with its ``prompt_sha256``, in one pass. ``digests`` are the
    events' own, by key. After prompts of ``most_chars`` characters together only the newest one is compared: each
    holds all earlier ones, so that the work grows with the square of a run's length.
    """
    newest = next((event.seq for event in reversed(run.events) if event.name == ModelRequested.NAME), None)
    read = fit = 0
    # By the completion that they end with.
    written: dict[str | None, _Written] = {None: _Written()}
    wrong: dict[str, str] = {}
    for event in run.as_shown:
        if event.name not in (ModelRequested.NAME, ModelResponded.NAME):
            continue
        try:
            match event.fact:
                case ModelRequested() as asked:
                    prompt = written[asked.after].extended(asked, digests.__getitem__)
                    read += sum(map(len, prompt.messages))
                    if most_chars is not None and read > most_chars and event.seq != newest:
                        continue
                    if prompt.digest(asked.inference) != asked.prompt_sha256:
                        wrong[event.seq] = f"its prompt is not the one that was sent, or one of {_some(asked.covers)}"
                    else:
                        fit += 1
                case ModelResponded() as responded:
                    asked = asked_with(run.as_shown, responded)
                    before = written[asked.after].extended(asked, digests.__getitem__)
                    written[event.seq] = before.answered(said(responded))
        except (LogCorrupt, *GARBLED) as missing:
            wrong[event.seq] = f"its prompt cannot be rebuilt: {missing}"
    return wrong, fit


def _some(covers: Sequence[str]) -> str:
    return ", ".join(covers[:8]) + (" and others" if len(covers) > 8 else "")


def asked_with(run: Run, responded: ModelResponded) -> ModelRequested:
    """Return the request that brought that completion. Raises ``LookupError`` where it is gone."""
    asked = run.fact(ModelRequested, responded.turn, responded.attempt)
    if asked is None:
        raise LookupError(ModelRequested.key(responded.turn, responded.attempt))
    return asked


def said(responded: ModelResponded) -> dict[str, Any]:
    """Return the completion's message. Raises ``LookupError`` where it is gone."""
    if responded.message is None:
        raise LookupError(f"{responded.seq} has no message")
    return responded.message
