"""Following a run: every entry is shown once, and the log is saved however the run ends."""

import contextlib
import io
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from ballast.contracts import RunRequest
from ballast.contracts.timeline import Approval, Call, ModelAttempt, Timeline, Turn, TurnEscalation
from ballast.errors import InvalidInput, NotAdmitted
from ballast.log.event import Event
from ballast.run import Run
from cli.exits import Exit, exit_of
from cli.follow import EVERY_S, NotEnded, follow, run_and_follow, waited_for
from cli.saved_runs import SavedRuns
from cli.screen import Screen
from localcloud.cloud import Execution, FunctionError
from tests.support.timelines import timeline

REQUEST = RunRequest(request_id="r-1", text="Hi")
OPENED = Event(run_id=REQUEST.run_id, seq="0000.run.opened", at="2025-06-01T03:00:00+00:00", body={})
ENDED = Event(
    run_id=REQUEST.run_id,
    seq="9999.run.ended",
    at="2025-06-01T03:00:01+00:00",
    body={"status": "answered", "by": "agent"},
)


class Cloud:
    """A local cloud whose run goes on by one entry at each look at it, and ends with ``execution``."""

    def __init__(self, *log: Event, execution: Execution, refuses: FunctionError | None = None) -> None:
        self.log, self.execution, self.refuses = log, execution, refuses
        self.looks = 0
        self.session = self

    def client(self, service: str) -> "Cloud":
        return self

    def physical_id(self, logical_id: str) -> str:
        return f"arn:aws:states:eu-west-1:1:stateMachine:{logical_id}"

    def start(self, request: RunRequest, requested_by: str | None = None) -> str:
        if self.refuses:
            raise self.refuses
        return request.run_id

    def describe_execution(self, executionArn: str) -> dict[str, str]:  # noqa: N803  boto3's name
        self.looks += 1
        return {"status": "RUNNING" if self.looks <= len(self.log) else self.execution.status}

    def events(self, run_id: str) -> Run:
        return Run(self.log[: self.looks])

    def wait(self, run_id: str, timeout_s: float) -> Execution:
        return self.execution


class NoResponder:
    """People who never answer; or who make the command stop with ``problem``."""

    def __init__(self, problem: BaseException | None = None) -> None:
        self.problem, self.left = problem, False

    def poll(self) -> None:
        if self.problem:
            raise self.problem

    def close(self) -> None:
        self.left = True


def watched(cloud: Any, people: NoResponder, home: Path) -> tuple[Any, str]:
    printed = io.StringIO()
    screen = Screen(Console(file=printed))
    made = run_and_follow(cloud, REQUEST, people, screen=screen, saved_runs=SavedRuns(home), title="test")
    return made, printed.getvalue()


def done(status: str = "SUCCEEDED", **more: Any) -> Execution:
    return Execution(REQUEST.run_id, status, **more)


def test_each_entry_is_printed_once_and_the_log_is_kept(tmp_path: Path) -> None:
    people = NoResponder()

    made, printed = watched(Cloud(OPENED, ENDED, execution=done()), people, tmp_path)

    assert (made.status, made.by) == ("answered", "agent")
    assert printed.count("admitted:") == 1
    assert printed.count("answered by agent") == 1
    assert SavedRuns(tmp_path).find(REQUEST.run_id).events == (OPENED, ENDED)
    assert people.left


@pytest.mark.parametrize("problem", [KeyboardInterrupt(), InvalidInput("nobody was scripted")])
def test_a_run_that_is_cut_off_keeps_what_it_has(tmp_path: Path, problem: BaseException) -> None:
    people = NoResponder(problem)

    with pytest.raises(type(problem)):
        watched(Cloud(OPENED, ENDED, execution=done()), people, tmp_path)

    assert SavedRuns(tmp_path).find(REQUEST.run_id).events == (OPENED,)
    assert people.left


class GoneAfter(Screen):
    """A screen whose reader goes away after so many lines, as `| head` does."""

    def __init__(self, lines: int) -> None:
        super().__init__(Console(file=io.StringIO()))
        self.left = lines

    def line(self, text: str = "", style: str | None = None) -> None:
        if not self.left:
            raise BrokenPipeError
        self.left -= 1


@pytest.mark.parametrize("lines", range(4))
def test_a_run_whose_reader_goes_away_keeps_what_it_has(tmp_path: Path, lines: int) -> None:
    people, cloud = NoResponder(), Cloud(OPENED, ENDED, execution=done())
    cloud.looks = 1  # the run goes on, whoever reads about it

    with contextlib.suppress(BrokenPipeError):
        run_and_follow(cloud, REQUEST, people, screen=GoneAfter(lines), saved_runs=SavedRuns(tmp_path), title="test")

    assert OPENED in SavedRuns(tmp_path).find(REQUEST.run_id).events
    assert people.left


def test_while_nothing_happens_it_looks_ever_more_seldom(tmp_path: Path) -> None:
    """A person may think for an hour: nobody needs ten looks a second for that."""
    cloud = Cloud(*[OPENED] * 400, execution=done())
    pauses: list[float] = []

    def sleep(seconds: float) -> None:
        pauses.append(seconds)

    follow(cloud, REQUEST.run_id, NoResponder(), lambda event: None, sleep=sleep)

    assert pauses[:20] == [EVERY_S] * 20
    assert pauses[20:] == sorted(pauses[20:])
    assert pauses[-1] == 0.5


def test_a_run_that_is_cut_off_before_its_first_entry_leaves_nothing(tmp_path: Path) -> None:
    cloud = Cloud(execution=done("RUNNING"))

    with pytest.raises(KeyboardInterrupt):
        watched(cloud, NoResponder(KeyboardInterrupt()), tmp_path)

    assert SavedRuns(tmp_path).recent() == []


@pytest.mark.parametrize(
    ("execution", "status", "why"),
    [
        (done("FAILED", cause="Run failed: SettingInvalid"), "failed", "Run failed: SettingInvalid"),
        (done(output={"status": "refused", "reason": "RequestConflict"}), "refused", "RequestConflict"),
        (done("ABORTED"), "failed", "ABORTED"),
    ],
)
def test_a_run_that_ended_before_its_log_began_still_says_how(
    tmp_path: Path, execution: Execution, status: str, why: str
) -> None:
    made, _ = watched(Cloud(execution=execution), NoResponder(), tmp_path)

    assert (made.status, made.ending) == (status, f"Ended with an empty log: {why}")
    assert SavedRuns(tmp_path).recent() == []


@pytest.mark.parametrize(
    ("name", "expected"),
    [("InvalidInput", InvalidInput), ("RequestConflict", NotAdmitted), ("KeyError", FunctionError)],
)
def test_the_front_doors_refusals_keep_their_meaning(tmp_path: Path, name: str, expected: type[Exception]) -> None:
    cloud = Cloud(execution=done(), refuses=FunctionError(name, "the reason", []))

    with pytest.raises(expected, match="the reason"):
        watched(cloud, NoResponder(), tmp_path)


ASKED = Event(
    run_id=REQUEST.run_id,
    seq="0001.escalation.opened",
    at="2025-06-01T03:00:01+00:00",
    body={"reason": "guardrail_intervened", "escalation_id": "esc-a"},
)
ABORTED = Event(run_id=REQUEST.run_id, seq="9999.run.ended", at="2025-06-01T03:00:02+00:00", body={"status": "aborted"})


class EphemeralCloud(Cloud):
    """A local cloud: a run that is stopped is settled, unless ``settles`` is false."""

    def __init__(self, *log: Event, settles: bool = True) -> None:
        super().__init__(*log, execution=done("ABORTED"))
        self.settles, self.stopped = settles, list[str]()

    def stop(self, run_id: str) -> None:
        self.stopped.append(run_id)
        if self.settles:
            self.log = (*self.log[: self.looks], ABORTED)
            self.looks = len(self.log)

    def wait(self, run_id: str, timeout_s: float) -> Execution:
        if not self.settles:
            raise TimeoutError
        return self.execution


@pytest.mark.parametrize(("settles", "status"), [(True, "aborted"), (False, "open")])
def test_an_interrupted_run_of_a_local_cloud_is_closed(
    tmp_path: Path, settles: bool, status: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    cloud = EphemeralCloud(OPENED, ENDED, settles=settles)

    with pytest.raises(KeyboardInterrupt):
        watched(cloud, NoResponder(KeyboardInterrupt()), tmp_path)

    saved = SavedRuns(tmp_path).find(REQUEST.run_id)
    assert cloud.stopped == [REQUEST.run_id]
    assert timeline(saved.events).status == status
    assert saved.cut_off is (status == "open")


def test_a_second_ctrl_c_while_it_is_closed_keeps_the_log_all_the_same(tmp_path: Path) -> None:
    class Impatient(EphemeralCloud):
        def stop(self, run_id: str) -> None:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        watched(Impatient(OPENED, ENDED), NoResponder(KeyboardInterrupt()), tmp_path)

    assert SavedRuns(tmp_path).find(REQUEST.run_id).cut_off


def test_a_run_that_asks_a_person_is_not_waited_for_where_nobody_shall_be(tmp_path: Path) -> None:
    printed = io.StringIO()
    screen, saved_runs = Screen(Console(file=printed, width=200)), SavedRuns(tmp_path)
    local, stack = EphemeralCloud(OPENED, ASKED, ENDED), Cloud(OPENED, ASKED, ENDED, execution=done())

    for cloud, status, words in ((local, "aborted", "the run is aborted"), (stack, "waiting", "the run continues")):
        made = run_and_follow(
            cloud, REQUEST, NoResponder(), screen=screen, saved_runs=saved_runs, title="test", wait=False
        )

        assert made.status == status
        assert exit_of(made.status) == Exit.UNANSWERED
        assert words in printed.getvalue()
        assert not saved_runs.find(REQUEST.run_id).cut_off


def test_a_run_that_asks_nobody_is_followed_to_its_end_without_waiting(tmp_path: Path) -> None:
    screen = Screen(Console(file=io.StringIO()))

    made = run_and_follow(
        EphemeralCloud(OPENED, ENDED),
        REQUEST,
        NoResponder(),
        screen=screen,
        saved_runs=SavedRuns(tmp_path),
        title="test",
        wait=False,
    )

    assert made.status == "answered"


def test_a_run_that_takes_too_long_is_cut_off_and_says_what_it_waits_for(tmp_path: Path) -> None:
    people, cloud = NoResponder(), Cloud(*[OPENED] * 99, execution=done())
    screen = Screen(Console(file=io.StringIO()))

    with pytest.raises(NotEnded, match="did not end within 0 s: it waits for"):
        run_and_follow(
            cloud, REQUEST, people, screen=screen, saved_runs=SavedRuns(tmp_path), title="test", within_s=0.0
        )

    assert people.left
    assert SavedRuns(tmp_path).find(REQUEST.run_id).events == (OPENED,)


def _open(**fields: Any) -> Timeline:
    return Timeline(run_id="run-x", status="open", ending="", turns=(Turn(turn=2, planner="agent", **fields),))


@pytest.mark.parametrize(
    ("made", "said"),
    [
        (Timeline(run_id="run-x", status="open", ending=""), "its admission"),
        (_open(attempts=(ModelAttempt(attempt=1, state="open"),)), "the model's answer in turn 2"),
        (_open(calls=(Call(index=1, tool="pay"),)), "the outcome of pay in turn 2"),
        (
            _open(
                calls=(Call(index=1, tool="pay", outcome="waiting", approvals=(Approval(approvals=2, given=("a",)),)),)
            ),
            "the approval of pay (turn 2, call 1), 1 of 2 given",
        ),
        (_open(escalation=TurnEscalation(escalation_id="e")), "the decision of a person in turn 2"),
        (_open(escalation=TurnEscalation(escalation_id="e", kind="question")), "an answer of the requester in turn 2"),
        (_open(), "what comes after turn 2"),
    ],
)
def test_what_a_run_waits_for_is_the_newest_thing_without_an_outcome(made: Timeline, said: str) -> None:
    assert waited_for(made) == said
