"""Whether synthetic images lie as the real ones do: not mirrored, not turned by right angles.

Pictures and arrays say no orientation, and headers may be wrong; the mean images tell.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator

import numpy as np

from memtk.data.checks.findings import Finding
from memtk.data.sources import Sample

CHECK = "synthetic images lie as real ones do"
SIDE = 32
"""At most as many voxels along an axis of the mean images: enough to see how they lie."""

FEWEST = 20
"""As many images of each kind are needed for a mean that says anything."""

ALIKE = 0.998
"""A posture in which the real mean image is so like itself (Pearson's r) is not looked for."""

CLEAR = 0.3
"""From -1 (they lie alike) to 1 (they do not), see `findings`: from here on it is said."""


class OrientationCheck:
    """Gathers the mean image of the real and of the synthetic images."""

    def __init__(self) -> None:
        self._sums: dict[bool, np.ndarray] = {}
        self._counts = {False: 0, True: 0}

    def add(self, sample: Sample, voxels: np.ndarray) -> None:
        """Add one prepared image (C, *S). Images of another shape than the first are left out."""
        thin = _thinned(voxels.mean(axis=0))
        if any(thin.shape != known.shape for known in self._sums.values()):
            return
        synthetic = sample.split == "synthetic"
        self._sums[synthetic] = self._sums.get(synthetic, 0) + thin.astype(np.float64)
        self._counts[synthetic] += 1

    def findings(self) -> list[Finding]:
        """Compare the mean images as they lie, and with every mirroring and turn by right angles.

        With R and S the mean of the real and of the synthetic images, r Pearson's correlation and T
        a posture, `(r(R, TS) - r(R, S)) / (1 - r(R, TR))` is -1 if S = R and 1 if TS = R. Above
        `CLEAR` the most likely posture is said.
        """
        if min(self._counts.values()) < FEWEST:
            return []
        real, synthetic = self._sums[False], self._sums[True]
        given = _pearson(real, synthetic)
        likely = []
        for name, turn in _postures(real.shape):
            self_alike, r = _pearson(real, turn(real)), _pearson(real, turn(synthetic))
            if self_alike < ALIKE and r > 0.5 and (r - given) / (1 - self_alike) > CLEAR:
                likely.append((r, name))
        if not likely:
            return [Finding(CHECK, "accepted", f"correlation of the mean images {given:.3f}")]
        r, name = max(likely)
        return [
            Finding(
                CHECK,
                "note",
                f"on average they look like the real ones {name}: correlation of the mean images "
                f"{r:.3f}, and {given:.3f} as they are",
                "Then copies are missed. If it is so, save them with their axes as in the training "
                "images",
            )
        ]


def _thinned(image: np.ndarray) -> np.ndarray:
    """Return every k-th voxel along each axis, centred."""
    steps = [(size, -(-size // SIDE)) for size in image.shape]
    return image[tuple(slice((size - 1) % step // 2, None, step) for size, step in steps)]


def _postures(shape: tuple[int, ...]) -> Iterator[tuple[str, Callable[[np.ndarray], np.ndarray]]]:
    """Yield every other way in which an image can lie in its own shape, with its name."""
    axes = tuple(range(len(shape)))
    for order in itertools.permutations(axes):
        if tuple(shape[axis] for axis in order) != shape:
            continue
        for count in range(len(axes) + 1):
            for flips in itertools.combinations(axes, count):
                parts = []
                if order != axes:
                    parts.append(f"with the axes in the order {', '.join(map(_nth, order))}")
                if flips:
                    parts.append(f"mirrored along axis {' and '.join(map(_nth, flips))}")
                if parts:
                    yield " and ".join(parts), _turn(order, flips)


def _nth(axis: int) -> str:
    return str(axis + 1)


def _turn(order: tuple[int, ...], flips: tuple[int, ...]) -> Callable[[np.ndarray], np.ndarray]:
    return lambda image: np.flip(image.transpose(order), flips)


def _pearson(a: np.ndarray, b: np.ndarray) -> float:
    a, b = a - a.mean(), b - b.mean()
    scale = np.sqrt(np.square(a).sum() * np.square(b).sum())
    return float((a * b).sum() / scale) if scale > 0 else 0.0
