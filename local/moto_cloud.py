"""moto, started with every seam in place."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import Any

from moto import mock_aws

from local.executions import Executions
from local.functions import Functions
from local.moto_seams.deployment import stacks_run
from local.moto_seams.dynamodb import (
    attribute_values_as_they_are,
    one_request_at_a_time,
    transactions_copy_what_they_touch,
)
from local.moto_seams.events import functions_are_targets
from local.moto_seams.interpreter import interpreter
from local.moto_seams.jsonata import jsonata_evaluated

_LOOPBACK = r"https?://(127\.\d+\.\d+\.\d+|localhost|\[::1\])(:\d+)?(/|$)"
_BEDROCK = r"https?://bedrock-runtime[.-]"


@contextmanager
def moto_cloud(
    functions: Functions,
    executions: Executions,
    clock: Callable[[], datetime],
    sleep: Callable[[float], None],
    allow_bedrock: bool,
) -> Iterator[None]:
    """An empty cloud whose state machines will run ``functions``."""

    def ended(execution: Any) -> None:
        executions.ended(execution.to_describe_output())

    passed = [_LOOPBACK, *([_BEDROCK] if allow_bedrock else [])]
    config: Any = {
        "stepfunctions": {"execute_state_machine": True},
        "lambda": {"use_docker": False},
        "core": {
            "mock_credentials": False,  # os.environ stays as it is; sessions bring their own
            "reset_boto3_session": True,
            "passthrough": {"urls": passed, "services": []},
            "service_whitelist": None,
        },
    }
    with (
        jsonata_evaluated(clock),
        interpreter(functions.invoke, sleep, ended),
        stacks_run(),
        one_request_at_a_time(),
        attribute_values_as_they_are(),
        transactions_copy_what_they_touch(),
        functions_are_targets(executions.invoked_by_event),
        mock_aws(config=config),
    ):
        yield
