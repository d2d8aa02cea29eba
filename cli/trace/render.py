"""Draw a timeline for a terminal of 80 columns or more, or for a pipe.

Everything that came out of the log goes through ``clean`` and becomes plain ``Text``.
"""

from rich.console import Group, RenderableType
from rich.text import Text

from ballast.contracts.timeline import Correction, Timeline
from cli.trace.clean import as_text, clean, clipped
from cli.trace.layout import FULL, Detail, Heading, Labelled, Plain, joined
from cli.trace.render_turn import turn_lines
from cli.trace.words import count, span, usd

STATUS_STYLES = {
    "answered": "bold green",
    "unanswered": "bold magenta",
    "refused": "bold red",
    "failed": "bold white on red",
    "aborted": "bold red",
    "timed_out": "bold red",
    "waiting": "bold yellow",
    "open": "bold cyan",
    "corrupt": "bold white on red",
}


def render(timeline: Timeline, *, full: bool = False) -> RenderableType:
    """Return the whole trace; ``full`` leaves nothing out."""
    detail = FULL if full else Detail()
    ending = Plain(Text(clean(timeline.ending)))
    lines: list[RenderableType] = [Plain(headline(timeline)), ending, Plain(_figures(timeline)), Text("")]
    lines += [Labelled("CORRUPT", Text(clean(f"{one.seq}: {one.why}"), "bold red")) for one in timeline.unreadable]
    lines += _request(timeline, detail)
    for turn in timeline.turns:
        lines += [Text(""), *turn_lines(turn, detail, request=as_text(timeline.request.get("text")))]
    if timeline.turns:
        lines += [Text(""), Heading(Text(f"after {span(timeline.duration_ms)}")), Plain(headline(timeline))]
    return Group(*lines)


def headline(timeline: Timeline) -> Text:
    """Return the run's id, its status, who answered, and whether that was second best."""
    style = "bold yellow" if timeline.degraded and timeline.status == "answered" else STATUS_STYLES[timeline.status]
    line = Text(clean(timeline.run_id, lines=False) + "  ")
    line.append(timeline.status.upper().replace("_", " "), style)
    if timeline.by:
        line.append(f" by {clean(timeline.by, lines=False)}", style)
    if timeline.degraded:
        line.append("  degraded", "yellow")
    if timeline.reason:
        line.append(f"  {clean(timeline.reason, lines=False)}", "dim")
    return line


def _figures(timeline: Timeline) -> Text:
    limits = timeline.ceilings
    calls = f"{_of(timeline.agent_calls, limits.tool_calls)} calls by the agent"
    if timeline.refused_calls:
        calls += f", {timeline.refused_calls} refused"
    reserved = f"{usd(timeline.reserved_microusd)} still reserved" if timeline.reserved_microusd else ""
    cost = usd(timeline.spent_microusd)
    if limits.cost_microusd is not None:
        cost += f" of {usd(limits.cost_microusd)}"
    return joined(
        [
            Text(cost, "bold"),
            Text(reserved, "yellow"),
            Text(corrected(timeline.corrected), "bold yellow"),
            f"{count(len(timeline.turns), 'turn')}, {_of(timeline.agent_turns, limits.turns)} by the agent",
            calls,
            _effects(timeline.effects),
            span(timeline.duration_ms),
        ]
    )


def corrected(said: Correction | None) -> str:
    """Return what an operator says that a run cost, and who; nothing where nobody does."""
    if said is None:
        return ""
    by, reason = clean(said.by, lines=False), clean(said.reason, lines=False)
    return f"corrected to {usd(said.charged_microusd)}, by {by}{f': {reason}' if reason else ''}"


def _effects(effects: str) -> Text:
    """Return how the run's writes ended; nothing where it never wrote."""
    if effects in ("", "none"):
        return Text()
    frozen = effects == "frozen"
    return Text("effects FROZEN" if frozen else f"effects {clean(effects, lines=False)}", "bold red" if frozen else "")


def _of(number: int, ceiling: int | None) -> str:
    return f"{number:,}" if ceiling is None else f"{number:,} of {ceiling:,}"


def _request(timeline: Timeline, detail: Detail) -> list[RenderableType]:
    request = timeline.request
    lines: list[RenderableType] = []
    if request.get("text"):
        lines.append(Labelled("request", Text(clipped(clean(as_text(request["text"])), detail.text))))
    facts = [f"{name} {as_text(request[name])}" for name in ("intent", "tenant", "request_id") if request.get(name)]
    if request.get("context"):
        facts.append(f"context {as_text(request['context'])}")
    facts += [f"{name} {value}" for name, value in (("agent", timeline.agent), ("model", timeline.model)) if value]
    if facts:
        lines.append(Labelled("", Text(clipped(clean(" · ".join(facts), lines=False), detail.data), "dim")))
    return lines
