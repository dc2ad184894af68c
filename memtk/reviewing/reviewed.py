"""The synthetic set of a finished run whose pairs are read: its images, and what was found."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from pydantic import Field
from torch import Tensor

from memtk.data.images import StoredImages
from memtk.errors import UserError, did_you_mean
from memtk.imaging.augmentation import mixed
from memtk.interfaces import ImageSpec
from memtk.noise import Noise, derive
from memtk.report.audit import audit_images
from memtk.report.bench import cell_images
from memtk.report.pictures import read_key
from memtk.results import Audit, Evidence, Result, has_arrays, read_arrays, read_audit, read_run
from memtk.results.review import FOLDER, hash_of
from memtk.results.run import run_of
from memtk.results.store import StoredRecord

Over = Literal["training", "synthetic"]

ARRAYS = "arrays.h5"


class DrawnPair(StoredRecord):
    """One pair that is read.

    Args:
        name: short, and says nothing without the key of the run.
        kind: "drawn", or a control: "planted", a changed copy of the training image; "stranger",
            the validation image nearest to it.
        training: row of the training image.
        other: row of the synthetic or validation image; of a planted copy its stream of noise.
        stratum: of a drawn pair, from the least alike on.
    """

    name: str
    kind: Literal["drawn", "planted", "stranger"]
    training: int = Field(ge=0)
    other: int = Field(ge=0)
    stratum: int = Field(0, ge=0)


@dataclass(frozen=True)
class ReviewedSet:
    """One synthetic set of a finished run: its images, and what was found of them.

    Args:
        home: the folder of the audit, or of the cell.
        label: its group in `arrays.h5`.
        record: the audit or the cell.
        images: "training", "validation", "synthetic".
    """

    home: Path = field(repr=False)
    label: str
    record: Audit | Result = field(repr=False)
    arrays: Mapping[str, np.ndarray] = field(repr=False)
    images: Mapping[str, StoredImages] = field(repr=False)
    key: bytes = field(repr=False)

    @property
    def name(self) -> str:
        """What the set is called."""
        return self.label if isinstance(self.record, Audit) else f"{self.record.cell}/{self.label}"

    @property
    def evidence(self) -> Evidence:
        """What the verdict rests on."""
        return self.record.evidence if isinstance(self.record, Audit) else self.record.last.evidence

    @property
    def folder(self) -> Path:
        """Where the reading lies."""
        return self.home / FOLDER

    @property
    def spec(self) -> ImageSpec:
        """Shape of the images."""
        return self.images["training"].spec

    def similarity(self, over: Over) -> np.ndarray:
        """Return that of each training or synthetic image to its nearest of the other set."""
        return self.arrays["train_synthetic" if over == "training" else "synthetic_train"]

    def nearest(self, over: Over) -> np.ndarray:
        """Return which image that is."""
        return self.arrays[
            f"{'train_synthetic' if over == 'training' else 'synthetic_train'}_index"
        ]

    def digest(self) -> str:
        """Return 32 characters that stand for the similarities of this set."""
        return hash_of(self.name, self.arrays)

    def read(self, pair: DrawnPair) -> tuple[np.ndarray, np.ndarray]:
        """Return the training image of a pair and the other one, float32 (C, *S) in [-1, 1]."""
        training = self.images["training"].read([pair.training])
        if pair.kind == "planted":
            other: Tensor = _planted(training, pair.other, self.digest())
        else:
            split = "synthetic" if pair.kind == "drawn" else "validation"
            other = self.images[split].read([pair.other])
        return training[0].numpy(), other[0].numpy()


@torch.no_grad()
def _planted(training: Tensor, stream: int, key: str) -> Tensor:
    """Return a copy changed as those of the run's self-test are: in several ways at once."""
    return mixed(training, Noise(derive(0, "review", key), [stream])).float().clamp(-1, 1)


def open_set(run: Path, cell: str | None = None) -> ReviewedSet:
    """Open the synthetic set of a finished run: that of the audit, or the last one of a cell.

    Args:
        run: the folder of a bench or an audit, or what lies in it; see `run_of`.
        cell: of a bench; None: its only one.

    Raises:
        UserError: if the run is not finished, has several cells, or its images are gone.
    """
    run, named = run_of(Path(run))
    cell = cell or named
    if (run / "audit.json").exists():
        if cell is not None:
            raise UserError(f"{run} is an audit, which has no cells: leave --cell out")
        audit = read_audit(run / "audit.json")
        return _opened(run, run, "audit", audit, partial(audit_images, run, audit))
    bench = read_run(run)
    names = [result.cell for result in bench.results]
    if not names:
        raise UserError(f"no cell of {run} is finished, so there are no pairs to read")
    if cell is None and len(names) > 1:
        raise UserError(f"which cell of {run}? --cell NAME, one of {', '.join(names)}")
    if cell is not None and cell not in names:
        raise UserError(
            f"{run} has no finished cell {cell!r}: it has {', '.join(names)}."
            f"{did_you_mean(cell, names)}"
        )
    result = bench.results[names.index(cell) if cell else 0]
    home = run / "cells" / result.cell
    return _opened(run, home, result.last.label, result, partial(cell_images, run, result))


def _opened(
    run: Path,
    home: Path,
    label: str,
    record: Audit | Result,
    images: partial[dict[str, StoredImages]],
) -> ReviewedSet:
    if isinstance(record, Audit) and record.data is None:
        raise UserError(f"{run} is an audit of embeddings: there are no images to look at")
    found = images()
    if not found or not has_arrays(home / ARRAYS, label):
        raise UserError(
            f"the images of {run} are no longer there, and without them nothing can be read: run "
            "its command again"
        )
    return ReviewedSet(home, label, record, read_arrays(home / ARRAYS, label), found, read_key(run))
