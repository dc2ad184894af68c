import numpy as np
import pytest

from memtk.data.packed import contiguous, look_up, pack, packed_hash, voxel_hash
from memtk.imaging.intensity import PercentileScaling, count_codes, palette_of

KINDS = {
    "8 bits": np.random.default_rng(0).integers(0, 200, (1, 40, 30)).astype(np.uint8),
    "16 bits, few values": np.random.default_rng(0).integers(5000, 5200, (1, 40, 30)),
    "16 bits, many values": np.random.default_rng(0).integers(0, 60000, (1, 300, 300)),
    "signed": np.random.default_rng(0).integers(-900, -700, (1, 8, 9, 10)).astype(np.int16),
    "tiny": np.arange(16, dtype=np.uint8).reshape(1, 4, 4),
}


def packed(voxels):
    palette = palette_of(voxels)
    return pack(palette.codes, PercentileScaling().scaled(palette), (1.0, 1.0), palette.counts)


@pytest.mark.parametrize("kind", KINDS)
def test_a_packed_image_and_its_floats_have_one_hash(kind):
    image = packed(KINDS[kind])
    assert packed_hash(image) == voxel_hash(image.voxels())
    assert np.array_equal(image.voxels(), PercentileScaling()(KINDS[kind]))
    other = image.voxels().copy()
    other.flat[5] = np.nextafter(other.flat[5], np.float32(0))
    assert voxel_hash(other) != packed_hash(image)


@pytest.mark.parametrize("kind", KINDS)
def test_whole_numbers_are_kept_alike_as_integers_and_as_floats_in_any_order_of_memory(kind):
    image = packed(KINDS[kind])
    for voxels in (KINDS[kind].astype(np.float64), np.asfortranarray(KINDS[kind])):
        assert packed_hash(packed(voxels)) == packed_hash(image)


def test_a_packed_image_has_each_of_its_values_and_says_how_often():
    image = pack(np.array([[[1, 4, 4]]], np.uint8), np.float32([-1, -1, 0, 0.5, 1]), ())
    assert image.values.tolist() == [-1, 1] and image.counts.tolist() == [1, 2]
    assert image.data.tolist() == [[[0, 1, 1]]]


@pytest.mark.parametrize("kind", [np.uint8, np.uint16])
def test_codes_are_counted_and_looked_up_as_numpy_does(kind):
    most = np.iinfo(kind).max + 1
    codes = np.random.default_rng(1).integers(0, most, (3, 50, 700)).astype(kind)
    for order in ("C", "F"):
        counts = count_codes(np.asarray(codes, order=order), most)
        assert np.array_equal(counts, np.bincount(codes.reshape(-1), minlength=most))
    table = np.random.default_rng(2).permutation(most).astype(kind)
    assert np.array_equal(look_up(table, codes), table[codes])
    assert np.array_equal(look_up(table.astype(np.float32), codes), table[codes])


@pytest.mark.parametrize("shape", [(1, 5), (2, 9, 130), (1, 70, 8, 65)])
def test_an_array_in_fortran_order_is_turned_to_c_order(shape):
    x = np.random.default_rng(3).normal(size=shape)
    made = contiguous(np.asfortranarray(x))
    assert made.flags.c_contiguous and np.array_equal(made, x)
