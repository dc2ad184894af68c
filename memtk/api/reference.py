"""What the synthetic images of a running training are compared with: made once, in memory."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from memtk.auditing.plan import AuditOptions, find_detector
from memtk.components import check_dims, find_component
from memtk.data.arrays import as_numpy
from memtk.data.images import MemoryImages, identical_images
from memtk.data.patients import patient_names
from memtk.errors import UserError, many
from memtk.evaluation.calibration import Calibration, Patients, calibrate
from memtk.evaluation.context import Computation, StageTimer
from memtk.evaluation.detector import Detector, EmbeddedSets, check_unseen, sources_of, weights_in
from memtk.evaluation.planted import MIXED, Plants, seen_by
from memtk.evaluation.population import rows_test
from memtk.events import ignore
from memtk.interfaces import ImageSpec, Levels, Similarity
from memtk.noise import derive
from memtk.registry import Registry
from memtk.training.devices import Devices

Whose = tuple[Sequence[Any], Sequence[Any]]
"""The patient of each training image, and of each validation image."""


@dataclass(frozen=True)
class Scale:
    """Between which values images lie: [-1, 1], or [0, 1] if no training image goes below 0.

    Args:
        low: -1 or 0.
        dark: whether each training image has a value below 0.
    """

    low: float
    dark: bool

    @classmethod
    def of(cls, x: np.ndarray) -> Scale:
        """Return that of the training images (N, C, *S)."""
        lowest = x.reshape(len(x), -1).min(1)
        return cls(-1.0 if lowest.min() < 0 else 0.0, bool((lowest < 0).all()))

    def check(self, name: str, x: np.ndarray) -> None:
        """Refuse images of another scale; half of it beyond an end is what a sampler may go.

        Raises:
            UserError: with the way out.
        """
        low, high = (float(x.min()), float(x.max())) if x.size else (0.0, 0.0)
        beyond = (1 - self.low) / 2
        values = f"{name}: values from {low:.3g} to {high:.3g}"
        if low < self.low - beyond or high > 1 + beyond:
            raise UserError(
                f"{values}; the training images lie in [{self.low:g}, 1]: scale these in the same "
                "way. If they are, and the sampler goes beyond, clip them: "
                f"x.clamp({self.low:g}, 1)"
            )
        if self.dark and low >= 0 and high > 0.5:
            raise UserError(
                f"{values}, none below 0; every training image has some, in [-1, 1]: scale these "
                "in the same way. From [0, 1] that is 2 * x - 1"
            )


@dataclass(frozen=True)
class Reference:
    """What synthetic images are compared with; made once, before there are any.

    Args:
        real: the training and validation images as the detector sees them.
        exposure: whether training images are tested too: the detector has not seen them.
        spec: of the images; None where embeddings were given.
        scale: likewise.
        devices: where it is computed, in this process alone.
        levels: of the tests and intervals.
    """

    real: EmbeddedSets
    calibration: Calibration
    exposure: bool
    spec: ImageSpec | None
    scale: Scale | None
    devices: Devices
    levels: Levels


def reference_of(
    registry: Registry,
    options: AuditOptions,
    settings: Mapping[str, Any],
    devices: Devices,
    sets: tuple[Any, Any],
    patients: Whose | None,
) -> Reference:
    """Make what synthetic images are compared with; see `memtk.Memorization.from_images`.

    Args:
        settings: of the components, by their names.
        sets: the training and the validation images, or embeddings of both.

    Raises:
        UserError: for images or options that cannot be used.
    """
    asked = ["quality="] if options.quality else []
    asked += [f"the setting {table}" for table in ("data", "audit") if table in settings]
    if asked:
        raise UserError(
            f"{asked[0]} goes with memtk.audit; this takes images as the generator sees them, and "
            "measures what is memorized"
        )
    if all(len(getattr(each, "shape", ())) == 2 for each in sets):
        return _of_embeddings(registry, options, settings, devices, sets, patients)
    training, validation = (
        _images(name, each, patients, side)
        for side, (name, each) in enumerate(zip(("train", "validation"), sets, strict=True))
    )
    return _of_images(registry, options, settings, devices, training, validation)


def _of_images(
    registry: Registry,
    options: AuditOptions,
    settings: Mapping[str, Any],
    devices: Devices,
    training: MemoryImages,
    validation: MemoryImages,
) -> Reference:
    """Train the detector as a bench of the same seed does, and calibrate it."""
    spec, weights = training.spec, weights_in(options.weights)
    scale = Scale.of(training.x.numpy())
    scale.check("validation", validation.x.numpy())
    _check_apart(training, validation)
    check_unseen(
        weights, {"training": training, "validation": validation}, exposure=options.exposure
    )
    parts = find_detector(registry, options, settings, lambda: spec.dims)
    for part in (parts.similarity, parts.embedder):
        if part is not None:
            check_dims(part, spec, registry)
    patients = Patients.of(training, validation, derive(options.seed, "population"))
    with tempfile.TemporaryDirectory() as folder:
        context = Computation(
            devices, Path(folder), StageTimer(None), ignore, options.seed, options.batch_size
        )
        detector = None
        if parts.embedder is not None:
            name = f"the embedder {options.embedder or parts.embedder.name}"
            place = Path(folder) / "embedder"
            place.mkdir()
            detector = Detector(context, parts.embedder, training, place, name, weights)
        sets = {"training": training, "validation": validation}
        seen = sources_of(detector, sets, "real images")
        real = EmbeddedSets(seen["training"], seen["validation"], detector=detector)
        plants = Plants(context, training, options.plants) if options.plants else None
        made = calibrate(
            real, parts.similarity.make(), patients, plants, devices=devices, seed=options.seed
        )
        if made.planted is not None and detector is not None:  # their embeddings, not the images
            images = seen_by(detector, made.planted.sets)
            given = detector.embed(images, made.planted.name)[MIXED]
            made = replace(made, planted=replace(made.planted, sets=(), given=given))
    exposure = options.exposure and (detector is None or detector.given)
    return Reference(real, made, exposure, spec, scale, devices, Levels(options.alpha, options.fdr))


def _of_embeddings(
    registry: Registry,
    options: AuditOptions,
    settings: Mapping[str, Any],
    devices: Devices,
    sets: tuple[Any, Any],
    patients: Whose | None,
) -> Reference:
    """Calibrate embeddings of somebody else's embedder."""
    if settings or options.embedder or options.weights or options.preset:
        raise UserError(
            "embedder, weights, preset and settings go with images; these are embeddings"
        )
    part = find_component(registry, "similarity", options.similarity, {}, "")
    if part.cls.space != "embedding":
        raise UserError(f"similarity {options.similarity!r} compares images; embeddings were given")
    similarity: Similarity = part.make()
    training, validation = (
        numbers(name, rows) for name, rows in zip(("train", "validation"), sets, strict=True)
    )
    if training.shape[1] != validation.shape[1]:
        raise UserError(
            f"the embeddings differ in width (train {training.shape[1]}, validation "
            f"{validation.shape[1]}): use one embedder"
        )
    whom = (
        _patients("train", patients, 0, len(training)),
        _patients("validation", patients, 1, len(validation)),
    )
    _check_patients(*whom)
    mine, theirs = (
        similarity.prepare(torch.from_numpy(each)).numpy() for each in (training, validation)
    )
    tested = rows_test((mine, theirs), whom, derive(options.seed, "population"))
    whose = Patients(*whom, population=tested if options.exposure else None)
    real = EmbeddedSets(training, validation)
    made = calibrate(real, similarity, whose, devices=devices, seed=options.seed)
    levels = Levels(options.alpha, options.fdr)
    return Reference(real, made, options.exposure, None, None, devices, levels)


def _images(name: str, value: Any, patients: Whose | None, side: int) -> MemoryImages:
    """Take what somebody has in memory for images of one side, with their patients."""
    strata: Sequence[str] = ()
    own: Sequence[str] = ()
    spacing: tuple[float, ...] = ()
    if hasattr(value, "read") and hasattr(value, "spec"):
        own, strata = getattr(value, "patients", ()), getattr(value, "strata", ())
        value, spacing = value.read(range(len(value))), value.spec.spacing
    x = numbers(name, value)
    if x.ndim not in (4, 5) or not x.size:
        raise UserError(f"{name}: the shape {x.shape} holds no images: give (N, C, *S)")
    low, high = float(x.min()), float(x.max())
    if low < -1 or high > 1:
        raise UserError(
            f"{name}: values from {low:.3g} to {high:.3g}; give images in [-1, 1], scaled as those "
            "that update is given will be"
        )
    whose = _patients(name, patients, side, len(x)) if patients is not None else own
    return MemoryImages(torch.from_numpy(x), whose, spacing, strata)


def numbers(name: str, value: Any) -> np.ndarray:
    """Return values as float32.

    Raises:
        UserError: for what is no array of finite floating-point numbers.
    """
    array = as_numpy(name, value)
    if array.dtype.kind != "f" or array.ndim < 2 or not np.isfinite(array).all():
        raise UserError(
            f"{name}: an array of {array.dtype} and shape {array.shape} was given; finite "
            "floating-point numbers are needed, images (N, C, *S) in [-1, 1] or embeddings (N, D)"
        )
    return np.ascontiguousarray(array, dtype=np.float32)


def _patients(name: str, patients: Whose | None, side: int, count: int) -> tuple[str, ...]:
    if patients is None:
        return ()
    if len(patients) != 2 or len(patients[side]) != count:
        raise UserError(
            f"patients=: give two lists, (of the training images, of the validation images); "
            f"{name} has {many(count, 'image')}"
        )
    return patient_names(patients[side], f"patients[{side}]")


def _check_apart(training: MemoryImages, validation: MemoryImages) -> None:
    """Refuse what makes every comparison meaningless.

    Raises:
        UserError: for other shapes, a patient on both sides, an image on both sides.
    """
    if (
        training.spec.shape != validation.spec.shape
        or training.spec.channels != validation.spec.channels
    ):
        raise UserError(
            f"the training images are {tuple(training.x.shape[1:])}, the validation images "
            f"{tuple(validation.x.shape[1:])}"
        )
    _check_patients(training.patients, validation.patients)
    if same := int(identical_images(training, validation).sum()):
        raise UserError(
            f"{many(same, 'validation image', 'is/are')} identical to a training image: take "
            "them out of one side"
        )


def _check_patients(training: Sequence[str], validation: Sequence[str]) -> None:
    if shared := set(training) & set(validation):
        raise UserError(
            f"{many(len(shared), 'patient', 'is/are')} among the training and the validation "
            "images. Then a copy "
            "cannot be told from another image of the same patient: put each on one side."
        )
