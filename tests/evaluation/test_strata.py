"""Counts of exposed patients and the lists they stand in, within strata and by patient."""

from __future__ import annotations

import numpy as np
import pytest

from memtk.evaluation.sides import Groups, side_of
from memtk.evaluation.statistics import exposed_of
from memtk.interfaces import Levels
from memtk.memorization import PatientGroup, at_least


def world(seed, strata, validation=20, patients=60, exposed=12, nearer=0.25):
    """Similarities of patients with one image or two, of whom some are exposed, in strata."""
    rng = np.random.default_rng(seed)
    owner = np.repeat(np.arange(patients), 1 + (np.arange(patients) % 3 == 0))
    similarity = rng.normal(0.3, 0.1, len(owner))
    similarity[np.isin(owner, np.arange(exposed) * 3)] += nearer
    strangers = PatientGroup(rng.normal(0.3, 0.1, validation))
    return similarity, owner, strangers, (owner % strata, np.arange(validation) % strata)


@pytest.mark.parametrize("seed", range(4))
def test_one_stratum_lists_patients_as_no_strata_do(seed):
    similarity, owner, strangers, strata = world(seed, 1, validation=30, exposed=20)
    people = PatientGroup(similarity, owner.tolist())
    within = side_of(people, strangers, Levels(), strata=strata)
    alone = side_of(people, strangers, Levels())
    assert (np.diff(within.test.p[alone.least.order]) < 0).any(), "p-values have another order"
    assert within.least.count == alone.least.count
    assert within.at_least().tolist() == alone.at_least().tolist()


@pytest.mark.parametrize("strata", [1, 2, 3])
@pytest.mark.parametrize("seed", range(3))
def test_a_list_of_images_counts_the_list_of_patients_who_are_all_in_it(seed, strata):
    similarity, owner, strangers, within = world(seed, strata, validation=60, exposed=18)
    images, people = (
        side_of(PatientGroup(similarity, whose), strangers, Levels(), strata=within)
        for whose in (None, owner.tolist())
    )
    found = images.counted_by(people, owner)
    assert found.least.count == people.least.count > 0
    for k in range(1, len(owner) + 1):
        there = set(owner[found.least.order[:k]].tolist())
        listed = people.least.order.tolist()
        whole = next((i for i, each in enumerate(listed) if each not in there), len(listed))
        assert found.least.of_top[k - 1] == (people.least.of_top[whole - 1] if whole else 0)


def exposure(similarity, strangers, **more):
    """What an audit keeps of the side of the training patients."""
    return {
        "exposure_train_synthetic": similarity,
        "exposure_validation_synthetic": strangers.similarity,
        "exposure_planted": np.full(50, 0.99),
        "planted_source": np.zeros(50, dtype=int),
        **more,
    }


@pytest.mark.parametrize("strata", [1, 2])
def test_the_lower_end_errs_with_a_quarter_of_what_is_missing_within_strata_too(strata):
    fewer = 0
    for seed in range(4):
        similarity, owner, strangers, (mine, theirs) = world(
            seed, strata, validation=60, exposed=20, nearer=0.12
        )
        arrays = exposure(similarity, strangers, training_stratum=mine, validation_stratum=theirs)
        said = exposed_of(Groups(arrays, owner.tolist()), Levels(), 0)
        counts = []
        for missing in (0.05 / 4, 0.05):
            parts = [
                at_least(
                    PatientGroup(similarity[mine == each], owner[mine == each].tolist()),
                    PatientGroup(strangers.similarity[theirs == each]),
                    confidence=1 - missing / strata,
                ).count
                for each in range(strata)
            ]
            counts.append(sum(parts))
        assert said.low == counts[0]
        fewer += counts[0] < counts[1]
    assert fewer


@pytest.mark.parametrize(("second", "low"), [(0.6, 1), (0.9985, 0)])
def test_who_does_not_stand_out_from_the_second_patient_raises_no_lower_end(second, low):
    rng = np.random.default_rng(0)
    near, next_one = np.sort(rng.uniform(0.5, 0.7, (2, 100)), axis=0)[::-1]
    seen, other = near[:40].copy(), next_one[:40].copy()
    seen[0], other[0] = 0.999, second
    margins = {
        "exposure_train_synthetic_second": other,
        "exposure_validation_train": near[40:],
        "exposure_validation_train_second": next_one[40:],
        "exposure_others": near[:40],
        "exposure_others_second": next_one[:40],
        "validation_train": near[40:],
    }
    groups = Groups(exposure(seen, PatientGroup(near[40:]), **margins))
    assert exposed_of(groups, Levels(), 0).low == low
