from types import SimpleNamespace

import pytest

from memtk.evaluation import Levels, Patients, calibrate, neighbours, tests_of
from memtk.memorization import conformal, dar_matched


@pytest.fixture(scope="session")
def found():
    """Search and test one synthetic set: what `evaluate` does, but for the rates it estimates.

    Beside it the tests by rank, of the similarities that were found.
    """

    def run(sets, other=None, *, similarity, training=(), validation=(), devices=None):
        patients = Patients(training, validation)
        calibration = calibrate(sets, similarity, patients, devices=devices)
        arrays = neighbours(sets, other, calibration, devices)
        tests = tests_of(calibration.groups(arrays), Levels(), calibration.seed)
        return SimpleNamespace(
            dar=tests.dar,
            matched=dar_matched(
                arrays["train_synthetic_above"],
                len(arrays["synthetic_train"]),
                len(arrays["validation_train"]),
            ),
            copies=conformal(
                arrays["synthetic_train"],
                arrays["validation_train"],
                validation if len(validation) else None,
            ),
            exposure=None
            if other is None
            else conformal(
                arrays["exposure_train_synthetic"],
                arrays["exposure_validation_synthetic"],
                validation if len(validation) else None,
            ),
            tests=tests,
            seed=calibration.seed,
            arrays=arrays | tests.flags,
        )

    return run
