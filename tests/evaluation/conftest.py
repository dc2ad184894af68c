from types import SimpleNamespace

import numpy as np
import pytest

from memtk.evaluation import Levels, Patients, calibrate, neighbours, tests_of
from memtk.memorization import dar_matched
from memtk.registry import open_registry


@pytest.fixture(scope="session")
def registry():
    return open_registry()


@pytest.fixture(scope="session")
def pearson(registry):
    return registry.load("similarity", "pearson")()


@pytest.fixture(scope="session")
def euclidean(registry):
    return registry.load("similarity", "euclidean")()


@pytest.fixture(scope="session")
def ncc(registry):
    return registry.load("similarity", "ncc")()


@pytest.fixture
def rng():
    return np.random.default_rng(0)


class Lazy:
    """A set that can only be read slice by slice, and notes what is read."""

    def __init__(self, rows):
        self.rows, self.reads = rows, []

    def __len__(self):
        return len(self.rows)

    def __getitem__(self, where):
        assert isinstance(where, slice)
        found = self.rows[where]
        self.reads.append(len(found))
        return found


@pytest.fixture
def lazy():
    return Lazy


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
