"""Images that were sampled elsewhere, prepared as the run's are: a generator that comes trained."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, ClassVar, Literal

import numpy as np
import torch
from pydantic import Field, model_validator
from torch import Tensor

from memtk.data.config import DataConfig
from memtk.data.layouts import read_source
from memtk.data.readers import Readers
from memtk.data.sources import GRAY, is_color
from memtk.errors import UserError, many
from memtk.files import file_digest
from memtk.imaging.geometry import Geometry
from memtk.imaging.intensity import PercentileScaling, check_voxels
from memtk.interfaces import ComponentConfig, Generator, ImageSpec, Phase, Record
from memtk.noise import Noise
from memtk.registry import open_registry

AS_THE_DATA = ("shape", "spacing", "anti_aliasing", "orientation", "percentiles", "color")
"""Settings that are those of the data unless they are set."""


class PreparationConfig(ComponentConfig):
    """What is done to images in files: the same as to the run's images."""

    shape: tuple[int, ...] | None = Field(None, description="as data.shape")
    spacing: tuple[float, ...] | None = Field(None, description="as data.spacing")
    anti_aliasing: bool = Field(False, description="as data.anti_aliasing")
    orientation: Literal["keep", "ras"] = Field("keep", description="as data.orientation")
    percentiles: tuple[float, float] | None = Field(
        (0.5, 99.5), description="as data.percentiles; none: the images lie in [-1, 1] already"
    )
    color: Literal["refuse", "gray"] = Field("refuse", description="as data.color")

    def as_data(self, source: str) -> DataConfig:
        """Return these settings as those of data.

        Raises:
            ValidationError: for what the settings of data refuse.
        """
        same: dict[str, Any] = {key: getattr(self, key) for key in AS_THE_DATA}
        if self.percentiles is None:
            del same["percentiles"]
        return DataConfig.model_validate({"source": source, **same})


class Preparation:
    """Reads an image and makes it gray, scales, turns, resamples, crops or pads it as it is asked.

    Args:
        config: what is done.
        spec: shape of the run's images, which it must be then.
        name: of the generator, for messages.
        readers: of the files' formats.
    """

    def __init__(
        self, config: PreparationConfig, spec: ImageSpec, name: str, readers: Readers
    ) -> None:
        self._config, self._spec, self._name, self._readers = config, spec, name, readers
        self._geometry = Geometry(
            config.orientation, config.spacing, config.shape, config.anti_aliasing
        )

    def read(self, record: Record) -> Tensor:
        """Return an image, prepared: float32 (C, *S) in [-1, 1].

        Raises:
            UserError: if it cannot be used, naming it.
        """
        name = f"{record.path} ({record.item})" if record.item else str(record.path)
        volume = self._readers.read(record)
        check_voxels(volume.voxels, name)
        voxels = volume.voxels
        if is_color(voxels):
            if self._config.color == "refuse" and self._spec.channels != 3:
                raise UserError(
                    f"{name} is in colour: make it gray with --set {self._name}.color=gray"
                )
            if self._config.color == "gray":
                voxels = np.tensordot(GRAY, voxels.astype(np.float64), axes=1)[None]  # (1, H, W)
        scaled = self._scaled(voxels, name)
        made = self._geometry(replace(volume, voxels=scaled), name).voxels
        wanted = (self._spec.channels, *self._spec.shape)
        if made.shape != wanted:
            here, there = ("x".join(map(str, shape[1:])) for shape in (made.shape, wanted))
            shape = ",".join(map(str, self._spec.shape))
            raise UserError(
                f"{name} is {here} with {many(made.shape[0], 'channel')}; the run's images are "
                f"{there} with {wanted[0]}.\nIf they are cropped or padded, so must these be: "
                f"--set {self._name}.shape={shape}."
            )
        return torch.from_numpy(np.ascontiguousarray(made, dtype=np.float32))

    def _scaled(self, voxels: np.ndarray, name: str) -> np.ndarray:
        if self._config.percentiles is not None:
            return PercentileScaling(*self._config.percentiles)(voxels, name)
        low, high = float(voxels.min()), float(voxels.max())
        if low < -1 - 1e-6 or high > 1 + 1e-6:
            raise UserError(
                f"{name} has values from {low:g} to {high:g}, not in [-1, 1]: scale it, "
                f"e.g. --set {self._name}.percentiles=0.5,99.5"
            )
        return voxels.astype(np.float32)


class GivenImagesConfig(PreparationConfig):
    """Which images, and what is done to them: the same as to the run's images."""

    source: str = Field(
        ...,
        min_length=1,
        description="manifest, folder or file of the images; those that it marks synthetic, "
        "else all",
    )
    contents: str = Field("", description="hash of the images; memtk fills it in")

    @model_validator(mode="before")
    @classmethod
    def _look_at_the_files(cls, values: Any) -> Any:
        """Let a run know its images again, so that it is not gone on with on other ones."""
        if not isinstance(values, dict) or not isinstance(values.get("source"), str):
            return values
        found = contents_of(list_images(values["source"], Readers(open_registry())))
        if values.get("contents") not in (None, "", found):
            raise UserError(f"{values['source']}: these are not the images they were")
        return {**values, "contents": found}

    @model_validator(mode="after")
    def _as_data(self) -> GivenImagesConfig:
        """Refuse what the settings of the data refuse."""
        self.as_data(self.source)
        return self


class GivenImages(Generator):
    """Gives back images of a folder, a manifest or a file, each once: sample i is image i.

    They are read, made gray, scaled, turned, resampled and cropped or padded as the run's images
    are, and stand in the order of their manifest or of their names.

    Class attributes:
        as_the_data: settings that must be what those of the data are.
    """

    Config = GivenImagesConfig
    config: GivenImagesConfig
    as_the_data: ClassVar[tuple[str, ...]] = AS_THE_DATA

    def __init__(self, config: GivenImagesConfig, spec: ImageSpec) -> None:
        super().__init__(config, spec)
        readers = Readers(open_registry())
        self._records = list_images(config.source, readers)
        self._preparation = Preparation(config, spec, "images", readers)
        # The class cannot know how many images there are.
        self.most_samples = lambda images: len(self)  # type: ignore[method-assign]
        self.read(0)  # a wrong size is said before anything is trained

    def __len__(self) -> int:
        """Return how many images there are."""
        return len(self._records)

    def phases(self) -> tuple[Phase, ...]:
        """Return none: the images are there."""
        return ()

    def sample(self, noise: Noise) -> Tensor:
        """Return images (B, C, *S) in [-1, 1], by the indices of `noise`.

        Raises:
            UserError: if there are fewer images than samples, or one cannot be used, naming it.
        """
        asked = max(noise.indices, default=-1) + 1
        if asked > len(self):
            raise UserError(
                f"{self.config.source} holds {many(len(self), 'image')} and {asked} were asked, "
                f"each once.\nSay --samples {len(self)}."
            )
        rows = [self.read(index) for index in noise.indices]
        empty = torch.empty(0, self.spec.channels, *self.spec.shape)
        return (torch.stack(rows) if rows else empty).to(noise.device)

    def read(self, index: int) -> Tensor:
        """Return image `index`, prepared: float32 (C, *S) in [-1, 1].

        Raises:
            UserError: if it cannot be used, naming it.
        """
        return self._preparation.read(self._records[index])


def list_images(source: str, readers: Readers) -> tuple[Record, ...]:
    """Return the images of a source that are marked synthetic, else all.

    Raises:
        UserError: if there is no such source or no image in it.
    """
    config = DataConfig.model_validate({"source": source})
    rows = read_source(source, config, readers, patients=False).rows
    marked = [row for row in rows if row.split == "synthetic"]
    return tuple(row.record for row in marked or rows)


def contents_of(records: Sequence[Record]) -> str:
    """Return 32 characters that stand for the contents of the images' files, in their order.

    Raises:
        UserError: if a file cannot be read.
    """
    digest = hashlib.sha256()
    try:
        for record in records:
            folder = record.path.is_dir()
            for path in sorted(record.path.iterdir()) if folder else [record.path]:
                if path.is_file():
                    digest.update(f"{file_digest(path)} {record.item}\n".encode())
    except OSError as error:
        raise UserError(f"cannot read {error.filename}: {error.strerror}") from error
    return digest.hexdigest()[:32]
