"""The area under the ROC curve with patients as the unit, and its interval."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.optimize import brentq
from scipy.special import expit, logit
from scipy.stats import norm

from memtk.errors import UserError
from memtk.intervals import Interval


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
    if patients is None or not len(patients):
        patients = range(len(values))
    if len(patients) != len(values):
        raise UserError(f"{len(values)} {name} but {len(patients)} patients: name one for each.")
    numbers: dict[Hashable, int] = {}
    owner = np.array([numbers.setdefault(p, len(numbers)) for p in patients], dtype=np.int64)
    weights = 1 / (len(numbers) * np.bincount(owner)[owner])
    return Scores(values, owner, len(numbers), weights)


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
