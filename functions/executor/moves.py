"""The business's own money that a call moves: reserved before people are asked, begun with the tool, settled after it.

::

    windows have room ─▶ reserved ─▶ Approval.if_ sees what was moved so far ─ asks ─▶ returned, until people answered
                                                                          └ goes on ─▶ begun ─▶ the tool ─▶ settled
    no room ─▶ MoveRefused; with ``on_full: ask`` a person is asked first, and the call is refused after that, unless an
               operator has raised the ceiling meanwhile

The money is reserved before ``Approval.if_`` looks, so that of two simultaneous calls at least one sees the other. It
is returned while people are asked: the windows that count are those of the time when the money moves. A tool without
``moves`` makes no request here.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from pydantic import BaseModel

from ballast.aws_errors import consequences
from ballast.contracts import ExecuteTask
from ballast.errors import MoveRefused, RetryLater
from ballast.log.events import Moves
from ballast.masking import error_text
from ballast.money.moves import Ceilings, Move, of_customer, of_run, units, whose
from ballast.money.windows import ACCOUNT, ends, of_tenant
from ballast.moves_table import CeilingsSet, MovesTable, NoRoom, Reservation, Status
from ballast.playbook import Playbook, Tool, ToolContext, ToolFailed
from ballast.playbook.rules import InWindow, MovedSoFar, run_rule
from ballast.runtime import Runtime
from ballast.values import dataclass
from functions.executor.attempt import Attempt
from functions.executor.record import CallOutcome, Position, Recorded


@dataclass(frozen=True)
class MovesStore:
    """The table of moves and the operators' ceilings, both connected at the first call of a tool that moves money."""

    table: Callable[[], MovesTable]
    ceilings: Callable[[], CeilingsSet]

    @classmethod
    def of(cls, runtime: Runtime) -> MovesStore:
        """Return the store of ``runtime``."""
        return cls(lambda: runtime.get(MovesTable.of), lambda: runtime.get(CeilingsSet))


class Moving:
    """The money that one attempt at a call moves; none for a tool without ``moves``.

    no_room  why the windows have no room, where the playbook says ``on_full: ask``
    """

    def __init__(self, store: MovesStore, playbook: Playbook, by: str) -> None:
        self._store, self._playbook, self._config, self._by = store, playbook, playbook.agent.moves, by
        self._move: Move | None = None
        self._held: Reservation | None = None
        self._back = False
        self.no_room: str | None = None

    @property
    def begun(self) -> bool:
        """Whether the table of moves says that an earlier attempt at this call has passed the rules and begun.

        Only the executor writes that table, so a forged log cannot claim it.
        """
        return self._held is not None and self._held.status in ("begun", "kept")

    def reserve(self, attempt: Attempt) -> None:
        """Reserve the money of the call. Raises ``MoveRefused`` and the errors of the tool's ``moves_key``."""
        move = self._described(attempt)
        if move is None or not move.micro:
            return
        ceilings = self._store.ceilings().read(move.tenant, move.customer, self._config.ceilings)
        taken = self._store.table().reserve(move, self._by, ceilings)
        if isinstance(taken, Reservation):
            self._hold(taken, move)
            return
        why = self._no_room_text(attempt.tool.name, taken, ceilings)
        if self._config.on_full == "refuse" or attempt.state.approval:
            raise MoveRefused(why)
        self.no_room = why

    def resume(self, attempt: Attempt) -> None:
        """Find an earlier attempt's reservation for a call that has begun; without one, reserve.

        A log that says "begun" does not prove that money was reserved; the table of moves does.
        """
        found = self._store.table().find(attempt.task.run_id, attempt.task.turn, attempt.task.index)
        if found is None or found.status not in ("begun", "kept"):
            self.reserve(attempt)
            return
        try:
            move = self._described(attempt)
        except ToolFailed:  # what moves_key reads is gone; the call has begun all the same
            return
        if move is not None and move.micro:
            self._hold(found, move)

    def _hold(self, found: Reservation, move: Move) -> None:
        """Go on with a reservation. Raises ``MoveRefused`` where it began for another call."""
        if found.status != "held" and found.move.call_sha256 != move.call_sha256:
            raise MoveRefused("Another call at this position has begun to move money: somebody has changed the log.")
        self._held, self._move = found, found.move

    def _described(self, attempt: Attempt) -> Move | None:
        """Return the call's move as of now; None for a tool that moves nothing."""
        tool, task = attempt.tool, attempt.task
        if tool.moves is None:
            return None
        micro = tool.moves.micro(tool.name, attempt.args, attempt.request)
        tenant = attempt.request.tenant
        key = self._customer(tool, attempt.args, attempt.context)
        self._back = tool.moves.back
        self._move = Move.at(
            attempt.now,
            run_id=task.run_id,
            turn=task.turn,
            index=task.index,
            tenant=tenant,
            customer=of_customer(tenant, key) if key is not None else None,
            micro=micro,
            call_sha256=attempt.call_sha256,
        )
        return self._move

    def so_far(self) -> MovedSoFar | None:
        """Return the amounts moved before this call; None for a tool that moves nothing."""
        move = self._move
        if move is None:
            return None
        own = move.micro if self._held is not None else 0
        counted = {place: units(micro - own) for place, micro in self._store.table().moved(move).items()}

        def window(account: str) -> InWindow:
            return InWindow(counted[account, move.hour], counted[account, move.day])

        return MovedSoFar(
            run=counted[of_run(move.run_id), move.places[0][1]],
            customer=window(move.customer) if move.customer else None,
            tenant=window(of_tenant(move.tenant)),
            everyone=window(ACCOUNT),
        )

    def release(self, task: ExecuteTask, tool: str) -> None:
        """Return the money that this attempt, or a dead one, has reserved: the call does not act."""
        known = self._playbook.tools.get(tool)
        if known is None or known.moves is None:
            return
        held = self._held or self._store.table().find(task.run_id, task.turn, task.index)
        if held is not None:
            self._store.table().release(held)

    def begin(self) -> Moves | None:
        """Mark that the tool is about to run, and return the move for ``call.intended``; None without one.

        Raises ``RetryLater`` where nothing is reserved: no money moves without a reservation.
        """
        if self._move is None or not self._move.micro:
            return None
        if self._held is None:
            raise RetryLater(f"{self._move.run_id} turn {self._move.turn}: its move is not reserved; try again.")
        self._held = self._store.table().begin(self._held)
        return Moves(**self._held.move.recorded(back=self._back, unit=self._config.currency))

    def settle(self, attempt: Attempt, status: str) -> None:
        """Settle the reservation by the tool's outcome, whatever the log says; an unknown outcome leaves it begun."""
        if attempt.tool.moves is None or status not in _SETTLED:
            return
        task = attempt.task
        # If this attempt has not begun it, another one may have taken it over.
        held = self._held if self.begun else self._store.table().find(task.run_id, task.turn, task.index)
        if held is not None and held.status in ("held", "begun"):
            self._store.table().settle(held, _SETTLED[status])

    def _customer(self, tool: Tool, args: BaseModel, context: ToolContext) -> str | None:
        moves = tool.moves
        assert moves is not None

        def key() -> str | None:
            with consequences(f"What moves_key of {tool.name} reads"):
                return moves.customer(tool.name, args, context)

        what = f"{tool.name}: whose money it would move cannot be told; moves_key"
        return run_rule(what, key, moves.key, may_raise=(ToolFailed,), quoted=False)

    def _no_room_text(self, tool: str, full: NoRoom, ceilings: Ceilings) -> str:
        """Return a text for the model: the windows without room, with amounts of the run's and the customer's only."""
        assert self._move is not None
        currency = self._config.currency
        counted = self._store.table().moved(self._move)
        told = []
        for claim in full.claims:
            account = claim.account.partition("#")[0]
            left = max(0, claim.limit - counted[claim.account, claim.window])
            amounts = f" ({units(left)} of {units(claim.limit)} {currency} left)" if account in _ACCOUNTS_SHOWN else ""
            opens = f", which ends at {ends(claim.window):%Y-%m-%dT%H:%M}Z" if "#" in claim.window else ""
            told.append(f"{whose(claim)}{amounts}{opens}")
        return (
            f"{tool} would move {units(self._move.micro)} {currency}, and there is no room for it in "
            f"{' and '.join(told)}. Nothing was done. Do not split the amount: say that a colleague has to look at it. "
            "An approval does not lift this ceiling; an operator raises it with `ballast budget`."
        )


#: The status of a move by its call's outcome; any other outcome leaves the move begun.
_SETTLED: Mapping[str, Status] = {"ok": "kept", "failed": "returned"}
#: The accounts whose amounts the model may read; those of a tenant or of all are confidential.
_ACCOUNTS_SHOWN = ("moves", "customer")


def reserved(attempt: Attempt) -> CallOutcome | None:
    """Reserve the money that the call moves. A rule. Raises ``MoveRefused``."""
    if attempt.tool.moves is None:
        return None
    if attempt.state.status == "intended":
        return _reserved(attempt, attempt.moving.resume)
    if attempt.is_with_people:
        return None  # nothing moves now
    return _reserved(attempt, attempt.moving.reserve)


def _reserved(attempt: Attempt, reserve: Callable[[Attempt], None]) -> CallOutcome | None:
    try:
        reserve(attempt)
    except ToolFailed as failed:  # what moves_key reads is not there
        return CallOutcome.without_effect("failed", attempt.cut(error_text(failed)))
    return None


def settled_by_own_record(store: MovesStore, recorded: Recorded, run_id: str, at: Position) -> None:
    """Settle the moves of a call, and of the effect that it undid, whose attempt died after its record.

    The executor's own record decides, because the log may be forged. Raises ``RetryLater``.
    """
    done = recorded.find(run_id, at)
    if done is None or done.status not in _SETTLED:
        return
    _settle(store, run_id, at, ("held", "begun"), _SETTLED[done.status])
    if done.status == "ok" and done.undoes is not None:
        undone(store, recorded, run_id, done.undoes)


def returned(store: MovesStore, run_id: str, at: Position) -> None:
    """Return the money reserved for a call that ended before an attempt began it. Raises ``RetryLater``."""
    _settle(store, run_id, at, ("held", "begun"), "returned")


def undone(store: MovesStore, recorded: Recorded, run_id: str, effect: Position) -> None:
    """Return the money of ``effect``, which a call has undone, to its windows, if its tool says so."""
    done = recorded.find(run_id, effect)
    if done is not None and done.gives_back:
        _settle(store, run_id, effect, ("begun", "kept"), "undone")


def _settle(store: MovesStore, run_id: str, at: Position, was: tuple[Status, ...], to: Status) -> None:
    held = store.table().find(run_id, *at)
    if held is not None and held.status in was and not store.table().settle(held, to):
        raise RetryLater(f"{run_id} turn {at[0]} call {at[1]}: its reservation keeps changing; try again.")
