"""Arrays in memory and in files mean the same, whatever their shape, or are refused alike."""

from __future__ import annotations

import h5py
import numpy as np
import pytest
import tifffile

from memtk.data.arrays import array_images
from memtk.data.readers import Readers
from memtk.errors import UserError
from memtk.imaging.geometry import as_image

MEANT = {
    (5, 64, 60): "1 64 60",
    (5, 1, 64, 60): "1 64 60",
    (5, 64, 60, 1): "1 64 60",
    (5, 1, 1, 64, 60): "1 64 60",
    (5, 1, 64, 60, 1): "1 64 60",
    (1, 1, 64, 60): "1 64 60",
    (1, 64, 60): "1 64 60",
    (5, 4, 4): "1 4 4",
    (5, 1, 2, 3): "1 2 3",
    (5, 3, 64, 60): "3 64 60",
    (5, 64, 60, 3): "3 64 60",
    (5, 3, 1, 64, 60): "3 64 60",
    (1, 3, 64, 60): "3 64 60",
    (5, 7, 64, 60): "1 7 64 60",
    (5, 64, 60, 7): "1 64 60 7",
    (5, 1, 7, 64, 60): "1 7 64 60",
    (5, 7, 64, 60, 1): "1 7 64 60",
    (5, 1, 3, 64, 60): "1 3 64 60",
    (5, 1, 2, 64, 60): "1 2 64 60",
    (5, 1, 64, 60, 4): "1 64 60 4",
    (5, 2, 7, 64, 60): "2 7 64 60",
    (5, 3, 7, 64, 60): "3 7 64 60",
    (5, 7, 64, 60, 3): "3 7 64 60",
}
"""Of arrays with an image a row: channels and axes of one."""

UNCLEAR = [
    *((5, 64, 3), (5, 3, 64), (5, 64, 2), (64, 64, 3), (64, 64, 60)),
    *((5, 2, 64, 60), (5, 4, 64, 60), (5, 64, 60, 2), (5, 3, 3, 64), (5, 3, 64, 3), (5, 64, 3, 60)),
    *((5, 64, 1, 60), (64, 64, 1, 90), (64, 64, 3, 90), (64, 64, 64, 90), (5, 64, 1, 1)),
    *(
        (5, 1, 64, 60, 3),
        (5, 9, 1, 64, 60),
        (5, 2, 64, 60, 1),
        (5, 9, 8, 64, 60),
        (5, 3, 2, 64, 60),
    ),
]


def values(shape):
    return np.random.default_rng(0).integers(0, 9999, shape).astype(np.uint16)


def through(door, array, folder, registry):
    """Return the last image of an array, through memory or a file."""
    if door == "memory":
        return array_images("train", array).volume(len(array) - 1).voxels
    path = folder / door
    if door == "a.h5":
        with h5py.File(path, "w") as file:
            file["images"] = array
    elif door == "a.npz":
        np.savez(path, images=array)
    else:
        np.save(path, array)
    readers = Readers(registry)
    return readers.read(readers.records(path)[-1]).voxels


@pytest.mark.parametrize("door", ["memory", "a.npz", "a.h5"])
@pytest.mark.parametrize("shape", MEANT, ids=str)
def test_a_shape_means_the_same_in_memory_and_in_files(tmp_path, registry, door, shape):
    array = values(shape)
    voxels = through(door, array, tmp_path, registry)
    assert " ".join(map(str, voxels.shape)) == MEANT[shape]
    last, channels = array[-1], len(voxels)
    if channels > 1 and last.shape[-1] == channels:
        last = np.moveaxis(last, -1, 0)
    assert np.array_equal(voxels.ravel(), last.ravel())


@pytest.mark.parametrize("door", ["memory", "a.npz", "a.h5"])
@pytest.mark.parametrize("shape", UNCLEAR, ids=str)
def test_a_shape_that_could_be_two_things_is_refused_in_memory_and_in_files(
    tmp_path, registry, door, shape
):
    with pytest.raises(UserError, match=r"which axis holds channels\. Give|images\[:, None\]"):
        through(door, values(shape), tmp_path, registry)


@pytest.mark.parametrize("door", ["memory", "a.npz", "a.h5"])
def test_the_ways_out_of_a_refused_shape_work(tmp_path, registry, door):
    slices, pictures = values((5, 2, 64, 60)), values((64, 64, 90))
    assert through(door, slices[:, None], tmp_path, registry).shape == (1, 2, 64, 60)
    assert through(door, slices[:, 0], tmp_path, registry).shape == (1, 64, 60)
    assert through(door, pictures[:, None], tmp_path, registry).shape == (1, 64, 90)
    moved = through(door, np.moveaxis(pictures, -1, 0)[:, None], tmp_path, registry)
    assert np.array_equal(moved[0], pictures[..., -1])


@pytest.mark.parametrize("door", ["memory", "a.npz", "a.h5"])
def test_a_fourth_colour_is_opacity_in_memory_and_in_files(tmp_path, registry, door):
    array = values((5, 64, 60, 4))
    with pytest.raises(UserError, match="transparent"):
        through(door, array, tmp_path, registry)
    array[..., 3] = 65535
    voxels = through(door, array, tmp_path, registry)
    assert np.array_equal(voxels, np.moveaxis(array[-1, ..., :3], -1, 0))


@pytest.mark.parametrize("door", ["memory", "a.npz", "a.h5"])
def test_colours_that_are_all_alike_are_gray_in_memory_and_in_files(tmp_path, registry, door):
    array = np.repeat(values((5, 64, 60, 1)), 3, -1)
    assert through(door, array, tmp_path, registry).shape == (1, 64, 60)


@pytest.mark.parametrize(
    "shape", [s for s in MEANT if s[0] == 1] + [(1, 1, 2, 64, 60), (1, 7, 64, 60)], ids=str
)
def test_a_first_axis_of_one_counts_one_image_in_an_npy_as_in_memory(tmp_path, registry, shape):
    found = through("a.npy", values(shape), tmp_path, registry)
    assert np.array_equal(found, through("memory", values(shape), tmp_path, registry))


@pytest.mark.parametrize(
    "shape",
    [(6, 1, 64, 60), (2, 1, 64, 60), (6, 1, 1, 64, 60), (6, 64, 60, 1), (6, 64, 60, 3)]
    + [(6, 3, 64, 60), (64, 60, 2), (2, 64, 60), (4, 64, 60), (64, 60, 60, 2), (9, 9, 64, 60)]
    + [(1, 2, 64, 60), (64, 1, 60), (500, 3), (3, 64, 3)],
    ids=str,
)  # fmt: skip
def test_many_images_or_unclear_axes_in_an_npy_are_refused_with_the_way_out(
    tmp_path, registry, shape
):
    with pytest.raises(UserError, match=r"a\.npy.*call their array images: np.savez"):
        through("a.npy", values(shape), tmp_path, registry)
    if len(shape) < 4 and min(shape) == 2:
        volume = np.moveaxis(values(shape), int(np.argmin(shape)), 0)[None, None]
        assert through("a.npz", volume, tmp_path, registry).shape == (1, 2, 64, 60)


@pytest.mark.parametrize(
    ("shape", "layout"),
    [((5, 20, 30), "(5, 20, 30)"), ((20, 30), "(20, 30)"), ((1, 20, 30), "(20, 30)"),
     ((20, 30, 1), "(20, 30)"), ((1, 5, 20, 30), "(5, 20, 30)"), ((5, 20, 30, 1), "(5, 20, 30)")],
)  # fmt: skip
def test_an_axis_of_one_is_no_depth(shape, layout):
    x = np.random.default_rng(0).normal(size=shape)
    assert str(as_image(x, "x").shape[1:]) == layout


@pytest.mark.parametrize("axis", [0, 2])
def test_three_channels_at_either_end_are_colour(axis):
    x = np.random.default_rng(0).integers(0, 255, (3, 20, 30), dtype=np.uint8)
    assert np.array_equal(as_image(np.moveaxis(x, 0, axis), "x"), x)


def test_an_opaque_fourth_channel_is_left_out():
    x = np.random.default_rng(0).integers(0, 255, (20, 30, 4), dtype=np.uint8)
    x[..., 3] = 255
    assert as_image(x, "x").shape == (3, 20, 30)
    x[0, 0, 3] = 0
    with pytest.raises(UserError, match="transparent"):
        as_image(x, "x")


@pytest.mark.parametrize("shape", [(40, 48, 3), (3, 40, 48), (2, 40, 48), (4, 40, 48), (40, 4, 48)])
def test_pages_that_may_be_channels_are_refused_with_the_way_out(tmp_path, read, shape):
    pixels = values(shape).astype(np.uint8)
    tifffile.imwrite(tmp_path / "a.tif", pixels, photometric="minisblack")
    with pytest.raises(UserError, match="as short as that of channels"):
        read(tmp_path / "a.tif")
    if min(shape[1:]) > 4:  # they are slices, and say so
        tifffile.imwrite(tmp_path / "b.tif", pixels, imagej=True, metadata={"axes": "ZYX"})
        assert np.array_equal(read(tmp_path / "b.tif").voxels[0], pixels)


@pytest.mark.parametrize("channels", [5, 6, 8])
def test_a_picture_of_more_channels_than_colours_is_refused(tmp_path, read, channels):
    pixels = values((40, 48, channels)).astype(np.uint8)
    more = {"photometric": "rgb", "extrasamples": ["unspecified"] * (channels - 3)}
    tifffile.imwrite(tmp_path / "a.tif", pixels, **more)
    with pytest.raises(UserError, match=f"{channels} channels are neither gray nor colours"):
        read(tmp_path / "a.tif")


ONE = " counts as one image, of 40 x 36 x 12"
ROWS = " holds an image of 36 x 12 in each row of its array"


@pytest.mark.parametrize(
    ("shape", "key", "count", "says"),
    [((40, 36, 12), None, 1, ONE), ((40, 36, 12), None, 3, ONE), ((40, 36, 12), "scan", 1, ONE),
     ((40, 36, 12), "scan", 3, ONE), ((40, 36, 12), "images", 1, ROWS),
     ((9, 40, 36, 12), "images", 1, " holds an image of 40 x 36 x 12 in each row of its array"),
     ((40, 36, 12), "images.h5", 1, ROWS), ((40, 36, 12), "train_images", 2, ROWS),
     ((40, 32, 32), "images", 1, ""), ((40, 36, 12, 3), "images", 1, ""), ((36, 12), None, 3, "")],
)  # fmt: skip
def test_how_the_axes_of_an_array_are_read_is_said_with_the_way_to_say_otherwise(
    tmp_path, check, shape, key, count, says
):
    for n in range(count):
        array = np.random.default_rng(n).normal(size=shape)
        path = tmp_path / f"{n}{'.npz' if key else '.npy'}"
        if key == "images.h5":
            with h5py.File(path.with_suffix(".h5"), "w") as file:
                file["images"] = array
        elif key:
            np.savez(path, **{key: array})
        else:
            np.save(path, array)
    found = check(tmp_path, validation=0)[1]["images are found"].found
    assert says in found and ("np.moveaxis(array, -1, 0)" in found) == ("row" in says)
    assert ("np.savez('a.npz', images=array)" in found) == (says == ONE)
