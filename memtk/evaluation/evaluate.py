"""One synthetic set evaluated, from embeddings to numbers: for bench, audit and self-test alike."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from memtk import memorization
from memtk.errors import UserError
from memtk.evaluation.calibration import Calibration, flat
from memtk.evaluation.detector import EmbeddedSets, nearest_both_ways
from memtk.evaluation.protocols import apply_protocols
from memtk.interfaces import Levels, Similarities
from memtk.memorization import (
    PatientGroup,
    Search,
    conformal,
    copy_rate,
    dar,
    exposed_patients,
)
from memtk.registry import Entry
from memtk.results import Evidence, RateInterval, Tables
from memtk.training.devices import Devices


@dataclass(frozen=True)
class Evaluation:
    """What is said of one synthetic set.

    Args:
        evidence: what the verdict rests on.
        protocols: the table of each protocol.
        arrays: what they were computed from and what was flagged; see `neighbours`, `Tests.flags`,
            `apply_protocols`.
        tests: of every rule.
    """

    evidence: Evidence
    protocols: Tables
    arrays: dict[str, np.ndarray]
    tests: Tests


def evaluate(
    copies: EmbeddedSets,
    exposure: EmbeddedSets | None,
    calibration: Calibration,
    levels: Levels,
    *,
    protocols: Sequence[Entry] = (),
    devices: Devices | None = None,
    seed: int = 0,
) -> Evaluation:
    """Search and test one synthetic set. Every process of several gets the same evaluation.

    The embedder must not have seen one side of a comparison and not the other. For the copies,
    synthetic against validation images, it has seen the training images alone; for the exposure,
    training against validation images, the synthetic images alone. In image space there is no
    embedder and both are the same.

    Args:
        copies: the sets as seen by the embedder of the copies, which `calibration` is of.
        exposure: as seen by that of the exposure; None leaves the exposure out.
        calibration: what does not depend on the synthetic set.
        levels: of the tests and intervals.
        protocols: that measure the set too; the evidence rests on none of them.
        devices: that search; None: the CPU of this process.
        seed: of the draws that the interval of the copy rate rests on.

    Raises:
        UserError: if a set is empty or of another size than its patients, or a row has no
            similarity.

    >>> from memtk.evaluation import Patients, calibrate
    >>> from memtk.registry import open_registry
    >>> cosine = open_registry().load("similarity", "cosine")()
    >>> angles = {"training": [0.0, 1.0, 2.0], "validation": [0.5, 1.5], "synthetic": [1.0, 2.7]}
    >>> sets = EmbeddedSets(**{k: np.stack([np.cos(v), np.sin(v)], 1) for k, v in angles.items()})
    >>> said = evaluate(sets, None, calibrate(sets, cosine, Patients()), Levels())
    >>> said.arrays["memorized"].tolist(), said.arrays["copies_p"].round(3).tolist()
    ([False, True, False], [0.333, 1.0])
    """
    arrays = neighbours(copies, exposure, calibration, devices)
    tests = tests_of(arrays, calibration, levels)
    evidence = evidence_of(tests, arrays, calibration, levels, seed)
    tables, flags = apply_protocols(protocols, Similarities.of_arrays(arrays), levels)
    return Evaluation(evidence, tables, {**arrays, **tests.flags, **flags}, tests)


def neighbours(
    copies: EmbeddedSets,
    exposure: EmbeddedSets | None,
    calibration: Calibration,
    devices: Devices | None = None,
) -> dict[str, np.ndarray]:
    """Return the nearest neighbours of one synthetic set, both ways; see `evaluate`.

    "a_b" is the similarity of each a image to its nearest b image, float64; "a_b_index" which one
    it is, int64; "a_b_above" how many are above tau, int64. From the embedder of the copies:
    train_validation, validation_train, train_synthetic, synthetic_train with their _index, the
    latter two with _above. From that of the exposure, if there: exposure_train_synthetic,
    exposure_synthetic_train, exposure_validation_synthetic, exposure_synthetic_validation with
    their _index. And what `Calibration.kept` has beside them.
    """
    people = calibration.patients.training
    if len(people) not in (0, len(copies.training)):
        raise UserError(
            f"{len(copies.training)} training images but {len(people)} patients: name the patient "
            "of each image."
        )

    def nearest(sets: EmbeddedSets, group: str, threshold: float | None = None) -> Search:
        assert sets.synthetic is not None
        return nearest_both_ways(
            devices,
            getattr(sets, group),
            sets.synthetic,
            calibration.similarity,
            threshold=threshold,
            names=(f"{group} images", "synthetic images"),
        )

    made = nearest(copies, "training", calibration.tau)
    arrays = {**calibration.kept(), **flat("train", "synthetic", made)}
    if exposure is None:
        return arrays
    same = calibration.similarity.space == "image" or exposure is copies
    seen = made if same else nearest(exposure, "training")
    unseen = nearest(exposure, "validation")
    seen = Search(replace(seen.queries, above=None), replace(seen.references, above=None))
    return {
        **arrays,
        **flat("train", "synthetic", seen, "exposure_"),
        **flat("validation", "synthetic", unseen, "exposure_"),
    }


@dataclass(frozen=True)
class Tests:
    """What every rule flags in one synthetic set.

    Args:
        dar: the reference method.
        copies: the conformal test of the synthetic images.
        exposure: that of the training images; None without an exposure side.
        patients: that of the training patients; None likewise.
        owners: the patient of each training image, (N,).
    """

    dar: memorization.Dar
    copies: memorization.ConformalTest
    exposure: memorization.ConformalTest | None
    patients: memorization.PatientTest | None
    owners: Sequence[Hashable]

    @property
    def flags(self) -> dict[str, np.ndarray]:
        """What is flagged, by name.

        "memorized" (N,) and "copied" (M,) by the reference rule, bool; "copies_p" (M,) and
        "copies_flagged" (M,); with an exposure side "exposure_p" (N,), "exposure_flagged" (N,) and
        "exposure_patient_flagged" (N,), whether the patient of the image is flagged.
        """
        flags = {
            "memorized": self.dar.memorized,
            "copied": self.dar.copies,
            "copies_p": self.copies.p,
            "copies_flagged": self.copies.flagged,
        }
        if self.exposure is None or self.patients is None:
            return flags
        named = dict(zip(self.patients.names, self.patients.flagged.tolist(), strict=True))
        return flags | {
            "exposure_p": self.exposure.p,
            "exposure_flagged": self.exposure.flagged,
            "exposure_patient_flagged": np.array([named[name] for name in self.owners]),
        }

    @property
    def patients_with_flagged_images(self) -> int | None:
        """Training patients with at least one flagged image; None without an exposure side."""
        if self.exposure is None:
            return None
        return len({self.owners[i] for i in np.flatnonzero(self.exposure.flagged).tolist()})


def tests_of(arrays: Mapping[str, np.ndarray], calibration: Calibration, levels: Levels) -> Tests:
    """Test one synthetic set by every rule.

    Args:
        arrays: of `neighbours`.
    """
    made, back = arrays["train_synthetic"], arrays["synthetic_train"]
    validation, patients = arrays["validation_train"], calibration.patients
    exposure = exposed = None
    if "exposure_train_synthetic" in arrays:
        seen, unseen = (
            arrays["exposure_train_synthetic"],
            arrays["exposure_validation_synthetic"],
        )
        exposure = conformal(seen, unseen, patients.validation, alpha=levels.alpha, fdr=levels.fdr)
        exposed = exposed_patients(
            seen, patients.training, unseen, patients.validation, fdr=levels.fdr
        )
    return Tests(
        dar=dar(arrays["train_validation"], made, back, validation),
        copies=conformal(back, validation, patients.validation, alpha=levels.alpha, fdr=levels.fdr),
        exposure=exposure,
        patients=exposed,
        owners=patients.training or range(len(made)),
    )


def evidence_of(
    tests: Tests,
    arrays: Mapping[str, np.ndarray],
    calibration: Calibration,
    levels: Levels,
    seed: int,
) -> Evidence:
    """Return what the verdict on one synthetic set rests on; see `evaluate`."""
    back, validation = arrays["synthetic_train"], arrays["validation_train"]
    copies, exposure, exposed = tests.copies, tests.exposure, tests.patients
    rate = copy_rate(
        back,
        PatientGroup(validation, calibration.patients.validation, "validation images"),
        PatientGroup(calibration.found),  # one planted copy a patient
        alpha=levels.alpha,
        confidence=levels.confidence,
        seed=seed,
    )
    return Evidence(
        alpha=levels.alpha,
        fdr=levels.fdr,
        confidence=levels.confidence,
        tau=tests.dar.tau,
        reference_n_mem=tests.dar.n_mem,
        reference_null=tests.dar.expected_mem_fraction,
        n_copies=copies.n_flagged,
        n_mem=exposure.n_flagged if exposure else None,
        patients_exposed=exposed.n_flagged if exposed else None,
        patients_with_flagged_images=tests.patients_with_flagged_images,
        min_detectable_patients=exposed.min_detectable if exposed else None,
        patients_can_reject=exposed.can_reject if exposed else None,
        min_p=copies.min_p,
        can_reject=copies.can_reject,
        copy_rate=RateInterval(estimate=rate.estimate, low=rate.low, high=rate.high),
        copy_rate_upper_bound=rate.upper_bound,
        min_detectable_copy_rate=calibration.min_detectable(len(back), levels.fdr),
        notes=_notes(calibration, levels, copies.min_p, copies.can_reject, rate.coarse),
    )


def _notes(
    calibration: Calibration, levels: Levels, min_p: float, can_reject: bool, coarse: bool
) -> list[str]:
    notes = []
    if not can_reject:
        notes.append(
            f"With so few validation patients the smallest possible p-value is {min_p:.3f}:"
            " no image could have been flagged. More validation patients are needed."
        )
    if calibration.planted is None:
        notes.append(
            "No copies were planted: the copy rate is not corrected for copies that go unnoticed."
        )
    if coarse:
        notes.append(
            f"No p-value can be as small as {levels.alpha:g}: the copy rate rests on what is "
            "nearer to a training image than every validation image."
        )
    return notes
