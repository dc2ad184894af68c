"""Orientation, voxel size and shape of an image."""

from __future__ import annotations

import math
import warnings
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from memtk.errors import UserError
from memtk.interfaces import Volume

MOST_VOXELS = 2**29
"""An image may have as many voxels, channels included: 512 x 512 x 2048."""


@dataclass(frozen=True)
class Geometry:
    """Turns, resamples and crops or pads an image, in this order; what is not asked is not done.

    Args:
        orientation: "keep", or "ras": flip and permute the axes so that they run to the right,
            to the front and to the head (no interpolation).
        spacing: voxel size in millimetres to resample to, linearly, repeating the border.
        anti_aliasing: blur with a Gaussian before resampling where voxels become larger, by a
            factor f, of (f - 1) / 2 stored voxels (as scikit-image's `resize` does).
        shape: voxels along each axis; what is too long is cropped about the centre, what is too
            short is padded on both sides with the image's minimum.
    """

    orientation: str = "keep"
    spacing: tuple[float, ...] | None = None
    shape: tuple[int, ...] | None = None
    anti_aliasing: bool = False

    @property
    def changes(self) -> bool:
        """Whether anything is done at all."""
        return self.orientation != "keep" or self.spacing is not None or self.shape is not None

    @property
    def resamples(self) -> bool:
        """Whether voxels are computed anew: else they move, or are left as they are."""
        return self.spacing is not None

    def __call__(self, volume: Volume, name: str = "the image") -> Volume:
        """Return the changed volume; its voxels are float32 if anything was done.

        Raises:
            UserError: if a setting has another number of axes than the image, or the orientation
                is asked for and the image has none.
        """
        if not self.changes:
            return volume
        dims = volume.voxels.ndim - 1
        for key, value in (("spacing", self.spacing), ("shape", self.shape)):
            if value is not None and len(value) != dims:
                size = " x ".join(map(str, volume.voxels.shape[1:]))
                raise UserError(
                    f"data.{key} = {_plain(value)} has {len(value)} axes; "
                    f"{name} has {dims} ({size})"
                )
        image = _tensor(volume)
        if self.orientation == "ras":
            if volume.affine is None or dims != 3:
                raise UserError(
                    f"data.orientation = ras, but {name} does not say how it is oriented"
                )
            image = _orient(image)
        if self.spacing is not None:
            _check_size(image, self.spacing, name)
            image = _resample(image, self.spacing, self.anti_aliasing)
        spacing = tuple(
            float(s) for s in np.linalg.norm(image.affine[:dims, :dims].numpy(), axis=0)
        )
        if self.shape is not None:
            image = _crop_or_pad(image, self.shape)
        known = volume.affine is not None and dims == 3
        affine = image.affine.numpy() if known else None
        return Volume(image.as_tensor().numpy(), spacing, affine)

    def recipe(self) -> dict[str, object]:
        """Return what is done, for the result."""
        return {
            "orientation": "as stored" if self.orientation == "keep" else "RAS",
            "spacing": "as stored"
            if self.spacing is None
            else {
                "to_mm": list(self.spacing),
                "interpolation": "linear",
                "anti_aliasing": self.anti_aliasing,
            },
            "shape": "as stored"
            if self.shape is None
            else {"to": list(self.shape), "method": "centre crop, pad with the image's minimum"},
        }


def _plain(values: tuple[float, ...]) -> str:
    return ",".join(f"{value:g}" for value in values)


def _tensor(volume: Volume) -> Any:
    """Return MONAI's tensor with an affine; without an own one it is made from the spacing."""
    from monai.data import MetaTensor  # takes two seconds, and most runs change no geometry

    affine, dims = volume.affine, volume.voxels.ndim - 1
    if affine is None or dims == 2:
        affine = np.diag([*volume.spacing[:dims], *[1.0] * (3 - dims), 1.0])
    voxels = torch.from_numpy(np.ascontiguousarray(volume.voxels, dtype=np.float32))
    return MetaTensor(voxels, affine=torch.as_tensor(np.asarray(affine, dtype=np.float64)))


def _orient(image: Any) -> Any:
    from monai.transforms import Orientation

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # about a default of labels in a later MONAI
        return Orientation(axcodes="RAS")(image)


def _check_size(image: Any, spacing: tuple[float, ...], name: str) -> None:
    """Refuse voxels so small, or so large, that an image of this size makes no sense of them."""
    dims = len(spacing)
    stored = np.linalg.norm(image.affine[:dims, :dims].numpy(), axis=0)
    sizes = [
        float(n * now / to) for n, now, to in zip(image.shape[1:], stored, spacing, strict=True)
    ]
    if not math.prod(sizes) <= MOST_VOXELS or min(sizes) < 1:
        size = " x ".join(f"{n:.3g}" for n in sizes)
        raise UserError(f"data.spacing = {_plain(spacing)} would make {name} {size} voxels large")


def _resample(image: Any, spacing: tuple[float, ...], anti_aliasing: bool) -> Any:
    from monai.transforms import Spacing

    if anti_aliasing:
        image = _blurred(image, spacing)
    return Spacing(pixdim=spacing, mode="bilinear", padding_mode="border")(image)


def _blurred(image: Any, spacing: tuple[float, ...]) -> Any:
    from monai.data import MetaTensor
    from scipy.ndimage import gaussian_filter

    stored = np.linalg.norm(image.affine[: len(spacing), : len(spacing)].numpy(), axis=0)
    sigma = [0.0, *(max(0.0, (to / now - 1) / 2) for to, now in zip(spacing, stored, strict=True))]
    voxels = gaussian_filter(image.as_tensor().numpy(), sigma, mode="nearest")  # (C, *S)
    return MetaTensor(torch.from_numpy(voxels), affine=image.affine)


def _crop_or_pad(image: Any, shape: tuple[int, ...]) -> Any:
    from monai.transforms import ResizeWithPadOrCrop

    # `value` is the fill of torch's padding, which MONAI takes for the mode "constant".
    return ResizeWithPadOrCrop(shape, mode="constant", value=float(image.min()))(image)
