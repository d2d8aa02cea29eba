"""Two functions in one process do not share environment or clients."""

import gc
import io
import os
import random
import re
import runpy
import sys
import types
from collections.abc import Callable, Iterator
from datetime import UTC
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.config import Config
from botocore.loaders import JSONFileLoader

import ballast
from ballast.errors import SettingInvalid
from ballast.regex import regex
from ballast.runtime import REGIONAL, Runtime, Settings, lambda_runtime, made_at_init, utc_now
from tests.support.sampling import sampled

FUNCTIONS = Path(__file__).parents[2] / "functions"


class Example(Settings):
    """orders_table: a table. limit: a number. endpoint: may be left out."""

    orders_table: str
    limit: int
    endpoint: str = ""


def runtime(**environ: str) -> Runtime:
    return Runtime(environ, session=boto3.Session("testing", "testing", region_name="eu-west-1"))


def test_settings_are_the_variables_of_the_function_in_capitals() -> None:
    settings = Example.of(runtime(ORDERS_TABLE="orders", LIMIT="5", HOME="/root", orders_table="no"))

    assert settings == Example(orders_table="orders", limit=5)


def test_what_is_missing_or_wrong_is_named_with_the_place_to_mend_it() -> None:
    with pytest.raises(SettingInvalid, match=r"missing or wrong: LIMIT, ORDERS_TABLE\. template\.yaml sets it"):
        Example.of(runtime(LIMIT="five"))


def test_a_wrong_value_is_not_repeated() -> None:
    """It may be a secret in the wrong place."""
    with pytest.raises(SettingInvalid) as refused:
        Example.of(runtime(ORDERS_TABLE="x", LIMIT="hunter2"))

    assert "hunter2" not in str(refused.value)


def test_two_runtimes_share_nothing() -> None:
    one, other = runtime(ORDERS_TABLE="one", LIMIT="1"), runtime(ORDERS_TABLE="other", LIMIT="2")

    assert [each.get(Example.of).orders_table for each in (one, other)] == ["one", "other"]
    assert one.client("s3") is not other.client("s3")


def test_what_was_built_once_is_kept() -> None:
    mine = runtime(ORDERS_TABLE="x", LIMIT="1")

    assert mine.get(Example.of) is mine.get(Example.of)
    assert mine.client("s3") is mine.client("s3")


def test_what_could_not_be_built_is_tried_again() -> None:
    environ = {"LIMIT": "1"}
    mine = Runtime(environ)
    with pytest.raises(SettingInvalid):
        mine.get(Example.of)

    environ["ORDERS_TABLE"] = "orders"

    assert mine.get(Example.of).orders_table == "orders"


def test_lambda_has_one_runtime_which_reads_the_environment_when_it_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    known = lambda_runtime()
    monkeypatch.setenv("ORDERS_TABLE", "orders")
    monkeypatch.setenv("LIMIT", "3")

    assert lambda_runtime() is known
    assert Example.of(known).limit == 3


def test_a_line_goes_to_the_function_s_own_output() -> None:
    written = io.StringIO()

    Runtime({}, stdout=written).emit('{"CostUsd": 1}')

    assert written.getvalue() == '{"CostUsd": 1}\n'


def test_the_clock_is_aware() -> None:
    assert utc_now().tzinfo is UTC


@pytest.fixture
def initializing(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """This process is Lambda's, in its init phase."""
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_LAMBDA_INITIALIZATION_TYPE", "on-demand")
    monkeypatch.setenv("_HANDLER", f"{__name__}.handler")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-west-1")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "testing")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "testing")
    lambda_runtime.cache_clear()
    yield
    lambda_runtime.cache_clear()
    gc.unfreeze()
    gc.enable()


def handler() -> None:
    """Do nothing."""


def test_what_each_invocation_uses_is_made_while_lambda_initializes_the_function(initializing: None) -> None:
    made: list[Runtime] = []

    assert made_at_init(made.append, "dynamodb")(handler) is handler

    assert made == [lambda_runtime()]
    lambda_runtime().get(made.append)
    assert len(made) == 1


def test_the_collector_rests_from_ballasts_import_until_init_ends(initializing: None) -> None:
    runpy.run_path(str(ballast.__file__))
    assert not gc.isenabled()

    made_at_init(lambda runtime: runtime)(handler)

    assert gc.isenabled()
    assert gc.get_freeze_count() > 0


def test_every_handler_ends_its_init() -> None:
    handlers = [file.read_text("utf-8") for file in FUNCTIONS.rglob("*.py")]
    handlers = [source for source in handlers if "\ndef lambda_handler(" in source]

    assert len(handlers) >= 19
    for source in handlers:
        assert re.search(r"\n@made_at_init\(.*\)\n(@.*\n)*def lambda_handler\(", source), source[:100]


def test_an_expression_is_compiled_when_it_is_first_used_and_does_what_re_does() -> None:
    broken = regex("(")
    with pytest.raises(re.error):
        broken.search("a")

    word = regex(r"(?P<first>[a-z])\w*", re.IGNORECASE)

    assert word.fullmatch("Abc")["first"] == "A"  # type: ignore[index]
    assert word.sub(r"\g<first>", "Abc def") == "A d"
    assert [word.pattern, word.flags] == [r"(?P<first>[a-z])\w*", re.compile("a", re.IGNORECASE).flags]


def test_a_handler_that_another_function_imports_makes_nothing(
    initializing: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("_HANDLER", "functions.people.api.lambda_handler")
    made: list[Runtime] = []

    made_at_init(made.append)(handler)

    assert made == []


def test_any_other_process_makes_nothing_by_an_import(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AWS_LAMBDA_INITIALIZATION_TYPE", raising=False)
    made: list[Runtime] = []

    made_at_init(made.append)(handler)

    assert made == []


def test_what_cannot_be_made_at_init_is_named_and_left_to_the_first_invocation(
    initializing: None, capsys: pytest.CaptureFixture[str]
) -> None:
    made_at_init(Example.of)(handler)

    assert '"error": "SettingInvalid"' in capsys.readouterr().out
    with pytest.raises(SettingInvalid, match="LIMIT, ORDERS_TABLE"):
        lambda_runtime().get(Example.of)


REGIONS = ("us-east-1", "eu-west-1", "us-gov-west-1", "cn-north-1", "us-iso-east-1", "eusc-de-east-1", "xx-new-1")
#: Where the endpoint has another name.
CLIENTS = {"monitoring": "cloudwatch", "states": "stepfunctions"}
#: Some that are not in every region, sign in their own way, or do not follow the pattern.
OTHERS = ("s3", "iam", "sts", "route53", "datazone", "lexv2-runtime")
ALL = (*(CLIENTS.get(one, one) for one in sorted(REGIONAL)), "bedrock-runtime", *OTHERS)


def _asks(client: Any) -> tuple[object, ...]:
    """Return where a client sends its requests, and how it signs them."""
    signer, meta = client._request_signer, client.meta
    signed = (signer._region_name, signer._signing_name, signer._signature_version, meta.config.signature_version)
    return (meta.endpoint_url, meta.region_name, meta.partition, meta.service_model.api_version, *signed)


@pytest.mark.sampled(2)
@pytest.mark.parametrize("service", ALL)
def test_a_function_makes_the_clients_that_boto3_makes(
    initializing: None, monkeypatch: pytest.MonkeyPatch, service: Any
) -> None:
    at = ALL.index(service)
    for region in sampled(REGIONS, (REGIONS[at % len(REGIONS)],)):
        monkeypatch.setenv("AWS_DEFAULT_REGION", region)
        mine = Runtime({}).client(service, regional=service == "bedrock-runtime")

        assert _asks(mine) == _asks(boto3.Session().client(service)), region

    assert set(dir(mine)) == set(dir(boto3.Session().client(service)))


@pytest.mark.parametrize("variable", ["AWS_USE_FIPS_ENDPOINT", "AWS_USE_DUALSTACK_ENDPOINT"])
def test_other_endpoints_are_boto3s_too(initializing: None, monkeypatch: pytest.MonkeyPatch, variable: str) -> None:
    monkeypatch.setenv(variable, "true")

    assert _asks(Runtime({}).client("dynamodb")) == _asks(boto3.Session().client("dynamodb"))


def test_no_table_of_endpoints_is_read_for_what_follows_the_pattern(
    initializing: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    read: list[str] = []
    load = JSONFileLoader._load_file  # type: ignore[attr-defined]
    monkeypatch.setattr(JSONFileLoader, "_load_file", lambda *given: read.append(Path(given[1]).name) or load(*given))
    runtime = Runtime({})

    runtime.client("dynamodb")
    runtime.client("bedrock-runtime", regional=True)
    assert "endpoints.json" not in read
    assert "partitions.json" in read

    runtime.client("iam")
    assert "endpoints.json" in read


def test_a_function_may_have_two_clients_of_s3(initializing: None) -> None:
    mine = lambda_runtime()
    one, other = mine.client("s3"), mine.client("s3", Config(signature_version="s3v4"), variant="links")

    assert set(dir(one)) == set(dir(other)) == set(dir(boto3.Session().client("s3")))


def test_each_copy_of_a_snapshot_has_randomness_of_its_own(initializing: None, monkeypatch: pytest.MonkeyPatch) -> None:
    after_restore: list[Callable[[], None]] = []
    lambdas = types.ModuleType("snapshot_restore_py")
    vars(lambdas)["register_after_restore"] = after_restore.append
    monkeypatch.setitem(sys.modules, "snapshot_restore_py", lambdas)
    monkeypatch.setenv("AWS_LAMBDA_INITIALIZATION_TYPE", "snap-start")
    made_at_init(lambda runtime: runtime)(handler)
    snapshot, drawn = random.getstate(), []

    for _ in range(2):
        random.setstate(snapshot)
        for restored in after_restore:
            restored()
        drawn.append(random.random())

    assert drawn[0] != drawn[1]
