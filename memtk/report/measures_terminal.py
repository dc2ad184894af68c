"""The measures of quality of all cells of a run, for the terminal."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

from rich.box import SIMPLE_HEAD
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from memtk.report.measures import Row, rows_of, shown
from memtk.results import Result

FEW = 3
"""Cells that stand side by side; more stand below each other."""

ABREAST = 4
"""Measures beside each other; more go into another table."""


def quality_table(
    results: Sequence[Result], elsewhere: Collection[str] = ()
) -> RenderableType | None:
    """Return each measure of each cell at the checkpoint that counts; None without any.

    In brackets stands what real images score in the place of the synthetic ones.

    Args:
        elsewhere: measures that are shown already, and left out.
    """
    known = [{row.name: row for row in rows_of(result)} for result in results]
    names = list(dict.fromkeys(name for rows in known for name in rows if name not in elsewhere))
    if not names:
        return None
    cells = [result.cell for result in results]
    if len(cells) <= FEW:
        titles = [_title(name, known) for name in names]
        tables = [_table(cells, titles, [[_number(rows.get(n)) for rows in known] for n in names])]
    else:
        tables = []
        for start in range(0, len(names), ABREAST):
            part = names[start : start + ABREAST]
            # the extractor on a line of its own
            titles = [_title(name, known).replace("[", "\n[") for name in part]
            lines = [[_number(rows.get(name)) for name in part] for rows in known]
            tables.append(_table(titles, cells, lines))
    return Group(
        *tables,
        Text(
            "[in brackets: real images in their place]  ↑ higher is better, ↓ lower is better, "
            "≈ nearer to real is better",
            style="dim",
        ),
    )


def _table(above: Sequence[str], beside: Sequence[str], lines: Sequence[Sequence[str]]) -> Table:
    table = Table(box=SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0))
    table.add_column("quality", overflow="fold")
    for title in above:
        table.add_column(Text(title), justify="right", overflow="fold")
    for name, line in zip(beside, lines, strict=True):
        table.add_row(Text(name), *map(Text, line))
    return table


def _title(name: str, known: Sequence[Mapping[str, Row]]) -> str:
    sign = next(rows[name].sign for rows in known if name in rows)
    return f"{name} {sign}".strip()


def _number(row: Row | None) -> str:
    if row is None:
        return "-"
    line = f" [{shown(row.real)}]" if row.real is not None else ""
    return shown(row.values[-1]) + line
