"""The people outside: they send the request, answer and cancel. They repeat a request that fails."""

from __future__ import annotations

import copy
import json
from collections import Counter
from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path
from typing import Any

from botocore.exceptions import ClientError

from localcloud.deploy import STACK
from tests.faults.scenarios import Scenario
from tests.faults.world import AGAIN_S, ATTEMPTS, InvokeFailed, World

_SAMPLE = Path(__file__).resolve().parents[1] / "events" / "apigateway" / "start-run-by-an-operator.json"
#: How long people take for an answer.
THINKING_S = 60
#: What they say where a case wants another answer than the scenario's.
OTHERWISE: dict[str, Any] = {
    "approve": {"approve": False, "comment": "On second thoughts."},
    "decision": {"decision": {"kind": "answer", "text": "On second thoughts: no."}},
    "reply": {"reply": "On second thoughts, O-1008."},
}


class Outside:
    """The people of one case. ``refused`` holds what was answered to them with a refusal."""

    def __init__(self, world: World, scenario: Scenario) -> None:
        self._world, self._scenario = world, scenario
        self._given, self._entered = 0, Counter[str]()
        self._seen: set[str] = set()
        self.refused: list[str] = []

    # The request

    def start(self) -> None:
        """Send the request, until it is taken."""
        world = self._world
        request = world.plan.asking(self._scenario.request)
        if self._scenario.comes == "http":
            body = {name: request[name] for name in ("text", "intent", "context", "limits")}
            self.http("ApiFunction", "POST", "/runs", body, {"idempotency-key": request["request_id"]})
        elif self._scenario.comes == "queue":
            url = world.physical_id("RunRequestQueue")
            try:
                world.client("sqs").send_message(QueueUrl=url, MessageBody=json.dumps(request))
            except ClientError as problem:
                self.refused.append(str(problem))
        elif self._scenario.comes == "event":
            entry = {
                "Source": "ballast",
                "DetailType": "Run Requested",
                "Detail": json.dumps(request | {"stack": STACK}),
            }
            world.client("events").put_events(Entries=[entry])
        else:
            self._until_taken(lambda: world.invoke("StartFunction", request, "caller"))

    def at_state(self, state: str) -> None:
        """Do what the scenario's operator does there."""
        does = self._scenario.operator
        self._entered[state] += 1
        if does is not None and (state, self._entered[state]) == (does.state, does.time):
            if does.path:
                self.http(does.function, "POST", does.path.format(run_id=self._scenario.run_id), does.body)
            else:
                self._until_taken(lambda: self._world.invoke(does.function, does.body, "command"))

    # The answers

    def act(self) -> bool:
        """Do what comes next; False where nobody does anything any more."""
        if self._given >= len(self._scenario.answers):
            return False
        answer = self._scenario.answers[self._given]
        question = self._question(answer)
        if question is None:
            return False
        self._given += 1
        self._world.clock.advance(THINKING_S)
        answer = self._fitting(question, answer)

        def give(instead: Mapping[str, Any] | None = None) -> None:
            said = instead[next(name for name in instead if name in answer)] if instead else answer
            self._give(question, said)

        self._world.plan.answering(self._world, self._given, give)
        return True

    def _question(self, answer: Mapping[str, Any]) -> str | None:
        """Return what waits: an escalation's id, or the run's where the requester is asked."""
        if "reply" in answer:
            shown = self.http("ApiFunction", "GET", f"/runs/{self._scenario.run_id}")
            return self._scenario.run_id if shown is not None and shown.get("status") == "waiting" else None
        found = [json.loads(body)["escalation_id"] for body in self._world.messages("EscalationQueue")]
        if not set(found) - self._seen:
            listed = self.http("PeopleApiFunction", "GET", "/escalations") or {"escalations": []}
            found = [one["escalation_id"] for one in listed["escalations"]]
        fresh = [one for one in found if one not in self._seen]
        self._seen.update(fresh[:1])
        return fresh[0] if fresh else None

    def _fitting(self, question: str, answer: Mapping[str, Any]) -> Mapping[str, Any]:
        """Return the answer to this kind of question, where the scenario has one to each."""
        if "whatever is asked" not in answer:
            return answer
        items = self._world.items("EscalationsTable")
        kind = next(item["kind"]["S"] for item in items if item["escalation_id"]["S"] == question)
        fitting: Mapping[str, Any] = answer["whatever is asked"][kind]
        return fitting

    def _give(self, question: str, answer: Mapping[str, Any]) -> None:
        if "reply" in answer:
            self.http("PeopleApiFunction", "POST", f"/runs/{question}/messages", {"text": answer["reply"]})
        elif self._scenario.by == "http":
            self.http("PeopleApiFunction", "POST", f"/escalations/{question}", dict(answer))
        else:
            payload = {"escalation_id": question, "by": "ann", **answer}
            self._until_taken(lambda: self._world.invoke("AnswerEscalationFunction", payload, "people"))

    # How they ask

    def http(
        self, function: str, method: str, path: str, body: Any = None, headers: Mapping[str, str] = {}
    ) -> dict[str, Any] | None:
        """Send a request until it is answered; None where the answer is a refusal."""

        def ask() -> Any:
            answered = self._world.invoke(function, http_event(method, path, body, headers), f"{method} {path[:5]}")
            if answered["statusCode"] >= 500 or answered["statusCode"] == 429:
                raise InvokeFailed("Http", answered["body"])
            if answered["statusCode"] >= 400:
                self.refused.append(f"{method} {path}: {answered['statusCode']} {answered['body']}")
                return None
            return json.loads(answered["body"])

        taken: dict[str, Any] | None = self._until_taken(ask)
        return taken

    def _until_taken(self, ask: Callable[[], Any]) -> Any:
        for _ in range(ATTEMPTS):
            try:
                return ask()
            except InvokeFailed as failed:
                if failed.error in ("EscalationClosed", "InvalidInput", "RequestConflict", "NotAdmitted"):
                    self.refused.append(str(failed))
                    return None
                self._world.clock.advance(AGAIN_S)
        self.refused.append("nobody took it")
        return None


@cache
def _sample() -> dict[str, Any]:
    sample: dict[str, Any] = json.loads(_SAMPLE.read_text(encoding="utf-8"))
    del sample["headers"]["idempotency-key"], sample["body"]
    return sample


def http_event(method: str, path: str, body: Any = None, headers: Mapping[str, str] = {}) -> dict[str, Any]:
    """Return a request of an operator as API Gateway hands it to a function."""
    made = copy.deepcopy(_sample())
    made["rawPath"] = made["requestContext"]["http"]["path"] = path
    made["requestContext"]["http"]["method"] = method
    made["headers"] |= headers
    if body is not None:
        made["body"] = json.dumps(body)
    return made
