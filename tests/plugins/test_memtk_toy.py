from __future__ import annotations

import pytest
import torch

from memtk.config import build
from memtk.errors import UserError
from memtk.imaging import augmentation
from memtk.interfaces import ImageSpec
from memtk.noise import Noise
from memtk_toy.controls import Copycat, Independent

FLAT, SOLID = ImageSpec((12, 10)), ImageSpec((8, 6, 10), channels=2)


def images(spec, count=5):
    return Noise(3, range(count)).uniform(spec.channels, *spec.shape) * 2 - 1


def taught(cls, spec=FLAT, count=5, **config):
    model = cls(build(cls.Config, config), spec).eval()
    (phase,) = model.phases()
    assert phase.settings.steps == 0 and not phase.turns
    phase.begin(iter(images(spec, count).split(2)))
    return model


def sources(x, originals):
    """Which original each image is, exactly; -1 where it is none."""
    same = (x[:, None] == originals[None]).flatten(2).all(2)
    return [int(row.nonzero()[0]) if row.any() else -1 for row in same]


@pytest.mark.parametrize("spec", [FLAT, SOLID])
def test_sample_i_is_training_image_i_exactly_and_each_once(spec):
    assert torch.equal(taught(Copycat, spec).sample(Noise(0, range(5))), images(spec))


def test_after_the_last_training_image_comes_the_first_again():
    x = taught(Copycat).sample(Noise(0, [4, 5, 13]))
    assert sources(x, images(FLAT)) == [4, 0, 3]


@pytest.mark.parametrize("rate", [0.0, 0.1, 0.29, 0.5, 0.7, 1.0])
def test_the_share_of_copies_is_exactly_the_rate(rate):
    x = taught(Copycat, rate=rate).sample(Noise(0, range(100)))
    found = [s for s in sources(x, images(FLAT)) if s >= 0]
    assert len(found) == round(100 * rate)
    assert found == [k % 5 for k in range(len(found))]


def test_whether_a_sample_is_a_copy_depends_on_its_number_alone():
    model = taught(Copycat, rate=0.4, vary="all")
    whole = model.sample(Noise(0, range(6)))
    for i in range(6):
        assert torch.allclose(model.sample(Noise(0, [i])), whole[i : i + 1], atol=1e-6)


@pytest.mark.parametrize("spec", [FLAT, SOLID])
def test_what_is_no_copy_is_an_image_that_nobody_has(spec):
    model = taught(Copycat, spec, rate=0.0)
    x = model.sample(Noise(0, range(4)))
    assert x.shape == (4, spec.channels, *spec.shape) and x.dtype == torch.float32
    assert x.abs().max() <= 1 and x.flatten(1).std(1).min() > 0.05
    pairs = torch.corrcoef(torch.cat([x, images(spec)]).flatten(1)) - torch.eye(9)
    assert pairs.abs().max() < 0.99
    assert not torch.equal(model.sample(Noise(1, range(4))), x)


def test_a_flipped_copy_is_the_mirror_image():
    x = taught(Copycat, vary="flip").sample(Noise(0, range(5)))
    assert torch.equal(x, images(FLAT).flip(-1))


@pytest.mark.parametrize("spec", [FLAT, SOLID])
def test_a_turned_copy_is_turned_by_five_degrees_at_most(spec):
    x = taught(Copycat, spec, vary="rotation").sample(Noise(0, range(5)))
    assert sources(x, images(spec)) == [-1] * 5
    if spec is SOLID:
        return
    # Undo the rotation by each of many angles: one within 5 degrees brings the original near.
    angles = torch.linspace(-7, 7, 141)
    for row, original in zip(x, images(spec), strict=True):
        back = augmentation.rotate(original.expand(141, *original.shape), angles[:, None])
        errors = (back - row).square().flatten(1).mean(1)
        assert errors.min() < 1e-3 and abs(float(angles[errors.argmin()])) <= 5.1


def test_a_copy_of_other_contrast_keeps_the_order_of_its_voxels():
    x = taught(Copycat, vary="contrast").sample(Noise(0, range(5))).flatten(1)
    original = images(FLAT).flatten(1)
    assert torch.equal(x.argsort(1), original.argsort(1)) and not torch.equal(x, original)
    gamma = (((x + 1) / 2).log() / ((original + 1) / 2).log()).median(1).values
    assert gamma.min() >= 0.74 and gamma.max() <= 1.36 and gamma.std() > 0.01


def test_all_changes_together_leave_no_copy_as_it_was():
    x = taught(Copycat, vary="all").sample(Noise(0, range(5)))
    assert sources(x, images(FLAT)) == [-1] * 5
    assert x.shape == (5, 1, 12, 10) and x.abs().max() <= 1


@pytest.mark.parametrize("cls", [Copycat, Independent])
def test_a_fresh_instance_takes_the_images_from_the_state(cls):
    model, fresh = taught(cls), cls(build(cls.Config), FLAT)
    fresh.load_state_dict(model.state_dict())
    assert torch.equal(fresh.images, model.images)
    fresh.load_state_dict(cls(build(cls.Config), FLAT).state_dict())
    assert len(fresh.images) == 0


def test_images_of_another_shape_in_the_state_are_refused():
    with pytest.raises(RuntimeError, match="size mismatch for images"):
        Copycat(build(Copycat.Config), SOLID).load_state_dict(taught(Copycat).state_dict())


@pytest.mark.parametrize("cls", [Copycat, Independent])
def test_without_images_it_says_so(cls):
    with pytest.raises(UserError, match="has no images yet: train it first"):
        cls(build(cls.Config), FLAT).sample(Noise(0, [0]))


def test_an_empty_batch_of_samples_is_empty():
    assert taught(Copycat).sample(Noise(0, [])).shape == (0, 1, 12, 10)
    assert taught(Independent).sample(Noise(0, [])).shape == (0, 1, 12, 10)


def test_the_control_learns_from_patients_held_back():
    assert Independent.learns_from == "held_out" and Copycat.learns_from == "training"
    x = taught(Independent).sample(Noise(0, [4, 0, 2]))
    assert sources(x, images(FLAT)) == [4, 0, 2]


def test_more_samples_than_held_out_images_are_refused_with_a_way_out():
    with pytest.raises(UserError) as raised:
        taught(Independent).sample(Noise(0, [3, 5]))
    text = str(raised.value)
    assert "6 samples were asked of 5" in text and len(text.splitlines()) <= 3
    assert "--samples 5" in text


@pytest.mark.parametrize("config", [{"rate": 1.1}, {"rate": -0.1}, {"vary": "blur"}, {"rte": 1}])
def test_settings_that_do_not_fit_are_refused(config):
    with pytest.raises(UserError, match="copycat"):
        build(Copycat.Config, config, where="copycat")
