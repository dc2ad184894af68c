from __future__ import annotations

import numpy as np
import pytest

from memtk.interfaces import ImageSpec, Mitigation
from memtk.testing import check_mitigation


def test_a_sound_mitigation_passes(sound_mitigation, spec):
    check_mitigation(sound_mitigation, spec=spec, whole_patients=True)
    check_mitigation(sound_mitigation, {"width": 1}, ImageSpec((3, 4, 5), channels=2))


def test_a_mitigation_that_changes_nothing_passes():
    check_mitigation(Mitigation, spec=ImageSpec((4, 4)), whole_patients=True)


def test_what_is_no_mitigation_is_refused(complaint):
    assert "is not a subclass of memtk.interfaces.Mitigation" in complaint(check_mitigation, dict)


CHOICES = {
    "list": (lambda p, r: [0, 1], "choose gives a list, not an array of indices"),
    "mask": (lambda p, r: np.ones(len(p), bool), "of bool, not of integers (indices, not a mask)"),
    "twice": (lambda p, r: np.array([0, 0]), "choose gives indices that are not ascending"),
    "beyond": (lambda p, r: np.array([0, 10]), "choose gives indices outside 0 to 9"),
    "below": (lambda p, r: np.array([-1, 0]), "choose gives indices outside 0 to 9"),
    "none": (lambda p, r: np.array([], dtype=int), "choose keeps no image"),
}


@pytest.mark.parametrize("way", CHOICES)
def test_an_unsound_choice_is_told(sound_mitigation, spec, complaint, way):
    change, sentence = CHOICES[way]

    class Broken(sound_mitigation):
        def choose(self, patients, rng):
            return change(patients, rng)

    assert sentence in complaint(check_mitigation, Broken, spec=spec, whole_patients=True)


def test_a_choice_may_split_a_patient_where_nothing_else_is_said(sound_mitigation, spec):
    class Splitting(sound_mitigation):
        def choose(self, patients, rng):
            return np.array([1, 3, 5])

    check_mitigation(Splitting, spec=spec)


AUGMENTS = {
    "shape": (lambda x, n: x[:, :, 1:], "augment gives the shape (4, 1, 3, 5)"),
    "dtype": (lambda x, n: x.double(), "augment gives torch.float64"),
}


@pytest.mark.parametrize("way", AUGMENTS)
def test_an_unsound_augmentation_is_told(sound_mitigation, spec, complaint, way):
    change, sentence = AUGMENTS[way]

    class Broken(sound_mitigation):
        def augment(self, x, noise):
            return change(x, noise)

    assert sentence in complaint(check_mitigation, Broken, spec=spec)


def test_lost_settings_are_told(sound_mitigation, spec, complaint):
    class Lost(sound_mitigation):
        def adjust(self, settings):
            return None

    assert "adjust gives a NoneType, not a mapping" in complaint(check_mitigation, Lost, spec=spec)
