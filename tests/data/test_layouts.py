import nibabel
import numpy as np
import pytest

from memtk.data.config import DataConfig
from memtk.data.layouts import read_source
from memtk.data.readers import Readers
from memtk.errors import UserError


@pytest.fixture
def read(registry):
    def run(path, **keys):
        config = DataConfig(source=str(path), **keys)
        return read_source(config.source, config, Readers(registry))

    return run


def said(manifest):
    return " | ".join(manifest.notes)


def test_without_patients_each_file_counts_as_one_and_this_is_said(read, write_pngs):
    manifest = read(write_pngs(["b", "sub/a", ".hidden", ".dir/c"]))
    assert [r.patient for r in manifest.rows] == ["b.png", "sub/a.png"]
    assert {r.split for r in manifest.rows} == {""}
    assert "each of the 2 counts as a patient of its own" in said(manifest)


def test_a_pattern_reads_the_patient(read, write_pngs):
    folder = write_pngs(["p1_a", "p1_b", "p2_a"])
    assert [r.patient for r in read(folder, patient_pattern=r"(p\d)").rows] == ["p1", "p1", "p2"]
    with pytest.raises(UserError, match="finds no patient in 3 of 3 names: p1_a.png"):
        read(folder, patient_pattern=r"(q\d)")


def test_subfolders_split_and_what_lies_outside_is_said(read, write_pngs):
    manifest = read(write_pngs(["train/a", "val/b", "test/c", "other/d", "e"]))
    assert [(r.record.path.stem, r.split) for r in manifest.rows] == [
        ("c", "held_out"),
        ("a", "training"),
        ("b", "validation"),
    ]
    assert "left out, 2 images outside test, train, val" in said(manifest)


def test_a_manifest_in_the_folder_is_used_and_said(read, write_pngs):
    folder = write_pngs(["a", "b"])
    (folder / "manifest.csv").write_text("path,patient_id\na.png,P1\n")
    manifest = read(folder)
    assert [r.patient for r in manifest.rows] == ["P1"] and "manifest.csv" in said(manifest)


def test_files_of_other_kinds_are_counted(read, write_pngs):
    folder = write_pngs(["a"])
    for name in ("x.json", "y.json", "README"):
        (folder / name).write_text("")
    assert "3 files are no images by their names and are left out: 2 .json, 1 README" in said(
        read(folder)
    )


def test_a_folder_or_source_without_images_is_refused(read, tmp_path):
    (tmp_path / "notes.txt").write_text("")
    with pytest.raises(UserError, match=r"has no images in it: there are readers for \.bmp, \.dcm"):
        read(tmp_path)
    with pytest.raises(UserError, match="no such file or folder. Give a manifest"):
        read(tmp_path / "gone")
    with pytest.raises(UserError, match="Did you mean 'phantom3d'"):
        read("phanton3d")


def test_the_medical_segmentation_decathlon_is_known(read, tmp_path):
    for name in ("imagesTr/h_001.nii.gz", "imagesTr/h_002.nii.gz", "labelsTr/h_001.nii.gz"):
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        nibabel.save(nibabel.Nifti1Image(np.zeros((2, 2, 2), "u1"), np.eye(4)), path)
    (tmp_path / "imagesTr/._h_001.nii.gz").write_bytes(b"mac")
    (tmp_path / "dataset.json").write_text("{}")
    manifest = read(tmp_path)
    assert [r.record.path.name for r in manifest.rows] == ["h_001.nii.gz", "h_002.nii.gz"]
    assert len({r.patient for r in manifest.rows}) == 2
    assert "Decathlon: 2 images of imagesTr" in said(manifest)


def test_nih_chest_x_rays_are_known(read, write_pngs):
    names = ["00000001_000", "00000001_001", "00000002_000", "00000003_000"]
    folder = write_pngs(names)
    manifest = read(folder)
    assert [r.patient for r in manifest.rows] == ["00000001", "00000001", "00000002", "00000003"]
    assert "NIH" in said(manifest) and {r.split for r in manifest.rows} == {""}
    (folder / "test_list.txt").write_text("00000003_000.png\n00000009_000.png\n")
    (folder / "train_val_list.txt").write_text("00000001_000.png\n")
    manifest = read(folder)
    assert [r.split for r in manifest.rows] == ["", "", "", "held_out"]
    assert "held out, 1 image of test_list.txt" in said(manifest)


def test_medmnist_brings_its_split(read, tmp_path):
    stacks = {
        f"{s}_images": np.zeros((n, 8, 8), "u1")
        for s, n in zip(("train", "val", "test"), (3, 2, 1), strict=True)
    }
    np.savez_compressed(tmp_path / "m.npz", train_labels=np.zeros((3, 1)), **stacks)
    rows = read(tmp_path / "m.npz").rows
    assert [r.split for r in rows] == ["training"] * 3 + ["validation"] * 2 + ["held_out"]
    assert rows[1].patient == "m.npz:train_images/1" and len({r.patient for r in rows}) == 6


def test_files_that_cannot_be_listed_are_all_counted(read, write_pngs):
    folder = write_pngs(["a"])
    for name in ("x.npz", "y.h5"):
        (folder / name).write_bytes(b"broken")
    with pytest.raises(UserError, match="2 files cannot be listed") as caught:
        read(folder)
    assert "x.npz" in str(caught.value) and "y.h5" in str(caught.value)
