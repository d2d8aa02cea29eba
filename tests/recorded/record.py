"""``python -m tests.recorded.record NAME…``: play runs in the local cloud and keep their logs as they were written.

What is recorded is never recorded again by a later version: the files are there so that later versions are held to
what this one wrote and read. A new kind of run gets a new name and is recorded beside the others. A file that is there
is overwritten with ``--anew`` only, which is for a recording that no commit has yet.

::

    take ─▶ local cloud (virtual clock, keys in memory) ─▶ items, payloads, lease, escalations ─▶ runs/NAME.json
                                                           └─ readings of this version ─▶ runs/NAME.expected.json
"""

from __future__ import annotations

import argparse
import importlib
import json
import random
import shutil
import sys
import tempfile
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ballast.contracts import RunRequest
from ballast.log.event import Event
from ballast.playbook import load_playbook
from ballast.playbook.context import tools_environ
from ballast.runtime import Runtime
from cli.local_stack import SMALL_STORE
from localcloud.clock import VirtualClock
from localcloud.cloud import PLAYBOOK, LocalCloud
from localcloud.converse import ScriptModel
from localcloud.converse.source import CallableModel, Reply, Source, said, turns_taken
from localcloud.moto_seams.replaced import replaced
from localcloud.project import package_of
from localcloud.scenarios import find
from tests.functions.http import ACME, event
from tests.recorded.readings import readings
from tests.recorded.recording import ROOT, RUNS, Item, Recording, save
from tests.support.log_items import decode, encode, payload_of
from tests.support.sealing_key import SealingKey

STOCK, VAULT = ROOT / "tests" / "recorded" / "stock", ROOT / "tests" / "e2e" / "vault"
_SECRETS = {"signing": b"recorded: signing".hex(), "sealing": b"recorded: sealing".hex()}
#: The bundled scenarios that were there when this was recorded.
_SCENARIOS = ("happy-path", "bad-calls", "loop", "hung-model", "fallback", "rollback", "escalation", "approval")
_LONGER_THAN_ANY_RUN_S = 45 * 86_400
_PERSON_TAKES_S, _INVOCATION_TAKES_S, _MODEL_TAKES_MS = 45.0, 0.025, 640
TAX_NUMBER, PIN, CARD = "078-05-1120", "93571-55", "4111 1111 1111 1111"

Body = dict[str, Any]
#: What the model says in a turn: an answer, calls, or a stop reason.
Step = str | list[tuple[str, Body]]
_STOPS = ("guardrail_intervened", "content_filtered", "max_tokens")


@dataclass(frozen=True)
class Person:
    """One answer: ``who`` sends ``body`` to the question that is open; an approval gets the binding that is shown."""

    who: str
    body: Body


@dataclass(frozen=True)
class Take:
    """One run to be recorded.

    people   the answers to each question that is opened, in the order of the questions
    by       "api" (a tenant starts it, operators answer over HTTP) or "functions" (as the ``ballast`` command does)
    before   called before each invocation of a handler: (stage, function, payload)
    opened   called in a thread of its own when people or the requester are asked
    after    called once the run has ended
    """

    name: str
    about: str
    model: Source
    request: RunRequest
    playbook: Path = STOCK
    masks: bool = False
    people: Sequence[Sequence[Person]] = ()
    by: str = "api"
    before: Callable[[Stage, str, Body], None] = lambda *_: None
    opened: Callable[[Stage], None] | None = None
    after: Callable[[Stage], None] = lambda _: None


class _Cloud(LocalCloud):
    """A local cloud whose functions have KMS in memory, so that what it signs and seals can be read again."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.keys = SealingKey(**{name: bytes.fromhex(text) for name, text in _SECRETS.items()})

    def runtime(self, function: str) -> Runtime:
        runtime = super().runtime(function)
        runtime._once(("client", "kms", ""), lambda _: self.keys)
        return runtime


@dataclass
class Stage:
    """A take while it is played."""

    take: Take
    cloud: LocalCloud
    clock: VirtualClock
    left: list[Sequence[Person]]
    problems: list[BaseException] = field(default_factory=list)
    done: set[str] = field(default_factory=set)

    @property
    def run_id(self) -> str:
        """The run's id."""
        return self.take.request.run_id

    def once(self, what: str) -> bool:
        """Say whether this is the first time that this is asked of ``what``."""
        first = what not in self.done
        self.done.add(what)
        return first

    def table(self, name: str) -> str:
        """Return the physical name of a table of the template."""
        return self.cloud.physical_id(name)

    def item(self, seq: str) -> Item:
        """Return an item of the run's log."""
        key = {"run_id": {"S": self.run_id}, "seq": {"S": seq}}
        found = self.dynamodb.get_item(TableName=self.table("RunLogTable"), Key=key, ConsistentRead=True)
        return dict(found["Item"])

    def put(self, item: Item) -> None:
        """Write an item of the run's log, past every writer of ours."""
        self.dynamodb.put_item(TableName=self.table("RunLogTable"), Item=item)

    def stock(self, item: str, number: int) -> None:
        """Let there be so many of an item."""
        entry = {"order_id": {"S": item}, "stock": {"N": str(number)}}
        self.dynamodb.put_item(TableName=self.table("OrdersTable"), Item=entry)

    @property
    def dynamodb(self) -> Any:
        """A client with every right."""
        return self.cloud.session.client("dynamodb")

    def call(self, function: str, method: str, path: str, *, who: str, body: Body | None = None, **more: Any) -> Any:
        """Send a request to an HTTP function and return the body of its answer."""
        answered = self.cloud.invoke(function, event(method, path, who=who, body=body, **more))
        if answered["statusCode"] >= 300:
            raise RuntimeError(f"{method} {path}: {answered['statusCode']} {answered['body']}")
        return json.loads(answered["body"])

    def in_thread(self, work: Callable[[], None]) -> None:
        """Do ``work`` in a thread of the clock's; what it raises fails the take."""

        def guarded() -> None:
            try:
                work()
            except BaseException as problem:
                self.problems.append(problem)

        self.clock.thread(guarded, "a person")

    def answered(self, escalation_id: str, kind: str, answers: Sequence[Person]) -> None:
        """Let people answer a question, one after the other."""
        for one in answers:
            self.clock.pause(_PERSON_TAKES_S)
            path = f"/escalations/{escalation_id}"
            if self.take.by == "functions":
                answer = {"escalation_id": escalation_id, "by": one.who, **one.body}
                self.cloud.invoke("AnswerEscalationFunction", answer)
            elif kind == "question":
                self.call("PeopleApiFunction", "POST", f"/runs/{self.run_id}/messages", who=ACME, body=one.body)
            else:
                who = f"arn:aws:iam::123456789012:user/ballast-operator/{one.who}"
                shown = self.call("PeopleApiFunction", "GET", path, who=who)
                bound = {"binding": shown["binding"]} if shown["binding"] and "approve" in one.body else {}
                self.call("PeopleApiFunction", "POST", path, who=who, body=one.body | bound)


def model(*steps: Step, takes_ms: int = _MODEL_TAKES_MS) -> CallableModel:
    """Return a model that says these, turn by turn."""

    def answer(request: Mapping[str, Any], _: str) -> Reply:
        step = steps[turns_taken(request)]
        if isinstance(step, list):
            uses = [{"toolUse": {"toolUseId": "t", "name": tool, "input": given}} for tool, given in step]
            return said(uses, "tool_use", request, latency_ms=takes_ms)
        stop = step if step in _STOPS else "end_turn"
        return said([{"text": "…" if stop == step else step}], stop, request, latency_ms=takes_ms)

    return CallableModel(answer)


def asks(name: str, text: str, **more: Any) -> RunRequest:
    """Return the request of a take."""
    return RunRequest(request_id=f"recorded-{name}", text=text, tenant="acme", **more)


def _masking(folder: Path, to: Path) -> Path:
    """Copy the vault's playbook below ``to`` with ``policy: mask``, and return where it is."""
    copy = shutil.copytree(folder, to / f"masking_{folder.name}", ignore=shutil.ignore_patterns("__pycache__"))
    agent, tools = copy / "agent.yaml", copy / "tools" / "vault.py"
    agent.write_text(agent.read_text("utf-8").replace("policy: encrypt", "policy: mask"), "utf-8")
    marked = "card_number: Annotated[str, Sensitive]"
    tools.write_text(tools.read_text("utf-8").replace(marked, "card_number: str"), "utf-8")
    return copy


@contextmanager
def _staged(take: Take) -> Iterator[Stage]:
    clock, numbers = VirtualClock(), random.Random(take.name)
    with (
        tempfile.TemporaryDirectory() as folder,
        replaced(uuid, "uuid4", lambda: uuid.UUID(int=numbers.getrandbits(128), version=4)),
    ):
        playbook = _masking(take.playbook, Path(folder)) if take.masks else take.playbook
        with _Cloud(playbook, model=take.model, clock=clock, enforce_iam=True) as cloud:
            yield Stage(take, cloud, clock, list(take.people))


def played(take: Take) -> Recording:
    """Play a take to its end and return what it left."""
    with _staged(take) as stage:
        _furnish(stage)

        def before(function: str, payload: Body) -> None:
            take.before(stage, function, payload)

        def after(function: str, payload: Body, result: Any) -> None:
            stage.clock.pause(_INVOCATION_TAKES_S)
            if function != "OpenEscalationFunction":
                return
            if take.opened is not None:
                stage.in_thread(lambda: take.opened and take.opened(stage))
            elif stage.left:
                answers = stage.left.pop(0)
                stage.in_thread(lambda: stage.answered(result["escalation_id"], payload["kind"], answers))

        stage.cloud.before_invoke.append(before)
        stage.cloud.after_invoke.append(after)
        _start(stage)
        stage.cloud.wait(stage.run_id, _LONGER_THAN_ANY_RUN_S)
        stage.clock.pause(1)
        stage.cloud.pump()
        take.after(stage)
        if stage.problems:
            raise stage.problems[0]
        return _left(stage)


def _furnish(stage: Stage) -> None:
    """Fill the tables of the business."""
    if stage.take.playbook == PLAYBOOK:
        store = importlib.import_module(f"{package_of(load_playbook(PLAYBOOK))}.store")
        environ, today = tools_environ(stage.cloud.environ("ExecutorFunction")), stage.clock().date()
        store.seed_store(stage.dynamodb, environ, today=today, seed=1, **SMALL_STORE)
    elif stage.take.playbook == STOCK:
        stage.stock("bolts", 40)


def _start(stage: Stage) -> None:
    request = stage.take.request
    if stage.take.by == "functions":
        stage.cloud.start(request)
        return
    body = request.model_dump(mode="json", exclude={"request_id", "tenant"}, exclude_none=True)
    headers = {"idempotency-key": request.request_id}
    started = stage.call("ApiFunction", "POST", "/runs", who=ACME, body=body, headers=headers)
    assert started["run_id"] == request.run_id, started


def _left(stage: Stage) -> Recording:
    """Return what the run left in the tables and the bucket."""
    take, dynamodb, run_id = stage.take, stage.dynamodb, stage.run_id
    found = dynamodb.query(
        TableName=stage.table("RunLogTable"),
        KeyConditionExpression="run_id = :run_id",
        ExpressionAttributeValues={":run_id": {"S": run_id}},
        ConsistentRead=True,
    )
    assert "LastEvaluatedKey" not in found
    items = tuple(dict(sorted(item.items())) for item in found["Items"])
    s3, bucket = stage.cloud.session.client("s3"), stage.cloud.physical_id("PayloadBucket")
    keys = sorted(filter(None, map(payload_of, items)))
    lease = dynamodb.get_item(
        TableName=stage.table("BudgetsTable"),
        Key={"account": {"S": "lease"}, "window": {"S": run_id}},
        ConsistentRead=True,
    ).get("Item")
    escalations = dynamodb.scan(TableName=stage.table("EscalationsTable"), ConsistentRead=True)["Items"]
    return Recording(
        name=take.name,
        about=take.about,
        run_id=run_id,
        tenant=take.request.tenant,
        playbook=str(take.playbook.relative_to(ROOT)),
        read_at=stage.clock().isoformat(),
        keys=_SECRETS,
        items=items,
        payloads={key: s3.get_object(Bucket=bucket, Key=key)["Body"].read() for key in keys},
        lease=None if lease is None else dict(sorted(lease.items())),
        escalations=tuple(
            {name: value for name, value in sorted(item.items()) if name != "task_token"}
            for item in sorted(escalations, key=lambda item: str(item["escalation_id"]["S"]))
            if item.get("run_id", {}).get("S") == run_id
        ),
    )


# What happens in takes besides what the model and the people say


def _stops_after_a_minute(stage: Stage) -> None:
    stage.clock.pause(60)
    stage.cloud.stop(stage.run_id)


def _stops_while_the_model_works(stage: Stage, function: str, _: Body) -> None:
    if function == "AgentFunction" and stage.once("stop"):

        def stop() -> None:
            stage.clock.pause(5)
            stage.cloud.stop(stage.run_id)

        stage.in_thread(stop)


def _restocks_once_approved(stage: Stage, function: str, payload: Body) -> None:
    if function == "ExecutorFunction" and payload.get("asked") == 1 and stage.once("restock"):
        stage.stock("bolts", 12)


def _forges_an_approval(stage: Stage, function: str, payload: Body) -> None:
    """Put an approval that nobody signed over the rejection that a person had signed."""
    if function == "ExecutorFunction" and payload.get("asked") == 1 and stage.once("forge"):
        answer = stage.item("0001.call.1.approval_answered")
        needed = decode(stage.item("0001.call.1.approval_needed"), None).body
        body = decode(answer, None).body | {"approve": True, "by": "the-boss", "approvals": [{"by": "the-boss"}]}
        body |= {"binding": needed["binding"]["sha256"]}
        forged = Event(run_id=stage.run_id, seq=answer["seq"]["S"], at=answer["at"]["S"], body=body)
        stage.put(encode(forged, body)[0])


def _garbles_an_outcome(stage: Stage) -> None:
    """Let what came of the first call be half of what it was, compressed; its digest is left."""
    settled = stage.item("0001.call.1.settled")
    stage.put({name: one for name, one in settled.items() if name != "body"} | {"packed": {"B": b"x\x9c\xab"}})


def _corrects_the_charge(stage: Stage) -> None:
    order = {"run_id": stage.run_id, "charged_microusd": 12_300, "by": "ann", "reason": "by the bill of March"}
    stage.cloud.invoke("CommandFunction", {"command": "budget", "correct": order})


def _scenario(name: str) -> Take:
    scenario = find(name)
    answers = (one.as_sent for one in scenario.people)
    return Take(
        name=name,
        about=scenario.description,
        model=ScriptModel.read(scenario.script),
        request=scenario.request,
        playbook=PLAYBOOK,
        people=[[Person(str(answer.pop("by")), answer)] for answer in answers],
        by="functions",
    )


_VAULT_SAYS: tuple[Step, ...] = (
    [("look_into", {"name": "Ann"})],
    [("keep_card", {"card_number": CARD, "note": "broken"})],
    [("keep_card", {"card_number": CARD, "note": "ask"})],
    f"Card {CARD} is kept for {TAX_NUMBER}; the pin is {PIN}.",
)
_DENIED = "It was rejected, so nothing was added."
_ADD_20: Step = [("add", {"item": "bolts", "by": 20})]


def takes() -> dict[str, Take]:
    """Return all takes by name."""
    made = [
        *map(_scenario, _SCENARIOS),
        Take(
            "several-people",
            "Somebody changes the arguments, and two others approve what is shown then.",
            model([("scrap", {"item": "bolts", "by": 30})], "Scrapped."),
            asks("several-people", "Scrap the rusty bolts."),
            people=[
                [
                    Person("ann", {"approve": True, "comment": "All of them."}),
                    Person("lee", {"approve": True, "arguments": {"item": "bolts", "by": 7}, "comment": "Only 7."}),
                    Person("kim", {"approve": True}),
                    Person("ann", {"approve": True}),
                ]
            ],
        ),
        Take(
            "void-approval",
            "The stock changes between approval and act: the approval is void, and people are asked again.",
            model([("write_off", {"item": "bolts", "by": 3})], "Written off."),
            asks("void-approval", "Write 3 bolts off."),
            people=[[Person("ann", {"approve": True})], [Person("lee", {"approve": True, "comment": "Still so."})]],
            before=_restocks_once_approved,
        ),
        Take(
            "sealed",
            "Sensitive values are sealed with the stack's key, in the request, in arguments and in results.",
            model(*_VAULT_SAYS),
            asks("sealed", "Keep my card.", context={"tax_number": TAX_NUMBER}),
            playbook=VAULT,
            people=[[Person("ann", {"approve": True})]],
        ),
        Take(
            "masked",
            "Sensitive values are masked for good (``policy: mask``).",
            model([("look_into", {"name": "Ann"})], "It is in the vault."),
            asks("masked", "Look.", context={"tax_number": TAX_NUMBER}),
            playbook=VAULT,
            masks=True,
        ),
        Take(
            "large-result",
            "A tool's result and the prompt that has it are in S3.",
            model([("catalogue", {"chars": 46_000})], "That is all of it."),
            asks("large-result", "Read me the catalogue."),
        ),
        Take(
            "paid-calls",
            "Two reads side by side, one of which costs money, and a write that needs nobody.",
            model(
                [("count", {"item": "bolts"}), ("appraise", {"item": "bolts"})],
                [("add", {"item": "bolts", "by": 2})],
                "42.",
            ),
            asks("paid-calls", "What are the bolts worth? And add two."),
        ),
        Take(
            "refused",
            "The request wants more turns than the playbook allows, and is refused.",
            model(),
            asks("refused", "Take your time.", limits={"turns": 50}),
        ),
        Take(
            "aborted",
            "The execution is aborted while a person is waited for, and is settled from outside.",
            model([("add", {"item": "bolts", "by": 2})], "guardrail_intervened"),
            asks("aborted", "Add two bolts, and say something odd."),
            opened=_stops_after_a_minute,
        ),
        Take(
            "question",
            "The agent asks the requester, who replies.",
            model([("ask_requester", {"question": "Which bolts?"})], [("count", {"item": "bolts"})], "There are 40."),
            asks("question", "How many bolts are there?"),
            people=[[Person("requester", {"text": "The long ones, called bolts."})]],
        ),
        Take(
            "doubted-write",
            "A write breaks off once it is done; asking after it breaks too, and then tells that it happened.",
            model([("order_goods", {"item": "bolts", "amount_eur": "25.00"})], "Ordered."),
            asks("doubted-write", "Order bolts for 25 euros."),
        ),
        Take(
            "corrected",
            "An operator corrects what the settled run was charged.",
            model([("count", {"item": "bolts"})], "There are 40."),
            asks("corrected", "How many bolts are there?"),
            after=_corrects_the_charge,
        ),
        Take(
            "late-event",
            "The execution is aborted while the model works: its completion comes after the ending.",
            model([("count", {"item": "bolts"})], "There are 40.", takes_ms=20_000),
            asks("late-event", "How many bolts are there?"),
            before=_stops_while_the_model_works,
            after=lambda stage: stage.clock.pause(120),
        ),
        Take(
            "added-budget",
            "A person hands back to the agent with more money, which is leased (lease.extended).",
            model("guardrail_intervened", [("count", {"item": "bolts"})], "There are 40."),
            asks("added-budget", "How many bolts are there?"),
            people=[
                [
                    Person(
                        "ann",
                        {
                            "decision": {
                                "kind": "hand_over",
                                "to": "agent",
                                "reason": "guidance",
                                "guidance": "Count them.",
                                "add_budget_microusd": 50_000,
                            }
                        },
                    )
                ]
            ],
        ),
        Take(
            "garbled",
            "What came of the first call cannot be decompressed any more.",
            model([("count", {"item": "bolts"})], "There are 40."),
            asks("garbled", "How many bolts are there?"),
            after=_garbles_an_outcome,
        ),
        Take(
            "forged-answer",
            "Somebody puts an approval that nobody signed over a rejection; it is not believed, and asked again.",
            model(_ADD_20, _DENIED),
            asks("forged-answer", "Add 20 bolts."),
            people=[[Person("ann", {"approve": False})], [Person("lee", {"approve": False, "comment": "No."})]],
            before=_forges_an_approval,
        ),
    ]
    return {take.name: take for take in made}


_TEACHING = """\
Play runs in the local cloud and keep their logs, and what this version reads in them, in tests/recorded/runs.
tests/functions/log/test_recorded_logs.py holds every later version to them.

  python -m tests.recorded.record                    what there is, and what of it is recorded
  python -m tests.recorded.record late-event         record one that is not there yet
  python -m tests.recorded.record --all              record all that are not there yet

What is recorded stays as it is, also where a later version writes another log for the same run: that is the point.
For a new kind of run add a take to takes() under a new name. --anew overwrites a recording that no commit has.
"""


def main(argv: Sequence[str] | None = None) -> int:
    """Record what was named; return 1 where something is there already, 2 where there is no such take."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.recorded.record",
        description=_TEACHING,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("names", nargs="*", metavar="NAME", help="which takes; without one they are listed")
    parser.add_argument("--all", action="store_true", help="all takes that are not recorded yet")
    parser.add_argument("--anew", action="store_true", help="overwrite what is recorded already")
    typed = parser.parse_args(argv)
    known = takes()
    recorded = {name for name in known if (RUNS / f"{name}.json").exists()}
    wanted = typed.names or [name for name in known if typed.all and (typed.anew or name not in recorded)]
    if unknown := [name for name in wanted if name not in known]:
        return _complain(2, f"There is no take {', '.join(unknown)}. There are: {', '.join(known)}.")
    if (there := [name for name in wanted if name in recorded]) and not typed.anew:
        return _complain(1, f"{', '.join(there)}: recorded already, and never recorded again. See --help.")
    if not wanted:
        for name, take in known.items():
            sys.stdout.write(f"{name:16} {'recorded' if name in recorded else 'missing '}  {take.about}\n")
    for name in wanted:
        recording = played(known[name])
        save(recording, readings(recording))
        sys.stdout.write(f"{name}: {len(recording.items)} events\n")
    return 0


def _complain(code: int, text: str) -> int:
    sys.stderr.write(f"{text}\n")
    return code


if __name__ == "__main__":
    sys.exit(main())
