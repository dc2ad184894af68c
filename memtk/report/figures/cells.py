"""Figures of the cells of a run: over their training, and memorization against quality."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.artist import Artist
from matplotlib.axes import Axes

from memtk.report.figures.style import (
    DASHED,
    INK,
    LAST,
    MUTED,
    OTHER,
    SERIES,
    SYNTHETIC,
    abreast,
    as_uri,
    in_percent,
    label,
    panels,
    quiet,
)
from memtk.report.quality import QualityRow
from memtk.results import Result
from memtk.results.measures import main_measures, measures_of, named_measures
from memtk.results.schema import Losses


@dataclass(frozen=True)
class Curve:
    """Shares over the checkpoints, None where one was not computed, and their null, if known."""

    name: str
    color: str
    shares: Sequence[float | None]
    null: float | None


def draw_checkpoints(result: Result) -> str | None:
    """Return the figure as a `data:` URI; None for a single checkpoint, which has no course.

    Left: share of the training images memorized by each protocol. Right: share of the synthetic
    images that are copies. Dashed, in the same colour: what a generator that has memorized nothing
    would score.
    """
    checkpoints = result.checkpoints
    if len(checkpoints) < 2:
        return None
    with quiet():
        figure = panels(2)
        for axes, title, side in (
            (figure.axes[0], "Training images memorized", "training"),
            (figure.axes[1], "Synthetic images that are copies", "synthetic"),
        ):
            _draw_shares(axes, [c.step for c in checkpoints], curves_of(result, side))
            label(axes, title, "training steps")
        return as_uri(figure)


def curves_of(result: Result, side: str) -> list[Curve]:
    """Return a curve for each main measure of one side, over the checkpoints."""
    found = [{m.name: m for m in measures_of(result, c)} for c in result.checkpoints]
    known = named_measures((result, c) for c in result.checkpoints)
    shown = [m for m in main_measures(known.values()) if m.record.side == side and m.record.of]
    curves = []
    for number, measure in enumerate(shown):
        records = [each[measure.name].record if measure.name in each else None for each in found]
        nulls = [record.null for record in records if record and record.null is not None]
        curves.append(
            Curve(
                f"{measure.protocol}: {measure.record.title.replace('<=', '≤')}",
                SERIES[number % len(SERIES)],
                [record.value if record else None for record in records],
                nulls[-1] if nulls else None,
            )
        )
    return curves


def _draw_shares(axes: Axes, steps: list[int], curves: list[Curve]) -> None:
    for number, curve in enumerate(curves):
        points = [(s, 100 * v) for s, v in zip(steps, curve.shares, strict=True) if v is not None]
        if not points:
            continue
        x, y = zip(*points, strict=True)
        line = axes.plot(x, y, color=curve.color, marker="o", label=curve.name, clip_on=False)[0]
        if number == 0:  # drawn broad, so that it is seen below a curve that coincides with it
            line.set(linewidth=4.5, markersize=8, alpha=0.4, markeredgewidth=0)
        else:
            line.set(markersize=4.5)
        if curve.null is not None:
            axes.axhline(100 * curve.null, color=curve.color, linestyle=DASHED, linewidth=1.1)
    axes.plot([], [], color=MUTED, linestyle=DASHED, linewidth=1.1, label="nothing memorized")
    in_percent(axes, 103)
    axes.set_xticks(steps if len(steps) <= 8 else steps[:: -(-len(steps) // 8)])
    axes.legend(loc="upper left", bbox_to_anchor=(0, 0.99))


def draw_quality(result: Result, rows: Sequence[QualityRow]) -> str | None:
    """Return the figure as a `data:` URI; None for a single checkpoint, or without measures.

    First panel: the first main measure of either side, and the estimated copy rate. Then one panel
    a measure; dashed, what real images score.
    """
    steps = [c.step for c in result.checkpoints]
    drawn = [row for row in rows if len(_points(steps, row)) > 1]
    if not drawn:
        return None
    with quiet():
        figure = panels(len(drawn) + 1, width=3.45, height=2.3, columns=3)
        _memorization(figure.axes[0], steps, result)
        for axes, row in zip(figure.axes[1:], drawn, strict=False):
            _measure(axes, steps, row)
        for axes in figure.axes[: len(drawn) + 1]:
            axes.set_xticks(steps if len(steps) <= 5 else steps[:: -(-len(steps) // 5)])
        return as_uri(figure)


def _memorization(axes: Axes, steps: list[int], result: Result) -> None:
    rates = [c.evidence.copy_rate for c in result.checkpoints]
    curves = [(c.name, c.color, c.shares) for c in curves_of(result, "training")[:1]]
    curves += [(c.name, OTHER, c.shares) for c in curves_of(result, "synthetic")[:1]]
    by = result.last.evidence.readers_note("\nlast: {}")
    curves.append((f"copy rate, estimated{by}", LAST, [r.estimate if r else None for r in rates]))
    for name, color, shares in curves:
        points = [(s, 100 * v) for s, v in zip(steps, shares, strict=True) if v is not None]
        if points:
            x, y = zip(*points, strict=True)
            axes.plot(x, y, color=color, marker="o", markersize=4, label=name, clip_on=False)
    label(axes, "Memorization", "training steps")
    in_percent(axes, 103)
    axes.legend(loc="upper left", fontsize=7.5)


def _measure(axes: Axes, steps: list[int], row: QualityRow) -> None:
    x, y = zip(*_points(steps, row), strict=True)
    axes.plot(x, y, color=SYNTHETIC, marker="o", markersize=4, clip_on=False)
    if row.real is not None:
        axes.axhline(row.real, color=MUTED, linestyle=DASHED, linewidth=1.1, label="real images")
        axes.margins(y=0.18)
    label(axes, row.name, row.good or "training steps")


def _points(steps: list[int], row: QualityRow) -> list[tuple[int, float]]:
    """Return the checkpoints at which a measure has a number; not the one judged anew."""
    return [(s, v) for s, v in zip(steps, row.values, strict=False) if v is not None]


def draw_losses(training: Mapping[str, Losses]) -> str | None:
    """Return the figure as a `data:` URI, one panel a phase; None where nothing was trained.

    Args:
        training: by model and phase, `(steps done, {term: value})`. The faint line is what was
            recorded, the strong one its running mean.
    """
    phases = [
        (f"{model}: {phase}", points)
        for model, losses in training.items()
        for phase, points in losses.items()
        if points
    ]
    if not phases:
        return None
    with quiet():
        figure = panels(len(phases), width=3.45, height=2.3, columns=3)
        for axes, (title, points) in zip(figure.axes, phases, strict=False):
            _draw_losses(axes, points)
            label(axes, title, "training steps")
        return as_uri(figure)


def _draw_losses(axes: Axes, points: list[tuple[int, dict[str, float]]]) -> None:
    terms = list(dict.fromkeys(term for _, values in points for term in values))
    low, high = np.inf, -np.inf
    for number, term in enumerate(terms):
        found = [(step, values[term]) for step, values in points if term in values]
        steps, losses = (np.array(part, dtype=float) for part in zip(*found, strict=True))
        color = SERIES[number % len(SERIES)]
        axes.plot(steps, losses, color=color, linewidth=0.8, alpha=0.3)
        axes.plot(steps, running_mean(losses), color=color, linewidth=1.6, label=term)
        low, high = min(low, float(np.nanmin(losses))), max(high, float(np.nanmax(losses)))
    if 0 < 20 * low < high:
        axes.set_yscale("log")
    axes.legend(loc="upper right", fontsize=8)


def running_mean(values: np.ndarray) -> np.ndarray:
    """Return the mean of each value with its neighbours, 4% of the curve to either side.

    >>> running_mean(np.array([1.0, 2.0, 6.0])).tolist()
    [1.0, 2.0, 6.0]
    """
    reach = round(0.04 * len(values))
    sums = np.concatenate([[0.0], np.cumsum(values)])
    first = np.maximum(np.arange(len(values)) - reach, 0)
    last = np.minimum(np.arange(len(values)) + reach + 1, len(values))
    return (sums[last] - sums[first]) / (last - first)


MARKERS = "osD^vP*X"
"""With the colours they tell more cells apart than there are colours."""


@dataclass(frozen=True)
class Spot:
    """Where a cell stands: quality, memorized share in [0, 1], and its interval if it has one."""

    name: str
    quality: float
    share: float
    interval: tuple[float, float] | None = None


@dataclass(frozen=True)
class View:
    """One way to count what is memorized, for the axis upwards: cells that have both numbers."""

    title: str
    spots: Sequence[Spot]


def draw_comparison(
    views: Sequence[View], cells: Sequence[str], measure: str, better: str, real: float | None
) -> str | None:
    """Return the figure as a `data:` URI; None where fewer than two cells could be compared.

    Args:
        cells: all of the run, whose place decides on mark and colour.
        measure: of quality, along the axis.
        better: which of its values are good, in words.
        real: what real images score in it, dotted; None where there is no such line.
    """
    shown = [view for view in views if len(view.spots) > 1]
    if not shown:
        return None
    marks = {
        name: (MARKERS[i % len(MARKERS)], SERIES[i % len(SERIES)]) for i, name in enumerate(cells)
    }
    with quiet():
        figure = panels(len(shown), width=10.35 / max(2, len(shown)), height=3.3)
        for axes, view in zip(figure.axes, shown, strict=False):
            _draw(axes, view, marks)
            if real is not None:
                axes.axvline(
                    real, color=MUTED, linestyle=(0, (1, 2)), linewidth=1.3, label="real images"
                )
            axes.margins(x=0.12)
            label(axes, view.title, f"{measure} ({better})")
            ends = [s.interval[1] if s.interval else s.share for s in view.spots]
            in_percent(axes, min(103.0, max(10.0, 108 * max(ends))))
        handles: dict[str, Artist] = {}
        for axes in figure.axes:
            for handle, name in zip(*axes.get_legend_handles_labels(), strict=True):
                handles.setdefault(name, handle)
        figure.legend(handles.values(), handles, loc="outside lower center", ncols=abreast(4))
        return as_uri(figure)


def _draw(axes: Axes, view: View, marks: dict[str, tuple[str, str]]) -> None:
    for spot in view.spots:
        marker, color = marks[spot.name]
        share = 100 * spot.share
        if spot.interval is not None:
            low, high = (100 * end for end in spot.interval)
            axes.vlines(spot.quality, low, high, color=color, linewidth=1.4, alpha=0.55)
        axes.plot(
            spot.quality,
            share,
            marker,
            color=color,
            markersize=7,
            markeredgecolor="white",
            markeredgewidth=0.6,
            linestyle="none",
            label=spot.name,
            clip_on=False,
            zorder=3,
        )


@dataclass(frozen=True)
class Place:
    """Where a setting stands: a quality and a memorized share each seed; `number` is its colour."""

    name: str
    number: int
    qualities: tuple[float, ...]
    shares: tuple[float, ...]


def draw_tradeoff(
    drawn: Sequence[tuple[str, Sequence[Place], float | None]], *, up: str
) -> str | None:
    """Return the figure as a `data:` URI; None where fewer than two settings could be compared.

    Args:
        drawn: (quality measure, settings, what real images score in it).
        up: what the axis upwards means.
    """
    shown = [(name, places, real) for name, places, real in drawn if len(places) > 1]
    if not shown:
        return None
    columns = min(3, max(2, len(shown)))
    with quiet():
        figure = panels(len(shown), width=10.35 / columns, height=2.9, columns=columns)
        for axes, (name, places, real) in zip(figure.axes, shown, strict=False):
            for place in places:
                color = SERIES[place.number % len(SERIES)]
                shares = [100 * share for share in place.shares]
                middle = sum(place.qualities) / len(shares), sum(shares) / len(shares)
                if len(shares) > 1:
                    axes.plot(place.qualities, shares, ".", color=color, alpha=0.6, markersize=4)
                axes.plot(*middle, "o", color=color, markersize=7, clip_on=False)
                axes.annotate(
                    place.name, middle, (6, 5), textcoords="offset points", fontsize=7.5, color=INK
                )
            if real is not None:
                axes.axvline(real, color=MUTED, linestyle=(0, (1, 2)), linewidth=1.2)
            axes.margins(x=0.25)
            label(axes, name, name, up)
            in_percent(axes, max(10.0, 1.25 * max(100 * s for p in places for s in p.shares)))
        return as_uri(figure)
