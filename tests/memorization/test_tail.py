"""p-values beyond the largest stranger: right where the model holds, ranks where it does not."""

import numpy as np
import pytest
from scipy.stats import binom, genpareto, gumbel_r

from memtk.memorization import (
    PatientGroup,
    benjamini_hochberg,
    holm,
    margin_test,
    p_values,
    tail_test,
    undetectable,
)


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
    np.testing.assert_allclose(
        np.log(said.sure_p), np.log(np.quantile(ends, 0.99, axis=0)), rtol=0.1
    )


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


def two_nearest(queries, references, leave_out=False):
    """Similarity to the nearest and to the second nearest, by sorting all."""
    likeness = np.corrcoef(queries, references)[: len(queries), len(queries) :]
    if leave_out:
        np.fill_diagonal(likeness, -1)
    ranked = -np.sort(-likeness, axis=1)
    return ranked[:, 0], ranked[:, 1]


def test_new_patients_of_a_rare_kind_are_not_sure_and_copies_of_it_are():
    false, found, plain = 0, [], 0
    for seed in range(20):
        rng = np.random.default_rng(seed)
        training, validation, synthetic = (rng.normal(size=(n, 32)) for n in (200, 100, 240))
        centre = rng.normal(size=32)
        training[:10] = centre + 0.1 * rng.normal(size=(10, 32))  # no validation patient is one
        synthetic[:5] = centre + 0.1 * rng.normal(size=(5, 32))
        synthetic[5:8] = training[:3] + 0.005 * rng.normal(size=(3, 32))
        synthetic[8:11] = training[50:53] + 0.1 * rng.normal(size=(3, 32))
        tested, strangers = (two_nearest(x, training) for x in (synthetic, validation))
        others = two_nearest(training, training, leave_out=True)
        units, near = PatientGroup(tested[0]), PatientGroup(strangers[0])
        reference = [np.r_[strangers[i], others[i]] for i in (0, 1)]
        margin = margin_test((units, tested[1]), (reference[0], reference[1]))
        said = tail_test(units, near, margin=margin, seed=seed)
        assert said.margin is margin
        false += said.sure[:5].any() or said.sure[11:].any()
        found.append(said.sure[5:11].mean())
        plain += tail_test(units, near, seed=seed).sure[:5].any()
        np.testing.assert_array_equal(said.suspect, tail_test(units, near, seed=seed).suspect)
    assert plain == 20, "by their similarity alone they are"
    assert false <= binom.ppf(0.999, 20, 0.05) and np.mean(found) > 0.9


def test_a_margin_is_that_of_the_patient_and_counts_as_often_as_there_are_images():
    rng = np.random.default_rng(0)
    near = np.tanh(1 + 0.1 * rng.random(100))
    reference = near, np.tanh(np.arctanh(near) - rng.exponential(0.05, 100))
    one = PatientGroup(np.tanh([2.0, 2.0]), ["a", "b"])
    two = PatientGroup(np.tanh([1.0, 2.0, 2.0]), ["a", "a", "b"])
    alone = margin_test((one, np.tanh([1.5, 2.0])), reference)
    both = margin_test((two, np.tanh([1.0, 1.5, 2.0])), reference)
    np.testing.assert_allclose(both.p, [2 * alone.p[0], alone.p[1]])
    assert alone.p[0] < 1e-3 < alone.p[1]
    assert alone.model == "gumbel" and alone.check > 0.05


def test_margins_of_two_kinds_have_no_model_and_their_ranks_name_none_of_many():
    rng = np.random.default_rng(3)
    away = np.r_[rng.uniform(0.1, 0.12, 97), 3.0, 3.1, 3.2]
    reference = np.tanh(np.full(100, 3.5)), np.tanh(3.5 - away)
    units = PatientGroup(np.full(6, np.tanh(7.0)))
    found = margin_test((units, np.tanh(np.full(6, 0.5))), reference)
    assert (found.model, found.check, found.strangers) == ("ranks", None, 100)
    np.testing.assert_allclose(found.p, 1 / 101)
    strangers = PatientGroup(np.tanh(1 + 0.1 * rng.random(60)))
    assert tail_test(units, strangers).sure.all()
    assert not tail_test(units, strangers, margin=found).sure.any()


def test_suspects_are_those_of_the_model_and_those_of_the_ranks():
    rng = np.random.default_rng(2)
    strangers = PatientGroup(np.tanh(1 + 0.1 * rng.normal(size=60)))
    beyond = np.arctanh(strangers.similarity.max()) + 0.001
    many = PatientGroup(np.tanh(np.r_[np.full(14, beyond), 0.9 + 0.05 * rng.normal(size=66)]))
    said = tail_test(many, strangers)
    ranks = p_values(many.similarity, strangers.similarity)
    np.testing.assert_allclose(said.rank_p, ranks)
    expected = benjamini_hochberg(said.p) | benjamini_hochberg(ranks)
    np.testing.assert_array_equal(said.suspect, expected)
    assert said.suspect[:14].all() and not benjamini_hochberg(said.p).any()


@pytest.mark.parametrize("patients", [12, 30, 80])
def test_what_could_not_be_suspect_however_alike_is_counted_with_1_2_and_10_images(patients):
    rng = np.random.default_rng(patients)
    owner = np.repeat(np.arange(20), [1] * 8 + [2] * 6 + [10] * 6)
    near = np.tanh(1 + 0.1 * rng.normal(size=len(owner)))
    strangers = PatientGroup(np.tanh(1 + 0.1 * rng.normal(size=patients)))
    said = tail_test(PatientGroup(near, owner.tolist()), strangers)
    missed = undetectable(said.min_p)
    assert (missed.never > 0) == (patients == 12), "by ranks p is 10 / 13 with 10 images"
    worst = np.argsort(-said.min_p, kind="stable")[: missed.most]
    for given, found in ((worst, False), (np.arange(20), missed.never < 20)):
        verbatim = np.where(np.isin(owner, given), 1.0, -1.0)
        again = tail_test(PatientGroup(verbatim, owner.tolist()), strangers)
        assert again.suspect.any() == found
        np.testing.assert_allclose(again.min_p, said.min_p)
    assert np.count_nonzero(~again.suspect) == missed.never
