"""Reads every image of a run once and gathers what the checks find."""

from __future__ import annotations

import warnings
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import replace
from functools import partial
from types import MappingProxyType
from typing import NamedTuple, Protocol

import numpy as np

from memtk.data.checks.findings import Finding, Group, Report
from memtk.data.checks.orientation import HeaderChecks, OrientationCheck, thinned
from memtk.data.checks.patients import split_findings, stratum_findings
from memtk.data.checks.voxels import BrightnessCheck, VoxelChecks, figures_of
from memtk.data.config import DataConfig
from memtk.data.labels import looks_like_labels
from memtk.data.packed import PackedImage, packed_hash, reduced
from memtk.data.patients import GROUPS, SPLITS
from memtk.data.sources import Sample, Source, is_color, open_source
from memtk.errors import UserError, many
from memtk.events import Event, Watch, ignore
from memtk.files import hashed
from memtk.imaging.intensity import count_nonfinite, is_constant, palette_of
from memtk.prefetch import prefetch_in_processes
from memtk.registry import Registry

STAGE = "reading images"
Reduction = tuple[tuple[int, ...], tuple[int, ...]]
LISTED = "images are found"
KILLED = (
    "a process that read images was ended from outside, as where memory is short: read them with "
    "fewer, --workers 1"
)
"""What is said then."""


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
    workers: int = 1,
) -> Report:
    """Check all images that `config` asks for, to the last; write nothing.

    A few images are in memory at a time. What `prepare` would refuse is refused here, all at once.

    Args:
        config: the sources of the images, and what would be done to them.
        registry: brings the readers.
        watch: told of the progress.
        gatherer: given every image that is of use, so that nobody reads them twice.
        workers: processes that read, where that pays; see `memtk.prefetch`.
    """
    try:
        source = open_source(config, registry)
    except UserError as error:
        return Report((Finding(LISTED, "refused", str(error)),), {})
    examination, total = Examination(config, source.unnamed), len(source.samples)
    if gatherer is not None:
        gatherer.begin(source.samples)
    watch(Event("start", STAGE, 0, total))
    for number, (sample, made) in enumerate(examination.read(source, workers)):
        if gatherer is not None and made is not None:
            gatherer.add(sample, made.voxels())
        if (number + 1) % max(1, total // 200) == 0:
            watch(Event("step", STAGE, number + 1, total))
    watch(Event("end", STAGE, total, total))
    notes = "; ".join(source.notes)
    found = many(total, "image") + (f"; {notes}" if notes else "")
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
        hashing: whether files are hashed, too.

    Attributes:
        hashes: what `memtk.files.remember` takes, of the files that were read.
    """

    def __init__(
        self, config: DataConfig, unnamed: Sequence[str] = (), *, hashing: bool = False
    ) -> None:
        self._config, self._hashing = config, hashing
        self.hashes: dict[str, list[int | str]] = {}
        self._voxels, self._headers = VoxelChecks(tuple(unnamed)), HeaderChecks(config)
        self._brightness, self._orientation = BrightnessCheck(), OrientationCheck()
        self._shapes: dict[str, Counter[tuple[int, ...]]] = defaultdict(Counter)
        self._count = 0

    @property
    def one_size(self) -> bool:
        """Whether all images so far have one shape."""
        return len(self._voxels.sizes) == 1

    def read(
        self, source: Source, workers: int = 1, reduction: Reduction | None = None
    ) -> Iterator[tuple[Sample, PackedImage | None]]:
        """Yield every image (C, *S), in order; None for one that is of no use, which is noted.

        Those that come next are read and transformed by processes, where each image lies in a file
        of its own and it pays, or by one thread: readers share open files.

        Args:
            workers: most processes.
            reduction: the shape (*S) of images that are given reduced, and to which; None: none is.
        """
        firsts = {s.record.path: s for s in reversed(source.samples) if s.record is not None}
        hashed = set(map(id, firsts.values())) if self._hashing else set()
        tasks = [_Task(sample, id(sample) in hashed) for sample in source.samples]
        look = partial(_look, source, self._config, reduction)
        with warnings.catch_warnings():  # a reader's own block restores what others have set
            coming = prefetch_in_processes(look, tasks, workers if source.apart else 1, KILLED)
            with closing(coming):
                for sample, seen in zip(source.samples, coming, strict=True):
                    yield sample, self._add(sample, seen)

    def _add(self, sample: Sample, seen: _Look) -> PackedImage | None:
        self._count += 1
        self.hashes.update(seen.hashes)
        if seen.labels:
            self._voxels.labels.append(sample.name)
        if seen.trouble is not None:
            getattr(self._voxels, seen.trouble[0]).append(seen.trouble[1])
        if seen.made is None or seen.facts is None:
            return None
        shape = seen.shape
        self._headers.add(sample, seen.facts.affine, seen.made.spacing, seen.facts.spacing)
        self._voxels.add_image(sample, shape, seen.made.digest)
        self._shapes[sample.split][shape[1:]] += 1
        self._brightness.add(sample, seen.facts.figures)
        self._orientation.add(sample, seen.facts.thin)
        return seen.made

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


class _Task(NamedTuple):
    """One image that is to be read.

    Args:
        hash: whether its file is hashed, too: the first image of each file asks for it.
    """

    sample: Sample
    hash: bool


class _Facts(NamedTuple):
    """What the checks want to know of an image: how it is stored, and what was prepared.

    Args:
        affine: as stored, and the `spacing` too.
        figures: see `figures_of`.
        thin: see `thinned`.
    """

    affine: np.ndarray | None
    spacing: tuple[float, ...]
    figures: tuple[float, ...]
    thin: np.ndarray


class _Look(NamedTuple):
    """An image as it was made of what is stored, and facts of it; or what is wrong with it.

    Args:
        shape: (C, *S), of which the image was made that may be reduced.
        trouble: the list of `VoxelChecks` that it belongs into, and the text.
        labels: whether it looks like a label map.
        hashes: see `memtk.files.hashed`.
    """

    made: PackedImage | None = None
    shape: tuple[int, ...] = ()
    facts: _Facts | None = None
    trouble: tuple[str, str] | None = None
    labels: bool = False
    hashes: Mapping[str, list[int | str]] = MappingProxyType({})


def _look(source: Source, config: DataConfig, reduction: Reduction | None, task: _Task) -> _Look:
    """Read, hash and transform one image: what a process is asked to do."""
    sample, record = task.sample, task.sample.record
    # Before it is read, so that the disk is asked once: what follows comes from the cache.
    hashes = hashed(record.path) if task.hash and record is not None else {}
    return _seen(source, sample, config, reduction)._replace(hashes=hashes)


def _seen(source: Source, sample: Sample, config: DataConfig, reduction: Reduction | None) -> _Look:
    """Read and transform one image."""
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
    palette = palette_of(stored.voxels)
    labels = config.labels == "leave_out" and looks_like_labels(palette)
    try:
        made = source.transform(stored, sample.name, palette)
    except UserError as error:
        return _Look(trouble=("refused", str(error)), labels=labels)
    if is_color(made.data):
        return _Look(trouble=("color", sample.name), labels=labels)
    if is_constant(made.data if made.values is None else made.values):
        return _Look(trouble=("blank", f"{sample.name} (after cropping)"), labels=labels)
    facts = _Facts(stored.affine, stored.spacing, figures_of(made), thinned(made))
    kept = replace(made, digest=packed_hash(made), counts=None)
    if reduction is not None and reduction[0] == made.data.shape[1:]:
        kept = replace(kept, data=reduced(made, reduction[1]), values=None)
    return _Look(kept, made.data.shape, facts, labels=labels)
