"""The recount agrees with the code that counted first, and sees when an array was changed."""

from __future__ import annotations

import h5py
import numpy as np
import pytest

from memtk.evaluation import EmbeddedSets, Patients, calibrate, evaluate
from memtk.interfaces import Levels
from memtk.registry import open_registry
from memtk.results import Checkpoint, Comparable, Counts, GroupTest, write_arrays
from memtk.results.validate import recount

N, M, V = 30, 40, 24


@pytest.fixture(scope="module")
def evaluation():
    rng = np.random.default_rng(3)
    training = rng.normal(size=(N, 8))
    synthetic = np.r_[training[:20] + 0.01 * rng.normal(size=(20, 8)), rng.normal(size=(M - 20, 8))]
    sets = EmbeddedSets(training, rng.normal(size=(V, 8)), synthetic)
    similarity = open_registry().load("similarity", "cosine")()
    patients = Patients([str(i) for i in range(N)], [str(i) for i in range(V)])
    calibration = calibrate(sets, similarity, patients)
    protocols = open_registry().entries("protocol")
    return evaluate(sets, sets, calibration, Levels(), protocols=protocols)


@pytest.fixture
def counted(make_result, evaluation, tmp_path):
    """`counted(change)`: the recount after `change(arrays)`, of 30 training, 40 synthetic images"""
    found, protocols = evaluation.evidence, evaluation.protocols
    base = make_result(n=N, m=M, validation=V)
    last = Checkpoint(step=7, n_synthetic=M, evidence=found, protocols=protocols)
    assert found.n_copies and found.n_mem  # something is flagged

    def run(change=lambda arrays: None, **update):
        arrays = {name: value.copy() for name, value in evaluation.arrays.items()}
        change(arrays)
        write_arrays(tmp_path / "arrays.h5", "step-000007", arrays)
        result = base.model_copy(update={"checkpoints": [last]} | update)
        return recount(tmp_path / "arrays.h5", result)

    run.checkpoints, run.arrays = [last], evaluation.arrays
    return run


def test_the_arrays_of_an_evaluation_give_its_numbers(counted):
    said = counted()
    assert (said.outcome, said.detail) == ("ok", "1 of 1 checkpoint")


def test_several_images_of_a_patient_are_no_reason_to_doubt(counted, make_result):
    data = make_result(n=N, m=M, validation=V).data
    counts = data.counts | {"validation": Counts(images=V, patients=8)}
    assert counted(data=data.model_copy(update={"counts": counts})).outcome == "ok"


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("train_synthetic", 0.0, "dar n_mem"),
        ("synthetic_train", 0.0, "dar n_copies"),
        ("validation_train", 1.0, "dar validation_called_copies"),
        ("train_validation", 0.99, "tau is"),
        ("train_synthetic_above", 9, "dar-matched n_mem"),
        ("copies_p", 0.0, "n_copies is 20, the arrays give"),
        ("copies_rank_p", 0.5, "copies_rank_p does not follow"),
        ("exposure_p", 0.0, "n_mem is"),
        ("validation_train", 1.0, "conformal n_copies"),
        ("exposure_validation_synthetic", 1.0, "conformal n_mem"),
    ],
)
def test_a_changed_array_is_named(counted, name, value, said):
    def change(arrays):
        arrays[name][:] = value

    found = counted(change)
    assert found.outcome == "failed" and said in found.detail


def test_p_values_by_rank_must_follow_from_the_similarities(counted):
    def change(arrays):
        arrays["copies_p"] = ranks.copy()

    def wrong(arrays):
        change(arrays)
        arrays["copies_p"][np.argmax(ranks)] -= 1e-3

    [last] = counted.checkpoints
    v, arrays = np.sort(counted.arrays["validation_train"]), counted.arrays
    ranks = (1 + V - np.searchsorted(v, arrays["synthetic_train"])) / (V + 1)
    few = last.evidence.copies.model_copy(update={"model": "ranks", "check": None})
    found = last.evidence.model_copy(update={"copies": few})
    by_ranks = [last.model_copy(update={"evidence": found})]
    assert "does not follow" not in counted(change, checkpoints=by_ranks).detail
    assert "copies_p does not follow" in counted(wrong, checkpoints=by_ranks).detail


def test_names_that_the_gate_took_away_are_counted_without_it(counted):
    [last] = counted.checkpoints
    apart = GroupTest(p=0.01, size=0.4)
    found = last.evidence.model_copy(
        update={"n_copies": 0, "n_mem": 0, "comparable": Comparable(population=apart)}
    )
    taken = [last.model_copy(update={"evidence": found})]
    assert counted(checkpoints=taken).outcome == "ok"
    blurred = GroupTest(p=0.001, size=0.4, nearer=True)
    found = last.evidence.model_copy(update={"comparable": Comparable(synthetic=blurred)})
    blur = [last.model_copy(update={"evidence": found})]
    assert counted(checkpoints=blur).outcome == "ok", "each has an exposed image in return"
    assert "n_copies" in counted(_unexposed, checkpoints=blur).detail


def _unexposed(arrays):
    arrays["exposure_p"][:] = arrays["exposure_rank_p"][:] = 1.0


def test_arrays_of_other_sizes_are_refused(counted):
    def change(arrays):
        arrays["train_synthetic"] = arrays["train_synthetic"][:-1]

    assert "train_synthetic has the shape (29,)" in counted(change).detail


def test_a_file_without_the_arrays_is_no_proof(counted, tmp_path, make_result):
    counted()
    said = recount(tmp_path / "arrays.h5", make_result(n=N, m=M, validation=V))
    assert "the arrays of no checkpoint" in said.detail


@pytest.mark.parametrize("kind", ["no hdf5", "a group in place of an array", "missing arrays"])
def test_a_damaged_file_fails_and_does_not_raise(counted, tmp_path, make_result, kind):
    counted()
    path = tmp_path / "arrays.h5"
    if kind == "no hdf5":
        path.write_bytes(b"nothing")
    else:
        with h5py.File(path, "a") as file:
            del file["step-000007"]["train_synthetic"]
            if kind == "a group in place of an array":
                file["step-000007"].create_group("train_synthetic")
    base = make_result(n=N, m=M, validation=V)
    last = base.last.model_copy(update={"step": 7})
    said = recount(path, base.model_copy(update={"checkpoints": [last]}))
    assert said.outcome == "failed" and "cannot be read" in said.detail
