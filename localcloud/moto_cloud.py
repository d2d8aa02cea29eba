"""Start moto with every seam in place."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from moto import mock_aws

from localcloud.clock import Clock
from localcloud.event_sources import Streams
from localcloud.moto_seams.deployment import stacks_run
from localcloud.moto_seams.dynamodb import (
    attribute_values_as_they_are,
    items_may_be_forgotten,
    one_request_at_a_time,
    queries_look_at_one_key,
    stream_records_go_to,
    transactions_copy_what_they_touch,
)
from localcloud.moto_seams.events import functions_are_targets
from localcloud.moto_seams.interpreter import executions_run_by, validated_once
from localcloud.moto_seams.jsonata import jsonata_clock
from localcloud.moto_seams.kms import keys_as_the_template_says, no_key_pairs_for_secret_keys
from localcloud.moto_seams.requests import methods_looked_up_once, service_models_read_once
from localcloud.moto_seams.sqs import messages_told_to
from localcloud.stepfunctions.engine import Engine
from localcloud.stepfunctions.executions import Executions

_LOOPBACK = r"https?://(127\.\d+\.\d+\.\d+|localhost|\[::1\])(:\d+)?(/|$)"
_BEDROCK = r"https?://bedrock-runtime[.-]"


@contextmanager
def moto_cloud(
    engine: Engine,
    executions: Executions,
    clock: Clock,
    allow_bedrock: bool,
    streams: Streams,
    sent: Callable[[str, str], None],
) -> Iterator[None]:
    """Start an empty cloud whose state machines ``engine`` runs; call ``sent`` for each message (queue, body)."""
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
        jsonata_clock(clock),
        executions_run_by(engine),
        validated_once(),
        stacks_run(),
        one_request_at_a_time(),
        attribute_values_as_they_are(),
        items_may_be_forgotten(),
        transactions_copy_what_they_touch(),
        queries_look_at_one_key(),
        stream_records_go_to(streams.written),
        methods_looked_up_once(),
        service_models_read_once(),
        no_key_pairs_for_secret_keys(),
        keys_as_the_template_says(),
        functions_are_targets(executions.invoked_by_event),
        messages_told_to(sent),
        mock_aws(config=config),
    ):
        yield
