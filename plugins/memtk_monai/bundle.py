"""A MONAI bundle of a latent diffusion model or rectified flow, as a trained generator."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import torch
from monai.networks.nets import AutoencoderKL
from monai.networks.schedulers import DDPMScheduler, RFlowScheduler
from pydantic import Field, model_validator
from torch import Tensor

from memtk.errors import UserError, many
from memtk.files import folder_digest
from memtk.interfaces import ComponentConfig, Generator, ImageSpec, Phase
from memtk.noise import Noise
from memtk_monai.bundle_files import BundleConfig, find_weights, load_weights
from memtk_monai.bundle_parts import Parts, read_parts, scale_factor_of

SCALE = 100.0
"""With which MAISI multiplies regions (one of four) and millimetres."""

SUFFIXES = {".json", ".pt", ".pth"}
"""Of the files that a bundle is loaded from: definitions and weights."""


class MonaiBundleConfig(ComponentConfig):
    """Where the bundle lies, and what it does not say itself."""

    path: str = Field(..., min_length=1, description="folder of the bundle")
    definition: str = Field(
        "configs/inference.json", min_length=1, description="file in it that defines the networks"
    )
    autoencoder_weights: str | None = Field(
        None, description="file of weights, below the bundle or absolute; none: as the bundle says"
    )
    diffusion_weights: str | None = Field(None, description="likewise, of the U-Net")
    autoencoder_key: str | None = Field(
        None, description="of the autoencoder's definition, where the bundle has several"
    )
    diffusion_key: str | None = Field(None, description="likewise, of the U-Net's")
    scheduler_key: str | None = Field(None, description="likewise, of the scheduler's")
    label: int | None = Field(
        None, ge=0, description="class of all images, where the U-Net knows classes (MAISI: 1, CT)"
    )
    regions: tuple[int, int] | None = Field(
        None,
        description="where the images begin and end, for a U-Net that is told: 0 head, 1 chest, 2 "
        "abdomen, 3 below; as regions=1,2",
    )
    scale_factor: float | None = Field(
        None,
        gt=0,
        description="what latents were multiplied with; none: as the bundle or its weights say, "
        "else 1, as the bundles' own samplers take it",
    )
    sampling_steps: int | None = Field(
        None, ge=1, description="steps of sampling; none: as the bundle says, else all T"
    )
    range: tuple[float, float] = Field(
        (0.0, 1.0), description="values of the bundle's images that become -1 and 1"
    )
    contents: str = Field("", description="hash of the files; memtk fills it in")

    @model_validator(mode="before")
    @classmethod
    def _look_at_the_files(cls, values: Any) -> Any:
        """Let a run know its bundle again, so that it is not gone on with on another one."""
        if not isinstance(values, dict) or not isinstance(values.get("path"), str):
            return values
        folder = Path(values["path"]).expanduser()
        if not folder.is_dir():
            raise UserError(f"{folder}: there is no such folder. Give that of a MONAI bundle.")
        found = folder_digest(folder, SUFFIXES)
        if values.get("contents") not in (None, "", found):
            raise UserError(f"{folder} is not the bundle it was: its files have changed")
        return {**values, "contents": found}

    @model_validator(mode="after")
    def _range_ascends(self) -> MonaiBundleConfig:
        if not self.range[0] < self.range[1]:
            raise ValueError("range: two ascending numbers are needed, e.g. 0,1")
        if self.regions and not set(self.regions) <= {0, 1, 2, 3}:
            raise ValueError("regions: two numbers from 0 to 3 are needed, e.g. 1,2")
        return self


class MonaiBundle(Generator):
    """Samples the latent diffusion model of a bundle, each image from its own stream.

    The networks are AutoencoderKL, VQVAE or MAISI's, and DiffusionModelUNet or MAISI's; the
    scheduler is DDIM, DDPM, PNDM or RFlow. They are made from the bundle's definitions, which are
    read as data. Scripts of a bundle and other classes are refused by name. Of conditions, a class,
    two regions and the size of the run's voxels are given, the same to all images; a ControlNet,
    which makes images of masks, is not used.

    Reference of MAISI: Guo et al., arXiv 2409.11169.
    """

    Config = MonaiBundleConfig
    config: MonaiBundleConfig

    def __init__(self, config: MonaiBundleConfig, spec: ImageSpec) -> None:
        super().__init__(config, spec)
        folder = Path(config.path).expanduser()
        file = BundleConfig(folder / config.definition)
        asked = {"autoencoder": config.autoencoder_weights, "diffusion": config.diffusion_weights}
        paths = {role: find_weights(folder, file, role, path) for role, path in asked.items()}
        roles = ("autoencoder", "diffusion", "scheduler")
        self.parts = parts = read_parts(file, {r: getattr(config, f"{r}_key") for r in roles})
        self._told = _told(config, parts, spec, folder)
        self.latent_shape = _latent_shape(parts, spec, folder)
        self.autoencoder: Any = parts.autoencoder
        self.diffusion: Any = parts.diffusion
        stored = [
            load_weights(network, paths[role], role)
            for role, network in (("autoencoder", self.autoencoder), ("diffusion", self.diffusion))
        ]
        factor = config.scale_factor or scale_factor_of(file)
        self.scale_factor = next(f for f in (factor, *reversed(stored), 1.0) if f is not None)
        self.steps = config.sampling_steps or parts.steps or parts.train_steps
        if self.steps > parts.train_steps:
            raise UserError(
                f"sampling_steps = {self.steps} is more than the "
                f"{many(parts.train_steps, 'step')} that {folder} was trained with"
            )
        self.requires_grad_(False).eval()

    def phases(self) -> tuple[Phase, ...]:
        """Return none: it comes trained."""
        return ()

    def sample(self, noise: Noise) -> Tensor:
        """Return one image (C, *S) for each stream."""
        x = noise.normal(*self.latent_shape).to(next(self.parameters()).device)  # (B, L, *s)
        if not len(x):
            return x.new_empty(0, self.spec.channels, *self.spec.shape)
        told = {
            name: value.to(x.device).expand(len(x), *value.shape)
            for name, value in self._told.items()
        }
        scheduler = self.parts.scheduler()
        flows = isinstance(scheduler, RFlowScheduler)
        voxels = math.prod(self.latent_shape[1:])
        scheduler.set_timesteps(self.steps, **({"input_img_size_numel": voxels} if flows else {}))
        times = scheduler.timesteps.tolist()
        for now, then in zip(times, [*times[1:], 0], strict=True):
            t = torch.full((len(x),), now, device=x.device)
            predicted = self.diffusion(x, t, **told).float()
            if flows:  # MONAI's own step would cut the next time to a whole number
                x = x + predicted * (now - then) / scheduler.num_train_timesteps
            else:
                x = _back(scheduler, predicted, now, x, noise)
        return self._to_memtk(self.autoencoder.decode_stage_2_outputs(x / self.scale_factor))

    def reconstruct(self, x: Tensor) -> Tensor:
        """Send images (B, C, *S) through the autoencoder and back."""
        low, high = self.config.range
        inner = (x + 1) / 2 * (high - low) + low
        if isinstance(self.autoencoder, AutoencoderKL):  # MAISI's is one too
            return self._to_memtk(self.autoencoder.decode(self.autoencoder.encode(inner)[0]))
        return self._to_memtk(
            self.autoencoder.decode_stage_2_outputs(self.autoencoder.encode(inner))
        )

    def _to_memtk(self, y: Tensor) -> Tensor:
        low, high = self.config.range
        return ((y.float() - low) / (high - low) * 2 - 1).clamp(-1, 1)


def _told(
    config: MonaiBundleConfig, parts: Parts, spec: ImageSpec, folder: Path
) -> dict[str, Tensor]:
    """Return what the U-Net is told beside latents and time, by the names of its arguments.

    Raises:
        UserError: for what it must be told and is not, or the other way round.
    """
    told: dict[str, Tensor] = {}
    if parts.classes is not None:
        if config.label is None or config.label >= parts.classes:
            raise UserError(
                f"{folder}: its U-Net knows the classes 0 to {parts.classes - 1}: say which with "
                "--set monai-bundle.label=NUMBER"
            )
        told["class_labels"] = torch.tensor(config.label)
    elif config.label is not None:
        raise UserError(f"{folder}: its U-Net knows no classes; leave out monai-bundle.label")
    ends = [name for name in ("top_region_index", "bottom_region_index") if name in parts.inputs]
    if bool(ends) != (config.regions is not None):
        way = "say which with --set monai-bundle.regions=1,2" if ends else "leave out regions"
        regions = many(len(ends), "region")
        raise UserError(f"{folder}: its U-Net is told {regions} of the body: {way}")
    for name, region in zip(ends, config.regions or (), strict=False):
        told[f"{name}_tensor"] = SCALE * torch.eye(4)[region]
    if "spacing" in parts.inputs:
        spacing = spec.spacing or (1.0,) * spec.dims
        told["spacing_tensor"] = SCALE * torch.tensor(spacing, dtype=torch.float32)
    return told


def _back(scheduler: Any, predicted: Tensor, t: int, x: Tensor, noise: Noise) -> Tensor:
    """Step back by MONAI's scheduler; DDPM draws fresh noise, row by row, each from its stream."""
    if not isinstance(scheduler, DDPMScheduler):
        return scheduler.step(predicted, t, x)[0]
    rows = [
        scheduler.step(p[None].cpu(), t, row[None].cpu(), generator=stream)[0]
        for p, row, stream in zip(predicted, x, noise.generators(), strict=True)
    ]
    return torch.cat(rows).to(x)


def _latent_shape(parts: Parts, spec: ImageSpec, folder: Path) -> tuple[int, ...]:
    """Return the latents' shape (L, *s) for the run's images.

    Raises:
        UserError: if the bundle makes other images, with what it makes.
    """
    if parts.dims != spec.dims:
        raise UserError(f"{folder} makes {parts.dims}D images; the run's are {spec.dims}D")
    if parts.channels != spec.channels:
        raise UserError(
            f"{folder} makes images of {many(parts.channels, 'channel')}; the run's have "
            f"{spec.channels}"
        )
    wanted = "x".join(map(str, spec.shape))
    if parts.latent_shape is not None:
        made = [n * parts.shrinkage for n in parts.latent_shape]
        if made != list(spec.shape):
            size, asked = "x".join(map(str, made)), ",".join(map(str, made))
            raise UserError(
                f"{folder} makes images of {size}; the run's are {wanted}.\nNothing is resized: "
                f"crop or pad the run's images with --set data.shape={asked}."
            )
    unit = parts.shrinkage * 2**parts.halvings
    nearest = [unit * max(1, round(n / unit)) for n in spec.shape]
    if nearest != list(spec.shape):
        raise UserError(
            f"{folder} cannot make images of {wanted}: each side must be a multiple of {unit}.\n"
            f"The nearest shape that it makes is {'x'.join(map(str, nearest))}."
        )
    return (parts.latent_channels, *[n // parts.shrinkage for n in spec.shape])
