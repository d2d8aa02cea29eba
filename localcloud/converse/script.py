"""A model that replies from a script: a YAML or JSON file of replies, the same for every run.

.. code-block:: yaml

    turns:
      - say: I look that up.
        call: [{tool: look_up_order, arguments: {order_id: O-1}}]
      - error: ThrottlingException     # once per conversation, then the next step
      - hang_s: 30                     # no answer for 30 seconds
      - say: Your order is on its way. # the last word: stopReason end_turn
"""

from __future__ import annotations

import json
import threading
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal, Self

import yaml
from pydantic import Field, JsonValue, model_validator

from ballast.contracts.wire import Wire, canonical, parse
from ballast.errors import InvalidInput
from ballast.yaml_files import load
from localcloud.converse.source import STATUS, ModelError, Reply, said, turns_taken

BedrockError = Literal[
    "AccessDeniedException",
    "InternalServerException",
    "ModelErrorException",
    "ModelNotReadyException",
    "ModelTimeoutException",
    "ResourceNotFoundException",
    "ServiceUnavailableException",
    "ThrottlingException",
    "ValidationException",
]
assert set(BedrockError.__args__) == set(STATUS)  # type: ignore[attr-defined]


class Call(Wire):
    """A tool call. ``arguments`` may be any JSON, right or wrong; ``id`` is the model's own."""

    tool: str
    arguments: JsonValue = Field(default_factory=dict)
    id: str | None = None


class Step(Wire):
    """One reply (``say``, ``call``, or ``raw``: a whole response of Converse), or one failure (``error``, ``hang_s``).

    stop        overrides the stop reason
    usage       overrides the estimate, in Converse's names; {} for none
    latency_ms  how long it takes
    if_asked    the run need not get so far: nobody is told that it was not used
    """

    say: str | None = None
    call: tuple[Call, ...] | None = None
    stop: str | None = None
    raw: dict[str, JsonValue] | None = None
    error: BedrockError | None = None
    message: str = "scripted"
    hang_s: Annotated[float, Field(gt=0)] | None = None
    usage: dict[str, int] | None = None
    latency_ms: Annotated[int, Field(ge=0)] = 0
    if_asked: bool = False

    @model_validator(mode="after")
    def _one_kind(self) -> Self:
        kinds = {
            "say, call or stop": not (self.say is None and self.call is None and self.stop is None),
            "raw": self.raw is not None,
            "error": self.error is not None,
            "hang_s": self.hang_s is not None,
        }
        if sum(kinds.values()) != 1:
            raise ValueError(f"must have exactly one of: {'; '.join(kinds)}")
        return self

    @property
    def fails(self) -> bool:
        """Whether it produces no completion, so that the conversation does not grow."""
        return self.error is not None or self.hang_s is not None


class Script(Wire):
    """A script file."""

    turns: tuple[Step, ...] = Field(min_length=1)


class ScriptModel:
    """Answers with the conversation's next step.

    The number of completions in the request selects the step, so that a retried request and concurrent runs
    each get the right one. A failing step has no completion that counts: it is used
    once per conversation (identified by the texts of its first message), then its successor.

    In a playbook with several agents (``requestMetadata`` names the agent) the steps are those of the whole run: an
    agent that was handed the run begins a conversation, and goes on in the script where the agent before it stopped.
    """

    def __init__(self, steps: Sequence[Step], name: str = "script") -> None:
        self._name = name
        self._slots: list[tuple[list[Step], Step | None]] = []
        self._unsaid = {number for number, step in enumerate(steps) if not step.if_asked}
        self._numbers = {id(step): number for number, step in enumerate(steps)}
        failing: list[Step] = []
        for step in steps:
            if step.fails:
                failing.append(step)
            else:
                self._slots.append((failing, step))
                failing = []
        self._slots.append((failing, None))
        self._failed: Counter[tuple[str, int]] = Counter()
        #: Of runs of several agents: the steps before each conversation, and those that a run has used.
        self._before: dict[tuple[str, str, str], int] = {}
        self._used: Counter[str] = Counter()
        self._lock = threading.Lock()

    @classmethod
    def of(cls, turns: Sequence[Mapping[str, Any]], name: str = "script") -> ScriptModel:
        """Build it from plain values. Raises ``InvalidInput`` that names step and field."""
        return cls(parse(Script, {"turns": list(turns)}, what=f"The script {name}").turns, name)

    @classmethod
    def read(cls, path: Path) -> ScriptModel:
        """Read it from a YAML or JSON file. Raises ``InvalidInput`` that names file, step and field."""
        try:
            data = load(path.read_text(encoding="utf-8"), yaml.SafeLoader)
        except OSError as problem:
            raise InvalidInput(f"{path}: cannot be read: {problem.strerror}.") from None
        except (yaml.YAMLError, UnicodeDecodeError) as problem:
            raise InvalidInput(f"{path}: is neither YAML nor JSON: {problem}") from None
        if not isinstance(data, Mapping):
            raise InvalidInput(f"{path}: is empty, or no mapping. Write `turns:` with the model's replies.")
        return cls(parse(Script, data, what=f"The script {path}").turns, str(path))

    def reply(self, request: Mapping[str, Any], _model_id: str, /) -> Reply:
        """Return the reply of the step."""
        position = self.position(request)
        if position >= len(self._slots):
            raise self._ended(position)
        failing, step = self._slots[position]
        with self._lock:
            conversation = (_beginning(request), position)
            failed = self._failed[conversation]
            if failed < len(failing):
                self._failed[conversation] += 1
                self._unsaid.discard(self._numbers[id(failing[failed])])
                raise _failure(failing[failed])
        if step is None:
            raise self._ended(position)
        self._unsaid.discard(self._numbers[id(step)])
        if run := request.get("requestMetadata", {}).get("run"):
            self._used[run] = max(self._used[run], position + 1)
        return _reply(step, request, position)

    def left_over(self) -> list[int]:
        """Return the numbers of the steps that no request has got, from 0, as the file has them."""
        return sorted(self._unsaid)

    def position(self, request: Mapping[str, Any]) -> int:
        """Return the position of the request's step, from 0."""
        named = request.get("requestMetadata", {})
        run, agent = named.get("run", ""), named.get("agent")
        if agent is None:
            return turns_taken(request)
        conversation = run, agent, _beginning(request)
        with self._lock:
            return self._before.setdefault(conversation, self._used[run]) + turns_taken(request)

    @property
    def state(self) -> Any:
        """What it has said so far, for one who goes on from here."""
        return self._failed, self._before, self._used

    @state.setter
    def state(self, said_so_far: Any) -> None:
        self._failed, self._before, self._used = said_so_far

    def _ended(self, position: int) -> ModelError:
        return ModelError(
            "ValidationException", f"{self._name}: script ended. It has no turn {position + 1} for this conversation."
        )


def _beginning(request: Mapping[str, Any]) -> str:
    """Return the texts of a conversation's first message, which tell conversations apart.

    A cache point stands in it as long as it is the newest one of a long prompt, and another model gets the same texts
    in another form: neither makes another conversation.
    """
    return canonical([*_texts(request.get("messages", [])[:1])])


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, Mapping):
        for name, inner in value.items():
            if name == "text" and isinstance(inner, str):
                yield inner
            elif name != "cachePoint":
                yield from _texts(inner)
    elif isinstance(value, Sequence) and not isinstance(value, str | bytes):
        for inner in value:
            yield from _texts(inner)


def _failure(step: Step) -> ModelError:
    if step.error is not None:
        return ModelError(step.error, step.message, step.latency_ms / 1000)
    return ModelError("ModelTimeoutException", f"No answer for {step.hang_s} s.", step.hang_s or 0.0)


def _reply(step: Step, request: Mapping[str, Any], position: int) -> Reply:
    if step.raw is not None:
        return Reply(json.loads(json.dumps(step.raw)), step.latency_ms / 1000)
    content: list[dict[str, Any]] = [] if step.say is None else [{"text": step.say}]
    for index, call in enumerate(step.call or (), start=1):
        own_id = f"script-{position + 1}-{index}" if call.id is None else call.id
        content.append({"toolUse": {"toolUseId": own_id, "name": call.tool, "input": call.arguments}})
    stop_reason = step.stop or ("tool_use" if step.call else "end_turn")
    reply = said(content, stop_reason, request, usage=step.usage, latency_ms=step.latency_ms)
    if step.usage == {}:
        return Reply({name: value for name, value in reply.body.items() if name != "usage"}, reply.wait_s)
    return reply
