"""Generators whose samples are wrong."""

import torch

from memtk.testing import Case


def cases(sound, folder):
    def case(**changes):
        return Case(type("Broken", (sound.generator,), changes), spec=sound.spec)

    def sampled(change):
        return case(sample=lambda self, noise: change(self, sound.generator.sample(self, noise)))

    def drift(model, x):
        model.spread.add_(0.1)
        return x

    class Forgetful(sound.generator):
        scale = 1.0

        def measure(self, batches):
            super().measure(batches)
            self.scale = 0.5

        def sample(self, noise):
            return super().sample(noise) * self.scale

    class Deaf(sound.generator):
        def sample(self, noise, condition=None):
            return super().sample(noise)

    class Mixing(sound.generator):
        def told(self, condition, rows):
            found = super().told(condition, rows)
            return found if condition is None else found.mean(0, keepdim=True).expand_as(found)

    class Typical(sound.generator):
        def sample(self, noise, condition=None):
            x = super().sample(noise, condition)
            one = self.told(condition, len(x)).sum(1).tanh().reshape(-1, 1, 1, 1)
            return x if condition is None else one.expand_as(x)

    return {
        "conditional_samples_follow_the_noise": Case(Typical, spec=sound.spec),
        "samples_follow_their_condition": Case(Deaf, spec=sound.spec),
        "batch_size_does_not_change_conditional_samples": Case(Mixing, spec=sound.spec),
        "it_says_which_images_it_learns_from": case(learns_from="validation"),
        "it_says_how_many_samples_it_can_give": case(most_samples=lambda self, images: "many"),
        "samples_are_images": sampled(lambda model, x: x * 0 + 2),
        "sampling_uses_no_global_random_state": sampled(lambda model, x: x * torch.rand(1)),
        "samples_follow_the_noise": sampled(lambda model, x: x * 0),
        "batch_size_does_not_change_samples": sampled(lambda model, x: (x - x.mean(0)) / 2),
        "sampling_leaves_the_model_as_it_was": sampled(drift),
        "state_dict_reproduces_samples": Case(Forgetful, spec=sound.spec),
        "reconstructions_are_images": case(reconstruct=lambda self, x: x[:, :, 1:]),
        "denoising_loss_has_one_value_an_image": case(
            denoising_loss=lambda self, x, t, noise: self.encode(x).square().mean()
        ),
    }
