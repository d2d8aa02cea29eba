"""An explanation of costs, drawn for a person."""

from collections.abc import Sequence

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from ballast.money.amounts import dollars
from local.cost.explain import Explanation
from local.cost.sums import Sum
from local.trace.clean import clean

#: Rows of a table; the rest is one row more.
_MOST = 12


def render(made: Explanation) -> RenderableType:
    """Draw it: what it came to, then where it went."""
    tables = [_table(name, sums) for name, sums in made.tables().items() if sums]
    return Group(*_head(made), *tables)


def _head(made: Explanation) -> list[Text]:
    sums, count = made.total, len(made.runs)
    what = made.runs[0] if count == 1 else f"{count} runs"
    lines = [
        Text(f"{what}: ${dollars(sums.charged)} charged of ${dollars(made.ceiling)}", "bold"),
        Text(f"  reserved ${dollars(sums.reserved)} attempt by attempt, of which {_came_back(sums)}"),
    ]
    rest = "goes back to the windows when they end" if made.running else "went back to the windows"
    lines.append(Text(f"  ${dollars(made.unspent)} of the ceiling {rest}"))
    unknown = [charge for charge in made.charges if charge.outcome == "open"]
    if unknown:
        worst = dollars(sum(charge.charged for charge in unknown))
        lines.append(Text(f"  ${worst} of it is the worst case of {len(unknown)} without an outcome", "yellow"))
    if made.saved:
        lines.append(
            Text(f"  stopped loops would have burned about ${dollars(made.saved)} more by their limits", "green")
        )
    versions = sorted({charge.price_version for charge in made.charges if charge.price_version})
    if versions:
        lines.append(Text(f"  prices: version {', '.join(versions)}", "dim"))
    return lines


def _came_back(sums: Sum) -> str:
    returned = sums.reserved - sums.charged
    if returned < 0:
        return f"nothing came back: ${dollars(-returned)} more was used than promised"
    return f"${dollars(returned)} came back"


def _table(name: str, sums: Sequence[Sum]) -> Table:
    table = Table(
        title=f"by {name}", title_justify="left", title_style="bold", box=None, pad_edge=False, padding=(0, 2)
    )
    for heading in (name, "charges", "tokens in", "out", "reserved $", "charged $"):
        table.add_column(heading, justify="left" if heading == name else "right", overflow="fold")
    for one in sums[:_MOST]:
        _row(table, one)
    if len(sums) > _MOST:
        rest = Sum(f"and {len(sums) - _MOST} more")
        for one in sums[_MOST:]:
            rest = Sum(
                rest.name,
                rest.count + one.count,
                rest.reserved + one.reserved,
                rest.charged + one.charged,
                rest.input_tokens + one.input_tokens,
                rest.output_tokens + one.output_tokens,
            )
        _row(table, rest)
    return table


def _row(table: Table, one: Sum) -> None:
    numbers = (f"{one.count:,}", f"{one.input_tokens:,}", f"{one.output_tokens:,}")
    table.add_row(clean(one.name), *numbers, dollars(one.reserved), dollars(one.charged))
