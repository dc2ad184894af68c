"""Headers that claim what the file does not hold, or lies elsewhere, are refused at once."""

from __future__ import annotations

import os
import tarfile
import time

import h5py
import nibabel
import numpy as np
import pytest
import tifffile
from PIL import Image

from memtk.errors import UserError


def npy_header(shape, descr="<f4"):
    text = f"{{'descr': '{descr}', 'fortran_order': False, 'shape': {shape}, }}".encode()
    text += b" " * (64 - (10 + len(text) + 1) % 64) + b"\n"
    return b"\x93NUMPY\x01\x00" + len(text).to_bytes(2, "little") + text


@pytest.mark.parametrize("shape", ["(1000000000000, 28, 28)", "(3, 1000000, 1000000)"])
def test_arrays_that_are_declared_and_not_there_are_refused_at_once(tmp_path, check, shape):
    import zipfile

    with zipfile.ZipFile(tmp_path / "a.npz", "w") as file:
        file.writestr("images.npy", npy_header(shape) + bytes(100))
    (tmp_path / "b.npy").write_bytes(npy_header("(100000, 100000)") + bytes(100))
    found = check(tmp_path)[1]["images are found"]
    assert found.outcome == "refused" and "a.npz" in found.found
    found = check(tmp_path / "b.npy", validation=0)[1]["images can be read"]
    assert "more than memtk takes" in found.found


@pytest.mark.parametrize("kind", ["npz", "h5"])
def test_more_images_than_a_file_has_bytes_are_refused_at_once(tmp_path, check, kind):
    rows = np.zeros((2_000_000, 5, 5), np.uint8)  # 50 MB, packed to a thousandth
    if kind == "npz":
        np.savez_compressed(tmp_path / "a.npz", images=rows)
    else:
        with h5py.File(tmp_path / "a.h5", "w") as file:
            file.create_dataset("images", data=rows, chunks=(100_000, 4, 4), compression="gzip")
    found = check(tmp_path)[1]["images are found"]
    assert found.outcome == "refused" and "claims 2000000 x" in found.found


def test_hdf5_that_was_never_filled_is_refused(tmp_path, check):
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file.create_dataset("images", (10**9, 64, 64), "f4", chunks=(1, 64, 64))
    found = check(tmp_path / "a.h5")[1]["images are found"]
    assert found.outcome == "refused" and "claims" in found.found
    with h5py.File(tmp_path / "b.h5", "w") as file:
        file.create_dataset("images", (10, 64, 64), "f4", chunks=(1, 64, 64))
    assert "never filled" in check(tmp_path / "b.h5")[1]["images are found"].found


def test_a_nifti_header_that_claims_too_much_is_refused(tmp_path, image, nii, read):
    data = bytearray(nii(tmp_path / "a.nii", image(1, (8, 9, 7))).read_bytes())
    data[42:48] = np.array([2000, 2000, 2000], "<i2").tobytes()
    (tmp_path / "a.nii").write_bytes(data)
    with pytest.raises(UserError, match="cannot read .*a.nii"):
        read(tmp_path / "a.nii")


def test_a_png_that_claims_too_much_is_refused(tmp_path, image, png, read):
    import zlib

    data = bytearray(png(tmp_path / "a.png", 1).read_bytes())
    data[16:24] = (100_000).to_bytes(4, "big") * 2
    data[29:33] = zlib.crc32(bytes(data[12:29])).to_bytes(4, "big")
    (tmp_path / "a.png").write_bytes(data)
    with pytest.raises(UserError, match="cannot read .*a.png"):
        read(tmp_path / "a.png")


def test_a_dicom_header_that_claims_too_much_is_refused(tmp_path, image, dcm, read):
    path = dcm(tmp_path / "a.dcm", image(1), Rows=65_000, Columns=65_000)
    with pytest.raises(UserError, match="cannot read .*a.dcm"):
        read(path)


@pytest.mark.parametrize("shape", [(1, 500), (1, 1, 500)])
def test_a_line_of_voxels_is_no_image(tmp_path, read, shape):
    np.save(tmp_path / "a.npy", np.arange(500.0).reshape(shape))
    with pytest.raises(UserError, match="cannot read .*a.npy"):
        read(tmp_path / "a.npy")


OME = (
    '<?xml version="1.0"?><OME xmlns="http://www.openmicroscopy.org/Schemas/OME/2016-06"{own}>'
    '<Image ID="Image:0"><Pixels ID="Pixels:0" DimensionOrder="XYZCT" Type="uint8" SizeX="50" '
    'SizeY="40" SizeZ="{planes}" SizeC="1" SizeT="1"><Channel ID="Channel:0:0" '
    'SamplesPerPixel="1"/>{data}</Pixels></Image></OME>'
)
PLANE = (
    '<TiffData FirstZ="{z}" IFD="0" PlaneCount="1"><UUID FileName="{name}">{uuid}</UUID></TiffData>'
)


@pytest.mark.parametrize("other", ["b.tif", "../b.tif", "/etc/hostname", "pipe.tif"])
@pytest.mark.parametrize("own", [' UUID="urn:uuid:1"', ""])
def test_a_tiff_that_takes_slices_from_other_files_opens_none_of_them(
    tmp_path, image, read, other, own
):
    px = image(3, (40, 50))
    data = PLANE.format(z=0, name="a.ome.tif", uuid="urn:uuid:1")
    data += PLANE.format(z=1, name=other, uuid="urn:uuid:2")
    header = OME.format(own=own, planes=2, data=data).encode()
    tifffile.imwrite(tmp_path / "a.ome.tif", px, description=header, metadata=None)
    tifffile.imwrite(tmp_path / "b.tif", 255 - px, metadata=None)
    if hasattr(os, "mkfifo"):
        os.mkfifo(tmp_path / "pipe.tif")  # to open it would wait for ever
    with pytest.raises(
        UserError, match=r"a\.ome\.tif: its header says that a part of its picture lies"
    ):
        read(tmp_path / "a.ome.tif")


def test_a_tiff_with_an_ome_header_of_its_own_is_read_under_another_name_too(tmp_path, image, read):
    px = image(3, (40, 50))
    data = PLANE.format(z=0, name="before.ome.tif", uuid="urn:uuid:1")
    header = OME.format(own=' UUID="urn:uuid:1"', planes=1, data=data).encode()
    tifffile.imwrite(tmp_path / "now.ome.tif", px, description=header, metadata=None)
    tifffile.imwrite(tmp_path / "plain.ome.tif", px, ome=True)
    for name in ("now.ome.tif", "plain.ome.tif"):
        assert np.array_equal(read(tmp_path / name).voxels[0], px)


@pytest.mark.parametrize("name", ["a.nii", "a.nii.gz", "a.png", "a.npy", "a.npz", "a.h5", "a.dcm"])
@pytest.mark.parametrize("held", ["png", "nii", "npy", "npz", "hdf5", "tgz", "text"])
def test_a_file_of_another_format_than_its_name_says_is_named(tmp_path, read, image, name, held):
    made, px = tmp_path / f"made.{held}", image(1)
    if held == "png":
        Image.fromarray(px).save(made)
    elif held == "nii":
        nibabel.save(nibabel.Nifti1Image(px, np.eye(4)), made)
    elif held == "hdf5":
        with h5py.File(made, "w") as file:
            file["images"] = px[None]
    elif held == "tgz":
        np.save(tmp_path / "x.npy", px)
        with tarfile.open(made, "w:gz") as file:
            file.add(tmp_path / "x.npy", arcname="x.npy")
    elif held == "text":
        made.write_text('{"message": "Not Found"}')
    else:
        (np.save if held == "npy" else np.savez)(made, px)
    if name == f"a.{held}" or (name, held) in {("a.h5", "hdf5"), ("a.nii.gz", "nii")}:
        return
    (tmp_path / name).write_bytes(made.read_bytes())
    says = {"text": "a download that failed", "tgz": "TGZ: unpack it|put .gz behind its name"}
    suffix = {"hdf5": "h5"}.get(held, held)
    with pytest.raises(UserError, match=says.get(held, f"give it the suffix .{suffix}|take .gz")):
        read(tmp_path / name)


@pytest.mark.parametrize(
    ("pages", "keys", "says"),
    [(10_001, {}, "its pages are more than memtk takes"), (3_000, {}, "its pages differ"),
     (3_000, {"subfiletype": 1}, "its pages differ"), (9_000, {"metadata": None}, "")],
)  # fmt: skip
def test_a_tiff_of_thousands_of_pages_is_read_or_refused_within_seconds(
    tmp_path, read, pages, keys, says
):
    with tifffile.TiffWriter(tmp_path / "a.tif") as file:
        for _ in range(pages):
            file.write(np.zeros((8, 8), np.uint8), contiguous=False, **keys)
    begin = time.process_time()
    if says:
        with pytest.raises(UserError, match=says):
            read(tmp_path / "a.tif")
    else:
        assert read(tmp_path / "a.tif").voxels.shape == (1, 9000, 8, 8)
    assert time.process_time() - begin < 5


@pytest.mark.parametrize(("said", "held"), [(30, 1), (4_000_000, 1), (30, 20), (20, 20)])
def test_slices_of_imagej_that_are_not_there_are_missed(tmp_path, image, read, said, held):
    words = f"ImageJ=1.53\nimages={said}\nslices={said}\n"
    with tifffile.TiffWriter(tmp_path / "a.tif") as file:
        for n in range(held):
            told = words if n == 0 else None
            file.write(image(n), metadata=None, description=told, contiguous=False)
    if said > held:
        with pytest.raises(UserError, match=f"tells of {said} pictures, and {held} "):
            read(tmp_path / "a.tif")
    else:
        assert read(tmp_path / "a.tif").voxels.shape == (1, 20, 32, 32)


@pytest.mark.parametrize("held", [30, 29, 1])
def test_a_stack_of_imagej_that_was_cut_off_is_refused(tmp_path, image, read, held):
    stack = np.stack([image(n) for n in range(30)])
    tifffile.imwrite(tmp_path / "a.tif", stack, imagej=True, metadata={"axes": "ZYX"})
    whole = (tmp_path / "a.tif").read_bytes()
    (tmp_path / "a.tif").write_bytes(whole[: len(whole) - (30 - held) * 1024])
    if held == 30:
        assert np.array_equal(read(tmp_path / "a.tif").voxels, stack[None])
    else:
        with pytest.raises(UserError, match=r"a\.tif"):
            read(tmp_path / "a.tif")


@pytest.mark.parametrize("sign", ["_", "-", " ", "_-", "1_", "slice_1_", "x1_y", "2019-01-11_"])
@pytest.mark.parametrize("letters", [230, 990, 60_000])
def test_names_of_many_signs_are_looked_through_within_seconds(tmp_path, png, check, sign, letters):
    name = (sign * letters)[:letters]
    if letters < 255:
        for n in range(20):
            png(tmp_path / f"{name}{n}!.png", n)
    else:
        np.savez(tmp_path / "a.npz", **{f"{name}{n}!": np.eye(32) * n for n in range(20)})
    begin = time.process_time()
    found = check(tmp_path, validation=0)[1]["images are found"]
    assert time.process_time() - begin < 5
    assert ("of its arrays has more than 1,000 letters" in found.found) == (letters == 60_000)
