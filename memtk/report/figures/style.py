"""One quiet style for all figures, and how a figure becomes a part of the page."""

from __future__ import annotations

import base64
import io
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

import matplotlib
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine

INK, MUTED, RULE = "#1d2733", "#66717f", "#d7dce2"
REAL, SYNTHETIC, OTHER, LAST = "#8a94a3", "#c8500a", "#0b6aa8", "#0a8a6a"
"""Real images are grey, synthetic ones orange; further lines blue and green. They differ in
lightness too, so that they can be told apart in print and without colour vision."""
DASHED = (0, (4, 3))
"""A null: what nothing memorized, or real images, would score."""
SERIES = (OTHER, SYNTHETIC, LAST, "#a35c9b", INK, REAL)

_SETTINGS: dict[Any, Any] = {
    "font.family": "DejaVu Sans",
    "font.size": 9.0,
    "axes.edgecolor": RULE,
    "axes.labelcolor": MUTED,
    "axes.titlecolor": INK,
    "axes.titlesize": 9.5,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.titlepad": 10.0,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.grid.axis": "y",
    "axes.axisbelow": True,
    "grid.color": "#edf0f3",
    "grid.linewidth": 0.8,
    "text.color": INK,
    "xtick.color": MUTED,
    "ytick.color": MUTED,
    "xtick.major.size": 0.0,
    "ytick.major.size": 0.0,
    "ytick.minor.size": 0.0,
    "legend.frameon": False,
    "legend.fontsize": 8.5,
    "lines.linewidth": 1.8,
    "svg.hashsalt": "memtk",
    "svg.fonttype": "path",
}


_NARROW: ContextVar[bool] = ContextVar("narrow", default=False)


@contextmanager
def narrow() -> Iterator[None]:
    """Draw for a phone: the panels of a figure below each other, each as wide as the screen."""
    token = _NARROW.set(True)
    try:
        yield
    finally:
        _NARROW.reset(token)


def abreast(count: int) -> int:
    """Return how many entries of a legend stand side by side, where a wide page takes `count`."""
    return min(2, count) if _NARROW.get() else count


@contextmanager
def quiet() -> Iterator[None]:
    """Draw in the report's style, whatever the user's own matplotlib settings are."""
    with matplotlib.rc_context():
        matplotlib.rcdefaults()
        matplotlib.rcParams.update(_SETTINGS)
        yield


def panels(count: int, *, width: float = 5.2, height: float = 2.9, columns: int = 2) -> Figure:
    """Return a figure with `count` axes in rows of `columns`; sizes of one of them in inches."""
    if _NARROW.get():
        columns, width, height = 1, 4.2, max(2.3, 4.2 * height / max(width, 4.2))
    rows = -(-count // columns)
    layout = ConstrainedLayoutEngine(w_pad=0.08, h_pad=0.06, wspace=0.05)
    figure = Figure(figsize=(width * columns, height * rows), layout=layout)
    axes = figure.subplots(rows, columns, squeeze=False).ravel()
    for spare in axes[count:]:
        spare.set_axis_off()
    return figure


def label(axes: Axes, title: str, x: str = "", y: str = "") -> None:
    """Name an axes and what its directions mean."""
    axes.set_title(title)
    axes.set_xlabel(x)
    axes.set_ylabel(y)


def in_percent(axes: Axes, top: float) -> None:
    """Let the y axis run from 0 to `top` per cent, with no tick above 100."""
    axes.set_ylim(0, top)
    axes.set_yticks([tick for tick in axes.get_yticks() if 0 <= tick <= min(top, 100)])
    axes.yaxis.set_major_formatter(lambda value, _: f"{value:g}%")


def as_uri(figure: Figure) -> str:
    """Return the figure as a `data:` URI of SVG. The same figure gives the same bytes."""
    buffer = io.BytesIO()
    unsigned = {"Date": None, "Creator": None, "Format": None, "Type": None}
    figure.savefig(buffer, format="svg", transparent=True, metadata=unsigned)
    return f"data:image/svg+xml;base64,{base64.b64encode(buffer.getvalue()).decode()}"
