"""A variational autoencoder of MONAI's network, sampled from its prior, in 2D and 3D."""

from __future__ import annotations

import math
from typing import Any, ClassVar

import torch
from monai.networks.nets import VarAutoEncoder
from pydantic import Field, PositiveInt
from torch import Tensor, nn

from memtk.imaging.patches import fold, unfold
from memtk.interfaces import ComponentConfig, Generator, ImageSpec, Phase, PhaseSettings, Turn
from memtk.noise import Noise
from memtk_monai.networks import check_sides, divergence


class VaeConfig(ComponentConfig):
    """A network of some ten million parameters by default."""

    latent: int = Field(128, ge=1, description="numbers that an image is encoded by")
    channels: tuple[PositiveInt, ...] = Field(
        (32, 64, 128, 256), min_length=1, description="of both halves, from the finest level down"
    )
    patch: int = Field(
        1, ge=1, description="side of the blocks of voxels turned into channels before all else"
    )
    res_units: int = Field(2, ge=1, description="convolutions of a residual unit, one a level")
    norm_groups: int = Field(8, ge=1, description="most groups of a group norm")
    kl_weight: float = Field(
        1.0, gt=0, description="of the latents' divergence from N(0, 1); 1: the evidence bound"
    )
    rate: float = Field(5e-4, gt=0, description="learning rate")
    training: PhaseSettings = Field(
        PhaseSettings.model_validate({"steps": 50_000, "batch_size": 32, "schedule": "one-cycle"}),
        description="training of the network",
    )


class MonaiVae(Generator):
    """MONAI's VarAutoEncoder with a spread of the voxels that is learned with it.

    It minimises `-log N(x; y(z), s^2) + KL(q(z | x) || N(0, 1))`, summed over the voxels and
    divided by their number, with one learned s for all voxels: no weight between the two terms has
    to be found. A sample is the mean image y(z) of a z from the prior. VAEs blur: y(z) is a mean
    over all images that z may stand for.

    References: Kingma and Welling, arXiv 1312.6114; the spread: Rybkin et al., arXiv 2006.13202.
    """

    Config = VaeConfig
    config: VaeConfig
    log_spread: nn.Parameter

    def __init__(self, config: VaeConfig, spec: ImageSpec) -> None:
        super().__init__(config, spec)
        halvings = len(config.channels) - 1
        check_sides(f"vae{spec.dims}d", spec, config.patch * 2**halvings)
        folded = spec.channels * config.patch**spec.dims
        groups = math.gcd(config.norm_groups, folded, *config.channels)
        self.network = VarAutoEncoder(
            spatial_dims=spec.dims,
            in_shape=(folded, *[n // config.patch for n in spec.shape]),
            out_channels=folded,
            latent_size=config.latent,
            channels=config.channels,
            strides=(1, *[2] * halvings),
            num_res_units=config.res_units,
            norm=("GROUP", {"num_groups": groups}),
            use_sigmoid=False,
        )
        self.log_spread = nn.Parameter(torch.zeros(()))  # log s of the voxels, in [-1, 1]

    def phases(self) -> tuple[Phase, ...]:
        """Return the one phase."""
        c = self.config
        return (
            Phase("training", c.training, (Turn("vae", self.parameters, self._bound, c.rate),)),
        )

    def blocks_of(self, phase: str) -> list[nn.Module]:
        """Return the levels of both halves."""
        return [*self.network.encode, *self.network.decode]

    def encode(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Map images (B, C, *S) to mean and spread (B, latent) of what they are encoded by."""
        mean, log_variance = self.network.encode_forward(fold(x, self.config.patch))
        return mean.float(), (0.5 * log_variance.float()).clamp(max=10).exp()

    def decode(self, z: Tensor) -> Tensor:
        """Map z (B, latent) to mean images (B, C, *S) without bounds."""
        made = self.network.decode_forward(z, use_sigmoid=False)
        return unfold(made, self.config.patch).float()

    def reconstruct(self, x: Tensor) -> Tensor:
        """Send images (B, C, *S) through the autoencoder and back, by the mean of their code."""
        return self.decode(self.encode(x)[0]).clamp(-1, 1)

    def sample(self, noise: Noise) -> Tensor:
        """Return one image (C, *S) for each stream, of a code drawn from the prior N(0, 1)."""
        y = self.decode(noise.normal(self.config.latent).to(self.log_spread))
        return y.clamp(-1, 1)

    def _bound(self, x: Tensor, noise: Noise) -> dict[str, Tensor]:
        mean, sigma = self.encode(x)
        y = self.decode(mean + sigma * noise.normal(self.config.latent).to(mean))
        squared, count = (y - x).square().mean(), x[0].numel()
        divergent = self.config.kl_weight * divergence(mean, sigma) / count
        # Apart from a constant; the spread that is best for the squared error is its root.
        likely = 0.5 * squared * (-2 * self.log_spread).exp() + self.log_spread
        return {"likelihood": likely, "kl": divergent}


SMALL: dict[str, Any] = {"latent": 64, "channels": (32, 64, 64), "patch": 4, "rate": 2e-3}

TRAINING = {"batch_size": 16, "schedule": "one-cycle", "ema_decay": 0.995, "precision": "float32"}

SMOKE: dict[str, Any] = SMALL | {
    "latent": 8,
    "channels": (8, 16),
    "norm_groups": 4,
    "training": TRAINING | {"steps": 20, "batch_size": 8, "ema_decay": 0.9},
}


class MonaiVae2d(MonaiVae):
    """The model for 2D images."""

    presets: ClassVar = {"smoke": SMOKE, "demo": SMALL | {"training": TRAINING | {"steps": 3000}}}


class MonaiVae3d(MonaiVae):
    """The model for volumes."""

    presets: ClassVar = {
        "smoke": SMOKE,
        "demo": SMALL | {"channels": (32, 64), "training": TRAINING | {"steps": 3000}},
    }
