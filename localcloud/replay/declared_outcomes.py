"""Outcomes that a tool's declaration decides: where it is another one, the record may not have what would come.

::

    timeout_s             another end, if the attempt took about as long or was cut
    result_bytes, depth   the result that was left out, or for which a read failed, might fit
    circuit               a refusal by it, or a call that it would have refused
    verify, honours_key   how an attempt that was in doubt is resolved
    cost_microusd         the charge, unless the tool has reported one

Rules that the handlers ask by themselves (approvals, ``validate``, ``moves``) are played, and are none of this.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from types import CodeType, FunctionType
from typing import Any

from ballast.log.events import CallDoubted, CallIntended, CallSettled
from ballast.playbook import Effect, Tool
from ballast.playbook.declaration import Circuit
from ballast.run import Run

Position = tuple[int, int]

#: Seconds within which an attempt may have ended or have been cut.
_NEAR_S = 0.25
#: The words of a read whose result was too large: ``functions.executor.effect.fitted``.
_TOO_LARGE = ("The result is ", " Ask for less.")
#: What a tool's code names to report a cost: of ``ToolContext``.
_REPORTS = frozenset({"report_cost", "bill"})


@dataclass(frozen=True)
class Declared:
    """The parts of a tool's declaration by which the executor makes an outcome.

    resolved_by  effect, ``honours_key``, and a digest of ``verify`` with the functions of the playbook that it names
    """

    timeout_s: float | None
    result_bytes: int
    depth: int
    circuit: Circuit | None
    resolved_by: tuple[str, bool, str]

    @classmethod
    def of(cls, tool: Tool) -> Declared:
        """Return them for a tool as it is declared."""
        limits, policy = tool.limits, tool.policy
        resolved = (tool.effect.value, policy.honours_key, _digest(policy.verify))
        return cls(limits.timeout_s, limits.result_bytes, limits.depth, tool.circuit, resolved)

    @property
    def resolves(self) -> bool:
        """Whether an attempt in doubt is resolved without a person."""
        effect, honours_key, verify = self.resolved_by
        return effect == Effect.READ or honours_key or verify != ""


def another_outcome(
    tools: Mapping[str, Declared],
    then: Declared | None,
    name: str,
    record: Run,
    at: Position,
    deaths: Mapping[str, int],
) -> str | None:
    """Return why a recorded call might have ended otherwise; None if what it depends on is as it was.

    ``tools``: as the candidate declares them; ``then``: the called one, as it was; ``deaths``: how often a process died
    before it wrote a key.
    """
    now = tools.get(name)
    if then is None or now is None or then == now:
        return None
    settled = record.fact(CallSettled, *at)
    doubts = [one for one in record.facts(CallDoubted) if one.at == at and not one.nothing]
    if then.timeout_s != now.timeout_s and _in_another_time(
        then.timeout_s, now.timeout_s, settled, in_doubt=bool(doubts)
    ):
        return f"{name} would have had {now.timeout_s or 'as many as its function has'} seconds, and not " + (
            f"{then.timeout_s or 'those'}"
        )
    holds_more = now.result_bytes > then.result_bytes or now.depth > then.depth
    if holds_more and settled is not None and (settled.left_out is not None or _was_too_large(settled)):
        return f"the result of {name} was too large, and might fit now"
    if then.circuit != now.circuit:
        if settled is not None and settled.circuit is not None:
            return f"{name} was refused by the circuit {settled.circuit}, and names another one, or none, now"
        if now.circuit is not None and _outages(tools, now.circuit, record, at) >= now.circuit.failures:
            return f"the circuit {now.circuit.name} might have been open for {name}"
    ended = CallSettled.key(*at)
    unknown = bool(doubts) or deaths.get(ended, 0) > 0 or (settled is not None and settled.status == "unknown")
    if then.resolved_by != now.resolved_by and unknown and now.resolves:
        return f"{name} was in doubt, and another verify, or its key, would resolve that now"
    return None


def _in_another_time(then_s: float | None, now_s: float | None, settled: CallSettled | None, *, in_doubt: bool) -> bool:
    took_s = (settled.latency_ms or 0) / 1000 if settled is not None else 0.0
    return in_doubt or any(bound is not None and took_s > bound - _NEAR_S for bound in (then_s, now_s))


def _was_too_large(settled: CallSettled) -> bool:
    begins, ends = _TOO_LARGE
    return settled.status == "failed" and settled.message.startswith(begins) and settled.message.endswith(ends)


def _outages(tools: Mapping[str, Declared], circuit: Circuit, record: Run, at: Position) -> int:
    """Return how many attempts failed, up to that call, of tools that name the circuit."""
    named = {name for name, one in tools.items() if one.circuit is not None and one.circuit.name == circuit.name}
    found = 0
    for number in record.turns:
        for state in record.turn(number).calls:
            if state.position > at or state.as_admitted.tool not in named:
                continue
            settled = record.fact(CallSettled, *state.position)
            found += sum(one.at == state.position for one in record.facts(CallDoubted))
            found += settled is not None and settled.defect and settled.circuit is None
    return found


# The charge


def charge_of(tool: Tool, bound_microusd: int | None, settled: CallSettled, intended: CallIntended | None) -> range:
    """Return the charges, in micro-dollars, that a recorded outcome may have under the candidate's declaration.

    One, unless the tool may report a cost and what it was charged is just what was declared then: the record does not
    tell a report from none. ``bound_microusd``: what the candidate declares for the call.
    """
    charged, now = settled.cost_microusd or 0, bound_microusd or 0
    then = intended.reserved_microusd if intended is not None else 0
    if settled.circuit is not None or (charged == 0 < then):
        return _only(charged)  # it was not begun
    if not _may_report(tool.function):
        return _only(now)
    if charged != then or then == now:
        return _only(charged)
    return range(min(charged, now), max(charged, now) + 1)


def _only(microusd: int) -> range:
    return range(microusd, microusd + 1)


# Code


def _may_report(function: Callable[..., Any]) -> bool:
    """Whether the code of a tool, with the functions of the playbook that it names, names what reports a cost."""
    return any(not _REPORTS.isdisjoint(code.co_names) for code in _codes(function))


def _digest(function: Callable[..., Any] | None) -> str:
    """Return what tells a function's code, and that of the playbook's functions that it names; "" for None."""
    if function is None:
        return ""
    told = [
        (code.co_name, code.co_code.hex(), code.co_names, [repr(one) for one in code.co_consts if _is_plain(one)])
        for code in _codes(function)
    ]
    return hashlib.sha256(repr(told or function).encode()).hexdigest()


def _is_plain(constant: Any) -> bool:
    return not isinstance(constant, CodeType | frozenset)  # a set's order is its process's


def _codes(function: Any) -> Iterator[CodeType]:
    """Yield the code of a function, with all inside of it, and of the functions of its package that it names."""
    waiting, seen = [function], set[int]()
    while waiting:
        one = waiting.pop()
        one = getattr(one, "__func__", one)
        if isinstance(one, type):
            waiting += [value for value in vars(one).values() if isinstance(value, FunctionType)]
            continue
        if not isinstance(one, FunctionType) or id(one) in seen:
            continue
        seen.add(id(one))
        package = str(one.__globals__.get("__name__")).partition(".")[0]
        inside = [one.__code__]
        while inside:
            code = inside.pop()
            yield code
            inside += [constant for constant in code.co_consts if isinstance(constant, CodeType)]
            named = [one.__globals__.get(name) for name in code.co_names]
            waiting += [value for value in named if str(getattr(value, "__module__", "")).partition(".")[0] == package]
        waiting += [cell.cell_contents for cell in one.__closure__ or () if _is_filled(cell)]


def _is_filled(cell: Any) -> bool:
    try:
        return callable(cell.cell_contents)
    except ValueError:
        return False
