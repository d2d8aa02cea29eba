"""Plays of `ballast certify` at requests outside of AWS, and the end of what an attempt has left at work."""

import json
from concurrent.futures import ThreadPoolExecutor
from threading import Thread, Timer
from typing import Any

import pytest

from cli.certify.http_answers import after_effects, outages, refusals
from cli.certify.http_pages import HttpPaged, _first_half
from cli.certify.threads import of_attempt, threads_of_attempt

DOUBTFUL = {408, 425, 499, 500, 502, 503, 504, 520, 524}


@pytest.mark.parametrize("keyed", [False, True])
@pytest.mark.parametrize("count", [1, 2, 3, 6])
def test_every_doubtful_status_and_every_lost_answer_is_played_at_some_request(count: int, keyed: bool) -> None:
    plays = [play for number in range(count) for play in after_effects(number, count, at=number, keyed=keyed)]

    assert {play.status for play in plays} - {0} == DOUBTFUL | ({409} if keyed else set())
    assert {play.kind for play in plays} == {"answered", "reset", "closed", "half", "garbled", "empty"}
    assert len(plays) <= 2 * 15 if count > 1 else len(plays) <= 15
    assert len({str(play) for play in plays}) == len(plays)


@pytest.mark.parametrize(
    ("later", "statuses"), [(False, {400, 402, 403, 429}), (True, {400, 402, 403, 404, 410, 422, 429})]
)
def test_a_first_request_is_refused_by_statuses_that_do_not_say_that_it_is_so_already(
    later: bool, statuses: set[int]
) -> None:
    plays = refusals(0, 1, at=0, later=later)

    assert {play.status for play in plays} == statuses


def test_a_look_up_gets_no_answer_an_error_and_a_page_of_a_proxy() -> None:
    told = [str(play) for play in outages(2)]

    assert len(told) == 6
    assert all("request 3 outside of AWS" in one.replace("Request", "request") for one in told)


def test_a_timer_acts_at_once_when_its_attempt_is_over_and_a_cancelled_one_never() -> None:
    said: list[str] = []
    with threads_of_attempt() as at_work:
        late, cancelled = (Timer(30, said.append, (name,)) for name in ("late", "cancelled"))
        late.start()
        cancelled.start()
        cancelled.cancel()
        before = list(said)
        at_work.ends()

    assert (before, said) == ([], ["late"])


def test_a_timer_of_an_attempt_that_has_died_does_not_act() -> None:
    said: list[str] = []
    with threads_of_attempt() as at_work:
        late = Timer(30, said.append, ("late",))
        late.start()
        at_work.dies()
        late.join(5)

    assert (late.is_alive(), said) == (False, [])


def test_threads_and_work_of_pools_are_waited_for() -> None:
    said: list[bool] = []
    with ThreadPoolExecutor(1) as pool, threads_of_attempt() as at_work:
        Thread(target=lambda: said.append(of_attempt())).start()
        pool.submit(lambda: said.append(of_attempt()))
        at_work.ends()
        assert said == [True, True]


@pytest.mark.parametrize(
    ("said", "half"),
    [
        ({"items": [1, 2, 3], "next": None}, {"items": [1], "next": "ballast page 2"}),
        ({"data": [1, 2], "has_more": False}, {"data": [1], "has_more": True}),
        ({"rows": [1, 2], "meta": {"next_cursor": ""}}, {"rows": [1], "meta": {"next_cursor": "ballast page 2"}}),
        ({"items": [1], "next": None}, None),
        ({"items": [1, 2], "next": "/b"}, None),
        ({"items": [1, 2]}, None),
        ({"items": [1, 2], "tags": [1, 2], "next": None}, None),
        ([1, 2], None),
    ],
)
def test_a_list_comes_in_pages_where_its_answer_has_a_field_for_a_next_one(said: Any, half: Any) -> None:
    found = _first_half(json.dumps(said).encode(), set())

    assert (json.loads(found) if found else None) == half


def test_a_result_that_says_that_there_is_more_is_not_misled() -> None:
    cut = HttpPaged(cut=["/book"], names={"has_more"})

    assert cut.misled('{"count":1}')
    assert not cut.misled('{"count":1,"has_more":true}')
    assert not cut.misled('{"next":"ballast page 2"}')
    assert not HttpPaged(cut=["/book"], followed=True).misled('{"count":1}')
    assert not HttpPaged().misled('{"count":1}')
