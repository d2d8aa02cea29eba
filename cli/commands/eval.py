"""``ballast eval``: play cases several times with one model or several, and compare with an earlier time."""

from __future__ import annotations

import json
import os
import sys
from argparse import Namespace
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit
from uuid import uuid4

from rich.console import Console

from ballast.errors import InvalidInput, ModelRefused
from ballast.money import micro_dollars
from ballast.money.prices import Price
from ballast.playbook import Playbook, load_playbook
from cli import output_files
from cli.eval.chosen import chosen, saved_cases, stack_cases, wants_runs
from cli.eval.play import INTERRUPTED, SCRIPT, Evaluation, Model, Setting, Task, Workers, workers_of
from cli.eval.report import Gate, as_json, junit, show
from cli.exits import Exit
from cli.junit import begin, write
from cli.own_stdout import print_document
from cli.saved_runs import state_folder, write_whole
from cli.scenario_runs import place_and_names
from cli.screen import Screen
from localcloud.cloud import PLAYBOOK
from localcloud.converse import (
    Bedrock,
    OpenAIModel,
    ScriptModel,
    check_keys,
    check_that_it_answers,
    label_of,
    model_source,
)
from localcloud.eval.cases import Case, ceiling_microusd
from localcloud.eval.results import (
    MOST_SAMPLES,
    Comparison,
    EvalResult,
    Sample,
    compared,
    counterpart,
    earlier,
    is_result,
    read,
)

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

    from cli.deployed_stack import DeployedCloud

#: The most processes.
MOST_WORKERS = 16
#: The end of a file's name: of a result that cannot stand in the place of an earlier one.
_BESIDE = ".new"
_RESULT = output_files.Kind("a saved result of `ballast eval`", is_result, whole=True)
_FREE = Price(input=0, output=0, cache_read=0, cache_write_5m=0, cache_write_1h=0)
WorkersOf = Callable[[Setting, int], "AbstractContextManager[Workers]"]


def eval(typed: Namespace) -> int:
    """Play what was typed; return 0 if the gate opens, 1 if not, 130 after Ctrl-C. Raises ``BallastError``."""
    if typed.tenant:
        raise InvalidInput("--tenant goes with --stack: saved runs are those of this folder.")
    return _eval(typed, saved_cases(typed) if wants_runs(typed) else [])


def eval_on_stack(typed: Namespace, cloud: DeployedCloud, _screen: Screen) -> int:
    """Play runs of a deployed stack on this machine; return as ``eval``. Raises ``BallastError``."""
    if not wants_runs(typed):
        raise InvalidInput("--stack: name runs of the stack with --run, --feedback or --since. They are played here.")
    return _eval(typed, stack_cases(typed, cloud))


def _eval(typed: Namespace, recorded: Iterable[Case], workers: WorkersOf = workers_of) -> int:
    options = _Options.of(typed)
    if options.junit is not None and not typed.list:
        begin("--junit", options.junit, "eval")
    typed.path, typed.names = place_and_names(typed.path, typed.names)
    found = chosen(typed, recorded)
    if typed.list:
        for case in found.cases:
            Screen().sentence(f"{case.name:32}  {case.scenario.description}")
        return Exit.OK
    playbook = load_playbook(found.playbook or PLAYBOOK)
    setting = Setting(
        found.playbook,
        state_folder(os.environ),
        enforce_iam=not typed.no_iam,
        judge=typed.judge or "",
        judge_price=_judge_price(typed, playbook) if typed.judge else None,
    )
    baseline = read(Path(typed.baseline)) if typed.baseline else None
    models = _models(typed, found.cases)
    if baseline is not None:
        for model in models:
            counterpart(model.label, baseline)
        if typed.no_worse and baseline.why_not_whole:
            raise InvalidInput(
                f"--baseline {typed.baseline}: is not whole ({baseline.why_not_whole}), so --no-worse proves nothing "
                "beside it. Play the baseline to its end: the eval that made it, with --save."
            )
        if typed.no_worse and baseline.judge not in ("", setting.judge_label) and _judged(found.cases):
            raise InvalidInput(
                f"--baseline {typed.baseline}: was judged by {baseline.judge}, and --no-worse proves nothing beside it "
                "with another judge or with none. Name it with --judge, or save a new baseline."
            )
    _check_cases(typed, models, found.cases, playbook)
    saved = None if options.save is None else _Saved(options.save)
    _check_models(typed, models)
    progress = Screen(Console(stderr=True, markup=False, highlight=False, emoji=False)) if typed.json else Screen()
    begun = datetime.now(UTC).replace(microsecond=0).isoformat()

    def result() -> EvalResult:
        return EvalResult(
            at=begun,
            playbook=playbook.agent.name,
            samples=typed.samples,
            judge=setting.judge_label,
            trials_microusd=evaluation.trials_microusd,
            stopped=evaluation.stopped,
            models=evaluation.results(lambda case: case.sha256(setting.judge_label)),
        )

    def on_sample(task: Task, sample: Sample) -> None:
        _say(task, sample, evaluation, progress)
        if saved is not None:
            saved.so_far(result())

    evaluation = Evaluation(
        found.cases,
        models,
        typed.samples,
        ceiling=lambda scenario: ceiling_microusd(scenario, playbook),
        budget_microusd=options.budget_microusd,
        judge=setting.made_judge(),
        on_sample=on_sample,
        id=uuid4().hex[:8],
    )
    if _judged(found.cases) and not setting.judge:
        progress.line("Some cases have a rubric, and no judge is asked: --judge SPEC names one.", "yellow")
    interrupted = False
    try:
        with workers(setting, options.workers) as places:
            evaluation.play(places)
    except KeyboardInterrupt:
        interrupted = True
        evaluation.stopped = evaluation.stopped or INTERRUPTED
    made = result()
    comparisons = [compared(one, baseline) for one in made.models] if baseline is not None else []
    closed = options.gate.why_not(made, comparisons)
    unplayed = list(evaluation.unplayed())
    # Whatever becomes of the files, the result is shown; and what could not be written keeps the gate closed in each.
    if saved is not None:
        guards = typed.no_worse and options.saves_baseline
        closed += saved.whole(made, unproven=_why_no_baseline(closed, comparisons) if guards else "")
    if options.junit is not None:
        try:
            write("--junit", options.junit, junit(made, evaluation.made, comparisons, options.gate, closed, unplayed))
        except InvalidInput as problem:
            closed.append(str(problem))
    if typed.json:
        print_document(json.dumps(as_json(made, evaluation.made, comparisons, closed, unplayed), indent=2))
    else:
        show(made, evaluation.made, comparisons, closed, progress)
    if saved is not None and saved.kept:
        print(saved.kept, file=sys.stderr)
    if interrupted:
        return Exit.INTERRUPTED
    return Exit.UNEXPECTED if closed else Exit.OK


@dataclass(frozen=True)
class _Options:
    """What was typed, checked."""

    gate: Gate
    budget_microusd: int | None
    workers: int
    save: Path | None
    junit: Path | None
    saves_baseline: bool

    @classmethod
    def of(cls, typed: Namespace) -> _Options:
        """Return the options. Raises ``InvalidInput``, which names the option."""
        _within("--samples", typed.samples, MOST_SAMPLES)
        _within("--workers", typed.workers, MOST_WORKERS)
        if typed.no_worse and not typed.baseline:
            raise InvalidInput("--no-worse: worse than what? Name a saved result with --baseline FILE.")
        if typed.judge_price and not typed.judge:
            raise InvalidInput("--judge-price goes with --judge SPEC.")
        budget = micro_dollars(typed.budget_usd, what="--budget-usd") if typed.budget_usd is not None else None
        if budget is not None and budget <= 0:
            raise InvalidInput("--budget-usd: must be more than 0.")
        save = Path(typed.save) if typed.save else None
        named = {"--baseline": typed.baseline, "--save": typed.save}
        for option, file in named.items():
            output_files.check_distinct({option: file, "--junit": typed.junit})
        if save is not None:
            for file in (save, save.with_name(f"{save.name}{_BESIDE}")):
                output_files.check_report("--save", file, _RESULT)
        gate = Gate(
            _share("--min-pass", typed.min_pass),
            _share("--min-case", typed.min_case),
            no_worse=typed.no_worse,
            partly=bool(typed.names) or wants_runs(typed),
        )
        saves_baseline = len({Path(one).resolve() for one in named.values() if one}) == 1 and None not in named.values()
        return cls(gate, budget, typed.workers, save, Path(typed.junit) if typed.junit else None, saves_baseline)


def _within(option: str, value: int, most: int) -> None:
    if not 1 <= value <= most:
        raise InvalidInput(f"{option} {value}: must be from 1 to {most}.")


def _share(option: str, text: str | None) -> int | None:
    """Return a share in thousandths. Raises ``InvalidInput``."""
    if text is None:
        return None
    wrong = InvalidInput(f"{option} {text[:20]}: must be a share from 0 to 1 with at most three decimals, such as 0.9.")
    try:
        permille = Decimal(text) * 1000
    except InvalidOperation:
        raise wrong from None
    if not permille.is_finite() or not 0 <= permille <= 1000 or permille != permille.to_integral_value():
        raise wrong
    return int(permille)


def _models(typed: Namespace, cases: Sequence[Case]) -> list[Model]:
    """Return the models that were typed; without one, each case's own replies."""
    written = all(_is_written(case.scenario.model) for case in cases)
    certain = not _judged(cases) or _is_written(typed.judge)
    specs = list(dict.fromkeys(typed.model))
    if len(specs) < len(typed.model):
        raise InvalidInput("--model: one model is named twice. --samples N plays each case N times.")
    if SCRIPT in specs:
        raise InvalidInput(f"--model {SCRIPT}: leave --model out, so that each case has its own replies.")
    if not specs:
        return [Model(SCRIPT, written and certain)]
    made = [Model(label_of(spec), _is_written(spec) and certain, spec) for spec in specs]
    if len({one.label for one in made}) < len(made):
        raise InvalidInput("--model: two are the same model of the same host. Play them one after the other.")
    return made


def _judged(cases: Iterable[Case]) -> bool:
    """Return whether a case has a rubric for a judge."""
    return any(case.scenario.expect.judged for case in cases)


def _is_written(spec: str | None) -> bool:
    """Return whether a model's replies are written down."""
    return spec is None or not isinstance(model_source(spec), Bedrock | OpenAIModel)


def _check_models(typed: Namespace, models: Iterable[Model]) -> None:
    """Ask remote models for a word before anything starts. Raises ``InvalidInput``."""
    for model in models:
        if model.spec:
            check_that_it_answers(model_source(model.spec), model.spec)
    if typed.judge:
        check_that_it_answers(model_source(typed.judge), typed.judge, option="--judge")


def _check_cases(typed: Namespace, models: Sequence[Model], cases: Sequence[Case], playbook: Playbook) -> None:
    """Read what each case is played with, before the first is paid for. Raises ``InvalidInput``."""
    has_own = any(not model.spec for model in models)
    own = [case.replies or case.scenario.model for case in cases] if has_own else []
    check_keys(spec for spec in (*(model.spec for model in models), typed.judge, *own) if spec)
    for case in cases:
        ceiling_microusd(case.scenario, playbook)
        spec = case.replies or case.scenario.model
        if has_own and spec is None:
            ScriptModel.read(case.scenario.script)
        elif has_own and spec:
            model_source(spec)


def _judge_price(typed: Namespace, playbook: Playbook) -> Price | None:
    """Return what the judge costs. Raises ``InvalidInput`` if nobody knows."""
    source, shown = model_source(typed.judge), f"--judge {label_of(typed.judge)}"
    if typed.judge_price:
        return _typed_price(typed.judge_price)
    if isinstance(source, Bedrock):
        try:
            return playbook.models.price(source.model_id, on=_today()).worst()
        except ModelRefused as problem:
            raise InvalidInput(f"{shown}: {problem} Or give its price with --judge-price.") from None
    if isinstance(source, OpenAIModel) and urlsplit(typed.judge).hostname not in ("localhost", "127.0.0.1", "::1"):
        raise InvalidInput(
            f"{shown}: what does it cost? Give --judge-price INPUT:OUTPUT, in US dollars per million "
            "tokens; 0:0 if nobody bills it."
        )
    return None


def _today() -> date:
    return datetime.now(UTC).date()


def _typed_price(text: str) -> Price | None:
    parts = text.split(":")
    if len(parts) != 2:
        raise InvalidInput(f"--judge-price {text[:40]}: write INPUT:OUTPUT in US dollars per million tokens, as 0.8:4.")
    given, written = (micro_dollars(part, what="--judge-price") for part in parts)
    return _FREE.model_copy(update={"input": given, "output": written}) if given or written else None


def _why_no_baseline(closed: Sequence[str], comparisons: Sequence[Comparison]) -> str:
    """Return why a result may not take the place of the baseline that guards it, "" if it may.

    Where no difference is shown, a model may be a little worse. If each such result were the next baseline, it would
    become much worse, and none would ever say so.
    """
    if closed:
        return "--no-worse does not hold beside it"
    lower = [
        f"{different.case}: {different.old.passed} of {different.old.played} then, "
        f"{different.new.passed} of {different.new.played} now"
        for one in comparisons
        for different in (*one.differences, one.overall)
        if different.new.share < different.old.share
    ]
    return f"fewer samples passed ({'; '.join(lower[:3])}), also if that shows no difference" if lower else ""


class _Saved:
    """The file of ``--save``: a result that is not whole never replaces what stood there, but stands beside it.

    kept  where the result is, if it is not in the file, and what to type
    """

    def __init__(self, file: Path) -> None:
        self._file = file
        self._beside = file.with_name(f"{file.name}{_BESIDE}") if file.exists() else file
        self._stood = earlier(file)
        self.kept = ""

    def so_far(self, made: EvalResult) -> None:
        """Write what was played so far; it says of itself that it is not whole."""
        made = made.model_copy(update={"stopped": made.stopped or "it was still being played"})
        if problem := self._write(self._beside, made):
            print(problem, file=sys.stderr)

    def whole(self, made: EvalResult, *, unproven: str) -> list[str]:
        """Write the result; return why that failed, nothing if it did not.

        ``unproven``: why it may not replace the baseline with which it was compared, "" if it may.
        """
        why = made.why_not_whole or unproven or made.why_not_in_place_of(self._stood)
        if self._beside == self._file or not why:
            problem = self._write(self._file, made)
            if not problem and self._beside != self._file:
                self._beside.unlink(missing_ok=True)
            return [problem] if problem else []
        self.kept = (
            f"--save {self._file}: is kept as it was, for the new result cannot stand in its place: {why}. "
            f"The new one is {self._beside}. To use it all the same: mv {self._beside} {self._file}"
        )
        problem = self._write(self._beside, made)
        return [problem] if problem else []

    @staticmethod
    def _write(file: Path, made: EvalResult) -> str:
        """Write ``made``; return why that failed, "" if it did not."""
        try:
            write_whole(file, made.to_json())
        except OSError as problem:
            return f"--save {file}: cannot be written ({problem.strerror})."
        return ""


def _say(task: Task, sample: Sample, evaluation: Evaluation, screen: Screen) -> None:
    """Print one line of progress."""
    done = sum(map(len, evaluation.made.values()))
    whole = len(evaluation.cases) * len(evaluation.models) * evaluation.samples
    verdict = "ok   " if sample.passed else "ERROR" if sample.error else "FAIL "
    style = "green" if sample.passed else "bold red"
    how = sample.ended or "not played"
    model = f", {task.model.label}" if len(evaluation.models) > 1 else ""
    number = f" {task.number}" if evaluation.samples > 1 else ""
    screen.sentence(
        f"{done:>4} of {whole}  {verdict}  {task.case.name}{number}{model}: {how}, {sample.took_s:.1f} s", style
    )
