"""Which real images the synthetic ones are compared with, and which stand in for them."""

from __future__ import annotations

from typing import Literal

import numpy as np
from pydantic import Field

from memtk.interfaces import ComponentConfig, Features
from memtk_measures.neighbours import some


class AgainstConfig(ComponentConfig):
    """The choice of the reference set."""

    against: Literal["validation", "training"] = Field(
        "validation",
        description="real images that the synthetic ones are compared with; against the training "
        "images a generator that copies them scores best",
    )


def pair(
    features: Features, against: Literal["validation", "training"], name: str
) -> tuple[np.ndarray, np.ndarray]:
    """Return the reference images and those that stand in for the synthetic ones in its line.

    Against validation images the training images stand in, and the other way round; as many as
    there are synthetic images where there are enough, since these measures change with the size of
    the sets.

    Args:
        name: of the measure, for the draw.
    """
    sets = (features.validation, features.training)
    reference, others = sets if against == "validation" else sets[::-1]
    return reference, some(others, len(features.synthetic), name)


def keyed(name: str, against: str) -> str:
    """Return the name of a measure that says if it is against the training images.

    >>> keyed("fid", "validation"), keyed("fid", "training"), keyed("recall", "training")
    ('fid', 'training', 'recall.training')
    """
    if against == "validation":
        return name
    return "training" if name in {"fid", "kid"} else f"{name}.training"


def sizes(features: Features, stand_in: np.ndarray) -> str:
    """Return a word on a line that rests on another number of images; empty if it does not."""
    if len(stand_in) == len(features.synthetic):
        return ""
    return (
        f"The line is of {len(stand_in)} real images in place of {len(features.synthetic)}: sets "
        "of other sizes score differently."
    )
