"""Perceptual distance of images: LPIPS on SqueezeNet, with weights from local files."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path

import torch
from torch import Tensor
from torch.nn import functional as F

from memtk.errors import UserError
from memtk.interfaces import ImageSpec, in_float32
from memtk.noise import Noise

SOURCES = (
    "https://download.pytorch.org/models/squeezenet1_1-b8a52dc0.pth",
    "https://github.com/richzhang/PerceptualSimilarity/raw/master/lpips/weights/v0.1/squeeze.pth",
)
"""Where the weights of the network and of its layers' heads are published."""

LEAST = 17
"""Shortest side of an image, in pixels, that the network takes."""

LAYERS = {0: "conv", 2: "pool", 3: "fire", 4: "fire", 5: "pool", 6: "fire", 7: "fire", 8: "pool"}
LAYERS |= {9: "fire", 10: "fire", 11: "fire", 12: "fire"}
"""SqueezeNet 1.1 by the numbers of its published state_dict (1 is the ReLU after 0)."""

TAPS = (0, 4, 7, 9, 10, 11, 12)
"""Layers whose output is compared."""

WIDTHS = (64, 128, 256, 384, 384, 512, 512)
"""Channels of these layers."""

SQUEEZED = {3: 16, 4: 16, 6: 32, 7: 32, 9: 48, 10: 48, 11: 64, 12: 64}
"""Channels inside the fire modules."""

SHIFT, SCALE = (-0.030, -0.088, -0.188), (0.458, 0.448, 0.450)
"""ImageNet's mean and spread by channel, for images in [-1, 1]."""


class Perceptual:
    """LPIPS: squared distances of unit feature vectors, weighted, averaged over places, summed.

    Zhang et al., arXiv 1801.03924, version 0.1, on SqueezeNet 1.1 (Iandola et al., arXiv
    1602.07360). Computed in float32. Its weights are no part of a model: they never move, and
    sampling does not need them.

    Args:
        files: state_dicts that hold the network and the heads together: the two files of `SOURCES`,
            or one with the `state_dict()` of `lpips.LPIPS(net="squeeze")`. Nothing is downloaded.

    Raises:
        UserError: if no file is given, or one cannot be read or something is missing in them.
    """

    def __init__(self, files: Sequence[str]) -> None:
        if not files:
            raise UserError(
                "perceptual_weight needs the weights of LPIPS on SqueezeNet, and memtk downloads "
                f"none. Fetch\n  {SOURCES[0]}\n  {SOURCES[1]}\nand say perceptual_weights="
                "FILE,FILE; or train without this term: perceptual_weight=0"
            )
        self._weights = _read(files)

    def __call__(self, x: Tensor, y: Tensor) -> Tensor:
        """Return the distance (B,) of images x and y, (B, 1 or 3, H, W) in [-1, 1], H, W >= 17."""
        if self._weights["features.0.weight"].device != x.device:
            self._weights = {key: w.to(x.device) for key, w in self._weights.items()}
        with in_float32(x.device):
            distances = [
                F.conv2d((a - b) ** 2, self._weights[f"lin{i}.model.1.weight"]).mean((1, 2, 3))
                for i, (a, b) in enumerate(zip(self._features(x), self._features(y), strict=True))
            ]
        return torch.stack(distances).sum(0)

    def _features(self, x: Tensor) -> list[Tensor]:
        x = x.float().expand(-1, 3, -1, -1)  # (B, 3, H, W)
        shift, scale = (torch.tensor(v, device=x.device).reshape(3, 1, 1) for v in (SHIFT, SCALE))
        x, found = (x - shift) / scale, []
        for number, kind in LAYERS.items():
            if kind == "pool":
                x = F.max_pool2d(x, 3, 2, ceil_mode=True)
            elif kind == "conv":
                x = self._convolved(x, f"features.{number}", stride=2)
            else:
                x = self._convolved(x, f"features.{number}.squeeze")
                wide = self._convolved(x, f"features.{number}.expand3x3", padding=1)
                x = torch.cat([self._convolved(x, f"features.{number}.expand1x1"), wide], 1)
            if number in TAPS:
                found.append(x / (x.square().sum(1, keepdim=True).sqrt() + 1e-10))
        return found

    def _convolved(self, x: Tensor, name: str, stride: int = 1, padding: int = 0) -> Tensor:
        weight, bias = (self._weights[f"{name}.{part}"] for part in ("weight", "bias"))
        return F.conv2d(x, weight, bias, stride, padding).relu()


def distance(network: Perceptual, x: Tensor, y: Tensor, part: float, noise: Noise) -> Tensor:
    """Return the mean perceptual distance of images, or of slices of volumes (B, C, *S).

    Of a volume, `part` of the slices along each axis are drawn, one at least, by its own stream;
    the means of the three axes are added up.
    """
    if x.dim() == 4:
        return network(x, y).mean()
    total = x.new_zeros((), dtype=torch.float32)
    for axis in range(2, 5):
        count = x.shape[axis]
        chosen = noise.uniform(count).argsort(1)[:, : max(1, int(part * count))].to(x.device)
        rows = torch.arange(len(x), device=x.device)[:, None]
        a, b = (v.movedim(axis, 1)[rows, chosen].flatten(0, 1) for v in (x, y))  # (B*n, C, h, w)
        total = total + network(a, b).mean()
    return total


def check_images(spec: ImageSpec) -> None:
    """See that the network takes the images or their slices.

    Raises:
        UserError: if not.
    """
    if min(spec.shape) < LEAST or spec.channels not in (1, 3):
        shape = "x".join(map(str, spec.shape))
        raise UserError(
            f"perceptual_weight: the perceptual network takes 1 or 3 channels and sides of {LEAST} "
            f"at least; the images are {shape} with {spec.channels}. Set perceptual_weight=0"
        )


def _read(files: Sequence[str]) -> dict[str, Tensor]:
    """Return the weights by the names of SqueezeNet's and LPIPS's own files."""
    found: dict[str, Tensor] = {}
    for file in files:
        try:
            content = torch.load(Path(file).expanduser(), map_location="cpu", weights_only=True)
        except FileNotFoundError as error:
            raise UserError(f"perceptual_weights: there is no file {file}") from error
        except Exception as error:  # whatever torch's unpickler stumbles over
            raise UserError(f"perceptual_weights: {file} is no file of weights") from error
        if not isinstance(content, Mapping):
            raise UserError(f"perceptual_weights: {file} holds no state_dict")
        found |= {re.sub(r"^net\.slice\d+\.", "features.", str(k)): v for k, v in content.items()}
    wanted = _shapes()
    for name, shape in wanted.items():
        have = getattr(found.get(name), "shape", None)
        if have != shape:
            what = "is missing" if have is None else f"has the shape {tuple(have)}"
            raise UserError(
                f"perceptual_weights: {name} {what} in {', '.join(map(str, files))}, and should be "
                f"{tuple(shape)}. The files are {' and '.join(SOURCES)}"
            )
    return {name: found[name].detach().float() for name in wanted}


def _shapes() -> dict[str, torch.Size]:
    """Return the shape of every weight that is used."""
    shapes: dict[str, tuple[int, ...]] = {
        f"lin{i}.model.1.weight": (1, width, 1, 1) for i, width in enumerate(WIDTHS)
    }
    shapes |= {"features.0.weight": (64, 3, 3, 3), "features.0.bias": (64,)}
    before = 64
    for number, inner in SQUEEZED.items():
        wide = inner * 4  # channels of each of the two halves
        for name, shape in (
            ("squeeze", (inner, before, 1, 1)),
            ("expand1x1", (wide, inner, 1, 1)),
            ("expand3x3", (wide, inner, 3, 3)),
        ):
            shapes[f"features.{number}.{name}.weight"] = shape
            shapes[f"features.{number}.{name}.bias"] = shape[:1]
        before = 2 * wide
    return {name: torch.Size(shape) for name, shape in shapes.items()}
