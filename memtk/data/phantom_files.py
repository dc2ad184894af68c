"""Writes phantoms as files with a manifest, so that what needs files can be tried offline."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from memtk.data.config import PHANTOMS, PhantomConfig
from memtk.errors import UserError
from memtk.events import Event, Watch, ignore
from memtk.files import explain, replacing, write_text
from memtk.imaging.phantoms import phantom

FORMATS = {"phantom2d": ("png", "npz"), "phantom3d": ("nifti", "npz")}
"""Formats of each, the first the usual one. PNG has 256 gray levels; the others keep float32."""

_WORDS = {"training": "train", "validation": "val", "held_out": "test"}
SUFFIX = {"png": ".png", "nifti": ".nii.gz"}
"""Ending of a file that holds one image."""
_FIRST = {"training": 0, "validation": 1_000_000, "held_out": 2_000_000, "synthetic": 3_000_000}
"""Number of the first patient of each group: those of `data.source = phantom3d`, so that the files
hold the very images of the embedded suites."""


@dataclass(frozen=True)
class Made:
    """One image that is to be written.

    Args:
        name: of its file, without a suffix.
        patient: whose it is.
        split: of the image.
        number: the phantom's number, and which `image` of it.
    """

    name: str
    patient: str
    split: str
    number: int
    image: int


def listed(config: PhantomConfig, split: str, count: int) -> list[Made]:
    """Return the images of `count` patients of a split ("synthetic": of patients of nobody's)."""
    return [
        Made(f"P{number:07d}_{image}", f"P{number:07d}", split, number, image)
        for number in range(_FIRST[split], _FIRST[split] + count)
        for image in range(config.images_per_patient)
    ]


def write_phantoms(
    name: str,
    folder: Path,
    config: PhantomConfig,
    *,
    file_format: str | None = None,
    watch: Watch = ignore,
) -> Path:
    """Write `images/` and `manifest.csv` (or `images.npz` and `manifest.csv`); return the manifest.

    Args:
        name: "phantom2d" or "phantom3d".
        folder: new or empty.
        config: how many, how large, from which seed.
        file_format: of `FORMATS`; none: the usual one.
        watch: told of the progress.

    Raises:
        UserError: for an unknown format, or a folder that is not empty or cannot be written.
    """
    file_format = check_format(name, file_format)
    open_empty(folder)
    parts = [listed(config, split, getattr(config, split)) for split in _WORDS]
    images = [one for part in parts for one in part]
    if not images:
        raise UserError("no images are asked for: give some --training patients")
    voxels = drawn(name, config, images)
    if file_format == "npz":
        paths = [("images.npz", f"images/{n}") for n in range(len(images))]
        write_stack(folder / "images.npz", voxels, len(images), watch)
    else:
        paths = [(f"images/{one.name}{SUFFIX[file_format]}", "") for one in images]
        write_each([folder / path for path, _ in paths], voxels, watch)
    rows = [
        (path, *([item] if item else []), one.patient, _WORDS[one.split])
        for (path, item), one in zip(paths, images, strict=True)
    ]
    columns = ("path", *(["item"] if file_format == "npz" else []), "patient_id", "split")
    return write_table(folder / "manifest.csv", columns, rows)


def check_format(name: str, file_format: str | None) -> str:
    """Return the format, the usual one for None.

    Raises:
        UserError: for one that this source cannot be written in.
    """
    formats = FORMATS[name]
    if file_format is not None and file_format not in formats:
        raise UserError(f"{name} is written as {' or '.join(formats)}, not as {file_format}")
    return file_format or formats[0]


def open_empty(folder: Path) -> None:
    """Make a folder, or find it empty.

    Raises:
        UserError: if something is in it, or it cannot be made.
    """
    with explain(folder):
        folder.mkdir(parents=True, exist_ok=True)
    there = next((path.name for path in folder.iterdir()), None)
    if there is not None:
        raise UserError(f"{folder} is not empty ({there} is in it): name a new folder")


def drawn(name: str, config: PhantomConfig, images: Sequence[Made]) -> Iterator[np.ndarray]:
    """Make images one by one: float32 (*S) in [-1, 1]."""
    for one in images:
        yield phantom(config.seed, one.number, one.image, dims=PHANTOMS[name], size=config.size)[0]


def write_each(
    paths: Sequence[Path], voxels: Iterable[np.ndarray], watch: Watch, stage: str = "writing images"
) -> None:
    """Write images (*S) in [-1, 1] to one file each: PNG (8 bit) or NIfTI (float32, 1 mm)."""
    watch(Event("start", stage, 0, len(paths)))
    for number, (path, image) in enumerate(zip(paths, voxels, strict=True), 1):
        with replacing(path) as temporary:
            if path.suffix == ".png":
                _write_png(temporary, image)
            else:
                _write_nifti(temporary, image)
        watch(Event("step", stage, number, len(paths)))
    watch(Event("end", stage, len(paths), len(paths)))


def write_stack(path: Path, voxels: Iterable[np.ndarray], count: int, watch: Watch) -> None:
    """Write images (*S) as one array `images` (N, *S) of an .npz file."""
    stage = f"writing {path.name}"
    watch(Event("start", stage, 0, count))
    stack = np.stack(list(voxels)).astype(np.float32)  # (N, *S)
    with replacing(path) as temporary, open(temporary, "wb") as file:
        np.savez_compressed(file, images=stack)
    watch(Event("end", stage, count, count))


def write_table(path: Path, columns: Sequence[str], rows: Iterable[Sequence[object]]) -> Path:
    """Write a CSV, whole or not at all; return its path."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows(rows)
    write_text(path, text.getvalue())
    return path


def _write_png(path: Path, image: np.ndarray) -> None:
    import imageio.v3 as imageio

    gray = np.round((image + 1) * 127.5).clip(0, 255).astype(np.uint8)
    imageio.imwrite(path, gray, extension=".png")


def _write_nifti(path: Path, image: np.ndarray) -> None:
    import gzip

    import nibabel

    data = nibabel.Nifti1Image(image.astype(np.float32), np.eye(4)).to_bytes()
    with open(path, "wb") as file, gzip.GzipFile("", "wb", fileobj=file, mtime=0) as packed:
        packed.write(data)
