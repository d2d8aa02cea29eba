"""Each stop reason of Bedrock Converse has exactly one exit reason."""

from typing import Any

import pytest
from botocore.loaders import Loader

from ballast.contracts import ExitReason, LimitsPatch
from ballast.contracts.decision import LIMITS, STOP_REASONS, from_stop_reason

#: As the installed botocore knows them; a new one fails here, and then wants a name and a decision.
CONVERSE = Loader().load_service_model("bedrock-runtime", "service-2")["shapes"]["StopReason"]["enum"]


def test_every_stop_reason_of_converse_is_known_and_no_other() -> None:
    assert set(CONVERSE) == STOP_REASONS
    assert len(CONVERSE) == 9


@pytest.mark.parametrize("stop_reason", CONVERSE)
def test_a_stop_reason_keeps_its_own_name(stop_reason: str) -> None:
    assert from_stop_reason(stop_reason).value == stop_reason


@pytest.mark.parametrize(
    "stop_reason", [None, "", "refused", "END_TURN", "end_turn ", 1, ["end_turn"], {}, "turn_limit"]
)
def test_an_unknown_stop_reason_is_malformed_output(stop_reason: Any) -> None:
    assert from_stop_reason(stop_reason) is ExitReason.MALFORMED_MODEL_OUTPUT


def test_every_limit_has_exactly_one_exit_reason_except_those_that_end_no_run() -> None:
    at_the_door = {"attachments", "attachment_bytes"}

    assert sorted(LIMITS.values()) == sorted(LimitsPatch.model_fields.keys() - at_the_door)
