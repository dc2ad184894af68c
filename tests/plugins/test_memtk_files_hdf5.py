"""Datasets of HDF5 files: stacks of images, and links to them."""

from __future__ import annotations

import h5py
import numpy as np
import pytest

from memtk.errors import UserError
from memtk_files.hdf5 import Hdf5Reader


def refused(path):
    with pytest.raises(UserError) as caught:
        Hdf5Reader().records(path)
    assert path.name in str(caught.value) and "\n" not in str(caught.value)
    return str(caught.value)


def test_datasets_are_stacks(tmp_path, rng):
    train, images = rng.normal(size=(3, 7, 5, 6)), rng.normal(size=(2, 7, 5))
    with h5py.File(tmp_path / "x.h5", "w") as file:
        file["train"], file["images"], file["labels"] = train, images, [1]
    with h5py.File(tmp_path / "y.hdf5", "w") as file:
        file["val"] = images
    reader = Hdf5Reader()
    records = reader.records(tmp_path / "x.h5")
    items = [*(f"train/{i}" for i in range(3)), "images/0", "images/1"]
    assert [r.item for r in records if not r.left_out] == items
    np.testing.assert_array_equal(reader.read(records[2]).voxels, train[None, 2])
    (other, _) = reader.records(tmp_path / "y.hdf5")
    np.testing.assert_array_equal(reader.read(other).voxels, images[None, 0])
    np.testing.assert_array_equal(reader.read(records[4]).voxels, images[None, 1])


def test_without_images_says_what_there_is(tmp_path):
    with h5py.File(tmp_path / "x.h5", "w") as file:
        file["scans"] = np.zeros((2, 4, 4))
    assert "it has scans" in refused(tmp_path / "x.h5")
    with h5py.File(tmp_path / "y.h5", "w") as file:
        file["images"] = np.zeros((2, 4))
    assert "images: the shape (2, 4)" in refused(tmp_path / "y.h5")


LINKS = {
    "images": {"images": "/store/x"},
    "train": {"train": "store/x"},
    "val": {"val": "/a", "a": "b/x", "b": "/store"},
    "test": {"test": "/store/again/./again//x", "store/again": "/store"},
}


@pytest.mark.parametrize("name", LINKS)
def test_follows_soft_links_within_the_file(tmp_path, rng, name):
    stack = rng.normal(size=(2, 7, 5))
    with h5py.File(tmp_path / "x.h5", "w") as file:
        file["store/x"], file["whose"] = stack, [3, 4]
        file[f"{name}_patient_id".removeprefix("images_")] = h5py.SoftLink("whose")
        for at, to in LINKS[name].items():
            file[at] = h5py.SoftLink(to)
        np.testing.assert_array_equal(file[name], stack)  # as the library does
    reader = Hdf5Reader()
    records = [record for record in reader.records(tmp_path / "x.h5") if not record.left_out]
    assert [(r.item, r.patient) for r in records] == [
        (f"{name}/0", "patient 3"),
        (f"{name}/1", "patient 4"),
    ]
    np.testing.assert_array_equal(reader.read(records[1]).voxels, stack[None, 1])


NOWHERE = {
    "to nothing": {"images": "/none"},
    "to itself": {"images": "/images"},
    "in a circle": {"images": "a", "a": "/images"},
    "that grows": {"images": "images/images"},
    "to a group": {"images": "/store"},
    "through a dataset": {"images": "/store/x/x"},
    "through another file": {"images": "/other/x"},
    "through as many others": {"images": "l0", **{f"l{n}": f"l{n + 1}" for n in range(99)}},
    "over and over": {"images": "/store" + "/again" * 3000 + "/x"},
}


@pytest.mark.parametrize("where", NOWHERE)
def test_refuses_soft_links_that_lead_nowhere_or_into_other_files(tmp_path, where):
    with h5py.File(tmp_path / "secret.h5", "w") as file:
        file["store/x"] = np.zeros((2, 4, 4))
    with h5py.File(tmp_path / "x.h5", "w") as file:
        file["store/x"], file["other"] = (
            np.zeros((2, 4, 4)),
            h5py.ExternalLink("secret.h5", "store"),
        )
        for at, to in NOWHERE[where].items():
            file[at] = h5py.SoftLink(to)
    assert "not a dataset of this file" in refused(tmp_path / "x.h5")


@pytest.mark.parametrize("link", [lambda file: file["train"], lambda _: h5py.SoftLink("/train")])
def test_counts_images_of_two_names_once(tmp_path, link):
    with h5py.File(tmp_path / "x.h5", "w") as file:
        file["train"] = np.zeros((2, 7, 5))
        file["images"] = link(file)
    records = Hdf5Reader().records(tmp_path / "x.h5")
    assert [r.item for r in records if not r.left_out] == ["train/0", "train/1"]
    assert [r.item for r in records if r.left_out] == ["images"]


def test_never_follows_links_into_other_files(tmp_path):
    with h5py.File(tmp_path / "secret.h5", "w") as file:
        file["images"] = np.zeros((2, 4, 4))
    with h5py.File(tmp_path / "link.h5", "w") as file:
        file["images"] = h5py.ExternalLink("secret.h5", "images")
    with h5py.File(tmp_path / "virtual.h5", "w") as file:
        layout = h5py.VirtualLayout((2, 4, 4), float)
        layout[:] = h5py.VirtualSource("secret.h5", "images", (2, 4, 4))
        file.create_virtual_dataset("images", layout)
    (tmp_path / "raw").write_bytes(bytes(256))
    with h5py.File(tmp_path / "raw.h5", "w") as file:
        file.create_dataset("images", (2, 4, 4), float, external=[(str(tmp_path / "raw"), 0, 256)])
    assert "not a dataset of this file" in refused(tmp_path / "link.h5")
    for name in ("virtual.h5", "raw.h5"):
        assert "takes its voxels from another file" in refused(tmp_path / name)
