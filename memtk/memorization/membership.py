"""What the scores of a membership attack show: AUC, and who is found at few false alarms."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass

import numpy as np

from memtk.errors import UserError
from memtk.intervals import Interval, of_rate
from memtk.memorization.auc import Scores, auc, scores_of

LOW_FPR = 0.01
"""False positive rate at which the true positive rate is asked for."""


@dataclass(frozen=True)
class FewAlarms:
    """The true positive rate at a low false positive rate.

    Args:
        asked: the false positive rate that was asked for.
        fpr: the one that it was measured at: `asked`, or the smallest that the non-member patients
            can carry, 1 / Q.
        reached: share of the non-members above the threshold, at most `fpr`.
        rate: share of the members above it, with a Clopper-Pearson interval.
        reason: why `asked` could not be had; empty if it could.
    """

    asked: float
    fpr: float
    reached: float
    rate: Interval
    reason: str


@dataclass(frozen=True)
class Membership:
    """What the scores of an attack show.

    Args:
        members: their patients, P, and `non_members` theirs, Q.
        auc: 0.5 is chance; None where it cannot be had.
        few_alarms: likewise; by chance its rate is its `fpr`.
        reason: why they cannot be had; empty if they can.
    """

    members: int
    non_members: int
    auc: Interval | None
    few_alarms: FewAlarms | None
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
    >>> round(judged.auc.estimate, 3), round(judged.few_alarms.fpr, 3)
    (0.983, 0.083)
    >>> judged.few_alarms.reason
    'a false positive rate of 1 % is not measurable with 12 non-member patients'
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
        few_alarms=few_alarms(inside, outside, fpr, confidence),
        reason="",
    )


def few_alarms(
    members: Scores, others: Scores, fpr: float = LOW_FPR, confidence: float = 0.95
) -> FewAlarms:
    """Return the share of the members above the lowest threshold with so few false alarms.

    The threshold is the lowest score of a non-member above which at most `fpr` of the non-members
    lie, every patient counting once. Below 1 / Q a rate cannot be told from 0 with Q non-member
    patients; then it is measured at 1 / Q, and said so.

    The interval is that of Clopper and Pearson for P patients, at this threshold. A patient with
    several images counts as the share of them above it: a sum of such shares varies less than a
    count of the same mean (Hoeffding, J. Am. Stat. Assoc. 1963).

    Raises:
        UserError: if `fpr` or `confidence` is not between 0 and 1.
    """
    if not 0 < fpr < 1 or not 0 < confidence < 1:
        raise UserError(
            f"a false positive rate of {fpr:g} at confidence {confidence:g}: both must lie between "
            "0 and 1."
        )
    finest = 1 / others.patients
    used = max(fpr, finest)
    reason = ""
    if used > fpr * (1 + 1e-9):
        reason = (
            f"a false positive rate of {100 * fpr:g} % is not measurable with {others.patients} "
            "non-member patients"
        )
    order = np.argsort(-others.values, kind="stable")
    ranked = others.values[order]
    above = np.concatenate([[0.0], np.cumsum(others.weights[order])[:-1]])  # before each
    first = np.searchsorted(-ranked, -ranked, side="left")  # of its ties
    fits = above[first] <= used * (1 + 1e-9)
    threshold = float(ranked[fits].min())
    reached = float(others.weights[others.values > threshold].sum())
    rate = float(members.weights[members.values > threshold].sum())
    return FewAlarms(fpr, used, reached, of_rate(rate, members.patients, confidence), reason)


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
