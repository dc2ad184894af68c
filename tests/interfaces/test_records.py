from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest

import memtk.interfaces
from memtk.data.images import MemoryImages
from memtk.interfaces import (
    CheckpointScores,
    ComponentConfig,
    ImageSpec,
    Mitigation,
    Record,
    Volume,
)
from memtk.noise import Noise


def test_every_name_of_the_public_face_is_there():
    assert all(hasattr(memtk.interfaces, name) for name in memtk.interfaces.__all__)


@pytest.mark.parametrize("shape", [(4, 5), (4, 5, 6)])
def test_an_image_has_as_many_axes_as_its_shape(shape):
    spec = ImageSpec(shape)
    assert spec.dims == len(shape) and spec.channels == 1 and spec.spacing == ()


def test_equal_shapes_and_records_are_equal_and_fit_a_set():
    assert len({ImageSpec((4, 4)), ImageSpec((4, 4)), ImageSpec((4, 5))}) == 2
    assert len({Record(Path("a")), Record(Path("a")), Record(Path("a"), "1")}) == 2


@pytest.mark.parametrize("record", [ImageSpec((4, 4)), Record(Path("a")), Volume(np.ones(1), ())])
def test_records_cannot_be_changed(record):
    name = dataclasses.fields(record)[0].name
    with pytest.raises(dataclasses.FrozenInstanceError):
        setattr(record, name, None)


def test_a_mitigation_changes_nothing_unless_it_says_so():
    mitigation = Mitigation(ComponentConfig())
    x = Noise(0, [0, 1]).normal(1, 4, 4)
    assert mitigation.choose(["a", "b", "a"], np.random.default_rng(0)).tolist() == [0, 1, 2]
    assert mitigation.augment(x, Noise(0, [0, 1])) is x
    assert mitigation.adjust({"a": 1}) == {"a": 1}
    assert mitigation.release(MemoryImages(x)).tolist() == [0, 1]


def test_a_mitigation_chooses_everything_and_the_last_checkpoint_unless_it_says_otherwise():
    mitigation = Mitigation(ComponentConfig())
    images = MemoryImages(Noise(0, [0, 1]).normal(1, 4, 4), ["a", "b"])
    assert mitigation.thin(images, images, None).indices.tolist() == [0, 1]
    assert mitigation.teach(images, {}).indices.tolist() == [0, 1]
    assert mitigation.screen(images, {}).indices.tolist() == [0, 1]
    scores = [CheckpointScores(1, {}), CheckpointScores(2, {})]
    assert mitigation.stop(scores).indices.tolist() == [1]
