"""Counts again what a result says, from the arrays that lie beside it. It shares no code with the
search, the tests or the protocols that counted first."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping

import numpy as np

from memtk.results.case import ALIKE, BLUR
from memtk.results.protocols import Comparable, Evidence
from memtk.results.schema import Checkpoint, Result

DAMAGED = (OSError, RuntimeError, MemoryError, KeyError, ValueError, TypeError, IndexError)
"""What arrays of another make may raise."""


def differences(
    result: Result, checkpoint: Checkpoint, arrays: Mapping[str, np.ndarray]
) -> Iterator[str]:
    """Say which numbers of a checkpoint its arrays do not give.

    What the verdict rests on, and the tables of `dar`, `dar-matched` and `conformal`, are counted
    again: from the nearest similarities tau and what is above it, from the counts above tau the
    number at equal sizes, from the p-values who is suspect at the false discovery rate, on both
    sides; and where every validation image is of another patient, the p-values by rank from the
    similarities, and what is flagged by these.

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
    single = result.data.counts["validation"].patients == v
    pooled = "training_stratum" not in arrays  # within strata p-values have other ranks
    suspect = _suspects(arrays, found)
    for near, flagged, name, tested, strangers in (
        ("copies", "n_copies", "copies", "synthetic_train", "validation_train"),
        (
            "exposed",
            "n_mem",
            "exposure",
            "exposure_train_synthetic",
            "exposure_validation_synthetic",
        ),
    ):
        if f"{name}_p" not in arrays:
            continue
        if single:
            ranks = _by_rank(arrays[tested], arrays[strangers])
            counted["conformal", near] = int((ranks <= found.alpha * (1 + 1e-12)).sum())
            counted["conformal", flagged] = int(_mask(ranks, found.fdr).sum())
        old = found.copies is None or (found.copies.model == "ranks" and name == "copies")
        for key in ([f"{name}_p"] if old else []) + [f"{name}_rank_p"]:
            if key in arrays and single and pooled:
                ranks = _by_rank(arrays[tested], arrays[strangers])
                if np.abs(arrays[key] - ranks).max() > 1e-9:
                    yield f"{key} does not follow from the similarities"
    for name, own, again in (
        ("tau", found.tau, 1 - limit),
        ("reference n_mem", found.reference_n_mem, counted["dar", "n_mem"]),
        ("n_copies", found.n_copies, suspect.get("n_copies")),
        ("n_mem", found.n_mem, suspect.get("n_mem")),
        ("identical images", checkpoint.identical_images, _identical(arrays)),
    ):
        yield from _differs(name, own, again)
    for (protocol, key), number in counted.items():
        record = checkpoint.measure(protocol, key)
        yield from _differs(f"{protocol} {key}", record.count if record else None, number)


def _by_rank(tested: np.ndarray, strangers: np.ndarray) -> np.ndarray:
    """Return the p-value of each tested image among strangers of a patient each, (T,)."""
    nearer = np.searchsorted(np.sort(strangers), tested)
    found: np.ndarray = (1 + len(strangers) - nearer) / (len(strangers) + 1)
    return found


def _suspects(arrays: Mapping[str, np.ndarray], found: Evidence) -> dict[str, int]:
    """Return how many are suspect by either p-value, less those whose names the gate takes away.

    And those that are a training image, or a synthetic one, voxel for voxel.
    """
    masks = {
        side: _mask(arrays[f"{side}_p"], found.fdr)
        for side in ("copies", "exposure")
        if f"{side}_p" in arrays
    }
    for side in masks:
        if f"{side}_rank_p" in arrays:  # not of older versions
            masks[side] = masks[side] | _mask(arrays[f"{side}_rank_p"], found.fdr)
    tests = found.comparable or Comparable()
    if tests.population is not None and tests.population.p <= ALIKE:
        masks = {side: np.zeros_like(mask) for side, mask in masks.items()}
    elif tests.synthetic is not None and tests.synthetic.p <= BLUR and tests.synthetic.nearer:
        shown = np.zeros_like(masks["copies"])
        if "exposure" in masks:
            shown = masks["exposure"][arrays["exposure_synthetic_train_index"]]
        masks["copies"] = masks["copies"] & shown
    same = {"copies": "synthetic_identical", "exposure": "exposure_train_identical"}
    masks = {side: mask | arrays.get(same[side], False) for side, mask in masks.items()}
    names = {"copies": "n_copies", "exposure": "n_mem"}
    return {names[side]: int(mask.sum()) for side, mask in masks.items()}


def _identical(arrays: Mapping[str, np.ndarray]) -> int | None:
    """Return how many synthetic images are a training image; None where that was not kept."""
    same = arrays.get("synthetic_identical")
    return None if same is None else int(same.sum())


def _missing(synthetic: int, drawn: int) -> np.ndarray:
    """Return for 0 to all `synthetic` images the chance that none of so many is `drawn`."""
    before = np.arange(synthetic)
    factors = np.maximum(synthetic - drawn - before, 0) / (synthetic - before)
    return np.concatenate([[1.0], np.cumprod(factors)])


def _mask(p: np.ndarray, fdr: float) -> np.ndarray:
    """Return what Benjamini and Hochberg flag: the most k with k p-values up to k fdr / T."""
    ranked = np.sort(p)
    limits = np.arange(1, len(p) + 1) * fdr / len(p) * (1 + 1e-12)
    passed = np.flatnonzero(ranked <= limits)
    found: np.ndarray = p <= (ranked[passed[-1]] if len(passed) else -1.0)
    return found


def _differs(name: str, said: float | None, counted: float | None) -> Iterator[str]:
    if said is not None and counted is not None and abs(said - counted) > 1e-6:
        yield f"{name} is {said:g}, the arrays give {counted:g}"
