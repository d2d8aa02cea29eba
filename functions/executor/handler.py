"""Lambda that executes one proposed call: the only function with rights to the business's tables."""

from functools import partial
from typing import Any

from ballast.attachments.store import Attachments
from ballast.contracts import ExecuteTask
from ballast.contracts.wire import parse
from ballast.edge import guarded
from ballast.log.run_log import LogSettings, RunLog
from ballast.log.seal import Seal, SealSettings
from ballast.log.signature import Signatures, SignatureSettings
from ballast.metrics import metric_line
from ballast.moves_table import CeilingsSettings, MovesSettings
from ballast.on_behalf import RequesterTokens, SealedTokensSettings
from ballast.playbook import load_playbook
from ballast.playbook.context import tools_environ
from ballast.runtime import Runtime, lambda_runtime, made_at_init
from ballast.table import Table
from functions.executor.attempt import History
from functions.executor.downstream import Downstreams
from functions.executor.effect import Effects
from functions.executor.executor import Executor
from functions.executor.moves import MovesStore
from functions.executor.record import Once, Recorded


class ExecutorSettings(
    LogSettings, SealSettings, SignatureSettings, MovesSettings, CeilingsSettings, SealedTokensSettings
):
    """The executor's environment, without variables that a template gives to the tools by name.

    run_log_table      the log
    payload_bucket     the log's large bodies, and files of tools' results
    retention_days     days after which an event or a settled move expires; 0 keeps it for ever
    sensitive_key_arn  KMS key of sensitive values; needed only where the playbook marks some, and of callers' tokens
    answer_key_arn     KMS key of people's answers; the executor may verify with it and may not sign
    idempotency_table  the executor's own records of writes, and the circuits of downstreams
    moves_table        reservations and windows of the business's own money
    budgets_table      ceilings of that money, set by operators
    requester_tokens_table  tokens that callers bring for ``credential: {kind: requester}``
    playbook_dir       folder of the playbook
    tools_environment  the tools' variables as one JSON object: business.yaml's output Environment
    """

    idempotency_table: str
    playbook_dir: str
    tools_environment: str = ""


def build(runtime: Runtime) -> Executor:
    """Return the executor of ``runtime``."""
    settings = ExecutorSettings.of(runtime)
    playbook = load_playbook(settings.playbook_dir, check_models=False)
    log = RunLog.of(runtime, Seal.of(runtime, playbook), runtime.get(Signatures.of))
    recorded = Recorded(Table.of(runtime, settings.idempotency_table, "IDEMPOTENCY_TABLE"), log, runtime.clock)
    moves = MovesStore.of(runtime)
    effects = Effects(
        log=log,
        once=Once.of(runtime, settings.idempotency_table),
        recorded=recorded,
        downstreams=Downstreams.of(runtime, settings.idempotency_table),
        moves=moves,
        attachments=Attachments.of(runtime),
        clock=runtime.clock,
    )
    return Executor(
        log=log,
        effects=effects,
        recorded=recorded,
        playbook=playbook,
        moves=moves,
        emit=runtime.emit,
        clock=runtime.clock,
        environ=tools_environ(runtime.environ),
        client=runtime.client,
        tokens=partial(runtime.get, RequesterTokens.of),
    )


@made_at_init(build, "dynamodb")
@guarded
def lambda_handler(event: dict[str, Any], context: Any, *, runtime: Runtime | None = None) -> dict[str, Any]:
    """Execute the call of ``event`` (an ``ExecuteTask``); return its status and the run's deadlines.

    The deadlines are returned because an approval renews them, and a Map passes on its items' outputs only.
    """
    runtime = runtime or lambda_runtime()
    executor = runtime.get(build)
    task = parse(ExecuteTask, event, what="ExecuteTask")
    history = History.of(executor.log, task)
    state = history.call(task.turn, task.index)
    status = executor.execute(task, history, context)
    if state is not None and not state.ended:  # a retry of a recorded call is not counted as another call
        runtime.emit(metric_line({"ToolCalls": 1, "RefusedCalls": int(status == "refused")}))
    opened = history.opening
    return {"status": status, "agent_until_ms": opened.agent_until_ms, "deadline_ms": opened.deadline_ms}
