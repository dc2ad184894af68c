"""The gate before a verdict: whether training and validation patients are one population."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence

import numpy as np
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
    rng = np.random.default_rng(seed)
    sides: list[dict[Hashable, np.ndarray]] = []
    for images, names in zip((training, validation), strata or ((), ()), strict=True):
        chosen = _one_each(images, rng)
        rows = _reduced(images, chosen)
        own = np.array([names[i] if names else "" for i in chosen])
        sides.append({name: rows[own == name] for name in np.unique(own).tolist()})
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


def _one_each(images: Images, rng: np.random.Generator) -> list[int]:
    """Return one image of each of up to `MOST` patients, drawn at random."""
    order = rng.permutation(len(images)).tolist()
    patients = getattr(images, "patients", ())
    named = {patients[i] if patients else i: i for i in order}
    return sorted(list(named.values())[:MOST])


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
