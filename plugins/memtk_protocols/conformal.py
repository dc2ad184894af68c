"""Conformal p-values of both sides."""

from __future__ import annotations

import numpy as np

from memtk.interfaces import Levels, Measure, ProtocolTable, Similarities
from memtk.interfaces.protocol import Side
from memtk.memorization import conformal, exposed_patients


class Conformal:
    """Compares like with like: tested and validation images against the same references.

    See `memtk.memorization.conformal` and `exposed_patients`. Of each side the share with
    p <= alpha, which strangers have a known share of, and what is flagged at the false discovery
    rate; of the exposure also the patients, by a test of their own.
    """

    def __call__(self, similarities: Similarities, levels: Levels) -> ProtocolTable:
        """Return the measures of the copies and, where it was tested, of the exposure."""
        measures, copies = _side(
            similarities.synthetic_train,
            similarities.validation_train,
            similarities,
            levels,
            ("copies", "n_copies"),
            "synthetic",
        )
        flags = {"synthetic": copies}
        train = similarities.exposure_train_synthetic
        validation = similarities.exposure_validation_synthetic
        if train is None or validation is None:
            return ProtocolTable(measures, flags)
        exposed, flags["training"] = _side(
            train, validation, similarities, levels, ("exposed", "n_mem"), "training"
        )
        patients = exposed_patients(
            train,
            similarities.training_patients,
            validation,
            similarities.validation_patients,
            fdr=levels.fdr,
        )
        measures |= exposed
        measures["patients_exposed"] = Measure(
            patients.n_flagged / len(patients.names),
            "training patients exposed",
            "training",
            count=patients.n_flagged,
            of=len(patients.names),
            note="" if patients.can_reject else "No patient could have been flagged.",
        )
        return ProtocolTable(measures, flags)


def _side(
    test: np.ndarray,
    validation: np.ndarray,
    similarities: Similarities,
    levels: Levels,
    keys: tuple[str, str],
    side: Side,
) -> tuple[dict[str, Measure], np.ndarray]:
    """Return the two measures of one side, and which of its images are flagged."""
    found = conformal(
        test, validation, similarities.validation_patients, alpha=levels.alpha, fdr=levels.fdr
    )
    coarse = found.min_p > levels.alpha
    total = len(found.p)
    near, flagged = keys
    measures = {
        near: Measure(
            found.flagged_fraction,
            f"{side} images with p <= {levels.alpha:g}",
            side,
            count=int((found.p <= levels.alpha).sum()),
            of=total,
            null=found.expected_fraction,
            note=f"No p-value can be as small as {levels.alpha:g}." if coarse else "",
        ),
        flagged: Measure(
            found.n_flagged / total,
            f"{side} images flagged",
            side,
            count=found.n_flagged,
            of=total,
            note="" if found.can_reject else "None could have been flagged.",
        ),
    }
    return measures, found.flagged
