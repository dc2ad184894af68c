"""Whether images lie alike: by their headers, and by their voxels: mirrored, or turned."""

from __future__ import annotations

import itertools
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import nibabel
import numpy as np

from memtk.data.checks.findings import Finding
from memtk.data.config import DataConfig
from memtk.data.packed import PackedImage
from memtk.data.sources import Sample
from memtk.errors import some

SPACING = "voxels have one size"
ORIENTATION = "volumes lie in one orientation"
SLANTED = "axes of volumes are at right angles"
STRAIGHT = 1.0
"""Degrees by which axes may be off a right angle."""

TOLERANCE = 1.01
"""Voxel sizes that differ by less than this factor are taken for equal."""


@dataclass
class HeaderChecks:
    """Gathers voxel sizes and orientations, image by image; real and synthetic images apart.

    Args:
        config: says what was asked. `data.orientation=keep` and `data.spacing=none`, if they are
            said and not left at their default, mean: the voxels agree whatever the headers say.
    """

    config: DataConfig
    _spacings: dict[bool, list[tuple[float, ...]]] = field(
        default_factory=lambda: defaultdict(list)
    )
    _codes: dict[bool, Counter[str]] = field(default_factory=lambda: defaultdict(Counter))
    _unsaid: set[bool] = field(default_factory=lambda: {False, True})
    _resampled: set[bool] = field(default_factory=set)
    _first: dict[tuple[bool, str], str] = field(default_factory=dict)
    _slants: list[float] = field(default_factory=list)

    def add(
        self,
        sample: Sample,
        affine: np.ndarray | None,
        spacing: tuple[float, ...],
        stored: tuple[float, ...],
    ) -> None:
        """Note one image: its affine and voxel size as stored, and the `spacing` it was given."""
        synthetic = sample.split == "synthetic"
        self._spacings[synthetic].append(spacing)
        if not _says_none(affine, stored):
            self._unsaid.discard(synthetic)
        if not np.allclose(stored, spacing, rtol=TOLERANCE - 1):
            self._resampled.add(synthetic)
        if len(spacing) == 3:
            code = "".join(nibabel.aff2axcodes(affine)) if affine is not None else ""
            self._codes[synthetic][code] += 1
            self._first.setdefault((synthetic, code), sample.name)
            self._slants.append(_slant(affine))

    def spacing(self, *, synthetic: bool = False) -> tuple[float, ...]:
        """Return the common voxel size of the real or the synthetic images; () if sizes differ."""
        sizes = self._spacings[synthetic]
        if not sizes or len({len(size) for size in sizes}) > 1:
            return ()
        low, high = np.min(sizes, axis=0), np.max(sizes, axis=0)
        same = bool((high <= TOLERANCE * low).all())
        return tuple(np.median(sizes, axis=0).tolist()) if same else ()

    def findings(self) -> list[Finding]:
        """Return what is found about voxel sizes, and for volumes about orientations.

        Images of different numbers of axes are refused elsewhere; then there is nothing to compare.
        """
        sizes = [size for group in self._spacings.values() for size in group]
        if not sizes or len({len(size) for size in sizes}) > 1:
            return []
        found = [self._spacing(), *([self._orientation()] if any(self._codes.values()) else [])]
        return found + self._slanted()

    def _slanted(self) -> list[Finding]:
        """Say how many volumes lie on slanted axes, which resampling would make straight."""
        slanted = [slant for slant in self._slants if slant > STRAIGHT]
        if not slanted or self.config.spacing is not None:
            return []
        return [
            Finding(
                SLANTED,
                "note",
                f"{some(len(slanted), len(self._slants), 'volume', 'is/are')} stored on "
                "slanted axes, by up "
                f"to {max(slanted):.0f} degrees (a tilted gantry, or a registration), and kept so",
                "--set data.spacing=1,1,1 would make them straight, as converters do",
            )
        ]

    def _spacing(self) -> Finding:
        real, synthetic = self._spacings[False], self._spacings[True]
        unsaid = [group for group in sorted(self._unsaid) if self._spacings[group]]
        if unsaid and self._resampled:
            return self._resampled_from_none(unsaid)
        if real and synthetic and not _alike(real, synthetic):
            return self._other_spacing(real, synthetic)
        if real and not self.spacing():
            low, high = np.min(real), np.max(real)
            return Finding(
                SPACING,
                "note",
                f"voxel sizes differ, from {low:.3g} to {high:.3g} mm, and are kept",
                "--set data.spacing=1,1,1 would make them alike",
            )
        return Finding(SPACING, "accepted", f"{_range(real or synthetic)} mm")

    def _resampled_from_none(self, unsaid: list[bool]) -> Finding:
        """Tell of images that say no voxel size, and count as 1 mm where all are resampled."""
        kinds = " and ".join("synthetic" if synthetic else "real" for synthetic in unsaid)
        found = f"the {kinds} images do not seem to say the size of a voxel, and count as 1 mm"
        others = any(self._spacings[group] for group in {True, False} - {*unsaid})
        if not others or self._resampled.isdisjoint(unsaid):
            way = "If it is another, give them as NIfTI with it, or say --set data.spacing=none"
            return Finding(SPACING, "note", found, way)
        return Finding(
            SPACING,
            "refused",
            f"{found}: they are resampled by that, the others by what they say",
            "Then a copy is not found. Give all as NIfTI with their sizes; or, if the voxels agree "
            "as they are stored, say --set data.spacing=none; if they are 1 mm, data.spacing=1,1,1",
        )

    def _other_spacing(
        self, real: list[tuple[float, ...]], synthetic: list[tuple[float, ...]]
    ) -> Finding:
        found = (
            f"voxels of {_range(real)} mm in real images, {_range(synthetic)} mm in synthetic ones"
        )
        if self._unsaid:
            kind = "synthetic" if True in self._unsaid else "real"
            return Finding(
                SPACING,
                "note",
                f"{found}: the {kind} ones do not seem to say it",
                "They are compared voxel by voxel, as they are stored",
            )
        if {"spacing"} & self.config.model_fields_set:  # said to be none: else they were alike
            return Finding(SPACING, "note", f"{found}; data.spacing = none is asked for")
        axes = ",".join(f"{size:.3g}" for size in np.median(real, axis=0))
        return Finding(
            SPACING,
            "refused",
            found,
            f"Then a copy is not found. Resample all of them: --set data.spacing={axes}; or, if "
            "only the headers differ and the voxels agree, say --set data.spacing=none",
        )

    def _orientation(self) -> Finding:
        if self.config.orientation == "ras":
            return Finding(ORIENTATION, "accepted", "all are turned to RAS")
        real, synthetic = self._codes[False], self._codes[True]
        strange = sorted(code for code in synthetic if code and code not in real)
        if synthetic and set(real) != {""} and strange:
            return self._other_orientation(real, synthetic, strange)
        if synthetic and real and ("" in synthetic) != ("" in real):
            kind = "synthetic" if "" in synthetic else "real"
            return Finding(
                ORIENTATION,
                "note",
                f"{_codes(real)} in real volumes, {_codes(synthetic)} in synthetic ones",
                f"Nothing says how the {kind} ones lie: make sure that their axes run as those of "
                "the others",
            )
        if len(real) > 1:
            return Finding(
                ORIENTATION,
                "note",
                f"volumes are stored in different orientations ({_codes(real)}) and are kept so",
                "--set data.orientation=ras would make them alike",
            )
        return Finding(ORIENTATION, "accepted", _codes(real or synthetic))

    def _other_orientation(
        self, real: Counter[str], synthetic: Counter[str], strange: list[str]
    ) -> Finding:
        found = f"{_codes(real)} in real volumes, {_codes(synthetic)} in synthetic ones"
        if {"orientation"} & self.config.model_fields_set:
            return Finding(ORIENTATION, "note", f"{found}; data.orientation = keep is asked for")
        first = self._first[True, strange[0]]
        return Finding(
            ORIENTATION,
            "refused",
            f"{found}, e.g. {first} ({strange[0]})",
            "Then a copy is not found. Turn all of them: --set data.orientation=ras; or, if only "
            "the headers differ and the voxels agree, say --set data.orientation=keep",
        )


def _alike(real: list[tuple[float, ...]], synthetic: list[tuple[float, ...]]) -> bool:
    """Tell whether the voxels of the synthetic images are within the range of the real ones."""
    low, high = np.min(real, axis=0), np.max(real, axis=0)
    least, most = np.min(synthetic, axis=0), np.max(synthetic, axis=0)
    return bool((least * TOLERANCE >= low).all() and (most <= high * TOLERANCE).all())


def _slant(affine: np.ndarray | None) -> float:
    """Return by how many degrees two axes are off a right angle at most.

    >>> round(_slant(np.array([[1, 0.5, 0, 0], [0, 1, 0, 0], [0, 0, 2, 0], [0, 0, 0, 1.0]])))
    27
    """
    if affine is None:
        return 0.0
    axes = affine[:3, :3] / np.linalg.norm(affine[:3, :3], axis=0)
    return float(np.degrees(np.arcsin(np.abs(axes.T @ axes - np.eye(3)).max().clip(0, 1))))


def _says_none(affine: np.ndarray | None, spacing: tuple[float, ...]) -> bool:
    """Tell whether nobody seems to have set the voxel size: 1 mm, and no more in the affine."""
    plain = affine is None or np.array_equal(affine, np.eye(4))
    return plain and set(spacing) == {1.0}


def _range(sizes: list[tuple[float, ...]]) -> str:
    low, high = np.min(sizes, axis=0), np.max(sizes, axis=0)
    texts = [
        f"{a:.3g}" if b <= TOLERANCE * a else f"{a:.3g} to {b:.3g}"
        for a, b in zip(low, high, strict=True)
    ]
    return " x ".join(texts)


def _codes(counts: Counter[str]) -> str:
    return ", ".join(f"{n} {code or 'unknown'}" for code, n in counts.most_common())


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
        self._sums: dict[tuple[bool, int], np.ndarray] = {}  # of every other image, twice
        self._counts = {False: 0, True: 0}

    def add(self, sample: Sample, thin: np.ndarray) -> None:
        """Add one image, `thinned`. Images of another shape than the first are left out."""
        if any(thin.shape != known.shape for known in self._sums.values()):
            return
        synthetic = sample.split == "synthetic"
        half = synthetic, self._counts[synthetic] % 2
        self._sums[half] = self._sums.get(half, 0) + thin.astype(np.float64)
        self._counts[synthetic] += 1

    def findings(self) -> list[Finding]:
        """Compare the mean images as they lie, and with every mirroring and turn by right angles.

        With R and S the mean of the real and of the synthetic images, r Pearson's correlation and T
        a posture, `(r(R, TS) - r(R, S)) / (1 - r(R, TR))` is -1 if S = R and 1 if TS = R. Above
        `CLEAR` the most likely posture is said. Not looked for is one in which R is as like itself
        as the means of its halves are: what is left between them is chance.
        """
        if min(self._counts.values()) < FEWEST:
            return []
        halves = self._sums[False, 0], self._sums[False, 1]
        real, synthetic = halves[0] + halves[1], self._sums[True, 0] + self._sums[True, 1]
        alike = min(ALIKE, _pearson(*halves))
        given = _pearson(real, synthetic)
        likely = []
        for name, turn in _postures(real.shape):
            self_alike, r = _pearson(real, turn(real)), _pearson(real, turn(synthetic))
            if self_alike < alike and r > 0.5 and (r - given) / (1 - self_alike) > CLEAR:
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


def thinned(image: PackedImage) -> np.ndarray:
    """Return every k-th voxel along each axis, centred, of the channels' mean, (*s)."""
    steps = [(size, -(-size // SIDE)) for size in image.data.shape[1:]]
    places = (slice(None), *(slice((n - 1) % k // 2, None, k) for n, k in steps))
    some = image.data[places]
    voxels = some if image.values is None else image.values[some]
    mean: np.ndarray = voxels.mean(axis=0)
    return mean


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
