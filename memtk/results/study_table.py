"""All numbers of a study as one table: a row for each checkpoint of each cell."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from typing import Any

from memtk.results.schema import Checkpoint
from memtk.results.study import SEED, Finding, StudyFile
from memtk.results.study_measures import MEASURES, others
from memtk.results.study_settings import training_seconds


def study_rows(file: StudyFile, findings: Sequence[Finding]) -> list[dict[str, Any]]:
    """Return the numbers of a study, one dict a checkpoint; None where something was not computed.

    Shares are in [0, 1]; `*_null` is the share of a generator that has memorized nothing;
    `quality:NAME` is a measure of quality or the area under an attack's curve, and `real:NAME` what
    real images score in it, or 0.5.
    """
    axes = [axis.key for axis in file.axes if axis.key != SEED]
    names = list(
        dict.fromkeys(n for f in findings for c in f.result.judged for n in others(f.result, c))
    )
    return [
        _row(axes, finding, checkpoint, names)
        for finding in findings
        for checkpoint in finding.result.judged
    ]


def study_csv(file: StudyFile, findings: Sequence[Finding]) -> str:
    """Return the same as CSV, with a line of column names; what was not computed is empty."""
    rows = study_rows(file, findings)
    text = io.StringIO()
    writer = csv.DictWriter(text, fieldnames=list(rows[0]) if rows else [], lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()


def _row(
    axes: Sequence[str], finding: Finding, checkpoint: Checkpoint, names: Sequence[str]
) -> dict[str, Any]:
    result, protocols = finding.result, checkpoint.protocols
    validation = result.data.counts["validation"]
    row: dict[str, Any] = {axis: finding.values.get(axis) for axis in axes}
    row |= {
        "cell": finding.cell,
        "model": result.cell,
        "seed": result.seed,
        "step": checkpoint.step,
        "last": checkpoint is result.last,
        "anew": checkpoint.anew,
        "n_training": result.used_training.images,
        "training_patients": result.used_training.patients,
        "n_validation": validation.images,
        "validation_patients": validation.patients,
        "n_synthetic": checkpoint.n_synthetic,
        "dar_tau": protocols.dar.tau,
    }
    for measure in MEASURES:
        value = measure.of(result, checkpoint)
        if measure.key != "copy_rate":
            row |= {
                f"{measure.key}_count": value.count if value else None,
                f"{measure.key}_share": value.share if value else None,
                f"{measure.key}_null": value.null if value else None,
                f"{measure.key}_low": value.low if value else None,
                f"{measure.key}_high": value.high if value else None,
            }
        else:
            row |= {
                "copy_rate": value.share if value else None,
                "copy_rate_low": value.low if value else None,
                "copy_rate_high": value.high if value else None,
            }
    row |= {
        "alpha": protocols.conformal.alpha,
        "fdr": protocols.conformal.fdr,
        "confidence": protocols.conformal.confidence,
        "patients_exposed": protocols.conformal.patients_exposed,
        "training_seconds": training_seconds(result),
    }
    found = others(result, checkpoint)
    for name in names:
        row[f"quality:{name}"], row[f"real:{name}"] = found.get(name, (None, None))
    return row
