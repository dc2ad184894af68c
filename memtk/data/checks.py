"""What makes an audit meaningless, found before anything is trained. All of a kind is named."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from memtk.data.manifest import few
from memtk.data.sample import Sample
from memtk.data.splits import SPLITS
from memtk.errors import UserError


def check_splits(samples: Sequence[Sample]) -> None:
    """Refuse patients in two splits, an empty training set and an empty validation set.

    Raises:
        UserError: counting the patients and naming the first.
    """
    splits: dict[str, set[str]] = defaultdict(set)
    for sample in samples:
        splits[sample.patient].add(sample.split)
    shared = sorted(patient for patient, where in splits.items() if len(where) > 1)
    if shared:
        pairs = Counter(_both(splits[patient]) for patient in shared)
        where = ", ".join(f"{count} in {pair}" for pair, count in pairs.most_common())
        raise UserError(
            f"{len(shared)} of {len(splits)} patients are in more than one split "
            f"({where}): {few(shared)}.\n"
            "Then a copy cannot be told from another image of the same patient. Put each patient "
            "into one split;\nwithout the column 'split', memtk splits by patient itself."
        )
    counts = Counter(sample.split for sample in samples)
    if not counts["training"]:
        raise UserError(
            f"no training images: {_said(counts)}. Mark some as train in the manifest's split"
        )
    if not counts["validation"]:
        raise UserError(
            f"no validation set: {_said(counts)}. It must hold patients whom the generator has "
            "not seen: without them nothing says which likeness is ordinary.\n"
            "Mark some as val in the manifest's split, or leave the split out and say "
            "--set data.validation=0.2"
        )


def _both(splits: set[str]) -> str:
    return " and ".join(split.replace("_", " ") for split in SPLITS if split in splits)


def _said(counts: Counter[str]) -> str:
    return ", ".join(f"{n} {split.replace('_', ' ')}" for split, n in counts.items() if n) or "none"


@dataclass
class Findings:
    """What is found while the images are read, one after the other."""

    unreadable: list[str] = field(default_factory=list)
    nonfinite: list[str] = field(default_factory=list)
    blank: list[str] = field(default_factory=list)
    color: list[str] = field(default_factory=list)
    refused: list[str] = field(default_factory=list)
    sizes: dict[tuple[int, ...], list[str]] = field(default_factory=lambda: defaultdict(list))
    _hashes: dict[bytes, list[Sample]] = field(default_factory=lambda: defaultdict(list))

    def add_image(self, sample: Sample, shape: tuple[int, ...], digest: bytes) -> None:
        """Note the shape (C, *S) and the hash of the voxels of an image that can be used."""
        self.sizes[shape].append(sample.name)
        self._hashes[digest].append(sample)

    def errors(self, total: int) -> list[str]:
        """Return one text for each kind of problem, most basic first."""
        kinds = [
            ("unreadable", self.unreadable, "\n", ""),
            ("unusable", self.refused, "\n", ""),
            ("NaN or infinite voxels", self.nonfinite, ", ", ".\nMend them or leave them out."),
            ("blank", self.blank, ", ", ".\nLeave them out: nothing can be learned from them."),
            ("in colour", self.color, ", ", ".\nMake them gray: --set data.color=gray"),
        ]
        texts = [
            f"{what}, {len(names)} of {total} images:{mark.strip(',')}{few(names, mark)}{way}"
            for what, names, mark, way in kinds
            if names
        ]
        return [*texts, *self._sizes(), *self._copies_across()]

    def notes(self) -> list[str]:
        """Return sentences about what is odd but allowed: identical images in one split."""
        texts = []
        for split in SPLITS:
            groups = [
                [s.name for s in group if s.split == split] for group in self._hashes.values()
            ]
            twice = [names for names in groups if len(names) > 1]
            if twice:
                shown = few([" = ".join(names[:3]) for names in twice])
                where = split.replace("_", " ")
                texts.append(f"identical images within {where} ({len(twice)}): {shown}")
        return texts

    def _sizes(self) -> list[str]:
        if len(self.sizes) < 2:
            return []
        ranked = sorted(self.sizes.items(), key=lambda pair: -len(pair[1]))
        shown = [f"{_size(s)} ({len(names)}, e.g. {names[0]})" for s, names in ranked]
        text = f"the images have {len(ranked)} sizes: {few(shown)}."
        dims = {len(shape) for shape in self.sizes}
        channels = {shape[0] for shape in self.sizes}
        if len(dims) > 1 or len(channels) > 1:
            return [f"{text}\nPut images of one kind (axes, channels) into a run."]
        shape = ",".join(map(str, suggested_shape(self.sizes)))
        return [f"{text}\nCrop or pad them to one about the centre: --set data.shape={shape}"]

    def _copies_across(self) -> list[str]:
        groups = [g for g in self._hashes.values() if len({s.split for s in g}) > 1]
        if not groups:
            return []
        shown = [" = ".join(f"{s.name} [{s.split}]" for s in g[:3]) for g in groups]
        return [
            f"identical images in more than one split ({len(groups)}): {few(shown, '; ')}.\n"
            "Leave them out of one: a training image among the validation images hides copies."
        ]


def suggested_shape(sizes: dict[tuple[int, ...], list[str]]) -> tuple[int, ...]:
    """Return the median of the shapes (C, *S), each axis rounded to a multiple of 8.

    >>> suggested_shape({(1, 35, 51): ["a", "b"], (1, 37, 54): ["c"]})
    (32, 48)
    """
    every = [shape[1:] for shape, names in sizes.items() for _ in names]
    median = np.median(np.asarray(every), axis=0)
    return tuple(max(8, int(np.round(value / 8)) * 8) for value in median)


def _size(shape: tuple[int, ...]) -> str:
    channels = f", {shape[0]} channels" if shape[0] > 1 else ""
    return "x".join(map(str, shape[1:])) + channels
