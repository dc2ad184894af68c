"""Pairs read by people, as a function call."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from memtk.api.paths import name_of, path_of
from memtk.api.result import AuditResult
from memtk.errors import UserError
from memtk.report.review import papers, review_summary, sentences
from memtk.results.review import Label, Review
from memtk.reviewing import (
    Draw,
    Reading,
    ReadingPage,
    ReadingPlan,
    ReviewedSet,
    add_file,
    open_draw,
    open_set,
    plan_reading,
    read_labels,
    review_of,
    save,
    write_review,
)


@dataclass(frozen=True, repr=False)
class PairReading:
    """The pairs of a finished run, and what readers say of them. Made by `memtk.review`."""

    reviewed: ReviewedSet
    draw: Draw

    @property
    def pairs(self) -> list[str]:
        """The short names of all pairs, controls among them; they tell nothing."""
        return [pair.name for pair in self.draw.pairs]

    def images(self, pair: str) -> tuple[np.ndarray, np.ndarray]:
        """Return the training image of a pair and the other one, float32 (C, *S) in [-1, 1].

        Raises:
            UserError: if there is no such pair.
        """
        name = name_of(pair, "pair")
        found = next((each for each in self.draw.pairs if each.name == name), None)
        if found is None:
            raise UserError(f"there is no pair {pair!r}: `pairs` has their names")
        return self.reviewed.read(found)

    def label(self, reader: str, labels: Mapping[str, Label]) -> None:
        """Keep what a reader says: "novel", "copy" or "unsure" by the name of the pair.

        Raises:
            UserError: for another label or an unknown pair; nothing is kept then.
        """
        if not isinstance(labels, Mapping):
            kind = type(labels).__name__
            raise UserError(f'labels= is of type {kind}: give what `pairs` names, {{pair: "copy"}}')
        for name, label in labels.items():
            if not isinstance(label, str) or label not in ("novel", "copy", "unsure"):
                raise UserError(f"{name} is {label!r}: a pair is novel, copy or unsure")
        said = {name: Reading(label=label) for name, label in labels.items()}
        save(self.reviewed.folder, self.draw, name_of(reader, "reader"), said)

    def add(self, path: str | Path, reader: str | None = None) -> None:
        """Take over the labels that an exported page has saved.

        Args:
            reader: in place of the name in the file.
        """
        name = None if reader is None else name_of(reader, "reader")
        add_file(self.reviewed.folder, self.draw, path_of(path, "path"), name)

    def export(self, path: str | Path, reader: str = "reader") -> Path:
        """Write the page as one file that needs no memtk. It holds the images."""
        labels = read_labels(self.reviewed.folder, self.draw, name_of(reader, "reader"))
        return ReadingPage(self.reviewed, self.draw, labels).export(path_of(path, "path"))

    def plan(self) -> ReadingPlan:
        """Return how many pairs and readers it takes for which interval."""
        return plan_reading(self.reviewed, self.draw.options.model_dump())

    def result(self) -> Review:
        """Return what the labels say so far, and keep it for the report."""
        return write_review(self.reviewed, self.draw)

    def __rich__(self) -> Any:
        """Return what `rich` prints."""
        return review_summary(self.result(), papers(self.reviewed.record))

    def __repr__(self) -> str:
        return "\n".join(sentences(review_of(self.reviewed, self.draw)))


def review(
    run: str | Path | AuditResult,
    *,
    cell: str | None = None,
    pairs: int | None = None,
    controls: int | None = None,
    over: str | None = None,
    stratified: bool | None = None,
    seed: int | None = None,
) -> PairReading:
    """Draw pairs of a finished run for people to read: `memtk review` as a function.

    What is left out is as it was drawn before, or as on the command line.

    Args:
        run: the folder of a bench or an audit, or what `memtk.audit` gave.
        cell: of a bench with several.
        pairs: to draw; 100.
        controls: planted copies, and as many pairs of strangers; 10.
        over: of which images each pair is drawn, "training" or "synthetic".
        stratified: draws more near the threshold, with weights.
        seed: of the draw.

    Raises:
        UserError: if the run is not finished, its images are gone, or labels were given to other
            pairs.
    """
    asked = {
        "pairs": pairs,
        "controls": controls,
        "over": over,
        "stratified": stratified,
        "seed": seed,
    }
    name = None if cell is None else name_of(cell, "cell")
    reviewed = open_set(path_of(getattr(run, "folder", run), "run"), name)
    return PairReading(
        reviewed, open_draw(reviewed, {k: v for k, v in asked.items() if v is not None})
    )
