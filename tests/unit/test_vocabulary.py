"""One word for one thing (docs/vocabulary.md): no other word in code, state machine, template, console or pages."""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
#: Where the words are looked for.
SCOPE = ("functions", "layers", "cli", "localcloud", "statemachine", "docs", "bench")
FILES = ("template.yaml", "business.yaml", "samconfig.toml", "Makefile", "README.md", "CONTRIBUTING.md", "SECURITY.md")
SUFFIXES = {".py", ".js", ".css", ".html", ".yaml", ".toml", ".md", ""}
#: Pages whose subject are former words and reports.
ABOUT_WORDS = {"docs/vocabulary.md", "docs/findings-held.md"}


@dataclass(frozen=True)
class Word:
    """``other`` is a pattern of what is not said, ``say`` what is said instead.

    allowed  by file, patterns of lines in which the other word is right: a name on disk, in public, or somebody else's
    """

    say: str
    other: str
    allowed: dict[str, str] = field(default_factory=dict)


WORDS = [
    Word(
        "loop",
        r"despair|\bcircles?\b|not_in_circles",
        {
            "functions/agent/agent.py": '"despair"',
            "functions/agent/prompt.py": '"despair"',
            "layers/ballast/ballast/log/events.py": 'alias="despair"',
            "layers/ballast/ballast/folds/loops/ladder.py": '"despair":',
            "layers/ballast/ballast/contracts/meaning.py": "it went round in circles",
            "docs/loops.md": "`despair`",
            "docs/decisions/loops.md": r"`despair` in `model\.responded`",
            "docs/decisions/log.md": "`circles` is `signal`",
        },
    ),
    Word(
        "lease, window, table",
        r"\bbooks?\b|\bbookkeeping\b|\bkeepers?\b|\blend(s|ing|er)?\b|\blent\b",
        {"bench/tau2/airline/agent.yaml": "You book"},
    ),
    Word("mode", r"\bin_force\b|\bForce\b"),
    Word("command", r"\b(Budget|Breaker|Operator|Spend)Orders?\b|\borders? of (an|the) operator|operator's order\b"),
    Word(
        "agent",
        r"\bPlanner(Function|Settings|LogGroup|ErrorsAlarm)\b|functions[./]planner\b",
        {"docs/decisions/operations.md": "`PlannerFunction`"},
    ),
    Word("front, lifecycle, people", r"functions[./](intake|budget|escalation)\b|\b(Intake|Queue)Function\b"),
    Word("cli, localcloud", r"(?<![\w.])local[./](cli|trace|cost|up|cloud|converse|scenarios)\b"),
    Word("circuit", r"(model|provider|downstream)('s|s')? breaker"),
    Word("escalation", r"\bopen questions?\b|\bquestions? (that|which) (people|persons) |\bquestions? to people\b"),
    Word(
        "person",
        r"\bhumans?\b",
        {"": r"[\"'`]human[\"'`]|by: human|human, |or human|-human\b|human:|, human\b|to a human agent"},
    ),
    Word("undo", r"\bcompensat(e|es|ion|ing)\b"),
    Word("outcome", r"\bcalls? (is|was|are|were) settled\b"),
]
#: Lines that name former words on purpose: what was renamed, and when.
RENAMED = re.compile(r"\*Before:|\*Before\b|formerly|former |for one version|is now|`\w+` (is|are) `")


@cache
def lines() -> list[tuple[str, int, str]]:
    """Return (file, number, text) of every line in scope."""
    paths = [path for folder in SCOPE for path in sorted((ROOT / folder).rglob("*")) if path.suffix in SUFFIXES]
    paths += [ROOT / name for name in FILES]
    return [
        (str(path.relative_to(ROOT)), number, line)
        for path in paths
        if path.is_file() and "__pycache__" not in path.parts and str(path.relative_to(ROOT)) not in ABOUT_WORDS
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1)
    ]


def breaches(word: Word) -> Iterator[str]:
    """Yield ``file:line: text`` of each line that says it otherwise."""
    for file, number, line in lines():
        if not re.search(word.other, line) or RENAMED.search(line):
            continue
        allowed = word.allowed.get(file, word.allowed.get("", r"(?!)"))
        if not re.search(allowed, line):
            yield f"{file}:{number}: {line.strip()[:120]}"


@pytest.mark.parametrize("word", WORDS, ids=lambda word: word.say)
def test_nothing_says_it_in_another_word(word: Word) -> None:
    found = list(breaches(word))

    assert found == [], f"say {word.say}"


@pytest.mark.parametrize("word", WORDS, ids=lambda word: word.say)
def test_every_exception_is_still_needed(word: Word) -> None:
    unused = [
        file
        for file, pattern in word.allowed.items()
        if file
        if not any(
            where == file and re.search(word.other, line) and re.search(pattern, line) for where, _, line in lines()
        )
    ]

    assert unused == []


def test_the_page_has_a_row_for_each_word() -> None:
    page = (ROOT / "docs" / "vocabulary.md").read_text(encoding="utf-8")

    assert [word.say for word in WORDS if not any(part in page for part in word.say.split(", "))] == []
