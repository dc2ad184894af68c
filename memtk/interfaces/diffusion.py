"""What a diffusion model shows of its inside."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from torch import Tensor


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
