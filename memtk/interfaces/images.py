"""What the core hands to a component about the images, and how they are read."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

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
