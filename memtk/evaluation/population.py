"""The gate before a verdict: whether training and validation patients are one population."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import adaptive_avg_pool2d, adaptive_avg_pool3d

from memtk.interfaces import Images
from memtk.memorization import Exchangeability, energy_test
from memtk.memorization.exchangeability import MOST

POINTS = {2: 16, 3: 10}
"""Points along each axis that images are averaged to, by the number of axes."""

READ = 64
"""Images read at a time."""


def population_test(
    training: Images,
    validation: Images,
    seed: int = 0,
    strata: tuple[Sequence[Hashable], Sequence[Hashable]] | None = None,
) -> Exchangeability:
    """Test whether the training and validation images are drawn from one population of patients.

    The images themselves are compared, averaged to at most 16 x 16 or 10 x 10 x 10 points: a
    trained embedder has seen one side, or what was made of it. Another site, scanner or preparation
    shows in brightness, contrast and position; see `memtk.memorization.energy_test`. One image of
    each of up to 500 patients of each side is read.

    Args:
        training: with `patients`, if they are known.
        validation: likewise.
        seed: of the images and permutations.
        strata: of the training and of the validation images: those of each stratum are compared,
            and the smallest p-value counts, times their number (Bonferroni). None: there is one.

    >>> from memtk.data.images import MemoryImages
    >>> x = torch.rand(60, 1, 8, 8, generator=torch.Generator().manual_seed(0))
    >>> found = population_test(MemoryImages(x[:30]), MemoryImages(x[30:]))
    >>> other = population_test(MemoryImages(x[:30]), MemoryImages(x[30:] ** 2))
    >>> found.p > 0.05, other.p < 0.01
    (True, True)
    """
    people = [
        getattr(images, "patients", ()) or range(len(images)) for images in (training, validation)
    ]
    drawn, names = drawn_images(people[0], people[1], seed), strata or ((), ())
    sides: list[dict[Hashable, np.ndarray]] = []
    for images, chosen, own in zip((training, validation), drawn, names, strict=True):
        rows = _reduced(images, chosen)
        which = np.array([own[i] if len(own) else "" for i in chosen])
        sides.append({name: rows[which == name] for name in np.unique(which).tolist()})
    return tested_in(sides[0], sides[1], seed)


def tested_in(
    mine: Mapping[Hashable, np.ndarray], theirs: Mapping[Hashable, np.ndarray], seed: int = 0
) -> Exchangeability:
    """Test training against validation rows, (n, F), of each stratum that both have.

    One stratum without validation rows is no difference: its images are compared with nobody.
    """
    both = [name for name in mine if name in theirs]
    found = [energy_test(mine[name], theirs[name], seed=seed) for name in both]
    if not found:
        return Exchangeability(0.0, 1.0)
    least = min(found, key=lambda each: each.p)
    return Exchangeability(min(1.0, least.p * len(found)), least.size)


def drawn_images(
    training: Sequence[Hashable], validation: Sequence[Hashable], seed: int = 0
) -> tuple[list[int], list[int]]:
    """Return which images are compared: one of each of up to `MOST` patients of each side.

    Args:
        training: the patient of each image.
        validation: likewise.
        seed: of the draw.

    >>> drawn_images(["a", "a"], ["b"])[1]
    [0]
    """
    rng = np.random.default_rng(seed)
    return _one_each(training, rng), _one_each(validation, rng)


def _one_each(patients: Sequence[Hashable], rng: np.random.Generator) -> list[int]:
    order = rng.permutation(len(patients)).tolist()
    named = {patients[i]: i for i in order}
    return sorted(list(named.values())[:MOST])


class PopulationGatherer:
    """Does the same test on images that are read one after the other, once.

    >>> gatherer = PopulationGatherer(["a"] * 2 + ["b"], ["c"])
    >>> gatherer.test() is None  # none was read
    True
    """

    def __init__(
        self, training: Sequence[Hashable], validation: Sequence[Hashable], seed: int = 0
    ) -> None:
        self._seed = seed
        chosen = drawn_images(training, validation, seed)
        self._chosen = dict(zip(("training", "validation"), map(set, chosen), strict=True))
        self._found: dict[str, list[np.ndarray]] = {split: [] for split in self._chosen}

    def add(self, split: str, row: int, voxels: np.ndarray) -> None:
        """Take the image (C, *S) that is the `row`-th of its split."""
        if row in self._chosen.get(split, ()):
            x = torch.from_numpy(np.ascontiguousarray(voxels, dtype=np.float32))[None]
            self._found[split].append(_averaged(x).flatten().numpy())

    def test(self) -> Exchangeability | None:
        """Return the test; None where an image is missing, or they differ in size."""
        sizes = {len(x) for found in self._found.values() for x in found}
        there = all(len(self._found[s]) == len(chosen) for s, chosen in self._chosen.items())
        if len(sizes) != 1 or not there or not all(self._chosen.values()):
            return None
        mine, theirs = (np.stack(found) for found in self._found.values())
        return energy_test(mine, theirs, seed=self._seed)


def _reduced(images: Images, chosen: list[int]) -> np.ndarray:
    """Return each chosen image averaged to few points, (n, F)."""
    parts = []
    for start in range(0, len(chosen), READ):
        x = images.read(chosen[start : start + READ])  # (B, C, *S)
        parts.append(_averaged(x).flatten(1).numpy())
    return np.concatenate(parts)


def _averaged(x: Tensor) -> Tensor:
    dims = x.dim() - 2
    size = [min(length, POINTS[dims]) for length in x.shape[2:]]
    return adaptive_avg_pool2d(x, size) if dims == 2 else adaptive_avg_pool3d(x, size)  # type: ignore[arg-type]
