"""What a file says about its pixels is applied, or refused by name; axes go by one rule."""

from __future__ import annotations

import h5py
import nibabel
import numpy as np
import pytest
import tifffile
from click.testing import CliRunner
from PIL import Image, ImageOps

from memtk.cli import cli
from memtk.errors import UserError


def corr(a, b):
    return float(np.corrcoef(np.ravel(a).astype(float), np.ravel(b).astype(float))[0, 1])


# pictures


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_a_tiff_whose_zero_is_white_is_read_as_viewers_show_it(tmp_path, image, read, dtype):
    top = np.iinfo(dtype).max
    px = image(3, top=top, dtype=dtype)
    tifffile.imwrite(tmp_path / "a.tif", top - px, photometric="miniswhite")
    assert np.array_equal(read(tmp_path / "a.tif").voxels[0], px)


def test_pages_whose_zero_is_white_are_inverted_by_one_constant(tmp_path, image, read):
    px = np.stack([image(i) for i in range(5)])
    tifffile.imwrite(tmp_path / "a.tif", 255 - px, photometric="miniswhite")
    assert np.array_equal(read(tmp_path / "a.tif").voxels[0], px)


@pytest.mark.parametrize("page", [0, 2])
@pytest.mark.parametrize("how", [{}, {"metadata": None}, {"imagej": True}, {"ome": True}], ids=str)
@pytest.mark.parametrize(
    ("tag", "value", "says"),
    [
        (262, 0, "what zero means"),
        (274, 3, "how they are turned"),
        (259, 32946, "how they are compressed"),
    ],
)
def test_pages_of_one_size_that_differ_otherwise_are_refused_and_the_difference_is_said(
    tmp_path, image, read, page, how, tag, value, says
):
    px = np.stack([image(i) for i in range(4)])
    with_turn = [] if how.get("imagej") or how.get("ome") else [(274, 3, 1, 1, False)]
    tifffile.imwrite(tmp_path / "a.tif", px, photometric="minisblack", extratags=with_turn, **how)
    with tifffile.TiffFile(tmp_path / "a.tif", mode="r+b") as file:
        if (found := file.pages[page].tags.get(tag)) is None:
            return  # which is written for the first page alone, or not at all
        found.overwrite(value)
    with pytest.raises(UserError, match=f"pages differ in {says}"):
        read(tmp_path / "a.tif")


def test_floats_whose_zero_is_white_are_refused(tmp_path, image, read):
    tifffile.imwrite(tmp_path / "a.tif", image(3).astype(np.float32), photometric="miniswhite")
    with pytest.raises(UserError, match="a negative"):
        read(tmp_path / "a.tif")


@pytest.mark.parametrize("suffix", ["png", "tif", "bmp"])
def test_a_palette_is_looked_up(tmp_path, image, read, suffix):
    picture = Image.fromarray(image(3)).convert("P")
    picture.putpalette([v for i in range(255, -1, -1) for v in (i, i, i)])
    picture.save(tmp_path / f"a.{suffix}")
    shown = np.asarray(Image.open(tmp_path / f"a.{suffix}").convert("L"))
    x = read(tmp_path / f"a.{suffix}").voxels
    assert x.shape == (1, 32, 32) and corr(x[0], shown) > 0.9999


@pytest.mark.parametrize("suffix", ["jpg", "tif"])
def test_cmyk_is_converted_as_viewers_do(tmp_path, image, read, suffix):
    px = image(3)
    ink = np.dstack([255 - px] * 3 + [np.full_like(px, 100)])
    path = tmp_path / f"a.{suffix}"
    Image.fromarray(ink, "CMYK").save(path, **({"quality": 100} if suffix == "jpg" else {}))
    shown = np.asarray(Image.open(path).convert("L"))
    assert corr(read(path).voxels[0], shown) > 0.999


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("name", ["a.jpg", "a.png", "a.tif", "lzw.tif"])
def test_the_tag_that_says_how_a_picture_is_turned_is_applied(
    tmp_path, image, read, name, orientation
):
    path, px, exif = tmp_path / name, image(1, (32, 40)), Image.Exif()
    exif[274] = orientation
    if name == "a.tif":
        tifffile.imwrite(path, px, extratags=[(274, "H", 1, orientation, True)])
    else:
        how = {"compression": "tiff_lzw"} if name == "lzw.tif" else {}
        Image.fromarray(px).save(path, exif=exif, **how)
    Image.fromarray(px).save(tmp_path / "known.png", exif=exif)
    shown = np.asarray(ImageOps.exif_transpose(Image.open(tmp_path / "known.png")))
    x = read(path).voxels[0]
    assert x.shape == shown.shape
    assert corr(x, shown) > 0.99 if name == "a.jpg" else np.array_equal(x, shown)


@pytest.mark.parametrize("compression", ["tiff_lzw", "packbits", "tiff_adobe_deflate"])
@pytest.mark.parametrize("mode", ["L", "I;16", "RGB"])
def test_compressed_tiff_is_read_or_its_decoder_is_named(tmp_path, image, read, compression, mode):
    px = image(1, top=60_000, dtype=np.uint16) if mode == "I;16" else image(1)
    picture = Image.fromarray(px) if mode != "RGB" else Image.fromarray(px).convert("RGB")
    picture.save(tmp_path / "a.tif", compression=compression)
    try:
        assert np.array_equal(read(tmp_path / "a.tif").voxels[0], px)
    except UserError as error:
        assert "pip install imagecodecs" in str(error)


@pytest.mark.parametrize("tag", [34712, 34887, 50002])
def test_a_compression_of_tiff_that_nothing_here_knows_is_no_damage(tmp_path, image, read, tag):
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, image(1))
    with tifffile.TiffFile(path, mode="r+b") as file:
        file.pages[0].tags["Compression"].overwrite(tag)
    with pytest.raises(UserError, match="not installed .*pip install imagecodecs"):
        read(path)


@pytest.mark.parametrize("tag", [8, 9, 10, 32803, 32844, 34892])
def test_colours_of_tiff_that_are_neither_gray_nor_rgb_are_named(tmp_path, image, read, tag):
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, np.dstack([image(i) for i in range(3)]), photometric="rgb")
    with tifffile.TiffFile(path, mode="r+b") as file:
        file.pages[0].tags["PhotometricInterpretation"].overwrite(tag)
    with pytest.raises(UserError, match="photometric interpretation. are .*save it in gray"):
        read(path)


def test_a_picture_that_is_transparent_in_part_is_refused(tmp_path, image, read):
    Image.fromarray(image(1)).save(tmp_path / "a.png", transparency=3)
    with pytest.raises(UserError, match="transparent"):
        read(tmp_path / "a.png")


@pytest.mark.parametrize("kind", [2, 4, 6])
def test_a_picture_whose_bits_would_be_lost_is_refused(tmp_path, image, read, kind):
    import struct
    import zlib

    def chunk(name, data):
        body = name + data
        return struct.pack(">I", len(data)) + body + struct.pack(">I", zlib.crc32(body))

    px = image(1, top=60_000, dtype=np.uint16).astype(">u2")
    channels = np.stack([px] * {2: 3, 4: 2, 6: 4}[kind], -1)
    lines = b"".join(b"\0" + row.tobytes() for row in channels)
    head = chunk(b"IHDR", struct.pack(">IIBBBBB", 32, 32, 16, kind, 0, 0, 0))
    content = head + chunk(b"IDAT", zlib.compress(lines)) + chunk(b"IEND", b"")
    (tmp_path / "a.png").write_bytes(b"\x89PNG\r\n\x1a\n" + content)
    with pytest.raises(UserError, match="8 would be lost"):
        read(tmp_path / "a.png")


def test_an_animation_is_no_picture(tmp_path, image, read):
    frames = [Image.fromarray(image(i)) for i in range(3)]
    frames[0].save(tmp_path / "a.png", save_all=True, append_images=frames[1:])
    with pytest.raises(UserError, match="3 pictures in a file"):
        read(tmp_path / "a.png")


@pytest.mark.parametrize("axes", ["TYX", "CYX"])
def test_pages_that_are_times_or_channels_are_no_volume(tmp_path, image, read, axes):
    pages = np.stack([image(i) for i in range(4)])
    tifffile.imwrite(tmp_path / "a.tif", pages, ome=True, metadata={"axes": axes})
    with pytest.raises(UserError, match=f"its axes {axes}"):
        read(tmp_path / "a.tif")


# NIfTI


@pytest.mark.parametrize(("unit", "factor"), [("micron", 1e-3), ("meter", 1e3), ("mm", 1)])
def test_the_unit_of_length_of_nifti_is_applied(tmp_path, image, read, unit, factor):
    scan = nibabel.Nifti1Image(image(1, (8, 9, 7)), np.diag([2.0, 3.0, 4.0, 1.0]))
    scan.header.set_xyzt_units(unit)
    nibabel.save(scan, tmp_path / "a.nii")
    volume = read(tmp_path / "a.nii")
    assert np.allclose(volume.spacing, np.array([2, 3, 4]) * factor)
    assert np.allclose(np.diag(volume.affine)[:3], np.array([2, 3, 4]) * factor)


def test_a_qform_stands_in_for_a_sform_of_zeros(tmp_path, image, read):
    scan = nibabel.Nifti1Image(image(1, (8, 9, 7)), np.diag([-2.0, 3.0, 4.0, 1.0]))
    scan.header.set_qform(np.diag([-2.0, 3.0, 4.0, 1.0]), code=1)
    nibabel.save(scan, tmp_path / "a.nii")
    data = bytearray((tmp_path / "a.nii").read_bytes())
    data[280:328] = bytes(48)  # srow_x, srow_y, srow_z, whose code still says that they are there
    (tmp_path / "a.nii").write_bytes(data)
    volume = read(tmp_path / "a.nii")
    assert np.allclose(np.diag(volume.affine), [-2, 3, 4, 1]) and volume.spacing == (2, 3, 4)


def test_a_sform_and_a_qform_that_contradict_each_other_are_refused(tmp_path, image, read):
    scan = nibabel.Nifti1Image(image(1, (8, 9, 7)), np.diag([-2.0, 3.0, 4.0, 1.0]))
    scan.header.set_qform(np.diag([2.0, 3.0, 4.0, 1.0]), code=1)
    nibabel.save(scan, tmp_path / "a.nii")
    with pytest.raises(UserError, match="sform says LAS and its qform RAS"):
        read(tmp_path / "a.nii")


def with_forms(path, image, size, degrees, axes=(0, 1)):
    """Write a NIfTI whose qform is turned against its sform and has another first voxel size."""
    scan = nibabel.Nifti1Image(image(1, (8, 9, 7)), np.diag([2.0, 3.0, 4.0, 1.0]))
    turn, angle = np.eye(4), np.radians(degrees)
    turn[np.ix_(axes, axes)] = [[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]
    scan.header.set_qform(turn @ np.diag([size, 3.0, 4.0, 1.0]), code=1)
    nibabel.save(scan, path)
    return path


@pytest.mark.parametrize(
    ("size", "degrees", "says"),
    [
        (2.1, 0, "sform says voxels of 2 x 3 x 4 and its qform 2.1 x 3 x 4"),
        (2.1, 5, "sform says voxels of 2 x 3 x 4 and its qform 2.1 x 3 x 4"),
        (2.0, 50, "sform says RAS and its qform"),
        (2.0, -90, "sform says RAS and its qform"),
    ],
)
def test_a_sform_and_a_qform_of_other_sizes_or_directions_are_refused(
    tmp_path, image, read, size, degrees, says
):
    with pytest.raises(UserError, match=says):
        read(with_forms(tmp_path / "a.nii", image, size, degrees))


@pytest.mark.parametrize("degrees", [1, 3, 10, -30])
@pytest.mark.parametrize("axes", [(0, 1), (0, 2), (1, 2)])
def test_of_a_sform_and_a_qform_that_are_turned_a_little_the_sform_counts_as_in_nibabel(
    tmp_path, image, read, degrees, axes
):
    path = with_forms(tmp_path / "a.nii", image, 2.01, degrees, axes)
    volume = read(path)
    assert np.allclose(volume.affine, nibabel.load(path).affine) and volume.spacing == (2, 3, 4)


def changed(path, at, content):
    data = bytearray(path.read_bytes())
    data[at : at + len(content)] = content
    path.write_bytes(data)
    return path


def test_a_unit_of_length_that_nobody_knows_is_named(tmp_path, image, nii, read):
    scan = nii(tmp_path / "a.nii", image(1, (8, 9, 7)))
    assert read(changed(scan, 123, b"\xc2")).spacing == (1, 1, 1)  # mm, beside unused bits
    with pytest.raises(UserError, match="unknown code 7"):
        read(changed(scan, 123, b"\7"))


def test_voxels_that_begin_in_the_header_are_refused(tmp_path, image, nii, read):
    scan = nii(tmp_path / "a.nii", image(1, (8, 9, 7)))
    with pytest.raises(UserError, match="begin in its header"):
        read(changed(scan, 108, np.float32(0).tobytes()))


def test_gzip_that_the_name_does_not_say_is_said(tmp_path, image, nii, read):
    packed = nii(tmp_path / "a.nii.gz", image(1, (8, 9, 7)))
    plain = nii(tmp_path / "b.nii", image(1, (8, 9, 7)))
    with pytest.raises(UserError, match="put .gz behind its name"):
        read(packed.rename(tmp_path / "c.nii"))
    with pytest.raises(UserError, match="take .gz off its name"):
        read(plain.rename(tmp_path / "d.nii.gz"))


def test_what_a_library_says_of_a_header_is_not_printed(tmp_path, image, nii, read, capfd):
    read(changed(nii(tmp_path / "a.nii", image(1, (8, 9, 7))), 80, np.float32(-1).tobytes()))
    assert capfd.readouterr() == ("", "")


def test_labels_that_say_so_in_the_header_are_refused(tmp_path, image, read):
    scan = nibabel.Nifti1Image(image(1, (8, 9, 7)), np.eye(4))
    scan.header.set_intent("label")
    nibabel.save(scan, tmp_path / "a.nii")
    with pytest.raises(UserError, match="header says that it holds labels"):
        read(tmp_path / "a.nii")


@pytest.mark.parametrize("shape", [(20, 30, 1), (1, 20, 30), (20, 1, 30)])
def test_a_volume_of_one_slice_is_a_picture(tmp_path, image, nii, read, shape):
    px = image(1, (20, 30))
    volume = read(nii(tmp_path / "a.nii", px.reshape(shape), np.diag([2.0, 3.0, 4.0, 1.0])))
    assert np.array_equal(volume.voxels, px[None]) and len(volume.spacing) == 2


# arrays


def save(path, array):
    if path.suffix == ".npz":
        np.savez(path, images=array)
    else:
        with h5py.File(path, "w") as file:
            file["images"] = array
    return path


@pytest.mark.parametrize("name", ["a.npz", "a.h5"])
@pytest.mark.parametrize("move", [(), (1,), (-1,)])
def test_rows_of_one_channel_are_pictures(tmp_path, image, check, name, move):
    x = np.stack([image(i) for i in range(6)])
    x = np.expand_dims(x, move[0]) if move else x
    groups, _ = check(save(tmp_path / name, x), validation=0)
    assert groups["training"].images == 6 and groups["training"].shapes == ((32, 32),)


@pytest.mark.parametrize("name", ["a.npz", "a.h5"])
@pytest.mark.parametrize("axis", [1, -1])
def test_rows_of_three_channels_are_in_colour(tmp_path, image, check, name, axis):
    x = np.stack([np.stack([image(i), image(i + 9), image(i + 99)]) for i in range(4)])
    found = check(save(tmp_path / name, np.moveaxis(x, 1, axis)), validation=0)[1]
    assert found["images are gray"].outcome == "refused"


@pytest.mark.parametrize(("name", "count"), [("a.npy", 0), ("a.npz", 0), ("rgb.npz", 12)])
def test_many_samples_in_one_array_are_read_or_the_way_is_said(tmp_path, image, png, check, name,
                                                              count):  # fmt: skip
    for part, first in (("train", 0), ("val", 50)):
        for i in range(4):
            png(tmp_path / part / f"{i}.png", first + i)
    x = np.stack([image(200 + i) for i in range(12)])
    if name == "a.npy":
        np.save(tmp_path / name, x)
    else:
        np.savez(tmp_path / name, np.stack([x] * 3, -1) if count else x)
    groups, found = check(
        tmp_path / "train", validation_source=str(tmp_path / "val"),
        synthetic_source=str(tmp_path / name),
    )  # fmt: skip
    if count:
        assert groups["synthetic"].images == count
    else:
        way = found["all images have one size"].way_out
        assert "Many images in one array are called images" in way


def test_volumes_of_two_voxels_along_an_axis_are_examined(tmp_path, image):
    x = np.stack([image(i) for i in range(12)])
    for part, first in (("train", 0), ("val", 6)):
        np.savez(tmp_path / f"{part}.npz", images=np.stack([x, x], -1)[first : first + 6, None])
    words = ["check", "--train", f"{tmp_path}/train.npz", "--val", f"{tmp_path}/val.npz"]
    done = CliRunner().invoke(cli, words)
    assert done.exit_code == 0 and "32x32x2" in done.output, done.output


def test_a_dataset_of_no_shape_was_never_filled(tmp_path, check):
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["images"] = h5py.Empty("f4")
    found = check(tmp_path / "a.h5")[1]["images are found"]
    assert found.outcome == "refused" and "images: the shape () does not say" in found.found


def test_rows_in_fortrans_order_take_no_longer(tmp_path, image, registry):
    import time

    from memtk.data.config import DataConfig
    from memtk.data.sources import open_source

    x, seconds = np.tile(image(1, (64, 64)), (300, 1, 1)), {}
    for name, array in (("C", x), ("Fortran", np.asfortranarray(x))):
        np.savez_compressed(tmp_path / f"{name}.npz", images=array)
        source = open_source(DataConfig(source=str(tmp_path / f"{name}.npz")), registry)
        start = time.process_time()
        for sample in source.samples:
            source.load(sample)
        seconds[name] = time.process_time() - start
    assert seconds["Fortran"] < 5 * seconds["C"] + 0.2
