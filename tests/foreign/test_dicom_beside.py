"""DICOM files that are images by themselves, and none beside the others of their source."""

from __future__ import annotations

import numpy as np
import pytest
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence
from pydicom.uid import generate_uid

FOUND = "images are found"
CAPTURED = "1.2.840.10008.5.1.4.1.1.7"
RAW, SHOWN = "FOR PROCESSING", "FOR PRESENTATION"
MAMMOGRAMS = {SHOWN: "1.2.840.10008.5.1.4.1.1.1.2", RAW: "1.2.840.10008.5.1.4.1.1.1.2.1"}
XRAYS = {SHOWN: "1.2.840.10008.5.1.4.1.1.1.1", RAW: "1.2.840.10008.5.1.4.1.1.1.1.1"}


def only(groups):
    return {k: (g.images, g.patients, g.shapes) for k, g in groups.items() if g.images}


def captured(folder, image, dcm, count=3, **tags):
    tags = {"sop": CAPTURED, "modality": "CT", "bits": 8, "series": "1.2.9"} | tags
    for i in range(count):
        dcm(folder / f"s{i}", image(20 + i, (32, 32)), number=i + 1, **tags)


def slices(folder, image, dcm, modality="CT"):
    for i in range(6):
        dcm(folder / f"{i}", image(i, (24, 20), 900, np.int16), number=i + 1, at=(0, 0, 2.0 * i),
            modality=modality)  # fmt: skip


@pytest.mark.parametrize("modality", ["CT", "MR", "PT", "NM", "OT"])
def test_captured_pictures_are_no_slices(tmp_path, image, dcm, check, modality):
    captured(tmp_path, image, dcm, modality=modality)
    assert only(check(tmp_path, validation=0)[0]) == {"training": (3, 1, ((32, 32),))}


@pytest.mark.parametrize("modality", ["CT", "MR", "PT", "NM", "OT", ""])
@pytest.mark.parametrize("place", ["v", "c"])
def test_captured_pictures_beside_slices_are_left_out_and_said(
    tmp_path, image, dcm, check, modality, place
):
    slices(tmp_path / "v", image, dcm, modality if modality in ("MR", "PT") else "CT")
    captured(tmp_path / place, image, dcm, modality=modality)
    groups, found = check(tmp_path, validation=0)
    assert only(groups) == {"training": (1, 1, ((6, 24, 20),))}
    names = ", ".join(f"{place}/s{i}" for i in range(3))
    assert "left out, 3 captured pictures beside slices" in found[FOUND].found
    assert names in found[FOUND].found


def test_a_captured_picture_in_the_series_of_slices_is_none_of_them(tmp_path, image, dcm, check):
    slices(tmp_path, image, dcm)
    captured(tmp_path, image, dcm, count=2, series="1.2.3.4")
    groups, found = check(tmp_path, validation=0)
    assert only(groups) == {"training": (1, 1, ((6, 24, 20),))}
    assert "left out, 2 captured pictures beside slices" in found[FOUND].found


def test_a_volume_that_was_saved_as_captured_pictures_with_positions_is_one(
    tmp_path, image, dcm, check
):
    for i in range(6):
        dcm(tmp_path / f"{i}", image(i, (24, 20), 900, np.int16), at=(0, 0, 2.0 * i), sop=CAPTURED)
    assert only(check(tmp_path, validation=0)[0]) == {"training": (1, 1, ((6, 24, 20),))}


@pytest.mark.parametrize("modality", ["CR", "DX", "US", "OT"])
def test_captured_radiographs_beside_others_are_pictures(tmp_path, image, dcm, check, modality):
    captured(tmp_path / "c", image, dcm, modality=modality, patient="P2")
    dcm(tmp_path / "x" / "a", image(1), modality="DX", sop=XRAYS[SHOWN], bits=8, series="1.2.3")
    assert only(check(tmp_path, validation=0)[0]) == {"training": (4, 2, ((32, 32),))}


def exposure(path, image, dcm, intent, kinds=MAMMOGRAMS, **tags):
    tags = {"StudyInstanceUID": "1.2.1", "PresentationIntentType": intent} | tags
    dcm(path, image(1, (40, 32), 4000, np.uint16), bits=12, sop=kinds[intent],
        modality="MG" if kinds is MAMMOGRAMS else "DX", **tags)  # fmt: skip


def item(**values):
    made = Dataset()
    for key, value in values.items():
        setattr(made, key, value)
    return Sequence([made])


@pytest.mark.parametrize("folders", [("a", "a"), ("raw", "shown")])
@pytest.mark.parametrize("by", ["view", "code", "file", "exposure", "SOP class"])
@pytest.mark.parametrize("kinds", [MAMMOGRAMS, XRAYS], ids=["mammograms", "X-rays"])
def test_raw_pictures_beside_those_made_of_them_are_left_out_and_said(
    tmp_path, image, dcm, check, folders, by, kinds
):
    for number, view in enumerate(("CC", "MLO")):
        uid = generate_uid()
        same = {
            "view": {"ViewPosition": view},
            "code": {"ViewCodeSequence": item(CodeValue=f"R-{number}")},
            "file": {},
            "exposure": {"IrradiationEventUID": f"1.2.7.{number}"},
            "SOP class": {"ViewPosition": view, "PresentationIntentType": ""},
        }[by]
        made = {"SourceImageSequence": item(ReferencedSOPInstanceUID=uid)} if by == "file" else {}
        raw, shown = (tmp_path / folder / view for folder in folders)
        exposure(raw.with_suffix(".raw"), image, dcm, RAW, kinds, SOPInstanceUID=uid, **same)
        exposure(shown, image, dcm, SHOWN, kinds, **same, **made)
    groups, found = check(tmp_path, validation=0)
    assert only(groups) == {"training": (2, 1, ((40, 32),))}
    assert "left out, 2 raw pictures beside those that were made of them" in found[FOUND].found
    assert f"{folders[0]}/CC.raw, {folders[0]}/MLO.raw" in found[FOUND].found


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ({"ViewPosition": "CC"}, {"ViewPosition": "MLO"}),
        ({"ImageLaterality": "L"}, {"ImageLaterality": "R"}),
        ({"patient": "P1"}, {"patient": "P2"}),
        ({"StudyInstanceUID": "1.2.1"}, {"StudyInstanceUID": "1.2.2"}),
        ({"intent": RAW}, {"intent": RAW}),
        ({"intent": SHOWN}, {"intent": SHOWN}),
    ],
)
def test_pictures_of_other_exposures_are_images(tmp_path, image, dcm, check, one, other):
    for name, more, intent in (("a", one, RAW), ("b", other, SHOWN)):
        more = {"ViewPosition": "CC", "intent": intent} | more
        exposure(tmp_path / name, image, dcm, **more)
    assert sum(g.images for g in check(tmp_path, validation=0)[0].values()) == 2
