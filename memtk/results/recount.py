"""Counts again what a result says, from the arrays that lie beside it. It shares no code with the
search or the tests that counted first."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np

from memtk.errors import UserError, one_line
from memtk.results.arrays import has_arrays, read_arrays
from memtk.results.checks import CLOSE, Check, check
from memtk.results.schema import Checkpoint, Result

Arrays = Mapping[str, np.ndarray]

NAME = "arrays.h5 gives the same numbers"

_DAMAGED = (OSError, RuntimeError, MemoryError, KeyError, ValueError, TypeError, IndexError)
"""What a file of another make may raise."""


def recount(path: Path, result: Result) -> Check:
    """Return whether the arrays give the numbers of a result.

    From the nearest similarities of each image: tau, n_mem, n_copies and the validation images
    called copies; from the counts above tau the number at equal sizes; from the p-values what is
    flagged at the false discovery rate and at alpha, on both sides.

    Args:
        path: `arrays.h5`; checkpoints that it does not hold are left out.
        result: the file beside it.
    """
    try:
        held = [c for c in result.judged if has_arrays(path, c.label)]
        if not held:
            return Check(NAME, "failed", "it holds the arrays of no checkpoint")
        problems = [
            f"{c.label}: {problem}"
            for c in held
            for problem in _problems(result, c, read_arrays(path, c.label))
        ]
    except (UserError, *_DAMAGED) as error:
        return Check(NAME, "failed", f"it cannot be read: {one_line(error)[:200]}")
    return check(NAME, f"{len(held)} of {len(result.judged)} checkpoints", problems)


def _problems(result: Result, checkpoint: Checkpoint, arrays: Arrays) -> Iterator[str]:
    dar, matched = checkpoint.protocols.dar, checkpoint.protocols.dar_matched
    found = checkpoint.protocols.conformal
    n, m = result.used_training.images, checkpoint.n_synthetic
    v = result.data.counts["validation"].images
    for name, size in (("train_synthetic", n), ("synthetic_train", m), ("validation_train", v)):
        if arrays[name].shape != (size,):
            yield f"{name} has the shape {arrays[name].shape}, and {size} images were compared"
            return
    limit = float(np.percentile(1 - arrays["train_validation"], 5))
    yield from _differs("dar tau", dar.tau, 1 - limit)
    for name, said, similarity in (
        ("dar n_mem", dar.n_mem, arrays["train_synthetic"]),
        ("dar n_copies", dar.n_copies, arrays["synthetic_train"]),
        ("validation called copies", dar.validation_called_copies, arrays["validation_train"]),
    ):
        yield from _differs(name, said, int((1 - similarity < limit).sum()))
    if matched.n_mem is not None:
        missed = [_missing(int(c), m, v) for c in arrays["train_synthetic_above"]]
        yield from _differs("dar-matched n_mem", matched.n_mem, math.fsum(1 - x for x in missed))
    p = arrays["copies_p"]
    yield from _differs("conformal n_copies", found.n_copies, _flagged(p, found.fdr))
    yield from _differs(
        "copies_flagged_fraction", found.copies_flagged_fraction, float(np.mean(p <= found.alpha))
    )
    if found.n_mem is not None and found.exposed_flagged_fraction is not None:
        p = arrays["exposure_p"]
        yield from _differs("conformal n_mem", found.n_mem, _flagged(p, found.fdr))
        share = float(np.mean(p <= found.alpha))
        yield from _differs("exposed_flagged_fraction", found.exposed_flagged_fraction, share)
    if result.data.counts["validation"].patients == v:
        nearer = np.searchsorted(np.sort(arrays["validation_train"]), arrays["synthetic_train"])
        again = (1 + v - nearer) / (v + 1)  # (M,)
        if np.abs(again - arrays["copies_p"]).max() > CLOSE:
            yield "copies_p does not follow from the similarities"


def _missing(above: int, synthetic: int, drawn: int) -> float:
    """Return the chance that none of `above` images is among `drawn` of `synthetic`."""
    return math.comb(synthetic - above, drawn) / math.comb(synthetic, drawn)


def _flagged(p: np.ndarray, fdr: float) -> int:
    """Return how many Benjamini and Hochberg flag: the most k with k p-values up to k fdr / T."""
    ranked = np.sort(p)
    limits = np.arange(1, len(p) + 1) * fdr / len(p) * (1 + 1e-12)
    passed = np.flatnonzero(ranked <= limits)
    return int((p <= ranked[passed[-1]]).sum()) if len(passed) else 0


def _differs(name: str, said: float, counted: float) -> Iterator[str]:
    if abs(said - counted) > 1e-6:
        yield f"{name} is {said:g}, the arrays give {counted:g}"
