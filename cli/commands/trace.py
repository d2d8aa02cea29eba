"""``ballast trace``: a saved run as a timeline, or the list of saved runs."""

import os
from argparse import Namespace

from ballast.contracts.timeline import Timeline
from ballast.errors import InvalidInput
from cli.exits import Exit
from cli.journal import Journal, SavedRun, state_folder


def trace(typed: Namespace) -> int:
    """Print what was asked for and return the exit code. Raises ``InvalidInput``."""
    journal = Journal(state_folder(os.environ))
    if typed.run is None:
        if typed.full:
            raise InvalidInput("--full goes with a RUN. `ballast trace` without an argument lists the saved runs.")
        return _list(journal.recent(), as_json=typed.json)
    made = _timeline(journal.find(typed.run))
    if typed.json:
        print(made.to_json())
    else:
        from cli.output import Screen

        Screen().trace(made, full=typed.full)
    return Exit.OK


def _timeline(saved: SavedRun) -> Timeline:
    """Return the run's timeline; one that was cut off does not go on, and waits for nobody."""
    made = saved.events.timeline(saved.corrupt)
    if not saved.cut_off or made.status not in ("open", "waiting"):
        return made
    ending = f"Cut off: its process ended before it did. {made.ending}"
    return made.model_copy(update={"status": "aborted", "ending": ending})


def _list(runs: list[SavedRun], *, as_json: bool) -> int:
    found = [(saved, _timeline(saved)) for saved in runs]
    if as_json:
        import json

        print(json.dumps([_entry(saved, made) for saved, made in found], indent=2))
        return Exit.OK
    from rich.text import Text

    from cli.output import Screen
    from cli.trace.render import headline

    screen = Screen()
    if not found:
        screen.line("No saved run here. `ballast demo` makes one.")
    for saved, made in found:
        line = Text(made.opened_at[:19].replace("T", " ") + "Z  ", "dim")
        screen.row(line.append_text(headline(made)), saved.title)
    return Exit.OK


def _entry(saved: SavedRun, made: Timeline) -> dict[str, object]:
    return {
        "run_id": saved.run_id,
        "title": saved.title,
        "status": made.status,
        "by": made.by,
        "degraded": made.degraded,
        "opened_at": made.opened_at,
        "spent_microusd": made.spent_microusd,
        "corrected_microusd": made.corrected.charged_microusd if made.corrected else None,
    }
