"""Attributes of DICOM that say what the numbers are: too few bits, empty, private ones."""

from __future__ import annotations

import numpy as np
import pydicom
import pytest
from pydicom.sequence import Sequence

from memtk.errors import UserError


@pytest.mark.parametrize("bits", [8, 10, 12, 14])
def test_voxels_that_go_on_above_the_bits_that_are_said_are_refused(
    tmp_path, image, dcm, read, bits
):
    path = dcm(tmp_path / "a.dcm", image(1, (64, 64), 2 << bits, np.uint16), bits=bits)
    with pytest.raises(UserError, match=f"the {bits} that its header.*with BitsStored 16"):
        read(path)


@pytest.mark.parametrize("above", ["one pixel", "a frame", "every bit", "a text", "noise"])
def test_overlays_and_whatever_else_lies_above_the_voxels_is_dropped(
    tmp_path, image, dcm, read, above
):
    px = image(1, (64, 64), 4000, np.uint16)
    over = np.zeros_like(px)
    if above == "noise":
        over[:] = np.random.default_rng(0).integers(0, 16, px.shape)
    else:
        over[{"one pixel": np.s_[3, 3], "a frame": np.s_[::63], "every bit": np.s_[9:50, 9:50],
              "a text": np.s_[3:9, 3:40:2]}[above]] = 15 if above == "every bit" else 1  # fmt: skip
    path = dcm(tmp_path / "a.dcm", px | over << 12, bits=12)
    assert np.array_equal(read(path).voxels[0], px)


@pytest.mark.parametrize(
    "tags",
    [{"RescaleSlope": ""}, {"RescaleIntercept": ""}, {"RescaleSlope": "", "RescaleIntercept": ""},
     {"ModalityLUTSequence": Sequence([])}, {"PatientID": ""}, {"WindowCenter": ""},
     {"PhotometricInterpretation": "monochrome2"}, {"PhotometricInterpretation": "Monochrome2 "},
     {"NumberOfFrames": None}, {"ImageType": ""}],
)  # fmt: skip
def test_attributes_that_are_empty_or_in_small_letters_change_nothing(
    tmp_path, image, dcm, read, tags
):
    px = image(1, top=4000, dtype=np.uint16)
    path = dcm(tmp_path / "a.dcm", px, bits=12, **tags)
    assert np.array_equal(read(path).voxels[0], px)


@pytest.mark.parametrize("intercept", [{}, {"RescaleIntercept": "-1024"}])
def test_a_rescale_slope_of_0_is_refused(tmp_path, image, dcm, read, intercept):
    path = dcm(tmp_path / "a.dcm", image(1), bits=8, RescaleSlope="0", **intercept)
    with pytest.raises(UserError, match="its RescaleSlope is 0, which leaves one value"):
        read(path)


def test_a_mosaic_that_only_the_makers_own_attribute_names_is_refused(tmp_path, image, dcm, read):
    path = dcm(tmp_path / "a.dcm", image(1, dtype=np.uint16), modality="MR")
    file = pydicom.dcmread(path)
    file.private_block(0x19, "SIEMENS MR HEADER", create=True).add_new(0x0A, "US", 16)
    file.save_as(path)
    with pytest.raises(UserError, match="it is a mosaic"):
        read(path)


@pytest.mark.parametrize("creator", ["GEMS_ACQU_01", "SIEMENS CT VA0 COAD", "Philips PET Private"])
def test_private_attributes_of_other_makers_say_nothing(tmp_path, image, dcm, read, creator):
    px = image(1, dtype=np.uint16)
    path = dcm(tmp_path / "a.dcm", px, modality="MR")
    file = pydicom.dcmread(path)
    file.private_block(0x19, creator, create=True).add_new(0x0A, "US", 16)
    file.save_as(path)
    assert np.array_equal(read(path).voxels[0], px)


@pytest.mark.parametrize(
    "keyword", ["PixelSpacing", "ImagerPixelSpacing", "NominalScannedPixelSpacing"]
)
def test_the_size_of_a_pixel_is_read_wherever_a_picture_says_it(
    tmp_path, image, dcm, read, keyword
):
    path = dcm(tmp_path / "a.dcm", image(1), modality="DX", bits=8, drop=["PixelSpacing"])
    file = pydicom.dcmread(path)
    setattr(file, keyword, [0.2, 0.3])
    file.save_as(path)
    assert read(path).spacing == (0.2, 0.3)
