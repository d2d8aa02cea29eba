"""``ballast check`` infers from code only what is certain: variables, tables, services and operations of DynamoDB."""

import re
from pathlib import Path

import pytest

from cli.checks.code import Code

HELPER = 'def table(ctx):\n    return ctx.environ["{}_TABLE"]\n\n\ndef {}(ctx):\n'
READS = '    return ctx.client("dynamodb").get_item(TableName=table(ctx), Key={})\n'
WRITES = '    return ctx.client("dynamodb").put_item(TableName=table(ctx), Item={})\n'


def code(folder: Path, **files: str) -> Code:
    playbook = folder / "desk"
    playbook.mkdir(exist_ok=True)
    for name, text in files.items():
        roots = re.sub(r"^def (f|g|account|note|open_desk|held)\(", r"@tool\ndef \1(", text, flags=re.MULTILINE)
        (playbook / f"{name}.py").write_text(roots)
    return Code(playbook)


def test_a_helper_is_that_of_its_own_module_or_of_its_import(tmp_path: Path) -> None:
    found = code(
        tmp_path,
        accounts=HELPER.format("ACCOUNTS", "account") + READS,
        notes=HELPER.format("NOTES", "note") + WRITES,
        imports="from .notes import table\nfrom desk import accounts\n\n\ndef f(ctx):\n"
        + READS.replace("get_item", "query")
        + WRITES.replace("table(ctx)", "accounts.table(ctx)").replace("put_item", "scan"),
        twice="from .elsewhere import table\n\n\ndef g(ctx):\n" + WRITES.replace("put_item", "update_item"),
    )

    assert found.on_tables.keys() == {
        *(("GetItem", "ACCOUNTS_TABLE"), ("PutItem", "NOTES_TABLE")),
        *(("Query", "NOTES_TABLE"), ("Scan", "ACCOUNTS_TABLE")),
    }
    assert "UpdateItem" in found.dynamodb


def test_a_variable_is_what_is_looked_up_in_an_environment(tmp_path: Path) -> None:
    source = """
import os
NAME = "BY_NAME"
KINDS = {"s": "ROUND_TABLE", "t": "PING_PONG_TABLE"}
environ_of_another = {"A": 1}


def f(ctx, request):
    os.environ["WRITTEN"] = "x"
    e = ctx.environ
    if "GUARDED" in e:
        print(e["GUARDED"])
    return e[NAME], os.environ["PLAIN"], request.environ["WSGI"], e.get("SEATS_TABLE"), KINDS["ROUND_TABLE"]


def g():
    environ = {"LOCAL": 1}
    return environ["LOCAL"], environ.get("LOCAL_TABLE")
"""
    found = code(tmp_path, one=source)

    assert found.needed.keys() == {"BY_NAME", "PLAIN"}
    assert found.asked_for.keys() == {"GUARDED", "SEATS_TABLE"}


@pytest.mark.parametrize(
    ("lines", "needed"),
    [
        ('WORDS = {"Put": len, "Delete": str.strip, "Update": {"TableName": 1}}', set()),
        ('def f(ctx):\n    ctx.client("dynamodb").transact_write_items(TransactItems=[{"Put": {}}])', {"PutItem"}),
        (
            'def parts():\n    return [{"Delete": {}}]\n\n\ndef f(ctx):\n    items = [{"Put": {}}, *parts()]\n'
            '    items.append({"ConditionCheck": {}})\n'
            '    ctx.client("dynamodb").transact_write_items(TransactItems=items)',
            {"PutItem", "DeleteItem", "ConditionCheckItem"},
        ),
        (
            'from ballast.playbook import Change\n\n\ndef f():\n    return Change(result=1, writes=[{"Update": {}}])',
            {"UpdateItem"},
        ),
        ('class Change(dict):\n    pass\n\n\ndef f():\n    return Change(writes=[{"Update": {}}])', set()),
    ],
)
def test_parts_of_a_transaction_count_inside_of_one(lines: str, needed: set[str], tmp_path: Path) -> None:
    assert code(tmp_path, one=f"{lines}\n").dynamodb.keys() == needed


@pytest.mark.parametrize(
    ("lines", "needed"),
    [
        ("Http().query(**filters)", set()),
        ("ctx.client('rds-data').execute_statement(**{'Statement': 1})", set()),
        ("ctx.client('location').get_item(TableName='x')", set()),
        ("unknown.get_item(TableName='x')", set()),
        ("Http().write_once(table='x')", set()),
        ("ctx.write_once(table='x')", {"GetItem", "UpdateItem"}),
        ("db = ctx.client('dynamodb')\n    db.query(**filters)", {"Query"}),
        ("boto3.resource('dynamodb').Table('x').put_item(Item={})", {"PutItem"}),
        ("made(ctx).scan(TableName='x')", {"Scan"}),
        ("taken(ctx.client('dynamodb'))", {"DeleteItem"}),
        ("Desk(ctx).read()", {"GetItem"}),
        ("boto3.Session().client(service_name='dynamodb').query(TableName='x')", {"Query"}),
        ("db = ctx.client('dynamodb') if filters else ctx.client('s3')\n    db.query(TableName='x')", set()),
    ],
)
def test_an_operation_counts_where_its_receiver_is_certainly_dynamodbs(
    lines: str, needed: set[str], tmp_path: Path
) -> None:
    source = f"""
import boto3


class Desk:
    def __init__(self, ctx):
        self.db = made(ctx)

    def read(self):
        return self.db.{"get_item" if "Desk" in lines else "no_operation"}(TableName="x")


class Http:
    def query(self, **by):
        return by


def made(ctx):
    return ctx.client("dynamodb")


def taken(db):
    return db.delete_item(TableName="x")


def f(ctx, filters, unknown):
    {lines}
"""
    source = source if "taken(" in lines else source.replace("db.delete_item", "db.no_operation")

    assert code(tmp_path, one=source).dynamodb.keys() == needed


def test_a_client_is_of_a_context_or_of_boto3_and_an_index_dynamodbs(tmp_path: Path) -> None:
    source = """
from boto3 import client


def f(ctx, desk):
    desk.client("desk"), Http().client("mine"), client("s3")
    ctx.client("location").search(IndexName="places")
    ctx.client("sts").get_caller_identity()
    ctx.client("dynamodb").query(TableName="x", IndexName="by_owner")
"""
    found = code(tmp_path, one=source)

    assert found.services.keys() == {"s3", "location", "sts", "dynamodb"}
    assert found.called["sts"] == {"get_caller_identity"}
    assert found.indexes.keys() == {"by_owner"}


def test_clients_are_followed_through_fields_properties_and_constructors(tmp_path: Path) -> None:
    services = """
from __future__ import annotations
from dataclasses import dataclass
from functools import cached_property
from enum import StrEnum
from .repository import Queue, Repository, Sealed

class Name(StrEnum):
    DESKS = "DESKS_TABLE"

QUEUE = "QUEUE" + "_URL"

@dataclass
class Services:
    ctx: ToolContext

    @cached_property
    def desks(self) -> Repository[Desk]:
        return Repository(self.ctx.client("dynamodb"), table=self.ctx.environ[Name.DESKS])

    @property
    def queue(self) -> Queue:
        return Queue(self.ctx.client("sqs"), self.ctx.environ[QUEUE])

    def seal(self):
        return Sealed(self.ctx.client("kms")).hidden(self.ctx.client("sns"))
"""
    repository = """
@dataclass(frozen=True)
class Base:
    client: Any

class Repository(Base, Generic[M]):
    table: str

    def put_new(self, item):
        return {"Put": {"TableName": self.table, "Item": item}}

    def by(self, index):
        return self.client.get_paginator("query").paginate(TableName=self.table, IndexName=index)

    def find(self, key):
        return self.client.get_item(TableName=self.table, Key=key)

class Queue:
    def __init__(self, sqs, url):
        self._sqs, self.url = sqs, url
        self.sqs = sqs

    def send(self, text):
        self.sqs.send_message(QueueUrl=self.url, MessageBody=text)

class Sealed:
    def __init__(self, *clients):
        self.clients = clients
"""
    tools = """
from ballast.playbook import Change
from .services import Services

def open_desk(args, ctx):
    it = Services(ctx)
    it.seal()
    def attempt():
        return Change(result=1, writes=[it.desks.put_new({})], conflict="")
    it.desks.by("by_room")
    it.desks.by("by_floor")
    it.queue.send(attempt)
    it.desks.find({})

def held(holder):
    holder.ctx.client("s3").get_object(Bucket="b", Key="k")
"""
    found = code(tmp_path, services=services, repository=repository, tools=tools)

    assert found.dynamodb.keys() == {"PutItem", "Query", "GetItem"}
    assert found.indexes.keys() == {"by_room", "by_floor"}
    assert found.on_tables.keys() == {("GetItem", "DESKS_TABLE")}
    assert found.needed.keys() == {"DESKS_TABLE", "QUEUE_URL"}
    assert found.unfollowed == {}
    assert found.called == {
        "dynamodb": {"query", "get_item"},
        "sqs": {"send_message"},
        "s3": {"get_object"},
    }
    assert found.unfollowed_clients.keys() == {"kms", "sns"}


REPOSITORY = """
@dataclass(frozen=True)
class Repository:
    client: Any
    table: str

    def get(self, key):
        return self.client.get_item(TableName=self.table, Key=key)

    def put(self, item):
        self.client.put_item(TableName=self.table, Item=item)

    def scan(self):
        return [*self.rows()]

    def rows(self):
        return self.client.scan(TableName=self.table)
"""
DESKS = 'Repository(ctx.client("dynamodb"), ctx.environ["DESKS_TABLE"])'


def test_a_method_that_nothing_reached_names_needs_nothing(tmp_path: Path) -> None:
    tools = f"from .infra import Repository\n\n\ndef f(ctx):\n    {DESKS}.get({{}})\n"
    store = (
        "from ..infra import Repository\n\n\ndef seed_store(client, environ):\n    Repository(client, 'x').put({})\n"
    )
    found = code(tmp_path, infra=REPOSITORY, tools=tools, store=store)

    assert found.dynamodb.keys() == {"GetItem"}
    assert {"PutItem", "Scan"} <= found.perhaps_dynamodb

    called = code(tmp_path, infra=REPOSITORY, tools=tools + f"    {DESKS}.scan()\n")

    assert called.dynamodb.keys() == {"GetItem", "Scan"}
    assert called.on_tables.keys() == {("GetItem", "DESKS_TABLE"), ("Scan", "DESKS_TABLE")}


@pytest.mark.parametrize(
    ("other", "known"),
    [
        ("def more(x: Repository) -> list[Repository]: ...", True),
        ("from desk import infra as here\n\n\ndef more(c):\n    here.Repository(c, c.environ['DESKS_TABLE'])", False),
        ("from .infra import Repository as Repo\n\n\ndef more(ctx):\n    Repo(ctx, ctx.environ['NOTES_TABLE'])", False),
        ("import desk.infra\n\n\ndef more(ctx):\n    desk.infra.Repository(ctx, ctx.environ['NOTES_TABLE'])", False),
        ("from .infra import *\n\n\ndef more(ctx):\n    Repository(ctx, ctx.environ['NOTES_TABLE'])", False),
        (
            "class Notes(Repository):\n    key = 1\n\n\ndef more(ctx):\n    Notes(ctx, ctx.environ['NOTES_TABLE'])",
            False,
        ),
        ("class Notes(Repository):\n    def __init__(self, ctx):\n        super().__init__(ctx, 'notes')", False),
        ("more = partial(Repository, table='notes')", False),
        ("KINDS = {'notes': Repository}", False),
        ("def more(it):\n    return replace(it, table='notes')", False),
    ],
)
def test_a_field_is_known_where_each_mention_of_its_class_is_a_call(other: str, known: bool, tmp_path: Path) -> None:
    imports = "" if "import" in other else "from .infra import Repository\n\n\n"
    tools = f"from .infra import Repository\n\n\ndef f(ctx):\n    {DESKS}.get({{}})\n"
    found = code(tmp_path, infra=REPOSITORY, tools=tools, other=f"{imports}{other}\n")

    assert found.on_tables.keys() == ({("GetItem", "DESKS_TABLE")} if known else set())


@pytest.mark.parametrize(
    ("other", "known"),
    [
        ("def g(ctx):\n    put(ctx, ctx.environ['DESKS_TABLE'])", True),
        ("from .infra import put as store\n\n\ndef g(ctx):\n    store(ctx, ctx.environ['NOTES_TABLE'])", False),
        ("def g(ctx):\n    list(map(partial(put, ctx), ctx.environ.values()))", False),
        ("def g(ctx):\n    ctx.retry(put, ctx)", False),
        ("@put\ndef g(ctx): ...", False),
    ],
)
def test_a_parameter_is_known_where_each_mention_of_its_function_is_a_call(
    other: str, known: bool, tmp_path: Path
) -> None:
    put = 'def put(ctx, table):\n    ctx.client("dynamodb").put_item(TableName=table, Item={})\n'
    tools = 'from .infra import put\n\n\ndef f(ctx):\n    put(ctx, ctx.environ["DESKS_TABLE"])\n'
    imports = "" if "import" in other else "from .infra import put\n\n\n"
    found = code(tmp_path, infra=put, tools=tools, other=f"{imports}{other}\n")

    assert found.on_tables.keys() == ({("PutItem", "DESKS_TABLE")} if known else set())
    assert found.dynamodb.keys() == {"PutItem"}


SEND = 'ctx.client("sns").publish(TopicArn=ctx.environ["OTHER"])'


@pytest.mark.parametrize(
    ("lines", "needed"),
    [
        (f"if args.now:\n        {SEND}", True),
        (f"if topic := ctx.environ.get('TOPIC'):\n        {SEND}", False),
        (f"topic = ctx.environ.get('TOPIC')\n    if not topic:\n        return\n    {SEND}", False),
        ("topic = ctx.environ.get('TOPIC')\n    if topic:\n        send(ctx)", False),
        (f"'TOPIC' in ctx.environ and {SEND}", False),
        (f"ctx.environ.get('TOPIC') or {SEND}", False),
        (f"{SEND} if ctx.environ.get('TOPIC', '') else None", False),
        (f"with suppress(Exception):\n        {SEND}", False),
        (f"try:\n        {SEND}\n    except ClientError as e:\n        log(e)", False),
        (f"try:\n        {SEND}\n    except ClientError as e:\n        raise ToolFailed from e", True),
    ],
)
def test_what_a_test_of_the_environment_or_a_try_may_pass_over_is_not_needed(
    lines: str, needed: bool, tmp_path: Path
) -> None:
    source = f"def f(args, ctx):\n    {lines}\n\n\ndef send(ctx):\n    {SEND}\n"
    found = code(tmp_path, one=f'{source}\n\nif __name__ == "__main__":\n    send(boto3)\n')

    assert bool(found.services) is needed
    assert ("OTHER" in found.needed) is needed


def test_a_variable_is_needed_where_nothing_stands_in_for_it(tmp_path: Path) -> None:
    source = """
import os
from contextlib import suppress


def f(ctx):
    db = ctx.client("dynamodb")
    db.get_item(TableName=ctx.environ.get("AT_ONCE_TABLE"))
    db.get_item(TableName=ctx.environ.get("OTHER_TABLE", ctx.environ["DEFAULT_TABLE"]))
    if table := ctx.environ.get("ASKED_TABLE"):
        db.get_item(TableName=table)
    with suppress(KeyError):
        os.environ["SUPPRESSED"], ctx.environ["PASSED_OVER"]
    try:
        os.environ["TRIED"]
    except ValueError:
        return


if __name__ == "__main__":
    print(os.environ["OF_A_SCRIPT"])
"""
    found = code(tmp_path, one=source)

    assert found.needed.keys() == {"AT_ONCE_TABLE", "DEFAULT_TABLE", "TRIED"}
    assert found.asked_for.keys() == {"OTHER_TABLE", "ASKED_TABLE"}
    assert {name: sure for (name, _), sure in found.of_process.items()} == {"SUPPRESSED": None, "TRIED": True}
