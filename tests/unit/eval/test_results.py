"""Results of an eval: cases are compared by name, if they are the same; files that others wrote are checked."""

import json
from pathlib import Path
from typing import Any

import pytest

from ballast.errors import InvalidInput
from localcloud.eval.rates import Rate
from localcloud.eval.results import CaseResult, EvalResult, ModelResult, Sample, compared, counterpart, read

SHA = "a" * 64


def case(name: str, passed: int, failed: int = 0, sha256: str = SHA, **fields: Any) -> CaseResult:
    return CaseResult(case=name, sha256=sha256, passed=passed, failed=failed, **fields)


def model(*cases: CaseResult, name: str = "m", exact: bool = False) -> ModelResult:
    return ModelResult(model=name, exact=exact, cases=cases)


def stored(*models: ModelResult) -> EvalResult:
    return EvalResult(at="2026-11-29T18:00:00+00:00", playbook="p", samples=3, models=models)


def test_samples_add_up_and_an_error_is_neither_passed_nor_failed() -> None:
    samples = [
        Sample(cost_microusd=5, duration_ms=30),
        Sample(wrong=("no",), cost_microusd=7, judge_microusd=2, duration_ms=10),
        Sample(error="not played", wrong=("no",), cost_microusd=1),
    ]

    made = CaseResult.of("c", SHA, samples)

    assert made == case("c", 1, 1, errors=1, cost_microusd=13, judge_microusd=2, duration_ms=10)
    assert made.rate == Rate(1, 2)


def test_new_missing_changed_and_empty_cases_are_named_and_not_compared() -> None:
    old = model(case("same", 3), case("gone", 3), case("changed", 3), case("empty", 0, errors=3))
    new = model(case("same", 3), case("new", 0, 3), case("changed", 0, 3, sha256="b" * 64), case("empty", 3))

    made = compared(new, stored(old))

    assert [one.case for one in made.differences] == ["same"]
    assert (made.new, made.missing, made.changed, made.unsampled) == (("new",), ("gone",), ("changed",), ("empty",))
    assert (made.overall.old, made.overall.new) == (Rate(3, 3), Rate(3, 3))
    assert not made.is_worse


def test_few_samples_show_nothing_unless_replies_are_written_down() -> None:
    old, new = [case("a", 1), case("b", 1)], [case("a", 0, 1), case("b", 1)]

    random = compared(model(*new), stored(model(*old)))
    written = compared(model(*new, exact=True), stored(model(*old, exact=True)))
    against_random = compared(model(*new, exact=True), stored(model(*old)))

    assert [one.verdict for one in random.differences] == ["not shown", "same"]
    assert [one.verdict for one in written.differences] == ["worse", "same"]
    assert (random.is_worse, written.is_worse, against_random.is_worse) == (False, True, False)


def test_one_case_better_and_one_worse_is_said_of_each() -> None:
    old, new = model(case("a", 10), case("b", 0, 10)), model(case("a", 0, 10), case("b", 10))

    made = compared(new, stored(old))

    assert [one.verdict for one in made.differences] == ["worse", "better"]
    assert made.is_worse


def test_another_model_is_compared_with_a_baseline_of_one_and_not_of_several() -> None:
    one, two = stored(model(case("a", 1), name="x")), stored(model(name="x"), model(name="y"))

    assert compared(model(case("a", 1), name="z"), one).against == "x"
    assert counterpart("y", two).model == "y"
    with pytest.raises(InvalidInput, match="--baseline: has no model z, and it has 2 models"):
        counterpart("z", two)


def test_a_saved_result_is_read_again_and_has_no_text_of_a_run(tmp_path: Path) -> None:
    sample = Sample(run_id="run-x", wrong=("answer: expected 'x' in it, was 'my password is 1234'",), judged="secret")
    made = stored(model(CaseResult.of("c", SHA, [sample])))
    file = tmp_path / "b.json"
    file.write_text(made.to_json())

    assert read(file) == made
    assert not {"1234", "secret", "run-x"} & set(json.dumps(made.model_dump()).split('"'))
    assert "1234" not in made.to_json()


GOOD = json.loads(stored(model(case("c", 1))).to_json())


def _with(path: list[Any], value: Any) -> dict[str, Any]:
    made: Any = json.loads(json.dumps(GOOD))
    at = made
    for part in path[:-1]:
        at = at[part]
    at[path[-1]] = value
    return made


FIRST = ["models", 0, "cases", 0]


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        ("{", "is not JSON"),
        ("[]", "must be a JSON object"),
        (json.dumps(_with(["version"], 2)), "version"),
        (json.dumps(_with([*FIRST, "passed"], -1)), "models.0.cases.0.passed"),
        (json.dumps(_with([*FIRST, "passed"], 10**400)), "models.0.cases.0.passed"),
        (json.dumps(_with([*FIRST, "cost_microusd"], 10**16)), "models.0.cases.0.cost_microusd"),
        (json.dumps(_with(["samples"], 1_001)), "samples"),
        (json.dumps(_with([*FIRST, "passed"], 1.5)), "models.0.cases.0.passed"),
        (json.dumps(_with([*FIRST, "passed"], True)), "models.0.cases.0.passed"),
        (json.dumps(_with([*FIRST, "sha256"], "x")), "models.0.cases.0.sha256"),
        (json.dumps(_with([*FIRST, "more"], 1)), "models.0.cases.0.more"),
        (json.dumps(_with(["models"], [GOOD["models"][0], GOOD["models"][0]])), "a model occurs twice"),
        (json.dumps(_with(["models", 0, "cases"], [GOOD["models"][0]["cases"][0]] * 2)), "a case occurs twice"),
    ],
)
def test_a_baseline_of_another_form_is_refused_by_its_field(content: str, complaint: str, tmp_path: Path) -> None:
    file = tmp_path / "b.json"
    file.write_text(content)

    with pytest.raises(InvalidInput) as refused:
        read(file)

    assert str(refused.value).startswith(f"--baseline {file}")
    assert complaint in str(refused.value)


def test_a_baseline_that_is_not_there_is_said(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match="cannot be read"):
        read(tmp_path / "none.json")


def test_a_result_says_why_it_is_not_whole() -> None:
    whole = EvalResult(at="t", playbook="p", samples=2, models=(model(case("a", 2), case("b", 0, 2)),))

    def of(**fields: Any) -> str:
        return whole.model_copy(update=fields).why_not_whole

    assert whole.why_not_whole == ""
    assert of(stopped="interrupted") == "it was stopped: interrupted"
    assert of(models=(model(),)) == "it has no case"
    assert of(models=(model(case("a", 2), case("b", 1)),)) == "m: b has 1 of 2 samples"
    assert of(models=(model(case("a", 2), case("b", 1, errors=1)),)) == "m: 1 of 2 samples of b say nothing (errors)"
    both = (model(case("a", 2), name="x"), model(case("a", 2), case("b", 2), name="y"))
    assert of(models=both) == "x: b has 0 of 2 samples"
    assert compared(whole.models[0], whole.model_copy(update={"stopped": "x"})).incomplete == "it was stopped: x"
