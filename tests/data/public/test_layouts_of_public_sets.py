from __future__ import annotations

import json

import nibabel
import numpy as np
import pytest


@pytest.fixture
def decathlon(tmp_path):
    """Write a task of the Decathlon with the images of these numbers."""

    def write(numbers, name="Hippocampus"):
        folder = tmp_path / "Task04"
        (folder / "imagesTr").mkdir(parents=True)
        (folder / "dataset.json").write_text(json.dumps({"name": name}))
        rng = np.random.default_rng(0)
        for number in numbers:
            voxels = rng.normal(size=(8, 8, 8)).astype(np.float32)
            image = nibabel.Nifti1Image(voxels, np.eye(4))
            image.to_filename(folder / f"imagesTr/hippocampus_{number:03d}.nii.gz")
        return folder

    return write


def patients(dataset):
    return {
        p for part in ("training", "validation", "held_out") for p in dataset.split(part).patients
    }


def test_two_neighbouring_files_of_the_hippocampus_are_one_patient(decathlon, ready):
    dataset, events = ready(decathlon([1, 3, 4, 7, 8, 11]), validation=0.5)
    assert patients(dataset) == {"H001", "H002", "H004", "H006"}
    assert any("two sides of one patient" in e.text for e in events)


def test_a_pattern_wins_over_the_rule(decathlon, ready):
    pattern = r"hippocampus_(\d+)"
    dataset, _ = ready(decathlon([3, 4, 7, 8]), validation=0.5, patient_pattern=pattern)
    assert patients(dataset) == {"003", "004", "007", "008"}


def test_another_task_of_the_decathlon_has_no_such_rule(decathlon, ready):
    dataset, events = ready(decathlon([3, 4], name="Spleen"), validation=0.5)
    assert len(patients(dataset)) == 2
    assert any("nothing says whose the images are" in e.text for e in events)


def test_a_task_without_a_readable_description_has_no_such_rule(decathlon, ready):
    folder = decathlon([3, 4])
    (folder / "dataset.json").write_text("{")
    assert len(patients(ready(folder, validation=0.5)[0])) == 2


def test_mrnet_is_read_by_one_plane_and_its_validation_exams_are_held_out(tmp_path, ready):
    rng = np.random.default_rng(0)
    for part, numbers in (("train", range(5)), ("valid", range(5, 8))):
        for plane in ("axial", "sagittal"):
            (tmp_path / "MRNet" / part / plane).mkdir(parents=True)
            for n in numbers:
                voxels = rng.integers(0, 255, (6, 8, 8), dtype=np.uint8)
                np.save(tmp_path / "MRNet" / part / plane / f"{n:04d}.npy", voxels)
    dataset, events = ready(tmp_path / "MRNet", validation=0.4)
    counts = {split: c["images"] for split, c in dataset.counts().items()}
    assert counts == {"training": 3, "validation": 2, "held_out": 3}
    assert patients(dataset) == {f"{n:04d}" for n in range(8)}
    assert any("does not say whose an exam is" in e.text for e in events)
