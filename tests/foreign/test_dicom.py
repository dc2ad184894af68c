"""DICOM folders: what makes a volume, what are pictures, what is no image."""

from __future__ import annotations

import numpy as np
import pydicom
import pytest
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence

from memtk.errors import UserError

FOUND = "images are found"
XRAY, MAMMOGRAM = "1.2.840.10008.5.1.4.1.1.1.1", "1.2.840.10008.5.1.4.1.1.1.2"


def corr(a, b):
    return float(np.corrcoef(np.ravel(a).astype(float), np.ravel(b).astype(float))[0, 1])


def only(groups):
    """The groups that hold images: their numbers and shapes."""
    return {k: (g.images, g.patients, g.shapes) for k, g in groups.items() if g.images}


def test_radiographs_without_a_series_are_pictures_of_their_patients(tmp_path, image, dcm, check):
    for i in range(6):
        px = image(i, (40, 32), 4000, np.uint16)
        dcm(tmp_path / f"x{i}.dcm", px, number=i + 1, modality="DX", bits=12, patient=f"P{i}",
            drop=("SeriesInstanceUID",))  # fmt: skip
    groups, _ = check(tmp_path, validation=0)
    assert only(groups) == {"training": (6, 6, ((40, 32),))}


@pytest.mark.parametrize(
    ("modality", "sop"),
    [("MG", MAMMOGRAM), ("CR", "1.2.840.10008.5.1.4.1.1.1"), ("DX", XRAY), ("OT", XRAY),
     ("", MAMMOGRAM), ("US", "1.2.840.10008.5.1.4.1.1.6.1")],
)  # fmt: skip
def test_two_views_in_one_series_are_two_pictures(tmp_path, image, dcm, check, modality, sop):
    for p in range(3):
        for view in (1, 2):
            px = image(10 * p + view, (40, 32), 4000, np.uint16)
            dcm(tmp_path / f"p{p}" / f"v{view}.dcm", px, series=f"1.2.{p + 5}", number=view,
                modality=modality, bits=12, patient=f"P{p}", sop=sop)  # fmt: skip
    groups, _ = check(tmp_path, validation=0)
    assert only(groups) == {"training": (6, 3, ((40, 32),))}


def test_one_radiograph_a_folder_is_a_picture(tmp_path, image, dcm, check):
    for i in range(4):
        px = image(i, (40, 32), 4000, np.uint16)
        dcm(tmp_path / f"p{i}" / "x.dcm", px, series=f"1.2.{i + 5}", patient=f"P{i}", at=(0, 0, 1))
    assert only(check(tmp_path, validation=0)[0]) == {"training": (4, 4, ((40, 32),))}


def series(folder, image, dcm, count=4, name="IM{:04d}", **tags):
    for i in range(count):
        dcm(folder / name.format(i), image(i, (24, 20), 1000, np.int16), number=i + 1,
            at=(0, 0, 2.0 * i), **tags)  # fmt: skip


def test_several_series_of_a_folder_are_several_volumes(tmp_path, image, dcm, check):
    series(tmp_path, image, dcm, series="1.2.1", name="a{}")
    series(tmp_path, image, dcm, series="1.2.2", name="b{}")
    assert only(check(tmp_path, validation=0)[0]) == {"training": (2, 1, ((4, 24, 20),))}


def test_a_manifest_names_one_of_several_series_by_its_first_file(tmp_path, image, dcm, check):
    series(tmp_path / "d", image, dcm, series="1.2.1", name="a{}")
    series(tmp_path / "d", image, dcm, series="1.2.2", name="b{}")
    (tmp_path / "m.csv").write_text("path,item,patient_id\nd,b0,1\n")
    assert check(tmp_path / "m.csv", validation=0)[0]["training"].shapes == ((4, 24, 20),)
    (tmp_path / "m.csv").write_text("path,patient_id\nd,1\n")
    found = check(tmp_path / "m.csv", validation=0)[1][FOUND]
    assert "holds 2 images: add a column 'item', as in a0" in found.found


def test_slices_of_two_patients_in_one_series_are_refused(tmp_path, image, dcm, check):
    for i in range(4):
        dcm(tmp_path / f"{i}", image(i, (24, 20), 900, np.int16), at=(0, 0, i), patient=f"A{i % 2}")
    found = check(tmp_path)[1][FOUND]
    assert found.outcome == "refused" and "name 2 patients" in found.found
    assert "A0" not in found.found and "A1" not in found.found


@pytest.mark.parametrize(
    ("tags", "says"),
    [
        ([{"patient": "Anna7"}, {"patient": ""}], "may be of two patients: 2 of them name none"),
        ([{"patient": "Anna7"}, {"drop": ["PatientID"]}], "2 of them name none"),
        ([{"patient": "", "PatientName": f"Anna{i}^X"} for i in range(2)], "name 2 patients"),
        ([{"PatientBirthDate": f"1957010{i}"} for i in (1, 2)], "name 2 dates of birth"),
        ([{"PatientSex": s, "patient": ""} for s in "MF"], "name 2 sexes"),
        ([{"StudyInstanceUID": f"1.2.1957.{i}"} for i in (1, 2)], "are of 2 studies"),
    ],
)
def test_slices_that_cannot_be_of_one_patient_are_refused(tmp_path, image, dcm, check, tags, says):
    for i in range(4):
        dcm(tmp_path / f"{i}", image(i, (24, 20), 900, np.int16), at=(0, 0, i), **tags[i % 2])
    found = check(tmp_path)[1][FOUND]
    assert found.outcome == "refused" and says in found.found
    assert "Anna" not in found.found and "1957" not in found.found


def test_slices_that_all_say_the_same_of_their_patient_are_a_volume(tmp_path, image, dcm, check):
    for i in range(4):
        dcm(tmp_path / f"{i}", image(i, (24, 20), 900, np.int16), at=(0, 0, i),
            PatientName=("Doe^Jo", "DOE^JO")[i % 2], PatientBirthDate=("", "19570101")[i % 2],
            StudyInstanceUID="1.2.9")  # fmt: skip
    assert only(check(tmp_path, validation=0)[0]) == {"training": (1, 1, ((4, 24, 20),))}


def test_the_patient_of_the_header_is_used_and_shown_nowhere(tmp_path, image, dcm, check):
    for part, first in (("train", 0), ("val", 3)):
        for i in range(4):
            px = image(10 * first + i, (40, 32), 4000, np.uint16)
            dcm(tmp_path / part / f"{i}.dcm", px, modality="DX", patient=f"MRN00{first + i}")
    _, found = check(tmp_path)
    shared = found["each patient is in one split"]
    assert shared.outcome == "refused" and "1 of 7 patients" in shared.found
    assert "MRN" not in " ".join(f.text() for f in found.values())


def test_a_placeholder_in_the_place_of_all_patients_names_nobody(tmp_path, image, dcm, check):
    for i, name in enumerate(("ANONYMOUS", "anon", "", "Removed", "0000")):
        dcm(tmp_path / f"{i}.dcm", image(i), modality="DX", patient=name, bits=8)
    found = check(tmp_path, validation=0)[1]
    assert "nothing says whose the images are" in found[FOUND].found


def test_one_patient_in_two_spellings_within_a_series_is_one(tmp_path, image, dcm, check):
    for k in range(4):
        name = ("MRN007", "mrn 7")[k % 2]
        dcm(tmp_path / f"{k}.dcm", image(k), at=(0, 0, 2 * k), number=k, patient=name)
    groups, _ = check(tmp_path, validation=0)
    assert (groups["training"].images, groups["training"].patients) == (1, 1)


@pytest.mark.parametrize("first", [0, 1, -2])
def test_slices_without_positions_are_sorted_by_numbers_from_any_on(
    tmp_path, image, dcm, read, first
):
    for k in (2, 0, 3, 1):
        dcm(tmp_path / "s" / f"{7 * k % 4}.dcm", image(k), number=first + k)
    voxels = read(tmp_path / "s").voxels[0]
    assert np.array_equal(voxels, np.stack([image(k) for k in range(4)]))


def test_slices_whose_pixels_differ_in_size_are_refused(tmp_path, image, dcm, read):
    for k in range(4):
        size = [1.0, 1.0] if k < 2 else [0.5, 0.5]
        dcm(tmp_path / "s" / f"{k}.dcm", image(k), at=(0, 0, 2 * k), PixelSpacing=size)
    with pytest.raises(UserError, match=r"different sizes \(0.5 x 0.5 mm, 1 x 1 mm\)"):
        read(tmp_path / "s")


def test_what_is_no_image_is_left_out_and_said(tmp_path, image, dcm, check):
    series(tmp_path, image, dcm)
    px = image(1, (24, 20), 1000, np.int16)
    dcm(tmp_path / "scout", px, series="1.2.9", ImageType=["ORIGINAL", "PRIMARY", "LOCALIZER"])
    dcm(tmp_path / "seg", px, series="1.2.8", sop="1.2.840.10008.5.1.4.1.1.66.4", modality="SEG")
    dcm(tmp_path / "dose", px, series="1.2.7", sop="1.2.840.10008.5.1.4.1.1.481.2")
    dcm(tmp_path / "sr", px, series="1.2.6", sop="1.2.840.10008.5.1.4.1.1.88.11", modality="SR",
        drop=("Rows", "Columns", "PixelData"))  # fmt: skip
    groups, found = check(tmp_path, validation=0)
    assert only(groups) == {"training": (1, 1, ((4, 24, 20),))}
    for word in ("localizers (1): scout", "segmentations (DICOM SEG) (1): seg", "dose", "Text SR"):
        assert word in found[FOUND].found


def test_files_without_preamble_and_suffix_belong_to_their_series(tmp_path, image, dcm, check):
    for i in range(6):
        dcm(tmp_path / f"IM{i}", image(i, (24, 20), 900, np.int16), at=(0, 0, i), preamble=i < 4)
    assert check(tmp_path, validation=0)[0]["training"].shapes == ((6, 24, 20),)


def test_a_series_beside_a_picture_is_read(tmp_path, image, dcm, png, check):
    for p in range(2):
        series(tmp_path / f"p{p}", image, dcm, series=f"1.2.{p + 1}")
        png(tmp_path / f"p{p}" / "shot.png", p)
    pattern = r"^p(\d)(?:/|$)"
    found = check(tmp_path, patient_pattern=pattern, validation=0)[1]["all images have one size"]
    assert found.outcome == "refused" and "4x24x20 (2" in found.found and "32x32 (2" in found.found


def test_text_files_among_slices_are_no_slices(tmp_path, image, dcm, check):
    series(tmp_path, image, dcm)
    (tmp_path / "README").write_text("a study of ...")
    (tmp_path / "DICOMDIR").write_bytes(bytes(128) + b"DICM")
    groups, found = check(tmp_path, validation=0)
    assert groups["training"].shapes == ((4, 24, 20),)
    assert "1 README" in found[FOUND].found and "a DICOMDIR (1)" in found[FOUND].found


def test_a_monochrome1_series_is_inverted_by_one_constant(tmp_path, image, dcm, read):
    vol = image(1, (5, 24, 20), 1000, np.uint16)
    vol[2] //= 4
    for i in range(5):
        dcm(tmp_path / "s" / f"{i}", vol[i], at=(0, 0, i), modality="PT", photometric="MONOCHROME1")
    x = read(tmp_path / "s").voxels[0]
    assert np.ptp(x + vol) < 1e-3


def test_a_series_of_both_kinds_of_gray_is_refused(tmp_path, image, dcm, read):
    for i in range(4):
        dcm(tmp_path / "s" / f"{i}", image(i), at=(0, 0, i), photometric=f"MONOCHROME{1 + i % 2}")
    with pytest.raises(UserError, match="some of its slices are MONOCHROME1"):
        read(tmp_path / "s")


def test_a_header_that_calls_a_picture_positive_and_negative_is_refused(tmp_path, image, dcm, read):
    px = image(1, top=4000, dtype=np.uint16)
    for name, kind, shape in (("a", 1, "INVERSE"), ("b", 2, "IDENTITY"), ("c", 2, "INVERSE")):
        how = {"photometric": f"MONOCHROME{kind}", "PresentationLUTShape": shape}
        dcm(tmp_path / f"{name}.dcm", px, modality="DX", **how)
    assert read(tmp_path / "a.dcm").voxels[0].argmax() == px.argmin()
    assert read(tmp_path / "b.dcm").voxels[0].argmax() == px.argmax()
    with pytest.raises(UserError, match="PresentationLUTShape INVERSE"):
        read(tmp_path / "c.dcm")


def test_a_palette_is_looked_up(tmp_path, image, dcm, read):
    px, ramp = image(3), (np.arange(255, -1, -1).astype(np.uint16) * 257).tobytes()
    tags = {}
    for color in ("Red", "Green", "Blue"):
        tags[f"{color}PaletteColorLookupTableDescriptor"] = [256, 0, 16]
        tags[f"{color}PaletteColorLookupTableData"] = ramp
    path = dcm(tmp_path / "a.dcm", px, modality="US", photometric="PALETTE COLOR", bits=8, **tags)
    x = read(path).voxels
    assert x.shape == (1, 32, 32) and corr(x[0], 255 - px.astype(float)) > 0.9999


@pytest.mark.parametrize("place", ["shared", "of the frame"])
def test_functional_groups_of_one_frame_are_applied(tmp_path, image, dcm, read, place):
    px = image(3, (32, 32), 1000, np.uint16)
    group, measures, lut = Dataset(), Dataset(), Dataset()
    measures.PixelSpacing = [0.5, 0.25]
    lut.RescaleSlope, lut.RescaleIntercept, lut.RescaleType = 2, -1000, "HU"
    group.PixelMeasuresSequence = Sequence([measures])
    group.PixelValueTransformationSequence = Sequence([lut])
    which = "SharedFunctionalGroupsSequence" if place == "shared" else None
    which = which or "PerFrameFunctionalGroupsSequence"
    dcm(tmp_path / "a.dcm", px, NumberOfFrames=1, drop=("PixelSpacing",),
        sop="1.2.840.10008.5.1.4.1.1.2.1", **{which: Sequence([group])})  # fmt: skip
    volume = read(tmp_path / "a.dcm")
    assert np.allclose(volume.voxels[0], px * 2.0 - 1000) and volume.spacing == (0.5, 0.25)


@pytest.mark.parametrize("high", [15, 12, 7])
def test_voxels_that_are_not_in_the_lowest_bits_are_refused(tmp_path, image, dcm, read, high):
    px = image(1, top=4000, dtype=np.uint16) << 4
    path = dcm(tmp_path / "a.dcm", px, bits=12, HighBit=high)
    with pytest.raises(UserError, match=f"HighBit is {high} with 12 BitsStored"):
        read(path)


def test_bits_above_the_voxels_are_no_part_of_them(tmp_path, image, dcm, read):
    px = image(1, top=4000, dtype=np.uint16)
    overlay = (image(2) > 128).astype(np.uint16) << 12
    assert np.array_equal(read(dcm(tmp_path / "a.dcm", px | overlay, bits=12)).voxels[0], px)


@pytest.mark.parametrize("keyword", ["FloatPixelData", "DoubleFloatPixelData"])
def test_voxels_that_are_real_numbers_are_read(tmp_path, image, dcm, read, keyword):
    px = image(1, dtype=np.float32)
    kind = {"FloatPixelData": np.float32, "DoubleFloatPixelData": np.float64}[keyword]
    tags = {keyword: px.astype(kind).tobytes(), "BitsAllocated": 8 * kind().itemsize}
    path = dcm(tmp_path / "a.dcm", px.astype(np.uint32), drop=("PixelData",), **tags)
    assert np.array_equal(read(path).voxels[0], px)


@pytest.mark.parametrize("limit", [None, -1990])
def test_padding_counts_as_the_least_of_the_other_voxels(tmp_path, image, dcm, read, limit):
    px = image(3, (32, 32), 1000, np.int16)
    px[:4], px[4:6] = -2000, -1995
    tags = {"PixelPaddingValue": -2000} | ({"PixelPaddingRangeLimit": limit} if limit else {})
    x = read(dcm(tmp_path / "a.dcm", px, RescaleSlope=1, RescaleIntercept=-24, **tags)).voxels[0]
    rest = px[6:] - 24.0
    assert np.array_equal(x[6:], rest)
    assert (x[:4] == (rest.min() if limit else -2019)).all()


def test_padding_of_signed_voxels_may_be_written_as_unsigned(tmp_path, image, dcm, read):
    px = image(3, (32, 32), 1000, np.int16)
    px[:4] = -2000
    path = dcm(tmp_path / "a.dcm", px)
    dataset = pydicom.dcmread(path)
    dataset.add_new("PixelPaddingValue", "US", 2**16 - 2000)
    dataset.save_as(path)
    x = read(path).voxels[0]
    assert (x[:4] == px[4:].min()).all() and np.array_equal(x[4:], px[4:])


@pytest.mark.parametrize(
    ("tags", "factor", "shift"), [({"RescaleSlope": 2}, 2, 0), ({"RescaleIntercept": -9}, 1, -9)]
)
def test_a_slope_counts_without_an_intercept_and_the_other_way_round(
    tmp_path, image, dcm, read, tags, factor, shift
):
    px = image(3, (32, 32), 1000, np.int16)
    assert np.array_equal(read(dcm(tmp_path / "a.dcm", px, **tags)).voxels[0], px * factor + shift)


def test_several_slopes_are_refused_by_name(tmp_path, image, dcm, read):
    path = dcm(
        tmp_path / "a.dcm",
        image(3, (32, 32), 1000, np.int16),
        RescaleSlope=[1, 2],
        RescaleIntercept=0,
    )
    with pytest.raises(UserError, match=r"a.dcm: its RescaleSlope has several values"):
        read(path)


def test_padding_of_a_monochrome1_series_is_dark(tmp_path, image, dcm, read):
    vol = image(1, (3, 24, 20), 1000, np.uint16)
    vol[:, :5] = 4095
    for i in range(3):
        dcm(tmp_path / "s" / f"{i}", vol[i], at=(0, 0, i), photometric="MONOCHROME1",
            PixelPaddingValue=4095)  # fmt: skip
    x = read(tmp_path / "s").voxels[0]
    assert x[:, :5].max() == x.min() and np.ptp(x[:, 5:] + vol[:, 5:]) < 1e-3


def set_comma(ds):
    from pydicom.dataelem import RawDataElement
    from pydicom.tag import Tag

    value = b"0,5\\0,5 "
    ds[Tag(0x00280030)] = RawDataElement(Tag(0x00280030), "DS", len(value), value, 0, False, True)


def set_text(ds):
    del ds.PixelSpacing
    ds.add_new(0x00280030, "UT", "0.5\\0.5")


CHANGES = {
    "one value": lambda ds: setattr(ds, "PixelSpacing", [0.5]),
    "text": set_text,
    "decimal commas": set_comma,
    "three values": lambda ds: setattr(ds, "PixelSpacing", [0.5, 0.5, 0.5]),
    "no position": lambda ds: setattr(ds, "ImagePositionPatient", [0, 0]),
    "a short orientation": lambda ds: setattr(ds, "ImageOrientationPatient", [1, 0, 0]),
}


@pytest.mark.parametrize("name", CHANGES)
def test_a_header_value_that_is_not_as_it_should_be_is_named(tmp_path, image, dcm, read, name):
    series(tmp_path / "s", image, dcm, 3)
    for path in (tmp_path / "s").iterdir():
        dataset = pydicom.dcmread(path)
        CHANGES[name](dataset)
        dataset.save_as(path)
    with pytest.raises(UserError, match="cannot read .*(PixelSpacing|Image|float)") as caught:
        read(tmp_path / "s")
    assert len(str(caught.value).splitlines()) == 1


def test_a_slice_in_colour_is_named_or_a_picture_of_its_own(tmp_path, image, dcm, read, check):
    for i in range(4):
        dcm(tmp_path / "us" / f"{i}", image(i), number=i + 1, modality="US", bits=8)
        dcm(tmp_path / "ct" / f"{i}", image(i), number=i + 1, at=(0, 0, i), bits=8)
    color = np.stack([image(9), image(8), image(7)], -1)
    dcm(tmp_path / "us" / "9", color, number=9, modality="US", bits=8)
    dcm(tmp_path / "ct" / "9", color, number=9, at=(0, 0, 4), bits=8)
    found = check(tmp_path / "us", validation=0)[1]["images are gray"]
    assert found.outcome == "refused" and "1 of 5 images" in found.found
    with pytest.raises(UserError, match="a slice of the series is in colour, 9"):
        read(tmp_path / "ct")


@pytest.mark.parametrize("keyword", ["Modality", "PixelSpacing", "SOPClassUID", "SliceThickness"])
def test_a_header_that_slipped_shows_no_patient(tmp_path, image, dcm, read, check, keyword):
    """A damaged length lets one attribute swallow those behind it, the patient's among them."""
    for number in range(3):
        path = dcm(tmp_path / "s" / f"{number}", image(number), at=(0, 0, number), bits=8,
                   patient="MRN0042", SliceThickness=1)  # fmt: skip
        content, name = path.read_bytes(), keyword
        tag = pydicom.datadict.tag_for_keyword(name)
        at = content.rindex(tag.to_bytes(4, "big")[1::-1] + tag.to_bytes(4, "big")[:1:-1]) + 6
        path.write_bytes(content[:at] + (200).to_bytes(2, "little") + content[at + 2 :])
    found = check(tmp_path / "s", validation=0)[1]
    said = " ".join(finding.text() for finding in found.values())
    for path in (tmp_path / "s", tmp_path / "s/0"):
        try:
            read(path)
        except UserError as error:
            said += str(error)
    assert "0042" not in said


def test_whole_series_under_one_number_are_volumes_of_their_own(tmp_path, image, dcm, check):
    for p in range(3):  # as some anonymisers leave them
        series(tmp_path / f"p{p}", lambda i, *how: image(10 * p + i, *how), dcm, patient=f"P{p}")  # noqa: B023
    groups, _ = check(tmp_path, validation=0)
    assert only(groups) == {"training": (3, 3, ((4, 24, 20),))}
