"""moto's own state machine interpreter, to compare ours with. No product code uses it."""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count
from types import SimpleNamespace
from typing import Any, NoReturn

import boto3
from moto import mock_aws

from localcloud.moto_seams.imports import import_moto
from localcloud.moto_seams.interpreter import validated_once
from localcloud.moto_seams.jsonata import QueryFailed, evaluate
from localcloud.moto_seams.replaced import replaced
from localcloud.stepfunctions.engine import Invoke

_number = count()
_ROLE = "arn:aws:iam::123456789012:role/workflow"
_CONFIG: Any = {"stepfunctions": {"execute_state_machine": True}, "lambda": {"use_docker": False}}


@contextmanager
def motos_interpreter(invoke: Invoke) -> Iterator[Any]:
    """Yield a Step Functions client whose executions moto runs, with ``invoke`` for its tasks.

    Retries do not wait. moto parses JSONata without an evaluator: ours is added. Its logger is silenced.
    """
    import_moto()
    from moto.stepfunctions.parser.asl.component.common.retry import retrier_decl
    from moto.stepfunctions.parser.asl.component.common.string.string_expression import StringJSONata
    from moto.stepfunctions.parser.asl.component.state.exec.state_task import lambda_eval_utils

    def invoke_function(parameters: dict[str, Any], region: str, state_credentials: Any) -> dict[str, Any]:
        body, error = invoke(parameters["FunctionName"], parameters.get("Payload", b"{}"), state_credentials.role_arn)
        response = {"StatusCode": 200, "ExecutedVersion": "$LATEST", "Payload": json.loads(body)}
        return response if error is None else {**response, "FunctionError": error}

    def eval_body(self: Any, env: Any) -> None:
        store = env.variable_store
        try:
            value = evaluate(self.expression, {**store._outer_scope, **store._inner_scope}, env.states._states_data)
        except QueryFailed as problem:
            _fail_state(env, str(problem))
        env.stack.append(value)

    logger = logging.getLogger("moto.stepfunctions")
    before, logger.level = logger.level, logging.CRITICAL
    try:
        with (
            replaced(lambda_eval_utils, "_invoke_lambda_function", invoke_function),
            replaced(StringJSONata, "_eval_body", eval_body),
            replaced(retrier_decl, "time", SimpleNamespace(sleep=lambda _: None)),
            validated_once(),  # most cases are of one definition
            mock_aws(config=_CONFIG),
        ):
            yield boto3.Session("testing", "testing", region_name="eu-west-1").client("stepfunctions")
    finally:
        logger.level = before


def play(client: Any, definition: dict[str, Any], state_input: Any) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """Run one execution to its end; return DescribeExecution's and GetExecutionHistory's responses."""
    name = f"machine-{next(_number)}"
    machine = client.create_state_machine(name=name, roleArn=_ROLE, definition=json.dumps(definition))
    started = client.start_execution(
        stateMachineArn=machine["stateMachineArn"], name=name, input=json.dumps(state_input)
    )
    while (described := client.describe_execution(executionArn=started["executionArn"]))["status"] == "RUNNING":
        time.sleep(0.05)  # each look costs moto as much as a state does
    return described, client.get_execution_history(executionArn=started["executionArn"])["events"]


def _fail_state(env: Any, cause: str) -> NoReturn:
    """Fail the state as Step Functions does: with ``States.QueryEvaluationError``, which a Catch may name."""
    from moto.stepfunctions.parser.api import EvaluationFailedEventDetails, HistoryEventType
    from moto.stepfunctions.parser.asl.component.common.error_name.failure_event import (
        FailureEvent,
        FailureEventException,
    )
    from moto.stepfunctions.parser.asl.component.common.error_name.states_error_name import StatesErrorName
    from moto.stepfunctions.parser.asl.component.common.error_name.states_error_name_type import StatesErrorNameType
    from moto.stepfunctions.parser.asl.eval.event.event_detail import EventDetails

    name = StatesErrorName(typ=StatesErrorNameType.StatesQueryEvaluationError)
    details = EventDetails(  # type: ignore[typeddict-item]
        evaluationFailedEventDetails=EvaluationFailedEventDetails(cause=cause, error=name.error_name)
    )
    env.event_manager.add_event(
        context=env.event_history_context, event_type=HistoryEventType.EvaluationFailed, event_details=details
    )
    raise FailureEventException(
        FailureEvent(env=env, error_name=name, event_type=HistoryEventType.EvaluationFailed, event_details=details)
    )
