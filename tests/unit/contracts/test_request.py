"""A request's identity: which run it is, and whether it is the same request again."""

import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ballast.contracts import RunRequest
from ballast.contracts.request import MAX_CONTEXT_BYTES, MAX_TEXT_BYTES, MAX_TEXT_CHARS
from ballast.contracts.wire import canonical, parse
from tests.unit.contracts.bad_input import FILE, QUEUE, RUN_ID

BASE: dict[str, Any] = {"request_id": "r-1", "text": "Where is it?"}
#: For every field another value than the one it has in BASE, or by default.
OTHER: dict[str, Any] = {
    "request_id": "r-2",
    "agent": "sales",
    "intent": "refund",
    "text": "Where is it!",
    "context": {"a": 1},
    "tenant": "acme",
    "limits": {"turns": 1},
    "reply_to": QUEUE,
    "when_full": "wait",
    "attachments": [FILE],
}
names = st.from_regex(r"[A-Za-z0-9][A-Za-z0-9._-]{0,8}", fullmatch=True)
keys = st.text(st.characters(min_codepoint=0x21, max_codepoint=0x7E), min_size=1, max_size=10)


def request(**fields: Any) -> RunRequest:
    return parse(RunRequest, BASE | fields, what="RunRequest")


@given(one=st.tuples(names, keys), other=st.tuples(names, keys))
def test_two_requests_are_one_run_only_where_tenant_and_key_are_the_same(
    one: tuple[str, str], other: tuple[str, str]
) -> None:
    first, second = (request(tenant=tenant, request_id=key) for tenant, key in (one, other))

    assert (first.run_id == second.run_id) == (one == other)


@pytest.mark.parametrize(("one", "other"), [(("a", "b.c"), ("a.b", "c")), (("a", "-b"), ("a-", "b"))])
def test_a_separator_inside_a_name_moves_no_request_to_another_run(
    one: tuple[str, str], other: tuple[str, str]
) -> None:
    first, second = (request(tenant=tenant, request_id=key) for tenant, key in (one, other))

    assert first.run_id != second.run_id


@given(tenant=names, key=keys)
def test_a_run_id_is_a_legal_name_of_an_execution(tenant: str, key: str) -> None:
    run_id = request(tenant=tenant, request_id=key).run_id

    assert re.fullmatch(r"[A-Za-z0-9_-]{1,80}", run_id)
    assert len(run_id) == len(RUN_ID)


def test_a_run_id_is_the_same_in_every_process() -> None:
    assert request().run_id == "run-svkjz4qev7bgldgl4f6l237b"


def test_a_run_id_says_nothing_of_what_the_request_is_about() -> None:
    assert {
        request(**{name: OTHER[name]}).run_id == request().run_id for name in OTHER.keys() - {"request_id", "tenant"}
    } == {True}


@pytest.mark.parametrize("field", RunRequest.model_fields)
def test_the_digest_changes_with_each_field(field: str) -> None:
    assert request(**{field: OTHER[field]}).digest != request().digest


def test_a_request_without_files_is_what_older_functions_know() -> None:
    assert "attachments" not in request().model_dump(mode="json")
    assert request(attachments=[]).digest == request().digest


def test_the_digest_does_not_depend_on_the_order_of_the_context() -> None:
    one, other = {"a": 1, "b": {"c": 2, "d": 3}}, {"b": {"d": 3, "c": 2}, "a": 1}

    assert request(context=one).digest == request(context=other).digest


@pytest.mark.parametrize("letter", ["x", "é", "字", "\N{PILE OF POO}", "\\", "\0"])
def test_the_largest_request_fits_into_an_execution_s_input(letter: str) -> None:
    """Step Functions takes 256 KiB."""
    written = len(canonical(letter)) - 2
    text = letter * min(MAX_TEXT_CHARS, (MAX_TEXT_BYTES - 2) // written)
    context = {"k": letter * ((MAX_CONTEXT_BYTES - 8) // written)}

    largest = request(request_id="\\" * 128, tenant="t" * 64, intent="i" * 64, text=text, context=context)

    assert len(canonical({"request": largest.model_dump(mode="json")})) < 180_000
