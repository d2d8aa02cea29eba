"""The pytest plugin for playbooks: a context, a fallback driver, a scripted model, a local cloud, and the gate.

Authors import it as ``ballast.testing`` and load it by ``pytest -p ballast.testing``. One local cloud serves a whole
session; before each test its tables are emptied and seeded anew. IAM rights of the project's business.yaml hold.
"""

from __future__ import annotations

import itertools
import time
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from ballast.contracts import Answer, HandOver, RunRequest, ToolCall
from ballast.contracts.timeline import Call, Timeline
from ballast.contracts.wire import canonical
from ballast.errors import MayNotAnswer as MayNotAnswer
from ballast.playbook import CallFailed, GiveUp, Playbook, Tool, ToolContext, load_playbook
from ballast.playbook.agents import HAND_OVER
from ballast.playbook.context import tools_environ
from ballast.playbook.fallback import Fallback, final_decision
from localcloud.clock import WallClock
from localcloud.converse.script import ScriptModel
from localcloud.converse.source import Reply
from localcloud.project import seed_store
from localcloud.scenarios.people import NoAnswerLeft, NotAccepted, People

if TYPE_CHECKING:
    from localcloud.cloud import LocalCloud

#: A call as a test writes it: a tool or its name, and the arguments.
AnyCall = tuple[Tool | str, Mapping[str, Any]]

#: Seconds within which a run must end or ask a person.
_ENDS_WITHIN_S = 60.0
#: Tables that keep their content between tests: a deleted event is an alarm, and every test has runs of its own.
_KEPT = ("RunLogTable", "EscalationsTable")
#: Functions whose processes remember circuits, and the executor's sessions and tokens, too.
_WITH_CIRCUITS = ("ExecutorFunction", "AgentFunction")
_NUMBERS = itertools.count(1)


class ScriptedModel:
    """The model of ``local_cloud`` and ``gate``: it replies what a test has said, and nothing else.

    Each run keeps the replies that it began with, so that one may wait for a person while another goes on.

    requests  what it was sent, as Converse has it
    """

    def __init__(self) -> None:
        self.requests: list[Mapping[str, Any]] = []
        self._script: ScriptModel | None = None
        self._of_runs: dict[str, ScriptModel | None] = {}
        #: What a test said itself; the gate says more than some calls need.
        self._told: list[ScriptModel] = []

    def will(self, *replies: str | AnyCall | Sequence[AnyCall] | Mapping[str, Any]) -> None:
        """Set the replies of the next run, one a turn.

        A text is an answer; a pair or a list of pairs (tool, arguments) are calls; a mapping is a step as in
        script.yaml, such as ``{"error": "ThrottlingException"}``.
        """
        self._told.append(self.will_for_a_call(*replies))

    def will_for_a_call(self, *replies: str | AnyCall | Sequence[AnyCall] | Mapping[str, Any]) -> ScriptModel:
        """Set the replies of the next run, of which some may be left over."""
        self.requests.clear()
        self._script = ScriptModel.of([_step(reply) for reply in replies], "scripted_model")
        return self._script

    def reply(self, request: Mapping[str, Any], model_id: str, /) -> Reply:
        """Return the next reply of the run's script."""
        self.requests.append(request)
        script = self._of_runs.setdefault(request.get("requestMetadata", {}).get("run", ""), self._script)
        if script is None:  # the run ends by this, and ``check`` fails the test
            script = ScriptModel.of([{"say": "The test gave scripted_model no reply."}])
        return script.reply(request, model_id)

    def check(self, run_id: str) -> None:
        """Raise ``AssertionError`` if that run asked the model and the test had given it no reply."""
        if run_id in self._of_runs and self._of_runs[run_id] is None:
            raise AssertionError(
                "The run asked the model, and the test gave it no reply: call scripted_model.will(…) before the run."
            )

    def forget(self) -> None:
        """Forget replies and requests. Warns of replies that a test gave and no run asked for."""
        for script in self._told:
            if left := script.left_over():
                numbers = ", ".join(str(number + 1) for number in left)
                warnings.warn(
                    f"scripted_model: no run asked for reply {numbers} of a will(…): did the run end before?",
                    stacklevel=2,
                )
        self.requests.clear()
        self._script = None
        self._of_runs.clear()
        self._told.clear()


def _step(reply: Any) -> Mapping[str, Any]:
    if isinstance(reply, str):
        return {"say": reply}
    if isinstance(reply, Mapping):
        return reply
    calls = [reply] if isinstance(reply, tuple) else list(reply)
    return {"call": [{"tool": _name(tool), "arguments": dict(arguments)} for tool, arguments in calls]}


def _name(tool: Tool | str) -> str:
    return tool.name if isinstance(tool, Tool) else tool


@dataclass
class LocalDesk:
    """A local cloud with the playbook in it. ``cloud`` is the whole of it, ``model`` what answers its agents."""

    cloud: LocalCloud
    playbook: Playbook
    model: ScriptedModel | None = None
    _asked: dict[str, dict[str, dict[str, Any]]] = field(default_factory=dict)
    _open: list[str] = field(default_factory=list)

    def run(
        self, text: str = "Please.", *, people: Sequence[Mapping[str, Any]] = (), by: str | None = None, **fields: Any
    ) -> Timeline:
        """Run a request until it ends, or asks a person after the last answer of ``people``; return its timeline.

        people  answers as in scenario.yaml, such as ``{"by": "rae", "approve": True}``
        by      who sends the request, and so may not decide about it
        fields  of the request: intent, context, tenant, limits

        Raises ``MayNotAnswer`` for an answer that this person may not give, unless it has ``"refused": True``, and
        ``AssertionError`` where that one is accepted, for an answer that nobody was asked for, unless it has
        ``"if_asked": True``, and for a run that asks the model before the test has said what it replies.
        """
        given = {"request_id": f"test-{next(_NUMBERS)}", "agent": self.playbook.agent.name, "text": text, **fields}
        request = RunRequest.model_validate(given)
        self.cloud.start(request, by)
        self._open.append(request.run_id)
        return self.follow(request.run_id, people)

    def follow(self, run_id: str, people: Sequence[Mapping[str, Any]] = ()) -> Timeline:
        """Answer for ``people`` until the run ends, or asks once more. Raises as ``run``."""
        giving, until = People(self.cloud, people), time.monotonic() + _ENDS_WITHIN_S
        while self.cloud.status(run_id) == "RUNNING":
            if time.monotonic() > until:
                raise TimeoutError(f"{run_id} neither ended nor asked a person within {_ENDS_WITHIN_S:.0f} s.")
            if asked := self._asked.get(run_id):
                try:
                    first = next(iter(asked))
                    if giving.answer(asked[first]):
                        asked.pop(first, None)
                except NoAnswerLeft:
                    break
                except NotAccepted as refused:
                    name, told = refused.problem.name, refused.problem.message
                    raise MayNotAnswer(told) if name == MayNotAnswer.__name__ else refused.problem from None
            time.sleep(0.01)
        else:
            self.cloud.wait(run_id, _ENDS_WITHIN_S)
        if self.model is not None:
            self.model.check(run_id)
        if wrong := giving.unmet():
            raise AssertionError(". ".join(wrong))
        return self.cloud.events(run_id).timeline()

    def items(self, table: str) -> list[dict[str, Any]]:
        """Return the items of a table of business.yaml, by its logical id; without the markers of ``write_once``.

        A set of DynamoDB is a Python set.
        """
        found = self.cloud.table(table)
        name = self.cloud.physical_id(table)
        client = self.cloud.session.client("dynamodb")
        key = client.describe_table(TableName=name)["Table"]["KeySchema"][0]["AttributeName"]
        keys = [next(iter(one[key].values())) for one in client.scan(TableName=name)["Items"]]
        read = [item for one in keys if not one.startswith("marker#") and (item := found.get({key: one}))]
        return [{attribute: _with_sets(value) for attribute, value in item.items()} for item in read]

    def listen(self) -> None:
        """Note each message to people from now on."""
        import json

        queue = self.cloud.physical_id("EscalationQueue").rpartition("/")[2]

        def sent(to: str, body: str) -> None:
            if to == queue:
                message = json.loads(body)  # one that is sent again asks the same
                self._asked.setdefault(message["run_id"], {})[message["escalation_id"]] = message

        self.cloud.message_sent.append(sent)

    def stop_open(self) -> None:
        """Abort the runs that still wait for people."""
        for run_id in self._open:
            if self.cloud.status(run_id) == "RUNNING":
                with suppress(Exception):
                    self.cloud.stop(run_id)
                    self.cloud.wait(run_id, _ENDS_WITHIN_S)
        self._open.clear()
        self._asked.clear()

    def restock(self) -> None:
        """Empty the tables, except for logs of runs, seed the business's anew, and reset the stand-ins.

        Executor and agent begin anew: a circuit that one test opened, or a token that it got, is not there in the next.
        """
        client = self.cloud.session.client("dynamodb")
        kept = {self.cloud.physical_id(name) for name in _KEPT}
        for page in client.get_paginator("list_tables").paginate():
            for name in page["TableNames"]:
                if name not in kept:
                    _empty(client, name)
        for function in _WITH_CIRCUITS:
            self.cloud.end_process(function)
        seed_store(self.cloud, self.playbook, 1, {})
        if (reset := getattr(self.stand_ins, "reset", None)) is not None:
            reset()

    @property
    def stand_ins(self) -> Any:
        """The project's scenarios/stand_ins.py as a module; None if it has none. ``reset()`` in it is called anew."""
        return self.cloud.stand_ins


def _with_sets(value: Any) -> Any:
    """Return an item's value with sets for the tuples that ``ballast.table`` makes of them: they have no order."""
    if isinstance(value, tuple):
        return set(value)
    if isinstance(value, dict):
        return {name: _with_sets(one) for name, one in value.items()}
    return [_with_sets(one) for one in value] if isinstance(value, list) else value


def _empty(client: Any, table: str) -> None:
    keys = [one["AttributeName"] for one in client.describe_table(TableName=table)["Table"]["KeySchema"]]
    for page in client.get_paginator("scan").paginate(TableName=table):
        for item in page["Items"]:
            client.delete_item(TableName=table, Key={key: item[key] for key in keys})


@dataclass(frozen=True)
class Verdict:
    """What became of a proposed call.

    status   ok, failed, denied, unknown, refused, or asked: it waits for people's approval. A call without an outcome
             is unknown, also while its run waits for a person's decision
    error    the name of a refusal's error: Ungrounded, RuleViolation, SchemaViolation …
    message  why it was refused, failed or denied; what the model is told
    why      the reasons why people are asked
    """

    status: str
    error: str
    message: str
    why: tuple[str, ...]
    result: Any
    call: Call
    timeline: Timeline
    _desk: LocalDesk = field(repr=False)
    _place: tuple[int, int] = field(repr=False)

    def approved(self, by: str = "reviewer", *, comment: str = "", groups: Sequence[str] = ()) -> Verdict:
        """Return what becomes of a call that waits, once that person has approved it.

        Raises ``MayNotAnswer`` if that person may not; the call waits on, and somebody else may.
        """
        return self._answered({"by": by, "approve": True, "comment": comment, "groups": list(groups)})

    def rejected(self, by: str = "reviewer", *, comment: str = "") -> Verdict:
        """Return what becomes of a call that waits, once that person has rejected it. Raises ``MayNotAnswer``."""
        return self._answered({"by": by, "approve": False, "comment": comment})

    def _answered(self, answer: Mapping[str, Any]) -> Verdict:
        if self.status != "asked":
            told = f"The call does not wait for a person: {self.status} {self.error} {self.message}"
            if self.timeline.status == "waiting":
                told += (
                    " Its run waits for a decision: play it with local_cloud.run(…, "
                    'people=[{"by": "rae", "decision": {"kind": "answer", "text": "…"}}]).'
                )
            raise AssertionError(told)
        made = self._desk.follow(self.timeline.run_id, [answer])
        return verdict_of(self._desk, made, self._place)


def _call_at(made: Timeline, place: tuple[int, int]) -> Call | None:
    return next((call for turn in made.turns for call in turn.calls if (turn.turn, call.index) == place), None)


def verdict_of(desk: LocalDesk, made: Timeline, place: tuple[int, int]) -> Verdict:
    """Return what became of the call at (turn, index) of a run."""
    found = _call_at(made, place)
    if found is None:
        raise AssertionError(f"The call was not proposed: {made.ending} {made.why}")
    waits = found.outcome == "waiting"
    why = found.approvals[-1].why if found.approvals and waits else ()
    status = "asked" if waits else "unknown" if found.outcome == "open" else found.outcome
    return Verdict(status, found.error, found.message, why, found.result, found, made, desk, place)


@dataclass(frozen=True)
class Gate:
    """Proposes a call as the agent would, and says what becomes of it: refused, asked about, or made."""

    desk: LocalDesk
    model: ScriptedModel

    def call(
        self,
        tool: Tool | str,
        arguments: Mapping[str, Any] | None = None,
        *,
        text: str = "Please.",
        after: Sequence[AnyCall] = (),
        by: str | None = None,
        **fields: Any,
    ) -> Verdict:
        """Propose a call in a run of its own; return what became of it.

        text    the request's words; what they name is grounded
        after   calls that the agent makes before, one a turn; they must not be refused. ("hand_over", {"agent": NAME,
                "note": …}) hands over to another agent, which makes the calls that follow
        by      who sends the request, and so may not approve the call
        fields  of the request: agent, intent, context, tenant, limits. Without ``agent`` the first agent of the
                playbook that is offered all the calls makes them
        """
        names = [_name(one) for one, _ in (*after, (tool, {}))]
        if "agent" not in fields and (maker := self._maker(names, fields.get("intent"))):
            fields["agent"] = maker
        self.model.will_for_a_call(*after, (tool, arguments or {}), "Done.")
        made = self.desk.run(text, by=by, **fields)
        for number, (before, given) in enumerate(after, 1):
            if _name(before) == HAND_OVER and HAND_OVER not in self.desk.playbook.tools:
                _check_handed_over(made, number, given)
                continue
            earlier = verdict_of(self.desk, made, (number, 1))
            if earlier.status != "ok":
                raise AssertionError(
                    f"after: {_name(before)} was {earlier.status}: {earlier.error} {earlier.message}".rstrip()
                )
        return verdict_of(self.desk, made, (len(after) + 1, 1))

    def _maker(self, tools: Sequence[str], intent: str | None) -> str | None:
        """Return the first agent that is offered the tools, up to a hand-over; None: leave it to the request."""
        until = tools.index(HAND_OVER) if HAND_OVER in tools else len(tools)
        agents = [(name, one) for name, one in self.desk.playbook.agents.items() if one.knows(intent)]
        return next((name for name, one in agents if all(one.offers(tool) for tool in tools[:until])), None)


def _check_handed_over(made: Timeline, number: int, given: Mapping[str, Any]) -> None:
    """Raise ``AssertionError`` unless turn ``number`` handed over to the agent that the call names."""
    turn = next((one for one in made.turns if one.turn == number), None)
    if turn is not None and turn.pivot is not None and turn.pivot.to_agent == given.get("agent"):
        return
    refused = _call_at(made, (number, 1))
    why = f"{refused.outcome} {refused.error} {refused.message}" if refused else f"{made.ending} {made.why}"
    raise AssertionError(f"after: {HAND_OVER} to {given.get('agent')!r} was not carried out: {why}".rstrip())


@dataclass
class FallbackRun:
    """One run of a fallback: the test plays the executor.

    call      the call that it asks for now; None once it has ended
    answer    its answer; None if it goes on or did not answer
    gave_up   why it gave up; None if it did not
    hands_to  the hand-over that it returned; None for none
    """

    playbook: Playbook
    fallback: Fallback
    request: RunRequest
    call: ToolCall | None = None
    answer: Answer | None = None
    gave_up: str | None = None
    hands_to: HandOver | None = None
    _outcomes: list[tuple[ToolCall, Any]] = field(default_factory=list)

    def returns(self, result: Any) -> FallbackRun:
        """Let the call succeed with ``result``, an object of its return type or its JSON; go on to the next call."""
        tool = self.playbook.tools[self._waiting().tool]
        return self._next(tool.result.validate_json(canonical(tool.dump(result))))

    def fails(self, message: str, status: str = "failed") -> FallbackRun:
        """Let the call fail: failed, refused, denied or unknown."""
        return self._next(CallFailed(self._waiting().tool, status, message))

    def _waiting(self) -> ToolCall:
        if self.call is None:
            raise AssertionError(f"The fallback has ended: {self.answer or self.gave_up or self.hands_to}")
        return self.call

    def _next(self, outcome: Any) -> FallbackRun:
        self._outcomes.append((self._waiting(), outcome))
        self.replay()
        return self

    def replay(self) -> None:
        """Run the script from its start over all outcomes, as Ballast does at every step."""
        running = self.fallback(self.request)
        self.call = None
        try:
            proposed = next(running)
            for call, outcome in self._outcomes:
                if proposed != call:
                    raise AssertionError(
                        f"The fallback is not a pure function of the results: it asked for {call}, and now {proposed}."
                    )
                proposed = running.throw(outcome) if isinstance(outcome, CallFailed) else running.send(outcome)
            if not isinstance(proposed, ToolCall):
                raise AssertionError(f"The fallback yielded {proposed!r}; yield a tool's .call(…).")
            self.call = proposed
        except StopIteration as end:
            decided = final_decision(end.value)
            self.hands_to = decided if isinstance(decided, HandOver) else None
            self.answer = decided if isinstance(decided, Answer) else None
        except (GiveUp, CallFailed) as gave_up:
            self.gave_up = str(gave_up)
        finally:
            running.close()


@dataclass(frozen=True)
class FallbackDriver:
    """Starts fallbacks by intent."""

    playbook: Playbook

    def __call__(self, intent: str, text: str = "Please.", **fields: Any) -> FallbackRun:
        """Start the fallback of an intent. ``fields``: of the request, such as context."""
        if intent not in self.playbook.fallbacks:
            known = ", ".join(self.playbook.fallbacks) or "none"
            raise AssertionError(f"No fallback serves the intent {intent!r}. There are: {known}.")
        given = {"request_id": "fallback", "agent": self.playbook.agent.name, "intent": intent, "text": text, **fields}
        made = FallbackRun(self.playbook, self.playbook.fallbacks[intent], RunRequest.model_validate(given))
        made.replay()
        return made


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the setting that names the playbook."""
    parser.addini("ballast_playbook", "folder of the playbook, or the one above it (default: the root)", default=".")


@pytest.fixture(scope="session")
def playbook(pytestconfig: pytest.Config) -> Playbook:
    """The playbook under test."""
    return load_playbook(pytestconfig.rootpath / str(pytestconfig.getini("ballast_playbook")))


@pytest.fixture(scope="session")
def _desk(playbook: Playbook) -> Iterator[tuple[LocalDesk, ScriptedModel]]:
    from localcloud.cloud import LocalCloud

    model = ScriptedModel()
    clock = WallClock(sleep=lambda seconds: time.sleep(min(seconds, 0.05)))
    with LocalCloud(Path(playbook.folder), model=model, clock=clock) as cloud:
        desk = LocalDesk(cloud, playbook, model)
        desk.listen()
        yield desk, model


@pytest.fixture
def scripted_model(_desk: tuple[LocalDesk, ScriptedModel]) -> ScriptedModel:
    """The model of ``local_cloud``."""
    return _desk[1]


@pytest.fixture
def local_cloud(_desk: tuple[LocalDesk, ScriptedModel]) -> Iterator[LocalDesk]:
    """A local cloud with the playbook, freshly seeded; ``scripted_model`` is its model."""
    desk, model = _desk
    model.forget()
    desk.restock()
    yield desk
    desk.stop_open()
    model.forget()


@pytest.fixture
def gate(local_cloud: LocalDesk, scripted_model: ScriptedModel) -> Gate:
    """The gate in front of the tools."""
    return Gate(local_cloud, scripted_model)


@pytest.fixture
def tool_context(local_cloud: LocalDesk) -> ToolContext:
    """What a tool's function gets: freshly seeded tables, with the rights of the executor's role.

    For a second call: ``dataclasses.replace(tool_context, idempotency_key="another")``.
    """
    runtime = local_cloud.cloud.runtime("ExecutorFunction")
    request = RunRequest(request_id="tool-context", agent=local_cloud.playbook.agent.name, text="Please.")
    return ToolContext(
        run_id=request.run_id,
        turn=1,
        index=1,
        idempotency_key=f"{request.run_id}.0001.1",
        request=request,
        now=runtime.clock(),
        environ=tools_environ(runtime.environ),
        client=runtime.client,
    )


@pytest.fixture
def fallback_driver(playbook: Playbook) -> FallbackDriver:
    """Plays a fallback: the test says what each call returns."""
    return FallbackDriver(playbook)
