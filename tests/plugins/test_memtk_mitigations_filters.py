from __future__ import annotations

import numpy as np
import pytest
import torch

from memtk.config import build
from memtk.data.images import MemoryImages
from memtk.memorization import withhold
from memtk_mitigations.filters import Distill, ReleaseFilter

SYNTHETIC = MemoryImages(torch.zeros(6, 1, 4, 4))


@pytest.fixture
def found():
    """Six synthetic images: 0 and 1 flagged, 2 near, 3 identical; 4 nearest to an exposed one."""
    return {
        "copies_flagged": np.array([1, 1, 0, 0, 0, 0], dtype=bool),
        "copies_p": np.array([0.01, 0.02, 0.04, 0.5, 0.6, 0.9]),
        "synthetic_identical": np.array([0, 0, 0, 1, 0, 0], dtype=bool),
        "exposure_flagged": np.array([0, 1, 0], dtype=bool),
        "exposure_patient_flagged": np.zeros(3, dtype=bool),
        "exposure_p": np.array([0.5, 0.01, 0.5]),
        "exposure_train_synthetic_index": np.array([5, 4, 5]),
    }


@pytest.mark.parametrize("cls", [ReleaseFilter, Distill])
def test_flagged_images_are_dropped_with_those_identical_or_nearest_to_exposed_ones(cls, found):
    mitigation = cls(build(cls.Config))
    choose = mitigation.screen if cls is ReleaseFilter else mitigation.teach
    choice = choose(SYNTHETIC, found)
    assert choice.indices.tolist() == [2, 5]
    assert choice.why.startswith("2 are named as copies; 2 more identical")


def test_all_below_alpha_are_dropped_where_it_is_asked(found):
    choice = ReleaseFilter(build(ReleaseFilter.Config, {"drop": "alpha"})).screen(SYNTHETIC, found)
    assert choice.indices.tolist() == [5] and "p <= 0.05" in choice.why


def test_what_a_gate_keeps_from_being_named_is_dropped_and_said_to_be_so(found):
    found["copies_flagged"][:] = False
    found["copies_near"] = np.array([1, 1, 0, 0, 0, 0], dtype=bool)
    choice = ReleaseFilter(build(ReleaseFilter.Config)).screen(SYNTHETIC, found)
    assert choice.indices.tolist() == [2, 5]
    assert choice.why.startswith("None is named as copies; 2 more would be, if those compared were")
    assert "2 more identical" in choice.why


def test_nothing_is_dropped_where_nothing_is_found():
    nothing = {"copies_flagged": np.zeros(6, dtype=bool), "copies_p": np.ones(6)}
    choice = ReleaseFilter(build(ReleaseFilter.Config)).screen(SYNTHETIC, nothing)
    assert choice.indices.tolist() == list(range(6)) and choice.why == "None is named as copies."


def test_the_rule_is_that_of_memtk_release(found):
    choice = ReleaseFilter(build(ReleaseFilter.Config)).screen(SYNTHETIC, found)
    assert np.array_equal(choice.indices, np.flatnonzero(~withhold(found)))


def test_the_patient_of_an_exposed_image_counts_too(found):
    found["exposure_patient_flagged"] = np.array([1, 0, 0], dtype=bool)
    assert withhold(found)[5]
