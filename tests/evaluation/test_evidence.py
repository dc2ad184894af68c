"""Whole verdicts on sets of known truth: Gaussian patients, compared by their correlation."""

from dataclasses import dataclass, replace

import numpy as np
import pytest

from memtk.evaluation import (
    MIXED,
    EmbeddedSets,
    Levels,
    Patients,
    PlantedSimilarity,
    calibrate,
    evaluate,
    self_test,
)
from memtk.evaluation.sides import Groups
from memtk.evaluation.statistics import evidence_of
from memtk.memorization import MarginTest, copy_rate, energy_test, search
from memtk.results import Counts, Policy, decide

N, V, M, D = 200, 100, 300, 32


@dataclass
class World:
    """Training, validation and synthetic rows, all drawn alike.

    Args:
        verbatim: training patients that are given back, each once.
        known: whether it is looked which voxels are the same.
        site: standard deviations by which half of the training and synthetic patients lie apart.
        detail: how much of the finer axes the synthetic images keep; less is bland.
        kind: training patients of a rare kind that is very alike; 5 new ones are the first
            synthetic images, and no validation patient is of it.
        noise: of the planted copies; with much of it none is seen.
    """

    seed: int = 0
    verbatim: int = 0
    known: bool = False
    site: float = 0.0
    detail: float = 1.0
    kind: int = 0
    noise: float = 0.1

    def verdict(self, similarity, policy=None):
        """Return the evaluation and the verdict on it."""
        rng = np.random.default_rng(self.seed)
        training, validation, synthetic = (rng.normal(size=(n, D)) for n in (N, V, M))
        for rows in (training, validation, synthetic):
            rows[:, 8:] *= 0.7
        synthetic[:, 8:] *= self.detail
        training[::2, :4] += self.site
        synthetic[::2, :4] += self.site
        synthetic[: self.verbatim] = training[: self.verbatim]
        if self.kind:
            centre, own = rng.normal(size=D), 0.1 * rng.normal(size=(self.kind + 5, D))
            training[: self.kind], synthetic[:5] = centre + own[5:], centre + own[:5]
        same = np.arange(M) < self.verbatim if self.known else None
        sets = EmbeddedSets(training, validation, synthetic, identical=same)
        sources = np.arange(100, 200)
        copies = training[sources] + self.noise * rng.normal(size=(100, D))
        near = search(copies, training, similarity).queries
        planted = PlantedSimilarity(sources, {MIXED: (near.similarity, near.index)}, given=copies)
        unit = [x / np.linalg.norm(x, axis=1, keepdims=True) for x in (training, validation)]
        population = energy_test(*unit, seed=self.seed)
        calibration = calibrate(sets, similarity, Patients(population=population), planted)
        found = evaluate(sets, sets, calibration, Levels())
        test = self_test(calibration, Levels(), sets, sets, found.arrays)
        counts = {
            "training": Counts(images=N, patients=N),
            "validation": Counts(images=V, patients=V),
            "synthetic": Counts(images=M, patients=M),
        }
        return found, decide(policy or Policy(), found.evidence, test, counts)


@pytest.mark.parametrize("seed", range(3))
def test_verbatim_patients_fail_and_are_named_each(pearson, seed):
    found, said = World(seed, verbatim=15).verdict(pearson)
    assert said.outcome == "fail" and "exposed, and it is known which" in said.reasons[0]
    assert found.arrays["copies_sure"][:15].all() and found.arrays["exposure_sure"][:15].all()
    assert found.arrays["copies_sure"].sum() == 15 == found.evidence.patients.sure
    assert found.evidence.exposed.low >= 15


def test_what_the_generator_gave_back_counts_for_no_planted_copy_that_was_seen(pearson):
    found, said = World(verbatim=N, noise=2.0).verdict(pearson)
    assert said.outcome == "fail" and found.evidence.patients.sure == N
    nearest = Groups(found.arrays).exposure[2].similarity
    assert found.evidence.exposed.sensitivity < 0.5 and np.median(nearest) < 0.7
    assert found.evidence.exposed.high == N, "no planted copy says how many were not seen"


@pytest.mark.parametrize(("strangers", "how"), [(1000, "none"), (9000, "few")])
def test_where_margins_have_no_model_the_notes_say_how_few_can_be_sure(pearson, strangers, how):
    found, _ = World(verbatim=3).verdict(pearson)
    assert found.evidence.copies.margin_model == "gumbel" and not found.evidence.notes
    copies, ranks = found.tests.copies, np.full(M, 1 / (strangers + 1))
    margin = MarginTest(ranks, "ranks", None, strangers)
    tests = replace(found.tests, copies=replace(copies, test=replace(copies.test, margin=margin)))
    said = evidence_of(tests, Groups(found.arrays), Levels())
    assert said.copies.margin_model == "ranks" and said.copies.margin_check is None
    assert any(
        f"{how} of 300 synthetic images can be named for sure" in each for each in said.notes
    )


@pytest.mark.parametrize("seed", [0, 1, 3])
def test_the_same_without_them_passes_and_names_what_it_rests_on(pearson, seed):
    found, said = World(seed).verdict(pearson)
    assert said.outcome == "pass", said.reasons
    assert "of the generator's own copies lie beyond the threshold" in said.reasons[0]
    high = found.evidence.exposed.high
    assert found.evidence.exposed.low == 0 < high <= 0.05 * N
    assert f"At most {high} of {N} training patients" in said.reasons[1]
    tight = Policy(max_unseen_patients=(high - 1) / N)
    assert World(seed).verdict(pearson, tight)[1].outcome == "inconclusive"


@pytest.mark.parametrize("seed", [0, 3, 4])
def test_a_bland_generator_does_not_fail_by_its_copy_rate(pearson, seed):
    found, said = World(seed, detail=0.3).verdict(pearson)
    assert found.evidence.copy_rate.estimate > 0.05, "nearer to all than strangers are"
    assert found.evidence.copy_rate.low == 0 and found.evidence.exposed.low == 0
    assert found.evidence.comparable.synthetic.p <= 0.01
    assert said.outcome == "inconclusive" and "blur" in " ".join(said.reasons)


@pytest.mark.parametrize("seed", [13, 22])
def test_no_copy_is_certain_where_no_patient_is_shown_to_be_exposed(pearson, seed):
    found, _ = World(seed, detail=0.8).verdict(pearson)
    evidence, (near, others, planted) = found.evidence, Groups(found.arrays).copies
    assert evidence.comparable.synthetic.p > 0.05, "the images look alike"
    threshold = evidence.threshold.similarity
    assert copy_rate(near, others, planted, threshold=threshold).low > 0, "the copies' side alone"
    assert evidence.exposed.low == 0 == evidence.copy_rate.low < evidence.copy_rate.estimate


def test_each_exposed_patient_has_a_copy_also_where_images_are_bland(pearson):
    found, _ = World(0, detail=0.3, verbatim=60).verdict(pearson)
    rate, exposed = found.evidence.copy_rate, found.evidence.exposed
    assert found.evidence.comparable.synthetic.p <= 0.05
    assert 40 < exposed.low <= 60 and rate.low == exposed.low / M <= rate.estimate


def test_two_sites_never_fail_and_the_sites_are_the_reason(pearson):
    for seed in range(3):
        found, said = World(seed, site=1.5).verdict(pearson)
        assert said.outcome == "inconclusive" and "one population" in said.reasons[0]
        assert not found.arrays["copies_flagged"].any(), "nobody is named"
        assert (found.evidence.exposed.low, found.evidence.exposed.high) == (0, N)


@pytest.mark.parametrize(
    "unlike", [{"site": 1.5}, {"detail": 0.3}, {}], ids=["two sites", "bland", "alike"]
)
@pytest.mark.parametrize("number", [1, 15])
def test_what_is_identical_is_a_copy_and_exposed_whatever_can_be_compared(pearson, unlike, number):
    found, _ = World(verbatim=number, known=True, **unlike).verdict(pearson)
    for name in ("copies_sure", "exposure_sure", "exposure_patient_sure"):
        assert found.arrays[name][:number].all(), name
    if unlike:
        assert found.arrays["copies_sure"].sum() == found.arrays["exposure_sure"].sum() == number
    evidence = found.evidence
    assert min(evidence.copies.at_least, evidence.patients.at_least) >= number
    assert number <= evidence.exposed.low <= evidence.exposed.high
    assert number / M <= evidence.copy_rate.low <= evidence.copy_rate.estimate
    assert evidence.copies.suspect == evidence.n_copies >= number


def test_the_patient_of_an_identical_image_is_exposed_once(pearson):
    rng = np.random.default_rng(0)
    training, validation = rng.normal(size=(40, 8)), rng.normal(size=(20, 8))
    synthetic = np.r_[training[:4], rng.normal(size=(16, 8))]
    sets = EmbeddedSets(training, validation, synthetic, identical=np.arange(20) < 4)
    people = [f"p{i // 4}" for i in range(40)]
    calibration = calibrate(sets, pearson, Patients(people))
    said = evaluate(sets, sets, calibration, Levels()).evidence
    assert (said.copies.sure, said.training_images.sure, said.patients.sure) == (4, 4, 1)
    assert said.exposed.low == 1


def test_new_patients_of_a_rare_kind_are_neither_sure_copies_nor_surely_exposed(pearson):
    found = World(kind=10).verdict(pearson)[0]
    assert found.arrays["copies_flagged"][:5].all(), "suspect they are"
    assert not found.arrays["copies_sure"].any() and not found.arrays["exposure_sure"].any()
    assert found.evidence.patients.sure == 0


def test_the_second_patient_is_another_one_than_the_nearest_images(pearson):
    rng = np.random.default_rng(0)
    training, validation, synthetic = (rng.normal(size=(n, 8)) for n in (30, 12, 20))
    people = [f"p{i // 3}" for i in range(30)]
    sets = EmbeddedSets(training, validation, synthetic)
    calibration = calibrate(sets, pearson, Patients(people, [str(i) for i in range(12)]))
    arrays = evaluate(sets, sets, calibration, Levels()).arrays
    likeness = np.corrcoef(synthetic, training)[:20, 20:]
    for row, own in zip(likeness, arrays["synthetic_train_second"], strict=True):
        best = people[int(row.argmax())]
        assert own == pytest.approx(max(x for x, p in zip(row, people, strict=True) if p != best))
    assert len(arrays["others"]) == 10, "one image a patient"
    assert (arrays["others"] >= arrays["others_second"]).all()
    for number, own in enumerate(arrays["exposure_train_synthetic_second"]):
        shown = arrays["exposure_train_synthetic_index"][number]
        others = np.array([people[number] != name for name in people])
        assert own == pytest.approx(likeness[shown][others].max())
