"""Sections of plugins in the HTML report of a bench or an audit."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, Protocol

import numpy as np

from memtk.interfaces.images import Images

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Page = Literal["bench", "audit"]

PLACES: Mapping[Page, tuple[str, ...]] = {
    "bench": (
        "mitigations",
        "checkpoints",
        "quality",
        "similarities",
        "attacks",
        "privacy",
        "pairs",
        "selftest",
        "training",
    ),
    "audit": ("similarities", "pairs", "selftest", "policy"),
}
"""The report's own sections of a bench's cell and of an audit, in their order; a page has those for
which there is something to show. Where the numbers come from stands below all others."""


@dataclass(frozen=True)
class ReportRun:
    """What a section may know of a cell of a bench, or of an audit. It is read, never changed.

    Args:
        page: whose page it is.
        result: the cell's `result.json`, or `audit.json`; paths and patients' numbers are hidden.
        arrays: what the numbers were computed from, by label and name: of a bench "step-000200" and
            so on, "chosen", "attack NAME"; of an audit "audit". A label is read when it is asked
            for. They are not to be written to.
        images: "training", "validation" and "synthetic" images of the last checkpoint, row by row
            those of the arrays. Empty where the images were taken away, or were never there.
        short_name: of an image, by its set and row: eight digits that stand for it everywhere in
            the report, and that the owner of the run folder alone can trace back (a keyed hash).
        picture: of an image, by its set and row: PNG; of a volume the three planes through its
            middle.
    """

    page: Page
    result: Mapping[str, Any]
    arrays: Mapping[str, Mapping[str, np.ndarray]]
    images: Mapping[str, Images]
    short_name: Callable[[str, int], str]
    picture: Callable[[str, int], tuple[bytes, ...]]


@dataclass(frozen=True)
class ReportFigure:
    """A figure of a section. It is embedded into the page.

    Args:
        image: of matplotlib, or the bytes of an SVG or a PNG file.
        alt: what it shows, for readers who do not see it.
        caption: how to read it.
        width: on the page in CSS pixels; 0 for all of it, of matplotlib for the figure's own.
    """

    image: Figure | bytes
    alt: str
    caption: str = ""
    width: int = 0


@dataclass(frozen=True)
class SectionContent:
    """What stands below the heading of a section.

    Args:
        html: text; what comes from the result is escaped (`html.escape`).
        figures: below it.
    """

    html: str
    figures: tuple[ReportFigure, ...] = ()


class ReportSection(Protocol):
    """Adds a section to the report: one for every cell of a bench, or one for an audit.

    It must work offline, and name no file and no patient. What it returns is checked and cleaned: a
    text that may be a path or a patient's number is hidden, scripts and what would be fetched are
    left out, and a section that fails, or that is too large, is one line of the report.

    Attributes:
        title: its heading.
        pages: where present, which reports it stands in; without it, that of a bench alone.
        after: where present, the section after which it stands, one of `PLACES`. Without it, or
            where the page has no such section, it stands after all of them.
    """

    title: str

    def __call__(self, run: ReportRun) -> SectionContent | str | None:
        """Return the content, HTML alone, or None to be left out."""
        ...
