"""The protocols, from embeddings to counts, against dense and brute-force versions of each."""

from fractions import Fraction
from itertools import combinations

import numpy as np
import pytest
from scipy.spatial.distance import cdist

from memtk.errors import UserError
from memtk.evaluation import EmbeddedSets
from memtk.memorization import dar, dar_matched, p_values

SHAPES = {
    "V = M": (30, 12, 12),
    "V > M": (25, 40, 9),
    "V < M": (25, 5, 10),
    "one validation image": (30, 1, 8),
    "one training image": (1, 7, 9),
    "one synthetic image": (20, 6, 1),
    "one of each": (1, 1, 1),
}


def draw(kind, n, v, m, seed):
    """Embeddings of N, V and M images: random, or such that similarities tie exactly."""
    rng = np.random.default_rng([seed, n, v, m])
    if kind == "random":
        rows = [rng.normal(size=(size, 8)) for size in (n, v, m)]
    elif kind == "permuted":  # rows of few values: the same similarities over and over
        base = np.array([-3.0, -1.0, 0.0, 0.0, 0.0, 0.0, 1.0, 3.0])
        rows = [rng.permuted(np.tile(base, (size, 1)), axis=1) for size in (n, v, m)]
    else:  # exact duplicates within and across the sets, scaled and shifted copies among them
        pool = rng.normal(size=(6, 8))
        rows = [pool[rng.integers(0, 6, size)] for size in (n, v, m)]
        rows[2] = rows[2] * rng.choice([1.0, 2.0, 0.5], (m, 1)) + rng.choice([0.0, 4.0], (m, 1))
    return EmbeddedSets(*rows)


def clear(values, threshold):
    """Which values are not the threshold itself, up to what two ways of rounding may differ by."""
    return np.abs(values - threshold) > 1e-12


def patients(size, seed):
    return np.random.default_rng(seed).integers(0, max(1, size // 2), size)


@pytest.mark.parametrize("kind", ["random", "permuted", "duplicates"])
@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("seed", range(4))
def test_an_evaluation_is_the_dense_one(found, pearson, kind, shape, seed):
    n, v, m = SHAPES[shape]
    sets, people = draw(kind, n, v, m, seed), patients(v, seed)
    said = found(sets, sets, similarity=pearson, validation=people)
    real = cdist(sets.training, sets.validation, "correlation")  # distances
    made = cdist(sets.training, sets.synthetic, "correlation")
    unseen = cdist(sets.validation, sets.synthetic, "correlation")
    thr = np.percentile(real.min(1), 5, method="linear")
    assert said.dar.tau == pytest.approx(1 - thr, abs=1e-12)
    arrays = said.arrays
    for name, dense in (
        ("train_validation", real.min(1)),
        ("validation_train", real.min(0)),
        ("train_synthetic", made.min(1)),
        ("synthetic_train", made.min(0)),
        ("exposure_validation_synthetic", unseen.min(1)),
        ("exposure_train_synthetic", made.min(1)),
    ):
        np.testing.assert_allclose(arrays[name], 1 - dense, atol=1e-12)
    for flags, dense in ((said.dar.memorized, made.min(1)), (said.dar.copies, made.min(0))):
        sure = clear(dense, thr)
        np.testing.assert_array_equal(flags[sure], (dense < thr)[sure])
    counts = arrays["train_synthetic_above"]
    assert ((made < thr - 1e-12).sum(1) <= counts).all()
    assert (counts <= (made < thr + 1e-12).sum(1)).all()
    # from the nearest similarities on nothing may differ, ties included
    strict = 1 - arrays["train_synthetic"] < np.percentile(1 - arrays["train_validation"], 5)
    np.testing.assert_array_equal(said.dar.memorized, strict)
    np.testing.assert_array_equal(counts > 0, strict)
    for side, tested, strangers in (
        (said.copies, "synthetic_train", "validation_train"),
        (said.exposure, "exposure_train_synthetic", "exposure_validation_synthetic"),
    ):
        np.testing.assert_array_equal(
            side.p, by_definition(arrays[tested], arrays[strangers], people)
        )
    if v <= m:
        assert said.matched.n_mem == pytest.approx(enumerated(counts, m, v), abs=1e-12)
    else:
        assert said.matched.n_mem is None


def by_definition(test, validation, people):
    """(1 + sum over patients of the share of their images that reach it) / (P + 1), exactly."""
    owned = [validation[people == person] for person in np.unique(people)]
    return np.array([
        float((1 + sum(Fraction(int((rows >= value).sum()), len(rows)) for rows in owned))
              / Fraction(len(owned) + 1))
        for value in test
    ])  # fmt: skip


def enumerated(above, m, v):
    """The mean over all subsets of v of m synthetic images of the images memorized by one."""
    near = np.arange(m) < np.asarray(above)[:, None]  # which synthetic images: all is symmetric
    hits = [near[:, list(chosen)].any(1).sum() for chosen in combinations(range(m), v)]
    return np.mean(hits)


@pytest.mark.parametrize("seed", range(8))
def test_the_matched_count_is_the_mean_of_the_rule_itself_over_every_subset(seed):
    rng = np.random.default_rng(seed)
    n, m, v = int(rng.integers(2, 20)), int(rng.integers(3, 10)), 3
    real, made = rng.normal(size=(n, v)), rng.normal(size=(n, m))
    made[:, 1] = made[:, 0]  # a duplicate
    made[0] = real[0].max()  # and ties
    counted = [
        dar(real.max(1), made[:, list(c)].max(1), made[:, list(c)].max(0), real.max(0)).n_mem
        for c in combinations(range(m), v)
    ]
    thr = np.percentile(1 - real.max(1), 5)
    assert dar_matched((1 - made < thr).sum(1), m, v).n_mem == pytest.approx(np.mean(counted))


@pytest.mark.parametrize("seed", range(10))
def test_p_values_of_ties_with_patients_are_what_their_definition_says(seed):
    rng = np.random.default_rng(seed)
    size = int(rng.integers(1, 60))
    people = patients(size, seed)
    validation = rng.integers(0, 4, size) / 3
    test = np.r_[validation, np.nextafter(validation, 9), np.nextafter(validation, -9), 0.0]
    np.testing.assert_array_equal(
        p_values(test, validation, people), by_definition(test, validation, people)
    )


@pytest.mark.parametrize("name", ["training", "validation", "synthetic"])
@pytest.mark.parametrize("value", [0.0, 0.1, 1e6, -3.7])
def test_an_image_without_variance_is_named_whichever_set_it_is_in(found, pearson, name, value):
    sets = draw("random", 12, 9, 10, 0)
    getattr(sets, name)[5] = value
    with pytest.raises(UserError, match=f"{name} images: row 5 is constant"):
        found(sets, sets, similarity=pearson)


def test_sets_of_one_repeated_image_memorize_nothing_and_give_p_one(found, pearson):
    row = np.random.default_rng(0).normal(size=8)
    sets = EmbeddedSets(*(np.tile(row, (size, 1)) for size in (9, 4, 6)))
    said = found(sets, sets, similarity=pearson)
    assert said.dar.n_mem == said.dar.n_copies == said.matched.n_mem == 0
    assert set(said.copies.p) == set(said.exposure.p) == {1.0}
    assert said.copies.n_flagged == said.exposure.n_flagged == 0
