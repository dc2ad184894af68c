from types import SimpleNamespace

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from memtk.data.images import MemoryImages
from memtk.evaluation.context import Computation
from memtk.evaluation.planted import MIXED, Plants, seen_by
from memtk.imaging.phantoms import phantom
from memtk.training.devices import open_devices

SIDE, LOOKS = 64, 16


class Counted(MemoryImages):
    """Images that count how often each is read."""

    def read(self, indices):
        self.reads += list(indices)
        return super().read(indices)


@pytest.fixture
def training():
    x = np.stack([phantom(0, n, 0, dims=2, size=SIDE) for n in range(12)])
    images = Counted(0.7 * torch.from_numpy(x).float(), [f"p{n // 2}" for n in range(12)])
    images.reads = []
    return images


@pytest.fixture
def sets(training, tmp_path):
    context = Computation(open_devices("cpu"), tmp_path, None, None, 0, 8)
    plants = Plants(context, training, 6, reconstruct=lambda x: x)
    return plants._sets(plants._sources())


def looking(shape):
    return SimpleNamespace(resolution=shape)


def reduced(images):
    return F.interpolate(images.read(range(len(images))), (LOOKS, LOOKS), mode="area")


def test_copies_are_made_of_images_twice_as_fine_as_they_are_looked_at_each_read_once(
    sets, training
):
    seen = seen_by(looking((LOOKS, LOOKS)), sets)
    assert list(seen) == [plant.label for plant in sets]
    shapes = {label: images.spec.shape for label, images in seen.items()}
    assert shapes.pop("autoencoder") == (SIDE, SIDE) and set(shapes.values()) == {(32, 32)}
    for label in shapes:
        seen[label].read(range(6))
    assert sorted(training.reads) == sets[0].images.sources.tolist()
    torch.testing.assert_close(reduced(seen["exact"]), reduced(sets[0].images))


def test_copies_look_as_if_whole_images_had_been_changed(sets):
    seen = seen_by(looking((LOOKS, LOOKS)), sets)
    originals = reduced(sets[0].images)
    for plant in sets:
        if plant.kind in {MIXED, "noise", "exact"}:  # drawn anew voxel by voxel
            continue
        whole, small = reduced(plant.images), reduced(seen[plant.label])
        change, differ = (whole - originals).std(), (whole - small).std()
        assert differ < 0.35 * max(change, 0.04), plant.label


@pytest.mark.parametrize("label", ["noise 1", "noise 3", "noise 10"])
def test_noise_is_as_strong_as_if_it_had_been_averaged_with_the_image(sets, label):
    (plant,) = [p for p in sets if p.label == label]
    originals = reduced(plant.images.originals((SIDE, SIDE)))
    whole = (reduced(plant.images) - originals).std()
    small = (reduced(seen_by(looking((LOOKS, LOOKS)), sets)[label]) - originals).std()
    assert small == pytest.approx(float(whole), rel=0.25)


@pytest.mark.parametrize("resolution", [None, (32, 32), (SIDE, SIDE)])
def test_who_looks_at_most_of_an_image_is_shown_whole_copies(sets, resolution):
    for detector in (None, looking(resolution)):
        seen = seen_by(detector, sets)
        assert all(seen[plant.label] is plant.images for plant in sets)
