"""The detector measured on a run's own images: planted copies found, strangers spared."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, replace

import numpy as np

from memtk.evaluation.calibration import Calibration
from memtk.evaluation.detector import EmbeddedSets, nearest_both_ways
from memtk.evaluation.planted import MIXED, PlantedSimilarity
from memtk.evaluation.sides import SURE, levelled
from memtk.interfaces import Levels
from memtk.memorization import (
    PatientGroup,
    PlantedExposure,
    PlantedScore,
    Share,
    margin_test,
    score_planted,
    share,
    specificity,
    tail_test,
)
from memtk.results import Found, Planted, Rate, SelfTest, Specificity
from memtk.training.devices import Devices


def self_test(
    calibration: Calibration,
    levels: Levels,
    copies: EmbeddedSets,
    exposure: EmbeddedSets | None = None,
    arrays: Mapping[str, np.ndarray] | None = None,
    *,
    devices: Devices | None = None,
) -> SelfTest | None:
    """Return how well copies are found, and strangers spared, by every protocol.

    Args:
        copies: what the embedder sees that saw the training images.
        exposure: what that sees that saw the synthetic images; None leaves that side out.
        arrays: of `neighbours`; without them nothing is said of the exposure and of names.
        devices: that search; None: the CPU of this process.

    Returns:
        None where nothing was planted, or nothing can be said of strangers: one validation patient
        and no other.
    """
    planted, arrays = calibration.planted, arrays or {}
    tested = len(arrays.get("synthetic_train", ()))
    if planted is None:
        return None
    back: Mapping[str, np.ndarray] = {}
    if exposure is not None:
        back = planted.to_sources(exposure, calibration.similarity)
    near, other = _strangers(copies, exposure, calibration, devices)
    validation = calibration.arrays["validation_train"]
    left = specificity(
        near,
        validation,
        calibration.patients.validation,
        cutoff=calibration.tau,
        alpha=levels.alpha,
        confidence=levels.confidence,
        exposure=None if not back else (other, arrays["exposure_validation_synthetic"]),
    )
    if left is None:
        return None

    def found(label: str) -> Found:
        seen = None
        if back:
            raw = PlantedExposure(
                copy=back[label], validation=arrays["exposure_validation_synthetic"]
            )
            seen = _levelled(raw, planted.sources, calibration)
        return _found(_score(planted, label, calibration, levels, seen), named(label))

    def named(label: str) -> Rate | None:
        if not tested:
            return None
        strangers = PatientGroup(validation, calibration.patients.validation)
        copies, seed, alone = PatientGroup(planted.nearest[label][0]), calibration.seed, None
        if label in planted.second:
            margins = (copies, planted.second[label])
            alone = margin_test(margins, calibration.margins, seed=seed)
        p = tail_test(copies, strangers, margin=alone, seed=seed).sure_p
        return _rate(share(p <= SURE / tested, levels.confidence))

    return SelfTest(
        confidence=levels.confidence,
        specificity_from=left.source,
        sensitivity=found(MIXED),
        specificity=Specificity(
            dar=_rate(left.dar),
            conformal=_rate(left.conformal),
            exposure=_rate(left.exposure) if left.exposure else None,
        ),
        plants=[
            Planted(
                kind=plant.kind,
                strength=plant.strength,
                unit=plant.unit,
                nominal=plant.nominal,
                found=found(plant.label),
            )
            for plant in planted.sets
            if plant.kind != MIXED
        ],
    )


def _score(
    planted: PlantedSimilarity,
    label: str,
    calibration: Calibration,
    levels: Levels,
    exposure: PlantedExposure | None,
) -> PlantedScore:
    near, index = planted.nearest[label]
    validation = calibration.arrays["validation_train"]

    def scored(near: np.ndarray, validation: np.ndarray) -> PlantedScore:
        return score_planted(
            near,
            index,
            planted.sources,
            calibration.patients.training,
            cutoff=calibration.tau,
            validation=validation,
            validation_patients=calibration.patients.validation,
            alpha=levels.alpha,
            confidence=levels.confidence,
            exposure=exposure,
        )

    pooled = scored(near, validation)
    if calibration.strata is None:
        return pooled
    mine = calibration.strata[0]
    theirs = mine[calibration.arrays["validation_train_index"]]
    level = levelled(near, mine[index], validation, theirs)
    within = scored(level, levelled(validation, theirs, validation, theirs))
    return replace(within, dar=pooled.dar)  # which knows no strata


def _levelled(
    seen: PlantedExposure, sources: np.ndarray, calibration: Calibration
) -> PlantedExposure:
    """Bring the exposure of the planted images to the scale that strata share."""
    if calibration.strata is None:
        return seen
    mine, theirs = calibration.strata[0][sources], calibration.strata[1]
    near = seen.validation
    return PlantedExposure(
        copy=levelled(seen.copy, mine, near, theirs),
        validation=levelled(near, theirs, near, theirs),
    )


def _strangers(
    copies: EmbeddedSets,
    exposure: EmbeddedSets | None,
    calibration: Calibration,
    devices: Devices | None,
) -> tuple[np.ndarray, np.ndarray]:
    """Return each held-out image's similarity to its nearest training and synthetic image, (H,)."""
    none = np.zeros(0)
    if copies.held_out is None:
        return none, none
    names, similarity = ("held-out images", "training images"), calibration.similarity
    near = nearest_both_ways(devices, copies.held_out, copies.training, similarity, names=names)
    if exposure is None or exposure.held_out is None or exposure.synthetic is None:
        return near.queries.similarity, none
    names = ("held-out images", "synthetic images")
    other = nearest_both_ways(
        devices, exposure.held_out, exposure.synthetic, similarity, names=names
    )
    return near.queries.similarity, other.queries.similarity


def _found(score: PlantedScore, named: Rate | None) -> Found:
    return Found(
        dar=_rate(score.dar),
        conformal=_rate(score.conformal),
        named=named,
        min_p=_rate(score.beyond),
        exposure=_rate(score.exposure) if score.exposure else None,
        right_image=_rate(score.right_image),
        right_patient=_rate(score.right_patient),
    )


def _rate(share: Share) -> Rate:
    return Rate(**asdict(share))
