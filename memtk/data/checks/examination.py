"""Reads every image of a run once and gathers what the checks find."""

from __future__ import annotations

import warnings
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import replace
from typing import NamedTuple, Protocol

import numpy as np

from memtk.data.checks.findings import Finding, Group, Report
from memtk.data.checks.orientation import HeaderChecks, OrientationCheck
from memtk.data.checks.patients import split_findings, stratum_findings
from memtk.data.checks.voxels import BrightnessCheck, VoxelChecks
from memtk.data.config import DataConfig
from memtk.data.labels import looks_like_labels
from memtk.data.patients import GROUPS, SPLITS
from memtk.data.sources import Sample, Source, is_color, open_source
from memtk.errors import UserError
from memtk.events import Event, Watch, ignore
from memtk.imaging.intensity import count_nonfinite, is_constant
from memtk.interfaces import Volume
from memtk.prefetch import prefetch
from memtk.registry import Registry

STAGE = "reading images"
LISTED = "images are found"


class Gatherer(Protocol):
    """Takes the images while they are read, for what is more than a check of the data."""

    def begin(self, samples: Sequence[Sample]) -> None:
        """Hear of all images, those of a split in the order in which they are stored."""
        ...

    def add(self, sample: Sample, voxels: np.ndarray) -> None:
        """Take an image (C, *S) as it would be stored; not told of those that are of no use."""
        ...


def examine(
    config: DataConfig,
    registry: Registry,
    watch: Watch = ignore,
    gatherer: Gatherer | None = None,
) -> Report:
    """Check all images that `config` asks for, to the last; write nothing.

    One image is in memory at a time. What `prepare` would refuse is refused here, all at once.

    Args:
        config: the sources of the images, and what would be done to them.
        registry: brings the readers.
        watch: told of the progress.
        gatherer: given every image that is of use, so that nobody reads them twice.
    """
    try:
        source = open_source(config, registry)
    except UserError as error:
        return Report((Finding(LISTED, "refused", str(error)),), {})
    examination, total = Examination(config, source.unnamed), len(source.samples)
    if gatherer is not None:
        gatherer.begin(source.samples)
    watch(Event("start", STAGE, 0, total))
    for number, (sample, made) in enumerate(examination.read(source)):
        if gatherer is not None and made is not None:
            gatherer.add(sample, made.voxels)
        if (number + 1) % max(1, total // 200) == 0:
            watch(Event("step", STAGE, number + 1, total))
    watch(Event("end", STAGE, total, total))
    notes = "; ".join(source.notes)
    found = f"{total} images" + (f"; {notes}" if notes else "")
    findings = [
        Finding(LISTED, "note" if notes else "accepted", found),
        *split_findings(source.samples, source.unnamed),
        *stratum_findings(source.samples, config.stratify),
        *examination.findings(),
    ]
    return Report(tuple(findings), examination.groups(source))


class Examination:
    """What is found while images are read one after the other.

    Args:
        config: what is asked of the images.
        unnamed: groups of which nothing says whose the images are: see `Source.unnamed`.
    """

    def __init__(self, config: DataConfig, unnamed: Sequence[str] = ()) -> None:
        self._config = config
        self._voxels, self._headers = VoxelChecks(tuple(unnamed)), HeaderChecks(config)
        self._brightness, self._orientation = BrightnessCheck(), OrientationCheck()
        self._shapes: dict[str, Counter[tuple[int, ...]]] = defaultdict(Counter)
        self._count = 0

    @property
    def one_size(self) -> bool:
        """Whether all images so far have one shape."""
        return len(self._voxels.sizes) == 1

    def read(self, source: Source) -> Iterator[tuple[Sample, Volume | None]]:
        """Yield every image (C, *S), in order; None for one that is of no use, which is noted.

        One thread reads and transforms those that come next: readers share open files.
        """

        def look(sample: Sample) -> _Look:
            return _look(source, sample, self._config)

        with warnings.catch_warnings():  # a reader's own block restores what others have set
            coming = prefetch(look, source.samples)
            with closing(coming):
                for sample, seen in zip(source.samples, coming, strict=True):
                    yield sample, self._add(sample, seen)

    def _add(self, sample: Sample, seen: _Look) -> Volume | None:
        self._count += 1
        if seen.labels:
            self._voxels.labels.append(sample.name)
        if seen.trouble is not None:
            getattr(self._voxels, seen.trouble[0]).append(seen.trouble[1])
        if seen.stored is None or seen.made is None:
            return None
        made = seen.made
        self._headers.add(sample, seen.stored, made)
        self._voxels.add_image(sample, made.voxels)
        self._shapes[sample.split][made.voxels.shape[1:]] += 1
        self._brightness.add(sample, made.voxels)
        self._orientation.add(sample, made.voxels)
        return made

    def spacing(self) -> tuple[float, ...]:
        """Return the voxel size of the real images in millimetres; () if it differs."""
        return self._headers.spacing()

    def findings(self) -> list[Finding]:
        """Return one finding a check, most basic first; those about patients are not among them."""
        return [
            *self._voxels.findings(self._count),
            *self._headers.findings(),
            *self._brightness.findings(),
            *self._orientation.findings(),
        ]

    def groups(self, source: Source) -> dict[str, Group]:
        """Return the number and size of the images of each split, and of synthetic ones."""
        by_group: dict[str, list[Sample]] = defaultdict(list)
        for sample in source.samples:
            by_group[sample.split].append(sample)
        return {
            group: Group(
                images=len(by_group[group]),
                patients=len({sample.patient for sample in by_group[group]})
                if group in SPLITS
                else 0,
                shapes=tuple(shape for shape, _ in self._shapes[group].most_common()),
                spacing=self._headers.spacing(synthetic=group not in SPLITS)
                if self._shapes[group]
                else (),
            )
            for group in GROUPS
            if group in SPLITS or by_group[group]
        }


class _Look(NamedTuple):
    """An image as it is stored and as it was made of that; or what is wrong with it.

    Args:
        trouble: the list of `VoxelChecks` that it belongs into, and the text.
        labels: whether it looks like a label map.
    """

    stored: Volume | None = None
    made: Volume | None = None
    trouble: tuple[str, str] | None = None
    labels: bool = False


def _look(source: Source, sample: Sample, config: DataConfig) -> _Look:
    """Read and transform one image; float32 (C, *S)."""
    try:
        stored = source.load(sample)
    except UserError as error:
        return _Look(trouble=("unreadable", str(error)))
    if stored.voxels.ndim not in (3, 4) or 0 in stored.voxels.shape:
        return _Look(trouble=("refused", f"{sample.name} has the shape {stored.voxels.shape}"))
    bad = count_nonfinite(stored.voxels)
    if bad:
        return _Look(trouble=("nonfinite", f"{sample.name} ({bad} of {stored.voxels.size})"))
    if is_constant(stored.voxels):
        return _Look(trouble=("blank", f"{sample.name} (all {stored.voxels.flat[0]:g})"))
    labels = config.labels != "keep" and looks_like_labels(stored.voxels)
    try:
        made = source.transform(stored, sample.name)
    except UserError as error:
        return _Look(trouble=("refused", str(error)), labels=labels)
    if is_color(made):
        return _Look(trouble=("color", sample.name), labels=labels)
    if is_constant(made.voxels):
        return _Look(trouble=("blank", f"{sample.name} (after cropping)"), labels=labels)
    voxels = np.ascontiguousarray(made.voxels, dtype=np.float32)
    return _Look(stored, replace(made, voxels=voxels), labels=labels)
