"""Replies of many families, made from documentation: each comes to the outcome that it must come to."""

import json
from collections import Counter

import pytest

from tests.functions.agent.documented import FAMILIES, REPLIES, Documented
from tests.functions.agent.test_recorded_replies import outcome
from tests.functions.endpoint import Endpoint, Reply
from tests.functions.stack import Stack


@pytest.mark.sampled(25)
@pytest.mark.parametrize("documented", REPLIES, ids=lambda documented: documented.name)
def test_a_documented_reply_has_its_outcome(stack: Stack, model: Endpoint, documented: Documented) -> None:
    run_id = stack.open(text=documented.name)
    model.will(Reply(json.dumps(documented.body).encode(), status=documented.status, error=documented.error))

    assert outcome(stack, model, run_id) == documented.outcome
    assert model.refusals == []


def test_there_are_a_hundred_of_more_than_twenty_families_with_a_source_each() -> None:
    names = Counter(documented.name for documented in REPLIES)

    assert len(REPLIES) > 100
    assert len(FAMILIES) > 20
    assert [name for name, count in names.items() if count > 1] == []
    assert all("#" in one.source or "docs.aws" in one.source or "recorded" in one.source for one in REPLIES)
