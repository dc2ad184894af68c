from types import SimpleNamespace

import pytest

from memtk.evaluation import Levels, Patients, calibrate, neighbours, tests_of
from memtk.memorization import dar_matched


@pytest.fixture(scope="session")
def found():
    """Search and test one synthetic set: what `evaluate` does, but for the rates it estimates."""

    def run(sets, other=None, *, similarity, training=(), validation=(), devices=None):
        patients = Patients(training, validation)
        calibration = calibrate(sets, similarity, patients, devices=devices)
        arrays = neighbours(sets, other, calibration, devices)
        tests = tests_of(arrays, calibration, Levels())
        return SimpleNamespace(
            dar=tests.dar,
            matched=dar_matched(
                arrays["train_synthetic_above"],
                len(arrays["synthetic_train"]),
                len(arrays["validation_train"]),
            ),
            copies=tests.copies,
            exposure=tests.exposure,
            patients_exposed=tests.patients_with_flagged_images,
            arrays=arrays | tests.flags,
        )

    return run
