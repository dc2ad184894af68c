"""Which synthetic images have exactly the voxels of a real image."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator

import numpy as np

from memtk.errors import UserError
from memtk.interfaces import Images


def identical_to(real: Images, tested: Images) -> np.ndarray:
    """Return which of the tested images have exactly the voxels of a real one, bool (M,)."""
    known = set(_digests(real))
    return np.array([digest in known for digest in _digests(tested)], dtype=bool)


def count_identical(real: Images, tested: Images) -> int:
    """Return how many of the tested images have exactly the voxels of a real one."""
    return int(identical_to(real, tested).sum())


def refuse_real(strangers: dict[str, Images], synthetic: Images) -> None:
    """Refuse synthetic images that are validation or held-out images.

    They are images of real patients, and stand on both sides of a comparison: a validation image
    is nearest to itself then, and no training image can be nearer to the synthetic ones than that.

    Args:
        strangers: the validation and held-out images, by name.
        synthetic: what is audited.

    Raises:
        UserError: counting them.
    """
    for name, images in strangers.items():
        if count := count_identical(images, synthetic):
            raise UserError(
                f"{count} of {len(synthetic)} synthetic images are identical to a {name} image: "
                "they are images of real patients, and hide others as long as they are there. "
                "Take them out; memtk check names them."
            )


def _digests(images: Images) -> Iterator[bytes]:
    for row in range(len(images)):
        yield hashlib.sha256(np.ascontiguousarray(images.read([row])).tobytes()).digest()
