"""Membership attacks: was this image in the training set?"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from torch import Tensor

from memtk.interfaces.images import Images
from memtk.interfaces.models import Generator, Similarity
from memtk.noise import Noise

Work = Callable[[Tensor, Noise], Tensor]
"""`(x (B, C, *S), noise)` -> a score for each image, (B,)."""


@dataclass(frozen=True)
class Target:
    """What an attack is given: a trained generator and what came out of it. No training image.

    Args:
        generator: in eval mode, with the weights that are attacked.
        synthetic: what it gave, (M); what would be released.
        each: runs a `Work` over a set of images: float64 (N,). The core does it batch by batch on
            the run's devices, without gradient, with stream i of `noise` for image i, so that no
            score depends on the batch.
        embed: maps a set of images to embeddings (N, D), by an embedder that saw the synthetic
            images alone or comes trained, so neither side of the question; None where the run has
            no embedder.
        similarity: of two embeddings; None likewise.
        strangers: images of patients whom neither generator nor attack has seen, None without any.
    """

    generator: Generator
    synthetic: Images
    each: Callable[[Images, Work], np.ndarray]
    embed: Callable[[Images], np.ndarray] | None = None
    similarity: Similarity | None = None
    strangers: Images | None = None


class Attack(Protocol):
    """Scores images by how sure it is that the generator was trained on them.

    Members and non-members come in one set, and an attack is not told which is which: what it
    could learn from that would be no attack. A class with a `Config` is made as `cls(config)`, else
    as `cls()`.

    Attributes:
        uses: the optional methods of a generator that it calls: ("denoising_loss",). It is not run
            on a generator that lacks one.

    Optional methods, used where a class has them:
        `describe(target) -> str`: what is compared here, as a sentence for the report.
        `check(embedder, held_out)`: raise a UserError, before anything is trained, where the
            settings ask in vain for an embedder or for held-out images (two bools: are there any?).
    """

    uses: tuple[str, ...]

    def score(self, target: Target, images: Images) -> np.ndarray:
        """Return a score for each image, (N,), finite; higher = more likely a member."""
        ...
