"""One cell of a bench: its plan, what it has come to so far, and what a stage of it is."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, ClassVar, Literal, TypeVar

import numpy as np

from memtk.bench.plan import AMONG_SAMPLES, Plan, cell_name
from memtk.components import ConfiguredComponent
from memtk.data.images import StoredImages
from memtk.data.prepare import Dataset
from memtk.errors import UserError
from memtk.evaluation.context import Context
from memtk.evaluation.detector import Detector
from memtk.evaluation.membership import CanaryPatients
from memtk.interfaces import Choice, Generator, Stage
from memtk.results import Checkpoint, Membership, MitigationEffect, Result, SelfTest
from memtk.training.loop import Checkpoint as Weights
from memtk.training.loop import Training

T = TypeVar("T")


@dataclass(frozen=True)
class Experiment:
    """The plan of one cell: a generator, and the mitigations on it.

    Args:
        mitigations: that take part, in order.
        teacher: it is the first generator of two, from which the other learns: sampled and
            evaluated at its last checkpoint alone.
    """

    plan: Plan
    cell: str
    mitigations: tuple[ConfiguredComponent, ...]
    teacher: bool = False

    @classmethod
    def of(cls, plan: Plan, cell: str) -> Experiment:
        """Return the experiment of a cell."""
        return cls(plan, cell, plan.mitigations_of(cell))

    def of_teacher(self) -> Experiment:
        """Return the experiment of the first generator: without the mitigations that teach."""
        rest = tuple(m for m in self.mitigations if Stage.TEACH not in m.cls.stages())
        return replace(self, mitigations=rest, teacher=True)

    @property
    def generator(self) -> ConfiguredComponent:
        """The generator, with its settings as the mitigations leave them."""
        return self.plan.generators[self.cell]

    @property
    def name(self) -> str:
        """Of the training and the samples: cells that only choose among these share them."""
        own = [(m, m.cls.stages()) for m in self.mitigations]
        parts = [m for m, stages in own if not stages or stages - AMONG_SAMPLES]
        return cell_name(self.generator, parts)

    @property
    def owner(self) -> str | None:
        """The first cell with this training; None for a teacher that is no cell's generator."""
        cells = self.plan.generators
        return next((c for c in cells if Experiment.of(self.plan, c).name == self.name), None)

    @property
    def home(self) -> Path:
        """The cell's own place in the run folder."""
        return Path("cells", self.cell)

    @property
    def shared(self) -> Path:
        """Where the training, the samples and their evaluation lie: with the owner."""
        if self.owner is not None:
            return Path("cells", self.owner)
        return self.home / "first" if self.teacher else self.home

    def taking_part(self, *stages: Stage) -> tuple[ConfiguredComponent, ...]:
        """Return the mitigations that take part in any of the stages, in order."""
        return tuple(m for m in self.mitigations if m.cls.stages() & set(stages))


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
class Run:
    """What all cells of a bench have in common: the data and devices, and the networks."""

    context: Context
    networks: Networks


@dataclass(frozen=True)
class TrainedGenerator:
    """A generator that was trained, and what it takes to sample and evaluate it.

    Args:
        name: of the training and the samples.
        folder: where samples and evaluations lie.
        generator: the model, of any weights.
        training: the training images that it is evaluated against, N.
        trained: what came of the training.
    """

    experiment: Experiment
    context: Context
    name: str
    folder: Path
    generator: Generator
    training: StoredImages
    trained: Training

    @property
    def count(self) -> int:
        """Synthetic images of each checkpoint, M: as asked, else one for each training image."""
        return self.experiment.plan.recipe.bench.samples or len(self.training)

    def of_cell(self) -> TrainedGenerator:
        """Return the same, with samples and evaluations of the cell's own."""
        own = self.experiment
        return replace(self, name=own.cell, folder=self.context.folder / own.home)


@dataclass(frozen=True)
class Selection:
    """The checkpoint that counts, and what is left of its samples.

    Args:
        generator: under whose name these are sampled and evaluated.
        reevaluated: the numbers of these by a second embedder; None where nothing was chosen by a
            score, or nothing was left.
        selftest: how well copies are found, of the evaluation that counts.
    """

    generator: TrainedGenerator
    weights: Weights
    label: str
    synthetic: StoredImages
    kept: StoredImages
    reevaluated: Checkpoint | None = None
    selftest: SelfTest | None = None


@dataclass(frozen=True)
class State:
    """What an experiment has come to; each stage adds to it.

    Args:
        training: the training images that the mitigations and the canaries' coins leave, N.
        canaries: training patients of whom coins held some back.
        lessons: the images that a first generator made for this one to learn from; None without.
        trainings: names of all trainings that it takes, its own first.
        trained: the generator; None before `train`.
        samples: of each checkpoint that is evaluated.
        checkpoints: what was found at these.
        selftest: how well copies are found, at the last one.
        selection: what counts of it; None before `stop`.
        membership: what each attack made of it, by its name.
        result: the record; None before `record`.
    """

    training: StoredImages
    canaries: CanaryPatients = CanaryPatients()
    lessons: StoredImages | None = None
    trainings: tuple[str, ...] = ()
    trained: TrainedGenerator | None = None
    samples: tuple[StoredImages, ...] = ()
    checkpoints: tuple[Checkpoint, ...] = ()
    selftest: SelfTest | None = None
    selection: Selection | None = None
    membership: Mapping[str, Membership] = field(default_factory=dict)
    effects: tuple[MitigationEffect, ...] = ()
    result: Result | None = None

    def with_effects(self, *effects: MitigationEffect) -> State:
        """Return the same with more effects of mitigations."""
        return replace(self, effects=(*self.effects, *effects))


@dataclass(frozen=True)
class Preview:
    """What an experiment will do, as far as it is known before anything is trained.

    Args:
        training: the training images that mitigations and coins leave by their patients.
        count: synthetic images of each checkpoint.
        labels: of the checkpoints.
        notes: what the mitigations add to the training of the generator, or spare of it.
    """

    dataset: Dataset
    training: StoredImages
    count: int = 0
    labels: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


class CellStage(ABC):
    """One stage of a cell: what is done, what is known of it before, and what it leaves.

    Class attributes:
        name: of the stage.
        shared: whether cells that only choose among the samples have it in common.
    """

    name: ClassVar[Stage]
    shared: ClassVar[bool] = True

    @abstractmethod
    def __call__(self, experiment: Experiment, state: State, run: Run) -> State:
        """Do it, and return the state with what came of it; what is finished is read.

        Raises:
            UserError: if the data or settings do not suffice for it.
        """

    def preview(self, experiment: Experiment, preview: Preview) -> Preview:
        """Return what it will do, before anything is trained.

        Raises:
            UserError: if it is known already that it cannot be done.
        """
        return preview

    def files(self, experiment: Experiment, labels: Sequence[str]) -> tuple[Path, ...]:
        """Return the files that are there once it is finished, by labels of checkpoints."""
        return ()


def given(value: T | None, stage: Stage) -> T:
    """Return what a stage has added to the state.

    Raises:
        LookupError: if it has not been yet: the order of the stages is wrong.
    """
    if value is None:
        raise LookupError(f"a stage needs what {stage} gives, which comes later")
    return value


def choice_of(part: ConfiguredComponent, what: str, given: Any, count: int) -> Choice:
    """Return what a mitigation chose of `count` things; a bare array of indices has no reason.

    Raises:
        PluginError: if it is no choice of some of them, each once.
    """
    with part.entry.blamed(what):
        choice = given if isinstance(given, Choice) else Choice(given)
        if not isinstance(indices := choice.indices, np.ndarray) or type(choice.why) is not str:
            raise UserError(f"a {type(given).__name__}, not indices and why")
        if indices.ndim != 1 or (indices.dtype.kind not in "iu" and len(indices)):
            raise UserError(f"indices of {indices.dtype} and shape {indices.shape}")
        if len(np.unique(indices)) < len(indices) or any((indices < 0) | (indices >= count)):
            raise UserError(f"indices that are not from 0 to {count - 1}, each once")
        return choice


def kept_by_all(
    synthetic: StoredImages, choices: Mapping[str, Choice], did: Literal["taught", "screened"]
) -> tuple[StoredImages, list[MitigationEffect]]:
    """Return the synthetic images that every mitigation keeps, and what each of them did."""
    kept: set[int] = set(range(len(synthetic)))
    effects = []
    for name, choice in choices.items():
        indices = choice.indices.tolist()
        kept &= set(indices)
        effects.append(
            MitigationEffect(
                mitigation=name, did=did, kept=len(indices), of=len(synthetic), why=choice.why
            )
        )
    return synthetic.subset(sorted(kept)), effects
