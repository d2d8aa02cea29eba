"""Standard output: plain lines in a pipe, colours in a terminal, no markup in either."""

import sys

from rich.console import Console, RenderableType
from rich.text import Text

from ballast.contracts.timeline import Timeline
from cli.trace.layout import Plain, Unbroken
from cli.trace.text import clean


class _Piped(Console):
    """A console that raises when the reader of its output has gone."""

    def on_broken_pipe(self) -> None:
        """Raise the error; rich itself would end the process."""
        raise BrokenPipeError


class Screen:
    """Standard output. ``line`` neutralises control characters, so its text may come from a log."""

    def __init__(self, console: Console | None = None) -> None:
        self._console = console or _Piped(markup=False, highlight=False, emoji=False)

    def line(self, text: str = "", style: str | None = None) -> None:
        """Print one line, or several; long ones wrap in a terminal and stay whole in a pipe."""
        piped = not self._console.is_terminal
        self._console.print(clean(text), style=style, soft_wrap=piped)
        sys.stdout.flush()

    def sentence(self, text: str, style: str | None = None) -> None:
        """Print ``text`` as one line, whatever a model, a tool or a person wrote into it."""
        self.line(clean(text, lines=False), style)

    def show(self, drawn: RenderableType) -> None:
        """Print a rich renderable; in a pipe no line of it is broken."""
        self._console.print(Unbroken(drawn), crop=False)

    def row(self, row: Text, below: str = "") -> None:
        """Print one row of a list: one line in a pipe; in a terminal ``below`` is a line of its own."""
        if self._console.is_terminal:
            self.show(Plain(row))
            if below:
                self.line(f"{'':22}{below}", "dim")
        else:
            self._console.print(row.append(f"  {clean(below, lines=False)}" if below else ""), soft_wrap=True)

    def trace(self, made: Timeline, *, full: bool = False) -> None:
        """Draw a run's timeline."""
        from cli.trace.render import render

        self.show(render(made, full=full))
