"""How many of the tested units are copies or exposed, at least: closed testing, without a model."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from scipy.special import betaln

from memtk.errors import UserError
from memtk.memorization.patients import PatientGroup, images_compared

RANKS = np.array([1, 2, 3, 5, 8, 13])
"""The test looks at how many units are nearer than the j-th nearest validation patient, j of these:
the first finds a few, very alike; the last many that are less so."""

DRAWS = 4000
"""Of the simulated critical values."""

EACH = 100
"""Lists of up to so many units have a bound of their own, and as many longer ones: those between
have that of the next shorter."""


@dataclass(frozen=True)
class AtLeast:
    """Lower bounds on how many units are no strangers, all of them at once.

    Args:
        count: of all T units at least so many.
        of_top: of the k that are the most alike at least `of_top[k - 1]`, k = 1 ... T, int64 (T,).
        order: the units from the most alike to the least, int64 (T,).
        confidence: that every one of these numbers is right.
    """

    count: int
    of_top: np.ndarray
    order: np.ndarray
    confidence: float


def at_least(
    tested: PatientGroup,
    strangers: PatientGroup,
    *,
    confidence: float = 0.95,
    seed: int = 0,
    lists: bool = True,
) -> AtLeast:
    """Return how many of the tested images, or patients, are nearer than chance allows, at least.

    Benjamini-Hochberg cannot name fewer than `T / (fdr (V + 1))` units; that there are such units
    can be known far earlier. Let N_j be the tested units nearer than the j-th nearest of V
    validation patients. If m of them are strangers, exchangeable with the validation patients, the
    N_j of these are a Polya urn, `N_j ~ BetaBinomial(m; j, V + 1 - j)`, whatever the similarities.
    A set of m units is rejected as a set of strangers if the smallest of
    `P(BetaBinomial(m; j, V + 1 - j) >= N_j)` over j = 1, 2, 3, 5, 8, 13 is smaller than in a share
    `1 - confidence` of simulated urns. By closed testing (Goeman and Solari, Stat. Sci. 2011;
    Magnani, Sesia and Solari, arXiv 2308.05534) a set S then holds at least

        min {|S without I| : the set I is not rejected}

    units that are no strangers, for every S at once; of all sets I of a size that leave e of the k
    most alike units out, the least alike ones are the hardest to reject, so few have to be looked
    at. Exact with one image a patient. A synthetic image counts as independent of the others.

    R's packages `hommel` and `nout` close other local tests (Simes; Wilcoxon, Mann and Whitney):
    their bounds are others than these.

    Of patients with several images the largest similarity counts. They are compared with b random
    images of each validation patient that has as many; one with n images counts as `ceil(n / b)`
    strangers, which is right if a patient's images are independent given the patient, however alike
    they are: `E F^n >= (E F^b)^(n / b)`.

    Args:
        tested: the units: patients, or, without patients, images; each with its similarity to the
            nearest reference.
        strangers: the validation images and patients, with theirs to the same references.
        confidence: in (0, 1).
        seed: of the simulated critical values.
        lists: False counts all units alone, which takes a tenth of the time; `of_top` is 0 before.

    Raises:
        UserError: if the confidence is none.

    >>> tested = PatientGroup(np.r_[np.full(12, 0.99), np.linspace(0, 0.9, 188)])
    >>> found = at_least(tested, PatientGroup(np.linspace(0, 0.9, 100)))
    >>> found.count, found.of_top[[8, 9, 11]].tolist()
    (3, [0, 1, 3])
    """
    if not 0 < confidence < 1:
        raise UserError(f"a confidence of {confidence:g} does not lie between 0 and 1.")
    images = images_compared(tested, strangers)
    validation = strangers.ranked_largest(images)  # (V,)
    units = tested.largest()  # (T,)
    order = np.argsort(-units, kind="stable")
    ranks = RANKS[len(validation) >= RANKS]
    near = np.searchsorted(-units[order], -validation[ranks - 1], side="left")  # N_j, (J,)
    count = int(np.ceil(tested.sizes / images).sum())  # large patients are several strangers
    urn = Urn(near, count, len(validation), 1 - confidence, seed)
    longer = np.geomspace(EACH, max(EACH, len(units)), EACH).astype(int)
    of_top = np.zeros(len(units) + 1, dtype=np.int64)
    last = 0
    ends = np.unique(np.minimum(np.r_[1 : EACH + 1, longer], len(units))).tolist()
    for k in ends if lists else ends[-1:]:
        low, high = int(of_top[last]), int(of_top[last]) + k - last
        while low < high:  # one unit more of the list is one unit more at most
            middle = (low + high) // 2
            low, high = (low, middle) if urn.explains(k, middle) else (middle + 1, high)
        of_top[last + 1 : k] = of_top[last]
        of_top[k], last = low, k
    return AtLeast(int(of_top[-1]), of_top[1:], order, confidence)


def upper_end(high: float, least: float, estimate: float, most: float = 1.0) -> float:
    """Return the upper end of an interval that rests on a sensitivity, where a count does not.

    A rate of copies, or of exposed patients, divides by the sensitivity to planted copies. A count
    of `at_least` does not. Where it lies above the estimate, fewer of the generator's copies are
    found than of the planted ones, for all we know, and the upper end moves up by as much. Where it
    lies above that end, the generator's copies are harder to recognise than the planted ones, or
    its images nearer than strangers for another reason: nothing is known of the sensitivity then,
    and every unit may be a copy.

    Args:
        high: the upper end, a share or a number.
        least: of the same units at least so much are copies.
        estimate: by the sensitivity.
        most: what there is: 1, or the number of the units.

    >>> upper_end(0.5, 0.3, 0.4), upper_end(0.5, 0.45, 0.4), upper_end(0.5, 0.55, 0.4)
    (0.5, 0.55, 1.0)
    >>> upper_end(34, 36, 30, 64)
    64
    """
    return min(high + max(least - estimate, 0), most) if least <= high + 1e-9 else most


class Urn:
    """Tests whether sets of units are strangers.

    Args:
        near: N_j of all units, (J,).
        strangers: how many they all count as.
        patients: V.
        level: of each test.
        seed: of its critical values.
    """

    def __init__(
        self, near: np.ndarray, strangers: int, patients: int, level: float, seed: int
    ) -> None:
        self._near, self._strangers, self._patients = near, strangers, patients
        self._level, self._seed = level, seed

    def explains(self, k: int, removed: int) -> bool:
        """Return whether the units are strangers for all we know, but for some of the first k.

        Without the `removed` most alike of the k, and without r of the most alike beyond them:
        with r, the p-values of the N_j that count these grow and the others shrink, so that their
        minimum has one maximum.
        """
        beyond = np.arange(max(int(self._near.max()) - k, 0) + 1)  # r, (R,)
        while True:
            chosen = beyond[:: max(1, len(beyond) // 32)]
            p = self._p(k, removed, chosen)
            if len(chosen) == len(beyond):
                break
            best = int(p.argmax())
            bounds = chosen[max(best - 1, 0)], chosen[min(best + 1, len(chosen) - 1)]
            beyond = np.arange(bounds[0], min(bounds[1], beyond[-1]) + 1)
        for i in np.argsort(-p):
            if p[i] * len(self._near) <= self._level:  # Bonferroni
                return False
            strangers = self._strangers - removed - int(beyond[i])
            if p[i] >= _critical(strangers, self._patients, self._level, self._seed):
                return True
        return False

    def _p(self, k: int, removed: int, beyond: np.ndarray) -> np.ndarray:
        first = np.maximum(np.minimum(self._near, k) - removed, 0)  # (J,)
        rest = np.maximum(self._near - k - beyond[:, None], 0)  # (R, J)
        strangers = self._strangers - removed - beyond[:, None]
        return _tails(first + rest, strangers, self._patients).min(1)


def _tails(near: np.ndarray, strangers: np.ndarray, patients: int) -> np.ndarray:
    """Return P(BetaBinomial(m; j, V + 1 - j) >= N_j), (..., J), for N_j (..., J) and m (..., 1).

    The N_j are so many if, of the first N_j + j - 1 of strangers and validation patients, fewer
    than j are validation patients: a sum of j hypergeometric probabilities.

    >>> _tails(np.array([[2, 3]]), np.array([[4]]), 2).round(3)
    array([[0.4, 0.6]])
    """
    ranks = RANKS[: near.shape[-1]]
    drawn = (near + ranks - 1)[..., None]  # (..., J, 1)
    patient = np.arange(RANKS[-1])
    m = np.asarray(strangers)[..., None]
    logs = _log_choose(patients, patient) + _log_choose(m, drawn - patient)
    chance = np.exp(logs - _log_choose(m + patients, drawn))
    return (chance * (patient < ranks[:, None])).sum(-1)


def _log_choose(n: np.ndarray | int, k: np.ndarray) -> np.ndarray:
    with np.errstate(divide="ignore", invalid="ignore"):
        logs = -np.log1p(n) - betaln(n - k + 1.0, k + 1.0)
    return np.where((k < 0) | (k > n), -np.inf, logs)


@lru_cache(maxsize=4096)
def _critical(strangers: int, patients: int, level: float, seed: int) -> float:
    """Return the value below which the smallest p-value of strangers lies with at most `level`."""
    step = max(1, strangers // 64)
    strangers = strangers // step * step  # it hardly depends on their number
    ranks = RANKS[patients >= RANKS]
    rng = np.random.default_rng([seed, strangers, patients])
    ahead = np.diff(ranks, prepend=0)  # validation patients from one rank to the next
    gaps = rng.dirichlet([*ahead, patients + 1 - ranks[-1]], DRAWS)
    near = rng.multinomial(strangers, gaps)[:, :-1].cumsum(1)  # (draws, J)
    counts = np.repeat(np.arange(near.max() + 1)[:, None], len(ranks), 1)  # (N, J)
    tails = _tails(counts, np.full((len(counts), 1), strangers), patients)
    smallest = tails[near, np.arange(len(ranks))].min(1)  # (draws,)
    rank = int(level * (DRAWS + 1) * (1 + 1e-12)) - 1
    return float(np.partition(smallest, rank)[rank]) if rank >= 0 else 0.0
