from __future__ import annotations

import csv
import shutil

import numpy as np
import pytest

from memtk.audit import release
from memtk.audit.release import suspects
from memtk.errors import UserError
from memtk.results import Policy, read_arrays


@pytest.fixture
def quick(monkeypatch):
    """The second audit with a small embedder."""
    import memtk.audit.plan as plan

    monkeypatch.setattr(plan, "PRESETS", ("smoke",))


@pytest.fixture
def made(failed, registry, tmp_path, quick):
    return release(
        failed.folder,
        registry,
        policy=Policy(),
        embedder="ntxent2d",
        similarity="pearson",
        out=tmp_path / "out",
        device="cpu",
    )


def test_flagged_images_and_those_nearest_to_exposed_patients_are_taken_away(failed, truth):
    gone = suspects(failed.folder)
    assert gone[: truth["copies"]].all()
    arrays = read_arrays(failed.folder / "arrays.h5", "audit")
    exposed = arrays["exposure_flagged"].astype(bool)
    assert gone[arrays["exposure_train_synthetic_index"][exposed]].all()
    assert (suspects(failed.folder, "alpha") >= gone).all()


def test_the_manifest_names_what_is_left_and_reads_as_synthetic_images(made, files, truth):
    with open(made.manifest, newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == made.kept == 30 - made.dropped and made.dropped >= truth["copies"]
    for row in rows:
        path = (made.manifest.parent / row["path"]).resolve()
        assert path.parent == (files / "made").resolve()
        assert int(path.stem) >= truth["copies"]
        assert row["split"] == "synthetic"


def test_what_is_left_is_audited_by_a_second_embedder(made, failed):
    second = made.audit.audit
    assert second.counts["synthetic"].images == made.kept
    assert second.embedder.name == "ntxent2d" and failed.audit.embedder is None
    assert second.seed == failed.audit.seed + 1
    assert second.identical_images == 0


def test_an_audit_of_embeddings_cannot_be_released(registry, tmp_path):
    from memtk.audit import audit_embeddings

    rng = np.random.default_rng(0)
    np.savez(
        tmp_path / "v.npz",
        **{k: rng.normal(size=(9, 4)) for k in ("train", "validation", "synthetic")},
    )
    done = audit_embeddings(
        tmp_path / "v.npz", registry, policy=Policy(), out=tmp_path / "run", device="cpu"
    )
    with pytest.raises(UserError, match=r"audit of embeddings.*copies\.csv"):
        release(done.folder, registry, policy=Policy())


def test_a_folder_without_an_audit_is_told(registry, tmp_path):
    with pytest.raises(UserError, match=r"audit\.json"):
        release(tmp_path, registry, policy=Policy())


def test_images_that_came_or_went_are_noticed(audited, files, registry, tmp_path):
    made = tmp_path / "made"
    shutil.copytree(files / "clean", made)
    data = {
        "source": str(files / "train"),
        "validation_source": str(files / "val"),
        "synthetic_source": str(made),
    }
    done = audited(tmp_path / "run", data=data)
    next(made.iterdir()).unlink()
    with pytest.raises(UserError, match="20 synthetic images, and there are 19 now"):
        release(done.folder, registry, policy=Policy())
