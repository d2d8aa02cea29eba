"""Lambda: one decision of the agent. The only function that may call a model."""

from time import sleep
from typing import Any

from ballast.breaker import Breakers
from ballast.contracts import PlanTask
from ballast.contracts.wire import parse
from ballast.edge import guarded
from ballast.log.run_log import RunLog
from ballast.log.seal import Seal
from ballast.money import load_prices
from ballast.playbook import load_playbook
from ballast.runtime import Runtime, Settings, lambda_runtime
from functions.agent.agent import Agent
from functions.agent.circuit import Circuits
from functions.agent.converse import Converse


class PlannerSettings(Settings):
    """The planner's environment.

    playbook_dir        folder of the playbook
    model_id            overrides the playbook's model; "" does not
    model_endpoint_url  where Converse is; "" is AWS
    model_timeout_s     a single model call is cut after this many seconds
    model_circuits_table  where the models' circuit breakers keep their state; "" is no breaker
    """

    playbook_dir: str
    model_id: str = ""
    model_endpoint_url: str = ""
    model_timeout_s: int = 60
    model_circuits_table: str = ""


def build(runtime: Runtime) -> Agent:
    """Put the agent together; once per runtime."""
    settings = PlannerSettings.of(runtime)
    prices = load_prices()
    here = prices.tables[-1]  # which profiles there are does not depend on the day
    playbook = load_playbook(settings.playbook_dir).in_region(runtime.region, here)
    return Agent(
        log=RunLog.of(runtime, Seal.of(runtime, playbook)),
        breakers=Breakers.of(runtime),
        model=Converse.of(runtime, endpoint_url=settings.model_endpoint_url, timeout_s=settings.model_timeout_s),
        circuits=Circuits.of(runtime, settings.model_circuits_table),
        model_id=here.in_region(settings.model_id, runtime.region) or playbook.agent.model,
        playbook=playbook,
        prices=prices,
        clock=runtime.clock,
        sleep=sleep,
        emit=runtime.emit,
    )


@guarded
def lambda_handler(event: dict[str, Any], context: Any, *, runtime: Runtime | None = None) -> dict[str, Any]:
    """Propose one decision for ``event`` (a ``PlanTask``) and return its ``PlanSummary``."""
    task = parse(PlanTask, event, what="PlanTask")
    agent = (runtime or lambda_runtime()).get(build)
    summary = agent.plan(task, invocation=context.aws_request_id, remaining_ms=context.get_remaining_time_in_millis)
    return summary.model_dump(mode="json")
