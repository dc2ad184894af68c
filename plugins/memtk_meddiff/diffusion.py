"""The cosine noising process and the factorised 3D U-Net that learns to undo it."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from memtk.interfaces import in_float32
from memtk_meddiff.layers import Attention, DistanceBias, LinearAttention

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


class TimeWaves(nn.Module):
    """Sines, then cosines, of a time at `dim / 2` frequencies from 1 down to 1/10000."""

    rates: Tensor

    def __init__(self, dim: int) -> None:
        super().__init__()
        half = dim // 2
        rates = torch.exp(-math.log(10_000) * torch.arange(half) / (half - 1))
        self.register_buffer("rates", rates, persistent=False)

    def forward(self, t: Tensor) -> Tensor:
        """Map times (B,) to (B, dim)."""
        angle = t[:, None].float() * self.rates
        return torch.cat([angle.sin(), angle.cos()], dim=1)


class ConvNorm(nn.Module):
    """A convolution within slices, group norm, an optional scale and shift, SiLU."""

    def __init__(self, inward: int, outward: int, groups: int) -> None:
        super().__init__()
        self.conv = nn.Conv3d(inward, outward, (1, 3, 3), padding=(0, 1, 1))
        self.norm = nn.GroupNorm(groups, outward)

    def forward(self, x: Tensor, film: Tensor | None = None) -> Tensor:
        """Map (B, C, D, H, W) to (B, C', D, H, W); `film` is (B, 2C'), scale - 1 before shift."""
        x = self.norm(self.conv(x))
        if film is not None:
            scale, shift = film[..., None, None, None].chunk(2, dim=1)
            x = x * (1 + scale) + shift
        return F.silu(x)


class Residual(nn.Module):
    """Two `ConvNorm` with a way around them; the first is told the time (FiLM).

    FiLM: Perez et al., arXiv 1709.07871.

    Args:
        time: width of the time's embedding; 0: it is not told.
    """

    def __init__(self, inward: int, outward: int, time: int, groups: int) -> None:
        super().__init__()
        self.time = nn.Sequential(nn.SiLU(), nn.Linear(time, 2 * outward)) if time else None
        self.one = ConvNorm(inward, outward, groups)
        self.two = ConvNorm(outward, outward, groups)
        self.around = nn.Conv3d(inward, outward, 1) if inward != outward else nn.Identity()

    def forward(self, x: Tensor, time: Tensor | None = None) -> Tensor:
        """Map (B, C, D, H, W) to (B, C', D, H, W)."""
        film = self.time(time) if self.time is not None else None
        return self.two(self.one(x, film)) + self.around(x)


class Level(nn.Module):
    """Two residual blocks, attention within slices, attention along the depth."""

    def __init__(
        self, inward: int, outward: int, time: int, groups: int, heads: int, head_channels: int
    ) -> None:
        super().__init__()
        self.first = Residual(inward, outward, time, groups)
        self.second = Residual(outward, outward, time, groups)
        self.slices = LinearAttention(outward, heads, head_channels)
        self.depth = Attention(outward, heads, head_channels, "depth")

    def forward(self, x: Tensor, time: Tensor, bias: Tensor) -> Tensor:
        """Map (B, C, D, H, W) to (B, C', D, H, W)."""
        return self.depth(self.slices(self.second(self.first(x, time), time)), bias)


class Middle(nn.Module):
    """The lowest level: attention between all pixels of a slice."""

    def __init__(self, width: int, time: int, groups: int, heads: int, head_channels: int) -> None:
        super().__init__()
        self.first = Residual(width, width, time, groups)
        self.slices = Attention(width, heads, head_channels, "slice")
        self.depth = Attention(width, heads, head_channels, "depth")
        self.second = Residual(width, width, time, groups)

    def forward(self, x: Tensor, time: Tensor, bias: Tensor) -> Tensor:
        """Map (B, C, D, H, W) to the same shape."""
        return self.second(self.depth(self.slices(self.first(x, time)), bias), time)


class FactorisedUNet(nn.Module):
    """Predicts the noise in latents. The depth is never made smaller.

    Khader et al., Scientific Reports 13 (2023) 7303, after Ho et al., arXiv 2204.03458.

    Args:
        channels: L of the latents.
        dim: channels of the first level, a multiple of `groups`.
        multiples: channels of each level, in `dim`; H and W halve from each to the next.
        groups: of the group norms.
        heads: of every attention.
        head_channels: d of a head.
    """

    def __init__(
        self,
        channels: int,
        dim: int,
        multiples: Sequence[int],
        groups: int,
        heads: int,
        head_channels: int,
    ) -> None:
        super().__init__()
        time = 4 * dim
        rest = (time, groups, heads, head_channels)
        widths = [dim, *[dim * multiple for multiple in multiples]]
        pairs = list(zip(widths[:-1], widths[1:], strict=True))
        self.entry = nn.Conv3d(channels, dim, (1, 7, 7), padding=(0, 3, 3))
        self.entry_depth = Attention(dim, heads, head_channels, "depth")
        self.bias = DistanceBias(heads)
        self.time = nn.Sequential(
            TimeWaves(dim), nn.Linear(dim, time), nn.GELU(), nn.Linear(time, time)
        )
        self.down = nn.ModuleList(Level(inner, outer, *rest) for inner, outer in pairs)
        self.shrink = nn.ModuleList(
            nn.Conv3d(width, width, (1, 4, 4), (1, 2, 2), (0, 1, 1)) for width in widths[1:-1]
        )
        self.middle = Middle(widths[-1], *rest)
        self.up = nn.ModuleList(Level(2 * outer, inner, *rest) for inner, outer in reversed(pairs))
        self.grow = nn.ModuleList(
            nn.ConvTranspose3d(width, width, (1, 4, 4), (1, 2, 2), (0, 1, 1))
            for width in reversed(widths[1:-1])
        )
        self.exit = Residual(2 * dim, dim, 0, groups)
        self.last = nn.Conv3d(dim, channels, 1)

    def forward(self, x: Tensor, t: Tensor) -> Tensor:
        """Return the noise predicted in latents (B, L, D, H, W) at times `t` (B,), float32."""
        time = self.time(t)
        bias = self.bias(x.shape[2])  # (heads, D, D)
        x = start = self.entry(x)
        x = self.entry_depth(x, bias)
        aside = []
        for i, level in enumerate(self.down):
            x = level(x, time, bias)
            aside.append(x)
            x = self.shrink[i](x) if i < len(self.shrink) else x
        x = self.middle(x, time, bias)
        for i, level in enumerate(self.up):
            x = level(torch.cat([x, aside.pop()], dim=1), time, bias)
            x = self.grow[i](x) if i < len(self.grow) else x
        x = self.exit(torch.cat([x, start], dim=1))
        with in_float32(x.device):
            return self.last(x.float())
