"""The page of ``ballast what-if --html``: one file, no script, nothing from elsewhere; plots are inline SVG.

Everything that comes from a run is escaped, and control characters are neutralised. The page's policy
(``Content-Security-Policy``) allows nothing but its own style sheet, which it names by hash.
"""

from __future__ import annotations

import json
from base64 import b64encode
from collections.abc import Iterable, Mapping, Sequence
from hashlib import sha256
from html import escape
from typing import Any

from ballast.money.amounts import dollars
from cli.trace.text import clean
from cli.what_if.sums import Sums, Verdict, by_result, groups, in_words, money, signed
from localcloud.replay.what_if import Compared, Result

#: Runs in the plot of the greatest changes, and characters of a run's texts, of a name in a table and in a plot.
_PLOTTED, _CHARS, _NAME, _LABEL = 20, 300, 60, 24
#: A phone's width, so that the words of a plot are as large there as the page's.
_WIDTH = 360

_STYLE = """
:root { color-scheme: light dark; --ink: #1c2024; --dim: #5b6470; --paper: #fff; --soft: #f2f4f7; --line: #d6dbe1;
  --same: #8a94a3; --different: #2f6fd0; --stopped: #0f8a6c; --censored: #b7791f; --off: #8d4bbb; --not: #c0392b; }
@media (prefers-color-scheme: dark) { :root { --ink: #e8eaed; --dim: #a2abb8; --paper: #14171a; --soft: #1f2429;
  --line: #3a424b; --same: #7d8794; --different: #6ea8fe; --stopped: #3ecfa5; --censored: #e2b04a; --off: #c79bea;
  --not: #ff8a7a; } }
* { box-sizing: border-box; }
body { margin: 0 auto; padding: 1rem; max-width: 60rem; color: var(--ink); background: var(--paper);
  font: 16px/1.5 system-ui, sans-serif; overflow-wrap: anywhere; }
h1 { font-size: 1.5rem; line-height: 1.25; } h2 { font-size: 1.15rem; margin: 2rem 0 .5rem; }
p.dim, .dim { color: var(--dim); } code { font: .875em ui-monospace, monospace; }
.wide { overflow-x: auto; }
table { border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums; }
th, td { padding: .3rem .6rem .3rem 0; text-align: right; border-bottom: 1px solid var(--line); vertical-align: top; }
th { overflow-wrap: normal; } th:last-child, td:last-child { padding-right: 0; } td { white-space: nowrap; }
th:first-child, td:first-child { text-align: left; white-space: normal; min-width: 8rem; }
@media (max-width: 44rem) { thead { display: none; } table, tbody, tr, td { display: block; }
  tr { border-bottom: 1px solid var(--line); padding: .4rem 0; }
  td, td:first-child { display: flex; justify-content: space-between; gap: 1rem; border: 0; padding: .05rem 0;
    white-space: normal; } td:empty { display: none; }
  td::before { content: attr(data-of); color: var(--dim); } td:first-child { font-weight: 600; }
  td:first-child::before { content: none; } }
details { border-bottom: 1px solid var(--line); padding: .35rem 0; } summary { cursor: pointer; }
ul { margin: .3rem 0 .8rem; padding-left: 1.2rem; } li { margin: .35rem 0; }
svg { width: 100%; max-width: 30rem; height: auto; display: block; }
svg text { fill: var(--ink); font: 13px system-ui, sans-serif; }
svg text.dim { fill: var(--dim); } .was { fill: var(--same); } .axis { stroke: var(--line); }
.range { stroke: var(--censored); stroke-width: 3; } .move { stroke: var(--line); stroke-width: 2; }
.same { fill: var(--same); } .different { fill: var(--different); } .stopped { fill: var(--stopped); }
.censored { fill: var(--censored); } .off { fill: var(--off); } .not { fill: var(--not); }
.fails { border: 2px solid var(--not); padding: .5rem .8rem; }
"""
_MEANS = {
    Result.SAME: "every decision, effect and charge is as recorded",
    Result.DIFFERENT: "it ends by itself, in another way or at another cost",
    Result.STOPPED_EARLIER: "it ends, or asks a person, with fewer turns of the agent",
    Result.CENSORED: "it would have gone on after the record: its cost has bounds",
    Result.OFF_THE_RECORD: "it asks for what was never recorded: known until there",
    Result.NOT_CONCLUDED: "no ending yet, or not as recorded with nothing changed: in no sum",
}


def page(rows: Sequence[Compared], changes: Mapping[str, Any], judged: Sequence[Verdict]) -> str:
    """Return the page."""
    policy = f"default-src 'none'; style-src 'sha256-{b64encode(sha256(_STYLE.encode()).digest()).decode()}'"
    asked = ", ".join(
        f"{name} = {value if isinstance(value, str) else json.dumps(value)}" for name, value in changes.items()
    )
    fails = "".join(f'<p class="{"fails" if one.met else "dim"}">{_text(str(one))}</p>' for one in judged)
    body = "".join(
        [
            f"<h1>What if {_text(asked)}</h1>",
            f"<p>{_text(in_words(rows))}</p>",
            fails,
            "<h2>Runs by result</h2>",
            _bar_of_results(rows),
            _table("result", by_result(rows), whole=rows),
            "<h2>Cost</h2>",
            _bars_of_cost(rows),
            "<h2>The greatest changes of cost</h2>",
            _changes(rows),
            "<h2>By intent</h2>",
            _table("intent", groups(rows, lambda row: row.intent)),
            "<h2>By tenant</h2>",
            _table("tenant", groups(rows, lambda row: row.tenant)),
            "<h2>The runs behind each number</h2>",
            *(_runs(name, some) for name, some in by_result(rows).items()),
            '<p class="dim">Bounds hold unless a person hands a run back to the agent. docs/what-if.md</p>',
        ]
    )
    return (
        '<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8">'
        f'<meta http-equiv="Content-Security-Policy" content="{escape(policy)}">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        '<meta name="referrer" content="no-referrer">'
        f"<title>Ballast: what if</title><style>{_STYLE}</style></head><body>{body}</body></html>\n"
    )


def _text(text: str) -> str:
    """Return ``text`` as HTML: escaped, without control characters, on one line."""
    return escape(clean(text, lines=False)[: _CHARS * 4])


def _short(text: str, most: int) -> str:
    return text if len(text) <= most else f"{text[: most - 1]}…"


def _kind(result: Result) -> str:
    return str(result).split(" ")[0]


def _svg(height: int, parts: Iterable[str], label: str) -> str:
    return (
        f'<svg viewBox="0 0 {_WIDTH} {height}" role="img" aria-label="{_text(label)}">'
        f"<title>{_text(label)}</title>{''.join(parts)}</svg>"
    )


def _bar_of_results(rows: Sequence[Compared]) -> str:
    parts, x, found = [], 0, by_result(rows)
    for at, (name, some) in enumerate(found.items()):
        width = _WIDTH * len(some) // max(1, len(rows)) or 1
        kind = _kind(some[0].result)
        parts.append(f'<rect class="{kind}" x="{x}" y="0" width="{max(1, width - 1)}" height="28"/>')
        column, line = _WIDTH // 2 * (at % 2), 50 + 20 * (at // 2)
        parts.append(f'<rect class="{kind}" x="{column}" y="{line - 10}" width="10" height="10"/>')
        parts.append(f'<text x="{column + 16}" y="{line}">{_text(name)}: {len(some)}</text>')
        x += width
    return _svg(40 + 20 * ((len(found) + 1) // 2) + 10, parts, "How many runs had each result")


def _bars_of_cost(rows: Sequence[Compared]) -> str:
    """Draw the cost of all runs and of each intent: as recorded, and as it would have been, with its bounds."""
    known = [row for row in rows if row.result is not Result.NOT_CONCLUDED]
    named = {"all runs": known, **groups(known, lambda row: row.intent or "(no intent)")} if known else {}
    sums = {name: Sums.of(some) for name, some in list(named.items())[:12]}
    most = max([1, *(max(one.recorded_microusd, one.high) for one in sums.values())])
    parts = []
    for at, (name, one) in enumerate(sums.items()):
        y = 80 * at
        was, low, high = (_scaled(value, most) for value in (one.recorded_microusd, one.low, one.high))
        parts.append(f'<text x="0" y="{y + 14}">{_text(_short(name, _LABEL))}</text>')
        parts.append(f'<rect class="was" x="0" y="{y + 20}" width="{was}" height="12"/>')
        parts.append(f'<rect class="different" x="0" y="{y + 35}" width="{low}" height="12"/>')
        if not one.is_exact:
            parts.append(f'<line class="range" x1="{low}" y1="{y + 41}" x2="{high}" y2="{y + 41}"/>')
        parts.append(
            f'<text class="dim" x="0" y="{y + 62}">${dollars(one.recorded_microusd)} → ${_text(money(one))}</text>'
        )
    legend = '<p class="dim">Above: as recorded. Below: with the change; a line is what is not known.</p>'
    return _svg(max(1, 80 * len(sums)), parts, "Cost of all runs and of each intent") + legend


def _changes(rows: Sequence[Compared]) -> str:
    """Draw the runs whose cost changes most: from what was charged to what would have been, or its bounds."""
    moved = [row for row in rows if (row.low, row.high) != (row.recorded.cost_microusd,) * 2]
    moved = [row for row in moved if row.result is not Result.NOT_CONCLUDED]
    moved.sort(key=lambda row: -abs(row.recorded.cost_microusd - row.low) - (row.high - row.low))
    shown = moved[:_PLOTTED]
    if not shown:
        return "<p>No run costs more or less.</p>"
    most = max(max(row.recorded.cost_microusd, row.high) for row in shown)
    parts = []
    for at, row in enumerate(shown):
        y = 58 * at + 44
        was, low, high = (
            6 + _scaled(value, most) * 97 // 100 for value in (row.recorded.cost_microusd, row.low, row.high)
        )
        title, cost = f"{row.run_id}: {row.result}", _cost(row)
        parts.append(f"<g><title>{_text(title)}</title>")
        parts.append(f'<text x="0" y="{y - 28}">{_text(_short(row.run_id, 28))} {_text(row.result)}</text>')
        parts.append(f'<text class="dim" x="0" y="{y - 11}">{_text(cost)}</text>')
        parts.append(f'<line class="move" x1="{was}" y1="{y}" x2="{low}" y2="{y}"/>')
        if high > low:
            parts.append(f'<line class="range" x1="{low}" y1="{y}" x2="{high}" y2="{y}"/>')
        parts.append(f'<rect class="was" x="{was - 5}" y="{y - 5}" width="10" height="10" rx="5"/>')
        kind = _kind(row.result)
        parts.append(f'<rect class="{kind}" x="{low - 5}" y="{y - 5}" width="10" height="10" rx="5"/></g>')
    left = f" {len(moved) - len(shown)} more are not drawn." if len(moved) > len(shown) else ""
    return _svg(58 * len(shown) + 6, parts, "The runs whose cost changes most") + (
        f'<p class="dim">Grey: as recorded, up to ${dollars(most)}. Colour: with the change.{left}</p>'
    )


def _scaled(value: int, most: int) -> int:
    return max(_WIDTH * value // most, int(value > 0)) if most else 0


def _table(title: str, named: Mapping[str, Sequence[Compared]], whole: Sequence[Compared] = ()) -> str:
    heads = (title, "runs", "recorded $", "what if $", "turns", "effects not done", "effects only now", "people asked")
    lines = [*named.items(), *([("all", whole)] if whole else [])]
    body = "".join(_line(heads, name or "(none)", Sums.of(some)) for name, some in lines)
    head = "".join(f"<th>{_text(one)}</th>" for one in heads)
    return f'<div class="wide"><table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>'


def _line(heads: Sequence[str], name: str, sums: Sums) -> str:
    known = sums.concluded > 0
    cells = [
        _short(name, _NAME),
        sums.counted,
        dollars(sums.recorded_microusd) if known else "",
        money(sums) if known else "",
        signed(-sums.turns_saved) if known else "",
        str(sums.fewer) if known else "",
        str(sums.more) if known else "",
        signed(sums.people_more) if known else "",
    ]
    named = zip(heads, cells, strict=True)
    cells_of = (f'<td data-of="{_text(head)}">{_text(cell)}</td>' for head, cell in named)
    return f"<tr>{''.join(cells_of)}</tr>"


def _runs(name: str, rows: Sequence[Compared]) -> str:
    means = _text(_MEANS[rows[0].result])
    said = f"{_text(name)}: {len(rows)}"
    runs = "".join(map(_run, rows))
    return f'<details><summary>{said} <span class="dim">{means}</span></summary><ul>{runs}</ul></details>'


def _cost(row: Compared) -> str:
    cost = dollars(row.low) if row.low == row.high else f"{dollars(row.low)} to {dollars(row.high)}"
    return f"${dollars(row.recorded.cost_microusd)} → ${cost}"


def _run(row: Compared) -> str:
    about = " · ".join(one for one in (row.intent, row.tenant, row.source[:60]) if one)
    lines = [f"<code>{_text(row.run_id)}</code> {_text(_cost(row))}, {_text(about)}"]
    if row.why and row.result is not Result.SAME:
        where = f"<code>{_text(row.at)}</code> " if row.at else ""
        lines.append(f"{where}{_text(row.why[:_CHARS])}")
    lines += [f"not done: <code>{_text(one[:_CHARS])}</code>" for one in row.fewer]
    lines += [f"only now: <code>{_text(one[:_CHARS])}</code>" for one in row.more]
    return f"<li>{'<br>'.join(lines)}</li>"
