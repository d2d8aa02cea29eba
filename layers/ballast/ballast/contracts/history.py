"""How many events a run may still take of its execution's history, which Step Functions ends at 25,000.

The workflow counts (``$history`` in ``agent.asl.yaml``: every state that was visited, and every retry) and gives each
planner the number. Who comes later needs room as well, so each stops at a line of its own::

    0 ────────────────────────────── 22,000 ─────────── 24,300 ──────── 24,800 ───── 25,000
      the agent, with what it wrote  │ rollback, fallback │ people again  │ Settle, the end
      still to be undone             └ history_limit      └ history_limit └ EndOfHistory: failed
"""

from ballast.contracts.wire import Wire

#: Where the agent, and where the planners after it, propose nothing more.
AGENT_STOPS, SCRIPTS_STOP = 22_000, 24_300
#: Events of a turn beside its calls: Plan with its retries, Decide, the Map.
TURN = 26
#: Events of a call at most: three rounds of approval, or retries of every kind, of Execute and of GiveUp.
#: ``agent.asl.yaml`` has the same number.
CALL = 150
#: Events of a turn that undoes one effect, with a retry or two.
UNDO = 26
#: What a turn with one call takes where nothing goes wrong: more turns, and more calls, can never be reached.
USUAL_TURN, USUAL_CALL = 18, 7


class HistoryUsed(Wire):
    """What a run has taken of its execution's history, and what it still has to: ``to_undo`` effects."""

    events: int = 0
    to_undo: int = 0

    def agent_has_room(self, calls: int = 1) -> bool:
        """Say whether another turn of the agent with so many calls fits, and all that comes after it."""
        return self.events + TURN + CALL * calls + UNDO * self.to_undo <= AGENT_STOPS

    def script_has_room(self, calls: int = 1) -> bool:
        """Say whether another turn of the rollback or the fallback fits."""
        return self.events + TURN + CALL * calls <= SCRIPTS_STOP


#: A playbook's limits beyond these are refused: nothing comes so far.
MOST_TURNS, MOST_CALLS = AGENT_STOPS // USUAL_TURN, AGENT_STOPS // USUAL_CALL
