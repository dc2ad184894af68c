"""Samples the checkpoints of a generator, and tells what each has memorized."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from memtk.bench.conditioning import images_written_for, prompts_table, sample_conditions
from memtk.bench.experiment import (
    CellStage,
    Experiment,
    Run,
    State,
    TrainedGenerator,
    Weights,
    choice_of,
    given,
)
from memtk.data.images import (
    FlatImages,
    StoredImages,
    identical_images,
    open_images,
    write_images,
)
from memtk.errors import UserError, many
from memtk.evaluation.by_condition import by_condition, quality_of_part
from memtk.evaluation.calibration import Calibration, Patients, calibrate
from memtk.evaluation.detector import (
    Detector,
    EmbeddedSets,
    real_rows,
    sources_of,
)
from memtk.evaluation.evaluate import evaluate, neighbours
from memtk.evaluation.planted import Plants
from memtk.evaluation.population import with_likeness
from memtk.evaluation.quality import measure_quality
from memtk.evaluation.selftest import self_test
from memtk.evaluation.statistics import tests_of
from memtk.events import Event
from memtk.interfaces import Levels, Stage
from memtk.memorization import IDENTICAL, Source
from memtk.results import (
    ByCondition,
    Checkpoint,
    MitigationEffect,
    SelfTest,
    has_arrays,
    read_arrays,
    read_checkpoint,
    read_record,
    write_arrays,
    write_checkpoint,
    write_record,
)
from memtk.training.checkpoints import load_checkpoint
from memtk.training.inference import sample

CHOSEN = "chosen"
"""Names the samples that mitigations which choose by a score have left, and their evaluation."""


class Sample(CellStage):
    """Every checkpoint is sampled, and mitigations hold images back, whatever is found in them."""

    name = Stage.SAMPLE

    def __call__(self, experiment: Experiment, state: State, run: Run) -> State:
        """Draw the samples of each checkpoint; of a teacher those of the last one."""
        made = given(state.trained, Stage.TRAIN)
        weights = made.trained.checkpoints[-1:] if experiment.teacher else made.trained.checkpoints
        samples = tuple(draw(made, each, each.path.stem) for each in weights)
        return replace(state, samples=samples).with_effects(*self._released(experiment, made))

    def _released(self, experiment: Experiment, made: TrainedGenerator) -> list[MitigationEffect]:
        parts = experiment.taking_part(self.name)
        if not parts:
            return []
        label = made.trained.checkpoints[-1].path.stem
        drawn, kept = (
            len(open_images(made.folder / x / f"{label}.h5")) for x in ("drawn", "synthetic")
        )
        names = ", ".join(part.name for part in parts)
        return [MitigationEffect(mitigation=names, did="released", kept=kept, of=drawn)]

    def files(self, experiment: Experiment, labels: Sequence[str]) -> tuple[Path, ...]:
        """Return the images of every checkpoint."""
        return tuple(experiment.shared / "synthetic" / f"{label}.h5" for label in labels)


class Evaluate(CellStage):
    """Every checkpoint is evaluated by the run's copy detector."""

    name = Stage.EVALUATE

    def __call__(self, experiment: Experiment, state: State, run: Run) -> State:
        """Evaluate the samples of each checkpoint, and at the last how well copies are found."""
        made, exposure = given(state.trained, Stage.TRAIN), experiment.plan.recipe.bench.exposure
        evaluator = CheckpointEvaluator(made, run.networks.first, run.networks.extractor)
        weights = made.trained.checkpoints[-len(state.samples) :]
        checkpoints, selftest = [], None
        for each, synthetic in zip(weights, state.samples, strict=True):
            last = each is weights[-1]
            asked = exposure == "all" or (exposure == "last" and last)
            found, selftest = evaluator(synthetic, each, each.path.stem, exposure=asked, last=last)
            checkpoints.append(found)
        return replace(state, checkpoints=tuple(checkpoints), selftest=selftest)

    def files(self, experiment: Experiment, labels: Sequence[str]) -> tuple[Path, ...]:
        """Return the numbers of every checkpoint."""
        return tuple(experiment.shared / "judged" / f"{label}.json" for label in labels)


def draw(
    made: TrainedGenerator, weights: Weights, label: str, stream: str = "sample"
) -> StoredImages:
    """Return the synthetic images of a checkpoint that the mitigations let out.

    Args:
        label: of the set; one that is there already is opened.
        stream: names the randomness; the images of another are others.

    Raises:
        UserError: if they let none out.
    """
    context, path = made.context, made.folder / "synthetic" / f"{label}.h5"
    if path.exists():
        context.watch(Event("skip", f"sampling {made.name} {label}"))
        return open_images(path)
    load_checkpoint(made.generator, weights.path)
    filters = made.experiment.taking_part(Stage.SAMPLE)
    experiment, seed = made.experiment, context.seed(stream, made.name)
    conditions = sample_conditions(
        experiment.generator, experiment.plan.recipe, made.training, made.count, seed
    )
    batches = sample(
        made.generator,
        made.count if conditions is None else conditions,
        seed=seed,
        batch_size=context.batch_size,
        devices=context.devices,
        name=f"{made.name} {label}",
        watch=context.watch,
    )
    place = made.folder / "drawn" / f"{label}.h5" if filters else path
    spec = made.generator.spec
    context.devices.write(batches, lambda x: write_images(place, x, made.count, spec, conditions))
    kept = drawn = open_images(place)
    for part in filters:
        choice = choice_of(part, "release", part.make().release(kept), len(kept))
        kept = kept.subset(choice.indices.tolist())
    if not len(kept):
        raise UserError(f"{made.name}: its mitigations release none of {many(len(drawn), 'image')}")
    return write_synthetic(made, kept, label) if filters else drawn


def write_synthetic(made: TrainedGenerator, images: StoredImages, label: str) -> StoredImages:
    """Write synthetic images that are left of others, unless they are there already."""
    path = made.folder / "synthetic" / f"{label}.h5"
    if made.context.devices.is_main and not path.exists():
        rows = (images.read([row]) for row in range(len(images)))
        write_images(path, rows, len(images), images.spec, images.conditions)
    made.context.devices.wait()
    return open_images(path)


class CheckpointEvaluator:
    """Evaluates the checkpoints of one generator.

    Args:
        made: the generator and its training images.
        detector: the embedder that saw the training images alone; None in image space.
        extractor: whose features the quality metrics compare; None where none does.
    """

    def __init__(
        self, made: TrainedGenerator, detector: Detector | None, extractor: Detector | None = None
    ) -> None:
        self._detector, self._extractor = detector, extractor
        self._context, self._plan = made.context, made.experiment.plan
        self._cell, self._training = made.name, made.training
        self._generator, self._folder = made.generator, made.folder
        self._validation = self._context.dataset.split("validation")
        self._whole = not made.experiment.taking_part(Stage.SAMPLE)
        held_out = self._context.dataset.split("held_out")
        # Of a control that gives back held-out images they are no strangers.
        self._strangers = len(held_out) > 0 and self._generator.learns_from == "training"
        bench = self._plan.recipe.bench
        self._levels = Levels(bench.alpha, bench.fdr)
        self._calibration: Calibration | None = None

    def __call__(
        self,
        synthetic: StoredImages,
        weights: Weights,
        label: str,
        *,
        exposure: bool,
        last: bool,
    ) -> tuple[Checkpoint, SelfTest | None]:
        """Return what is in a set of synthetic images, and how well copies are found.

        A set that is finished is read, not evaluated again.

        Args:
            weights: of the checkpoint that they are of.
            label: of the set; `CHOSEN` for what was chosen by an earlier evaluation.
            exposure: test the training images too.
            last: measure how well copies are found; else there is no self-test.
        """
        done, tested, arrays = self._paths(label)
        if done.exists() and has_arrays(arrays, label):
            self._context.watch(Event("skip", f"judging {self._cell} {label}"))
            there = last and tested.exists()
            return read_checkpoint(done), read_record(tested, SelfTest) if there else None
        copies, exposed = self._seen(synthetic, label, exposure)
        calibration, devices = self._calibrated(copies, weights), self._context.devices
        seed = self._context.seed("intervals", self._cell, label)
        if last:
            load_checkpoint(self._generator, weights.path)  # planted copies are made when read
        found = evaluate(
            copies,
            exposed,
            calibration,
            self._levels,
            protocols=self._plan.protocols,
            devices=devices,
            seed=seed,
        )
        selftest = None
        if last:
            selftest = self_test(
                calibration, self._levels, copies, exposed, found.arrays, devices=devices
            )
        seen, name = self._features(copies, synthetic, label)
        quality, measured = measure_quality(
            self._plan.quality, seen, self._validation, synthetic, name
        )
        parts: list[ByCondition] = []
        if last and synthetic.conditions is not None:
            images = self._validation, synthetic
            parts = by_condition(
                calibration.groups(found.arrays),
                (self._training, *images),
                self._levels,
                seed,
                quality_of_part(self._plan.quality, seen, images, name),
            )
        protocols = dict(found.protocols)
        if self._whole and label != CHOSEN:  # sample i is row i
            written = images_written_for(self._generator, self._plan.data, len(synthetic))
            if written is not None:
                near = self._training.indices[found.arrays["synthetic_train_index"]]
                protocols["prompts"] = prompts_table(written, near)
        checkpoint = Checkpoint(
            step=weights.step,
            n_synthetic=len(synthetic),
            evidence=with_likeness(found.evidence, synthetic, self._validation, seed),
            protocols=protocols,
            quality=quality,
            measure_info=measured,
            by_condition=parts,
            identical_images=int(found.arrays[IDENTICAL].sum()),
            reevaluated=label == CHOSEN,
        )
        if devices.is_main:
            if selftest:
                write_record(tested, selftest)
            write_arrays(arrays, label, found.arrays)
            write_checkpoint(done, checkpoint)
        devices.wait()
        return checkpoint, selftest

    def found(
        self, synthetic: StoredImages, label: str, *, exposure: bool
    ) -> dict[str, np.ndarray]:
        """Return what the detector finds in a set, for mitigations that choose among its images.

        Those are the arrays of an evaluation, and `IDENTICAL`, bool (M,): whose voxels are those of
        a training image. Of a set that has been evaluated already they are read, with the exposure
        as it was then.
        """
        path = self._paths(label)[2]
        if has_arrays(path, label):
            arrays = dict(read_arrays(path, label))
        else:
            copies, exposed = self._seen(synthetic, label, exposure)
            calibration = self._calibrated(copies)
            arrays = neighbours(copies, exposed, calibration, self._context.devices)
            tests = tests_of(calibration.groups(arrays), self._levels, calibration.seed)
            arrays |= tests.flags
            if self._context.devices.is_main:
                write_arrays(path, label, arrays)
            self._context.devices.wait()
        for values in arrays.values():  # one mitigation writes into nothing that another reads
            values.flags.writeable = False
        return arrays

    def _paths(self, label: str) -> tuple[Path, Path, Path]:
        """Return where the numbers of a set, its self-test and the arrays are kept."""
        tested = "selftest-chosen" if label == CHOSEN else "selftest"
        judged = self._folder / "judged"
        return judged / f"{label}.json", judged / f"{tested}.json", self._folder / "arrays.h5"

    def _seen(
        self, synthetic: StoredImages, label: str, exposure: bool
    ) -> tuple[EmbeddedSets, EmbeddedSets | None]:
        """Return the sets in the eyes of the embedder of the copies, and of the exposure."""
        copies = self._sets(self._detector, synthetic, label)
        copies = replace(copies, identical=identical_images(self._training, synthetic))
        if not exposure:
            return copies, None
        return copies, self._sets(self.exposure_detector(synthetic, label), synthetic, label)

    def _features(
        self, copies: EmbeddedSets, synthetic: StoredImages, label: str
    ) -> tuple[EmbeddedSets | None, str]:
        """Return the sets as the quality metrics see them, and the name of what sees them so."""
        extractor, part = self._extractor, self._plan.extractor
        if not self._plan.quality or extractor is None or part is None:
            return None, ""
        same = extractor is self._detector
        return copies if same else self._sets(extractor, synthetic, label), part.name

    def _calibrated(self, real: EmbeddedSets, weights: Weights | None = None) -> Calibration:
        """Calibrate the detector, once for all checkpoints.

        Args:
            real: the real images as the detector sees them.
            weights: whose autoencoder plants copies too; None: none are planted.
        """
        if self._calibration is not None:
            return self._calibration
        context, plants = self._context, None
        if weights is not None and (count := self._plan.recipe.bench.plants):
            reconstruct = getattr(self._generator, "reconstruct", None)
            if reconstruct is not None:
                load_checkpoint(self._generator, weights.path)
                self._generator.to(context.devices.device).eval()
            name = f"{self._cell} planted copies"
            plants = Plants(context, self._training, count, reconstruct, name)
        patients = Patients.of(self._training, self._validation, context.seed("population"))
        made = calibrate(
            real,
            self._plan.similarity.make(),
            patients,
            plants,
            devices=context.devices,
            seed=context.root,
            kept=self._kept(),
        )
        if weights is not None:
            self._calibration = made
        return made

    def _kept(self) -> Path:
        """Return the file that the calibration by this detector is kept in."""
        place = self._detector.place.name if self._detector else "images"
        return self._folder / f"calibration-{place}.h5"

    def _sets(self, detector: Detector | None, synthetic: StoredImages, label: str) -> EmbeddedSets:
        real = real_rows(self._context, detector)
        name = f"{self._cell} {label}"
        if detector is None:
            training: Source = FlatImages(self._training)
        else:
            training = real["training"][self._training.indices]
        return EmbeddedSets(
            training=training,
            validation=real["validation"],
            synthetic=sources_of(detector, {"synthetic": synthetic}, name)["synthetic"],
            held_out=real.get("held_out") if self._strangers else None,
            detector=detector,
        )

    def exposure_detector(self, synthetic: StoredImages, label: str) -> Detector | None:
        """Return the embedder of the exposure side: trained on the synthetic images.

        It is the first one where that came trained, and None in image space.
        """
        first, part = self._detector, self._plan.embedder
        if first is None or first.given or part is None:
            return first
        place = self._folder / "exposure" / label
        name = f"{self._plan.recipe.bench.embedder} on synthetic {self._cell} {label}"
        return Detector(self._context, part, synthetic, place, name)
