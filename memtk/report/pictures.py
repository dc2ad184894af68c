"""From images to the small pictures of a report."""

from __future__ import annotations

import base64
import io
from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib import colormaps
from matplotlib.image import imsave

LIMIT = 320
"""Longest side of a picture in pixels; larger images are averaged down to it."""


@dataclass(frozen=True)
class Window:
    """The intensities that are shown as black and white, the same for all pictures of a cell."""

    low: float
    high: float


@dataclass(frozen=True)
class Picture:
    """One picture as the page shows it.

    Args:
        uri: `data:` URI of a PNG.
        width: on the page, in CSS pixels, and its `height`; they keep the voxels' proportions.
        reduced: whether it has fewer pixels than the image.
    """

    uri: str
    width: int
    height: int
    reduced: bool


def window_of(images: np.ndarray) -> Window:
    """Return the window from the 0.5th to the 99.5th percentile of all images together.

    >>> window_of(np.linspace(-1, 1, 201))
    Window(low=-0.99, high=0.99)
    """
    low, high = (round(float(value), 6) for value in np.percentile(images, (0.5, 99.5)))
    return Window(low, high if high > low else low + 1.0)


def planes(image: np.ndarray) -> list[np.ndarray]:
    """Return an image (C, H, W) itself, or the three planes through the middle of (C, D, H, W).

    Returns:
        Arrays (C, h, w): across D (H x W), across H (D x W), across W (D x H).
    """
    if image.ndim == 3:
        return [image]
    _, d, h, w = image.shape
    return [image[:, d // 2], image[:, :, h // 2], image[:, :, :, w // 2]]


def plane_sizes(spacing: tuple[float, ...], dims: int) -> list[tuple[float, float]]:
    """Return the height and width of a pixel of each plane, in mm (1 where nothing is known)."""
    sizes = spacing if len(spacing) == dims else (1.0,) * dims
    if dims == 2:
        return [(sizes[0], sizes[1])]
    d, h, w = sizes
    return [(h, w), (d, w), (d, h)]


def show_image(plane: np.ndarray, window: Window, pixel: tuple[float, float], size: int) -> Picture:
    """Return a plane (C, h, w) in grey, or in colour where C = 3; else its first channel."""
    part, reduced = _reduced(plane if len(plane) == 3 else plane[:1])
    shown = np.clip((part - window.low) / (window.high - window.low), 0, 1)
    colors = np.moveaxis(np.repeat(shown, 3 // len(shown), axis=0), 0, -1)  # (h, w, 3)
    return _picture(colors, plane.shape[1:], pixel, size, reduced)


def show_difference(
    first: np.ndarray, second: np.ndarray, window: Window, pixel: tuple[float, float], size: int
) -> Picture:
    """Return second - first of planes (C, h, w): white is none, orange more, blue less.

    Full colour is half the width of the window.
    """
    difference, reduced = _reduced((second - first).mean(axis=0, keepdims=True))
    scale = (window.high - window.low) / 2
    position = np.clip(0.5 + 0.5 * difference[0] / scale, 0, 1)
    colors = colormaps["PuOr_r"](position)[..., :3]  # (h, w, 3)
    return _picture(colors, first.shape[1:], pixel, size, reduced)


def _reduced(plane: np.ndarray) -> tuple[np.ndarray, bool]:
    """Average blocks of pixels of (C, h, w) until no side is longer than LIMIT."""
    c, h, w = plane.shape
    block = -(-max(h, w) // LIMIT)
    if block == 1:
        return plane, False
    h, w = max(1, h // block), max(1, w // block)
    cut = plane[:, : h * block, : w * block]
    return cut.reshape(c, h, block, w, block).mean(axis=(2, 4)), True  # (C, h/b, w/b)


def _picture(
    colors: np.ndarray,
    shape: tuple[int, ...],
    pixel: tuple[float, float],
    size: int,
    reduced: bool,
) -> Picture:
    height, width = shape[0] * pixel[0], shape[1] * pixel[1]  # mm
    scale = size / max(height, width)
    buffer = io.BytesIO()
    unsigned: Any = {"Software": None}  # the version of matplotlib is no part of the picture
    imsave(
        buffer,
        np.rint(255 * np.ascontiguousarray(colors)).astype(np.uint8),
        format="png",
        metadata=unsigned,
    )
    uri = f"data:image/png;base64,{base64.b64encode(buffer.getvalue()).decode()}"
    return Picture(uri, max(1, round(width * scale)), max(1, round(height * scale)), reduced)
