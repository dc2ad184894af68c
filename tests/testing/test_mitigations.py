from __future__ import annotations

import numpy as np
import pytest
import torch

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
    "descending": (lambda p, r: np.array([3, 1]), "choose gives indices that are not ascending"),
    "beyond": (lambda p, r: np.array([0, 10]), "choose gives indices outside 0 to 9"),
    "below": (lambda p, r: np.array([-1, 0]), "choose gives indices outside 0 to 9"),
    "none": (lambda p, r: np.array([], dtype=int), "choose keeps no image"),
    "own rng": (
        lambda p, r: np.flatnonzero(np.random.default_rng().random(10) < 0.5),
        "gives other indices for the same rng",
    ),
    "split": (lambda p, r: np.array([1, 3, 5]), "keeps some images of patient ['a'] and not"),
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
    "range": (lambda x, n: x * 3, "images lie in [-1, 1]"),
    "dtype": (lambda x, n: x.double(), "augment gives torch.float64"),
    "mixed": (lambda x, n: (x + x.flip(0)) / 2, "gives another row when it is computed alone"),
    "global": (lambda x, n: x * torch.rand(1), "draws from the global generator of torch"),
    "in place": (lambda x, n: x.mul_(0.5), "changes the images it is given in place"),
}


@pytest.mark.parametrize("way", AUGMENTS)
def test_an_unsound_augmentation_is_told(sound_mitigation, spec, complaint, way):
    change, sentence = AUGMENTS[way]

    class Broken(sound_mitigation):
        def augment(self, x, noise):
            return change(x, noise)

    assert sentence in complaint(check_mitigation, Broken, spec=spec)


def test_settings_changed_in_place_or_lost_are_told(sound_mitigation, spec, complaint):
    class InPlace(sound_mitigation):
        def adjust(self, settings):
            settings["training"]["steps"] = 1
            return settings

    class Lost(sound_mitigation):
        def adjust(self, settings):
            return None

    assert "adjust changes the settings it is given" in complaint(
        check_mitigation, InPlace, spec=spec
    )
    assert "adjust gives a NoneType, not a mapping" in complaint(check_mitigation, Lost, spec=spec)


def test_an_unsound_release_is_told(sound_mitigation, spec, complaint):
    class Leaky(sound_mitigation):
        def release(self, synthetic):
            return np.arange(len(synthetic) + 1)

    assert "Leaky.release gives indices outside 0 to 3" in complaint(
        check_mitigation, Leaky, spec=spec
    )
