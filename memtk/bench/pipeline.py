"""The order of a bench cell, written down once: run, dry run, timing and resume read this list."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from torch import Tensor

from memtk.bench.checkpoint import CheckpointEvaluator, Evaluate, Sample
from memtk.bench.conditioning import conditions_note, images_written_for, is_conditional
from memtk.bench.experiment import (
    CellStage,
    Experiment,
    Preview,
    Run,
    State,
    TrainedGenerator,
    choice_of,
    given,
    kept_by_all,
)
from memtk.bench.plan import BY_SCORE, Plan
from memtk.bench.posthoc import Attack, Reevaluate, Screen, Stop
from memtk.bench.record import Record
from memtk.bench.subsets import Choose, Thin, check_samples, learned_from
from memtk.components import ConfiguredComponent
from memtk.data.prepare import Dataset
from memtk.errors import PluginError, UserError
from memtk.interfaces import Generator, Images, Mitigation, PhaseSettings, Private, Stage
from memtk.noise import Noise
from memtk.results import MitigationEffect, Result
from memtk.training.checkpoints import checkpoint_steps, steps_of
from memtk.training.devices import check_settings
from memtk.training.job import TrainingOptions
from memtk.training.loop import train
from memtk.training.privacy import budget_of, check_private


class Adjust(CellStage):
    """Mitigations change the generator's settings: done by `make_plan`, and told here."""

    name = Stage.ADJUST

    def __call__(self, experiment: Experiment, state: State, run: Run) -> State:
        """Say what was changed."""
        return state.with_effects(*experiment.plan.changes.get(experiment.cell, ()))


class Teach(CellStage):
    """A first generator is trained, sampled and evaluated, and mitigations choose what it teaches.

    It goes through the same stages as the one that learns from it, up to the evaluation.
    """

    name = Stage.TEACH

    def __call__(self, experiment: Experiment, state: State, run: Run) -> State:
        """Leave the synthetic images that the generator learns from.

        Raises:
            UserError: if none is left.
        """
        parts = experiment.taking_part(self.name)
        if not parts:
            return state
        first = run_stages(experiment.of_teacher(), run, last=Stage.EVALUATE)
        made, synthetic = given(first.trained, Stage.TRAIN), first.samples[-1]
        evaluator = CheckpointEvaluator(made, run.networks.first)
        found = evaluator.found(synthetic, first.checkpoints[-1].label, exposure=False)
        choices = {
            part.name: choice_of(part, "teach", part.make().teach(synthetic, found), len(synthetic))
            for part in parts
        }
        lessons, effects = kept_by_all(synthetic, choices, "taught")
        if not len(lessons):
            raise UserError(
                f"{experiment.cell}: of the {len(synthetic)} images of the first generator none is "
                f"left to learn from. {effects[-1].why}\n"
                f"Leave {parts[-1].name} out for this generator."
            )
        return replace(state, lessons=lessons, trainings=first.trainings).with_effects(*effects)

    def preview(self, experiment: Experiment, preview: Preview) -> Preview:
        """Say that there is a second training."""
        notes = [
            f"{experiment.cell}: a first generator is trained too, for {part.name}"
            for part in experiment.taking_part(self.name)
        ]
        return replace(preview, notes=(*preview.notes, *notes))


class Train(CellStage):
    """The generator is trained, on images that mitigations change, or privately."""

    name = Stage.TRAIN

    def __call__(self, experiment: Experiment, state: State, run: Run) -> State:
        """Train it; what an earlier call has left is gone on with."""
        context, bench, name = run.context, experiment.plan.recipe.bench, experiment.name
        part, folder = experiment.generator, context.folder / experiment.shared
        learned = state.lessons
        if learned is None:
            learned = learned_from(part, state.training, context.dataset)
        generator: Generator = context.make(part, context.dataset.spec, name)
        trained = train(
            generator,
            learned,
            seed=context.seed("generator", name),
            folder=folder / "training",
            devices=context.devices,
            options=TrainingOptions(
                name=name,
                checkpoints=bench.checkpoints,
                augment=_augmentation(experiment.mitigations),
                private=next(map(_private_of, _asking(experiment)), None),
            ),
            watch=context.watch,
        )
        done = TrainedGenerator(
            experiment, context, name, folder, generator, state.training, trained
        )
        return replace(state, trained=done, trainings=(name, *state.trainings)).with_effects(
            *augmented(experiment), *_private(experiment, done)
        )

    def preview(self, experiment: Experiment, preview: Preview) -> Preview:
        """See that the generator can be made, fed and sampled, and trained as it is asked.

        Raises:
            UserError: with the way out.
        """
        part, bench = experiment.generator, experiment.plan.recipe.bench
        source = learned_from(part, preview.training, preview.dataset)
        generator = part.make(preview.dataset.spec)
        count, most = bench.samples or len(preview.training), generator.most_samples(len(source))
        check_samples(experiment.plan, part, source, count, most)
        _check_privacy(experiment, generator, source)
        images_written_for(generator, experiment.plan.data, count)  # refuses names of no image
        notes = conditions_note(
            experiment.cell, part, experiment.plan.recipe, preview.training, count
        )
        if experiment.owner not in (None, experiment.cell):
            told = f"{experiment.cell}: not trained again, but taken from {experiment.owner}"
            notes = (*notes, told)
        phases = generator.phases()
        for phase in phases:
            check_settings(generator, phase)
        steps = checkpoint_steps(steps_of(phases[-1]) if phases else 0, bench.checkpoints)
        labels = tuple(f"step-{step:06d}" for step in steps)
        return replace(preview, count=count, labels=labels, notes=(*preview.notes, *notes))

    def files(self, experiment: Experiment, labels: Sequence[str]) -> tuple[Path, ...]:
        """Return the weights of every checkpoint."""
        return tuple(experiment.shared / "training/checkpoints" / f"{x}.pt" for x in labels)


def _augmentation(
    mitigations: Sequence[ConfiguredComponent],
) -> Callable[[Tensor, Noise], Tensor] | None:
    """Return what all mitigations do to the training images at each step; None if none does."""
    active = [(part, part.make()) for part in mitigations if _augments(part.cls)]
    if not active:
        return None

    def augment(x: Tensor, noise: Noise) -> Tensor:
        for part, mitigation in active:
            changed = mitigation.augment(x, noise)
            with part.entry.blamed("augment"):
                if changed.shape != x.shape or changed.dtype != x.dtype:
                    raise UserError(
                        f"{changed.dtype} of {tuple(changed.shape)}, expected {x.dtype} of "
                        f"{tuple(x.shape)}"
                    )
                if not bool(changed.isfinite().all()):
                    raise UserError("values that are not finite (NaN or infinite)")
            x = changed
        return x

    return augment


def _private_of(part: ConfiguredComponent) -> Private | None:
    """Return how a mitigation has the generator trained with differential privacy."""
    private = part.make().private()
    if private is not None and not isinstance(private, Private):
        raise PluginError(f"{part.entry.origin}: private gives a {type(private).__name__}")
    return private


def _augments(cls: type[Mitigation]) -> bool:
    return cls.augment is not Mitigation.augment


def augmented(experiment: Experiment) -> list[MitigationEffect]:
    """Say what changes the images, and how often a phase with a frozen encoder sees it anew."""
    values = [value for _, value in experiment.generator.config]
    variants = sorted({v.variants for v in values if isinstance(v, PhaseSettings)})
    parts = [part for part in experiment.mitigations if _augments(part.cls)]
    return [
        MitigationEffect(mitigation=part.name, did="augmented", variants=variants) for part in parts
    ]


def _private(experiment: Experiment, made: TrainedGenerator) -> list[MitigationEffect]:
    """Say who trained it under a guarantee, which stands in the result."""
    if made.trained.privacy is None:
        return []
    return [MitigationEffect(mitigation=_asking(experiment)[0].name, did="private")]


def _asking(experiment: Experiment) -> list[ConfiguredComponent]:
    """Return the mitigations that ask for differential privacy."""
    return [part for part in experiment.mitigations if _private_of(part) is not None]


def _check_privacy(experiment: Experiment, generator: Generator, images: Images) -> None:
    """Refuse what would make the epsilon of a cell untrue.

    Args:
        images: that the generator learns from, before any is thinned out.

    Raises:
        UserError: for a budget that no noise keeps, a generator that cannot be trained privately,
            or a mitigation that goes by the training images without noise.
    """
    cell, asking = experiment.cell, _asking(experiment)
    if not asking:
        return
    if len(asking) > 1:
        raise UserError(f"{cell}: {asking[0].name} and {asking[1].name} both set the privacy")
    for part in experiment.taking_part(Stage.THIN, *BY_SCORE):
        raise UserError(
            f"{cell}: {part.name} goes by the training images themselves, which the epsilon of "
            f"{asking[0].name} does not cover: leave one of them out"
        )
    check_private(generator, cell)
    if experiment.plan.data.condition and is_conditional(experiment.generator):
        raise UserError(
            f"{cell}: the samples follow the conditions of the training patients, which the "
            f"epsilon of {asking[0].name} does not cover: leave --condition or {asking[0].name} out"
        )
    if (private := _private_of(asking[0])) is not None:
        budget_of(private, generator, images)


STAGES: tuple[CellStage, ...] = (
    Adjust(),
    Choose(),
    Thin(),
    Teach(),
    Train(),
    Sample(),
    Evaluate(),
    Stop(),
    Screen(),
    Reevaluate(),
    Attack(),
    Record(),
)
"""What becomes of a cell, in order. Each needs what those before it give; see `CellStage`."""


def run_stages(experiment: Experiment, run: Run, *, last: Stage = STAGES[-1].name) -> State:
    """Do the stages of an experiment, up to and with `last`; what is finished is read.

    Raises:
        UserError: if the data do not suffice for it, or its training fails.
    """
    state = State(training=run.context.dataset.split("training"))
    for stage in STAGES:
        name = experiment.name if stage.shared else experiment.cell
        with run.context.timer(stage.name, name):
            state = stage(experiment, state, run)
        if stage.name == last:
            break
    return state


def run_cell(experiment: Experiment, run: Run) -> Result:
    """Do all stages of a cell and return its result, which is in the cell's folder then."""
    return given(run_stages(experiment, run).result, Stage.RECORD)


def preview_cells(plan: Plan, dataset: Dataset) -> dict[str, Preview]:
    """Return what each cell of a bench will do, as far as it is known before training.

    Raises:
        UserError: if it is known already that something cannot be done.
    """
    previews = {}
    for cell in plan.generators:
        preview = Preview(dataset=dataset, training=dataset.split("training"))
        for stage in STAGES:
            preview = stage.preview(Experiment.of(plan, cell), preview)
        previews[cell] = preview
    if plan.embedder and not plan.embedder.make(dataset.spec).phases():
        _check_second(plan, plan.embedder.name)
    if plan.extractor and plan.extractor != plan.embedder:
        plan.extractor.make(dataset.spec)
    return previews


def finished_stages(
    experiment: Experiment, folder: Path, labels: Sequence[str] = ()
) -> list[Stage]:
    """Return the stages of a cell whose files are in a run folder, in order.

    Args:
        labels: of the checkpoints; without them nothing is said of those stages that have some.
    """
    named = [(stage.name, stage.files(experiment, labels)) for stage in STAGES]
    return [n for n, files in named if files and all((folder / f).exists() for f in files)]


def _check_second(plan: Plan, embedder: str) -> None:
    """Refuse mitigations that need a second copy detector where it would be the first again.

    Raises:
        UserError: with the way out.
    """
    for part in plan.all_mitigations():
        if part.cls.stages() & {Stage.TEACH, Stage.SCREEN}:
            raise UserError(
                f"{part.name} goes by what the copy detector finds, and what it leaves has to be "
                f"judged by a second one. {embedder} comes trained, so that a second would see the "
                f"same: name one that is trained here, or leave {part.name} out"
            )
