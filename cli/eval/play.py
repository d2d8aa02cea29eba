"""Play the samples of an eval: in turn, in one process or several, and within the budget.

::

    sample 1 of each case and model, sample 2 of each, … : what is stopped early knows a little of everything
      ├ is there money for its ceiling and its verdict?   no, and nothing runs: stop
      └ one process, or several: a local cloud is one a process
"""

from __future__ import annotations

import io
import logging
import signal
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from multiprocessing import active_children, get_context
from pathlib import Path
from typing import Protocol

from rich.console import Console

from ballast.contracts.timeline import Timeline
from ballast.errors import BallastError
from ballast.money import dollars
from ballast.money.prices import Price
from cli.function_output import FunctionOutput
from cli.saved_runs import SavedRuns
from cli.scenario_runs import play
from cli.screen import Screen
from localcloud.converse import label_of, model_source
from localcloud.eval.cases import Case
from localcloud.eval.judge import Judge, judge_of, trials, why_not_believed
from localcloud.eval.results import CaseResult, ModelResult, Sample
from localcloud.functions import FunctionError
from localcloud.scenarios import Scenario
from localcloud.scenarios.people import NoAnswerLeft
from localcloud.template import TemplateInvalid

INTERRUPTED = "interrupted"
#: The label where no model was typed: each case has its own replies.
SCRIPT = "script"


@dataclass(frozen=True)
class Model:
    """A model. ``exact``: its replies are written down.

    label  as it is shown and saved; ``spec``: as it was typed
    """

    label: str
    exact: bool
    spec: str = ""


@dataclass(frozen=True)
class Task:
    """One sample to play: of which case and model, and why the judge is not believed ("" if it is)."""

    case: Case
    scenario: Scenario
    model: Model
    number: int
    distrust: str = ""


@dataclass(frozen=True)
class Setting:
    """What is the same for all samples.

    playbook  None: the support desk
    home      the state folder
    judge     its spec as it was typed; "" for none
    """

    playbook: Path | None
    home: Path
    enforce_iam: bool = True
    judge: str = ""
    judge_price: Price | None = None

    def made_judge(self) -> Judge | None:
        """Return the judge. Raises ``InvalidInput``."""
        return judge_of(self.judge_label, model_source(self.judge), self.judge_price) if self.judge else None

    @property
    def judge_label(self) -> str:
        """The judge as it is shown and saved."""
        return label_of(self.judge)


def played(setting: Setting, task: Task) -> Sample:
    """Play one sample in a local cloud of its own, and let the judge look at it if all else is as expected."""
    begun, screen = time.monotonic(), Screen(Console(file=io.StringIO(), markup=False, highlight=False, emoji=False))
    run_id = task.scenario.request.run_id
    saved_runs = SavedRuns(setting.home)
    try:
        made = play(
            task.scenario,
            screen=screen,
            saved_runs=saved_runs,
            enforce_iam=setting.enforce_iam,
            playbook=setting.playbook,
            model=(task.case.replies or None) if task.model.label == SCRIPT else task.model.spec or task.model.label,
            title="eval",
            output=FunctionOutput(setting.home, screen),
        )
    # Another model takes another way: what it asks people is what it did, and no obstacle to playing the case.
    except NoAnswerLeft as asked:
        sample = _unended(saved_runs, run_id, Sample(ended="asks a person", wrong=(str(asked),)))
    except FunctionError as problem:
        wrong = f"people: an answer was not accepted: {problem.name}: {problem.message}"
        sample = _unended(saved_runs, run_id, Sample(ended="asks a person", wrong=(wrong,)))
    except (BallastError, TemplateInvalid) as problem:
        sample = _unended(saved_runs, run_id, Sample(error=str(problem)))
    else:
        sample = _judged(setting, task, made.timeline, tuple(made.wrong))
    return replace(sample, took_s=time.monotonic() - begun)


def _unended(saved_runs: SavedRuns, run_id: str, sample: Sample) -> Sample:
    """Return the sample of a run that could not be played to its end with its id and its cost, if it ever began."""
    spent = saved_runs.spent_microusd(run_id)
    return sample if spent is None else replace(sample, run_id=run_id, cost_microusd=spent)


def _judged(setting: Setting, task: Task, made: Timeline, wrong: tuple[str, ...]) -> Sample:
    ended = f"{made.status} by {made.by}" if made.by else made.status
    cost = made.money.charged_microusd
    sample = Sample(made.run_id, ended, wrong, cost_microusd=cost, duration_ms=made.duration_ms)
    judged, judge = task.scenario.expect.judged, setting.made_judge()
    if judge is None or judged is None or wrong:
        return sample
    if task.distrust:
        return replace(sample, error=task.distrust)
    said = judge.verdict(judged, made)
    sample = replace(sample, judge_microusd=said.cost_microusd, judged=said.why)
    if said.error:
        return replace(sample, error=said.error)
    return sample if said.passed else replace(sample, wrong=(f"judge: {said.why}",))


Player = Callable[[Task], Sample]


class Workers(Protocol):
    """Where samples are played."""

    size: int

    def submit(self, task: Task) -> Future[Sample]:
        """Begin with a sample."""


class _Here:
    """One after the other, in this process."""

    size = 1

    def __init__(self, player: Player) -> None:
        self._player = player

    def submit(self, task: Task) -> Future[Sample]:
        """Play the sample. Ctrl-C is raised here."""
        made: Future[Sample] = Future()
        made.set_result(self._player(task))
        return made


class _Pool:
    """In several processes, each with a local cloud of its own."""

    def __init__(self, executor: ProcessPoolExecutor, player: Player, size: int) -> None:
        self._executor, self._player, self.size = executor, player, size

    def submit(self, task: Task) -> Future[Sample]:
        """Give the sample to a process."""
        return self._executor.submit(self._player, task)


def _quiet() -> None:
    """Let the first process answer Ctrl-C: it ends the others."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    logging.getLogger("moto").addHandler(logging.NullHandler())


@contextmanager
def workers_of(setting: Setting, size: int) -> Iterator[Workers]:
    """Yield where samples are played. Whatever happens, no process is left behind."""
    SavedRuns(setting.home).try_it()
    player = partial(played, setting)
    if size == 1:
        yield _Here(player)
        return
    before = set(active_children())
    executor = ProcessPoolExecutor(size, mp_context=get_context("spawn"), initializer=_quiet)
    try:
        yield _Pool(executor, player, size)
    except BaseException:
        for child in set(active_children()) - before:
            child.terminate()
        raise
    finally:
        executor.shutdown(wait=True, cancel_futures=True)


@dataclass
class Evaluation:
    """The samples of cases and models, and what has come out so far.

    budget_microusd  the most that runs and verdicts may cost; None for no bound
    ceiling          the most that one run of a case costs
    on_sample        told of each sample when it has been played
    id               of this eval, in the request ids of its runs
    stopped          why not every sample was played
    """

    cases: Sequence[Case]
    models: Sequence[Model]
    samples: int
    ceiling: Callable[[Scenario], int]
    budget_microusd: int | None = None
    judge: Judge | None = None
    on_sample: Callable[[Task, Sample], None] = lambda _task, _sample: None
    id: str = "1"
    stopped: str = ""
    spent_microusd: int = 0
    trials_microusd: int = 0
    made: dict[tuple[str, str], list[Sample]] = field(default_factory=dict)
    _held_microusd: int = 0
    _distrust: dict[str, str] = field(default_factory=dict)

    def play(self, workers: Workers) -> None:
        """Play the samples. Ctrl-C is raised after ``stopped`` has been set."""
        running: dict[Future[Sample], tuple[Task, int]] = {}
        try:
            for task in self._tasks():
                price = self._most(task)
                while len(running) >= workers.size or (running and not self._pays(price)):
                    self._take(running)
                if self.stopped:
                    break
                if not self._pays(price):
                    self._stop_for_money(price)
                    break
                self._held_microusd += price
                running[workers.submit(task)] = task, price
            while running:
                self._take(running)
        except BrokenProcessPool:
            self.stopped = "a process that played cases has died; is there too little memory? Use --workers 1."
        except KeyboardInterrupt:
            self.stopped = INTERRUPTED
            self._take_finished(running)
            raise

    def results(self, sha256: Callable[[Case], str]) -> tuple[ModelResult, ...]:
        """Return what has come out so far; a case without a sample has none."""
        return tuple(
            ModelResult(
                model=model.label,
                exact=model.exact,
                cases=tuple(
                    CaseResult.of(case.name, sha256(case), self.made[model.label, case.name])
                    for case in self.cases
                    if (model.label, case.name) in self.made
                ),
            )
            for model in self.models
        )

    def unplayed(self) -> Iterator[tuple[str, str, int]]:
        """Yield model, case and number of the samples that were not played."""
        for model in self.models:
            for case in self.cases:
                left = self.samples - len(self.made.get((model.label, case.name), ()))
                if left:
                    yield model.label, case.name, left

    def _tasks(self) -> Iterator[Task]:
        for number in range(1, self.samples + 1):
            for case in self.cases:
                if number == 1 and not self._tried(case):
                    return
                for model in self.models:
                    scenario = case.sample(model.label, number, self.id)
                    yield Task(case, scenario, model, number, self._distrust.get(case.name, ""))

    def _tried(self, case: Case) -> bool:
        """Try the judge with the case's known answers; return False if the budget does not pay for it."""
        judged = case.scenario.expect.judged
        if self.judge is None or judged is None or not trials(judged):
            return True
        price = trials(judged) * self.judge.most_microusd
        if not self._pays(price):
            self._stop_for_money(price, f"the trials of the judge with the answers of {case.name}")
            return False
        why, cost = why_not_believed(self.judge, judged, case.scenario.request.model_dump(mode="json"))
        self._distrust[case.name] = why
        self.trials_microusd += cost
        self.spent_microusd += cost
        return True

    def _most(self, task: Task) -> int:
        verdict = self.judge.most_microusd if self.judge and task.scenario.expect.judged else 0
        return self.ceiling(task.scenario) + verdict

    def _pays(self, price: int) -> bool:
        return self.budget_microusd is None or self.spent_microusd + self._held_microusd + price <= self.budget_microusd

    def _stop_for_money(self, price: int, what: str = "the next sample") -> None:
        budget, spent = dollars(self.budget_microusd or 0), dollars(self.spent_microusd)
        self.stopped = f"--budget-usd {budget}: ${spent} is spent, and {what} may cost ${dollars(price)}"

    def _take(self, running: dict[Future[Sample], tuple[Task, int]]) -> None:
        done, _ = wait(running, return_when=FIRST_COMPLETED)
        for one in done:
            self._count(one, *running.pop(one))

    def _take_finished(self, running: Mapping[Future[Sample], tuple[Task, int]]) -> None:
        for one, (task, price) in running.items():
            if one.done() and not one.cancelled() and one.exception() is None:
                self._count(one, task, price)

    def _count(self, one: Future[Sample], task: Task, price: int) -> None:
        self._held_microusd -= price
        sample = one.result()
        self.spent_microusd += sample.cost_microusd + sample.judge_microusd
        self.made.setdefault((task.model.label, task.case.name), []).append(sample)
        self.on_sample(task, sample)
