"""Whose image is whose: patients as numbers, and pairs of one patient left out of a search."""

from __future__ import annotations

import math
from collections.abc import Hashable, Iterable, Sequence

import numpy as np
import torch
from torch import Tensor

from memtk.errors import UserError


def numbered(*groups: Iterable[Hashable]) -> list[np.ndarray]:
    """Number patients: one number for each name, in all of the groups, int64.

    >>> [numbers.tolist() for numbers in numbered(["a", "b", "a"], ["c", "b"])]
    [[0, 1, 0], [2, 1]]
    """
    seen: dict[Hashable, int] = {}
    return [
        np.array([seen.setdefault(patient, len(seen)) for patient in group], dtype=np.int64)
        for group in groups
    ]


def owners(patients: Sequence[Hashable] | None, count: int, images: str) -> np.ndarray:
    """Return the patient of each image as a number, in order of first appearance: int64 (count,).

    Args:
        patients: the patient of each image; if None or empty, each is another.
        count: how many images there are.
        images: what they are, in the plural, for messages.

    Raises:
        UserError: if there is not one patient for each image.

    >>> owners(["b", "a", "b"], 3, "images").tolist(), owners(None, 2, "images").tolist()
    ([0, 1, 0], [0, 1])
    """
    if patients is None or not len(patients):
        return np.arange(count)
    if len(patients) != count:
        raise UserError(f"{count} {images} but {len(patients)} patients: name the patient of each.")
    return numbered(patients)[0]


def similarities(values: object, name: str = "images", least: int = 1) -> np.ndarray:
    """Return the similarity of each image, float64 (n,); -inf where nothing could be compared.

    Args:
        name: what the images are, in the plural, for messages.
        least: how many there must be.

    Raises:
        UserError: if there are fewer, one is NaN, or they are no list.

    >>> similarities([1, 0.5]).tolist()
    [1.0, 0.5]
    """
    found = np.asarray(values, dtype=np.float64)
    if found.ndim != 1:
        raise UserError(f"similarities of {name} of shape {found.shape}: one for each is needed.")
    if len(found) < least:
        raise UserError(f"there are no {name}: at least one is needed.")
    if np.isnan(found).any():
        raise UserError(f"the similarity of one of the {name} is not a number (NaN).")
    return found


class PatientGroup:
    """Similarities of images, and whose they are.

    Args:
        similarity: of each image to its nearest reference, (n,).
        patients: the patient of each, (n,); if None or empty, each is another.
        name: what the images are, in the plural, for messages.

    Attributes:
        owner: the patient of each image as a number from 0 to P - 1, (n,).
        names: of the patients, (P,), in the order in which they first appear.
        sizes: images of each patient, (P,).

    Raises:
        UserError: if there is no image, not one patient for each, or a similarity is NaN.

    >>> group = PatientGroup(np.array([0.2, 0.4, 0.6]), ["a", "b", "a"])
    >>> group.sizes.tolist(), group.largest().tolist()
    ([2, 1], [0.6, 0.4])
    """

    def __init__(
        self,
        similarity: np.ndarray,
        patients: Sequence[Hashable] | None = None,
        name: str = "images",
    ) -> None:
        self.similarity = similarities(similarity, name)
        self.owner = owners(patients, len(self.similarity), name)
        named = patients if patients is not None and len(patients) else self.owner.tolist()
        self.names: tuple[Hashable, ...] = tuple(dict.fromkeys(named))
        self.sizes = np.bincount(self.owner)

    def counts(self, flags: np.ndarray) -> np.ndarray:
        """Return how many images of each patient are flagged, (P,), for flags (n,)."""
        return np.bincount(self.owner, weights=flags)

    def shares(self, flags: np.ndarray) -> np.ndarray:
        """Return which share of the images of each patient is flagged, (P,), for flags (n,)."""
        return self.counts(flags) / self.sizes

    def largest(self) -> np.ndarray:
        """Return the largest similarity of each patient, (P,)."""
        found = np.full(len(self.sizes), -np.inf)
        np.maximum.at(found, self.owner, self.similarity)
        return found

    def drawn_largest(self, images: int, draws: int, rng: np.random.Generator) -> np.ndarray:
        """Draw the largest of b random images of each patient that has as many: (draws, P')."""
        able, chance = self._chances(images)
        ranked = self.similarity[np.lexsort((self.similarity, self.owner))]
        first = np.cumsum(self.sizes) - self.sizes
        found = np.empty((draws, len(able)))
        for size in np.unique(self.sizes[able]).tolist():
            which = self.sizes[able] == size
            rank = rng.choice(size, (draws, int(which.sum())), p=chance[size])
            found[:, which] = ranked[first[able[which]] + rank]
        return found

    def ranked_largest(self, images: int) -> np.ndarray:
        """Return the largest of b images of each patient that has as many, descending, (P',).

        No image is drawn: each weighs as often as it is the largest of b random ones of its
        patient, and the j-th, g_j, is the least alike one that less than j patients outweigh. So
        the p-value `(1 + |{j: g_j >= x}|) / (P' + 1)` is that of all draws together, which is
        exact (Lee, Barber and Willett, arXiv 2306.06342), or a little larger; with one image a
        patient it is the usual one.

        >>> group = PatientGroup(np.array([0.9, 0.1, 0.5]), ["a", "a", "b"])
        >>> group.ranked_largest(1).tolist(), group.ranked_largest(2).tolist()
        ([0.9, 0.5], [0.9])
        """
        able, chance = self._chances(images)
        if not len(able):
            return np.empty(0)
        mine = np.isin(self.owner, able)
        order = np.lexsort((self.similarity[mine], self.owner[mine]))
        values, owner = self.similarity[mine][order], self.owner[mine][order]
        weight = np.concatenate([chance[self.sizes[one]] for one in np.unique(owner)])
        values, weight = values[order := np.argsort(-values, kind="stable")], weight[order]
        above = np.cumsum(weight) - weight
        ranked: np.ndarray = values[np.searchsorted(above, np.arange(len(able)) + 1e-9) - 1]
        return ranked

    def _chances(self, images: int) -> tuple[np.ndarray, dict[int, np.ndarray]]:
        """Return which patients have b images, and for each number of images m the chances.

        The r-th smallest of m images is the largest of b with chance C(r - 1, b - 1) / C(m, b).
        """
        able = np.flatnonzero(self.sizes >= images)
        found = {}
        for size in np.unique(self.sizes[able]).tolist():
            chance = np.array(
                [math.comb(r, images - 1) / math.comb(size, images) for r in range(size)]
            )
            found[size] = chance / chance.sum()
        return able, found


def images_compared(tested: PatientGroup, strangers: PatientGroup, least: int = 1) -> int:
    """Return of how many images b patients are compared, which their numbers of images decide.

    A tested patient with n images counts as `ceil(n / b)` patients of b; strangers with fewer than
    b images are left out. b makes the ratio of both the smallest, with at least `least` strangers
    where that can be.

    >>> three, one = PatientGroup(np.zeros(6), list("aaabbb")), PatientGroup(np.zeros(2))
    >>> images_compared(three, three), images_compared(three, one)
    (3, 1)
    """

    def cost(b: int) -> tuple[bool, float, int]:
        able = int((strangers.sizes >= b).sum())
        return able < least, float(np.ceil(tested.sizes / b).sum()) / (able + 1), b

    return min({1, *tested.sizes.tolist(), *strangers.sizes.tolist()}, key=cost)


DENSE = 1 / 16
"""Share of a tile from which on its pairs are found by comparing all of them."""


class SamePatient:
    """Leaves the pairs of one patient out of a search.

    Args:
        queries: the patient of each query, (Q,).
        references: the patient of each reference, (R,).
        sizes: Q and R.
        names: what the two sets are called in messages.

    Raises:
        UserError: if a set has another number of patients than of rows.
    """

    def __init__(
        self,
        queries: Sequence[Hashable],
        references: Sequence[Hashable],
        sizes: tuple[int, int],
        names: tuple[str, str],
    ) -> None:
        for patients, size, name in zip((queries, references), sizes, names, strict=True):
            if len(patients) != size:
                raise UserError(
                    f"{size} {name} but {len(patients)} patients: name the patient of each."
                )
        self.queries, self.references = numbered(queries, references)  # (Q,), (R,)

    def hide(self, values: Tensor, top: int, left: int) -> None:
        """Set the pairs of one patient in a tile (Q', R') that starts at (top, left) to -inf."""
        q = self.queries[top : top + values.shape[0]]
        r = self.references[left : left + values.shape[1]]
        order = np.argsort(r, kind="stable")
        start, stop = (np.searchsorted(r[order], q, side) for side in ("left", "right"))
        count = stop - start  # (Q',)
        total = int(count.sum())
        if total > DENSE * values.numel():
            values.masked_fill_(torch.from_numpy(q[:, None] == r).to(values.device), -torch.inf)
        elif total:
            rows = np.repeat(np.arange(len(q)), count)  # (K,)
            within = np.arange(total) - np.repeat(np.cumsum(count) - count, count)
            columns = order[np.repeat(start, count) + within]
            where = [torch.from_numpy(part).to(values.device) for part in (rows, columns)]
            values[where[0], where[1]] = -torch.inf
