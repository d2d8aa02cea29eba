"""The values of a tool's declaration: its effect, its approval, the limits of a call, its downstream's circuit.

::

    @tool(
        effect=Write(undo="cancel_refund", honours_key=True, moves=lambda args, request: args.amount_usd),
        approval=Approval(if_=lambda args, request, run: run.customer.day + args.amount_usd > 100, people=2),
        limits=CallLimits(timeout_s=20),
        circuit=Circuit("bank", failures=3),
    )

    effect of an interrupted attempt   honours_key ─▶ run again under the same key
                                       verify      ─▶ ask whether it happened
                                       neither     ─▶ unknown: a person looks
"""

import re
from collections.abc import Callable, Mapping
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Literal, TypeVar

from pydantic import TypeAdapter, ValidationError

from ballast.contracts import RunRequest
from ballast.contracts.wire import Name
from ballast.errors import PlaybookInvalid
from ballast.masking import in_utf8
from ballast.playbook.context import ToolContext
from ballast.playbook.rules import WrongReturn, run_rule, wants_run
from ballast.validation import ARGUMENT_BYTES, DEPTH, RESULT_BYTES
from ballast.values import dataclass

if TYPE_CHECKING:
    from ballast.playbook.rules import RunSoFar

#: The executor's Lambda has 60 s, of which it needs some to record the outcome.
MAX_TIMEOUT_S = 50
#: More approvers than this are not found in practice.
MAX_PEOPLE = 9
_CIRCUIT_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_GROUP: TypeAdapter[str] = TypeAdapter(Name)

WordT = TypeVar("WordT", bound=StrEnum)


class Effect(StrEnum):
    """The kind of a tool's ``effect``, as events and the runtime name it."""

    READ = "read"
    WRITE = "write"


class Repeat(StrEnum):
    """Whether the same canonical arguments may act again in one run.

    once   no: a repeat gets the recorded result, with a notice
    allow  yes
    ask    only if a person approves
    """

    ONCE = "once"
    ALLOW = "allow"
    ASK = "ask"


class OnRollback(StrEnum):
    """What a rollback does about an effect of the tool.

    undo    propose the recorded undo
    keep    leave it: it is right however the run ends
    freeze  undo nothing of the run, and ask a person
    """

    UNDO = "undo"
    KEEP = "keep"
    FREEZE = "freeze"


class OnUnanswered(StrEnum):
    """What follows if nobody answers a request for approval in time. A timeout is not a rejection.

    refuse    the planner is told that nobody answered, and continues without the call
    fallback  another planner takes over
    park      people are asked again, and have the agent's ``park_timeout_s``
    """

    REFUSE = "refuse"
    FALLBACK = "fallback"
    PARK = "park"


@dataclass(frozen=True, kw_only=True)
class Read:
    """The effect of a tool that changes nothing.

    repeat   None: it runs as often as it is called. "allow": the same, and the tool is polled, so repeating a call is
             no loop. "once": the same arguments again in a run get the recorded result. "ask": a person approves that
    outward  whether its arguments leave the company (a URL, a mail address, a webhook); its ``taint`` is then
             "approve", as for a write
    """

    repeat: Literal["once", "allow", "ask"] | None = None
    outward: bool = False


@dataclass(frozen=True, kw_only=True)
class Write:
    """The effect of a tool that changes something: how it is verified, repeated and undone, and what money it moves.

    undo             the name of the tool that undoes it; a rollback proposes it, newest effect first
    undo_arguments   (args, result as JSON) -> the undo's arguments; None: the call's own arguments
    undo_gives_back  whether a successful undo returns the call's amount to the windows
    verify           (args, ctx) -> the result of the effect under ``ctx.idempotency_key``; None if it did not happen
                     and can no longer happen; True for a tool that returns nothing
    honours_key      whether running it again under the same ``ctx.idempotency_key`` has no second effect, and ends as
                     the first run did: if the first one acted, a second one does not refuse
    repeat           whether the same arguments may act again in one run: ``Repeat``. None: "once"
    on_rollback      what a rollback does about it: ``OnRollback``. None: "undo" if ``undo`` names a tool that has
                     ``verify`` or ``honours_key``, else "freeze"
    moves            (args, request) -> the business's own money that the call moves: a Decimal or an integer, 0 or
                     more, in the currency of ``agent.yaml``. None: nothing
    moves_key        (args, ctx) -> the customer whose windows count the amount, a text of 1 to 256 characters; may
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
                   text with the reason; False or None for no. None instead of a function: the tool has no rule of its
                   own, and the other fields apply if something else asks (its taint, its cost, a repeat)
    people         how many different people must approve, 1 to 9; one rejection rejects
    approvers      the group that they must belong to; None: every reviewer may approve
    on_unanswered  what follows if nobody answers in time: ``OnUnanswered``. None: the agent's setting
    precondition   (args, ctx) -> the facts that an approval relies on, as JSON. If they differ when the call is
                   about to act, the approval is void
    """

    if_: Callable[..., bool | str | None] | None
    people: int = 1
    approvers: str | None = None
    on_unanswered: Literal["refuse", "fallback", "park"] | None = None
    precondition: Callable[[Any, ToolContext], Any] | None = None

    def why(self, tool: str, args: Any, request: RunRequest, run: "Callable[[], RunSoFar]") -> str | None:
        """Return why the rule asks for a person's approval, None if it does not. ``tool`` is the tool's name.

        ``run`` reads the whole log, so it is called only for a rule that ``wants_run``. Raises ``RuleViolation`` if
        the rule fails.
        """
        rule = self.if_
        if rule is None:
            return None
        what = f"{tool}: approval.if_"
        given = (args, request, run()) if wants_run(rule) else (args, request)

        def asks() -> str | None:
            said: Any = rule(*given)
            if isinstance(said, str):
                return in_utf8(said) or None
            if said is None or isinstance(said, bool):
                return f"the approval rule of {tool} asks for it" if said else None
            raise WrongReturn(said, "True, False, None, or a text that says why a person must look")

        return run_rule(what, asks, rule)


#: The default of ``@tool``.
NO_APPROVAL = Approval(if_=None)


@dataclass(frozen=True, kw_only=True)
class CallLimits:
    """Limits of one call: its size, and the time of an attempt.

    timeout_s       seconds, more than 0 and at most 50; a longer attempt is given up, and a write is then resolved
                    like an interrupted one. None: as long as the Lambda has
    argument_bytes  size of its arguments as JSON, in bytes of UTF-8; a larger call is refused
    result_bytes    size of its result, likewise; a read with a larger one fails, a write's result is not recorded
    depth           levels of objects and lists, of arguments and of results
    """

    timeout_s: float | None = None
    argument_bytes: int = ARGUMENT_BYTES
    result_bytes: int = RESULT_BYTES
    depth: int = DEPTH


#: The default of ``@tool``.
USUAL_LIMITS = CallLimits()


@dataclass(frozen=True)
class Circuit:
    """The circuit of a downstream, shared by all tools and all processes that name it.

    name        1 to 64 ASCII letters, digits, dots, dashes and _
    failures    outages in a row that open it (counted per process)
    recovery_s  this many seconds it stays open; then one call probes
    per_requester  each requester's calls have one of their own: the downstream may fail for one of them alone
    """

    name: str
    failures: int = 5
    recovery_s: int = 30
    per_requester: bool = False


@dataclass(frozen=True)
class EffectPolicy:
    """The declared effect, checked and with its defaults filled in.

    repeat       default: once for writes, allow for reads
    polled       a read that declares "allow": repeating the same call is no loop
    verify       as declared
    honours_key  as declared
    replays      a repeated key brings the first attempt's answer: a refusal then is about the first one too
    look_before  ``verify`` looks by what is not the call's alone, such as its arguments. So it is asked before the
                 first attempt as well, and what it finds later is believed only if it found nothing then
    on_rollback  None if it is not declared: undo if the tool has one, else freeze
    """

    repeat: Repeat = Repeat.ALLOW
    polled: bool = False
    verify: Callable[[Any, Any], Any] | None = None
    honours_key: bool = False
    replays: bool = False
    look_before: bool = False
    on_rollback: OnRollback | None = None

    @property
    def resolvable(self) -> bool:
        """Whether an interrupted attempt can be resolved without a person."""
        return self.honours_key or self.verify is not None


def effect_policy(where: str, effect: Read | Write) -> EffectPolicy:
    """Check a tool's effect and fill in its defaults. ``where`` names the tool. Raises ``PlaybookInvalid``."""
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
        replays=effect.honours_key,
        on_rollback=on_rollback,
    )


def checked_approval(where: str, approval: Approval | None) -> Approval:
    """Check a tool's approval; ``NO_APPROVAL`` stands for none. Raises ``PlaybookInvalid``."""
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
    """Check the limits of a tool's calls. Raises ``PlaybookInvalid``."""
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
    """Check the circuit that a tool names. Raises ``PlaybookInvalid``."""
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
    require_booleans(f"{where}: circuit", per_requester=circuit.per_requester)
    return circuit


def require_booleans(where: str, **flags: object) -> None:
    """Raise ``PlaybookInvalid`` for the first of a tool's flags that is not a boolean."""
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
