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
    """

    path: Path
    item: str = ""


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

    Attributes:
        suffixes: what the names end in, lower case, with the dot: `(".nii", ".nii.gz")`.
        folders: True, where present, if a folder of such files is one image (a DICOM series).
    """

    suffixes: tuple[str, ...]

    def records(self, path: Path) -> Sequence[Record]:
        """List the images in a file, without reading voxels.

        Raises:
            UserError: if the file cannot be read, naming it.
        """
        ...

    def read(self, record: Record) -> Volume:
        """Read the voxels.

        Raises:
            UserError: if the file cannot be read, naming it.
        """
        ...
