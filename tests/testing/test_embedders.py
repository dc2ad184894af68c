from __future__ import annotations

import pytest

from memtk.interfaces import ImageSpec
from memtk.testing import check_embedder


def test_a_sound_embedder_passes(sound_embedder, spec):
    check_embedder(sound_embedder, spec=spec)
    check_embedder(sound_embedder, {"width": 5}, ImageSpec((3, 4, 5), channels=2))


def test_what_is_no_embedder_is_refused(sound_generator, complaint):
    text = complaint(check_embedder, sound_generator)
    assert text.endswith("is not a subclass of memtk.interfaces.Embedder")


EMBEDDINGS = {
    "half": (lambda z: z.half(), "embed gives torch.float16, not torch.float32"),
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


@pytest.mark.parametrize("width", [0, 3.0])
def test_an_unsound_width_is_told(sound_embedder, spec, complaint, width):
    class Broken(sound_embedder):
        def __init__(self, config, spec):
            super().__init__(config, spec)
            self.width = width

    assert f"Broken.width is {width!r}" in complaint(check_embedder, Broken, spec=spec)
