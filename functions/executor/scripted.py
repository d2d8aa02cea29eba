"""Whether the fallback's script really asks for the call that is proposed in its name. A step of the executor."""

from ballast.contracts import CallTools, Planner
from ballast.contracts.wire import canonical
from ballast.errors import NotVouched
from ballast.playbook.script import next_decision
from functions.executor.attempt import Attempt
from functions.executor.call_outcome import CallOutcome


def scripted(attempt: Attempt) -> CallOutcome | None:
    """Let the fallback go on with what its script asks for here. Raises ``NotVouched``.

    A script is a pure function of the request and the results, so the executor runs it, too: what the log says that it
    proposed is not enough.
    """
    if attempt.state.planner is not Planner.FALLBACK:
        return None
    task, playbook = attempt.task, attempt.playbook
    script = playbook.fallbacks.get(attempt.request.intent or "")
    before = attempt.history.run.before(task.turn)
    decision = next_decision(playbook, script, attempt.request, before)[0] if script is not None else None
    asked = decision.calls if isinstance(decision, CallTools) else ()
    call = attempt.state.proposed or attempt.state.call
    its = asked[task.index - 1] if task.index <= len(asked) else None
    if its is None or its.tool != call.tool or canonical(its.arguments) != canonical(call.arguments):
        raise NotVouched(
            f"The script for {attempt.request.intent} does not call {call.tool} so here. Nothing was done."
        )
    return None
