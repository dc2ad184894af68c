"""The errors of a threshold, resampled by patient and melded into the ends of an interval."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from functools import cached_property

import numpy as np

from memtk.memorization.left_out import left_out


class Group:
    """Images that belong to patients.

    Args:
        similarity: of each to its nearest training image, (n,).
        patients: the patient of each, (n,); if None or empty, each is another.

    >>> Group(np.array([0.2, 0.4, 0.6]), ["a", "b", "a"]).sizes.tolist()
    [2.0, 1.0]
    """

    def __init__(self, similarity: np.ndarray, patients: Sequence[Hashable] | None) -> None:
        self.similarity = similarity
        names: dict[Hashable, int] = {}
        chosen = patients if patients is not None and len(patients) else range(len(similarity))
        self._index = np.array([names.setdefault(name, len(names)) for name in chosen])  # (n,)
        self.owners: list[int] = self._index.tolist()
        self.sizes = np.bincount(self._index).astype(float)  # images of each patient, (P,)

    @cached_property
    def others(self) -> np.ndarray:
        """The weight of the other patients that reach each image, (n,); see `left_out`."""
        return left_out(self.similarity, self.owners)

    def counts(self, flags: np.ndarray) -> np.ndarray:
        """Return how many images of each patient are flagged, (P,), for flags (n,)."""
        return np.bincount(self._index, weights=flags)

    def shares(self, flags: np.ndarray) -> np.ndarray:
        """Return which share of the images of each patient is flagged, (P,), for flags (n,)."""
        return self.counts(flags) / self.sizes


class Rule:
    """The rule that flags what is above a threshold, and what is known of its errors.

    Args:
        threshold: a similarity, that of a validation image.
        room: the weight of validation images that may lie at or above a flagged image, where each
            patient weighs 1; the threshold is the lowest that keeps to it.
        strangers: the validation images.
        planted: the planted copies.

    >>> rule = Rule(0.8, 1.0, Group(np.arange(10) / 10, None), Group(np.ones(5), None))
    >>> rule.false_positive_rate == rule.level == 2 / 11, rule.sensitivity
    (True, 1.0)
    """

    def __init__(self, threshold: float, room: float, strangers: Group, planted: Group) -> None:
        self.threshold = threshold
        patients = len(strangers.sizes) + 1  # and one unseen
        self._above = strangers.shares(strangers.similarity > threshold)
        self._reached = strangers.shares(strangers.similarity >= threshold)
        self._found = planted.counts(planted.similarity > threshold)
        self._sizes = planted.sizes
        self.level = float(1 + self._above.sum()) / patients
        # what the others of each patient make of it: exchangeable with what all make of a stranger
        called = strangers.others <= room + 1e-9
        self.false_positive_rate = float(strangers.shares(called).sum()) / patients
        self.sensitivity = float(self._found.sum() / self._sizes.sum())

    def estimate(self, flagged: float) -> float:
        """Return the rate of copies for a flagged share; 0 or 1 where nothing can be told."""
        excess = flagged - self.false_positive_rate
        reach = self.sensitivity - self.false_positive_rate
        return min(max(excess / reach, 0.0), 1.0) if reach > 0 else float(excess > 0)

    def end(
        self,
        rng: np.random.Generator,
        count: int,
        tested: int,
        *,
        level: float,
        draws: int,
        above: bool,
    ) -> float:
        """Return one end of an interval of the rate of copies, in [0, 1].

        Args:
            rng: for the draws.
            count: flagged images of `tested`.
            tested: M.
            level: quantile of the drawn rates.
            draws: number of them.
            above: whether they err upwards, for an upper end, or downwards.
        """
        if self.sensitivity <= self.false_positive_rate:
            return float(above)
        q = _beta(rng, count + above, tested - count + (not above), draws)
        shares = self._reached if above else self._above
        f = _resampled(rng, shares, np.ones(len(shares)), draws, unseen=not above)
        s = _resampled(rng, self._found, self._sizes, draws, unseen=not above)
        rates = np.full(draws, float(above))  # where s <= f nothing is known
        np.divide(q - f, s - f, out=rates, where=s > f)
        end = float(np.quantile(np.clip(rates, 0, 1), level))
        if not above:
            return end
        none = np.minimum(_beta(rng, 1, tested, draws) / s, 1)  # 0 of M, and no false positive
        return max(end, float(np.quantile(none, level)))


def _beta(rng: np.random.Generator, a: int, b: int, draws: int) -> np.ndarray:
    """Draw from Beta(a, b), which with a = 0 is always 0 and with b = 0 always 1."""
    return rng.beta(a, b, draws) if a and b else np.full(draws, float(a > 0))


def _resampled(
    rng: np.random.Generator, flagged: np.ndarray, images: np.ndarray, draws: int, *, unseen: bool
) -> np.ndarray:
    """Draw the flagged share of the images (draws,) over patients with Dirichlet weights.

    Args:
        flagged: flagged images of each patient, (P,).
        images: images of each patient, (P,).
        unseen: whether the images of the patient nobody has seen are flagged.
    """
    kinds, alike = np.unique(np.stack([flagged, images], 1), axis=0, return_counts=True)
    weights = rng.standard_gamma(alike, (draws, len(alike)))  # alike patients add up
    extra = rng.standard_gamma(1.0, draws) * images.mean()
    return (weights @ kinds[:, 0] + unseen * extra) / (weights @ kinds[:, 1] + extra)
