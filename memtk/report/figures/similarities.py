"""Figures: how near the nearest image is, of one run and of the settings of a study."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes

from memtk.report.figures.style import (
    INK,
    REAL,
    SYNTHETIC,
    as_uri,
    in_percent,
    label,
    panels,
    quiet,
)

MOST = 9
"""Settings of a study that are drawn."""


def draw_similarities(arrays: Mapping[str, np.ndarray], tau: float) -> str:
    """Return the figure as a `data:` URI.

    Left: each training image's similarity to its nearest validation image, and to its nearest
    synthetic one. Right: each validation and each synthetic image's similarity to its nearest
    training image. What lies right of tau the reference rule counts.

    Args:
        arrays: of one checkpoint, named as in `memtk.evaluation.Evaluation`.
        tau: threshold of the reference rule.
    """
    with quiet():
        figure = panels(2)
        left, right = figure.axes
        compare(
            left,
            [
                (arrays["train_validation"], REAL, "nearest validation image"),
                (arrays["train_synthetic"], SYNTHETIC, "nearest synthetic image"),
            ],
            tau,
        )
        label(left, "From each training image", "similarity", "share of the images")
        compare(
            right,
            [
                (arrays["validation_train"], REAL, "of validation images"),
                (arrays["synthetic_train"], SYNTHETIC, "of synthetic images"),
            ],
            tau,
        )
        label(right, "To the nearest training image", "similarity", "share of the images")
        return as_uri(figure)


def draw_nearest(drawn: Sequence[tuple[str, Mapping[str, np.ndarray], float]]) -> str | None:
    """Return the figure as a `data:` URI; None of nothing.

    Each training image's similarity to its nearest validation image, and to its nearest synthetic
    one, as in figure 2 of Dar et al. (arXiv 2402.01054).

    Args:
        drawn: (title, arrays of one checkpoint, tau); the first `MOST` are drawn.
    """
    if not drawn:
        return None
    shown = drawn[:MOST]
    columns = min(3, max(2, len(shown)))
    with quiet():
        figure = panels(len(shown), width=10.35 / columns, height=2.4, columns=columns)
        for axes, (title, arrays, tau) in zip(figure.axes, shown, strict=False):
            compare(
                axes,
                [
                    (arrays["train_validation"], REAL, "nearest validation image"),
                    (arrays["train_synthetic"], SYNTHETIC, "nearest synthetic image"),
                ],
                tau,
            )
            label(axes, title, "similarity", "share of the training images")
        for axes in figure.axes[: len(shown)]:  # the words below say what is what
            if (legend := axes.get_legend()) is not None:
                legend.remove()
        return as_uri(figure)


def compare(axes: Axes, sets: list[tuple[np.ndarray, str, str]], tau: float) -> None:
    """Draw two sets of similarities, each with its colour and name, and tau: a shape, a line."""
    values = np.concatenate([each for each, _, _ in sets] + [[tau]])
    edges = np.linspace(values.min(), values.max() + 1e-9, _bins(len(sets[0][0])) + 1)
    edges = edges if edges[-1] > edges[0] else np.linspace(edges[0] - 0.5, edges[0] + 0.5, 3)
    for (each, color, name), filled in zip(sets, (True, False), strict=True):
        shares = np.histogram(each, edges)[0] / len(each)
        axes.stairs(
            100 * shares,
            edges,
            color=color,
            fill=filled,
            alpha=0.55 if filled else 1.0,
            linewidth=0 if filled else 2.0,
            label=name,
        )
    axes.axvline(tau, color=INK, linewidth=1.1, linestyle=(0, (4, 2)))
    left = tau > edges[0] + 0.75 * (edges[-1] - edges[0])  # of the line, where no legend is
    axes.annotate(
        f"τ = {tau:.3f}",
        (tau, 1.0),
        xycoords=("data", "axes fraction"),
        xytext=(-4 if left else 4, -2),
        textcoords="offset points",
        ha="right" if left else "left",
        va="top",
        fontsize=8.5,
    )
    axes.legend(loc="upper left")
    axes.margins(x=0.01)
    in_percent(axes, axes.get_ylim()[1] * 1.3)  # room for the legend


def _bins(count: int) -> int:
    return int(np.clip(np.ceil(2 * count ** (1 / 2)), 12, 60))
