"""The parts of a latent diffusion model that a bundle defines, made of known MONAI classes."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from monai.apps.generation.maisi.networks.autoencoderkl_maisi import AutoencoderKlMaisi
from monai.apps.generation.maisi.networks.diffusion_model_unet_maisi import DiffusionModelUNetMaisi
from monai.networks.nets import VQVAE, AutoencoderKL, DiffusionModelUNet
from monai.networks.schedulers import DDIMScheduler, DDPMScheduler, PNDMScheduler, RFlowScheduler
from torch import nn

from memtk.errors import UserError, many, one_line
from memtk_monai.bundle_files import BundleConfig

KNOWN: dict[str, dict[str, Any]] = {
    "autoencoder": {
        "AutoencoderKL": AutoencoderKL,
        "AutoencoderKlMaisi": AutoencoderKlMaisi,
        "VQVAE": VQVAE,
    },
    "diffusion": {
        "DiffusionModelUNet": DiffusionModelUNet,
        "DiffusionModelUNetMaisi": DiffusionModelUNetMaisi,
    },
    "scheduler": {
        "DDIMScheduler": DDIMScheduler,
        "DDPMScheduler": DDPMScheduler,
        "PNDMScheduler": PNDMScheduler,
        "RFlowScheduler": RFlowScheduler,
    },
}
"""All classes that a bundle may ask for; no other is ever made."""

# MONAI's own places, those of the package that the networks came from, and the file by which MAISI
# brings the scheduler that MONAI has had since. Whatever the place, the class is MONAI's.
_PLACE = re.compile(
    r"(?:(?:monai|generative)\.networks\.(?:nets|schedulers)(?:\.\w+)?\.|"
    r"monai\.apps\.generation\.maisi\.networks\.\w+\.|scripts\.rectified_flow\.)?(\w+)"
)
_STEPS = re.compile(r"set_timesteps\((?:num_inference_steps\s*=\s*)?(\d+|@[\w:#]+)\s*[,)]")
_RENAMED = {"num_channels": "channels", "beta_schedule": "schedule"}
_COURSES = {"linear": "linear_beta", "scaled_linear": "scaled_linear_beta"}


INPUTS = ("top_region_index", "bottom_region_index", "spacing")
"""What a U-Net of MAISI may be told besides a class."""


@dataclass(frozen=True)
class Parts:
    """What a bundle defines.

    Args:
        autoencoder: without its weights yet.
        diffusion: the U-Net, likewise.
        scheduler: makes a new one.
        dims: number of spatial axes.
        channels: C of the images.
        latent_channels: L.
        shrinkage: voxels a side of the image for one of the latents.
        halvings: of the latents in the U-Net.
        train_steps: T.
        steps: of sampling, None where the bundle does not say.
        latent_shape: (*s), None likewise.
        classes: how many classes the U-Net knows, None if it knows none.
        inputs: what else it is told, of `INPUTS`.
    """

    autoencoder: nn.Module
    diffusion: nn.Module
    scheduler: Callable[[], Any]
    dims: int
    channels: int
    latent_channels: int
    shrinkage: int
    halvings: int
    train_steps: int
    steps: int | None
    latent_shape: tuple[int, ...] | None
    classes: int | None
    inputs: frozenset[str]


def read_parts(config: BundleConfig, keys: Mapping[str, str | None]) -> Parts:
    """Make the networks and the scheduler of a latent diffusion model.

    Args:
        keys: of the definitions to take, by role; None where the bundle has one alone.

    Raises:
        UserError: for what a bundle asks for and memtk does not do, naming it.
    """
    autoencoder, coding = _make(config, "autoencoder", keys)
    if isinstance(autoencoder, VQVAE):
        autoencoder.quantizer.perplexity = torch.zeros(1)  # MONAI begins with a random one
    diffusion, denoising = _make(config, "diffusion", keys)
    scheduler, course = _find(config, "scheduler", keys)
    course = _renamed(course)
    if course.get("schedule") in _COURSES:
        course["schedule"] = _COURSES[course["schedule"]]
    if denoising.get("with_conditioning"):
        raise UserError(
            f"{config.path}: its U-Net attends to a context (with_conditioning), and memtk does "
            "not know which: sample it by a script of your own, generator command"
        )
    if isinstance(autoencoder, AutoencoderKL):
        channels = coding.get("latent_channels", 3)
    else:
        channels = coding.get("embedding_dim", 64)
    if denoising["in_channels"] != channels:
        raise UserError(
            f"{config.path}: its U-Net takes "
            f"{many(denoising['in_channels'], 'channel')} and the latents "
            f"have {channels}: what comes with them is an image, as a condition, which memtk has "
            "not: sample it by a script of your own, generator command"
        )
    make = partial(scheduler, **course)
    try:
        train_steps = int(make().num_train_timesteps)
    except Exception as error:
        raise UserError(
            f"{config.path}: its scheduler cannot be made: {one_line(error)}"
        ) from error
    widths = denoising.get("channels", (32, 64, 64, 64))
    return Parts(
        autoencoder=autoencoder,
        diffusion=diffusion,
        scheduler=make,
        dims=int(denoising["spatial_dims"]),
        channels=int(coding.get("in_channels", 1)),
        latent_channels=int(channels),
        shrinkage=_shrinkage(autoencoder, coding),
        halvings=len(widths) - 1,
        train_steps=train_steps,
        steps=_steps(config),
        latent_shape=_latent_shape(config, int(denoising["spatial_dims"])),
        classes=denoising.get("num_class_embeds"),
        inputs=frozenset(name for name in INPUTS if denoising.get(f"include_{name}_input")),
    )


def _find(
    config: BundleConfig, role: str, keys: Mapping[str, str | None]
) -> tuple[Any, dict[str, Any]]:
    """Return class and arguments of the definition that plays a role."""
    known, found, strange = KNOWN[role], [], []
    for key, target, raw in config.definitions():
        match = _PLACE.fullmatch(target)
        if match and match[1] in known:
            found.append((key, known[match[1]], raw))
        else:
            strange.append(target)
    asked, there = keys.get(role), [key for key, *_ in found]
    if asked is not None:
        found = [each for each in found if each[0] == asked]
    if not there:
        names = ", ".join(sorted(set(strange))[:6]) or "no class at all"
        raise UserError(
            f"{config.path}: the {role}, one of {', '.join(known)}, is missing: it "
            f"names {names}.\nmemtk makes no other class of a bundle and runs none of its code."
        )
    if len(found) != 1:
        wanted = f"has no {role} {asked}, but" if asked is not None else f"defines {len(there)}:"
        raise UserError(
            f"{config.path} {wanted} {', '.join(there)}.\n"
            f"Say which is its {role}: --set monai-bundle.{role}_key=KEY"
        )
    key, cls, raw = found[0]
    return cls, config.arguments(key, raw)


def _make(
    config: BundleConfig, role: str, keys: Mapping[str, str | None]
) -> tuple[nn.Module, dict[str, Any]]:
    cls, said = _find(config, role, keys)
    if cls is AutoencoderKlMaisi:
        said |= {"norm_float16": False}  # which works inside a GPU's autocast alone
    if not torch.cuda.is_available() and said.get("use_flash_attention"):
        said |= {"use_flash_attention": False}  # a faster way to the same numbers, on a GPU
    try:
        as_said = "num_channels" in inspect.signature(cls).parameters
        return cls(**(said if as_said else _renamed(said))), _renamed(said)
    except Exception as error:
        raise UserError(
            f"{config.path}: its {role} cannot be made: {one_line(error)[:300]}"
        ) from error


def _renamed(arguments: Mapping[str, Any]) -> dict[str, Any]:
    """Return arguments under MONAI's present names."""
    return {_RENAMED.get(key, key): value for key, value in arguments.items()}


def _shrinkage(autoencoder: nn.Module, arguments: Mapping[str, Any]) -> int:
    """Return by how much the autoencoder shrinks each side."""
    if isinstance(autoencoder, AutoencoderKL):
        return int(2 ** (len(arguments.get("channels", (0, 0, 0, 0))) - 1))
    channels = arguments.get("channels", (0, 0, 0))
    down = arguments.get("downsample_parameters", (2, 4, 1, 1))
    each = [level[0] for level in down] if isinstance(down[0], (list, tuple)) else None
    strides, factor = each or [down[0]] * len(channels), 1
    for stride in strides:
        factor *= int(stride)
    return factor


def _steps(config: BundleConfig) -> int | None:
    """Return the steps of sampling that the file asks the scheduler for."""
    for text in config.texts():
        if match := _STEPS.search(text):
            said = match[1]
            return int(said) if said.isdigit() else int(config.arguments("", {"n": said})["n"])
    for key in ("num_inference_steps", "inference_steps"):
        if key in config:
            return int(config.value(key))
    return None


def scale_factor_of(config: BundleConfig) -> float | None:
    """Return what latents are multiplied with, None where the bundle does not say.

    Raises:
        UserError: if it is made by code, with the way out.
    """
    said = config.value if "scale_factor" in config else None
    try:
        if said is not None:
            return float(said("scale_factor"))
        for key, target, raw in config.definitions():
            if target.endswith("LatentDiffusionInferer") and "scale_factor" in raw:
                return float(config.arguments(key, {"s": raw["scale_factor"]})["s"])
    except UserError as error:
        if "['scale_factor']" in str(error):  # of the file of weights, as MAISI has it
            return None
        raise UserError(f"{error}, or say --set monai-bundle.scale_factor=NUMBER") from error
    except (TypeError, ValueError) as error:
        raise UserError(f"{config.path}: its scale_factor is no number") from error
    return None


def _latent_shape(config: BundleConfig, dims: int) -> tuple[int, ...] | None:
    if "latent_shape" not in config:
        return None
    said = config.value("latent_shape")
    if not isinstance(said, list) or len(said) <= dims:
        return None
    return tuple(int(n) for n in said[-dims:])
