"""The attempts at models that brought nothing: which model, for which reason, in their order, and what mends it.

Attempts are told by model and reason. A refusal has one exit reason for several remedies, so it is divided by the name
of the provider's error, which its text begins with; the rest of the text is only quoted.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence

from ballast.contracts import ExitReason, Planner
from ballast.contracts.meaning import REASONS
from ballast.contracts.timeline import ModelAttempt, Timeline, Turn
from ballast.values import dataclass
from ballast.why.words import meaning, named, quoted

#: Reasons of a hand-over for which every attempt at a turn failed.
FAILED_MODEL = ("model_timeout", "model_throttled", "model_unavailable", "model_refused")
#: Replies that are no answer and no calls.
_NO_REPLY = (
    *("malformed_model_output", "malformed_tool_use", "max_tokens", "content_filtered", "guardrail_intervened"),
    *("model_context_window_exceeded", "empty_answer"),
)
#: Kinds of refusals, by the name of the provider's error.
_KINDS = {
    "AccessDeniedException": "access",
    "ResourceNotFoundException": "not_found",
    "ServiceQuotaExceededException": "quota",
    "ValidationException": "invalid",
}
_NAME = re.compile(r"[A-Za-z]{1,64}(?=: )")
_OF_THE_CALLER = re.compile(r"Token|Signature|UnrecognizedClient|OptInRequired|Authentication")
#: What happened to {model}, by kind of refusal or exit reason.
_WORDS = {
    "model_timeout": "{model} did not answer in time",
    "model_throttled": "the provider throttled {model}",
    "model_unavailable": "{model} failed or could not be reached",
    "access": "the provider denied access to {model}",
    "not_found": "the provider did not find {model}",
    "quota": "the account's quota had no room for {model}",
    "credentials": "the provider did not accept the stack's credentials for {model}",
    "invalid": "{model} refused the request as invalid",
    "refused": "{model} refused the request",
    "model_context_window_exceeded": "the conversation was too long for {model}",
    "malformed_model_output": "{model} sent something that cannot be read",
    "malformed_tool_use": "{model} sent a tool call that cannot be read",
    "max_tokens": "the reply of {model} was cut off at its token limit",
    "content_filtered": "the provider filtered the {part} of {model}",
    "guardrail_intervened": "a guardrail blocked the {part} of {model}",
    "empty_answer": "the answer of {model} was empty",
    "open": "{model} was asked, and no reply is recorded",
    "late": "the reply of {model} came too late",
}
#: What to do about a refusal of {model} that every next run will meet, by its kind.
_REMEDIES = {
    "access": "get access to {model} for the stack: every next run is refused there alike",
    "not_found": "name a model that the provider serves instead of {model}: every next run fails there alike",
    "quota": "raise the account's quota for {model}: until then the next runs are refused alike",
    "credentials": "mend the stack's credentials for {model}: every next run is refused alike",
    "invalid": "find out why {model} refuses the request: the next runs like this one are refused alike",
    "refused": "find out why {model} refuses the request: the next runs may be refused alike",
    "unasked": "name a model that can be asked: every next run fails alike until then",
}
#: Reasons of a stop that a filter has, for the prompt or for the reply.
FILTERED = ("content_filtered", "guardrail_intervened")
#: More groups than a turn has attempts are counted and not told; the errors of several are cut shorter.
_MOST, _CUT = 4, 70


@dataclass(frozen=True)
class Tried:
    """Attempts at one model that failed for one reason. ``kind``: of the refusal, else the exit reason.

    part  what a filter stopped
    """

    model: str
    kind: str
    count: int
    error: str
    part: str = ""

    def words(self, most: int) -> str:
        """Return what happened; the provider's words in at most ``most`` characters."""
        model = f"the model {named(self.model, 80)}" if self.model else "the model"
        said = _WORDS.get(self.kind) or f"{{model}}: {REASONS.get(self.kind) or named(self.kind, 60)}"
        tries = f" in {self.count:,} attempts" if self.count > 1 else ""
        error = f" ({quoted(self.error, most)})" if self.error else ""
        return f"{said.format(model=model, part=self.part)}{tries}{error}"


def kind_of(one: ModelAttempt) -> str:
    """Return why the attempt brought nothing; "" if it brought something."""
    if one.state == "open":
        return "open"
    if one.state == "responded":
        return one.exit_reason if one.exit_reason in _NO_REPLY else ""
    if one.exit_reason == ExitReason.MODEL_REFUSED:
        name = _NAME.match(one.error)
        code = name[0] if name else ""
        return _KINDS.get(code) or ("credentials" if _OF_THE_CALLER.search(code) else "refused")
    if one.exit_reason in (*FAILED_MODEL, *_NO_REPLY):
        return one.exit_reason
    return "late"


def tried(attempts: Iterable[ModelAttempt], *, together: bool = False) -> list[Tried]:
    """Return the attempts that brought nothing, by model and reason, in their order.

    together  also those of one model and reason that others stand between
    """
    found: dict[tuple[str, str, int], Tried] = {}
    before: tuple[str, str] | None = None
    stretch = 0
    for one in attempts:
        kind = kind_of(one)
        if not kind:
            continue
        stretch += 0 if together or before in (None, (one.model, kind)) else 1
        before = one.model, kind
        known = found.get((*before, stretch))
        error = one.error or (known.error if known else "")
        found[(*before, stretch)] = Tried(one.model, kind, known.count + 1 if known else 1, error, _part(one))
    return list(found.values())


def filtered(turn: Turn, reason: str, most: int) -> str:
    """Return what a filter stopped in that turn, in words; "" if ``reason`` is none of a filter's."""
    if reason not in FILTERED:
        return ""
    said = told(tried(one for one in turn.attempts if one.exit_reason == reason), most)
    return said or f"{meaning(reason)} (the log does not say whether the prompt or the reply)"


def _part(one: ModelAttempt) -> str:
    """Return what a filter stopped: a guardrail that blocks the prompt lets the model use no token."""
    blocked = one.exit_reason == "guardrail_intervened" and not one.prompt_tokens + one.output_tokens
    return "prompt" if blocked or one.state != "responded" else "reply"


def told(groups: Sequence[Tried], most: int) -> str:
    """Return the groups in one clause; ``most``: characters of an error where there is one group."""
    told = [one.words(most if len(groups) == 1 else _CUT) for one in groups[:_MOST]]
    more = sum(one.count for one in groups[_MOST:])
    return ", then ".join([*told, *([f"{more:,} more attempts failed"] if more else [])])


def stopped_by(turn: Turn) -> bool:
    """Whether the hand-over after that turn follows from its attempts, which failed: its words begin with them."""
    failed = any(one.state == "failed" for one in turn.attempts)
    reason = turn.pivot.reason if turn.pivot else ""
    if reason in FAILED_MODEL:
        return any(map(kind_of, turn.attempts))
    return failed and all(map(kind_of, turn.attempts))


def asked_before(turn: Turn, attempt: ModelAttempt, model: str) -> bool:
    """Whether that model was asked in that turn before that attempt: it was left then, and not passed over."""
    return any(one.model == model and one.attempt < attempt.attempt for one in turn.attempts)


def not_asked(made: Timeline) -> Iterator[tuple[Turn, ModelAttempt, str, str]]:
    """Yield the models that were passed over without an attempt in the turn: turn, attempt, model, reason."""
    for turn in made.turns:
        for one in turn.attempts:
            for model, why in one.passed_over.items():
                if not asked_before(turn, one, model):
                    yield turn, one, model, why


def refusals(made: Timeline, *, stopping: bool) -> Mapping[str, tuple[str, ...]]:
    """Return the models that refused for a reason that lasts, by the kind of refusal.

    stopping  only those of turns after which another planner took over from the agent for it
    """
    found: dict[str, dict[str, None]] = {}
    for turn in made.turns:
        stops = turn.pivot is not None and turn.pivot.giver == Planner.AGENT != turn.pivot.taker
        if stopping and not stops:
            continue
        for one in turn.attempts if not stopping or stopped_by(turn) else ():
            if one.state == "failed" and one.exit_reason == ExitReason.MODEL_REFUSED:
                found.setdefault(kind_of(one), {})[one.model] = None
        if stops and turn.pivot and turn.pivot.reason == ExitReason.MODEL_REFUSED and not turn.attempts:
            found.setdefault("unasked", {})[made.model] = None
    return {kind: tuple(models) for kind, models in found.items()}


def remedies(made: Timeline, *, stopping: bool) -> Iterator[str]:
    """Yield what to do about refusals that the next runs will meet alike; ``stopping``: as in ``refusals``."""
    for kind, models in refusals(made, stopping=stopping).items():
        names = " and ".join(f"the model {named(one, 80)}" for one in models[:_MOST] if one) or "the model"
        yield _REMEDIES[kind].format(model=names)
