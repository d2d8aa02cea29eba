"""Two functions in one process do not share environment or clients."""

import io
from datetime import UTC

import boto3
import pytest

from ballast.errors import SettingInvalid
from ballast.runtime import Runtime, Settings, lambda_runtime, utc_now


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
