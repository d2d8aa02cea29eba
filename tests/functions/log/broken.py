"""A run log whose stored items a test can look at, change and make fail: its table in memory, its bucket on moto."""

import itertools
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from functools import cached_property
from typing import Any

import boto3
from botocore.awsrequest import AWSResponse
from botocore.compat import HTTPHeaders
from moto import mock_aws

from ballast.log.run_log import RunLog
from ballast.runtime import Runtime
from localcloud.sessions import Models, core_session
from tests.support.dynamodb_client import answer_requests
from tests.support.tables_in_memory import Tables

NOW = datetime(2026, 11, 1, 9, 0, tzinfo=UTC)
TABLE, BUCKET = "run-log", "payloads"
_RUNS = itertools.count(1)


@dataclass(frozen=True)
class BrokenLog:
    """``log`` is what is tested; the rest reaches past it."""

    session: boto3.Session
    tables: Tables
    dynamodb: Any
    s3: Any
    run_id: str = "run-0"
    environ: dict[str, str] = field(default_factory=lambda: {"RUN_LOG_TABLE": TABLE, "PAYLOAD_BUCKET": BUCKET})

    @cached_property
    def log(self) -> RunLog:
        """The log as one function sees it."""
        return RunLog.of(Runtime(self.environ, session=self.session, clock=lambda: NOW))

    def for_another_run(self) -> "BrokenLog":
        return replace(self, run_id=f"run-{next(_RUNS)}")

    def with_environ(self, **environ: str) -> "BrokenLog":
        return replace(self, environ=self.environ | environ)

    def item(self, seq: str) -> dict[str, Any]:
        key = {"run_id": {"S": self.run_id}, "seq": {"S": seq}}
        found: dict[str, Any] = self.dynamodb.get_item(TableName=TABLE, Key=key)["Item"]
        return found

    def first_page(self) -> dict[str, Any]:
        """Return the answer to one query for the run, which may not be all of it."""
        values = {":run_id": {"S": self.run_id}}
        page: dict[str, Any] = self.dynamodb.query(
            TableName=TABLE, KeyConditionExpression="run_id = :run_id", ExpressionAttributeValues=values
        )
        return page

    def store(self, item: dict[str, Any]) -> None:
        """Write an item past the log, as somebody with too many rights could."""
        self.dynamodb.put_item(TableName=TABLE, Item=item)

    def failing(self, service: str, code: str, status: int = 400) -> "BrokenLog":
        """Let AWS answer every request of ``service`` with an error; botocore's parsing of it is real."""
        without_pauses = core_session()
        without_pauses.register_component("data_loader", Models())  # it reads a service's model once for all tests
        without_pauses.set_config_variable("retry_mode", "standard")
        without_pauses.set_config_variable("max_attempts", 1)
        without_pauses.register(f"before-send.{service}", _answer(code, status))
        session = boto3.Session("testing", "testing", region_name="eu-west-1", botocore_session=without_pauses)
        if service != "dynamodb":
            answer_requests(session, lambda: self.tables)
        return replace(self, session=session)


def _answer(code: str, status: int) -> Any:
    def answer(request: Any, **_: Any) -> AWSResponse:
        text = f'{{"__type": "{code}", "message": "from the test"}}'
        if "s3" in request.url:
            text = f"<Error><Code>{code}</Code><Message>from the test</Message></Error>"
        return AWSResponse(request.url, status, HTTPHeaders(), _Raw(text.encode()))

    return answer


class _Raw:
    """The body of a response, as urllib3 gives it."""

    def __init__(self, content: bytes) -> None:
        self._content = content

    def stream(self, **_: Any) -> Iterator[bytes]:
        yield self._content

    def read(self, *_: Any) -> bytes:
        return self._content


@contextmanager
def log_of_a_file() -> Iterator[BrokenLog]:
    """Yield a log with its table and its bucket."""
    tables = Tables()
    with mock_aws():
        session = boto3.Session("testing", "testing", region_name="eu-west-1")
        answer_requests(session, lambda: tables)
        s3 = session.client("s3")
        s3.create_bucket(Bucket=BUCKET, CreateBucketConfiguration={"LocationConstraint": "eu-west-1"})
        yield BrokenLog(session, tables, session.client("dynamodb"), s3)
