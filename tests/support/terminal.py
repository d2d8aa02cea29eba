"""A terminal that keeps what is printed, and a screen on it or on a pipe."""

import io

from rich.console import Console

from cli.screen import Screen


class Terminal(io.StringIO):
    """A terminal that keeps what is printed."""

    def isatty(self) -> bool:
        """Return that it is one."""
        return True


def screen_on(out: io.StringIO, width: int, *, coloured: bool = True, system: str | None = None) -> Screen:
    """Return a screen of so many cells. A pipe may be ``coloured`` too, as $FORCE_COLOR has it."""
    console = Console(
        file=out,
        width=width,
        force_terminal=coloured,
        color_system=system,  # type: ignore[arg-type]  # rich has a literal
        markup=False,
        highlight=False,
    )
    return Screen(console)
