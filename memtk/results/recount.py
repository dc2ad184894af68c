"""Counts again what a result says, from the arrays that lie beside it. It shares no code with the
search, the tests or the protocols that counted first."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping

import numpy as np

from memtk.results.schema import Checkpoint, Result

DAMAGED = (OSError, RuntimeError, MemoryError, KeyError, ValueError, TypeError, IndexError)
"""What arrays of another make may raise."""


def differences(
    result: Result, checkpoint: Checkpoint, arrays: Mapping[str, np.ndarray]
) -> Iterator[str]:
    """Say which numbers of a checkpoint its arrays do not give.

    What the verdict rests on, and the tables of `dar`, `dar-matched` and `conformal`, are counted
    again: from the nearest similarities tau and what is above it, from the counts above tau the
    number at equal sizes, from the p-values what is flagged at the false discovery rate and at
    alpha, on both sides.

    Raises:
        one of `DAMAGED`: where the arrays are of another make.
    """
    found, n, m = checkpoint.evidence, result.used_training.images, checkpoint.n_synthetic
    v = result.data.counts["validation"].images
    for name, size in (("train_synthetic", n), ("synthetic_train", m), ("validation_train", v)):
        if arrays[name].shape != (size,):
            yield f"{name} has the shape {arrays[name].shape}, and {size} images were compared"
            return
    limit = float(np.percentile(1 - arrays["train_validation"], 5))
    counted: dict[tuple[str, str], float] = {
        ("dar", key): int((1 - arrays[name] < limit).sum())
        for key, name in (
            ("n_mem", "train_synthetic"),
            ("n_copies", "synthetic_train"),
            ("validation_called_copies", "validation_train"),
        )
    }
    counted["dar-matched", "n_mem"] = 0.0
    if m >= v:
        missed = _missing(m, v)[arrays["train_synthetic_above"]]
        counted["dar-matched", "n_mem"] = math.fsum(1 - missed)
    for near, flagged, name in (
        ("copies", "n_copies", "copies_p"),
        ("exposed", "n_mem", "exposure_p"),
    ):
        if name in arrays:
            counted["conformal", near] = int((arrays[name] <= found.alpha).sum())
            counted["conformal", flagged] = _flagged(arrays[name], found.fdr)
    for name, own, again in (
        ("tau", found.tau, 1 - limit),
        ("reference n_mem", found.reference_n_mem, counted["dar", "n_mem"]),
        ("n_copies", found.n_copies, counted["conformal", "n_copies"]),
        ("n_mem", found.n_mem, counted.get(("conformal", "n_mem"))),
    ):
        yield from _differs(name, own, again)
    for (protocol, key), number in counted.items():
        record = checkpoint.measure(protocol, key)
        yield from _differs(f"{protocol} {key}", record.count if record else None, number)
    if result.data.counts["validation"].patients == v:
        nearer = np.searchsorted(np.sort(arrays["validation_train"]), arrays["synthetic_train"])
        p = (1 + v - nearer) / (v + 1)  # (M,)
        if np.abs(p - arrays["copies_p"]).max() > 1e-9:
            yield "copies_p does not follow from the similarities"


def _missing(synthetic: int, drawn: int) -> np.ndarray:
    """Return for 0 to all `synthetic` images the chance that none of so many is `drawn`."""
    before = np.arange(synthetic)
    factors = np.maximum(synthetic - drawn - before, 0) / (synthetic - before)
    return np.concatenate([[1.0], np.cumprod(factors)])


def _flagged(p: np.ndarray, fdr: float) -> int:
    """Return how many Benjamini and Hochberg flag: the most k with k p-values up to k fdr / T."""
    ranked = np.sort(p)
    limits = np.arange(1, len(p) + 1) * fdr / len(p) * (1 + 1e-12)
    passed = np.flatnonzero(ranked <= limits)
    return int((p <= ranked[passed[-1]]).sum()) if len(passed) else 0


def _differs(name: str, said: float | None, counted: float | None) -> Iterator[str]:
    if said is not None and counted is not None and abs(said - counted) > 1e-6:
        yield f"{name} is {said:g}, the arrays give {counted:g}"
