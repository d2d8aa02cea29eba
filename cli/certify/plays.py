"""Notes of every play of a call beside its result: how long it waited, and what it changed where it may only read.

A tool that waits too long, or a ``Read`` that writes, may do so only after an error. So these rules are judged over all
plays of a call: those with a fault, those in another process, and those of each function of its declaration.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from ballast.playbook import Effect, Tool
from ballast.playbook.declaration import MAX_TIMEOUT_S
from ballast.playbook.servers.tools import RemoteCall
from ballast.playbook.servers.verify import VerifyByRead
from cli.certify.report import Finding

if TYPE_CHECKING:
    from cli.certify.audit import Heard
    from cli.certify.rig import End

#: Functions of a declaration that may only read, which are the names of their rules too.
READERS = ("verify", "precondition", "moves_key")
#: So many plays must have waited too long by a real clock: a busy machine holds one of them up.
_MOST_HELD_UP = 1
GIVE_TIME = (
    "Give ctx.timeout_s to each client as its timeout, or a constant that is no more, also after an error and in "
    "verify, precondition and moves_key; sleep less, or not at all."
)
DECLARE_TIME = "Declare limits=CallLimits(timeout_s=…) and give ctx.timeout_s to the HTTP client."
_READ_ONLY = "It only reads, also where something fails: let the error pass. It is asked again, six times and more."
_KEEP_NOTHING = "Leave nothing on its machine or in its process, also where something fails: another one has it not."


@dataclass
class _Noted:
    """What was noted of one tool. Each dictionary has the first thing that was seen, by rule."""

    changed: dict[str, str] = field(default_factory=dict)
    unseen: dict[str, str] = field(default_factory=dict)
    hidden: dict[str, str] = field(default_factory=dict)
    too_long: str = ""
    held_up: list[str] = field(default_factory=list)
    without_time: str = ""


class Plays:
    """Notes of the plays of each tool."""

    def __init__(self) -> None:
        self._of: dict[str, _Noted] = {}

    def note(self, tool: Tool, what: str, end: End, *, under: str, told: str, tells: bool) -> None:
        """Note a play.

        what   "" for the tool itself, else the function of its declaration
        under  the fault that was played, in words; "" for none
        told   what doubles have seen of it, in words
        tells  whether there is a double that would
        """
        noted = self._of.setdefault(tool.name, _Noted())
        where = f"{f'{under}: its' if under else 'Its'} {what}" if what else f"{under}: it" if under else "It"
        if (what or tool.effect is Effect.READ) and what in ("", *READERS):
            self._note_changes(noted, tool, what or "read", where, end, told, tells)
        if isinstance(tool.function, RemoteCall) and tool.limits.timeout_s is None:
            return
        declared = tool.limits.timeout_s
        if not noted.too_long:
            noted.too_long = too_long(end, declared, where)
        if end.took_s + end.waited_s > (declared or MAX_TIMEOUT_S):
            noted.held_up.append(f"{where} took {end.took_s + end.waited_s:.0f} s, without having worked.")
        if declared is None and end.peers and not noted.without_time:
            noted.without_time = f"{where} connects to {end.peers[0][0]} and declares no time."

    def hear(self, tool: Tool, what: str, heard: Heard, *, under: str) -> None:
        """Note what a play under a fault has changed out of sight; the other process tells of those without one."""
        noted = self._of.setdefault(tool.name, _Noted())
        for rule, changes in (("sight", heard.hidden()), ("process", heard.process())):
            if under and changes and rule not in noted.hidden:
                noted.hidden[rule] = f"{under}: {f'its {what}' if what else 'it'} {changes[0]}."

    def _note_changes(self, noted: _Noted, tool: Tool, rule: str, where: str, end: End, told: str, tells: bool) -> None:
        by_read = rule == "verify" and isinstance(tool.policy.verify, VerifyByRead)  # which is a sample of its own
        if rule in noted.changed:
            return
        sent = [one.partition(" HTTP/")[0] for one in end.wire if not one.startswith(("GET ", "HEAD "))]
        if told or end.changes:
            changed = f"asked for {', '.join(dict.fromkeys(end.changes))}" if end.changes else f"changed this: {told}"
            noted.changed[rule] = f"{where} {changed}."
        elif sent and not tells and not by_read:
            noted.unseen.setdefault(rule, f"{where} sent {sent[0][:100]}, and nothing tells what that has done.")

    def findings(self, tool: Tool, scenario: str, found: Mapping[str, str], tell: str) -> Iterator[Finding]:
        """Yield what is wrong.

        found  the states of the rules that were tried; a broken one is not told twice
        tell   how a service outside of AWS comes to tell its effects
        """
        noted = self._of.get(tool.name, _Noted())
        for rule, seen in noted.changed.items():
            if found.get(rule) != "broken":
                yield Finding(tool.name, rule, "broken", scenario, seen, _READ_ONLY)
        for rule, seen in noted.unseen.items():
            if rule not in noted.changed and found.get(rule) == "held":
                yield Finding(tool.name, rule, "not tried", scenario, seen, tell, True)
        for rule, seen in noted.hidden.items():
            yield Finding(tool.name, rule, "broken", scenario, seen, _KEEP_NOTHING)
        if found.get("timeout") == "broken":
            return
        late = noted.too_long or (noted.held_up[-1] if len(noted.held_up) > _MOST_HELD_UP else "")
        if late:
            yield Finding(tool.name, "timeout", "broken", scenario, late, GIVE_TIME)
        elif noted.without_time:
            yield Finding(tool.name, "timeout", "not tried", scenario, noted.without_time, DECLARE_TIME, True)


def too_long(end: End, declared: float | None, where: str) -> str:
    """Return what of a play waits, or would wait, longer than its tool's time; "" for nothing."""
    most = MAX_TIMEOUT_S if declared is None else declared
    if end.took_s > most:
        return f"{where} slept {end.took_s:.0f} s, and its time is {most:g} s."
    for client, seconds in end.patience:
        if seconds is None or seconds > most:
            up_to = "for ever" if seconds is None else f"up to {seconds:g} s"
            return f"{where} has {client} wait {up_to}; its time is {most:g} s."
    if declared is None:
        return ""
    for address, had in end.peers:
        if had is None or had > declared:
            how = "without a time limit" if had is None else f"with {had:g} s"
            return f"{where} connected to {address} {how}; ctx.timeout_s was {declared:g}."
        if had == 0 and not end.asked_timeout and not end.patience:
            loop = f"{where} connected to {address} by an event loop, whose waits nothing tells"
            return f"{loop}; ctx.timeout_s was {declared:g} and was not read."
    return ""
