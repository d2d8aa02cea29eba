"""A rig for one call: fresh tables, the tool's own AWS clients, and a fault at any of its requests.

::

    fresh ─▶ the seeded tables, and the writes that the scenario made before
    attempt ─▶ the tool's function, with a fault ─▶ how it ended, what it asked AWS for, how long it took
    seen ─▶ what stands now: the items, what was sent elsewhere, and what a double of the playbook has counted
"""

from __future__ import annotations

import copy
import hashlib
import http.client
import importlib
import io
import json
import re
import signal
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field, replace
from datetime import timedelta
from pathlib import Path
from threading import get_ident
from typing import TYPE_CHECKING, Any, Literal

from botocore.client import BaseClient
from botocore.exceptions import ReadTimeoutError

from ballast.contracts.wire import canonical
from ballast.errors import PlaybookInvalid, RetryLater
from ballast.folds.calls import CallState
from ballast.playbook import Effect, Playbook, Tool, ToolContext, ToolFailed
from ballast.playbook.context import Bill
from ballast.playbook.servers.tools import RemoteCall
from cli.certify.audit import Heard, listening
from cli.certify.aws_answers import cut_request, parts_of
from cli.certify.aws_verbs import changes_something, items_read
from cli.certify.elsewhere import Away, Came, Elsewhere, Play, What
from cli.certify.http_answers import strike_function
from cli.certify.kept_elsewhere import KeptElsewhere
from cli.certify.plays import Plays
from cli.certify.records import in_any_order
from cli.certify.surroundings import Surroundings, connections_counted, services_draw, waits_on, wall_clock_at
from cli.certify.threads import of_attempt, threads_of_attempt
from localcloud.moto_seams.dynamodb import expire, held_items, hold_items, items_in, updates_replace_items
from localcloud.moto_seams.replaced import replaced
from localcloud.project import BUSINESS, BUSINESS_TEMPLATE, business_of, package_of, seed_store
from localcloud.sessions import REGION

if TYPE_CHECKING:
    from localcloud.cloud import LocalCloud

#: Parameters by which a service counts repeated requests once.
_TOKENS = ("MessageDeduplicationId", "ClientRequestToken", "ClientToken", "IdempotencyToken")
#: Seconds for which they do, by AWS's documentation of the service; others count once for ever.
_COUNTED_ONCE_S = dict.fromkeys(("sqs.SendMessage", "sqs.SendMessageBatch", "sns.Publish", "sns.PublishBatch"), 300.0)
#: Headers of a request that differ each time, or that only say who sends it.
_PASSING = re.compile(
    r"^(authorization|date|x-amz-date|x-amz-security-token|x-amz-content-sha256|user-agent|traceparent|"
    r"x-amzn-trace-id|mcp-session-id|host|connection|accept-encoding): .*\r\n",
    re.IGNORECASE | re.MULTILINE,
)
#: Fields of a context that another process gets as they are.
_SENT_ALONG = ("run_id", "turn", "index", "idempotency_key", "request", "now", "timeout_s", "requester")
#: Begins the name of a request that is not to AWS.
_OUTSIDE = "outside."
_READ_BY = (".GET", ".HEAD")
#: Invokes a function, which may be a server of ``servers/``.
_INVOKE = "lambda.Invoke"
#: Items of ``ctx.write_once``; they stay, whatever is undone.
MARKER = "marker#"


class Died(BaseException):
    """Ends an attempt as the end of its process would: no tool can catch it as an ``Exception``."""


@dataclass(frozen=True)
class Fault:
    """A fault at the ``at``-th request (from 0): the process dies, or the answer is lost, before or after it."""

    at: int
    when: Literal["before", "after"]
    kind: Literal["death", "lost"] = "death"

    def __str__(self) -> str:
        what = "The process died" if self.kind == "death" else "The answer was lost"
        return f"{what} {self.when} request {self.at + 1}"


@dataclass(frozen=True)
class Sample:
    """A call that a scenario made. ``before``: the writes before it, oldest first; ``calls``: all that succeeded."""

    scenario: str
    tool: Tool
    args: Any
    context: ToolContext
    before: tuple[Sample, ...] = ()
    calls: tuple[CallState, ...] = ()


@dataclass
class End:
    """How an attempt ended.

    how       ok, failed (``ToolFailed``), again (``RetryLater``), died, unfit (its result) or raised
    result    as JSON, for ok
    message   of its error
    requests  what it asked of AWS, in order
    changes   those of them that change something
    changed_at  their places among the requests
    answered  those of them that were answered with success
    took_s    seconds that it slept: those of the thread that slept longest
    waited_s  seconds of a real clock in which nothing was at work
    told      what it told other services of AWS to change, as JSON
    read      (table, key) of each item of the tables that an answer had, once each
    cost_microusd  what it reported with ctx.report_cost
    peers     (address, its socket's timeout) of each connection that it opened itself; 0 for an event loop's
    patience  (client in words, seconds that it waits) of each client whose settings tell
    given     texts that it gave to the functions of ``REQUESTS``
    own_clients  services that it asked through clients that it has made itself
    wire      what it sent over HTTP outside of AWS, one text a request, without what differs each time
    in_threads  whether it made requests in other threads than its own, which come in any order
    late      requests that may change something, and that it made after it had returned
    """

    how: str = "died"
    result: Any = None
    message: str = ""
    requests: list[str] = field(default_factory=list)
    changes: list[str] = field(default_factory=list)
    changed_at: list[int] = field(default_factory=list)
    answered: list[str] = field(default_factory=list)
    took_s: float = 0.0
    waited_s: float = 0.0
    patience: list[tuple[str, float | None]] = field(default_factory=list)
    peers: list[tuple[str, float | None]] = field(default_factory=list)
    own_clients: list[str] = field(default_factory=list)
    wire: list[str] = field(default_factory=list)
    given: list[str] = field(default_factory=list)
    asked_timeout: bool = False
    told: list[str] = field(default_factory=list)
    read: list[tuple[str, str]] = field(default_factory=list)
    cost_microusd: int = 0
    in_threads: bool = False
    late: list[str] = field(default_factory=list)

    @property
    def reached_outside(self) -> bool:
        """Whether it connected to something, or asked something, that is not AWS, or a function of somebody's."""
        return bool(self.peers) or any(one.startswith(_OUTSIDE) or one == _INVOKE for one in self.requests)

    @property
    def refused(self) -> list[str]:
        """Changes that it asked for elsewhere than in a table, and that were not answered with success."""
        left = list(self.answered)
        elsewhere = [one for one in self.changes if not one.startswith("dynamodb.")]
        return [one for one in elsewhere if one not in left or left.remove(one)]  # type: ignore[func-returns-value]

    @property
    def said(self) -> tuple[str, Any]:
        """What a planner would learn."""
        return self.how, self.result if self.how == "ok" else self.message


#: The items of each table by their key; what was sent elsewhere; what the playbook's double has seen.
Seen = dict[str, dict[str, Any]]


class Rig:
    """Runs attempts at calls in one local cloud. ``seed``: that of the scenario.

    What stands is looked at after each attempt, so only what has changed is read: items never change (``rig_for``), and
    the content of each is kept. ``attempts`` counts the runs of a tool or of a rule of it.
    """

    def __init__(self, cloud: LocalCloud, playbook: Playbook, seed: int, away: Elsewhere | None = None) -> None:
        self.cloud, self.playbook, self._seed, self.away = cloud, playbook, seed, away
        self._dynamodb = cloud.session.client("dynamodb")
        self.expiring: dict[str, str] = {}
        resources = self._business()
        self._tables = {name: self._keys(name) for name in self._business_tables(resources)}
        self.kept = KeptElsewhere(cloud, resources)
        self._contents: dict[int, tuple[Any, str, dict[str, Any]]] = {}
        self._clients: dict[tuple[str, str], Any] = {}
        self._sent: list[str] = []
        self._sent_at: dict[str, float] = {}
        self._at = 0.0
        self._now: End | None = None
        self._fault: Fault | None = None
        self._recording = self._asks = self._of_servers = False
        self._meanwhile: tuple[int, Callable[[], object]] | None = None
        self._counting = threading.Lock()
        self._close_connections: Callable[[], None] = lambda: None
        self.attempts = 0
        self.plays = Plays()
        self._under = ""
        self.surroundings = Surroundings(package_of(playbook))
        self._store = self._store_package()
        self._doubles = [one for one in (self._store, cloud.stand_ins) if one is not None]
        self._told_seeded = self._told()
        #: Tools that have made a request outside of AWS, and whether one of them ran since the doubles were reset.
        self._outside_tools: set[str] = set()
        self._reached_outside = True  # the scenario is played before the first attempt
        self._left: dict[tuple[str, ...], tuple[dict[str, Any], list[str], Any]] = {
            (): (self.held(), [], self.kept.held())
        }
        #: Tools that were called many times, and how often a run may call them.
        self.crowded: set[str] = set()
        self.most_calls = max(one.limits.tool_calls for one in playbook.agents.values())
        self._told_after: dict[tuple[str, ...], dict[str, Any]] = {}
        self._unsteady: dict[str, str] = {}

    def _business(self) -> dict[str, Any]:
        """Return the resources of business.yaml."""
        from localcloud.cloud import ROOT
        from localcloud.template import load_template

        business = self.cloud.parameters.get(BUSINESS_TEMPLATE) or business_of(self.playbook.folder) or ROOT / BUSINESS
        found: dict[str, Any] = load_template(Path(business))["Resources"]
        return found

    def _business_tables(self, resources: Mapping[str, Any]) -> list[str]:
        """Return the names of the tables of business.yaml."""
        tables = {name: one for name, one in resources.items() if one["Type"] == "AWS::DynamoDB::Table"}
        for name, one in tables.items():
            spec = one.get("Properties", {}).get("TimeToLiveSpecification", {})
            if spec.get("Enabled") in (True, "true"):
                self.expiring[self.cloud.physical_id(name)] = str(spec["AttributeName"])
        return [self.cloud.physical_id(name) for name in tables]

    def _keys(self, table: str) -> list[str]:
        return [one["AttributeName"] for one in self._dynamodb.describe_table(TableName=table)["Table"]["KeySchema"]]

    def _store_package(self) -> Any:
        with suppress(ImportError):
            return importlib.import_module(f"{package_of(self.playbook)}.store")
        return None

    @property
    def sees_outside(self) -> bool:
        """Whether the playbook's store, or its stand-ins, tell what a double of a service outside of AWS has seen."""
        return any(hasattr(one, "seen_outside") for one in self._doubles)

    def sees(self, tool: Tool) -> bool:
        """Whether an effect of that tool outside of AWS can be seen: told by a double, or recorded as it is sent.

        Recorded is what a write of ``servers/`` sends: the same request again is the same effect.
        """
        return self.sees_outside or self._records(tool)

    def _records(self, tool: Tool) -> bool:
        return not self.sees_outside and tool.effect is Effect.WRITE and isinstance(tool.function, RemoteCall)

    @property
    def traces(self) -> frozenset[str]:
        """Attributes that an undo may leave changed."""
        return frozenset(name for one in self._doubles for name in getattr(one, "TRACES", ()))

    def seen(self) -> Seen:
        """Return what stands now."""
        found: Seen = {
            table: dict(self._content(item, keys) for item in items_in(held_items(REGION, table)))
            for table, keys in self._tables.items()
        }
        found["sent elsewhere"] = dict.fromkeys(self._sent, 1) | {
            f"{one} (again)": self._sent.count(one) for one in self._sent if self._sent.count(one) > 1
        }
        found |= self.kept.seen()
        if self.sees_outside:
            found["seen outside"] = self._told()
        return found

    def _told(self) -> dict[str, Any]:
        """Return a copy of what the doubles tell."""
        told = [one.seen_outside() for one in self._doubles if hasattr(one, "seen_outside")]
        return {"" if at == 0 else f"{at + 1}": in_any_order(copy.deepcopy(one)) for at, one in enumerate(told)}

    def _content(self, item: Any, keys: Sequence[str]) -> tuple[str, dict[str, Any]]:
        """Return an item's key and its attributes, read once: the item never changes, and is kept so that its id is."""
        if id(item) not in self._contents:
            content = item.to_json()["Attributes"]
            self._contents[id(item)] = item, _key_of(content, keys), content
        return self._contents[id(item)][1:]

    def keys_of_table(self, table: str) -> list[str]:
        """Return the names of a table's key attributes."""
        return self._tables.get(table.rpartition("/")[2]) or self._keys(table)

    @property
    def tables(self) -> frozenset[str]:
        """The names of the tables that it looks at."""
        return frozenset(self._tables)

    def put(self, table: str, name: str, item: Mapping[str, Any] | None) -> None:
        """Write an item, as another program does; None deletes the one of that ``name`` (see ``seen``)."""
        if item is None:
            key = dict(zip(self._tables[table], json.loads(name), strict=True))
            self._dynamodb.delete_item(TableName=table, Key=key)
        else:
            self._dynamodb.put_item(TableName=table, Item=dict(item))

    def held(self) -> dict[str, Any]:
        """Return each table's items as they are, for ``hold_items`` and the reads that may be old."""
        return {table: held_items(REGION, table) for table in self._tables}

    def fresh(self, before: Sequence[Sample] = ()) -> None:
        """Restore the seeded tables, and make the writes ``before``. Raises ``PlaybookInvalid`` if one fails now.

        What those writes leave is remembered, unless a double outside of the tables may have part of it. As in a new
        process, no session, token or secret of a server is known, and no connection is kept.
        """
        self._close_connections()
        self._forget_servers()
        self._make(tuple(before))
        self._forget_servers()
        self._since_fresh = 0

    def unsteady_before(self, sample: Sample) -> str:
        """Return which write before a call has left something else another time, and what; "" for none."""
        keys = (one.context.idempotency_key for one in sample.before)
        return next((self._unsteady[key] for key in keys if key in self._unsteady), "")

    def _make(self, before: tuple[Sample, ...]) -> None:
        writes = tuple(one.context.idempotency_key for one in before)
        if self._reached_outside or self._told() != self._told_seeded:
            seed_store(self.cloud, self.playbook, self._seed, {})
            for one in self._doubles:
                if hasattr(one, "reset"):
                    one.reset()
            self._reached_outside = False
        if writes in self._left:
            tables, self._sent[:], elsewhere = self._left[writes]
            self.kept.hold(elsewhere)
            for table, items in tables.items():
                hold_items(REGION, table, items)
            return
        self._make(before[:-1])
        sample = before[-1]
        self._since_fresh = 0
        end = self.attempt(sample)
        if end.how not in ("ok", "failed"):
            raise PlaybookInvalid(
                f"{sample.scenario}: {sample.tool.name} cannot be made again as the scenario made it: {end.message}"
            )
        told = self._told()
        if other := differences({"seen outside": self._told_after.setdefault(writes, told)}, {"seen outside": told}):
            self._unsteady.setdefault(writes[-1], f"{sample.tool.name}: {other}")
        if not self._reached_outside and told == self._told_seeded:
            self._left[writes] = self.held(), list(self._sent), self.kept.held()

    def _forget_servers(self) -> None:
        for tool in self.playbook.tools.values():
            if (server := getattr(tool.function, "server", None)) is not None:
                server.forget()

    def attempt(
        self,
        sample: Sample,
        *,
        fault: Fault | None = None,
        later_s: float = 0,
        draw: int = 0,
        key: str | None = None,
        meanwhile: tuple[int, Callable[[], object]] | None = None,
    ) -> End:
        """Run the tool once and return how it ended. ``draw``: another number gives other randomness.

        ``meanwhile``: the number of a request, from 0, and what others do before it is sent.
        """
        end = End()
        context = self.context(sample, later_s=later_s, key=key, end=end)

        def run() -> None:
            try:
                returned = sample.tool.function(sample.args, context)
            except ToolFailed as problem:
                end.how, end.message = "failed", str(problem)
            except RetryLater as problem:
                end.how, end.message = "again", str(problem)
            except Exception as problem:
                end.how, end.message = "raised", f"{type(problem).__name__}: {problem}"
            else:
                try:
                    end.how, end.result = "ok", sample.tool.dump(returned)
                except Exception as problem:
                    end.how, end.message = "unfit", f"{problem}"

        self._recording, self._meanwhile = self._records(sample.tool), meanwhile
        self._asks, self._of_servers = sample.tool.effect is Effect.READ, isinstance(sample.tool.function, RemoteCall)
        with self._noting(sample.tool, "", end, str(fault or "")):
            self._run(sample.tool.name, run, end, context, fault=fault, draw=draw)
        end.cost_microusd = context.bill.reported or 0
        return end

    def ask(
        self,
        name: str,
        rule: Callable[..., Any],
        sample: Sample,
        *,
        later_s: float = 0,
        draw: int = 0,
        key: str | None = None,
    ) -> tuple[Any, End]:
        """Return the answer of a function of the declaration by its ``name``, and how it went."""
        end, answers = End(), [None]
        context = self.context(sample, later_s=later_s, key=key, end=end)

        def run() -> None:
            try:
                answers[0] = rule(sample.args, context)
                end.how = "ok"
            except Exception as problem:
                end.how, end.message = "raised", f"{type(problem).__name__}: {problem}"

        self._recording, self._asks = False, True  # a declaration of servers/ asks reads alone
        self._of_servers = isinstance(sample.tool.function, RemoteCall)
        with self._noting(sample.tool, name, end, ""):
            self._run(sample.tool.name, run, end, context, fault=None, draw=draw)
        return answers[0], end

    @contextmanager
    def under(self, circumstance: object) -> Iterator[None]:
        """Within the block, plays are told with what is played."""
        self._under, before = str(circumstance), self._under
        try:
            yield
        finally:
            self._under = before

    @contextmanager
    def _noting(self, tool: Tool, what: str, end: End, under: str) -> Iterator[None]:
        """Note the play in the block, whose end is ``end``."""
        before, heard = self._told(), Heard(folder=str(self.playbook.folder))
        try:
            with listening(heard):
                yield
        finally:
            signal.alarm(0)  # that a tool has left would end this process
        self.plays.hear(tool, what, heard, under="" if end.how == "died" else under or self._under)
        told = differences({"seen outside": before}, {"seen outside": self._told()})
        self.plays.note(tool, what, end, under=under or self._under, told=told, tells=self.sees_outside)

    def time_passes(self, sample: Sample, later_s: float) -> None:
        """Let the items expire whose time to live is over ``later_s`` after the sample's call."""
        for table, attribute in self.expiring.items():
            expire(REGION, table, attribute, sample.context.now.timestamp() + later_s)

    def key_of(self, table: str, item: Any) -> str:
        """Return an item's key, as ``seen`` has it."""
        return _key_of(item.to_json()["Attributes"], self._tables[table])

    def context(self, sample: Sample, *, later_s: float = 0, key: str | None = None, end: End) -> ToolContext:
        """Return the context of an attempt."""
        given = replace(
            sample.context,
            now=sample.context.now + timedelta(seconds=later_s),
            idempotency_key=key or sample.context.idempotency_key,
            client=self._client,
            timeout_s=sample.tool.limits.timeout_s,
            bill=Bill(),
            files=[],
        )
        return _Watched.of(given)

    def _run(
        self, tool: str, run: Callable[[], None], end: End, context: ToolContext, *, fault: Fault | None, draw: int
    ) -> None:
        now, alone = context.now, self._meanwhile is None
        self._now, self._fault, self._at, self._thread = end, fault, now.timestamp(), get_ident()
        self.attempts += 1
        try:
            with (
                self._services_draw(context, draw),
                self.surroundings.of(now, draw) as around,
                threads_of_attempt() as at_work,
                self._http(),
                self._other_requests(),
                self._own_clients(),
            ):
                try:
                    run()
                    end.waited_s = around.waited_s if alone else 0.0
                    self._returned = True
                    at_work.ends()
                except Died:
                    at_work.dies()
                    end.how, end.message = "died", str(fault)
                    self._close_connections()
                finally:
                    end.took_s, end.peers = around.slept_s, around.peers
                    end.patience += around.patience
                    end.asked_timeout = bool(getattr(context, "asked", False))
                    if end.in_threads:
                        end.wire.sort()
                    if end.reached_outside:
                        self._outside_tools.add(tool)
                    self._reached_outside |= tool in self._outside_tools
        finally:
            self._now = self._fault = self._meanwhile = None
            self._returned = False

    @contextmanager
    def _services_draw(self, context: ToolContext, draw: int) -> Iterator[None]:
        """Within the block, ids that services draw follow from the attempt; a second one in one store has others."""
        number, self._since_fresh = self._since_fresh, self._since_fresh + 1
        with services_draw(f"{context.idempotency_key} {draw} {number}"):
            yield

    # Another process

    def play_away(
        self,
        sample: Sample,
        *,
        what: What = "attempt",
        result: Any = None,
        later_s: float = 0,
        draw: int = 0,
        turned: bool = False,
        zone: str = "",
        outcomes: Sequence[tuple[str, ...]] = (),
    ) -> Came:
        """Play the call in another process, against the same tables and doubles. Raises ``Away``."""
        if self.away is None:
            raise Away("There is no other process.")
        self.attempts += what != "script"
        context = self.context(sample, later_s=later_s, end=End())
        fields = {name: getattr(context, name) for name in _SENT_ALONG}
        client = self._client("dynamodb")
        keys = client._request_signer._credentials.get_frozen_credentials()
        told = self._told()
        with (
            self._services_draw(context, draw),
            wall_clock_at(context.now),
        ):  # so that the answers' dates are those of the attempt
            came = self.away.play(
                Play(
                    what,
                    tool=sample.tool.name,
                    args=sample.tool.form.write(sample.args),
                    context=fields | {"environ": dict(context.environ)},
                    result=result,
                    draw=draw,
                    keys=(keys.access_key, keys.secret_key, keys.token),
                    outcomes=outcomes,
                    sent=tuple(self._sent),
                    buckets=tuple(self.kept.buckets),
                    records=self._records(sample.tool),
                    kept=self._store.kept() if self.keeps else None,
                    turned=turned,
                    zone=zone,
                    services=tuple({service for service, _ in self._clients}),
                    tables=self._tables,
                ),
                client,
                context,
            )
        self._sent[:] = came.sent
        if came.kept is not None:
            self._store.put_back(came.kept)
        if came.end is not None and came.end.reached_outside:
            self._outside_tools.add(sample.tool.name)
        self._reached_outside |= sample.tool.name in self._outside_tools
        if came.end is not None:
            came.end.waited_s = 0.0  # for this process, too
            self.plays.note(
                sample.tool,
                "" if what == "attempt" else what,
                came.end,
                under=self._under,
                told=differences({"seen outside": told}, {"seen outside": self._told()}),
                tells=self.sees_outside,
            )
        return came

    @property
    def drawn(self) -> list[tuple[str, int]]:
        """The statements that asked a clock, or for chance, as the playbook was imported: (file, line)."""
        if self.away is None:
            return []
        with suppress(Away):  # told by the rules that play there
            self.away.begin()
        return self.away.drawn

    @property
    def keeps(self) -> bool:
        """Whether the playbook's store can give another process what its double keeps."""
        return hasattr(self._store, "kept") and hasattr(self._store, "put_back")

    # Requests

    @contextmanager
    def _http(self) -> Iterator[None]:
        """Within the block, count requests of ``http.client`` as the tool's, with its faults (requests, urllib3)."""
        connection = http.client.HTTPConnection
        put, sent, answer = connection.putrequest, connection.send, connection.getresponse

        def putrequest(self: Any, method: str, *given: Any, **options: Any) -> None:
            self.certified = None
            if of_attempt() and (end := rig._now) is not None:
                number = rig._begins(f"{_OUTSIDE}{method}")
                with rig._counting:
                    self.certified = number, len(end.wire)
                    end.wire.append("")
            put(self, method, *given, **options)

        def send(self: Any, data: Any) -> None:
            if (at := getattr(self, "certified", None)) is not None and rig._now is not None:
                rig._now.wire[at[1]] += data.decode("latin-1") if isinstance(data, bytes) else repr(data)
            sent(self, data)

        def getresponse(self: Any) -> Any:
            at = getattr(self, "certified", None)
            if at is not None:
                waits_on(self)
            found = answer(self)
            if at is not None and rig._now is not None:
                rig._answered(found.status, at[1])
                rig._strike("after", at[0], TimeoutError("timed out"))
            return found

        rig = self
        with (
            replaced(connection, "putrequest", putrequest),
            replaced(connection, "send", send),
            replaced(connection, "getresponse", getresponse),
        ):
            yield

    def _answered(self, status: int, at: int) -> None:
        """Finish the text of a request that was answered. Without a double that tells, what was sent is the effect."""
        if self._now is None or at >= len(self._now.wire):
            return
        said = self._now.wire[at] = _lasting(self._now.wire[at])
        if self._recording and status < 300 and not said.startswith(("GET ", "HEAD ")) and said not in self._sent:
            self._sent.append(said)

    @contextmanager
    def _other_requests(self) -> Iterator[None]:
        """Within the block, count calls of the functions that the playbook names in ``REQUESTS`` as requests."""

        def counted(name: str, function: Callable[..., Any]) -> Callable[..., Any]:
            def request(*given: Any, **options: Any) -> Any:
                if not of_attempt():
                    return function(*given, **options)
                number = self._begins(f"{_OUTSIDE}{name}")
                if self._now is not None:
                    self._now.given += [one for one in (*given, *options.values()) if isinstance(one, str)]
                strike_function((name, repr(given[1:]), repr(options)))
                found = function(*given, **options)
                self._strike("after", number, TimeoutError("timed out"))
                return found

            return request

        with ExitStack() as stack:
            for owner, name in (pair for one in self._doubles for pair in getattr(one, "REQUESTS", ())):
                stack.enter_context(replaced(owner, name, counted(name, getattr(owner, name))))
            yield

    @contextmanager
    def _own_clients(self) -> Iterator[None]:
        """Within the block, note requests through clients of AWS that the tool has made itself."""

        def make_api_call(client: Any, operation: str, params: Any) -> Any:
            if of_attempt() and self._now is not None and not self._is_ours(client):
                self._now.own_clients.append(str(client.meta.service_model.service_name))
            return before(client, operation, params)

        with replaced(BaseClient, "_make_api_call", make_api_call) as before:
            yield

    def _is_ours(self, client: Any) -> bool:
        return any(client is one for one in self._clients.values())

    _making = threading.Lock()
    #: Attempts in the present store.
    _since_fresh = 0
    _returned = False

    def _client(self, service: str, *given: Any, **options: Any) -> Any:
        # As in the executor: what is asked for without a variant has been made before, as the executor makes it.
        variant = str(options.get("variant", ""))
        placed, own = (given, options) if variant else ((), {})
        with self._making:  # several threads of an attempt may ask at once
            if (service, variant) not in self._clients:
                runtime = self.cloud.runtime("ExecutorFunction")
                client = runtime.client(service, *placed, **own | {"variant": f"certify {variant}"})
                self._watch(client)
                self._clients[service, variant] = client
            made = self._clients[service, variant]
        if self._now is not None and of_attempt():
            self._now.patience += _patience(service, [*placed, *own.values()])
        return made

    def _watch(self, client: Any) -> None:
        events = client.meta.events
        events.register("before-parameter-build", self._built)
        events.register("before-call", self._before)
        events.register("after-call", self._after)

    def _built(self, params: dict[str, Any], model: Any, context: dict[str, Any], **_: Any) -> None:
        cut_request(model, params, context)
        context["certified"] = {name: _comparable(params, name) for name in [*params]}

    def _before(self, model: Any, context: dict[str, Any], **_: Any) -> None:
        name = f"{model.service_model.service_name}.{model.name}"
        changes = self._changes(model.service_model.service_name, model.name, context.get("certified", {}))
        context["certified_at"] = self._begins(name, changes=changes)

    def _begins(self, request: str, *, changes: bool = False) -> int:
        """Count a request of the attempt; return its number, from 0."""
        if (end := self._now) is None:
            return -1
        with self._counting:
            number = len(end.requests)
            end.requests.append(request)
            end.in_threads |= get_ident() != self._thread
            if self._returned and (changes or request.startswith(_OUTSIDE)) and not request.endswith(_READ_BY):
                end.late.append(request)
            if changes:
                end.changes.append(request)
                end.changed_at.append(number)
        if self._meanwhile is not None and self._meanwhile[0] == number:
            (_, others), self._meanwhile = self._meanwhile, None
            others()
        self._strike("before", number)
        return number

    def _after(self, http_response: Any, model: Any, context: Mapping[str, Any], **more: Any) -> None:
        if self._now is None:
            return
        service = model.service_model.service_name
        params = context.get("certified", {})
        if service == "dynamodb" and http_response.status_code < 300:
            found = items_read(params, more.get("parsed") or {})
            self._now.read += [one for one in self._places(found) if one not in self._now.read]
        done = http_response.status_code < 300 and not context.get("unprocessed")
        if done and self._changes(service, model.name, params):
            self._now.answered.append(f"{service}.{model.name}")
            if service != "dynamodb":
                self._note(f"{service}.{model.name}", params)
        self._strike("after", context.get("certified_at", -1))

    def _changes(self, service: str, operation: str, params: Mapping[str, Any]) -> bool:
        """Whether a request may change something: an invocation of a function of servers/ does what is declared."""
        if self._of_servers and f"{service}.{operation}" == _INVOKE:
            return not self._asks
        return changes_something(service, operation, params)

    def _places(self, found: Iterator[tuple[str, Mapping[str, Any]]]) -> Iterator[tuple[str, str]]:
        """Yield the (table, key) of items, or of their keys, as ``seen`` has them."""
        for name, item in found:
            table = name.rpartition("/")[2]
            if all(one in item for one in self._tables.get(table, ("no such table",))):
                yield table, _key_of(item, self._tables[table])

    def executed(self, model: Any, context: Mapping[str, Any]) -> None:
        """Note the effect of a request to AWS whose answer is replaced by an error."""
        service = model.service_model.service_name
        params = context.get("certified", {})
        if service != "dynamodb" and self._changes(service, model.name, params):
            self._note(f"{service}.{model.name}", params)

    def _note(self, name: str, params: Mapping[str, Any]) -> None:
        """Note effects elsewhere; one that its service counts once is noted once, for as long as it does."""
        if self.kept.compares(name, params):
            return
        invokes = self._of_servers and name == _INVOKE
        if invokes and not self._recording:
            return  # a double tells
        for part in parts_of(name, params):
            inside = next((one[0] for one in part.values() if isinstance(one, list) and len(one) == 1), None)
            named = {**(inside if isinstance(inside, dict) else {}), **part}
            token = next((str(named[one]) for one in _TOKENS if one in named), None)
            whole = json.dumps(part, sort_keys=True, default=repr)
            if self._now is not None:
                self._now.told.append(whole)
            said = f"{name} {token or whole}"
            since = self._sent_at.get(said, self._at)
            again = (
                token is None and name != "s3.PutObject" and not invokes
            ) or self._at - since >= _COUNTED_ONCE_S.get(name, float("inf"))
            if again or said not in self._sent:
                self._sent.append(said)
                self._sent_at[said] = self._at

    def _strike(self, when: str, number: int, lost: Exception | None = None) -> None:
        fault, end = self._fault, self._now
        if fault is None or end is None or fault.when != when or fault.at != number:
            return
        self._fault = None
        if fault.kind == "death":
            raise Died(str(fault))
        raise lost or ReadTimeoutError(endpoint_url="the local cloud")


@contextmanager
def rig_for(cloud: LocalCloud, playbook: Playbook, seed: int, away: Elsewhere | None = None) -> Iterator[Rig]:
    """Yield a rig; within the block an update replaces its item. ``away``: another process that can play."""
    with updates_replace_items(), connections_counted() as close:
        rig = Rig(cloud, playbook, seed, away)
        rig._close_connections = close
        yield rig


def _patience(service: str, given: Sequence[Any]) -> Iterator[tuple[str, float | None]]:
    """Yield the seconds that a client of AWS waits by the settings that a tool has given."""
    for config in given:
        said = getattr(config, "_user_provided_options", {})
        for name in ("connect_timeout", "read_timeout"):
            if name in said:
                yield f"its client of {service}", said[name]


def _key_of(item: Mapping[str, Any], keys: Sequence[str]) -> str:
    return json.dumps([item[key] for key in keys], sort_keys=True, default=repr)


def _comparable(params: dict[str, Any], name: str) -> Any:
    """Return a parameter as it can be compared: of a stream, such as an object's body, the hash of what is left in it.

    A stream that cannot go back is replaced by one with the same content.
    """
    value = params[name]
    if isinstance(value, bytes | bytearray):
        return f"sha256:{hashlib.sha256(value).hexdigest()}"
    if not callable(getattr(value, "read", None)):
        return value
    seeks = callable(getattr(value, "seek", None)) and getattr(value, "seekable", lambda: True)()
    at = value.tell() if seeks else 0
    content = value.read()
    if seeks:
        value.seek(at)
    else:
        params[name] = io.BytesIO(content if isinstance(content, bytes) else content.encode())
    return f"sha256:{hashlib.sha256(content if isinstance(content, bytes) else content.encode()).hexdigest()}"


def _lasting(request: str) -> str:
    """Return a request's text without the headers that differ each time."""
    head, gap, body = request.partition("\r\n\r\n")
    return _PASSING.sub("", f"{head}\r\n") + gap + body


class _Watched(ToolContext):
    """A context that notes whether its tool asked for ``timeout_s``."""

    asked = False

    @classmethod
    def of(cls, context: ToolContext) -> _Watched:
        made = cls.__new__(cls)
        for name in ToolContext.__dataclass_fields__:
            object.__setattr__(made, name, object.__getattribute__(context, name))
        return made

    def __getattribute__(self, name: str) -> Any:
        if name == "timeout_s":
            object.__setattr__(self, "asked", True)
        return object.__getattribute__(self, name)


def differences(one: Seen, other: Seen, *, most: int = 3) -> str:
    """Return what differs between two views of what stands, as a sentence's end; "" if nothing does."""
    found = []
    for place in sorted({*one, *other}):
        before, after = one.get(place, {}), other.get(place, {})
        if before == after:
            continue
        for key in sorted({*before, *after}):
            if before.get(key) == after.get(key):
                continue
            found.append(f"{place} {_short(key)}: {_changed(before.get(key), after.get(key))}")
    more = f" and {len(found) - most} more" if len(found) > most else ""
    return "; ".join(found[:most]) + more


def _changed(before: Any, after: Any) -> str:
    if isinstance(before, dict) and isinstance(after, dict):
        names = sorted(name for name in {*before, *after} if before.get(name) != after.get(name))
        pairs = {name: _apart(before.get(name), after.get(name)) for name in names[:3]}
        return ", ".join(f"{name} {_short(was)} → {_short(now)}" for name, (was, now) in pairs.items())
    if before is None or after is None:
        return "is there" if before is None else "is gone"
    return f"{_short(before)} → {_short(after)}"


def _apart(before: Any, after: Any) -> tuple[Any, Any]:
    """Return two values; of two lists the items that the other one has not."""
    if isinstance(before, list) and isinstance(after, list):
        was, now = ([x for x in one if x not in other] for one, other in ((before, after), (after, before)))
        return (was, now) if was or now else (before, after)
    return before, after


def _short(value: Any, most: int = 60) -> str:
    text = value if isinstance(value, str) else canonical_or_repr(value)
    return text if len(text) <= most else f"{text[: most - 1]}…"


def canonical_or_repr(value: Any) -> str:
    """Return a value as JSON, or as Python shows it."""
    try:
        return str(canonical(value))
    except Exception:
        return repr(value)
