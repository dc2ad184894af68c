"""The verdict on a cell, from the numbers of its last checkpoint."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

from memtk.results.chance import binomial_tail
from memtk.results.schema import Result

CHANCE = 0.001
"""The reference count is called more than chance below this binomial probability. Counts of
training images that share a synthetic set vary more than a binomial, so it is strict, and it
never decides alone: it can only turn "no evidence" into "signs"."""


@dataclass(frozen=True)
class Verdict:
    """What the numbers of the last checkpoint allow to say.

    Args:
        kind: "memorized", "signs" (something stands out, but it proves nothing), "inconclusive"
            (nothing could have been flagged) or "none" (nothing was flagged, but could have been).
        fewest: images that must stand out before any can be flagged: training images, or
            synthetic ones where the exposure was not tested. More than there are: none can be.
    """

    kind: Literal["memorized", "signs", "inconclusive", "none"]
    fewest: int

    @property
    def title(self) -> str:
        """The verdict in a few words."""
        return {
            "memorized": "Memorized",
            "signs": "Signs of memorization",
            "inconclusive": "Inconclusive",
            "none": "No evidence found",
        }[self.kind]


def verdict(result: Result) -> Verdict:
    """Return the verdict on a cell.

    - "memorized": the conformal test flags training images (exposure). Both sides of that
      comparison are real images, so neither blur nor blandness of the synthetic ones brings it
      about. If nothing was memorized, the chance of any flag is at most the false discovery rate.
      Where the exposure was not tested: it flags copies, and the reference count is more than
      chance as well.
    - "signs": copies are flagged or the reference count is more than chance, without the above.
      Synthetic images that all look alike do this too.
    - "inconclusive": with so few validation patients nothing could have been flagged.
    - "none" otherwise. It means that no evidence was found, never that there is none.
    """
    found = result.last.protocols
    conformal, dar, n = found.conformal, found.dar, result.used_training.images
    tested = result.last.n_synthetic if conformal.n_mem is None else n
    fewest = max(1, math.ceil(tested * conformal.finest_p / conformal.fdr * (1 - 1e-12)))
    excess = binomial_tail(dar.n_mem, n, dar.expected_mem_fraction) < CHANCE
    if conformal.n_mem or (conformal.n_mem is None and conformal.n_copies and excess):
        return Verdict("memorized", fewest)
    if conformal.n_copies or excess:
        return Verdict("signs", fewest)
    return Verdict("none" if conformal.can_reject else "inconclusive", fewest)
