"""What can be set of the contrastive embedders."""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar, Literal, Self

from pydantic import Field, model_validator

from memtk.errors import UserError
from memtk.interfaces import ComponentConfig, PhaseSettings
from memtk_contrastive.files import contents_of
from memtk_contrastive.presets import PAPER_MRNET


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
