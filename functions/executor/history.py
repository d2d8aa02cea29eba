"""What a step of the executor reads of the run: one turn at first, the whole log where a rule needs it."""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property

from ballast.contracts import ExecuteTask
from ballast.folds.calls import CallState
from ballast.folds.opening import Opening
from ballast.log.event import Event
from ballast.log.run_log import RunLog
from ballast.playbook import RunSoFar
from ballast.playbook.run import MovedSoFar
from ballast.run import Run


class History:
    """The run of one task, read once each.

    A plain read of a tool costs as many bytes however long the run is: only ``turn`` is read. A rule that is a
    fold over the run (repeats, grounding) reads ``run``, and only for the tools that it is about.
    """

    def __init__(
        self,
        turn: Callable[[], Run],
        run: Callable[[], Run],
        unsigned: Callable[[], tuple[Event, ...]] = tuple,
    ) -> None:
        self._read_turn, self._read_run, self._read_unsigned = turn, run, unsigned

    @classmethod
    def of(cls, log: RunLog, task: ExecuteTask) -> History:
        """Return the history that ``log`` has of the task's run."""
        return cls(
            lambda: log.read_turn(task.run_id, task.turn),
            lambda: log.follow(task.run_id, task.turn),
            lambda: tuple(event for event in log.unsigned(task.run_id) if event.turn == task.turn),
        )

    @cached_property
    def turn(self) -> Run:
        """The run's opening and the events of the task's turn."""
        return self._read_turn()

    @property
    def unsigned(self) -> tuple[Event, ...]:
        """What claims to be a person's in that turn and is not signed: no part of ``turn``."""
        return self._read_unsigned() if self.turn else ()

    @cached_property
    def run(self) -> Run:
        """The run, strongly consistent; see ``RunLog.follow``. Not older than ``turn``."""
        return self._read_run()

    @property
    def opening(self) -> Opening:
        """How the run began, with the deadlines as its turn renewed them."""
        return self.turn.opening

    def add(self, event: Event) -> None:
        """Take note of what this attempt itself has recorded in the task's turn."""
        if event.seq not in self.turn.by_seq:
            self.turn = self.turn.with_event(event)
        self.renew()

    def read_again(self) -> None:
        """Read the task's turn again when it is asked for: another attempt may have written since."""
        vars(self).pop("turn", None)
        self.renew()

    def renew(self) -> None:
        """Read the whole run again when it is asked for."""
        vars(self).pop("run", None)

    def call(self, turn: int, index: int) -> CallState | None:
        """Return the call at that position of the task's turn, or None where nobody proposed it."""
        return self.turn.call(turn, index)

    def so_far(self, task: ExecuteTask, windows: MovedSoFar | None = None) -> RunSoFar:
        """Return the run before the task's call, for a rule of its tool; ``windows``: what was moved by all runs."""
        return RunSoFar.before(self.run, task.turn, task.index, windows)
