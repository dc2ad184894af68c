"""Images of each group from a source of its own: `list_sources` and what `prepare` makes of it."""

import shutil

import numpy as np
import pytest
import torch

from memtk.config import build
from memtk.data.config import DataConfig
from memtk.data.readers import Readers
from memtk.data.roles import list_sources
from memtk.data.sources import open_source
from memtk.errors import UserError

THREE = "path,patient_id,split\na.png,P1,train\nb.png,P2,val\nc.png,P3,test\nd.png,P4,synthetic\n"


@pytest.fixture
def listed(registry):
    """List images: `listed(source, validation_source=...)` gives the listing."""

    def run(source, **keys):
        keys = {k: str(v) if k.endswith("_source") else v for k, v in keys.items()}
        config = build(DataConfig, {"source": str(source), **keys}, where="data")
        return list_sources(config, Readers(registry))

    return run


@pytest.fixture
def folders(write_pngs, tmp_path):
    """Write a folder of pictures for each group: train 3, val 2, test 2, new 4, equal names."""
    made = {}
    for seed, (name, count) in enumerate({"train": 3, "val": 2, "test": 2, "new": 4}.items()):
        names = [f"{i:03d}" for i in range(count)]
        made[name] = write_pngs(names, folder=tmp_path / name, seed=seed)
    return made


@pytest.fixture
def manifest(write_manifest):
    return write_manifest([(x, "", "") for x in "abcd"], THREE)


def groups(listing):
    return [(row.record.path.stem, row.split) for row in listing.rows]


def message(call, *arguments, **keys):
    with pytest.raises(UserError) as caught:
        call(*arguments, **keys)
    return str(caught.value)


def test_each_folder_gives_its_group_and_equal_file_names_are_different_patients(listed, folders):
    found = listed(folders["train"], validation_source=folders["val"])
    assert [row.split for row in found.rows] == ["training"] * 3 + ["validation"] * 2
    patients = [row.patient for row in found.rows]
    assert len(set(patients)) == 5
    assert patients[0] == "training 000.png" and patients[3] == "validation 000.png"
    assert found.unnamed == ("training", "validation")


def test_a_manifest_gives_the_rows_of_the_group_that_it_is_asked_for(listed, manifest):
    found = listed(
        manifest, validation_source=manifest, held_out_source=manifest, synthetic_source=manifest
    )
    assert groups(found) == [
        ("a", "training"), ("b", "validation"), ("c", "held_out"), ("d", "synthetic"),
    ]  # fmt: skip
    assert not found.unnamed and not found.notes


def test_one_source_alone_gives_its_splits_and_no_synthetic_images(listed, manifest):
    found = listed(manifest)
    assert groups(found) == [("a", "training"), ("b", "validation"), ("c", "held_out")]
    assert found.notes[0].startswith("1 synthetic image is not used: data.synthetic_source")


def test_beside_held_out_images_the_source_gives_training_and_validation(listed, manifest, folders):
    found = listed(manifest, held_out_source=folders["test"])
    assert [row.split for row in found.rows] == ["training", "validation", *["held_out"] * 2]
    assert any("not used, because another source" in n and "1 held out" in n for n in found.notes)


def test_synthetic_images_are_nobodys_and_need_no_patient(listed, folders, write_pngs, tmp_path):
    (folders["new"] / "s.csv").write_text("path\n002.png\n000.png\n")
    found = listed(folders["train"], synthetic_source=folders["new"] / "s.csv")
    rows = [row for row in found.rows if row.split == "synthetic"]
    assert [(r.record.path.stem, r.patient) for r in rows] == [
        ("002", "synthetic 0"), ("000", "synthetic 1"),
    ]  # fmt: skip
    assert not any("synthetic" in note for note in found.notes)
    for row in rows:  # a pattern that would not fit their names is not asked of them
        assert row.split == "synthetic"
    named = write_pngs(["p1_a", "p2_b"], folder=tmp_path / "named")
    kept = listed(named, synthetic_source=folders["new"], patient_pattern=r"(p\d)")
    assert [row.patient for row in kept.rows][:2] == ["p1", "p2"] and len(kept.rows) == 6


def test_a_synthetic_source_that_marks_none_gives_all_its_images(listed, manifest, folders):
    manifest.write_text("path,patient_id,split\na.png,P1,train\nb.png,P2,val\n")
    found = listed(folders["train"], validation_source=folders["val"], synthetic_source=manifest)
    assert [row.split for row in found.rows].count("synthetic") == 2


def test_folders_of_a_synthetic_source_are_no_splits_unless_one_is_called_so(listed, write_pngs):
    place = write_pngs(["r/a", "r/b"])
    mixed = write_pngs(["train/c", "val/d", "e"], folder=place.parent / "mixed")
    everything = listed(place, synthetic_source=mixed)
    assert [r.split for r in everything.rows].count("synthetic") == 3
    write_pngs(["synthetic/f"], folder=mixed)
    marked = listed(place, synthetic_source=mixed)
    assert groups(marked)[-1] == ("f", "synthetic") and len(marked.rows) == 3
    assert groups(listed(mixed)) == [("c", "training"), ("d", "validation")]


def test_real_images_beside_a_folder_of_synthetic_ones_stay_real(listed, write_pngs):
    found = listed(write_pngs(["a", "sub/b", "synthetic/c"]))
    assert groups(found) == [("a", ""), ("b", "")]


def test_a_source_without_images_of_its_group_is_refused_with_what_it_has(listed, manifest):
    manifest.write_text("path,patient_id,split\na.png,P1,train\nb.png,P2,test\n")
    text = message(listed, manifest, validation_source=manifest)
    assert "list.csv has no validation images; by its splits it has 1 training, 1 held out" in text
    assert "Mark some as val" in text
    manifest.write_text("path,patient_id,split\na.png,P1,synthetic\n")
    assert "no real images" in message(listed, manifest)


def test_what_is_wrong_with_a_source_is_said_with_its_group(listed, folders, tmp_path):
    text = message(listed, folders["train"], validation_source=tmp_path / "gone")
    assert text.startswith("the validation images, ") and "there is no such file or folder" in text
    text = message(listed, tmp_path / "lost", validation_source=folders["val"])
    assert text.startswith("the training images, ")
    assert message(listed, tmp_path / "lost").startswith("--data ")


def test_a_column_of_patients_wins_over_the_pattern_that_the_other_source_needs(
    listed, manifest, write_pngs, tmp_path
):
    folder = write_pngs(["p8_1", "p9_1"], folder=tmp_path / "more")
    found = listed(manifest, validation_source=folder, patient_pattern=r"(p\d)_")
    assert [row.patient for row in found.rows] == ["P1", "p8", "p9"] and not found.unnamed
    assert "leave one out" in message(listed, manifest, patient_pattern=r"(p\d)_")


def test_phantoms_stand_beside_no_files(listed, folders, registry):
    text = message(listed, folders["train"], validation_source="phantom2d")
    assert text.startswith("data.validation_source = phantom2d: phantoms are made with all")
    config = DataConfig(source="phantom2d", synthetic_source=str(folders["new"]))
    text = message(open_source, config, registry)
    assert (
        text.startswith("data.synthetic_source is for images in files") and "leave it out" in text
    )


def test_a_patient_in_two_sources_is_the_same_patient(ready, manifest, write_manifest):
    other = manifest.with_name("other.csv")
    other.write_text("path,patient_id\nb.png,P1\n")
    text = message(ready, manifest, validation_source=str(other))
    assert text.startswith("1 of 1 patient is in more than one split") and "P1" in text


def test_synthetic_images_are_prepared_in_the_order_of_their_source(ready, folders):
    sources = {
        "validation_source": str(folders["val"]), "synthetic_source": str(folders["new"]),
    }  # fmt: skip
    dataset, _ = ready(folders["train"], **sources)
    assert dataset.counts() == {
        "training": {"images": 3, "patients": 3},
        "validation": {"images": 2, "patients": 2},
        "held_out": {"images": 0, "patients": 0},
        "synthetic": {"images": 4, "patients": 0},
    }
    alone, _ = ready(folders["new"], validation_source=str(folders["val"]))
    wanted = alone.split("training").read(range(4))
    assert torch.equal(dataset.split("synthetic").read(range(4)), wanted)
    assert dataset.split("synthetic").patients == tuple(f"synthetic {i}" for i in range(4))


def test_the_samples_of_a_source_say_which_file_each_synthetic_image_is(ready, folders, registry):
    config = DataConfig(
        source=str(folders["train"]),
        validation_source=str(folders["val"]),
        synthetic_source=str(folders["new"]),
    )
    samples = [s for s in open_source(config, registry).samples if s.split == "synthetic"]
    assert [s.record.path for s in samples] == sorted(folders["new"].glob("*.png"))
    assert [s.name for s in samples][0] == "new/000.png"


def test_data_without_synthetic_images_have_none_and_keep_their_fingerprint(ready, folders):
    dataset, _ = ready(folders["train"], validation=0.4)
    assert list(dataset.counts()) == ["training", "validation", "held_out"]
    assert "data.synthetic_source" in message(dataset.split, "synthetic")


def test_the_fingerprint_of_a_data_set_is_what_it_was_when_results_were_published(ready, tmp_path):
    folder = tmp_path / "fixed"
    folder.mkdir()
    rng = np.random.default_rng(0)
    for i in range(3):
        np.save(folder / f"{i}.npy", rng.integers(0, 9, (8, 8)).astype(np.int16))
    (folder / "m.csv").write_text(
        "path,patient_id,split\n0.npy,A,train\n1.npy,B,val\n2.npy,C,val\n"
    )
    first, _ = ready(folder / "m.csv")
    assert first.fingerprint == "640a0b8e162ca5164e9b98b49562613b"
    shutil.copy(folder / "0.npy", folder / "3.npy")
    synthetic, _ = ready(folder / "m.csv", synthetic_source=str(folder / "3.npy"))
    assert synthetic.fingerprint != first.fingerprint


def test_the_recipe_says_of_which_images_nothing_says_whose_they_are(ready, manifest, folders):
    said, _ = ready(manifest, validation_source=str(folders["val"]))
    assert said.recipe()["patients"] == (
        "unknown of the validation images: each image counts as one"
    )
    assert ready(manifest)[0].recipe()["patients"] == "as named"


def test_sources_on_two_drives_have_no_folder_above_them(listed, folders, monkeypatch):
    def apart(paths):
        raise ValueError("Paths don't have the same drive")

    monkeypatch.setattr("os.path.commonpath", apart)
    assert listed(folders["train"], validation_source=folders["val"]).root == folders["train"]
