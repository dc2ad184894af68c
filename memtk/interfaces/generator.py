"""Models that make images."""

from __future__ import annotations

from abc import abstractmethod
from typing import ClassVar, Literal

from torch import Tensor

from memtk.interfaces.trainable import Trainable
from memtk.noise import Noise


class Generator(Trainable):
    """A generative model of images.

    Optional methods, used where a subclass has them:
        `reconstruct(x (B, C, *S)) -> (B, C, *S)`: the autoencoder's round trip, for its PSNR.
        `denoising_loss(x, t, noise) -> (B,)`: of images (B, C, *S) at times t (B,), its own loss;
            what membership attacks need, with the next.
        `diffusion() -> Diffusion`: the noising process and the noise that the network predicts.

    Class attributes:
        learns_from: the images it is trained on. `"held_out"` is for the control that must not
            know the training patients.
        as_the_data: settings that take the values of the same keys of the data unless they are set
            (`"shape"`, for a generator that reads images). Optional.
    """

    learns_from: ClassVar[Literal["training", "held_out"]] = "training"

    @classmethod
    def most_samples(cls, images: int) -> int | None:
        """Return how many samples it can give once trained on so many images; None: any number."""
        return None

    @abstractmethod
    def sample(self, noise: Noise) -> Tensor:
        """Return one synthetic image for each stream of `noise`: float32 (B, C, *S) in [-1, 1].

        Row i depends on stream i alone: the same image whatever the batch it is drawn in. Called
        in eval mode without gradient.
        """
