"""Answers of AWS in pages: the first one is empty, or each has one item.

A page says with a token that there is more (``LastEvaluatedKey``, ``NextToken``), and DynamoDB's of a filter may be
empty. ``BatchGetItem`` may read none of its keys at first. Where a request says how much it wants, and filters nothing,
its answer stays as it is.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import lru_cache
from typing import Any, Literal

import botocore.session

from cli.certify.aws_answers import Played, answer_200, halves, requests_answered_by

Paging = Literal["empty", "single"]
#: How a paging is told.
PAGINGS: Mapping[Paging, str] = {
    "empty": "Where the first page that AWS answers is empty and names a next one",
    "single": "Where AWS answers one item a page",
}
#: Begins each token of a page.
MADE_UP = "ballast page"


@lru_cache
def _pager(service: str, operation: str) -> Mapping[str, Any] | None:
    try:
        found: Mapping[str, Any] = botocore.session.get_session().get_paginator_model(service).get_paginator(operation)
    except Exception:
        return None
    simple = all(str(found[name]).isidentifier() for name in ("input_token", "output_token"))
    return found if simple else None


@contextmanager
def aws_pages(kind: Paging, keys_of: Callable[[str], Sequence[str]]) -> Iterator[Played]:
    """Within the block, answer an attempt's requests in pages. ``keys_of``: the names of a table's keys."""
    played = Played()
    waiting: dict[str, list[dict[str, Any]]] = {}
    seen: list[str] = []

    def turned(response: Any, pager: Mapping[str, Any], params: Mapping[str, Any], pages: list[dict[str, Any]]) -> Any:
        page = pages.pop(0)
        if pages:
            played.times += 1
            said = f"{MADE_UP} {played.times}"
            token = {one: {"S": said} for one in keys_of(params["TableName"])} if "TableName" in params else said
            page[pager["output_token"]] = token
            if pager.get("more_results", "").isidentifier():
                page[pager["more_results"]] = True
            waiting[repr(token)] = pages
        return (response, page), None

    def answered(send: Callable[[], Any], request: Any, model: Any, context: dict[str, Any]) -> Any:
        service, params = model.service_model.service_name, context.get("certified", {})
        if (service, model.name) == ("dynamodb", "BatchGetItem") and repr(params) not in seen:
            seen.append(repr(params))
            answer, problem = send()
            if problem is not None or answer[0].status_code >= 300:
                return answer, problem
            read, left = _read_of(kind, answer[1]["Responses"], params["RequestItems"], keys_of)
            played.times += bool(left)
            return (answer[0], answer[1] | {"Responses": read, "UnprocessedKeys": left}), None
        pager = _pager(service, model.name)
        if pager is None:
            return send()
        token = repr(params.get(pager["input_token"]))
        if token in waiting:
            return turned(answer_200(request), pager, params, waiting.pop(token))
        answer, problem = send()
        if problem is not None or answer[0].status_code >= 300:
            return answer, problem
        pages = _pages(kind, service, model.name, pager, params, answer[1])
        return (answer, problem) if pages is None else turned(answer[0], pager, params, pages)

    with requests_answered_by(answered):
        yield played


def _read_of(
    kind: Paging, found: Mapping[str, Any], asked: Mapping[str, Any], keys_of: Callable[[str], Sequence[str]]
) -> tuple[Mapping[str, Any], Mapping[str, Any]]:
    """Return what a BatchGetItem reads at first, nothing or half of its keys, and the keys that it leaves."""
    if kind == "empty":
        return {}, asked
    if (two := halves("dynamodb.BatchGetItem", {"RequestItems": asked})) is None:
        return found, {}
    left = two[1]["RequestItems"]

    def is_left(table: str, item: Mapping[str, Any]) -> bool:
        return {name: item[name] for name in keys_of(table)} in left.get(table, {}).get("Keys", ())

    return {table: [one for one in items if not is_left(table, one)] for table, items in found.items()}, left


def _pages(
    kind: Paging, service: str, operation: str, pager: Mapping[str, Any], params: Mapping[str, Any], whole: Any
) -> list[dict[str, Any]] | None:
    filters = "FilterExpression" in params or "QueryFilter" in params or "ScanFilter" in params
    if pager.get("limit_key") in params and not filters:
        return None
    if kind == "empty" and (service == "s3" or (operation == "Query" and not filters)):
        return None
    named = pager["result_key"] if isinstance(pager["result_key"], list) else [pager["result_key"]]
    lists = [one for one in named if isinstance(whole.get(one), list) and whole[one]]
    counts = [one for one in named if isinstance(whole.get(one), int)]
    name = lists[0] if lists else None
    count = len(whole[name]) if name is not None else max((whole[one] for one in counts), default=0)
    cuts = [0, *([count] if kind == "empty" else [1] * count)]
    cuts = cuts if kind == "empty" else cuts[1:]
    if len(cuts) < 2:
        return None
    pages, at = [], 0
    for length in cuts:
        page = dict(whole)
        page |= {one: whole[one][at : at + length] for one in lists} | dict.fromkeys(counts, length)
        at += length
        pages.append(page)
    for page in pages[:-1]:
        page.pop(pager["output_token"], None)
    return pages
