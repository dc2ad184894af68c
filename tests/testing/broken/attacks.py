"""Attacks whose scores are wrong."""

from itertools import count

import numpy as np

from memtk.testing import Case


def cases(sound, folder):
    def scored(change):
        class Broken(sound.attack):
            def score(self, target, images):
                return change(super().score(target, images))

        return Case(Broken, spec=sound.spec)

    class Batched(sound.attack):
        def score(self, target, images):
            def work(x, noise):
                return (x - x.mean(0)).flatten(1).norm(dim=1)

            return target.each(images, work)

    asked = count()
    return {
        "it_says_what_it_uses": Case(type("Broken", (sound.attack,), {"uses": "denoising_loss"})),
        "scores_are_finite_and_one_an_image": scored(lambda s: s[1:]),
        "attacking_twice_gives_the_same": scored(lambda s: s + next(asked)),
        "attacking_uses_no_global_random_state": scored(lambda s: s * np.random.rand()),
        "batch_size_does_not_change_scores": Case(Batched, spec=sound.spec),
        "a_score_belongs_to_its_image_alone": scored(lambda s: s - s.mean()),
        "members_of_a_memorizing_generator_score_higher": scored(lambda s: -s),
    }
