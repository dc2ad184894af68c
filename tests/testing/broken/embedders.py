"""Embedders whose vectors are wrong."""

import torch
import torch.nn.functional as F

from memtk.testing import Case


def cases(sound, folder):
    def embedded(change):
        class Broken(sound.embedder):
            def embed(self, x):
                return change(self, super().embed(x))

            def loss(self, x, noise):
                return {"l2": self.net(x.flatten(1)).square().mean()}

        return Case(Broken, spec=sound.spec)

    def drift(model, z):
        model.net.bias.add_(0.1)
        return z

    class Widthless(sound.embedder):
        def __init__(self, config, spec):
            super().__init__(config, spec)
            self.width = None

    class Sharp(sound.embedder):
        def __init__(self, config, spec):
            super().__init__(config, spec)
            self.resolution = tuple(n // 2 for n in spec.shape)

        def embed(self, x):  # whole images are not reduced
            return super().embed(F.interpolate(x, self.spec.shape))

    class Forgetful(sound.embedder):
        seen = 0

        def loss(self, x, noise):
            self.seen += 1
            return super().loss(x, noise)

        def embed(self, x):
            return super().embed(x) + self.seen

    return {
        "width_is_a_number_of_values": Case(Widthless, spec=sound.spec),
        "embeddings_are_vectors_of_that_width": embedded(lambda model, z: z[:, :1]),
        "different_images_have_different_embeddings": embedded(lambda model, z: z * 0 + 1),
        "embedding_uses_no_global_random_state": embedded(lambda model, z: z + torch.rand(1)),
        "batch_size_does_not_change_embeddings": embedded(lambda model, z: z - z.mean(0)),
        "reduced_images_have_the_embeddings_of_whole_ones": Case(Sharp, spec=sound.spec),
        "embedding_leaves_the_model_as_it_was": embedded(drift),
        "state_dict_reproduces_embeddings": Case(Forgetful, spec=sound.spec),
    }
