"""What mitigations choose by a score once a generator is evaluated, and its reevaluation."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
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
    given,
)
from memtk.bench.plan import BY_SCORE
from memtk.errors import PluginError
from memtk.interfaces import CheckpointScores, Stage
from memtk.results import Checkpoint, MitigationEffect
from memtk.results.measures import cost_of

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
            choice = part.make().stop([scores_of(state.checkpoints[i]) for i in left])
            if len(choice.indices) != 1 or not 0 <= choice.indices[0] < len(left):
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
        kept, count, effects = np.arange(len(synthetic)), len(synthetic), []
        for part in parts:
            choice = part.make().screen(synthetic, found)
            kept = np.intersect1d(kept, choice.indices)
            effects.append(
                MitigationEffect(
                    mitigation=part.name,
                    did="screened",
                    kept=len(choice.indices),
                    of=count,
                    why=choice.why,
                )
            )
        left = replace(selection, kept=synthetic.subset(kept.tolist()))
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
    rate = checkpoint.evidence.copy_rate
    shares = {"copy-rate": rate.estimate} if rate else {}
    for protocol, table in checkpoint.protocols.items():
        found = {key: m.value for key, m in table.items() if m.of and m.value is not None}
        if found:
            shares[protocol] = next(iter(found.values()))
        shares |= {f"{protocol}:{key}": value for key, value in found.items()}
        shares |= {key: value for key, value in found.items() if key not in shares}
    costs = {name: cost_of(checkpoint, name) for name in checkpoint.quality}
    return CheckpointScores(
        step=checkpoint.step,
        memorization=shares,
        quality=dict(checkpoint.quality),
        cost={name: value for name, value in costs.items() if value is not None},
    )
