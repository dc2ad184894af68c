"""Where images come from: files or phantoms. Each gives a list of samples and loads any of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar, Protocol

import numpy as np
from numpy.typing import DTypeLike

from memtk.data.arrays import held_in
from memtk.data.conditions import codes_of, conditions_of, described, say_what_they_are
from memtk.data.config import ARRAY, PHANTOMS, DataConfig
from memtk.data.file_names import below
from memtk.data.manifest import Row
from memtk.data.packed import PackedImage, contiguous, pack
from memtk.data.patients import SPLITS, said
from memtk.data.readers import Readers
from memtk.data.roles import assign_splits, check_strata, limited, list_sources, stratum_of
from memtk.errors import UserError
from memtk.events import Watch, ignore
from memtk.files import hash_files
from memtk.imaging.geometry import Geometry
from memtk.imaging.intensity import Palette, PercentileScaling, palette_of
from memtk.imaging.phantoms import LESIONS, VERSION, lesions, phantom
from memtk.interfaces import Condition, Record, Volume
from memtk.registry import Registry

CONTENTS = "contents.json"
"""What is remembered of the files' hashes, in the folder of prepared images."""

GRAY = (0.2126, 0.7152, 0.0722)
"""Weights of red, green and blue in a gray image (luminance, ITU-R BT.709)."""


@dataclass(frozen=True)
class Sample:
    """One image: what it is called, whose it is, in which split.

    Args:
        name: for messages.
        patient: whose it is; "synthetic <number>" for a synthetic image, which is nobody's.
        split: "training", "validation", "held_out" or "synthetic".
        record: where it lies; None for a phantom.
        number: a phantom's patient, and which `image` of that patient it is.
        stratum: the value of the column `data.stratify`; "" where there is none.
        conditions: the codes of the columns `data.condition`, (K,); () without, and for synthetic
            images that do not say what they were to be.
    """

    name: str
    patient: str
    split: str
    record: Record | None = None
    number: int = 0
    image: int = 0
    stratum: str = ""
    conditions: tuple[float, ...] = ()


class Source(Protocol):
    """Images that can be listed and loaded one by one.

    Attributes:
        samples: all images by group; those of a group in the order of the file that `prepare`
            writes.
        notes: sentences that the user should read.
        apart: whether each image can be read by another process, which asks for a file of its own.
        again: whether each image lies in a file, from which it can be read again by `Originals`.
        unnamed: groups of which nothing says whose the images are ("real" for all splits).
    """

    samples: tuple[Sample, ...]
    notes: tuple[str, ...]
    apart: bool
    again: bool
    unnamed: tuple[str, ...]

    def contents(self, folder: Path, watch: Watch = ignore) -> Sequence[str]:
        """Return for each sample a text that changes when its image does."""
        ...

    def load(self, sample: Sample) -> Volume:
        """Read one image as it is stored."""
        ...

    def transform(self, volume: Volume, name: str, palette: Palette | None = None) -> PackedImage:
        """Make the image (C, *S) in [-1, 1] out of it.

        Args:
            palette: of its voxels, where it is known.
        """
        ...

    def recipe(self) -> dict[str, object]:
        """Return what is done to the voxels, for the result."""
        ...


class Transform:
    """What is done to the voxels of an image in a file, as `SETTINGS` of the data say."""

    SETTINGS: ClassVar = {
        *("color", "percentiles", "orientation"),
        *("spacing", "shape", "anti_aliasing"),
    }

    def __init__(self, config: DataConfig) -> None:
        self._color = config.color
        self._scaling = PercentileScaling(*config.percentiles)
        self._geometry = Geometry(
            config.orientation, config.spacing, config.shape, config.anti_aliasing
        )

    def __call__(self, volume: Volume, name: str, palette: Palette | None = None) -> PackedImage:
        """Make it gray if asked, scale it, then turn, resample, crop or pad it if asked."""
        voxels = volume.voxels
        if self._color == "gray" and is_color(voxels):
            voxels = np.tensordot(GRAY, voxels.astype(np.float64), axes=1)[None]  # (1, H, W)
            palette = None
        palette = palette_of(voxels) if palette is None else palette
        scaled, codes = self._scaling.scaled(palette, name), palette.codes
        if codes is None or self._geometry.resamples:
            scaled = scaled if codes is None else scaled[codes]
            made = self._geometry(replace(volume, voxels=scaled), name)
            return PackedImage(_contiguous(made.voxels, np.float32), None, made.spacing)
        if not self._geometry.changes:
            return pack(codes, scaled, volume.spacing, palette.counts)
        # Turned, cropped and padded are the numbers of the values, which ascend: what is padded
        # with is the least of both.
        made = self._geometry(replace(volume, voxels=contiguous(codes)), name)
        return pack(_contiguous(made.voxels, codes.dtype), scaled, made.spacing)

    def recipe(self) -> dict[str, object]:
        """Return it for the result, but for the colours."""
        return {"intensity": self._scaling.recipe(), **self._geometry.recipe()}


class FileSource:
    """Images in files, and in memory."""

    def __init__(self, config: DataConfig, registry: Registry) -> None:
        self._config = config
        self._readers = Readers(registry)
        listing = list_sources(config, self._readers)
        rows, notes = assign_splits(listing.rows, config)
        rows, left = limited(rows, config)
        if config.stratify:
            check_strata(rows, config.stratify)
        self._conditions = conditions_of(rows, config.condition)
        synthetic = [row for row in rows if row.split == "synthetic"]
        untold = set() if say_what_they_are(synthetic, config.condition) else {"synthetic"}
        self.samples = tuple(
            replace(
                _sample(row, listing.root, config),
                conditions=()
                if row.split in untold
                else codes_of(row, config.condition, self._conditions),
            )
            for row in rows
        )
        self.notes = (*listing.notes, *notes, *left)
        self.unnamed = listing.unnamed
        paths = {str(row.record.path) for row in rows}
        self.again = not any(p.startswith(ARRAY) for p in paths)
        self.apart = len(paths) == len(rows) and self.again
        self.transform = Transform(config)

    def contents(self, folder: Path, watch: Watch = ignore) -> Sequence[str]:
        """Return the SHA-256 of each sample's file, and which image of the file it is."""
        records = [_record(sample) for sample in self.samples]
        held = {path: held_in(self._config, str(path)) for path in {r.path for r in records}}
        paths = [path for path in dict.fromkeys(r.path for r in records) if held[path] is None]
        hashes = hash_files(paths, folder / CONTENTS, watch)
        return [
            images.contents[int(r.item)]
            if (images := held[r.path])
            else f"{hashes[r.path]} {r.item}"
            for r in records
        ]

    def load(self, sample: Sample) -> Volume:
        """Read one image as it is stored."""
        record = _record(sample)
        if held := held_in(self._config, str(record.path)):
            return held.volume(int(record.item))
        return self._readers.read(record)

    def __getstate__(self) -> dict[str, Any]:
        """Leave the list of images out: who loads one in another process is told which."""
        return self.__dict__ | {"samples": ()}

    def recipe(self) -> dict[str, object]:
        """Return what is done to the voxels, in order."""
        used = {record.path: self._readers.find(record.path)[0] for record in self._one_a_format()}
        color = {"refuse": "no colour images", "gray": {"to_gray": list(GRAY)}}
        return {
            "patients": _whose(self.unnamed),
            **({"stratify": self._config.stratify} if self._config.stratify else {}),
            **({"conditions": described(self._conditions)} if self._conditions else {}),
            "order": ["readers", "color", "intensity", "orientation", "spacing", "shape"],
            "readers": {
                f"{entry.plugin.name}/{entry.name}": entry.component.summary
                for entry in sorted(used.values(), key=lambda e: e.name)
            },
            "color": color[self._config.color],
            **self.transform.recipe(),
        }

    def _one_a_format(self) -> list[Record]:
        records = [_record(sample) for sample in self.samples]
        records = [r for r in records if not held_in(self._config, str(r.path))]
        formats = {(r.path.suffix.lower(), not r.item and r.path.is_dir()): r for r in records}
        return list(formats.values())


class PhantomSource:
    """Images that are made: the patients of the three splits never share a number."""

    def __init__(self, config: DataConfig) -> None:
        for group in config.sources_beside():
            raise UserError(
                f"data.{group}_source is for images in files; data.source = {config.source} makes "
                "all its splits: leave it out"
            )
        if config.stratify:
            raise UserError(
                f"data.stratify = {config.stratify} is a column of a manifest, and phantoms have "
                "none: leave it out"
            )
        asked = {"shape": config.shape, "spacing": config.spacing}
        for key, value in asked.items():
            if value is not None:
                raise UserError(
                    f"data.{key} is for images in files; phantoms are made as they are wanted: "
                    "--set data.phantom.size=48"
                )
        self._phantom, self._dims = config.phantom, PHANTOMS[config.source]
        if set(config.condition) - {"lesions"}:
            raise UserError(
                f"data.condition = {', '.join(config.condition)} is for images in a manifest; "
                "phantoms have the condition lesions (1 to 3 of them)"
            )
        counts = tuple(str(n + 1) for n in range(LESIONS))
        self._conditions = (Condition("lesions", counts),) if config.condition else ()
        samples = []
        for place, split in enumerate(SPLITS):
            for i in range(getattr(config.phantom, split)):
                number = (
                    place * 1_000_000 + i
                )  # a larger training set leaves the others as they are
                told = self._told(number)
                for image in range(config.phantom.images_per_patient):
                    name = f"phantom {number} image {image}"
                    sample = Sample(name, f"{number:07d}", split, None, number, image)
                    samples.append(replace(sample, conditions=told))
        self.samples = tuple(samples)
        self.notes: tuple[str, ...] = ()
        self.apart, self.again = True, False
        self.unnamed: tuple[str, ...] = ()

    def _told(self, number: int) -> tuple[float, ...]:
        """Return the codes of a phantom's conditions, (K,)."""
        if not self._conditions:
            return ()
        count = lesions(self._phantom.seed, number, dims=self._dims)
        return (self._conditions[0].code(str(count)),)

    def contents(self, folder: Path, watch: Watch = ignore) -> Sequence[str]:
        """Return the number of each sample; seed and size are in the recipe."""
        return [f"{sample.number} {sample.image}" for sample in self.samples]

    def load(self, sample: Sample) -> Volume:
        """Make one image."""
        size = self._phantom.size
        voxels = phantom(
            self._phantom.seed, sample.number, sample.image, dims=self._dims, size=size
        )
        return Volume(voxels, (1.0,) * self._dims)

    def transform(self, volume: Volume, name: str, palette: Palette | None = None) -> PackedImage:
        """Return the image as it is."""
        return PackedImage(_contiguous(volume.voxels, np.float32), None, volume.spacing)

    def recipe(self) -> dict[str, object]:
        """Return how the phantoms are made."""
        return {
            "phantom": VERSION,
            "dims": self._dims,
            "size": self._phantom.size,
            "seed": self._phantom.seed,
            **({"conditions": described(self._conditions)} if self._conditions else {}),
            "intensity": {"method": "as made", "range": [-1.0, 1.0]},
        }


def open_source(config: DataConfig, registry: Registry) -> Source:
    """List the images that `config` asks for.

    Raises:
        UserError: for what `read_source` refuses, and for settings that phantoms do not have.
    """
    return PhantomSource(config) if config.is_phantom else FileSource(config, registry)


def is_color(voxels: np.ndarray) -> bool:
    """Tell whether an image is a colour picture: (3, H, W)."""
    return voxels.ndim == 3 and voxels.shape[0] == 3


def _contiguous(voxels: np.ndarray, dtype: DTypeLike) -> np.ndarray:
    return np.ascontiguousarray(voxels, dtype)


def _sample(row: Row, root: Path, config: DataConfig) -> Sample:
    stratum = stratum_of(row, config.stratify)
    if held := held_in(config, str(row.record.path)):
        name = f"{held.name}[{int(row.record.item)}]"
        return Sample(name, row.patient, row.split, row.record, stratum=stratum)
    path, top = row.record.path.absolute(), root.absolute()
    name = below(path, top) if len(top.parts) > 1 else str(path)
    name = str(row.record.path) if name == str(path) else name
    name = f"{name} ({row.record.item})" if row.record.item else name
    return Sample(name, row.patient, row.split, row.record, stratum=stratum)


def _whose(unnamed: Sequence[str]) -> str:
    if not unnamed:
        return "as named"
    of = "" if "real" in unnamed else f" of the {' and '.join(map(said, unnamed))} images"
    return f"unknown{of}: each image counts as one"


def _record(sample: Sample) -> Record:
    if sample.record is None:
        raise ValueError(f"{sample.name} lies in no file")
    return sample.record
