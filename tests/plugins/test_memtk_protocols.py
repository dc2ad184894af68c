"""The protocols of memtk, as tables."""

from __future__ import annotations

import numpy as np
import pytest

from memtk.interfaces import Levels, Similarities
from memtk.memorization import conformal, dar, dar_matched, exposed_patients
from memtk.registry import open_registry

N, M, V = 8, 12, 10


@pytest.fixture
def similarities():
    rng = np.random.default_rng(3)
    sizes = {"train": N, "synthetic": M, "validation": V}
    pairs = ["train_validation", "validation_train", "train_synthetic", "synthetic_train"]
    pairs += ["exposure_train_synthetic", "exposure_validation_synthetic"]
    arrays = {p: rng.uniform(size=sizes[p.removeprefix("exposure_").split("_")[0]]) for p in pairs}
    arrays["train_synthetic"][:3] = arrays["exposure_train_synthetic"][:3] = 2.0
    arrays["train_synthetic_above"] = np.arange(N)
    return Similarities.of_arrays(arrays | {"copies_p": np.zeros(M)})


def table_of(name, similarities, **levels):
    return open_registry().load("protocol", name)()(similarities, Levels(**levels))


def test_dar_gives_the_counts_of_the_reference_rule_and_its_null(similarities):
    s = similarities
    found = dar(s.train_validation, s.train_synthetic, s.synthetic_train, s.validation_train)
    table = table_of("dar", s)
    memorized, copies, called, tau = table.measures.values()
    assert (memorized.count, memorized.of, memorized.value) == (found.n_mem, N, found.mem_fraction)
    assert memorized.null == found.expected_mem_fraction
    assert (copies.count, copies.of) == (found.n_copies, M)
    assert copies.null == called.value == found.validation_called_copies / V
    assert tau.value == found.tau and tau.of is None
    assert table.flags["training"].tolist() == found.memorized.tolist()


def test_dar_matched_gives_the_expected_count_or_says_why_there_is_none(similarities):
    found = dar_matched(similarities.train_synthetic_above, M, V)
    measure = table_of("dar-matched", similarities).measures["n_mem"]
    assert (measure.count, measure.value, measure.null) == (found.n_mem, found.mem_fraction, 0.05)
    few = Similarities(
        similarities.train_validation,
        similarities.validation_train,
        similarities.train_synthetic,
        similarities.synthetic_train[: V - 1],
        train_synthetic_above=np.zeros(N, dtype=int),
    )
    measure = table_of("dar-matched", few).measures["n_mem"]
    assert measure.value is None and "sample at least 10" in measure.note


def test_conformal_gives_both_sides_at_both_levels_and_the_patients(similarities):
    s = similarities
    table = table_of("conformal", s, alpha=0.2, fdr=0.3)
    assert set(table.measures) == {"copies", "n_copies", "exposed", "n_mem", "patients_exposed"}
    found = conformal(s.synthetic_train, s.validation_train, alpha=0.2, fdr=0.3)
    copies, flagged = table.measures["copies"], table.measures["n_copies"]
    assert (copies.value, copies.null) == (found.flagged_fraction, found.expected_fraction)
    assert copies.title == "synthetic images, p <= 0.2"
    assert (flagged.count, flagged.of) == (found.n_flagged, M)
    train, validation = s.exposure_train_synthetic, s.exposure_validation_synthetic
    found = conformal(train, validation, alpha=0.2, fdr=0.3)
    assert table.measures["n_mem"].count == found.n_flagged == table.flags["training"].sum()
    patients = exposed_patients(train, (), validation, (), fdr=0.3)
    assert table.measures["patients_exposed"].count == patients.n_flagged > 0


def test_conformal_leaves_the_exposure_out_where_it_was_not_tested(similarities):
    s = similarities
    copies = Similarities(
        s.train_validation, s.validation_train, s.train_synthetic, s.synthetic_train
    )
    table = table_of("conformal", copies)
    assert set(table.measures) == {"copies", "n_copies"} and list(table.flags) == ["synthetic"]
    assert "no p-value can be as small" in table.measures["copies"].note.lower()


def test_similarities_need_the_four_sets_of_the_copies():
    with pytest.raises(KeyError):
        Similarities.of_arrays({"train_validation": np.zeros(3)})
