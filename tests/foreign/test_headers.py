"""What a header says of its numbers is applied, or refused by its name; what is behind them too."""

from __future__ import annotations

import gzip
import struct

import h5py
import nibabel
import numpy as np
import pytest
import tifffile
from foreign.cases import COLOUR, GRAY, STACK, VOLUME, WIDE
from foreign.dicom_cases import dicom, one, series
from PIL import Image
from pydicom.dataset import Dataset
from pydicom.encaps import encapsulate
from pydicom.sequence import Sequence

from memtk import UserError


@pytest.mark.parametrize(
    ("pixels", "tags", "says"),
    [
        (GRAY, {"PhotometricInterpretation": "RGB"}, "is RGB with 1 value"),
        (GRAY, {"PhotometricInterpretation": "GREYSCALE"}, "is GREYSCALE with 1"),
        (GRAY, {"PhotometricInterpretation": ""}, "is nothing with 1"),
        (GRAY, {"PhotometricInterpretation": "Doe^Jane"}, "is text with 1"),
        (COLOUR, {"PhotometricInterpretation": "MONOCHROME2"}, "is MONOCHROME2 with 3"),
        (COLOUR, {"PhotometricInterpretation": "HSV"}, "is HSV with 3"),
        (COLOUR, {"PhotometricInterpretation": "YBR_ICT"}, "is YBR_ICT with 3"),
        (GRAY, {"ImageType": ["ORIGINAL", "PRIMARY", "M", "MOSAIC"]}, "it is a mosaic"),
        (GRAY, {"PixelData": GRAY.tobytes() * 2}, "one frame of 24 x 20"),
        (GRAY, {"PixelData": GRAY.tobytes() * 3}, "it holds 3 x 24 x 20 values"),
        (COLOUR, {"PixelData": COLOUR.tobytes() * 2}, "it holds 2 x 24 x 20 x 3 values"),
    ],
)
def test_pixels_that_are_not_what_their_header_says_are_refused(tmp_path, read, pixels, tags, says):
    with pytest.raises(UserError, match=f"a.dcm: .*{says}"):
        read(one(pixels, **tags)(tmp_path))


def test_frames_of_a_compressed_file_that_says_one_are_refused(tmp_path, read):
    Image.fromarray(WIDE).save(tmp_path / "a.j2k", no_jp2=True)
    data = (tmp_path / "a.j2k").read_bytes()
    file = one(WIDE, syntax="1.2.840.10008.1.2.4.90", PixelData=encapsulate([data, data]))
    with pytest.raises(UserError, match="one frame of 24 x 20"):
        read(file(tmp_path))


@pytest.mark.parametrize(
    ("bits", "wide"), [(8, False), (8, True), (10, True), (12, True), (16, True)]
)
def test_a_table_of_the_modality_of_any_depth_is_applied(tmp_path, read, bits, wide):
    table, item = np.arange(255, -1, -1) << (bits - 8), Dataset()
    item.add_new(0x00283002, "US", [256, 0, bits])
    item.add_new(0x00283006, "OW", table.astype("<u2" if wide else "u1").tobytes())
    item.ModalityLUTType = "US"
    found = read(one(GRAY, ModalityLUTSequence=Sequence([item]))(tmp_path))
    assert np.array_equal(found.voxels[0], table[GRAY])


@pytest.mark.parametrize("key", ["RescaleSlope", "RescaleIntercept"])
def test_a_slope_that_is_no_number_is_named(tmp_path, read, key):
    path = tmp_path / "a.dcm"
    file = dicom(path, GRAY, RescaleSlope="1.55", RescaleIntercept="1.55")
    file[key].value = "2.55"
    file.save_as(path, enforce_file_format=True)
    path.write_bytes(path.read_bytes().replace(b"2.55", b"2,55"))
    with pytest.raises(UserError, match=rf"a.dcm: its {key} .*2,55"):
        read(path)


def nii(path, voxels=VOLUME, change=lambda scan: None, edit=None):
    scan = nibabel.Nifti1Image(voxels, np.diag([2.0, 2.0, 3.0, 1.0]))
    change(scan)
    content = bytearray(scan.to_bytes())
    if edit:
        edit(content)
    packed = path.name.lower().endswith(".gz")
    path.write_bytes(gzip.compress(bytes(content)) if packed else bytes(content))
    return path


@pytest.mark.parametrize(
    ("code", "says"),
    [
        (5, "a map of a statistic"),
        (22, "a map of a statistic"),
        (1003, "labels"),
        (1005, "vectors or matrices"),
        (1006, "vectors or matrices"),
        (1007, "vectors or matrices"),
        (2001, "a series in time"),
    ],
)
def test_a_nifti_that_says_it_holds_no_image_is_refused(tmp_path, read, code, says):
    path = tmp_path / "a.nii"
    nii(path, np.stack([VOLUME] * 3, -1), edit=lambda b: struct.pack_into("<h", b, 68, code))
    with pytest.raises(UserError, match=f"a.nii: its header says that it holds {says}"):
        read(path)


def test_up_to_four_points_in_time_are_no_channels_where_the_header_says_so(tmp_path, read):
    def timed(step):
        def change(scan):
            scan.header.set_xyzt_units("mm", "sec")
            scan.header["pixdim"][4] = step

        return change

    voxels = np.stack([VOLUME] * 3, -1)
    with pytest.raises(UserError, match=r"3 points in time, 2\.5 apart"):
        read(nii(tmp_path / "a.nii", voxels, timed(2.5)))
    for step in (0.0, 1.0):  # as SimpleITK writes channels
        assert read(nii(tmp_path / "b.nii", voxels, timed(step))).voxels.shape == (3, 6, 24, 20)


@pytest.mark.parametrize("name", ["a.Nii", "a.nII", "a.Nii.gz", "a.NII.gz", "A.NII.GZ"])
@pytest.mark.parametrize("kind", [nibabel.Nifti1Image, nibabel.Nifti2Image])
def test_the_suffix_of_nifti_is_known_in_any_letters(tmp_path, read, name, kind):
    content = kind(VOLUME, np.eye(4)).to_bytes()
    packed = name.lower().endswith("gz")
    (tmp_path / name).write_bytes(gzip.compress(content) if packed else content)
    assert np.array_equal(read(tmp_path / name).voxels[0], VOLUME)


@pytest.mark.parametrize("at", [-8, -6, -1])
def test_a_packed_nifti_whose_checksum_is_wrong_is_refused(tmp_path, read, at):
    path = nii(tmp_path / "a.nii.gz")
    content = bytearray(path.read_bytes())
    content[at] ^= 1
    path.write_bytes(content)
    with pytest.raises(UserError, match="a.nii.gz: it is damaged"):
        read(path)


@pytest.mark.parametrize("name", ["a.nii", "a.nii.gz"])
def test_volumes_behind_the_one_that_the_header_tells_of_are_refused(tmp_path, read, name):
    double = np.stack([VOLUME, VOLUME], -1)
    path = nii(tmp_path / name, double, edit=lambda b: struct.pack_into("<h", b, 40, 3))
    with pytest.raises(UserError, match="more voxels than its header says"):
        read(path)


@pytest.mark.parametrize("rest", ["another array", "other bytes"])
def test_an_npy_with_something_behind_its_array_is_refused(tmp_path, read, rest):
    with open(tmp_path / "a.npy", "wb") as file:
        np.save(file, GRAY)
        np.save(file, 255 - GRAY) if rest == "another array" else file.write(b"x")
    with pytest.raises(UserError, match="a.npy: it holds more than one array"):
        read(tmp_path / "a.npy")


@pytest.mark.parametrize(
    ("key", "value", "plain"),
    [
        ("scale_factor", 2.0, 1.0),
        ("add_offset", -5.0, 0.0),
        ("IMAGE_WHITE_IS_ZERO", np.uint8(1), np.uint8(0)),
    ],
)
def test_attributes_of_hdf5_that_change_what_numbers_mean_are_refused(
    tmp_path, read, key, value, plain
):
    for name, each in (("a.h5", value), ("b.h5", plain)):
        with h5py.File(tmp_path / name, "w") as file:
            file.create_dataset("images", data=STACK[:1]).attrs[key] = each
    with pytest.raises(UserError, match=f"a.h5: the attribute {key} of images"):
        read(tmp_path / "a.h5")
    assert np.array_equal(read(tmp_path / "b.h5").voxels, STACK[:1])


@pytest.mark.parametrize("value", [-9999, 0, 40_000, np.nan])
@pytest.mark.parametrize("kind", ["_FillValue", "missing_value", "GDAL_NODATA"])
def test_what_was_never_measured_is_the_least_of_the_others(tmp_path, read, kind, value):
    pixels = WIDE.astype(np.int32 if value == value else np.float32)
    pixels[3:6, 2:9] = value
    least = np.delete(pixels, np.s_[3:6], axis=0).min()
    expected = np.where(np.isin(pixels, value) | (pixels != pixels), least, pixels)
    if kind == "GDAL_NODATA":
        tags = [(42113, "s", 0, str(value), True)]
        tifffile.imwrite(tmp_path / "a", pixels, extratags=tags)
        voxels = read((tmp_path / "a").rename(tmp_path / "a.tif")).voxels
    else:
        with h5py.File(tmp_path / "a.h5", "w") as file:
            file.create_dataset("images", data=pixels[None]).attrs[kind] = value
        voxels = read(tmp_path / "a.h5").voxels
    assert voxels.min() == least and np.array_equal(voxels[0], expected)


@pytest.mark.parametrize("value", ["none", np.zeros(10**3), np.zeros(0), 7])
def test_a_padding_that_is_no_number_or_is_not_there_changes_nothing(tmp_path, read, value):
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file.create_dataset("images", data=STACK[:1]).attrs["_FillValue"] = value
    assert np.array_equal(read(tmp_path / "a.h5").voxels, np.where(STACK[:1] == 7, 8, STACK[:1]))
    tags = [(42113, "s", 0, "none", True)]
    tifffile.imwrite(tmp_path / "a.tif", GRAY, extratags=tags)
    assert np.array_equal(read(tmp_path / "a.tif").voxels[0], GRAY)


@pytest.mark.parametrize("form", [".1f", ".0f"])
@pytest.mark.parametrize(("c0", "c1"), [(-32768.0, 1.0), (255.0, -1.0), (0.0, 1.0)])
def test_imagejs_calibration_is_applied(tmp_path, read, c0, c1, form):
    said = f"ImageJ=1.53\nunit=gray\ncf=0\nc0={c0:{form}}\nc1={c1:{form}}\n"
    tifffile.imwrite(tmp_path / "a.tif", WIDE, description=said, metadata=None)
    assert np.array_equal(read(tmp_path / "a.tif").voxels[0], WIDE * c1 + c0)


@pytest.mark.parametrize("said", ["cf=1\nc0=1.0\nc1=1.0\nc2=1.0\n", "cf=20\n", "cf=0\nc0=1.0\n"])
def test_a_calibration_of_imagej_that_is_no_line_is_refused(tmp_path, read, said):
    tifffile.imwrite(tmp_path / "a.tif", GRAY, description=f"ImageJ=1.53\n{said}", metadata=None)
    with pytest.raises(UserError, match="a.tif: ImageJ's calibration"):
        read(tmp_path / "a.tif")


@pytest.mark.parametrize("name", ["a.tif", "a.png", "a.jpg", "a.bmp"])
@pytest.mark.parametrize("compression", ["raw", "tiff_lzw", "packbits"])
@pytest.mark.parametrize("pixels", [GRAY, WIDE], ids=["8 bit", "16 bit"])
def test_a_negative_is_turned_whatever_packs_it_and_whatever_its_name(
    tmp_path, read, pixels, compression, name
):
    Image.fromarray(pixels).save(tmp_path / name, "TIFF", compression=compression)
    with tifffile.TiffFile(tmp_path / name, mode="r+b") as file:
        file.pages[0].tags["PhotometricInterpretation"].overwrite(0)
    assert np.array_equal(read(tmp_path / name).voxels[0], np.iinfo(pixels.dtype).max - pixels)


@pytest.mark.parametrize("form", ["ICO", "EPS", "PCX", "TGA", "ICNS"])
def test_a_picture_of_another_format_under_the_name_of_one_is_refused(tmp_path, read, form):
    Image.fromarray(np.tile(COLOUR, (6, 6, 1))[:128, :128]).save(tmp_path / "a.png", form)
    with pytest.raises(UserError, match="cannot read .*a.png"):
        read(tmp_path / "a.png")


@pytest.mark.parametrize(
    ("frame", "bits", "says"),
    [(0xC1, 12, "JPEG of 12 bit"), (0xC3, 8, "JPEG without loss"), (0xC3, 16, "JPEG of 16 bit")],
)
def test_a_jpeg_that_nothing_here_decodes_is_no_damage(tmp_path, read, frame, bits, says):
    Image.fromarray(GRAY).save(tmp_path / "a.jpg")
    content = bytearray((tmp_path / "a.jpg").read_bytes())
    at = content.index(b"\xff\xc0")
    content[at + 1], content[at + 4] = frame, bits
    (tmp_path / "a.jpg").write_bytes(content)
    with pytest.raises(UserError, match=rf"a.jpg: it needs a decoder .*\({says}"):
        read(tmp_path / "a.jpg")


def slices(tmp_path, change):
    def write(number, file):
        change(number, file)

    return series(write)(tmp_path)


@pytest.mark.parametrize(
    ("key", "one", "other"),
    [
        ("EchoTime", "10", "90"),
        ("ConvolutionKernel", "B30f", "B70f"),
        ("Units", "BQML", "CNTS"),
        ("FrameOfReferenceUID", "1.2.3", "1.2.4"),
        ("ImageType", ["ORIGINAL", "PRIMARY", "M"], ["ORIGINAL", "PRIMARY", "P"]),
        ("ImageType", ["ORIGINAL", "PRIMARY", "M_FFE", "M"], ["ORIGINAL", "PRIMARY", "R_FFE", "R"]),
        ("ImageType", ["DERIVED", "PRIMARY", "WATER"], ["DERIVED", "PRIMARY", "FAT"]),
    ],
)
def test_slices_of_several_measurements_under_one_number_are_no_volume(
    tmp_path, read, key, one, other
):
    mixed = slices(tmp_path, lambda number, file: setattr(file, key, other if number % 2 else one))
    with pytest.raises(UserError, match=f"its slices differ in {key}, so they are of several"):
        read(mixed)


@pytest.mark.parametrize("key", ["EchoTime", "ConvolutionKernel", "Units", "FrameOfReferenceUID"])
def test_slices_that_say_the_same_or_nothing_are_one_volume(tmp_path, read, key):
    def change(number, file):
        file.ImageType = ["ORIGINAL", "PRIMARY", "AXIAL" if number % 2 else "M"][: 2 + number % 2]
        if number % 2:
            setattr(file, key, "10")

    assert np.array_equal(read(slices(tmp_path, change)).voxels[0], VOLUME)


@pytest.mark.parametrize("plane", [[1, 0, 0, 1, 1, 0], [2, 0, 0, 0, 2, 0], [1, 0, 0, 1, 0, 0]])
def test_an_orientation_that_is_no_two_directions_is_refused(tmp_path, read, plane):
    def change(number, file):
        file.ImageOrientationPatient = plane

    with pytest.raises(UserError, match="ImageOrientationPatient is not two directions|position"):
        read(slices(tmp_path, change))
