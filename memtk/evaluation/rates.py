"""The copy rate of one synthetic set, with an interval that names and counts agree with."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from memtk.evaluation.sides import Groups, Side, side_of
from memtk.interfaces import Levels
from memtk.memorization import (
    IDENTICAL,
    CopyRate,
    PatientGroup,
    ReadPairs,
    ThresholdRule,
    at_least,
    best_threshold,
    clopper_pearson,
    copy_rate,
    holm,
    upper_end,
)
from memtk.results import Comparable, Exposed, RateInterval, ThresholdRates
from memtk.results.case import ALIKE, BLUR
from memtk.results.formats import share

DOUBT = 0.5
"""Copies are counted where other synthetic images are nearer than strangers with a p-value above
this: of bland images that no gate stops the count took a fifth too many."""

MORE_COPIES = (
    "By name, by count or by whom they expose at least {} of the synthetic images are copies, "
    "where the sensitivity allows {} at most: the generator's copies are harder to recognise than "
    "those that it was measured on, or its images nearer than strangers for another reason. No "
    "upper end is known."
)


def rates_of(
    side: Side,
    comparable: Comparable,
    groups: Groups,
    levels: Levels,
    seed: int,
    exposed: Exposed | None,
    *,
    by_these: bool = True,
) -> dict[str, Any]:
    """Return the copy rate by the threshold that strangers and planted copies choose.

    The lower end is by name or by count (`at_least`), as that of the exposed patients: names have
    half of its error, the count a quarter. Where other synthetic images are a little nearer than
    strangers, it is by the threshold in place of the count, with the last quarter; see `tests_of`.
    Upper ends give way to the count there too. It is the share of these images that are copies, not
    of all that their generator might make.

    Strangers tell how many images that are no copies lie above the threshold. Where these are
    nearer to the training images than strangers, or training and validation patients no one
    population, more of them may: the lower end is that of the exposed patients then, of whom each
    has a copy of its own. It is 0 where no patient is shown to be exposed: a copy is one of
    somebody. Where they are farther, fewer: the upper ends take it that none does. Those that are a
    training image are copies at any threshold. Where more are copies by name, by count or by the
    lower end than the sensitivity allows, it is not that to the generator's copies: see
    `upper_end`.

    Args:
        side: the tests of the synthetic images.
        comparable: whether those compared are alike.
        exposed: how many training patients are; None: not tested.
        by_these: whether by these synthetic images alone, so that they can be counted as copies.
    """
    back, strangers, planted = groups.copies
    chosen = threshold_of(groups, levels, seed)

    def by_threshold(confidence: float, strangers: PatientGroup | None = None) -> CopyRate:
        return rate_above(chosen, groups, confidence, seed, strangers)

    rate = by_threshold(levels.confidence)
    high, bound = rate.high, rate.upper_bound
    bulk, population = comparable.synthetic, comparable.population
    apart = population is not None and population.p <= ALIKE
    unlike = bulk if bulk is not None and bulk.p <= BLUR else None
    doubted = bulk is not None and bulk.nearer and bulk.p <= DOUBT
    level = (1 - levels.confidence) / 4
    named = holm(side.test.sure_p, level) & side.test.sure
    low = by_threshold(1 - level).low if doubted else _counted(groups, levels, level / 2, seed)
    low = max(low, float(named.mean()))
    if apart or (exposed and not exposed.low) or (unlike and unlike.nearer):
        low = min(exposed.low / len(back), 1.0) if exposed and by_these else 0.0
    if unlike and not unlike.nearer and not apart:
        nobody = PatientGroup(np.full(len(strangers.sizes), -1e9))
        alone = by_threshold(levels.confidence, nobody)
        high, bound = max(high, alone.high), max(bound, alone.upper_bound)
    copies = groups.readers or planted
    rule, flagged = ThresholdRule(chosen, strangers, copies), int((back > chosen).sum())
    known = float(groups.arrays.get(IDENTICAL, np.zeros(1)).mean())
    low = max(low, known)
    counted = max(side.shown, low)
    least = max(side.doubted, counted)
    interval = RateInterval(estimate=rate.estimate, low=low, high=high)
    return {
        **agreeing(interval, bound, least, counted),
        "notes": [MORE_COPIES.format(share(least), share(high))] if least > high + 1e-9 else [],
        "threshold": ThresholdRates(
            similarity=chosen,
            flagged=flagged,
            flagged_high=clopper_pearson(flagged, len(back), 2 * levels.confidence - 1).high,
            false_positive_rate=rule.false_positive_rate,
            sensitivity=rule.sensitivity,
            copies_read=int(copies.copy.sum()) if isinstance(copies, ReadPairs) else None,
        ),
    }


def threshold_of(groups: Groups, levels: Levels, seed: int) -> float:
    """Return the threshold of the copy rate; the synthetic images have no say in it."""
    back, strangers, planted = groups.copies
    return best_threshold(strangers, planted, len(back), confidence=levels.confidence, seed=seed)


def rate_above(
    threshold: float,
    groups: Groups,
    confidence: float,
    seed: int,
    strangers: PatientGroup | None = None,
) -> CopyRate:
    """Return the copy rate by those above a threshold, planted copies or readers' and strangers."""
    back, others, planted = groups.copies
    copies, strangers = groups.readers or planted, strangers or others
    return copy_rate(back, strangers, copies, threshold=threshold, confidence=confidence, seed=seed)


def count_of(
    tested: PatientGroup,
    strangers: PatientGroup,
    levels: Levels,
    seed: int,
    strata: tuple[np.ndarray, np.ndarray] | None,
) -> int:
    """Return how many units are no strangers, at least; see `side_of`."""
    if strata is not None:
        return side_of(tested, strangers, levels, seed, strata).least.count
    return at_least(tested, strangers, confidence=levels.confidence, seed=seed, lists=False).count


def _counted(groups: Groups, levels: Levels, error: float, seed: int) -> float:
    """Return which share of the synthetic images are copies, at least, by count."""
    tested = PatientGroup(groups.arrays["synthetic_train"], name="synthetic images")
    unseen, strict = groups.strangers("validation_train"), replace(levels, confidence=1 - error)
    return count_of(tested, unseen, strict, seed, groups.copy_strata) / len(tested.sizes)


def agreeing(rate: RateInterval, bound: float, least: float, counted: float) -> dict[str, Any]:
    """Return the copy rate and its one-sided bound, neither below what is known; see `upper_end`.

    Args:
        rate: by the sensitivity to planted copies, but for its lower end.
        bound: likewise.
        least: at least so much are copies, by a count that may be doubted.
        counted: likewise, without a doubt.
    """
    high, bound = (upper_end(end, least, rate.estimate) for end in (rate.high, max(bound, least)))
    refuted = least > rate.high + 1e-9
    estimate = max(rate.estimate, least if refuted else counted)
    return {
        "copy_rate": RateInterval(estimate=estimate, low=rate.low, high=high),
        "copy_rate_upper_bound": high if refuted else bound,
    }
