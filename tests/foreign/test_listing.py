"""What lies in a folder: links, previews, other formats, and nothing uncounted."""

from __future__ import annotations

import gzip
import os
from unicodedata import normalize

import h5py
import numpy as np
import pytest

from memtk.errors import UserError

FOUND = "images are found"


def counts(groups):
    return {name: g.images for name, g in groups.items() if g.images}


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
    assert "links to folders that are read anyway (3): above, loop, twice" in found[FOUND].found


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
    assert "hidden files or folders (3): .DS_Store, ._a.png, Thumbs.db" in found.found


@pytest.mark.parametrize(
    "name",
    ["thumbnail.jpg", "preview-1.PNG", "thumbnails/1.png", "Vorschau.png", "a_Preview.png",
     "aperçu.png", "imageThumbnail.png"],
)  # fmt: skip
def test_previews_beside_images_are_left_out_and_said(tmp_path, png, check, name):
    for i in range(4):
        png(tmp_path / f"{i}.png", i)
    png(tmp_path / name, 9, (16, 16))
    groups, found = check(tmp_path, validation=0)
    assert counts(groups) == {"training": 4}
    assert f"left out, previews of images, by their names (1): {name}" in found[FOUND].found


@pytest.mark.parametrize("name", ["preview_{}.png", "thumbnails/{}.png", "thumb_{}.png"])
def test_images_that_are_all_named_so_are_no_previews(tmp_path, png, check, name):
    for i in range(4):
        png(tmp_path / name.format(i), i)
    assert counts(check(tmp_path, validation=0)[0]) == {"training": 4}


@pytest.mark.parametrize("name", ["thumbnails/{}.png", "{}_preview.png", "Vorschau/{}.png"])
@pytest.mark.parametrize("beside", [True, False])
def test_a_manifest_names_no_preview_beside_another_image_of_its_patient(
    tmp_path, png, check, name, beside
):
    small = [png(tmp_path / name.format(i), i, (16, 16)) for i in range(4)]
    whole = [png(tmp_path / "full" / f"{i}.png", i) for i in range(4, 8)]
    rows = [(p, i) for i, p in enumerate(small)]
    rows += [(p, i if beside else i + 4) for i, p in enumerate(whole)]
    lines = [f"{p.relative_to(tmp_path)},{i},{'train' if i % 2 else 'val'}\n" for p, i in rows]
    (tmp_path / "m.csv").write_text("path,patient_id,split\n" + "".join(lines))
    groups, found = check(tmp_path / "m.csv")
    if beside:
        said = f"names 4 previews of images, by their names: {small[0]} (line 2)"
        assert said in found[FOUND].found and found[FOUND].found.endswith("Leave them out")
    else:
        assert counts(groups) == {"training": 4, "validation": 4}


@pytest.mark.parametrize("cells", ["0.png,a\0b,x", "0.png,a,\0", "0\0.png,a,x"])
def test_a_manifest_with_a_nul_is_no_text(tmp_path, png, check, cells):
    png(tmp_path / "0.png", 0)
    (tmp_path / "m.csv").write_text(f"path,patient_id,site\n{cells}\n")
    found = check(tmp_path / "m.csv")[1][FOUND]
    assert found.outcome == "refused" and "Its line 2 has a NUL" in found.found


@pytest.mark.parametrize("name", ["@eaDir", "__MACOSX", "#recycle", "$RECYCLE.BIN", ".Trashes"])
def test_previews_and_trash_of_systems_are_no_images(tmp_path, png, check, name):
    png(tmp_path / "a.png", 1)
    png(tmp_path / name / "a.png" / "THUMB_M.png", 2)
    groups, found = check(tmp_path, validation=0)
    assert counts(groups) == {"training": 1}
    assert f"hidden files or folders (1): {name}" in found[FOUND].found


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-16-be", "utf-32-le"])
def test_a_table_in_other_signs_than_utf_8_is_refused_with_the_way_out(tmp_path, check, encoding):
    (tmp_path / "m.csv").write_bytes("path,patient_id\na.png,1\n".encode(encoding))
    assert "save it as CSV (UTF-8)" in check(tmp_path / "m.csv")[1][FOUND].found


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
     ("person_id,local_path", "'local_path' to 'path' and 'person_id' to 'patient_id'"),
     ("record_id,age", "Rename the one that names the files to 'path'"),
     ("Datei,Patienten-ID", "'datei' to 'path' and 'patienten-id' to 'patient_id'"),
     ("fichier,id_patient,x", "'fichier' to 'path' and 'id_patient' to 'patient_id'"),
     ("Nombre archivo,Paciente", "'nombre archivo' to 'path' and 'paciente' to 'patient_id'"),
     ("文件名,患者编号", "'文件名' to 'path' and '患者编号' to 'patient_id'"),
     ("ファイル名,患者ID", "'ファイル名' to 'path' and '患者id' to 'patient_id'"),
     ("файл,пациент,a", "'файл' to 'path' and 'пациент' to 'patient_id'"),
     ("Aufnahme,ID_patient", "'id_patient' to 'patient_id'. Rename the one that names the files"),
     ("path，patient_id", "Separate the columns by commas"),
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


@pytest.mark.parametrize("name", ["train.txt", "dataset.json", "a.jsonl", "a.xml", "a.feather"])
def test_a_list_of_images_in_another_format_is_to_be_a_csv(tmp_path, png, check, name):
    png(tmp_path / "a.png", 1)
    (tmp_path / name).write_text("a.png")
    found = check(tmp_path / name)[1][FOUND]
    assert found.outcome == "refused" and "save it as CSV, with the columns path" in found.found
    assert "1 file is no image by its name" in check(tmp_path, validation=0)[1][FOUND].found


@pytest.mark.parametrize(
    ("content", "words"),
    [(b"II+\0\x08\0\0\0", "put .tif behind"), (b"MM\0+\0\x08\0\0", "put .tif behind"),
     (b"GIF89a", "save it as PNG"), (b"RIFF1234WEBPVP8 ", "save it as PNG"),
     (b"RIFF1234AVI LIST", "save its frames"), (b"MATLAB 5.0 MAT-file", "np.savez"),
     (b"NRRD0004\n", "NIfTI"), (b"CDF\x01", "np.savez"),
     (b"PK\3\4" + bytes(26) + b"a.png", "unpack it"), (gzip.compress(b"a", mtime=0), "unpack"),
     (bytes(4) + b"n+2\0" + bytes(400), "put .nii behind"),
     (gzip.compress(bytes(344) + b"n+1\0" + bytes(9), mtime=0), "put .nii.gz behind"),
     (b"PK\3\4" + bytes(26) + b"images.npy", "put .npz behind")],
)  # fmt: skip
def test_a_file_without_a_suffix_is_told_by_its_content(tmp_path, check, content, words):
    (tmp_path / "IM01").write_bytes(content)
    found = check(tmp_path / "IM01")[1][FOUND]
    assert found.outcome == "refused" and "by its content it is" in found.found
    assert words in found.found


@pytest.mark.parametrize(
    "content", [b"BMI of all patients", b"RIFFs", b"PAR", b"\x1f", b"CDF of ages", b"MATLAB code"]
)
def test_a_text_that_begins_like_a_picture_is_none(tmp_path, check, content):
    (tmp_path / "notes").write_bytes(content)
    assert "by its content" not in check(tmp_path / "notes")[1][FOUND].found


@pytest.mark.parametrize("name", ["masks/a.png", "a_seg.png", "gt001.png"])
def test_where_all_images_are_named_like_labels_the_way_out_is_said(tmp_path, png, check, name):
    png(tmp_path / name, 1)
    found = check(tmp_path)[1][FOUND]
    assert found.outcome == "refused" and "say --set data.labels=keep" in found.found
    assert check(tmp_path, labels="keep", validation=0)[0]["training"].images == 1


@pytest.mark.parametrize(
    ("name", "count"),
    [("{}_real_A.png", 2), ("reals{}.png", 2), ("real/{}.png", 2), ("recon_{}.png", 2),
     ("inputs/{}.png", 2), ("realistic{}.png", 0), ("surreal_{}.png", 0)],
)  # fmt: skip
def test_images_named_as_real_ones_among_synthetic_ones_are_said(tmp_path, png, check, name, count):
    for i in range(2):
        for seed, path in enumerate(
            ("train/{}.png", "val/{}.png", "out/fake_{}.png", f"out/{name}")
        ):
            png(tmp_path / path.format(i), 10 * seed + i)
    found = check(
        tmp_path / "train",
        validation_source=str(tmp_path / "val"),
        synthetic_source=str(tmp_path / "out"),
    )[1][FOUND].found
    assert (f"{count} of 4 synthetic images are named as real ones" in found) == bool(count)


@pytest.mark.parametrize("name", ["IMG0001", "scan.001"])
@pytest.mark.parametrize("suffix", [".png", ".jpg", ".tif", ".npy", ".nii", ".h5", ".bmp"])
def test_images_without_a_suffix_are_said_with_the_suffix_that_they_need(
    tmp_path, png, image, nii, check, name, suffix
):
    path = tmp_path / f"a{suffix}"
    if suffix == ".npy":
        np.save(path, image(1))
    elif suffix == ".nii":
        nii(path, image(1, (8, 9, 7)))
    elif suffix == ".h5":
        with h5py.File(path, "w") as file:
            file["images"] = image(1)[None]
    else:
        png(path, 1)
    (tmp_path / "d").mkdir()
    path.rename(tmp_path / "d" / name)
    for source in (tmp_path / "d", tmp_path / "d" / name):
        found = check(source)[1][FOUND]
        assert found.outcome == "refused" and f"put {suffix} behind its name" in found.found
    png(tmp_path / "d" / "b.png", 2)
    (tmp_path / "d" / "LICENSE").write_text("free")
    said = check(tmp_path / "d", validation=0)[1][FOUND].found
    assert "1 file may hold images that memtk does not read" in said
    assert "1 file is no image by its name and is left out: 1 LICENSE" in said


@pytest.mark.parametrize("source", ["https://host/a.zip", "s3://bucket/images", "gs://b/a.npz"])
def test_an_address_is_no_source_and_says_the_way_out(check, source):
    found = check(source)[1][FOUND]
    assert found.outcome == "refused" and "It is an address: fetch the files" in found.found


def test_images_in_other_formats_beside_images_are_not_called_no_images(tmp_path, png, check):
    png(tmp_path / "a.png", 1)
    for name in ("b.hdr", "b.img", "c.csv", "d.xlsx", "LICENSE"):
        (tmp_path / name).write_bytes(b"x")
    said = check(tmp_path, validation=0)[1][FOUND].found
    assert (
        "2 files may hold images that memtk does not read and are left out: 1 .hdr, 1 .img" in said
    )
    assert "3 files are no images by their names and are left out: 1 .csv, 1 .xlsx" in said


@pytest.mark.parametrize(
    "before", ["sep=,\n", "SEP=,\n", "\ufeff", "\ufeff\ufeff", "\ufeffsep=,\n"]
)
def test_what_excel_puts_before_the_columns_is_no_column(tmp_path, png, check, before):
    png(tmp_path / "a.png", 1)
    (tmp_path / "m.csv").write_text(before + "path,patient_id\na.png,1\n", encoding="utf-8")
    assert counts(check(tmp_path / "m.csv", validation=0)[0]) == {"training": 1}


@pytest.mark.parametrize(("there", "said"), [("NFD", "NFC"), ("NFC", "NFD")])
def test_a_file_is_found_in_either_form_of_its_letters(tmp_path, png, check, there, said):
    png(tmp_path / normalize(there, "Müller") / normalize(there, "é.png"), 1)
    text = f"path,patient_id\n{normalize(said, 'Müller/é.png')},1\n"
    (tmp_path / "m.csv").write_text(text, encoding="utf-8")
    assert counts(check(tmp_path / "m.csv", validation=0)[0]) == {"training": 1}


@pytest.mark.parametrize("path", ["Set-v1/train/a.png", "Set-v1\\train\\a.png"])
def test_paths_that_begin_a_folder_higher_come_with_the_way_out(tmp_path, png, check, path):
    png(tmp_path / "Set-v1" / "train" / "a.png", 1)
    (tmp_path / "Set-v1" / "train.csv").write_text(f"path,patient_id\n{path},1\n")
    found = check(tmp_path / "Set-v1" / "train.csv")[1][FOUND]
    assert found.outcome == "refused" and "move it one folder up" in found.found
    (tmp_path / "Set-v1" / "train.csv").rename(tmp_path / "train.csv")
    assert counts(check(tmp_path / "train.csv", validation=0)[0]) == {"training": 1}


@pytest.mark.parametrize(
    ("content", "words"),
    [(b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n", "git lfs pull"),
     (b"/annex/objects/SHA256E-s1--0.nii.gz\n", "git annex get"),
     (b"<!DOCTYPE html><html>sign in</html>", "web page"), (b"", "it is empty"),
     (bytes(128) + b"DICM" + bytes(9), "(give it the suffix .dcm|a.dcm)")],
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
