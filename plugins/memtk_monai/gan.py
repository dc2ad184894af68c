"""A GAN of MONAI's generator and discriminator, in 2D and 3D."""

from __future__ import annotations

import math
from typing import Any, ClassVar

import torch
import torch.nn.functional as F
from monai.networks.nets import Discriminator
from monai.networks.nets import Generator as Decoder
from pydantic import Field, PositiveInt
from torch import Tensor, nn

from memtk.imaging.patches import fold, unfold
from memtk.interfaces import (
    ComponentConfig,
    Generator,
    ImageSpec,
    Phase,
    PhaseSettings,
    Turn,
    in_float32,
)
from memtk.noise import Noise
from memtk_monai.networks import check_sides

BETAS = (0.0, 0.99)
"""Adam's decay rates for both networks: no momentum, as usual where the slope is penalised."""

ACTIVATION = ("LEAKYRELU", {"negative_slope": 0.2})


class GanConfig(ComponentConfig):
    """Networks of a few million parameters by default."""

    latent: int = Field(128, ge=1, description="numbers z of N(0, 1) that an image is made of")
    channels: tuple[PositiveInt, ...] = Field(
        (32, 64, 128, 256), min_length=1, description="of the generator, from the finest level down"
    )
    discriminator_channels: tuple[PositiveInt, ...] = Field(
        (32, 64, 128, 256), min_length=1, description="likewise of the discriminator"
    )
    patch: int = Field(
        1, ge=1, description="side of the blocks of voxels that are channels in both networks"
    )
    res_units: int = Field(2, ge=1, description="convolutions of a residual unit, one a level")
    norm_groups: int = Field(8, ge=1, description="most groups of a group norm of the generator")
    slope_weight: float = Field(
        1.0, ge=0, description="of the discriminator's squared slope at training images (R1)"
    )
    shift: float = Field(
        0.125,
        ge=0,
        lt=1,
        description="the discriminator sees all images moved by up to this part of each side; "
        "0: as they are",
    )
    generator_rate: float = Field(2e-4, gt=0, description="learning rate of the generator")
    discriminator_rate: float = Field(2e-4, gt=0, description="learning rate of the discriminator")
    training: PhaseSettings = Field(
        PhaseSettings.model_validate({"steps": 50_000, "batch_size": 32, "ema_decay": 0.999}),
        description="training of both networks",
    )


class MonaiGan(Generator):
    """MONAI's generator and discriminator with the non-saturating loss and a penalty of the slope.

    One phase, `training`, of two turns: the generator minimises `softplus(-D(G(z)))`, the
    discriminator `softplus(D(G(z))) + softplus(-D(x)) + w/2 |dD/dx|^2`. Both see images moved at
    random, so that a discriminator of few images does not learn them by heart.

    References: Goodfellow et al., arXiv 1406.2661; the penalty: Mescheder et al., arXiv
    1801.04406; moved images: Zhao et al., arXiv 2006.10738.
    """

    Config = GanConfig
    config: GanConfig

    def __init__(self, config: GanConfig, spec: ImageSpec) -> None:
        super().__init__(config, spec)
        halvings = len(config.channels) - 1
        others = len(config.discriminator_channels) - 1
        check_sides(f"gan{spec.dims}d", spec, config.patch * 2 ** max(halvings, others))
        folded = spec.channels * config.patch**spec.dims
        sides = [n // config.patch for n in spec.shape]
        groups = math.gcd(config.norm_groups, folded, *config.channels)
        self.generator = Decoder(
            latent_shape=(config.latent,),
            start_shape=(config.channels[-1], *[n // 2**halvings for n in sides]),
            channels=(*reversed(config.channels[:-1]), folded),
            strides=(*[2] * halvings, 1),
            num_res_units=config.res_units,
            act=ACTIVATION,
            norm=("GROUP", {"num_groups": groups}),
        )
        self.discriminator = Discriminator(
            in_shape=(folded, *sides),
            channels=config.discriminator_channels,
            strides=(1, *[2] * others),
            num_res_units=config.res_units,
            act=ACTIVATION,
            norm=None,
            dropout=None,
            last_act=None,
        )

    def phases(self) -> tuple[Phase, ...]:
        """Return the one phase; the averaged weights are those of the generator."""
        c = self.config
        making = Turn(
            "generator", self.generator.parameters, self._fooling, c.generator_rate, BETAS
        )
        judging = Turn(
            "discriminator",
            self.discriminator.parameters,
            self._telling_apart,
            c.discriminator_rate,
            BETAS,
        )
        return (Phase("training", c.training, (making, judging)),)

    def blocks_of(self, phase: str) -> list[nn.Module]:
        """Return the levels of both networks."""
        return [*self.generator.conv, *self.discriminator.net]

    def sample(self, noise: Noise) -> Tensor:
        """Return one image (C, *S) for each stream."""
        return self._make(noise).float()

    def _make(self, noise: Noise) -> Tensor:
        z = noise.normal(self.config.latent).to(next(self.parameters()))  # (B, latent)
        return torch.tanh(unfold(self.generator(z), self.config.patch))  # (B, C, *S)

    def _judge(self, x: Tensor) -> Tensor:
        judged: Tensor = self.discriminator(fold(x, self.config.patch)).float()
        return judged  # (B, 1), larger: more like a training image

    def _fooling(self, x: Tensor, noise: Noise) -> dict[str, Tensor]:
        judged = self._judge(self._moved(self._make(noise), noise))
        return {"adversarial": F.softplus(-judged).mean()}

    def _telling_apart(self, x: Tensor, noise: Noise) -> dict[str, Tensor]:
        with torch.no_grad():
            fake = self._moved(self._make(noise), noise)
        real = self._moved(x, noise)
        of_fake = self._judge(fake)
        with torch.enable_grad(), in_float32(x.device):  # a slope needs all its digits
            real = real.float().requires_grad_()
            of_real = self._judge(real)
            terms: dict[str, Tensor] = {
                "discriminator": F.softplus(of_fake).mean() + F.softplus(-of_real).mean()
            }
            if self.config.slope_weight:
                (slope,) = torch.autograd.grad(of_real.sum(), real, create_graph=True)
                squared = slope.square().flatten(1).sum(1).mean()
                terms["slope"] = self.config.slope_weight / 2 * squared
        return terms

    def _moved(self, x: Tensor, noise: Noise) -> Tensor:
        """Move each row by whole voxels, its own way along each axis; its border is repeated."""
        most = [int(n * self.config.shift) for n in self.spec.shape]
        if not any(most):
            return x
        border = [side for n in reversed(most) for side in (n, n)]
        wide, first = F.pad(x, border, mode="replicate"), noise.uniform(len(most)).to(x.device)
        for axis, (n, most_here) in enumerate(zip(self.spec.shape, most, strict=True)):
            start = (first[:, axis] * (2 * most_here + 1)).long()  # (B,)
            place = start[:, None] + torch.arange(n, device=x.device)  # (B, n)
            rows = place.reshape(len(x), 1, *[n if a == axis else 1 for a in range(x.dim() - 2)])
            shape = list(wide.shape)
            shape[axis + 2] = n
            wide = wide.gather(axis + 2, rows.expand(shape))
        return wide


SMALL: dict[str, Any] = {
    "latent": 64,
    "channels": (32, 64, 64),
    "discriminator_channels": (32, 64, 64),
    "patch": 4,
    "slope_weight": 0.1,
    "generator_rate": 6e-4,
    "discriminator_rate": 6e-4,
}

TRAINING = {"batch_size": 16, "schedule": "cosine", "ema_decay": 0.995, "precision": "float32"}

SMOKE: dict[str, Any] = SMALL | {
    "latent": 8,
    "channels": (8, 16),
    "discriminator_channels": (8, 16),
    "norm_groups": 4,
    "training": TRAINING | {"steps": 20, "batch_size": 8, "ema_decay": 0.9},
}


class MonaiGan2d(MonaiGan):
    """The model for 2D images."""

    presets: ClassVar = {"smoke": SMOKE, "demo": SMALL | {"training": TRAINING | {"steps": 3000}}}


class MonaiGan3d(MonaiGan):
    """The model for volumes."""

    presets: ClassVar = {
        "smoke": SMOKE,
        "demo": SMALL
        | {
            "channels": (32, 64),
            "discriminator_channels": (32, 64),
            "training": TRAINING | {"steps": 3000},
        },
    }
