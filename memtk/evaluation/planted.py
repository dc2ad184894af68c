"""Planted copies: altered training images, to see whether the detector finds them."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial

import numpy as np
import torch
from torch import Tensor

from memtk.data.images import MemoryImages, ReducedImages
from memtk.evaluation.context import Computation
from memtk.evaluation.detector import (
    Detector,
    EmbeddedSets,
    TrainingSearch,
    nearest_both_ways,
    sources_of,
)
from memtk.imaging.augmentation import PLANTS, Plant, mixed
from memtk.interfaces import Images, ImageSpec, PatientImages, Similarity
from memtk.interfaces.images import one_a_patient
from memtk.memorization import Source, pairwise
from memtk.noise import Noise

MIXED = "mixed"
"""The set of planted copies that the sensitivity is measured with."""

Change = Callable[[Tensor, Noise], Tensor]
"""`(x (B, C, *S), noise) -> x`: how copies are made of training images."""


class PlantedImages:
    """Copies of some images, made when they are read.

    Args:
        sources: indices of those, (K,).
        change: what is done to each.
        seed: of the changes; row i depends on stream i.
    """

    def __init__(self, images: Images, sources: Sequence[int], change: Change, seed: int) -> None:
        self._images, self._sources = images, [int(i) for i in sources]
        self._change, self._seed = change, seed

    @property
    def seed(self) -> int:
        """Of the changes."""
        return self._seed

    @property
    def sources(self) -> np.ndarray:
        """Which images are copied, (K,)."""
        return np.array(self._sources)

    @property
    def spec(self) -> ImageSpec:
        """Shape of each image."""
        return self._images.spec

    def __len__(self) -> int:
        return len(self._sources)

    def originals(self, shape: Sequence[int]) -> MemoryImages:
        """Return the images that are copied, each reduced to (*shape) by averages, in memory."""
        return MemoryImages(ReducedImages(self._images, shape).read(self._sources))

    @torch.no_grad()
    def read(self, indices: Sequence[int]) -> Tensor:
        """Return the copies at `indices`: float32 (B, C, *S) in [-1, 1], on the CPU."""
        x = self._images.read([self._sources[i] for i in indices])
        return self._change(x, Noise(self._seed, indices)).float().clamp(-1, 1).cpu()


@dataclass(frozen=True)
class PlantSet:
    """Copies of one kind and strength.

    Args:
        nominal: whether `mixed` goes that far.
        change: `grain -> change` for images that were reduced, whose noise is so much weaker; None
            where only whole images are copied.
    """

    label: str
    kind: str
    strength: float
    unit: str
    nominal: bool
    images: PlantedImages
    change: Callable[[float], Change] | None = None


FINER = 2
"""As many times finer than an embedder looks are the images that copies are made of for it."""


def seen_by(detector: Detector | None, sets: Sequence[PlantSet]) -> dict[str, Images]:
    """Return the copies of each set, by its label, for an embedder to look at.

    Where it reduces images first (`Embedder.resolution`), copies are made of images that are
    `FINER` times as fine as it sees and no finer: each that is copied is read and reduced once.
    Lengths of changes are fractions of the sides, and noise is as strong as if it had been averaged
    with the images. Else, and in image space, whole images are copied.
    """
    whole: dict[str, Images] = {plant.label: plant.images for plant in sets}
    if detector is None or detector.resolution is None or not sets:
        return whole
    first = sets[0].images
    shape = [min(FINER * n, m) for n, m in zip(detector.resolution, first.spec.shape, strict=True)]
    if shape == list(first.spec.shape):
        return whole
    grain = math.sqrt(math.prod(shape) / math.prod(first.spec.shape))
    originals, rows = first.originals(shape), range(len(first))
    return whole | {
        plant.label: PlantedImages(originals, rows, plant.change(grain), plant.images.seed)
        for plant in sets
        if plant.change is not None
    }


@dataclass(frozen=True)
class PlantedSimilarity:
    """Planted copies of K training images, and what the embedder of the copies sees near them.

    Args:
        sources: which training images were copied, (K,).
        nearest: by label of the set, the similarity of each copy to its nearest training image and
            the index of that image, (K,) and (K,). `MIXED` is what the sensitivity is measured
            with.
        second: by the same labels, the similarity of each copy to the nearest training image of
            another patient, (K,); empty where that is not known.
        sets: by kind and strength, `MIXED` last; empty where embeddings of copies were given.
        given: those embeddings as the embedder of the exposure sees them, (K, D); None without.
        rows: which images of `sets` these are, where some are left out, (K,); None: all.
        name: under which their embeddings are kept.
    """

    sources: np.ndarray
    nearest: Mapping[str, tuple[np.ndarray, np.ndarray]]
    second: Mapping[str, np.ndarray] = field(default_factory=dict)
    sets: tuple[PlantSet, ...] = ()
    name: str = "planted copies"
    given: np.ndarray | None = None
    rows: np.ndarray | None = None

    @property
    def similarity(self) -> np.ndarray:
        """Of each mixed copy, one a patient, to its nearest training image, (K,)."""
        return self.nearest[MIXED][0]

    def arrays(self) -> dict[str, np.ndarray]:
        """Return what was found, for the raw arrays of a run: "source", and by set "SET, ..."."""
        arrays = {"source": self.sources}
        for label, (similarity, index) in self.nearest.items():
            arrays[f"{label}, similarity"], arrays[f"{label}, index"] = similarity, index
        return arrays | {f"{label}, second": near for label, near in self.second.items()}

    def to_sources(self, seen: EmbeddedSets, similarity: Similarity) -> dict[str, np.ndarray]:
        """Return the similarity of each copied image to its copy by the set's label, (K,).

        Empty where the embedder of the exposure cannot see the copies.

        Args:
            seen: the training images in the eyes of the embedder that saw the synthetic ones,
                which embeds the copies too.
            similarity: of two rows.
        """
        rows: Mapping[str, Source] = {} if self.given is None else {MIXED: self.given}
        if self.sets:
            rows = sources_of(seen.detector, seen_by(seen.detector, self.sets), self.name)
        names, chosen = ("planted copies", "training"), self.sources
        if self.rows is not None:
            chosen = self.sets[-1].images.sources
        found = {
            label: pairwise(copies, seen.training, similarity, chosen=chosen, names=names)
            for label, copies in rows.items()
        }
        return found if self.rows is None else {k: near[self.rows] for k, near in found.items()}

    def left(self, rows: np.ndarray) -> PlantedSimilarity:
        """Return some of the copies, by their place in `sources`."""
        nearest = {k: (near[rows], which[rows]) for k, (near, which) in self.nearest.items()}
        second = {label: near[rows] for label, near in self.second.items()}
        sources = self.sources[rows]
        return replace(self, sources=sources, nearest=nearest, second=second, rows=rows)


@dataclass(frozen=True)
class Plants:
    """How copies are planted.

    One image of each of up to `count` patients is copied, so that what is found of one copy says
    nothing about the next and binomial intervals hold.

    Args:
        training: the training images (N).
        count: patients whose images are copied, at the most.
        reconstruct: the generator's own autoencoder, `x -> x`, for one more kind; None without.
        name: under which the embeddings are kept.
    """

    context: Computation
    training: PatientImages
    count: int
    reconstruct: Callable[[Tensor], Tensor] | None = None
    name: str = "planted copies"

    def measure(self, detector: Detector | None, among: TrainingSearch) -> PlantedSimilarity:
        """Plant the copies and find the training image nearest to each.

        Args:
            detector: the embedder that saw the training images; None in image space.
            among: the training images as it sees them.
        """
        sources = self._sources()
        sets = self._sets(sources)
        seen = sources_of(detector, seen_by(detector, sets), self.name)
        nearest, second = {}, {}
        for plant in sets:
            found = nearest_both_ways(
                among.devices,
                seen[plant.label],
                among.training,
                among.similarity,
                names=("planted copies", "training"),
            ).queries
            nearest[plant.label] = (found.similarity, found.index)
            second[plant.label] = among.second(seen[plant.label], found.index, "planted copies")
        return PlantedSimilarity(sources, nearest, second, sets, self.name)

    def known(self, arrays: Mapping[str, np.ndarray]) -> PlantedSimilarity:
        """Return what an earlier call of `measure` found, from its `PlantedSimilarity.arrays`."""
        sets = self._sets(arrays["source"])
        nearest = {
            s.label: (arrays[f"{s.label}, similarity"], arrays[f"{s.label}, index"]) for s in sets
        }
        names = {s.label: f"{s.label}, second" for s in sets}
        second = {label: arrays[name] for label, name in names.items() if name in arrays}
        return PlantedSimilarity(arrays["source"], nearest, second, sets, self.name)

    def _sources(self) -> np.ndarray:
        rng = np.random.default_rng(self.context.seed("planted", "sources"))
        return one_a_patient(self.training.patients, len(self.training), self.count, rng)

    def _sets(self, sources: np.ndarray) -> tuple[PlantSet, ...]:
        def made(
            kind: str,
            strength: float,
            unit: str,
            nominal: bool,
            change: Change,
            reduced: Callable[[float], Change] | None,
        ) -> PlantSet:
            label = f"{kind} {strength:g}" if strength and kind != MIXED else kind
            seed = self.context.seed("planted", label)
            images = PlantedImages(self.training, sources.tolist(), change, seed)
            return PlantSet(label, kind, strength, unit, nominal, images, reduced)

        sets = [
            made(
                plant.kind,
                strength,
                plant.unit,
                strength <= plant.nominal,
                partial(_at, plant, strength),
                partial(_reduced, plant, strength),
            )
            for plant in PLANTS
            for strength in plant.strengths
        ]
        if self.reconstruct is not None:
            trip = partial(_round_trip, self.reconstruct, self.context.devices.device)
            sets.append(made("autoencoder", 0.0, "", True, trip, None))
        return (*sets, made(MIXED, 0.0, "", True, mixed, lambda grain: partial(mixed, grain=grain)))


def _round_trip(
    reconstruct: Callable[[Tensor], Tensor], device: torch.device, x: Tensor, noise: Noise
) -> Tensor:
    return reconstruct(x.to(device))


def _at(plant: Plant, strength: float, x: Tensor, noise: Noise) -> Tensor:
    return plant.make(x, strength, noise)


def _reduced(plant: Plant, strength: float, grain: float) -> Change:
    return partial(_at, plant, strength * grain if plant.kind == "noise" else strength)
