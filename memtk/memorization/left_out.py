"""Each validation patient tested against the others: what the rule makes of strangers."""

from __future__ import annotations

from collections.abc import Hashable, Sequence

import numpy as np

from memtk.memorization.conformal import p_values


def left_out(validation: np.ndarray, patients: Sequence[Hashable] | None = None) -> np.ndarray:
    """Return for each validation image the weight of the other patients that reach it, (V,).

    That is the sum over the other patients of the share of their images with a similarity >= its
    own, in [0, P - 1] up to rounding. (1 + weight) / P is its conformal p-value with its patient
    left out.

    Args:
        validation: similarity of each validation image to its nearest reference, (V,).
        patients: the patient of each, (V,); if None or empty, each is another.

    Raises:
        UserError: if there is no validation image, or not one patient for each.

    >>> left_out(np.array([0.3, 0.5, 0.6]), ["a", "a", "b"]).tolist()
    [1.0, 1.0, 0.0]
    """
    validation = np.asarray(validation)
    if patients is None or not len(patients):
        patients = range(len(validation))
    names: dict[Hashable, int] = {}
    owner = np.array([names.setdefault(name, len(names)) for name in patients])  # (V,)
    total = p_values(validation, validation, patients) * (len(names) + 1) - 1
    images = np.bincount(owner)
    order = np.lexsort((validation, owner))
    value, person = validation[order], owner[order]
    first = np.r_[True, (np.diff(person) > 0) | (np.diff(value) > 0)]  # of equal ones
    at = np.maximum.accumulate(np.where(first, np.arange(len(order)), 0))
    below = at - (np.cumsum(images) - images)[person]  # images of the patient that are smaller
    total[order] -= 1 - below / images[person]
    return total
