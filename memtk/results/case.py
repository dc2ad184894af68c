"""What a policy decides on, and what a reason for its verdict is."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from statistics import NormalDist
from typing import Literal

from memtk.errors import many
from memtk.results.audit import Policy, Screened
from memtk.results.formats import share
from memtk.results.protocols import Evidence, Exposed, GroupTest
from memtk.results.schema import Counts
from memtk.results.selftest import SelfTest

ALIKE = 0.05
"""p-value up to which training and validation patients are taken for two populations."""

BLUR = 0.05
"""p-value up to which synthetic images that are no copies are called nearer, or farther, than
strangers are."""


RECOGNISED = ", if copies of them are as easy to recognise as those that memtk planted as a test"
"""Stands behind the most training patients that may be exposed."""


def most_copies(found: Evidence, limit: float) -> float | None:
    """Return which share of the synthetic images are copies, at most, as a page says it.

    The upper end of the interval, which stands beside: an eye finds one number. The one-sided
    bound decides, and is said where the two lie on two sides of what is tolerable.
    """
    rate, bound = found.copy_rate, found.copy_rate_upper_bound
    if rate is None or bound is None or (bound <= limit) != (rate.high <= limit):
        return bound
    return rate.high


def sensitivity_in_words(found: Evidence, limit: float) -> str:
    """Say which sensitivity the bound of a pass takes, after a space; nothing where none is known.

    That of readers, or the tipping point of that to planted copies.
    """
    rule, bound = found.threshold, found.copy_rate_upper_bound
    if rule is not None and rule.copies_read is not None:
        return (
            f" It takes its sensitivity from readers: of {many(rule.copies_read, 'pair')} of these "
            f"very images that they called a copy, it sees {share(rule.sensitivity)}."
        )
    if rule is None or bound is None or limit <= 0:
        return ""
    least = _tipping_point(bound, limit, rule.sensitivity, rule.false_positive_rate)
    return (
        f" It stays tolerable as long as at least {share(least)} of the generator's own copies lie "
        f"beyond the threshold of the copy rate; of the planted ones {share(rule.sensitivity)} do."
    )


def recognised_in_words(exposed: Exposed, limit: float) -> str:
    """Say the same of the most patients that may be exposed, whole patients of a tolerable share.

    Their number is rounded down: k of them may be close to k + 1, which the limit does not reach.
    """
    f, s = exposed.false_positive_rate, exposed.sensitivity
    if f is None or s is None or limit <= 0:
        return ""
    tolerable = (math.floor(limit * exposed.of + 1e-9) + 1) / exposed.of
    if tolerable >= 1:
        return ""
    bound = (exposed.high + 1) / exposed.of
    least = _tipping_point(bound, tolerable, s, f)
    return (
        " This holds if copies of exposed patients are as recognisable as the planted ones, of "
        f"which {share(s)} lie beyond the threshold of this side; with fewer than {share(least)} "
        "of them beyond it, it would no longer pass."
    )


def _tipping_point(bound: float, limit: float, sensitivity: float, rate: float) -> float:
    from memtk.intervals import tipping_point  # scipy, which records do without

    return tipping_point(bound, limit, sensitivity=sensitivity, false_positive_rate=rate)


Step = Literal[
    "release", "second design", "exposure", "selftest", "policy", "check", "likeness", "sizes",
    "patients", "images", "plants", "detector", "retrain",
]  # fmt: skip
"""What can be done next: hold images back, judge them by another design, test the exposure, plant
copies, apply the policy anew, compare the populations, make the images look real, see what sizes
it takes, add validation patients or synthetic images, plant more copies, take another detector,
train a generator that copies less. `memtk.report.audit_steps` and `next_steps` make commands of
them."""


@dataclass(frozen=True)
class Reason:
    """Why a rule fails the images, or keeps them from passing.

    Args:
        brief: it in two to five words, for a cell of a table.
        plain: the same in a short sentence for a reader who is no specialist.
        said: it in a sentence with figures.
        way: what else belongs to it, and what would change it, in a sentence or two; empty where
            nothing is known to.
        steps: what can be done next, each with how many (patients, images, planted copies) it
            takes where that is known.
    """

    brief: str
    plain: str
    said: str
    way: str = ""
    steps: Mapping[Step, int | None] = field(default_factory=dict)

    @property
    def text(self) -> str:
        """All of it but the plain sentence, as a verdict states it."""
        return f"{self.said} {self.way}".strip()


@dataclass(frozen=True)
class Case:
    """The numbers that `decide` decides on; `memtk.results.reasons` has the rules."""

    policy: Policy
    found: Evidence
    selftest: SelfTest | None
    counts: Mapping[str, Counts]
    identical: int
    screened: Screened | None

    @property
    def training(self) -> int:
        """Training patients."""
        return self.counts["training"].patients

    @property
    def validation(self) -> int:
        """Validation patients."""
        return self.counts["validation"].patients

    @property
    def synthetic(self) -> int:
        """Synthetic images."""
        return self.counts["synthetic"].images

    @property
    def sure(self) -> bool:
        """Whether the rates were computed at the policy's confidence or above."""
        used = [self.found.confidence, self.selftest.confidence if self.selftest else None]
        return all(c is None or c >= self.policy.confidence - 1e-9 for c in used)

    @property
    def confidence(self) -> float:
        """Of the intervals."""
        return self.found.confidence or self.policy.confidence

    @property
    def most(self) -> float | None:
        """The share of copies at most; see `most_copies`."""
        return most_copies(self.found, self.policy.max_copy_rate)

    @property
    def apart(self) -> GroupTest | None:
        """The test of training against validation patients, where it rejects."""
        test = self.found.comparable and self.found.comparable.population
        return test if test and test.p <= ALIKE else None

    @property
    def exposes(self) -> bool:
        """Whether some training patient is shown to be exposed: named for sure, or counted."""
        exposed, people = self.found.exposed, self.found.patients
        return bool(exposed and (exposed.low or (people and (people.sure or people.at_least))))

    @property
    def unlike(self) -> GroupTest | None:
        """The test by which the synthetic images are unlike the data; see `Comparable.unlike`."""
        return self.found.comparable.unlike if self.found.comparable else None

    @property
    def blurred(self) -> GroupTest | None:
        """The test of the other synthetic images, where these are nearer than strangers are."""
        test = self.found.comparable and self.found.comparable.synthetic
        return test if test and test.p <= BLUR and test.nearer else None


PATIENTS_FOR_TAIL = 20
"""The fewest validation patients whose tail can be modelled, so that few copies can be named."""


def patients_to_flag(fdr: float) -> int:
    """Return the fewest validation patients with which Benjamini-Hochberg can flag anything.

    The finest p-value, 1 / (P + 1), must not exceed the false discovery rate.

    >>> patients_to_flag(0.1), patients_to_flag(0.05)
    (9, 19)
    """
    return max(1, math.ceil(1 / fdr * (1 - 1e-12)) - 1)


def patients_for_bound(
    bound: float, estimate: float, limit: float, validation: int, synthetic: int
) -> int | None:
    """Return about how many validation patients would bring the bound of the copy rate to a limit.

    The distance from estimate to bound goes with `sqrt(1/V + 1/M)` where few are copies, the
    estimate is taken to stay.

    Args:
        bound: upper bound of the copy rate with V validation patients and M synthetic images.
        estimate: of the copy rate.
        limit: that the bound should reach.
        validation: V.
        synthetic: M.

    Returns:
        The number to two digits; None where no number of validation patients would do.

    >>> patients_for_bound(0.08, 0.0, 0.05, 60, 1000)
    170
    >>> patients_for_bound(0.08, 0.06, 0.05, 60, 1000) is None
    True
    """
    now, wanted = bound - estimate, limit - estimate
    if wanted <= 0 or now <= 0:
        return None
    return _solve((1 / validation + 1 / synthetic) * (wanted / now) ** 2, synthetic)


def sizes_for_bound(
    bound: float, estimate: float, limit: float, validation: int, synthetic: int
) -> int:
    """Return about how many validation patients, and as many synthetic images, would do the same.

    See `patients_for_bound`, whose arguments these are, with the estimate below the limit.

    >>> sizes_for_bound(0.085, 0.016, 0.05, 64, 64)
    270
    """
    shrunk = ((limit - estimate) / (bound - estimate)) ** 2
    return _two_digits(2 / ((1 / validation + 1 / synthetic) * shrunk))


def patients_to_plan(
    alpha: float, sensitivity: float, limit: float, confidence: float, synthetic: int
) -> int | None:
    """Return about how many validation patients bound the copy rate by a limit, if there are none.

    From `limit (sensitivity - alpha) = z sqrt(alpha (1 - alpha) (1/V + 1/M))`, the Rogan-Gladen
    estimate's standard error where nothing is a copy (Am. J. Epidemiol. 1978).

    >>> patients_to_plan(0.05, 0.9, 0.05, 0.95, 1000)
    77
    >>> patients_to_plan(0.05, 0.9, 0.05, 0.95, 50) is None
    True
    """
    if sensitivity <= alpha or limit <= 0:
        return None
    z = NormalDist().inv_cdf(confidence)
    wanted = (limit * (sensitivity - alpha) / z) ** 2 / (alpha * (1 - alpha))
    patients = _solve(wanted, synthetic)
    return None if patients is None else max(patients, patients_to_flag(alpha))


def plants_for_sensitivity(rate: float, limit: float, confidence: float) -> int:
    """Return about how many planted copies bring the interval of a rate above a limit.

    From `rate - limit = z sqrt(limit (1 - limit) / n)` with `1 / (rate - limit)` more, because the
    exact interval is wider; of a rate of 1, `limit^n = (1 - confidence) / 2`.

    >>> plants_for_sensitivity(0.85, 0.8, 0.95), plants_for_sensitivity(1, 0.8, 0.95)
    (270, 17)
    """
    if rate >= 1:
        return math.ceil(math.log((1 - confidence) / 2) / math.log(limit)) if limit > 0 else 1
    z = NormalDist().inv_cdf(0.5 + confidence / 2)
    return _two_digits(z**2 * limit * (1 - limit) / (rate - limit) ** 2 + 1 / (rate - limit))


def _solve(total: float, synthetic: int) -> int | None:
    """Return V from 1/V + 1/M, rounded up to two digits; None where M alone is more than that."""
    rest = total - 1 / synthetic
    return _two_digits(1 / rest) if rest > 1e-6 else None


def _two_digits(value: float) -> int:
    step = 10 ** max(0, math.floor(math.log10(value)) - 1)
    return math.ceil(value / step * (1 - 1e-12)) * step
