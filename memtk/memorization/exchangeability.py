"""The gate before a verdict: are those compared alike but for what was memorized?"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from scipy.optimize import minimize
from scipy.spatial.distance import cdist
from scipy.special import expit, log_expit

from memtk.errors import UserError
from memtk.intervals import clopper_pearson
from memtk.memorization.patients import PatientGroup, owners

MOST = 500
"""Patients of each side that are compared, drawn at random of more: the distances of all are held
in memory."""

DISTANCES = 2**22
"""Distances of images that are held at a time (32 MiB)."""

BULK = 0.3
"""p-values above it are those of synthetic images that are no copies, nor nearly."""

FIRST = 999
"""Permutations after which it is first looked whether more are needed."""

CLEAR = 0.999
"""Confidence of the interval of a p-value that ends the drawing of permutations."""

FOLDS = 5
"""Parts of the patients; the odds of each come from a classifier that was fitted to the others."""


@dataclass(frozen=True)
class Exchangeability:
    """Whether two groups are drawn alike.

    Args:
        p: p-value; small where they are not.
        size: how far they are apart, in [0, 1]; 0 = not at all.
    """

    p: float
    size: float


@dataclass(frozen=True)
class Bulk(Exchangeability):
    """Whether synthetic images that are no copies are as near as strangers are.

    Args:
        nearer: whether they are nearer to the training images than strangers, or farther.
    """

    nearer: bool


def energy_test(
    training: np.ndarray,
    validation: np.ndarray,
    training_patients: Sequence[Hashable] | None = None,
    validation_patients: Sequence[Hashable] | None = None,
    *,
    level: float = 0.05,
    permutations: int = 49_999,
    seed: int = 0,
) -> Exchangeability:
    """Test whether training and validation patients come from one population.

    Every comparison of training with validation images takes them to: a second scanner or site in
    one of them makes its images nearer to each other, and looks like memorization. Both are real,
    so this does not depend on what was memorized, if the embedder has seen neither or both.

    The statistic is the energy distance `2 E|x - v| - E|x - x'| - E|v - v'|` (Szekely and Rizzo,
    J. Stat. Plan. Inference 2013) of Euclidean distances, every patient counting once; its null
    permutes patients. `size` is it divided by `2 E|x - v|`.

    Args:
        training: rows as the similarity compares them (of length 1 for a correlation), (N, D).
        validation: likewise, (V, D).
        training_patients: the patient of each, (N,); if None or empty, each is another.
        validation_patients: likewise, (V,).
        level: what p is compared with.
        permutations: at most so many.
        seed: of these, and of the 500 patients that stand for more.

    Raises:
        UserError: if a set is empty, is not finite, does not fit its patients or the other set.

    >>> rows = np.random.default_rng(0).normal(size=(80, 4))
    >>> alike, apart = energy_test(rows[:40], rows[40:]), energy_test(rows[:40], rows[40:] + 1)
    >>> alike.p > 0.05, apart.p < 0.01, alike.size < 0.05 < apart.size
    (True, True, True)
    """
    rng = np.random.default_rng(seed)
    names = ("training images", "validation images")
    sets = _finite((training, validation), names)
    whose = (training_patients, validation_patients)
    rows, owner = [], []
    counts: list[int] = []
    for values, patients, name in zip(sets, whose, names, strict=True):
        group = PatientGroup(np.zeros(len(values)), patients, name)
        people = rng.permutation(len(group.sizes))[:MOST]
        chosen = np.isin(group.owner, people)
        rows.append(values[chosen])
        owner.append(np.unique(group.owner[chosen], return_inverse=True)[1] + sum(counts))
        counts.append(len(people))
    apart = _mean_distances(np.concatenate(rows), np.concatenate(owner))
    signs = np.repeat([1 / counts[0], -1 / counts[1]], counts)
    statistic = -float(signs @ apart @ signs)
    between = float(apart[: counts[0], counts[0] :].mean())
    reached, n, wanted = 0, 0, FIRST
    while n < permutations:
        while n < min(wanted, permutations):
            block = min(FIRST, min(wanted, permutations) - n)
            drawn = np.array([rng.permutation(signs) for _ in range(block)])  # (block, P)
            null = -np.einsum("np,np->n", drawn @ apart, drawn)
            reached += int(np.count_nonzero(null >= statistic * (1 - 1e-12)))
            n += block
        likely = clopper_pearson(reached, n, CLEAR)
        if not likely.low <= level <= likely.high:
            break
        wanted = 2 * n
    size = max(statistic, 0.0) / (2 * between) if between else 0.0
    return Exchangeability((1 + reached) / (n + 1), size)


def _mean_distances(points: np.ndarray, owner: np.ndarray) -> np.ndarray:
    """Return the mean distance of the images (n, D) of each two of P patients (n,): (P, P)."""
    order = np.argsort(owner, kind="stable")
    points, owner = points[order], owner[order]
    first, images = np.unique(owner, return_index=True, return_counts=True)[1:]
    apart = np.zeros((len(first), len(first)))
    step = max(1, DISTANCES // len(points))
    for start in range(0, len(points), step):
        some = slice(start, start + step)
        to_each = np.add.reduceat(cdist(points[some], points), first, axis=1) / images
        np.add.at(apart, owner[some], to_each)
    return apart / images[:, None]


def _finite(sets: tuple[np.ndarray, np.ndarray], names: tuple[str, str]) -> list[np.ndarray]:
    """Return two sets as float64 (n, D), of which each has a row and all are comparable."""
    found = []
    for values, name in zip(sets, names, strict=True):
        rows = np.asarray(values, dtype=np.float64)
        if not len(rows):
            raise UserError(f"there are no {name}: at least one is needed.")
        if not np.isfinite(rows).all():
            raise UserError(f"a row of the {name} holds a value that is not finite.")
        found.append(rows.reshape(len(rows), -1))
    if found[0].shape[1] != found[1].shape[1]:
        raise UserError(
            f"{names[0]} have {found[0].shape[1]} numbers a row and {names[1]} have "
            f"{found[1].shape[1]}: both sets must come from the same embedder."
        )
    return found


def bulk_test(
    tested: PatientGroup, strangers: PatientGroup, *, draws: int = 2000, seed: int = 0
) -> Bulk:
    """Test whether synthetic images that are no copies are as near as strangers are.

    A bland or blurred generator makes images that are nearer to all training images than real
    strangers are, and a copy rate out of nothing. Copies have small p-values; those in (0.3, 1] are
    of images that are none, and are uniform if these are like strangers. `size` is the largest
    distance of their distribution from the uniform one (Kolmogorov and Smirnov). All p-values share
    one set of V patients, so the null is not the usual one: by rank, m images fall into the gaps
    between the patients with chances from Dirichlet(1, ..., 1), which is simulated. Of a patient
    with several images each has as much of its chance, of the gap in which it lies.

    Args:
        tested: similarity of each synthetic image to its nearest training image.
        strangers: of the validation images to theirs.
        draws: of the null.
        seed: of these.

    >>> strangers = PatientGroup(np.linspace(0, 1, 100))
    >>> alike = bulk_test(PatientGroup(np.linspace(0, 1, 200)), strangers)
    >>> apart = bulk_test(PatientGroup(np.linspace(0.2, 1, 200)), strangers)
    >>> alike.p > 0.5, apart.p < 0.01
    (True, True)
    """
    ranked = strangers.ranked_largest(1)  # (V,)
    first = int(BULK * (len(ranked) + 1)) + 1  # ranks from it on are p-values above 0.3
    rank = _gap(ranked, tested.similarity, "left")
    inside = rank[rank >= first] - first
    count, wide = len(inside), len(ranked) + 2 - first
    if not count:
        return Bulk(1.0, 0.0, False)
    # of each gap: the images whose patients' weight it has; the last one has that of the unseen
    gap = np.r_[_gap(ranked, strangers.similarity, "right"), len(ranked) + 1] - first
    order = np.argsort(gap, kind="stable")[(gap < 0).sum() :]
    gap, share = gap[order], np.r_[1 / strangers.sizes[strangers.owner], 1.0][order]
    whose = owners(np.r_[strangers.owner, len(strangers.sizes)][order].tolist(), len(gap), "")
    even = np.bincount(gap, share, wide).cumsum()
    even /= even[-1]
    apart = np.bincount(inside, minlength=wide).cumsum() / count - even
    size = float(np.abs(apart).max())
    rng, larger = np.random.default_rng(seed), 0
    for some in np.array_split(np.arange(draws), -(-draws * len(gap) // 2**24)):
        weight = rng.standard_exponential((len(some), int(whose.max()) + 1))[:, whose] * share
        chance = np.zeros((len(some), wide))
        filled, start = np.unique(gap, return_index=True)
        chance[:, filled] = np.add.reduceat(weight, start, 1)
        null = rng.multinomial(count, chance / chance.sum(1, keepdims=True)).cumsum(1) / count
        larger += int(np.count_nonzero(np.abs(null - even).max(1) >= size * (1 - 1e-12)))
    nearer = bool(apart[np.abs(apart).argmax()] > 0)
    return Bulk(float((1 + larger) / (draws + 1)), size, nearer)


def _gap(ranked: np.ndarray, values: np.ndarray, side: Literal["left", "right"]) -> np.ndarray:
    """Return the gap between strangers (V,), descending, in which each value lies: 1 ... V + 1."""
    return len(ranked) + 1 - np.searchsorted(ranked[::-1], values, side=side)


def weighted_p_values(
    tested: PatientGroup, strangers: PatientGroup, weights: tuple[np.ndarray, np.ndarray]
) -> np.ndarray:
    """Return the p-value of each tested image where the strangers are others than they should be.

    With w(x) how much more frequent an image like x is among the tested than among the strangers
    (Tibshirani, Barber, Candes and Ramdas, arXiv 1904.06019),

        p(x) = (w(x) + sum_v w(v) 1{e(v) >= e(x)}) / (w(x) + sum_v w(v));

    the images of a patient share its weight. With equal weights it is `p_values`. It takes both to
    have the same images, only not as often, and loses power by the weights' inequality.

    Args:
        tested: (T,) similarities.
        strangers: (V,).
        weights: of the tested (T,) and of the strangers (V,), positive; see `likelihood_ratios`.

    Raises:
        UserError: if there is not one weight for each, or one is not positive.

    >>> group = PatientGroup(np.array([0.2, 0.5, 0.6, 0.7]))
    >>> weighted_p_values(PatientGroup(np.array([0.65])), group, (np.ones(1), np.ones(4))).tolist()
    [0.4]
    """
    mine, theirs = (np.asarray(part, dtype=np.float64) for part in weights)
    fit = len(mine) == len(tested.similarity) and len(theirs) == len(strangers.similarity)
    if not fit or not all(((w > 0) & np.isfinite(w)).all() for w in (mine, theirs)):
        raise UserError("weighted p-values need a finite, positive weight of each image.")
    theirs = theirs / strangers.sizes[strangers.owner]
    order = np.argsort(strangers.similarity)
    reached = np.r_[np.cumsum(theirs[order][::-1])[::-1], 0.0]
    at = np.searchsorted(strangers.similarity[order], tested.similarity, side="left")
    return np.asarray((mine + reached[at]) / (mine + reached[0]))


def likelihood_ratios(
    tested: np.ndarray,
    strangers: np.ndarray,
    tested_patients: Sequence[Hashable] | None = None,
    stranger_patients: Sequence[Hashable] | None = None,
    *,
    penalty: float = 1.0,
    seed: int = 0,
) -> tuple[np.ndarray, np.ndarray]:
    """Return how much more frequent each row is among the tested than among the strangers.

    The odds of a logistic regression that tells both apart, divided by those of their numbers; the
    patients are parted in five, and each part has its odds from the regression of the others, so
    that no row speaks of itself. Columns are divided by their standard deviation.

    Args:
        tested: (T, D), what the groups differ by: embeddings, or a covariate such as the scanner.
        strangers: (V, D).
        tested_patients: the patient of each, (T,); if None or empty, each is another.
        stranger_patients: likewise, (V,).
        penalty: of the squared coefficients (ridge).
        seed: of the parts.

    Returns:
        (T,) and (V,), about 1 where the groups are alike.

    Raises:
        UserError: if a set has fewer than two patients, is not finite, or does not fit its patients
            or the other set.

    >>> rows = np.random.default_rng(0).normal(size=(400, 2))
    >>> mine, theirs = likelihood_ratios(rows[:200] + [1, 0], rows[200:])
    >>> bool(np.median(mine) > 1 > np.median(theirs))
    True
    """
    rng = np.random.default_rng(seed)
    names = ("tested images", "validation images")
    sets = _finite((tested, strangers), names)
    rows = np.concatenate(sets)
    spread = rows.std(0)
    rows = (rows - rows.mean(0)) / np.where(spread > 0, spread, 1.0)
    label = np.repeat([1.0, -1.0], [len(part) for part in sets])
    folds = []
    whose = (tested_patients, stranger_patients)
    for part, patients, name in zip(sets, whose, names, strict=True):
        owner = owners(patients, len(part), name)
        if owner.max() < 1:
            raise UserError(f"the odds of each patient come from the others: {name} of one only.")
        folds.append(rng.permutation(owner.max() + 1)[owner] % FOLDS)
    fold = np.concatenate(folds)
    logits = np.zeros(len(rows))
    for k in range(FOLDS):
        x, y = rows[fold != k], label[fold != k]
        balance = np.where(y > 0, 0.5 / max((y > 0).sum(), 1), 0.5 / max((y < 0).sum(), 1)) * len(y)

        def loss(
            w: np.ndarray, x: np.ndarray = x, y: np.ndarray = y, balance: np.ndarray = balance
        ) -> tuple[float, np.ndarray]:
            margin = y * (x @ w[1:] + w[0])
            pull = -y * expit(-margin) * balance
            value = -(log_expit(margin) * balance).sum() + penalty / 2 * w[1:] @ w[1:]
            return float(value), np.r_[pull.sum(), pull @ x + penalty * w[1:]]

        w = minimize(loss, np.zeros(rows.shape[1] + 1), jac=True, method="L-BFGS-B").x
        logits[fold == k] = rows[fold == k] @ w[1:] + w[0]
    ratios = np.exp(np.clip(logits, -20, 20))
    return ratios[label > 0], ratios[label < 0]
