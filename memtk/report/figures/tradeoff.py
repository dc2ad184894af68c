"""Figure: memorization against quality, one panel a quality measure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from memtk.report.figures.style import INK, MUTED, SERIES, as_uri, in_percent, label, panels, quiet


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
                axes.axhline(100 * null, color=MUTED, linestyle=(0, (4, 3)), linewidth=1.0)
            if real is not None:
                axes.axvline(real, color=MUTED, linestyle=(0, (1, 2)), linewidth=1.2)
            axes.margins(x=0.25)
            label(axes, name, name, up)
            in_percent(axes, max(10.0, 1.25 * max(100 * s for p in places for s in p.shares)))
        return as_uri(figure)
