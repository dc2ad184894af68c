"""Which checkpoint to take."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import ClassVar, Literal

import numpy as np
from pydantic import Field

from memtk.errors import UserError, did_you_mean
from memtk.interfaces import CheckpointScores, Choice, ComponentConfig, Mitigation

EXPOSURE = ("named-patients", "exposed")
"""Measures of memorization that take the exposure of every checkpoint."""


class EarlyStopConfig(ComponentConfig):
    """What is weighed against what."""

    memorization: Literal[
        "copy-rate", "named", "named-patients", "copies", "exposed", "dar", "dar-matched"
    ] = Field(
        "copy-rate",
        description="copy-rate: the estimate in excess of chance; named and named-patients: share "
        "of the synthetic images that are named as copies, sure or suspect, and of the training "
        "patients as exposed; copies and exposed: share of the synthetic and of the training "
        "images with p <= alpha; dar, dar-matched: n_mem / N of the reference rule. "
        "named-patients and exposed need bench.exposure=all",
    )
    quality: str | None = Field(
        None, description="measure of quality; none: the first of --quality that can be ordered"
    )
    weight: float = Field(
        0.5, ge=0, le=1, description="of memorization; the rest is the weight of quality"
    )


class EarlyStop(Mitigation):
    """Takes the checkpoint that is best in memorization and quality together.

    On the Pareto front are the checkpoints that no other one beats: none is as good in both and
    better in one. Of these, that one is taken that lies nearest to the best values of both:

    `min sqrt(w m^2 + (1 - w) q^2)`, where m and q are memorization and the cost of quality, each
    scaled so that the best of the front has 0 and the worst 1, and w is the weight. Of equal ones
    the least memorized is taken, then the earliest.

    Both axes are estimates from a limited number of samples, and checkpoints that lie close
    together cannot be told apart. The core judges the chosen one anew.
    """

    Config = EarlyStopConfig
    config: EarlyStopConfig
    needs_quality: ClassVar[bool] = True

    def check(self, quality: Sequence[str], exposure: str) -> None:
        """Refuse to weigh what will not be measured at every checkpoint."""
        if self.config.memorization in EXPOSURE and exposure != "all":
            raise UserError(
                f"early-stop.memorization = {self.config.memorization} needs the exposure of every "
                "checkpoint: say --set bench.exposure=all"
            )
        wanted = self.config.quality
        if wanted is not None and re.split(r"[\[.]", wanted)[0] not in quality:
            raise UserError(
                f"early-stop.quality = {wanted}, and the bench measures {', '.join(quality)}: name "
                f"it with --quality.{did_you_mean(wanted, quality)}"
            )

    def stop(self, checkpoints: Sequence[CheckpointScores]) -> Choice:
        """Choose one checkpoint.

        Raises:
            UserError: if a checkpoint lacks the measure of memorization or of quality.
        """
        name = self._quality(checkpoints)
        points = [(self._memorization(s), s.cost[name]) for s in checkpoints]
        front = pareto_front(points)
        chosen = nearest_to_best(points, front, self.config.weight)
        taken, (memorized, _) = checkpoints[chosen], points[chosen]
        steps = ", ".join(f"{checkpoints[i].step:,}" for i in front)
        why = (
            f"On the Pareto front of {self.config.memorization} and {name}: "
            f"step{'s' if len(front) > 1 else ''} {steps}. Nearest to the best of both is step "
            f"{taken.step:,}, with {self.config.memorization} {100 * memorized:.3g}% and "
            f"{name} {taken.quality[name]:.4g}."
        )
        return Choice(np.array([chosen]), why)

    def _memorization(self, scores: CheckpointScores) -> float:
        wanted = self.config.memorization
        if wanted not in scores.memorization:
            way = "say --set bench.exposure=all" if wanted in EXPOSURE else "choose another"
            raise UserError(
                f"early-stop.memorization = {wanted}: it was not measured at step {scores.step}; "
                f"{way}. There are {', '.join(scores.memorization)}"
            )
        return scores.memorization[wanted]

    def _quality(self, checkpoints: Sequence[CheckpointScores]) -> str:
        """Return the name of the measure, which every checkpoint has."""
        there = [name for name in checkpoints[0].cost if all(name in s.cost for s in checkpoints)]
        wanted = self.config.quality
        fits = [
            n for n in there if wanted in (None, n) or n.startswith((f"{wanted}[", f"{wanted}."))
        ]
        if not fits:
            asked = "no measure of quality" if wanted is None else f"early-stop.quality = {wanted}"
            raise UserError(
                f"{asked}: early-stop needs a measure that every checkpoint has and of which is "
                f"known which way is better. There are {', '.join(there) or 'none'}; name one with "
                f"--quality.{did_you_mean(wanted or '', there)}"
            )
        return fits[0]


def pareto_front(points: Sequence[tuple[float, float]]) -> list[int]:
    """Return the points that no other one beats; smaller is better on both axes.

    >>> pareto_front([(0.0, 9.0), (0.1, 4.0), (0.2, 5.0), (0.5, 1.0)])
    [0, 1, 3]
    """
    order = sorted(range(len(points)), key=lambda i: points[i])
    front: list[int] = []
    for index in order:  # the first value ascends, so the second must fall
        last = points[front[-1]] if front else None
        if last is None or points[index][1] < last[1] or points[index] == last:
            front.append(index)
    return sorted(front)


def nearest_to_best(
    points: Sequence[tuple[float, float]], front: Sequence[int], weight: float
) -> int:
    """Return the index of the point of the front that lies nearest to the best of both axes."""
    some = np.array([points[i] for i in front], dtype=np.float64)  # (K, 2)
    spread = some.max(0) - some.min(0)
    scaled = (some - some.min(0)) / np.where(spread > 0, spread, 1)
    distance = np.sqrt(weight * scaled[:, 0] ** 2 + (1 - weight) * scaled[:, 1] ** 2)
    return min(front, key=lambda i: (round(distance[front.index(i)], 12), points[i][0], i))
