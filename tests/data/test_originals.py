import os
import shutil

import numpy as np
import pytest
import torch

from memtk.config import build
from memtk.data.config import DataConfig
from memtk.data.images import ReducedImages
from memtk.data.originals import OriginalsChanged
from memtk.data.packed import pack, reduced
from memtk.data.prepare import prepare

ROWS = [("a", "P1", "train"), ("b", "P2", "val"), ("c", "P3", "train"), ("d", "P4", "train")]
SMALL = (16, 10)


@pytest.fixture
def manifest(write_manifest):
    return write_manifest(ROWS, shape=(64, 50))


@pytest.fixture
def kept(manifest, registry, tmp_path):
    """Prepare the images of `manifest`: `kept(look)`, in one folder."""

    def made(look=None, folder="data"):
        config = build(DataConfig, {"source": str(manifest)}, where="data")
        return prepare(config, tmp_path / folder, registry, look=look)

    return made


def look(spec):
    return SMALL


def test_reduced_images_are_kept_and_whole_ones_are_read_again_to_the_same_bits(kept):
    whole, made = kept(folder="whole"), kept(look)
    assert made.fingerprint == whole.fingerprint and made.spec == whole.spec
    assert made.path.stat().st_size < 0.6 * whole.path.stat().st_size
    for split in ("training", "validation"):
        one, other = whole.split(split), made.split(split)
        rows = list(range(len(one)))[::-1]
        assert torch.equal(one.read(rows), other.read(rows))
        assert np.array_equal(one.hashes, other.hashes)
        for shape in (SMALL, (8, 25)):  # the one that is kept, and another
            first, second = (ReducedImages(images, shape) for images in (one, other))
            assert torch.equal(first.read(rows), second.read(rows))
            assert first.spec == second.spec
    part = made.split("training").subset([2, 0])
    assert torch.equal(part.read([0]), whole.split("training").read([2]))


def test_no_whole_image_is_read_for_what_is_kept(kept, monkeypatch):
    made = kept(look).split("training")
    monkeypatch.setattr("memtk.data.readers.Readers.read", None)
    assert ReducedImages(made, SMALL).read([1]).shape == (1, 1, *SMALL)


@pytest.mark.parametrize("change", ["gone", "changed"])
def test_a_file_that_is_gone_or_has_changed_is_named_with_the_way_out(kept, manifest, change):
    made = kept(look).split("training")
    path = manifest.parent / "c.png"
    path.unlink() if change == "gone" else shutil.copy(manifest.parent / "d.png", path)
    assert made.read([0]).shape == (1, 1, 64, 50)
    with pytest.raises(OriginalsChanged, match="c.png is gone or has changed.*--keep-prepared"):
        made.read([1])


def test_a_file_that_was_copied_back_is_the_same_file(kept, manifest):
    made = kept(look).split("training")
    os.utime(manifest.parent / "c.png", (1, 1))
    assert made.read([1]).shape == (1, 1, 64, 50)


def test_whole_images_that_are_asked_for_later_are_read_anew_and_reduced_ones_are_not(kept):
    made = kept(look)
    before = made.path.stat().st_mtime_ns
    assert kept(look).path.stat().st_mtime_ns == before
    whole = kept()
    assert whole.reduction is None and whole.path == made.path
    before = whole.path.stat().st_mtime_ns
    assert kept(look).reduction is None and whole.path.stat().st_mtime_ns == before


def test_images_that_are_not_in_files_are_kept_whole(ready, registry, tmp_path):
    config = build(DataConfig, {"source": "phantom2d"}, where="data")
    assert prepare(config, tmp_path / "data", registry, look=look).reduction is None


@pytest.mark.parametrize(
    ("stored", "small"), [((64, 50), (16, 25)), ((300, 400), (37, 64)), ((160, 48, 40), (40, 9, 7))]
)
def test_an_image_is_reduced_slab_by_slab_to_the_same_bits(stored, small):
    codes = np.random.default_rng(0).integers(0, 256, (2, *stored)).astype(np.uint8)
    image = pack(codes, np.linspace(-1, 1, 256, dtype=np.float32) ** 3, ())
    x = torch.from_numpy(image.voxels())[None]
    wanted = torch.nn.functional.interpolate(x, list(small), mode="area")[0].numpy()
    assert np.array_equal(reduced(image, small), wanted)


@pytest.mark.parametrize("count", [2, 200, 65536])
@pytest.mark.parametrize(("stored", "small"), [((640, 512), (80, 64)), ((40, 48, 24), (10, 6, 8))])
def test_a_reduced_voxel_is_the_mean_of_its_block(stored, small, count):
    rng = np.random.default_rng(count)
    codes = rng.integers(0, count, (2, *stored)).astype(np.uint16)
    codes.flat[:count] = np.arange(count)[: codes.size]
    image = pack(codes, np.linspace(-0.5, 1, count, dtype=np.float32), ())
    wanted = image.voxels().astype(np.float64)
    for axis, (old, new) in enumerate(zip(stored, small, strict=True), 1):
        wanted = np.stack(np.split(wanted, old // (old // new), axis), axis)
        wanted = wanted.mean(axis + 1)
    np.testing.assert_allclose(reduced(image, small), wanted, atol=1e-7)
