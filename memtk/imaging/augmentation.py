"""Training images changed: at random for augmentation, in known ways as planted copies."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from memtk.noise import Noise

MAX_DEGREES = 5.0
"""Largest rotation of the reference method, either way."""

MAX_SHIFT = 1 / 32
"""Largest shift of `strong`, as a fraction of each axis."""

NODES = 4
"""Points along each axis that `deform` displaces; between them it interpolates linearly."""

LEAST = 1e-30
"""Weights of `blur` below which nothing is added; smaller numbers make a CPU's products slow."""


def _exact(change: Callable[..., Tensor]) -> Callable[..., Tensor]:
    """Run `change` in float32 even inside autocast, where angles would lose their digits."""

    @functools.wraps(change)
    def run(x: Tensor, *args: object, **kwargs: object) -> Tensor:
        if x.is_meta:  # sizes alone are asked for, and autocast does not know that device
            return change(x.float(), *args, **kwargs)
        with torch.autocast(x.device.type, enabled=False):
            return change(x.float(), *args, **kwargs)

    return run


def flip(x: Tensor, axis: int, which: Tensor) -> Tensor:
    """Mirror the rows in `which` (B,), bool, along spatial axis `axis` (-1 is the last one)."""
    dim = axis if axis < 0 else axis + 2
    return torch.where(_per_row(which, x), x.flip(dim), x)


@_exact
def rotate(x: Tensor, degrees: Tensor) -> Tensor:
    """Turn each row about its centre; what comes in from outside is the row's minimum.

    Args:
        x: images (B, C, *S).
        degrees: (B, 1) in 2D, positive as `np.rot90` turns (from the first axis to the second);
            (B, 3) in 3D: about the first, second and third axis, in the plane of the two others.
    """
    return _move(x, _rotation(degrees), torch.zeros(len(x), x.dim() - 2))


@_exact
def shift(x: Tensor, voxels: Tensor) -> Tensor:
    """Move each row by `voxels` (B, dims) towards higher indices; the gap is the row's minimum."""
    dims = x.dim() - 2
    return _move(x, torch.eye(dims).expand(len(x), dims, dims), voxels)


@_exact
def contrast(x: Tensor, gamma: Tensor) -> Tensor:
    """Raise intensities, taken in [0, 1], to the power `gamma` (B,) > 0."""
    return ((x + 1) / 2).clamp(0, 1) ** _per_row(gamma, x) * 2 - 1


@_exact
def blur(x: Tensor, sigma_voxels: Tensor) -> Tensor:
    """Smooth each row with a Gaussian of standard deviation `sigma_voxels` (B,); 0 leaves it.

    At the border the part of the kernel that lies outside is left out.
    """
    sigma = sigma_voxels.to(x)
    if not x.is_meta and not (blurred := sigma > 0).all():  # the others cost nothing
        rows = blurred.nonzero()[:, 0]
        return x.index_copy(0, rows, blur(x[rows], sigma[rows])) if len(rows) else x
    variance = sigma.clamp(min=1e-3) ** 2
    for dim in range(2, x.dim()):
        place = torch.arange(x.shape[dim], device=x.device)
        fall = torch.exp(-(place.to(x) ** 2) / (2 * variance[:, None]))  # (B, n), by the distance
        fall = F.threshold(fall, LEAST, 0)
        kernel = fall[:, (place[:, None] - place[None, :]).abs()]  # (B, n, n)
        kernel = kernel / kernel.sum(-1, keepdim=True)
        lines = x.movedim(dim, 1)  # (B, n, C, other axes)
        smooth = (kernel @ lines.flatten(2)).reshape(lines.shape)
        x = smooth.movedim(1, dim)
    return x.contiguous()


@_exact
def add_noise(x: Tensor, sigma: Tensor, noise: Noise) -> Tensor:
    """Add white noise of standard deviation `sigma` (B,) and clip to [-1, 1]."""
    return (x + _per_row(sigma, x) * noise.normal(*x.shape[1:]).to(x)).clamp(-1, 1)


def paper_pair(x: Tensor, noise: Noise) -> Tensor:
    """Change images as the reference method does to make the second view of a pair.

    With probability 1/2 a rotation by U(-5, 5) degrees about each axis (in 2D in the plane), then
    with probability 1/2 a flip of the last axis: a quarter of the rows stay as they are
    (arXiv 2402.01054, section 4.3 and its code).
    """
    turned, flipped = noise.uniform(2).unbind(1)  # (B,)
    x = rotate(x, _angles(x, noise) * (turned < 0.5)[:, None])
    return flip(x, -1, flipped < 0.5)


def augment(x: Tensor, noise: Noise) -> Tensor:
    """Change training images as the reference method does against memorization.

    Flip and rotation within 5 degrees, each with probability 1/2 (arXiv 2402.01054, section
    2.4.3). Which axes are flipped the paper does not say: the last one, as in `paper_pair`.
    """
    return paper_pair(x, noise)


def strong(x: Tensor, noise: Noise) -> Tensor:
    """Change images in all the ways in which a copy may differ from its original.

    Rotation and flip as in `paper_pair`; with probability 1/2 each a shift of up to 1/32 of every
    axis, contrast (gamma 0.74 to 1.35), blur (sigma up to 1.5 voxels) and noise (up to 0.1).
    """
    return _change(
        x, noise, chance=0.5, degrees=MAX_DEGREES, part=MAX_SHIFT, log_gamma=0.3, sigma=1.5
    )


def wide(x: Tensor, noise: Noise) -> Tensor:
    """Change images as `strong` does, more often, further, and alike at every size.

    A flip of the last axis with probability 1/2; with probability 0.7 each rotations within 6
    degrees, a shift of up to 4% of every axis, contrast (gamma 0.67 to 1.49), blur (sigma up to
    3.5% of the shortest side) and noise (up to 0.1).
    """
    sigma = 0.035 * min(x.shape[2:])
    return _change(x, noise, chance=0.7, degrees=6.0, part=0.04, log_gamma=0.4, sigma=sigma)


@_exact
def deform(x: Tensor, strength: Tensor, noise: Noise) -> Tensor:
    """Warp each row smoothly, as one anatomy differs from another; what comes in is its minimum.

    Displacements along every axis are drawn at 4 points along each axis, from N(0, s) with
    s = `strength` (B,) times half the axis, and interpolated linearly between them. Rows of
    strength 0 are left exactly as they are.
    """
    dims = x.dim() - 2
    drawn = noise.normal(dims, *[NODES] * dims).to(x) * _per_row(strength, x)
    if x.is_meta:
        return x
    moving = strength.to(x.device).nonzero()[:, 0]
    if not len(moving):
        return x
    moves = drawn[moving]  # (B, dims, 4, ..., 4)
    for n in x.shape[2:]:  # each axis becomes the last one as it is interpolated
        place = torch.arange(n).to(x) * (NODES - 1) / max(n - 1, 1)
        weights = (1 - (place - torch.arange(NODES).to(x)[:, None]).abs()).clamp(min=0)  # (4, n)
        moves = torch.tensordot(moves, weights, ([2], [0]))
    # `_sample` names the last axis first; so do the moves, whose order is arbitrary.
    grid = torch.stack(torch.broadcast_tensors(*_centres(x))) + moves
    return x.index_copy(0, moving, _sample(x[moving], grid))


def _change(
    x: Tensor,
    noise: Noise,
    *,
    chance: float,
    degrees: float,
    part: float,
    log_gamma: float,
    sigma: float,
) -> Tensor:
    """Change each row: everything with the probability `chance`, the flip with 1/2."""
    size = torch.tensor(x.shape[2:], dtype=torch.float32)
    turned, flipped, shifted, gamma, blurred, grained = noise.uniform(6).unbind(1)  # (B,)
    angles = _angles(x, noise, degrees) * (turned < chance)[:, None]
    voxels = _centred(noise, len(size)) * part * size.to(x.device) * (shifted < chance)[:, None]
    strength = noise.uniform(3)  # (B, 3)
    x = _exact(_move)(x, _rotation(angles), voxels)
    x = flip(x, -1, flipped < 0.5)
    x = contrast(x, torch.exp(2 * log_gamma * (strength[:, 0] - 0.5) * (gamma < chance)))
    x = blur(x, sigma * strength[:, 1] * (blurred < chance))
    return add_noise(x, 0.1 * strength[:, 2] * (grained < chance), noise)


def _per_row(values: Tensor, x: Tensor) -> Tensor:
    """Shape (B,) so that it broadcasts over (B, C, *S)."""
    return values.to(x.device).reshape(-1, *[1] * (x.dim() - 1))


def _centred(noise: Noise, count: int) -> Tensor:
    return noise.uniform(count) * 2 - 1  # (B, count) in [-1, 1)


def _angles(x: Tensor, noise: Noise, most: float = MAX_DEGREES) -> Tensor:
    return _centred(noise, 1 if x.dim() == 4 else 3) * most  # (B, 1 or 3)


def _rotation(degrees: Tensor) -> Tensor:
    """Return (B, dims, dims): where a voxel's offset from the centre goes."""
    angle = torch.deg2rad(degrees.float())
    if degrees.shape[1] == 1:
        return _turn(angle[:, 0], 2, (0, 1))
    planes = ((1, 2), (0, 2), (0, 1))
    first, second, third = (_turn(angle[:, i], 3, plane) for i, plane in enumerate(planes))
    return first @ second @ third


def _turn(angle: Tensor, dims: int, plane: Sequence[int]) -> Tensor:
    matrix = torch.eye(dims, device=angle.device).repeat(len(angle), 1, 1)
    a, b = plane
    matrix[:, a, a] = matrix[:, b, b] = angle.cos()
    matrix[:, a, b] = -angle.sin()
    matrix[:, b, a] = angle.sin()
    return matrix


def _move(x: Tensor, matrix: Tensor, voxels: Tensor) -> Tensor:
    """Resample linearly so that offset v from the centre goes to `matrix @ v + voxels`.

    Rows that do not move are left exactly as they are, and cost nothing.
    """
    if x.is_meta:  # sizes alone are asked for, and which rows move is not known there
        return x
    matrix, voxels = matrix.to(x), voxels.to(x)
    still = torch.eye(len(x.shape) - 2).to(x)
    moving = ((matrix != still).flatten(1).any(1) | (voxels != 0).any(1)).nonzero()[:, 0]
    if not len(moving):
        return x
    moved = _resample(x[moving], matrix[moving], voxels[moving])
    return x.index_copy(0, moving, moved)


def _resample(x: Tensor, matrix: Tensor, voxels: Tensor) -> Tensor:
    half = torch.tensor(x.shape[2:], dtype=x.dtype, device=x.device) / 2
    back = matrix.transpose(1, 2)  # the inverse of a rotation
    offset = -(back @ voxels[..., None])  # (B, dims, 1)
    # `grid_sample` counts each axis from -1 to 1 and names the last axis first.
    back = (back * half[None, None, :] / half[None, :, None]).flip(1, 2)
    offset = (offset / half[None, :, None]).flip(1)
    # Axis by axis, the first one first: a product of matrices rounds a row by how many there are.
    grid = offset.unflatten(2, [1] * len(half))  # (B, dims, 1, ...)
    for column, centres in reversed([*zip(back.unbind(2), _centres(x), strict=True)]):
        grid = grid + column.reshape(*column.shape, *[1] * len(half)) * centres
    return _sample(x, grid)


def _centres(x: Tensor) -> list[Tensor]:
    """Return the voxels' centres from -1 to 1 along each axis, the last first, to broadcast."""
    dims = x.dim() - 2
    places = [(2 * torch.arange(n, device=x.device) + 1).to(x) / n - 1 for n in x.shape[2:]]
    return [p.reshape(-1, *[1] * (dims - 1 - axis)) for axis, p in enumerate(places)][::-1]


def _sample(x: Tensor, grid: Tensor) -> Tensor:
    """Read each row linearly at the points of `grid` (B, dims, *S); outside is its minimum."""
    lowest = x.flatten(1).amin(1).reshape(-1, *[1] * (x.dim() - 1))
    return F.grid_sample(x - lowest, grid.movedim(1, -1), align_corners=False) + lowest


@dataclass(frozen=True)
class Plant:
    """One kind of change, at graded strengths.

    Args:
        kind: its name.
        unit: of the strength; "" for a change that has none.
        strengths: ascending; what lies above `nominal` asks for more than a copy detector is
            trained against.
        nominal: the strongest that `mixed` draws.
        make: `(x, strength, noise) -> x`; directions are drawn, the strength is exact.
    """

    kind: str
    unit: str
    strengths: tuple[float, ...]
    nominal: float
    make: Callable[[Tensor, float | Tensor, Noise], Tensor]


def _as_it_is(x: Tensor, strength: float | Tensor, noise: Noise) -> Tensor:
    return x


def _flip(x: Tensor, strength: float | Tensor, noise: Noise) -> Tensor:
    return flip(x, -1, _each(strength, x) > 0)


def _turned(x: Tensor, strength: float | Tensor, noise: Noise) -> Tensor:
    """Turn by exactly `strength` degrees: in the plane, or about one axis of three."""
    dims = x.dim() - 2
    degrees = _each(strength, x) * _sign(noise)  # (B,)
    if dims == 2:
        return rotate(x, degrees[:, None])
    axis = torch.nn.functional.one_hot(noise.integers(dims).long(), dims)  # (B, 3)
    return rotate(x, degrees[:, None] * axis)


def _contrast(x: Tensor, strength: float | Tensor, noise: Noise) -> Tensor:
    """Raise intensities to the power `strength` or its inverse."""
    return contrast(x, _each(strength, x) ** _sign(noise))


def _blur(x: Tensor, strength: float | Tensor, noise: Noise) -> Tensor:
    return blur(x, _each(strength, x) / 100 * min(x.shape[2:]))


def _noise(x: Tensor, strength: float | Tensor, noise: Noise) -> Tensor:
    return add_noise(x, _each(strength, x) / 100 * 2, noise)


def _shift(x: Tensor, strength: float | Tensor, noise: Noise) -> Tensor:
    """Move by `strength` per cent of the image's sides, in a direction drawn at random."""
    size = torch.tensor(x.shape[2:], dtype=torch.float32, device=x.device)
    direction = noise.normal(len(size))
    direction = direction / direction.norm(dim=1, keepdim=True).clamp_min(1e-12)  # (B, dims)
    return shift(x, direction * size * _each(strength, x)[:, None] / 100)


PLANTS = (
    Plant("exact", "", (0.0,), 0.0, _as_it_is),
    Plant("flip", "", (1.0,), 1.0, _flip),
    Plant("rotation", "degrees", (2.0, 5.0, 10.0), 5.0, _turned),
    Plant("contrast", "gamma", (1.15, 1.35, 1.8), 1.35, _contrast),
    Plant("blur", "% of the side", (1.5, 3.0, 6.0), 3.0, _blur),
    Plant("noise", "% of the range", (1.0, 3.0, 10.0), 3.0, _noise),
    Plant("shift", "% of the sides", (1.0, 3.0, 6.0), 3.0, _shift),
)
"""The kinds of planted copies. "exact" and "flip" have one strength."""


def mixed(x: Tensor, noise: Noise, grain: float = 1.0) -> Tensor:
    """Change each row in several ways at once, as a generator's copies differ from the originals.

    Rotation, flip, contrast, blur, noise and shift, each with probability 1/2 and, where it has a
    strength, uniformly up to the nominal one. One row in 64 stays as it is.

    Args:
        grain: factor of the noise, below 1 for images that were reduced: averages have less of it.
    """
    for plant in PLANTS[1:]:
        draw = noise.uniform(2)  # (B, 2)
        chosen = (draw[:, 0] < 0.5).to(x.device)
        amount = draw[:, 1].to(x.device)
        if plant.kind == "flip":
            strength = torch.ones_like(amount)
        elif plant.kind == "contrast":
            strength = torch.exp(amount * math.log(plant.nominal))
        else:
            strength = amount * plant.nominal * (grain if plant.kind == "noise" else 1.0)
        none = 1.0 if plant.kind == "contrast" else 0.0
        x = plant.make(x, torch.where(chosen, strength, torch.full_like(strength, none)), noise)
    return x


def _each(strength: float | Tensor, x: Tensor) -> Tensor:
    """Return the strength of each row, (B,)."""
    return torch.as_tensor(strength, dtype=torch.float32, device=x.device).expand(len(x))


def _sign(noise: Noise) -> Tensor:
    return torch.where(noise.uniform(1)[:, 0] < 0.5, -1.0, 1.0)  # (B,)
