from __future__ import annotations

import csv

import numpy as np
import pytest

from memtk.config import build
from memtk.data.config import PhantomConfig
from memtk.data.phantom_files import write_audit
from memtk.errors import UserError


def run(folder, copies=0.25, name="phantom2d", **keys):
    sizes = {"training": 16, "validation": 6, "size": 24} | keys
    config = build(PhantomConfig, sizes, where="data.phantom")
    file_format = keys.pop("file_format", None)
    return write_audit(name, folder, config, copies=copies, file_format=file_format)


def rows(truth):
    with open(truth) as file:
        return list(csv.DictReader(file))


def pixels(dataset, group):
    x = dataset.split(group).read(range(len(dataset.split(group)))).flatten(1).numpy()
    return (x - x.mean(1, keepdims=True)) / x.std(1, keepdims=True)


def test_as_many_copies_are_planted_as_is_said_each_of_another_patient(tmp_path):
    told = rows(run(tmp_path / "a"))
    copied = [row["copy_of"] for row in told if row["copy_of"]]
    assert len(told) == 16 and len(copied) == len(set(copied)) == 4
    for row in told:
        assert (tmp_path / "a" / row["path"]).is_file()
        assert not row["copy_of"] or (tmp_path / "a" / row["copy_of"]).is_file()


def test_the_folders_are_read_as_an_audits_and_the_copies_are_the_likest(tmp_path, ready):
    told = rows(run(tmp_path / "a", size=32))
    folder = tmp_path / "a"
    dataset, _ = ready(
        folder / "train",
        validation_source=str(folder / "validation"),
        synthetic_source=str(folder / "synthetic"),
    )
    assert {k: v["images"] for k, v in dataset.counts().items()} == {
        "training": 16, "validation": 6, "held_out": 0, "synthetic": 16,
    }  # fmt: skip
    synthetic, training = pixels(dataset, "synthetic"), pixels(dataset, "training")
    mirrored = training.reshape(-1, 32, 32)[:, :, ::-1].reshape(len(training), -1)
    alike = np.maximum(synthetic @ training.T, synthetic @ mirrored.T).max(1) / training.shape[1]
    copies = np.array([bool(row["copy_of"]) for row in told])
    assert alike[copies].min() > np.median(alike[~copies])
    assert alike[copies].mean() > alike[~copies].max()


def test_those_that_copy_nobody_are_of_patients_of_their_own(tmp_path, ready):
    none, every = (
        rows(run(tmp_path / "none", copies=0, training=5)),
        rows(run(tmp_path / "all", copies=1, training=5)),
    )
    assert not any(r["copy_of"] for r in none) and all(r["copy_of"] for r in every)
    train = {p.read_bytes() for p in (tmp_path / "none/train").glob("*.png")}
    assert not train & {p.read_bytes() for p in (tmp_path / "none/synthetic").glob("*.png")}


def test_the_same_seed_plants_the_same_copies(tmp_path):
    first, again, other = (
        rows(run(tmp_path / str(n), seed=s, training=8, validation=1))
        for n, s in enumerate((3, 3, 4))
    )
    assert first == again != other


def test_it_is_written_in_3d_too(tmp_path):
    run(tmp_path / "a", name="phantom3d", size=8, training=2, validation=1)
    assert len(list((tmp_path / "a/synthetic").glob("*.nii.gz"))) == 2


def test_what_makes_no_audit_is_refused(tmp_path):
    with pytest.raises(UserError, match="needs --training and --validation patients"):
        run(tmp_path / "a", validation=0)
    sizes = build(PhantomConfig, {"size": 8}, where="data.phantom")
    with pytest.raises(UserError, match="folders of single files, not as npz"):
        write_audit("phantom2d", tmp_path / "a", sizes, copies=0.1, file_format="npz")
