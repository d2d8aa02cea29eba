"""Two columns without a table: a label, and text that wraps at words under itself.

``rich``'s own tables pad every line and cut words that are too long, which spoils a trace that
is piped into a file or pasted into a ticket.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass

from rich.cells import cell_len
from rich.console import Console, ConsoleOptions, RenderResult
from rich.segment import Segment
from rich.text import Text

#: Width of the label column, its indent included.
LABEL = 12
#: A space at which no line is broken.
NO_BREAK = "\u00a0"


@dataclass(frozen=True)
class Detail:
    """How many characters of one text are shown; None shows all."""

    text: int | None = 600
    data: int | None = 300
    prompt: int | None = 240


#: Nothing is left out.
FULL = Detail(text=None, data=None, prompt=None)


class Labelled:
    """One entry: ``label`` in the left column, ``body`` in the right one.

    In a terminal a word that is longer than the line goes on in the next one; in a pipe it stays whole.
    """

    def __init__(self, label: str, body: Text, *, style: str = "dim", indent: int = 2) -> None:
        self.label, self.body, self.style, self.indent = label, body, style, indent

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """Yield the lines as segments, without padding at their ends."""
        left = Text(" " * self.indent + self.label, self.style)
        left.append(" " * max(1, LABEL - left.cell_len))
        width = max(20, options.max_width - LABEL)
        for number, line in enumerate(_wrapped(self.body, width, cut=console.is_terminal)):
            yield from _painted(left if number == 0 else Text(" " * LABEL), console)
            yield from _painted(line, console)
            yield Segment.line()


class Plain:
    """Text over the whole width, wrapped as in ``Labelled``."""

    def __init__(self, body: Text) -> None:
        self.body = body

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """Yield the lines as segments, without padding at their ends."""
        for line in _wrapped(self.body, options.max_width, cut=console.is_terminal):
            yield from _painted(line, console)
            yield Segment.line()


def _painted(line: Text, console: Console) -> Iterable[Segment]:
    """Return the segments of one line; ``Text.render`` alone drops the style of a text without spans."""
    styled = line.copy()
    styled.stylize_before(line.style)
    return styled.render(console)


def _wrapped(text: Text, width: int, *, cut: bool) -> list[Text]:
    """Break ``text`` at its line breaks and between words; inside a word only where ``cut`` says so."""
    lines: list[Text] = []
    for paragraph in text.split("\n", allow_blank=True) or [Text()]:
        breaks: list[int] = []
        used = 0
        for word in re.finditer(r"[^ ]+ *| +", paragraph.plain):
            needed = cell_len(word[0].rstrip())
            if used and used + needed > width:
                breaks.append(word.start())
                used = 0
            if cut and needed > width:
                used = _cut(word, width, breaks)
            else:
                used += cell_len(word[0])
        lines += paragraph.divide(breaks)
    for line in lines:
        line.rstrip()
        line.plain = line.plain.replace(NO_BREAK, " ")
    return lines


def _cut(word: re.Match[str], width: int, breaks: list[int]) -> int:
    """Add the places at which a word that is wider than the line is broken; return the cells in its last line."""
    used = 0
    for position, char in enumerate(word[0], start=word.start()):
        if used + cell_len(char) > width:
            breaks.append(position)
            used = 0
        used += cell_len(char)
    return used


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
