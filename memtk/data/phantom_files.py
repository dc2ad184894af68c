"""Writes phantoms as files: images with a manifest, or an audit whose copies are known."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from memtk.data.config import PHANTOMS, PhantomConfig
from memtk.errors import UserError
from memtk.events import Event, Watch, ignore
from memtk.files import explain, replacing, write_text
from memtk.folders import making
from memtk.imaging.augmentation import mixed
from memtk.imaging.phantoms import phantom
from memtk.noise import Noise, derive

FORMATS = {"phantom2d": ("png", "npz"), "phantom3d": ("nifti", "npz")}
"""Formats of each, the first the usual one. PNG has 256 gray levels; the others keep float32."""

_WORDS = {"training": "train", "validation": "val", "held_out": "test"}
SUFFIX = {"png": ".png", "nifti": ".nii.gz"}
"""Ending of a file that holds one image."""
_FIRST = {"training": 0, "validation": 1_000_000, "held_out": 2_000_000, "synthetic": 3_000_000}
"""Number of the first patient of each group: those of `data.source = phantom3d`, so that the files
hold the very images of the embedded suites."""

TRUTH = "truth.csv"
"""What is so: `path`, `copy_of` (the training image, "" for none)."""


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
    with making(folder) as made:
        table = _write_phantoms(name, made, config, file_format, watch)
    return folder / table.name


def _write_phantoms(
    name: str, folder: Path, config: PhantomConfig, file_format: str, watch: Watch
) -> Path:
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


def write_audit(
    name: str,
    folder: Path,
    config: PhantomConfig,
    *,
    copies: float,
    file_format: str | None = None,
    watch: Watch = ignore,
) -> Path:
    """Write `train/`, `validation/`, `synthetic/`, the first two with a manifest, and `truth.csv`.

    There are as many synthetic images as training images. A share `copies` of them are training
    images of as many different patients, each changed as `memtk.imaging.augmentation.mixed` does
    (turned, mirrored, blurred, ...); the others are of patients who are in neither of the other two
    folders, as a generator that memorizes nothing would make them. Their order is drawn at random.

    Args:
        name: "phantom2d" or "phantom3d".
        folder: new or empty.
        config: sizes; its `training` and `validation` patients, and no held-out ones.
        copies: in [0, 1].
        file_format: "png" or "nifti"; none: the usual one.
        watch: told of the progress.

    Raises:
        UserError: for a folder that is not empty or cannot be written, or sizes that make no sense.
    """
    file_format = check_format(name, file_format)
    if file_format not in SUFFIX:
        raise UserError(f"an audit is written in folders of single files, not as {file_format}")
    if not config.training or not config.validation:
        raise UserError("an audit needs --training and --validation patients")
    with making(folder) as made:
        truth = _write_audit(name, made, config, copies, SUFFIX[file_format], watch)
    return folder / truth.name


def _write_audit(
    name: str, folder: Path, config: PhantomConfig, copies: float, suffix: str, watch: Watch
) -> Path:
    for split, word in (("training", "train"), ("validation", "validation")):
        images = listed(config, split, getattr(config, split))
        word_there = "train" if split == "training" else "val"
        rows = [(f"{one.name}{suffix}", one.patient, word_there) for one in images]
        paths = [folder / word / row[0] for row in rows]
        write_each(paths, drawn(name, config, images), watch, f"writing {word}/")
        write_table(folder / word / "manifest.csv", ("path", "patient_id", "split"), rows)
    training = listed(config, "training", config.training)
    sources = _sources(config, training, copies)
    names = [f"synthetic_{n:05d}{suffix}" for n in range(len(sources))]
    made = _synthetic(name, config, sources)
    write_each([folder / "synthetic" / n for n in names], made, watch, "writing synthetic/")
    truth = [
        (f"synthetic/{n}", f"train/{one.name}{suffix}" if one else "")
        for n, one in zip(names, sources, strict=True)
    ]
    return write_table(folder / TRUTH, ("path", "copy_of"), truth)


def check_format(name: str, file_format: str | None) -> str:
    """Return the format, the usual one for None.

    Raises:
        UserError: for one that this source cannot be written in.
    """
    formats = FORMATS[name]
    if file_format is not None and file_format not in formats:
        raise UserError(f"{name} is written as {' or '.join(formats)}, not as {file_format}")
    return file_format or formats[0]


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
        with explain(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            if path.suffix == ".png":
                _write_png(path, image)
            else:
                _write_nifti(path, image)
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


def _sources(config: PhantomConfig, training: list[Made], copies: float) -> list[Made | None]:
    """Return what each synthetic image is a copy of, None for those that copy nobody."""
    rng = np.random.default_rng(derive(config.seed, "demo audit"))
    firsts = [one for one in training if one.image == 0]
    count = min(round(copies * len(training)), len(firsts))
    chosen = rng.permutation(len(firsts))[:count]
    sources: list[Made | None] = [firsts[i] for i in chosen]
    sources += [None] * (len(training) - count)
    return [sources[i] for i in rng.permutation(len(sources))]


def _synthetic(
    name: str, config: PhantomConfig, sources: list[Made | None]
) -> Iterator[np.ndarray]:
    """Make the synthetic images one by one: float32 (*S)."""
    strangers = iter(listed(config, "synthetic", len(sources)))
    noise = derive(config.seed, "demo audit", "changes")
    for row, source in enumerate(sources):
        if source is None:
            [image] = drawn(name, config, [next(strangers)])
            yield image
            continue
        [image] = drawn(name, config, [source])
        x = torch.from_numpy(image)[None, None]  # (1, 1, *S)
        yield mixed(x, Noise(noise, range(row, row + 1)))[0, 0].numpy()
