"""Checkpoints of the reference's own embedders: which of their weights is which of ours.

Dar et al. link them in the README of https://github.com/Cardio-AI/memorization-ldm. What lies there
could not be seen; its training scripts write the `state_dict` of a network and nothing else, in
files without a suffix (`model_<epoch>` in 3D, `model<epoch>` and `model_best` in 2D), and the 3D
notebook reads such a file, of the last epoch. The names of the weights follow from the networks'
code.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor, nn

from memtk.errors import UserError
from memtk.interfaces import Embedder
from memtk_contrastive.files import read_tensors
from memtk_contrastive.networks import strides

NOT_NEEDED = r"^(sup_layer|fc_end)\.|\.num_batches_tracked$"
"""Layers that the reference makes and never uses, and what no result depends on."""

SHAPES: dict[int, tuple[str, tuple[int, ...]]] = {
    6: ("paper-mrnet", (32, 256, 256)),
    4: ("paper-pccta", (64, 64, 64)),
}
"""By the levels of a 3D encoder: the preset, and the images that the reference made it for."""


def encoder_names(levels: int) -> dict[str, str]:
    """Return the beginning of the reference's name for the beginning of each of ours, in 3D.

    >>> encoder_names(1)["encoder.layers.2.body.0."]
    'encoder.conv_blocks.0.res.norm1.'
    """
    names = {
        "encoder.layers.0.": "encoder.conv_first.",
        f"encoder.layers.{2 * levels + 1}.": "encoder.final_block.0.",
        f"encoder.layers.{2 * levels + 3}.": "conv3D.",
        "hidden.": "dense.1.",
        "last.": "dense.4.",
    }
    for i in range(levels):
        block = f"encoder.conv_blocks.{i}"
        names[f"encoder.layers.{2 * i + 1}."] = f"{block}.down."
        for place, part in ((0, "norm1"), (2, "conv1"), (3, "norm2"), (5, "conv2")):
            names[f"encoder.layers.{2 * i + 2}.body.{place}."] = f"{block}.res.{part}."
    return names


def names_of(network: nn.Module, levels: int | None) -> dict[str, str]:
    """Return the reference's name of each of our weights.

    Args:
        network: an embedder.
        levels: of its encoder; None for a ResNet-50.
    """
    names = {"resnet.network.": "model."} if levels is None else encoder_names(levels)
    return {
        ours: names[begin] + ours.removeprefix(begin)
        for ours in network.state_dict()
        for begin in names
        if ours.startswith(begin)
    }


@torch.no_grad()
def take(embedder: Embedder, path: Path, levels: int | None, shape: tuple[int, ...]) -> None:
    """Take the weights of a file, and freeze them.

    Args:
        embedder: `ntxent3d` or `ntxent2d`.
        levels: of its encoder; None for a ResNet-50.
        shape: of the images that its network sees.

    Raises:
        UserError: if the file cannot be read or does not fit, with the nearest preset.
    """
    found = read_tensors(path)
    nearest = _nearest(path, found, shape)
    own, names = embedder.state_dict(), names_of(embedder, levels)
    rest = {key for key in found if not re.search(NOT_NEEDED, key)}
    for ours, theirs in names.items():
        if re.search(NOT_NEEDED, theirs):
            continue
        there, want = found.get(theirs), tuple(own[ours].shape)
        if there is None or tuple(there.shape) != want:
            what = "is missing" if there is None else f"has the shape {tuple(there.shape)}"
            raise _misfit(path, f"{theirs} {what}, expected {want}", nearest)
        rest.discard(theirs)
    if rest:
        raise _misfit(path, f"there is no place for {sorted(rest)[0]}", nearest)
    _check_strides(path, levels, shape, nearest)
    for ours, theirs in names.items():
        if theirs in found:
            own[ours].copy_(found[theirs])
    embedder.requires_grad_(False)


def _check_strides(path: Path, levels: int | None, shape: tuple[int, ...], nearest: str) -> None:
    """See that the encoder halves the same axes as the file's, which no weight's shape tells."""
    if levels not in SHAPES:
        return
    want, here = strides(SHAPES[levels][1], 4), strides(shape, 4)
    if want != here:
        raise _misfit(path, f"its convolutions have the strides {want}, here {here}", nearest)


def _nearest(path: Path, found: Mapping[str, Tensor], shape: tuple[int, ...]) -> str:
    """Say what the file was made for.

    Raises:
        UserError: if it is none of the reference's.
    """
    here = f"here {'x'.join(map(str, shape))}"
    if "model.conv1.weight" in found:
        return f"ntxent2d with the preset paper-xray, for 2D images ({here})"
    blocks = [re.match(r"encoder\.conv_blocks\.(\d+)\.", key) for key in found]
    levels = 1 + max((int(block[1]) for block in blocks if block), default=-1)
    if not levels or "dense.1.weight" not in found:
        raise UserError(
            f"{path} is no checkpoint of the reference's embedders: they have dense.1.weight (3D) "
            f"or model.conv1.weight (2D); it begins with {next(iter(found))}"
        )
    preset, made_for = SHAPES[min(SHAPES, key=lambda known: abs(known - levels))]
    size = "x".join(map(str, made_for))
    return f"ntxent3d with the preset {preset}, for images of {size} ({here})"


def _misfit(path: Path, what: str, nearest: str) -> UserError:
    return UserError(
        f"{path} does not fit the embedder as it is configured: {what}. Nearest: {nearest}."
    )
