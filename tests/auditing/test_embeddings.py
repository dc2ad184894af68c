"""Audits of embeddings that an embedder of the user's own made."""

from __future__ import annotations

import numpy as np
import pytest

from memtk.auditing import EmbeddingAudit, audit_embeddings, read_embeddings
from memtk.errors import UserError
from memtk.results import Policy

RNG = np.random.default_rng(0)
TRAIN = RNG.normal(size=(60, 16)).astype(np.float32)
VALIDATION = RNG.normal(size=(120, 16)).astype(np.float32)
STRANGERS = RNG.normal(size=(40, 16)).astype(np.float32)
COPIES = TRAIN[:20] + RNG.normal(0, 0.05, (20, 16)).astype(np.float32)
SYNTHETIC = np.concatenate([COPIES, STRANGERS])
PLANTED = TRAIN[20:60] + RNG.normal(0, 0.05, (40, 16)).astype(np.float32)


@pytest.fixture
def file(tmp_path):
    def write(name="vectors.npz", **arrays):
        path = tmp_path / name
        np.savez(
            path, **{"train": TRAIN, "validation": VALIDATION, "synthetic": SYNTHETIC, **arrays}
        )
        return path

    return write


@pytest.fixture
def audit(registry, tmp_path):
    def run(path, folder="run", **options):
        how = {k: options.pop(k) for k in ("policy", "resume", "watch") if k in options}
        how = {"policy": Policy(), "out": tmp_path / folder, "device": "cpu", **how}
        other = options.pop("other", None)
        plan = EmbeddingAudit(
            read_embeddings(path), read_embeddings(other) if other else None, **options
        )
        return audit_embeddings(plan, registry, **how)

    return run


def test_copies_among_given_embeddings_are_flagged_and_fail(file, audit):
    done = audit(file())
    found = done.audit.evidence
    assert done.audit.verdict.outcome == "fail"
    assert found.n_copies >= 20 and found.n_mem >= 20
    assert found.copy_rate.low <= 1 / 3 <= found.copy_rate.high
    assert done.audit.data is None and done.report.exists()


def test_one_embedding_is_said_to_serve_both_sides(file, audit):
    assert any("One embedding serves both" in note for note in audit(file()).audit.notes)
    two = audit(file(), "two", other=file("other.npz"))
    assert not any("One embedding serves both" in note for note in two.audit.notes)


def test_the_exposure_is_read_from_the_second_file(file, audit):
    noise = np.random.default_rng(5).normal(size=SYNTHETIC.shape).astype(np.float32)
    done = audit(file(), other=file("other.npz", synthetic=noise))
    assert done.audit.evidence.n_mem == 0
    assert done.audit.evidence.n_copies >= 20


def test_planted_embeddings_measure_the_sensitivity(file, audit):
    source = np.arange(20, 60)
    done = audit(file(planted=PLANTED, planted_source=source), policy=Policy(min_sensitivity=0.9))
    made = done.audit.selftest.sensitivity
    assert made.conformal.n == 40 and made.conformal.count == made.right_image.count == 40
    assert audit(file(), "none").audit.selftest is None


def test_patients_and_names_are_used_where_they_are_given(file, audit):
    patients = np.array([f"p{i // 2}" for i in range(60)])
    others = np.array([f"v{i // 3}" for i in range(120)])
    names = np.array([f"scan-{i}" for i in range(60)])
    path = file(train_patient=patients, validation_patient=others, train_id=names)
    done = audit(path)
    assert done.audit.counts["training"].patients == 30
    assert done.audit.counts["validation"].patients == 40
    assert done.audit.evidence.min_p == pytest.approx(1 / 41)
    assert "scan-0,p0," in (done.folder / "exposed.csv").read_text()
    assert "scan-0" not in done.report.read_text()
    assert "scan-0" not in (done.folder / "audit.json").read_text()


def test_the_same_file_gives_the_same_audit_and_another_one_another_run(file, audit):
    first, again = audit(file()), audit(file())
    assert first.audit == again.audit
    with pytest.raises(UserError, match="holds another run"):
        audit(file("new.npz", train=TRAIN + 1))


@pytest.mark.parametrize(
    "arrays, words",
    [
        ({"trian": TRAIN}, "unknown array 'trian'.*Did you mean 'train'"),
        ({"train": TRAIN[:, :8]}, "differ in width"),
        ({"train": TRAIN[0]}, r"train has the shape \(16,\)"),
        ({"train": np.full((3, 16), np.nan)}, "row 0 of train holds NaN"),
        ({"train": np.zeros((60, 16))}, "training images"),
        ({"train_patient": np.array(["a"])}, "60 are needed"),
        ({"planted": PLANTED}, "planted needs planted_source"),
        ({"planted": PLANTED, "planted_source": np.arange(40) + 30}, "0 to 59"),
        (
            {
                "train_patient": np.array(["a"] * 60),
                "validation_patient": np.array(["a"] * 120),
            },
            "1 patient is in train and in validation",
        ),
        (
            {"train_patient": np.arange(60), "validation_patient": np.arange(59.0, 179.0)},
            "1 patient is in train and in validation",
        ),
        ({"planted": TRAIN[:3], "planted_source": np.arange(3)}, "equals the row of train"),
        (
            {"validation": VALIDATION[[0, 1, 2, 0, 1]]},
            "of validation 2 embeddings equal that of an",
        ),
        (
            {"train": TRAIN[[0, 0, 0, 1]], "train_patient": np.array(["a", "a", "b", "c"])},
            "of train 1 embedding equals",
        ),
        ({"validation": np.r_[VALIDATION[:9], TRAIN[:2]]}, "of train 2 embeddings equal one"),
        ({"validation": np.r_[VALIDATION, SYNTHETIC[:1]]}, "of synthetic 1 embedding equals"),
    ],
)
def test_what_cannot_be_used_is_told_with_the_file(file, audit, arrays, words):
    path = file(**arrays)
    with pytest.raises(UserError, match=words):
        audit(path)


def test_a_file_that_is_no_archive_is_told(tmp_path, file):
    with pytest.raises(UserError, match="there is no such file"):
        read_embeddings(tmp_path / "no.npz")
    (tmp_path / "text.npz").write_text("hello")
    with pytest.raises(UserError, match=r"text\.npz cannot be read"):
        read_embeddings(tmp_path / "text.npz")
    np.save(tmp_path / "one.npy", TRAIN)
    with pytest.raises(UserError, match="cannot be read as a NumPy archive"):
        read_embeddings(tmp_path / "one.npy")
    np.savez(tmp_path / "few.npz", train=TRAIN)
    with pytest.raises(UserError, match="has no array validation, synthetic"):
        read_embeddings(tmp_path / "few.npz")
    np.savez(tmp_path / "bad.npz", train=np.array([{}], dtype=object))
    with pytest.raises(UserError, match=r"save names as text, names.astype\(str\)"):
        read_embeddings(tmp_path / "bad.npz")


def test_two_files_must_be_of_the_same_images(file, audit):
    with pytest.raises(UserError, match="same images in the same order"):
        audit(file(), other=file("other.npz", synthetic=SYNTHETIC[:5]))


def test_a_similarity_of_images_is_refused(file, audit):
    with pytest.raises(UserError, match="compares images"):
        audit(file(), similarity="ncc")


def test_of_planted_embeddings_one_a_patient_counts_and_none_that_nothing_was_done_to(file, audit):
    rng = np.random.default_rng(1)
    source = np.repeat([0, 1, 2], [50, 3, 4])
    planted = TRAIN[source] + rng.normal(0, 0.05, (57, 16)).astype(np.float32)
    planted[-4:] = TRAIN[2]
    done = audit(file(planted=planted, planted_source=source))
    assert done.audit.selftest.sensitivity.conformal.n == 2
    notes = " ".join(done.audit.notes)
    assert "4 of 57 planted copies equal" in notes and "51 more are not" in notes


def test_an_embedder_that_saw_the_training_images_leaves_the_exposure_out(file, audit):
    path = file(planted=PLANTED, planted_source=np.arange(20, 60))
    done = audit(path, exposure=False)
    assert done.audit.evidence.patients_exposed is None
    assert not (done.folder / "exposed.csv").exists()
    assert not any("serves both" in note for note in done.audit.notes)
    with pytest.raises(UserError, match="holds another run"):
        audit(path)
