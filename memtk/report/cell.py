"""What the page shows of one cell, put together from its folder."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from memtk.data.images import StoredImages, open_images
from memtk.registry import Registry
from memtk.report.attacks import attacks_figure
from memtk.report.figures import (
    draw_checkpoints,
    draw_losses,
    draw_planted,
    draw_quality,
    draw_similarities,
)
from memtk.report.measures import Row, features_word, rows_of
from memtk.report.pictures import Pairs, find_pairs
from memtk.report.provenance import Provenance, provenance_of
from memtk.report.sections import Section, plugin_sections
from memtk.results import Dar, Result, Verdict, headline, read_arrays, verdict
from memtk.results.reference import counterpart, sentence
from memtk.results.summary import flagged_patients


@dataclass(frozen=True)
class Cell:
    """One cell of the page.

    Args:
        result: its numbers.
        verdict: on them.
        headline: the verdict in a sentence.
        similarities: figure as a `data:` URI, and so `checkpoints`, `planted`, `quality` and
            `losses`; None where there is nothing to draw.
        measures: of quality and diversity.
        attacks: ROC curves of membership attacks, likewise.
        pairs: None where the images are no longer there.
        sections: of plugins.
        provenance: where the numbers come from.
    """

    result: Result
    verdict: Verdict
    headline: str
    similarities: str | None
    checkpoints: str | None
    planted: str | None
    quality: str | None
    measures: list[Row]
    losses: str | None
    attacks: str | None
    pairs: Pairs | None
    sections: list[Section]
    provenance: Provenance

    @property
    def anchor(self) -> str:
        """The cell's name as the target of a link."""
        return "cell-" + re.sub(r"[^a-z0-9]+", "-", self.result.cell.lower())

    @property
    def fine(self) -> bool:
        """Whether there are enough validation patients for a p-value of alpha."""
        test = self.result.last.protocols.conformal
        return test.finest_p <= test.alpha

    @property
    def flagged_patients(self) -> int | None:
        """Training patients with a flagged image; None where it was not tested."""
        return flagged_patients(self.result.last.protocols.conformal)

    @property
    def paper(self) -> str:
        """What the paper reports of this generator on this data set; empty if it has neither."""
        row = counterpart(self.result)
        return sentence(row) if row else ""

    @property
    def features(self) -> str:
        """A word on the network whose features were compared; empty without one."""
        return features_word(self.result)

    def called(self, dar: Dar) -> float:
        """Return the share of the validation images that the reference rule calls copies."""
        return dar.validation_called_copies / max(1, self.result.data.counts["validation"].images)


def make_cell(folder: Path, result: Result, key: bytes, registry: Registry | None) -> Cell:
    """Put together what the page shows of a cell.

    Args:
        folder: of the run.
        key: of the run.
        registry: brings the report sections of plugins.

    Raises:
        UserError: if a file is damaged, naming it.
    """
    path = folder / "cells" / result.cell / "arrays.h5"
    tau = result.last.protocols.dar.tau
    similarities = None
    if path.exists():
        arrays = read_arrays(path, result.last.label)
        similarities = draw_similarities(arrays, tau)
    measures = rows_of(result)
    return Cell(
        result=result,
        verdict=verdict(result),
        headline=headline(result),
        similarities=similarities,
        checkpoints=draw_checkpoints(result.checkpoints, result.used_training.images),
        planted=draw_planted(result.selftest) if result.selftest else None,
        quality=draw_quality(result.checkpoints, measures),
        measures=measures,
        losses=draw_losses(result.training),
        attacks=attacks_figure(path, result),
        pairs=pairs_of_cell(folder, result, key),
        sections=plugin_sections(registry, result),
        provenance=provenance_of(result),
    )


def pairs_of_cell(folder: Path, result: Result, key: bytes) -> Pairs | None:
    """Return the pairs of a cell's last checkpoint; None if its images were taken away.

    Args:
        folder: of the run.
        key: of the run, for the short names.

    Raises:
        UserError: if a file is damaged, naming it.
    """
    step = result.last.label
    cell = folder / "cells" / result.cell
    paths = (
        cell / "arrays.h5",
        folder / "data" / f"{result.data.fingerprint}.h5",
        cell / "synthetic" / f"{step}.h5",
    )
    if not all(path.exists() for path in paths):
        return None
    index = read_arrays(paths[0], "training")["index"]  # (N,), into the training split
    return find_pairs(
        read_arrays(paths[0], step),
        StoredImages(paths[1], "training").subset(index.tolist()),
        open_images(paths[2]),
        key,
        f"{result.cell}/{step}",
    )
