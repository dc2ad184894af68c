"""Two lists for the owner of the images alone: they name files and patients, as no report does."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from memtk.files import write_text
from memtk.report.pictures import read_key, short_hash
from memtk.results.store import csv_text, inert

COPIES, EXPOSED = "copies.csv", "exposed.csv"
"""The lists: of all synthetic and of all training images, the most suspicious first."""


@dataclass(frozen=True)
class Names:
    """Names of N training and M synthetic images, and of N patients; row numbers where empty."""

    training: Sequence[str]
    synthetic: Sequence[str]
    patients: Sequence[str]

    def of(self, kind: str, row: int) -> str:
        """Return the name of one image, or whose it is, such that no program runs it."""
        names: Sequence[str] = getattr(self, kind)
        return inert(names[row]) if names else ("" if kind == "patients" else str(row))


def write_lists(folder: Path, arrays: Mapping[str, np.ndarray], names: Names) -> None:
    """Write `copies.csv` and, if the exposure was tested, `exposed.csv` into a run folder.

    "report_name" is what the report calls an image; "named" is "sure", "suspect" or empty;
    "at_least" is how many of this row and all above are copies, or exposed, at the least.

    Args:
        arrays: see `memtk.evaluation.Evaluation`.
    """
    key = read_key(folder)
    copies = [
        (
            names.of("synthetic", row),
            short_hash(key, "synthetic", row),
            f"{arrays['copies_p'][row]:.6g}",
            *_named(arrays, "copies", row),
            _yes(arrays["copied"][row]),
            f"{arrays['synthetic_train'][row]:.6f}",
            names.of("training", near),
            names.of("patients", near),
        )
        for row, near in _ranked(arrays, "copies_p", "synthetic_train")
    ]
    header = ("synthetic", "report_name", "p", "named", "at_least", "reference_rule", "similarity")
    write_text(folder / COPIES, csv_text((*header, "nearest_training", "patient"), copies))
    if "exposure_p" not in arrays:
        return
    exposed = [
        (
            names.of("training", row),
            names.of("patients", row),
            short_hash(key, "training", row),
            f"{arrays['exposure_p'][row]:.6g}",
            *_named(arrays, "exposure", row),
            _named(arrays, "exposure_patient", row)[0],
            _yes(arrays["memorized"][row]),
            f"{arrays['exposure_train_synthetic'][row]:.6f}",
            names.of("synthetic", near),
        )
        for row, near in _ranked(arrays, "exposure_p", "exposure_train_synthetic")
    ]
    header = ("training", "patient", "report_name", "p", "named", "at_least", "patient_named")
    rest = ("reference_rule", "similarity", "nearest_synthetic")
    write_text(folder / EXPOSED, csv_text((*header, *rest), exposed))


def _named(arrays: Mapping[str, np.ndarray], side: str, row: int) -> tuple[str, str]:
    """Return how sure a name is, and how many of it and the more suspicious ones are right."""
    name = "sure" if arrays[f"{side}_sure"][row] else ""
    if not name and arrays[f"{side}_flagged"][row]:
        name = "suspect"
    return name, str(arrays[f"{side}_at_least"][row])


def _ranked(arrays: Mapping[str, np.ndarray], p: str, similarity: str) -> list[tuple[int, int]]:
    """Return each image and its nearest one, the smallest p-value and then the nearest first."""
    order = np.lexsort((-arrays[similarity], arrays[p]))
    return list(zip(order.tolist(), arrays[f"{similarity}_index"][order].tolist(), strict=True))


def _yes(value: bool) -> str:
    return "yes" if value else "no"
