"""MedicalNet's residual networks as an embedder of volumes."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import ClassVar

from monai.networks.nets import ResNet
from torch import Tensor, nn

from memtk.errors import UserError
from memtk.interfaces import Embedder, ImageSpec, Phase
from memtk_pretrained.weights import PretrainedConfig, fill, read_weights

DILATION = {"layer3": 2, "layer4": 4}
"""MedicalNet widens the kernels of these layers where other residual networks halve the volume."""


class MedicalNetConfig(PretrainedConfig):
    """The file decides on the depth: ResNet-10, -18, -34, -50 or deeper."""

    component: ClassVar[str] = "medicalnet3d"
    fetch: ClassVar[str] = (
        "https://huggingface.co/TencentMedicalNet/MedicalNet-Resnet10/resolve/main/"
        "resnet_10_23dataset.pth (or resnet_18, _34, _50 of MedicalNet-Resnet18, ...)"
    )


class MedicalNet(Embedder):
    """Means over the volume of the last layer's features: D = 512, or 2048 from ResNet-50 on.

    Chen et al., Med3D, arXiv 1904.00625: trained to segment scans of 23 public sets, CT and MRI of
    brain, heart, lung, liver and more. It has seen none of your patients unless they are in these
    sets, so that it serves the copies and the exposure alike. The volumes are scaled to mean 0 and
    variance 1 each, as MONAI's perceptual loss does for these weights; one channel. Features come
    after a ReLU: none is negative.

    The layers are MONAI's `ResNet`, with the strides and dilations of the published network: the
    first convolution halves the volume, and layers 3 and 4 widen their kernels instead of halving
    it again, so that 1/8 of each axis is left.

    The file holds `{"state_dict": {"module.conv1.weight": ...}}`; it is read without running
    anything in it.
    """

    Config = MedicalNetConfig
    config: MedicalNetConfig

    def __init__(self, config: MedicalNetConfig, spec: ImageSpec) -> None:
        super().__init__(config, spec)
        if spec.channels != 1:
            raise UserError(
                f"medicalnet3d takes volumes of one channel; the images have {spec.channels}"
            )
        path = Path(config.weights).expanduser()
        weights = read_weights(path)
        self.network = build(weights, path)
        fill(self.network, weights, path, "MedicalNet's ResNet")
        self.width = len(weights["layer4.0.conv1.weight"]) * expansion(weights)

    def phases(self) -> tuple[Phase, ...]:
        """Return none: it comes trained."""
        return ()

    def embed(self, x: Tensor) -> Tensor:
        """Map volumes (B, 1, *S) in [-1, 1] to features (B, D)."""
        rows = x.flatten(1)
        mean = rows.mean(1).reshape(-1, 1, 1, 1, 1)
        spread = rows.std(1).reshape(-1, 1, 1, 1, 1)
        return self.network((x - mean) / spread.clamp_min(1e-6))


def build(weights: Mapping[str, Tensor], path: Path) -> ResNet:
    """Return the network that the weights are of.

    Raises:
        UserError: if they are of no MedicalNet.
    """
    blocks = [_count(weights, f"layer{i}") for i in range(1, 5)]
    if 0 in blocks or "conv1.weight" not in weights:
        raise UserError(
            f"{path} holds no weights of MedicalNet: layer1 to layer4 of a ResNet are expected, "
            f"and it has {', '.join(list(weights)[:3])}, ...\nFetch {MedicalNetConfig.fetch}"
        )
    network = ResNet(
        block="bottleneck" if expansion(weights) == 4 else "basic",
        layers=blocks,
        block_inplanes=[len(weights[f"layer{i}.0.conv1.weight"]) for i in range(1, 5)],
        spatial_dims=3,
        n_input_channels=1,
        conv1_t_stride=2,
        shortcut_type="B" if "layer2.0.downsample.0.weight" in weights else "A",
        bias_downsample="layer2.0.downsample.0.bias" in weights,
        feed_forward=False,
    )
    for name, dilation in DILATION.items():
        _widen(getattr(network, name), dilation)
    return network


def expansion(weights: Mapping[str, Tensor]) -> int:
    """Return by how much a block widens its channels: 4 for a bottleneck, 1 for a basic one."""
    return 4 if "layer1.0.conv3.weight" in weights else 1


def _count(weights: Mapping[str, Tensor], layer: str) -> int:
    numbers = [re.match(rf"{layer}\.(\d+)\.conv1\.weight$", name) for name in weights]
    return sum(number is not None for number in numbers)


def _widen(layer: nn.Module, dilation: int) -> None:
    """Let a layer keep the size of the volume, and look further."""
    for module in layer.modules():
        if isinstance(module, nn.Conv3d):
            module.stride = (1, 1, 1)
            if module.kernel_size == (3, 3, 3):
                module.dilation = module.padding = (dilation,) * 3
        shortcut = getattr(module, "downsample", None)
        if isinstance(shortcut, partial):  # type A: no weights, channels of zeros
            same = partial(shortcut.func, **{**shortcut.keywords, "stride": 1})
            setattr(module, "downsample", same)  # noqa: B010  (a module's attribute, no parameter)
