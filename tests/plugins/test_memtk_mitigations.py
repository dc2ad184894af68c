from __future__ import annotations

import numpy as np
import pytest
import torch

from memtk.config import build
from memtk.data.images import MemoryImages
from memtk.errors import UserError
from memtk.imaging import augmentation
from memtk.interfaces import Mitigation
from memtk.noise import Noise
from memtk_mitigations.generator import Augment
from memtk_mitigations.training_set import DataSize

PATIENTS = [f"p{i % 20:02d}" for i in range(53)]  # 20 patients, 2 or 3 images each


def choose(seed=0, of=PATIENTS, **config):
    chosen = DataSize(build(DataSize.Config, config)).choose(of, np.random.default_rng(seed))
    return set(chosen.tolist())


def owners(indices, patients=PATIENTS):
    return {patients[i] for i in indices}


@pytest.mark.parametrize("fraction", [0.01, 0.1, 0.33, 0.5, 0.99, 1.0])
def test_whole_patients_are_kept_and_as_many_as_asked(fraction):
    kept = choose(fraction=fraction)
    assert len(owners(kept)) == max(1, round(fraction * 20))
    assert kept == {i for i, p in enumerate(PATIENTS) if p in owners(kept)}


def test_half_of_the_patients_is_the_default():
    assert len(owners(choose())) == 10


def test_a_number_of_patients_wins_over_a_share():
    assert len(owners(choose(fraction=0.9))) == 18
    assert len(owners(choose(fraction=0.9, patients=7))) == 7


def test_a_smaller_set_is_part_of_a_larger_one_for_the_same_seed():
    sets = [choose(seed=4, fraction=f) for f in (0.1, 0.25, 0.3, 0.6, 1.0)]
    assert all(small < large for small, large in zip(sets, sets[1:], strict=False))
    assert choose(seed=4, fraction=0.5) != choose(seed=5, fraction=0.5)


def test_the_order_of_the_images_does_not_decide_on_the_patients():
    backwards = PATIENTS[::-1]
    assert owners(choose()) == owners(choose(of=backwards), backwards)


def test_every_patient_is_kept_as_often():
    counts = np.zeros(20)
    for seed in range(400):
        for name in owners(choose(seed=seed, fraction=0.25)):
            counts[int(name[1:])] += 1
    assert counts.min() > 60 and counts.max() < 140  # 100 expected, standard deviation 8.7


def test_more_patients_than_there_are_are_refused_with_a_way_out():
    with pytest.raises(UserError) as raised:
        DataSize(build(DataSize.Config, {"patients": 21})).choose(
            PATIENTS, np.random.default_rng(0)
        )
    assert "datasize.patients = 21: 20 patients are in the training set" in str(raised.value)
    assert "--set datasize.patients=20" in str(raised.value)


@pytest.mark.parametrize("config", [{"fraction": 0}, {"fraction": 1.1}, {"patients": 0}])
def test_sizes_that_make_no_sense_are_refused(config):
    with pytest.raises(UserError, match="datasize"):
        build(DataSize.Config, config, where="datasize")


def test_the_size_alone_is_changed_by_datasize():
    mitigation = DataSize(build(DataSize.Config))
    x = torch.zeros(2, 1, 4, 4)
    assert mitigation.augment(x, Noise(0, [0, 1])) is x
    assert mitigation.adjust({"a": 1}) == {"a": 1}
    assert mitigation.release(MemoryImages(x)).tolist() == [0, 1]


@pytest.mark.parametrize("shape", [(9, 12), (6, 7, 8)])
def test_images_are_augmented_as_in_the_reference_method(shape):
    x = Noise(0, range(40)).uniform(1, *shape) * 2 - 1
    got = Augment(build(Augment.Config)).augment(x, Noise(1, range(40)))
    assert torch.equal(got, augmentation.augment(x, Noise(1, range(40))))
    same = (got == x).flatten(1).all(1).sum()
    mirrored = (got == x.flip(-1)).flatten(1).all(1).sum()
    assert 3 <= same <= 19 and 3 <= mirrored <= 19  # a quarter of 40 each


def test_augmentation_keeps_every_patient():
    mitigation = Augment(build(Augment.Config))
    assert mitigation.choose(PATIENTS, np.random.default_rng(0)).tolist() == list(range(53))
    assert type(mitigation).choose is Mitigation.choose
