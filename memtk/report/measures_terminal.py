"""The measures of quality of all cells of a run, for the terminal."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from rich.box import SIMPLE_HEAD
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from memtk.report.measures import rows_of, shown
from memtk.results import Result


def quality_table(
    results: Sequence[Result], elsewhere: Collection[str] = ()
) -> RenderableType | None:
    """Return each measure at the checkpoint that counts, one column a cell; None without any.

    In brackets stands what real images score in the place of the synthetic ones.

    Args:
        elsewhere: measures that are shown already, and left out.
    """
    known = [{row.name: row for row in rows_of(result)} for result in results]
    names = dict.fromkeys(name for rows in known for name in rows if name not in elsewhere)
    if not names:
        return None
    table = Table(box=SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0))
    table.add_column("quality", overflow="fold")
    for result in results:
        table.add_column(Text(result.cell), justify="right", overflow="fold")
    for name in names:
        sign = next((rows[name].sign for rows in known if name in rows), "")
        cells = []
        for rows in known:
            row = rows.get(name)
            value = row.values[-1] if row else None
            line = f" [{shown(row.real)}]" if row and row.real is not None else ""
            cells.append(Text(shown(value) + line))
        table.add_row(Text(f"{name} {sign}".strip()), *cells)
    return Group(
        table,
        Text(
            "[in brackets: real images in their place]  ↑ higher is better, ↓ lower is better, "
            "≈ nearer to real is better",
            style="dim",
        ),
    )
