from __future__ import annotations

import pytest
import torch

from memtk.interfaces import ImageSpec
from memtk.testing import check_embedder


def test_a_sound_embedder_passes(sound_embedder, spec):
    check_embedder(sound_embedder, spec=spec)
    check_embedder(sound_embedder, {"width": 5}, ImageSpec((3, 4, 5), channels=2))


def test_what_is_no_embedder_is_refused(sound_generator, complaint):
    text = complaint(check_embedder, sound_generator)
    assert text.endswith("is not a subclass of memtk.interfaces.Embedder")


EMBEDDINGS = {
    "width": (lambda z: z[:, :1], "embed gives the shape (4, 1), expected (4, 3)"),
    "half": (lambda z: z.half(), "embed gives torch.float16, not torch.float32"),
    "batch norm": (lambda z: z - z.mean(0), "gives another row when it is computed alone"),
    "constant": (lambda z: z * 0 + 1, "gives one vector for 4 different images"),
    "random": (lambda z: z + torch.rand(1), "draws from the global generator of torch"),
    "infinite": (lambda z: z / 0, "gives values that are not finite"),
}


@pytest.mark.parametrize("way", EMBEDDINGS)
def test_unsound_embeddings_are_told(sound_embedder, spec, complaint, way):
    change, sentence = EMBEDDINGS[way]

    class Broken(sound_embedder):
        def embed(self, x):
            return change(super().embed(x))

        def loss(self, x, noise):
            return {"l2": self.net(x.flatten(1)).square().mean()}

    assert sentence in complaint(check_embedder, Broken, spec=spec)


@pytest.mark.parametrize("width", [None, 0, 3.0])
def test_an_unsound_width_is_told(sound_embedder, spec, complaint, width):
    class Broken(sound_embedder):
        def __init__(self, config, spec):
            super().__init__(config, spec)
            self.width = width

    assert f"Broken.width is {width!r}" in complaint(check_embedder, Broken, spec=spec)


def test_what_is_not_in_the_checkpoint_is_told(sound_embedder, spec, complaint):
    class Forgetful(sound_embedder):
        seen = 0

        def loss(self, x, noise):
            self.seen += 1
            return super().loss(x, noise)

        def embed(self, x):
            return super().embed(x) + self.seen

    text = complaint(check_embedder, Forgetful, spec=spec)
    assert "gives other embeddings after its checkpoint was loaded" in text
