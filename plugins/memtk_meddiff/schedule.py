"""The cosine noising process and its reversal."""

from __future__ import annotations

import torch
from torch import Tensor, nn

OFFSET = 0.008
LARGEST_BETA = 0.9999


class CosineSchedule(nn.Module):
    """`x_t = sqrt(a_t) x_0 + sqrt(1 - a_t) eps` for t = 0, ..., T - 1.

    a_t is the product of 1 - beta up to t; beta_t = min(1 - f(t + 1) / f(t), 0.9999) with
    f(t) = cos^2((t / T + 0.008) / 1.008 pi / 2). Nichol and Dhariwal, arXiv 2102.09672, eq. 17.
    """

    kept: Tensor
    to_clean: Tensor
    to_noisy: Tensor
    spread: Tensor

    def __init__(self, timesteps: int) -> None:
        super().__init__()
        times = torch.arange(timesteps + 1, dtype=torch.float64) / timesteps
        f = torch.cos((times + OFFSET) / (1 + OFFSET) * (torch.pi / 2)).square()
        beta = (1 - f[1:] / f[:-1]).clamp(0, LARGEST_BETA)
        kept = (1 - beta).cumprod(0)
        before = torch.cat([torch.ones_like(kept[:1]), kept[:-1]])
        # The posterior of x_{t-1}: Ho et al., arXiv 2006.11239, equations 6 and 7.
        found = {
            "kept": kept,
            "to_clean": beta * before.sqrt() / (1 - kept),
            "to_noisy": (1 - before) * (1 - beta).sqrt() / (1 - kept),
            "spread": (beta * (1 - before) / (1 - kept)).sqrt(),
        }
        for name, values in found.items():
            self.register_buffer(name, values.float(), persistent=False)

    def add_noise(self, x: Tensor, eps: Tensor, t: Tensor) -> Tensor:
        """Return x_t of clean rows (B, ...) for each row's time `t` (B,)."""
        kept = self.kept[t].reshape(-1, *[1] * (x.dim() - 1))
        return kept.sqrt() * x + (1 - kept).sqrt() * eps

    def back(self, x: Tensor, eps: Tensor, t: int, fresh: Tensor | None) -> Tensor:
        """Step from time `t` to t - 1; from 0 to the clean rows, in [-1, 1].

        Args:
            x: rows x_t.
            eps: the noise predicted in them. The clean rows that follow are clipped to [-1, 1].
            t: their time.
            fresh: N(0, 1) noise; None at t = 0.
        """
        kept = self.kept[t]
        clean = ((x - (1 - kept).sqrt() * eps) / kept.sqrt()).clamp(-1, 1)
        mean = self.to_clean[t] * clean + self.to_noisy[t] * x
        return mean if fresh is None else mean + self.spread[t] * fresh
