"""The 3D VQ-GAN: an autoencoder whose latents are replaced by codes, and its two opponents."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor, nn

from memtk.imaging.patches import fold, unfold
from memtk.noise import Noise
from memtk_meddiff.autoencoder import Decoder, Encoder
from memtk_meddiff.codebook import Codebook
from memtk_meddiff.config import MedDiffConfig
from memtk_meddiff.convolutions import SameConv
from memtk_meddiff.discriminators import PatchDiscriminator, fooling, telling_apart
from memtk_meddiff.perceptual import PerceptualDistance


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
