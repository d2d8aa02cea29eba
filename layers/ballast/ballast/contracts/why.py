"""The report on a run: why it ended so, where its money and time went, what is unknown, and what to type.

::

    Why
      ├ act                  whether somebody has to act now, and what to do
      ├ sentence, causes     the first cause and the outcome; further causes, the most important first
      ├ did                  each write that happened or may have, undone or standing
      ├ unknown, to_type     what nobody knows now; the commands for whoever was woken
      ├ money, time          the cost and the duration by cause; each adds up exactly
      ├ sooner               what would have stopped it sooner, and how that is known
      └ decisions            what was decided in each turn, and by which rule

Computed from the run's log alone, so that the command, the API and the console say the same; only the command can
play the run again for ``sooner``. Words quote what models, tools and people wrote: escape them before you show them.
Money is in micro-dollars, durations are in ms.
"""

import json
from typing import Literal

from pydantic import BaseModel, ConfigDict, InstanceOf

from ballast.contracts.timeline import Position, Status

#: The version of the format. A version may get more fields; a consumer ignores unknown fields.
VERSION: Literal[1] = 1

#: Any text, also with a lone surrogate: models write them.
_Str = InstanceOf[str]

#: Each charge has one cause: the first that applies, from the top.
MONEY_CAUSES: dict[str, str] = {
    "open_attempts": "model attempts without a recorded end: their reservations stay charged",
    "failed_attempts": "model attempts that failed or came too late, and stay charged",
    "bound_replies": "replies without a usage that can be right, charged at the most that they could have cost",
    "refused_answers": "answers that were not sent, so the model was asked again",
    "loop_laps": "calls that repeated earlier calls",
    "refused_calls": "calls that were refused",
    "cache_misses": "prompt tokens that the provider's cache had held and did not serve",
    "prompt_growth": "the growing conversation, sent again in every prompt",
    "first_prompt": "instructions, tools and request, in every prompt",
    "replies": "the model's replies",
    "prompts_and_replies": "prompts and replies together",
    "tools": "tools that cost money",
    "tool_attempts": "tools that cost money: attempts that failed or have no known outcome, charged at their bound",
    "after_the_ending": "recorded after the ending, which counts it otherwise",
}
#: Each ms has one cause: what the run was doing, by the newest entry of its log.
TIME_CAUSES: dict[str, str] = {
    "people": "waiting for people",
    "requester": "waiting for the requester",
    "failed_attempts": "model attempts that failed or have no recorded end",
    "pauses": "pauses before the next attempt at the model",
    "loop_laps": "turns that only repeated earlier calls",
    "refused_calls": "turns whose calls were all refused",
    "model": "the model's replies",
    "tool_attempts": "calls in doubt: checked or tried again",
    "tools": "tools",
    "workflow": "the workflow between the steps (queues, starts of functions)",
}


class _Part(BaseModel):
    model_config = ConfigDict(
        frozen=True,
        extra="forbid",
        json_schema_serialization_defaults_required=True,
        defer_build=True,  # functions that rarely need the model start faster
    )


class Cause(_Part):
    """A cause of the outcome, of cost or of time.

    name         for machines; ``words``: a sentence
    calls        the calls that it is about, as turn and index
    in_sentence  the report's sentence tells it already
    """

    name: _Str
    words: _Str
    turns: tuple[int, ...] = ()
    calls: tuple[Position, ...] = ()
    in_sentence: bool = False


class Did(_Part):
    """A write of the run that happened or may have happened.

    state  stands, undone, unknown (nobody knows whether it happened), open (under way), or more (of them: how many)
    """

    turn: int
    index: int
    tool: _Str
    state: Literal["stands", "undone", "unknown", "open", "more"]
    words: _Str


class MoneyShare(_Part):
    """The part of the run's cost that has one cause. ``microusd`` is negative only for ``after_the_ending``."""

    cause: _Str
    words: _Str
    microusd: int
    turns: tuple[int, ...] = ()


class TimeShare(_Part):
    """The part of the run's duration that has one cause."""

    cause: _Str
    words: _Str
    ms: int
    turns: tuple[int, ...] = ()


class TurnDecision(_Part):
    """What was decided in a turn, and by which rule; ``calls``: each call on which a rule or a person decided.

    at  the turn's first entry; "" if the log has none
    """

    turn: int
    planner: _Str
    by_agent: _Str = ""
    at: _Str = ""
    at_ms: int | None = None
    decided: _Str
    rule: _Str
    calls: tuple[_Str, ...] = ()


class Stop(_Part):
    """What would have stopped the run sooner.

    change          a limit and its value, or a rule
    turn            the agent would have been stopped in this turn
    saved_microusd  what the agent's later turns cost; if played, what the run would have cost less, at least
    saved_most_microusd  the most that it would have cost less, where only bounds are known; else null
    saved_ms        how long the agent's later turns took, null if unknown
    exact           the turn and the saving are known. Otherwise the saving is a bound, and the turn is the latest one
    played          the run was played again with that change. Otherwise the log alone proves it: what the next planner
                    would have done then is in no log
    """

    change: _Str
    turn: int
    words: _Str
    saved_microusd: int
    saved_most_microusd: int | None = None
    saved_ms: int | None = None
    exact: bool = True
    played: bool = False


class Unknown(_Part):
    """What nobody knows now. ``turn`` is 0 if it belongs to no turn."""

    kind: Literal["effect", "entry", "money", "people", "ending", "time"]
    words: _Str
    turn: int = 0


class Command(_Part):
    """A command to type, and what it does. What only its reader knows is ``"<a placeholder>"``, which Ballast refuses.

    only_deployed  it works with ``--stack`` alone; a local cloud has nothing that it could show or set
    """

    command: _Str
    words: _Str
    only_deployed: bool = False


class Why(_Part):
    """Why a run ended so, or where it stands.

    must_act       somebody has to act now; ``act``: what to do, or why nobody has to act, as a sentence
    sentence       the first cause and the outcome
    request        the first characters of the caller's words, masked; untrusted. ``requested_by``, ``intent``,
                   ``tenant``: as in the timeline
    opened_at, ended_at  ISO 8601 in UTC; "" if there is none
    answer_by      until when people, or the requester, can answer what they are asked now; likewise
    did            each write that happened or may have happened, in order
    causes         all causes, the most important first
    cost_microusd  the run's cost by its log, reservations without an outcome included; the sum of ``money``
    duration_ms    from the opening to the ending, or to the newest entry; the sum of ``time``; null if unknown
    sooner_note    how ``sooner`` is known, and what is not; "" if there is nothing to say
    left_out       number of decisions that are missing, because the report was too large for a response
    """

    version: Literal[1] = VERSION
    run_id: _Str
    status: Status
    must_act: bool = False
    act: _Str = ""
    sentence: _Str
    request: _Str = ""
    requested_by: _Str = ""
    intent: _Str = ""
    tenant: _Str = ""
    opened_at: _Str = ""
    ended_at: _Str = ""
    answer_by: _Str = ""
    did: tuple[Did, ...] = ()
    causes: tuple[Cause, ...] = ()
    unknown: tuple[Unknown, ...] = ()
    to_type: tuple[Command, ...] = ()
    cost_microusd: int = 0
    ceiling_microusd: int | None = None
    money: tuple[MoneyShare, ...] = ()
    duration_ms: int | None = None
    time: tuple[TimeShare, ...] = ()
    sooner: tuple[Stop, ...] = ()
    sooner_note: _Str = ""
    decisions: tuple[TurnDecision, ...] = ()
    left_out: int = 0

    def to_json(self) -> str:
        """Return it as JSON in ASCII, so that no text in it can send control codes to a terminal."""
        return json.dumps(self.model_dump(), indent=2).replace("\x7f", "\\u007f")
