"""A consumer of Ballast's escalations: take one from the queue, decide, answer, and only then delete it.

    python docs/examples/escalation_consumer.py --stack ballast-dev

Needs boto3 and your AWS credentials. ``decide`` is the part to replace: by a form in your ticketing system,
a chat message with two buttons, or a rule like the one below. Its input is described by
docs/events/escalation-message.schema.json.
"""

import argparse
import json
from collections.abc import Callable
from decimal import Decimal
from typing import Any

#: The highest refund that needs no person, in US dollars.
SMALL_REFUND_USD = 50

Message = dict[str, Any]
#: An answer: {"approve": bool, "comment": str} to an approval, {"decision": {...}} to an escalation.
Answer = dict[str, Any]


class NotAccepted(Exception):
    """Ballast refused the answer. ``error`` is the name of its error, e.g. ``EscalationClosed``."""

    def __init__(self, error: str, message: str) -> None:
        super().__init__(f"{error}: {message}")
        self.error = error


def decide(message: Message) -> Answer | None:
    """Return the answer, or None to leave the escalation to somebody else."""
    if message["kind"] == "approval" and message["proposed_decision"] is not None:
        calls = message["proposed_decision"]["calls"]
        if all(call["tool"] == "refund_order" for call in calls):
            amount = sum(Decimal(call["arguments"]["amount_usd"]) for call in calls)
            return {"approve": amount <= SMALL_REFUND_USD, "comment": f"Rule: up to ${SMALL_REFUND_USD}."}
    return None


def consume(
    sqs: Any,
    queue_url: str,
    answer: Callable[[Answer], Any],
    *,
    decide: Callable[[Message], Answer | None] = decide,
    by: str = "escalation-consumer",
    wait_s: int = 20,
) -> int:
    """Receive up to ten escalations and return how many were answered.

    A message is deleted only when its run has its answer, or no longer waits for one. The others are delivered
    again after the queue's visibility timeout, and after five deliveries go to its dead-letter queue, which
    raises an alarm. Answering twice is harmless, so a crash before the deletion is, too.
    """
    received = sqs.receive_message(QueueUrl=queue_url, MaxNumberOfMessages=10, WaitTimeSeconds=wait_s)
    answered = 0
    for found in received.get("Messages", []):
        message = json.loads(found["Body"])
        if message["version"] != "1":
            continue  # a contract that this program does not know
        decided = decide(message)
        if decided is None:
            continue
        try:
            answer({"escalation_id": message["escalation_id"], "by": by, **decided})
        except NotAccepted as refusal:
            if refusal.error != "EscalationClosed":
                raise
        else:
            answered += 1
        sqs.delete_message(QueueUrl=queue_url, ReceiptHandle=found["ReceiptHandle"])
    return answered


def main() -> None:
    """Answer the escalations of a deployed stack until Ctrl-C."""
    import boto3

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--stack", required=True, help="the name of the CloudFormation stack")
    stack = boto3.client("cloudformation").describe_stacks(StackName=parser.parse_args().stack)["Stacks"][0]
    outputs = {output["OutputKey"]: output["OutputValue"] for output in stack["Outputs"]}
    functions = boto3.client("lambda")

    def answer(payload: Answer) -> None:
        response = functions.invoke(
            FunctionName=outputs["AnswerEscalationFunctionName"], Payload=json.dumps(payload).encode()
        )
        result = json.load(response["Payload"])
        if "FunctionError" in response:
            raise NotAccepted(result["errorType"], result["errorMessage"])

    while True:
        print(consume(boto3.client("sqs"), outputs["EscalationQueueUrl"], answer), "answered")


if __name__ == "__main__":
    main()
