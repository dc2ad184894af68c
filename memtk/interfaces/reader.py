"""File formats."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np


@dataclass(frozen=True)
class Record:
    """One image inside a file, without its voxels.

    Args:
        path: the file (or the folder of a series).
        item: which image of the file, where it holds several ("train_images/12"); else "".
        patient: whose it is, where the file itself says so (DICOM's PatientID); else "". It is
            used where nothing else says it, and shown nowhere as it stands.
        left_out: why it is no image of a patient though it lies among them ("a structured report");
            "" for an image. It is counted, and said, and never read.
    """

    path: Path
    item: str = ""
    patient: str = ""
    left_out: str = ""


@dataclass(frozen=True)
class Volume:
    """Voxels as they lie in the file.

    Args:
        voxels: (C, *S) of any real dtype, unscaled. A slice-ordered volume is (C, D, H, W).
        spacing: size of a voxel along each spatial axis, in millimetres; 1 where unknown.
        affine: (4, 4) voxel-to-world matrix in millimetres (RAS), None where the format has none.
    """

    voxels: np.ndarray
    spacing: tuple[float, ...]
    affine: np.ndarray | None = None


class Reader(Protocol):
    """Reads one family of file formats. Files are untrusted: nothing in them is executed.

    A reader need not catch what its libraries raise about a broken file: memtk calls it in one
    place, which makes one line of any exception that names the file. What a reader finds itself
    (no voxels, a header that claims more than the file holds) it raises as a `UserError`.

    Attributes:
        suffixes: what the names end in, lower case, with the dot: `(".nii", ".nii.gz")`.
        folders: True, where present, if files of one folder belong together (a DICOM series); then
            `records` takes the folder.
        claims: where present, `claims(path) -> bool` tells by its first bytes whether a file whose
            name says nothing is of this format.
    """

    suffixes: tuple[str, ...]

    def records(self, path: Path) -> Sequence[Record]:
        """List the images in a file, or in the files right in a folder, without reading voxels."""
        ...

    def read(self, record: Record) -> Volume:
        """Read the voxels."""
        ...
