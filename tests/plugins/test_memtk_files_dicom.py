from __future__ import annotations

from pathlib import Path

import numpy as np
import pydicom
import pytest
from pydicom.dataset import FileDataset, FileMetaDataset
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian, generate_uid

from memtk.data.readers import reading
from memtk.errors import UserError
from memtk.interfaces import Record
from memtk_files.dicom import DicomReader


def one(path):
    (record,) = DicomReader().records(path)
    return DicomReader().read(record)


def refused(path):
    with pytest.raises(UserError) as caught, reading(path):
        one(path)
    text = str(caught.value)
    assert Path(path).name in text and text.count("\n") < 3
    return text


def save_slice(path, pixels, place, series="1.2.3", orientation=(1, 0, 0, 0, 1, 0), **tags):
    """Write one slice, `place` mm along the normal of its plane."""
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID = CTImageStorage, generate_uid()
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    dataset = FileDataset(path, {}, file_meta=meta, preamble=bytes(128))
    normal = np.cross(orientation[:3], orientation[3:])
    values = {
        "SOPClassUID": CTImageStorage,
        "SOPInstanceUID": meta.MediaStorageSOPInstanceUID,
        "SeriesInstanceUID": series,
        "Modality": "MR",
        "ImageOrientationPatient": list(orientation),
        "ImagePositionPatient": [float(v) for v in np.array([10, 20, 30]) + place * normal],
        "PixelSpacing": [0.5, 0.75],
        "SamplesPerPixel": 1,
        "PhotometricInterpretation": "MONOCHROME2",
        "Rows": pixels.shape[0],
        "Columns": pixels.shape[1],
        "BitsAllocated": pixels.dtype.itemsize * 8,
        "BitsStored": pixels.dtype.itemsize * 8,
        "HighBit": pixels.dtype.itemsize * 8 - 1,
        "PixelRepresentation": int(pixels.dtype.kind == "i"),
        "PixelData": pixels.tobytes(),
    }
    for key, value in (values | tags).items():
        if value is not None:
            setattr(dataset, key, value)
    dataset.save_as(path, enforce_file_format=True)
    return path


@pytest.fixture
def save_series(tmp_path, rng):
    """Write a folder with one slice a file, the names in another order than the positions."""

    def save(places=(0, 2, 4, 6), each=lambda i: {}, name="series"):
        folder = tmp_path / name
        folder.mkdir()
        stack = rng.integers(-500, 500, (len(places), 3, 5)).astype(np.int16)
        for i, place in enumerate(places):
            tags = {"place": place, **each(i)}
            save_slice(folder / f"{(i * 7 + 3) % 11:02d}", tags.pop("pixels", stack[i]), **tags)
        return folder, stack

    return save


def test_a_series_is_sorted_by_position_and_rescaled(save_series):
    folder, stack = save_series(each=lambda i: {"RescaleSlope": 2, "RescaleIntercept": -10 * i})
    (folder / "notes.txt").write_text("not DICOM")
    (folder / ".DS_Store").write_bytes(bytes(200))
    volume = one(folder)
    wanted = stack * 2.0 - 10 * np.arange(4)[:, None, None]
    np.testing.assert_allclose(volume.voxels, wanted[None])
    assert volume.spacing == (2, 0.5, 0.75)


@pytest.mark.parametrize(
    "plane", [(1, 0, 0, 0, 1, 0), (0, 1, 0, 0, 0, -1), (0.8, 0.6, 0, 0, 0, -1)]
)
def test_the_affine_of_a_series_maps_voxels_to_ras(save_series, plane):
    folder, _ = save_series(each=lambda i: {"orientation": plane})
    affine = one(folder).affine
    row, column = np.array(plane[:3]), np.array(plane[3:])
    for d, r, c in [(0, 0, 0), (3, 2, 4), (1, 0, 2)]:
        lps = (
            np.array([10, 20, 30])
            + 2 * d * np.cross(row, column)
            + row * 0.75 * c
            + column * 0.5 * r
        )
        np.testing.assert_allclose(affine @ [d, r, c, 1], [-lps[0], -lps[1], lps[2], 1], atol=1e-9)


def test_slices_without_positions_are_sorted_by_their_numbers(save_series):
    lost = {"ImagePositionPatient": None, "SliceThickness": 3}
    folder, stack = save_series(each=lambda i: {"InstanceNumber": i + 1, **lost})
    volume = one(folder)
    np.testing.assert_array_equal(volume.voxels[0], stack)
    assert volume.affine is None and volume.spacing == (3, 0.5, 0.75)


OTHER, NOWHERE = np.zeros((3, 4), np.int16), {"ImagePositionPatient": None}
SAGITTAL = (0, 1, 0, 0, 0, -1)


@pytest.mark.parametrize(
    ("places", "each", "message"),
    [
        ((0, 2, 4), lambda i: {"pixels": OTHER} if i else {}, "different sizes (3 x 4, 3 x 5)"),
        ((0, 2, 2), lambda i: {}, "lie at one position"),
        ((0, 2, 6), lambda i: {}, "lie 2 to 4 mm apart; one is missing"),
        ((0, 2), lambda i: NOWHERE if i else {}, "1 of 2 slices has no position"),
        ((0, 2), lambda i: NOWHERE, "neither positions nor distinct numbers"),
        ((0, 2), lambda i: {"orientation": SAGITTAL} if i else {}, "are not parallel"),
        ((0,), lambda i: {"PixelData": None}, "it has no pixels (modality MR)"),
        ((0,), lambda i: {"NumberOfFrames": 3}, "a file with several frames"),
    ],
)  # fmt: skip
def test_a_folder_that_is_not_one_series_is_refused(save_series, places, each, message):
    folder, _ = save_series(places, each)
    assert message in refused(folder)


def test_a_folder_with_one_slice_is_a_picture(save_series):
    folder, stack = save_series((0,), lambda i: {"SliceThickness": 4})
    volume = one(folder)
    np.testing.assert_array_equal(volume.voxels, stack)
    assert volume.spacing == (0.5, 0.75)


def test_a_folder_without_dicom_has_no_images(tmp_path):
    (tmp_path / "a.png").write_bytes(bytes(300))
    assert DicomReader().records(tmp_path) == []
    with pytest.raises(UserError, match="there are no DICOM images"):
        DicomReader().read(Record(tmp_path))


def test_a_single_file_is_a_picture_and_monochrome1_is_inverted(tmp_path):
    pixels = np.array([[0, 10, 100]], np.uint8)
    path = save_slice(tmp_path / "x.dcm", pixels, 0, PhotometricInterpretation="MONOCHROME1")
    volume = one(path)
    np.testing.assert_array_equal(volume.voxels, [[[100, 90, 0]]])
    assert volume.spacing == (0.5, 0.75)


def test_a_colour_file_has_three_channels(tmp_path, rng):
    pixels = rng.integers(0, 255, (4, 5, 3), dtype=np.uint8)
    path = save_slice(
        tmp_path / "x.dcm", pixels, 0, SamplesPerPixel=3, PlanarConfiguration=0,
        PhotometricInterpretation="RGB",
    )  # fmt: skip
    np.testing.assert_array_equal(one(path).voxels, np.moveaxis(pixels, 2, 0))


@pytest.mark.parametrize("damage", ["empty", "half", "noise", "gone"])
def test_a_damaged_file_is_an_error_that_names_it(damage, tmp_path, rng):
    path = save_slice(tmp_path / "x.dcm", rng.integers(0, 99, (16, 12)).astype(np.int16), 0)
    data = path.read_bytes()
    if damage == "gone":
        path.unlink()
    else:
        broken = {"empty": b"", "half": data[: len(data) // 2], "noise": rng.bytes(len(data))}
        path.write_bytes(broken[damage])
    refused(path)


def test_real_series_agree_with_pydicom(real_data):
    folders = sorted((real_data / "dicom_series").iterdir())
    assert len(folders) == 3
    for folder in folders:
        slices = [pydicom.dcmread(path) for path in folder.iterdir()]
        slices.sort(key=lambda s: s.ImagePositionPatient[2])
        volume = one(folder)
        np.testing.assert_array_equal(volume.voxels[0], np.stack([s.pixel_array for s in slices]))
        assert volume.spacing == (1, 1, 1)
