"""The functions of a call in memory: the real handlers on tables in memory, with a clock that the caller sets.

Thousands of runs in minutes: what DynamoDB, SQS and S3 do here is ``tests/support/tables_in_memory.py`` and the few
lines below; what the functions do is what is deployed, Powertools' idempotency with its leases among it.
"""
# ruff: noqa: N803  parameters are named as boto3 names them

import datetime as real
import json
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from importlib import import_module
from io import BytesIO, StringIO
from itertools import count
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from ballast.contracts import RunRequest, ToolCall
from ballast.log.events import EscalationAnswered, PlanDecided
from ballast.log.run_log import RunLog
from ballast.log.signature import Signatures
from ballast.run import Run
from ballast.runtime import Runtime
from functions.executor import handler as execute
from functions.lifecycle import admit
from functions.people import open as escalation_open
from localcloud.moto_seams.replaced import replaced
from tests.support.mac_key import MacKey
from tests.support.tables_in_memory import Tables

NOON = real.datetime(2026, 3, 1, 12, tzinfo=real.UTC)
#: The executor's, in template.yaml: the lease of an attempt at a write.
TIMEOUT_MS = 60_000
LOG = {"RUN_LOG_TABLE": "run-log", "PAYLOAD_BUCKET": "payloads", "ANSWER_KEY_ARN": "answers"}
ROOM = {f"{whose}_{window}_USD": "1000000" for whose in ("TENANT", "ACCOUNT") for window in ("HOUR", "DAY")}
ADMIT = LOG | ROOM | {"TENANT_RUNS": "1000", "ACCOUNT_RUNS": "1000", "ADMISSION_WAIT_S": "60"}
TOKENS = {"REQUESTER_TOKENS_TABLE": "requester-tokens"}
ADMIT |= TOKENS | {"BUDGETS_TABLE": "budgets", "REPLY_QUEUE_PREFIX": "reply-"}
EXECUTE = LOG | TOKENS | {"IDEMPOTENCY_TABLE": "idempotency", "MOVES_TABLE": "moves", "BUDGETS_TABLE": "budgets"}
OPEN = LOG | {"ESCALATIONS_TABLE": "escalations", "ESCALATION_QUEUE_URL": "people"}
_NUMBERS = count(1)
_TELL_TIME = ("base", "persistence.base", "persistence.datarecord", "persistence.dynamodb")


class Clock:
    """Stands still until it is told."""

    def __init__(self) -> None:
        self.now = NOON

    def __call__(self) -> real.datetime:
        return self.now

    def wait_s(self, seconds: float) -> None:
        """Let so many seconds pass."""
        self.now += real.timedelta(seconds=seconds)


class Context:
    """Lambda's second argument, as far as it is read."""

    def __init__(self) -> None:
        self.aws_request_id = f"invocation-{next(_NUMBERS)}"

    def get_remaining_time_in_millis(self) -> int:
        """The clock stands still while a function is at work."""
        return TIMEOUT_MS


class Services:
    """A session whose clients are this object, but for DynamoDB's: a queue, a bus and a bucket."""

    exceptions = Tables.exceptions

    def __init__(self) -> None:
        self.tables, self.keys = Tables(), MacKey()
        self.messages: list[Mapping[str, Any]] = []
        self._objects: dict[str, bytes] = {}

    def client(self, service: str, **_: Any) -> Any:
        """Return a client of ``service``."""
        return {"dynamodb": self.tables, "kms": self.keys}.get(service, self)

    def renew(self) -> None:
        """Empty everything."""
        for table in self.tables.items.values():
            table.clear()
        self.messages.clear()
        self._objects.clear()

    def send_message(self, *, QueueUrl: str, MessageBody: str, **_: Any) -> dict[str, Any]:
        """Keep a message, which only people get."""
        self.messages.append(json.loads(MessageBody))
        return {}

    def put_events(self, *, Entries: list[Any]) -> dict[str, Any]:
        """Take them."""
        return {"FailedEntryCount": 0, "Entries": [{"EventId": "e"} for _ in Entries]}

    def put_object(self, *, Bucket: str, Key: str, Body: bytes) -> dict[str, Any]:
        """Keep an object."""
        self._objects[Key] = Body
        return {}

    def get_object(self, *, Bucket: str, Key: str) -> dict[str, Any]:
        """Return an object."""
        return {"Body": BytesIO(self._objects[Key])}


class Functions:
    """Admit, the executor and what opens escalations, for one playbook; to be used within ``virtual_time``."""

    def __init__(self, playbook: Path, clock: Clock) -> None:
        self.clock = clock
        self.services = Services()
        folder = {"PLAYBOOK_DIR": str(playbook)}
        environs = {"admit": ADMIT | folder, "open": OPEN, "log": LOG}
        environs |= {"executor": EXECUTE | folder}
        self._runtimes = {
            name: Runtime(environ, session=self.services, clock=clock, stdout=StringIO())  # type: ignore[arg-type]
            for name, environ in environs.items()
        }
        people = self._runtimes["log"]
        self.log = RunLog.of(people, signatures=Signatures.signing(people))

    def renew(self) -> None:
        """Begin anew, with nothing in the tables."""
        self.services.renew()
        self.clock.now = NOON

    def admit(self, request: RunRequest) -> str:
        """Open a run and return its id."""
        event = {"request": request.model_dump(mode="json")}
        return str(admit.lambda_handler(event, Context(), runtime=self._runtimes["admit"])["run_id"])

    def propose(self, run_id: str, turn: int, call: ToolCall) -> None:
        """Record that the agent decided on ``call``."""
        decision = {"kind": "call_tools", "calls": [call.model_dump(mode="json")]}
        self.log.write(run_id, PlanDecided.key(turn), {"planner": "agent", "decision": decision})

    def execute(self, event: Mapping[str, Any], **more: Any) -> str:
        """Invoke the executor and return the call's status; ``more``: what the state adds to the event (given_up)."""
        event = {**event, **more}
        return str(execute.lambda_handler(event, Context(), runtime=self._runtimes["executor"])["status"])

    def escalate(self, payload: Mapping[str, Any]) -> Mapping[str, Any] | None:
        """Open an escalation and return the message that people got, None where they got none."""
        before = len(self.services.messages)
        escalation_open.lambda_handler(dict(payload), Context(), runtime=self._runtimes["open"])
        return next(iter(self.services.messages[before:]), None)

    def answered(self, run_id: str, turn: int, decision: Mapping[str, Any]) -> None:
        """Record what a person decided in that turn."""
        until = int(self.clock().timestamp() * 1000) + 3_600_000
        body = {"escalation_id": "esc", "by": "ann", "decision": dict(decision)}
        self.log.write(run_id, EscalationAnswered.key(turn), body | {"agent_until_ms": until, "deadline_ms": until})

    def events(self, run_id: str) -> Run:
        """Return the run's log."""
        return self.log.read(run_id)


@contextmanager
def virtual_time(clock: Clock) -> Iterator[None]:
    """Within, Powertools' leases are as long as ``clock`` says; the functions have it from their runtime."""

    class Datetime(real.datetime):
        @classmethod
        def now(cls, tz: Any = None) -> real.datetime:  # type: ignore[override]
            return real.datetime.fromtimestamp(clock().timestamp(), tz)

    told = SimpleNamespace(**{name: getattr(real, name) for name in dir(real)} | {"datetime": Datetime})
    with ExitStack() as stack:
        for name in _TELL_TIME:
            module = import_module(f"aws_lambda_powertools.utilities.idempotency.{name}")
            stack.enter_context(replaced(module, "dt", told))
        yield
