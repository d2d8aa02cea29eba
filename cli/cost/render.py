"""Draw an explanation of costs in a terminal."""

from collections.abc import Sequence

from rich.console import Group, RenderableType
from rich.text import Text

from ballast.money.amounts import dollars
from cli.cost.explain import Explanation, Sum, total
from cli.trace.layout import Columns, Plain
from cli.trace.render import corrected
from cli.trace.text import clean

#: Rows of a table in a terminal; the others become one row.
_MOST = 12


def render(made: Explanation) -> RenderableType:
    """Draw the totals, then a table for each grouping."""
    tables = [_table(name, sums) for name, sums in made.tables().items() if sums]
    return Group(*map(Plain, _head(made)), *tables)


def _head(made: Explanation) -> list[Text]:
    sums, count = made.total, len(made.runs)
    what = made.runs[0] if count == 1 else f"{count} runs"
    lines = [
        Text(f"{what}: ${dollars(sums.charged)} of ${dollars(made.ceiling)} charged", "bold"),
        Text(f"  reserved ${dollars(sums.reserved)} over all attempts, {_returned(sums)}"),
    ]
    rest = "will return to the budget at the end" if made.running else "was returned to the budget"
    if made.unspent >= 0:
        lines.append(Text(f"  ${dollars(made.unspent)} of the ceiling {rest}"))
    else:
        lines.append(Text(f"  ${dollars(-made.unspent)} more than the ceiling was charged", "red"))
    lines += _corrected(made)
    unknown = [charge for charge in made.charges if charge.outcome == "open"]
    if unknown:
        worst = dollars(sum(charge.charged for charge in unknown))
        lines.append(
            Text(f"  ${worst} of it is the worst case of {len(unknown)} attempts without an outcome", "yellow")
        )
    if bound := [charge for charge in made.charges if charge.bound_because]:
        worst = dollars(sum(charge.charged for charge in bound))
        many = "a reply" if len(bound) == 1 else f"{len(bound)} replies"
        said = f"${worst} of it is the most that {many} without a usage that can be right could have cost"
        lines.append(Text(f"  {said}", "yellow"))
    if made.saved:
        lines.append(Text(f"  stopped loops would have cost about ${dollars(made.saved)} more", "green"))
    lines += _cached(sums)
    versions = sorted({charge.price_version for charge in made.charges if charge.price_version})
    if versions:
        lines.append(Text(f"  prices: version {', '.join(versions)}", "dim"))
    return lines


def _cached(sums: Sum) -> list[Text]:
    """Return what the provider's prompt cache saved, or cost; nothing if no token was cached."""
    if not sums.cache_read and not sums.cache_saved:
        return []
    percent = 100 * sums.cache_read // max(1, sums.input_tokens)
    read = f"{percent}% of the input tokens were read from the prompt cache"
    if sums.cache_saved >= 0:
        return [Text(f"  {read}, which saved ${dollars(sums.cache_saved)}", "green")]
    return [Text(f"  {read}; writing to it cost ${dollars(-sums.cache_saved)} more than that saved", "yellow")]


def _corrected(made: Explanation) -> list[Text]:
    """Return operators' corrections and the corrected total."""
    lines = []
    for run_id, said in list(made.corrected.items())[:_MOST]:
        whose = "  " if len(made.runs) == 1 else f"  {clean(run_id, lines=False)} "
        lines.append(Text(f"{whose}{corrected(said)}", "bold yellow"))
    if len(made.corrected) > _MOST:
        lines.append(Text(f"  and {len(made.corrected) - _MOST} more were corrected", "bold yellow"))
    if made.corrected and len(made.runs) > 1:
        lines.append(Text(f"  with these corrections the total is ${dollars(made.as_corrected)}", "bold"))
    return lines


def _returned(sums: Sum) -> str:
    returned = sums.reserved - sums.charged
    if returned < 0:
        return f"and ${dollars(-returned)} more than that was used"
    return f"of which ${dollars(returned)} was returned"


def _table(name: str, sums: Sequence[Sum]) -> Columns:
    shown = [(one.name, one) for one in sums[:_MOST]]
    rest = sums[_MOST:]
    if rest:
        shown.append((f"and {len(rest)} more", total(rest)))
    cached = any(one.cache_read or one.cache_saved for one in sums)
    more = ("cached", "cache saved $") if cached else ()
    heads = (name, "charges", "tokens in", "out", "reserved $", "charged $", *more)
    rows = [_row(label, one, cached=cached, comma=True) for label, one in shown]
    piped = [_row(one.name, one, cached=cached, comma=False) for one in sums]
    return Columns(f"by {name}", heads, rows, piped=piped)


def _row(label: str, one: Sum, *, cached: bool, comma: bool) -> tuple[str, ...]:
    def count(number: int) -> str:
        return f"{number:,}" if comma else str(number)

    counts = (one.count, one.input_tokens, one.output_tokens)
    row = (clean(label, lines=False), *map(count, counts), dollars(one.reserved), dollars(one.charged))
    return (*row, count(one.cache_read), dollars(one.cache_saved)) if cached else row
