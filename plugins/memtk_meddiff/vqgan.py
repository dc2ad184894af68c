"""The 3D VQ-GAN: an autoencoder whose latents are replaced by codes, and its two opponents."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

import torch
from torch import Tensor, nn

from memtk.imaging.patches import fold, unfold
from memtk.interfaces import in_float32
from memtk.noise import Noise
from memtk_meddiff.config import MedDiffConfig
from memtk_meddiff.layers import ResidualBlock, SameConv, SameConvTranspose, Triple, group_norm
from memtk_meddiff.losses import PatchDiscriminator, PerceptualDistance, fooling, telling_apart

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


def strides(compression: Sequence[int]) -> list[Triple]:
    """Return the stride of each level. All axes are halved first that have to be halved at all.

    >>> strides((2, 4, 4))
    [(2, 2, 2), (1, 2, 2)]
    """
    halvings = [int(math.log2(factor)) for factor in compression]
    return [
        tuple(2 if n > level else 1 for n in halvings)  # type: ignore[misc]
        for level in range(max(halvings))
    ]


class Shrink(nn.Module):
    """One level of the encoder."""

    def __init__(self, inward: int, outward: int, stride: Triple, groups: int) -> None:
        super().__init__()
        self.down = SameConv(inward, outward, 4, stride)
        self.residual = ResidualBlock(outward, groups)

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, C, *S) to (B, C', *S/stride)."""
        return self.residual(self.down(x))


class Grow(nn.Module):
    """One level of the decoder."""

    def __init__(self, inward: int, outward: int, stride: Triple, groups: int) -> None:
        super().__init__()
        self.up = SameConvTranspose(inward, outward, 4, stride)
        self.residual1 = ResidualBlock(outward, groups)
        self.residual2 = ResidualBlock(outward, groups)

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, C, *S) to (B, C', *S*stride)."""
        return self.residual2(self.residual1(self.up(x)))


class Encoder(nn.Module):
    """Channels double at each level, sides halve: (B, C, *S) -> (B, base 2^levels, *s)."""

    def __init__(self, channels: int, base: int, compression: Sequence[int], groups: int) -> None:
        super().__init__()
        self.first = SameConv(channels, base, 3)
        self.levels = nn.Sequential(
            *(
                Shrink(base * 2**i, base * 2 ** (i + 1), stride, groups)
                for i, stride in enumerate(strides(compression))
            )
        )
        self.width = base * 2 ** len(self.levels)
        self.last = nn.Sequential(group_norm(self.width, groups), nn.SiLU())

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, C, *S) to (B, width, *s)."""
        return self.last(self.levels(self.first(x)))


class Decoder(nn.Module):
    """The way back: the first level keeps its channels, each other one halves them."""

    def __init__(self, channels: int, base: int, compression: Sequence[int], groups: int) -> None:
        super().__init__()
        steps = strides(compression)
        width = base * 2 ** len(steps)
        self.first = nn.Sequential(group_norm(width, groups), nn.SiLU())
        inward = [width, *[width // 2**i for i in range(len(steps) - 1)]]
        self.levels = nn.Sequential(
            *(Grow(inward[i], width // 2**i, stride, groups) for i, stride in enumerate(steps))
        )
        self.last = SameConv(2 * base, channels, 3)

    def forward(self, h: Tensor) -> Tensor:
        """Map (B, width, *s) to (B, C, *S); no bound is set on the values."""
        return self.last(self.levels(self.first(h)))


class VQGAN(nn.Module):
    """Volumes (B, C, *S) to latents (B, L, *s) and back.

    Esser et al., arXiv 2012.09841, in 3D as by Ge et al., arXiv 2204.03638, and Khader et al.,
    Scientific Reports 13 (2023) 7303.

    Args:
        config: its settings.
        channels: C of the images.
        perceptual: the perceptual distance, None to do without. No part of the state_dict.
    """

    steps_taken: Tensor

    def __init__(
        self, config: MedDiffConfig, channels: int, perceptual: PerceptualDistance | None = None
    ) -> None:
        super().__init__()
        self.config = config
        folded = channels * config.patch**3
        shape = (folded, config.base_channels, config.compression, config.norm_groups)
        self.encoder, self.decoder = Encoder(*shape), Decoder(*shape)
        self.to_latent = SameConv(self.encoder.width, config.latent_channels, 1)
        self.from_latent = SameConv(config.latent_channels, self.encoder.width, 1)
        self.codebook = Codebook(
            config.codes, config.latent_channels, config.code_decay, config.restart_below
        )
        judge = (channels, config.discriminator_channels, config.discriminator_layers)
        self.slice_discriminator = PatchDiscriminator(2, *judge)
        self.volume_discriminator = PatchDiscriminator(3, *judge)
        self.register_buffer("steps_taken", torch.tensor(0))  # a loss is not told its step
        self._perceptual = (perceptual,)  # in a tuple: its weights are not the model's

    def generator(self) -> Iterator[nn.Parameter]:
        """Return the parameters of the generator's turn."""
        for part in (self.encoder, self.to_latent, self.from_latent, self.decoder):
            yield from part.parameters()

    def discriminators(self) -> Iterator[nn.Parameter]:
        """Return the parameters of the discriminators' turn."""
        yield from self.slice_discriminator.parameters()
        yield from self.volume_discriminator.parameters()

    def encode(self, x: Tensor) -> Tensor:
        """Map images (B, C, *S) to latents (B, L, *s) as they are before quantisation."""
        return self.to_latent(self.encoder(fold(x, self.config.patch)))

    def decode(self, z: Tensor) -> Tensor:
        """Map latents (B, L, *s), by the nearest codes, to images (B, C, *S) without bounds."""
        return self._render(self.codebook(z))

    def generator_loss(self, x: Tensor, noise: Noise) -> dict[str, Tensor]:
        """Return the loss terms of the generator's turn; the codebook learns besides."""
        c = self.config
        if self.training:
            self.steps_taken += 1
        place = noise.integers(x.shape[2])  # a slice of each volume
        z = self.encode(x).float()  # (B, L, *s)
        e = self.codebook(z, noise if self.training else None)
        y = self._render(z + (e - z).detach())  # straight through
        terms = {
            "l1": c.l1_weight * (y.float() - x).abs().mean(),
            "commitment": c.commitment_weight * (z - e).square().mean(),
        }
        real, fake = _slices(x, place), _slices(y, place)
        perceptual = self._perceptual[0]
        if perceptual is not None and c.perceptual_weight:
            distance = perceptual.to(x.device)(real, fake.float())
            terms["perceptual"] = c.perceptual_weight * distance
        terms["adversarial"] = terms["features"] = x.new_zeros(())
        if self._opposed():
            of_slice, slice_features = fooling(self.slice_discriminator, real, fake)
            of_volume, volume_features = fooling(self.volume_discriminator, x, y)
            terms["adversarial"] = c.slice_weight * of_slice + c.volume_weight * of_volume
            features = (c.slice_weight > 0) * slice_features
            features = features + (c.volume_weight > 0) * volume_features
            terms["features"] = c.feature_weight * features
        return terms

    def discriminator_loss(self, x: Tensor, noise: Noise) -> dict[str, Tensor]:
        """Return the loss of the discriminators' turn; zero before they start."""
        c = self.config
        if not self._opposed():
            # Joined to the weights, so that a gradient of zero reaches the optimiser.
            return {"hinge": 0 * torch.stack([p.sum() for p in self.discriminators()]).sum()}
        place = noise.integers(x.shape[2])
        with torch.no_grad():
            learns = self.training and c.update_codebook_twice
            y = self._render(self.codebook(self.encode(x), noise if learns else None))
        slices = telling_apart(self.slice_discriminator, _slices(x, place), _slices(y, place))
        volumes = telling_apart(self.volume_discriminator, x, y)
        return {"hinge": c.slice_weight * slices + c.volume_weight * volumes}

    def _render(self, e: Tensor) -> Tensor:
        """Map codes (B, L, *s) to images (B, C, *S)."""
        return unfold(self.decoder(self.from_latent(e)), self.config.patch)

    def _opposed(self) -> bool:
        """Tell whether the discriminators have begun; a step of unknown number counts as late."""
        return self.steps_taken.is_meta or int(self.steps_taken) > self.config.discriminator_start


def _slices(x: Tensor, place: Tensor) -> Tensor:
    """Return slice `place` (B,) along the depth of each volume: (B, C, D, H, W) -> (B, C, H, W)."""
    return x[torch.arange(len(x), device=x.device), :, place.to(x.device)]
