"""Writes the folders of an audit whose truth is known: which synthetic images are copies."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch

from memtk.data.config import PhantomConfig
from memtk.data.phantom_files import (
    SUFFIX,
    Made,
    check_format,
    drawn,
    listed,
    open_empty,
    write_each,
    write_table,
)
from memtk.errors import UserError
from memtk.events import Watch, ignore
from memtk.imaging.planted import mixed
from memtk.noise import Noise, derive

TRUTH = "truth.csv"
"""What is so: `path`, `copy_of` (the training image, "" for none)."""


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
    images of as many different patients, each changed as `memtk.imaging.planted.mixed` does
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
    suffix = SUFFIX[file_format]
    open_empty(folder)
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
