"""Results of an eval: samples, cases and models; the saved form, and the comparison with a baseline. Pure.

A saved result has no text of a run: it may be committed beside the playbook. Its version is 1.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from ballast.contracts.wire import Wire, parse, read_json
from ballast.errors import InvalidInput
from localcloud.eval.rates import Rate, chance, shown, together

VERSION: Literal[1] = 1
#: The most samples of a case.
MOST_SAMPLES = 1_000
#: Money and times are bounded, since others may have written the file.
_Count = Annotated[int, Field(ge=0, le=10**15)]
_Samples = Annotated[int, Field(ge=0, le=MOST_SAMPLES)]
#: The name of the comparison over all cases, among those of single cases. No case has it: a name has no space.
_ALL = "all cases"


@dataclass(frozen=True)
class Sample:
    """One case played once.

    wrong          what was not as expected
    error          why nothing can be concluded: it could not be played, or the judge gave no verdict
    judged         the judge's reason
    duration_ms    from the run's opening to its ending
    took_s         seconds on this machine, the local cloud's start included
    """

    run_id: str = ""
    ended: str = ""
    wrong: tuple[str, ...] = ()
    error: str = ""
    judged: str = ""
    cost_microusd: int = 0
    judge_microusd: int = 0
    duration_ms: int | None = None
    took_s: float = 0.0

    @property
    def passed(self) -> bool:
        """Whether it ended as expected."""
        return not self.wrong and not self.error


class CaseResult(Wire):
    """The samples of one case with one model.

    sha256         of what is asked and expected, by which judge: results of another content are not compared
    errors         samples from which nothing can be concluded; they are neither passed nor failed
    cost_microusd  of all samples; ``judge_microusd``: of its judge
    duration_ms    the median of its runs; null without one
    """

    case: str
    sha256: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
    passed: _Samples = 0
    failed: _Samples = 0
    errors: _Samples = 0
    cost_microusd: _Count = 0
    judge_microusd: _Count = 0
    duration_ms: _Count | None = None

    @property
    def played(self) -> int:
        """How many samples were played, errors included."""
        return self.passed + self.failed + self.errors

    @property
    def rate(self) -> Rate:
        """How many of the samples passed that say something."""
        return Rate(self.passed, self.passed + self.failed)

    @classmethod
    def of(cls, case: str, sha256: str, samples: Sequence[Sample]) -> Self:
        """Return the sum of its samples."""
        durations = sorted(one.duration_ms for one in samples if one.duration_ms is not None)
        return cls(
            case=case,
            sha256=sha256,
            passed=sum(one.passed for one in samples),
            failed=sum(bool(one.wrong) and not one.error for one in samples),
            errors=sum(bool(one.error) for one in samples),
            cost_microusd=sum(one.cost_microusd for one in samples),
            judge_microusd=sum(one.judge_microusd for one in samples),
            duration_ms=durations[(len(durations) - 1) // 2] if durations else None,
        )


class ModelResult(Wire):
    """All cases with one model.

    model  as it was typed; "script": each case's own replies
    exact  its replies are written down: one sample says what all would say
    """

    model: Annotated[str, Field(min_length=1)]
    exact: bool
    cases: tuple[CaseResult, ...]

    @model_validator(mode="after")
    def _names_once(self) -> Self:
        names = [one.case for one in self.cases]
        if len(set(names)) < len(names):
            raise ValueError("cases: a case occurs twice")
        return self

    @property
    def by_name(self) -> Mapping[str, CaseResult]:
        """The cases by name."""
        return {one.case: one for one in self.cases}

    @property
    def rate(self) -> Rate:
        """How many of all samples passed."""
        return together(one.rate for one in self.cases)


class EvalResult(Wire):
    """An eval as it is saved.

    at        when it began, ISO 8601 in UTC
    stopped   why not every sample was played; "" if all were
    trials_microusd  what the trials of the judge cost
    """

    version: Literal[1] = VERSION
    at: str
    playbook: str
    samples: Annotated[int, Field(ge=1, le=MOST_SAMPLES)]
    judge: str = ""
    trials_microusd: _Count = 0
    stopped: str = ""
    models: tuple[ModelResult, ...]

    @model_validator(mode="after")
    def _models_once(self) -> Self:
        names = [one.model for one in self.models]
        if len(set(names)) < len(names):
            raise ValueError("models: a model occurs twice")
        return self

    @property
    def why_not_whole(self) -> str:
        """Why it proves nothing as a baseline, "" if it is whole: every sample of every case was played and counts."""
        if self.stopped:
            return f"it was stopped: {self.stopped.rstrip('.')}"
        names = dict.fromkeys(case.case for model in self.models for case in model.cases)
        if not names:
            return "it has no case"
        for model in self.models:
            for name in names:
                case = model.by_name.get(name)
                played = case.played if case is not None else 0
                if played < self.samples:
                    return f"{model.model}: {name} has {played} of {self.samples} samples"
                if case is not None and case.errors:
                    return f"{model.model}: {case.errors} of {played} samples of {name} say nothing (errors)"
        return ""

    def why_not_in_place_of(self, earlier: EvalResult | None) -> str:
        """Why it loses what an earlier result says, "" if it has each of its cases with each of its models.

        A case without a result is new the next time: it may have become worse, or have gone, and nothing tells.
        """
        if earlier is None:
            return ""
        mine = {one.model: {case.case for case in one.cases} for one in self.models}
        for old in earlier.models:
            # As beside a baseline: a model that is the only one is compared with whichever there is.
            others = mine.values() if len(earlier.models) == 1 and old.model not in mine else [mine.get(old.model)]
            for cases in others:
                if cases is None:
                    return f"it has no result of {old.model}, which was played then"
                if lost := [one.case for one in old.cases if one.case not in cases]:
                    more = f" and {len(lost) - 3} more" if len(lost) > 3 else ""
                    return f"it has no result of {', '.join(lost[:3])}{more}, and the one that is there has"
        return ""

    def to_json(self) -> str:
        """Return it as a file's text, in ASCII."""
        return json.dumps(self.model_dump(mode="json"), indent=1) + "\n"


def read(file: Path) -> EvalResult:
    """Return a saved result. Raises ``InvalidInput``, which names the file and the field."""
    try:
        content = read_json(file.read_text(encoding="utf-8"))
    except OSError as problem:
        raise InvalidInput(f"--baseline {file}: cannot be read ({problem.strerror}).") from None
    except ValueError as problem:
        raise InvalidInput(f"--baseline {file}: is not JSON ({problem}). Make one with --save.") from None
    return parse(EvalResult, content, what=f"--baseline {file}")


def is_result(text: str) -> bool:
    """Return whether a file's text is a saved result."""
    try:
        parse(EvalResult, read_json(text), what="")
    except (ValueError, InvalidInput):
        return False
    return True


def earlier(file: Path) -> EvalResult | None:
    """Return the result that a new one would replace; None if there is none. Raises ``InvalidInput``."""
    return read(file) if file.is_file() and file.read_text(encoding="utf-8").strip() else None


@dataclass(frozen=True)
class Difference:
    """A case then and now.

    verdict  worse and better are said only where the samples show it
    chance   how likely the change is if nothing changed; None where replies are written down
    """

    case: str
    old: Rate
    new: Rate
    verdict: Literal["worse", "better", "same", "not shown"]
    chance: float | None


@dataclass(frozen=True)
class Comparison:
    """A model's results beside those of a baseline.

    against     the baseline's model
    new         cases that the baseline does not have
    missing     cases of the baseline that were not played
    changed     cases whose content is another: not compared
    unsampled   cases without a sample that says something, then or now
    overall     of all compared cases together
    incomplete  why the baseline is not whole; "" if it is
    """

    model: str
    against: str
    differences: tuple[Difference, ...]
    new: tuple[str, ...]
    missing: tuple[str, ...]
    changed: tuple[str, ...]
    unsampled: tuple[str, ...]
    overall: Difference
    incomplete: str = ""

    @property
    def uncompared(self) -> Mapping[str, str]:
        """The cases that were played now and could not be compared, and why."""
        return {
            **dict.fromkeys(self.new, "new"),
            **dict.fromkeys(self.changed, "changed"),
            **dict.fromkeys(self.unsampled, "without a sample then or now"),
        }

    @property
    def is_worse(self) -> bool:
        """Whether a case became worse, or all together did."""
        return any(one.verdict == "worse" for one in (*self.differences, self.overall))


def counterpart(model: str, baseline: EvalResult) -> ModelResult:
    """Return the baseline's results of the same model, or of its only one. Raises ``InvalidInput``."""
    known = {one.model: one for one in baseline.models}
    found = known.get(model) or (baseline.models[0] if len(baseline.models) == 1 else None)
    if found is None:
        raise InvalidInput(
            f"--baseline: has no model {model}, and it has {len(known)} models ({', '.join(known)}). "
            "Save a baseline of one model, or of this one."
        )
    return found


def compared(new: ModelResult, baseline: EvalResult) -> Comparison:
    """Return a model's results beside the baseline's of the same model, or of its only one.

    Raises ``InvalidInput`` if the baseline has several other models.
    """
    old = counterpart(new.model, baseline)
    before, now = old.by_name, new.by_name
    pairs = {
        name: (before[name].rate, now[name].rate)
        for name in now
        if name in before and before[name].sha256 == now[name].sha256
    }
    empty = [name for name, (then, today) in pairs.items() if not then.played or not today.played]
    pairs = {name: pair for name, pair in pairs.items() if name not in empty}
    differences = _differences(pairs, exact=old.exact and new.exact)
    return Comparison(
        model=new.model,
        against=old.model,
        differences=differences[:-1],
        new=tuple(name for name in now if name not in before),
        missing=tuple(name for name in before if name not in now),
        changed=tuple(name for name in now if name in before and before[name].sha256 != now[name].sha256),
        unsampled=tuple(empty),
        overall=differences[-1],
        incomplete=baseline.why_not_whole,
    )


def _differences(pairs: Mapping[str, tuple[Rate, Rate]], *, exact: bool) -> tuple[Difference, ...]:
    """Return the difference of each case, and last that of all together."""
    groups: dict[str, list[tuple[Rate, Rate]]] = {name: [pair] for name, pair in pairs.items()}
    groups[_ALL] = list(pairs.values())
    fewer = {name: chance(group) for name, group in groups.items()}
    more = {name: chance((new, old) for old, new in group) for name, group in groups.items()}
    worse, better = shown(fewer), shown(more)
    made = []
    for name, group in groups.items():
        old, new = together(one for one, _ in group), together(one for _, one in group)
        verdict: Literal["worse", "better", "same", "not shown"]
        if exact:
            verdict = _exact(group)
        elif name in worse:
            verdict = "worse"
        elif name in better:
            verdict = "better"
        else:
            verdict = "not shown" if _differ(group) else "same"
        likely = None if exact else min(fewer[name], more[name])
        made.append(Difference(name, old, new, verdict, likely))
    return tuple(made)


def _exact(group: Iterable[tuple[Rate, Rate]]) -> Literal["worse", "better", "same", "not shown"]:
    """Return the verdict where replies are written down: every sample says the same."""
    pairs = list(group)
    if any(new.share < old.share for old, new in pairs):
        return "worse"
    return "better" if any(new.share > old.share for old, new in pairs) else "same"


def _differ(group: Iterable[tuple[Rate, Rate]]) -> bool:
    return any(old.passed * new.played != new.passed * old.played for old, new in group)
