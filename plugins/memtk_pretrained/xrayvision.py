"""TorchXRayVision's DenseNet-121 as an embedder of chest X-rays."""

from __future__ import annotations

import re
from pathlib import Path
from typing import ClassVar

import torch.nn.functional as F
from monai.networks.nets import DenseNet121
from torch import Tensor

from memtk.errors import UserError
from memtk.interfaces import Embedder, ImageSpec, Phase
from memtk_pretrained.weights import PretrainedConfig, fill, read_weights

SIDE = 224
"""Side of the images that the network was trained on, in pixels."""

RANGE = 1024.0
"""They had values in [-1024, 1024]."""

FEATURES = 1024


class XrayVisionConfig(PretrainedConfig):
    """The published weights differ in what they were trained on; any of them will do."""

    component: ClassVar[str] = "xrayvision2d"
    fetch: ClassVar[str] = (
        "https://github.com/mlmed/torchxrayvision/releases/download/v1/nih-pc-chex-mimic_ch-google-"
        "openi-kaggle-densenet121-d121-tw-lr001-rot45-tr15-sc15-seed0-best.pt"
    )


class XrayVision(Embedder):
    """Means over the image of the last features of DenseNet-121: D = 1024, none negative.

    Cohen et al., arXiv 2111.00595: trained to name findings in public chest X-rays (NIH
    ChestX-ray14, PadChest, CheXpert, MIMIC-CXR and others, by the file). Images of these sets it
    has seen: to judge a generator that was trained on them take a file that was trained on others,
    since it must have seen neither side of a comparison.

    Images in [-1, 1] are taken to [-1024, 1024], cropped to the square in their middle, and resized
    to 224x224 (bilinear, with smoothing where they shrink), as its own loaders do; one channel.

    The published files are whole pickled modules. Their tensors are read by name, without running
    anything in the file; torchxrayvision need not be installed. A state_dict does as well.
    """

    Config = XrayVisionConfig
    config: XrayVisionConfig
    width = FEATURES

    def __init__(self, config: XrayVisionConfig, spec: ImageSpec) -> None:
        super().__init__(config, spec)
        if spec.channels != 1:
            raise UserError(
                f"xrayvision2d takes images of one channel; the images have {spec.channels}. "
                "Make them gray with --set data.color=gray"
            )
        path = Path(config.weights).expanduser()
        weights = {inner(name): value for name, value in read_weights(path).items()}
        # The classifier differs by what a file was trained on, and is not used.
        self.features = DenseNet121(spatial_dims=2, in_channels=1, out_channels=1).features
        own = {n.removeprefix("features."): v for n, v in weights.items() if "features." in n}
        if not own:
            raise UserError(
                f"{path} holds no weights of TorchXRayVision's DenseNet: features.conv0.weight is "
                f"expected, and it has {', '.join(list(weights)[:3])}, ...\nFetch "
                f"{XrayVisionConfig.fetch}"
            )
        fill(self.features, own, path, "the features of DenseNet-121")

    def phases(self) -> tuple[Phase, ...]:
        """Return none: it comes trained."""
        return ()

    def embed(self, x: Tensor) -> Tensor:
        """Map images (B, 1, H, W) in [-1, 1] to features (B, 1024)."""
        x = F.interpolate(square(x), (SIDE, SIDE), mode="bilinear", antialias=True)
        return self.features(x * RANGE).relu().mean((2, 3))


def square(x: Tensor) -> Tensor:
    """Return the square in the middle of images (B, C, H, W).

    >>> import torch
    >>> square(torch.arange(8.0).reshape(1, 1, 2, 4)).tolist()
    [[[[1.0, 2.0], [5.0, 6.0]]]]
    """
    height, width = x.shape[2:]
    side = min(height, width)
    top, left = (height - side) // 2, (width - side) // 2
    return x[:, :, top : top + side, left : left + side]


def inner(name: str) -> str:
    """Return MONAI's name of a published weight: it keeps a dense layer's parts one level deeper.

    >>> inner("features.denseblock1.denselayer2.conv1.weight")
    'features.denseblock1.denselayer2.layers.conv1.weight'
    """
    return re.sub(r"(denselayer\d+)\.(norm|conv)([12])\.", r"\1.layers.\2\3.", name)
