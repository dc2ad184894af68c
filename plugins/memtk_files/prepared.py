"""Synthetic images in files, prepared as the run's images are."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Literal

import numpy as np
import torch
from pydantic import Field
from torch import Tensor

from memtk.data.config import DataConfig
from memtk.data.readers import Readers
from memtk.data.sources import GRAY, is_color
from memtk.errors import UserError
from memtk.imaging.geometry import Geometry
from memtk.imaging.intensity import PercentileScaling, check_voxels
from memtk.interfaces import ComponentConfig, ImageSpec, Record

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
                f"{name} is {here} with {made.shape[0]} channels; the run's images are {there} "
                f"with {wanted[0]}.\nIf they are cropped or padded, so must these be: "
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
