"""Models that make images, and what a diffusion model shows of its inside."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar, Literal

from torch import Tensor

from memtk.interfaces.trainable import Trainable
from memtk.noise import Noise


class Generator(Trainable):
    """A generative model of images.

    It is conditional if its `sample` has an argument `condition`; then its losses may have one too.
    A run with `--condition COLUMN` gives them a tensor (B, K), a number for each column, which
    `spec.conditions` explains: the code of a word, or a standardised number. A run without any
    leaves the argument out: `def sample(self, noise, condition=None)`.

    Optional methods, used where a subclass has them:
        `reconstruct(x (B, C, *S)) -> (B, C, *S)`: the autoencoder's round trip, for its PSNR.
        `denoising_loss(x, t, noise) -> (B,)`: of images (B, C, *S) at times t (B,), its own loss;
            what membership attacks need, with the next. Of a conditional one, without condition.
        `diffusion() -> Diffusion`: the noising process and the noise that the network predicts.
        `dry_run() -> str`: a line for the plan of a dry run, where sampling runs other programs.

    Class attributes:
        learns_from: the images it is trained on. `"held_out"` is for the control that must not
            know the training patients.
        of_sampling: settings that no training depends on, `{"guidance"}`: another value of one goes
            on with a training that is there.
        as_the_data: settings that take the values of the same keys of the data unless they are set
            (`"shape"`, for a generator that reads images). Optional.
    """

    learns_from: ClassVar[Literal["training", "held_out"]] = "training"
    of_sampling: ClassVar[frozenset[str]] = frozenset()

    @classmethod
    def most_samples(cls, images: int) -> int | None:
        """Return how many samples it can give once trained on so many images; None: any number."""
        return None

    @abstractmethod
    def sample(self, noise: Noise) -> Tensor:
        """Return one synthetic image for each stream of `noise`: float32 (B, C, *S) in [-1, 1].

        Row i depends on stream i alone, and on row i of `condition` where it takes one: the same
        image whatever the batch it is drawn in. Called in eval mode without gradient.
        """


@dataclass(frozen=True)
class Diffusion:
    """The noising process `z_t = sqrt(a_t) z + sqrt(1 - a_t) eps` of a generator, and its network.

    Args:
        kept: a_t for t = 0, ..., T - 1: the share of the signal's variance that is left, (T,).
        clean: images (B, C, *S) in [-1, 1] -> what is noised, z (B, ...): the images themselves or
            their scaled latents. Nothing is drawn: the mean of a random encoder.
        noise: `(z_t (B, ...), t (B,))` -> the noise eps that the network finds in it, (B, ...).
    """

    kept: Tensor
    clean: Callable[[Tensor], Tensor]
    noise: Callable[[Tensor, Tensor], Tensor]

    def noised(self, z: Tensor, eps: Tensor, t: Tensor) -> Tensor:
        """Return z_t of `z` and `eps` (B, ...) for each row's time `t` (B,)."""
        kept = self.kept.to(z.device)[t].reshape(-1, *[1] * (z.dim() - 1))
        return kept.sqrt() * z + (1 - kept).sqrt() * eps
