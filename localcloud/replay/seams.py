"""The names that are replaced while a machine is open: where the handlers meet the oracle.

A handler's module is found by the template's ``Handler``, and other modules through the classes that it imports. A name
that is gone raises ``SeamBroken``.
"""

from __future__ import annotations

import hashlib
import json
import sys
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, replace
from types import ModuleType
from typing import TYPE_CHECKING, Any

from ballast import errors
from ballast.attachments.store import Attachments
from ballast.breaker_reader import Breakers
from ballast.contracts import RunRequest
from ballast.errors import AttemptInProgress, ProcessEnds
from ballast.log.run_log import RunLog
from ballast.money import TokenCounts
from ballast.money.moves import MOST, Ceilings, Move
from ballast.moves_table import MovesTable, NoRoom, Reservation
from ballast.playbook import Playbook, Tool
from ballast.runtime import Runtime
from ballast.table import Put, Table, Update
from localcloud.moto_seams.replaced import replaced
from localcloud.replay.lane import Wanted
from localcloud.replay.oracle import Failed, Ran, reply_of
from localcloud.replay.tables import MemoryTable

if TYPE_CHECKING:
    from localcloud.replay.machine import Machine

#: Ceilings that let everything move that may be written in a run.
_EVERYTHING = Ceilings(*[MOST * 1_000] * 7)


class Services:
    """A session whose clients take what the functions send: events, messages, files."""

    region_name: str

    def __init__(self, machine: Machine) -> None:
        self._machine = machine
        self.region_name = machine.lane.region

    def client(self, service: str, **_: Any) -> Any:
        """Return a client of ``service``: itself."""
        return self

    def put_events(self, **sent: Any) -> Mapping[str, Any]:
        """Take events."""
        return {"FailedEntryCount": 0, "Entries": [{"EventId": "replay"}]}

    def send_message(self, **sent: Any) -> Mapping[str, Any]:
        """Take a message. A reply fails where the record says so."""
        replied = self._machine.playing.recorded.by_seq.get("9999.run.replied")
        if "ballast-reply" in sent["QueueUrl"] and replied is not None and replied.body.get("error"):
            raise errors.SettingInvalid("as recorded")
        return {}


class _Once:
    """At most one run of an effect under its key, in the form in which Powertools records it."""

    def __init__(self, machine: Machine, table: MemoryTable) -> None:
        self._machine, self._table = machine, table

    def run(self, key: str, effect: Callable[[], dict[str, Any]], context: Any) -> dict[str, Any]:
        """As ``Once.run`` of the executor."""
        now_ms = int(self._machine.playing.now.timestamp() * 1000)
        place = {"id": f"call#{hashlib.sha256(json.dumps(key).encode()).hexdigest()}"}
        there = self._table.get(place)
        if there is not None and there["status"] == "COMPLETED":
            found: dict[str, Any] = json.loads(there["data"])
            return found
        if there is not None and there["in_progress_expiry"] > now_ms:
            raise AttemptInProgress(f"{key}: another attempt at this call has not ended; try again.")
        lease = {"status": "INPROGRESS", "in_progress_expiry": now_ms + context.get_remaining_time_in_millis()}
        self._table.write(Put({**place, **lease}))
        try:
            outcome = effect()
        except ProcessEnds:
            raise
        except Exception:
            self._table.delete(place)
            raise
        done = {"status": "COMPLETED", "data": json.dumps(outcome)}
        self._table.write(Update(place, set=done))
        return outcome


@dataclass(frozen=True)
class _Asked:
    """A tool that is about to run, or a ``verify`` that is about to be asked."""

    tool: Tool
    args: Any
    context: Any

    @property
    def at(self) -> tuple[int, int]:
        """The position of the call."""
        return self.context.turn, self.context.index


class _Downstreams:
    """What the tools reach: nothing."""

    def ready(self, tool: Tool, args: Any, context: Any) -> _Asked:
        """Return what ``run_tool`` takes."""
        return _Asked(tool, args, context)


class Seams:
    """The names that are replaced while a machine is open. A name that is gone raises ``SeamBroken``."""

    def __init__(self, machine: Machine, stack: ExitStack) -> None:
        self._machine, self._stack = machine, stack
        #: The record's words for the windows without room, from the reservation on until they are told.
        self._full: str | None = None

    def _put(self, owner: Any, name: str, value: Any) -> None:
        self._stack.enter_context(replaced(owner, name, value))

    def of_the_layer(self) -> None:
        """The log, the tables, the breaker, the moves: one for all functions."""
        machine = self._machine
        self._put(RunLog, "of", classmethod(lambda cls, *_, **__: machine.log))
        self._put(Table, "of", classmethod(lambda cls, runtime, name, variable: machine.tables.table(name, variable)))
        digest = vars(RunRequest)["digest"].fget
        self._put(RunRequest, "digest", property(lambda request: machine.playing.digest_of(request, digest(request))))
        self._put(Breakers, "current_mode", lambda *_, **__: self._mode())
        reserve = vars(MovesTable)["reserve"]

        def reserved(table: MovesTable, move: Move, by: str, ceilings: Ceilings) -> Reservation | NoRoom:
            at, config = (move.turn, move.index), machine.playbook.agent.moves
            wanted = Wanted(move.micro, move.customer, ceilings, config.on_full, config.currency)
            self._full = machine.oracle.no_room(at, wanted)
            if self._full is not None:
                return NoRoom(move.claims(ceilings))
            taken: Reservation | NoRoom = reserve(table, move, by, ceilings)
            if isinstance(taken, Reservation):
                machine.oracle.may_lack_room(at, wanted)
            if isinstance(taken, NoRoom) and machine.oracle.had_room(at):
                taken = reserve(table, move, by, _EVERYTHING)
            return taken

        counted = vars(MovesTable)["moved"]

        def moved(table: MovesTable, move: Any) -> dict[tuple[str, str], int]:
            others = machine.oracle.moved_by_others((move.turn, move.index))
            own = move.places[0]
            return {place: micro + (others if place != own else 0) for place, micro in counted(table, move).items()}

        self._put(MovesTable, "reserve", reserved)
        self._put(MovesTable, "moved", moved)
        self._put(Attachments, "checked", lambda store, tenant, run_id, one: self._file(one))

    def _mode(self) -> Any:
        machine, invocation = self._machine, self._machine.invocation
        turn = invocation.turn if invocation is not None and invocation.function == "AgentFunction" else None
        return machine.oracle.mode(machine.playbook.in_region(machine.lane.region), turn)

    def _file(self, one: Any) -> Any:
        from ballast.folds.calls import kept_files

        opened = self._machine.playing.recorded.opened
        known = kept_files(opened.attachments) if opened is not None else ()
        return next(kept for kept in known if kept.name == one.name)

    def of_module(self, module: ModuleType, load: Callable[..., Playbook]) -> None:
        """Replace what the module of a handler uses."""
        names = vars(module)
        if "load_playbook" in names:
            self._put(module, "load_playbook", load)
        if "Converse" in names:
            self._of_the_agent(module)
        if "Once" in names:
            self._of_the_executor(module)
        if "Leases" in names:
            self._of_leases(module)

    def _of_leases(self, module: ModuleType) -> None:
        machine = self._machine
        kind = vars(module)["Leases"]
        lease, extend = (vars(kind)[name] for name in ("lease", "extend"))

        def leased(leases: Any, request: Any, microusd: int, **how: Any) -> Any:
            refused = machine.oracle.admission(microusd)
            if refused is not None:
                error, message, opens_at = refused
                raise getattr(errors, error)(message, opens_at=opens_at)
            return lease(leases, request, microusd, **how)

        def extended(leases: Any, held: Any, turn: int, microusd: int) -> Any:
            error = machine.oracle.extension(turn)
            if error is not None:
                raise getattr(errors, error)("as recorded")
            return extend(leases, held, turn, microusd)

        if lease.__name__ == "lease":  # two functions have it
            self._put(kind, "lease", leased)
            self._put(kind, "extend", extended)

    def _of_the_agent(self, module: ModuleType) -> None:
        machine = self._machine
        converse = sys.modules[vars(module)["Converse"].__module__]
        agent = sys.modules[vars(module)["Agent"].__module__]
        read = vars(agent)["read_completion"]
        failure, circuit_open = vars(converse)["ModelFailure"], vars(agent)["CircuitOpen"]
        of_the_model = vars(converse)["is_of_model"]
        usage_of, timeouts = vars(sys.modules[read.__module__])["ReadUsage"], vars(converse)["_timeouts"]

        class Model:
            def __init__(self, timeout_s: int) -> None:
                self._timeouts_s = timeouts(timeout_s)

            @classmethod
            def of(cls, _runtime: Runtime, *, timeout_s: int, **_: Any) -> Model:
                return cls(timeout_s)

            def reply(self, request: Any, *, within_s: float) -> Any:
                invocation = machine.invocation
                assert invocation is not None
                assert invocation.turn is not None
                asked = machine.playing.run.turn(invocation.turn)
                attempt = sum(event.name == "model.requested" for event in asked.events)
                machine.oracle.asked(request)
                cut_s = next((one for one in self._timeouts_s if one <= within_s), self._timeouts_s[-1])
                found = machine.oracle.within(machine.oracle.completion(invocation.turn, attempt), cut_s)
                if isinstance(found, Failed):
                    of_model = found.of_model
                    if of_model is None:
                        of_model = of_the_model(found.reason, found.detail)
                    raise failure(found.reason, found.again, found.charged, found.detail, found.retry_after_s, of_model)
                return found

        class Circuits:
            def __init__(self, _runtime: Runtime, _table: str) -> None:
                """No circuit: the record says which model was passed over."""

            def call(self, model_id: str, ask: Callable[[], Any]) -> Any:
                invocation = machine.invocation
                assert invocation is not None
                assert invocation.turn is not None
                if machine.oracle.circuit_is_open(invocation.turn, model_id):
                    raise circuit_open(f"The circuit of {model_id} is open: it failed 5 times in a row.")
                return ask()

        def read_completion(event: Any, turn: int) -> Any:
            if isinstance(event, Mapping):
                return read(event, turn)  # a reply that a candidate's own model gave
            completion = read(reply_of(event), turn)
            fact = event.fact
            tokens = None
            if fact.input_tokens is not None:
                hour = fact.cache_write_1h_tokens or 0
                tokens = TokenCounts(
                    input=fact.input_tokens,
                    output=fact.output_tokens or 0,
                    cache_read=fact.cache_read_tokens or 0,
                    cache_write_5m=(fact.cache_write_tokens or 0) - hour,
                    cache_write_1h=hour,
                )
            return replace(completion, usage=usage_of(tokens))

        self._put(module, "Converse", Model)
        self._put(module, "Circuits", Circuits)
        self._put(module, "sleep", lambda seconds: None)
        self._put(agent, "read_completion", read_completion)
        self._put(agent, "with_content", lambda request, contents: request)

    def _of_the_executor(self, module: ModuleType) -> None:
        machine = self._machine
        moving = vars(sys.modules[vars(module)["MovesStore"].__module__])["Moving"]
        no_room_text = vars(moving)["_no_room_text"]

        def no_room(moves: Any, tool: str, full: NoRoom, ceilings: Ceilings) -> str:
            words, self._full = self._full, None
            told: str = no_room_text(moves, tool, full, ceilings) if words is None else words
            return told

        self._put(moving, "_no_room_text", no_room)
        effects = sys.modules[vars(module)["Effects"].__module__]
        outcome, doubt, nothing = (vars(effects)[name] for name in ("CallOutcome", "InDoubt", "NothingDone"))

        class Once:
            @classmethod
            def of(cls, _runtime: Runtime, table_name: str) -> _Once:
                return _Once(machine, machine.tables.table(table_name, "IDEMPOTENCY_TABLE"))

        class Downstreams:
            @classmethod
            def of(cls, _runtime: Runtime, _table: str) -> _Downstreams:
                return _Downstreams()

        def ended(ran: Ran) -> Any:
            match ran.kind:
                case "doubt" | "answered":
                    return doubt(ran.message, answered=ran.kind == "answered", cause=None)
                case "nothing":
                    return nothing(ran.message, cause=errors.RetryLater(ran.message))
            settled = ran.settled
            assert settled is not None
            told = settled.model_fields_set
            return outcome(
                settled.status,
                result=settled.result,
                message=settled.message if "message" in told else None,
                notice=settled.notice if "notice" in told else None,
                defect=settled.defect,
                circuit=settled.circuit,
                left_out=settled.left_out,
                attachments=tuple(settled.attachments),
            )

        def run_tool(tool: Tool, asked: _Asked, _cut: Any) -> Any:
            ran = machine.oracle.run_of(asked.at, tool.name, writes=tool.effect == "write")
            bill = asked.context.bill
            bill.begun = True
            bound_microusd = tool.worst_cost(asked.args, asked.context.request)
            bill.reported = machine.oracle.charged(ran, tool, bound_microusd)
            return ended(ran)

        def looked(_tool: Tool, look: Any, _cut: Any) -> str | None:
            return machine.oracle.looked(look.__self__.attempt.at)

        def found(_tool: Tool, verify: Any, _cut: Any, **_: Any) -> Any:
            ran = machine.oracle.verified(verify.__self__.attempt.at)
            return None if ran is None else ended(ran)

        attempt = sys.modules[vars(module)["History"].__module__]
        ground = vars(attempt)["ground"]

        def grounded(args: Any, *sources: Any, **how: Any) -> Any:
            found = ground(args, *sources, **how)
            invocation, hidden = machine.invocation, machine.hidden(args)
            if not hidden or invocation is None or invocation.turn is None or invocation.index is None:
                return found
            return machine.oracle.grounding((invocation.turn, invocation.index), found, hidden)

        self._put(attempt, "ground", grounded)
        moves = sys.modules[vars(module)["MovesStore"].__module__]
        # ``_moves_key`` gives the account itself, as it is recorded.
        self._put(moves, "of_customer", lambda tenant, key: key)
        self._put(module, "Once", Once)
        self._put(module, "Downstreams", Downstreams)
        self._put(effects, "run_tool", run_tool)
        self._put(effects, "found", found)
        self._put(effects, "looked", looked)
