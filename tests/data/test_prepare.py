import json
import shutil

import imageio.v3 as imageio
import nibabel
import numpy as np
import pytest
import torch

from memtk.data.images import StoredImages, identical_images
from memtk.data.packed import voxel_hash
from memtk.errors import UserError
from memtk.imaging.phantoms import phantom
from memtk.interfaces import ImageSpec

ROWS = [("a", "P1", "train"), ("b", "P2", "val"), ("c", "P1", "train"), ("d", "P3", "test")]


def kinds(events):
    return [e.kind for e in events if e.stage == "reading images"]


def by_hand(path):
    x = imageio.imread(path).astype(float)
    low, high = np.percentile(x, 0.5), np.percentile(x, 99.5)
    return np.clip((x - low) / (high - low) * 2 - 1, -1, 1)


def test_images_are_scaled_and_stored_by_split(ready, write_manifest):
    path = write_manifest(ROWS)
    dataset, events = ready(path)
    assert dataset.spec == ImageSpec((8, 8), 1, (1.0, 1.0))
    assert dataset.counts() == {
        "training": {"images": 2, "patients": 1},
        "validation": {"images": 1, "patients": 1},
        "held_out": {"images": 1, "patients": 1},
    }
    training = dataset.split("training")
    assert training.patients == ("P1", "P1") and training.indices.tolist() == [0, 1]
    for i, name in enumerate("ac"):
        wanted = by_hand(path.parent / f"{name}.png")
        np.testing.assert_allclose(training.read([i])[0, 0], wanted, atol=1e-6)
    held_out = dataset.split("held_out").read([0])
    np.testing.assert_allclose(held_out[0, 0], by_hand(path.parent / "d.png"), atol=1e-6)
    assert kinds(events) == ["start", "step", "step", "step", "step", "end"]


def test_a_second_call_opens_what_the_first_wrote(ready, write_manifest, tmp_path):
    path = write_manifest(ROWS)
    first, _ = ready(path)
    before = first.path.stat().st_mtime_ns
    second, events = ready(path)
    assert second.fingerprint == first.fingerprint and kinds(events) == ["skip"]
    assert second.path.stat().st_mtime_ns == before and second.path.name.startswith(
        second.fingerprint
    )


def test_the_fingerprint_follows_contents_patients_splits_and_recipe_not_the_place(
    ready, write_manifest, tmp_path
):
    path = write_manifest(ROWS)
    prints = [ready(path)[0].fingerprint]
    moved = shutil.copytree(path.parent, tmp_path / "moved")
    assert ready(moved / "list.csv")[0].fingerprint == prints[0]
    prints.append(ready(path, percentiles=[1, 99])[0].fingerprint)
    text = path.read_text()
    path.write_text(text.replace("P1", "P9"))
    prints.append(ready(path)[0].fingerprint)
    path.write_text(text.replace("P3,test", "P3,val"))
    prints.append(ready(path)[0].fingerprint)
    path.write_text(text)
    imageio.imwrite(path.parent / "a.png", np.arange(64, dtype=np.uint8).reshape(8, 8))
    prints.append(ready(path)[0].fingerprint)
    assert len(set(prints)) == 5


@pytest.mark.parametrize("keep", [0, 0.3, 0.95])
def test_a_truncated_cache_is_made_anew(ready, write_manifest, keep):
    path = write_manifest(ROWS)
    first, _ = ready(path)
    x = first.split("training").read([0, 1])
    data = first.path.read_bytes()
    first.path.write_bytes(data[: int(len(data) * keep)])
    again, events = ready(path)
    assert torch.equal(again.split("training").read([0, 1]), x)
    assert any("is damaged: the images are read again" in e.text for e in events)


def test_what_a_killed_run_left_half_written_is_removed(ready, write_manifest):
    path = write_manifest(ROWS)
    first, _ = ready(path)
    stale = first.path.with_name(f".{first.path.name}.0123.tmp")
    stale.write_bytes(b"half")
    first.path.unlink()
    ready(path)
    assert not stale.exists()


def test_the_recipe_says_what_is_done_and_names_no_file_and_no_patient(ready, write_manifest):
    dataset, _ = ready(write_manifest(ROWS), shape=[10, 12], percentiles=[1, 98])
    recipe = dataset.recipe()
    assert recipe["intensity"]["percentiles"] == [1, 98]
    assert recipe["shape"]["to"] == [10, 12] and recipe["spacing"] == "as stored"
    assert list(recipe["readers"]) == ["files/picture"]
    text = json.dumps(recipe)
    assert "P1" not in text and "a.png" not in text and "list" not in text


def test_images_without_a_split_are_split_by_patient(ready, write_pngs):
    folder = write_pngs([f"p{i}_{j}" for i in range(10) for j in range(3)])
    dataset, events = ready(folder, patient_pattern=r"(p\d)", validation=0.3, held_out=0.1)
    assert {k: v["patients"] for k, v in dataset.counts().items()} == {
        "training": 6,
        "validation": 3,
        "held_out": 1,
    }
    names = [set(dataset.split(s).patients) for s in ("training", "validation", "held_out")]
    assert not set.intersection(*names)
    assert any("10 patients are split at random: 6 training" in e.text for e in events)
    other, _ = ready(folder, patient_pattern=r"(p\d)", validation=0.3, held_out=0.1, split_seed=1)
    assert other.split("validation").patients != dataset.split("validation").patients


def test_a_share_that_is_not_used_is_said(ready, write_manifest):
    _, events = ready(write_manifest(ROWS), validation=0.5)
    assert any("data.validation is not used" in e.text for e in events)


def refused(ready, *arguments, **keys):
    with pytest.raises(UserError) as caught:
        ready(*arguments, **keys)
    return str(caught.value)


def test_all_unreadable_images_are_counted_and_nothing_is_left(ready, write_manifest, tmp_path):
    rows = [(f"{i}", f"P{i}", "train" if i else "val") for i in range(9)]
    path = write_manifest(rows)
    for i in range(1, 8):
        file = path.parent / f"{i}.png"
        file.write_bytes(file.read_bytes()[:40])
    text = refused(ready, path)
    assert text.startswith("unreadable, 7 of 9 images:\n") and text.endswith("and 2 more")
    assert "1.png" in text
    assert list((tmp_path / "prepared").iterdir()) == []


def test_blank_colour_nan_and_nearly_blank_images_are_refused_together(ready, write_manifest):
    rows = [(x, f"P{x}", "val" if x == "d" else "train") for x in "abcd"]
    path = write_manifest(rows)
    folder = path.parent
    imageio.imwrite(folder / "a.png", np.full((8, 8), 7, np.uint8))
    imageio.imwrite(folder / "b.png", np.random.default_rng(0).integers(0, 9, (8, 8, 3), np.uint8))
    nan = np.ones((40, 40))
    nan[0, :3] = [np.nan, np.inf, 0]
    np.save(folder / "e.npy", nan)
    dot = np.zeros((40, 40))
    dot[0, 0] = 1
    np.save(folder / "f.npy", dot)
    path.write_text(path.read_text() + "e.npy,Pe,train\nf.npy,Pf,train\n")
    text = refused(ready, path)
    assert "blank, 1 of 6 images: a.png (all 7)" in text
    assert "in colour, 1 of 6 images: b.png" in text
    assert "NaN or infinite voxels, 1 of 6 images: e.npy (2 of 1600)" in text
    assert "f.npy is nearly blank: its percentiles 0.5 and 99.5 are both 0" in text


def test_an_image_that_is_blank_after_cropping_is_refused(ready, write_manifest):
    path = write_manifest(ROWS)
    ring = np.full((12, 12), 200, np.uint8)
    ring[2:10, 2:10] = 0
    imageio.imwrite(path.parent / "a.png", ring)
    assert "a.png (after cropping)" in refused(ready, path, shape=[8, 8])


def test_colour_becomes_gray_when_it_is_asked(ready, write_manifest):
    path = write_manifest(ROWS)
    rgb = np.random.default_rng(1).integers(0, 256, (8, 8, 3), np.uint8)
    imageio.imwrite(path.parent / "a.png", rgb)
    dataset, _ = ready(path, color="gray", percentiles=[0, 100])
    gray = rgb @ np.array([0.2126, 0.7152, 0.0722])
    wanted = (gray - gray.min()) / np.ptp(gray) * 2 - 1
    np.testing.assert_allclose(dataset.split("training").read([0])[0, 0], wanted, atol=1e-6)


def test_the_same_picture_in_two_splits_is_refused(ready, write_manifest):
    path = write_manifest(ROWS)
    shutil.copy(path.parent / "a.png", path.parent / "b.png")
    assert "a.png [training] = b.png [validation]" in refused(ready, path)


def test_the_same_picture_twice_in_training_is_a_note(ready, write_manifest):
    path = write_manifest(ROWS)
    shutil.copy(path.parent / "a.png", path.parent / "c.png")
    _, events = ready(path)
    assert any("identical images within training (1): a.png = c.png" in e.text for e in events)


def test_different_sizes_are_refused_and_the_suggestion_works(ready, write_manifest):
    path = write_manifest(ROWS, shape=(15, 18))
    imageio.imwrite(path.parent / "c.png", np.arange(200, dtype=np.uint8).reshape(10, 20))
    text = refused(ready, path)
    assert "15x18 (3, e.g. a.png), 10x20 (1, e.g. c.png)" in text
    assert text.endswith("--set data.shape=16,16")
    assert ready(path, shape=[16, 16])[0].spec.shape == (16, 16)


def test_volumes_are_turned_and_resampled_when_it_is_asked(ready, tmp_path):
    rng = np.random.default_rng(0)
    lines = ["path,patient_id,split"]
    for i, split in enumerate(["train", "val"]):
        affine = np.diag([-1.0, 1, 2, 1]) if i else np.diag([1.0, 1, 2, 1])
        image = nibabel.Nifti1Image(rng.normal(size=(9, 8, 4)).astype("f4"), affine)
        nibabel.save(image, tmp_path / f"{i}.nii.gz")
        lines.append(f"{i}.nii.gz,{i},{split}")
    (tmp_path / "m.csv").write_text("\n".join(lines))
    kept, events = ready(tmp_path / "m.csv")
    assert kept.spec.spacing == (1, 1, 2)
    assert any("different orientations (1 RAS, 1 LAS)" in e.text for e in events)
    turned, events = ready(tmp_path / "m.csv", orientation="ras")
    assert not any("orientations" in e.text for e in events)
    x, y = kept.split("validation").read([0]), turned.split("validation").read([0])
    assert torch.equal(y, x.flip(2))
    assert torch.equal(turned.split("training").read([0]), kept.split("training").read([0]))
    fine, _ = ready(tmp_path / "m.csv", spacing=[1, 1, 1])
    assert fine.spec == ImageSpec((9, 8, 7), 1, (1, 1, 1))
    assert "2 axes" in refused(ready, tmp_path / "m.csv", shape=[8, 8])


def test_phantoms_are_prepared_like_images(ready):
    small = {"training": 3, "validation": 2, "held_out": 1, "size": 8, "images_per_patient": 2}
    dataset, _ = ready("phantom2d", phantom=small)
    assert dataset.spec == ImageSpec((8, 8), 1, (1.0, 1.0))
    assert dataset.counts()["training"] == {"images": 6, "patients": 3}
    wanted = phantom(0, 1_000_001, 1, dims=2, size=8)
    np.testing.assert_array_equal(dataset.split("validation").read([3])[0], wanted)
    assert dataset.recipe()["phantom"] == 1
    everyone = sum((dataset.split(s).patients for s in dataset.counts()), ())
    assert len(set(everyone)) == 6


def test_a_larger_phantom_training_set_leaves_the_validation_patients_as_they_are(ready):
    few = {"training": 2, "validation": 2, "size": 8}
    first, _ = ready("phantom3d", phantom=few)
    second, _ = ready("phantom3d", phantom=few | {"training": 4})
    assert first.fingerprint != second.fingerprint
    x, y = (d.split("validation").read([0, 1]) for d in (first, second))
    assert torch.equal(x, y) and len(first.split("held_out")) == 0
    assert first.split("held_out").read([]).shape == (0, 1, 8, 8, 8)


def test_phantoms_take_no_shape(ready):
    assert "--set data.phantom.size=48" in refused(ready, "phantom3d", shape=[8, 8, 8])
    assert "no validation set" in refused(ready, "phantom3d", phantom={"validation": 0})


def test_real_volumes_are_prepared(ready, real_data):
    dataset, _ = ready(real_data / "hippocampus" / "manifest.csv", shape=[32, 48, 32])
    assert dataset.spec == ImageSpec((32, 48, 32), 1, (1.0, 1.0, 1.0))
    assert [c["images"] for c in dataset.counts().values()] == [67, 55, 0]
    x = dataset.split("training").read([0, 66])
    assert x.shape == (2, 1, 32, 48, 32) and x.min() == -1 and x.max() == 1


def test_real_pictures_are_prepared_and_the_leaky_split_is_refused(ready, real_data):
    folder = real_data / "chest_xray_64"
    dataset, _ = ready(folder / "manifest.csv")
    assert [c["images"] for c in dataset.counts().values()] == [523, 477, 0]
    text = refused(ready, folder / "manifest_leaky.csv")
    assert text.startswith("30 of 264 patients are in more than one split") and "00000116" in text


def test_real_dicom_series_are_prepared(ready, real_data):
    dataset, _ = ready(real_data / "dicom_series", shape=[32, 48, 32], validation=0.3)
    assert sum(c["images"] for c in dataset.counts().values()) == 3


def test_identical_images_are_told_without_reading_them_again(ready, write_manifest, monkeypatch):
    path = write_manifest([*ROWS, ("e", "P4", "val")], shape=(32, 32))
    (path.parent / "c.png").write_bytes((path.parent / "a.png").read_bytes())  # of one patient
    training = ready(path)[0].split("training")
    wanted = [voxel_hash(training.read([row])[0].numpy()) for row in range(2)]
    monkeypatch.setattr(StoredImages, "read", None)
    assert [row.tobytes() for row in training.hashes] == wanted
    assert identical_images(training.subset([0]), training).tolist() == [True, True]
    validation = ready(path)[0].split("validation")
    assert identical_images(training, validation.subset([1])).tolist() == [False]
