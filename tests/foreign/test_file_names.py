"""Patients in the names of files and folders, as public data sets and most people write them."""

from __future__ import annotations

import numpy as np
import pytest

FOUND = "images are found"
SPLIT = "each patient is in one split"

NAMES = {
    "BraTS 2021": "BraTS2021_0000{p}/BraTS2021_0000{p}_t{i}.nii.gz",
    "BraTS 2020": "BraTS20_Training_00{p}/BraTS20_Training_00{p}_t{i}.nii.gz",
    "BraTS 2018": "HGG/Brats18_TCIA01_13{p}_1/Brats18_TCIA01_13{p}_1_t{i}.nii.gz",
    "BraTS 2019": "BraTS19_2013_{p}_1/BraTS19_2013_{p}_1_t{i}.nii.gz",
    "BraTS 2023": "BraTS-GLI-0000{p}-00{i}-t1c.nii.gz",
    "ADNI": "ADNI/002_S_041{p}/MPRAGE/2006-05-1{i}_16_17_47.0/I14/ADNI_002_S_041{p}_MR_{i}.nii.gz",
    "OASIS-1": "OAS1_000{p}_MR{i}/mpr-1.nii.gz",
    "OASIS-3": "OAS3000{p}_MR_d012{i}/anat.nii.gz",
    "IXI": "IXI00{p}-Guys-0828-T{i}.nii.gz",
    "UK Biobank": "100001{p}_20252_{i}_0/T1/T1_brain_to_MNI.nii.gz",
    "LIDC-IDRI": "LIDC-IDRI-000{p}_scan{i}.nii.gz",
    "TCGA": "TCGA-AA-355{p}-01Z-00-DX1_{i}_7.png",
    "LGG": "kaggle_3m/TCGA_CS_494{p}_19960909/TCGA_CS_494{p}_19960909_{i}.png",
    "MIMIC-CXR": "files/p10/p1000003{p}/s5041426{i}/02aa804e-bde0afdd.png",
    "EyePACS": "1{p}_{side}.png",
    "OCT2017": "CNV/CNV-101604{p}-{i}.png",
    "BreakHis": "adenosis/SOB_B_A_14-2254{p}AB/40X/SOB_B_A-14-2254{p}AB-40-00{i}.png",
    "CheXpert": "patient0001{p}/study{i}/view1_frontal.png",
    "MURA": "XR_ELBOW/patient0001{p}/study1_negative/image{i}.png",
    "ACDC": "patient00{p}/patient00{p}_frame0{i}.nii.gz",
    "subjects": "site/Subject {p}/T{i}.nii.gz",
    "slices": "case000{p}_slice00{i}.png",
    "slices in folders": "pat{p}/slice_{i}.png",
    "slices of volumes": "content/volume_{p}_slice_{i}.png",
    "slices of scans": "P{p}/scan_{i}/slice_7.png",
    "slices of sequences": "P00{p}/T{i}/slice_7.png",
    "slices of sequences by name": "P00{p}_T{i}_slice_7.png",
    "slices of visits": "C{p}/visit_{i}/axial/slice_7.png",
    "slices of classes and planes": "AD/axial/P{p}_run-{i}_slice_7.png",
    "frames": "0X1A{p}_frame_{i}.png",
    "visits": "P0{p}-V{i}.png",
    "visits in small letters": "a/7{p}_v0{i}.nii.gz",
    "time points": "site1/{p}2x_tp{i}.png",
    "months": "B{p} month {i}.png",
    "follow-ups": "C{p}-FU{i}.png",
    "sides": "{p}_{side}.nii.gz",
    "folders of visits": "P0{p}-V{i}/t1.png",
    "folders of visits in those of patients": "P0{p}/V{i}/t1.png",
    "visits of a sequence": "P0{p}_V{i}_T1.png",
    "sides right behind a number": "Image_0{p}{letter}.png",
    "views in folders": "case100{p}/A_100{p}_1.{side}_CC.png",
    "phases of the heart": "pt00{p}_{phase}.nii.gz",
    "sequences": "case0{p}_T{i}.nii.gz",
    "folders of patients": "site/7{p}/t{i}.nii.gz",
    "UPENN-GBM": "images/UPENN-GBM-0000{p}_{i}1/UPENN-GBM-0000{p}_{i}1_T1.nii.gz",
    "PAD-UFES": "imgs_part_{i}/PAT_151{p}_17{p}{i}_530.png",
    "DeepLesion": "Images_png/00000{p}_0{i}_01/103.png",
    "visits before other words": "S0{p}_visit{i}_brain_t1c.nii.gz",
    "time points before other words": "a/PatientID_0{p}_Timepoint_{i}_brain_t2w.nii.gz",
    "baselines": "S0{p}-baseline-reg_T{i}.nii.gz",
    "slices of short visits": "S0{p}-V{i}_slice_7.png",
    "slices of days": "a/S0{p}_2019010{i}_slice_7.png",
    "slices of time points": "S0{p}/S0{p}_tp{i}_flair_slice_7.png",
    "CBIS-DDSM": "Mass-Training_P_0000{p}_LEFT_CC_{i}/1.3.6.{i}/1.2.{p}{i}/1-1.png",
    "CBIS-DDSM, both kinds": "Calc-Test_P_0000{p}_{side}_MLO/1-1.png",
    "days": "00{p}_2019-01-1{i}.png",
    "days of each patient": "00{p}_201{p}-0{i}-1{p}.png",
    "days in eight digits": "a/P00{p}_201901{i}1.nii.gz",
    "days, the year last": "00{p}_1{i}.01.2019.png",
    "days and hours": "P00{p}_2019-01-1{i}_10-2{p}.png",
    "days and sequences": "00{p}_2019-01-1{i}_T1.png",
    "folders of days": "P00{p}/2019-01-1{i}/t1.png",
}


@pytest.fixture
def files(tmp_path, png, nii, image):
    """Make four patients with two images each: `files("patient{p}/{i}.png")`."""

    def make(pattern, first=1, images=(1, 2)):
        for p in range(first, first + 4):
            for i in images:
                words = {"side": ("left", "right")[i - 1], "letter": "LR"[i - 1]}
                path = tmp_path / pattern.format(p=p, i=i, phase=("ED", "ES")[i - 1], **words)
                if path.suffix == ".png":
                    png(path, 10 * p + i)
                else:
                    nii(path, image(10 * p + i, (8, 8, 8), 1000, np.int16))
        return tmp_path

    return make


@pytest.mark.parametrize("name", NAMES)
def test_all_images_of_a_patient_whom_the_names_say_are_one_patients(files, check, name):
    groups, found = check(files(NAMES[name]), validation=0.5)
    sizes = {n: (groups[n].images, groups[n].patients) for n in ("training", "validation")}
    assert sizes == {"training": (4, 2), "validation": (4, 2)}
    assert "the patient is read from the file names" in found[FOUND].found


@pytest.mark.parametrize(
    "name",
    ["P{p:03d}_x{x}_y{y}", "{p}0253_idx5_x{x}_y{y}_class0", "S{p}_row{x}_col{y}", "P{p}_r{x}c{y}",
     "P{p}_2019-01-11_patch_{x}{y}", "slides/P{p}-tile{x}-{y}", "P{p}_crop{x}_x_{x}_y_{y}"],
)  # fmt: skip
def test_the_parts_of_an_image_are_one_patients_however_many(tmp_path, png, check, name):
    for n, (p, x, y) in enumerate((p, x, y) for p in (1, 2, 3) for x in range(4) for y in range(4)):
        png(tmp_path / f"{name.format(p=p, x=256 * x, y=256 * y)}.png", n)
    groups, found = check(tmp_path, validation=0.34)
    assert [(groups[n].images, groups[n].patients) for n in ("training", "validation")] == [
        (32, 2),
        (16, 1),
    ]
    assert "the patient is read from the file names" in found[FOUND].found


@pytest.mark.parametrize("name", ["CheXpert", "slices", "days", "BraTS 2020", "CBIS-DDSM"])
def test_a_patient_whom_the_names_say_is_found_in_two_splits(files, check, name):
    files(f"train/{NAMES[name]}", 1, [1])
    found = check(files(f"val/{NAMES[name]}", 4, [2]))[1][SPLIT]
    assert found.outcome == "refused" and "1 of 7 patients" in found.found


@pytest.mark.parametrize(
    "name",
    ["slice_{p}{i}.png", "patients/{p}{i}.png", "impatient{p}_{i}.png", "axial/slice_{p}{i}.png",
     "slices_{p}/{i}.png", "images_256/slice_{p}{i}.png", "20230405/frame_{p}{i}.png",
     "export2023_slice_{p}{i}.png", "CNV/{p}{i}.png", "12_S_4_{p}{i}.png", "left_{p}{i}.png",
     "3T_V{p}{i}.png", "v{p}_{i}x.png", "ses-{p}_run-{i}.png", "2019-01-0{p}_{i}.png",
     "2019010{p}_{i}.png", "site1_visit2_P{p}{i}_T1.png",
     "P{p}{i}_2019-01-01.png", "level1/tile_{p}{i}.png", "x{p}_y{i}.png"],
)  # fmt: skip
def test_names_that_say_no_patient_are_each_one_of_their_own(files, check, name):
    groups, found = check(files(name), validation=0)
    assert groups["training"].patients == 8
    assert "nothing says whose the images are" in found[FOUND].found


@pytest.mark.parametrize(
    "name",
    ["0000{p}_01_01/10{i}.png", "P{p}x/{i}.png", "P{p}x/study{i}/x.png", "P{p}x/T1w/{i}.png",
     "set/P{p}x/2019-01-0{i}/x.png", "X{p}/{i}/deep/x.png"],
)  # fmt: skip
def test_the_way_to_make_each_folder_a_patient_is_said_and_works(files, check, name):
    folder = files(name)
    said = check(folder)[1][FOUND].found
    assert "if each of the 4 folders is a patient: --set data.patient_pattern='" in said
    groups, _ = check(
        folder, validation=0, patient_pattern=said.split("pattern='")[1].split("'")[0]
    )
    assert groups["training"].patients == 4


@pytest.mark.parametrize(
    ("name", "words"),
    [("100{p}_{i}.png", "one of 4 patients"), ("a/{p}-{i}.png", "one of 4 patients"),
     ("a{i}/P{p}x_b_{i}.png", "one of 4 patients"), ("P{p}x.npz", "each of the 4 files")],
)  # fmt: skip
def test_the_way_to_make_a_patient_of_names_or_files_is_said_and_works(
    files, check, tmp_path, image, name, words
):
    if name.endswith(".npz"):
        for p in range(4):
            images = np.stack([image(10 * p), image(10 * p + 1)])
            np.savez(tmp_path / name.format(p=p), images=images)
    folder = tmp_path if name.endswith(".npz") else files(name)
    said = check(folder)[1][FOUND].found
    assert words in said
    pattern = said.split("pattern='")[1].split("'")[0]
    assert check(folder, validation=0, patient_pattern=pattern)[0]["training"].patients == 4


VISITS = range(1, 13)


@pytest.mark.parametrize(
    ("name", "words"),
    [("P{p}_V{v:02d}.png", "names begin with that of one of 3 patients"),
     ("P{p}-m{v}.png", "names begin with that of one of 3 patients"),
     ("P{p}_{v}_256.png", "names begin with that of one of 3 patients"),
     ("P{p}_2019-{v:02d}-11.png", "names hold that of one of 3 patients"),
     ("P{p}_2019{v:02d}11_T1.png", "names hold that of one of 3 patients"),
     ("2019-{v:02d}-11_P{p}.png", "names hold that of one of 3 patients"),
     ("P{p}x/V{v:02d}.png", "each of the 3 folders"),
     ("{p:03d}/visit {v}/a.png", "each of the 3 folders"),
     ("V{v}/{p:03d}/a.png", "each of the 3 folders"),
     ("{p:03d}/2019-{v:02d}-01/T1.png", "each of the 3 folders"),
     ("2019{v:02d}01_1030/{p:03d}.png", "files of one name are those of one of 3 patients"),
     ("V{v}/P{p}x.png", "files of one name are those of one of 3 patients"),
     ("month_{v}/P{p}x.png", "files of one name are those of one of 3 patients")],
)  # fmt: skip
def test_of_few_patients_with_many_visits_the_level_that_is_the_patient_is_said(
    tmp_path, png, check, name, words
):
    for p in (1, 2, 3):
        for v in VISITS:
            png(tmp_path / name.format(p=p, v=v), 100 * p + v)
    said = check(tmp_path)[1][FOUND].found
    assert f"if {words}" in said and "each of the 12" not in said
    pattern = said.split("pattern='")[1].split("'")[0]
    groups = check(tmp_path, validation=0.34, patient_pattern=pattern)[0]
    assert [(groups[n].images, groups[n].patients) for n in ("training", "validation")] == [
        (24, 2),
        (12, 1),
    ]


def test_patients_of_equal_names_at_two_sites_are_told_apart_by_all_of_the_folders(
    tmp_path, png, check
):
    for n, (site, p, v) in enumerate((s, p, v) for s in "AB" for p in (1, 2) for v in VISITS):
        png(tmp_path / f"{site}/P{p}x/V{v}.png", n)
    said = check(tmp_path)[1][FOUND].found
    assert (
        "if each of the 4 folders is a patient: --set data.patient_pattern='^(.+)/[^/]+$'" in said
    )
    assert (
        check(tmp_path, validation=0, patient_pattern="^(.+)/[^/]+$")[0]["training"].patients == 4
    )


@pytest.mark.parametrize(
    "name", ["3T_V{n:02d}.png", "scan{n}.png", "img-{n}.png", "V1/{n}.png", "2019-01-01/{n}.png"]
)
def test_of_patients_with_an_image_each_no_level_is_said_to_be_the_patient(
    tmp_path, png, check, name
):
    for n in range(12):
        png(tmp_path / name.format(n=n), n)
    groups, found = check(tmp_path, validation=0)
    assert groups["training"].patients == 12 and "patients: --set" not in found[FOUND].found
    assert "is a patient:" not in found[FOUND].found


@pytest.mark.parametrize("names", ["trainA trainB testA", "train valid test", "Training Testing"])
def test_folders_of_splits_are_not_said_to_be_patients(tmp_path, png, check, names):
    for n in range(12):
        png(tmp_path / names.split()[n % len(names.split())] / f"{n}.png", n)
    assert "is a patient:" not in check(tmp_path)[1][FOUND].found


@pytest.mark.parametrize("first", [1, 2])
@pytest.mark.parametrize("name", ["Tr-gl Tr-no", "COVID NORMAL", "a b c"])
def test_numbered_images_of_a_few_kinds_are_no_channels_of_cases(tmp_path, png, check, first, name):
    kinds = name.split()
    for n in range(12):
        png(tmp_path / f"{kinds[n % len(kinds)]}_{n // len(kinds) + first:04d}.png", n)
    groups, found = check(tmp_path, validation=0)
    assert groups["training"].patients == 12 and "nnU-Net" not in found[FOUND].found


@pytest.mark.parametrize("channels", [1, 2, 4])
def test_channels_of_cases_begin_at_0(tmp_path, png, check, channels):
    for n in range(12):
        png(tmp_path / f"case{n // channels}x_{n % channels:04d}.png", n)
    groups, found = check(tmp_path, validation=0)
    assert groups["training"].patients == 12 // channels and "nnU-Net" in found[FOUND].found


@pytest.mark.parametrize("names", ["amos_{:04d}", "case{0}_{0:04d}", "ct_{:04d} mr_{:04d}"])
def test_numbers_of_cases_in_the_folders_of_nnunet_are_no_channels(
    tmp_path, image, nii, check, names
):
    for n in range(1, 13):
        for k, name in enumerate(names.split()):
            path = tmp_path / "imagesTr" / f"{name.format(n)}.nii.gz"
            nii(path, image(10 * n + k, (8, 8, 8), 1000, np.int16))
    groups, found = check(tmp_path, validation=0)
    assert groups["training"].patients == groups["training"].images
    assert "nnU-Net" not in found[FOUND].found


@pytest.mark.parametrize("name", ["{kind}/{kind} ({n}).png", "{kind}/{n}.png"])
def test_folders_of_kinds_of_images_are_not_said_to_be_patients(tmp_path, png, check, name):
    for k, kind in enumerate(("benign", "malignant", "normal")):
        for n in range(4):
            png(tmp_path / name.format(kind=kind, n=n), 10 * k + n)
    assert "is a patient:" not in check(tmp_path)[1][FOUND].found


@pytest.mark.parametrize("name", ["a/{p}_{i}.png", "{p}_{i}/x.png", "CNV/{p}_{i}.png"])
def test_folders_that_hold_all_images_or_one_each_are_not_spoken_of(files, check, name):
    assert "folders is a patient" not in check(files(name))[1][FOUND].found


def test_folders_that_are_splits_are_not_said_to_be_patients(tmp_path, png, check):
    for n in range(9):
        png(tmp_path / ("train", "val", "test")[n // 3] / f"{n}.png", n)
    assert "folders is a patient" not in check(tmp_path)[1][FOUND].found


@pytest.mark.parametrize("name", ["sub-7/T{p}{i}.png", "patient1/slice_{p}{i}.png"])
def test_where_all_images_are_of_one_patient_the_way_out_is_said(files, check, name):
    found = check(files(name))[1]["there are training and validation images"]
    assert found.outcome == "refused" and "data.patient_pattern" in found.way_out


def test_patients_numbered_anew_in_each_split_can_be_told_apart(files, check):
    folder = files("train/patient{p}_{i}.png")
    found = check(files("val/patient{p}_{i}.png", images=(2, 1)))[1][SPLIT]
    assert found.outcome == "refused" and "data.patient_pattern" in found.way_out
    assert check(folder, patient_pattern=r"(\w+/\w+)_")[1][SPLIT].outcome == "accepted"


def test_a_header_says_it_better_than_names(tmp_path, dcm, image, check):
    for n in range(4):
        path = tmp_path / f"patient{n}" / "a.dcm"
        dcm(path, image(n, top=4000, dtype=np.uint16), modality="DX", patient=f"Q{n // 2}")
    assert check(tmp_path, validation=0)[0]["training"].patients == 2


def test_where_some_names_say_a_patient_and_others_do_not_nothing_is_guessed(files, png, check):
    folder = files("patient{p}_{i}.png")
    for n in range(3):
        png(folder / f"control_{n}.png", 90 + n)
    found = check(folder)[1][FOUND]
    assert found.outcome == "refused" and "8 of 11 images" in found.found
    assert "data.patient_pattern" in found.found


def test_one_name_among_many_others_says_nothing(files, png, check):
    folder = files("c{p}_{i}.png")
    for n in range(4):
        png(folder / f"d_{n}.png", 70 + n)
    png(folder / "patient1.png", 90)
    assert check(folder, validation=0)[0]["training"].patients == 13


@pytest.mark.parametrize(
    "name",
    [
        "{p}_flip.png",
        "aug-{p}.png",
        "{p} (copy).png",
        "{p}.rot90.png",
        "bet_{p}.png",
        "{p}.bmp",
        "{p} (1).png",
    ],
)
def test_images_named_as_made_of_others_beside_them_are_said(tmp_path, png, check, name):
    for p in range(4):
        png(tmp_path / "x" / f"{p}.png", p)
        png(tmp_path / "x" / name.format(p=p), 10 + p)
    png(tmp_path / "y" / f"{name.format(p=7)}", 30)  # of none beside it
    found = check(tmp_path, validation=0)[1][FOUND].found
    made = 8 if "bmp" in name else 4
    assert f"{made} images are named as made of others beside them" in found


@pytest.mark.parametrize(
    "names",
    [("img_1", "img_10", "img_1_2"), ("a", "ab", "ba"), ("left", "right"), ("IM-01", "IM-01-01"),
     ("x 1", "x 2", "x 1 2"), ("sub-1_T1w", "sub-2_T1w_brain")],
)  # fmt: skip
def test_names_with_numbers_behind_them_are_not_made_of_others(tmp_path, png, check, names):
    for n, name in enumerate(names):
        png(tmp_path / f"{name}.png", n)
    assert "made of others" not in check(tmp_path, validation=0)[1][FOUND].found
