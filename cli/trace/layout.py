"""Two columns without a table: a label, and text that wraps at words under itself.

``rich``'s own tables pad every line and cut long words, which spoils a trace that is piped into a
file or pasted into a ticket.
"""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from rich.cells import cell_len
from rich.console import Console, ConsoleOptions, RenderableType, RenderResult
from rich.segment import Segment
from rich.text import Text

#: Width of the label column, including its indent.
LABEL = 12
#: The parts of a long word that are never broken: an id, or one other character.
_PARTS = re.compile(r"[\w.:-]+|[^\w.:-]")
#: Cells of a line that is never broken.
_UNBROKEN = 1_000_000
#: A space at which no line is broken.
NO_BREAK = "\u00a0"


@dataclass(frozen=True)
class Detail:
    """How many characters of one text are shown; None shows all."""

    text: int | None = 600
    data: int | None = 300
    prompt: int | None = 240


#: Shows everything.
FULL = Detail(text=None, data=None, prompt=None)


class Labelled:
    """One entry: ``label`` in the left column, ``body`` in the right one.

    In a terminal a word longer than the line continues on the next line; in a pipe it stays whole. An id that fits on a
    line is never broken, so that it can be copied.
    """

    def __init__(self, label: str, body: Text, *, style: str = "dim", indent: int = 2, column: int = LABEL) -> None:
        self.label, self.body, self.style, self.indent, self.column = label, body, style, indent, column

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """Yield the lines as segments, without padding at their ends."""
        left = Text(" " * self.indent + self.label, self.style)
        left.append(" " * max(1, self.column - left.cell_len))
        width = max(20, options.max_width - self.column)
        for number, line in enumerate(_wrapped(self.body, width, cut=console.is_terminal)):
            yield from _painted(left if number == 0 else Text(" " * self.column), console)
            yield from _painted(line, console)
            yield Segment.line()


class Plain:
    """Text over the whole width, wrapped as in ``Labelled``; its lines but the first one are indented by ``hang``."""

    def __init__(self, body: Text, *, hang: int = 0) -> None:
        self.body, self.hang = body, hang

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """Yield the lines as segments, without padding at their ends."""
        for number, line in enumerate(_wrapped(self.body, options.max_width - self.hang, cut=console.is_terminal)):
            yield Segment(" " * self.hang if number else "")
            yield from _painted(line, console)
            yield Segment.line()


class Unbroken:
    """``drawn`` without a line break inside of an entry, unless somebody looks at it on a terminal.

    What reads a pipe or a file by lines, as CI systems read ``::error::``, then never finds text of a log at the start
    of one.
    """

    def __init__(self, drawn: RenderableType) -> None:
        self.drawn = drawn

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """Yield the segments of ``drawn``."""
        seen = console.is_terminal and console.file.isatty()  # $FORCE_COLOR makes no terminal of a CI's log
        yield from console.render(self.drawn, options if seen else options.update(width=_UNBROKEN))


def _painted(line: Text, console: Console) -> Iterable[Segment]:
    """Return the segments of one line; ``Text.render`` alone drops the style of a text without spans."""
    styled = line.copy()
    styled.stylize_before(line.style)
    return styled.render(console)


def _wrapped(text: Text, width: int, *, cut: bool) -> list[Text]:
    """Break ``text`` at its line breaks and between words; inside a word only if ``cut``."""
    lines: list[Text] = []
    for paragraph in text.split("\n", allow_blank=True) or [Text()]:
        breaks: list[int] = []
        used = 0
        for word in re.finditer(r"[^ ]+ *| +", paragraph.plain):
            needed = cell_len(word[0].rstrip())
            if used and used + needed > width:
                breaks.append(word.start())
                used = 0
            used = _cut(word, width, breaks) if cut and needed > width else used + cell_len(word[0])
        lines += paragraph.divide(breaks)
    for line in lines:
        line.rstrip()
        line.plain = line.plain.replace(NO_BREAK, " ")
    return lines


def _cut(word: re.Match[str], width: int, breaks: list[int]) -> int:
    """Add the breaks of a word that is wider than the line; return the cells of its last line."""
    used = 0
    for part in _PARTS.finditer(word[0].rstrip()):
        size, start = cell_len(part[0]), word.start() + part.start()
        if used and used + size > width:
            breaks.append(start)
            used = 0
        if size <= width:
            used += size
            continue
        for position, char in enumerate(part[0], start=start):
            if used + cell_len(char) > width:
                breaks.append(position)
                used = 0
            used += cell_len(char)
    return used + len(word[0]) - len(word[0].rstrip())


class Columns:
    """A titled table whose first column is text and whose others are numbers, as text. No cell is ever broken.

    In a terminal a row that is too wide has its numbers on the line below its name. In a pipe each row is one line, and
    ``piped`` replaces ``rows``: every row, with numbers as machines read them.
    """

    def __init__(
        self, title: str, heads: Sequence[str], rows: Sequence[Sequence[str]], *, piped: Sequence[Sequence[str]]
    ) -> None:
        self.title, self.heads, self.rows, self.piped = title, heads, rows, piped

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """Yield the lines as segments, without padding at their ends."""
        rows = [self.heads, *(self.rows if console.is_terminal else self.piped)]
        widths = [max(cell_len(row[at]) for row in rows) for at in range(len(self.heads))]
        numbers_wide = sum(widths[1:]) + 2 * len(widths[1:])
        fits = not console.is_terminal or widths[0] + numbers_wide <= options.max_width
        yield from _painted(Text(self.title, "bold"), console)
        yield Segment.line()
        for row in rows:
            numbers = "".join(
                f"  {' ' * (width - cell_len(cell))}{cell}" for cell, width in zip(row[1:], widths[1:], strict=True)
            )
            name = row[0] + " " * (widths[0] - cell_len(row[0])) if fits else row[0]
            for line in [name + numbers] if fits else [name, numbers]:
                yield from _painted(Text(line.rstrip()), console)
                yield Segment.line()


class Heading:
    """A ruled line above a turn: ``── title ──────``."""

    def __init__(self, title: Text) -> None:
        self.title = title

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """Yield one line that is as wide as the console, at most 100 cells."""
        width = min(options.max_width, 100)
        line = Text("── ", "dim")
        line.append_text(self.title)
        line.append(" " + "─" * max(2, width - line.cell_len - 1), "dim")
        yield from _painted(line, console)
        yield Segment.line()


def joined(parts: list[Text | str], separator: str = " · ") -> Text:
    """Return the non-empty parts in one line."""
    return Text(separator).join(Text(part) if isinstance(part, str) else part for part in parts if part)
