"""The test of the enforced walls can fail: with an extra right in the template, the same attempt succeeds."""

from pathlib import Path
from typing import Any

import pytest

from localcloud.cloud import LocalCloud
from localcloud.converse.server import ConverseServer
from localcloud.converse.source import CallableModel
from tests.e2e.test_walls_enforced import ATTEMPTS, PLAYBOOK, breached, is_denied, two_turns

BREACHES: list[tuple[str, str, dict[str, Any]]] = [
    ("ExecutorFunction", "call a model", {"Effect": "Allow", "Action": "bedrock:InvokeModel", "Resource": "*"}),
    ("AgentFunction", "read the business's orders", {"Effect": "Allow", "Action": "dynamodb:*", "Resource": "*"}),
    ("FallbackFunction", "start a run", {"Effect": "Allow", "Action": "states:*", "Resource": "*"}),
]


@pytest.mark.sampled(1)
@pytest.mark.parametrize(("function", "what", "statement"), BREACHES, ids=[breach[1] for breach in BREACHES])
def test_a_right_too_many_lets_the_attempt_through(
    function: str, what: str, statement: dict[str, Any], tmp_path: Path
) -> None:
    attempt, _ = ATTEMPTS[what]
    template = breached(tmp_path, function, statement)

    with (
        ConverseServer(CallableModel(two_turns)) as model,
        LocalCloud(playbook=PLAYBOOK, model_endpoint_url=model.url, enforce_iam=True, template=template) as cloud,
    ):
        assert not is_denied(attempt, cloud, function, model.url)
