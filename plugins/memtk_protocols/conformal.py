"""Conformal p-values of both sides."""

from __future__ import annotations

from memtk.interfaces import Levels, Measure, ProtocolTable, Similarities
from memtk.interfaces.measures import Side
from memtk.memorization import ConformalTest, conformal, exposed_patients

NONE = "None could have been flagged."


class Conformal:
    """Compares like with like: tested and validation images against the same references.

    See `memtk.memorization.conformal` and `exposed_patients`. What is flagged at the false
    discovery rate, of the exposure also the patients, by a test of their own; and of each side the
    share with p <= alpha, of which strangers have a known share.
    """

    def __call__(self, similarities: Similarities, levels: Levels) -> ProtocolTable:
        """Return the measures of the copies and, where it was tested, of the exposure."""
        strangers = similarities.validation_patients
        copies = conformal(
            similarities.synthetic_train,
            similarities.validation_train,
            strangers,
            alpha=levels.alpha,
            fdr=levels.fdr,
        )
        measures = {"n_copies": _flagged(copies, "copies flagged", "synthetic")}
        near = {"copies": _near(copies, levels.alpha, "synthetic")}
        flags = {"synthetic": copies.flagged}
        train = similarities.exposure_train_synthetic
        validation = similarities.exposure_validation_synthetic
        if train is None or validation is None:
            return ProtocolTable(measures | near, flags)
        exposed = conformal(train, validation, strangers, alpha=levels.alpha, fdr=levels.fdr)
        patients = exposed_patients(
            train, similarities.training_patients, validation, strangers, fdr=levels.fdr
        )
        measures["n_mem"] = _flagged(exposed, "training images flagged", "training")
        measures["patients_exposed"] = Measure(
            patients.n_flagged / len(patients.names),
            "exposed patients",
            "training",
            count=patients.n_flagged,
            of=len(patients.names),
            note="" if patients.can_reject else NONE,
        )
        near["exposed"] = _near(exposed, levels.alpha, "training")
        return ProtocolTable(measures | near, flags | {"training": exposed.flagged})


def _flagged(found: ConformalTest, title: str, side: Side) -> Measure:
    """Return what is flagged at the false discovery rate."""
    total, note = len(found.p), "" if found.can_reject else NONE
    return Measure(found.n_flagged / total, title, side, found.n_flagged, total, note=note)


def _near(found: ConformalTest, alpha: float, side: Side) -> Measure:
    """Return what has p <= alpha."""
    return Measure(
        found.flagged_fraction,
        f"{side} images, p <= {alpha:g}",
        side,
        count=int((found.p <= alpha).sum()),
        of=len(found.p),
        null=found.expected_fraction,
        note=f"No p-value can be as small as {alpha:g}." if found.min_p > alpha else "",
    )
