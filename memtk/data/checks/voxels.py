"""What is wrong with the voxels of images, and whether two groups are equally bright."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from memtk.data.checks.findings import Finding
from memtk.data.checks.patients import real
from memtk.data.manifest import few
from memtk.data.packed import PackedImage
from memtk.data.patients import GROUPS, SPLITS, said
from memtk.data.sources import Sample
from memtk.errors import many, some
from memtk.imaging.geometry import LEAST, too_small

ACROSS = "no image is in two splits"
TWINS = "no two patients of a split have the same image"
WITHIN = "no image is there twice"
LABELS = "images are no label maps"
COPIED = "no synthetic image is a real one, voxel by voxel"
SIZE = "all images have one size"

BORDERS = (0, 2)
"""Pixels around the samples of a grid, as most programs write it."""


@dataclass
class VoxelChecks:
    """What is found image by image. Lists hold texts that begin with the image's name.

    Args:
        unnamed: groups of which nothing says whose the images are: see `Source.unnamed`.
    """

    unnamed: tuple[str, ...] = ()
    unreadable: list[str] = field(default_factory=list)
    nonfinite: list[str] = field(default_factory=list)
    blank: list[str] = field(default_factory=list)
    color: list[str] = field(default_factory=list)
    labels: list[str] = field(default_factory=list)
    refused: list[str] = field(default_factory=list)
    sizes: dict[tuple[int, ...], list[Sample]] = field(default_factory=lambda: defaultdict(list))
    _hashes: dict[bytes, list[Sample]] = field(default_factory=lambda: defaultdict(list))

    def add_image(self, sample: Sample, shape: tuple[int, ...], digest: bytes) -> None:
        """Note the shape (C, *S) and the `voxel_hash` of an image that can be used."""
        self.sizes[shape].append(sample)
        self._hashes[digest].append(sample)

    def findings(self, total: int) -> list[Finding]:
        """Return one finding a check, most basic first; `total` images were read."""
        return [
            _bad("images can be read", "unreadable", self.unreadable, total, "\n"),
            _bad("images can be prepared", "unusable", self.refused, total, "\n"),
            _bad(
                "voxels are finite numbers",
                "NaN or infinite voxels",
                self.nonfinite,
                total,
                way="Mend them (where nothing was measured, as outside the head, numpy.nan_to_num "
                "writes 0) or leave them out",
            ),
            _bad(
                "no image is blank",
                "blank",
                self.blank,
                total,
                way="Leave them out: nothing can be learned from them",
            ),
            _bad(
                "images are gray",
                "in colour",
                self.color,
                total,
                way="Make them gray: --set data.color=gray",
            ),
            self._labels(total),
            self._size(),
            self._across(),
            self._twins(),
            self._within(),
            *self._copied(),
        ]

    def _labels(self, total: int) -> Finding:
        if not self.labels:
            return Finding(LABELS, "accepted", f"all {total}")
        return Finding(
            LABELS,
            "refused",
            f"{some(len(self.labels), total, 'image', 'has/have')} few values, or regions "
            f"of one value, as label maps and masks have: {few(self.labels)}",
            "Move them away, or name the others in a manifest. If they are images after all: --set "
            "data.labels=by_name",
            tuple(self.labels),
        )

    def _size(self) -> Finding:
        if small := [shape for shape in self.sizes if too_small(shape[1:])]:
            text = f"images of {_size(small[0])} show too little to be told from others"
            odd = tuple(sample.name for shape in small for sample in self.sizes[shape])
            way = f"Two axes need {LEAST} voxels: give larger images, or a smaller data.spacing"
            return Finding(SIZE, "refused", f"{text}: {few(odd)}", way, odd)
        if len(self.sizes) < 2:
            there = " and ".join(_size(shape) for shape in self.sizes) or "no image could be read"
            return Finding(SIZE, "accepted", there)
        ranked = sorted(self.sizes.items(), key=lambda pair: -len(pair[1]))
        shown = [f"{_size(s)} ({len(group)}, e.g. {group[0].name})" for s, group in ranked]
        text = f"the images have {len(ranked)} sizes: {few(shown)}"
        apart = self._sizes_of_groups()
        if apart:
            text += "; " + ", ".join(f"all {kind} images {_size(s)}" for kind, s in apart.items())
        odd = tuple(sample.name for _, group in ranked[1:] for sample in group)
        if len({len(shape) for shape in self.sizes}) > 1:
            way = (
                "Many images in one array are called images: np.savez('a.npz', images=array). "
                "Else put images of one kind (2D or 3D) into a run"
            )
        elif len({shape[0] for shape in self.sizes}) > 1:
            way = "Put images of one kind (as many channels in all) into a run"
        elif apart and sorted(apart["real"]) == sorted(apart["synthetic"]):
            turned = "swapaxes(0, 1)" if len(apart["real"]) == 3 else "transpose(2, 1, 0)"
            way = (
                "The axes of the synthetic images run otherwise: turn them as the real ones lie, "
                f"e.g. array.{turned}; cropped they would be compared with other parts"
            )
        elif grid := self._grid(ranked[0][0]):
            way = (
                f"Are those of {_size(grid)} grids of several samples? Cut them up: one file each. "
                "If not, scale all to one size before"
            )
        else:
            shape = ",".join(map(str, suggested_shape(self.sizes)))
            way = f"Crop or pad them to one about the centre: --set data.shape={shape}"
        return Finding(SIZE, "refused", text, way, odd)

    def _sizes_of_groups(self) -> dict[str, tuple[int, ...]]:
        """Return the shape of real and of synthetic images, if each has one of its own."""
        sizes = {
            kind: [s for s, group in self.sizes.items() if any(_kind(g) == kind for g in group)]
            for kind in ("real", "synthetic")
        }
        if any(len(found) != 1 for found in sizes.values()):
            return {}
        return {kind: found[0] for kind, found in sizes.items()}

    def _grid(self, common: tuple[int, ...]) -> tuple[int, ...]:
        """Return the shape of synthetic pictures that may be grids of the others; () without."""
        for shape, group in self.sizes.items():
            sides = list(zip(shape[1:], common[1:], strict=True))
            tiled = any(all((n - b) % (c + b) == 0 for n, c in sides) for b in BORDERS)
            made = all(_kind(sample) == "synthetic" for sample in group)
            if made and tiled and len(sides) == 2 and shape > common:
                return shape
        return ()

    def _across(self) -> Finding:
        groups = [real(group) for group in self._hashes.values()]
        groups = [g for g in groups if len({s.split for s in g}) > 1]
        if not groups:
            return Finding(ACROSS, "accepted", "no two are identical")
        shown = [" = ".join(f"{s.name} [{said(s.split)}]" for s in g[:3]) for g in groups]
        return Finding(
            ACROSS,
            "refused",
            f"identical images in more than one split ({len(groups)}): {few(shown, '; ')}",
            "Leave them out of one: a training image among the validation images hides copies",
            tuple(s.name for g in groups for s in g),
        )

    def _twins(self) -> Finding:
        """Refuse one image under two patients of a split.

        Two validation patients who are one halve every p-value, and one training patient counts as
        two who are exposed. Which of the names is right a person says: merging them here would
        take a file that was copied by mistake for a patient. Training images of nobody may be there
        twice: only validation and held-out ones are the yardstick.
        """
        texts, names = [], []
        for split in SPLITS:
            nobody = {"real", split} & set(self.unnamed)
            if nobody and split == "training":
                continue
            own = [[s for s in group if s.split == split] for group in self._hashes.values()]
            twins = [group for group in own if len({s.patient for s in group}) > 1]
            if twins:
                shown = [
                    " = ".join(
                        s.name if nobody else f"{s.name} (patient {s.patient})" for s in group
                    )
                    for group in twins
                ]
                texts.append(
                    f"identical images of different {said(split)} patients ({len(twins)}): "
                    f"{few(shown, '; ')}"
                )
                names += [s.name for group in twins for s in group]
        if not texts:
            return Finding(TWINS, "accepted", "no two are identical")
        way = (
            "A patient who counts as two makes chance look like evidence. If they are one patient, "
            "give both images one patient_id; if a file was copied by mistake, leave it out"
        )
        return Finding(TWINS, "refused", "; ".join(texts), way, tuple(names))

    def _within(self) -> Finding:
        texts, names = [], []
        for split in GROUPS:
            groups = [
                [s.name for s in group if s.split == split] for group in self._hashes.values()
            ]
            twice = [names for names in groups if len(names) > 1]
            if twice:
                shown = few([" = ".join(names[:3]) for names in twice])
                texts.append(f"identical images within {said(split)} ({len(twice)}): {shown}")
                names += [name for group in twice for name in group]
        if not texts:
            return Finding(WITHIN, "accepted", "no two of a split are identical")
        return Finding(WITHIN, "note", "; ".join(texts), "", tuple(names))

    def _copied(self) -> list[Finding]:
        """Count synthetic images that are identical to a real one, by the real one's split."""
        total = sum(s.split == "synthetic" for group in self._hashes.values() for s in group)
        if not total:
            return []
        texts, names, splits = [], [], Counter[str]()
        for split in SPLITS:
            pairs = [
                (s.name, next(t.name for t in group if t.split == split))
                for group in self._hashes.values()
                for s in group
                if s.split == "synthetic" and any(t.split == split for t in group)
            ]
            if pairs:
                shown = few([f"{synthetic} = {real}" for synthetic, real in pairs])
                texts.append(
                    f"{some(len(pairs), total, 'synthetic image', 'is/are')} identical to a "
                    f"{said(split)} image: {shown}"
                )
                names += [synthetic for synthetic, _ in pairs]
                splits[split] += len(pairs)
        if not texts:
            return [Finding(COPIED, "accepted", f"none of {total} is")]
        way = "These are copies; the audit counts them with all others"
        if splits["validation"] or splits["held_out"]:
            way = (
                "Nobody can copy a patient whom nobody has seen: the generator was trained with "
                "these images, or real files lie among the synthetic ones"
            )
        return [Finding(COPIED, "note", "; ".join(texts), way, tuple(names))]


def suggested_shape(sizes: dict[tuple[int, ...], list[Sample]]) -> tuple[int, ...]:
    """Return the median of the shapes (C, *S), each axis rounded to a multiple of 8.

    >>> a, b, c = (Sample(name, name, "training") for name in "abc")
    >>> suggested_shape({(1, 35, 51): [a, b], (1, 37, 54): [c]})
    (32, 48)
    """
    every = [shape[1:] for shape, group in sizes.items() for _ in group]
    median = np.median(np.asarray(every), axis=0)
    return tuple(max(8, int(np.round(value / 8)) * 8) for value in median)


def _bad(
    check: str, what: str, texts: Sequence[str], total: int, mark: str = ", ", way: str = ""
) -> Finding:
    if not texts:
        return Finding(check, "accepted", f"all {total}")
    found = f"{what}, {len(texts)} of {many(total, 'image')}:{mark.strip(',')}{few(texts, mark)}"
    return Finding(check, "refused", found, way, tuple(texts))


def _kind(sample: Sample) -> str:
    return "synthetic" if sample.split == "synthetic" else "real"


def _size(shape: tuple[int, ...]) -> str:
    channels = f", {shape[0]} channels" if shape[0] > 1 else ""
    return "x".join(map(str, shape[1:])) + channels


FIGURES = ("mean", "standard deviation", "share of voxels at -1 or 1")
"""Of each prepared image, whose intensities lie in [-1, 1]."""

LARGE = 0.5
"""A difference of group means that is looked at, in standard deviations of single images."""

ERRORS = 3.0
"""As many standard errors it must exceed `LARGE` by: three in a thousand by chance, one by one."""

SYNTHETIC = "synthetic images are as bright as real ones"
VALIDATION = "validation images are as bright as training images"


def figures_of(image: PackedImage) -> tuple[float, ...]:
    """Return the `FIGURES` of one prepared image."""
    if image.values is None or image.counts is None:
        voxels = image.voxels()
        return float(voxels.mean()), float(voxels.std()), float(np.mean(np.abs(voxels) >= 1))
    values, shares = image.values.astype(np.float64), image.counts / image.data.size
    mean = float(values @ shares)
    spread = float((values - mean) ** 2 @ shares) ** 0.5
    return mean, spread, float(shares[np.abs(values) >= 1].sum())


@dataclass
class BrightnessCheck:
    """Gathers the figures of every image."""

    _figures: dict[str, list[tuple[float, ...]]] = field(default_factory=lambda: defaultdict(list))

    def add(self, sample: Sample, figures: tuple[float, ...]) -> None:
        """Note the `figures_of` one image."""
        self._figures[sample.split].append(figures)

    def findings(self) -> list[Finding]:
        """Compare validation with training images, and synthetic with all real ones.

        A group of a single image has no spread to compare with; then there is no finding.
        """
        groups = {split: np.array(f) for split, f in self._figures.items() if len(f) > 1}
        found = []
        if {"training", "validation"} <= set(groups):
            found.append(
                _compare(
                    VALIDATION,
                    ("training", groups["training"]),
                    ("validation", groups["validation"]),
                    "Both should come from the same scanners and patients: else ordinary likeness "
                    "is underestimated, and too much is called a copy",
                )
            )
        synthetic = groups.pop("synthetic", None)
        if synthetic is not None and groups:
            found.append(
                _compare(
                    SYNTHETIC,
                    ("real", np.concatenate(list(groups.values()))),
                    ("synthetic", synthetic),
                    "A copy of another brightness or background may be missed. If they were scaled "
                    "or clipped when they were saved, save them as the generator gives them",
                )
            )
        return found


def standardised(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Return how far the means of two groups differ, in standard deviations: (F,).

    `d = (mean(second) - mean(first)) / sqrt((var(first) + var(second)) / 2)` (Cohen, 1988), 0 where
    both are constant and equal, infinite where they are constant and differ.

    Args:
        first: F figures of each image, (N, F), N >= 2.
        second: (M, F), M >= 2.

    >>> standardised(np.array([[0.0], [2.0]]), np.array([[4.0], [6.0]])).round(3).tolist()
    [2.828]
    """
    gap = second.mean(axis=0) - first.mean(axis=0)
    spread = np.sqrt((first.var(axis=0, ddof=1) + second.var(axis=0, ddof=1)) / 2)
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(np.isclose(gap, 0), 0.0, gap / spread)


def _compare(
    check: str, first: tuple[str, np.ndarray], second: tuple[str, np.ndarray], way_out: str
) -> Finding:
    (name, a), (other, b) = first, second
    d = standardised(a, b)
    limit = LARGE + ERRORS * np.sqrt(1 / len(a) + 1 / len(b))
    texts = [
        f"{what} {y:.3g} against {x:.3g} ({abs(gap):.1f} standard deviations)"
        for what, x, y, gap in zip(FIGURES, a.mean(axis=0), b.mean(axis=0), d, strict=True)
        if abs(gap) > limit
    ]
    if texts:
        found = f"{other} images differ from {name} ones: {', '.join(texts)}"
        return Finding(check, "note", found, way_out)
    most = int(np.argmax(np.abs(d)))
    found = f"largest difference {abs(d[most]):.1f} standard deviations ({FIGURES[most]})"
    return Finding(check, "accepted", found)
