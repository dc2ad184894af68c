"""What the core hands to a component about the images, and how files of images are read."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
from torch import Tensor

from memtk.interfaces.condition import Condition


@dataclass(frozen=True)
class ImageSpec:
    """Shape of the images of a run.

    Args:
        shape: spatial axes S, `(H, W)` or `(D, H, W)`, in voxels.
        channels: C.
        spacing: size of a voxel along each axis, in millimetres.
        conditions: what a conditional generator is told of each image, K columns; empty in a run
            without any.

    >>> ImageSpec((32, 32, 32)).dims
    3
    """

    shape: tuple[int, ...]
    channels: int = 1
    spacing: tuple[float, ...] = ()
    conditions: tuple[Condition, ...] = ()

    @property
    def dims(self) -> int:
        """Number of spatial axes, 2 or 3."""
        return len(self.shape)


class Images(Protocol):
    """A set of images that is read piece by piece, so that it need not fit in memory."""

    @property
    def spec(self) -> ImageSpec:
        """Shape of each image."""
        ...

    def __len__(self) -> int: ...

    def read(self, indices: Sequence[int]) -> Tensor:
        """Return the images at `indices`: float32 (B, C, *S) in [-1, 1], on the CPU."""
        ...


class PatientImages(Images, Protocol):
    """Images of patients."""

    @property
    def patients(self) -> Sequence[str]:
        """The patient of each image, (N,)."""
        ...


def one_a_patient(
    patients: Sequence[str], images: int, count: int, rng: np.random.Generator
) -> np.ndarray:
    """Return the index of one image of each of up to `count` patients, ascending.

    Args:
        patients: of each image; if empty, each is another.
        images: how many there are.

    >>> one_a_patient(["a", "a", "b", "c"], 4, 9, np.random.default_rng(0)).tolist()
    [0, 2, 3]
    """
    order = rng.permutation(images)
    names = [patients[i] if patients else str(i) for i in order.tolist()]
    first = list(dict(zip(reversed(names), reversed(order.tolist()), strict=True)).values())
    chosen = np.array(first, dtype=np.int64)
    return np.sort(chosen if len(chosen) <= count else rng.choice(chosen, count, replace=False))


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
            `records` takes the folder. `check_whole(patients)`, where present too, refuses images
            of which several of the folders that were listed hold a part each; `patients` are those
            of folders that a manifest names. `left_out(images)`, where present, says which of the
            images of one source (their files and folders) are none beside the others, and why:
            `{path: "captured pictures"}`.
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
