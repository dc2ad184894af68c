"""No page shows a lower bound above an interval's upper end, however hard the copies are."""

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
)
from memtk.evaluation.sides import Groups
from memtk.evaluation.statistics import exposed_of
from memtk.memorization import (
    PatientGroup,
    at_least,
    best_threshold,
    copy_rate,
    exposed_interval,
    holm,
    search,
    tail_test,
    upper_end,
)

D, PLANTED = 24, 0.3
SIDES = "exposure_train_synthetic", "exposure_validation_synthetic"


def noisy(rng, rows, noise):
    """Rows with noise of so many times their length."""
    extra = rng.normal(size=rows.shape)
    length = np.linalg.norm(rows, axis=1, keepdims=True)
    return rows + noise * length * extra / np.linalg.norm(extra, axis=1, keepdims=True)


def drawn(seed, noise, share, sizes=(60, 40, 60), images=1):
    """Evaluate a set whose copies have `noise` where planted ones have 0.3.

    Returns what was found and the groups.
    """
    n, v, m = sizes
    rng = np.random.default_rng(seed)
    training, validation, synthetic = (rng.normal(size=(k, D)) for k in sizes)
    count = round(share * m)
    synthetic[:count] = noisy(rng, training[rng.integers(0, n, count)], noise)
    sources = np.arange(n)
    copies = noisy(rng, training, PLANTED)
    near = search(copies, training, pearson).queries
    planted = PlantedSimilarity(sources, {MIXED: (near.similarity, near.index)}, given=copies)
    people = [np.arange(k) // images for k in (n, v)] if images > 1 else ([], [])
    sets = EmbeddedSets(training, validation, synthetic)
    calibration = calibrate(sets, pearson, Patients(*(list(p) for p in people)), planted)
    said = evaluate(sets, sets, calibration, Levels())
    return said, calibration.groups(said.arrays)


@pytest.fixture(autouse=True, scope="module")
def _similarity():
    from memtk.registry import open_registry

    global pearson
    pearson = open_registry().load("similarity", "pearson")()


@pytest.mark.parametrize(
    ("sizes", "images"),
    [((60, 40, 60), 1), ((60, 40, 60), 2), ((40, 20, 30), 1), ((60, 60, 150), 2)],
)
@pytest.mark.parametrize("noise", [0.0, 0.8, 1.1, 1.4])
def test_no_lower_bound_lies_above_an_upper_end(noise, sizes, images):
    for seed, share in enumerate((0.0, 0.3, 0.8)):
        e = drawn(seed, noise, share, sizes, images)[0].evidence
        high, m = e.copy_rate.high * (1 + 1e-9), sizes[2]
        for bound in (e.copies.at_least, e.copies.sure):
            assert bound / m <= high and bound / m <= e.copy_rate_upper_bound * (1 + 1e-9)
        assert e.copy_rate.low <= e.copy_rate.estimate <= high
        for bound in (e.patients.at_least, e.patients.sure, e.training_images.at_least):
            assert bound <= e.exposed.high
        assert e.exposed.low <= e.exposed.high


def test_a_count_above_the_upper_end_says_that_none_is_known():
    refuted = 0
    for seed in range(6):
        said, groups = drawn(seed, 1.2, 0.8)
        e, (back, strangers, planted) = said.evidence, groups.copies
        chosen = best_threshold(strangers, planted, len(back))
        alone = copy_rate(back, strangers, planted, threshold=chosen)
        least = at_least(PatientGroup(back), strangers).count / len(back)
        if least > alone.high + 1e-9:
            refuted += 1
            assert (e.copy_rate.high, e.copy_rate_upper_bound) == (1.0, 1.0)
            assert e.copy_rate.estimate == pytest.approx(least, abs=0.05)
            assert any("No upper end is known" in note for note in e.notes)
        else:
            assert e.copy_rate.high >= alone.high
            assert not any("copies are harder to recognise than" in note for note in e.notes)
    assert refuted >= 2


def test_more_exposed_patients_than_copies_allowed_say_that_no_upper_end_is_known():
    refuted = 0
    for seed in range(8):
        rng = np.random.default_rng(seed)
        mean = rng.normal(size=D)
        training, validation, others = rng.normal(size=(3, 60, D)) + mean
        bland = noisy(rng, np.tile(mean, (60, 1)), 0.8)  # nearer to all than strangers are
        telling = np.r_[noisy(rng, training[:30], 0.1), others[30:]]
        copies = noisy(rng, training, 0.1)
        near = search(copies, training, pearson).queries
        nearest = {MIXED: (near.similarity, near.index)}
        planted = PlantedSimilarity(np.arange(60), nearest, given=copies)
        sets = EmbeddedSets(training, validation, bland)
        calibration = calibrate(sets, pearson, Patients(), planted)
        theirs = EmbeddedSets(training, validation, telling)
        e = evaluate(sets, theirs, calibration, Levels()).evidence
        rate = e.copy_rate
        assert rate.low <= rate.estimate <= rate.high and rate.low < rate.high
        if rate.low == e.exposed.low / 60 and rate.high == 1 and not e.copies.at_least:
            refuted += 1
            assert any("by whom they expose" in note for note in e.notes)
    assert refuted


def test_more_exposed_by_count_than_the_upper_end_says_that_none_is_known():
    refuted = 0
    for seed in range(6):
        said, groups = drawn(seed, 1.2, 0.8, (60, 60, 150))
        e, alone = said.evidence, exposed_interval(*groups.exposure)
        if e.patients.at_least > alone.high:
            refuted += 1
            assert (e.exposed.high, e.exposed.sensitivity) == (60, None)
            assert any("more training patients may be exposed" in note for note in e.notes)
        else:
            assert e.exposed.sensitivity == alone.sensitivity
            counted = max(e.patients.at_least, e.patients.sure, e.exposed.low)
            raised = alone.high + max(0, counted - alone.estimate)
            assert alone.high <= e.exposed.high <= raised or e.exposed.high == e.exposed.low
    assert refuted >= 2


def test_a_count_above_the_estimate_moves_the_upper_end_up_by_as_much():
    moved, missed = [], 0
    share = 0.8
    for seed in range(14):
        said, groups = drawn(seed, 1.0 if seed else PLANTED, share)
        rate, (back, strangers, planted) = said.evidence.copy_rate, groups.copies
        chosen = best_threshold(strangers, planted, len(back))
        alone = copy_rate(back, strangers, planted, threshold=chosen)
        counted = at_least(PatientGroup(back), strangers).count
        least = max(counted, said.evidence.copies.sure) / len(back)
        if least > alone.high:
            continue
        expected = min(1.0, alone.high + max(0.0, least - alone.estimate))
        assert rate.high == pytest.approx(expected, abs=0.04)  # the count draws
        assert said.evidence.copy_rate_upper_bound >= min(rate.high, alone.upper_bound)
        moved.append(expected > alone.high)
        missed += alone.high < share <= rate.high
    assert any(moved) and not all(moved)
    assert missed  # without it the interval would not hold the truth


def test_the_lower_end_is_by_name_or_by_count_and_by_the_threshold_where_others_are_nearer():
    how = set()
    for seed, (noise, share) in enumerate([(PLANTED, 0.1), (0.8, 0.5), (0.8, 0.5), (1.0, 0.6)] * 2):
        said, groups = drawn(seed, noise, share, (60, 60, 60))
        back, strangers, planted = groups.copies
        bulk = said.evidence.comparable.synthetic
        named = holm(said.tests.copies.test.sure_p, 0.0125).sum() / 60
        if bulk.nearer and bulk.p <= 0.5:
            chosen = best_threshold(strangers, planted, 60)
            low = copy_rate(back, strangers, planted, threshold=chosen, confidence=0.9875).low
        else:
            found = at_least(PatientGroup(back), strangers, confidence=1 - 0.00625)
            low = found.count / 60
            assert said.evidence.copy_rate.estimate >= said.evidence.copies.at_least / 60
        assert bulk.p > 0.05 or not bulk.nearer
        assert said.evidence.copy_rate.low == pytest.approx(
            max(low, named) if said.evidence.exposed.low else 0, abs=0.01
        )
        how.add((bulk.nearer and bulk.p <= 0.5, bool(low > named)))
    assert len(how) > 2


def test_where_others_are_a_little_nearer_no_more_copies_are_counted_than_the_threshold_finds():
    lowered = []
    for seed in range(12):
        said, groups = drawn(seed, 1.0, 0.6, (60, 60, 60))
        e, (back, strangers, planted) = said.evidence, groups.copies
        bulk, raw = e.comparable.synthetic, at_least(PatientGroup(back), strangers)
        doubted, expected = bulk.nearer and bulk.p <= 0.5, raw.count
        assert bulk.p > 0.05 or not bulk.nearer
        if doubted:
            chosen = best_threshold(strangers, planted, 60)
            low = copy_rate(back, strangers, planted, threshold=chosen, confidence=0.9).low
            expected = min(raw.count, max(int(60 * low), e.copies.sure))
        assert e.copies.at_least == pytest.approx(expected * bool(e.exposed.low), abs=1)
        assert (said.arrays["copies_at_least"] <= e.copies.at_least).all()
        assert e.copy_rate.high >= min(raw.count / 60, 1)  # an upper end trusts no doubt
        lowered.append(doubted and expected < raw.count)
    assert any(lowered) and not all(lowered)


def test_without_planted_copies_names_and_count_share_the_error_of_the_lower_end():
    counted = 0
    for seed, share in enumerate((0.0, 0.3, 0.8, 0.9)):
        made, unseen = map(drawn(seed, 0.4 * seed, share)[0].arrays.get, SIDES)
        found = exposed_of(Groups(dict(zip(SIDES, (made, unseen), strict=True))), Levels(), 0)
        count = at_least(PatientGroup(made), PatientGroup(unseen), confidence=0.9625).count
        named = holm(tail_test(PatientGroup(made), PatientGroup(unseen)).sure_p, 0.0125).sum()
        assert (found.low, found.high) == (max(count, named), 60)
        counted += count > named
    assert counted


def test_an_end_that_a_count_refutes_is_all_there_is():
    assert upper_end(0.69, 54 / 67, 0.5) == 1.0
    assert upper_end(34, 36, 30, 64) == 64


def test_an_end_that_a_count_nearly_refutes_moves_up():
    assert upper_end(0.573, 0.567, 0.4) == pytest.approx(0.74)
    assert upper_end(0.81, 0.5, 0.6) == 0.81
    assert upper_end(34, 33, 25, 64) == 42
    assert upper_end(60, 59, 50, 64) == 64
