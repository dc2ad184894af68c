"""Figure: the loss curves of every training phase."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from matplotlib.axes import Axes

from memtk.report.figures.style import SERIES, as_uri, label, panels, quiet
from memtk.results.schema import Losses


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
            _draw(axes, points)
            label(axes, title, "training steps")
        return as_uri(figure)


def _draw(axes: Axes, points: list[tuple[int, dict[str, float]]]) -> None:
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
    """Return the mean of each value with its neighbours, 4 % of the curve to either side.

    >>> running_mean(np.array([1.0, 2.0, 6.0])).tolist()
    [1.0, 2.0, 6.0]
    """
    reach = round(0.04 * len(values))
    sums = np.concatenate([[0.0], np.cumsum(values)])
    first = np.maximum(np.arange(len(values)) - reach, 0)
    last = np.minimum(np.arange(len(values)) + reach + 1, len(values))
    return (sums[last] - sums[first]) / (last - first)
