"""What is done once a generator is evaluated: choices by a score, reevaluation, attacks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np

from memtk.bench.checkpoint import CHOSEN, CheckpointEvaluator, draw, write_synthetic
from memtk.bench.experiment import (
    CellStage,
    Experiment,
    Preview,
    Run,
    Selection,
    State,
    choice_of,
    given,
    kept_by_all,
)
from memtk.bench.plan import BY_SCORE
from memtk.components import ConfiguredComponent
from memtk.errors import PluginError, UserError
from memtk.evaluation.detector import Detector
from memtk.evaluation.membership import Attacked, Pool
from memtk.events import Event
from memtk.interfaces import CheckpointScores, Generator, Images, Stage, Target
from memtk.results import (
    Checkpoint,
    Membership,
    MitigationEffect,
    has_arrays,
    read_record,
    write_arrays,
    write_record,
)
from memtk.results.measures import cost_of
from memtk.training.checkpoints import load_checkpoint
from memtk.training.inference import scorer

FRESH = "fresh"
"""Names the samples of a checkpoint that was chosen, which had no part in the choice."""


class Stop(CellStage):
    """Mitigations choose the checkpoint that is taken, which is sampled anew; else it is the last.

    The new samples are others than those that the choice rests on.
    """

    name = Stage.STOP
    shared = False

    def __call__(self, experiment: Experiment, state: State, run: Run) -> State:
        """Leave a checkpoint and its samples.

        Raises:
            PluginError: if a mitigation does not choose one.
        """
        made, parts = given(state.trained, Stage.TRAIN), experiment.taking_part(self.name)
        if not parts:
            weights, synthetic = made.trained.checkpoints[-1], state.samples[-1]
            selection = Selection(made, weights, weights.path.stem, synthetic, synthetic)
            return replace(state, selection=selection)
        left, effects = list(range(len(state.checkpoints))), []
        steps = [checkpoint.step for checkpoint in state.checkpoints]
        for part in parts:
            stopped = part.make().stop([scores_of(state.checkpoints[i]) for i in left])
            choice = choice_of(part, "stop", stopped, len(left))
            if len(choice.indices) != 1:
                raise PluginError(
                    f"{part.name}: stop chose {choice.indices.tolist()} of {len(left)} "
                    "checkpoints; it chooses one"
                )
            left = [left[int(choice.indices[0])]]
            effects.append(
                MitigationEffect(
                    mitigation=part.name,
                    did="checkpoint",
                    step=steps[left[0]],
                    of_steps=steps,
                    why=choice.why,
                )
            )
        own, weights = made.of_cell(), made.trained.checkpoints[left[0]]
        synthetic = draw(own, weights, FRESH, "sample anew")
        selection = Selection(own, weights, FRESH, synthetic, synthetic)
        return replace(state, selection=selection).with_effects(*effects)

    def files(self, experiment: Experiment, labels: Sequence[str]) -> tuple[Path, ...]:
        """Return the fresh samples."""
        parts = experiment.taking_part(self.name)
        return (experiment.home / "synthetic" / f"{FRESH}.h5",) if parts else ()


class Screen(CellStage):
    """Mitigations hold synthetic images back by what the copy detector finds in them."""

    name = Stage.SCREEN
    shared = False

    def __call__(self, experiment: Experiment, state: State, run: Run) -> State:
        """Leave the images that every mitigation lets out."""
        selection, parts = given(state.selection, Stage.STOP), experiment.taking_part(self.name)
        if not parts:
            return state
        synthetic, exposure = selection.synthetic, experiment.plan.recipe.bench.exposure
        evaluator = CheckpointEvaluator(selection.generator, run.networks.first)
        found = evaluator.found(synthetic, selection.label, exposure=exposure != "none")
        choices = {
            part.name: choice_of(
                part, "screen", part.make().screen(synthetic, found), len(synthetic)
            )
            for part in parts
        }
        kept, effects = kept_by_all(synthetic, choices, "screened")
        left = replace(selection, kept=kept)
        return replace(state, selection=left).with_effects(*effects)


class Reevaluate(CellStage):
    """What was chosen by a score is evaluated anew: those that were chosen by have no say.

    By a second embedder, and after the choice of a checkpoint on fresh samples. Where the run
    compares the images themselves there is no second embedder, and the fresh samples alone are new.
    """

    name = Stage.REEVALUATE
    shared = False

    def __call__(self, experiment: Experiment, state: State, run: Run) -> State:
        """Leave the numbers that count."""
        selection, parts = given(state.selection, Stage.STOP), experiment.taking_part(*BY_SCORE)
        if not parts:
            return replace(state, selection=replace(selection, selftest=state.selftest))
        if not len(selection.kept):
            made, name = (
                given(state.trained, Stage.TRAIN),
                experiment.taking_part(Stage.SCREEN)[-1].name,
            )
            weights, last = made.trained.checkpoints[-1], state.samples[-1]
            effect = MitigationEffect(
                mitigation=name, did="nothing left", kept=0, of=len(selection.synthetic)
            )
            before = Selection(
                made, weights, weights.path.stem, last, last, selftest=state.selftest
            )
            return replace(state, selection=before).with_effects(effect)
        own = selection.generator.of_cell()
        kept = write_synthetic(own, selection.kept, CHOSEN)
        second = run.networks.second()
        evaluator = CheckpointEvaluator(own, second, run.networks.extractor)
        exposure = experiment.plan.recipe.bench.exposure != "none"
        found, selftest = evaluator(kept, selection.weights, CHOSEN, exposure=exposure, last=True)
        effect = MitigationEffect(
            mitigation=", ".join(part.name for part in parts),
            did="reevaluated",
            fresh_samples=selection.label == FRESH,
            second_embedder=second is not None and not second.given,
        )
        selection = Selection(own, selection.weights, CHOSEN, kept, kept, found, selftest)
        return replace(state, selection=selection).with_effects(effect)

    def preview(self, experiment: Experiment, preview: Preview) -> Preview:
        """Say that there is a second copy detector."""
        embedder, parts = experiment.plan.embedder, experiment.taking_part(*BY_SCORE)
        if embedder is None or not parts:
            return preview
        note = f"{embedder.name}: a second one, for what is chosen by the first"
        return replace(preview, notes=(*preview.notes, note))

    def files(self, experiment: Experiment, labels: Sequence[str]) -> tuple[Path, ...]:
        """Return the new numbers."""
        parts = experiment.taking_part(*BY_SCORE)
        return (experiment.home / "judged" / f"{CHOSEN}.json",) if parts else ()


def scores_of(checkpoint: Checkpoint) -> CheckpointScores:
    """Return what was found at a checkpoint, by the names that `CheckpointScores` knows."""
    found = checkpoint.evidence
    shares = {"copy-rate": found.copy_rate.estimate} if found.copy_rate else {}
    for name, side in (("named", found.copies), ("named-patients", found.patients)):
        shares |= {name: max(side.sure, side.suspect) / side.of} if side and side.of else {}
    for protocol, table in checkpoint.protocols.items():
        own = {key: m.value for key, m in table.items() if m.of and m.value is not None}
        if own:
            shares[protocol] = next(iter(own.values()))
        shares |= {f"{protocol}:{key}": value for key, value in own.items()}
        shares |= {key: value for key, value in own.items() if key not in shares}
    costs = {name: cost_of(checkpoint, name) for name in checkpoint.quality}
    return CheckpointScores(
        step=checkpoint.step,
        memorization=shares,
        quality=dict(checkpoint.quality),
        cost={name: value for name, value in costs.items() if value is not None},
    )


class Attack(CellStage):
    """Membership attacks on the checkpoint that counts, on its weights or its samples.

    Members are the training images that the generator saw, non-members the validation images, of
    other patients. Canaries that were held back are scored with them: their scores and those of the
    canaries that took part bound epsilon. Of a generator that lacks what an attack uses it says so.
    """

    name = Stage.ATTACK
    shared = False

    def __call__(self, experiment: Experiment, state: State, run: Run) -> State:
        """Say what each attack makes of it; a finished one is read, not run again.

        Raises:
            UserError: if a patient is on both sides, or a setting asks for what is not there.
            PluginError: if an attack does not give one finite score for each image.
        """
        selection, context = given(state.selection, Stage.STOP), run.context
        made, privacy = selection.generator, selection.generator.trained.privacy
        attacked = Attacked.of(
            made.training,
            context.dataset.split("validation"),
            state.canaries,
            context.dataset.split("training"),
        )
        folder = context.folder / experiment.home
        load_checkpoint(made.generator, selection.weights.path)
        found: dict[str, Membership] = {}
        for part in experiment.plan.attacks:
            done, group = folder / "attacked" / f"{part.name}.json", arrays_of(part.name)
            if done.exists() and (_not_run(done) or has_arrays(folder / "arrays.h5", group)):
                context.watch(Event("skip", f"attacking {experiment.cell} by {part.name}"))
                found[part.name] = read_record(done, Membership)
                continue
            lacks = lacking(part, type(made.generator))
            if lacks:
                found[part.name] = attacked.record(reason=lacks)
            else:
                scores, how = _scores(experiment, part, selection, attacked.pool, run)
                arrays = attacked.arrays(scores)
                delta = privacy.delta if privacy else 0.0
                found[part.name] = attacked.judged(arrays, how, delta)
                if context.devices.is_main:
                    write_arrays(folder / "arrays.h5", group, arrays)
            if context.devices.is_main:
                write_record(done, found[part.name])
            context.devices.wait()
        return replace(state, membership=found)

    def preview(self, experiment: Experiment, preview: Preview) -> Preview:
        """See that every attack can be run on at least one generator of the bench.

        Raises:
            UserError: for the first that cannot, saying what they lack.
        """
        held_out = preview.dataset.counts()["held_out"]["images"] > 0
        plan = experiment.plan
        generators = {part.name: part.cls for part in plan.generators.values()}
        for part in plan.attacks:
            if all(lacking(part, generator) for generator in generators.values()):
                raise UserError(
                    f"attack {part.name!r} looks inside a generator that offers "
                    f"{' and '.join(part.cls.uses)}; of {', '.join(generators)} none does.\n"
                    "Leave it out, or say --attack gan-leaks, which needs the samples alone."
                )
            attack = part.make()
            if hasattr(attack, "check"):
                attack.check(embedder=plan.embedder is not None, held_out=held_out)
        return preview

    def files(self, experiment: Experiment, labels: Sequence[str]) -> tuple[Path, ...]:
        """Return what each attack made of it."""
        home = experiment.home / "attacked"
        return tuple(home / f"{part.name}.json" for part in experiment.plan.attacks)


def arrays_of(attack: str) -> str:
    """Return the group of a cell's arrays that holds the scores of an attack."""
    return f"attack {attack}"


def lacking(part: ConfiguredComponent, generator: type[Generator]) -> str:
    """Return why an attack cannot be run on a kind of generator, an empty text if it can."""
    lacks = [name for name in part.cls.uses if getattr(generator, name, None) is None]
    if not lacks:
        return ""
    return f"this generator offers no {' and no '.join(lacks)}"


def _scores(
    experiment: Experiment,
    part: ConfiguredComponent,
    selection: Selection,
    pool: Pool,
    run: Run,
) -> tuple[np.ndarray, str]:
    """Return the score of each image of the pool, and what was compared."""
    context, plan, made = run.context, experiment.plan, selection.generator
    evaluator = CheckpointEvaluator(made, run.networks.first)

    @cache  # trained for the exposure already, unless that was not asked for
    def exposed() -> Detector | None:
        return evaluator.exposure_detector(selection.kept, selection.label)

    def embed(images: Images) -> np.ndarray:
        detector = exposed()
        assert detector is not None
        return detector.see(images, f"what is attacked in {experiment.cell}")

    attack = part.make()
    own = made.generator.learns_from == "training"
    each = scorer(
        made.generator,
        seed=context.seed("attack", experiment.cell, part.name),
        batch_size=context.batch_size,
        devices=context.devices,
        name=f"{experiment.cell} by {part.name}",
        watch=context.watch,
    )
    target = Target(
        made.generator,
        selection.kept,
        each,
        embed=embed if plan.embedder else None,
        similarity=plan.similarity.make() if plan.embedder else None,
        strangers=context.dataset.split("held_out") if own else None,
    )
    scored = attack.score(target, pool)
    with part.entry.blamed("score"):
        scores = np.asarray(scored)
        if scores.dtype.kind not in "biuf" or scores.shape != (len(pool),):
            raise UserError(f"{scores.dtype} {scores.shape}, not {len(pool)} numbers")
        scores = scores.astype(np.float64)
        if count := int((~np.isfinite(scores)).sum()):
            raise UserError(f"{count} of {len(pool)} numbers are not finite")
    describe = getattr(attack, "describe", None)
    how = describe(target) if describe else ""
    with part.entry.blamed("describe"):
        if type(how) is not str:
            raise UserError(f"a {type(how).__name__}, not a text")
    return scores, how


def _not_run(path: Path) -> bool:
    """Tell whether an attack was not run, so that it left no scores."""
    found = read_record(path, Membership)
    return found.auc is None and not found.how
