"""Made-up patients: a body with organs, lesions and texture, different in each patient."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from memtk.noise import derive

VERSION = 1
"""Raised when the images of a given seed change."""

ORGANS, LESIONS = 7, 3
TEXTURE = 0.025
"""Standard deviation of the voxel noise within the body, in the units of the image."""


@dataclass(frozen=True)
class _Ellipsoid:
    """A soft ellipsoid: 1 inside, 0 outside.

    Args:
        centre: (dims,), in half widths of the image.
        matrix: (dims, dims), maps the offset from the centre so that the surface has length 1.
        value: its intensity.
    """

    centre: np.ndarray
    matrix: np.ndarray
    value: float

    def mask(self, points: np.ndarray, sharpness: float) -> np.ndarray:
        """Return how much each of the points (dims, P) lies inside: (P,) in (0, 1)."""
        matrix = self.matrix.astype(np.float32)
        offset = matrix @ self.centre.astype(np.float32)
        distance = np.sqrt(np.square(matrix @ points - offset[:, None]).sum(axis=0))  # (P,)
        return _sigmoid((1 - distance) * np.float32(sharpness))


@dataclass(frozen=True)
class _Waves:
    """A smooth field: a sum of plane waves of few cycles across the image."""

    vectors: np.ndarray  # (W, dims), cycles a half width
    phases: np.ndarray  # (W,)
    amplitude: float

    def __call__(self, points: np.ndarray) -> np.ndarray:
        """Return the field at points (dims, P): (P,), standard deviation `amplitude`."""
        vectors = (np.pi * self.vectors).astype(np.float32)
        angles = vectors @ points + self.phases[:, None].astype(np.float32)  # (W, P)
        height = self.amplitude * np.sqrt(2 / len(self.phases))
        return np.cos(angles).sum(axis=0) * np.float32(height)


@dataclass(frozen=True)
class _Anatomy:
    """What stays the same in all images of a patient."""

    body: _Ellipsoid
    rind: float
    organs: tuple[_Ellipsoid, ...]
    warp: tuple[_Waves, ...]
    texture: _Waves
    lesions: int


def lesions(seed: int, patient: int, *, dims: int) -> int:
    """Return how many lesions a patient has, 1 to `LESIONS`: a condition of the image."""
    return _anatomy(np.random.default_rng(derive(seed, "anatomy", dims, patient)), dims).lesions


def phantom(seed: int, patient: int, image: int = 0, *, dims: int, size: int) -> np.ndarray:
    """Return one image of a patient: float32 (1, *S) in [-1, 1], S = `dims` axes of `size` voxels.

    It is a function of the arguments alone. The images of one patient share the anatomy and differ
    in pose (up to 4 degrees, 4% shift, 3% scale), in a faint smooth field and in noise.

    Args:
        seed: of the whole population.
        patient: whose anatomy it is.
        image: which image of the patient.
    """
    anatomy = _anatomy(np.random.default_rng(derive(seed, "anatomy", dims, patient)), dims)
    rng = np.random.default_rng(derive(seed, "image", dims, patient, image))
    points = _posed(_grid(dims, size), rng)  # (dims, P)
    points = points + np.stack([wave(points) for wave in anatomy.warp])
    sharpness = 0.35 * size  # edges of about two voxels
    inside = anatomy.body.mask(points, sharpness)
    core = anatomy.body.mask(points / np.float32(0.88), sharpness)
    values = np.float32(anatomy.rind) + np.float32(anatomy.body.value - anatomy.rind) * core
    for organ in anatomy.organs:
        values = values + (np.float32(organ.value) - values) * organ.mask(points, sharpness) * core
    values = values + anatomy.texture(points) * core + _waves(rng, dims, 2, 0.01)(points)
    values = values + rng.standard_normal(len(values), dtype=np.float32) * np.float32(TEXTURE / 2)
    x = 2 * (values * inside) - 1
    return np.clip(x, -1, 1).astype(np.float32).reshape(1, *[size] * dims)


def phantom_of_shape(seed: int, channels: int, shape: Sequence[int]) -> np.ndarray:
    """Return a phantom (C, *S): the middle of a cube with the longest side of S; channels alike."""
    size = max(shape)
    middle = tuple(slice((size - side) // 2, (size - side) // 2 + side) for side in shape)
    cube = phantom(seed, 0, dims=len(shape), size=size)
    return np.repeat(cube[(slice(None), *middle)], channels, axis=0)


def _anatomy(rng: np.random.Generator, dims: int) -> _Anatomy:
    radii = rng.uniform(0.68, 0.92, dims)
    body = _Ellipsoid(np.zeros(dims), np.diag(1 / radii), rng.uniform(0.25, 0.45))
    organs = [_organ(rng, radii, (0.16, 0.38), 0.62) for _ in range(ORGANS)]
    lesions = [_organ(rng, radii, (0.08, 0.14), 0.7) for _ in range(rng.integers(1, LESIONS + 1))]
    bright = [_Ellipsoid(one.centre, one.matrix, rng.uniform(0.85, 1.0)) for one in lesions]
    return _Anatomy(
        body=body,
        rind=rng.uniform(0.5, 0.8),
        organs=(*organs, *bright),
        warp=tuple(_waves(rng, dims, 3, 0.035) for _ in range(dims)),
        texture=_waves(rng, dims, 6, 0.025),
        lesions=len(bright),
    )


def _organ(
    rng: np.random.Generator, radii: np.ndarray, sizes: tuple[float, float], reach: float
) -> _Ellipsoid:
    """Draw an ellipsoid whose centre lies uniformly within `reach` of the body."""
    dims = len(radii)
    direction = rng.normal(size=dims)
    direction /= np.linalg.norm(direction)
    centre = radii * direction * reach * rng.uniform() ** (1 / dims)
    turn, _ = np.linalg.qr(rng.normal(size=(dims, dims)))
    axes = rng.uniform(*sizes, dims)
    return _Ellipsoid(centre, np.diag(1 / axes) @ turn.T, rng.uniform(0.05, 0.95))


def _waves(rng: np.random.Generator, dims: int, count: int, amplitude: float) -> _Waves:
    vectors = rng.uniform(-1.5, 1.5, (count, dims))
    return _Waves(vectors, rng.uniform(0, 2 * np.pi, count), amplitude)


def _posed(points: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Turn, shift and scale the points a little."""
    dims = len(points)
    turn = np.eye(dims)
    for first in range(dims):
        for second in range(first + 1, dims):
            angle = np.deg2rad(rng.uniform(-4, 4))
            plane = np.eye(dims)
            plane[first, first] = plane[second, second] = np.cos(angle)
            plane[first, second], plane[second, first] = -np.sin(angle), np.sin(angle)
            turn = turn @ plane
    shift, scale = rng.uniform(-0.04, 0.04, dims), rng.uniform(0.97, 1.03)
    turn = turn / scale
    return (turn @ points - (turn @ shift)[:, None]).astype(np.float32)  # (dims, P)


@lru_cache(maxsize=4)
def _grid(dims: int, size: int) -> np.ndarray:
    """Return the centres of all voxels, in half widths of the image: (dims, size**dims)."""
    axis = (np.arange(size) + 0.5) * 2 / size - 1
    return np.stack(np.meshgrid(*[axis] * dims, indexing="ij")).reshape(dims, -1)


def _sigmoid(x: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-np.clip(x, -40, 40), dtype=np.float32))
