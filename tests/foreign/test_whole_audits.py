"""An audit of the same images gives the same numbers, whatever files they lie in."""

from __future__ import annotations

import csv
import io
import json
import os
import random
from pathlib import Path

import nibabel
import numpy as np
import pytest
from foreign.dicom_cases import CT, dicom
from PIL import Image
from scipy.ndimage import gaussian_filter

import memtk

REAL = os.environ.get("MEMTK_DATA")
GROUPS = {"train": 12, "val": 14, "made": 10}
COPIED = 4
JPEG2000 = "1.2.840.10008.1.2.4.90"


def made(shape, seed, copies=None):
    """Smooth random images of whole numbers; the first of them may be copies, with noise."""
    rng = np.random.default_rng(seed)
    x = gaussian_filter(rng.normal(size=shape), (0, *[2.0] * (len(shape) - 1)))
    axes = tuple(range(1, len(shape)))
    x = (x - x.min(axes, keepdims=True)) / np.ptp(x, axes, keepdims=True) * 230 + 9
    if copies is not None:
        x[: len(copies)] = copies + rng.normal(size=copies.shape)
    return x.round()


def sets_of(shape, dtype):
    train = made((GROUPS["train"], *shape), 0)
    sets = {
        "train": train,
        "val": made((GROUPS["val"], *shape), 1),
        "made": made((GROUPS["made"], *shape), 2, train[:COPIED]),
    }
    return {group: x.astype(dtype) for group, x in sets.items()}


@pytest.fixture(scope="module")
def pictures():
    """Real radiographs, two of each patient; held-out patients stand for synthetic ones.

    Made-up ones where `MEMTK_DATA` names no folder with real images.
    """
    if not REAL:
        return sets_of((24, 20), np.uint8)
    with open(Path(REAL) / "chest_xray_64/manifest.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    own = {}
    for row in rows:
        own.setdefault(row["patient_id"], []).append(Path(REAL) / "chest_xray_64" / row["path"])
    pairs = [paths[:2] for _, paths in sorted(own.items()) if len(paths) > 1]
    paths = iter([path for pair in pairs for path in pair])
    sets = {
        group: np.stack([np.asarray(Image.open(next(paths)).convert("L")) for _ in range(count)])
        for group, count in GROUPS.items()
    }
    sets["made"][:COPIED] = sets["train"][:COPIED] // 2 + 40
    return sets


@pytest.fixture(scope="module")
def volumes():
    """Real volumes, cropped, of 12 bits as scanners store them; or made-up ones likewise."""
    if not REAL:
        return sets_of((12, 11, 9), np.int16)
    paths = iter(sorted((Path(REAL) / "hippocampus/images").glob("*.nii.gz")))
    sets = {}
    for group, count in GROUPS.items():
        loaded = [np.asarray(nibabel.load(next(paths)).dataobj) for _ in range(count)]
        crops = [x[8:26, 10:34, 6:22].astype(np.float64) for x in loaded]
        sets[group] = np.stack([(x / x.max() * 4000).round().astype(np.int16) for x in crops])
    sets["made"][:COPIED] = sets["train"][:COPIED] // 2 + 40
    return sets


def each(sets):
    """Give group, number, patient and voxels of each image: two of each patient."""
    images = ((group, x) for group, images in sets.items() for x in images)
    for number, (group, x) in enumerate(images):
        yield group, number, f"{number // 2:03d}", x


def png(top, sets):
    for group, number, patient, x in each(sets):
        (top / group).mkdir(exist_ok=True, parents=True)
        Image.fromarray(x).save(top / group / f"{number:03d}_{patient}.png")


def bids_png(top, sets):
    """Pictures in sessions of subjects."""
    for group, number, patient, x in each(sets):
        folder = top / group / f"sub-{patient}" / f"ses-{number % 2}"
        folder.mkdir(parents=True)
        Image.fromarray(x).save(folder / f"sub-{patient}_ses-{number % 2}_cxr.png")


def radiograph(path, x, patient, data=None, **tags):
    syntax = {"syntax": JPEG2000, "data": data} if data else {}
    file = dicom(path, x, PatientID=f"MRN{patient}", **syntax, **tags)
    file.save_as(path, enforce_file_format=True)


def negatives(top, sets):
    """MONOCHROME1: white means little."""
    for group, number, patient, x in each(sets):
        (top / group).mkdir(exist_ok=True, parents=True)
        shown = {"PhotometricInterpretation": "MONOCHROME1"}
        radiograph(top / group / f"{number:03d}.dcm", 255 - x, patient, **shown)


def compressed(top, sets):
    """JPEG 2000 without loss; the files have no suffix and lie in folders of patients."""
    for group, number, patient, x in each(sets):
        (top / group / f"{number // 2:03d}").mkdir(exist_ok=True, parents=True)
        packed = io.BytesIO()
        Image.fromarray(x).save(packed, "JPEG2000", irreversible=False)
        path = top / group / f"{number // 2:03d}" / f"IM{number:06d}"
        radiograph(path, x, patient, packed.getvalue())


def compressed_negatives(top, sets):
    for group, number, patient, x in each(sets):
        (top / group).mkdir(exist_ok=True, parents=True)
        packed = io.BytesIO()
        Image.fromarray(255 - x).save(packed, "JPEG2000", irreversible=False)
        shown = {"PhotometricInterpretation": "MONOCHROME1"}
        path = top / group / f"{number:03d}.dcm"
        radiograph(path, 255 - x, patient, packed.getvalue(), **shown)


STEP = (1.5, 1.25, 2.0)
"""Millimetres from voxel to voxel, to the right, to the front and up."""


def nifti(path, x):
    path.parent.mkdir(parents=True, exist_ok=True)
    nibabel.save(nibabel.Nifti1Image(x, np.diag([*STEP, 1.0])), path)


def files(top, sets):
    for group, number, patient, x in each(sets):
        nifti(top / group / f"{number:03d}_{patient}.nii.gz", x)


def series(top, sets):
    """A folder each: slices in any order, by name and number, beside a localizer and a report."""
    draw = random.Random(0)
    for group, number, patient, x in each(sets):
        folder = top / group / f"{number:03d}"
        folder.mkdir(parents=True)
        names = draw.sample(range(1000), x.shape[2])
        for place, name in enumerate(names):
            tags = {
                "PatientID": f"MRN{patient}",
                "SeriesInstanceUID": f"1.2.3.{number}",
                "PixelSpacing": [STEP[1], STEP[0]],
                "ImageOrientationPatient": [-1, 0, 0, 0, -1, 0],
                "ImagePositionPatient": [0, 0, STEP[2] * place],
            }
            path = folder / f"{name:04d}"
            file = dicom(path, x[:, :, place].T, sop=CT, modality="MR", number=name, **tags)
            file.save_as(path, enforce_file_format=True)
        scout = {"SeriesInstanceUID": "1.9", "ImageType": ["ORIGINAL", "PRIMARY", "LOCALIZER"]}
        file = dicom(folder / "scout", x[:, :, 0].T, sop=CT, modality="MR", **scout)
        file.save_as(folder / "scout", enforce_file_format=True)


def bids(top, sets):
    """Sessions of subjects, with sidecars, masks and what was made of the images."""
    for group, number, patient, x in each(sets):
        folder = top / group / f"sub-{patient}" / f"ses-{number % 2}" / "anat"
        name = f"sub-{patient}_ses-{number % 2}_T1w"
        nifti(folder / f"{name}.nii.gz", x)
        (folder / f"{name}.json").write_text('{"EchoTime": 0.003}')
        nifti(top / group / "derivatives" / f"sub-{patient}" / f"{name}.nii.gz", x // 2)
        nifti(folder / f"sub-{patient}_ses-{number % 2}_dseg.nii.gz", (x > 99).astype(np.uint8))
        (top / group / "dataset_description.json").write_text('{"Name": "x"}')
        (top / group / "participants.tsv").write_text("participant_id\tage\n")


def nnunet(top, sets):
    """A case each, with its labels."""
    for group, number, _, x in each(sets):
        nifti(top / group / "imagesTr" / f"hip_{number:03d}_0000.nii.gz", x)
        nifti(top / group / "labelsTr" / f"hip_{number:03d}.nii.gz", (x > 99).astype(np.uint8))
        description = {"channel_names": {"0": "T1"}, "labels": {"background": 0, "x": 1}}
        (top / group / "dataset.json").write_text(json.dumps(description))


def audited(top, folder, *settings):
    found = memtk.audit(
        *(folder / group for group in GROUPS), settings=settings, out=top / f"run-{folder.name}",
        similarity="ncc", plants=2, device="cpu", progress=False,
    )  # fmt: skip
    record = json.loads(found.to_json())
    for key in ("timing", "data"):
        del record[key]
    pairs = [
        [(pair.similarity, pair.p, pair.named, pair.at_least) for pair in listed]
        for listed in (found.synthetic_images, found.training_images)
    ]
    return record, pairs


def alike(tmp_path, sets, dresses, base, *settings, pattern):
    base(tmp_path / "base", sets)
    expected = audited(tmp_path, tmp_path / "base", f"data.patient_pattern={pattern}", *settings)
    assert expected[0]["counts"]["training"] == counted(pattern)
    assert sum(similarity > 0.95 for similarity, *_ in expected[1][0]) >= COPIED
    for dress in dresses:
        dress(tmp_path / dress.__name__, sets)
        assert audited(tmp_path, tmp_path / dress.__name__, *settings) == expected, dress.__name__


def counted(pattern):
    images = GROUPS["train"]
    return {"images": images, "patients": images if pattern.startswith("(") else images // 2}


TWO, ONE = r"_(\d+)\.", r"(\d+)_"
"""Patterns by which two images are a patient's, or one."""


def test_pictures_give_the_same_numbers_as_radiographs_of_any_kind(tmp_path, pictures):
    dresses = (negatives, compressed, compressed_negatives, bids_png)
    alike(tmp_path, pictures, dresses, png, pattern=TWO)


def test_volumes_give_the_same_numbers_as_series_and_in_bids(tmp_path, volumes):
    alike(tmp_path, volumes, (series, bids), files, "data.orientation=ras", pattern=TWO)


def test_volumes_give_the_same_numbers_in_folders_of_nnunet(tmp_path, volumes):
    alike(tmp_path, volumes, (nnunet,), files, pattern=ONE)
