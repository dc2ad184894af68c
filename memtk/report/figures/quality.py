"""Figure: memorization, and each measure of quality, in the course of training."""

from __future__ import annotations

from collections.abc import Sequence

from matplotlib.axes import Axes

from memtk.report.figures.style import (
    LAST,
    MUTED,
    OTHER,
    SYNTHETIC,
    as_uri,
    in_percent,
    label,
    panels,
    quiet,
)
from memtk.report.measures import Row
from memtk.results import Checkpoint

DASHED = (0, (4, 3))
COLUMNS = 3


def draw_quality(checkpoints: Sequence[Checkpoint], rows: Sequence[Row]) -> str | None:
    """Return the figure as a `data:` URI; None for a single checkpoint, or without measures.

    First panel: share of the training images that are memorized and of the synthetic images that
    are copies by the reference rule, and the estimated copy rate. Then one panel a measure; dashed,
    what real images score.

    Args:
        checkpoints: in the order of their steps.
        rows: the measures, by checkpoint.
    """
    steps = [c.step for c in checkpoints]
    drawn = [row for row in rows if len(_points(steps, row)) > 1]
    if not drawn:
        return None
    with quiet():
        figure = panels(len(drawn) + 1, width=3.45, height=2.3, columns=COLUMNS)
        _memorization(figure.axes[0], steps, checkpoints)
        for axes, row in zip(figure.axes[1:], drawn, strict=False):
            _measure(axes, steps, row)
        for axes in figure.axes[: len(drawn) + 1]:
            axes.set_xticks(steps if len(steps) <= 5 else steps[:: -(-len(steps) // 5)])
        return as_uri(figure)


def _memorization(axes: Axes, steps: list[int], checkpoints: Sequence[Checkpoint]) -> None:
    protocols = [c.protocols for c in checkpoints]
    curves: list[tuple[str, str, list[float | None]]] = [
        ("memorized", SYNTHETIC, [p.dar.mem_fraction for p in protocols]),
        ("copies", OTHER, [p.dar.copy_fraction for p in protocols]),
        (
            "copy rate, estimated",
            LAST,
            [p.conformal.copy_rate.estimate if p.conformal.copy_rate else None for p in protocols],
        ),
    ]
    for name, color, shares in curves:
        points = [(s, 100 * v) for s, v in zip(steps, shares, strict=True) if v is not None]
        if points:
            x, y = zip(*points, strict=True)
            axes.plot(x, y, color=color, marker="o", markersize=4, label=name, clip_on=False)
    label(axes, "Memorization", "training steps")
    in_percent(axes, 103)
    axes.legend(loc="upper left", fontsize=7.5)


def _measure(axes: Axes, steps: list[int], row: Row) -> None:
    x, y = zip(*_points(steps, row), strict=True)
    axes.plot(x, y, color=SYNTHETIC, marker="o", markersize=4, clip_on=False)
    if row.real is not None:
        axes.axhline(row.real, color=MUTED, linestyle=DASHED, linewidth=1.1, label="real images")
        axes.margins(y=0.18)
    label(axes, row.name, row.good or "training steps")


def _points(steps: list[int], row: Row) -> list[tuple[int, float]]:
    """Return the checkpoints at which a measure has a number; not the one judged anew."""
    return [(s, v) for s, v in zip(steps, row.values, strict=False) if v is not None]
