"""What can be set of the contrastive embedders, and presets of any size."""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar, Literal, Self

from pydantic import Field, field_validator, model_validator

from memtk.config import merge
from memtk.errors import UserError
from memtk.interfaces import ComponentConfig, PhaseSettings
from memtk_contrastive.files import contents_of


def trained_as_there(images: int, batch_size: int, epochs: int = 200) -> dict[str, Any]:
    """Return the reference's training settings for so many images: Adam, no clipping, float32.

    As many steps as there, where each epoch ends with a smaller batch. Here it ends with the last
    whole one, so that a few more epochs are begun. The rate falls along half a cosine to half of
    what it was: with each step here, with each epoch there.
    """
    return {
        "steps": epochs * -(-images // batch_size),
        "batch_size": batch_size,
        "schedule": "cosine",
        "floor": 0.5,
        "clip_norm": None,
        "precision": "float32",
    }


PAPER_MRNET: dict[str, Any] = {"training": trained_as_there(904, 10)}
"""904 volumes of 32x256x256 (D, H, W) in batches of 10, 200 epochs: 18 200 steps.

120.3 million parameters; the network is the default one. From the published code, for the paper
gives neither temperature nor batch size, rate or epochs: temperature 0.07 (the default of the loss
that it calls), Adam at 1e-4. The code makes an output layer besides that nothing uses; it is left
out. One view of a pair is the image itself, the other is rotated within 5 degrees about each axis
with probability 1/2 and then flipped along the last axis with probability 1/2. So a quarter of the
pairs are equal images. The paper's definition of a copy names changes of contrast too, but no such
change is trained on. Its equation of the loss lacks a logarithm; NT-Xent is what was run.

Where memtk differs: the code scales each volume by its own minimum and maximum and pads with 0,
which is mid-gray (`data.percentiles=0,100`, `data.shape=32,256,256`; memtk pads with the minimum).
Its dropout of 1/2 is drawn from the noise of the step here.
"""

PAPER_PCCTA: dict[str, Any] = {"training": trained_as_there(242, 10)}
"""242 volumes of 64x64x64 in batches of 10, 200 epochs: 5 000 steps. 7.56 million parameters.

The network follows from the code's constants for these volumes. How it was trained on them is not
in the code, which has no reader for them: taken as for MRNet.
"""

PAPER_XRAY: dict[str, Any] = {
    "network": "resnet50",
    "width": 64,
    "embedding": 128,
    "start": "imagenet",
    "training": trained_as_there(10_000, 64),
}
"""10 000 images of 512x512 in batches of 64, 200 epochs: 31 400 steps. 23.8 million parameters.

ResNet-50 (He et al., arXiv 1512.03385; with the stride in the second convolution of a block) whose
classifier is a layer of 128 outputs, the embedding. It starts from ImageNet's weights
(torchvision's IMAGENET1K_V1), all but the first convolution: that one is new, with one channel for
three, and its published weights are dropped, as the code does. `stem=imagenet` would add up its
colours. Images are taken in [0, 1]. Each of the two views is normalised by its own batch
statistics. The paper calls it the network of a patient re-identification, without its last layer;
the code takes over the design, not those weights. Temperature 0.07; rotation in the plane, and
flip, as in 3D; a change of contrast is in the code, switched off.

The data study of the paper trains it on 20 000 images: `training.steps=62600`. The last weights are
judged here. The code also keeps the ones with the lowest loss on 200 validation images; which were
used is not known.
"""

SMOKE: dict[str, Any] = {
    "width": 4,
    "stem_stride": 2,
    "learning_rate": 2e-3,
    "training": {"steps": 20, "batch_size": 8, "precision": "float32"},
}

DEMO: dict[str, Any] = {
    "width": 8,
    "stem_stride": 2,
    "learning_rate": 2e-3,
    "dropout": 0.0,  # half of the hidden layer is too much for a few hundred steps
    "temperature": 0.1,
    "augmentation": "strong",
    "training": {
        "steps": 220,
        "batch_size": 32,
        "schedule": "one-cycle",
        # Where channels are few, convolutions of volumes go backward faster in float32 on a CPU.
        "precision": "float32",
    },
}

AUDIT: dict[str, Any] = merge(
    DEMO,
    {
        "resolution": 48,
        # The more numbers, the less alike are strangers by chance.
        "embedding": 128,
        "mirror": True,
        "augmentation": "wide",
        "deformed": 0.6,
        # A constant rate and the average of the weights: good at any step, so that it may end.
        "training": {"steps": 240, "schedule": "constant", "ema_decay": 0.95, "enough": 0.99},
    },
)

PRESETS_3D: dict[str, dict[str, Any]] = {
    "smoke": SMOKE,
    "demo": DEMO,
    "audit": AUDIT,
    "paper-mrnet": PAPER_MRNET,
    "paper-pccta": PAPER_PCCTA,
    "paper": PAPER_MRNET,
}

PRESETS_2D: dict[str, dict[str, Any]] = {
    "smoke": SMOKE,
    "demo": merge(DEMO, {"training": {"steps": 300, "batch_size": 64}}),
    "audit": merge(AUDIT, {"resolution": 64, "training": {"steps": 800, "batch_size": 64}}),
    "paper-xray": PAPER_XRAY,
    "paper": PAPER_XRAY,
}


class ContrastiveConfig(ComponentConfig):
    """The reference method's 3D network, and its training on MRNet, by default."""

    FILES: ClassVar[tuple[str, ...]] = ("weights",)
    """Settings that name files."""

    resolution: int | None = Field(
        None,
        ge=8,
        description="longest axis in voxels; longer images are reduced first, each voxel the mean "
        "of those it covers; none: as they are",
    )
    width: int = Field(16, ge=1, description="channels at full resolution; doubles a level")
    bottleneck: int = Field(8, ge=1, description="channels at the bottom of the encoder")
    bottom: int = Field(
        4, ge=1, description="shortest side at the bottom of the encoder, in voxels"
    )
    stem_stride: int = Field(
        1, ge=1, description="stride of the first convolution; more skips full resolution"
    )
    groups: int = Field(32, ge=1, description="most groups of a group norm")
    hidden: int = Field(128, ge=1, description="width of the hidden layer of the head")
    embedding: int = Field(32, ge=2, description="width of the embedding")
    dropout: float = Field(0.5, ge=0, lt=1, description="share of the hidden layer dropped")
    temperature: float = Field(0.07, gt=0, description="of NT-Xent")
    augmentation: Literal["paper", "strong", "wide"] = Field(
        "paper",
        description="paper: one view unchanged, one turned and flipped; "
        "strong: both views turned, flipped, shifted, blurred, with noise and other contrast; "
        "wide: the same more often and further, in proportion to the image",
    )
    deformed: float = Field(
        0.0,
        ge=0,
        le=1,
        description="share of the images that are warped, before both views are made of them, into "
        "the image of somebody else; they teach more strangers than there are patients",
    )
    warp: float = Field(
        0.1, gt=0, lt=1, description="spread of those displacements, in halves of each axis"
    )
    mirror: bool = Field(
        False,
        description="embed an image and its mirror image along the last axis, and add the two unit "
        "vectors: a flip then changes nothing",
    )
    learning_rate: float = Field(1e-4, gt=0, description="of Adam")
    weights: str | None = Field(
        None,
        description="checkpoint of the reference's own code for this embedder, which then is not "
        "trained (for weights that memtk trained, there is `--weights` of `memtk audit`)",
    )
    contents: str = Field("", description="hash of the files named here; memtk fills it in")
    training: PhaseSettings = PhaseSettings.model_validate(PAPER_MRNET["training"])

    @field_validator("training")
    @classmethod
    def _has_others(cls, value: PhaseSettings) -> PhaseSettings:
        if value.batch_size < 2:
            raise ValueError("each image is told from others of its batch: batch_size=2 at least")
        return value

    @model_validator(mode="before")
    @classmethod
    def _look_at_the_files(cls, values: Any) -> Any:
        """Let a run know its files again, so that it is not gone on with with others."""
        if not isinstance(values, dict):
            return values
        named = [v for key in cls.FILES if isinstance(v := values.get(key), str)]
        found = contents_of([Path(name).expanduser() for name in named])
        if values.get("contents") not in (None, "", found):
            raise UserError(f"{' or '.join(named) or 'a file'} is not what it was: it has changed")
        return {**values, "contents": found}


class Contrastive2dConfig(ContrastiveConfig):
    """The same for 2D images, by the same encoder or by the reference method's ResNet-50."""

    FILES: ClassVar = ("weights", "imagenet")

    network: Literal["encoder", "resnet50"] = Field(
        "encoder",
        description="encoder: the 3D one in 2D; resnet50: ResNet-50, whose last layer gives the "
        "embedding (width=64 is the published one; bottleneck, bottom, stem_stride, groups, "
        "hidden and dropout are of the encoder alone)",
    )
    start: Literal["random", "imagenet"] = Field(
        "random", description="first weights of resnet50; imagenet: those in the file imagenet"
    )
    imagenet: str | None = Field(
        None, description="torchvision's file of ResNet-50's weights, .pth or .safetensors"
    )
    stem: Literal["fresh", "imagenet"] = Field(
        "fresh",
        description="first convolution with start=imagenet; fresh: random, as in the reference; "
        "imagenet: the file's, its three colours added up for gray images",
    )

    @model_validator(mode="after")
    def _belong_together(self) -> Self:
        fields = type(self).model_fields
        if self.start == "imagenet" and self.network == "encoder":
            raise UserError(
                "start=imagenet gives a ResNet-50 its first weights: set network=resnet50, or "
                "start=random"
            )
        if self.start == "random":
            for key in ("imagenet", "stem"):
                if getattr(self, key) != fields[key].default:
                    raise UserError(
                        f"{key} = {getattr(self, key)} is for weights of ImageNet: set "
                        "start=imagenet"
                    )
        return self
