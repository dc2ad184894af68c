"""Plants copies of training images and asks whether they are found: the self-test of a run."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch
from torch import Tensor

from memtk.bench.context import Context
from memtk.bench.embedding import Detector, sources_of
from memtk.data.images import StoredImages
from memtk.imaging.planted import PLANTS, Plant, mixed
from memtk.interfaces import Images, ImageSpec, Similarity
from memtk.memorization import Source, pairwise
from memtk.noise import Noise

MIXED = "mixed"
"""The set of planted copies that the sensitivity is measured with."""

Change = Callable[[Tensor, Noise], Tensor]
"""`(x (B, C, *S), noise) -> x`: how copies are made of training images."""


class PlantedImages:
    """Copies of some images, made when they are read.

    Args:
        images: that are copied.
        sources: indices of those, (K,).
        change: what is done to each.
        seed: of the changes; row i depends on stream i.
    """

    def __init__(self, images: Images, sources: Sequence[int], change: Change, seed: int) -> None:
        self._images, self._sources = images, [int(i) for i in sources]
        self._change, self._seed = change, seed

    @property
    def spec(self) -> ImageSpec:
        """Shape of each image."""
        return self._images.spec

    def __len__(self) -> int:
        return len(self._sources)

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
    """

    label: str
    kind: str
    strength: float
    unit: str
    nominal: bool
    images: PlantedImages


@dataclass(frozen=True)
class Sensed:
    """Planted copies as the embedder of the copies sees them.

    Args:
        similarity: of each to its nearest training image, (K,).
        patients: of the images they were made from, (K,); if empty, each is another.
    """

    similarity: np.ndarray
    patients: Sequence[str]


class Planting:
    """Planted copies of one set of training images, and what is near them.

    One image of each of up to `count` patients is copied, so that what is found of one copy says
    nothing about the next and binomial intervals hold.

    Args:
        context: the run.
        similarity: how two images are compared.
        training: the training images (N).
        count: patients whose images are copied, at the most.
        detector: the embedder that saw the training images; None in image space.
        nearest_in: the training images as the detector sees them, (N, D).
        reconstruct: the generator's own autoencoder, `x -> x`, for one more kind; None without.
        name: under which the embeddings are kept.

    Attributes:
        sources: which training images were copied, (K,).
        sets: by kind and strength, `MIXED` last.
        nearest: by label of the set, the similarity of each copy to its nearest training image and
            the index of that image, (K,) and (K,).
    """

    def __init__(
        self,
        context: Context,
        similarity: Similarity,
        training: StoredImages,
        *,
        count: int,
        detector: Detector | None,
        nearest_in: Source,
        reconstruct: Callable[[Tensor], Tensor] | None = None,
        name: str = "planted copies",
    ) -> None:
        self._context, self._similarity = context, similarity
        self._training, self._name = training, name
        rng = np.random.default_rng(context.seed("planted", "sources"))
        self.sources = one_a_patient(training.patients, len(training), count, rng)
        self.sets = tuple(self._sets(reconstruct))
        seen = sources_of(detector, {s.label: s.images for s in self.sets}, self._name)
        self.nearest: dict[str, tuple[np.ndarray, np.ndarray]] = {}
        for plant in self.sets:
            found = context.search(
                seen[plant.label], nearest_in, similarity, names=("planted copies", "training")
            ).queries
            self.nearest[plant.label] = (found.similarity, found.index)

    def sensed(self) -> Sensed:
        """Return the mixed copies, which the sensitivity is measured with."""
        return Sensed(self.nearest[MIXED][0], ())  # one image a patient

    def arrays(self) -> dict[str, np.ndarray]:
        """Return what was found, for the raw arrays of a run: "source", and by set "SET/..."."""
        arrays = {"source": self.sources}
        for label, (similarity, index) in self.nearest.items():
            arrays[f"{label}, similarity"], arrays[f"{label}, index"] = similarity, index
        return arrays

    def to_sources(self, detector: Detector | None, training: Source) -> Mapping[str, np.ndarray]:
        """Return the similarity of each copied image to its copy by the set's label, (K,).

        Args:
            detector: the embedder that saw the synthetic images; None in image space.
            training: the training images as it sees them, (N, D).
        """
        seen = sources_of(detector, {s.label: s.images for s in self.sets}, self._name)
        return {
            plant.label: pairwise(
                seen[plant.label],
                training,
                self._similarity,
                chosen=self.sources,
                names=("planted copies", "training"),
            )
            for plant in self.sets
        }

    def _sets(self, reconstruct: Callable[[Tensor], Tensor] | None) -> list[PlantSet]:
        made = []
        for plant in PLANTS:
            for strength in plant.strengths:
                change = partial(_at, plant, strength)
                nominal = strength <= plant.nominal
                made.append(self._set(plant.kind, strength, plant.unit, nominal, change))
        if reconstruct is not None:
            made.append(
                self._set(
                    "autoencoder",
                    0.0,
                    "",
                    True,
                    partial(_round_trip, reconstruct, self._context.devices.device),
                )
            )
        made.append(self._set(MIXED, 0.0, "", True, mixed))
        return made

    def _set(
        self, kind: str, strength: float, unit: str, nominal: bool, change: Change
    ) -> PlantSet:
        label = f"{kind} {strength:g}" if strength and kind != MIXED else kind
        seed = self._context.seed("planted", label)
        images = PlantedImages(self._training, self.sources.tolist(), change, seed)
        return PlantSet(label, kind, strength, unit, nominal, images)


def one_a_patient(
    patients: Sequence[str], images: int, count: int, rng: np.random.Generator
) -> np.ndarray:
    """Return the index of one image of each of up to `count` patients, ascending.

    Args:
        patients: of each image; if empty, each is another.
        images: how many there are.

    >>> one_a_patient(["a", "a", "b", "c"], 4, 9, np.random.default_rng(0)).tolist()
    [0, 2, 3]
    """
    order = rng.permutation(images)
    names = [patients[i] if patients else str(i) for i in order.tolist()]
    first = list(dict(zip(reversed(names), reversed(order.tolist()), strict=True)).values())
    chosen = np.array(first, dtype=np.int64)
    return np.sort(chosen if len(chosen) <= count else rng.choice(chosen, count, replace=False))


def _round_trip(
    reconstruct: Callable[[Tensor], Tensor], device: torch.device, x: Tensor, noise: Noise
) -> Tensor:
    return reconstruct(x.to(device))


def _at(plant: Plant, strength: float, x: Tensor, noise: Noise) -> Tensor:
    return plant.make(x, strength, noise)
