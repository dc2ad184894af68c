"""What lies in a folder: labels, other people's names and layouts, links, and nothing uncounted."""

from __future__ import annotations

import os

import numpy as np
import pytest

from memtk.data.labels import looks_like_labels, names_labels
from memtk.errors import UserError

FOUND = "images are found"
SPLIT = "each patient is in one split"


def counts(groups):
    return {name: g.images for name, g in groups.items() if g.images}


# labels


@pytest.mark.parametrize(
    "name",
    ["labelsTr/case_000.nii.gz", "masks/1.nii.gz", "p1_seg.nii.gz", "p1_mask.nii", "label0001.nii",
     "segmentation-3.nii", "sub-01_dseg.nii.gz", "MCU_leftMask.nii", "gt/1.nii", "ground_truth.nii",
     "BraTS2021_00000_seg.nii.gz", "sub-01_desc-brain_mask.nii.gz", "ManualMask/1.nii"],
)  # fmt: skip
def test_labels_are_left_out_by_their_names_and_said(tmp_path, image, nii, check, name):
    for i in range(3):
        nii(tmp_path / f"scan{i}.nii.gz", image(i, (8, 9, 7), 1000, np.int16))
    nii(tmp_path / name, image(9, (8, 9, 7), 1000, np.int16))
    groups, found = check(tmp_path, validation=0)
    assert counts(groups) == {"training": 3}
    assert "labels or masks, by their names" in found[FOUND].found
    kept, _ = check(tmp_path, validation=0, labels="keep", patient_pattern="(.)")
    assert counts(kept) == {"training": 4}


@pytest.mark.parametrize(
    "name", ["images", "segmented_t1.nii", "masked.png", "roman.png", "imaging.nii.gz", "flagged"]
)
def test_names_that_only_resemble_labels_are_images(name):
    assert not names_labels(name) and not names_labels(name, folder=True)


def test_a_folder_of_nothing_but_labels_is_refused(tmp_path, image, nii, check):
    nii(tmp_path / "d" / "masks" / "1.nii", image(1, (8, 9, 7)))
    found = check(tmp_path / "d")[1][FOUND]
    assert found.outcome == "refused" and "masks/ (1 files)" in found.found


def test_a_manifest_that_names_labels_is_refused_with_the_way_out(tmp_path, image, nii, check):
    nii(tmp_path / "labelsTr" / "1.nii", image(1, (8, 9, 7)))
    (tmp_path / "m.csv").write_text("path,patient_id\nlabelsTr/1.nii,1\n")
    found = check(tmp_path / "m.csv")[1][FOUND]
    assert found.outcome == "refused" and "data.labels=keep" in found.found


@pytest.mark.parametrize("values", [2, 4, 14])
def test_label_maps_are_known_by_their_voxels(tmp_path, image, png, check, values):
    from PIL import Image

    for i in range(4):
        png(tmp_path / f"{i}.png", i, (64, 64))
        Image.fromarray(image(9 + i, (64, 64)) // (256 // values + 1)).save(tmp_path / f"x{i}.png")
    found = check(tmp_path, validation=0)[1]["images are no label maps"]
    assert found.outcome == "refused" and "4 of 8 images" in found.found
    kept = check(tmp_path, validation=0, labels="keep")[1]["images are no label maps"]
    assert kept.outcome == "accepted"


def test_images_of_many_values_or_of_fractions_are_no_label_maps(image):
    assert not looks_like_labels(image(1, (64, 64)))
    assert not looks_like_labels((image(1, (64, 64)) // 100) / 3)
    assert looks_like_labels((image(1, (64, 64)) // 100).astype(float))


def test_arrays_named_like_labels_or_tables_are_left_out(tmp_path, image, check):
    for i in range(3):
        mask = (image(i) > 99).astype("u1")
        np.savez(tmp_path / f"{i}.npz", image=image(i), label=mask, affine=np.eye(4), seg=mask)
    groups, found = check(tmp_path, validation=0)
    assert counts(groups) == {"training": 3}
    assert "3 arrays that describe an image" in found[FOUND].found


# patients


@pytest.mark.parametrize(
    ("one", "other"),
    [("{:08d}", "{}"), ("{}", "{}.0"), ("p{:02d}", "P{:02d}"), ("sub-{:02d}", "{:02d}"),
     ("{:04d}", "'{:04d}"), ("P_{}", "p-{}"), ("P{}", "Ｐ{}"), ("A{:03d}b", "a{}B"),
     ("é{}", "e\u0301{}"), ("P-{:02d}", "P{}"), ("P{}\u200b", "P{}"), ("\ufeffP{}", "P{}"),
     ("P\u00ad{}", "P{}"), ("P{}\u200e", "P{}"), ("{},0", "{}"), ("P{}.0", "P{}"), ("#{}", "{}"),
     ("patient {}", "{}"), ("ID_{}", "{}"), ("P{}.", "P{}"), ("({})", "{}"), ("P.{}", "P{}"),
     ("[{}]", "{}"), ("Doe, J {}", "Doe J{}"), ("Doe^J{}", "Doe_J {:02d}"), ("site/{}", "site-{}")],
)  # fmt: skip
def test_one_patient_in_two_spellings_is_refused(tmp_path, png, check, one, other):
    for i in range(8):
        png(tmp_path / f"{i}.png", i)
    for name, form, first in (("t", one, 0), ("v", other, 4)):
        rows = "".join(f'{first + i}.png,"{form.format(i + 1)}"\n' for i in range(4))
        (tmp_path / f"{name}.csv").write_text("path,patient_id\n" + rows, encoding="utf-8")
    found = check(tmp_path / "t.csv", validation_source=str(tmp_path / "v.csv"))[1][SPLIT]
    assert found.outcome == "refused"
    assert "4 patients" in found.found or "4 of 4 patients" in found.found


@pytest.mark.parametrize(
    ("one", "other"),
    [("1-11", "11-1"), ("P10", "P1"), ("A1", "B1"), ("A1-1", "A11"), ("P1A2", "P12"), ("1.5", "15"),
     ("का1", "की1"), ("id", "case")],
)  # fmt: skip
def test_patients_who_differ_stay_apart(tmp_path, png, check, one, other):
    png(tmp_path / "0.png", 0)
    png(tmp_path / "1.png", 1)
    rows = f"path,patient_id,split\n0.png,{one},train\n1.png,{other},val\n"
    (tmp_path / "m.csv").write_text(rows)
    assert check(tmp_path / "m.csv")[1][SPLIT].outcome == "accepted"


@pytest.mark.parametrize(
    "word",
    [
        "nan",
        "NA",
        "None",
        "n/a",
        "<NA>",
        "unknown",
        "-",
        '" "',
        "NULL",
        "N.A.",
        "??",
        "---",
        "—",
        "_",
        ".",
        "<NULL>",
        "not known",
        "N / A",
        "#REF!",
        "#VALUE!",
        "[]",
        "Anonymous",
        "ｎａｎ",
        "n\u200ba",
    ],
)
def test_a_missing_patient_is_nobody(tmp_path, png, check, word):
    png(tmp_path / "0.png", 0)
    (tmp_path / "m.csv").write_text(f"path,patient_id\n0.png,{word}\n")
    found = check(tmp_path / "m.csv")[1][FOUND]
    assert found.outcome == "refused" and "line 2: the patient_id is" in found.found


# layouts


def nih(folder, png, count=24):
    names = [f"{i + 1:08d}_{k:03d}.png" for i in range(count) for k in range(2)]
    for seed, name in enumerate(names):
        png(folder / "images" / name, seed)
    (folder / "test_list.txt").write_text("\n".join(names[-12:]))


@pytest.mark.parametrize("stray", ["extra.png", "montage.PNG", "a/b.png"])
def test_a_stray_file_does_not_hide_a_known_layout(tmp_path, png, check, stray):
    nih(tmp_path, png)
    before, _ = check(tmp_path)
    png(tmp_path / stray, 999)
    groups, found = check(tmp_path)
    assert groups == before and groups["held_out"].images == 12
    assert f"1 images are not named so and are left out: {stray}" in found[FOUND].found


def test_a_layout_that_only_some_names_fit_is_not_guessed(tmp_path, png, check):
    nih(tmp_path, png, 4)
    for i in range(4):
        png(tmp_path / f"x{i}.png", 99 + i)
    found = check(tmp_path)[1][FOUND]
    assert found.outcome == "refused" and "x0.png" in found.found
    assert "data.patient_pattern" in found.found


def test_a_pattern_does_not_hide_the_list_of_test_images(tmp_path, png, check):
    nih(tmp_path, png)
    groups, _ = check(tmp_path, patient_pattern="^([0-9]+)_")
    assert groups["held_out"].images == 12


def test_upper_case_suffixes_are_nihs_too(tmp_path, png, check):
    nih(tmp_path, png, 6)
    path = tmp_path / "images" / "00000001_000.png"
    path.rename(path.with_suffix(".PNG"))
    assert "NIH ChestX-ray14: the patient is read" in check(tmp_path)[1][FOUND].found


def test_a_list_that_names_nothing_is_said(tmp_path, png, check):
    nih(tmp_path, png, 6)
    (tmp_path / "test_list.txt").write_text("other.png\n")
    assert "test_list.txt is not used: it names none" in check(tmp_path)[1][FOUND].found


def test_subjects_of_bids_are_patients_and_derivatives_are_left_out(tmp_path, image, nii, check):
    for i in range(6):
        for s in (1, 2):
            name = f"sub-{i:02d}/ses-{s:02d}/anat/sub-{i:02d}_ses-{s:02d}_T1w.nii.gz"
            path = nii(tmp_path / name, image(10 * i + s, (8, 8, 8), 1000, np.int16))
            path.with_name(path.name.replace(".nii.gz", ".json")).write_text("{}")
    copy = tmp_path / "derivatives/fmriprep/sub-00/anat/sub-00_desc-preproc_T1w.nii.gz"
    nii(copy, image(3, (8, 8, 8), 1000, np.int16))
    groups, found = check(tmp_path, validation=0)
    assert (groups["training"].images, groups["training"].patients) == (12, 6)
    assert "BIDS: the patient is read" in found[FOUND].found and "derivatives" in found[FOUND].found


@pytest.mark.parametrize("description", [None, '{"channel_names": {"0": "T1", "1": "T2"}}'])
def test_cases_of_nnunet_are_patients(tmp_path, image, nii, check, description):
    for i in range(5):
        for c in (0, 1):
            path = tmp_path / "imagesTr" / f"case_{i:03d}_{c:04d}.nii.gz"
            nii(path, image(10 * i + c, (8, 8, 8), 1000, np.int16))
        nii(tmp_path / "labelsTr" / f"case_{i:03d}.nii.gz", np.ones((8, 8, 8), np.uint8))
    if description:
        (tmp_path / "dataset.json").write_text(description)
    groups, found = check(tmp_path, validation=0)
    assert (groups["training"].images, groups["training"].patients) == (10, 5)
    assert "not used: labelsTr: 5 files" in found[FOUND].found


def test_a_description_nested_beyond_all_measure_is_no_error(tmp_path, image, nii, check):
    nii(tmp_path / "imagesTr" / "h_1.nii", image(1, (8, 8, 8)))
    (tmp_path / "dataset.json").write_text("[" * 100_000)
    assert counts(check(tmp_path, validation=0)[0]) == {"training": 1}


# nothing uncounted


def test_links_to_folders_are_followed_once(tmp_path, png, check):
    for i in range(4):
        png(tmp_path / "store" / f"p{i}" / "a.png", i)
    (tmp_path / "train").mkdir()
    for i in range(4):
        os.symlink(tmp_path / "store" / f"p{i}", tmp_path / "train" / f"p{i}")
    os.symlink(tmp_path / "train", tmp_path / "train" / "loop")
    os.symlink(tmp_path, tmp_path / "train" / "above")
    os.symlink(tmp_path / "store" / "p0", tmp_path / "train" / "twice")
    groups, found = check(tmp_path / "train", validation=0)
    assert counts(groups) == {"training": 4}
    assert "3 links to folders that are read anyway: above, loop, twice" in found[FOUND].found


def test_a_link_to_nothing_is_refused(tmp_path, png, check):
    png(tmp_path / "a.png", 1)
    os.symlink(tmp_path / "gone.png", tmp_path / "b.png")
    found = check(tmp_path)[1][FOUND]
    assert found.outcome == "refused" and "b.png: it is a link to nothing" in found.found


def test_a_pipe_among_the_images_is_refused_and_not_waited_for(tmp_path, png, check):
    png(tmp_path / "a.png", 1)
    os.mkfifo(tmp_path / "b.png")
    found = check(tmp_path)[1][FOUND]
    assert found.outcome == "refused" and "b.png: it is no plain file" in found.found


@pytest.mark.parametrize("source", ["/dev/zero", "/proc", "/dev/stdin", "/proc/self/mem", "/sys"])
def test_devices_and_folders_of_the_system_are_no_sources(check, source):
    assert check(source)[1][FOUND].outcome == "refused"


def test_hidden_files_are_counted(tmp_path, png, check):
    png(tmp_path / "a.png", 1)
    for name in (".DS_Store", "._a.png", "Thumbs.db"):
        (tmp_path / name).write_bytes(b"x")
    found = check(tmp_path, validation=0)[1][FOUND]
    assert "3 hidden files or folders: .DS_Store, ._a.png, Thumbs.db" in found.found


@pytest.mark.parametrize("where", ["made", "", "d"])
def test_a_name_that_is_not_utf_8_is_spelled_out(tmp_path, png, check, where):
    png(tmp_path / "a.png", 1)
    folder = os.path.join(os.fsencode(tmp_path), where.encode())
    os.makedirs(folder, exist_ok=True)
    path = os.fsencode(png(tmp_path / "b.png", 2))
    os.rename(path, os.path.join(folder, b"M\xfcller.png"))
    found = check(tmp_path)[1][FOUND]
    assert found.outcome == "refused" and "ller.png: its name is not in UTF-8" in found.found
    found.found.encode()


# manifests of other people


def test_empty_columns_of_a_spreadsheet_are_left_out(tmp_path, png, check):
    for i in range(3):
        png(tmp_path / f"{i}.png", i)
    rows = "".join(f"{i}.png,P{i},train,,\n" for i in range(3))
    (tmp_path / "m.csv").write_text("path,patient_id,split,,\n" + rows)
    assert counts(check(tmp_path / "m.csv")[0]) == {"training": 3}


def test_somebody_elses_manifest_in_a_folder_is_left_alone(tmp_path, png, check):
    png(tmp_path / "a.png", 1)
    (tmp_path / "manifest.csv").write_text("Subject ID,File Location\nx,y\n")
    groups, found = check(tmp_path, validation=0)
    assert counts(groups) == {"training": 1}
    assert "manifest.csv has no column 'path' and is not used" in found[FOUND].found


@pytest.mark.parametrize(
    ("header", "words"),
    [("File Location,Subject ID", "Rename 'file location' to 'path' and 'subject id' to"),
     ("Image Index,Patient ID", "'image index' to 'path' and 'patient id' to 'patient_id'"),
     ("filename,patient,fold", "'filename' to 'path' and 'patient' to 'patient_id' and 'fold'"),
     ("path;patient_id", "Separate the columns by commas")],
)  # fmt: skip
def test_other_peoples_columns_are_to_be_renamed(tmp_path, check, header, words):
    (tmp_path / "m.csv").write_text(f"{header}\na,b\n")
    assert words in check(tmp_path / "m.csv")[1][FOUND].found


def test_backslashes_part_folders(tmp_path, png, check):
    png(tmp_path / "im" / "a.png", 1)
    (tmp_path / "m.csv").write_text("path,patient_id\nim\\a.png,1\n")
    assert counts(check(tmp_path / "m.csv", validation=0)[0]) == {"training": 1}
    (tmp_path / "m.csv").write_text("path,patient_id\nC:\\im\\a.png,1\n")
    assert "It is a path of Windows" in check(tmp_path / "m.csv")[1][FOUND].found


@pytest.mark.parametrize("name", ["x" * 300 + ".png", "a\0b.png", "d/" * 3000 + "a.png"])
def test_names_that_no_file_can_have_are_one_line_each(tmp_path, png, check, name):
    png(tmp_path / "a.png", 1)
    (tmp_path / "m.csv").write_text(f"path,patient_id\n{name},1\na.png,2\n")
    found = check(tmp_path / "m.csv")[1][FOUND]
    assert found.outcome == "refused" and "line 2" in found.found and len(found.found) < 7000


def test_a_table_of_a_hundred_thousand_columns_is_refused_at_once(tmp_path, check):
    (tmp_path / "m.csv").write_text(",".join(["path", *map(str, range(100_000))]) + "\n")
    assert "has 100001 columns" in check(tmp_path / "m.csv")[1][FOUND].found


def test_a_manifest_that_is_a_pipe_is_refused(tmp_path, check):
    os.mkfifo(tmp_path / "m.csv")
    assert "no plain file" in check(tmp_path / "m.csv")[1][FOUND].found


@pytest.mark.parametrize(
    ("name", "way"),
    [("a.nrrd", "NIfTI"), ("a.mha", "NIfTI"), ("a.gif", "PNG"), ("a.zip", "unpack it"),
     ("a.pt", "np.savez"), ("a.xlsx", "CSV"), ("a.svs", "TIFF"), ("a.webp", "PNG")],
)  # fmt: skip
def test_formats_that_are_not_read_come_with_a_way_out(tmp_path, check, name, way):
    (tmp_path / "d").mkdir()
    (tmp_path / "d" / name).write_bytes(b"x" * 300)
    for source in (tmp_path / "d", tmp_path / "d" / name):
        found = check(source)[1][FOUND]
        assert found.outcome == "refused" and way in found.found


@pytest.mark.parametrize(
    ("content", "words"),
    [(b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n", "git lfs pull"),
     (b"/annex/objects/SHA256E-s1--0.nii.gz\n", "git annex get"),
     (b"<!DOCTYPE html><html>sign in</html>", "web page"), (b"", "it is empty")],
)  # fmt: skip
@pytest.mark.parametrize("name", ["a.nii.gz", "a.png", "a.npz", "a.h5", "a.dcm", "a.tif"])
def test_what_stands_in_the_place_of_a_file_is_named(tmp_path, read, name, content, words):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(UserError, match=words):
        read(tmp_path / name)


def test_listing_takes_time_in_proportion(tmp_path, png, registry):
    import time

    from memtk.data.config import DataConfig
    from memtk.data.layouts import read_source
    from memtk.data.readers import Readers

    png(tmp_path / "x.png", 1)
    readers, seconds = Readers(registry), {}
    for count in (500, 3000):
        folder = tmp_path / str(count)
        folder.mkdir()
        for i in range(count):
            os.link(tmp_path / "x.png", folder / f"{i:06d}.png")
        start = time.process_time()
        read_source(str(folder), DataConfig(source=str(folder)), readers)
        seconds[count] = time.process_time() - start
    assert seconds[3000] < 15 * seconds[500] + 0.5
