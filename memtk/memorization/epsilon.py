"""A lower bound on epsilon from one run: guesses at who took part where fair coins decided."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from scipy.optimize import brentq
from scipy.special import expit
from scipy.stats import binom

from memtk.errors import UserError

FEWEST_CANARIES = 10
"""Fewer patients say nothing of epsilon, however well an attack guesses."""


def guesses_for(patients: int) -> tuple[int, ...]:
    """Return the numbers of guesses that are tried on so many canaries, fixed before any score.

    Nearly all of them, m - 2 sqrt(m), so many that fair coins leave half as many of either kind in
    19 of 20 cases, for generators that tell of everybody; a third and a tenth, for those that tell
    of a few. Even numbers, of 10 at least.

    >>> guesses_for(40), guesses_for(64), guesses_for(200), guesses_for(12)
    ((26, 12), (48, 20), (170, 66, 20), (10,))
    """
    asked = (patients - 2 * math.sqrt(patients), patients / 3, patients / 10)
    found = sorted({2 * int(each // 2) for each in asked}, reverse=True)
    return tuple(r for r in found if r >= FEWEST_CANARIES) or (min(10, patients // 2 * 2),)


def right_guesses(scores: np.ndarray, members: np.ndarray, guesses: int) -> int:
    """Return how many of the guesses are right: the highest half of them in, the lowest out.

    Equal scores are ordered by lot, not as they come: who lists members first would else be right
    about patients that an attack cannot tell apart.

    Args:
        scores: higher = more likely in, (m,).
        members: whether each was in, bool (m,).
        guesses: r <= m, even.

    >>> right_guesses(np.array([3.0, 1.0, 2.0, 0.0]), np.array([True, True, False, False]), 2)
    2
    """
    shuffled = np.random.default_rng(0).permutation(len(scores))
    order = shuffled[np.argsort(-scores[shuffled], kind="stable")]
    half = guesses // 2
    return int(members[order[:half]].sum() + (~members[order[len(order) - half :]]).sum())


def epsilon_lower_bound(
    scores: np.ndarray,
    members: np.ndarray,
    *,
    guesses: Sequence[int] = (20, 60, 200),
    delta: float = 0.0,
    confidence: float = 0.95,
) -> float:
    """Return a lower confidence bound on the epsilon of a training, from one run of it.

    Every one of m patients was put into the training set by a fair coin of its own. Of r guesses,
    the r / 2 highest scores in and the r / 2 lowest out, v are right. If the training is
    (epsilon, delta)-differentially private, with beta(v) = P(Bin(r, e^eps / (1 + e^eps)) >= v),

        P(at least v right) <= beta(v) + 2 m delta max_i (beta(v - i) - beta(v)) / i

    (Steinke, Nasr and Jagielski, arXiv 2305.08846). The bound is the largest epsilon for which that
    is at most what is missing to `confidence`, divided by the number of r tried (Bonferroni), and
    the largest over these. An accountant's epsilon below it shows a mistake in the training or in
    the accountant; one above it shows nothing: another attack may find more.

    Args:
        scores: of each patient, higher = more likely in, (m,).
        members: whether it was in, bool (m,).
        guesses: r; those with fewer patients are left out, and m where none is left.
        delta: of the privacy that is claimed.
        confidence: in (0, 1).

    Raises:
        UserError: if there are fewer than two patients, the arrays do not fit, a score is not
            finite, or a level is none.

    >>> members = np.arange(200) % 2 == 0
    >>> found = epsilon_lower_bound(members + np.linspace(0, 0.5, 200), members)
    >>> round(found, 2), epsilon_lower_bound(np.arange(200.0), members)
    (3.88, 0.0)
    """
    scores, members = np.asarray(scores, dtype=np.float64), np.asarray(members, dtype=bool)
    m = len(scores)
    if m < 2 or len(members) != m or not 0 < confidence < 1 or not 0 <= delta < 1:
        raise UserError(
            f"an epsilon from {m} scores of {len(members)} patients at confidence {confidence:g} "
            f"and delta {delta:g}: at least two of each are needed, as many of both, a confidence "
            "between 0 and 1, and a delta of at least 0 and less than 1."
        )
    if not np.isfinite(scores).all():
        raise UserError("the score of one of the patients is not finite.")
    tried = [r for r in guesses if 2 <= r <= m] or [m]
    level = (1 - confidence) / len(tried)
    found = 0.0
    for count in (r // 2 * 2 for r in tried):
        right = right_guesses(scores, members, count)

        def excess(epsilon: float, count: int = count, right: int = right) -> float:
            chance = binom.sf(np.arange(right, -1, -1) - 1, count, expit(epsilon))
            gain = ((chance[1:] - chance[0]) / np.arange(1, right + 1)).max(initial=0.0)
            return float(chance[0] + 2 * m * delta * gain) - level

        if excess(0.0) <= 0:
            found = max(found, brentq(excess, 0.0, 50.0) if excess(50.0) > 0 else 50.0)
    return float(found)
