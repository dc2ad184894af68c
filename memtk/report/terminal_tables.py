"""Tables of the terminal: the cells of a run side by side, their quality, attacks on them."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Literal

from rich.box import SIMPLE_HEAD
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from memtk.errors import many
from memtk.report.quality import QualityRow, compare_cells, quality_rows
from memtk.results import Audit, MeasureRecord, Membership, Privacy, Result, TprAtFpr, contradiction
from memtk.results.formats import ends, number, share
from memtk.results.measures import Measured, tradeoff

FEW = 3
"""Cells that stand side by side; more stand below each other."""

ABREAST = 4
"""Measures beside each other; more go into another table."""

COMPARED = 2
"""Measures of quality beside the copy rate; the page shows all."""


def make_table(
    first: str,
    *columns: str,
    justify: Literal["left", "right"] = "right",
    gap: int = 1,
    whole: bool = False,
) -> Table:
    """Return an empty table. In a narrow terminal cells are folded, never cut.

    Args:
        first: heading of the names, and `columns` those of the numbers.
        whole: whether headings are never folded.
    """
    table = Table(box=SIMPLE_HEAD, pad_edge=False, padding=(0, gap, 0, 0))
    table.add_column(Text(first), overflow="fold")
    for column in columns:
        width = max(map(len, column.split("\n"))) if whole else None
        table.add_column(Text(column), justify=justify, overflow="fold", min_width=width)
    return table


def between(low: float, high: float) -> str:
    """Return the ends of an interval of fractions, in per cent.

    >>> between(0.279, 0.39), between(1, 1)
    ('[27.9-39]', '[100]')
    """
    return f"[{ends(low, high)}]".replace("%", "").replace(" to ", "-")


def brief(record: MeasureRecord | None) -> str:
    """Return a measure in few characters: count, share, and in brackets what chance would give."""
    if record is None or record.value is None:
        return "-"
    if record.of is None:
        return f"{record.value:.4g}{'' if record.null is None else f' [{record.null:.4g}]'}"
    whole = isinstance(record.count, int)
    null = "" if record.null is None else f" [{share(record.null)}]"
    return (
        f"{record.count} {share(record.value)}{null}" if whole else f"{share(record.value)}{null}"
    )


def legend(measures: Sequence[Measured]) -> str:
    """Return what the measures of a table are, by protocol."""
    by: dict[str, list[str]] = {}
    for each in measures:
        by.setdefault(each.protocol, []).append(f"{each.key} = {each.record.title}")
    return "; ".join(f"{protocol}: {', '.join(said)}" for protocol, said in by.items()) + "."


def compared(results: Sequence[Result]) -> tuple[str, ...]:
    """Return the measures of quality that `comparison_table` shows."""
    return tradeoff(results).measures[:COMPARED]


def comparison_table(results: Sequence[Result]) -> RenderableType:
    """Return a table of several cells, with what real images score below it."""
    comparison = compare_cells(results)
    measures = comparison.measures[:COMPARED]
    names = [name for name, _, _ in measures]
    table = make_table("side by side", "copy rate", "exposed", *names, "training")
    for side, row in zip(comparison.found.sides, comparison.rows, strict=True):
        ends = side.copy_rate
        rate = "–" if ends is None else f"{row.rate} {between(ends.low, ends.high)}"
        if ends and side.result.last.evidence.by_readers:
            rate += "\nby readers"
        cells = (rate, row.exposed, *row.qualities[:COMPARED], row.time)
        table.add_row(Text(side.cell), *map(Text, cells))
    note = "copy rate: beyond chance [interval in %]; exposed: training patients, low to high"
    said = [
        f"{name}: {way}{'' if real == '–' else f', real images {real}'}"
        for name, way, real in measures
    ]
    if any("by readers" in row.bounds for row in comparison.rows):
        note += "; by readers: sensitivity by readers"
    return Group(table, Text("; ".join([note, *said]) + ".", style="dim"))


def quality_table(
    results: Sequence[Result | Audit], elsewhere: Collection[str] = ()
) -> RenderableType | None:
    """Return each measure of each cell at the checkpoint that counts, or of an audit; maybe None.

    In brackets stands what real images score in the place of the synthetic ones.

    Args:
        elsewhere: measures that are shown already, and left out.
    """
    known = [
        {row.name: row for row in quality_rows([r] if isinstance(r, Audit) else r.evaluated)}
        for r in results
    ]
    names = list(dict.fromkeys(name for rows in known for name in rows if name not in elsewhere))
    if not names:
        return None
    cells = ["synthetic images" if isinstance(r, Audit) else r.cell for r in results]
    tables = []
    if len(cells) <= FEW:
        tables.append(table := make_table("quality", *cells))
        for name in names:
            table.add_row(Text(_title(name, known)), *(_number(rows.get(name)) for rows in known))
    else:
        for start in range(0, len(names), ABREAST):
            part = names[start : start + ABREAST]
            # the extractor on a line of its own
            titles = [_title(name, known).replace("[", "\n[") for name in part]
            tables.append(table := make_table("quality", *titles))
            for cell, rows in zip(cells, known, strict=True):
                table.add_row(Text(cell), *(_number(rows.get(name)) for name in part))
    said = (
        "[in brackets: real images in their place]  ↑ higher is better, ↓ lower is better, "
        "≈ nearer to real is better"
    )
    return Group(*tables, Text(said, style="dim"))


def attacks_table(results: Sequence[Result]) -> RenderableType | None:
    """Return a line for each attack on each generator; None where there was none."""
    if not any(result.membership for result in results):
        return None
    bounded = any(m.epsilon for result in results for m in result.membership.values())
    titles = ["membership attack", "on", "AUC [chance: 0.5]", "members found [chance]"]
    titles += ["epsilon [accountant]"] if bounded else []
    table = make_table(*titles, justify="left", gap=2)
    notes: list[str] = []
    for result in results:
        for name, found in result.membership.items():
            shown = [*_attack(found), *([_epsilon(found, result.privacy)] if bounded else [])]
            table.add_row(name, Text(result.cell), *shown)
            few = found.tpr_at_fpr
            if few and few.reason:
                notes.append(few.reason)
            if bound := found.epsilon:
                could = (
                    f"{many(bound.patients, 'canary')} could show an epsilon of {bound.largest:.2f}"
                )
                notes.append(f"{could} at most")
    notes = [
        "members found: how many training images, at which false positive rate; chance: the rate "
        "that the threshold has on others, (k + 1) / (Q + 1) with k of Q non-member patients above "
        "it",
        *([EPSILON] if bounded else []),
        *notes,
    ]
    said = [Text(f"{note}.", style="dim") for note in dict.fromkeys(notes)]
    wrong = [(r.cell, contradiction(r.membership, r.privacy)) for r in results]
    loud = [Text(f"{cell}: {why}", style="bold red") for cell, why in wrong if why]
    return Group(table, *said, *loud)


EPSILON = (
    "epsilon: at least this, for this training run and this attack, by guesses at who of the "
    "canaries took part, so many right; 95% confidence; a low bound proves nothing"
)


def _title(name: str, known: Sequence[Mapping[str, QualityRow]]) -> str:
    sign = next(rows[name].sign for rows in known if name in rows)
    return f"{name} {sign}".strip()


def _number(row: QualityRow | None) -> Text:
    if row is None:
        return Text("–")
    line = f" [{number(row.real)}]" if row.real is not None else ""
    return Text(number(row.values[-1]) + line)


def _attack(found: Membership) -> tuple[str, str]:
    if found.auc is None or found.tpr_at_fpr is None:
        return "–", found.reason
    auc, few, chance = found.auc, found.tpr_at_fpr, found.chance
    rate = f"{100 * few.rate.low:.0f} to {100 * few.rate.high:.0f}"
    null = "" if chance is None else f" [{_null(few, chance)}]"
    return (
        f"{auc.estimate:.2f} ({auc.low:.2f} to {auc.high:.2f})",
        f"{share(few.rate.estimate)} ({rate}) at {share(few.fpr)}{null}",
    )


def _null(few: TprAtFpr, chance: float) -> str:
    if few.chance is None:  # of an older file
        return share(chance)
    return f"{share(chance)}, {100 * few.chance.low:.0f} to {100 * few.chance.high:.0f}"


def _epsilon(found: Membership, privacy: Privacy | None) -> str:
    if found.epsilon is None:
        return "–"
    claimed = "" if privacy is None else f" [{privacy.epsilon:.3g}]"
    right = ", ".join(f"{each.right} of {each.count}" for each in found.epsilon.tried)
    return f"≥ {found.epsilon.low:.2f}{claimed} ({right})"
