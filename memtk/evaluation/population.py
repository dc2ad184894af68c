"""The gate before a verdict: whether training and validation patients are one population."""

from __future__ import annotations

import math
from collections.abc import Hashable, Sequence

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import adaptive_avg_pool2d, adaptive_avg_pool3d, avg_pool2d, avg_pool3d

from memtk.data.checks.findings import Finding
from memtk.data.sources import Sample
from memtk.interfaces import Images
from memtk.memorization import Exchangeability, energy_test
from memtk.memorization.exchangeability import MOST
from memtk.noise import derive
from memtk.results import Comparable, Evidence, GroupTest
from memtk.results.case import ALIKE
from memtk.results.formats import p_value, share
from memtk.results.protocols import UNLIKE

POINTS = {2: 16, 3: 10}
"""Points along each axis that images are averaged to, by the number of axes."""

READ, VOXELS = 64, 2**24
"""Images read at a time, or as many as have so many voxels."""


def population_test(
    training: Images,
    validation: Images,
    seed: int = 0,
    strata: tuple[Sequence[Hashable], Sequence[Hashable]] | None = None,
) -> Exchangeability:
    """Test whether the training and validation images are drawn from one population of patients.

    The images themselves are compared, a trained embedder has seen one side, or what was made of
    it: averaged to at most 16 x 16 or 10 x 10 x 10 points, and the strength of their fine detail at
    half as many. Another site, scanner or preparation shows in brightness, contrast, position,
    noise or sharpness; see `memtk.memorization.energy_test`. What shows in none of these is not
    seen. One image of each of up to 500 patients of each side is read.

    Args:
        training: with `patients`, if they are known.
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
    drawn = drawn_images(people[0], people[1], seed)
    mine, theirs = (
        _reduced(images, chosen)
        for images, chosen in zip((training, validation), drawn, strict=True)
    )
    own = strata and (_some(strata[0], drawn[0]), _some(strata[1], drawn[1]))
    return rows_test((mine, theirs), seed=seed, strata=own, scaled=True)


def _some(names: Sequence[Hashable], chosen: Sequence[int]) -> list[Hashable]:
    """Return the patient or stratum of each chosen image; none where none is known."""
    return [names[i] for i in chosen] if len(names) else []


def rows_test(
    rows: tuple[np.ndarray, np.ndarray],
    people: tuple[Sequence[Hashable], Sequence[Hashable]] = ((), ()),
    seed: int = 0,
    strata: tuple[Sequence[Hashable], Sequence[Hashable]] | None = None,
    *,
    scaled: bool = False,
) -> Exchangeability:
    """Do the same test on what stands for the images, as embeddings that have seen neither side.

    Without any stratum that both groups have they cannot be one population.

    Args:
        rows: of the training images (N, F) and of the validation images (V, F).
        people: the patient of each; empty: each is another.
        strata: see `population_test`.
        scaled: whether columns are divided by their standard deviation.
    """
    one = [""] * len(rows[0]), [""] * len(rows[1])
    own = strata if strata and len(strata[0]) else one
    both = [name for name in dict.fromkeys(own[0]) if name in own[1]]
    found = []
    for name in both:
        chosen = [[i for i, each in enumerate(names) if each == name] for names in own]
        mine, theirs = (part[which] for part, which in zip(rows, chosen, strict=True))
        whose = [_some(who, which) for who, which in zip(people, chosen, strict=True)]
        if scaled:
            spread = np.concatenate([mine, theirs]).std(0)
            mine, theirs = (part / np.where(spread > 0, spread, 1.0) for part in (mine, theirs))
        level = ALIKE / len(both)
        found.append(energy_test(mine, theirs, whose[0], whose[1], level=level, seed=seed))
    if not found:
        return Exchangeability(0.0, 1.0)
    least = min(found, key=lambda each: each.p)
    return Exchangeability(min(1.0, least.p * len(found)), least.size)


def with_likeness(
    evidence: Evidence, synthetic: Images, validation: Images, seed: int = 0
) -> Evidence:
    """Return the evidence with the same test of synthetic against validation images.

    Its p-value is small of any generator: none is perfect. What counts is the size, by
    `Comparable.unlike`: images that resemble nothing cannot be copies.

    Args:
        seed: of the images and permutations.
    """
    test = population_test(synthetic, validation, seed)
    found = (evidence.comparable or Comparable()).model_copy(
        update={"likeness": GroupTest(p=test.p, size=test.size)}
    )
    return evidence.model_copy(update={"comparable": found})


def drawn_images(
    training: Sequence[Hashable], validation: Sequence[Hashable], seed: int = 0
) -> tuple[list[int], list[int]]:
    """Return which images are compared: one of each of up to `MOST` patients of each side.

    Args:
        training: the patient of each image.
        validation: likewise.

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

    Args:
        training: the patient of each image.
        seed: of the images and permutations.

    >>> gatherer = PopulationGatherer(["a"] * 2 + ["b"], ["c"])
    >>> gatherer.test() is None  # none was read
    True
    """

    def __init__(
        self,
        training: Sequence[Hashable],
        validation: Sequence[Hashable],
        strata: tuple[Sequence[Hashable], Sequence[Hashable]] | None = None,
        names: tuple[str, str] = ("training", "validation"),
        seed: int = 0,
    ) -> None:
        self._strata, self._seed = strata, seed
        chosen = drawn_images(training, validation, seed)
        self._chosen = dict(zip(names, map(set, chosen), strict=True))
        self._found: dict[str, dict[int, np.ndarray]] = {split: {} for split in self._chosen}

    def add(self, split: str, row: int, voxels: np.ndarray) -> None:
        """Take the image (C, *S) that is the `row`-th of its split."""
        if row in self._chosen.get(split, ()):
            x = torch.from_numpy(np.ascontiguousarray(voxels, dtype=np.float32))[None]
            self._found[split][row] = _described(x)[0].numpy()

    def test(self) -> Exchangeability | None:
        """Return the test; None where an image is missing, or they differ in size."""
        sizes = {len(x) for found in self._found.values() for x in found.values()}
        there = all(len(self._found[s]) == len(chosen) for s, chosen in self._chosen.items())
        if len(sizes) != 1 or not there or not all(self._chosen.values()):
            return None
        mine, theirs = (np.stack(list(found.values())) for found in self._found.values())
        first, second = (list(found) for found in self._found.values())
        own = self._strata and (_some(self._strata[0], first), _some(self._strata[1], second))
        return rows_test((mine, theirs), seed=self._seed, strata=own, scaled=True)


class PopulationCheck:
    """Tests the patients and the synthetic images of a data set, which are read once.

    Args:
        seed: of an audit, whose numbers these are.
    """

    def __init__(self, seed: int = 0) -> None:
        self._seed = seed
        self._rows: dict[Sample, int] = {}
        self._gatherers: tuple[PopulationGatherer, ...] = ()

    def begin(self, samples: Sequence[Sample]) -> None:
        """Take in whose the images are."""
        names = ("training", "validation", "synthetic")
        training, validation, made = own = [[x for x in samples if x.split == s] for s in names]
        self._rows = {x: row for group in own for row, x in enumerate(group)}
        mine, theirs = [x.patient for x in training], [x.patient for x in validation]
        strata = [x.stratum for x in training], [x.stratum for x in validation]
        self._gatherers = (
            PopulationGatherer(mine, theirs, strata=strata, seed=derive(self._seed, "population")),
            PopulationGatherer(
                range(len(made)),
                theirs,
                names=("synthetic", "validation"),
                seed=derive(self._seed, "likeness"),
            ),
        )

    def add(self, sample: Sample, voxels: np.ndarray) -> None:
        """Take in an image (C, *S)."""
        if sample in self._rows:
            for gatherer in self._gatherers:
                gatherer.add(sample.split, self._rows[sample], voxels)

    def tests(self) -> dict[str, Exchangeability | None]:
        """Return the test of the patients, and that of the synthetic against real images."""
        found = [gatherer.test() for gatherer in self._gatherers] or [None, None]
        return dict(zip(("population", "likeness"), found, strict=True))

    def findings(self, tests: dict[str, Exchangeability | None]) -> list[Finding]:
        """Say what these show, one finding a test."""
        said = []
        if (test := tests["population"]) is not None:
            title = "training and validation patients look like one population"
            way = "" if test.p > ALIKE else APART
            said.append(Finding(title, "note" if way else "accepted", _in_words(test), way))
        if (test := tests["likeness"]) is not None:
            title, found = "synthetic images look like real ones", _in_words(test)
            if Comparable(likeness=GroupTest(p=test.p, size=test.size)).unlike:
                said.append(Finding(title, "note", found, RESEMBLES_NOTHING))
            else:
                found = f"{found}; memtk takes up to {share(UNLIKE)}"
                said.append(Finding(title, "accepted", found))
        return said


APART = (
    "Another site, scanner or preparation looks like memorization, and hides it: an audit would be "
    "inconclusive. Take validation patients from where the training patients come from, or compare "
    "within a column of the manifest that tells the groups apart (--stratify site). By chance "
    f"alone this is said in {share(ALIKE)} of all cases"
)

RESEMBLES_NOTHING = (
    "What resembles nothing cannot be a copy: an audit could not pass. Are they prepared like the "
    "real ones (size, intensities, orientation), and was the generator trained for long enough"
)


def _in_words(test: Exchangeability) -> str:
    return f"{p_value(test.p)}, {share(test.size)} of the largest possible distance"


def _reduced(images: Images, chosen: list[int]) -> np.ndarray:
    """Return what describes each chosen image, (n, F)."""
    parts, size = [], images.spec.channels * math.prod(images.spec.shape)
    block = max(1, min(READ, VOXELS // size))
    for start in range(0, len(chosen), block):
        x = images.read(chosen[start : start + block])  # (B, C, *S)
        parts.append(_described(x).numpy())
    return np.concatenate(parts)


def _described(x: Tensor) -> Tensor:
    """Return each image averaged to few points and, for its grain, how strong its fine detail is.

    Detail is what an average over 3 points takes away, its strength the logarithm of the root mean
    square over half as many points: other noise or sharpness shows in it and not in averages.

    Args:
        x: (B, C, *S).

    Returns:
        (B, F).
    """
    dims = x.dim() - 2
    pool = avg_pool2d if dims == 2 else avg_pool3d
    window = [3 if length > 2 else 1 for length in x.shape[2:]]
    around = [length // 2 for length in window]
    fine = x - pool(x, window, stride=1, padding=around, count_include_pad=False)
    grain = (_averaged(fine**2, 2) + 1e-12).sqrt().log()
    return torch.cat([_averaged(x).flatten(1), grain.flatten(1)], 1)


def _averaged(x: Tensor, coarser: int = 1) -> Tensor:
    dims = x.dim() - 2
    size = [min(length, POINTS[dims] // coarser) for length in x.shape[2:]]
    return adaptive_avg_pool2d(x, size) if dims == 2 else adaptive_avg_pool3d(x, size)  # type: ignore[arg-type]
