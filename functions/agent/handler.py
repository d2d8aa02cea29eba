"""Lambda: one decision of the agent, the only function that may call a model.

::

    plan ─▶ agent      a turn: read the log, reserve, ask a model, record its reply, decide
              ├─▶ ask        the next attempt: limits, spend breaker, model
              │     └─▶ prompt      its new messages, reservation and digest
              ├─▶ request    the Converse request, made from the model's card
              ├─▶ circuits   the circuit of each model
              │     └─▶ converse    the model client
              ├─▶ reply      the reply's message, calls and words
              ├─▶ usage      its usage, checked, and the charge
              ├─▶ decision   the decision that stands, or why the answer is refused
              └─▶ loops      signals of an agent that repeats itself

    text, reasoning_in_text, calls_in_text    what a model hides in its words; read by reply and decision
"""

from time import sleep
from typing import Any

from ballast.attachments.store import Attachments, ReadContents
from ballast.breaker_reader import Breakers, BreakerSettings
from ballast.contracts import PlanTask
from ballast.contracts.wire import parse
from ballast.edge import guarded
from ballast.log.run_log import LogSettings, RunLog
from ballast.log.seal import Seal, SealSettings
from ballast.playbook import load_playbook
from ballast.runtime import Runtime, lambda_runtime, made_at_init
from functions.agent.agent import Agent
from functions.agent.ask import AttemptChoice
from functions.agent.circuits import Circuits
from functions.agent.converse import Converse


class AgentSettings(LogSettings, SealSettings, BreakerSettings):
    """The agent's environment.

    run_log_table         table of the run log
    payload_bucket        bucket of the log's large bodies and of the runs' files
    retention_days        days after which DynamoDB's TTL removes an event; 0 keeps it for ever
    sensitive_key_arn     KMS key of sensitive values; "" if the playbook marks none
    budgets_table         table of the spend breaker, which the agent only reads
    playbook_dir          folder of the playbook
    model_id              model to ask instead of those of the playbook's agents; "" keeps them
    model_endpoint_url    endpoint of Converse; "" is AWS
    model_timeout_s       seconds after which a single model call is cut
    model_circuits_table  table of the models' circuits; "" turns circuits off
    """

    playbook_dir: str
    model_id: str = ""
    model_endpoint_url: str = ""
    model_timeout_s: int = 60
    model_circuits_table: str = ""


def build(runtime: Runtime) -> Agent:
    """Return the agent of ``runtime``."""
    settings = AgentSettings.of(runtime)
    playbook = load_playbook(settings.playbook_dir, on=runtime.clock().date()).in_region(runtime.region)
    log = RunLog.of(runtime, Seal.of(runtime, playbook))
    choice = AttemptChoice(
        breakers=Breakers.of(runtime),
        playbook=playbook,
        model_id=playbook.models.in_region(settings.model_id, runtime.region),
        clock=runtime.clock,
        shown=log.shown,
    )
    return Agent(
        log=log,
        contents=ReadContents(Attachments.of(runtime)),
        choice=choice,
        model=Converse.of(runtime, endpoint_url=settings.model_endpoint_url, timeout_s=settings.model_timeout_s),
        circuits=Circuits(runtime, settings.model_circuits_table),
        playbook=playbook,
        stack=runtime.stack,
        clock=runtime.clock,
        sleep=sleep,
        emit=runtime.emit,
        region=runtime.region,
    )


@made_at_init(build, "dynamodb")
@guarded
def lambda_handler(event: dict[str, Any], context: Any, *, runtime: Runtime | None = None) -> dict[str, Any]:
    """Propose one decision for ``event`` (a ``PlanTask``) and return its ``PlanSummary``."""
    task = parse(PlanTask, event, what="PlanTask")
    agent = (runtime or lambda_runtime()).get(build)
    summary = agent.plan(task, invocation=context.aws_request_id, remaining_ms=context.get_remaining_time_in_millis)
    return summary.model_dump(mode="json")
