"""Plays of `ballast certify` at requests outside of AWS, and the end of what an attempt has left at work."""

from concurrent.futures import ThreadPoolExecutor
from threading import Thread, Timer

import pytest

from cli.certify.http_answers import after_effects, outages, refusals
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
