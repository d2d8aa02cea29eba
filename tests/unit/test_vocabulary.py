"""One word for one thing (docs/vocabulary.md): no other word in code, state machine, template, console or pages.

A line is searched as it is written and with its names spelled out: ``CircuitBreaker`` and ``circuit_breaker`` are read
as "circuit breaker".
"""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from fnmatch import fnmatch
from functools import cache
from pathlib import Path
from re import _constants, _parser
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "vocabulary.md").read_text(encoding="utf-8")
#: Where the words are looked for.
SCOPE = ("functions", "layers", "cli", "localcloud", "statemachine", "docs", "bench")
FILES = ("template.yaml", "business.yaml", "samconfig.toml", "Makefile", "README.md", "CONTRIBUTING.md", "SECURITY.md")
SUFFIXES = {".py", ".js", ".css", ".html", ".yaml", ".toml", ".md", ""}
#: Pages whose subject are former words and reports.
ABOUT_WORDS = {"docs/vocabulary.md", "docs/findings-held.md"}
#: Lines that tell on purpose what was renamed: the history in the decisions, outputs that stay for one version.
RENAMED = {
    "docs/decisions/*.md": re.compile(r"\*Before\b|\b[Ff]ormer(ly)?\b|`\w+` (is|are) (now )?`|for one version"),
    "template.yaml": re.compile(r"Description: Former name of \w+; the next version removes it"),
}

ON_DISK = "a name on disk or in HTTP"
PUBLIC = "a public name that stays for one version"
AWS = "AWS's own word"
MODELS = "a word that models or providers write"
BUSINESS = "the example business's own word"
PLAIN = "another meaning of the word"
CLARIFICATION = "what the agent asks the requester, in a clarification"
POWERTOOLS = "the name in Powertools"


@dataclass(frozen=True)
class Allowed:
    """A place where the other word is right.

    where  pattern of files
    text   regular expression of the text that is allowed there; the rest of its line is still searched
    why    the reason
    """

    where: str
    text: str
    why: str


@dataclass(frozen=True)
class Word:
    """``say`` is the word, ``other`` a pattern of what is not said, ``not_said`` examples that the pattern finds."""

    say: str
    other: str
    not_said: tuple[str, ...]
    allowed: tuple[Allowed, ...] = ()


WORDS = [
    Word(
        "run",
        r"\bjobs?\b|\bagents?('s?)? sessions?\b",
        ("job", "agent session"),
        (
            Allowed("docs/decisions/local.md", "a CI job", PLAIN),
            Allowed("cli/walls/only.py", "dynamodb:StartAwsBackupJob", AWS),
        ),
    ),
    Word(
        "turn",
        r"\biterations?\b|\bagents?('s?)? steps?\b",
        ("iteration", "agent step"),
        (
            Allowed("layers/ballast/ballast/playbook/fallback.py", "StopIteration", "Python's own word"),
            Allowed("localcloud/testing.py", "StopIteration", "Python's own word"),
            Allowed("cli/certify/scripts.py", "StopIteration", "Python's own word"),
            Allowed("localcloud/stepfunctions/*.py", "[mM]ap ?Iteration|iteration", AWS),
        ),
    ),
    Word(
        "call",
        r"\b(tools?|agents?)('s?)? (actions?|invocations?)\b|\binvocations? of (a|the) tools?\b",
        ("tool action", "tool invocation"),
    ),
    Word(
        "agent",
        r"\b(chat)?bots?\b|\bassistants?\b",
        ("bot", "assistant"),
        (
            Allowed("*.py", r"[\"']assistant[\"']|assistant(\\b|\\s|\\n)|assistant messages?", AWS),
            Allowed("localcloud/converse/openai.py", r"_assistant\(", MODELS),
            Allowed("localcloud/converse/cache_rules.py", "pizza-bot", "a repository's name"),
            Allowed(
                "localcloud/converse/*_rules.py",
                "`assistant`|user and assistant roles|message of the assistant",
                MODELS,
            ),
            Allowed("bench/tau2/gold.py", "``assistant``", MODELS),
            Allowed("docs/decisions/model.md", "assistant message", AWS),
        ),
    ),
    Word(
        "agent",
        r"\bplanner (function|settings|log group|errors alarm)\b|functions[./]planner\b"
        r"|\bplanners?('s?)? [^.;:|]{0,70}\b(model|prompt|completion|bedrock|converse)s?\b"
        r"|\b(model|prompt|completion|bedrock|converse)s?('s?)? [^.;:|]{0,40}\bthe planners?\b",
        ("planner function", "planner asks a model", "planner prompt"),
        (
            Allowed("statemachine/agent.asl.yaml", r"\$planner\b", ON_DISK),
            Allowed("docs/decisions/operations.md", "`PlannerFunction`", "history"),
        ),
    ),
    Word(
        "fallback",
        r"\bbackups?\b",
        ("backup",),
        (
            Allowed("docs/adding-a-tool.md", "backups, tags", AWS),
            Allowed("cli/walls/only.py", r"dynamodb:\w+|on backups, exports|backup:\*", AWS),
            Allowed("docs/decisions/operations.md", "a deleted table's backup", AWS),
            Allowed("docs/decisions/rights.md", "interface and backup|deliveries, backups", AWS),
            Allowed("docs/log.md", "the table's backup", AWS),
        ),
    ),
    Word("undo", r"\bcompensat(e|es|ed|ion|ions|ing)\b", ("compensation", "compensate")),
    Word("rollback", r"\bcompensations?\b", ("compensation",)),
    Word(
        "event",
        r"\blog (entry|entries|messages?|records?(?! that))\b",
        ("log entry", "log record", "log message"),
        (Allowed("localcloud/*.py", r"def log_message\(", "Python's own word"),),
    ),
    Word(
        "fold",
        r"\breducers?\b|\bprojections?\b",
        ("reducer", "projection"),
        (
            Allowed("*.yaml", r"\bProjection(Type)?:", AWS),
            Allowed("layers/ballast/ballast/table.py", r"ProjectionExpression|_projection\b", AWS),
        ),
    ),
    Word(
        "timeline",
        r"\bstor(y|ies)\b",
        ("story",),
        (Allowed("bench/evidence.py", r"\bStory\b", "the tests' class that builds a run's events"),),
    ),
    Word(
        "ending",
        r"\bclos(e|es|ed|ing) (a|the|its|of the) runs?\b|\bruns? (is|are|was|were) closed\b",
        ("close the run",),
    ),
    Word("effect", r"\bside effects?\b", ("side effect",)),
    Word(
        "outcome",
        r"\bcalls? (is|was|are|were|be|been) settled\b|\bsettled calls?\b",
        ("call is settled",),
    ),
    Word("grounding, taint", r"\bprovenances?\b", ("provenance",)),
    Word(
        "loop",
        r"\bdespair\b|\bcircles?\b",
        ("despair", "circle"),
        (
            Allowed("functions/agent/agent.py", '"despair"', ON_DISK),
            Allowed("functions/agent/prompt.py", '"despair"', ON_DISK),
            Allowed("layers/ballast/ballast/log/events.py", 'alias="despair"', ON_DISK),
            Allowed("layers/ballast/ballast/folds/loops/ladder.py", '"despair":', ON_DISK),
            Allowed("layers/ballast/ballast/contracts/meaning.py", "it went round in circles", ON_DISK),
            Allowed("docs/loops.md", "`despair`", ON_DISK),
            Allowed("docs/decisions/loops.md", r"`despair` in `model\.responded`", ON_DISK),
        ),
    ),
    Word(
        "escalation",
        r"\bquestions?\b|\bnotices? (to|for) (a |the )?(people|persons?|reviewers?|members?)\b",
        ("question", "notice to people"),
        (
            Allowed("*", r"[\"'`]question[\"'`]|\bkind:? question|ExitReason\.QUESTION|^    QUESTION = ", ON_DISK),
            Allowed("functions/front/contract.py", r"^ +question(: str.*| +the agent's.*)$", ON_DISK),
            Allowed("functions/front/mcp_results.py", r"\brun\.question\b", ON_DISK),
            Allowed("functions/front/runs.py", r"\b_question\(", CLARIFICATION),
            Allowed("functions/people/api.py", r"reply_to_question|replyToQuestion|shows the question\.", ON_DISK),
            Allowed(
                "layers/ballast/ballast/contracts/escalation.py",
                r"\| question \(|of a question: the requester",
                ON_DISK,
            ),
            Allowed("layers/ballast/ballast/escalations.py", r"\| question \(", ON_DISK),
            Allowed("*", r"agent's (earlier )?questions?|[qQ]uestions? (of|to) the (agent|requester)", CLARIFICATION),
            Allowed("*", r"question_to_requester|the requester a question", CLARIFICATION),
            Allowed("functions/agent/decision.py", r"\b[qQ]uestion\b", CLARIFICATION),
            Allowed("functions/people/open.py", r"the question that the decision|\b_question\(", CLARIFICATION),
            Allowed("layers/ballast/ballast/playbook/first_prompt.py", r"\b[qQ]uestion\b", CLARIFICATION),
            Allowed("layers/ballast/ballast/playbook/gate.py", r'"question": "…"', CLARIFICATION),
            Allowed("layers/ballast/ballast/folds/loops/similarity.py", "question words", PLAIN),
            Allowed("layers/ballast/ballast/validation/amounts.py", r"\|question\|", PLAIN),
            Allowed(
                "layers/playbook/playbook/agent.yaml",
                "(and|precise) questions?|^  question:|A question about",
                BUSINESS,
            ),
            Allowed("CONTRIBUTING.md", "would question", PLAIN),
            Allowed("docs/decisions/README.md", "would question", PLAIN),
        ),
    ),
    Word(
        "person",
        r"\bhumans?\b",
        ("human",),
        (
            Allowed("*", r"[\"'`]human[\"'`]|\bby: human|fallback, (rollback, )?human\b", ON_DISK),
            Allowed("layers/ballast/ballast/contracts/decision.py", "HUMAN = PERSON", PUBLIC),
            Allowed("functions/front/console/words.js", 'human: "a person"', ON_DISK),
            Allowed("functions/front/console/style.css", r"\.by-human", ON_DISK),
            Allowed("bench/tau2/*/agent.yaml", "to a human agent", BUSINESS),
            Allowed("bench/transcript_desk/tools/desk.py", "transfer_to_human_agents", BUSINESS),
        ),
    ),
    Word(
        "member, reviewer, operator",
        r"\badmins?\b",
        ("admin",),
        (
            Allowed(
                "localcloud/*.py", r"\bADMIN\b|\badmin\b|_admins_sqs|local-admin", "IAM's administrator of the stack"
            ),
        ),
    ),
    Word(
        "lease, window, table",
        r"\bbooks?\b|\bbookkeeping\b|\bkeepers?\b|\blend(s|ing|er|ers)?\b|\blent\b",
        ("books", "lending", "keeper"),
        (
            Allowed("bench/tau2/airline/agent.yaml", "You book", BUSINESS),
            Allowed("bench/transcript_desk/agent.yaml", "You book", BUSINESS),
            Allowed("bench/t*.py", "book_reservation", BUSINESS),
        ),
    ),
    Word(
        "mode",
        r"(?i:(?<![a-z])in_force)|InForce|\bforce(d)? (mode|of the breaker)\b|\bForce\b",
        ("in_force", "force mode"),
    ),
    Word(
        "circuit",
        r"\b(model|provider|downstream|circuit)('?s|s')? breakers?\b",
        ("model breaker", "circuit breaker"),
        (
            Allowed("*", "Powertools'? circuit breaker", POWERTOOLS),
            Allowed("functions/agent/circuits.py", r"circuit_breaker\b|CircuitBreaker\w+", POWERTOOLS),
            Allowed("localcloud/clock.py", r"circuit_breaker\b", POWERTOOLS),
            Allowed("functions/executor/downstream.py", r"circuit_breaker\b|CircuitBreaker\w+", POWERTOOLS),
        ),
    ),
    Word(
        "command",
        r"\b(budget|breaker|operator|spend)('s)? orders?\b|\borders? of (an|the) operator\b",
        ("breaker order", "operator's order"),
    ),
    Word(
        "front, lifecycle, people",
        r"functions[./](intake|budget|escalation)\b|\b(intake|queue) function\b",
        ("functions/intake", "functions/budget", "functions/escalation", "intake function"),
    ),
    Word(
        "cli, localcloud",
        r"(?<![\w.])local[./](cli|trace|cost|up|cloud|converse|scenarios)\b",
        ("local/cli", "local/trace"),
    ),
]


_BETWEEN_WORDS = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])|_|(?<=\w)-(?=\w)")
_SPACES = re.compile(r"  +")


def spelled_out(line: str) -> str:
    """Return the line in lower case with the words of its names apart: ``RunLog``, ``run_log`` ─▶ ``run log``."""
    return _SPACES.sub(" ", _BETWEEN_WORDS.sub(" ", line)).lower()


def readings(line: str) -> str:
    """Return the line as it is written and as it is spelled out, with a stop between them."""
    return f"{line} ; {spelled_out(line)}"


@cache
def files() -> dict[str, tuple[tuple[str, ...], str]]:
    """Return the lines, and the readings of all lines in one text, of every file in scope."""
    paths = [path for folder in SCOPE for path in sorted((ROOT / folder).rglob("*")) if path.suffix in SUFFIXES]
    found = {}
    for path in [*paths, *(ROOT / name for name in FILES)]:
        name = str(path.relative_to(ROOT))
        if path.is_file() and "__pycache__" not in path.parts and name not in ABOUT_WORDS:
            text = tuple(path.read_text(encoding="utf-8").splitlines())
            both = ((line, spelled_out(line)) for line in text)
            # A line that says nothing else when it is spelled out is searched once.
            found[name] = text, "\n".join(line if line == apart else f"{line} ; {apart}" for line, apart in both)
    return found


def stems(parsed: Any) -> list[str]:
    """Return texts of which every match of a parsed pattern has one: looking for them takes a tenth of the time."""
    best, run = [""], ""
    for what, of in parsed:
        run = run + chr(of) if what is _constants.LITERAL else ""
        found = [run]
        if what is _constants.SUBPATTERN and not of[1]:  # in the case in which it is written
            found = stems(of[3])
        elif what is _constants.BRANCH:
            found = [stem for branch in of[1] for stem in stems(branch)]
        elif what is _constants.MAX_REPEAT and of[0] > 0:
            found = stems(of[2])
        best = max(best, found, key=lambda one: min(map(len, one)))
    return best


@cache
def with_the_other_word(word: Word) -> list[tuple[str, int, str]]:
    """Return file, number and text of each line that has the other word, also where it is allowed."""
    stems_of_it = stems(_parser.parse(word.other))
    return [
        (file, number, line)
        for file, (text, all_readings) in files().items()
        if any(stem in all_readings for stem in stems_of_it) and re.search(word.other, all_readings)
        for number, line in enumerate(text, 1)
        if re.search(word.other, readings(line))
    ]


def said_otherwise(word: Word, file: str, line: str) -> bool:
    """Say whether a line of that file says it in another word."""
    if not re.search(word.other, readings(line)):
        return False
    if any(fnmatch(file, where) and renamed.search(line) for where, renamed in RENAMED.items()):
        return False
    for allowed in word.allowed:
        if fnmatch(file, allowed.where):
            line = re.sub(allowed.text, "…", line)
    return bool(re.search(word.other, readings(line)))


@pytest.mark.parametrize("word", WORDS, ids=lambda word: f"{word.say}: {word.not_said[0]}")
def test_what_says_it_in_another_word_has_a_stem_of_it(word: Word) -> None:
    found = stems(_parser.parse(word.other))

    matches = [match[0] for said in word.not_said for match in re.finditer(word.other, readings(said))]
    assert [said for said in matches if not any(stem in said for stem in found)] == []
    assert matches


@pytest.mark.parametrize("word", WORDS, ids=lambda word: f"{word.say}: {word.not_said[0]}")
def test_nothing_says_it_in_another_word(word: Word) -> None:
    found = [
        f"{file}:{number}: {line.strip()[:120]}"
        for file, number, line in with_the_other_word(word)
        if said_otherwise(word, file, line)
    ]

    assert found == [], f"say {word.say}"


@pytest.mark.parametrize("word", WORDS, ids=lambda word: f"{word.say}: {word.not_said[0]}")
def test_every_exception_is_still_needed(word: Word) -> None:
    found = with_the_other_word(word)

    unused = [
        (one.where, one.text)
        for one in word.allowed
        if not any(fnmatch(file, one.where) and re.search(one.text, line) for file, _, line in found)
    ]

    assert unused == []


def snake(phrase: str) -> str:
    return re.sub(r"\W+", "_", phrase.replace("'s", ""))


def camel(phrase: str) -> str:
    return "".join(part[:1].upper() + part[1:] for part in snake(phrase).split("_"))


#: One place of each kind in which a word may stand: a file of that kind, and how it says a phrase there.
KINDS: dict[str, tuple[str, Callable[[str], str]]] = {
    "a function's name": (
        "functions/executor/executor.py",
        lambda said: f"def read_{snake(said)}(log: RunLog) -> None:",
    ),
    "a class": ("layers/ballast/ballast/run.py", lambda said: f"class {camel(said)}Reader:"),
    "a constant": ("layers/ballast/ballast/run.py", lambda said: f"MAX_{snake(said).upper()} = 9"),
    "a docstring": ("layers/ballast/ballast/log/event.py", lambda said: f'    """Return the {said} of a run."""'),
    "a comment": ("functions/people/open.py", lambda said: f"    # Here a {said} is recorded late."),
    "an error": ("functions/breaker/command.py", lambda said: f'        raise InvalidInput("{said}: name one.")'),
    "what a model reads": (
        "layers/ballast/ballast/playbook/gate.py",
        lambda said: f'    return f"Refused: the {said}."',
    ),
    "a metric": ("layers/ballast/ballast/metrics.py", lambda said: f'    "{camel(said)}Refused": "Count",'),
    "the command's help": (
        "cli/parser.py",
        lambda said: f'    what.add_argument("--{snake(said)}", help="the {said}")',
    ),
    "a state": ("statemachine/agent.asl.yaml", lambda said: f"  Ask{camel(said)}:"),
    "a state's comment": ("statemachine/agent.asl.yaml", lambda said: f"    Comment: Wait for the {said}."),
    "a resource": ("template.yaml", lambda said: f"  {camel(said)}Table:"),
    "an alarm": ("template.yaml", lambda said: f"      AlarmDescription: The {said} failed three times."),
    "a parameter": ("template.yaml", lambda said: f"    Description: Seconds that a {said} may take."),
    "the business's template": ("business.yaml", lambda said: f"  {camel(said)}Queue:"),
    "the console's code": ("functions/front/console/app.js", lambda said: f"  const {snake(said)}_shown = 1;"),
    "the console's words": ("functions/front/console/words.js", lambda said: f'  waiting: "waits for a {said}",'),
    "the console's page": ("functions/front/console/index.html", lambda said: f"  <h2>The {said}</h2>"),
    "the console's style": ("functions/front/console/style.css", lambda said: f".{snake(said)}-row {{ margin: 0; }}"),
    "a scenario": ("localcloud/scenarios/escalation/scenario.yaml", lambda said: f"description: A {said} waits."),
    "the playbook": ("layers/playbook/playbook/agent.yaml", lambda said: f"    description: Look for the {said}."),
    "a page": ("docs/operating.md", lambda said: f"Look at the {said} first."),
    "a decision": ("docs/decisions/people.md", lambda said: f"**Why.** A {said} is lost."),
    "the README": ("README.md", lambda said: f"The {said} does the rest."),
    "a bench": ("bench/turns.py", lambda said: f'"""What a {said} costs."""'),
    "make's targets": ("Makefile", lambda said: f"{snake(said)}: ## the {said}"),
}


@pytest.mark.parametrize("kind", KINDS)
def test_a_word_is_seen_in_every_kind_of_place(kind: str) -> None:
    file, say = KINDS[kind]
    # A path is written as a path only.
    words = [(word, said) for word in WORDS for said in word.not_said if "/" not in said or kind == "a page"]

    unseen = [said for word, said in words if not said_otherwise(word, file, say(said))]

    assert file in files()
    assert unseen == []


def cells() -> Iterator[tuple[str, str]]:
    """Yield (term, one of its other words) of each row of the page that has some."""
    for line in PAGE.splitlines():
        parts = [part.strip() for part in line.strip().strip("|").split("|")]
        if line.startswith("| **") and len(parts) == 3:
            yield from ((parts[0], said.strip().strip('"`')) for said in parts[2].split(", ") if said.strip())


@pytest.mark.parametrize(("term", "said"), list(cells()))
def test_each_other_word_of_the_page_is_looked_for(term: str, said: str) -> None:
    assert any(said_otherwise(word, "docs/operating.md", f"Look at the {said} first.") for word in WORDS)


@pytest.mark.parametrize("word", WORDS, ids=lambda word: f"{word.say}: {word.not_said[0]}")
def test_the_page_has_a_row_for_each_word(word: Word) -> None:
    listed = [said for _, said in cells()]

    assert [part for part in word.say.split(", ") if f"**{part}" not in PAGE] == []
    assert [said for said in word.not_said if said not in listed] == []
