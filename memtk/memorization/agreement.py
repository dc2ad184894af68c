"""Pairs of images that people have read: how often a rule is right, and how far readers agree."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np

from memtk.errors import UserError
from memtk.intervals import clopper_pearson

DRAWS = 4000
"""Of the distributions that weighted intervals rest on."""


@dataclass(frozen=True)
class Proportion:
    """A share of read pairs with its interval.

    Args:
        count: pairs that count, of `n`; as they were read, without weights.
        rate: the share, weighted where the draw was stratified; None where n is 0.
        low: lower end of the interval, and `high` the upper one; 0 and 1 where n is 0.
    """

    count: int
    n: int
    rate: float | None
    low: float
    high: float


@dataclass(frozen=True)
class ReadPairs:
    """Pairs that people have read, drawn at random within strata.

    Args:
        similarity: of each pair, (n,).
        copy: whether it was read as a copy, bool (n,).
        stratum: of each pair, 0 to H - 1, (n,).
        sizes: pairs that each stratum has in all, (H,): the weight of its share.

    Raises:
        UserError: if the arrays do not fit each other.
    """

    similarity: np.ndarray
    copy: np.ndarray
    stratum: np.ndarray
    sizes: np.ndarray

    def __post_init__(self) -> None:
        shapes = {len(self.similarity), len(self.copy), len(self.stratum)}
        outside = len(self.stratum) and not 0 <= self.stratum.min() <= self.stratum.max() < len(
            self.sizes
        )
        if len(shapes) != 1 or outside or not len(self.sizes):
            raise UserError("read pairs: one similarity, label and stratum is needed for each.")

    def sensitivity(self, threshold: float) -> float:
        """Return which share of the copies lies above a threshold; 0 where there is no copy."""
        rate = self.proportion(self.copy & (self.similarity > threshold), self.copy).rate
        return rate or 0.0

    def proportion(
        self, part: np.ndarray, whole: np.ndarray, confidence: float = 0.95, seed: int = 0
    ) -> Proportion:
        """Return the share of `part` among the pairs of `whole`, such as found copies of copies.

        With one stratum the interval is that of Clopper and Pearson. With several the rate is
        `sum_h N_h a_h / n_h` over the same sum for `whole`, and the interval melds the strata
        (Bayer, Fay and Graubard, arXiv 2205.13494): in each the three shares, part, the rest of
        the whole, and others, are drawn from a Dirichlet distribution of the counts with one more
        on the side that the end errs to. With one stratum that is Clopper and Pearson again; with
        several it covers more often than it says.

        Args:
            part: bool (n,), within `whole`.
            whole: bool (n,).
            confidence: in (0, 1).
            seed: of the draws.
        """
        count, n = int(part.sum()), int(whole.sum())
        if not n:
            return Proportion(0, 0, None, 0.0, 1.0)
        if len(self.sizes) == 1:
            exact = clopper_pearson(count, n, confidence)
            return Proportion(count, n, exact.estimate, exact.low, exact.high)
        a, b, rest = self._cells(part, whole)
        read = np.maximum(a + b + rest, 1)
        rate = float((self.sizes * a / read).sum() / (self.sizes * (a + b) / read).sum())
        tail, rng = (1 - confidence) / 2, np.random.default_rng(seed)
        low = float(np.quantile(self._drawn(rng, part, whole, DRAWS, above=False), tail))
        high = float(np.quantile(self._drawn(rng, part, whole, DRAWS, above=True), 1 - tail))
        return Proportion(count, n, rate, min(low, rate), max(high, rate))

    def drawn_sensitivity(
        self, rng: np.random.Generator, threshold: float, draws: int, *, above: bool
    ) -> np.ndarray:
        """Draw the share of the copies above a threshold, erring upwards or downwards: (draws,)."""
        return self._drawn(
            rng, self.copy & (self.similarity > threshold), self.copy, draws, above=above
        )

    def _cells(self, part: np.ndarray, whole: np.ndarray) -> tuple[np.ndarray, ...]:
        """Return the pairs of each stratum in part, in the rest of the whole, and others, (H,)."""
        return tuple(
            np.bincount(self.stratum, weights=flags, minlength=len(self.sizes))
            for flags in (part, whole & ~part, ~whole)
        )

    def _drawn(
        self,
        rng: np.random.Generator,
        part: np.ndarray,
        whole: np.ndarray,
        draws: int,
        *,
        above: bool,
    ) -> np.ndarray:
        a, b, rest = self._cells(part, whole)
        cells = np.stack([a + above, b + (not above), rest])  # (3, H)
        shares = rng.standard_gamma(cells, (draws, *cells.shape))
        shares /= shares.sum(axis=1, keepdims=True)
        found, others = (shares[:, :2] * self.sizes).sum(axis=2).T  # (draws,) each
        return found / np.maximum(found + others, 1e-300)


@dataclass(frozen=True)
class BestThreshold:
    """The similarity above which calling a pair a copy agrees best with the readers.

    Args:
        similarity: the threshold.
        low: lower end of its interval, and `high` the upper one.
        agreement: the share of the pairs on which it agrees, weighted.
    """

    similarity: float
    low: float
    high: float
    agreement: float


def best_agreement(
    pairs: ReadPairs, confidence: float = 0.95, seed: int = 0, draws: int = 1000
) -> BestThreshold | None:
    """Return the threshold that agrees best with readers; None if they saw one kind alone.

    It lies half way between two pairs; among equals it is the middle one. The interval is the
    percentile bootstrap, pairs resampled within strata. It is chosen after the fact: information,
    no rule.

    >>> pairs = ReadPairs(np.array([.1, .2, .8, .9]), np.array([0, 0, 1, 1], bool),
    ...                   np.zeros(4, int), np.array([4]))
    >>> best_agreement(pairs).similarity
    0.5
    """
    if not len(pairs.copy) or pairs.copy.all() or not pairs.copy.any():
        return None
    order = np.argsort(pairs.similarity, kind="stable")
    similarity, copy = pairs.similarity[order], pairs.copy[order]
    lowest = np.nextafter(similarity[0], -np.inf)  # all are above it
    cuts = np.r_[lowest, (similarity[1:] + similarity[:-1]) / 2, similarity[-1]]  # (n + 1,)
    proper = np.r_[True, similarity[1:] > similarity[:-1], True]  # none parts equal ones
    stratum = pairs.stratum[order]
    read = np.bincount(stratum, minlength=len(pairs.sizes))
    weight = (pairs.sizes / np.maximum(read, 1))[stratum]
    rng, counts = np.random.default_rng(seed), np.ones((draws + 1, len(order)))
    for h in np.flatnonzero(read):
        mine = stratum == h
        counts[1:, mine] = rng.multinomial(read[h], np.full(read[h], 1 / read[h]), draws)
    weights = counts * weight  # (draws + 1, n)
    below = np.cumsum(weights * ~copy, axis=1)  # novel, up to and with each
    above = np.cumsum((weights * copy)[:, ::-1], axis=1)[:, ::-1]  # copies, from each on
    right = np.zeros((draws + 1, len(cuts)))
    right[:, 1:] += below
    right[:, :-1] += above
    right /= weights.sum(axis=1, keepdims=True)
    right[:, ~proper] = -1
    best = right >= right.max(axis=1, keepdims=True) - 1e-12
    middle = np.array([cuts[places[len(places) // 2]] for places in map(np.flatnonzero, best)])
    tail = (1 - confidence) / 2
    low, high = (float(end) for end in np.quantile(middle[1:], (tail, 1 - tail)))
    found = float(middle[0])
    agreement = float(np.average((similarity > found) == copy, weights=weight))
    return BestThreshold(found, min(low, found), max(high, found), agreement)


def cohen_kappa(first: Sequence[str], second: Sequence[str]) -> float | None:
    """Return Cohen's kappa of two readers of the same pairs (Educ. Psychol. Meas. 1960).

    `(p_o - p_e) / (1 - p_e)`: the share of equal labels beyond what their frequencies give by
    chance. None where it is not defined: nothing was read, or both gave one label throughout.

    >>> cohen_kappa(["copy", "copy", "novel", "novel"], ["copy", "novel", "novel", "novel"])
    0.5
    """
    a, b = np.asarray(first), np.asarray(second)
    if not len(a):
        return None
    kinds = np.unique(np.r_[a, b])
    by_chance = sum(float((a == kind).mean() * (b == kind).mean()) for kind in kinds)
    return None if by_chance >= 1 else (float((a == b).mean()) - by_chance) / (1 - by_chance)


def fleiss_kappa(labels: Sequence[Sequence[str]]) -> float | None:
    """Return the kappa of Fleiss of several readers of the same pairs (Psychol. Bull. 1971).

    Args:
        labels: by reader, of each pair; at least two readers.

    Returns:
        None where it is not defined: nothing was read, or all gave one label throughout.

    >>> round(fleiss_kappa([["copy", "novel"], ["copy", "novel"], ["copy", "copy"]]), 3)
    0.25
    """
    table = np.asarray(labels)
    if table.ndim != 2 or len(table) < 2 or not table.shape[1]:
        return None
    readers, kinds = len(table), np.unique(table)
    counts = np.stack([(table == kind).sum(axis=0) for kind in kinds])  # (kinds, pairs)
    alike = (counts * (counts - 1)).sum(axis=0) / (readers * (readers - 1))
    by_chance = float(((counts.sum(axis=1) / table.size) ** 2).sum())
    return None if by_chance >= 1 else (float(alike.mean()) - by_chance) / (1 - by_chance)


def disagreements(labels: Sequence[Sequence[str | None]]) -> np.ndarray:
    """Return the pairs to which two readers gave different labels, bool (n,).

    Args:
        labels: by reader, of each pair; None where that reader has not read it.

    >>> disagreements([["copy", "novel", None], ["copy", "copy", "unsure"]]).tolist()
    [False, True, False]
    """
    table = np.array(labels, dtype=object)
    found = np.zeros(table.shape[1], dtype=bool)
    for a, b in combinations(table, 2):
        both = np.array([x is not None and y is not None for x, y in zip(a, b, strict=True)])
        found |= both & (a != b)
    return found


def majority(labels: Sequence[Sequence[str | None]]) -> np.ndarray:
    """Return what most readers call each pair, 1.0 a copy, 0.0 novel; NaN where nothing is clear.

    Who is unsure has no vote; where as many say one as the other, nothing is clear.

    >>> majority([["copy", "novel", "copy"], ["copy", "unsure", "novel"]]).tolist()
    [1.0, 0.0, nan]
    """
    table = np.array(labels, dtype=object)
    copies, novel = (table == "copy").sum(axis=0), (table == "novel").sum(axis=0)
    return np.where(copies > novel, 1.0, np.where(novel > copies, 0.0, np.nan))
