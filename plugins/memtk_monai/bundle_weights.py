"""Finds and loads the weights of a bundle. The files are untrusted: no pickled code is run."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from memtk.errors import UserError, one_line
from memtk_monai.bundle_config import BundleConfig

KEYS = {
    "autoencoder": ("load_autoencoder_path", "trained_autoencoder_path"),
    "diffusion": ("load_diffusion_path", "trained_diffusion_path"),
}
"""Where a bundle's configuration says which file has the weights; the first counts."""

USUAL = {
    "autoencoder": ("model_autoencoder.pt", "autoencoder.pt", "autoencoder.pth"),
    "diffusion": ("model.pt", "diffusion.pt", "model_diffusion.pt", "unet.pt"),
}
"""Names of the files in `models/` where it does not say."""

_WITHIN = (
    *("state_dict", "model", "network", "net", "network_state_dict", "model_state_dict"),
    *("autoencoder", "diffusion", "unet", "autoencoder_state_dict", "unet_state_dict"),
)


def find_weights(folder: Path, config: BundleConfig, role: str, asked: str | None) -> Path:
    """Return the file of the weights of a network.

    Args:
        folder: the bundle.
        config: of the bundle.
        role: "autoencoder" or "diffusion".
        asked: what the user says, below the folder or absolute; None leaves it to the bundle.

    Raises:
        UserError: if there is none, naming those that are there, or it lies outside the bundle.
    """
    setting = f"--set monai-bundle.{role}_weights=FILE"
    if asked is not None:
        path = folder / Path(asked).expanduser()
    elif key := next((key for key in KEYS[role] if key in config), None):
        said = config.value(key)
        path = folder / str(said)
        if not Path(os.path.realpath(path)).is_relative_to(os.path.realpath(folder)):
            raise UserError(
                f"{config.path}: {key} = {said} lies outside the bundle. If that is right, "
                f"say {setting}"
            )
    else:
        usual = [folder / "models" / name for name in USUAL[role]]
        path = next((p for p in usual if p.is_file()), usual[0])
    if not path.is_file():
        models = folder / "models"
        there = sorted(p.name for p in models.iterdir() if p.is_file()) if models.is_dir() else []
        raise UserError(
            f"{path}, the weights of the {role}, is missing; models/ has "
            f"{', '.join(there[:8]) or 'no files'}.\nSay which with {setting}."
        )
    return path


def load_weights(network: nn.Module, path: Path, role: str) -> float | None:
    """Give a network its weights; return the scale factor if the file has one.

    Weights of networks from before they were a part of MONAI are converted.

    Raises:
        UserError: if the file cannot be read without running code, or does not fit.
    """
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # whatever torch's unpickler stumbles over
        raise UserError(
            f"{path} is damaged, or more than weights: loading it would run code.\nWhere you trust "
            "it, write its state_dict alone with torch.save(network.state_dict(), FILE)."
        ) from error
    weights = _state_dict(content, role)
    if weights is None:
        raise UserError(f"{path} holds no state_dict of the {role}")
    try:
        _fill(network, weights)
    except (RuntimeError, KeyError, TypeError, AttributeError) as error:
        lines = [line.strip() for line in str(error).splitlines()[1:]] or [one_line(error)]
        raise UserError(
            f"{path} does not fit the {role} that the bundle defines: {lines[0][:200]}"
        ) from error
    scale: Any = content.get("scale_factor") if isinstance(content, Mapping) else None
    if isinstance(scale, (int, float)) or (isinstance(scale, Tensor) and scale.numel() == 1):
        return float(scale)
    return None


def _fill(network: nn.Module, weights: dict[str, Tensor]) -> None:
    own = network.state_dict()
    if set(weights) != set(own) and hasattr(network, "load_old_state_dict"):
        convert: Any = network.load_old_state_dict
        convert(dict(weights))
    else:
        network.load_state_dict(weights)


def _state_dict(content: Any, role: str) -> dict[str, Tensor] | None:
    """Find the weights in what a file holds, at most two tables deep."""
    if not isinstance(content, Mapping):
        return None
    tensors = {k: v for k, v in content.items() if isinstance(v, Tensor) and k != "scale_factor"}
    if tensors:
        return {str(k).removeprefix("module."): v for k, v in tensors.items()}
    preferred = sorted(_WITHIN, key=lambda name: not name.startswith(role))
    for name in preferred:
        if (found := _state_dict(content.get(name), role)) is not None:
            return found
    return None
