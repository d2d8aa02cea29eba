"""The ceilings on the business's own money, as an operator sees and corrects them (``ballast budget``)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any

from pydantic import Field

from ballast.contracts.task import RunId, Turn
from ballast.contracts.wire import Wire
from ballast.errors import InvalidInput, RetryLater
from ballast.log.run_log import RunLog
from ballast.money.moves import OWN, Ceilings, Move, of_customer
from ballast.moves import CeilingsSet, MovesBook
from ballast.playbook import Playbook, load_playbook
from ballast.runtime import Runtime, Settings


class PlaybookSettings(Settings):
    """playbook_dir: folder of the playbook, whose agent.yaml has the ceilings."""

    playbook_dir: str


class DoubtfulMove(Wire):
    """What an operator found out about a call whose effect is unknown: whether its money has moved."""

    run_id: RunId
    turn: Turn
    index: Annotated[int, Field(ge=1)]
    happened: bool


@dataclass(frozen=True)
class MovesAllowances:
    """Shows what was moved under which ceilings, and takes an operator's word where an effect is unknown."""

    log: RunLog
    playbook: Playbook
    runtime: Runtime

    @classmethod
    def of(cls, runtime: Runtime) -> MovesAllowances:
        """Put it together; once per runtime."""
        return cls(runtime.get(RunLog.of), load_playbook(PlaybookSettings.of(runtime).playbook_dir), runtime)

    def shown(self, tenant: str | None, customer: str | None) -> dict[str, Any]:
        """Return what is to be shown under ``moves``; nothing where no tool moves money."""
        if not self.playbook.moves_money:
            return {}
        config = self.playbook.agent.moves
        account = of_customer(tenant, customer.strip()) if tenant and customer else None
        sets = self.runtime.get(CeilingsSet)
        everyone, own, customers = sets.items(tenant or "", account)
        ceilings = config.ceilings.as_set(everyone, own if tenant else {}, customers)
        windows = self._windows(tenant, account, ceilings)
        whose = customers if account else own if tenant else everyone
        return {
            "moves": {
                "currency": config.currency,
                "windows": windows,
                "run": ceilings.run,
                "each_customer": {"hour": ceilings.customer_hour, "day": ceilings.customer_day},
                "set": sorted(name for name in whose if not account or name in OWN),
            }
        }

    def _windows(self, tenant: str | None, account: str | None, ceilings: Ceilings) -> list[dict[str, Any]]:
        move = Move.at(
            self.runtime.clock(), run_id="-", turn=0, index=0, tenant=tenant or "-", customer=account, micro=0
        )
        counted = self.runtime.get(MovesBook.of).moved(move)
        # Of the customer, the tenant, or all: the first two of the places that are about it.
        first = 1 if account or tenant else 3
        claims = move.claims(ceilings)[first : first + 2]
        return [{"window": one.window, "limit": one.limit, "moved": counted[one.account, one.window]} for one in claims]

    def correct(self, move: DoubtfulMove) -> None:
        """Settle the reservation of a call whose effect is unknown, as a person found it. Raises ``InvalidInput``."""
        book, run = self.runtime.get(MovesBook.of), self.log.read(move.run_id)
        where = f"move: {move.run_id} turn {move.turn} call {move.index}"
        held = book.find(move.run_id, move.turn, move.index)
        if held is None:
            raise InvalidInput(f"{where} has reserved nothing. `ballast trace` shows the calls of a run.")
        state = run.call(move.turn, move.index)
        # Of a run that has ended nobody else settles it, whatever the log says of the call.
        doubtful = run.has_ended or (state is not None and state.status == "unknown")
        if held.status != "begun" or not doubtful:
            raise InvalidInput(f"{where} is {held.status} and in no doubt; only an unknown effect is settled by hand.")
        if not book.settle(held, "kept" if move.happened else "returned"):
            raise RetryLater(f"{where} was just settled; look again.")
