"""A section of the report."""

from __future__ import annotations

import html

from memtk.interfaces import ReportFigure, ReportRun, SectionContent


class Colophon:
    """Shows a training image, after the nearest pairs."""

    title = "Colophon"
    pages = ("bench", "audit")
    after = "pairs"

    def __call__(self, run: ReportRun) -> SectionContent:
        """Return a paragraph, and a picture where the images are still there."""
        what = html.escape(run.result["cell"] if run.page == "bench" else "this audit")
        figures = []
        if "training" in run.images:
            name = f"training {run.short_name('training', 0)}"
            figures = [ReportFigure(image, name, name, 150) for image in run.picture("training", 0)]
        return SectionContent(f"<p>memtk-example has seen {what}.</p>", tuple(figures))
