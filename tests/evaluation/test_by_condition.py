"""Memorization and quality of each group that a generator was told apart."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch

from memtk.evaluation import Groups, statistics
from memtk.evaluation.by_condition import FOLDS, by_condition
from memtk.interfaces import Condition, ImageSpec, Levels

VIEW = Condition("view", ("AP", "PA"))
N, V, M, PLANTED = 60, 80, 60, 40


def images(codes):
    codes = torch.tensor(np.asarray(codes), dtype=torch.float32)[:, None]
    return SimpleNamespace(conditions=codes, spec=ImageSpec((4, 4), conditions=(VIEW,)))


def made(copied=(0.0, 0.0), alike=0.0, validation=None, exposure=True, seed=0):
    """Similarities of two groups, half and half; some synthetic images of each are copies.

    Args:
        copied: share of the synthetic images of each group that are.
        alike: how much nearer all images of the second group lie.
        validation: codes of the validation images.
    """
    rng = np.random.default_rng(seed)
    codes = {name: np.arange(n) % 2 for name, n in (("train", N), ("synthetic", M))}
    codes["validation"] = np.arange(V) % 2 if validation is None else np.asarray(validation)

    def near(code):
        return np.clip(rng.normal(0.6, 0.06, len(code)) + alike * code, -0.99, 0.95)

    back, seen = near(codes["synthetic"]), near(codes["train"])
    source = rng.integers(0, N, M)
    for code, share in enumerate(copied):
        rows = np.flatnonzero(codes["synthetic"] == code)[: int(share * M / 2)]
        source[rows] = np.flatnonzero(codes["train"] == code)[: len(rows)]
        back[rows] = seen[source[rows]] = 0.999
    planted = rng.integers(0, N, PLANTED)
    arrays = {
        "train_validation": near(codes["train"]),
        "validation_train": near(codes["validation"]),
        "train_synthetic": seen,
        "synthetic_train": back,
        "synthetic_train_index": source,
        "validation_train_index": rng.integers(0, N, V),
        "planted": rng.uniform(0.97, 0.999, PLANTED),
        "planted_source": planted,
    }
    if exposure:
        arrays |= {
            "exposure_train_synthetic": seen,
            "exposure_validation_synthetic": near(codes["validation"]),
            "exposure_synthetic_train_index": source,
            "exposure_planted": np.full(PLANTED, 0.99),
        }
    sets = tuple(images(codes[name]) for name in ("train", "validation", "synthetic"))
    return Groups(arrays), sets, codes


def size(synthetic, validation):
    return {"size": float(len(synthetic))}


def test_copies_are_counted_with_the_group_that_they_were_to_be_of():
    groups, sets, _ = made(copied=(0.8, 0.0))
    copied, clean = by_condition(groups, sets, Levels(), 0, size)
    assert (copied.column, copied.value, clean.value) == ("view", "AP", "PA")
    assert copied.n_synthetic == copied.training_images == 30 and copied.within
    assert copied.copies.sure == 24 and clean.copies.sure == 0
    assert 0.5 < copied.copy_rate.low <= 0.8 <= copied.copy_rate.high
    assert clean.copy_rate.low == 0 and clean.copy_rate.high < 0.2
    assert copied.exposed.low >= 20 and copied.exposed.of == 30
    assert clean.exposed.low == 0


def test_a_group_is_tested_as_if_it_were_all_there_is():
    groups, sets, codes = made(copied=(0.5, 0.3))
    found = by_condition(groups, sets, Levels(), 7, size)[1]
    rows = {name: code == 1 for name, code in codes.items()}
    own, whose = dict(groups.arrays), rows["train"][groups.arrays["planted_source"]]
    for name in ("synthetic_train", "synthetic_train_index", "exposure_synthetic_train_index"):
        own[name] = own[name][rows["synthetic"]]
    for name in ("validation_train", "validation_train_index", "exposure_validation_synthetic"):
        own[name] = own[name][rows["validation"]]
    for name in ("planted", "planted_source", "exposure_planted"):
        own[name] = own[name][whose]
    tests = statistics.tests_of(Groups(own), Levels(), 7)
    assert found.copies == tests.copies.named(Levels().fdr)
    own["exposure_train_synthetic"] = own["exposure_train_synthetic"][rows["train"]]
    assert found.exposed == statistics.exposed_of(Groups(own), Levels(), 7)
    told = (tests.copies, tests.comparable, Groups(own), Levels(), 7, found.exposed)
    rates = statistics.rates_of(*told, by_these=False)
    assert found.copy_rate == rates["copy_rate"]


def test_a_group_whose_images_are_alike_does_not_look_memorized_within_itself():
    alike = [by_condition(*made(alike=0.3, seed=s)[:2], Levels(), 0, size)[1] for s in range(5)]
    assert all(each.within and each.copies.suspect == 0 for each in alike)
    # With few of its own patients it is compared with all, where it stands apart, and says so.
    few = [1] * 4 + [0] * (V - 4)
    groups, sets, _ = made(alike=0.3, validation=few)
    wide = by_condition(groups, sets, Levels(), 0, size)[1]
    assert not wide.within and wide.validation_patients == 4


def test_patients_of_a_group_are_counted_once():
    groups, sets, _ = made()
    sides = (("t", N), ("v", V))
    training, validation = ([f"{side}{i // 4}" for i in range(n)] for side, n in sides)
    people = Groups(groups.arrays, training, validation)
    found = by_condition(people, sets, Levels(), 0, size)[0]
    assert (found.training_images, found.training_patients) == (30, 15)
    assert found.validation_patients == 20 and found.exposed.of == 15


def test_without_conditions_there_is_nothing_to_say():
    groups, sets, _ = made()
    bare = SimpleNamespace(conditions=None, spec=ImageSpec((4, 4)))
    assert by_condition(groups, (*sets[:2], bare), Levels(), 0, size) == []


def test_without_an_exposure_side_no_patient_is_counted():
    groups, sets, _ = made(exposure=False)
    assert [each.exposed for each in by_condition(groups, sets, Levels(), 0, size)] == [None, None]


def test_the_interval_of_a_mean_is_that_of_its_standard_error():
    groups, sets, codes = made()
    values = np.random.default_rng(1).normal(size=M)

    def mean(synthetic, validation):
        assert set(codes["validation"][validation]) == set(codes["synthetic"][synthetic])
        return {"mean": float(values[synthetic].mean())}

    found = by_condition(groups, sets, Levels(), 0, mean)[0].quality["mean"]
    own = values[codes["synthetic"] == 0]
    # 2.262: Student's t of 9 degrees of freedom. Ten parts of three give about the same error.
    reach = 2.262 * own.reshape(-1, FOLDS).mean(0).std(ddof=1) / np.sqrt(FOLDS)
    assert found.estimate == pytest.approx(own.mean())
    assert (found.high - found.low) / 2 == pytest.approx(reach, rel=1e-3)
