"""Figure: which planted copies are found, by how and how much they were changed."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from matplotlib.axes import Axes

from memtk.report.figures.style import (
    INK,
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
from memtk.results import Found, Planted, Rate, SelfTest

_CURVES: tuple[tuple[str, str, str, str, Callable[[Found], Rate]], ...] = (
    ("conformal, p ≤ α", OTHER, "o", "-", lambda found: found.conformal),
    ("reference rule", SYNTHETIC, "s", "-", lambda found: found.dar),
    ("nearer than every validation image", LAST, "^", "-", lambda found: found.finest),
    ("of those found: the right training image", INK, "D", ":", lambda found: found.right_image),
)
_STEP = 0.09
"""Offset of one curve from the next along x, so that their intervals can be told apart."""


def draw_planted(selftest: SelfTest) -> str | None:
    """Return the figure as a `data:` URI: one panel a kind with the share found at each strength.

    None where the copies were given, and nothing is known of kinds and strengths.

    Kinds without a strength share the first panel, with the mixed copies. Bars are Clopper-Pearson
    intervals. On grey ground: stronger than what the mixed copies use.

    Args:
        selftest: with the plants by kind and strength.
    """
    if not selftest.plants:
        return None
    kinds: dict[str, list[Planted]] = {}
    for plant in selftest.plants:
        kinds.setdefault(plant.kind, []).append(plant)
    single = [plants[0] for plants in kinds.values() if len(plants) == 1]
    graded = {kind: plants for kind, plants in kinds.items() if len(plants) > 1}
    with quiet():
        figure = panels(1 + len(graded), width=3.45, height=2.3, columns=3)
        axes = iter(figure.axes)
        first = next(axes)
        names = [*(plant.kind for plant in single), "mixed"]
        _draw(first, names, [*(plant.found for plant in single), selftest.sensitivity], line=False)
        label(first, "Without a strength, and mixed")
        for kind, plants in graded.items():
            panel, plants = next(axes), sorted(plants, key=lambda plant: plant.strength)
            strengths = [f"{plant.strength:g}" for plant in plants]
            _draw(panel, strengths, [plant.found for plant in plants], line=True)
            label(panel, kind.capitalize(), plants[0].unit)
            beyond = [i for i, plant in enumerate(plants) if not plant.nominal]
            if beyond:
                panel.axvspan(beyond[0] - 0.5, len(plants) - 0.5, color=MUTED, alpha=0.1, lw=0)
        handles, texts = first.get_legend_handles_labels()
        figure.legend(handles, texts, loc="outside lower center", ncols=2)
        return as_uri(figure)


def _draw(axes: Axes, names: Sequence[str], found: Sequence[Found], *, line: bool) -> None:
    place = np.arange(len(names))
    for number, (name, color, marker, dash, chosen) in enumerate(_CURVES):
        # of no copy found, none is right or wrong: nothing to draw
        rates = [(x, r) for x, r in zip(place, map(chosen, found), strict=True) if r.n]
        if not rates:  # an empty curve would be laid out at the figure's corner
            continue
        middle = np.array([100 * r.rate for _, r in rates])
        below = np.array([100 * r.low for _, r in rates])
        above = np.array([100 * r.high for _, r in rates])
        axes.errorbar(
            np.array([x for x, _ in rates]) + (number - (len(_CURVES) - 1) / 2) * _STEP,
            middle,
            yerr=np.abs(np.stack([middle - below, above - middle])),
            color=color,
            marker=marker,
            markersize=3.6,
            linewidth=1.2,
            elinewidth=0.9,
            linestyle=dash if line else "none",
            label=name,
            clip_on=False,
        )
    axes.set_xticks(place, names)
    axes.set_xlim(-0.5, len(names) - 0.5)
    in_percent(axes, 103)
