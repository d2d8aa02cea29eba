"""The values of a tool's declaration: its effect, its approval, the limits of a call, its downstream's circuit.

::

    @tool(
        effect=Write(undo="cancel_refund", honours_key=True, moves=lambda args, request: args.amount_usd),
        approval=Approval(if_=lambda args, request, run: run.customer.day + args.amount_usd > 100, people=2),
        limits=CallLimits(timeout_s=20),
        circuit=Circuit("bank", failures=3),
    )

    a dead attempt's effect   honours_key ─▶ run again under the same key
                              verify      ─▶ ask whether it happened
                              neither     ─▶ unknown: a person looks
"""

import inspect
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Literal, TypeVar

from pydantic import TypeAdapter, ValidationError

from ballast.contracts import RunRequest
from ballast.contracts.error_text import in_utf8
from ballast.contracts.wire import Name
from ballast.errors import PlaybookInvalid
from ballast.playbook.context import ToolContext
from ballast.playbook.rules import WrongReturn, run_rule
from ballast.validation import ARGUMENT_BYTES, DEPTH, RESULT_BYTES

if TYPE_CHECKING:
    from ballast.playbook.rules import RunSoFar

#: The executor's Lambda has 60 s, of which it keeps some to record what came of the call.
MAX_TIMEOUT_S = 50
#: More people than this nobody finds.
MAX_PEOPLE = 9
_CIRCUIT_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_GROUP: TypeAdapter[str] = TypeAdapter(Name)

WordT = TypeVar("WordT", bound=StrEnum)


class Effect(StrEnum):
    """What a tool does to the world: the kind of its ``effect``, as events and the runtime name it."""

    READ = "read"
    WRITE = "write"


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


class OnUnanswered(StrEnum):
    """What follows where nobody answers a request for approval in time. Nothing was rejected.

    refuse    the planner is told that nobody answered, and goes on without the call
    fallback  another planner takes over
    park      people are asked anew, and have the agent's ``park_timeout_s``
    """

    REFUSE = "refuse"
    FALLBACK = "fallback"
    PARK = "park"


@dataclass(frozen=True, kw_only=True)
class Read:
    """The effect of a tool that changes nothing: none.

    repeat   None: as often as it is called. "allow": the same, and it is polled, so that the same call again and again
             is no loop. "once": the same arguments again in a run get the recorded result. "ask": a person approves it
    outward  whether its arguments leave the house (a URL, a mail address, a webhook); its ``taint`` is "approve" then,
             as that of a write
    """

    repeat: Literal["once", "allow", "ask"] | None = None
    outward: bool = False


@dataclass(frozen=True, kw_only=True)
class Write:
    """The effect of a tool that changes something: how it is told, repeated, undone, and what money it moves.

    undo             the name of the tool that undoes it; a rollback proposes it, newest effect first
    undo_arguments   (args, result as JSON) -> the undo's arguments; None: the call's own arguments
    undo_gives_back  whether an undo that happened gives what the call moved back to the windows
    verify           (args, ctx) -> the result of the effect under ``ctx.idempotency_key``, or None where it neither
                     happened nor can happen any more; True stands for a result that is nothing
    honours_key      whether running it again under the same ``ctx.idempotency_key`` has no second effect
    repeat           whether the same arguments may act again in one run: ``Repeat``. None: "once"
    on_rollback      what a rollback does about it: ``OnRollback``. None: "undo" where ``undo`` names a tool that has
                     ``verify`` or ``honours_key``, else "freeze"
    moves            (args, request) -> what the call moves of the business's own money: a Decimal or an integer, 0 or
                     more, in the currency of ``agent.yaml``. None: nothing
    moves_key        (args, ctx) -> the customer whose windows it takes from, a text of 1 to 256 characters; it may
                     read, as a tool does. None: only the other windows count it
    """

    undo: str | None = None
    undo_arguments: Callable[[Any, Any], Mapping[str, Any]] | None = None
    undo_gives_back: bool = False
    verify: Callable[[Any, ToolContext], Any] | None = None
    honours_key: bool = False
    repeat: Literal["once", "allow", "ask"] | None = None
    on_rollback: Literal["undo", "keep", "freeze"] | None = None
    moves: Callable[[Any, RunRequest], Any] | None = None
    moves_key: Callable[[Any, ToolContext], str] | None = None


@dataclass(frozen=True, kw_only=True)
class Approval:
    """When people must approve a call of the tool, how many, and who.

    if_            (args, request) or (args, request, run so far) -> whether a person must approve first: True, or a
                   text that says why; False or None for no. None in place of the function: the tool has no rule of its
                   own, and the rest holds where something else asks (its taint, its cost, a repeat)
    people         how many different people must approve, 1 to 9; one rejection rejects
    approvers      the name of the group that they must be members of; None: every reviewer may approve
    on_unanswered  what follows where nobody answers in time: ``OnUnanswered``. None: the agent's choice
    precondition   (args, ctx) -> what an approval relies on, as JSON: where it is something else when the approved
                   call is to act, the approval is void
    """

    if_: Callable[..., bool | str | None] | None
    people: int = 1
    approvers: str | None = None
    on_unanswered: Literal["refuse", "fallback", "park"] | None = None
    precondition: Callable[[Any, ToolContext], Any] | None = None

    def why(self, tool: str, args: Any, request: RunRequest, run: "Callable[[], RunSoFar]") -> str | None:
        """Return why the rule wants a person's approval, None where it does not. ``tool`` is the tool's name.

        ``run`` is called only for a rule with three parameters: it reads the whole log. Raises ``RuleViolation`` where
        the rule breaks.
        """
        rule = self.if_
        if rule is None:
            return None
        what = f"{tool}: approval.if_"
        wants_run = run_rule(what, lambda: len(inspect.signature(rule).parameters) > 2, rule)
        given = (args, request, run()) if wants_run else (args, request)

        def asks() -> str | None:
            said: Any = rule(*given)
            if isinstance(said, str):
                return in_utf8(said) or None
            if said is None or isinstance(said, bool):
                return f"the approval rule of {tool} asks for it" if said else None
            raise WrongReturn(said, "True, False, None, or a text that says why a person must look")

        return run_rule(what, asks, rule)


#: The approval of a tool that declares none.
NO_APPROVAL = Approval(if_=None)


@dataclass(frozen=True, kw_only=True)
class CallLimits:
    """How large one call of the tool may be, and how long an attempt at it may take.

    timeout_s       seconds, more than 0 and at most 50; an attempt that takes longer is given up, and a write is then
                    resolved like a dead one. None: as long as the Lambda has
    argument_bytes  its arguments as JSON, in bytes of UTF-8; beyond, the call is refused
    result_bytes    its result, likewise; beyond, a read has failed, and a write's result is left out of its record
    depth           levels of objects and lists, of arguments and of results
    """

    timeout_s: float | None = None
    argument_bytes: int = ARGUMENT_BYTES
    result_bytes: int = RESULT_BYTES
    depth: int = DEPTH


#: The limits of a tool that declares none.
USUAL_LIMITS = CallLimits()


@dataclass(frozen=True)
class Circuit:
    """The circuit breaker of a downstream, shared by all tools and all processes that name it.

    name        1 to 64 ASCII letters, digits, dots, dashes and _
    failures    so many outages in a row open it (counted by process)
    recovery_s  so many seconds it stays open; then one call probes
    """

    name: str
    failures: int = 5
    recovery_s: int = 30


@dataclass(frozen=True)
class EffectPolicy:
    """What the runtime goes by: the declared effect, checked, and what it means where it says nothing.

    repeat       once for writes, allow for reads, unless it says otherwise
    polled       a read that says "allow" itself: it may ask the same again and again, and is no loop for that
    verify       as declared
    honours_key  as declared
    on_rollback  None where it says nothing: undo where it has one, freeze where not
    """

    repeat: Repeat = Repeat.ALLOW
    polled: bool = False
    verify: Callable[[Any, Any], Any] | None = None
    honours_key: bool = False
    on_rollback: OnRollback | None = None

    @property
    def resolvable(self) -> bool:
        """Whether a dead attempt can be resolved without a person."""
        return self.honours_key or self.verify is not None


def effect_policy(where: str, effect: Read | Write) -> EffectPolicy:
    """Return a tool's effect, checked. ``where`` names the tool. Raises ``PlaybookInvalid``."""
    repeat = _word(where, "effect.repeat", Repeat, effect.repeat)
    if isinstance(effect, Read):
        require_booleans(where, **{"effect.outward": effect.outward})
        return EffectPolicy(repeat=repeat or Repeat.ALLOW, polled=repeat is Repeat.ALLOW)
    require_booleans(
        where, **{"effect.honours_key": effect.honours_key, "effect.undo_gives_back": effect.undo_gives_back}
    )
    on_rollback = _word(where, "effect.on_rollback", OnRollback, effect.on_rollback)
    if effect.undo is None and (on_rollback is OnRollback.UNDO or effect.undo_arguments is not None):
        said = 'on_rollback="undo"' if on_rollback is OnRollback.UNDO else "undo_arguments=…"
        raise PlaybookInvalid(f'{where}: effect: {said} needs undo="<the tool that undoes it>".')
    return EffectPolicy(
        repeat=repeat or Repeat.ONCE,
        verify=effect.verify,
        honours_key=effect.honours_key,
        on_rollback=on_rollback,
    )


def checked_approval(where: str, approval: Approval | None) -> Approval:
    """Return a tool's approval, ``NO_APPROVAL`` where it declares none. Raises ``PlaybookInvalid``."""
    if approval is None:
        return NO_APPROVAL
    if not isinstance(approval, Approval):
        raise PlaybookInvalid(f"{where}: approval must be Approval(if_=…), not {approval!r}.")
    if approval == NO_APPROVAL:
        raise PlaybookInvalid(
            f"{where}: approval=Approval(if_=None) asks nobody. Say when a person must approve, such as "
            "if_=lambda args, request: True, or leave it out."
        )
    if approval.if_ is not None and not callable(approval.if_):
        raise PlaybookInvalid(
            f"{where}: approval.if_ must be a function of (args, request) or (args, request, run), or None, not "
            f"{approval.if_!r}. Where a person must approve every call: if_=lambda args, request: True."
        )
    if not _is_count(approval.people) or approval.people > MAX_PEOPLE:
        raise PlaybookInvalid(
            f"{where}: approval.people must be 1 to {MAX_PEOPLE} different people, not {approval.people!r}."
        )
    _word(where, "approval.on_unanswered", OnUnanswered, approval.on_unanswered)
    if approval.approvers is not None:
        try:
            _GROUP.validate_python(approval.approvers, strict=True)
        except ValidationError:
            raise PlaybookInvalid(
                f"{where}: approval.approvers must be the name of one group, letters, digits and . _ -, not "
                f"{approval.approvers!r}."
            ) from None
    return approval


def checked_limits(where: str, limits: CallLimits) -> CallLimits:
    """Return the limits of a tool's calls. Raises ``PlaybookInvalid``."""
    if not isinstance(limits, CallLimits):
        raise PlaybookInvalid(f"{where}: limits must be CallLimits(timeout_s=…), not {limits!r}.")
    seconds = limits.timeout_s
    if seconds is not None and not (_is_number(seconds) and 0 < seconds <= MAX_TIMEOUT_S):
        raise PlaybookInvalid(
            f"{where}: limits.timeout_s must be more than 0 and at most {MAX_TIMEOUT_S}, not {seconds!r}."
        )
    for name in ("argument_bytes", "result_bytes", "depth"):
        if not _is_count(getattr(limits, name)):
            raise PlaybookInvalid(
                f"{where}: limits.{name} must be a whole number of 1 or more, not {getattr(limits, name)!r}."
            )
    return limits


def checked_circuit(where: str, circuit: Circuit | None) -> Circuit | None:
    """Return the circuit that a tool names. Raises ``PlaybookInvalid``."""
    if circuit is None:
        return None
    if not isinstance(circuit, Circuit):
        raise PlaybookInvalid(f'{where}: circuit must be Circuit("<name of the downstream>"), not {circuit!r}.')
    named = _CIRCUIT_NAME.fullmatch(str(circuit.name))
    if not (named and _is_count(circuit.failures) and _is_count(circuit.recovery_s)):
        raise PlaybookInvalid(
            f"{where}: circuit needs a name of 1 to 64 ASCII letters, digits, dots, dashes and _, "
            f"and at least 1 failure and 1 second, not {circuit!r}."
        )
    return circuit


def require_booleans(where: str, **flags: object) -> None:
    """Raise ``PlaybookInvalid`` for the first of a tool's flags that is neither True nor False."""
    for name, flag in flags.items():
        if not isinstance(flag, bool):
            raise PlaybookInvalid(f"{where}: {name} must be True or False, not {flag!r}.")


def _word(where: str, name: str, words: type[WordT], said: str | None) -> WordT | None:
    if said is None:
        return None
    try:
        return words(said)
    except ValueError:
        raise PlaybookInvalid(f"{where}: {name} must be one of {', '.join(words)}, not {said!r}.") from None


def _is_count(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 1


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
