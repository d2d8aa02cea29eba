"""Read a recorded run with the code of today: the one place that knows how each value is computed.

The recordings and what is expected of them stay as they are. Where a fold moves, or a class gets another name, this
module changes how it computes a value, and never which value. What a later version says besides (a new field of a
trace, of the API) is left out here.

::

    recording ─▶ tables, bucket and keys in memory ─▶ readers: shows (masked, unverified)
                                                              acts  (unsealed, verified: planner, executor, lifecycle)
                                                              people (masked, verified by signing again)
              ─▶ events · verdict · trace · cost · api · folds · money, as JSON
"""

from __future__ import annotations

import hashlib
import io
import json
from argparse import Namespace
from collections.abc import Callable, Mapping, Sequence, Set
from contextlib import redirect_stdout
from dataclasses import dataclass, fields, is_dataclass
from enum import Enum
from functools import partial
from types import SimpleNamespace
from typing import Any

from botocore.exceptions import ClientError
from pydantic import BaseModel
from rich.console import Console

from ballast.contracts.wire import canonical
from ballast.errors import BallastError
from ballast.folds.conversation import prompt_digest, rebuild
from ballast.folds.usage import charged_at_last
from ballast.log.event import Event, order
from ballast.log.events import Fact, ModelRequested
from ballast.log.evidence import check, vouched_for
from ballast.log.run_log import RunLog
from ballast.log.seal import Seal
from ballast.log.signature import Signatures
from ballast.playbook import load_playbook
from ballast.run import Run
from ballast.runtime import Runtime
from ballast.table import Table
from cli.commands.cost import cost_on_stack
from cli.screen import Screen
from cli.trace.render import render
from functions.front import api as runs_api
from functions.lifecycle.budgets_table import BudgetsTable
from functions.people import api as people_api
from localcloud.evidence import anchor_of, verdict_on
from tests.recorded.recording import ROOT, Recording
from tests.support.events import sample
from tests.support.sealing_key import SealingKey
from tests.support.tables_in_memory import Tables
from tests.support.timelines import timeline

#: The sections of a reading, in the order in which a failure is best looked at.
SECTIONS = ("events", "verdict", "money", "folds", "trace", "cost", "api")
_TABLES = {"log": "run-log", "budgets": "budgets", "escalations": "escalations"}
_KEY = "arn:aws:kms:eu-west-1:123456789012:alias"
_OPERATOR = "arn:aws:iam::123456789012:user/ballast-operator/ann"
#: Longer texts are told by their beginning and their digest.
_MOST_CHARS, _BEGINNING = 3_000, 200
#: What a prompt's tools are called in ``model.requested``; they are long, and the same in every run of a playbook.
_TOOLS = "tools"


def readings(recording: Recording) -> dict[str, Any]:
    """Return what today's code reads in ``recording``, by section, as JSON. No reading raises: an error is a value."""
    world = _World(recording)
    made = {
        "events": _events(world),
        "verdict": _verdicts(world),
        "money": _money(world),
        "folds": _folds(world),
        "trace": _trace(world),
        "cost": _cost(world),
        "api": _api(world),
    }
    for path in _LATER:
        _leave_out(made, path)
    return {section: _abridged(made[section]) for section in SECTIONS}


#: What later versions say besides: that an operator corrected what a run was charged.
_LATER = (
    "money.anchor.corrected",
    "money.anchor.corrections",
    "money.lease.corrected",
    "folds.shows.outcome.corrected",
    "trace.json.corrected",
    "cost.corrected",
    "cost.as_corrected_microusd",
    "api.run.body.corrected",
    "api.listed.body.runs.corrected",
    "api.listed_by_status.body.runs.corrected",
)


def _leave_out(value: Any, path: str) -> None:
    """Remove what stands under ``path``, in each item where there is a list on the way."""
    name, _, rest = path.partition(".")
    for one in value if isinstance(value, list) else [value]:
        if isinstance(one, dict) and rest:
            _leave_out(one.get(name), rest)
        elif isinstance(one, dict):
            one.pop(name, None)


class _Bucket:
    """S3, as far as the log reads it."""

    def __init__(self, payloads: Mapping[str, bytes]) -> None:
        self._payloads = payloads

    def get_object(self, *, Bucket: str, Key: str) -> dict[str, Any]:  # noqa: N803  as boto3 names them
        if Key not in self._payloads:
            raise ClientError({"Error": {"Code": "NoSuchKey", "Message": ""}}, "GetObject")
        content = self._payloads[Key]
        return {"Body": io.BytesIO(content), "ContentLength": len(content)}


@dataclass(frozen=True)
class _Session:
    """A boto3 session whose clients are in memory."""

    clients: Mapping[str, Any]

    def client(self, service: str, **_: Any) -> Any:
        return self.clients[service]


class _World:
    """The tables, the bucket and the keys of one recording, and its readers."""

    def __init__(self, recording: Recording) -> None:
        self.recording, self.run_id = recording, recording.run_id
        self.tables = Tables()
        for table, items in (
            ("log", recording.items),
            ("budgets", [recording.lease] if recording.lease else []),
            ("escalations", recording.escalations),
        ):
            for item in items:
                self.tables.put_item(TableName=_TABLES[table], Item=item)
        secrets = {name: bytes.fromhex(text) for name, text in recording.keys.items()}
        clients = {
            "dynamodb": self.tables,
            "s3": _Bucket(recording.payloads),
            "kms": SealingKey(**secrets),
            "stepfunctions": SimpleNamespace(),  # asked only about runs that have no log
        }
        environ = {
            "AWS_REGION": "eu-west-1",
            "STACK_NAME": "recorded",
            "RUN_LOG_TABLE": _TABLES["log"],
            "BUDGETS_TABLE": _TABLES["budgets"],
            "ESCALATIONS_TABLE": _TABLES["escalations"],
            "PAYLOAD_BUCKET": "payloads",
            "STATE_MACHINE_ARN": "arn:aws:states:eu-west-1:123456789012:stateMachine:agent",
            "SENSITIVE_KEY_ARN": f"{_KEY}/sensitive",
            "ANSWER_KEY_ARN": f"{_KEY}/answers",
            "PLAYBOOK_DIR": str(ROOT / recording.playbook),
        }
        session: Any = _Session(clients)
        self.runtime = Runtime(environ, session=session, clock=lambda: recording.now, stdout=io.StringIO())
        playbook = load_playbook(ROOT / recording.playbook)
        opens = Seal.of(self.runtime, playbook)
        closes = Seal.of(self.runtime, playbook, opens=False)
        self.readers = {
            "shows": RunLog.of(self.runtime),
            "acts": RunLog.of(self.runtime, opens, Signatures.of(self.runtime)),
            "people": RunLog.of(self.runtime, closes, Signatures.signing(self.runtime)),
        }

    def examined(self, reader: str) -> tuple[Run, dict[str, str]]:
        """Return the events that ``reader`` sees, and what is wrong with those that it does not."""
        return self.readers[reader].examine(self.run_id)

    def answer(self, handler: Any, path: str, **query: str) -> Any:
        """Return what an HTTP function answers to an operator's GET: its status and its body."""
        request = sample("start-run-by-an-operator")
        request["rawPath"] = request["requestContext"]["http"]["path"] = path
        request["requestContext"]["http"]["method"] = "GET"
        request["requestContext"]["authorizer"]["iam"]["userArn"] = _OPERATOR
        request["body"] = None
        request["queryStringParameters"] = query
        context = SimpleNamespace(aws_request_id="recorded", get_remaining_time_in_millis=lambda: 30_000)
        answered = handler(request, context, runtime=self.runtime)
        return {"status": answered["statusCode"], "body": json.loads(answered["body"])}


def _events(world: _World) -> dict[str, Any]:
    """Return the events as each reader sees them; of the later readers the bodies that differ from the first."""
    shown, broken = world.examined("shows")
    seen = {event.seq: event for event in shown}
    found: dict[str, Any] = {
        "shows": {
            "events": [
                {"seq": one.seq, "at": one.at, "digest": one.digest, "beside": dict(one.stored), "body": one.body}
                for one in shown
            ],
            "unreadable": broken,
            "read": _or_error(partial(_read, world, "shows")),
        }
    }
    for reader in ("acts", "people"):
        events, wrong = world.examined(reader)
        also = [(one, seen[one.seq]) for one in events if one.seq in seen]
        found[reader] = {
            "seqs": "as shown" if [one.seq for one in events] == list(seen) else [one.seq for one in events],
            "bodies": {one.seq: one.body for one, other in also if one.body != other.body},
            "others": [one.seq for one, other in also if _rest(one) != _rest(other)],
            "unsigned": [one.seq for one in world.readers[reader].unsigned(world.run_id)],
            "unreadable": wrong,
            "read": _or_error(partial(_read, world, reader)),
        }
    return found


def _read(world: _World, reader: str) -> int:
    """Return how many events ``RunLog.read`` gives."""
    return len(world.readers[reader].read(world.run_id))


def _rest(event: Event) -> tuple[Any, ...]:
    """Return what of an event is the same for every reader."""
    return event.at, event.digest, event.stored


def _budgets(world: _World) -> Table:
    return Table(world.tables, _TABLES["budgets"], "Table budgets")


def _verdicts(world: _World) -> dict[str, Any]:
    now, anchor = world.recording.now, anchor_of(_budgets(world), world.run_id)
    events, broken = world.examined("shows")
    acts, wrong = world.examined("acts")
    unsigned = world.readers["acts"].unsigned(world.run_id)
    forged = [one.seq for one in unsigned]
    whole = sorted([*acts, *unsigned], key=order)  # as Settle checks it
    garbled = {seq: why for seq, why in wrong.items() if seq not in forged}
    log = world.readers["shows"]
    return {
        "with_anchor": plain(verdict_on(log, _budgets(world), world.run_id, now)),
        "without_anchor": plain(check(events, broken=broken, now=now)),
        "with_keys": plain(check(whole, broken=garbled, anchor=anchor, now=now, unsigned=forged)),
    }


def _money(world: _World) -> dict[str, Any]:
    run, _ = world.examined("shows")
    return {
        "lease": _or_error(lambda: BudgetsTable.of(world.runtime).find(world.run_id)),
        "anchor": plain(anchor_of(_budgets(world), world.run_id)),
        "usage": _or_error(lambda: run.usage),
        "charged_at_last": _or_error(lambda: charged_at_last(run, vouched_for(run))),
        "moves": _or_error(lambda: run.moves),
    }


def _folds(world: _World) -> dict[str, Any]:
    """Return the folds' values over what everybody sees; of who acts those that differ."""
    shown, acts = (_folded(world.examined(reader)[0]) for reader in ("shows", "acts"))
    return {"shows": shown, "acts": {name: value for name, value in acts.items() if value != shown[name]}}


def _folded(run: Run) -> dict[str, Any]:
    one_a_fold: dict[str, Callable[[], Any]] = {
        "opening": lambda: run.opening,
        "usage": lambda: run.usage,
        "counts": lambda: run.counts,
        "proposals": lambda: {f"{turn:04d}": made for turn, made in run.proposals.items()},
        "calls": lambda: run.calls,
        "standing": lambda: run.standing,
        "effects": lambda: run.effects("waiting"),
        "moves": lambda: run.moves,
        "unfinished": lambda: run.is_unfinished,
        "progress": lambda: run.progress,
        "approvals": lambda: {
            f"{state.turn:04d}.{state.index}": rounds
            for state in run.calls
            if (rounds := run.approvals(state.turn, state.index))
        },
        "saved": lambda: run.stopped_loops,
        "summary": lambda: run.summary("recorded"),
        "proposed": lambda: run.proposed,
        "why_it_stopped": lambda: run.why_it_stopped,
        "outcome": lambda: run.outcome,
        "to_announce": lambda: run.to_announce,
        "to_undo": lambda: run.to_undo,
        "prompts": lambda: _prompts(run),
    }
    return {name: _or_error(fold) for name, fold in one_a_fold.items()}


def _prompts(run: Run) -> dict[str, Any]:
    """Return of each request to the model what was recorded of its prompt, and what it is when it is rebuilt."""
    found = {}
    as_shown = {asked.seq: rebuild(run.as_shown, asked) for asked in run.as_shown.facts(ModelRequested)}
    for asked in run.facts(ModelRequested):
        shown, exact = as_shown[asked.seq], rebuild(run, asked)
        found[asked.seq] = {
            "recorded_sha256": asked.prompt_sha256,
            "rebuilt_sha256": prompt_digest(run, shown, asked.inference),
            "exact_sha256": _sha256(canonical([exact.system, exact.tools, list(exact.messages)])),
            "messages": len(exact.messages),
            "covers": list(exact.covers),
        }
    return found


#: The trace's own words since they were changed, and those of the recordings. Nothing that a run says is among them.
_REWORDED = {
    "    loop    ": "    circles ",
    " " * 12 + "the calls only read, so they ran in parallel": " " * 12 + "the calls only read: side by side",
}


def _as_worded_then(line: str) -> str:
    for today, then in _REWORDED.items():
        if line.startswith(today):
            return then + line.removeprefix(today)
    return line


def _trace(world: _World) -> dict[str, Any]:
    """Return what ``ballast trace`` prints: plain, with --full, and with --json."""
    events, unreadable = world.examined("shows")
    made = timeline(events, unreadable, run_id=world.run_id)

    def drawn(*, full: bool) -> list[str]:
        printed = io.StringIO()
        # Wrapped in a pipe as well, as it was then: a Screen breaks no line there.
        console = Console(file=printed, width=100, markup=False, highlight=False, emoji=False)
        console.print(render(made.model_copy(update={"corrected": None}), full=full), crop=False)  # see _LATER
        return [_as_worded_then(line) for line in printed.getvalue().splitlines()]

    return {"plain": drawn(full=False), "full": drawn(full=True), "json": _as_before(json.loads(made.to_json()))}


#: What a timeline says since it has a version, by where it says it.
_SINCE_VERSION_1 = {
    "run": {"version", "why", "tenant", "intent", "requested_by", "ended_at", "money", "unreadable", "unknown"},
    "turn": {"at", "unreadable", "unknown", "left_out"},
    "attempt": {
        "at",
        "why",
        "price_version",
        "cache_write_tokens",
        "charged_microusd",
        "passed_over",
        "refused_answer",
    },
    "piece": {"left_out"},
    "call": {"signal", "approvals", "notice", "charged_microusd", "attempts", "doubts", "left_out"},
    "escalation": {"kind", "why", "may_not_answer", "answer_by", "asked_at", "answered_at"},
    "decided": {"leased_microusd", "breaker"},
    "pivot": {"why"},
    "approval": {"round", "approvals", "approvers", "parked", "answer_by", "asked_at", "answered_at"},
}


def _old(kind: str, value: Any, **more: Any) -> Any:
    if value is None:
        return None
    return {name: one for name, one in value.items() if name not in _SINCE_VERSION_1[kind]} | more


def _as_before(made: Any) -> Any:
    """Return version 1 of a timeline's JSON in the form that it had when the runs were recorded."""

    def place(at: Any) -> str:
        return f"turn {at[0]} call {at[1]}" if at else ""

    def approval(rounds: Any) -> Any:
        moved = [one["void"] for one in rounds if one["void"]]
        return _old("approval", rounds[-1], void=moved[-1] if moved else []) if rounds else None

    def call(one: Any) -> Any:
        circles = one["signal"]["words"] if one["signal"] else ""
        places = {name: place(one[name]) for name in ("undoes", "repeats")}
        return _old("call", one, circles=circles, approval=approval(one["approvals"]), **places)

    def attempt(one: Any) -> Any:
        said = {name: [_old("piece", piece) for piece in one[name]] for name in ("prompt", "completion")}
        return _old("attempt", one, **said)

    def turn(one: Any) -> Any:
        parts = {name: _old(name, one[name]) for name in ("escalation", "decided", "pivot")}
        lists = {"attempts": list(map(attempt, one["attempts"])), "calls": list(map(call, one["calls"]))}
        return _old("turn", one, **parts, **lists)

    corrupt = [f"{one['seq']}: {one['why']}" for one in made["unreadable"]]
    return _old("run", made, turns=list(map(turn, made["turns"])), corrupt=corrupt)


def _cost(world: _World) -> Any:
    """Return what ``ballast --stack … cost RUN --json`` prints."""
    cloud: Any = SimpleNamespace(read_all=lambda _: world.examined("shows"))
    typed = Namespace(run=world.run_id, since=None, tenant=None, json=True)
    printed = io.StringIO()

    def explained() -> Any:
        with redirect_stdout(printed):
            cost_on_stack(typed, cloud, Screen(Console(file=io.StringIO())))
        return json.loads(printed.getvalue())

    return _or_error(explained)


def _api(world: _World) -> dict[str, Any]:
    """Return what the HTTP API answers about the run."""
    run_id, tenant = world.run_id, world.recording.tenant
    run = world.answer(runs_api.lambda_handler, f"/runs/{run_id}")
    status = str(run["body"].get("status"))
    page = world.answer(runs_api.lambda_handler, f"/runs/{run_id}/events", limit="200")
    shown = {one.seq: one for one in world.examined("shows")[0]}
    events = page["body"].get("events", [])
    for index, one in enumerate(events):
        same = shown.get(one["seq"])
        if same is not None and one == {**one, "at": same.at, "body": same.body, "corrupt": None, "left_out": None}:
            events[index] = f"{one['seq']} as shown"  # told once, under "events"
    return {
        "run": run,
        "events": page,
        "listed": world.answer(runs_api.lambda_handler, "/runs", tenant=tenant),
        "listed_by_status": world.answer(runs_api.lambda_handler, "/runs", tenant=tenant, status=status),
        "escalations": {
            item["escalation_id"]["S"]: world.answer(
                people_api.lambda_handler, f"/escalations/{item['escalation_id']['S']}"
            )
            for item in world.recording.escalations
        },
        "open": world.answer(people_api.lambda_handler, "/escalations", status="open"),
        "answered": world.answer(people_api.lambda_handler, "/escalations", status="answered"),
    }


def plain(value: Any) -> Any:
    """Return a value of ours as JSON: models, dataclasses and enumerations by their fields and values."""
    if isinstance(value, Fact):
        return plain(value.body)
    if isinstance(value, BaseModel):
        return plain(value.model_dump(mode="json"))
    if is_dataclass(value) and not isinstance(value, type):
        return {field.name: plain(getattr(value, field.name)) for field in fields(value)}
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, Mapping):
        return {str(name): plain(one) for name, one in value.items()}
    if isinstance(value, Set):
        return sorted((plain(one) for one in value), key=canonical)
    if isinstance(value, Sequence) and not isinstance(value, str):
        return [plain(one) for one in value]
    return value if value is None or isinstance(value, str | int | float) else str(value)


def _or_error(compute: Callable[[], Any]) -> Any:
    """Return the value, or what it raises."""
    try:
        return plain(compute())
    except (BallastError, LookupError, TypeError, ValueError, AttributeError) as problem:
        return {"raises": type(problem).__name__, "says": str(problem)}


def _abridged(value: Any) -> Any:
    """Return JSON with its long texts, and the tools of its prompts, told by their digests."""
    if isinstance(value, str) and len(value) > _MOST_CHARS:
        return f"{value[:_BEGINNING]}… {len(value)} characters, SHA-256 {_sha256(value)}"
    if isinstance(value, dict):
        return {
            name: f"SHA-256 {_sha256(canonical(one))}" if name == _TOOLS and one else _abridged(one)
            for name, one in value.items()
        }
    return [_abridged(one) for one in value] if isinstance(value, list) else value


def _sha256(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()
