"""Figure: how near the nearest synthetic image is, for each setting of a study."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from memtk.report.figures.similarities import compare
from memtk.report.figures.style import REAL, SYNTHETIC, as_uri, label, panels, quiet

MOST = 9
"""Panels that are drawn."""


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
