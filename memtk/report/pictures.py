"""Pictures of a report: planes of images, and the nearest pairs for a reader to judge by eye."""

from __future__ import annotations

import base64
import hashlib
import hmac
import io
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib import colormaps
from matplotlib.image import imsave

from memtk.data.images import StoredImages
from memtk.errors import UserError
from memtk.files import read_plain
from memtk.interfaces import ImageSpec


def short_hash(key: bytes, split: str, index: int) -> str:
    """Return eight hexadecimal digits that stand for an image: HMAC-SHA256 of split and index.

    Without the key they say nothing; with it, the owner of the run finds the image again.

    Args:
        split: "training", or "CELL/step-000900" for synthetic images.
        index: of the image in it.

    >>> short_hash(b"key", "training", 3) == short_hash(b"key", "training", 3)
    True
    >>> short_hash(b"key", "training", 3) == short_hash(b"other", "training", 3)
    False
    """
    return hmac.new(key, f"{split}\0{index}".encode(), hashlib.sha256).hexdigest()[:8]


def read_key(folder: Path) -> bytes:
    """Return the key of a run, from `folder/key`.

    Raises:
        UserError: if it is missing or damaged, naming it.
    """
    path = Path(folder) / "key"
    try:
        key = bytes.fromhex(read_plain(path).decode("ascii").strip())
    except (OSError, UserError, ValueError) as error:
        raise UserError(
            f"cannot read {path}: images cannot be named without the key of their run.\n"
            "Put the file back, or run the same bench with --no-resume."
        ) from error
    if len(key) < 16:
        raise UserError(f"{path} is damaged: it should hold 32 bytes in hexadecimal digits")
    return key


LIMIT = 320
"""Longest side of a picture in pixels; larger images are averaged down to it."""

TOP, NEAR = 8, 4
"""Pairs shown: the most alike, and those that the reference rule just did not flag."""


WINDOWED = 2**25
"""Most voxels, of all images together, that the window of their intensities is taken from."""

Shown = tuple[list[np.ndarray], np.ndarray]
"""The planes of an image that are shown, and some of its voxels."""


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


def encode_png(colors: np.ndarray) -> bytes:
    """Return colours in [0, 1], (h, w) or (h, w, 3), as a PNG; the same ones as the same bytes."""
    colors = np.ascontiguousarray(colors if colors.ndim == 3 else np.stack([colors] * 3, axis=-1))
    buffer = io.BytesIO()
    unsigned: Any = {"Software": None}  # the version of matplotlib is no part of the picture
    pixels = np.rint(255 * colors).astype(np.uint8)
    imsave(buffer, pixels, format="png", metadata=unsigned)
    return buffer.getvalue()


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
    colors: np.ndarray, shape: tuple[int, ...], pixel: tuple[float, float], size: int, reduced: bool
) -> Picture:
    height, width = shape[0] * pixel[0], shape[1] * pixel[1]  # mm
    scale = size / max(height, width)
    uri = f"data:image/png;base64,{base64.b64encode(encode_png(colors)).decode()}"
    return Picture(uri, max(1, round(width * scale)), max(1, round(height * scale)), reduced)


@dataclass(frozen=True)
class Pair:
    """A training image, the synthetic image nearest to it, and the stranger nearest to it.

    Args:
        rank: 1 for the pair most alike of all training images.
        stranger: similarity of the training image to its nearest validation image.
        memorized: whether the reference rule flags the training image.
        exposed: how sure the training image is named as exposed: "sure", "suspect" or empty; None
            where it was not tested.
        copy: the same of the synthetic image as a copy.
        names: short keyed hashes of the training and the synthetic image.
        training: the planes shown, and so `synthetic` and `difference`.
        real: those of its nearest validation image; none where that was not kept.
    """

    rank: int
    similarity: float
    stranger: float
    memorized: bool
    exposed: str | None
    copy: str
    names: tuple[str, str]
    training: tuple[Picture, ...]
    synthetic: tuple[Picture, ...]
    difference: tuple[Picture, ...]
    real: tuple[Picture, ...] = ()


@dataclass(frozen=True)
class Pairs:
    """The pairs of a synthetic set.

    Args:
        near: not flagged, the most alike of those that are not in `top`.
        pixelated: whether pictures are enlarged so far that their pixels should be seen.
        reduced: whether pictures have fewer pixels than the images.
    """

    top: tuple[Pair, ...]
    near: tuple[Pair, ...]
    dims: int
    channels: int
    pixelated: bool
    reduced: bool


def choose(similarity: np.ndarray, memorized: np.ndarray) -> tuple[list[int], list[int]]:
    """Return which training images to show: the most alike, and the next that are not flagged.

    Where none is flagged there are no next ones: the most alike are those that just are not.

    Args:
        similarity: of each training image to its nearest synthetic image, (N,).
        memorized: what the reference rule flags, bool (N,).

    >>> choose(np.array([0.1, 0.9, 0.5]), np.array([False, True, False]))
    ([1, 2, 0], [])
    """
    order = np.argsort(-similarity, kind="stable").tolist()
    near = [i for i in order[TOP:] if not memorized[i]] if memorized.any() else []
    return order[:TOP], near[:NEAR]


def find_pairs(
    arrays: Mapping[str, np.ndarray], images: Mapping[str, StoredImages], key: bytes, label: str
) -> Pairs:
    """Return the pairs of a synthetic set, each with the stranger nearest to its training image.

    Args:
        arrays: what it was judged from, named as in `memtk.evaluation.Evaluation`.
        images: the N "training" images that were judged, the M "synthetic" ones, and the
            "validation" images.
        key: of the run, for the short names.
        label: of the synthetic set in these names.

    Raises:
        UserError: if a file is damaged, naming it.
    """
    top, near = choose(arrays["train_synthetic"], arrays["memorized"])
    rows = [*top, *near]
    partners = arrays["train_synthetic_index"][rows].tolist()
    training, synthetic = images["training"], images["synthetic"]
    spec, step = training.spec, _step(training.spec, 2 * len(rows))
    ours, theirs = _read(training, rows, step), _read(synthetic, partners, step)
    window = window_of(np.concatenate([some for _, some in (*ours, *theirs)]))
    strangers = _strangers(arrays, rows, images.get("validation"))
    size = 102 if spec.dims == 3 else 150  # CSS pixels
    rank = np.argsort(np.argsort(-arrays["train_synthetic"], kind="stable"))  # (N,), 0 = most alike
    tested = "exposure_flagged" in arrays
    pairs = []
    for number, (row, partner, (one, _), (other, _)) in enumerate(
        zip(rows, partners, ours, theirs, strict=True)
    ):
        pixels = plane_sizes(spec.spacing, spec.dims)
        real = () if strangers is None else strangers[number][0]
        shown = [
            (
                show_image(a, window, mm, size),
                show_image(b, window, mm, size),
                show_difference(a, b, window, mm, size),
            )
            for a, b, mm in zip(one, other, pixels, strict=True)
        ]
        first, second, difference = zip(*shown, strict=True)
        pairs.append(
            Pair(
                rank=int(rank[row]) + 1,
                similarity=float(arrays["train_synthetic"][row]),
                stranger=float(arrays["train_validation"][row]),
                memorized=bool(arrays["memorized"][row]),
                exposed=_named(arrays, "exposure", row) if tested else None,
                copy=_named(arrays, "copies", partner),
                names=(
                    short_hash(key, "training", int(training.indices[row])),
                    short_hash(key, label, int(synthetic.indices[partner])),
                ),
                training=first,
                synthetic=second,
                difference=difference,
                real=tuple(
                    show_image(p, window, mm, size) for p, mm in zip(real, pixels, strict=False)
                ),
            )
        )
    return Pairs(
        top=tuple(pairs[: len(top)]),
        near=tuple(pairs[len(top) :]),
        dims=spec.dims,
        channels=spec.channels,
        pixelated=max(spec.shape) < 128,
        reduced=any(p.reduced for pair in pairs for p in pair.training),
    )


def _step(spec: ImageSpec, count: int) -> int:
    """Return of how many voxels one is taken for the window of so many images; 1 of small ones."""
    return max(1, -(-count * spec.channels * math.prod(spec.shape) // WINDOWED))


def _read(images: StoredImages, rows: list[int], step: int) -> list[Shown]:
    """Return the planes of each image and every `step`-th of its voxels; one is in memory."""
    found = []
    for row in rows:
        image = images.read([row])[0].numpy()  # (C, *S)
        found.append(([plane.copy() for plane in planes(image)], image.reshape(-1)[::step].copy()))
    return found


def _strangers(
    arrays: Mapping[str, np.ndarray], rows: list[int], validation: StoredImages | None
) -> list[Shown] | None:
    """Return the validation image nearest to each training image; None if they are not kept."""
    nearest = arrays.get("train_validation_index")
    if nearest is None or validation is None or len(validation) != len(arrays["validation_train"]):
        return None  # a release screens them, and their numbers are those of what is left
    return _read(validation, nearest[rows].tolist(), WINDOWED)


def _named(arrays: Mapping[str, np.ndarray], side: str, row: int) -> str:
    """Return how sure an image is named; an older memtk knew suspects alone."""
    if f"{side}_sure" in arrays and arrays[f"{side}_sure"][row]:
        return "sure"
    return "suspect" if arrays[f"{side}_flagged"][row] else ""
