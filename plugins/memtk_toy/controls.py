"""Generators whose truth is known: a stated share of the samples are copies, or none is."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from fractions import Fraction
from typing import Any, ClassVar, Literal

import torch
from pydantic import Field
from torch import Tensor

from memtk.errors import UserError
from memtk.imaging import augmentation
from memtk.imaging.phantoms import phantom_of_shape
from memtk.interfaces import ComponentConfig, Generator, ImageSpec, Phase, PhaseSettings
from memtk.noise import Noise


class Memory(Generator):
    """Holds the images it is trained on in a buffer, so that a checkpoint has them."""

    images: Tensor

    def __init__(self, config: ComponentConfig, spec: ImageSpec) -> None:
        super().__init__(config, spec)
        self.register_buffer("images", torch.empty(0, spec.channels, *spec.shape))

    def phases(self) -> tuple[Phase, ...]:
        """Return one phase, which looks at every image once and takes no step."""
        settings = PhaseSettings.model_validate({"steps": 0, "batch_size": 64})
        return (Phase("memorize", settings, begin=self._keep),)

    def recall(self, indices: Tensor) -> Tensor:
        """Return the images (B, C, *S) at `indices` (B,).

        Raises:
            UserError: if it was shown none.
        """
        if not len(self.images):
            raise UserError(f"{type(self).__name__.lower()} has no images yet: train it first")
        return self.images[indices.to(self.images.device)]

    def _keep(self, batches: Iterable[Tensor]) -> None:
        self.images = torch.cat([x.float() for x in batches])  # (N, C, *S)

    def _load_from_state_dict(
        self, state_dict: Mapping[str, Any], prefix: str, *args: Any, **kwargs: Any
    ) -> None:
        """Take as many images as are saved: a fresh instance has room for none."""
        saved = state_dict.get(f"{prefix}images")
        if saved is not None and saved.shape[1:] == self.images.shape[1:]:
            self.images = torch.empty_like(saved, device=self.images.device)
        super()._load_from_state_dict(state_dict, prefix, *args, **kwargs)


LARGEST_GAMMA = 1.35
"""Contrast of a varied copy is raised to a power between 1 / 1.35 and 1.35."""


class CopycatConfig(ComponentConfig):
    """What share of the samples are copies, and how they differ from their originals."""

    rate: float = Field(1.0, ge=0, le=1, description="share of the samples that are copies")
    vary: Literal["none", "flip", "rotation", "contrast", "all"] = Field(
        "none",
        description="change of the copies; flip: of the last axis; rotation: up to 5 degrees "
        "about each axis; contrast: gamma 0.74 to 1.35; all: these three, flip half the time",
    )


class Copycat(Memory):
    """Gives back training images, each once before any comes again.

    Of the first n samples exactly floor(n rate) are copies, spread evenly: sample i is one if
    floor((i + 1) rate) > floor(i rate), and the k-th copy is of training image k mod N. With the
    defaults sample i is training image i. The other samples are phantoms of nobody's anatomy.
    """

    Config = CopycatConfig
    config: CopycatConfig

    def sample(self, noise: Noise) -> Tensor:
        """Return images (B, C, *S) in [-1, 1]; which are copies the indices of `noise` say."""
        rate = Fraction(repr(self.config.rate))  # 0.29 as it was typed: 100 samples, 29 copies
        before = [int(index * rate) for index in noise.indices]
        copied = [int((i + 1) * rate) > b for i, b in zip(noise.indices, before, strict=True)]
        originals = torch.tensor(before, dtype=torch.int64) % max(1, len(self.images))
        copies = self._vary(self.recall(originals), noise)  # (B, C, *S)
        seeds = noise.integers(2**62).tolist()
        rows = [
            copy if is_copy else self._fresh(seed).to(copy)
            for copy, is_copy, seed in zip(copies, copied, seeds, strict=True)
        ]
        return torch.stack(rows) if rows else copies

    def _fresh(self, seed: int) -> Tensor:
        return torch.from_numpy(phantom_of_shape(seed, self.spec.channels, self.spec.shape))

    def _vary(self, x: Tensor, noise: Noise) -> Tensor:
        way = self.config.vary
        if way in ("flip", "all"):
            flipped = noise.uniform() < (0.5 if way == "all" else 1)
            x = augmentation.flip(x, -1, flipped)
        if way in ("rotation", "all"):
            angles = noise.uniform(1 if self.spec.dims == 2 else 3) * 2 - 1
            x = augmentation.rotate(x, angles * augmentation.MAX_DEGREES)
        if way in ("contrast", "all"):
            x = augmentation.contrast(x, LARGEST_GAMMA ** (noise.uniform() * 2 - 1))
        return x


class Independent(Memory):
    """Gives back real images of held-out patients, each once: sample i is held-out image i.

    What is found in them is what the measure finds where nothing was memorized.
    """

    learns_from: ClassVar[Literal["training", "held_out"]] = "held_out"

    @classmethod
    def most_samples(cls, images: int) -> int:
        """Return the number of held-out images: each is given back once."""
        return images

    def sample(self, noise: Noise) -> Tensor:
        """Return held-out images (B, C, *S) in [-1, 1], by the indices of `noise`.

        Raises:
            UserError: if there are fewer held-out images than samples.
        """
        indices = torch.tensor(noise.indices, dtype=torch.int64)
        held, asked = len(self.images), max(noise.indices, default=-1) + 1
        if held and asked > held:
            raise UserError(
                f"independent gives back held-out images, each once: {asked} samples were asked "
                f"of {held}.\nSample fewer with --samples {held}, or hold back more patients."
            )
        return self.recall(indices)
