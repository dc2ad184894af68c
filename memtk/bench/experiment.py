"""One experiment of a bench: a generator with its training images, and the networks that look."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from memtk.bench.plan import Plan
from memtk.data.images import StoredImages
from memtk.evaluation.context import Context
from memtk.evaluation.detector import Detector
from memtk.interfaces import Generator, Mitigation


@dataclass(frozen=True)
class Networks:
    """The networks that look at images.

    Args:
        first: the copy detector of the run; None in image space.
        second: makes the one that judges what was chosen by the first.
        extractor: whose features the quality metrics compare; None where none does.
    """

    first: Detector | None
    second: Callable[[], Detector | None]
    extractor: Detector | None


@dataclass(frozen=True)
class Experiment:
    """One generator that is trained, sampled and evaluated.

    Args:
        context: the run.
        plan: what is run.
        name: of the training and the samples, which several cells may share.
        folder: where they lie.
        generator: the model, of any weights.
        training: the training images that it is evaluated against, N.
        count: synthetic images of each checkpoint, M.
        mitigations: those that hold synthetic images back are asked for each set.
    """

    context: Context
    plan: Plan
    name: str
    folder: Path
    generator: Generator
    training: StoredImages
    count: int
    mitigations: tuple[Mitigation, ...] = ()
