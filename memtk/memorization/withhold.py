"""Which synthetic images are withheld, so that the rest may go out."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

import numpy as np

Drop = Literal["flagged", "alpha"]
"""What is withheld: what is named as a copy, sure or suspect, or all with p <= alpha."""

IDENTICAL = "synthetic_identical"
"""Beside the arrays of a judgement: which synthetic images are a training image, bool (M,)."""


def withhold(
    arrays: Mapping[str, np.ndarray],
    drop: Drop = "flagged",
    alpha: float = 0.05,
) -> np.ndarray:
    """Return which synthetic images are withheld, bool (M,).

    Those that are flagged as copies ("flagged"; also where the groups compared are so unlike that
    nothing is named: an image too many costs little), or all with p <= alpha ("alpha"), by the
    model or by rank, which takes about 5 in 100 innocent ones along; those that are identical to a
    training image; and the nearest synthetic image of each training image that is flagged as
    exposed, or whose patient is, where the exposure was tested.

    Args:
        arrays: of an evaluation, and `IDENTICAL` if it is known.
        drop: which.
        alpha: for "alpha".

    >>> found = {"copies_flagged": np.array([True, False]), "copies_p": np.array([0.01, 0.04])}
    >>> withhold(found).tolist(), withhold(found, "alpha").tolist()
    ([True, False], [True, True])
    """
    chosen = arrays.get("copies_near", arrays["copies_flagged"]).astype(bool)  # (M,)
    chosen = chosen | arrays.get(IDENTICAL, np.zeros(len(chosen))).astype(bool)
    if drop == "alpha":
        chosen = chosen | below(arrays, "copies", alpha)
    if "exposure_flagged" in arrays:
        exposed = arrays.get("exposure_near", arrays["exposure_flagged"]).astype(bool)  # (N,)
        exposed = exposed | arrays["exposure_patient_flagged"].astype(bool)
        if drop == "alpha":
            exposed = exposed | below(arrays, "exposure", alpha)
        chosen[arrays["exposure_train_synthetic_index"][exposed]] = True
    return chosen


def below(arrays: Mapping[str, np.ndarray], side: str, alpha: float) -> np.ndarray:
    """Return which units of a side have a p-value up to alpha, by the model or by rank, bool."""
    p = arrays[f"{side}_p"]
    found: np.ndarray = np.minimum(p, arrays.get(f"{side}_rank_p", p)) <= alpha
    return found
