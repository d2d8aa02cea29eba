"""Lambda: execute one proposed call. The only function that may touch the business's tables."""

from typing import Any

from ballast.contracts import ExecuteTask
from ballast.contracts.wire import parse
from ballast.edge import guarded
from ballast.log.run_log import RunLog
from ballast.log.seal import Seal
from ballast.log.signature import Signatures
from ballast.metrics import metric_line
from ballast.playbook import load_playbook
from ballast.runtime import Runtime, Settings, lambda_runtime
from functions.executor.circuit import Circuits
from functions.executor.executor import Executor
from functions.executor.history import History
from functions.executor.moving import MovesStore
from functions.executor.once import Once, OnceSettings
from functions.executor.recorded import Recorded


class ExecutorSettings(Settings):
    """The executor's environment.

    playbook_dir  folder of the playbook; the names of the business's tables, which its tools
                  read themselves, stand beside it
    """

    playbook_dir: str


def build(runtime: Runtime) -> Executor:
    """Put the executor together; once per runtime."""
    playbook = load_playbook(ExecutorSettings.of(runtime).playbook_dir)
    log = RunLog.of(runtime, Seal.of(runtime, playbook), runtime.get(Signatures.of))
    return Executor(
        log=log,
        recorded=Recorded(OnceSettings.of(runtime).table(runtime), log, runtime.clock),
        once=Once.of(runtime),
        circuits=Circuits.of(runtime),
        playbook=playbook,
        moves=MovesStore.of(runtime),
        emit=runtime.emit,
        clock=runtime.clock,
        environ=runtime.environ,
        client=runtime.client,
    )


@guarded
def lambda_handler(event: dict[str, Any], context: Any, *, runtime: Runtime | None = None) -> dict[str, Any]:
    """Execute the call of ``event`` (an ``ExecuteTask``); return its status and the run's deadlines.

    An approval renews the deadlines, and only its output leaves a Map's iteration.
    """
    runtime = runtime or lambda_runtime()
    executor = runtime.get(build)
    task = parse(ExecuteTask, event, what="ExecuteTask")
    history = History.of(executor.log, task)
    state = history.call(task.turn, task.index)
    status = executor.execute(task, history, context)
    if state is not None and not state.ended:  # a retry of what is recorded already is no other call
        runtime.emit(metric_line({"ToolCalls": 1, "RefusedCalls": int(status == "refused")}))
    opened = history.opening
    return {"status": status, "agent_until_ms": opened.agent_until_ms, "deadline_ms": opened.deadline_ms}
