"""Figures: memorization against quality, of the cells of a run and the settings of a study."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from matplotlib.artist import Artist
from matplotlib.axes import Axes

from memtk.report.figures.style import (
    DASHED,
    INK,
    MUTED,
    SERIES,
    abreast,
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
    """Where one setting stands.

    Args:
        name: of the setting.
        number: decides on its colour.
        qualities: one a seed, and so `shares`: of memorized training images.
    """

    name: str
    number: int
    qualities: tuple[float, ...]
    shares: tuple[float, ...]


def draw_tradeoff(
    drawn: Sequence[tuple[str, Sequence[Place], float | None]], *, up: str, null: float | None
) -> str | None:
    """Return the figure as a `data:` URI; None where fewer than two settings could be compared.

    Args:
        drawn: (quality measure, settings, what real images score in it).
        up: what the axis upwards means.
        null: the share where nothing was memorized; None where it is not known.
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
            if null is not None:
                axes.axhline(100 * null, color=MUTED, linestyle=DASHED, linewidth=1.0)
            if real is not None:
                axes.axvline(real, color=MUTED, linestyle=(0, (1, 2)), linewidth=1.2)
            axes.margins(x=0.25)
            label(axes, name, name, up)
            in_percent(axes, max(10.0, 1.25 * max(100 * s for p in places for s in p.shares)))
        return as_uri(figure)
