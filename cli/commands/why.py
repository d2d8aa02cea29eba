"""``ballast why``: say why a run ended so, what is unknown, and what to type."""

from __future__ import annotations

import os
import re
from argparse import Namespace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console, ConsoleOptions, Group, RenderableType, RenderResult
from rich.segment import Segment
from rich.text import Text

from ballast.contracts.timeline import Timeline
from ballast.contracts.why import Cause, MoneyShare, Stop, TimeShare, TurnDecision, Why
from ballast.errors import InvalidInput
from ballast.log.exported import ExportedRun
from ballast.playbook.load import playbook_in
from ballast.run import Run
from ballast.why import Sooner, Stops, explained, from_log
from ballast.why.sooner import LOG_ALONE
from ballast.why.words import clock, named, percent
from cli.commands.replay import region_of
from cli.commands.trace import timeline_of
from cli.exits import Exit
from cli.own_stdout import print_document
from cli.saved_runs import SavedRuns, state_folder
from cli.screen import Screen
from cli.trace.layout import Labelled, Plain
from cli.trace.render import STATUS_STYLES
from cli.trace.text import clean, span, usd

if TYPE_CHECKING:
    from cli.deployed_stack import DeployedCloud

#: Answers to "what would have stopped it sooner" that are printed; --json has all.
_STOPS = 3


def why(typed: Namespace) -> int:
    """Print the report on a saved run and return the exit code. Raises ``InvalidInput``."""
    saved = SavedRuns(state_folder(os.environ)).find(typed.run)
    report = explained(saved.events, timeline_of(saved), sooner=_sooner(typed, saved.events))
    return _show(report, typed, Screen())


def why_on_stack(typed: Namespace, cloud: DeployedCloud, screen: Screen) -> int:
    """Print the report on a run of a deployed stack and return the exit code. Raises ``InvalidInput``."""
    events, corrupt = cloud.read_all(typed.run)
    if not events and not corrupt:
        raise InvalidInput(f"{typed.run}: the stack {typed.stack} has no log of this run. Type the whole id.")
    made = events.timeline(corrupt, run_id=typed.run)
    sooner = _sooner(typed, events, cloud.session.region_name)
    return _show(explained(events, made, stack=typed.stack, sooner=sooner), typed, screen)


def _sooner(typed: Namespace, run: Run, region: str | None = None) -> Sooner:
    """Return who says what would have stopped the run sooner: its log, or its log and a replay."""
    folder = Path(typed.playbook) if typed.playbook else None
    if folder is not None and not (playbook_in(folder) / "agent.yaml").is_file():
        raise InvalidInput(f"--playbook {folder}: there is no agent.yaml in it. Name the folder of a playbook.")
    if typed.log_only:
        return _from_log_only
    from localcloud.cloud import PLAYBOOK
    from localcloud.replay.lane import Lane
    from localcloud.replay.sooner import PlayedSooner

    region = region or region_of(ExportedRun("", run.events))
    return PlayedSooner(Lane.baseline(folder or PLAYBOOK, region=region))


def _from_log_only(run: Run, made: Timeline) -> Stops:
    """Return what the log says, and that the command can say more. A ``Sooner``."""
    found, note, _ = from_log(run, made)
    return Stops(found, note and f"{LOG_ALONE} Without --log-only the run is played again with each change.")


def _show(report: Why, typed: Namespace, screen: Screen) -> int:
    if typed.json:
        print_document(report.to_json())
    else:
        screen.show(rendered(report, now=datetime.now(UTC)))
    return Exit.OK


def rendered(report: Why, *, now: datetime | None = None) -> RenderableType:
    """Return the report: wrapped on a terminal, else one line an entry. Everything from the log goes through ``clean``.

    Each line begins with Ballast's own words, and a text of the log stands behind them in quotation marks.

    now  for the time that is left to answer; the report itself has no clock
    """
    style = STATUS_STYLES[report.status]
    run_id = _flat(named(report.run_id, 128) or "a run without an id")
    heading = Text(f"{run_id}  ").append(report.status.upper().replace("_", " "), style)
    lines: list[RenderableType] = [Plain(heading), Plain(_act(report), hang=2), Text("")]
    lines += [Plain(Text(_flat(report.sentence), "bold"), hang=2), Text("")]
    lines += [Labelled(label, Text(_flat(text)), column=14) for label, text in _facts(report, now)]
    lines += [Text(""), _title("What it did")]
    lines += [_item(Text(_flat(f"{one.words}."), "" if one.state == "undone" else "yellow")) for one in report.did]
    lines += [] if report.did else [_item(Text(_nothing(report)))]
    more = [one for one in report.causes if not one.in_sentence]
    if more:
        lines += [Text(""), _title("Also")]
        lines += [_item(Text(f"{_flat(one.words).removesuffix('.')}{_turns_of(one)}.")) for one in more]
    if report.unknown:
        lines += [Text(""), _title("Nobody knows now")]
        lines += [_item(Text(_flat(one.words), "yellow")) for one in report.unknown]
    if report.to_type:
        lines += [Text(""), _title("What to type")]
        for command in report.to_type:
            lines += [_Command(_flat(command.command)), Labelled("", Text(_flat(command.words), "dim"), column=6)]
    broken = _is_broken(report)  # sums of a changed log lead away from the change
    if report.money and not broken:
        of = f" of {usd(report.ceiling_microusd)}" if report.ceiling_microusd is not None else ""
        lines += [Text(""), _title(f"Where its money went: {usd(report.cost_microusd)}{of}")]
        lines += [_share(usd(one.microusd), one, one.microusd, report.cost_microusd) for one in report.money]
    if report.time and not broken:
        lines += [Text(""), _title(f"Where its time went: {span(report.duration_ms)}")]
        lines += [_share(span(one.ms), one, one.ms, report.duration_ms or 0) for one in report.time]
    if report.sooner:
        lines += [Text(""), _title("What would have stopped it sooner")]
        lines += [_item(Text(_stop(one, report))) for one in report.sooner[:_STOPS]]
    if report.sooner_note:
        lines += [] if report.sooner else [Text(""), _title("What would have stopped it sooner")]
        marked = any(_is_marked(one, report) for one in report.sooner[:_STOPS])
        note = f"{report.sooner_note}{' What the log alone proves is marked so.' if marked else ''}"
        lines += [_item(Text(_flat(note), "dim"))]
    if report.decisions:
        lines += [Text(""), _title("What was decided, and by which rule")]
        for one in report.decisions:
            lines += _decision(one)
    return Group(*lines)


def _act(report: Why) -> Text:
    if report.must_act:
        return Text(f"Act: {_flat(report.act)}", "bold yellow")
    return Text("Nobody has to act." + (f" {_flat(report.act)}" if report.act else ""), "dim")


def _nothing(report: Why) -> str:
    return f"Nothing was written{', as far as its log can be read' if _is_broken(report) else ''}."


def _is_broken(report: Why) -> bool:
    return any(one.name == "log_unreadable" for one in report.causes)


def _facts(report: Why, now: datetime | None) -> list[tuple[str, str]]:
    """Return whose request it was, in the caller's words, and the times."""
    whose = [
        f"{label} {named(text)}"
        for label, text in (("by", report.requested_by), ("intent", report.intent), ("tenant", report.tenant))
        if text
    ]
    facts = [("asked", ", ".join(whose))] if whose else []
    if report.request:
        facts.append(("untrusted", f'the caller wrote: "{report.request}"'))
    ended = f", ended {clock(report.ended_at)}" if report.ended_at else ""
    if report.opened_at:
        facts.append(("began", f"{clock(report.opened_at)}{ended}"))
    if report.answer_by:
        facts.append(("answer by", f"{clock(report.answer_by)}{_left(report.answer_by, now)}"))
    return facts


def _left(until: str, now: datetime | None) -> str:
    if now is None:
        return ""
    try:
        left = round((datetime.fromisoformat(until) - now).total_seconds() * 1000)
    except (TypeError, ValueError):
        return ""
    return f" ({span(left)} left)" if left > 0 else " (over)"


def _title(text: str) -> Plain:
    return Plain(Text(text, "bold"))


def _item(text: Text) -> Labelled:
    return Labelled("-", text, column=4)


def _share(amount: str, one: MoneyShare | TimeShare, part: int, whole: int) -> Labelled:
    share = f"{percent(part, whole)} %, " if whole > 0 else ""
    return Labelled(amount, Text(f"{share}{_flat(one.words)}{_turns(one.turns)}"), style="", column=14)


def _stop(one: Stop, report: Why) -> str:
    return f"With {_flat(one.change)} {_flat(one.words)}{' (by the log alone)' if _is_marked(one, report) else ''}."


def _is_marked(one: Stop, report: Why) -> bool:
    """Whether the log alone proves the answer, where the run was played again for others."""
    return not one.played and not report.sooner_note.startswith(LOG_ALONE)


def _decision(one: TurnDecision) -> list[RenderableType]:
    who = " ".join(filter(None, (named(one.planner, 40), named(one.by_agent)))) or "nobody"
    at = clock(one.at)[11:19] if one.at else ""
    said = Text().append(f"{at} " if at else "", "dim").append(f"{_flat(who)}: {_flat(one.decided)}")
    said.append(f"; {_flat(one.rule)}", "dim")
    return [
        Labelled(f"turn {one.turn}", said, style=""),
        *(Labelled("", Text(_flat(call), "yellow"), indent=4) for call in one.calls),
    ]


def _turns_of(one: Cause) -> str:
    """Return the turns of a cause; "" if Ballast's own words name turns already."""
    return "" if re.search(r"\bturns? \d", re.sub(r'"[^"]*"', "", one.words)) else _turns(one.turns)


def _turns(turns: tuple[int, ...]) -> str:
    """Return turns in brief: `` (turns 2, 4 to 7)``."""
    spans: list[list[int]] = []
    for turn in turns:
        if spans and turn == spans[-1][-1] + 1:
            spans[-1].append(turn)
        else:
            spans.append([turn])
    if not spans:
        return ""
    told = ", ".join(f"{one[0]} to {one[-1]}" if len(one) > 2 else ", ".join(map(str, one)) for one in spans[:8])
    return f" (turn{'s' if len(turns) > 1 else ''} {told}{', …' if len(spans) > 8 else ''})"


class _Command:
    """A command in a line of its own, never broken: it is copied."""

    def __init__(self, command: str) -> None:
        self.command = command

    def __rich_console__(self, _console: Console, _options: ConsoleOptions) -> RenderResult:
        """Yield the line."""
        yield Segment(f"  {self.command}")
        yield Segment.line()


def _flat(text: str) -> str:
    return clean(text, lines=False)
