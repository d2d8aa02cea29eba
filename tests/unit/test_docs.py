"""Pages name what exists and link to what is there; pages, templates, state machine and console have short lines."""

import ast
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGES = [*sorted(ROOT.glob("*.md")), *sorted(ROOT.glob("docs/**/*.md")), *sorted(ROOT.glob("bench/**/*.md"))]
MAX_LINE = 120
#: Kept as tables of one line a finding.
LONG_LINES = {"docs/findings-held.md"}

#: Templates, the state machine, settings and the console. Python's lines are held by ruff.
CODE = [
    *(ROOT / name for name in ("template.yaml", "business.yaml", "samconfig.toml")),
    *(path for pattern in ("*.js", "*.css", "*.html") for path in sorted(ROOT.glob(f"functions/**/{pattern}"))),
    *(
        path
        for folder in ("statemachine", "localcloud", "bench", "layers")
        for path in sorted(ROOT.glob(f"{folder}/**/*.yaml"))
    ),
]

#: A docstring begins with a noun or an imperative, not with a relative clause.
_RIDDLE = re.compile(r"(What|Who|Whose|Whom|Whether|Which|When|How|Where|Why)(ever)?\b")
#: An address cannot be wrapped.
_ADDRESS = re.compile(r" *address: https://\S+")
_LINK = re.compile(r"(?<!!)\[[^\]]*\]\(([^)\s]+)\)")
_ONE_LINK = re.compile(r"- \[.*\]\([^)]*\)")
_PATH = re.compile(r"`((?:[\w.-]+/)+[\w.-]+\.(?:py|yaml|md|json|js))(?:::\w+)?`")


def name(page: Path) -> str:
    return str(page.relative_to(ROOT))


def prose(text: str) -> Iterator[tuple[int, str]]:
    """Yield the number and the text of each line that is in no code block."""
    in_code = False
    for number, line in enumerate(text.splitlines(), 1):
        if line.lstrip().startswith("```"):
            in_code = not in_code
        elif not in_code:
            yield number, line


@cache
def anchors(page: Path) -> frozenset[str]:
    """Return the anchors of the page's headings, as GitHub makes them."""
    heads = (line.lstrip("#").strip() for _, line in prose(page.read_text(encoding="utf-8")) if line.startswith("#"))
    plain = (re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", head).lower() for head in heads)
    return frozenset(re.sub(r"[^\w\- ]", "", head).replace(" ", "-") for head in plain)


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_every_link_leads_somewhere(page: Path) -> None:
    dead = []
    for number, line in prose(page.read_text(encoding="utf-8")):
        for link in _LINK.findall(line):
            if "://" in link:
                continue
            path, _, anchor = link.partition("#")
            target = (page.parent / path).resolve() if path else page
            if not target.exists() or (anchor and target.suffix == ".md" and anchor not in anchors(target)):
                dead.append(f"{name(page)}:{number}: {link}")

    assert dead == []


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_every_file_that_is_named_exists(page: Path) -> None:
    missing = [
        f"{name(page)}:{number}: {path}"
        for number, line in prose(page.read_text(encoding="utf-8"))
        for path in _PATH.findall(line)
        if not exists(path)
    ]

    assert missing == []


def exists(path: str) -> bool:
    """Say whether there is such a file, from the root, in the layer, in the tests, or in what runs make.

    ``NAME`` stands for a playbook of the reader's own.
    """
    another = path.startswith((".ballast/", ".aws-sam/", "NAME/"))
    within = ("", "layers/ballast", "layers/ballast/ballast", "tests", "examples/itdesk")
    return another or any((ROOT / part / path).exists() for part in within)


@pytest.mark.parametrize("page", [page for page in PAGES if name(page) not in LONG_LINES], ids=name)
def test_lines_of_prose_are_short(page: Path) -> None:
    long = [
        f"{name(page)}:{number}: {len(line)} characters"
        for number, line in prose(page.read_text(encoding="utf-8"))
        if len(line) > MAX_LINE and not line.lstrip().startswith("|") and not _ONE_LINK.fullmatch(line)
    ]

    assert long == []


@pytest.mark.parametrize("file", CODE, ids=name)
def test_lines_of_templates_and_of_the_console_are_short(file: Path) -> None:
    lines = enumerate(file.read_text(encoding="utf-8").splitlines(), 1)

    assert [
        f"{name(file)}:{number}: {len(line)} characters"
        for number, line in lines
        if len(line) > MAX_LINE and not _ADDRESS.fullmatch(line)
    ] == []


def test_the_docstring_of_a_module_says_what_it_is() -> None:
    folders = ("functions", "layers", "cli", "localcloud", "tests", "bench")
    modules = [path for folder in folders for path in sorted((ROOT / folder).rglob("*.py"))]
    first = {path: ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or "" for path in modules}

    assert len(first) > 500
    assert [f"{name(path)}: {text[:80]}" for path, text in first.items() if _RIDDLE.match(text)] == []


@pytest.mark.parametrize("page", sorted(ROOT.glob("docs/decisions/[!R]*.md")), ids=name)
def test_every_decision_names_its_code_and_its_tests(page: Path) -> None:
    entries = page.read_text(encoding="utf-8").split("\n## ")[1:]

    without = [
        entry.partition("\n")[0]
        for entry in entries
        if not re.search(r"\bCode: `[^`]+`[^\n]* Tests: `", " ".join(entry.split()))
    ]

    assert without == []


def test_the_index_of_the_decisions_is_whole() -> None:
    index = (ROOT / "docs/decisions/README.md").read_text(encoding="utf-8")
    heads = [
        line.removeprefix("## ")
        for page in ROOT.glob("docs/decisions/[!R]*.md")
        for line in page.read_text(encoding="utf-8").splitlines()
        if line.startswith("## ")
    ]

    assert sorted(re.findall(r"^- \[(.*)\]\(\w+\.md#", index, re.MULTILINE)) == sorted(heads)
