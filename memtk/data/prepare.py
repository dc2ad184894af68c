"""Reads, checks and transforms the images of a run once, into a file that later runs open."""

from __future__ import annotations

import hashlib
import json
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from memtk.data.checks.examination import STAGE, Examination, Reduction
from memtk.data.checks.findings import refuse
from memtk.data.checks.patients import check_splits
from memtk.data.conditions import from_description
from memtk.data.config import DataConfig
from memtk.data.image_files import create_images, open_prepared
from memtk.data.images import StoredImages
from memtk.data.originals import note_originals
from memtk.data.packed import PackedImage, PackedWriter
from memtk.data.patients import GROUPS, SPLITS
from memtk.data.sources import CONTENTS, Sample, Source, open_source
from memtk.errors import UserError
from memtk.events import Event, Watch, ignore
from memtk.files import explain, remember, replacing, require_space
from memtk.interfaces import Condition, ImageSpec
from memtk.registry import Registry

Look = Callable[[ImageSpec], Sequence[int] | None]

FORMAT = 1
"""Version of the file's layout; a part of its name."""


class Dataset:
    """The prepared images of a run.

    Args:
        path: the file that `prepare` wrote.
        config: what was asked.

    Attributes:
        fingerprint: hash of the files' contents, the patients, the splits, strata and
            conditions if any, and the recipe.

    Raises:
        UserError: if the file is damaged, naming it.
    """

    def __init__(self, path: Path, config: DataConfig) -> None:
        self.path, self.config = path, config
        self.fingerprint = path.stem
        with open_prepared(path) as file:
            self._recipe = json.loads(file.attrs["recipe"])
            groups = [group for group in GROUPS if group in SPLITS or group in file]
        self._splits = {group: StoredImages(path, group) for group in groups}

    @property
    def spec(self) -> ImageSpec:
        """Shape of each image."""
        return self._splits["training"].spec

    @property
    def reduction(self) -> Reduction | None:
        """The shape of each image, and to which those that are kept are reduced; None: to none."""
        kept = self._splits["training"].kept_shape
        return None if kept == self.spec.shape else (self.spec.shape, kept)

    def split(self, name: str) -> StoredImages:
        """Return the images of "training", "validation" or "held_out" (which may be empty).

        "synthetic" gives the synthetic images in the order of their source, if
        `data.synthetic_source` was given.

        Raises:
            UserError: if there are no synthetic images.
        """
        if name == "synthetic" and name not in self._splits:
            raise UserError(
                "the data have no synthetic images: data.synthetic_source says where they lie"
            )
        return self._splits[name]

    def counts(self) -> dict[str, dict[str, int]]:
        """Return the numbers of images and of patients of each split.

        Synthetic images, where there are any, are no patient's: 0.
        """
        return {
            name: {
                "images": len(images),
                "patients": 0 if name == "synthetic" else len(set(images.patients)),
            }
            for name, images in self._splits.items()
        }

    def recipe(self) -> dict[str, Any]:
        """Return what was done to the voxels. It names no file and no patient."""
        return dict(self._recipe)


def prepare(
    config: DataConfig,
    folder: Path,
    registry: Registry,
    watch: Watch = ignore,
    *,
    workers: int = 1,
    look: Look | None = None,
) -> Dataset:
    """Prepare the images that `config` asks for, or open what an earlier call prepared.

    Each file is read once, hashed, checked and prepared; a few images are in memory at a time. The
    file `folder/<key>.h5` is written whole or not at all; its name follows from the contents of the
    image files, the patients, the splits and the recipe, so a change of any makes a new file. A
    damaged file is made anew. It keeps images in as many bits as their files have.

    Args:
        config: the source of the images, and what is done to them.
        folder: for prepared images; made if needed, for its owner alone.
        registry: brings the readers.
        watch: told of the progress, and of what the user should know.
        workers: processes that read, where that pays; see `memtk.prefetch`. The file is the same.
        look: given the shape of the images, tells to which they are reduced by averages; only those
            are kept then, and whole ones are read from their files again where they are needed, see
            `Originals`. None, or where it gives None: whole ones are kept.

    Raises:
        UserError: for images or settings that make an audit meaningless: see `memtk.data.checks`
            and `memtk.data.manifest`. It names the files.
    """
    source = open_source(config, registry)
    for text in source.notes:
        watch(Event("note", STAGE, text=text))
    check_splits(source.samples)
    recipe = source.recipe()
    if any(folder.glob("*.h5")):
        path = folder / f"{_key(source, recipe, folder, watch)}.h5"
        try:
            dataset = Dataset(path, config) if path.exists() else None
        except (UserError, OSError, KeyError, ValueError):
            watch(Event("note", STAGE, text=f"{path} is damaged: the images are read again"))
            dataset = None
        if dataset is not None and (
            dataset.reduction is None or dataset.reduction == _reduction(source, look)
        ):
            watch(Event("skip", STAGE))
            return dataset
    made = folder / "images"  # until the contents of all files are known
    for stale in folder.glob(".*.tmp"):  # of a run that was killed
        stale.unlink(missing_ok=True)
    with explain(folder):  # pictures of patients, which may have been kept from others
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    with replacing(made) as temporary:
        reduction = _reduction(source, look)
        hashes = _build(temporary, source, config, recipe, watch, workers, reduction)
    remember(folder / CONTENTS, hashes)
    path = folder / f"{_key(source, recipe, folder, watch)}.h5"
    with explain(path):
        made.replace(path)
    return Dataset(path, config)


def _reduction(source: Source, look: Look | None) -> Reduction | None:
    """Return the shape of the first image, and to which it is reduced; None: it is not."""
    if look is None or not source.again:
        return None
    try:
        first = next((s for s in source.samples if s.split == "training"), source.samples[0])
        image = source.transform(source.load(first), first.name).data
        spec = ImageSpec(image.shape[1:], image.shape[0])
        shape = look(spec)
    except UserError:  # said, with all others, when the images are read
        return None
    return None if shape is None or tuple(shape) == spec.shape else (spec.shape, tuple(shape))


def _key(source: Source, recipe: dict[str, object], folder: Path, watch: Watch) -> str:
    digest = hashlib.sha256(json.dumps([FORMAT, recipe], sort_keys=True).encode())
    contents = source.contents(folder, watch)
    for sample, content in zip(source.samples, contents, strict=True):
        told = [sample.stratum] if "stratify" in recipe else []
        told += [str(sample.conditions)] if "conditions" in recipe else []
        digest.update(json.dumps([content, sample.patient, sample.split, *told]).encode())
    return digest.hexdigest()[:32]


def _build(
    path: Path,
    source: Source,
    config: DataConfig,
    recipe: dict[str, object],
    watch: Watch,
    workers: int,
    reduction: Reduction | None,
) -> dict[str, list[int | str]]:
    """Write every image, or raise one error about all that is wrong with them.

    Returns:
        What `remember` takes of their files.
    """
    samples, examination = source.samples, Examination(config, source.unnamed, hashing=True)
    watch(Event("start", STAGE, 0, len(samples)))
    with h5py.File(path, "w") as file:
        writers: dict[str, PackedWriter] = {}
        digests: dict[str, list[bytes]] = defaultdict(list)
        for number, (sample, made) in enumerate(examination.read(source, workers, reduction)):
            if made is not None and examination.one_size:
                if not writers:
                    strata = config.stratify is not None
                    conditions = from_description(recipe.get("conditions", []))  # type: ignore[arg-type]
                    datasets = _create(file, samples, made, conditions, strata=strata)
                    writers = {split: PackedWriter(each) for split, each in datasets.items()}
                writers[sample.split].add(made)
                digests[sample.split].append(made.digest)
            if (number + 1) % max(1, len(samples) // 200) == 0:
                watch(Event("step", STAGE, number + 1, len(samples)))
        findings = examination.findings()
        refuse(findings)
        for split, writer in writers.items():
            writer.flush()
            dataset = writer.dataset
            if reduction is not None:
                own = [s for s in samples if s.split == split]
                note_originals(dataset, reduction[0], own, config)
            found = np.frombuffer(b"".join(digests[split]), np.uint8).reshape(-1, 16)
            dataset.parent.create_dataset("digests", data=found)
            dataset.attrs["spacing"] = examination.spacing()
            dataset.attrs["complete"] = True
        file.attrs["recipe"] = json.dumps(recipe)
    watch(Event("end", STAGE, len(samples), len(samples)))
    for finding in findings:
        if finding.outcome == "note":
            watch(Event("note", STAGE, text=finding.text()))
    return examination.hashes


def _create(
    file: h5py.File,
    samples: Sequence[Sample],
    first: PackedImage,
    conditions: tuple[Condition, ...],
    *,
    strata: bool,
) -> dict[str, h5py.Dataset]:
    """Make the groups of the splits, and of synthetic images if any, with each one's patient.

    Args:
        conditions: what is told of each image, and stored too.
        strata: whether the stratum of each is stored too.
    """
    spec = ImageSpec(first.data.shape[1:], first.data.shape[0], conditions=conditions)
    require_space(Path(file.filename), len(samples) * first.data.nbytes)
    datasets = {}
    there = {sample.split for sample in samples}
    for split in (group for group in GROUPS if group in SPLITS or group in there):
        own = [sample for sample in samples if sample.split == split]
        group = file.create_group(split)
        untold = split == "synthetic" and not any(sample.conditions for sample in own)
        made = replace(spec, conditions=()) if untold else spec
        datasets[split] = create_images(group, len(own), made, first.data.dtype)
        if made.conditions:
            codes = [sample.conditions for sample in own]
            group["conditions"][:] = np.reshape(codes, (len(own), len(made.conditions)))
        text = h5py.string_dtype()
        group.create_dataset("patients", data=[sample.patient for sample in own], dtype=text)
        if strata:
            group.create_dataset("strata", data=[sample.stratum for sample in own], dtype=text)
    return datasets
