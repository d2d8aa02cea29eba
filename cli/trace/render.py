"""Draw a run's timeline for a terminal of 80 columns or more, or for a pipe.

Everything from the log goes through ``clean`` and becomes plain ``Text``.
"""

from collections.abc import Iterator, Mapping, Sequence

from rich.console import Group, RenderableType
from rich.text import Text

from ballast.contracts.meaning import meaning
from ballast.contracts.timeline import (
    Approval,
    Call,
    Correction,
    Decided,
    ModelAttempt,
    Pivot,
    Position,
    Timeline,
    Turn,
    TurnEscalation,
)
from ballast.timeline import attached, file_text
from ballast.why.approvals import anybody, rounds_told
from cli.trace.layout import FULL, NO_BREAK, Detail, Heading, Labelled, Plain, joined
from cli.trace.text import as_text, brief, clean, clipped, count, shared, span, usd

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
    """Return the whole trace; ``full`` shortens nothing."""
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
    """Return the run's id, its status, who answered, and whether the answer is degraded."""
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
            Text(said_of(timeline), "bold yellow"),
            span(timeline.duration_ms),
        ]
    )


def corrected(said: Correction | None) -> str:
    """Return an operator's correction of the charge, or an empty text."""
    if said is None:
        return ""
    by, reason = clean(said.by, lines=False), clean(said.reason, lines=False)
    return f"corrected to {usd(said.charged_microusd)}, by {by}{f': {reason}' if reason else ''}"


def said_of(timeline: Timeline) -> str:
    """Return what people say of the run, or an empty text."""
    return "; ".join(
        f"{clean(one.verdict, lines=False)}, says {clean(one.by, lines=False)}"
        + (f": {clean(one.note, lines=False)}" if one.note else "")
        for one in timeline.feedback
    )


def _effects(effects: str) -> Text:
    """Return how the run's writes ended; empty if it never wrote."""
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
    if files := attached(request):
        lines.append(Labelled("attached", Text(clipped(clean("; ".join(files), lines=False), detail.text))))
    facts = [f"{name} {as_text(request[name])}" for name in ("intent", "tenant", "request_id") if request.get(name)]
    if request.get("context"):
        facts.append(f"context {as_text(request['context'])}")
    facts += [f"{name} {value}" for name, value in (("agent", timeline.agent), ("model", timeline.model)) if value]
    if timeline.made_of and detail is FULL:
        facts.append(f"made of {', '.join(f'{name} {one}' for name, one in sorted(timeline.made_of.items()))}")
    if facts:
        lines.append(Labelled("", Text(clipped(clean(" · ".join(facts), lines=False), detail.data), "dim")))
    if timeline.on_behalf:
        whose = f"on behalf of {timeline.requested_by} ({', '.join(timeline.on_behalf)})"
        lines.append(Labelled("", Text(clipped(clean(whose, lines=False), detail.data))))
    return lines


PLANNER_STYLES = {
    "agent": "bold cyan",
    "fallback": "bold blue",
    "rollback": "bold yellow",
    "human": "bold magenta",
    "requester": "bold magenta",
}

#: Label and style of a call's outcome. Capitals mark what a person must not overlook without colour.
OUTCOMES = {
    "ok": ("ok", "green"),
    "failed": ("failed", "yellow"),
    "denied": ("DENIED", "bold magenta"),
    "unknown": ("UNKNOWN", "bold red"),
    "refused": ("REFUSED", "bold red"),
    "waiting": ("waits", "bold yellow"),
    "open": ("open", "dim"),
}


def turn_lines(turn: Turn, detail: Detail, *, request: str) -> Iterator[RenderableType]:
    """Yield the lines of one turn; ``request`` is the run's text, which the first prompt does not repeat."""
    title = Text(f"turn {turn.turn} · ")
    name = f"{turn.planner} {turn.by_agent}" if turn.by_agent else turn.planner
    title.append(_flat(name), PLANNER_STYLES.get(turn.planner, "bold"))
    if turn.at_ms is not None:
        title.append(f" · at {span(turn.at_ms)}", "dim")
    yield Heading(title)
    for attempt in turn.attempts:
        yield from _attempt(attempt, turn, detail, request)
    if turn.escalation:
        yield from _escalation(turn.escalation, detail)
    if turn.decided:
        yield from _decided(turn.decided, turn, detail)
    for call in turn.calls:
        yield from _call(call, detail)
    if turn.pivot:
        yield Labelled("hand-over", _pivot(turn.pivot, turn.decided), style="bold")
    elif not (turn.attempts or turn.escalation or turn.decided or turn.calls):
        yield Labelled("", Text("no entry in the log", "dim"))
    if turn.attempts:
        yield Labelled("so far", _costs(turn))


def _attempt(attempt: ModelAttempt, turn: Turn, detail: Detail, request: str) -> Iterator[RenderableType]:
    prompt = _prompt(attempt, detail, request)
    if prompt and not (attempt.attempt > 1 and attempt.prompt == turn.attempts[0].prompt):
        yield Labelled("prompt", Text(prompt, "dim"))
    if detail.prompt is None and attempt.sent_as:
        yield Labelled("sent as", Text(clean(as_text(attempt.sent_as)), "dim"))
    answers = turn.decided is not None and turn.decided.kind == "answer"
    for piece in attempt.completion:
        if piece.kind == "reasoning":
            yield Labelled("thinks", Text(clipped(clean(piece.text), detail.prompt), "italic dim"))
        elif piece.kind == "text" and piece.text.strip() and not answers:
            yield Labelled("model", Text(clipped(clean(piece.text.strip()), detail.text)))
    if attempt.state == "failed":
        why = joined([Text(_reason(attempt.exit_reason)), Text(clipped(clean(attempt.error), detail.text), "dim")])
        again = f", attempt {attempt.attempt}" if attempt.attempt > 1 else ""
        yield Labelled("model", Text().append(f"FAILED{again}: ", "bold red").append_text(why))
    elif attempt.state == "open":
        kept = f"{usd(attempt.reserved_microusd)} stays reserved" if attempt.reserved_microusd else ""
        yield Labelled("model", joined([Text("no reply recorded", "bold yellow"), Text(kept)]))
    elif attempt.stop_reason not in ("", "end_turn", "tool_use"):
        yield Labelled("stopped", Text(f"{_reason(attempt.exit_reason)} ({_flat(attempt.stop_reason)})", "yellow"))


def _prompt(attempt: ModelAttempt, detail: Detail, request: str) -> str:
    texts = [piece.text for piece in attempt.prompt if piece.kind == "text"]
    said = ["(the request)" if said == request else said for said in texts]
    results = [piece for piece in attempt.prompt if piece.kind == "tool_result"]
    if detail.prompt is None:
        return "\n".join(clean(piece.text) for piece in attempt.prompt)
    short = clipped(clean(" ".join(said), lines=False), detail.prompt)
    if not results:
        return short
    wrong = sum(piece.error for piece in results)
    summary = count(len(results), "tool result") + (f" ({wrong} of them an error)" if wrong else "")
    return f"{summary}; {short}" if short else summary


def _decided(decided: Decided, turn: Turn, detail: Detail) -> Iterator[RenderableType]:
    if decided.note:
        yield Labelled("note", Text(clipped(clean(decided.note), detail.text)))
    if decided.kind == "answer":
        yield Labelled("answer", Text(clipped(clean(decided.text), detail.text), "bold"))
    if decided.guidance:
        label = {"agent": "note" if decided.to == "agent" else "question", "requester": "reply"}.get(
            turn.planner, "guidance"
        )
        yield Labelled(label, Text(clipped(clean(decided.guidance), detail.text)))
    if decided.add_budget_microusd:
        yield Labelled("budget", Text(_budget(decided.add_budget_microusd, decided.leased_microusd)))
    if decided.parallel and len(turn.calls) > 1:
        yield Labelled("", Text("the calls only read, so they ran in parallel", "dim"))


def _budget(added: int, leased: int) -> str:
    """Return the budget that the run got: the leased part of what a person added."""
    if leased >= added:
        return f"{usd(added)} more"
    if leased:
        return f"{usd(leased)} more: that was leased of the {usd(added)} asked for"
    return f"none of the {usd(added)} asked for was leased"


def _call(call: Call, detail: Detail) -> Iterator[RenderableType]:
    what = Text(_flat(call.tool) or "(no name)", "bold")
    what.append(f"({_arguments(call.arguments, detail)})")
    if call.effect == "write":
        what.append("  writes", "yellow")
    if call.undoes:
        what.append(f"  takes back {_place(call.undoes)}", "bold yellow")
    if call.repeats:
        what.append(f"  repeats {_place(call.repeats)}, not executed again", "yellow")
    yield Labelled(f"call {call.index}", what, style="bold")
    if call.approvals:
        yield Labelled("approval", _approval(call.approvals), style="magenta")
    label, style = OUTCOMES[call.outcome]
    yield Labelled(label, _outcome(call, detail, style), style=style, indent=4)
    if call.unlike:
        said = f"the server {_flat(call.unlike.server)} answered otherwise than it was pinned"
        yield Labelled("server", Text(said, "bold yellow"), indent=4)
    if call.files:
        files = "; ".join(f"{file_text(one.kind, one.model_dump())} {one.name}" for one in call.files)
        yield Labelled("attached", Text(clipped(clean(files, lines=False), detail.text)), indent=4)
    if call.signal:
        yield Labelled("loop", Text(_flat(call.signal.words), "bold yellow"), indent=4)
    if call.outcome == "ok" and call.message:
        yield Labelled("note", Text(clipped(clean(call.message), detail.text), "yellow"), indent=4)
    if call.undo and call.outcome != "refused":
        undo = f"{_flat(call.undo.tool)}({_arguments(call.undo.arguments, detail)})"
        yield Labelled("undo", Text(undo, "dim"), indent=4)


def _outcome(call: Call, detail: Detail, style: str) -> Text:
    if call.outcome == "open":
        return Text("no outcome in the log", "dim")
    if call.outcome == "waiting":
        return Text("for a person; nothing was done yet", "dim")
    took = Text(span(call.latency_ms).replace(" ", NO_BREAK), "dim")
    if call.outcome == "ok":
        return joined([brief(call.result, detail.data), took], "  ")
    said = Text().append(_flat(call.error) + ": " if call.error else "", style)
    said.append(clipped(clean(call.message or as_text(call.result)), detail.text))
    return joined([said, took], "  ")


def _arguments(arguments: object, detail: Detail) -> str:
    if not isinstance(arguments, Mapping):
        return clipped(_flat(as_text(arguments)), detail.data)
    shown = ", ".join(f"{name}={value}" for name, value in shared(arguments, detail.data).items())
    return clipped(shown, None if detail.data is None else 2 * detail.data)


def _approval(rounds: Sequence[Approval]) -> Text:
    """Return how the last approval round ended, and why an earlier one was void."""
    approval = rounds[-1]
    moved = approval.void or (rounds[-2].void if len(rounds) > 1 else ())
    again = f"asked again, since {_flat(', '.join(moved))} had changed: " if moved else ""
    why = _flat("; ".join(approval.why))
    asked_because = f" (asked because {why})" if why else ""
    before = rounds_told(rounds[:-1], goes_on=True)
    before = f" (before: {_flat(before)})" if before else ""
    asked_because = f"{asked_because}{before}"
    if approval.silent:
        told = rounds_told(rounds[-1:], goes_on=True) if anybody(rounds[-1:]) else "nobody answered in time"
        return Text(_flat(told), "bold yellow").append(asked_because, "dim")
    if approval.approve is None:
        because = f", because {why}" if why else ""
        changed = f"; {_flat(approval.changed_by)} changed its arguments" if approval.changed_by else ""
        given = f"; approved by {_flat(', '.join(approval.given))} so far" if approval.given else ""
        given = f"{changed}{given}{before}"
        return Text(f"{again}asked for ({_flat(approval.escalation_id)}){because}{given}", "bold yellow")
    verdict = ("approved", "green") if approval.approve else ("rejected", "bold red")
    said = Text(again).append(*verdict).append(f" by {_flat(approval.by) or 'somebody'}")
    if approval.changed:
        said.append(", with other arguments", "bold")
    if approval.comment:
        said.append(f": {_flat(approval.comment)}")
    return said.append(asked_because, "dim")


def _escalation(escalation: TurnEscalation, detail: Detail) -> Iterator[RenderableType]:
    asked = Text(f"{_reason(escalation.reason)} ({_flat(escalation.escalation_id)})")
    yield Labelled("asked", asked, style="bold magenta")
    # The summary repeats the run above, for people who see nothing else.
    if escalation.summary and (detail.text is None or not escalation.by):
        yield Labelled("", Text(clipped(clean(escalation.summary), detail.text), "dim"))
    if escalation.proposed:
        yield Labelled("proposed", Text(_proposed(escalation.proposed, detail)))
    by = Text(f"by {_flat(escalation.by)}") if escalation.by else Text("not yet", "bold yellow")
    yield Labelled("answered", by, style="bold magenta")


def _proposed(proposed: object, detail: Detail) -> str:
    """Return a proposed decision's calls, one per line; of any other decision its JSON."""
    match proposed:
        case {"kind": "call_tools", "calls": [*calls]} if all(isinstance(call, Mapping) for call in calls):
            lines = (
                f"{_flat(as_text(call.get('tool')))}({_arguments(call.get('arguments'), detail)})" for call in calls
            )
            return "\n".join(lines)
    return clipped(_flat(as_text(proposed)), detail.data)


def _pivot(pivot: Pivot, decided: Decided | None) -> Text:
    giver = pivot.giver if pivot.giver != "agent" or not pivot.from_agent else f"agent {pivot.from_agent}"
    line = Text(f"{_flat(giver)} → ")
    taker = f"{pivot.taker} {pivot.to_agent}" if pivot.to_agent else pivot.taker
    line.append(_flat(taker), PLANNER_STYLES.get(pivot.taker, "bold"))
    line.append(f": {_reason(pivot.reason)} ({_flat(pivot.reason)})")
    if decided and decided.reached and pivot.reason == decided.reason:
        line.append(f" ({'; '.join(_flat(one.words) for one in decided.reached)})")
    return line.append(f" {_flat(pivot.error)}", "red") if pivot.error else line


def _costs(turn: Turn) -> Text:
    cost = usd(turn.spent_microusd)
    if turn.cost_ceiling_microusd is not None:
        cost += f" of {usd(turn.cost_ceiling_microusd)}"
    reserved = f"{usd(turn.reserved_microusd)} reserved" if turn.reserved_microusd else ""
    tokens = f"{turn.input_tokens:,} tokens in, {turn.output_tokens:,} out"
    waited = sum(attempt.latency_ms or 0 for attempt in turn.attempts)
    return joined([cost, Text(reserved, "yellow"), tokens, f"model took {span(waited)}" if waited else ""])


def _place(at: Position) -> str:
    return f"turn {at[0]} call {at[1]}"


def _flat(text: str) -> str:
    return clean(text, lines=False)


def _reason(reason: str) -> str:
    return _flat(meaning(reason))
