"""The rules ``process`` and ``sight``: a call made by another process on another machine, which is listened to.

::

    base ─ run elsewhere ─▶ done               with the same result, and no change that is out of sight
    done ─ verify elsewhere, run again there ─▶ done
    base ─ run, dies in between ─▶ part ─ resolve elsewhere ─▶ done
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from ballast.contracts.wire import canonical
from ballast.playbook import Effect
from ballast.playbook.servers.tools import RemoteCall
from cli.certify.declared import declared
from cli.certify.elsewhere import Away, Came
from cli.certify.facts import KEEP_NOTHING, other_requests, remembered
from cli.certify.report import Finding
from cli.certify.rig import End, Fault, Rig, Sample, Seen, canonical_or_repr, differences

_REMEDY = (
    "Take everything from the arguments, the context and the store: no module's variable, hash(), order of a set, "
    "process id, host, time zone, locale or folder. Sort what comes from a set."
)
_KEEP = (
    "Give the playbook's store package kept() and put_back(kept): what its double keeps, or the address to which it "
    "listens, so that another process has it."
)
_HIDDEN = "Write to a table or another service that certify sees, and remove a temporary file in the call itself."


@dataclass(frozen=True)
class FirstAttempt:
    """An honest attempt: what stood before it, how it ended, and what stands after it."""

    base: Seen
    end: End
    done: Seen


class _KeptHere(Exception):
    """The double of a tool is in this process alone."""


class OtherProcess:
    """Both rules for one call."""

    def __init__(self, rig: Rig, sample: Sample, honest: FirstAttempt) -> None:
        self._rig, self._sample, self._tool, self._honest = rig, sample, sample.tool, honest
        self._hidden: list[str] = []
        self._read: list[tuple[str, str]] = []

    def findings(self) -> Iterator[Finding]:
        """Try both; yield what each says."""
        if self._rig.away is None:
            return
        try:
            process = self._process()
        except _KeptHere as problem:
            process = self._finding("process", "not tried", str(problem), _KEEP)
        except Away as problem:
            process = self._finding("process", "not tried", str(problem), problem.remedy)
        yield process
        yield self._sight()

    def _finding(self, rule: str, state: Any, seen: str = "", remedy: str = "") -> Finding:
        return Finding(self._tool.name, rule, state, self._sample.scenario, seen, remedy, state == "not tried")

    def _process(self) -> Finding:
        honest = self._honest.end
        wrong, remedy = self._alone() or self._asked(), _REMEDY
        if not wrong and self._tool.effect is Effect.READ:
            wrong, remedy = self._remembered(), KEEP_NOTHING
        if not wrong and self._tool.effect is Effect.WRITE and honest.how == "ok":
            wrong = self._after() or self._in_between()
        if wrong:
            return self._finding("process", "broken", wrong, _KEEP if wrong.startswith("Its double") else remedy)
        return self._finding("process", "held")

    def _away(self, **options: Any) -> Came:
        came: Came = self._rig.play_away(self._sample, **options)
        for one in came.hidden:
            if one not in self._hidden and not self._is_its_servers(one):
                self._hidden.append(one)
        return came

    def _is_its_servers(self, hidden: str) -> bool:
        """Whether it is how a declared server is reached, such as one that is a program."""
        return isinstance(self._tool.function, RemoteCall) and "another program" in hidden

    def _alone(self) -> str:
        """Make the call in another process alone, with its sets in both orders; return what differs."""
        honest, where = self._honest, "In another process on another machine"
        for turned in (False, True):
            self._rig.fresh(self._sample.before)
            came = self._away(turned=turned)
            if not self._rig.keeps and _asks_its_own_process(honest.end) and _asks_its_own_process(came.end):
                raise _KeptHere("Its double is in the process that certifies, and another process has another one.")
            self._read = came.end.read
            end, how = came.end, "With its sets in another order" if turned else where
            if end.said != honest.end.said and not (end.how == honest.end.how == "raised"):
                return f"{how} it said {_told(end)} instead of {_told(honest.end)}."
            if other := differences(honest.done, self._rig.seen()):
                if self._rig.sees_outside and not differences(honest.base, self._rig.seen()):
                    return f"Its double has seen nothing of the other process: {other}."
                return f"{how} it had another effect: {other}."
            if other := other_requests(honest.end, end):
                return f"{how} it {other}."
            if came.process:
                return f"It {came.process[0]}, for every call after it."
            if came.kept_for:
                rule, name = came.kept_for[0]
                return f"Its {rule} reads {name}, which the call changes in its process: another one does not have it."
            if not came.sets:
                break
        return ""

    def _asked(self) -> str:
        """Ask each function of the declaration here and in another process, with its sets in both orders."""
        result = self._honest.end.result
        for name, rule in declared(self._tool).items():
            if name == "verify" or (rule.gets == "result" and self._honest.end.how != "ok"):
                continue
            for turned in (False, True):
                self._rig.fresh(self._sample.before)
                here, _ = self._rig.ask(name, lambda args, ctx, rule=rule: rule.said(args, ctx, result), self._sample)
                came = self._away(what=name, result=result, turned=turned)
                if came.end.how != "ok" or came.answer != here:
                    said = came.end.message if came.end.how != "ok" else came.answer
                    return f"Its {name} said {here[:100]} here, and {said[:100]} in another process."
                if came.process:
                    return f"Its {name} {came.process[0]}."
                if not came.sets:
                    break
        return ""

    def _remembered(self) -> str:
        """Let another change what the read has read; return how its answer differs from that of a new process."""
        rig, sample = self._rig, self._sample
        here, away = (lambda: _answer(rig.attempt(sample))), (lambda: _answer(rig.play_away(sample).end))
        return remembered(rig, sample, self._read, here, away)

    def _after(self) -> str:
        """Attempt the call here; verify and attempt it again elsewhere."""
        policy = self._tool.policy
        if not policy.resolvable or not differences(self._honest.base, self._honest.done):
            return ""
        self._rig.fresh(self._sample.before)
        self._rig.attempt(self._sample)
        return self._resolved("after the effect")

    def _in_between(self) -> str:
        """Let an attempt die before its last change; attempt it again elsewhere."""
        changes = self._honest.end.changed_at
        if len(changes) < 2 or not self._tool.policy.honours_key:
            return ""
        self._rig.fresh(self._sample.before)
        if self._rig.attempt(self._sample, fault=Fault(changes[-1], "before")).how != "died":
            return ""
        return self._again("after half of the effect", later_s=0)

    def _resolved(self, when: str) -> str:
        policy = self._tool.policy
        if policy.verify is not None and (wrong := self._verified(when)):
            return wrong
        return self._again(when, later_s=101.0) if policy.honours_key else ""

    def _verified(self, when: str) -> str:
        """Ask ``verify`` in another process; return what is wrong with its answer."""
        honest, came = self._honest, self._away(what="verify")
        if came.end.how != "ok":
            return f"Its verify, asked in another process {when}, raised {came.end.message}."
        if not came.found:
            return f"Its verify, asked in another process {when}, found nothing."
        if canonical(came.answer) != canonical(honest.end.result):
            said = canonical_or_repr(came.answer)[:100]
            return f"The tool returned {canonical_or_repr(honest.end.result)[:100]}, and verify elsewhere {said}."
        return ""

    def _again(self, when: str, *, later_s: float) -> str:
        again = self._away(later_s=later_s, draw=1).end
        if second := differences(self._honest.done, self._rig.seen()):
            return f"A second attempt under its key, in another process {when}, left something else: {second}."
        policy = self._tool.policy
        refused = again.how in ("failed", "raised") and not policy.replays
        if (again.how == "raised" or refused) and policy.verify is not None:
            return self._verified(f"{when}, and after a second attempt that is in doubt")
        if refused:
            return ""  # doubt, and a person decides: see ``Trial``
        if again.said != self._honest.end.said:
            return f"In another process a second attempt said {_told(again)}, not {_told(self._honest.end)}."
        return ""

    def _sight(self) -> Finding:
        end = self._honest.end
        if self._hidden:
            seen = f"It {self._hidden[0]}, which nobody sees."
            return self._finding("sight", "broken", seen, _HIDDEN)
        if end.how == "ok" and (refused := end.refused):
            seen = f"It asked for {refused[0]}, which was not answered here, and went on: what that does is not seen."
            remedy = "Give the executor the right in business.yaml, and let the error pass; or leave the request out."
            return self._finding("sight", "not tried", seen, remedy)
        far = [address for address, _ in end.peers if not _is_loopback(address)]
        if far and self._rig.sees_outside:
            seen = f"It connects to {far[0]}, which is no double: nothing tells what that does."
            return self._finding("sight", "not tried", seen, "Let a stand-in on a loopback address take its place.")
        return self._finding("sight", "held")


def _asks_its_own_process(end: End) -> bool:
    """Whether it asked something outside of AWS to which no connection leads."""
    return any(one.startswith("outside.") for one in end.requests) and not end.peers and not end.wire


def _is_loopback(address: str) -> bool:
    """Whether an address of a connection, as Python shows it, is this machine's own."""
    host = address.strip("()").split(",")[0].strip("'\" ")
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _answer(end: End) -> str:
    return "an error" if end.how == "raised" else _told(end)


def _told(end: End) -> str:
    word = {"ok": "returned", "failed": "ToolFailed", "again": "RetryLater"}.get(end.how, end.how)
    return f"{word} {canonical_or_repr(end.said[1])[:100]}"
