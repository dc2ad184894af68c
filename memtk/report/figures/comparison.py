"""Figure: the cells of a run side by side, memorization against quality."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from matplotlib.artist import Artist
from matplotlib.axes import Axes

from memtk.report.figures.style import (
    MUTED,
    SERIES,
    as_uri,
    in_percent,
    label,
    panels,
    quiet,
)

MARKERS = "osD^vP*X"
"""With the colours they tell more cells apart than there are colours."""


@dataclass(frozen=True)
class Spot:
    """Where one cell stands.

    Args:
        name: of the cell.
        quality: its measure of quality.
        share: of what is memorized, in [0, 1].
        interval: of the share; None where it has none.
    """

    name: str
    quality: float
    share: float
    interval: tuple[float, float] | None = None


@dataclass(frozen=True)
class View:
    """One way to count what is memorized.

    Args:
        title: what the axis upwards means.
        spots: the cells that have both numbers.
    """

    title: str
    spots: Sequence[Spot]


def draw_comparison(
    views: Sequence[View], cells: Sequence[str], measure: str, better: str, real: float | None
) -> str | None:
    """Return the figure as a `data:` URI; None where fewer than two cells could be compared.

    Args:
        views: one a panel.
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
        figure.legend(handles.values(), handles, loc="outside lower center", ncols=4)
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
