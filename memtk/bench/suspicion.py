"""What is known of a set of synthetic images when it is decided which of them stay."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from memtk.bench.embedding import Rows
from memtk.interfaces import Images
from memtk.memorization import IDENTICAL, duplicates


def found_in(
    training: Images, synthetic: Images, arrays: Mapping[str, np.ndarray]
) -> dict[str, np.ndarray]:
    """Return the arrays of a judgement and which synthetic images are a training image, bool (M,).

    Args:
        arrays: of the judgement of `synthetic`.
    """
    same = np.zeros(len(synthetic), dtype=bool)
    same[duplicates(Rows(synthetic), Rows(training))[:, 0]] = True
    return {**arrays, IDENTICAL: same}
