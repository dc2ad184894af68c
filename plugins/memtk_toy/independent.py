"""Known truth: nothing is memorized."""

from __future__ import annotations

from typing import ClassVar, Literal

import torch
from torch import Tensor

from memtk.errors import UserError
from memtk.noise import Noise
from memtk_toy.memory import Memory


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
                f"of {held}.\nSample fewer with --samples {held}, or hold back more patients with "
                "--set data.held_out=SHARE (--set data.phantom.held_out=COUNT)."
            )
        return self.recall(indices)
