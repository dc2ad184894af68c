"""Trains the copy detector and embeds sets of images, each once a run."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from memtk.bench.context import Context
from memtk.bench.plan import Plan
from memtk.components import ConfiguredComponent
from memtk.events import Event, Watch, ignore
from memtk.interfaces import Embedder, Images
from memtk.memorization import Source
from memtk.results import read_arrays, write_arrays
from memtk.training.checkpoints import load_checkpoint, load_weights
from memtk.training.inference import embed
from memtk.training.job import TrainingOptions
from memtk.training.loop import Training, train

FEW = 4
"""Sets of images up to which each has a progress bar of its own."""


class Detector:
    """An embedder trained on one set of images.

    Args:
        context: the run.
        part: the embedder.
        images: what it is trained on; it must not have seen one side of a comparison and not the
            other, so which images these are is part of the result.
        folder: its checkpoints and the embeddings made with it.
        name: for the progress bar.
        weights: of a trained embedder, which then is not trained here.

    Attributes:
        training: what came of it; None with `weights`.
        given: whether it came trained, by `weights` or by its own settings.
    """

    def __init__(
        self,
        context: Context,
        part: ConfiguredComponent,
        images: Images,
        folder: Path,
        name: str,
        weights: Path | None = None,
    ) -> None:
        self._context, self._folder, self._name = context, folder, name
        self._model: Embedder = context.make(part, images.spec, name)
        self.training: Training | None = None
        if weights is not None:
            load_weights(self._model, weights)
            self.given = True
            return
        self.given = not self._model.phases()
        with context.clock(f"training {name}"):
            self.training = train(
                self._model,
                images,
                seed=context.seed("embedder", name),
                folder=folder / "training",
                devices=context.devices,
                options=TrainingOptions(name=name),
                watch=context.watch,
            )
        load_checkpoint(self._model, self.training.checkpoints[-1].path)

    def embed(self, sets: Mapping[str, Images], label: str) -> dict[str, np.ndarray]:
        """Return the embeddings (N, D) of each set, computed once and kept under `label`."""
        path = self._folder / f"{label}.h5"
        stage = f"embedding {label} by {self._name}"
        if path.exists():
            return read_arrays(path, "embeddings")
        with self._context.clock(stage):
            found = self._see_all(sets, label)
        if self._context.devices.is_main:
            write_arrays(path, "embeddings", found)
        self._context.devices.wait()
        return found

    def _see_all(self, sets: Mapping[str, Images], label: str) -> dict[str, np.ndarray]:
        """Embed every set; many small ones share a progress bar."""
        if len(sets) <= FEW:
            return {name: self.see(images, f"{label} {name}") for name, images in sets.items()}
        tell = self._context.watch if self._context.devices.is_main else ignore
        stage, found = f"embedding {label}", {}
        tell(Event("start", stage, 0, len(sets)))
        for name, images in sets.items():
            found[name] = self.see(images, f"{label} {name}", ignore)
            tell(Event("step", stage, len(found), len(sets)))
        tell(Event("end", stage, len(sets), len(sets)))
        return found

    def see(self, images: Images, name: str = "images", watch: Watch | None = None) -> np.ndarray:
        """Return the embeddings (N, D) of images, kept nowhere.

        Args:
            name: for the progress bar.
            watch: told of the progress; None: who watches the run.
        """
        return embed(
            self._model,
            images,
            batch_size=self._context.batch_size,
            devices=self._context.devices,
            name=name,
            watch=self._context.watch if watch is None else watch,
        )


def on_synthetic(
    context: Context,
    plan: Plan,
    first: Detector | None,
    synthetic: Images,
    folder: Path,
    cell: str,
    label: str,
) -> Detector | None:
    """Return the detector of the exposure side: trained on synthetic images, or as it was given.

    Args:
        first: the run's copy detector; None in image space.
        folder: where the training of the generator lies, whose name is `cell`.
        label: of the set.
    """
    if first is None or first.given or plan.embedder is None:
        return first
    name = f"{plan.recipe.bench.embedder} on synthetic {cell} {label}"
    return Detector(context, plan.embedder, synthetic, folder / "exposure" / label, name)


def sources_of(
    detector: Detector | None, sets: Mapping[str, Images], label: str
) -> Mapping[str, Source]:
    """Return each set as a search takes it: embedded, or in image space the images themselves."""
    if detector is None:
        return {name: Rows(images) for name, images in sets.items()}
    return detector.embed(sets, label)


class Rows:
    """Images as rows for a similarity that compares the images themselves, read piece by piece."""

    def __init__(self, images: Images) -> None:
        self._images = images

    def __len__(self) -> int:
        return len(self._images)

    def __getitem__(self, where: slice) -> Any:
        rows = range(*where.indices(len(self)))
        return self._images.read(rows).flatten(1).numpy()  # (B, C*S)
