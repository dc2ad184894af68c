"""What an audit of some sizes can show of a generator that has memorized nothing."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np
from scipy.stats import betabinom

from memtk.errors import UserError
from memtk.intervals import clopper_pearson
from memtk.memorization.at_least import RANKS, Urn
from memtk.memorization.copy_rate import ThresholdRule, best_threshold
from memtk.memorization.patients import PatientGroup
from memtk.memorization.tail import MODELS, Model

SIDE = 0.9
"""Chance that each of the two sides, copies and exposed patients, is within the policy: both are
with at least 80%."""

SURE = 0.05
"""Level of Holm's names."""

MOST = 10_000
"""Patients or images up to which it is looked how many are needed."""


@dataclass(frozen=True)
class Sizes:
    """How many there are of each.

    Args:
        training: N, training patients.
        validation: V, validation patients.
        synthetic: M, synthetic images.
        planted: K, planted copies, each of another training patient.
    """

    training: int
    validation: int
    synthetic: int
    planted: int


@dataclass(frozen=True)
class Limits:
    """What a pass asks for, as in `memtk.results.Policy`.

    Args:
        copy_rate: at most tolerable.
        unseen_patients: likewise, the share of training patients that are not excluded.
        sensitivity: at least, at the lower end of its interval.
        confidence: of all ends.
        alpha: level at which a planted copy counts as found.
        fdr: of suspects.
    """

    copy_rate: float = 0.05
    unseen_patients: float = 0.05
    sensitivity: float = 0.8
    confidence: float = 0.95
    alpha: float = 0.05
    fdr: float = 0.1


@dataclass(frozen=True)
class Fewest:
    """The fewest copies, or exposed patients, that can be told from strangers.

    Args:
        named: so many can be named, by the model of `names_by`; None if no number.
        by_ranks: so many can be suspects where no model holds; None if no number.
        counted: so many are counted as at least one, without a model; None if no number.
        names_by: the model that as many validation patients allow.
    """

    named: int | None
    by_ranks: int | None
    counted: int | None
    names_by: Model


@dataclass(frozen=True)
class BestCase:
    """What an audit of some sizes can show of a generator that has memorized nothing.

    "At best": nothing is flagged and every planted copy is found. "Likely": strangers are flagged
    by chance, no more of them than in nine of ten audits.

    Args:
        copy_rate_bound: of the copy rate at best.
        likely_copy_rate_bound: likewise, likely.
        unseen_patients: training patients that are not excluded from being exposed, at best.
        likely_unseen_patients: likewise, likely.
        sensitivity_low: lower end of the sensitivity if every planted copy is found; 0 if none is
            planted, or too few validation patients forbid that any is found.
        can_pass: whether what is shown at best is a pass.
        likely_pass: whether a pass is likely: at least four in five, if planted copies are found.
        least: the sizes below which no audit passes, each with the others as they are; 0 where no
            number is enough.
        validation_needed: validation patients with which a pass is likely, the other sizes as they
            are, to two digits; None if no number is enough.
        synthetic_needed: likewise, synthetic images.
        copies: the fewest copies that can be told.
        patients: the fewest exposed patients that can be told.
    """

    copy_rate_bound: float
    likely_copy_rate_bound: float
    unseen_patients: int
    likely_unseen_patients: int
    sensitivity_low: float
    can_pass: bool
    likely_pass: bool
    least: Sizes
    validation_needed: int | None
    synthetic_needed: int | None
    copies: Fewest
    patients: Fewest


def best_case(sizes: Sizes, limits: Limits | None = None, seed: int = 0) -> BestCase:
    """Return what an audit can show at best, and is likely to show, before anything is trained.

    The bounds are those of `copy_rate` and `exposed_interval`, by the threshold that
    `best_threshold` chooses, with a sensitivity of K of K. At best no synthetic image and no
    training patient is above it: of 0 of M the bound is near `1 - (1 - confidence)^(1 / M)`, and
    for the patients near `N (1 - ((1 - confidence) / 2)^(1 / N))`, both more with fewer planted
    copies. If the threshold is the j-th nearest of V validation patients,
    BetaBinomial(M; j, V + 1 - j) strangers are above it: likely is the bound for the number that
    nine of ten audits stay within. One image a patient; training and validation patients are taken
    for one population.

    Raises:
        UserError: if there is no training or validation patient, or no synthetic image.

    >>> found = best_case(Sizes(200, 100, 500, 100))
    >>> found.likely_pass, round(found.copy_rate_bound, 3), found.unseen_patients
    (True, 0.006, 3)
    """
    limits = limits or Limits()
    if min(sizes.training, sizes.validation, sizes.synthetic) < 1:
        raise UserError(
            f"{sizes.training} training and {sizes.validation} validation patients and "
            f"{sizes.synthetic} synthetic images: at least one of each is needed."
        )
    case = _Case(limits, seed)
    return BestCase(
        copy_rate_bound=case.copy_rate(sizes, 0),
        likely_copy_rate_bound=case.copy_rate(sizes, SIDE),
        unseen_patients=case.unseen(sizes, 0),
        likely_unseen_patients=case.unseen(sizes, SIDE),
        sensitivity_low=case.sensitivity(sizes),
        can_pass=case.passes(sizes, 0),
        likely_pass=case.passes(sizes, SIDE),
        least=case.least(sizes),
        validation_needed=_fewest_of(
            lambda count: case.passes(replace(sizes, validation=count), SIDE)
        ),
        synthetic_needed=_fewest_of(
            lambda count: case.passes(replace(sizes, synthetic=count), SIDE)
        ),
        copies=_fewest(sizes.synthetic, sizes.validation, limits, seed),
        patients=_fewest(sizes.training, sizes.validation, limits, seed),
    )


@dataclass(frozen=True)
class _Case:
    """What is shown with no copies, by limits; `chance`: SIDE, or 0 for the best."""

    limits: Limits
    seed: int

    def copy_rate(self, sizes: Sizes, chance: float) -> float:
        return self._upper(sizes.synthetic, sizes, self.limits.confidence, chance)

    def unseen(self, sizes: Sizes, chance: float) -> int:
        if not sizes.planted:
            return sizes.training
        share = self._upper(sizes.training, sizes, (1 + self.limits.confidence) / 2, chance)
        return int(share * sizes.training + 1e-9)

    def sensitivity(self, sizes: Sizes) -> float:
        """Return its lower end if all planted copies are nearer than strangers."""
        if not sizes.planted or self.limits.alpha * (sizes.validation + 1) < 1 - 1e-9:
            return 0.0
        return clopper_pearson(sizes.planted, sizes.planted, self.limits.confidence).low

    def passes(self, sizes: Sizes, chance: float) -> bool:
        limits = self.limits
        return (
            self.sensitivity(sizes) >= limits.sensitivity
            and self._excludes(sizes, chance)
            and self.copy_rate(sizes, chance) <= limits.copy_rate
        )

    def least(self, sizes: Sizes) -> Sizes:
        """Return the smallest number of each that its own condition of a pass takes."""
        tail, least = (1 - self.limits.confidence) / 2, self.limits.sensitivity
        plants = 0  # of a sensitivity of 1 no number is enough
        if least < 1:
            plants = max(1, math.ceil(math.log(tail) / math.log(least) - 1e-9)) if least else 1
        made = _fewest_of(
            lambda count: (
                self.copy_rate(replace(sizes, synthetic=count), 0) <= self.limits.copy_rate
            )
        )
        trained = _fewest_of(
            lambda count: self._excludes(
                replace(sizes, training=count, planted=sizes.planted or count), 0
            )
        )
        return Sizes(
            training=trained or 0,
            validation=max(1, math.ceil(1 / self.limits.alpha * (1 - 1e-12)) - 1),
            synthetic=made or 0,
            planted=plants,
        )

    def _excludes(self, sizes: Sizes, chance: float) -> bool:
        share = self.unseen(sizes, chance) / sizes.training
        return share <= self.limits.unseen_patients + 1e-12

    def _upper(self, tested: int, sizes: Sizes, level: float, chance: float) -> float:
        planted, confidence = sizes.planted or 10_000, self.limits.confidence
        return _upper(tested, sizes.validation, planted, confidence, level, chance, self.seed)


@lru_cache(maxsize=1024)
def _upper(
    tested: int,
    validation: int,
    planted: int,
    confidence: float,
    level: float,
    chance: float,
    seed: int,
) -> float:
    """Return the upper end of the rate among tested units of which none is a copy."""
    strangers = PatientGroup(np.arange(validation))
    copies = PatientGroup(np.full(planted, np.inf))
    threshold = best_threshold(strangers, copies, tested, confidence=confidence, seed=seed)
    rule = ThresholdRule(threshold, strangers, copies)
    nearest = validation - int(threshold)  # the threshold is the j-th nearest
    flagged = 0
    if chance:
        flagged = int(betabinom.ppf(chance, tested, nearest, validation + 1 - nearest))
    rng = np.random.default_rng(seed)
    end = rule.end(rng, flagged, tested, level=level, draws=10_000, above=True)
    return max(end, rule.estimate(flagged / tested))


def _fewest_of(enough: Callable[[int], bool]) -> int | None:
    """Return the smallest number up to `MOST`, to two digits, from which on it is enough."""
    steps = [*range(1, 10)]
    power = 1
    while steps[-1] < MOST:
        steps += [digits * power for digits in range(10, 100)]
        power *= 10
    steps = [step for step in steps if step <= MOST]
    if not enough(steps[-1]):
        return None
    low, high = -1, len(steps) - 1
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if enough(steps[middle]) else (middle, high)
    return steps[high]


def _fewest(tested: int, validation: int, limits: Limits, seed: int) -> Fewest:
    """Return the fewest units of those tested that can be named, flagged and counted."""
    names_by: Model = next((name for name, _, least, _ in MODELS if validation >= least), "ranks")
    finest = validation + 1
    ranked = max(1, math.ceil(tested / (limits.fdr * finest) * (1 - 1e-12)))
    by_ranks = ranked if ranked <= tested else None
    alone = tested <= SURE * finest * (1 + 1e-12)
    if names_by != "ranks" or alone:
        named: int | None = 1
    else:
        named = by_ranks
    return Fewest(named, by_ranks, _counted(tested, validation, limits.confidence, seed), names_by)


def _counted(tested: int, validation: int, confidence: float, seed: int) -> int | None:
    """Return the fewest units beyond all strangers that `at_least` counts, the rest spread evenly.

    That is with as many strangers near as chance expects. `at_least` counts any if the set of all
    units is rejected as a set of strangers, which alone is looked at here.
    """
    ranks = RANKS[validation >= RANKS]

    def counts(beyond: int) -> bool:
        others = tested - beyond
        near = beyond + np.rint(others * ranks / (validation + 1)).astype(int)  # N_j, (J,)
        urn = Urn(near, tested, validation, 1 - confidence, seed)
        return not urn.explains(tested, 0)

    if not counts(tested):
        return None
    low, high = 0, tested
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if counts(middle) else (middle, high)
    return high
