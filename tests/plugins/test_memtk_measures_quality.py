"""Measures of quality beside other people's implementations, on the same arrays."""

from __future__ import annotations

import math

import numpy as np
import pytest
import scipy.linalg
import scipy.stats
import torch
from monai.metrics.fid import get_fid_score

from memtk.config import build
from memtk.interfaces import Features
from memtk_measures.against import nearest, some
from memtk_measures.copying import (
    AuthPct,
    Ct,
    Nndr,
    authentic_percentage,
    cells_of,
    data_copying,
    mann_whitney,
    ratios,
)
from memtk_measures.diversity import Vendi, vendi
from memtk_measures.features import Fid, Kid, Prdc, frechet, kernel_distance, prdc

RNG = np.random.default_rng(0)
NAMES = ("precision", "recall", "density", "coverage")


def rows(count, width=6, shift=0.0, seed=None):
    rng = RNG if seed is None else np.random.default_rng(seed)
    return (rng.normal(size=(count, width)) + shift).astype(np.float32)


def sets(n=40, v=40, m=40, width=6, copies=0, shift=0.0, seed=0):
    """Features of which the first `copies` synthetic ones are training images, almost."""
    training, validation, synthetic = (
        rows(count, width, seed=seed + i) for i, count in enumerate((n, v, m))
    )
    synthetic = synthetic + np.float32(shift)
    synthetic[:copies] = training[:copies] + 1e-3
    return Features(training, validation, synthetic)


def made(cls, **settings):
    return cls(build(cls.Config, settings)) if hasattr(cls, "Config") else cls()


ALL = (Fid, Kid, Prdc, Vendi, AuthPct, Ct, Nndr)


def test_fid_is_that_of_monai():
    x, y = rows(80), rows(60, shift=0.5)
    want = get_fid_score(torch.from_numpy(x), torch.from_numpy(y)).item()
    assert frechet(x, y) == pytest.approx(want, rel=1e-6)


def test_fid_is_that_of_scipys_root_of_the_covariances():
    x, y = rows(50).astype(float), 2 * rows(70).astype(float)
    a, b = np.cov(x.T), np.cov(y.T)
    root = scipy.linalg.sqrtm(a @ b).real
    want = ((x.mean(0) - y.mean(0)) ** 2).sum() + np.trace(a + b - 2 * root)
    assert frechet(x, y) == pytest.approx(want, rel=1e-8)


def test_fid_is_right_where_the_covariances_have_no_full_rank():
    x, y = rows(5, 20).astype(float), rows(7, 20).astype(float)
    values = scipy.linalg.eigvals(np.cov(x.T) @ np.cov(y.T)).real
    trace = np.sqrt(np.maximum(values, 0)).sum()
    want = ((x.mean(0) - y.mean(0)) ** 2).sum() + np.trace(np.cov(x.T) + np.cov(y.T)) - 2 * trace
    assert frechet(x, y) == pytest.approx(want, rel=1e-5)
    assert frechet(x, x) == pytest.approx(0, abs=1e-12) and math.isnan(frechet(x[:1], y))


def test_too_few_images_for_a_covariance_are_told_beside_fid():
    assert made(Fid)(sets(width=6))["fid"].note == ""
    note = made(Fid)(sets(12, 10, 14, width=16))["fid"].note
    assert note.startswith("10 images for 16 features") and "line is of 12" in note


def test_kid_is_that_of_torchmetrics():
    kid = pytest.importorskip("torchmetrics.image.kid", reason="needs torchmetrics")
    x, y = rows(50), rows(50, shift=0.3)
    want = kid.poly_mmd(torch.from_numpy(x).double(), torch.from_numpy(y).double()).item()
    assert kernel_distance(x, y) == pytest.approx(want, rel=1e-9)


def test_kid_of_sets_of_two_sizes_is_the_mean_over_all_pairs(monkeypatch):
    monkeypatch.setattr("memtk_measures.features.ROWS", 3)
    x, y = rows(7).astype(float), rows(5, shift=1).astype(float)

    def mean(a, b, own):
        pairs = [(i, j) for i in range(len(a)) for j in range(len(b)) if not (own and i == j)]
        return np.mean([(a[i] @ b[j] / 6 + 1) ** 3 for i, j in pairs])

    want = mean(x, x, True) + mean(y, y, True) - 2 * mean(x, y, False)
    assert kernel_distance(x, y) == pytest.approx(want, rel=1e-10)
    assert math.isnan(kernel_distance(x[:1], y))


def test_kid_is_zero_on_average_for_images_of_one_kind_and_says_so_below_zero():
    found = [kernel_distance(rows(20, seed=i), rows(20, seed=100 + i)) for i in range(60)]
    assert abs(np.mean(found)) < 3 * np.std(found) / 60**0.5 and min(found) < 0
    negative = next(s for s in (sets(seed=7 * i) for i in range(20)) if kid_of(s).value < 0)
    assert "no difference could be measured" in kid_of(negative).note


def kid_of(features):
    return made(Kid)(features)["kid"]


@pytest.mark.parametrize(("real", "fake", "k"), [(40, 40, 5), (31, 52, 3), (6, 4, 2)])
def test_precision_recall_density_and_coverage_are_those_of_prdc(real, fake, k, monkeypatch):
    oracle = pytest.importorskip("prdc", reason="needs prdc")
    monkeypatch.setattr("memtk_measures.against.TILE", 100)
    x, y = rows(real), rows(fake, shift=0.4)
    want = oracle.compute_prdc(x.astype(float), y.astype(float), nearest_k=k)
    assert prdc(x, y, k) == pytest.approx({name: float(want[name]) for name in NAMES})


def test_few_images_have_smaller_neighbourhoods_and_one_has_none():
    found = made(Prdc)(sets(40, 4, 40))
    assert "k = 3" in found["precision"].note and "line is of 40" not in found["precision"].note
    alone = made(Prdc)(sets(40, 40, 1))["recall"]
    assert math.isnan(alone.value) and alone.note


def test_vendi_is_that_of_vendi_score():
    oracle = pytest.importorskip("vendi_score.vendi", reason="needs vendi-score")
    for x in (rows(30), np.abs(rows(5, 12))):
        assert vendi(x) == pytest.approx(oracle.score_X(x.astype(float)), rel=1e-6)
        assert vendi(x) == pytest.approx(oracle.score_dual(x.astype(float)), rel=1e-6)


def test_vendi_is_taken_of_as_many_images_on_both_sides():
    features = sets(10, 20, 50)
    found = made(Vendi)(features)["vendi"]
    assert found.real == vendi(features.validation) and "Of 20 synthetic" in found.note
    assert found.value == vendi(some(features.synthetic, 20, "vendi")) <= 20
    assert math.isnan(vendi(np.zeros((0, 3))))


def authentic_by_hand(training, synthetic):
    count = 0
    for g in synthetic:
        distances = [math.dist(g, x) for x in training]
        i = distances.index(min(distances))
        others = [math.dist(training[i], x) for j, x in enumerate(training) if j != i]
        count += min(others) < min(distances)
    return 100 * count / len(synthetic)


def test_authpct_is_the_percentage_that_its_definition_gives():
    features = sets(30, 25, 20, copies=6)
    want = authentic_by_hand(features.training.tolist(), features.synthetic.tolist())
    found = made(AuthPct)(features)["authpct"]
    assert found.value == pytest.approx(want) and 0 < want < 100
    line = authentic_by_hand(features.training.tolist(), features.validation.tolist())
    assert found.real == pytest.approx(line)
    assert math.isnan(authentic_percentage(features.training[:1], features.synthetic))


def test_nndr_is_the_ratio_of_the_two_smallest_distances():
    features = sets(15, 12, 10, copies=3)
    by_hand = []
    for g in features.synthetic.tolist():
        first, second = sorted(math.dist(g, x) for x in features.training.tolist())[:2]
        by_hand.append(first / second)
    assert ratios(features.training, features.synthetic) == pytest.approx(by_hand, rel=1e-5)
    found = made(Nndr)(features)
    assert found["nndr"].value == pytest.approx(np.mean(by_hand), rel=1e-5)
    assert found["p5"].value == pytest.approx(np.percentile(by_hand, 5), rel=1e-5)
    twice = np.zeros((2, 3))
    assert ratios(twice, twice).tolist() == [0, 0] and np.isnan(ratios(twice[:1], twice)).all()


def test_the_mann_whitney_score_is_that_of_scipy():
    x, y = (rows(n, 1, s)[:, 0].astype(float) for n, s in ((30, 0), (22, 0.3)))
    test = scipy.stats.mannwhitneyu(x, y, method="asymptotic", use_continuity=False)
    z = mann_whitney(x, y)
    assert 2 * scipy.stats.norm.sf(abs(z)) == pytest.approx(test.pvalue, rel=1e-9) and z < 0
    assert mann_whitney(np.ones(4), np.ones(5)) == 0


def ct_by_hand(features, cells, least):
    total = weight = 0
    for cell in set(cells.training.tolist()):
        t, p, q = (
            a[c == cell].astype(float)
            for a, c in zip(vars(features).values(), vars(cells).values(), strict=True)
        )
        if not len(p) or len(q) < least:
            continue
        lp, lq = (np.array([min(np.linalg.norm(x - b) for b in t) for x in s]) for s in (p, q))
        u = sum((b > a) + 0.5 * (b == a) for b in lq for a in lp)
        m, n = len(lq), len(lp)
        total += n * (u - m * n / 2) / math.sqrt(m * n * (m + n + 1) / 12)
        weight += n
    return total / weight


@pytest.mark.parametrize("count", [1, 3])
def test_ct_is_what_its_definition_gives(count):
    features = sets(40, 35, 45, copies=15)
    cells = cells_of(features, count)
    value, spread, used = data_copying(features, cells, 3)
    assert value == pytest.approx(ct_by_hand(features, cells, 3)) and used <= count
    found = made(Ct, cells=count, least=3)(features)["ct"]
    assert found.value == value < 0 and found.real == 0 and "Chance alone: -" in found.note
    assert spread == pytest.approx(1) if count == 1 else spread < 1


def test_ct_is_standard_normal_for_images_that_nobody_copied():
    found = [made(Ct)(sets(30, 30, 30, seed=3 * i))["ct"].value for i in range(150)]
    assert scipy.stats.kstest(found, "norm").pvalue > 0.001
    none = made(Ct, cells=3, least=1000)(sets())["ct"]
    assert math.isnan(none.value) and "No cell" in none.note


def test_copies_and_strangers_differ_as_they_should():
    copied, strange = sets(copies=40), sets(copies=0)
    for cls, key in ((AuthPct, "authpct"), (Ct, "ct"), (Nndr, "nndr"), (Nndr, "p5")):
        low, fair = made(cls)(copied)[key], made(cls)(strange)[key]
        assert low.value < low.real and low.value < fair.value, key
        assert low.real == fair.real and low.better == "real", key
    copies, fresh = (
        made(Prdc, against="training", k=1)(s)["recall.training"].value for s in (copied, strange)
    )
    assert copies == 1 > fresh


def test_copies_score_as_well_as_real_images_where_nothing_asks_for_new_ones():
    features = sets(copies=40)
    for cls in (Fid, Kid, Prdc):
        for measure in made(cls)(features).values():
            assert measure.value == pytest.approx(measure.real, abs=0.03)


def test_worse_images_score_worse():
    near, far = sets(copies=0), sets(shift=3)
    assert made(Fid)(far)["fid"].value > 10 * made(Fid)(near)["fid"].value
    assert kid_of(far).value > 10 * abs(kid_of(near).value) and kid_of(far).better == "lower"
    for name in NAMES:
        assert made(Prdc)(far)[name].value < made(Prdc)(near)[name].value
    assert made(Ct)(far)["ct"].value > 4


@pytest.mark.parametrize("cls", [Fid, Kid, Prdc])
def test_the_reference_set_stands_in_the_name(cls):
    features = sets(30, 40, 50, copies=10)
    for name, measure in made(cls)(features).items():
        assert "training" not in name and measure.against == "validation images"
    for name, measure in made(cls, against="training")(features).items():
        assert "training" in name and measure.against == "training images"


def test_the_line_is_of_real_images_in_the_place_of_the_synthetic_ones():
    features = sets(30, 40, 50)
    swapped = Features(features.training, features.validation, features.training)
    for cls in (Fid, Kid, Prdc):
        lines = {name: m.real for name, m in made(cls)(features).items()}
        assert lines == {name: m.value for name, m in made(cls)(swapped).items()}
    swapped = Features(features.training, features.validation, features.validation)
    for cls in (AuthPct, Nndr):
        lines = {name: m.real for name, m in made(cls)(features).items()}
        assert lines == {name: m.value for name, m in made(cls)(swapped).items()}


@pytest.mark.parametrize("cls", ALL)
def test_the_order_of_images_and_a_turn_of_the_features_change_nothing(cls):
    features = sets(60, 60, 60, copies=10)
    turn = scipy.stats.ortho_group.rvs(6, random_state=np.random.default_rng(3))
    other = Features(*(a[::-1] @ turn for a in vars(features).values()))
    settings = {"cells": 1} if cls is Ct else {}
    for name, measure in made(cls, **settings)(features).items():
        again = made(cls, **settings)(other)[name]
        assert again.value == pytest.approx(measure.value, rel=1e-3, abs=1e-4), name


def test_nearest_neighbours_are_those_of_scikit_learn(monkeypatch):
    neighbors = pytest.importorskip("sklearn.neighbors", reason="needs scikit-learn")
    monkeypatch.setattr("memtk_measures.against.TILE", 64)
    x, y = rows(33), rows(41)
    want = neighbors.NearestNeighbors(n_neighbors=3, algorithm="brute").fit(y).kneighbors(x)
    found = nearest(x, y, 3)
    assert np.allclose(found[0], want[0], atol=1e-5) and np.array_equal(found[1], want[1])
    own = nearest(y, y, own=True)[1][:, 0]
    assert (own != np.arange(41)).all()
