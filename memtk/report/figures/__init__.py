"""The figures of a report, each a `data:` URI of SVG that is the same each time."""

from memtk.report.figures.cells import (
    Place,
    Spot,
    View,
    draw_checkpoints,
    draw_comparison,
    draw_losses,
    draw_quality,
    draw_tradeoff,
)
from memtk.report.figures.similarities import (
    draw_attacks,
    draw_nearest,
    draw_planted,
    draw_similarities,
)
from memtk.report.figures.study import Line, Panel, Point, draw_panels

__all__ = [
    "Line",
    "Panel",
    "Place",
    "Point",
    "Spot",
    "View",
    "draw_attacks",
    "draw_checkpoints",
    "draw_comparison",
    "draw_losses",
    "draw_nearest",
    "draw_panels",
    "draw_planted",
    "draw_quality",
    "draw_similarities",
    "draw_tradeoff",
]
