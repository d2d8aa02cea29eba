"""What a tool declares about its effect: repeats, dead attempts, time, its downstream, and the rollback.

::

    a dead attempt's effect   honours_key ─▶ run again under the same key
                              verify      ─▶ ask whether it happened
                              neither     ─▶ unknown: a person looks
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, TypeVar

from ballast.errors import PlaybookInvalid

#: The executor's Lambda has 60 s, of which it keeps some to record what came of the call.
MAX_TIMEOUT_S = 50
_BREAKER_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")

WordT = TypeVar("WordT", bound=StrEnum)


class Repeat(StrEnum):
    """Whether the same canonical arguments may act again in one run.

    once   no: a repeat gets the recorded result, and is told so
    allow  yes
    ask    where a person approves
    """

    ONCE = "once"
    ALLOW = "allow"
    ASK = "ask"


class OnRollback(StrEnum):
    """What a rollback does about an effect of the tool.

    undo    propose the recorded undo
    keep    leave it: it is right whatever becomes of the run
    freeze  touch nothing of the run, and tell a person
    """

    UNDO = "undo"
    KEEP = "keep"
    FREEZE = "freeze"


@dataclass(frozen=True)
class Breaker:
    """The circuit breaker of a downstream, shared by all tools and all processes that name it.

    failures    so many outages in a row open it (counted by process)
    recovery_s  so long it stays open; then one call probes
    """

    name: str
    failures: int = 5
    recovery_s: int = 30


@dataclass(frozen=True)
class EffectPolicy:
    """A tool's declarations, checked.

    repeat       once for writes, allow for reads, unless it says otherwise
    polled       a read that says "allow" itself: it may ask the same again and again, and is no loop for that
    verify       (args, ctx) -> the result of the effect under ``ctx.idempotency_key``, or None where it
                 neither happened nor can happen any more; True stands for a result that is nothing
    honours_key  running it again under the same ``ctx.idempotency_key`` has no second effect
    timeout_s    an attempt that takes longer is given up; a write is then resolved like a dead one
    breaker      of its downstream
    on_rollback  None where it says nothing: undo where it has one, freeze where not
    """

    repeat: Repeat = Repeat.ALLOW
    polled: bool = False
    verify: Callable[[Any, Any], Any] | None = None
    honours_key: bool = False
    timeout_s: float | None = None
    breaker: Breaker | None = None
    on_rollback: OnRollback | None = None

    @property
    def resolvable(self) -> bool:
        """Whether a dead attempt can be resolved without a person."""
        return self.honours_key or self.verify is not None


def effect_policy(
    where: str,
    *,
    writes: bool,
    has_undo: bool,
    repeat: str | None,
    verify: Callable[[Any, Any], Any] | None,
    honours_key: bool,
    timeout_s: float | None,
    breaker: str | Breaker | None,
    on_rollback: str | None,
) -> EffectPolicy:
    """Check a tool's declarations. ``where`` names the tool. Raises ``PlaybookInvalid``."""
    if not writes and (verify or honours_key or on_rollback):
        raise PlaybookInvalid(f"{where} reads: verify, honours_key and on_rollback are about the effect of a write.")
    if on_rollback == OnRollback.UNDO and not has_undo:
        raise PlaybookInvalid(f'{where}: on_rollback="undo" needs undo="<the tool that undoes it>".')
    if timeout_s is not None and not 0 < timeout_s <= MAX_TIMEOUT_S:
        raise PlaybookInvalid(f"{where}: timeout_s must be more than 0 and at most {MAX_TIMEOUT_S}, not {timeout_s!r}.")
    return EffectPolicy(
        repeat=_word(where, "repeat", Repeat, repeat) or (Repeat.ONCE if writes else Repeat.ALLOW),
        polled=repeat == Repeat.ALLOW and not writes,
        verify=verify,
        honours_key=honours_key,
        timeout_s=timeout_s,
        breaker=_breaker(where, breaker),
        on_rollback=_word(where, "on_rollback", OnRollback, on_rollback),
    )


def _word(where: str, name: str, words: type[WordT], said: str | None) -> WordT | None:
    if said is None:
        return None
    try:
        return words(said)
    except ValueError:
        raise PlaybookInvalid(f"{where}: {name} must be one of {', '.join(words)}, not {said!r}.") from None


def _breaker(where: str, said: str | Breaker | None) -> Breaker | None:
    breaker = Breaker(said) if isinstance(said, str) else said
    if breaker is None:
        return None
    if not _BREAKER_NAME.fullmatch(breaker.name) or breaker.failures < 1 or breaker.recovery_s < 1:
        raise PlaybookInvalid(
            f"{where}: breaker needs a name of 1 to 64 ASCII letters, digits, dots, dashes and _, "
            f"and at least 1 failure and 1 second, not {said!r}."
        )
    return breaker
