"""The cells of a run side by side: memorization, quality and the time that it took."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from rich.box import SIMPLE_HEAD
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from memtk.report.provenance import duration
from memtk.results import Result
from memtk.results.tradeoff import Side, Tradeoff, tradeoff
from memtk.results.wording import interval, share

WAYS = {
    "higher": "higher is better",
    "lower": "lower is better",
    "real": "nearer to real is better",
}
SHOWN = 2
"""Measures of quality in the terminal; the page shows all."""


@dataclass(frozen=True)
class Row:
    """One cell.

    Args:
        cell: its name.
        rate: its copy rate, and `bounds` the interval in words; empty where not computed.
        exposed: training images flagged, in words.
        judged: synthetic images that the verdict is about; `anew`: they were chosen by a score, and
            judged again.
        qualities: in words, in the order of the measures.
        time: of the training.
    """

    cell: str
    rate: str
    bounds: str
    exposed: str
    judged: int
    anew: bool
    qualities: tuple[str, ...]
    time: str


@dataclass(frozen=True)
class Comparison:
    """The table of a page.

    Args:
        rows: one a cell.
        measures: (name, which way is better, what real images score).
        figure: as a `data:` URI; None where no quality was measured.
        pictured: the measure that it shows; empty without a figure.
    """

    rows: tuple[Row, ...]
    measures: tuple[tuple[str, str, str], ...]
    figure: str | None
    pictured: str


def make_comparison(results: Sequence[Result]) -> Comparison | None:
    """Return what the page shows of several cells; None for one."""
    if len(results) < 2:
        return None
    found = tradeoff(results)
    figure, pictured = _figure(found)
    return Comparison(
        rows=tuple(_row(side, found) for side in found.sides),
        measures=tuple(
            (name, _way(found, name), _number(found.real[name])) for name in found.measures
        ),
        figure=figure,
        pictured=pictured,
    )


def compared(results: Sequence[Result]) -> tuple[str, ...]:
    """Return the measures of quality that `comparison_table` shows."""
    return tradeoff(results).measures[:SHOWN]


def comparison_table(results: Sequence[Result]) -> RenderableType:
    """Return a table of several cells for the terminal, with what real images score in brackets."""
    found = tradeoff(results)
    measures = found.measures[:SHOWN]
    table = Table(box=SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0))
    table.add_column("side by side", overflow="fold")
    for name in ("copy rate", "exposed", *measures, "training"):
        table.add_column(Text(name), justify="right")
    for side in found.sides:
        row = _row(side, found)
        ends = side.copy_rate
        rate = "-" if ends is None else f"{row.rate} [{100 * ends.low:.0f}-{100 * ends.high:.0f}]"
        table.add_row(
            Text(side.cell),
            Text(rate.replace(" %", "%")),
            row.exposed,
            *(Text(text) for text in row.qualities[:SHOWN]),
            row.time,
        )
    said = [f"{n}: {_way(found, n)}{_real(found, n)}" for n in measures]
    note = "copy rate: conformal, beyond chance [interval in %]; exposed: training images flagged"
    return Group(table, Text("; ".join([note, *said]) + ".", style="dim"))


def _row(side: Side, found: Tradeoff) -> Row:
    result, rate = side.result, side.copy_rate
    test, seconds = result.last.protocols.conformal, result.training_seconds
    return Row(
        cell=side.cell,
        rate=share(rate.estimate) if rate else "",
        bounds=interval(rate.low, rate.high, test.confidence) if rate and test.confidence else "",
        exposed="-" if test.n_mem is None else f"{test.n_mem} of {result.used_training.images}",
        judged=result.last.n_synthetic,
        anew=result.last.anew,
        qualities=tuple(_number(side.quality[name]) for name in found.measures),
        time="-" if seconds is None else duration(seconds),
    )


def _figure(found: Tradeoff) -> tuple[str | None, str]:
    """Draw the first measure of quality that two cells have."""
    from memtk.report.figures import Spot, View, draw_comparison

    for name in found.measures:
        rates, shares = [], []
        for side in found.sides:
            quality, rate = side.quality[name], side.copy_rate
            if quality is not None and rate is not None:
                ends = (rate.low, rate.high)
                rates.append(Spot(side.cell, quality, rate.estimate, ends))
            if quality is not None and side.exposed is not None:
                shares.append(Spot(side.cell, quality, side.exposed))
        drawn = draw_comparison(
            [View("Copy rate", rates), View("Training images exposed", shares)],
            [side.cell for side in found.sides],
            name,
            _way(found, name),
            found.real[name],
        )
        if drawn is not None:
            return drawn, name
    return None, ""


def _way(found: Tradeoff, name: str) -> str:
    return WAYS.get(found.better[name] or "", "which way is better is not known")


def _real(found: Tradeoff, name: str) -> str:
    real = found.real[name]
    return "" if real is None else f", real images {_number(real)}"


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.3g}"
