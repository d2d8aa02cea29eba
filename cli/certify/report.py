"""Findings of a certification: for each tool, fallback and rule, held, broken or not tried."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

State = Literal["held", "broken", "not tried"]

#: Each rule, in the order in which it is shown.
RULES = {
    "sampled": "a scenario calls it",
    "result": "its result fits its annotation, and comes when all is done",
    "arguments": "it leaves its arguments as they are",
    "repeatable": "the same call in the same store has the same result and the same effect",
    "process": "another process on another machine has the same result and the same effect",
    "sight": "nothing that it changes is out of sight",
    "money": "an amount of money is no float",
    "timeout": "it waits no longer than ctx.timeout_s",
    "circuit": "an answer that is lost counts as a failure of its circuit",
    "read": "it changes nothing",
    "failure": "an error that it calls certain leaves nothing behind, and a result comes with its effect",
    "key": "a second attempt under the same key has no second effect, and the same result",
    "sent": "a second attempt sends the same requests, and another call's key another one",
    "verify": "verify finds an effect that is whole, with its result, under its key, and nothing else",
    "interrupted": "an attempt that dies at any request is resolved to one effect",
    "undo": "its undo restores what was there, and nothing else; twice is once",
    "later": "after the longest life of a run its key, its verify and its undo are as good as at once",
    "between": "other calls in between change nothing of that, and its undo leaves what they did",
    "keys": "the same call under another key, also one that is nearly the same, acts anew",
    "overwrites": "a second attempt leaves what another has changed since the first",
    "overlap": "another attempt, or another program, that is at work meanwhile loses nothing and doubles nothing",
    "stale": "no second effect follows from a read that is not strongly consistent",
    "aws": "an error of AWS after its effect, or a repetition by AWS's client, leaves one effect or a doubt",
    "errors": "it takes no error for an answer that says that nothing is there, or that nothing was done",
    "pages": "an answer in several pages changes nothing",
    "precondition": "it reads the same twice, and changes nothing",
    "moves_key": "it reads the same twice, and changes nothing",
    "if_": "approval.if_ follows from the arguments, the request and the run alone",
    "validate": "it follows from the arguments, the request and the run alone",
    "moves": "it follows from the arguments and the request alone",
    "cost_microusd": "it follows from the arguments and the request alone, and a call reports no more",
    "undo_arguments": "it follows from the arguments and the result alone",
    "import": "its modules read no clock, randomness or variable as they are imported",
    "pure": "a fallback follows from the request and the results alone",
}


#: What becomes of a write that nothing resolves.
TO_A_PERSON = (
    "It declares neither honours_key nor verify: an attempt whose end is not known is unknown, and goes to a person."
)


@dataclass(frozen=True)
class Finding:
    """What one rule says of one tool or fallback.

    of        the tool's name, or `fallback INTENT`
    scenario  whose call it was; "" for none
    seen      what was seen, why it was not tried, or what a rule that held relies on
    remedy    what to do about it
    needed    whether a rule that was not tried keeps the certificate back
    """

    of: str
    rule: str
    state: State
    scenario: str = ""
    seen: str = ""
    remedy: str = ""
    needed: bool = False


def summed_up(findings: Iterable[Finding]) -> list[Finding]:
    """Return one finding for each tool and rule: broken if any is, else held if any is, else not tried."""
    best: dict[tuple[str, str], Finding] = {}
    for one in findings:
        at = (one.of, one.rule)
        if at not in best or _first(one) < _first(best[at]):
            best[at] = one
    order = list(RULES)
    return sorted(best.values(), key=lambda one: (one.of, order.index(one.rule)))


def _first(one: Finding) -> tuple[int, bool, bool]:
    return ["broken", "held", "not tried"].index(one.state), not one.needed, not one.seen


def certified(findings: Iterable[Finding]) -> bool:
    """Return whether every rule held that can be tried."""
    return not any(one.state == "broken" or (one.state == "not tried" and one.needed) for one in findings)
