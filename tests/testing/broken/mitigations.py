"""Mitigations that choose or change wrongly."""

from itertools import count

import numpy as np
import torch

from memtk.interfaces import Choice
from memtk.testing import Case


def cases(sound, folder):
    def case(**changes):
        return Case(
            type("Broken", (sound.mitigation,), changes), spec=sound.spec, whole_patients=True
        )

    def in_place(self, settings):
        settings["training"]["steps"] = 1
        return settings

    asked = count()
    return {
        "adjust_returns_changed_settings": case(adjust=in_place),
        "choose_gives_ascending_indices": case(choose=lambda self, p, rng: np.array([3, 1])),
        "choose_draws_from_its_rng_alone": case(
            choose=lambda self, p, rng: np.flatnonzero(np.random.default_rng().random(10) < 0.5)
        ),
        "choose_keeps_whole_patients": case(choose=lambda self, p, rng: np.array([1, 3, 5])),
        "augmented_images_are_images": case(augment=lambda self, x, noise: x * 3),
        "augmenting_uses_no_global_random_state": case(
            augment=lambda self, x, noise: x * torch.rand(1)
        ),
        "batch_size_does_not_change_augmentations": case(
            augment=lambda self, x, noise: (x + x.flip(0)) / 2
        ),
        "augmenting_leaves_its_input_as_it_was": case(augment=lambda self, x, noise: x.mul_(0.5)),
        "release_gives_ascending_indices": case(
            release=lambda self, synthetic: np.arange(len(synthetic) + 1)
        ),
        "thin_keeps_some_training_images": case(
            thin=lambda self, training, validation, eyes: Choice(np.array([], dtype=int))
        ),
        "teach_keeps_synthetic_images": case(teach=lambda self, synthetic, found: np.arange(2)),
        "stop_takes_one_checkpoint": case(stop=lambda self, course: Choice(np.array([0, 1]))),
        "screen_keeps_synthetic_images": case(
            screen=lambda self, synthetic, found: Choice(np.array([next(asked)]))
        ),
    }
