"""The copy detector: an embedder that is trained on one set of images, and the sets it embeds."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from memtk.components import ConfiguredComponent
from memtk.data.images import FlatImages, ReducedImages, StoredImages, identical_images
from memtk.data.patients import said
from memtk.errors import UserError
from memtk.evaluation.context import Computation, Context
from memtk.events import Event, Watch, ignore
from memtk.interfaces import Embedder, Images, Similarity
from memtk.memorization import Execution, Search, Source, search
from memtk.results import read_arrays, write_arrays
from memtk.training.checkpoints import load_checkpoint, load_weights
from memtk.training.devices import Devices
from memtk.training.inference import embed
from memtk.training.job import TrainingOptions
from memtk.training.loop import Training, train

FEW = 4
"""Sets of images up to which each has a progress bar of its own."""

MOST = 1000
"""Training patients whose nearest others are looked for, drawn at random of more."""


class Detector:
    """An embedder trained on one set of images.

    Args:
        images: what it is trained on; it must not have seen one side of a comparison and not the
            other, so which images these are is part of the result.
        folder: its checkpoints and the embeddings made with it.
        name: for the progress bar.
        weights: of a trained embedder, which then is not trained here.

    Attributes:
        place: the folder.
        training: what came of it; None with `weights`.
        given: whether it came trained, by `weights` or by its own settings.
    """

    def __init__(
        self,
        context: Computation,
        part: ConfiguredComponent,
        images: Images,
        folder: Path,
        name: str,
        weights: Path | None = None,
    ) -> None:
        self._context, self.place, self._name = context, folder, name
        self._model: Embedder = context.make(part, images.spec, name)
        self.training: Training | None = None
        if weights is not None:
            load_weights(self._model, weights)
            self.given = True
            return
        self.given = not self._model.phases()
        images = _as_seen(images, self.resolution)
        with context.timer("train embedder"):
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

    @property
    def resolution(self) -> tuple[int, ...] | None:
        """See `Embedder.resolution`."""
        return self._model.resolution

    def embed(self, sets: Mapping[str, Images], label: str) -> dict[str, np.ndarray]:
        """Return the embeddings (N, D) of each set, computed once and kept under `label`."""
        path = self.place / f"{label}.h5"
        if path.exists():
            return read_arrays(path, "embeddings")
        with self._context.timer("embed"):
            found = self._see_all(sets, label)
        if self._context.devices.is_main:
            write_arrays(path, "embeddings", found)
        self._context.devices.wait()
        return found

    def _see_all(self, sets: Mapping[str, Images], label: str) -> dict[str, np.ndarray]:
        """Embed every set; many small ones share a progress bar."""
        if len(sets) <= FEW:
            return {x: self.see(images, f"{label}: {said(x)}") for x, images in sets.items()}
        tell = self._context.watch if self._context.devices.is_main else ignore
        stage, found = f"embedding {label}", {}
        tell(Event("start", stage, 0, len(sets)))
        for name, images in sets.items():
            found[name] = self.see(images, f"{label}: {said(name)}", ignore)
            tell(Event("step", stage, len(found), len(sets)))
        tell(Event("end", stage, len(sets), len(sets)))
        return found

    def see(self, images: Images, name: str = "images", watch: Watch | None = None) -> np.ndarray:
        """Return the embeddings (N, D) of images, kept nowhere; `watch`, or the run's, is told."""
        return embed(
            self._model,
            _as_seen(images, self.resolution),
            batch_size=self._context.batch_size,
            devices=self._context.devices,
            name=name,
            watch=self._context.watch if watch is None else watch,
        )


def _as_seen(images: Images, resolution: tuple[int, ...] | None) -> Images:
    """Reduce images to an embedder's resolution; a batch of whole ones takes gigabytes."""
    return images if resolution in (None, images.spec.shape) else ReducedImages(images, resolution)


def sources_of(
    detector: Detector | None, sets: Mapping[str, Images], label: str
) -> Mapping[str, Source]:
    """Return each set as a search takes it: embedded, or in image space the images themselves."""
    if detector is None:
        return {name: FlatImages(images) for name, images in sets.items()}
    return detector.embed(sets, label)


@dataclass(frozen=True)
class EmbeddedSets:
    """The sets of images as one embedder sees them, or the images themselves in image space.

    Args:
        training: the training images, (N, D), or anything with `len` and slices.
        validation: (V, D).
        synthetic: (M, D); None where a detector is tested without any.
        held_out: images of patients nobody trained on, (H, D); None without any.
        detector: the embedder; None in image space and where embeddings were given.
        identical: which synthetic images are a training image, voxel for voxel, bool (M,); None
            where that is not known.
    """

    training: Source
    validation: Source
    synthetic: Source | None = None
    held_out: Source | None = None
    detector: Detector | None = None
    identical: np.ndarray | None = None


def real_rows(context: Context, detector: Detector | None) -> Mapping[str, Source]:
    """Return the rows of every split of the data, embedded once a detector."""
    sets: dict[str, Images] = {
        name: context.dataset.split(name) for name in ("training", "validation", "held_out")
    }
    return sources_of(detector, {k: v for k, v in sets.items() if len(v)}, "real images")


class CopyDetector:
    """The run's copy detector as mitigations see it; see `memtk.interfaces.CopyDetector`.

    Args:
        detector: None where the run compares the images themselves.
    """

    def __init__(self, context: Context, detector: Detector | None, similarity: Similarity) -> None:
        self._context, self._detector = context, detector
        self.similarity = similarity

    def embed(self, images: Images) -> Source:
        """Return one row an image, (N, D), or the images themselves read slice by slice."""
        if self._detector is None:
            return FlatImages(images)
        if isinstance(images, StoredImages) and images.path == self._context.dataset.path:
            rows: Source = real_rows(self._context, self._detector)[images.group][images.indices]
            return rows
        return self._detector.see(images)


def nearest_both_ways(
    devices: Devices | None,
    queries: Source,
    references: Source,
    similarity: Similarity,
    *,
    names: tuple[str, str],
    threshold: float | None = None,
) -> Search:
    """Find nearest neighbours both ways; see `memtk.memorization.search`.

    Args:
        devices: of the run, whose processes share the work; None: the CPU of this process.
    """
    return search(
        queries,
        references,
        similarity,
        threshold=threshold,
        names=names,
        execution=_execution(devices),
    )


def _execution(devices: Devices | None) -> Execution:
    if devices is None:
        return Execution()
    return Execution(devices.device, devices.rank, devices.world, devices.collect)


@dataclass(frozen=True)
class TrainingSearch:
    """Searches the training images for the nearest of another patient.

    Args:
        training: (N, D), or the images themselves.
        owner: the patient of each as a number, (N,).
        devices: that search; None: the CPU of this process.
    """

    training: Source
    owner: np.ndarray
    similarity: Similarity
    devices: Devices | None = None

    def second(self, queries: Source, nearest: np.ndarray, name: str) -> np.ndarray:
        """Return the similarity to the nearest training image of the second nearest patient.

        Args:
            queries: (Q, D).
            nearest: the index of the nearest training image of each, (Q,).
            name: what they are, in the plural.

        Returns:
            (Q,); -inf where there is one training patient.
        """
        return self._others(queries, self.training, (self.owner[nearest], self.owner), name)[0]

    def among_themselves(self, seed: int) -> tuple[np.ndarray, np.ndarray]:
        """Return the same two similarities of training patients among the other ones, (P,) each.

        Of up to `MOST` patients drawn at random; one image of each patient is looked at. Empty
        where there are no three patients.
        """
        rng = np.random.default_rng(seed)
        order = rng.permutation(len(self.owner))
        one = np.sort(order[np.unique(self.owner[order], return_index=True)[1]])
        if len(one) < 3:
            return np.zeros(0), np.zeros(0)
        some = np.sort(rng.choice(one, MOST, replace=False)) if len(one) > MOST else one
        all_of_them = self.training if len(one) == len(self.owner) else _Rows(self.training, one)
        people = self.owner[some], self.owner[one]
        queries = _Rows(self.training, some)
        return self._others(queries, all_of_them, people, "training images", 2)

    def _others(
        self,
        queries: Source,
        references: Source,
        people: tuple[np.ndarray, np.ndarray],
        name: str,
        top: int = 1,
    ) -> tuple[np.ndarray, np.ndarray]:
        """Return the similarity to the nearest image of another patient, and to the top-th."""
        found = search(
            queries,
            references,
            self.similarity,
            top=top,
            patients=(people[0].tolist(), people[1].tolist()),
            names=(name, "training images"),
            execution=_execution(self.devices),
        ).queries.top_similarity
        return found[:, 0], found[:, -1]


class _Rows:
    """Some rows of a set, at indices (n,), read slice by slice."""

    def __init__(self, source: Source, rows: np.ndarray) -> None:
        self._source, self._rows = source, rows

    def __len__(self) -> int:
        return len(self._rows)

    def __getitem__(self, where: slice) -> np.ndarray:
        rows = self._rows[where].tolist()
        return np.concatenate([np.asarray(self._source[i : i + 1]) for i in rows])


def weights_in(given: str | None) -> Path | None:
    """Return the file of weights: as given, or the last checkpoint of a run folder's embedder.

    Raises:
        UserError: if there is none.
    """
    if given is None:
        return None
    path = Path(given).expanduser()
    if path.is_file():
        return path
    found = path.glob("embedder/training/checkpoints/step-*.pt")
    last = max(found, key=lambda p: (len(p.name), p.name), default=None)
    if last is None:
        raise UserError(
            f"--weights {given}: it is no file, and no run folder with a trained embedder "
            "(embedder/training/checkpoints/step-*.pt)"
        )
    return last


def check_unseen(weights: Path | None, sets: Mapping[str, Images], *, exposure: bool) -> None:
    """Refuse weights of a run of memtk whose embedder was trained on images that are judged now.

    Of weights that lie in no run folder nothing is known.

    Args:
        weights: a file; None is always fine.
        sets: the images by name: "training", "validation", "synthetic", "held_out".
        exposure: whether training images are judged too; if not, they may have been seen.

    Raises:
        UserError: counting the images.
    """
    seen = _seen_by(weights) if weights else None
    if seen is None:
        return
    for name, images in sets.items():
        if name == "training" and not exposure:
            continue
        if not (count := int(identical_images(seen, images).sum())):
            continue
        way = "take others"
        if name == "training":
            way = (
                "it makes them stand apart from the validation images, and hides who is exposed. "
                "With --no-exposure it may judge the synthetic images alone"
            )
        raise UserError(
            f"the embedder in {weights} was trained on {count} of these {len(images)} "
            f"{said(name)} images: {way}."
        )


def _seen_by(weights: Path) -> Images | None:
    """Return the images that an embedder in a run folder was trained on; None where unknown."""
    path = weights.absolute()
    root = next((p for p in path.parents if (p / "run.json").exists()), None)
    if root is None:
        return None
    side = "synthetic" if path.relative_to(root).parts[0] == "exposure" else "training"
    for file in sorted((root / "data").glob("*.h5")):
        try:
            return StoredImages(file, side)
        except (UserError, OSError, KeyError, ValueError):
            continue
    return None
