"""What the VQ-GAN is trained against: patch discriminators, and the learnt perceptual distance."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from memtk.errors import UserError
from memtk_meddiff.files import read_tensors

MOST_CHANNELS = 512


class PatchDiscriminator(nn.Module):
    """A verdict on every patch of an image, and the features that led to it.

    Kernels of 4; `layers` convolutions halve the sides, two more do not; channels double up to
    512; batch norm in all layers but the first and the last; leaky ReLU of slope 0.2. It is only
    ever used in training, so that no averages for evaluation are kept.

    Reference: Isola et al., arXiv 1611.07004, appendix 6.1.2.

    Args:
        dims: 2 or 3.
        channels: C of the images.
        width: channels of the first layer.
        layers: convolutions of stride 2.
    """

    def __init__(self, dims: int, channels: int, width: int, layers: int) -> None:
        super().__init__()
        conv = nn.Conv2d if dims == 2 else nn.Conv3d
        norm = nn.BatchNorm2d if dims == 2 else nn.BatchNorm3d
        widths = [min(width * 2**i, MOST_CHANNELS) for i in range(layers + 1)]
        self.layers = nn.ModuleList(
            [nn.Sequential(conv(channels, width, 4, 2, padding=2), nn.LeakyReLU(0.2))]
        )
        for i in range(1, layers + 1):
            self.layers.append(
                nn.Sequential(
                    conv(widths[i - 1], widths[i], 4, 2 if i < layers else 1, padding=2),
                    norm(widths[i], track_running_stats=False),
                    nn.LeakyReLU(0.2),
                )
            )
        self.layers.append(nn.Sequential(conv(widths[-1], 1, 4, 1, padding=2)))

    def forward(self, x: Tensor) -> list[Tensor]:
        """Map images (B, C, *S) to the output of every layer; the last is the verdict."""
        found = []
        for layer in self.layers:
            x = layer(x)
            found.append(x)
        return found


def telling_apart(discriminator: PatchDiscriminator, real: Tensor, fake: Tensor) -> Tensor:
    """Return the hinge loss: the mean over both kinds of relu(1 - verdict), relu(1 + verdict)."""
    of_real = discriminator(real)[-1].float()
    of_fake = discriminator(fake)[-1].float()
    return 0.5 * ((1 - of_real).relu().mean() + (1 + of_fake).relu().mean())


def fooling(discriminator: PatchDiscriminator, real: Tensor, fake: Tensor) -> tuple[Tensor, Tensor]:
    """Return the generator's hinge loss, -mean(verdict), and the distance of the features.

    The latter is the L1 distance of each layer but the last, summed with a weight of
    4 / (halving layers + 1). Wang et al., arXiv 1711.11585, equation 4.
    """
    with torch.no_grad():
        aims = discriminator(real)[:-1]
    *features, verdict = discriminator(fake)
    # The reference writes 4 / (3 + 1) whatever the number of layers; it has three.
    weight = 4 / len(aims)
    apart = [(f.float() - a.float()).abs().mean() for f, a in zip(features, aims, strict=True)]
    return -verdict.float().mean(), weight * torch.stack(apart).sum()


WIDTHS = ((64, 2), (128, 2), (256, 3), (512, 3), (512, 3))
"""Channels and convolutions of each stage of VGG16."""

SHIFT = (-0.030, -0.088, -0.188)
SCALE = (0.458, 0.448, 0.450)
"""ImageNet's mean and spread, for images in [-1, 1]."""


class PerceptualDistance(nn.Module):
    """Weighted squared distance of unit features of VGG16, averaged over pixels.

    Zhang et al., arXiv 1801.03924, equation 1. Never trained.

    Args:
        paths: files with the weights of VGG16 (torchvision's, or LPIPS' own) and of LPIPS' linear
            layers; one file may hold both.

    Raises:
        UserError: if the files cannot be read, or together lack weights.
    """

    shift: Tensor
    scale: Tensor

    def __init__(self, paths: Sequence[str]) -> None:
        super().__init__()
        self.stages = nn.ModuleList()
        inward = 3
        for width, count in WIDTHS:
            convs = [nn.Conv2d(inward if i == 0 else width, width, 3, 1, 1) for i in range(count)]
            self.stages.append(nn.ModuleList(convs))
            inward = width
        self.weights = nn.ParameterList(torch.zeros(1, width, 1, 1) for width, _ in WIDTHS)
        self.register_buffer("shift", torch.tensor(SHIFT).reshape(3, 1, 1))
        self.register_buffer("scale", torch.tensor(SCALE).reshape(3, 1, 1))
        self._load(paths)
        self.requires_grad_(False).eval()

    def forward(self, x: Tensor, y: Tensor) -> Tensor:
        """Return the mean distance (scalar) of slices (B, 1 or 3, H, W) in [-1, 1]."""
        pair = zip(self._features(x), self._features(y), self.weights, strict=True)
        each = [(w * (a - b).square()).sum(1).mean() for a, b, w in pair]
        return torch.stack(each).sum()

    def _features(self, x: Tensor) -> list[Tensor]:
        h, found = (x - self.shift) / self.scale, []  # one channel becomes three here
        for number, (_, count) in enumerate(WIDTHS):
            h = F.max_pool2d(h, 2) if number else h
            for i in range(count):
                h = self.get_submodule(f"stages.{number}.{i}")(h).relu()
            found.append(h.float() / (h.float().norm(dim=1, keepdim=True) + 1e-10))
        return found

    def _load(self, paths: Sequence[str]) -> None:
        tensors: dict[str, Tensor] = {}
        for path in paths:
            tensors |= read_tensors(path, "ema", "model")
        mapped = {ours: tensors.get(theirs) for ours, theirs in _names(tensors).items()}
        where = ", ".join(map(str, paths))
        for ours, own in self.state_dict().items():
            if ours in ("shift", "scale"):
                continue
            found = mapped.get(ours)
            if found is None or found.shape != own.shape:
                what = "nothing" if found is None else tuple(found.shape)
                raise UserError(
                    f"perceptual_files = {where}: {ours} of VGG16 or LPIPS should have the shape "
                    f"{tuple(own.shape)}, there is {what}.\nGive the weights of torchvision's "
                    "vgg16 and those of LPIPS for VGG (lin0 ... lin4), or leave "
                    "perceptual_files empty."
                )
            own.copy_(found)


def _names(tensors: Mapping[str, Tensor]) -> dict[str, str]:
    """Return the key in the files of each of our weights, for the names that are in use."""
    found: dict[str, str] = {}
    places = {}
    place = 0
    for stage, (_, count) in enumerate(WIDTHS):
        for i in range(count):
            places[place] = (stage, i)
            place += 2  # a ReLU lies between
        place += 1  # and pooling between the stages
    for key in tensors:
        features = re.search(r"(?:features|slice[1-5])\.(\d+)\.(weight|bias)$", key)
        linear = re.search(r"lin([0-4])\.(?:model\.1|model\.0|weight)(?:\.weight)?$", key)
        if features and int(features[1]) in places:
            stage, i = places[int(features[1])]
            found[f"stages.{stage}.{i}.{features[2]}"] = key
        elif linear:
            found[f"weights.{linear[1]}"] = key
    return found
