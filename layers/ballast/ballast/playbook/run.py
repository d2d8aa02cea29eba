"""What a rule of a tool may look at besides the call itself: the run so far, and what was moved so far."""

from dataclasses import dataclass
from decimal import Decimal

from ballast.folds.calls import CallState
from ballast.folds.usage import Usage
from ballast.money.moves import units
from ballast.run import Run


@dataclass(frozen=True)
class InWindow:
    """What was moved in this hour and in this day (UTC) before the call, in the playbook's currency."""

    hour: Decimal
    day: Decimal


@dataclass(frozen=True)
class MovedSoFar:
    """What was moved before this call, by all runs: what is reserved and not known to have failed counts.

    run       in this run
    customer  for the customer that the tool's ``moves_key`` names; None where it has none
    """

    run: Decimal
    customer: InWindow | None
    tenant: InWindow
    everyone: InWindow


@dataclass(frozen=True)
class RunSoFar:
    """The run before this call.

    calls  every call proposed before it, in order, with what became of it
    usage  turns, calls, tokens and money so far
    moved  what it moved of the business's own money, in the playbook's currency

    ``customer``, ``tenant`` and ``everyone`` reach beyond the run. Only the ``Approval.if_`` of a tool with ``moves``
    may ask for them: it is asked once the call's own money is reserved, so of two calls at once one sees the other.
    """

    calls: tuple[CallState, ...]
    usage: Usage
    moved: Decimal = Decimal(0)
    windows: MovedSoFar | None = None

    @classmethod
    def before(cls, run: Run, turn: int, index: int, windows: MovedSoFar | None = None) -> "RunSoFar":
        """Return what the log says of the run before the call at that position."""
        earlier = tuple(state for state in run.calls if state.position < (turn, index))
        if windows is not None:
            return cls(earlier, run.usage, windows.run, windows)
        micro = sum(move.micro for move in run.moves if move.counts and (move.turn, move.index) < (turn, index))
        return cls(earlier, run.usage, units(micro))

    def done(self, tool: str) -> tuple[CallState, ...]:
        """Return the calls of that tool that happened."""
        return tuple(state for state in self.calls if state.call.tool == tool and state.status == "ok")

    @property
    def customer(self) -> InWindow:
        """What was moved for the customer that the tool names. Raises ``LookupError`` where it names none."""
        found = self._windows.customer
        if found is None:
            raise LookupError("run.customer: the tool has no moves_key. Give it one: moves_key=lambda args, ctx: …")
        return found

    @property
    def tenant(self) -> InWindow:
        """What was moved for the run's tenant."""
        return self._windows.tenant

    @property
    def everyone(self) -> InWindow:
        """What was moved by all runs."""
        return self._windows.everyone

    @property
    def _windows(self) -> MovedSoFar:
        if self.windows is None:
            raise LookupError("run.customer, .tenant and .everyone are only for approval.if_ of a tool with moves=….")
        return self.windows
