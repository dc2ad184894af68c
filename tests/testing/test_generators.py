from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from memtk.interfaces import ImageSpec
from memtk.testing import Case, check_generator, run_checks
from memtk.testing.models import draw


def test_a_sound_generator_passes(sound_generator, spec):
    check_generator(sound_generator, spec=spec)
    check_generator(sound_generator, {"width": 4}, ImageSpec((3, 4, 5), channels=2))


def test_a_generator_that_comes_trained_passes(sound_generator, spec):
    class Trained(sound_generator):
        phases = lambda self: ()  # noqa: E731

    check_generator(Trained, spec=spec)


def test_it_is_told_which_images_to_learn(sound_generator, spec):
    seen = []

    class Watching(sound_generator):
        def squeeze(self, x, noise):
            seen.append(x)
            return super().squeeze(x, noise)

    images = torch.rand(5, 1, 4, 5)
    check_generator(Watching, spec=spec, images=images)
    known = {tuple(image.flatten().tolist()) for image in images}
    assert seen and all(tuple(row.flatten().tolist()) in known for x in seen for row in x)


def test_images_of_another_shape_than_said_are_refused(sound_generator, spec, complaint):
    text = complaint(check_generator, sound_generator, spec=spec, images=torch.zeros(4, 1, 9, 9))
    assert text == "the images given to the check are (1, 9, 9), the spec says (1, 4, 5)"


def test_the_global_seed_is_left_as_it_was(sound_generator, spec):
    torch.manual_seed(3)
    np.random.seed(3)
    before = torch.get_rng_state(), np.random.get_state()[1].tolist()
    check_generator(sound_generator, spec=spec)
    assert torch.equal(torch.get_rng_state(), before[0])
    assert np.random.get_state()[1].tolist() == before[1]


@pytest.mark.parametrize("thing", [dict, 3, nn.Linear])
def test_what_is_no_generator_is_refused(thing, complaint):
    assert "is not a subclass of memtk.interfaces.Generator" in complaint(check_generator, thing)


def global_draw(self, noise):
    x = torch.randn(len(noise), self.spec.channels, *self.spec.shape)
    return x.clamp(-1, 1)


def numpy_draw(self, noise):
    shape = (len(noise), self.spec.channels, *self.spec.shape)
    return torch.from_numpy(np.random.rand(*shape)).float()


def seeded_by_the_global_one(self, noise):
    generator = torch.Generator().manual_seed(torch.initial_seed())
    shape = (len(noise), self.spec.channels, *self.spec.shape)
    return torch.rand(shape, generator=generator)


SAMPLES = {
    "global torch": (global_draw, "sample draws from the global generator of torch"),
    "global numpy": (numpy_draw, "sample draws from the global generator of numpy"),
    "global seed": (seeded_by_the_global_one, "gives other values when it is called again under"),
    "double": (lambda x: x.double(), "sample gives torch.float64, not torch.float32"),
    "flat": (lambda x: x.flatten(1), "sample gives the shape (3, 20), expected (3, 1, 4, 5)"),
    "array": (lambda x: x.numpy(), "sample gives"),
    "nan": (lambda x: x * torch.nan, "sample gives values that are not finite"),
    "order": (
        lambda x: x if len(x) == 1 else torch.cat([x[:1] * 0, x[1:]]),
        "gives another row when",
    ),
}


@pytest.mark.parametrize("way", SAMPLES)
def test_unsound_samples_are_told(sound_generator, spec, complaint, way):
    change, sentence = SAMPLES[way]

    class Broken(sound_generator):
        def sample(self, noise):
            if change.__code__.co_argcount == 2:
                return change(self, noise)
            return change(super().sample(noise))

    text = complaint(check_generator, Broken, spec=spec)
    assert "Broken.sample" in text and sentence in text


def test_samples_are_drawn_in_eval_mode_without_gradient(sound_generator, spec):
    model = sound_generator(sound_generator.Config(), spec).train()
    x = draw(model, [0, 1])
    assert not model.training and not x.requires_grad


def test_a_training_that_fails_is_told_once_with_its_place(sound_generator, spec):
    class Crashing(sound_generator):
        def squeeze(self, x, noise):
            raise IndexError("no such\nlayer")

    outcomes = run_checks(Case(Crashing, spec=spec))
    failed = [o.why for o in outcomes if o.status == "failed"]
    assert len(failed) == 2  # the short training, and the one that is stopped and gone on with
    for why in failed:
        assert why.startswith("it raises IndexError: no such layer (test_generators.py, line ")
    told = "the short training of it fails: IndexError"
    assert [o.why for o in outcomes if o.check == "samples_are_images"] == [told]
