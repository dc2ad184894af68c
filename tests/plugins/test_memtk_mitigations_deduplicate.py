from __future__ import annotations

import numpy as np
import pytest
import torch

from memtk.config import build
from memtk.data.images import MemoryImages
from memtk.errors import UserError
from memtk.noise import Noise
from memtk_mitigations import training_set
from memtk_mitigations.training_set import Correlation, Deduplicate, first_of_each

STRANGERS = 20
COPIES = {3: 20, 7: 21, 0: 22}
"""Image 20 is a near copy of image 3, and so on."""


def images(count, seed=0):
    """Images of strangers: smooth, of no common anatomy."""
    coarse = Noise(seed, range(count)).normal(1, 5, 5)
    return torch.nn.functional.interpolate(coarse, size=(12, 12), mode="bilinear").tanh()


def names(count, start=0):
    return [f"p{i}" for i in range(start, start + count)]


@pytest.fixture(scope="module")
def planted():
    """Strangers with planted near copies: noise, contrast, and the very same image."""
    x = images(STRANGERS)
    noisy = (x[3] + 0.05 * Noise(9, [0]).normal(1, 12, 12)[0]).clamp(-1, 1)
    copies = torch.stack([noisy, x[7] * 0.8 + 0.1, x[0]])
    return MemoryImages(torch.cat([x, copies]), [*names(STRANGERS), "p50", "p7", "p51"])


@pytest.fixture(scope="module")
def validation():
    return MemoryImages(images(80, seed=1), names(80, 100))


class UpsideDown:
    """The images themselves, upside down; notes what it is asked."""

    similarity = Correlation()

    def __init__(self):
        self.asked = []

    def embed(self, images):
        self.asked.append(len(images))
        return images.read(range(len(images))).flatten(1).numpy()[:, ::-1].copy()


def thin(training, validation, eyes=None, **config):
    return Deduplicate(build(Deduplicate.Config, config)).thin(training, validation, eyes)


def by_hand(rows, similarity, limit):
    """Every pair compared, one after the other."""
    prepared = similarity.prepare(torch.as_tensor(np.asarray(rows), dtype=torch.float64))
    table = similarity.compare(prepared, prepared).numpy()
    kept = []
    for row in range(len(table)):
        if not any(table[row, other] > limit for other in kept):
            kept.append(row)
    return kept


def test_planted_near_copies_are_left_out_and_strangers_stay(planted, validation):
    choice = thin(planted, validation)
    assert choice.indices.tolist() == list(range(STRANGERS))
    assert choice.why.startswith("3 are near copies of one that stays, by their pixels")
    assert "about 0.083 would be by chance" in choice.why  # (23 / 80)^2


def test_among_strangers_none_is_left_out(validation):
    choice = thin(MemoryImages(images(STRANGERS), names(STRANGERS)), validation)
    assert len(choice.indices) == STRANGERS and choice.why.startswith("None is a near copy")


def test_the_threshold_is_what_no_two_validation_patients_reach(validation):
    rows = validation.x.flatten(1).double().numpy()
    table = np.corrcoef(rows)
    np.fill_diagonal(table, -1)
    found = training_set.between_strangers(rows, validation.patients, Correlation())
    assert found == pytest.approx(table.max(), abs=1e-12)


def test_two_images_of_one_validation_patient_do_not_raise_the_threshold(validation):
    twice = torch.cat([validation.x, validation.x[:1] * 0.9])
    patients = [*validation.patients, validation.patients[0]]
    rows = [x.flatten(1).double().numpy() for x in (validation.x, twice)]
    found = [
        training_set.between_strangers(row, who, Correlation())
        for row, who in zip(rows, (validation.patients, patients), strict=True)
    ]
    assert found[0] == pytest.approx(found[1], abs=1e-12)


def test_where_one_patient_is_all_that_there_is_only_identical_images_are_near(planted):
    alone = MemoryImages(images(3, seed=1), ["same"] * 3)
    assert set(thin(planted, alone).indices.tolist()) == set(range(23)) - {22}


@pytest.mark.parametrize("block", [1, 2, 5, 1024])
@pytest.mark.parametrize("limit", [-0.2, 0.1, 0.4, 0.9])
def test_the_same_stay_as_by_comparing_every_pair(monkeypatch, block, limit):
    monkeypatch.setattr(training_set, "BLOCK", block)
    x = torch.cat([images(14, seed=4), images(14, seed=4)[:5] * 0.9, images(2, seed=4)])
    rows = x.flatten(1).double().numpy()
    kept = first_of_each(rows, Correlation(), limit)
    assert kept.tolist() == by_hand(rows, Correlation(), limit)
    assert len(kept) >= 1


def test_a_whole_cluster_leaves_its_first_image():
    x = images(1).repeat(9, 1, 1, 1)
    assert first_of_each(x.flatten(1).numpy(), Correlation(), 0.5).tolist() == [0]


def test_the_copy_detector_is_asked_where_it_is_named(planted, validation):
    eyes = UpsideDown()
    choice = thin(planted, validation, eyes, by="detector")
    assert eyes.asked == [23, 80] and "by the copy detector" in choice.why
    assert choice.indices.tolist() == list(range(STRANGERS))


def test_a_threshold_of_ones_own_is_taken(planted, validation):
    assert len(thin(planted, validation, threshold=-1.0).indices) == 1
    choice = thin(planted, validation, threshold=0.9999)
    assert set(choice.indices.tolist()) == set(range(23)) - {22, 21}
    assert "similarity above 0.9999" in choice.why and "chance" not in choice.why


def test_a_blank_image_is_refused(validation):
    blank = MemoryImages(torch.cat([images(3), torch.zeros(1, 1, 12, 12)]), names(4))
    with pytest.raises(UserError, match="image 3 is of one value"):
        thin(blank, validation)
