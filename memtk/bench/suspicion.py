"""What is known of a set of synthetic images when mitigations choose among them."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from memtk.data.images import identical_images
from memtk.interfaces import Images
from memtk.memorization import IDENTICAL


def found_in(
    training: Images, synthetic: Images, arrays: Mapping[str, np.ndarray]
) -> dict[str, np.ndarray]:
    """Return the arrays of an evaluation, and which images are a training image, bool (M,).

    Args:
        arrays: of the evaluation of `synthetic`.
    """
    return {**arrays, IDENTICAL: identical_images(training, synthetic)}
