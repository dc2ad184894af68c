"""What a study will run, settled before anything is done."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from memtk.bench.folder import named_folder
from memtk.errors import UserError
from memtk.registry import Registry
from memtk.results.study import StudyFile
from memtk.study.axes import Axis, parse_axes
from memtk.study.grid import Base, Cell, make_cells

NAMED = {
    "iterations": (),
    "datasize": ("mitigation.datasize={sizes}",),
    "augmentation": ("mitigation.augment=off,on",),
}
"""What the named studies vary, besides the seed."""


@dataclass(frozen=True)
class StudyPlan:
    """All that a study will run.

    Args:
        kind: "grid" or the name of a study.
        axes: what is varied.
        cells: one run for each combination.
        equal_epochs: whether steps follow the number of training images.
    """

    kind: str
    axes: tuple[Axis, ...]
    cells: tuple[Cell, ...]
    equal_epochs: bool = False

    def file(self, device: str = "auto") -> StudyFile:
        """Return what `study.json` says of it."""
        return StudyFile(
            kind=self.kind,
            axes=[axis.stored() for axis in self.axes],
            cells=[cell.stored for cell in self.cells],
            equal_epochs=self.equal_epochs,
            device=device,
        )

    def identity(self) -> dict[str, Any]:
        """Return all that the numbers depend on."""
        cells = {cell.name: cell.plan.identity() for cell in self.cells}
        return {"kind": self.kind, "equal_epochs": self.equal_epochs, "cells": cells}

    def default_folder(self) -> Path:
        """Return the folder that this study always gets, so that the same command finds it."""
        return named_folder(f"study-{self.kind}", self.identity())


def make_study(
    base: Base,
    vary: Sequence[str],
    registry: Registry,
    *,
    kind: str = "grid",
    seeds: str | None = None,
    sizes: str = "0.25,0.5,1",
    equal_epochs: bool | None = None,
) -> StudyPlan:
    """Return the plan of a study.

    Args:
        base: what all cells have in common.
        vary: texts `KEY=V1,V2`; see `memtk.study.axes.parse_axis`.
        kind: "grid", or a named study, which varies its own setting first and then `vary`.
        seeds: of a named study, with commas.
        sizes: of the study "datasize", shares of the training patients.
        equal_epochs: whether steps follow the number of training images; by default in the study
            "datasize" alone.

    Raises:
        UserError: for anything that a bench of one of the cells would refuse.
    """
    texts = [text.format(sizes=sizes) for text in NAMED.get(kind, ())] + list(vary)
    if seeds is not None:
        texts.append(f"seed={seeds}")
    if not texts:
        raise UserError(
            "what is varied? Say --vary KEY=V1,V2, e.g. --vary seed=0,1,2 "
            "--vary mitigation.augment=off,on, or name a study: iterations, datasize, augmentation"
        )
    axes = parse_axes(texts, registry)
    cells = make_cells(base, axes, registry)
    equal = kind == "datasize" if equal_epochs is None else equal_epochs
    return StudyPlan(kind, axes, cells, equal)
