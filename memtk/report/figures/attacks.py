"""Figure: the ROC curves of the membership attacks."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from matplotlib.axes import Axes

from memtk.report.figures.style import MUTED, REAL, SERIES, as_uri, label, panels, quiet


def draw_attacks(curves: Mapping[str, tuple[np.ndarray, np.ndarray]], patients: int) -> str | None:
    """Return the figure as a `data:` URI; None without curves.

    Left the whole curve; right the same on logarithmic axes, where few false alarms are seen. On
    grey ground: rates that so few non-member patients cannot carry.

    Args:
        curves: false and true positive rates of each attack, ascending, by its name.
        patients: non-member patients Q.
    """
    if not curves:
        return None
    with quiet():
        figure = panels(2, width=4.4, height=3.5)
        whole, low = figure.axes
        floor = 1 / (2 * patients)
        for number, (name, (fpr, tpr)) in enumerate(curves.items()):
            color = SERIES[number % len(SERIES)]
            whole.step(100 * fpr, 100 * tpr, color=color, where="post", label=name)
            # on logarithmic axes zero is drawn at the left and lower edge
            low.step(
                100 * np.maximum(fpr, floor),
                100 * np.maximum(tpr, floor),
                color=color,
                where="post",
                label=name,
            )
        _chance(whole, 0)
        _chance(low, 100 * floor)
        low.axvspan(100 * floor, 100 / patients, color=MUTED, alpha=0.1, lw=0)
        low.set(xscale="log", yscale="log", xlim=(100 * floor, 100), ylim=(100 * floor, 115))
        whole.set(xlim=(0, 100), ylim=(0, 102))
        for axes, title in ((whole, "Whole curve"), (low, "Few false alarms")):
            axes.grid(True, axis="both")
            for axis in (axes.xaxis, axes.yaxis):
                axis.set_major_formatter(lambda value, _: f"{value:g} %")
            label(axes, title, "non-members taken for members", "members found")
        whole.legend(loc="lower right")
        return as_uri(figure)


def _chance(axes: Axes, start: float) -> None:
    """Draw what a coin would find."""
    ends = (start, 100)
    axes.plot(ends, ends, color=REAL, linewidth=1.0, linestyle=(0, (4, 2)), label="chance")
