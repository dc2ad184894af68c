"""p-values beyond the largest stranger: right where the model holds, ranks where it does not."""

import numpy as np
import pytest
from scipy.stats import binom, genpareto, gumbel_r

from memtk.memorization import PatientGroup, holm, p_values, tail_test


def nearest(rng, validation, synthetic, copies=0, width=32, training=100):
    """Nearest correlations of Gaussian patients; the first synthetic ones are altered copies."""
    sizes = np.cumsum([training, validation])
    rows = rng.normal(size=(training + validation + synthetic, width))
    rows[sizes[1] : sizes[1] + copies] = rows[:copies] + 0.2 * rng.normal(size=(copies, width))
    rows -= rows.mean(1, keepdims=True)
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    found = (rows[training:] @ rows[:training].T).max(1)
    return PatientGroup(found[validation:]), PatientGroup(found[:validation])


@pytest.mark.parametrize("patients", [20, 40, 100])
def test_strangers_are_seldom_named_and_copies_that_ranks_cannot_name_are(patients):
    sure, suspect, found, ranks = 0, 0, [], 0
    for seed in range(60):
        rng = np.random.default_rng([seed, patients])
        said = tail_test(*nearest(rng, patients, 140), seed=seed)
        sure, suspect = sure + said.sure.any(), suspect + said.suspect.any()
        tested, strangers = nearest(rng, patients, 140, copies=5)
        named = tail_test(tested, strangers, seed=seed).suspect
        found.append((named[:5].sum(), named[5:].sum() / max(named.sum(), 1)))
        ranks += holm(p_values(tested.similarity, strangers.similarity)).any()
    assert sure <= binom.ppf(0.999, 60, 0.05) and suspect <= binom.ppf(0.999, 60, 0.1)
    hits, wrong = np.mean(found, 0)
    assert ranks == 0 and hits > 4.5 and wrong < 0.1


def test_the_gumbel_tail_is_that_of_scipy_at_the_upper_end_of_resampled_patients():
    rng = np.random.default_rng(4)
    z = gumbel_r.rvs(1.0, 0.1, size=200, random_state=rng)
    tested = np.tanh([1.2, 1.5, 2.0])
    said = tail_test(PatientGroup(tested), PatientGroup(np.tanh(z)))
    assert said.model == "gumbel" and said.check > 0.05 and said.reason == ""
    ends = []
    for _ in range(2000):
        again = rng.choice(z, len(z))
        scale = again.std(ddof=1) * 6**0.5 / np.pi
        ends.append(gumbel_r.sf([1.2, 1.5, 2.0], again.mean() - np.euler_gamma * scale, scale))
    np.testing.assert_allclose(np.log(said.p), np.log(np.quantile(ends, 0.99, axis=0)), rtol=0.1)


def test_a_heavier_tail_than_gumbels_gets_a_pareto_tail():
    rng = np.random.default_rng(0)
    z = 1 + genpareto.rvs(0.3, scale=0.1, size=300, random_state=rng)
    said = tail_test(PatientGroup(np.tanh([1.3, 4.0])), PatientGroup(np.tanh(z)))
    assert said.model == "pareto"
    truth = genpareto.sf([0.3, 3.0], 0.3, scale=0.1)
    assert (said.p > truth).all() and (said.p < 30 * truth).all()


def test_where_the_nearest_validation_patients_are_another_kind_ranks_speak():
    rng = np.random.default_rng(1)
    z = np.r_[rng.normal(1, 0.02, 60), rng.normal(6, 0.02, 2)]
    said = tail_test(PatientGroup(np.tanh([7.0, *[1.0] * 9])), PatientGroup(np.tanh(z)))
    assert (
        said.model == "ranks" and said.check is None and "do not look like one tail" in said.reason
    )
    assert said.p[0] == 1 / 63 and not said.sure.any()


def test_too_few_validation_patients_are_told():
    rng = np.random.default_rng(2)
    said = tail_test(*nearest(rng, 19, 30, copies=3))
    assert said.model == "ranks" and "19 validation patients are too few" in said.reason
    assert said.p.min() == 0.05


def test_distances_have_a_scale_of_their_own():
    rng = np.random.default_rng(0)
    rows = rng.normal(size=(200, 16))
    away = np.sqrt(((rows[100:, None] - rows[None, :100]) ** 2).sum(2)).min(1)
    away[60:63] *= 0.01
    said = tail_test(PatientGroup(-away[50:]), PatientGroup(-away[:50]))
    assert np.flatnonzero(said.sure).tolist() == [10, 11, 12]
    exact = tail_test(PatientGroup(np.zeros(1)), PatientGroup(-away[:50]))
    assert 0 < exact.p[0] < 1e-3


@pytest.mark.parametrize("alike", [0.1, 0.9])
def test_patients_are_tested_by_their_largest_against_as_many_images(alike):
    false = 0
    for seed in range(60):
        rng = np.random.default_rng(seed)
        groups = []
        for size in (60, 60):
            people = np.repeat(np.arange(size), rng.choice([1, 3, 9], size))
            own = rng.normal(size=size)[people]
            z = 1 + 0.1 * (alike**0.5 * own + (1 - alike) ** 0.5 * rng.normal(size=len(own)))
            groups.append([z, [f"p{i}" for i in people]])
        said = tail_test(*(PatientGroup(np.tanh(z), names) for z, names in groups), seed=seed)
        assert said.names == tuple(dict.fromkeys(groups[0][1])) and len(said.p) == 60
        false += said.sure.any()
        groups[0][0][0] = 6.0
        said = tail_test(*(PatientGroup(np.tanh(z), names) for z, names in groups), seed=seed)
        assert said.suspect[0] or said.model == "ranks"
    assert false <= binom.ppf(0.999, 60, 0.05)


def test_the_same_seed_gives_the_same_p_values():
    sides = nearest(np.random.default_rng(5), 50, 60, copies=2)
    one, other, third = (tail_test(*sides, seed=seed) for seed in (1, 1, 2))
    np.testing.assert_array_equal(one.p, other.p)
    assert not np.array_equal(one.p, third.p)
