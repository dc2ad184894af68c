"""Whose image is whose: patients as numbers, and pairs of one patient left out of a search."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Sequence

import numpy as np
import torch
from torch import Tensor

from memtk.errors import UserError


def numbered(*groups: Iterable[Hashable]) -> list[np.ndarray]:
    """Number patients: one number for each name, in all of the groups, int64.

    >>> [numbers.tolist() for numbers in numbered(["a", "b", "a"], ["c", "b"])]
    [[0, 1, 0], [2, 1]]
    """
    seen: dict[Hashable, int] = {}
    return [
        np.array([seen.setdefault(patient, len(seen)) for patient in group], dtype=np.int64)
        for group in groups
    ]


def owners(patients: Sequence[Hashable] | None, count: int, images: str) -> np.ndarray:
    """Return the patient of each image as a number, in order of first appearance: int64 (count,).

    Args:
        patients: the patient of each image; if None or empty, each is another.
        count: how many images there are.
        images: what they are, in the plural, for messages.

    Raises:
        UserError: if there is not one patient for each image.

    >>> owners(["b", "a", "b"], 3, "images").tolist(), owners(None, 2, "images").tolist()
    ([0, 1, 0], [0, 1])
    """
    if patients is None or not len(patients):
        return np.arange(count)
    if len(patients) != count:
        raise UserError(f"{count} {images} but {len(patients)} patients: name the patient of each.")
    return numbered(patients)[0]


DENSE = 1 / 16
"""Share of a tile from which on its pairs are found by comparing all of them."""


class SamePatient:
    """Leaves the pairs of one patient out of a search.

    Args:
        queries: the patient of each query, (Q,).
        references: the patient of each reference, (R,).
        sizes: Q and R.
        names: what the two sets are called in messages.

    Raises:
        UserError: if a set has another number of patients than of rows.
    """

    def __init__(
        self,
        queries: Sequence[Hashable],
        references: Sequence[Hashable],
        sizes: tuple[int, int],
        names: tuple[str, str],
    ) -> None:
        for patients, size, name in zip((queries, references), sizes, names, strict=True):
            if len(patients) != size:
                raise UserError(
                    f"{size} {name} but {len(patients)} patients: name the patient of each."
                )
        self.queries, self.references = numbered(queries, references)  # (Q,), (R,)

    def hide(self, values: Tensor, top: int, left: int) -> None:
        """Set the pairs of one patient in a tile (Q', R') that starts at (top, left) to -inf."""
        q = self.queries[top : top + values.shape[0]]
        r = self.references[left : left + values.shape[1]]
        order = np.argsort(r, kind="stable")
        start, stop = (np.searchsorted(r[order], q, side) for side in ("left", "right"))
        count = stop - start  # (Q',)
        total = int(count.sum())
        if total > DENSE * values.numel():
            values.masked_fill_(torch.from_numpy(q[:, None] == r).to(values.device), -torch.inf)
        elif total:
            rows = np.repeat(np.arange(len(q)), count)  # (K,)
            within = np.arange(total) - np.repeat(np.cumsum(count) - count, count)
            columns = order[np.repeat(start, count) + within]
            where = [torch.from_numpy(part).to(values.device) for part in (rows, columns)]
            values[where[0], where[1]] = -torch.inf
