"""What the headers of the images say, compared over all of them."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

import nibabel
import numpy as np

from memtk.interfaces import Volume


@dataclass
class Headers:
    """Gathers voxel sizes and orientations, image by image."""

    spacings: list[tuple[float, ...]] = field(default_factory=list)
    orientations: Counter[str] = field(default_factory=Counter)

    def add(self, stored: Volume, made: Volume) -> None:
        """Note one image, as it is stored and as it was made."""
        self.spacings.append(made.spacing)
        if stored.affine is not None and stored.voxels.ndim == 4:
            self.orientations["".join(nibabel.aff2axcodes(stored.affine))] += 1

    def spacing(self) -> tuple[float, ...]:
        """Return the common voxel size; nothing if sizes differ by more than 1 %."""
        low, high = np.min(self.spacings, axis=0), np.max(self.spacings, axis=0)
        return (
            tuple(np.median(self.spacings, axis=0).tolist()) if (high <= 1.01 * low).all() else ()
        )

    def notes(self, *, kept: bool) -> list[str]:
        """Return sentences about differences; those in orientation only if it is `kept`."""
        texts = []
        if not self.spacing():
            low, high = np.min(self.spacings), np.max(self.spacings)
            texts.append(
                f"voxel sizes differ, from {low:.3g} to {high:.3g} mm, and are kept: "
                "--set data.spacing=1,1,1 would make them alike"
            )
        if len(self.orientations) > 1 and kept:
            said = ", ".join(f"{n} {code}" for code, n in self.orientations.most_common())
            texts.append(
                f"volumes are stored in different orientations ({said}) and are kept so: "
                "--set data.orientation=ras would make them alike"
            )
        return texts
