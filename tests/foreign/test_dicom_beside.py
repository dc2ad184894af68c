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
    assert "captured pictures beside slices (DICOM Secondary Capture) (3): " in found[FOUND].found
    assert names in found[FOUND].found


def test_a_captured_picture_in_the_series_of_slices_is_none_of_them(tmp_path, image, dcm, check):
    slices(tmp_path, image, dcm)
    captured(tmp_path, image, dcm, count=2, series="1.2.3.4")
    groups, found = check(tmp_path, validation=0)
    assert only(groups) == {"training": (1, 1, ((6, 24, 20),))}
    assert "captured pictures beside slices (DICOM Secondary Capture) (2): " in found[FOUND].found


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
    assert "made of them (FOR PROCESSING) (2): " in found[FOUND].found
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


def manifest(folder, rows):
    (folder / "m.csv").write_text("path,patient_id,split\n" + "".join(f"{r}\n" for r in rows))
    return folder / "m.csv"


@pytest.mark.parametrize("by", ["view", "exposure", "file"])
@pytest.mark.parametrize("kinds", [MAMMOGRAMS, XRAYS], ids=["mammograms", "X-rays"])
def test_a_manifest_of_raw_pictures_and_those_made_of_them_is_refused(
    tmp_path, image, dcm, check, by, kinds
):
    uid = generate_uid()
    same = {"view": {"ViewPosition": "CC"}, "exposure": {"IrradiationEventUID": "1.7"}}.get(by, {})
    made = {"SourceImageSequence": item(ReferencedSOPInstanceUID=uid)} if by == "file" else {}
    exposure(tmp_path / "r.dcm", image, dcm, RAW, kinds, SOPInstanceUID=uid, **same)
    exposure(tmp_path / "s.dcm", image, dcm, SHOWN, kinds, **same, **made)
    source = manifest(tmp_path, ["s.dcm,1,train", "r.dcm,1,train"])
    _, found = check(source)
    assert found[FOUND].outcome == "refused"
    assert "names 1 raw pictures beside those that were made of them" in found[FOUND].found
    assert f"{tmp_path / 'r.dcm'} (line 3). Leave them out" in found[FOUND].found


@pytest.mark.parametrize("intents", [(RAW, RAW), (SHOWN, SHOWN), (RAW, SHOWN)])
def test_a_manifest_of_raw_pictures_alone_or_of_other_exposures_is_read(
    tmp_path, image, dcm, check, intents
):
    for number, intent in enumerate(intents):
        view = ("CC", "MLO")[number]
        exposure(tmp_path / f"{number}", image, dcm, intent, ViewPosition=view)
    groups, _ = check(manifest(tmp_path, ["0,1,train", "1,2,val"]))
    assert sum(group.images for group in groups.values()) == 2


@pytest.mark.parametrize(
    ("tags", "says"),
    [
        ({"ImageType": ["ORIGINAL", "PRIMARY", "LOCALIZER"]}, "localizers"),
        ({"sop": CAPTURED, "SeriesDescription": "Dose Report"}, "screens that were saved"),
        ({"sop": "1.2.840.10008.5.1.4.1.1.66.4", "modality": "SEG"}, "segmentations (DICOM"),
        ({"sop": "1.2.840.10008.5.1.4.1.1.481.2", "modality": "RTDOSE"}, "DICOM files without an"),
    ],
)
def test_what_a_folder_leaves_out_no_manifest_and_no_name_of_one_file_takes_in(
    tmp_path, image, dcm, check, tags, says
):
    for number in range(4):
        dcm(tmp_path / f"{number}.dcm", image(number), bits=8, patient=f"P{number}",
            series=f"1.2.{number}")  # fmt: skip
    odd = tmp_path / "odd.dcm"
    dcm(odd, image(9), bits=8, series="1.2.9", **tags)
    source = manifest(tmp_path, ["0.dcm,0,train", "1.dcm,1,val", "odd.dcm,2,train"])
    assert f"line 4: {odd} holds no image: {says}" in check(source)[1][FOUND].found
    assert says in check(odd)[1][FOUND].found
    source.unlink()
    groups, found = check(tmp_path)
    assert sum(g.images for g in groups.values()) == 4, found[FOUND].found
    assert says in found[FOUND].found


@pytest.mark.parametrize("modality", ["OT", "CT", "MR"])
@pytest.mark.parametrize("folder", ["synthetic", "generated", "fake_images"])
def test_synthetic_images_saved_as_captured_pictures_are_none_beside_real_slices(
    tmp_path, image, dcm, check, modality, folder
):
    for number in range(4):
        for split in ("train", "val"):
            dcm(tmp_path / split / f"{number}", image(number, top=900, dtype=np.int16),
                at=(0, 0, 2.0), patient=f"{split}{number}", series=f"1.{number}")  # fmt: skip
    for number in range(3):
        dcm(tmp_path / folder / f"s{number}", image(20 + number, top=900, dtype=np.int16),
            sop=CAPTURED, modality=modality, series=f"1.2.9.{number}", patient="")  # fmt: skip
    real = {"training": (4, 4, ((32, 32),)), "validation": (4, 4, ((32, 32),))}
    groups, found = check(tmp_path)
    assert only(groups) == real and "3 synthetic images are not used" in found[FOUND].found
    groups, _ = check(tmp_path, synthetic_source=str(tmp_path / folder))
    assert only(groups) == real | {"synthetic": (3, 0, ((32, 32),))}
