"""The functions' resources and one warm process of each function, shared by the tests of a file.

DynamoDB is in memory, everything else on moto.
"""

from __future__ import annotations

import copy
import io
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Any

import boto3

from ballast.log.run_log import RunLog
from ballast.log.signature import Signatures
from ballast.runtime import Runtime
from localcloud.moto_seams.imports import import_moto
from localcloud.sessions import core_session
from tests.support.dynamodb_client import answer_requests
from tests.support.tables_in_memory import Tables

# Before the session below: only sessions that are made later get moto's handler.
import_moto()

LEDGER = Path(__file__).with_name("playbooks") / "ledger"
NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
SESSION: Any = boto3.Session("testing", "testing", region_name="eu-west-1", botocore_session=core_session())
#: DynamoDB is in memory: the newest cloud's tables are those that the session's clients see.
_TABLES_OF_ALL: list[Tables] = []
answer_requests(SESSION, lambda: _TABLES_OF_ALL[-1])
#: What mock_aws is started with: loopback endpoints are real, executions really run.
MOTO: Any = {
    "core": {"passthrough": {"urls": [r"http://127\.0\.0\.1:.*"]}},
    "stepfunctions": {"execute_state_machine": True},
}
QUEUE_URL = "https://sqs.eu-west-1.amazonaws.com/123456789012/escalations"
DEAD_LETTERS_URL = "https://sqs.eu-west-1.amazonaws.com/123456789012/dead-requests"
KEY_ALIAS, ANSWER_KEY_ALIAS = "alias/sensitive", "alias/answers"
LOG = {
    "RUN_LOG_TABLE": "run-log",
    "PAYLOAD_BUCKET": "payloads",
    "RETENTION_DAYS": "60",
    "SENSITIVE_KEY_ARN": f"arn:aws:kms:eu-west-1:123456789012:{KEY_ALIAS}",
    "ANSWER_KEY_ARN": f"arn:aws:kms:eu-west-1:123456789012:{ANSWER_KEY_ALIAS}",
}
_TOKENS = {"REQUESTER_TOKENS_TABLE": "requester-tokens"}
_PLAYBOOK = {"PLAYBOOK_DIR": str(LEDGER)}
#: Room for every run of a file's tests; those about windows set their own.
WINDOW_LIMITS = {
    **{f"{whose}_{window}_USD": "1000000" for whose in ("TENANT", "ACCOUNT") for window in ("HOUR", "DAY")},
    "TENANT_RUNS": "1000000",
    "ACCOUNT_RUNS": "1000000",
    "ADMISSION_WAIT_S": "3600",
}
STACK_NAME = "ballast-test"
#: What every function has: of Lambda, and of the template's Globals.
_EVERY = {"AWS_REGION": "eu-west-1", "STACK_NAME": STACK_NAME}
#: As in template.yaml.
ENVIRONS: dict[str, dict[str, str]] = {
    "intake": LOG | _PLAYBOOK | {"STATE_MACHINE_ARN": "arn:aws:states:eu-west-1:123456789012:stateMachine:agent"},
    "consume": {
        "STATE_MACHINE_ARN": "arn:aws:states:eu-west-1:123456789012:stateMachine:agent",
        "RUN_REQUEST_DEAD_LETTER_QUEUE_URL": DEAD_LETTERS_URL,
    },
    "admit": LOG | _TOKENS | _PLAYBOOK | WINDOW_LIMITS | {"BUDGETS_TABLE": "budgets", "REPLY_QUEUE_PREFIX": "reply-"},
    "extend": LOG | WINDOW_LIMITS | {"BUDGETS_TABLE": "budgets"},
    "settle": LOG | _TOKENS | {"BUDGETS_TABLE": "budgets", "MOVES_TABLE": "moves", "REPLY_QUEUE_PREFIX": "reply-"},
    "sweep": LOG
    | _TOKENS
    | {
        "BUDGETS_TABLE": "budgets",
        "MOVES_TABLE": "moves",
        "REPLY_QUEUE_PREFIX": "reply-",
        "STATE_MACHINE_ARN": "arn:aws:states:eu-west-1:123456789012:stateMachine:agent",
    },
    "planner": LOG | _PLAYBOOK | {"BUDGETS_TABLE": "budgets", "MODEL_TIMEOUT_S": "1"},
    "fallback": LOG | _PLAYBOOK,
    "rollback": LOG | _PLAYBOOK,
    "executor": LOG
    | _TOKENS
    | _PLAYBOOK
    | {"IDEMPOTENCY_TABLE": "idempotency", "NOTES_TABLE": "notes"}
    | {"BUDGETS_TABLE": "budgets", "MOVES_TABLE": "moves"},
    "open": LOG | {"ESCALATIONS_TABLE": "escalations", "ESCALATION_QUEUE_URL": QUEUE_URL},
    "remind": LOG | {"ESCALATIONS_TABLE": "escalations", "ESCALATION_QUEUE_URL": QUEUE_URL},
    "answer": LOG | _PLAYBOOK | {"ESCALATIONS_TABLE": "escalations"},
    "api": LOG
    | _TOKENS
    | _PLAYBOOK
    | {"STATE_MACHINE_ARN": "arn:aws:states:eu-west-1:123456789012:stateMachine:agent"},
    "trip": {"BUDGETS_TABLE": "budgets", "ACCOUNT_HOUR_USD": "10", "ACCOUNT_DAY_USD": "1000"}
    | {"BREAKER_ALARMS": '{"hourly-cost": "fallback_only", "runaway": "stopped"}'},
    "command": LOG | _PLAYBOOK | WINDOW_LIMITS | {"BUDGETS_TABLE": "budgets", "MOVES_TABLE": "moves"},
    "budget-api": {"BUDGETS_TABLE": "budgets", "TENANT_HOUR_USD": "20", "TENANT_DAY_USD": "100"}
    | {"ACCOUNT_HOUR_USD": "50", "ACCOUNT_DAY_USD": "250"},
    "touched": {},
    "copy": {"LOG_COPY_BUCKET": "copies", "PAYLOAD_BUCKET": "payloads"},
    "people": LOG | _PLAYBOOK | {"ESCALATIONS_TABLE": "escalations"},
}
_TABLES = {
    "run-log": ("run_id", "seq"),
    "budgets": ("account", "window"),
    "moves": ("account", "window"),
    "escalations": ("escalation_id",),
    "idempotency": ("id",),
    "requester-tokens": ("run_id",),
    "notes": ("note_id",),
}
#: (table, index, its keys)
_INDEXES = (
    ("run-log", "by_tenant", ("tenant", "at")),
    ("run-log", "by_outcome", ("outcome", "at")),
    ("escalations", "by_status", ("status", "opened_at")),
    ("escalations", "by_tenant", ("tenant", "opened_at")),
    ("escalations", "by_due", ("due", "due_at")),
    ("budgets", "by_look", ("held", "look_at")),
)


@dataclass
class Clock:
    """A clock that stands still until it is told."""

    now: datetime = NOON

    def __call__(self) -> datetime:
        return self.now

    def advance(self, seconds: float) -> None:
        """Let so many seconds pass."""
        self.now += timedelta(seconds=seconds)


@cache
def client(service: str) -> Any:
    """Return the tests' own client, without a function's faults in it."""
    return SESSION.client(service)


class _SharedClients:
    """A session that makes a client once; one with a configuration depends on more than its name."""

    def client(self, service: str, **options: Any) -> Any:
        own = service == "bedrock-runtime" or options.get("config") is not None
        return SESSION.client(service, **options) if own else client(service)


class _OwnClients:
    """A session whose clients have handlers of their own: a copy is made in a tenth of a client's time."""

    def client(self, service: str, **options: Any) -> Any:
        if service == "bedrock-runtime" or options.get("config") is not None:
            return SESSION.client(service, **options)
        shared = client(service)
        own = object.__new__(type(shared))
        vars(own).update(vars(shared), meta=copy.copy(shared.meta))
        own.meta.events = copy.copy(own.meta.events)
        return own


def create_table(name: str) -> None:
    """Create one of the tables, empty."""
    indexes = [(index, keys) for table, index, keys in _INDEXES if table == name]
    attributes = {key for keys in (_TABLES[name], *(keys for _, keys in indexes)) for key in keys}
    more: dict[str, Any] = {
        "GlobalSecondaryIndexes": [
            {"IndexName": index, "KeySchema": _schema(keys), "Projection": {"ProjectionType": "ALL"}}
            for index, keys in indexes
        ]
    }
    client("dynamodb").create_table(
        TableName=name,
        BillingMode="PAY_PER_REQUEST",
        AttributeDefinitions=[{"AttributeName": key, "AttributeType": "S"} for key in sorted(attributes)],
        KeySchema=_schema(_TABLES[name]),
        **(more if indexes else {}),
    )


def _schema(keys: tuple[str, ...]) -> list[dict[str, str]]:
    return [{"AttributeName": key, "KeyType": kind} for key, kind in zip(keys, ("HASH", "RANGE"), strict=False)]


@dataclass
class Cloud:
    """All resources, and the log as the tests read it. ``model_url`` is where the planner's model is served."""

    model_url: str = ""
    clock: Clock = field(default_factory=Clock)
    stdout: io.StringIO = field(default_factory=io.StringIO)
    warm: dict[tuple[Any, ...], Runtime] = field(default_factory=dict)
    filled: dict[tuple[str, ...], Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        _TABLES_OF_ALL.append(Tables(schemas={}))
        self.tables = _TABLES_OF_ALL[-1]
        for name in _TABLES:
            create_table(name)
        # The tests' own log signs, so that it may say what people say.
        tests = self.usual_process(LOG)
        self.log = RunLog.of(tests, signatures=Signatures.signing(tests))
        client("s3").create_bucket(Bucket="payloads", CreateBucketConfiguration={"LocationConstraint": "eu-west-1"})
        key = client("kms").create_key()["KeyMetadata"]["KeyId"]
        client("kms").create_alias(AliasName=KEY_ALIAS, TargetKeyId=key)
        secret = client("kms").create_key(KeySpec="HMAC_256", KeyUsage="GENERATE_VERIFY_MAC")["KeyMetadata"]["KeyId"]
        client("kms").create_alias(AliasName=ANSWER_KEY_ALIAS, TargetKeyId=secret)
        assert client("sqs").create_queue(QueueName="escalations")["QueueUrl"] == QUEUE_URL
        assert client("sqs").create_queue(QueueName="dead-requests")["QueueUrl"] == DEAD_LETTERS_URL

    def environ(self, function: str) -> dict[str, str]:
        """Return the function's environment."""
        model = {"MODEL_ENDPOINT_URL": self.model_url} if function == "planner" else {}
        return ENVIRONS[function] | model

    def process(self, environ: dict[str, str], *, session: Any = None) -> Runtime:
        """Return another process with that environment, and with clients of its own."""
        clients: Any = session or _OwnClients()
        return Runtime(_EVERY | environ, session=clients, clock=self.clock, stdout=self.stdout)

    def usual_process(self, environ: dict[str, str]) -> Runtime:
        """Return another process, with the clients of all the others: to make one takes longer than most tests."""
        return self.process(environ, session=_SharedClients())

    def renew(self) -> None:
        """Set back what the next test would stumble over. Messages and escalations are found by their run."""
        self.clock.now = NOON
        self.stdout.seek(0)
        self.stdout.truncate()
        self.tables.emptied("notes", "budgets", "moves", "run-log")

    def fill(self, fill: Callable[[], None], *tables: str) -> None:
        """Let the tables hold what ``fill`` puts into them, and nothing else. It is called once."""
        if tables not in self.filled:
            fill()
            self.filled[tables] = self.tables.kept(*tables)
        self.tables.put_back(self.filled[tables])
