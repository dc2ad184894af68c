"""The reference method's encoder, and ResNet-50 as torchvision published it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from memtk.errors import UserError
from memtk_contrastive.files import read_tensors


def strides(shape: Sequence[int], bottom: int) -> list[tuple[int, ...]]:
    """Return the stride of each level: an axis is halved while it stays `bottom` or longer.

    >>> strides((8, 32), 4)
    [(2, 2), (1, 2), (1, 2)]
    """
    levels, size = [], list(shape)
    while any(n // 2 >= bottom for n in size):
        level = tuple(2 if n // 2 >= bottom else 1 for n in size)
        size = [n // s for n, s in zip(size, level, strict=True)]
        levels.append(level)
    return levels


class SameConv(nn.Module):
    """Convolution (B, c, *S) -> (B, c', *S/stride) whose border repeats the outermost voxels."""

    def __init__(
        self, inputs: int, outputs: int, kernel: int, stride: Sequence[int], dims: int
    ) -> None:
        super().__init__()
        conv: Any = nn.Conv3d if dims == 3 else nn.Conv2d
        self.conv = conv(inputs, outputs, kernel, stride=tuple(stride))
        # Kernel minus stride in all, the larger half in front; `pad` names the last axis first.
        pads = [(math.ceil((kernel - s) / 2), (kernel - s) // 2) for s in reversed(stride)]
        self.pad = [side for pair in pads for side in pair]

    def forward(self, x: Tensor) -> Tensor:
        """Pad and convolve."""
        return self.conv(F.pad(x, self.pad, mode="replicate") if any(self.pad) else x)


class Residual(nn.Module):
    """Two rounds of norm, SiLU and convolution, added to the input (B, c, *S)."""

    def __init__(self, channels: int, groups: int, dims: int) -> None:
        super().__init__()
        self.body = nn.Sequential(
            norm(channels, groups),
            nn.SiLU(),
            SameConv(channels, channels, 3, [1] * dims, dims),
            norm(channels, groups),
            nn.SiLU(),
            SameConv(channels, channels, 3, [1] * dims, dims),
        )

    def forward(self, x: Tensor) -> Tensor:
        """Return input plus correction."""
        return x + self.body(x)


class Encoder(nn.Module):
    """Images (B, C, *S) -> features (B, bottleneck, *bottom).

    Width doubles at every level, from `width` at full resolution. Bottom and 16 wide, a 32x256x256
    image ends at 8x4x4x4 after six levels of up to 1024 channels (arXiv 2402.01054 and its code).

    Args:
        channels: C.
        shape: S.
        width: channels at full resolution.
        bottleneck: channels at the bottom.
        bottom: shortest side at the bottom; an axis of S that is no multiple of it by a power of
            two ends between `bottom` and twice that.
        groups: of the group norms; fewer where a level's width asks for it.
        stem_stride: of the first convolution; more than 1 skips the work at full resolution.
    """

    def __init__(
        self,
        channels: int,
        shape: Sequence[int],
        width: int = 16,
        bottleneck: int = 8,
        bottom: int = 4,
        groups: int = 32,
        stem_stride: int = 1,
    ) -> None:
        super().__init__()
        dims = len(shape)
        size = [n // stem_stride for n in shape]
        kernel = 3 if stem_stride == 1 else 2 * stem_stride
        layers: list[nn.Module] = [SameConv(channels, width, kernel, [stem_stride] * dims, dims)]
        for stride in strides(size, bottom):
            layers += [
                SameConv(width, 2 * width, 4, stride, dims),
                Residual(2 * width, groups, dims),
            ]
            width = 2 * width
            size = [n // s for n, s in zip(size, stride, strict=True)]
        layers += [norm(width, groups), nn.SiLU(), SameConv(width, bottleneck, 1, [1] * dims, dims)]
        self.layers = nn.Sequential(*layers)
        self.features = bottleneck * math.prod(size)

    def forward(self, x: Tensor) -> Tensor:
        """Return the flattened features (B, F)."""
        return self.layers(x).flatten(1)


def norm(channels: int, groups: int) -> nn.GroupNorm:
    """Return a group norm with the largest number of groups that divides both."""
    return nn.GroupNorm(math.gcd(channels, groups), channels, eps=1e-6)


SOURCE = "https://download.pytorch.org/models/resnet50-0676ba61.pth"
"""Where torchvision's IMAGENET1K_V1 weights of ResNet-50 are published (98 MB)."""

DEPTH = [3, 4, 6, 3]
"""Blocks of each stage."""

WIDTH = 64
"""Channels of the published network's first convolution."""


class ResNet50(nn.Module):
    """Images (B, C, H, W) in [-1, 1] -> (B, D). He et al., arXiv 1512.03385.

    The names of `network.state_dict()` are torchvision's. In training mode batch norm couples the
    rows of a batch; in eval mode row i depends on image i alone.

    Args:
        channels: C.
        width: of the first convolution; a stage ends with 4, 8, 16 and 32 times as many channels.
        features: D, outputs of the last layer, which is new.
    """

    def __init__(self, channels: int, width: int, features: int) -> None:
        from monai.networks.nets.resnet import ResNet, ResNetBottleneck  # takes seconds to import

        super().__init__()
        network: Any = ResNet(
            ResNetBottleneck,
            DEPTH,
            [width, 2 * width, 4 * width, 8 * width],
            spatial_dims=2,
            n_input_channels=channels,
            conv1_t_stride=2,
            num_classes=features,
            bias_downsample=False,
        )
        # The two new layers of the reference begin as torch begins any layer.
        network.conv1.reset_parameters()
        network.fc.reset_parameters()
        self.network: Any = network

    def forward(self, x: Tensor) -> Tensor:
        """Return the last layer's outputs (B, D). The reference's images lie in [0, 1]."""
        return self.network((x + 1) / 2)


@torch.no_grad()
def take_imagenet(resnet: ResNet50, file: str | None, stem: str) -> None:
    """Give a network torchvision's weights, all but the last layer.

    Args:
        file: torchvision's `state_dict`, .pth or .safetensors.
        stem: "fresh" leaves the first convolution as it is; "imagenet" takes the file's: for C
            channels other than three, the sum of its colours, 1/C to each.

    Raises:
        UserError: if no file is named, or it cannot be read, or does not fit.
    """
    if file is None:
        raise UserError(
            "start=imagenet needs ResNet-50's weights, and memtk downloads none. Fetch\n  "
            f"{SOURCE}\nand say --set embedder.imagenet=FILE; or begin with random weights (also "
            "where --weights gives all of them): --set embedder.start=random"
        )
    path = Path(file).expanduser()
    found = {k: v for k, v in read_tensors(path).items() if not k.startswith("fc.")}
    own = {k: v for k, v in resnet.network.state_dict().items() if not k.startswith("fc.")}
    wanted = {key: tuple(value.shape) for key, value in own.items()}
    wanted["conv1.weight"] = (wanted["conv1.weight"][0], 3, 7, 7)
    for key, shape in wanted.items():
        there = found.get(key)
        if there is None and key.endswith("num_batches_tracked"):
            continue  # older files have none, and no result depends on it
        if there is None or tuple(there.shape) != shape:
            what = "is missing" if there is None else f"has the shape {tuple(there.shape)}"
            raise _misfit(path, f"{key} {what}, expected {shape}", resnet)
    if strange := sorted(set(found) - set(wanted)):
        raise _misfit(path, f"there is no place for {strange[0]}", resnet)
    for key, value in own.items():
        if key in found and key != "conv1.weight":
            value.copy_(found[key])
    if stem == "imagenet":
        weight: Tensor = found["conv1.weight"]  # (width, 3, 7, 7)
        channels = resnet.network.conv1.in_channels
        if channels != 3:
            weight = (weight.sum(1, keepdim=True) / channels).expand(-1, channels, -1, -1)
        resnet.network.conv1.weight.copy_(weight)


def _misfit(path: Path, what: str, resnet: ResNet50) -> UserError:
    width = resnet.network.conv1.out_channels
    way = (
        f" It has width {WIDTH}, the preset paper-xray; here it is {width}."
        if width != WIDTH
        else ""
    )
    return UserError(
        f"imagenet={path} does not fit this ResNet-50: {what}.{way}\nThe file is {SOURCE}"
    )
