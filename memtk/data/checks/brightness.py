"""Whether two groups of images are equally bright, compared by figures of each image."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field

import numpy as np

from memtk.data.checks.findings import Finding
from memtk.data.sources import Sample

FIGURES = ("mean", "standard deviation", "share of voxels at -1 or 1")
"""Of each prepared image, whose intensities lie in [-1, 1]."""

LARGE = 0.5
"""A difference of group means that is looked at, in standard deviations of single images."""

ERRORS = 3.0
"""As many standard errors it must exceed `LARGE` by: three in a thousand by chance, one by one."""

SYNTHETIC = "synthetic images are as bright as real ones"
VALIDATION = "validation images are as bright as training images"


@dataclass
class BrightnessCheck:
    """Gathers the figures of every image."""

    _figures: dict[str, list[tuple[float, ...]]] = field(default_factory=lambda: defaultdict(list))

    def add(self, sample: Sample, voxels: np.ndarray) -> None:
        """Note the figures of one prepared image (C, *S) in [-1, 1]."""
        extreme = float(np.mean(np.abs(voxels) >= 1))
        self._figures[sample.split].append((float(voxels.mean()), float(voxels.std()), extreme))

    def findings(self) -> list[Finding]:
        """Compare validation with training images, and synthetic with all real ones.

        A group of a single image has no spread to compare with; then there is no finding.
        """
        groups = {split: np.array(f) for split, f in self._figures.items() if len(f) > 1}
        found = []
        if {"training", "validation"} <= set(groups):
            found.append(
                _compare(
                    VALIDATION,
                    ("training", groups["training"]),
                    ("validation", groups["validation"]),
                    "Both should come from the same scanners and patients: else ordinary likeness "
                    "is underestimated, and too much is called a copy",
                )
            )
        synthetic = groups.pop("synthetic", None)
        if synthetic is not None and groups:
            found.append(
                _compare(
                    SYNTHETIC,
                    ("real", np.concatenate(list(groups.values()))),
                    ("synthetic", synthetic),
                    "A copy of another brightness or background may be missed. If they were scaled "
                    "or clipped when they were saved, save them as the generator gives them",
                )
            )
        return found


def standardised(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Return how far the means of two groups differ, in standard deviations: (F,).

    `d = (mean(second) - mean(first)) / sqrt((var(first) + var(second)) / 2)` (Cohen, 1988), 0 where
    both are constant and equal, infinite where they are constant and differ.

    Args:
        first: F figures of each image, (N, F), N >= 2.
        second: (M, F), M >= 2.

    >>> standardised(np.array([[0.0], [2.0]]), np.array([[4.0], [6.0]])).round(3).tolist()
    [2.828]
    """
    gap = second.mean(axis=0) - first.mean(axis=0)
    spread = np.sqrt((first.var(axis=0, ddof=1) + second.var(axis=0, ddof=1)) / 2)
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(np.isclose(gap, 0), 0.0, gap / spread)


def _compare(
    check: str, first: tuple[str, np.ndarray], second: tuple[str, np.ndarray], way_out: str
) -> Finding:
    (name, a), (other, b) = first, second
    d = standardised(a, b)
    limit = LARGE + ERRORS * np.sqrt(1 / len(a) + 1 / len(b))
    texts = [
        f"{what} {y:.3g} against {x:.3g} ({abs(gap):.1f} standard deviations)"
        for what, x, y, gap in zip(FIGURES, a.mean(axis=0), b.mean(axis=0), d, strict=True)
        if abs(gap) > limit
    ]
    if texts:
        found = f"{other} images differ from {name} ones: {', '.join(texts)}"
        return Finding(check, "note", found, way_out)
    most = int(np.argmax(np.abs(d)))
    found = f"largest difference {abs(d[most]):.1f} standard deviations ({FIGURES[most]})"
    return Finding(check, "accepted", found)
