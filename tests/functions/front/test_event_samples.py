"""Samples of real events, and every mutation of them: a defined answer, no exception, nothing lost."""

import copy
import json
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import pytest

from tests.functions.cloud import Cloud
from tests.functions.front.test_consume import dead_letters, record, request, workflow
from tests.functions.stack import Stack
from tests.support.sampling import examples

__all__ = ["workflow"]

SAMPLES = Path(__file__).resolve().parents[4] / "shared" / "events"
WRONG: list[Any] = [None, 7, "", "text", [], {}, "x" * 300_000]


def sample(name: str) -> Any:
    """Return the sample of that name; without the samples its tests are skipped, which the summary shows."""
    file = SAMPLES / f"{name}.json"
    if not file.exists():
        pytest.skip(f"{file} is not here: the samples of events are not part of the project")
    return json.loads(file.read_text(encoding="utf-8"))


def mutations(value: Any) -> Iterator[Any]:
    """Yield ``value`` with each of its parts missing, and of each wrong kind."""
    yield from (wrong for wrong in WRONG if wrong != value)
    if isinstance(value, dict):
        for key, part in value.items():
            yield {name: other for name, other in value.items() if name != key}
            yield from ({**value, key: mutated} for mutated in mutations(part))
    elif isinstance(value, list):
        for at, part in enumerate(value):
            yield from ([*value[:at], mutated, *value[at + 1 :]] for mutated in mutations(part))


def answered(stack: Stack, event: Any) -> None:
    """Give the event to the consumer; each of its messages has to come again, or be a dead letter."""
    response = stack.invoke("consume", copy.deepcopy(event))
    dead = [body for _, _, body in dead_letters()]

    assert response.keys() == {"batchItemFailures"}
    again = {item["itemIdentifier"] for item in response["batchItemFailures"]}
    records = event.get("Records") if isinstance(event, dict) else None
    for each in records if isinstance(records, list) else [None]:
        taken = isinstance(each, dict) and each.get("body") in dead
        assert taken or "" in again or each["messageId"] in again, each


def test_the_sample_of_a_queue_is_no_request_and_is_put_aside(cloud: Cloud, stack: Stack) -> None:
    event = sample("sqsEvent")

    assert stack.invoke("consume", event) == {"batchItemFailures": []}

    assert [(reason, body) for reason, _, body in dead_letters()] == [
        ("InvalidInput", record_["body"]) for record_ in event["Records"]
    ]


@pytest.mark.parametrize("name", ["sqsEvent", "sqsDlqTriggerEvent"])
def test_a_mutated_batch_has_a_defined_answer_and_loses_nothing(stack: Stack, name: str) -> None:
    for event in islice(mutations(sample(name)), 0, None, examples(4, 1)):
        answered(stack, event)


def test_a_mutated_event_in_the_queue_is_put_aside_with_its_reason(stack: Stack) -> None:
    mutated = [each for each in mutations(sample("eventBridgeEvent")) if each != ""]

    for at in range(0, len(mutated), 10):
        answered(stack, {"Records": [record(each) for each in mutated[at : at + 10]]})


def test_a_mutated_request_by_event_starts_a_run_or_is_put_aside(stack: Stack) -> None:
    sampled = sample("eventBridgeEvent")
    asks = {**sampled, "source": "ballast", "detail-type": "Run Requested", "detail": request("sampled")}
    bodies = [record(each) for each in mutations(asks) if isinstance(each, dict)]

    response = stack.invoke("consume", {"Records": bodies})

    assert response == {"batchItemFailures": []}
    aside = [(reason, message) for reason, message, _ in dead_letters()]
    assert {reason for reason, _ in aside} <= {"InvalidInput", "RequestConflict"}
    assert all(message for _, message in aside)
    assert 0 < len(aside) < len(bodies)  # a wrong time or region of the event is none of ours
