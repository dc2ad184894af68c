from __future__ import annotations

import gzip
import os
import struct
import zipfile
from pathlib import Path

import h5py
import imageio.v3 as imageio
import nibabel
import numpy as np
import pytest
import tifffile

from memtk.data.readers import reading
from memtk.data.walk import Walk
from memtk.errors import UserError
from memtk.interfaces import Record
from memtk.registry import open_registry
from memtk_files.arrays import NumpyReader
from memtk_files.hdf5 import Hdf5Reader
from memtk_files.nifti import NiftiReader
from memtk_files.picture import PictureReader


def one(reader, path):
    (record,) = reader.records(path)
    return reader.read(record)


def refused(reader, path, item=None):
    with pytest.raises(UserError) as caught, reading(path):
        records = reader.records(path)
        reader.read(records[0] if item is None else Record(path, item))
    text = str(caught.value)
    assert Path(path).name in text and "Traceback" not in text and text.count("\n") < 3
    return text


def test_every_reader_is_found_by_its_suffixes():
    entries = {e.name: e for e in open_registry().entries("reader") if e.plugin.name == "files"}
    assert set(entries) == {"nifti", "picture", "numpy", "hdf5", "dicom"}
    suffixes = [s for e in entries.values() for s in e.load()().suffixes]
    assert len(suffixes) == len(set(suffixes)) and ".nii.gz" in suffixes
    assert all(not e.missing for e in entries.values())


READERS = {
    "x.nii": NiftiReader,
    "x.nii.gz": NiftiReader,
    "x.png": PictureReader,
    "x.jpg": PictureReader,
    "x.tif": PictureReader,
    "x.npy": NumpyReader,
    "x.npz": NumpyReader,
    "x.h5": Hdf5Reader,
}


def write(path, rng):
    """Write an image of any format."""
    pixels = rng.integers(0, 255, (16, 12), dtype=np.uint8)
    if ".nii" in path.name:
        nibabel.save(nibabel.Nifti1Image(rng.normal(size=(6, 5, 4)), np.eye(4)), path)
    elif path.suffix in {".png", ".jpg"}:
        imageio.imwrite(path, pixels)
    elif path.suffix == ".tif":
        tifffile.imwrite(path, pixels)
    elif path.suffix == ".npy":
        np.save(path, pixels)
    elif path.suffix == ".npz":
        np.savez_compressed(path, images=pixels[None])
    else:
        with h5py.File(path, "w") as file:
            file["images"] = pixels[None]
    return path


@pytest.mark.parametrize("name", READERS)
@pytest.mark.parametrize("damage", ["empty", "half", "noise", "gone"])
def test_a_damaged_file_is_an_error_that_names_it(name, damage, tmp_path, rng):
    path = write(tmp_path / name, rng)
    one(READERS[name](), path)
    data = path.read_bytes()
    if damage == "gone":
        path.unlink()
    else:
        broken = {"empty": b"", "half": data[: len(data) // 2], "noise": rng.bytes(len(data))}
        path.write_bytes(broken[damage])
    refused(READERS[name](), path)


# NIfTI


def save_nifti(path, voxels, affine=None, **header):
    image = nibabel.Nifti1Image(voxels, np.eye(4) if affine is None else affine)
    for key, value in header.items():
        image.header[key] = value
    nibabel.save(image, path)
    return path


def test_nifti_keeps_the_stored_order_and_the_affine(tmp_path, rng):
    voxels = rng.normal(size=(5, 6, 7)).astype(np.float32)
    affine = nibabel.affines.from_matvec([[0, -1.5, 0], [2, 0, 0], [0, 0, 3]], [1, 2, 3])
    volume = one(NiftiReader(), save_nifti(tmp_path / "x.nii.gz", voxels, affine))
    np.testing.assert_array_equal(volume.voxels, voxels[None])
    np.testing.assert_allclose(volume.affine, affine)
    assert volume.spacing == (2, 1.5, 3)


def test_nifti_slope_and_intercept_are_applied(tmp_path):
    path = tmp_path / "x.nii"
    image = nibabel.Nifti1Image(np.arange(24, dtype=np.int16).reshape(2, 3, 4), np.eye(4))
    image.header.set_slope_inter(2.5, -10)
    nibabel.save(image, path)
    # nibabel divides on writing; what lies in the file is what counts
    data = np.frombuffer(path.read_bytes()[352:], np.int16).reshape(2, 3, 4, order="F")
    slope, inter = struct.unpack("<ff", path.read_bytes()[112:120])
    np.testing.assert_allclose(one(NiftiReader(), path).voxels[0], data * slope + inter)


@pytest.mark.parametrize("kind", ["u1", "<i2", ">i2", "<f4", "<f8"])
@pytest.mark.parametrize("scale", [(None, None), (1, 0), (1, 7), (0.37, -10)])
@pytest.mark.parametrize("parts", [1, 2])
def test_compressed_nifti_is_read_as_nibabel_reads_it(tmp_path, rng, kind, scale, parts):
    path, voxels = tmp_path / "x.nii.gz", rng.integers(0, 255, (60, 50, 40, 2)).astype(kind)
    image = nibabel.Nifti1Image(voxels, np.eye(4), dtype=np.dtype(kind))
    image.header.set_slope_inter(*scale)
    content = image.to_bytes() + bytes(99)
    edges = np.linspace(0, len(content), parts + 1).astype(int)
    pieces = [content[a:b] for a, b in zip(edges[:-1], edges[1:], strict=True)]
    path.write_bytes(b"".join(gzip.compress(piece, 1) for piece in pieces))
    read, wanted = one(NiftiReader(), path).voxels, np.asanyarray(nibabel.load(path).dataobj)
    assert read.dtype == wanted.dtype
    np.testing.assert_array_equal(read, np.moveaxis(wanted, 3, 0))


@pytest.mark.parametrize(
    ("stored", "shape"),
    [((5, 4), (1, 5, 4)), ((5, 4, 1), (1, 5, 4)), ((5, 4, 3, 1), (1, 5, 4, 3)),
     ((5, 4, 3, 2), (2, 5, 4, 3)), ((5, 4, 1, 2), (2, 5, 4, 1))],
)  # fmt: skip
def test_nifti_axes_become_channels_and_space(tmp_path, rng, stored, shape):
    voxels = rng.normal(size=stored)
    volume = one(NiftiReader(), save_nifti(tmp_path / "x.nii", voxels))
    assert volume.voxels.shape == shape and len(volume.spacing) == len(shape) - 1
    if len(stored) == 4 and stored[3] == 2:
        np.testing.assert_allclose(volume.voxels[1], voxels[..., 1])


def test_nifti_series_of_volumes_are_refused(tmp_path):
    text = refused(NiftiReader(), save_nifti(tmp_path / "x.nii", np.zeros((3, 3, 3, 20))))
    assert "3 x 3 x 3 x 20 values, a series of volumes" in text


def test_nifti_voxels_must_be_real_numbers(tmp_path):
    text = refused(NiftiReader(), save_nifti(tmp_path / "x.nii", np.zeros((3, 3, 3), np.complex64)))
    assert "complex64" in text
    rgb = np.zeros((3, 3, 3), dtype=[("R", "u1"), ("G", "u1"), ("B", "u1")])
    refused(NiftiReader(), save_nifti(tmp_path / "y.nii", rgb))


@pytest.mark.parametrize("kind", ["zero", "no code"])
def test_a_useless_affine_falls_back_on_the_zooms(tmp_path, kind):
    path = tmp_path / "x.nii"
    image = nibabel.Nifti1Image(np.zeros((3, 4, 5), np.uint8), np.diag([2, 3, 4, 1]))
    nibabel.save(image, path)
    data = bytearray(path.read_bytes())
    if kind == "zero":
        data[280:328] = bytes(48)  # srow_x, srow_y, srow_z
    else:
        data[252:256] = bytes(4)  # qform_code, sform_code
    path.write_bytes(data)
    volume = one(NiftiReader(), path)
    assert volume.affine is None and volume.spacing == (2, 3, 4)


def test_zooms_of_zero_count_as_unknown(tmp_path):
    path = save_nifti(tmp_path / "x.nii", np.zeros((3, 4, 5), np.uint8))
    data = bytearray(path.read_bytes())
    data[80:92] = struct.pack("<fff", 0.0, float("nan"), 2.0)
    data[252:256] = bytes(4)
    path.write_bytes(data)
    assert one(NiftiReader(), path).spacing == (1, 1, 2)


def test_a_file_with_the_wrong_suffix_is_refused(tmp_path):
    path = tmp_path / "x.nii"
    np.save(tmp_path / "x.npy", np.zeros(400))
    (tmp_path / "x.npy").rename(path)
    refused(NiftiReader(), path)


# pictures


@pytest.mark.parametrize("suffix", [".png", ".tif"])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_gray_pictures_of_8_and_16_bit(tmp_path, rng, suffix, dtype):
    pixels = rng.integers(0, np.iinfo(dtype).max, (6, 9), dtype=dtype)
    path = tmp_path / f"x{suffix}"
    imageio.imwrite(path, pixels)
    volume = one(PictureReader(), path)
    assert volume.spacing == (1, 1) and volume.affine is None
    np.testing.assert_array_equal(volume.voxels, pixels[None])


@pytest.mark.parametrize("suffix", [".png", ".tif"])
def test_colour_has_three_channels_only_where_they_differ(tmp_path, rng, suffix):
    pixels = rng.integers(0, 255, (6, 9, 3), dtype=np.uint8)
    path = tmp_path / f"x{suffix}"
    imageio.imwrite(path, pixels)
    np.testing.assert_array_equal(one(PictureReader(), path).voxels, np.moveaxis(pixels, 2, 0))
    pixels[:] = pixels[..., :1]
    imageio.imwrite(path, pixels)
    np.testing.assert_array_equal(one(PictureReader(), path).voxels, pixels[None, ..., 0])


def test_an_opaque_alpha_channel_is_left_out_and_a_transparent_one_refused(tmp_path, rng):
    pixels = rng.integers(0, 255, (6, 9, 4), dtype=np.uint8)
    pixels[..., 3] = 255
    imageio.imwrite(tmp_path / "x.png", pixels)
    assert one(PictureReader(), tmp_path / "x.png").voxels.shape == (3, 6, 9)
    pixels[0, 0, 3] = 0
    imageio.imwrite(tmp_path / "x.png", pixels)
    assert "transparent" in refused(PictureReader(), tmp_path / "x.png")


def test_a_picture_of_one_bit_becomes_zero_and_one(tmp_path):
    tifffile.imwrite(tmp_path / "x.tif", np.eye(8, dtype=bool))
    assert one(PictureReader(), tmp_path / "x.tif").voxels.dtype == np.uint8


def test_pages_of_one_size_are_a_volume_and_of_many_an_error(tmp_path, rng):
    pages = rng.integers(0, 60000, (5, 6, 7), dtype=np.uint16)
    tifffile.imwrite(tmp_path / "x.tif", pages, photometric="minisblack")
    volume = one(PictureReader(), tmp_path / "x.tif")
    np.testing.assert_array_equal(volume.voxels, pages[None])
    assert volume.spacing == (1, 1, 1)
    with tifffile.TiffWriter(tmp_path / "y.tif") as file:
        file.write(pages[0])
        file.write(pages[0, :3])
    assert "pages differ in size" in refused(PictureReader(), tmp_path / "y.tif")
    tifffile.imwrite(tmp_path / "z.tif", np.zeros((2, 6, 7, 3), np.uint8), photometric="rgb")
    assert "neither a picture nor a stack" in refused(PictureReader(), tmp_path / "z.tif")


def test_planar_colour_is_colour(tmp_path, rng):
    pixels = rng.integers(0, 255, (3, 6, 9), dtype=np.uint8)
    tifffile.imwrite(tmp_path / "x.tif", pixels, photometric="rgb", planarconfig="separate")
    np.testing.assert_array_equal(one(PictureReader(), tmp_path / "x.tif").voxels, pixels)


# NumPy


@pytest.mark.parametrize(
    ("stored", "shape"),
    [((5, 7), (1, 5, 7)), ((5, 7, 3), (3, 5, 7)), ((5, 7, 6), (1, 5, 7, 6)),
     ((2, 5, 7, 6), (2, 5, 7, 6))],
)  # fmt: skip
@pytest.mark.parametrize("suffix", [".npy", ".npz"])
def test_an_array_is_an_image(tmp_path, rng, stored, shape, suffix):
    array, path = rng.normal(size=stored), tmp_path / f"x{suffix}"
    (np.save if suffix == ".npy" else np.savez)(path, array)
    volume = one(NumpyReader(), path)
    assert volume.voxels.shape == shape and volume.spacing == (1,) * (len(shape) - 1)
    np.testing.assert_array_equal(
        volume.voxels, np.moveaxis(array, 2, 0) if shape[0] == 3 else array.reshape(shape)
    )


@pytest.mark.parametrize("order", ["C", "F"])
@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
def test_medmnist_rows_are_read_in_any_order(tmp_path, rng, order, save):
    train, val = rng.integers(0, 255, (2, 7, 6, 5), dtype=np.uint8)
    volumes = rng.integers(0, 255, (2, 6, 6, 6), dtype=np.uint8)
    save(
        tmp_path / "m.npz",
        train_images=np.asarray(train, order=order),
        val_images=val,
        test_images=volumes,
        train_labels=np.zeros((7, 1)),
    )
    reader = NumpyReader()
    records = reader.records(tmp_path / "m.npz")
    assert [r.item for r in records][6:8] == ["train_images/6", "val_images/0"]
    assert [r.item for r in records if r.left_out] == ["train_labels"]
    assert len(records) == 7 + 7 + 2 + 1
    for i in (3, 5, 0, 0, 6):
        np.testing.assert_array_equal(reader.read(records[i]).voxels, train[None, i])
        np.testing.assert_array_equal(reader.read(records[7 + i]).voxels, val[None, i])
    np.testing.assert_array_equal(reader.read(records[15]).voxels, volumes[None, 1])


def test_colour_rows_have_three_channels(tmp_path, rng):
    images = rng.integers(0, 255, (2, 6, 5, 3), dtype=np.uint8)
    images[1] = images[1, ..., :1]
    np.savez(tmp_path / "m.npz", images=images)
    reader = NumpyReader()
    first, second = reader.records(tmp_path / "m.npz")
    np.testing.assert_array_equal(reader.read(first).voxels, np.moveaxis(images[0], 2, 0))
    np.testing.assert_array_equal(reader.read(second).voxels, images[1, None, ..., 0])


def test_pickled_objects_are_never_loaded(tmp_path):
    class Bomb:
        def __reduce__(self):
            return (os.mkdir, (str(tmp_path / "boom"),))

    bomb = np.array([Bomb()], dtype=object)
    np.save(tmp_path / "x.npy", bomb, allow_pickle=True)
    np.savez(tmp_path / "y.npz", images=bomb)
    np.savez(tmp_path / "z.npz", other=bomb)
    for name in ("x.npy", "y.npz", "z.npz"):
        refused(NumpyReader(), tmp_path / name)
    assert not (tmp_path / "boom").exists()


@pytest.mark.parametrize("array", [np.zeros(4), np.zeros((9, 4, 4, 4)), np.array([["a"]])])
def test_an_array_that_is_no_image_is_refused(tmp_path, array):
    np.save(tmp_path / "x.npy", array)
    assert "is no image; expected (H, W)" in refused(NumpyReader(), tmp_path / "x.npy")


def test_a_stack_of_the_wrong_shape_is_refused(tmp_path):
    np.savez(tmp_path / "x.npz", images=np.zeros((5, 4)))
    assert "images: the shape (5, 4)" in refused(NumpyReader(), tmp_path / "x.npz")
    np.savez(tmp_path / "y.npz", images=np.zeros((5, 9, 4, 4, 4)))
    assert "which axis holds channels" in refused(NumpyReader(), tmp_path / "y.npz")
    np.savez(tmp_path / "z.npz")
    assert "holds no images" in refused(NumpyReader(), tmp_path / "z.npz")


def test_a_file_of_many_arrays_is_listed_once_and_not_for_each(tmp_path, monkeypatch):
    np.savez(tmp_path / "a.npz", **{f"scan{i}": np.full((8, 9), i) for i in range(50)})
    asked, opened = [], []
    monkeypatch.setattr("memtk.data.walk.path_names_labels", lambda path: bool(asked.append(path)))
    contents = zipfile.ZipFile._RealGetContents
    monkeypatch.setattr(
        zipfile.ZipFile, "_RealGetContents", lambda file: opened.append(contents(file))
    )
    reader = NumpyReader()
    found = Walk(records=list(reader.records(tmp_path / "a.npz")))
    found.take_left_out(tmp_path, keep_labels=False)
    assert [reader.read(r).voxels.mean() for r in found.records] == list(range(50))
    assert len(asked) == 1 and len(opened) < 5
    (tmp_path / "b").mkdir()
    np.savez(tmp_path / "b/a.npz", scan0=np.full((8, 9), 60))
    assert reader.read(Record(tmp_path / "b/a.npz", "scan0")).voxels.mean() == 60
    assert reader.read(found.records[7]).voxels.mean() == 7
