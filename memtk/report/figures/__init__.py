"""The figures of a report, one file each."""

from memtk.report.figures.checkpoints import draw_checkpoints
from memtk.report.figures.losses import draw_losses
from memtk.report.figures.planted import draw_planted
from memtk.report.figures.quality import draw_quality
from memtk.report.figures.similarities import draw_similarities

__all__ = ["draw_checkpoints", "draw_losses", "draw_planted", "draw_quality", "draw_similarities"]
