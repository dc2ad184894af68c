import multiprocessing
import pickle

import h5py
import numpy as np
import pytest
import torch

from memtk.data.images import (
    FlatImages,
    MemoryImages,
    ReducedImages,
    StoredImages,
    identical_images,
    open_images,
    write_images,
)
from memtk.errors import UserError
from memtk.interfaces import ImageSpec

SPEC = ImageSpec((4, 5), 2, (0.5, 2.0))


@pytest.fixture
def x():
    return torch.from_numpy(np.random.default_rng(0).uniform(-1, 1, (9, 2, 4, 5)).astype("f4"))


@pytest.fixture
def stored(tmp_path, x):
    return write_images(tmp_path / "x.h5", x.split(4), 9, SPEC)


@pytest.mark.parametrize("rows", [[3], [8, 0, 0, 7, 3], range(2, 6), np.array([5, 4]), []])
def test_any_order_and_repeats_of_images_are_read(stored, x, rows):
    wanted = x[torch.as_tensor(np.asarray(rows, dtype=int))]
    assert torch.equal(stored.read(rows), wanted)
    assert torch.equal(MemoryImages(x).read(rows), wanted)
    assert stored.read(rows).dtype == torch.float32


def test_a_file_knows_its_spec(stored):
    assert stored.spec == SPEC and len(stored) == 9 and stored.patients == ()
    assert open_images(stored.path).spec == SPEC


def test_a_subset_of_a_subset_keeps_rows_and_patients(tmp_path, x):
    with h5py.File(write_images(tmp_path / "x.h5", [x], 9, SPEC).path, "a") as file:
        file.create_dataset("patients", data=list("abcdefghi"), dtype=h5py.string_dtype())
    part = open_images(tmp_path / "x.h5").subset([7, 2, 5]).subset([2, 0])
    assert part.indices.tolist() == [5, 7] and part.patients == ("f", "h")
    assert torch.equal(part.read([1, 0]), x[[7, 5]])
    memory = MemoryImages(x, "abcdefghi").subset([7, 2, 5]).subset([2, 0])
    assert memory.patients == ("f", "h") and torch.equal(memory.read([1, 0]), x[[7, 5]])


def test_patients_must_be_as_many_as_images(x):
    with pytest.raises(ValueError, match="9 images, but 2 patients"):
        MemoryImages(x, ["a", "b"])


@pytest.mark.parametrize("row", [-1, 9])
def test_an_index_out_of_range_is_refused(stored, x, row):
    for images in (stored, MemoryImages(x)):
        with pytest.raises(IndexError, match="there are 9 images"):
            images.read([row])


def test_a_pickled_set_reads_in_another_process(stored, x):
    stored.read([0])  # the handle is open
    with multiprocessing.get_context("fork").Pool(1) as pool:
        assert torch.equal(pool.apply(stored.read, ([4, 1],)), x[[4, 1]])
    again = pickle.loads(pickle.dumps(stored.subset([4])))
    assert torch.equal(again.read([0]), x[[4]])


def test_no_images_at_all_are_a_set_too(tmp_path):
    empty = write_images(tmp_path / "x.h5", [], 0, SPEC)
    assert len(empty) == 0 and empty.read([]).shape == (0, 2, 4, 5)


@pytest.mark.parametrize("count", [8, 10])
def test_another_number_of_images_than_announced_leaves_no_file(tmp_path, x, count):
    with pytest.raises(ValueError, match=f"expected {count}"):
        write_images(tmp_path / "x.h5", [x], count, SPEC)
    assert list(tmp_path.iterdir()) == []


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(UserError, match="gone.h5: there is no such file"):
        open_images(tmp_path / "gone.h5")


@pytest.mark.parametrize("keep", [0, 100, 0.5, 0.99])
def test_a_truncated_file_is_noticed(stored, keep):
    data = stored.path.read_bytes()
    stored.path.write_bytes(data[: int(keep * len(data)) if keep < 1 else keep])
    with pytest.raises(UserError, match="x.h5 is damaged: delete it"):
        StoredImages(stored.path).read(range(9))


def test_a_flipped_bit_is_noticed(stored):
    with h5py.File(stored.path) as file:
        offset = file["images"].id.get_chunk_info(3).byte_offset
    data = bytearray(stored.path.read_bytes())
    data[offset + 10] ^= 1
    stored.path.write_bytes(data)
    fresh = open_images(stored.path)
    fresh.read([2])
    with pytest.raises(UserError, match="x.h5 is damaged"):
        fresh.read([3])


def test_a_file_that_was_not_finished_is_not_taken_for_whole(stored):
    with h5py.File(stored.path, "a") as file:
        del file["images"].attrs["complete"]
    with pytest.raises(UserError, match="is damaged"):
        open_images(stored.path)


def test_another_hdf5_file_is_no_set_of_images(tmp_path):
    with h5py.File(tmp_path / "x.h5", "w") as file:
        file["other"] = [1]
    with pytest.raises(UserError, match="is damaged"):
        open_images(tmp_path / "x.h5")


def test_flat_images_are_rows_of_their_voxels():
    x = torch.arange(48.0).reshape(4, 1, 3, 4) / 48
    rows = FlatImages(MemoryImages(x))
    assert len(rows) == 4
    assert np.array_equal(rows[1:3], x.numpy().reshape(4, 12)[1:3])


def test_identical_images_have_every_voxel_in_common_and_one_shape():
    real = torch.zeros(3, 1, 2, 4)
    real[1], real[2, 0, 1, 3] = 0.5, 1e-7
    tested = torch.stack([real[2], real[1] + 1e-7, -real[0]])
    same = identical_images(MemoryImages(real), MemoryImages(tested))
    assert same.tolist() == [True, False, True], "-0 is 0"
    other = MemoryImages(tested.reshape(3, 1, 4, 2))
    assert not identical_images(MemoryImages(real), other).any()


@pytest.mark.parametrize("shape", [(4, 5), (2, 5), (3, 3), (1, 1)])
def test_images_are_reduced_one_by_one_to_the_same_bits_as_all_at_once(x, shape, monkeypatch):
    whole = MemoryImages(x, spacing=(2.0, 3.0))
    wanted = torch.nn.functional.interpolate(x, shape, mode="area")
    reads, read = [], whole.read
    monkeypatch.setattr(whole, "read", lambda rows: reads.append(len(rows)) or read(rows))
    found = ReducedImages(whole, shape)
    assert torch.equal(found.read([3, 0, 3]), wanted[[3, 0, 3]]) and reads == [1, 1, 1]
    assert len(found) == 9 and found.read([]).shape == (0, 2, *shape)
    assert found.spec == ImageSpec(shape, 2, (2.0 * 4 / shape[0], 3.0 * 5 / shape[1]))


def conditions(file):
    file["images"].attrs["conditions"] = "[]"
    file["conditions"] = np.zeros((8, 1), "f4")


CHANGED = {
    "fewer images than patients": lambda file: file.create_dataset("patients", data=list("abcde")),
    "a column of patients": lambda file: file.create_dataset("patients", data=[["a"]] * 9),
    "fewer digests": lambda file: file.create_dataset("digests", data=np.zeros((9, 8), "u1")),
    "more conditions than are told": conditions,
    "no spacing": lambda file: file["images"].attrs.pop("spacing"),
    "a spacing more": lambda file: file["images"].attrs.update({"spacing": [1.0, 1.0, 1.0]}),
    "conditions that are no JSON": lambda file: file["images"].attrs.update({"conditions": "[{"}),
    "an odd mark": lambda file: file["images"].attrs.update({"complete": [1, 2]}),
}


@pytest.mark.parametrize("change", CHANGED)
def test_images_that_do_not_fit_what_lies_beside_them_are_damage(stored, change):
    with h5py.File(stored.path, "r+") as file:
        CHANGED[change](file)
    with pytest.raises(UserError, match="x.h5 is damaged: delete it"):
        open_images(stored.path)


@pytest.mark.parametrize("shape", [(9, 40), (90, 4), (9, 2, 4, 5, 1, 1)])
def test_images_that_were_reshaped_are_damage(stored, x, shape):
    with h5py.File(stored.path, "r+") as file:
        kept = dict(file["images"].attrs)
        del file["images"]
        file["images"] = x.numpy().reshape(shape)
        file["images"].attrs.update(kept)
    with pytest.raises(UserError, match="x.h5 is damaged: delete it"):
        open_images(stored.path)
