"""Size of the training set."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from pydantic import Field

from memtk.errors import UserError
from memtk.interfaces import ComponentConfig, Mitigation


class DataSizeConfig(ComponentConfig):
    """How many patients are kept."""

    fraction: float = Field(0.5, gt=0, le=1, description="share of the patients that is kept")
    patients: int | None = Field(
        None, ge=1, description="number of patients that are kept, in place of the share"
    )


class DataSize(Mitigation):
    """Keeps all images of some patients, drawn at random, and none of the others.

    Nested: with one seed, the patients of a smaller set are all in every larger one, so that a
    series of sizes differs by what is added alone.

    Reference: Dar et al., arXiv 2402.01054, section 2.4.2.
    """

    Config = DataSizeConfig
    config: DataSizeConfig

    def choose(self, patients: Sequence[str], rng: np.random.Generator) -> np.ndarray:
        """Return the indices, ascending, of the training images of the patients that are kept.

        Raises:
            UserError: if more patients are asked for than there are.
        """
        names, owner = np.unique(np.asarray(patients), return_inverse=True)
        count = self.config.patients or max(1, round(self.config.fraction * len(names)))
        if count > len(names):
            raise UserError(
                f"datasize.patients = {count}: there are {len(names)} training patients.\n"
                f"Say --set datasize.patients={len(names)} or fewer."
            )
        kept = rng.permutation(len(names))[:count]
        return np.flatnonzero(np.isin(owner, kept))
