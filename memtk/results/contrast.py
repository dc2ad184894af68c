"""Two settings of a study compared seed by seed."""

from __future__ import annotations

from dataclasses import dataclass

from memtk.results.spread import Spread, spread
from memtk.results.study_measures import measure
from memtk.results.study_settings import Setting


@dataclass(frozen=True)
class Contrast:
    """By how much one setting differs from another in a measure.

    Args:
        setting: the one, and `against` the other.
        key: of the measure.
        difference: share of the one less that of the other, over the seeds that both have.
    """

    setting: Setting
    against: Setting
    key: str
    difference: Spread

    @property
    def clear(self) -> bool:
        """Whether the 95 % interval of the mean difference leaves out 0."""
        interval = self.difference.interval
        return interval is not None and (interval[0] > 0 or interval[1] < 0)


def contrast(setting: Setting, against: Setting, key: str) -> Contrast | None:
    """Compare two settings at their last checkpoints; None where no seed has both.

    Paired by seed: one seed has the same images and copy detector in both, so that what differs is
    the setting and the generator's own randomness. Of measures whose null depends on the sizes, as
    that of the reference rule does, a difference says nothing where the sizes differ.
    """
    ours, theirs = _shares(setting, key), _shares(against, key)
    differences = [ours[seed] - theirs[seed] for seed in ours if seed in theirs]
    found = spread(differences)
    return Contrast(setting, against, key, found) if found else None


def _shares(setting: Setting, key: str) -> dict[int, float]:
    values = {result.seed: measure(key).of(result, result.last) for result in setting.results}
    return {seed: value.share for seed, value in values.items() if value is not None}
