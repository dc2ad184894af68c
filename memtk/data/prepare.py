"""Reads, checks and transforms the images of a run once, into a file that later runs open."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from memtk.atomic import replacing, require_space
from memtk.data.checks import Findings, check_splits
from memtk.data.config import DataConfig
from memtk.data.headers import Headers
from memtk.data.images import StoredImages, create_images
from memtk.data.sample import Sample
from memtk.data.sources import Source, is_color, open_source
from memtk.data.splits import SPLITS
from memtk.errors import UserError
from memtk.events import Event, Watch, ignore
from memtk.imaging.volumes import count_nonfinite, is_constant
from memtk.interfaces import ImageSpec, Volume
from memtk.registry import Registry

STAGE = "reading images"
FORMAT = 1
"""Version of the file's layout; a part of its name."""


class Dataset:
    """The prepared images of a run.

    Args:
        path: the file that `prepare` wrote.
        config: what was asked.

    Attributes:
        fingerprint: hash of the files' contents, the patients, the splits and the recipe.

    Raises:
        UserError: if the file is damaged, naming it.
    """

    def __init__(self, path: Path, config: DataConfig) -> None:
        self.path, self.config = path, config
        self.fingerprint = path.stem
        self._splits = {split: StoredImages(path, split) for split in SPLITS}
        with h5py.File(path, "r", locking=False) as file:
            self._recipe = json.loads(file.attrs["recipe"])

    @property
    def spec(self) -> ImageSpec:
        """Shape of each image."""
        return self._splits["training"].spec

    def split(self, name: str) -> StoredImages:
        """Return the images of "training", "validation" or "held_out" (which may be empty)."""
        return self._splits[name]

    def counts(self) -> dict[str, dict[str, int]]:
        """Return the numbers of images and of patients of each split."""
        return {
            name: {"images": len(images), "patients": len(set(images.patients))}
            for name, images in self._splits.items()
        }

    def recipe(self) -> dict[str, Any]:
        """Return what was done to the voxels. It names no file and no patient."""
        return dict(self._recipe)


def prepare(config: DataConfig, folder: Path, registry: Registry, watch: Watch = ignore) -> Dataset:
    """Prepare the images that `config` asks for, or open what an earlier call prepared.

    One image is in memory at a time. The file `folder/<key>.h5` is written whole or not at all;
    its name follows from the contents of the image files, the patients, the splits and the
    recipe, so a change of any makes a new file. A damaged file is made anew.

    Args:
        config: the source of the images, and what is done to them.
        folder: for prepared images; made if needed.
        registry: brings the readers.
        watch: told of the progress, and of what the user should know.

    Raises:
        UserError: for images or settings that make an audit meaningless: see `memtk.data.checks`
            and `memtk.data.manifest`. It names the files.
    """
    source = open_source(config, registry)
    for text in source.notes:
        watch(Event("note", STAGE, text=text))
    check_splits(source.samples)
    recipe = source.recipe()
    path = folder / f"{_key(source, recipe, folder, watch)}.h5"
    if path.exists():
        try:
            dataset = Dataset(path, config)
        except (UserError, OSError, KeyError, ValueError):
            watch(Event("note", STAGE, text=f"{path} is damaged: the images are read again"))
        else:
            watch(Event("skip", STAGE))
            return dataset
    for stale in folder.glob(f".{path.name}.*.tmp"):  # of a run that was killed
        stale.unlink(missing_ok=True)
    with replacing(path) as temporary:
        _build(temporary, source, recipe, watch)
    return Dataset(path, config)


def _key(source: Source, recipe: dict[str, object], folder: Path, watch: Watch) -> str:
    digest = hashlib.sha256(json.dumps([FORMAT, recipe], sort_keys=True).encode())
    contents = source.contents(folder, watch)
    for sample, content in zip(source.samples, contents, strict=True):
        digest.update(json.dumps([content, sample.patient, sample.split]).encode())
    return digest.hexdigest()[:32]


def _build(path: Path, source: Source, recipe: dict[str, object], watch: Watch) -> None:
    """Write every image, or raise one error about all that is wrong with them."""
    samples, findings, headers = source.samples, Findings(), Headers()
    watch(Event("start", STAGE, 0, len(samples)))
    with h5py.File(path, "w") as file:
        datasets: dict[str, h5py.Dataset] = {}
        filled: Counter[str] = Counter()
        for number, sample in enumerate(samples):
            made = _make(source, sample, findings, headers)
            if made is not None and len(findings.sizes) == 1:
                if not datasets:
                    datasets = _create(file, samples, made)
                datasets[sample.split][filled[sample.split]] = made.voxels
                filled[sample.split] += 1
            if (number + 1) % max(1, len(samples) // 200) == 0:
                watch(Event("step", STAGE, number + 1, len(samples)))
        errors = findings.errors(len(samples))
        if errors:
            raise UserError("\n".join(errors))
        for dataset in datasets.values():
            dataset.attrs["spacing"] = headers.spacing()
            dataset.attrs["complete"] = True
        file.attrs["recipe"] = json.dumps(recipe)
    watch(Event("end", STAGE, len(samples), len(samples)))
    for text in [*findings.notes(), *headers.notes(kept=recipe.get("orientation") == "as stored")]:
        watch(Event("note", STAGE, text=text))


def _make(source: Source, sample: Sample, findings: Findings, headers: Headers) -> Volume | None:
    """Read and transform one image; None if something is wrong with it, which is noted."""
    try:
        stored = source.load(sample)
    except UserError as error:
        findings.unreadable.append(str(error))
        return None
    if stored.voxels.ndim not in (3, 4) or 0 in stored.voxels.shape:
        findings.refused.append(f"{sample.name} has the shape {stored.voxels.shape}")
        return None
    bad = count_nonfinite(stored.voxels)
    if bad:
        findings.nonfinite.append(f"{sample.name} ({bad} of {stored.voxels.size})")
        return None
    if is_constant(stored.voxels):
        findings.blank.append(f"{sample.name} (all {stored.voxels.flat[0]:g})")
        return None
    try:
        made = source.transform(stored, sample.name)
    except UserError as error:
        findings.refused.append(str(error))
        return None
    if is_color(made):
        findings.color.append(sample.name)
        return None
    if is_constant(made.voxels):
        findings.blank.append(f"{sample.name} (after cropping)")
        return None
    headers.add(stored, made)
    voxels = np.ascontiguousarray(made.voxels, dtype=np.float32)
    findings.add_image(sample, voxels.shape, hashlib.sha256(voxels.tobytes()).digest())
    return made


def _create(file: h5py.File, samples: Sequence[Sample], first: Volume) -> dict[str, h5py.Dataset]:
    """Make the groups of the three splits, with the patients of each image."""
    spec = ImageSpec(first.voxels.shape[1:], first.voxels.shape[0])
    require_space(Path(file.filename), 4 * len(samples) * first.voxels.size)
    datasets = {}
    for split in SPLITS:
        patients = [sample.patient for sample in samples if sample.split == split]
        group = file.create_group(split)
        datasets[split] = create_images(group, len(patients), spec)
        group.create_dataset("patients", data=patients, dtype=h5py.string_dtype())
    return datasets
