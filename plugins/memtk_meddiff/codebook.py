"""The codebook of a VQ-GAN: learnt by averaging, started and restarted from the data."""

from __future__ import annotations

import math
from collections.abc import Iterator

import torch
from torch import Tensor, nn

from memtk.interfaces import in_float32
from memtk.noise import Noise

BLOCK = 2**24
"""Most distances that are held at once."""

JITTER = 0.01
"""Spread of the noise that tells repeated data apart, in 1 / sqrt(L)."""


class Codebook(nn.Module):
    """K codes of L numbers; a latent is replaced by the nearest one.

    No gradient reaches the codes. In a training step every code moves towards the latents that
    chose it, by averages of decay d: `counts <- d counts + (1 - d) n`, `sums <- d sums + (1 - d)
    sum of the latents`, `code = sums / counts` (counts smoothed by 1e-7). A code with
    `counts < restart_below` becomes a latent of the batch at random, at every step anew until it
    is chosen often enough.

    All three are buffers. They depend on the whole batch, so that a step must see it whole in
    every process (`Phase.whole_batch`): then they are the same everywhere.

    References: van den Oord et al., arXiv 1711.00937, appendix A.1; Dhariwal et al., arXiv
    2005.00341, section 3.1 (restarts).
    """

    codes: Tensor
    counts: Tensor
    sums: Tensor

    def __init__(self, count: int, width: int, decay: float, restart_below: float) -> None:
        super().__init__()
        self.decay, self.restart_below = decay, restart_below
        self.register_buffer("codes", torch.randn(count, width))
        self.register_buffer("counts", torch.zeros(count))  # all zero: not yet started
        self.register_buffer("sums", self.codes.clone())

    def forward(self, z: Tensor, noise: Noise | None = None) -> Tensor:
        """Return the nearest code of each latent, (B, L, *s) -> (B, L, *s), float32.

        Args:
            z: latents.
            noise: one stream a row. Where it is given, the codes learn from `z` afterwards; the
                first time, they are taken from `z` before.
        """
        with torch.no_grad(), in_float32(z.device):
            rows = z.detach().float().movedim(1, -1)  # (B, *s, L)
            shape = rows.shape
            rows = rows.reshape(-1, shape[-1])  # (P, L)
            if noise is not None and not rows.is_meta and not bool(self.counts.any()):
                self._take(self._drawn(rows, noise))
            indices = self.nearest(rows)  # (P,)
            found = self.codes[indices].reshape(shape).movedim(-1, 1)  # (B, L, *s)
            if noise is not None:
                self._learn(rows, indices, noise)
        return found

    def nearest(self, rows: Tensor) -> Tensor:
        """Return the index of the nearest code of each row, (P, L) -> (P,)."""
        norms = self.codes.square().sum(1)  # (K,)
        blocks = [
            torch.addmm(norms, rows[part], self.codes.T, alpha=-2).argmin(1)
            for part in self._parts(len(rows))
        ]
        return torch.cat(blocks)

    def bounds(self) -> tuple[Tensor, Tensor]:
        """Return the smallest and the largest number in the codebook."""
        return self.codes.amin(), self.codes.amax()

    def _learn(self, rows: Tensor, indices: Tensor, noise: Noise) -> None:
        """Move the codes towards the rows (P, L) that chose them, and restart the idle ones."""
        count = torch.zeros_like(self.counts)
        total = torch.zeros_like(self.sums)
        for part in self._parts(len(rows)):
            # A product, not index_add_: that one adds in any order on a GPU.
            chosen = nn.functional.one_hot(indices[part], len(count)).to(rows)  # (p, K)
            count += chosen.sum(0)
            total += chosen.T @ rows[part]
        self.counts.mul_(self.decay).add_(count, alpha=1 - self.decay)
        self.sums.mul_(self.decay).add_(total, alpha=1 - self.decay)
        whole = self.counts.sum()
        smooth = (self.counts + 1e-7) / (whole + len(count) * 1e-7) * whole
        self.codes.copy_(self.sums / smooth[:, None])
        if self.restart_below:
            idle = (self.counts < self.restart_below)[:, None]
            self.codes.copy_(torch.where(idle, self._drawn(rows, noise), self.codes))

    def _take(self, rows: Tensor) -> None:
        self.codes.copy_(rows)
        self.sums.copy_(rows)
        self.counts.fill_(1.0)

    def _drawn(self, rows: Tensor, noise: Noise) -> Tensor:
        """Draw K of the rows (P, L) without repetition; if P < K, repeat them, a little apart."""
        count, width = self.codes.shape
        order = noise.uniform(len(rows) // len(noise)).flatten()  # (P,)
        order = order.to(rows.device).argsort(stable=True)
        if len(rows) >= count:
            return rows[order[:count]]
        order = order.repeat(-(-count // len(rows)))[:count]
        apart = noise.normal(-(-count // len(noise)), width).reshape(-1, width)[:count]
        return rows[order] + apart.to(rows) * (JITTER / math.sqrt(width))

    def _parts(self, rows: int) -> Iterator[slice]:
        size = max(1, BLOCK // len(self.codes))
        return (slice(start, start + size) for start in range(0, rows, size))
