from __future__ import annotations

import numpy as np
import pytest

from memtk.memorization import IDENTICAL, withhold

FLAGS = {"copies_flagged": np.array([1, 0, 0, 0]), "copies_p": np.array([0.01, 0.04, 0.2, 0.9])}
EXPOSURE = {
    "exposure_flagged": np.array([0, 1]),
    "exposure_patient_flagged": np.array([0, 0]),
    "exposure_p": np.array([0.03, 0.01]),
    "exposure_train_synthetic_index": np.array([2, 3]),
}


@pytest.mark.parametrize(
    ("more", "drop", "gone"),
    [
        ({}, "flagged", [0]),
        ({}, "alpha", [0, 1]),
        ({IDENTICAL: np.array([0, 0, 1, 0], dtype=bool)}, "flagged", [0, 2]),
        (EXPOSURE, "flagged", [0, 3]),
        (EXPOSURE, "alpha", [0, 1, 2, 3]),
        ({"copies_rank_p": np.array([0.01, 0.04, 0.05, 0.6])}, "alpha", [0, 1, 2]),
        (EXPOSURE | {"exposure_patient_flagged": np.array([1, 1])}, "flagged", [0, 2, 3]),
    ],
)
def test_what_is_flagged_identical_or_nearest_to_an_exposed_image_is_suspicious(more, drop, gone):
    found = FLAGS | more
    before = {name: array.copy() for name, array in found.items()}
    assert np.flatnonzero(withhold(found, drop)).tolist() == gone
    assert all(np.array_equal(found[name], before[name]) for name in found)
