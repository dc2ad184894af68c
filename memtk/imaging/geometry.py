"""Axes, orientation, voxel size and shape of an image."""

from __future__ import annotations

import math
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from memtk.errors import UserError
from memtk.interfaces import Volume

CHANNELS = 4
"""An axis of up to so many entries may hold channels; a picture has more along each of its own."""

EXPECTED = (
    f"(H, W), (H, W, 3), (3, H, W), (D, H, W) or (C, D, H, W) with up to {CHANNELS} channels, and "
    "more along each other axis"
)

SHAPES = (
    "Give (N, H, W) for gray pictures, (N, H, W, 3) or (N, 3, H, W) for colour ones, (N, D, H, W) "
    "or (N, 1, D, H, W) for volumes; of channels that are no colours, one at a time."
)

TWO_WAYS = (
    "Either its first or its last axis counts pictures (the last one does in MATLAB's files): give "
    "images[:, None], (N, 1, H, W), or np.moveaxis(images, -1, 0)[:, None]"
)


def layout_of(shape: Sequence[int]) -> str:
    """Return the letters of the axes of one image; "" if there are none, or it could be two things.

    An axis of 1 that comes first or last holds the one channel, elsewhere it is a depth of one
    slice, which is none. Where no such axis says it, an axis of 3 at either end holds colours, one
    of 4 at the end colours and their opacity; what else has so few entries at an end could be
    channels or slices.

    >>> [layout_of(s) for s in ((9, 8), (1, 9, 8), (9, 8, 3), (3, 9, 8), (5, 9, 8), (2, 5, 9, 8))]
    ['HW', '1HW', 'HWC', 'CHW', 'DHW', 'CDHW']
    >>> [layout_of(s) for s in ((1, 2, 9, 8), (2, 9, 8), (9, 8, 2), (9, 1, 8), (3, 3, 9), (9, 3))]
    ['1DHW', '', '', '', '', '']
    """
    kept = [size for size in shape if size != 1]
    long = [size > CHANNELS for size in kept]
    said = len(shape) > len(kept) and 1 in (shape[0], shape[-1])  # an axis for the one channel
    letters = ""
    if 0 in shape or len(shape) > 4:
        return ""
    if len(kept) == 2 and long[0] == long[1] and (said or len(shape) == 2):
        letters = "HW"
    elif len(kept) == 3 and shape[0] == 1 and said:
        letters = "DHW" if kept[-1] != 3 or not all(long[:2]) else ""
    elif len(kept) == 3 and all(long) and (said or len(shape) == 3):
        letters = "DHW"
    elif len(kept) == 3 and not said and all(long[1:]) and kept[0] == 3:
        letters = "CHW"
    elif len(kept) == 3 and not said and all(long[:-1]) and kept[-1] in (3, 4):
        letters = "HWC"
    elif len(kept) == 4 and sum(long) == 3:
        letters = {(0, 1): "CDHW", (1, 0): "DHWC"}.get((long[0], long[-1]), "")
    rest = iter(letters)
    return "".join("1" if size == 1 else next(rest) for size in shape) if letters else ""


def rows_of(shape: Sequence[int], what: str) -> str:
    """Return the letters of one row of an array that holds an image a row, as `layout_of` does.

    Args:
        shape: of the array.
        what: the array, for messages.

    Raises:
        UserError: with the way out, if its rows are no images or could be two things, or may as
            well lie along the last axis.

    >>> [rows_of(s, "x") for s in ((30, 28, 24), (30, 28, 28, 3), (30, 1, 4, 28, 28))]
    ['HW', 'HWC', '1DHW']
    """
    pictures = len(shape) in (3, 4) and shape[0] == shape[1] > CHANNELS
    if pictures and shape[-1] > CHANNELS and shape[-1] != shape[-2]:
        raise UserError(f"{what} has the shape {tuple(shape)}. {TWO_WAYS}")
    letters = layout_of(shape[1:])
    if not letters:
        raise UserError(
            f"{what}: the shape {tuple(shape)} does not say which axis holds channels. {SHAPES}"
        )
    return letters


def holds_many(shape: Sequence[int]) -> bool:
    """Tell whether an array that says no more holds an image a row: not where it can be one image.

    >>> [holds_many(s) for s in ((900, 9, 8), (9, 9, 8, 3), (6, 1, 9, 8), (2, 5, 9, 8))]
    [False, True, True, False]
    """
    return len(shape) > 3 and shape[0] > 1 and layout_of(shape) != "CDHW"


def as_image(array: np.ndarray, what: str) -> np.ndarray:
    """Turn one image of any layout into (C, *S); three channels that are all alike become one.

    Args:
        array: see `layout_of`.
        what: the image, for messages.

    Raises:
        UserError: if it is no image: of other numbers, of other axes, or in part transparent.
    """
    layout = layout_of(array.shape)
    if array.dtype.kind not in "biuf" or not layout:
        raise UserError(
            f"{what}: an array of {array.dtype} and shape {array.shape} is no image; expected "
            f"{EXPECTED}"
        )
    array = array.astype(np.uint8) if array.dtype == bool else array
    flat = array.reshape([size for size in array.shape if size != 1])
    place = layout.replace("1", "").find("C")
    if place < 0:
        return flat[None]
    voxels = np.moveaxis(flat, place, 0)  # (C, *S)
    return gray_if_alike(without_alpha(voxels, what)) if voxels.ndim == 3 else voxels


def without_padding(voxels: np.ndarray, stored: np.ndarray, value: float) -> np.ndarray:
    """Make voxels that are stored as `value`, where nothing was measured, the least of the others.

    >>> without_padding(np.array([5, 7, 7]), np.array([-1, 0, 0]), -1)
    array([7, 7, 7])
    """
    padding = np.isnan(stored) if np.isnan(value) else stored == value
    if not padding.any() or padding.all():
        return voxels
    without: np.ndarray = voxels.copy()
    without[padding] = voxels[~padding].min()
    return without


def without_alpha(pixels: np.ndarray, what: str) -> np.ndarray:
    """Leave out the opaque alpha channel of (2 or 4, H, W).

    Raises:
        UserError: if a part of the picture is transparent.
    """
    if len(pixels) not in (2, 4):
        return pixels
    if np.ptp(pixels[-1]) or not pixels[-1].any():
        raise UserError(f"{what}: a part of it is transparent. Save it without transparency.")
    return pixels[:-1]


def gray_if_alike(pixels: np.ndarray) -> np.ndarray:
    """Make (1, H, W) of a picture (3, H, W) whose channels are all the same."""
    alike = all(np.array_equal(pixels[0], other) for other in pixels[1:])
    return pixels[:1] if alike else pixels


MOST_VOXELS = 2**29
"""An image may have as many voxels, channels included: 512 x 512 x 2048."""

LEAST = 8
"""Two axes of an image at least have as many voxels: of chest X-rays that are smaller a copy
detector overlooks more than 20% of planted copies, and label maps are not known."""


def too_small(shape: Sequence[int]) -> bool:
    """Tell whether an image of spatial axes `shape` shows too little to be told from others.

    >>> too_small((2, 40)), too_small((7, 7, 7)), too_small((3, 8, 8))
    (True, True, False)
    """
    return sorted(shape)[-2] < LEAST


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
