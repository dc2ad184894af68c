"""How many of the synthetic images are copies: an estimate, an interval and an upper bound."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from memtk.errors import UserError
from memtk.memorization.agreement import ReadPairs
from memtk.memorization.conformal import left_out, p_values
from memtk.memorization.patients import PatientGroup, similarities


@dataclass(frozen=True)
class CopyRate:
    """The share of the synthetic images that are copies; every rate lies in [0, 1].

    Args:
        estimate: the flagged share in excess of the null, corrected by the sensitivity.
        low: lower end of the two-sided interval, and `high` the upper one.
        upper_bound: the one-sided bound; it may come from a finer threshold than the interval.
        confidence: of the interval, and of the bound.
        sensitivity: share of the planted copies above the threshold.
        false_positive_rate: expected share of strangers above the threshold.
        level: the largest p-value above the threshold, at most alpha unless `coarse`.
        bound_level: likewise for the threshold that was chosen for the upper bound.
        coarse: whether no p-value can reach alpha with so few validation patients; the threshold
            is then the finest there is, nearer than every validation image.
    """

    estimate: float
    low: float
    high: float
    upper_bound: float
    confidence: float
    sensitivity: float
    false_positive_rate: float
    level: float
    bound_level: float
    coarse: bool


def copy_rate(
    test: np.ndarray,
    strangers: PatientGroup,
    planted: PatientGroup | ReadPairs,
    *,
    alpha: float = 0.05,
    threshold: float | None = None,
    confidence: float = 0.95,
    seed: int = 0,
    draws: int = 10_000,
) -> CopyRate:
    """Estimate which share of the synthetic images are copies.

    Of a share r of copies, found with sensitivity s, and of strangers with the false positive rate
    f, the share q = r s + (1 - r) f is flagged, so

        r = (q - f) / (s - f)    (Rogan and Gladen, Am. J. Epidemiol. 1978).

    Flagged is what has p <= alpha. q, f and s are uncertain, f because the threshold is a
    quantile of few validation patients. The interval melds their confidence distributions
    (Bayer, Fay and Graubard, arXiv 2205.13494): each end is a quantile of r over draws of q, f
    and s from the distribution that errs to its own side. q: Beta(x, M - x + 1) below, Beta(x +
    1, M - x) above, whose quantiles are the ends of Clopper and Pearson. f and s resample
    patients: each gets a weight from Dirichlet(1, ..., 1), as does one patient nobody has seen,
    all or none of whose images are flagged, whichever errs to that side (the Bayesian bootstrap
    of Rubin, Ann. Stat. 1981, with the unseen added). With one image a patient and k =
    floor(alpha (P + 1)) that gives f ~ Beta(k, P + 1 - k), which is exact, and for s again
    Clopper and Pearson.

    With several, f is estimated from each patient left out in turn. No upper end is below what 0
    flagged of M would allow if no stranger were ever flagged: by chance fewer strangers than
    expected are, and that must not count against the copies.

    The upper bound is one-sided, at whichever of two thresholds promises the lower bound if no
    image were a copy: that of alpha, or nearer than every validation image. The synthetic images
    have no say in the choice. Where they refute that none is a copy (low > 0), or the bound falls
    below the estimate, it is no less than at the threshold of alpha: a generator's copies may be
    less like their originals than planted ones, and then few of them lie beyond the finer one.

    A synthetic image counts as independent of the others. O(draws (P + K)) at worst; patients with
    the same counts are drawn as one.

    Args:
        test: similarity of each synthetic image to its nearest training image, (M,).
        strangers: of the validation images to theirs.
        planted: of the planted copies to theirs; the patient is that of the image that each was
            made from. Or pairs that people have read: then the sensitivity is that to what they
            called copies, drawn as in `ReadPairs.proportion`.
        alpha: level of a single test, in (0, 1).
        threshold: the similarity above which an image is flagged, for interval and bound, in place
            of alpha's; chosen before the synthetic images were looked at, see `best_threshold`.
        confidence: in (0, 1).
        seed: of the draws.
        draws: number of them.

    Raises:
        UserError: if there is no synthetic image, or a level is not between 0 and 1.

    >>> strangers = PatientGroup(np.linspace(0, 0.9, 99))
    >>> rate = copy_rate(np.r_[np.full(20, 0.99), np.linspace(0, 0.9, 80)], strangers,
    ...                  PatientGroup(np.full(200, 0.99)))
    >>> round(rate.estimate, 2), 0.1 < rate.low < 0.2 < rate.high < 0.35
    (0.2, True)
    """
    if not 0 < alpha < 1 or not 0 < confidence < 1:
        raise UserError(
            f"alpha = {alpha:g} and confidence = {confidence:g}: both must lie between 0 and 1."
        )
    test = similarities(test, "synthetic images")
    wide, *finer = _rules(strangers, planted, alpha)
    if threshold is not None:
        wide, finer = ThresholdRule(threshold, strangers, planted), []
    rng = np.random.default_rng(seed)

    def end(rule: ThresholdRule, level: float, count: int, *, above: bool) -> float:
        return rule.end(rng, count, len(test), level=level, draws=draws, above=above)

    def promise(rule: ThresholdRule) -> float:
        count = round(rule.false_positive_rate * len(test))
        return end(rule, confidence, count, above=True)

    tail = (1 - confidence) / 2
    counted = int((test > wide.threshold).sum())
    estimate = wide.estimate(counted / len(test))
    low = end(wide, tail, counted, above=False)
    high = end(wide, 1 - tail, counted, above=True)
    best = min([wide, *finer], key=promise)
    upper = end(best, confidence, int((test > best.threshold).sum()), above=True)
    if best is not wide and (low > 0 or upper < estimate):
        upper = max(upper, end(wide, confidence, counted, above=True))
    return CopyRate(
        estimate=estimate,
        low=min(low, estimate),
        high=max(high, estimate),
        upper_bound=max(upper, estimate),
        confidence=confidence,
        sensitivity=wide.sensitivity,
        false_positive_rate=wide.false_positive_rate,
        level=wide.level,
        bound_level=best.level,
        coarse=threshold is None and wide.level > alpha,
    )


def _rules(
    strangers: PatientGroup, planted: PatientGroup | ReadPairs, alpha: float
) -> list[ThresholdRule]:
    """Return the rule of alpha and, if that is another, the finest."""
    validation = strangers.similarity
    p = p_values(validation, validation, strangers.owner.tolist())
    room = max(alpha * (len(strangers.sizes) + 1) - 1, 0.0)
    wide = ThresholdRule(float(validation[p > alpha].max()), strangers, planted, room)
    top = float(validation.max())
    return [wide, ThresholdRule(top, strangers, planted)] if top > wide.threshold else [wide]


def best_threshold(
    strangers: PatientGroup,
    planted: PatientGroup,
    tested: int,
    *,
    confidence: float = 0.95,
    rates: Sequence[float] = (0.0, 0.05, 0.2),
    seed: int = 0,
    draws: int = 2000,
) -> float:
    """Return the threshold for `copy_rate` that promises the shortest interval.

    At the level of 5% most of an interval's width is doubt about the false positive rate; where
    planted copies lie beyond the strangers, a higher threshold costs no sensitivity; with few
    patients and hard copies a lower one finds more. The candidates are the nearest stranger, and
    the levels of 5, 10 and 20%; the width is that of the interval if as many of M images are
    flagged as expected, the mean over `rates`. Another level than 5% must promise a tenth less:
    among equals chance would choose, and count strangers that lie low by chance as few. The
    synthetic images have no say in it, so that the interval keeps its confidence.

    Args:
        strangers: see `copy_rate`.
        planted: likewise.
        tested: M, synthetic images.
        confidence: of the interval.
        rates: of copies, at which it should be short.
        seed: of the draws.
        draws: number of them.

    >>> strangers = PatientGroup(np.linspace(0, 0.9, 100))
    >>> best_threshold(strangers, PatientGroup(np.full(100, 0.99)), 240)
    0.9
    """
    tail = (1 - confidence) / 2
    ranked = strangers.ranked_largest(1)  # (P,)
    best = (np.inf, 0.0)
    for level in (0.05, 0.0, 0.1, 0.2):
        place = max(int(level * (len(ranked) + 1) * (1 + 1e-9)) - 1, 0)
        threshold = float(ranked[place]) if level else float(strangers.similarity.max())
        rule = ThresholdRule(threshold, strangers, planted)
        width = 0.0
        for rate in rates:
            flagged = rate * rule.sensitivity + (1 - rate) * rule.false_positive_rate
            rng, count = np.random.default_rng(seed), round(flagged * tested)
            low, high = (
                rule.end(rng, count, tested, level=quantile, draws=draws, above=above)
                for quantile, above in ((tail, False), (1 - tail, True))
            )
            width += high - low
        best = min(best, (width * (0.9 if level == 0.05 else 1.0), threshold))
    return best[1]


class ThresholdRule:
    """The rule that flags what is above a threshold, and what is known of its errors.

    Args:
        threshold: a similarity.
        strangers: the validation images.
        planted: the planted copies, or pairs that people have read.
        room: the weight of validation images that may lie at or above a flagged image, where each
            patient weighs 1; by default the weight of those above the threshold.

    >>> strangers, planted = PatientGroup(np.arange(10) / 10), PatientGroup(np.ones(5))
    >>> rule = ThresholdRule(0.8, strangers, planted)
    >>> rule.false_positive_rate == rule.level == 2 / 11, rule.sensitivity
    (True, 1.0)
    """

    def __init__(
        self,
        threshold: float,
        strangers: PatientGroup,
        planted: PatientGroup | ReadPairs,
        room: float | None = None,
    ) -> None:
        self.threshold = threshold
        patients = len(strangers.sizes) + 1  # and one unseen
        self._above = self._reached = strangers.shares(strangers.similarity > threshold)
        at = strangers.similarity == threshold
        # the nearest that is not above counts as if it were; of several equally near none does
        if len(set(strangers.owner[at].tolist())) == 1:
            self._reached = strangers.shares(strangers.similarity >= threshold)
        self._copies = planted
        self.level = float(1 + self._above.sum()) / patients
        # what the others of each patient make of it: exchangeable with what all make of a stranger
        room = float(self._above.sum()) if room is None else room
        called = left_out(strangers.similarity, strangers.owner.tolist()) <= room + 1e-9
        self.false_positive_rate = float(strangers.shares(called).sum()) / patients
        if isinstance(planted, ReadPairs):
            self.sensitivity = planted.sensitivity(threshold)
        else:
            self.sensitivity = float((planted.similarity > threshold).mean())

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

        Where more images are flagged than planted copies are found, these are harder to see than
        the generator's own, and a lower end that divides by their sensitivity would be anything up
        to 1: it takes that every copy is seen.

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
        s = self._drawn_sensitivity(rng, draws, above=not above)
        rates = np.full(draws, float(above))  # where s <= f nothing is known
        np.divide(q - f, s - f, out=rates, where=s > f)
        if not above:  # more is flagged than the sensitivity allows: it says nothing then
            rates = np.where(q > s, (q - f) / np.maximum(1 - f, 1e-9), rates)
        end = float(np.quantile(np.clip(rates, 0, 1), level))
        if not above:
            return end
        none = np.minimum(_beta(rng, 1, tested, draws) / s, 1)  # 0 of M, and no false positive
        return max(end, float(np.quantile(none, level)))

    def _drawn_sensitivity(
        self, rng: np.random.Generator, draws: int, *, above: bool
    ) -> np.ndarray:
        copies = self._copies
        if isinstance(copies, ReadPairs):
            return copies.drawn_sensitivity(rng, self.threshold, draws, above=above)
        found = copies.counts(copies.similarity > self.threshold)
        return _resampled(rng, found, copies.sizes, draws, unseen=above)


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
    pairs = np.stack([flagged, images], 1)
    # as complex numbers pairs have the same order, and are sorted 13 times as fast as rows
    found, alike = np.unique(pairs[:, 0] + 1j * pairs[:, 1], return_counts=True)
    kinds = np.stack([found.real, found.imag], 1).astype(pairs.dtype)
    weights = rng.standard_gamma(alike, (draws, len(alike)))  # alike patients add up
    extra = rng.standard_gamma(1.0, draws) * images.mean()
    return (weights @ kinds[:, 0] + unseen * extra) / (weights @ kinds[:, 1] + extra)
