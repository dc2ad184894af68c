"""Whose images are, by tables and by the names of other people's layouts."""

from __future__ import annotations

import numpy as np
import pytest

FOUND = "images are found"
SPLIT = "each patient is in one split"


def counts(groups):
    return {name: g.images for name, g in groups.items() if g.images}


# patients


@pytest.mark.parametrize(
    ("one", "other"),
    [("{:08d}", "{}"), ("{}", "{}.0"), ("p{:02d}", "P{:02d}"), ("sub-{:02d}", "{:02d}"),
     ("{:04d}", "'{:04d}"), ("P_{}", "p-{}"), ("P{}", "Ｐ{}"), ("A{:03d}b", "a{}B"),
     ("é{}", "e\u0301{}"), ("P-{:02d}", "P{}"), ("P{}\u200b", "P{}"), ("\ufeffP{}", "P{}"),
     ("P\u00ad{}", "P{}"), ("P{}\u200e", "P{}"), ("{},0", "{}"), ("P{}.0", "P{}"), ("#{}", "{}"),
     ("patient {}", "{}"), ("ID_{}", "{}"), ("P{}.", "P{}"), ("({})", "{}"), ("P.{}", "P{}"),
     ("sub-OAS3000{}", "OAS3000{}"), ("Patient AB{}", "AB{}"), ("patient id: {}", "{}"),
     ("{},000", "{}000"), ("{}'000", "{}000"), ("Subject no. B{:02d}", "b{}"), ("{}.000", "{}"),
     ("P.I.D. {}", "{}"), ("n° {}", "{}"),
     ("b'p{}'", "p{}"), ("b\"\"p{}\"\"", "P0{}"), ("np.bytes_(b'p{}')", "p{}"),
     ("tensor({})", "{}"), ("tensor([{}.], dtype=torch.float64)", "{}"), ("array({})", "{:03d}"),
     ("np.int64({})", "{}"), ("np.str_('p{}')", "p{}"), ("np.float64({}.0)", "{}"),
     ("{}E+00", "{}"), ("{}e3", "{}000"), ("{}.5e3", "{}500"), ("{}E3", "{}E-3"),
     ("case_{:05d}.nii.gz", "case_{:05d}"), ("p{}.dcm", "P{}"), ("b'p{}.png'", "p{}"),
     ("[{}]", "{}"), ("Müller {}", "MULLER{}"), ("Núñez-{}", "Nunez {}"),
     ("{{6ba7b81{}-9dad-11d1-80b4-00c04fd430c8}}", "6BA7B81{}9DAD11D180B400C04FD430C8"),
     ("Doe, J {}", "Doe J{}"), ("Doe^J{}", "Doe_J {:02d}"), ("site/{}", "site-{}"),
     ("А{}", "A{}"), ("РАТ-{}", "PAT-{}"), ("Β{}", "B{}"), ("ı{}", "i{}"), ("Ο{}", "o{}")],
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
     ("का1", "की1"), ("id", "case"), ("1,000", "1"), ("1,000", "1.000"), ("12,000", "12"),
     ("1'000", "1"), ("case A", "A"), ("Pat Smith", "Smith"), ("K A", "KA"),
     ("0e12", "0e34"), ("tensor(7)", "tensor(8)"), ("1E3", "1E4"), ("case_1.nii", "case_2.nii"),
     ("b'p7'", "p8"), ("12e345", "12000"), ("int7", "7"), ("Müller", "Mueller"),
     ("6ba7b810-9dad-11d1-80b4-00c04fd430c8", "6ba7b811-9dad-11d1-80b4-00c04fd430c8")],
)  # fmt: skip
def test_patients_who_differ_stay_apart(tmp_path, png, check, one, other):
    png(tmp_path / "0.png", 0)
    png(tmp_path / "1.png", 1)
    rows = f'path,patient_id,split\n0.png,"{one}",train\n1.png,"{other}",val\n'
    (tmp_path / "m.csv").write_text(rows)
    assert check(tmp_path / "m.csv")[1][SPLIT].outcome == "accepted"


@pytest.mark.parametrize(
    "name",
    ["sub-{p:02d}_ses-{n}", "OAS3{p:04d}_MR_d012{n}", "P{p}_visit{n}", "case{p}_slice_{n:03d}",
     "{p:04d}_{side}", "P_{p:05d}_{side}_MLO", "{p}-{eye}", "S{p} session {n} run-1", "P{p}-V{n}",
     "{p}_v0{n}", "K{p}_tp{n}", "K{p}-week-{n}", "A{p}_v.{n}"],
)  # fmt: skip
def test_sessions_sides_and_slices_of_one_patient_in_two_splits_are_refused(
    tmp_path, png, check, name
):
    for n, split in enumerate(("train", "val")):
        for p in range(1, 4):
            png(tmp_path / f"{p}{n}.png", 10 * n + p)
            said = name.format(p=p, n=n, side=("LEFT", "r")[n], eye=("OD", "OS")[n])
            with (tmp_path / "m.csv").open("a") as file:
                file.write("path,patient_id,split\n" * (p == 1 and n == 0))
                file.write(f"{p}{n}.png,{said},{split}\n")
    found = check(tmp_path / "m.csv")[1][SPLIT]
    assert found.outcome == ("accepted" if "v." in name else "refused")
    assert "v." in name or "3 patients of two splits differ only in a session" in found.found
    assert "v." in name or "data.patient_pattern=REGEX" in found.way_out


def test_the_views_in_the_place_of_patients_in_headers_are_one_patients(
    tmp_path, dcm, image, check
):
    for n in range(8):
        kind = ("Mass-Training", "Calc-Test")[n % 2]
        patient = f"{kind}_P_0000{n // 2}_{('LEFT', 'RIGHT')[n % 2]}_CC{('', '_1')[n // 4]}"
        asked = {"patient": patient, "series": f"1.2.{n}", "modality": "MG"}
        dcm(tmp_path / str(n) / "1-1.dcm", image(n, top=4000, dtype=np.uint16), **asked)
    assert check(tmp_path, validation=0)[0]["training"].patients == 4


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
        "#N/A N/A",
        "-1.#IND",
        "1.#QNAN",
        "not applicable",
        "Unspecified",
        *("1.23457E+12", '"1,23457E+12"', "9.0E+15", "1.00012e+11", "2.5e+06", "True", "false"),
        *("12-Mar", "1-Jan", "Mar-45", "12. Mrz", "Dez 07"),
        *("unbekannt", "Inconnu", "DESCONOCIDO", "sconosciuto", "onbekend", "未知", "匿名", "不明"),
        *("unknown patient", "Not recorded", "TBA", "TBC", "pd.NA", "ohne Angabe", "sin dato"),
        *("k.A.", "k. A.", "s/n", "N/K", "n.d.", "o.A.", "Name not given", "no patient ID"),
        *("non renseigné", "desconhecido", "Non-renseigne\u0301", "Keine Angaben", "sin nombre"),
        *("não informado", "nao_consta", "geen naam", "niet bekend", "нет данных", "не указано"),
        *("keine", "k. Angabe", "nicht erhoben", "pas de nom", "ukjent pasient", "not entered yet"),
        *("Patient: unknown", "ID n/a", "NotProvided", "알 수 없음", "okänd", "nichtVorhanden"),
        *("Anonymous", "ANONYMISÉ", "Anónimo", "anonimizzato", "anoniem", "неизвестно"),
    ],
)
def test_a_missing_patient_is_nobody(tmp_path, png, check, word):
    png(tmp_path / "0.png", 0)
    (tmp_path / "m.csv").write_text(f"path,patient_id\n0.png,{word}\n")
    found = check(tmp_path / "m.csv")[1][FOUND]
    assert found.outcome == "refused" and "line 2: the patient_id is" in found.found


def test_what_a_spreadsheet_made_of_a_name_comes_with_the_way_out(tmp_path, png, check):
    png(tmp_path / "0.png", 0)
    (tmp_path / "m.csv").write_text("path,patient_id\n0.png,12-Mar\n")
    said = check(tmp_path / "m.csv")[1][FOUND].found
    assert "'12-Mar': a spreadsheet made it of a name: save that column as text" in said


@pytest.mark.parametrize(
    "name",
    ["KA", "SN", "Nona", "Noor", "Nils", "Noname3", "Unknown 12", "Einar", "Sina", "No7", "ID", "0",
     "Ohnesorg", "Sanson", "Kein7", "Nola", "Patient", "nodule", "Ej", "32-Mar", "March-07",
     "12-MAR", "Jan-7", "Mara-07", "1-2", "1.5e+03", "1.000000000000000000e+00", "Trude"],
)  # fmt: skip
def test_names_that_only_resemble_missing_ones_are_patients(tmp_path, png, check, name):
    png(tmp_path / "0.png", 0)
    (tmp_path / "m.csv").write_text(f"path,patient_id\n0.png,{name}\n")
    assert check(tmp_path / "m.csv", validation=0)[0]["training"].patients == 1


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
    assert f"1 image is not named so, left out: {stray}" in found[FOUND].found


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


@pytest.mark.parametrize(
    "content",
    [
        "{}",
        "images/{}",
        "{:.12}",
        "{} 0 1",
        "images\\{:.12}.jpg",
    ],
    ids=["UTF-16", "paths", "no suffix", "labels", "another suffix"],
)
def test_a_list_of_test_images_is_understood_in_any_form(tmp_path, png, check, content, request):
    nih(tmp_path, png)
    names = (tmp_path / "test_list.txt").read_text().split()
    text = "\r\n".join(content.format(name) for name in names)
    code = "utf-16" if "UTF-16" in request.node.name else "utf-8-sig"
    (tmp_path / "test_list.txt").write_text(text, encoding=code, newline="")
    groups, found = check(tmp_path)
    assert groups["held_out"].images == 12
    assert "held out, 12 images of test_list.txt" in found[FOUND].found


def test_the_list_of_the_other_images_says_which_are_held_out(tmp_path, png, check):
    nih(tmp_path, png)
    names = (tmp_path / "test_list.txt").read_text().split()
    (tmp_path / "test_list.txt").unlink()
    others = [p.name for p in (tmp_path / "images").iterdir() if p.name not in names]
    (tmp_path / "train_val_list.txt").write_text("\n".join(others))
    groups, found = check(tmp_path)
    assert groups["held_out"].images == 12
    assert "held out, 12 images that are not in train_val_list.txt" in found[FOUND].found


@pytest.mark.parametrize("name", ["https://host/a.png", "s3://bucket/a.png", "file:///a.png"])
def test_an_address_in_a_manifest_is_no_file(tmp_path, check, name):
    (tmp_path / "m.csv").write_text(f"path,patient_id\n{name},1\n")
    assert "is an address: " in check(tmp_path / "m.csv")[1][FOUND].found


@pytest.mark.parametrize("top", ["", "rawdata/"])
@pytest.mark.parametrize("sub", ["sub", "SUB"])
def test_subjects_of_bids_are_patients_and_derivatives_are_left_out(
    tmp_path, image, nii, check, top, sub
):
    for i in range(6):
        for s in (1, 2):
            name = f"{top}{sub}-{i:02d}/ses-{s:02d}/anat/{sub}-{i:02d}_ses-{s:02d}_T1w.nii.gz"
            path = nii(tmp_path / name, image(10 * i + s, (8, 8, 8), 1000, np.int16))
            path.with_name(path.name.replace(".nii.gz", ".json")).write_text("{}")
    copy = tmp_path / "derivatives/fmriprep/sub-00/anat/sub-00_desc-preproc_T1w.nii.gz"
    nii(copy, image(3, (8, 8, 8), 1000, np.int16))
    groups, found = check(tmp_path, validation=0)
    assert (groups["training"].images, groups["training"].patients) == (12, 6)
    assert "BIDS: the patient is read" in found[FOUND].found and "derivatives" in found[FOUND].found
    assert f"{sub}-00" not in found[FOUND].found


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
    assert "files beside imagesTr: labelsTr: 5 files" in found[FOUND].found


def test_cases_of_nnunet_are_patients_in_any_folder(tmp_path, image, nii, check):
    for i in range(6):
        for c in (0, 1):
            nii(tmp_path / f"BRATS_{i:03d}_{c:04d}.nii.gz", image(10 * i + c, (8, 8, 8)))
    nii(tmp_path / "extra.nii.gz", image(99, (8, 8, 8)))
    groups, found = check(tmp_path, validation=0.5)
    assert [(groups[n].images, groups[n].patients) for n in ("training", "validation")] == [
        (6, 3),
        (6, 3),
    ]
    assert "left out: extra.nii.gz" in found[FOUND].found


def test_channels_of_one_case_in_training_and_validation_are_refused(tmp_path, image, nii, check):
    for i in range(3):
        for name in (f"train/c_{i}_0000", f"train/c_{i}_0001", f"val/c_{i + 2}_0001"):
            nii(tmp_path / f"{name}.nii.gz", image(sum(name.encode()), (8, 8, 8)))
    found = check(tmp_path)[1][SPLIT]
    assert found.outcome == "refused" and "1 of 5 patients" in found.found


@pytest.mark.parametrize(
    "names",
    [
        [f"{kind}_{i:04d}" for kind in ("benign", "other") for i in range(9)],
        [f"IMG_{i:04d}" for i in range(4)],
        [f"p{i}/{kind}_0000" for i in range(4) for kind in ("t1", "t2")],
    ],
)
def test_numbered_images_that_are_no_channels_stay_patients_of_their_own(
    tmp_path, png, check, names
):
    for seed, name in enumerate(names):
        png(tmp_path / f"{name}.png", seed)
    assert check(tmp_path, validation=0)[0]["training"].patients == len(names)


def test_every_file_beside_the_images_of_the_decathlon_is_counted(tmp_path, image, nii, check):
    for name in ("imagesTr/a", "imagesTr/b", "imagesTs/c", "labelsTr/a", ".hid/x", "extra"):
        nii(tmp_path / f"{name}.nii.gz", image(1, (8, 8, 8)))
    (tmp_path / "notes.txt").write_text("")
    found = check(tmp_path, validation=0)[1][FOUND].found
    assert "left out, 5 files beside imagesTr: .hid: 1 file, imagesTs: 1 file" in found
    assert "extra.nii.gz, notes.txt" in found


def test_every_file_beside_the_plane_of_mrnet_is_counted(tmp_path, check):
    for name in ("train/sagittal/1", "valid/sagittal/2", "train/axial/1", "train/stray", "test/a",
                 "stray"):  # fmt: skip
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        np.save(tmp_path / f"{name}.npy", np.arange(512, dtype=np.uint8).reshape(8, 8, 8))
    (tmp_path / "train-acl.csv").write_text("1,0\n")
    found = check(tmp_path, validation=0)[1][FOUND].found
    assert "left out, 2 files beside train/sagittal: axial: 1 file, stray.npy" in found
    assert "left out, 3 files beside train and valid: test: 1 file, stray.npy, train-acl" in found


def test_a_description_nested_beyond_all_measure_is_no_error(tmp_path, image, nii, check):
    nii(tmp_path / "imagesTr" / "h_1.nii", image(1, (8, 8, 8)))
    (tmp_path / "dataset.json").write_text("[" * 100_000)
    assert counts(check(tmp_path, validation=0)[0]) == {"training": 1}


@pytest.mark.parametrize(
    "kinds",
    [("T1w",), ("T1w", "T2w"), ("T1w", "phasediff", "bold"), ("part-mag_T2w", "part-phase_T2w")],
)
def test_the_kinds_of_images_of_bids_are_said(tmp_path, image, nii, check, kinds):
    for i in range(4):
        for n, kind in enumerate(kinds):
            path = tmp_path / f"sub-{i}" / "anat" / f"sub-{i}_run-1_{kind}.nii.gz"
            nii(path, image(10 * i + n, (8, 8, 8), 1000, np.int16))
    said = check(tmp_path, validation=0)[1][FOUND].found
    assert ("Images of all kinds are used" in said) == (len(kinds) > 1)
    assert len(kinds) == 1 or all(f"4 {kind}" in said for kind in kinds)


@pytest.mark.parametrize(
    ("names", "asked"),
    [
        (["sub-{:02d}/anat/sub-{:02d}_T1w.png", "sub-{:02d}/anat/sub-{:02d}_T2w.png"], {}),
        (["P{:02d}-V1.png", "P{:02d}-V2.png"], {}),
        (["patient{:03d}/a.png", "patient{:03d}/b.png"], {}),
        (["real/{:d}_1.png", "real/{:d}_2.png"], {"patient_pattern": r"(\d+)_\d"}),
    ],
    ids=["BIDS", "visits", "patients", "pattern"],
)
def test_synthetic_images_beside_real_ones_need_no_name_of_a_patient(
    tmp_path, png, check, names, asked
):
    for n in range(6):
        for k, name in enumerate(names):
            png(tmp_path / name.format(*[n] * 2), 2 * n + k)
        png(tmp_path / "synthetic" / f"gen_{n}.png", 50 + n)
    real = check(tmp_path, validation=0.5, **asked)[0]
    assert {k: (g.images, g.patients) for k, g in real.items() if g.images} == {
        "training": (6, 3),
        "validation": (6, 3),
    }
    made = check(tmp_path, validation=0.5, synthetic_source=str(tmp_path / "synthetic"), **asked)[0]
    assert made["synthetic"].images == 6 and made["training"] == real["training"]
