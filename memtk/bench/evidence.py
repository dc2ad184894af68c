"""From a judgement's arrays to the numbers of a result, with what the self-test measured."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass

import numpy as np

from memtk import memorization
from memtk.bench.context import Context
from memtk.bench.embedding import Detector
from memtk.bench.planting import MIXED, Planting, PlantSet, Sensed
from memtk.interfaces import Similarity
from memtk.memorization import (
    Embeddings,
    Judgement,
    PlantedExposure,
    PlantedScore,
    Share,
    Source,
    copy_rate,
    cutoff,
    exposed_patients,
    minimum_detectable,
    p_values,
    score_planted,
    specificity,
)
from memtk.results import (
    Conformal,
    Dar,
    DarMatched,
    Found,
    Planted,
    Protocols,
    Rate,
    RateInterval,
    SelfTest,
    Spared,
)

CONFIDENCE = 0.95
"""Of intervals and bounds where no policy says otherwise."""


@dataclass(frozen=True)
class Patients:
    """The patient of each training and of each validation image; if empty, each is another."""

    training: Sequence[str]
    validation: Sequence[str]


def protocols_of(
    judgement: Judgement,
    alpha: float,
    fdr: float,
    patients: Patients,
    planted: Sensed | None = None,
    *,
    confidence: float = CONFIDENCE,
    seed: int = 0,
) -> Protocols:
    """Return the numbers of every protocol.

    Args:
        planted: what the copy rate is corrected with; None takes every copy as found, and says so.
        confidence: of the interval and the bound of the copy rate.
        seed: of the draws that these rest on.
    """
    dar, matched = judgement.dar, judgement.matched
    return Protocols(
        dar=Dar(
            tau=dar.tau,
            n_mem=dar.n_mem,
            n_copies=dar.n_copies,
            mem_fraction=dar.mem_fraction,
            copy_fraction=dar.copy_fraction,
            expected_mem_fraction=dar.expected_mem_fraction,
            validation_called_copies=dar.validation_called_copies,
        ),
        dar_matched=DarMatched(
            n_mem=matched.n_mem, mem_fraction=matched.mem_fraction, reason=matched.reason
        ),
        conformal=_conformal(judgement, alpha, fdr, patients, planted, confidence, seed),
    )


def _conformal(
    judgement: Judgement,
    alpha: float,
    fdr: float,
    patients: Patients,
    planted: Sensed | None,
    confidence: float,
    seed: int,
) -> Conformal:
    copies, exposure, arrays = judgement.copies, judgement.exposure, judgement.arrays
    validation = arrays["validation_train"]
    notes = []
    if not copies.can_reject:
        notes.append(
            f"With so few validation patients the smallest possible p-value is {copies.min_p:.3f}:"
            " no image could have been flagged. More validation patients are needed."
        )
    if planted is None:
        notes.append(
            "No copies were planted: the copy rate is not corrected for copies that go unnoticed."
        )
    sensed = planted or Sensed(np.full(10_000, np.inf), ())
    rate = copy_rate(
        arrays["synthetic_train"],
        validation,
        patients.validation,
        sensed.similarity,
        sensed.patients,
        alpha=alpha,
        confidence=confidence,
        seed=seed,
    )
    detectable = minimum_detectable(
        p_values(sensed.similarity, validation, patients.validation),
        len(set(patients.validation)) or len(validation),
        len(copies.p),
        fdr=fdr,
        seed=seed,
    )
    if rate.coarse:
        notes.append(
            f"No p-value can be as small as {alpha:g}: the copy rate rests on what is nearer to a "
            "training image than every validation image."
        )
    exposed = None
    if exposure is not None:
        exposed = exposed_patients(
            arrays["exposure_train_synthetic"],
            patients.training,
            arrays["exposure_validation_synthetic"],
            patients.validation,
            fdr=fdr,
        )
    return Conformal(
        alpha=alpha,
        fdr=fdr,
        copies_flagged_fraction=copies.flagged_fraction,
        copies_expected_fraction=copies.expected_fraction,
        n_copies=copies.n_flagged,
        exposed_flagged_fraction=exposure.flagged_fraction if exposure else None,
        exposed_expected_fraction=exposure.expected_fraction if exposure else None,
        n_mem=exposure.n_flagged if exposure else None,
        patients_exposed=exposed.n_flagged if exposed else None,
        patients_with_flagged_images=judgement.patients_exposed,
        patients_fewest=exposed.min_detectable if exposed else None,
        patients_can_reject=exposed.can_reject if exposed else None,
        finest_p=copies.min_p,
        can_reject=copies.can_reject,
        confidence=confidence,
        copy_rate=RateInterval(estimate=rate.estimate, low=rate.low, high=rate.high),
        copy_rate_upper_bound=rate.upper_bound,
        minimum_detectable_copy_rate=detectable,
        notes=notes,
    )


@dataclass(frozen=True)
class View:
    """What one embedder sees.

    Args:
        detector: the embedder; None in image space.
        training: the training images, (N, D).
        validation: (V, D).
        synthetic: (M, D).
        held_out: images of patients nobody trained on, (H, D); None without any.
    """

    detector: Detector | None
    training: Source
    validation: Source
    synthetic: Source
    held_out: Source | None = None

    @property
    def embeddings(self) -> Embeddings:
        """The three sets that are judged."""
        return Embeddings(self.training, self.validation, self.synthetic)


def selftest_of(
    context: Context,
    arrays: Mapping[str, np.ndarray],
    planting: Planting,
    patients: Patients,
    copies: View,
    exposure: View | None,
    similarity: Similarity,
    *,
    alpha: float,
    confidence: float = CONFIDENCE,
) -> SelfTest | None:
    """Return how well copies are found, and strangers spared, by every protocol.

    Args:
        arrays: of `memtk.memorization.Judgement`; without an `exposure`, train_validation and
            validation_train are enough.
        copies: what the embedder sees that saw the training images.
        exposure: what that sees that saw the synthetic images; None leaves that side out.

    Returns:
        None where nothing can be said of strangers: one validation patient and no other.
    """
    limit = cutoff(arrays["train_validation"])
    back = None
    if exposure is not None:
        back = planting.to_sources(exposure.detector, exposure.training)

    def score(label: str) -> PlantedScore:
        nearest, index = planting.nearest[label]
        seen = None
        if back is not None:
            seen = PlantedExposure(
                source=arrays["exposure_train_synthetic"][planting.sources],
                copy=back[label],
                validation=arrays["exposure_validation_synthetic"],
            )
        return score_planted(
            nearest,
            index,
            planting.sources,
            patients.training,
            cutoff=limit,
            validation=arrays["validation_train"],
            validation_patients=patients.validation,
            alpha=alpha,
            confidence=confidence,
            exposure=seen,
        )

    strangers = _strangers(context, copies, exposure, similarity)
    left = specificity(
        strangers[0],
        arrays["validation_train"],
        patients.validation,
        cutoff=limit,
        alpha=alpha,
        confidence=confidence,
        exposure=None if back is None else (strangers[1], arrays["exposure_validation_synthetic"]),
    )
    if left is None:
        return None
    scored = [(plant, score(plant.label)) for plant in planting.sets if plant.kind != MIXED]
    return selftest_record(score(MIXED), left, scored, confidence)


def selftest_record(
    mixed: PlantedScore,
    left: memorization.Specificity,
    scored: Sequence[tuple[PlantSet, PlantedScore]],
    confidence: float,
) -> SelfTest:
    """Return a self-test as it is stored.

    Args:
        mixed: what was found of the copies that the sensitivity is measured with.
        left: how many strangers were spared.
        scored: what was found of the others, by kind and strength.
    """
    return SelfTest(
        confidence=confidence,
        specificity_from=left.source,
        sensitivity=_found(mixed),
        specificity=Spared(
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
                found=_found(score),
            )
            for plant, score in scored
        ],
    )


def _strangers(
    context: Context,
    copies: View,
    exposure: View | None,
    similarity: Similarity,
) -> tuple[np.ndarray, np.ndarray]:
    """Return each held-out image's similarity to its nearest training and synthetic image, (H,)."""
    if copies.held_out is None:
        return np.zeros(0), np.zeros(0)
    names = ("held-out images", "training images")
    near = context.search(copies.held_out, copies.training, similarity, names=names)
    if exposure is None or exposure.held_out is None:
        return near.queries.similarity, np.zeros(0)
    names = ("held-out images", "synthetic images")
    other = context.search(exposure.held_out, exposure.synthetic, similarity, names=names)
    return near.queries.similarity, other.queries.similarity


def _found(score: PlantedScore) -> Found:
    return Found(
        dar=_rate(score.dar),
        conformal=_rate(score.conformal),
        finest=_rate(score.beyond),
        exposure=_rate(score.exposure) if score.exposure else None,
        right_image=_rate(score.right_image),
        right_patient=_rate(score.right_patient),
    )


def _rate(share: Share) -> Rate:
    return Rate(**asdict(share))
