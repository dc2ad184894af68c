"""Slices that make one volume, those that make none, and what lies beside them in a hospital."""

from __future__ import annotations

import shutil
from math import cos, radians, sin

import numpy as np
import pytest
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence

from memtk.data.checks.orientation import SLANTED
from memtk.errors import UserError
from memtk.imaging.geometry import Geometry

FOUND = "images are found"
CAPTURED = "1.2.840.10008.5.1.4.1.1.7"
CT, ULTRASOUND = "1.2.840.10008.5.1.4.1.1.2", "1.2.840.10008.5.1.4.1.1.6.1"
MEASURED = "1.2.840.10008.5.1.4.1.1.78.1"  # Lensometry Measurements Storage
UPRIGHT = [1, 0, 0, 0, 0, -1]


@pytest.fixture
def series(tmp_path, image, dcm):
    """Write the slices of a volume into `s`: `series(count, step, change)` gives the folder."""

    def write(count=6, step=2.0, change=lambda i: {}, **tags):
        for i in range(count):
            asked = {"at": (0, 0, step * i), "number": i + 1} | tags | change(i)
            dcm(tmp_path / "s" / f"{i}", image(i, (24, 20), 900, np.int16), **asked)
        return tmp_path / "s"

    return write


@pytest.mark.parametrize(
    ("tag", "values"),
    [
        ("DiffusionBValue", (0, 1000)),
        ("InversionTime", (300, 2500)),
        ("FlipAngle", (3, 15)),
        ("KVP", (80, 140)),
        ("RescaleType", ("HU", "US")),
        ("PatientPosition", ("HFS", "FFS")),
        ("modality", ("CT", "PT")),
        ("sop", (CT, "1.2.840.10008.5.1.4.1.1.7")),
        ("SeriesNumber", (2, 7)),
        ("SeriesDescription", ("T1", "T2")),
        ("ProtocolName", ("head", "neck")),
        ("StudyDate", ("20200101", "20210101")),
        ("ImageType", (["ORIGINAL", "PRIMARY"], ["DERIVED", "SECONDARY"])),
    ],
)
@pytest.mark.parametrize("how", ["by turns", "one after the other"])
def test_slices_of_two_measurements_are_no_volume(series, read, tag, values, how):
    folder = series(change=lambda i: {tag: values[i % 2 if how == "by turns" else i // 3]})
    name = {"modality": "Modality", "sop": "SOPClassUID"}.get(tag, tag)
    with pytest.raises(UserError, match=f"its slices differ in {name}.* into a folder each"):
        read(folder)


@pytest.mark.parametrize(("modality", "sop"), [("CT", 7), ("", 2), ("OT", 2), ("ct", 7), ("MR", 7)])
def test_acquisitions_of_ct_that_lie_between_one_another_are_no_volume(series, read, modality, sop):
    folder = series(
        modality=modality,
        sop=f"1.2.840.10008.5.1.4.1.1.{sop}",
        change=lambda i: {"AcquisitionNumber": 1 + i % 2},
    )
    if modality == "MR":  # measured by turns, of one volume
        assert read(folder).voxels.shape == (1, 6, 24, 20)
        return
    with pytest.raises(UserError, match="slices of 2 acquisitions of CT.* into a folder each"):
        read(folder)


@pytest.mark.parametrize("numbers", [[1, 1, 1, 2, 2, 2], [6, 5, 4, 3, 2, 1], ["", 1, "", 1, "", 1]])
def test_acquisitions_of_ct_one_after_the_other_are_a_volume(series, read, numbers):
    folder = series(modality="CT", change=lambda i: {"AcquisitionNumber": numbers[i]})
    assert read(folder).voxels.shape == (1, 6, 24, 20)


@pytest.mark.parametrize("without", [0, 3, 5])
def test_slices_of_which_one_lacks_its_slope_and_intercept_are_refused(series, read, without):
    slopes = {"RescaleSlope": 1, "RescaleIntercept": -1024}
    folder = series(change=lambda i: {} if i == without else slopes)
    with pytest.raises(UserError, match="differ in whether they have RescaleSlope"):
        read(folder)


def test_slices_whose_numbers_mean_different_things_are_refused(series, read):
    def mapped(i, slope):
        item = Dataset()
        item.RealWorldValueSlope, item.RealWorldValueIntercept = slope, 0.0
        return {"RealWorldValueMappingSequence": Sequence([item])}

    with pytest.raises(UserError, match="differ in RealWorldValueMappingSequence"):
        read(series(change=lambda i: mapped(i, 0.5 + i)))
    assert read(series(change=lambda i: mapped(i, 0.5))).voxels.shape == (1, 6, 24, 20)


def test_every_slice_has_a_slope_of_its_own(series, read, image):
    x = read(series(change=lambda i: {"RescaleSlope": 1 + i, "RescaleIntercept": 0})).voxels[0]
    whole = [image(i, (24, 20), 900, np.int16) * (1.0 + i) for i in range(6)]
    assert np.array_equal(x, np.stack(whole))


@pytest.mark.parametrize("step", [0.625, 1.25, 0.9765625])
def test_positions_that_were_rounded_to_a_tenth_are_even_steps(series, read, step):
    volume = read(series(9, change=lambda i: {"at": (0, 0, round(step * i, 1))}))
    assert volume.spacing[0] == pytest.approx(step, abs=0.02)


@pytest.mark.parametrize("lost", [1, 4, 38])
def test_one_slice_that_is_missing_among_many_is_noticed(series, read, lost):
    folder = series(40, 0.625)
    (folder / str(lost)).unlink()
    with pytest.raises(UserError, match="one is missing.* Get the series again"):
        read(folder)


@pytest.mark.parametrize("aside", [(3.0, 0.0), (0.0, -1.0)])
def test_slices_that_lie_beside_their_line_are_refused(series, read, aside):
    folder = series(change=lambda i: {"at": (*((0, 0) if i < 3 else aside), 2.0 * i)})
    with pytest.raises(UserError, match="off a line of even steps"):
        read(folder)


def test_the_slices_of_a_tilted_gantry_lie_on_a_slanting_line(series, read):
    plane = [1, 0, 0, 0, cos(radians(15)), sin(radians(15))]
    affine = read(series(ImageOrientationPatient=plane)).affine
    assert np.allclose(affine[:3, 0], (0, 0, 2)) and affine[1, 1] == pytest.approx(
        -cos(0.2618), abs=1e-3
    )


def test_slanted_axes_are_said_and_made_straight_by_resampling(tmp_path, dcm, nii, read, check):
    """A ball is as wide in every direction once it is resampled, whatever the gantry's tilt."""
    tilt = radians(20)
    plane = [1, 0, 0, 0, cos(tilt), sin(tilt)]
    affine = np.eye(4)
    affine[:3, :3] = np.array([[0, 0, 2], plane[3:], plane[:3]]).T
    places = np.stack(np.meshgrid(*map(np.arange, (24, 48, 48)), indexing="ij"), -1)
    away = np.linalg.norm((places - (12, 24, 24)) @ affine[:3, :3].T, axis=-1)
    ball = (1000 * np.clip(12 - away, 0, 4)).astype(np.int16)
    for i, pixels in enumerate(ball):
        dcm(tmp_path / f"s/{i}", pixels, at=(0, 0, 2 * i), number=i, ImageOrientationPatient=plane)

    def widths(volume):
        inside = np.argwhere(volume.voxels[0] > 2000) * volume.spacing
        return np.sqrt(np.linalg.eigvalsh(np.cov(inside.T)))

    volume = read(tmp_path / "s")
    assert np.ptp(widths(volume)) > 1.5
    assert np.ptp(widths(Geometry(spacing=(1.0, 1.0, 1.0))(volume))) < 0.1
    nii(tmp_path / "n/a.nii.gz", np.moveaxis(ball, 0, 2), affine[:, [1, 2, 0, 3]])
    for folder in ("s", "n"):
        found = check(tmp_path / folder, validation=0)[1][SLANTED]
        assert "1 of 1 volume is stored on slanted axes, by up to 20 degrees" in found.found
        assert SLANTED not in check(tmp_path / folder, validation=0, spacing=(1.0, 1.0, 1.0))[1]


def test_a_slice_that_was_copied_is_named_with_its_copy(series, read):
    folder = series()
    shutil.copy(folder / "2", folder / "2 (1)")
    with pytest.raises(UserError, match=r"two of its slices, 2, 2 \(1\), are copies of one file"):
        read(folder)


def test_a_slice_that_was_measured_again_is_named_with_the_other(series, read, image, dcm):
    folder = series()
    dcm(folder / "again", image(9, (24, 20), 900, np.int16), at=(0, 0, 4))
    with pytest.raises(UserError, match="two of its slices, 2, again, lie at one position"):
        read(folder)


@pytest.mark.parametrize("name", ["a", "zz"])
def test_the_slice_that_is_not_parallel_to_the_others_is_named(series, read, image, dcm, name):
    folder, px = series(), image(9, (24, 20), 900, np.int16)
    dcm(folder / name, px, at=(0, 0, 0), ImageOrientationPatient=UPRIGHT)
    with pytest.raises(UserError, match=f"not parallel, {name} to the others .*Take out"):
        read(folder)


@pytest.mark.parametrize(
    "tags",
    [
        {"ImageType": ["DERIVED", "SECONDARY", "SCREEN SAVE"]},
        {"ImageType": ["DERIVED", "SECONDARY", "DOSE_INFO"]},
        {"SeriesDescription": "Patient Protocol"},
        {"SeriesDescription": "Dose Report"},
        {"SeriesDescription": "Screenshots"},
    ],
)
def test_screens_that_a_scanner_saved_are_left_out_and_said(series, check, image, dcm, tags):
    folder = series(sop=CT)
    tags = {"series": "1.2.9", "bits": 8, "sop": CAPTURED} | tags
    dcm(folder / "dose", image(9, (60, 60)), **tags)
    groups, found = check(folder, validation=0)
    assert groups["training"].shapes == ((6, 24, 20),)
    assert "left out, screens that were saved (dose reports and the like) (1): dose" in (
        found[FOUND].found
    )


def test_a_reformatted_series_that_says_it_is_a_screen_is_a_volume(series, check):
    groups, _ = check(series(ImageType=["DERIVED", "SECONDARY", "SCREEN SAVE"]), validation=0)
    assert groups["training"].shapes == ((6, 24, 20),)


def test_pictures_that_were_captured_are_pictures(tmp_path, check, image, dcm):
    for i in range(3):
        dcm(tmp_path / f"{i}", image(i), modality="CR", bits=8, patient=f"P{i}", series=f"1.2.{i}",
            ConversionType="WSD", ImageType=["DERIVED", "SECONDARY"])  # fmt: skip
    assert check(tmp_path, validation=0)[0]["training"].shapes == ((32, 32),)


def test_zeros_behind_a_file_are_not_read_one_by_one(tmp_path, image, dcm, read):
    path = dcm(tmp_path / "a.dcm", image(1))
    with path.open("rb+") as file:
        file.truncate(2**34)  # a day of work, element by element
    assert np.array_equal(read(path).voxels[0], image(1))


def test_attributes_without_end_are_refused(tmp_path, image, dcm, read):
    path, element = dcm(tmp_path / "a.dcm", image(1)), b"\x09\x00\x01\x10LO\0\0"
    path.write_bytes(path.read_bytes() + element * 100_000)
    with pytest.raises(UserError, match="it has more than 100,000 attributes"):
        read(path)


@pytest.mark.parametrize("end", [380, 420, 520])
@pytest.mark.parametrize("sop", [CT, ULTRASOUND])
def test_an_image_whose_header_was_cut_off_is_refused(series, check, image, dcm, end, sop):
    folder = series(sop=CT)
    path = dcm(folder / "cut", image(9, (24, 20), 900, np.int16), sop=sop, at=(0, 0, 20))
    path.write_bytes(path.read_bytes()[:end])
    found = check(folder, validation=0)[1][FOUND]
    assert found.outcome == "refused" and "cut: " in found.found and "again" in found.found


def test_measurements_beside_images_are_left_out(series, check, image, dcm):
    folder = series(sop=CT)
    dcm(folder / "m", image(9), sop=MEASURED, drop=("Rows", "Columns", "PixelData"), series="1.2.9")
    found = check(folder, validation=0)[1][FOUND]
    assert "without an image (Lensometry Measurements" in found.found


@pytest.mark.parametrize("tag", ["PixelData", "FloatPixelData"])
def test_voxels_of_no_length_are_none(tmp_path, image, dcm, read, tag):
    path = dcm(tmp_path / "a.dcm", image(1), **({"PixelData": b""} | {tag: b""}))
    with pytest.raises(UserError, match="it has no pixels"):
        read(path)


@pytest.mark.parametrize("said", ["COLOR", "MIXED"])
def test_gray_values_of_which_some_are_numbers_of_colours_are_refused(
    tmp_path, image, dcm, read, said
):
    with pytest.raises(UserError, match=f"PixelPresentation is {said}.* Save it as RGB"):
        read(dcm(tmp_path / "a.dcm", image(1), PixelPresentation=said))
    assert read(dcm(tmp_path / "b.dcm", image(1), PixelPresentation="MONOCHROME")).voxels.any()


@pytest.mark.parametrize(
    ("syntax", "name"),
    [
        ("1.2.840.10008.1.2.4.110", "1.2.840.10008.1.2.4.110"),
        ("1.2.840.10008.1.2.4.92", "JPEG 2000 Part 2"),
        ("1.2.840.10008.1.2.4.100", "MPEG2 Main Profile"),
        ("1.2.840.10008.1.2.4.94", "JPIP Referenced"),
        ("1.2.840.113619.5.2", "1.2.840.113619.5.2"),
        ("Anna.7", "text"),
    ],
)
def test_voxels_that_nothing_decodes_are_not_called_damaged(
    tmp_path, image, dcm, read, syntax, name
):
    path = dcm(tmp_path / "a.dcm", image(1, dtype=np.uint8), bits=8)
    old = (tmp_path / "a.dcm").read_bytes()
    at = old.index(b"1.2.840.10008.1.2.1\0") - 8
    value = syntax.encode() + b"\0" * (len(syntax) % 2)
    new = old[at : at + 6] + len(value).to_bytes(2, "little") + value
    size = int.from_bytes(old[140:144], "little") + len(new) - 28
    path.write_bytes(old[:140] + size.to_bytes(4, "little") + old[144:at] + new + old[at + 28 :])
    with pytest.raises(UserError, match=f"needs a decoder, and none is known .{name}.*gdcmconv"):
        read(path)
