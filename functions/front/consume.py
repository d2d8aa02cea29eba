"""Lambda: start the runs that the queue's messages request. A bad message is put aside; the others start.

::

    a request              its run is started, or found started     → deleted (without room for it, the run waits)
    not a request, conflict  sent to the dead letters with its reason → deleted
    an outage, a throttle                                           → stays, and comes again
    the process dies                                                → the whole batch comes again

Starting a run twice starts it once, so a message that comes again does no harm.
"""

from typing import Any

from aws_lambda_powertools.utilities.batch import BatchProcessor, EventType
from aws_lambda_powertools.utilities.data_classes.sqs_event import SQSRecord

from ballast.aws_errors import consequences
from ballast.contracts.run_requested import requested
from ballast.contracts.wire import canonical
from ballast.edge import guarded
from ballast.errors import BallastError, InvalidInput, NotAdmitted
from ballast.runtime import Runtime, lambda_runtime, made_at_init
from ballast.values import dataclass
from functions.front.start import Executions, StartSettings

#: Characters of the reason beside the body: well below SQS's limit for both.
_MAX_REASON_CHARS = 1_000
#: To Lambda an empty identifier means that the whole batch failed: it deletes nothing.
_ALL: dict[str, Any] = {"batchItemFailures": [{"itemIdentifier": ""}]}


class ConsumeSettings(StartSettings):
    """The environment of ConsumeFunction.

    state_machine_arn  the workflow that it starts (``StartSettings``)
    run_request_dead_letter_queue_url  where messages go that can never start a run
    """

    run_request_dead_letter_queue_url: str


@dataclass(frozen=True)
class Consumer:
    """Starts the runs of a batch."""

    executions: Executions
    sqs: Any
    dead_letter_queue_url: str
    runtime: Runtime

    @classmethod
    def of(cls, runtime: Runtime) -> "Consumer":
        """Return the consumer of ``runtime``'s function."""
        url = ConsumeSettings.of(runtime).run_request_dead_letter_queue_url
        return cls(runtime.get(Executions.of), runtime.client("sqs"), url, runtime)

    def take(self, record: SQSRecord) -> None:
        """Start the run of one message, or put the message aside. Raises if the message has to come again."""
        try:
            self.executions.start(requested(record.body, self.runtime.stack), when_full="wait")
        except (InvalidInput, NotAdmitted) as refusal:
            self._put_aside(record, refusal)

    def _put_aside(self, record: SQSRecord, refusal: BallastError) -> None:
        # SQS counts attributes and body together. A message near its limit fails here, and the queue's redrive policy
        # moves it as it is once it has come often enough.
        why = {"reason": type(refusal).__name__, "message": _plain(str(refusal)), "message_id": record.message_id}
        with consequences(f"Queue {self.dead_letter_queue_url} (RUN_REQUEST_DEAD_LETTER_QUEUE_URL)"):
            self.sqs.send_message(
                QueueUrl=self.dead_letter_queue_url,
                MessageBody=record.body,
                MessageAttributes={
                    name: {"DataType": "String", "StringValue": value} for name, value in why.items() if value
                },
            )


def _plain(text: str) -> str:
    """Return ``text`` as an SQS attribute: printable ASCII, of bounded length."""
    return "".join(char if " " <= char <= "~" else "?" for char in text)[:_MAX_REASON_CHARS]


def _is_message(record: Any) -> bool:
    return isinstance(record, dict) and all(
        isinstance(record.get(name), str) and record[name] for name in ("messageId", "body")
    )


@made_at_init(Consumer.of)
@guarded
def lambda_handler(event: Any, context: Any, *, runtime: Runtime | None = None) -> dict[str, Any]:
    """Take a batch of SQS messages and return those that have to come again."""
    records = event.get("Records") if isinstance(event, dict) else None
    if not isinstance(records, list):
        return _ALL
    consumer = (runtime or lambda_runtime()).get(Consumer.of)
    messages = [record for record in records if _is_message(record)]
    processor = BatchProcessor(event_type=EventType.SQS, raise_on_entire_batch_failure=False)
    with processor(messages, consumer.take):
        processor.process()
    for record, (_, problem, _) in zip(processor.fail_messages, processor.exceptions, strict=True):
        why = consumer.runtime.masked(f"{type(problem).__name__}: {problem}", event)
        consumer.runtime.emit(_comes_again(record, why))
    return dict(processor.response()) if len(messages) == len(records) else _ALL


def _comes_again(record: Any, why: str) -> str:
    """Return the line that says why a message stays in the queue."""
    return canonical({"level": "WARNING", "message": f"Stays in the queue: {why}", "message_id": record.message_id})
