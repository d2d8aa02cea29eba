"""The report of an eval: tables, differences from a baseline, JUnit and JSON; and the gate."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from ballast.money import dollars
from cli.eval.play import INTERRUPTED
from cli.junit import JunitCase, document, suite, suites
from cli.screen import Screen
from cli.trace.text import count, span
from localcloud.eval.rates import Rate
from localcloud.eval.results import CaseResult, Comparison, EvalResult, ModelResult, Sample

#: Runs to look at that are named for each case.
_RUNS = 2
_VERDICTS = {"worse": "bold red", "better": "green", "same": "", "not shown": ""}
Samples = Mapping[tuple[str, str], Sequence[Sample]]


@dataclass(frozen=True)
class Gate:
    """What an eval must reach; shares in thousandths.

    min_pass  of all samples of each model; None: not asked
    min_case  of the samples of each case
    no_worse  nothing may be worse than the baseline
    partly    cases were named: the baseline's other cases may be missing
    """

    min_pass: int | None = None
    min_case: int | None = None
    no_worse: bool = False
    partly: bool = False

    def why_not(self, result: EvalResult, comparisons: Sequence[Comparison]) -> list[str]:
        """Return why the gate stays closed, one sentence each; empty if it opens."""
        wrong = [f"Not every sample was played: {result.stopped.rstrip('.')}."] if result.stopped else []
        for model in result.models:
            wrong += self._of_model(model)
        if self.no_worse:
            for model, one in zip(result.models, comparisons, strict=True):
                wrong += self._of_comparison(model, one)
        return wrong

    def fails(self, case: CaseResult, comparison: Comparison | None) -> bool:
        """Return whether the case alone keeps the gate closed."""
        if self.min_case is not None and not case.rate.reaches(self.min_case):
            return True
        if self.no_worse and comparison is not None:
            if any(one.case == case.case and one.verdict == "worse" for one in comparison.differences):
                return True
            if self._unproven(case, comparison):
                return True
        return self._all_must and case.failed > 0

    def _unproven(self, case: CaseResult, comparison: Comparison) -> bool:
        """Return whether nothing shows that a case is no worse: it could not be compared, and does not pass alone."""
        least = 1000 if self.min_case is None else self.min_case
        return case.case in comparison.uncompared and not case.rate.reaches(least)

    @property
    def _all_must(self) -> bool:
        """Whether each sample must pass: nothing else was asked."""
        return self.min_pass is None and self.min_case is None and not self.no_worse

    def _of_model(self, model: ModelResult) -> list[str]:
        wrong = []
        errors = sum(one.errors for one in model.cases)
        if errors:
            say, they = ("says", "it") if errors == 1 else ("say", "they")
            counted = f"{count(errors, 'sample')} {say} nothing"
            wrong.append(f"{model.model}: {counted}: {they} could not be played, or not be judged.")
        least = 1000 if self._all_must else self.min_pass
        rate = model.rate
        if least is not None and not rate.reaches(least):
            wrong.append(f"{model.model}: {_passed(rate)}; at least {_percent(least / 1000)} must.")
        for case in model.cases:
            if self.min_case is not None and not case.rate.reaches(self.min_case):
                at_least = _percent(self.min_case / 1000)
                wrong.append(f"{model.model}: {case.case}: {_passed(case.rate)}; at least {at_least} must.")
        return wrong

    def _of_comparison(self, model: ModelResult, one: Comparison) -> list[str]:
        if one.incomplete:
            return [f"{one.model}: the baseline is not whole, so it shows nothing: {one.incomplete}."]
        wrong = [
            f"{one.model}: {different.case} became worse: {_of(different.old)} passed, now {_of(different.new)}."
            for different in (*one.differences, one.overall)
            if different.verdict == "worse"
        ]
        wrong += [
            f"{one.model}: {case.case} is {one.uncompared[case.case]}, so it was not compared and must pass alone: "
            f"{_passed(case.rate)}. Mend it, or save a new baseline."
            for case in model.cases
            if self._unproven(case, one)
        ]
        if not one.differences:
            wrong.append(f"{one.model}: no case could be compared with the baseline.")
        if one.missing and not self.partly:
            names = ", ".join(one.missing)
            wrong.append(f"{one.model}: the baseline has cases that were not played: {names}. Save a new baseline.")
        return wrong


def show(
    result: EvalResult, samples: Samples, comparisons: Sequence[Comparison], closed: Sequence[str], screen: Screen
) -> None:
    """Print the table, what was not as expected, the differences and the gate's reasons."""
    screen.line()
    _table(result, screen)
    for model in result.models:
        for case in model.cases:
            _wrong(model, case, samples[model.model, case.case], screen)
    for one in comparisons:
        _compared(one, screen)
    _sums(result, screen)
    for reason in closed:
        screen.sentence(reason, "bold red")
    if not closed:
        screen.line("All that was asked for holds.", "green")


def _table(result: EvalResult, screen: Screen) -> None:
    """Print a row a case and a column a model."""
    models = result.models
    several = len(models) > 1
    if several:
        for at, model in enumerate(models):
            screen.line(f"{_letter(at)}  {model.model}")
        screen.line()
    names = list(dict.fromkeys(case.case for model in models for case in model.cases))
    wide = max([len("case"), *map(len, names)])
    cells = {(at, case.case): _cell(case) for at, model in enumerate(models) for case in model.cases}
    cells |= {(at, "all"): _all_cell(model) for at, model in enumerate(models)}
    widths = [
        max([len(_head(at, several)), *(len(cells.get((at, n), "")) for n in [*names, "all"])])
        for at in range(len(models))
    ]
    head = "   ".join(_head(at, several).ljust(width) for at, width in enumerate(widths))
    screen.line(f"{'case':{wide}}  {head}".rstrip(), "bold")
    for name in [*names, "all"]:
        row = "   ".join(cells.get((at, name), "-").ljust(width) for at, width in enumerate(widths))
        screen.line(f"{name:{wide}}  {row}".rstrip(), "bold" if name == "all" else None)


def _head(at: int, several: bool) -> str:
    columns = "passed  95 %          $ a run      time"
    return f"{_letter(at)}: {columns}" if several else columns


def _letter(at: int) -> str:
    return chr(ord("A") + at) if at < 26 else f"M{at + 1}"


def _cell(case: CaseResult) -> str:
    took = "-" if case.duration_ms is None else span(case.duration_ms)
    return _columns(case.rate, case.cost_microusd, case.played, took, case.errors)


def _all_cell(model: ModelResult) -> str:
    played = sum(one.played for one in model.cases)
    cost, errors = sum(one.cost_microusd for one in model.cases), sum(one.errors for one in model.cases)
    return _columns(model.rate, cost, played, "", errors)


def _columns(rate: Rate, cost_microusd: int, played: int, took: str, errors: int) -> str:
    low, high = rate.interval
    interval = f"{100 * low:.0f} to {100 * high:.0f} %" if rate.played else "nothing known"
    each = dollars(-(-cost_microusd // played)) if played else "-"
    failed = f"  {count(errors, 'error')}" if errors else ""
    return f"{rate.passed}/{rate.played:<4}  {interval:13} {each:11} {took}{failed}".rstrip()


def _wrong(model: ModelResult, case: CaseResult, samples: Sequence[Sample], screen: Screen) -> None:
    bad = [one for one in samples if not one.passed]
    if not bad:
        return
    screen.line()
    how_many = f"{len(bad)} of {count(len(samples), 'sample')}"
    screen.sentence(f"{case.case}, {model.model}: {how_many} not as expected", "bold red")
    sentences = Counter(said for one in bad for said in ([f"error: {one.error}"] if one.error else one.wrong))
    for sentence, times in sentences.items():
        often = f" ({times} times)" if times > 1 else ""
        screen.sentence(f"    {sentence}{often}")
    for run_id in [one.run_id for one in bad if one.run_id][:_RUNS]:
        screen.line(f"    See it: ballast trace {run_id}", "dim")


def _compared(one: Comparison, screen: Screen) -> None:
    screen.line()
    beside = "" if one.against == one.model else f", with {one.against} then"
    screen.sentence(f"{one.model}, beside the baseline{beside}", "bold")
    if one.incomplete:
        screen.sentence(f"  The baseline is not whole, so this shows little: {one.incomplete}.", "yellow")
    for difference in (*one.differences, one.overall):
        words = {"same": "the same", "not shown": "no difference is shown"}.get(difference.verdict, difference.verdict)
        likely = "" if difference.chance is None or difference.verdict == "same" else f" ({_p(difference.chance)})"
        said = f"  {difference.case}: {_of(difference.old)} then, {_of(difference.new)} now: {words}{likely}"
        screen.sentence(said, _VERDICTS[difference.verdict])
    for what, names in (
        ("new", one.new),
        ("missing", one.missing),
        ("changed, so not compared", one.changed),
        ("without a sample then or now", one.unsampled),
    ):
        for name in names:
            screen.sentence(f"  {name}: {what}", "yellow")


def _p(chance: float) -> str:
    return "p < 0.001" if chance < 0.001 else f"p {chance:.3f}"


def _sums(result: EvalResult, screen: Screen) -> None:
    cases = [case for model in result.models for case in model.cases]
    runs, judge = sum(one.cost_microusd for one in cases), sum(one.judge_microusd for one in cases)
    judge += result.trials_microusd
    played = sum(one.played for one in cases)
    judged = f", ${dollars(judge)} for the judge {result.judge}" if result.judge else ""
    screen.line()
    screen.line(f"{count(played, 'run')}, ${dollars(runs)} in total{judged}")
    if result.stopped == INTERRUPTED:
        screen.line("Interrupted: this is what was known by then.", "yellow")


def _of(rate: Rate) -> str:
    return f"{rate.passed} of {rate.played}"


def _passed(rate: Rate) -> str:
    return f"{_of(rate)} samples passed" if rate.played else "no sample says anything, so none passed"


def _percent(share: float) -> str:
    return f"{100 * share:.1f}".rstrip("0").rstrip(".") + " %"


def as_json(
    result: EvalResult,
    samples: Samples,
    comparisons: Sequence[Comparison],
    closed: Sequence[str],
    unplayed: Iterable[tuple[str, str, int]] = (),
) -> dict[str, Any]:
    """Return all of it for machines: the saved form, each sample, the comparisons and the gate's reasons."""
    told: dict[str, Any] = result.model_dump(mode="json")
    for model in told["models"]:
        for case in model["cases"]:
            rate = Rate(case["passed"], case["passed"] + case["failed"])
            case["interval"] = [round(one, 4) for one in rate.interval]
            case["samples"] = [{**asdict(one), "passed": one.passed} for one in samples[model["model"], case["case"]]]
    told["not_played"] = [{"model": model, "case": case, "samples": left} for model, case, left in unplayed]
    told["compared"] = [asdict(one) | {"is_worse": one.is_worse} for one in comparisons]
    return told | {"passed": not closed, "why_not": list(closed)}


def junit(
    result: EvalResult,
    samples: Samples,
    comparisons: Sequence[Comparison],
    gate: Gate,
    closed: Sequence[str],
    unplayed: Iterable[tuple[str, str, int]] = (),
) -> str:
    """Return a suite a model, and one of the gate.

    A case fails if it alone keeps the gate closed; else what went wrong is no failure. A case with a sample that was
    not played is an error. The gate's test fails if the gate is closed for whatever reason: while the exit code is not
    0, the report is not green.
    """
    found = {one.model: one for one in comparisons}
    left = {(of, case): number for of, case, number in unplayed}
    made = []
    for model in result.models:
        cases = []
        known = model.by_name
        for name in dict.fromkeys([*known, *(case for of, case in left if of == model.model)]):
            played, case = samples.get((model.model, name), ()), known.get(name)
            failure: tuple[str, ...] = ()
            if case is not None and gate.fails(case, found.get(model.model)):
                wrong = dict.fromkeys(said for one in played for said in one.wrong)
                failure = (_passed(case.rate), *wrong)
            errors = [f"error: {one.error}" for one in played if one.error]
            if lacks := left.get((model.model, name)):
                errors.append(f"{lacks} of {count(result.samples, 'sample')} not played: {result.stopped}")
            see = tuple(f"See it: ballast trace {one.run_id}" for one in played if not one.passed and one.run_id)
            took_s = sum(one.took_s for one in played)
            cases.append(JunitCase(name, took_s, failure, tuple(dict.fromkeys(errors)), see))
        made.append(suite(model.model, f"eval.{model.model}", cases))
    made.append(suite("gate", "eval", [JunitCase("gate", 0.0, tuple(closed))]))
    return document(suites(made))
