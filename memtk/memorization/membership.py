"""What a membership attack's scores show: AUC and true positive rate, patients as the unit."""

from __future__ import annotations

import math
from collections.abc import Hashable, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.optimize import brentq
from scipy.special import expit, logit
from scipy.stats import beta, betabinom, norm

from memtk.errors import UserError
from memtk.intervals import Interval, of_rate
from memtk.memorization.patients import owners

LOW_FPR = 0.01
"""False positive rate at which the true positive rate is asked for."""


@dataclass(frozen=True)
class Scores:
    """The scores of one side of an attack.

    Args:
        values: float64 (N,); higher = more likely a member.
        owner: the patient of each image as a number from 0 to `patients` - 1, int64 (N,).
        patients: how many there are, P.
        weights: of each image, (N,): 1 / (P n) where its patient has n images, so that every
            patient counts once and the weights add up to 1.
    """

    values: np.ndarray
    owner: np.ndarray
    patients: int
    weights: np.ndarray

    def by_patient(self, values: np.ndarray) -> np.ndarray:
        """Return the mean of `values` (N,) over each patient's images, (P,)."""
        sums = np.bincount(self.owner, values, self.patients)
        return sums / np.bincount(self.owner, minlength=self.patients)


def scores_of(
    values: np.ndarray, patients: Sequence[Hashable] | None = None, name: str = "images"
) -> Scores:
    """Return scores with their patients.

    Args:
        values: (N,).
        patients: the patient of each image, (N,); if None or empty, each is another.
        name: of the set, for messages.

    Raises:
        UserError: if there is none, one is not finite, or there is not one patient for each.

    >>> scores_of(np.array([1.0, 2.0, 3.0]), ["a", "a", "b"]).weights.tolist()
    [0.25, 0.25, 0.5]
    """
    values = np.asarray(values, dtype=np.float64).reshape(-1)
    if not len(values):
        raise UserError(f"there are no {name}: a membership attack compares two sets.")
    if not np.isfinite(values).all():
        raise UserError(f"the score of one of the {name} is not finite.")
    owner = owners(patients, len(values), name)
    count = int(owner.max()) + 1
    weights = 1 / (count * np.bincount(owner)[owner])
    return Scores(values, owner, count, weights)


def auc(members: Scores, others: Scores, confidence: float = 0.95) -> Interval:
    """Return the probability that a member scores higher than a non-member, with its interval.

    Both are images drawn at random of a patient drawn at random; ties count one half. 0.5 is
    chance. With one image a patient it is the Mann-Whitney statistic U / (P Q).

    The interval is the wider at each end of two. DeLong, DeLong and Clarke-Pearson (Biometrics
    1988) on the logit scale, with each patient's mean placement in the place of an image's
    (Obuchowski, Biometrics 1997). And that of Newcombe (Stat. Med. 2006, method 5), the variance of
    Hanley and McNeil solved for its ends: DeLong's has no width where the sets do not overlap, and
    is too narrow near to that. O((N + V) log(N + V)).

    Args:
        members: P patients, two at least.
        others: Q patients, two at least.
        confidence: of the two-sided interval, in (0, 1).

    Raises:
        UserError: with fewer patients, or a confidence that is none.

    >>> found = auc(scores_of(np.array([3.0, 4, 5])), scores_of(np.array([1.0, 2, 3])))
    >>> round(found.estimate, 3), 0.3 < found.low < 0.6, found.high > 0.99
    (0.944, True, True)
    """
    if min(members.patients, others.patients) < 2 or not 0 < confidence < 1:
        raise UserError(
            f"the AUC of {members.patients} against {others.patients} patients at confidence "
            f"{confidence:g}: two of each are needed, and a confidence between 0 and 1."
        )
    above = placements(members.values, others)  # (N,)
    below = 1 - placements(others.values, members)  # (V,)
    estimate = float(np.clip(members.weights @ above, 0, 1))
    variance = float(np.var(members.by_patient(above), ddof=1) / members.patients)
    variance += float(np.var(others.by_patient(below), ddof=1) / others.patients)
    z = float(norm.ppf((1 + confidence) / 2))
    low, high = newcombe(estimate, members.patients, others.patients, z)
    if 0 < estimate < 1:
        reach = z * variance**0.5 / (estimate * (1 - estimate))
        middle = logit(estimate)
        low = min(low, float(expit(middle - reach)))
        high = max(high, float(expit(middle + reach)))
    return Interval(estimate, min(low, estimate), max(high, estimate))


def placements(values: np.ndarray, others: Scores) -> np.ndarray:
    """Return the weighted share of `others` below each value, ties by half, (N,)."""
    order = np.argsort(others.values, kind="stable")
    ranked = others.values[order]
    reached = np.concatenate([[0.0], np.cumsum(others.weights[order])])
    sides = (np.searchsorted(ranked, values, side) for side in ("left", "right"))
    below, upto = (reached[side] for side in sides)
    return (below + upto) / 2


def newcombe(estimate: float, p: int, q: int, z: float) -> tuple[float, float]:
    """Return the ends A of Newcombe's interval: `|A - estimate| = z sqrt(V(A))`.

    `V(A) = A (1 - A) (1 + (n - 1) ((1 - A) / (2 - A) + A / (1 + A))) / (p q)`, n = (p + q) / 2.

    >>> low, high = newcombe(1.0, 50, 50, 1.96)
    >>> round(low, 2), high
    (0.96, 1.0)
    """
    n = (p + q) / 2

    def excess(a: float) -> float:
        spread = a * (1 - a) * (1 + (n - 1) * ((1 - a) / (2 - a) + a / (1 + a))) / (p * q)
        return float((estimate - a) ** 2 - z**2 * spread)

    edge = 1e-12
    low = 0.0 if estimate <= edge else brentq(excess, edge, min(estimate, 1 - edge))
    high = 1.0 if estimate >= 1 - edge else brentq(excess, max(estimate, edge), 1 - edge)
    return float(low), float(high)


@dataclass(frozen=True)
class TprAtFpr:
    """The true positive rate at a low false positive rate.

    Args:
        requested: the false positive rate that was asked for.
        fpr: the one that it was measured at: `requested`, or the smallest that the non-member
            patients can carry, 1 / Q.
        reached: share of the non-members above the threshold, at most `fpr`.
        rate: share of the members above it, with a Clopper-Pearson interval.
        reason: why `requested` could not be had; empty if it could.
        chance: what `rate` is without a signal, (k + 1) / (Q + 1) for k non-member patients above
            the threshold, and the interval of its true false positive rate, Beta(k + 1, Q - k).
        p: the probability of so high a rate without a signal.
    """

    requested: float
    fpr: float
    reached: float
    rate: Interval
    reason: str
    chance: Interval
    p: float


@dataclass(frozen=True)
class Membership:
    """What the scores of an attack show.

    Args:
        members: their patients, P, and `non_members` theirs, Q.
        auc: 0.5 is chance; None where it cannot be had.
        tpr_at_fpr: likewise; its `chance` is.
        reason: why they cannot be had; empty if they can.
    """

    members: int
    non_members: int
    auc: Interval | None
    tpr_at_fpr: TprAtFpr | None
    reason: str


def membership(
    members: np.ndarray,
    non_members: np.ndarray,
    member_patients: Sequence[Hashable] | None = None,
    non_member_patients: Sequence[Hashable] | None = None,
    *,
    fpr: float = LOW_FPR,
    confidence: float = 0.95,
) -> Membership:
    """Judge an attack by its scores; patients are the unit, each counts once.

    Args:
        members: scores of the images that the generator was trained on, (N,).
        non_members: of images of other patients, (V,).
        member_patients: the patient of each, (N,); if None or empty, each is another.
        non_member_patients: likewise, (V,).
        fpr: false positive rate at which the true positive rate is asked for, in (0, 1).
        confidence: of the intervals, in (0, 1).

    Raises:
        UserError: if a patient is on both sides, a score is not finite, a set is empty or does not
            fit its patients, or a rate is none.

    >>> judged = membership(np.arange(10.0, 20), np.arange(12.0))
    >>> round(judged.auc.estimate, 3), round(judged.tpr_at_fpr.fpr, 3)
    (0.983, 0.083)
    >>> judged.tpr_at_fpr.reason
    'a false positive rate of 1% is not measurable with 12 non-member patients'
    """
    if member_patients is not None and non_member_patients is not None:
        both = set(member_patients) & set(non_member_patients)
        if both:
            raise UserError(
                f"{len(both)} patients are members and non-members: an attack that tells patients "
                "apart would be taken for one that tells training images apart."
            )
    inside = scores_of(members, member_patients, "members")
    outside = scores_of(non_members, non_member_patients, "non-members")
    fewest = min(inside.patients, outside.patients)
    if fewest < 2:
        side = "member" if inside.patients < 2 else "non-member"
        reason = f"not measurable with 1 {side} patient: at least 2 are needed"
        return Membership(inside.patients, outside.patients, None, None, reason)
    return Membership(
        members=inside.patients,
        non_members=outside.patients,
        auc=auc(inside, outside, confidence),
        tpr_at_fpr=tpr_at_fpr(inside, outside, fpr, confidence),
        reason="",
    )


def tpr_at_fpr(
    members: Scores, others: Scores, fpr: float = LOW_FPR, confidence: float = 0.95
) -> TprAtFpr:
    """Return the share of the members above the lowest threshold with so few false alarms.

    The threshold is the lowest score of a non-member above which at most `fpr` of the non-members
    lie, every patient counting once. Below 1 / Q a rate cannot be told from 0 with Q non-member
    patients; then it is measured at 1 / Q, and said so.

    The interval is that of Clopper and Pearson for P patients, at this threshold. A patient with
    several images counts as the share of them above it: a sum of such shares varies less than a
    count of the same mean (Hoeffding, J. Am. Stat. Assoc. 1963).

    Raises:
        UserError: if `fpr` or `confidence` is not between 0 and 1.

    >>> found = tpr_at_fpr(scores_of(np.arange(96.0, 106)), scores_of(np.arange(100.0)), fpr=0.02)
    >>> found.rate.estimate, found.reached, round(found.chance.estimate, 3)
    (0.8, 0.02, 0.03)
    """
    if not 0 < fpr < 1 or not 0 < confidence < 1:
        raise UserError(
            f"a false positive rate of {fpr:g} at confidence {confidence:g}: both must lie between "
            "0 and 1."
        )
    used = max(fpr, 1 / others.patients)
    reason = ""
    if used > fpr * (1 + 1e-9):
        reason = (
            f"a false positive rate of {100 * fpr:g}% is not measurable with {others.patients} "
            "non-member patients"
        )
    order = np.argsort(-others.values, kind="stable")
    ranked = others.values[order]
    above = np.concatenate([[0.0], np.cumsum(others.weights[order])[:-1]])  # before each
    first = np.searchsorted(-ranked, -ranked, side="left")  # of its ties
    fits = above[first] <= used * (1 + 1e-9)
    threshold = float(ranked[fits].min())
    reached, rate = (  # weights of a third each do not add up to 1 exactly
        min(1.0, round(float(side.weights[side.values > threshold].sum()), 12))
        for side in (others, members)
    )
    found = of_rate(rate, members.patients, confidence)
    null = _null(rate, members, reached, others, confidence)
    return TprAtFpr(fpr, used, reached, found, reason, *null)


def _null(
    rate: float, members: Scores, reached: float, others: Scores, confidence: float
) -> tuple[Interval, float]:
    """Return what the rate is by chance, and how likely it is to be as high.

    The threshold is the score of a non-member with k above it: a member that is like the Q
    non-members exceeds it with a probability from Beta(k + 1, Q - k), whose mean is
    (k + 1) / (Q + 1), not k / Q; of P members, BetaBinomial(P; k + 1, Q - k) do.
    """
    a, b = reached * others.patients + 1, (1 - reached) * others.patients
    tail = (1 - confidence) / 2
    low, high = (float(beta.ppf(q, a, b)) for q in (tail, 1 - tail))
    count = math.floor(rate * members.patients * (1 + 1e-9))
    p = float(betabinom.sf(count - 1, members.patients, a, b))
    return Interval(a / (a + b), low, high), p


def roc(members: Scores, others: Scores) -> tuple[np.ndarray, np.ndarray]:
    """Return the ROC curve: false and true positive rates from (0, 0) to (1, 1), ascending.

    >>> fpr, tpr = roc(scores_of(np.array([2.0, 3])), scores_of(np.array([1.0, 2])))
    >>> fpr.tolist(), tpr.tolist()
    ([0.0, 0.0, 0.5, 1.0], [0.0, 0.5, 1.0, 1.0])
    """
    thresholds = np.unique(np.concatenate([members.values, others.values]))[::-1]
    rates = []
    for side in (others, members):
        order = np.argsort(side.values, kind="stable")
        ranked = side.values[order]
        reached = np.concatenate([[0.0], np.cumsum(side.weights[order])])
        rates.append(np.clip(reached[-1] - reached[np.searchsorted(ranked, thresholds)], 0, 1))
    fpr, tpr = (np.concatenate([[0.0], rate]) for rate in rates)
    return fpr, tpr
