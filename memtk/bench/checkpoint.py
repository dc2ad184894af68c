"""Evaluates one checkpoint: samples it, embeds the samples, and says what was memorized."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from memtk.bench.experiment import Experiment
from memtk.data.images import FlatImages, StoredImages, open_images, write_images
from memtk.errors import UserError
from memtk.evaluation.calibration import Calibration, Levels, Patients, calibrate
from memtk.evaluation.detector import (
    Detector,
    EmbeddedSets,
    on_synthetic,
    real_rows,
    sources_of,
)
from memtk.evaluation.evaluate import evaluate, neighbours, tests_of
from memtk.evaluation.planted import Plants
from memtk.evaluation.quality import measure_quality
from memtk.evaluation.selftest import self_test
from memtk.events import Event
from memtk.interfaces import Mitigation
from memtk.memorization import Source
from memtk.results import (
    Checkpoint,
    Measured,
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
from memtk.training.loop import Checkpoint as Trained


class CheckpointEvaluator:
    """Samples and evaluates the checkpoints of one experiment.

    Args:
        experiment: the generator and its training images.
        detector: the embedder that saw the training images alone; None in image space.
        extractor: whose features the quality metrics compare; None where none does.

    Attributes:
        folder: of what is sampled and found.
        selftest: how well copies are found, once the last checkpoint is evaluated.
    """

    def __init__(
        self, experiment: Experiment, detector: Detector | None, extractor: Detector | None = None
    ) -> None:
        self._experiment, self._detector, self._extractor = experiment, detector, extractor
        self._context, self._plan = experiment.context, experiment.plan
        self._cell, self._training = experiment.name, experiment.training
        self._generator, self.folder = experiment.generator, experiment.folder
        self._validation = self._context.dataset.split("validation")
        held_out = self._context.dataset.split("held_out")
        # Of a control that gives back held-out images they are no strangers.
        self._strangers = len(held_out) > 0 and self._generator.learns_from == "training"
        bench = self._plan.recipe.bench
        self._levels = Levels(bench.alpha, bench.fdr)
        self._calibration: Calibration | None = None
        self.selftest: SelfTest | None = None

    def __call__(self, trained: Trained, *, exposure: bool, last: bool) -> Checkpoint:
        """Return the numbers of one checkpoint; a finished one is read, not computed again."""
        label = f"step-{trained.step:06d}"
        return self._known(label, last) or self.judge(
            self.sample(trained, label), trained, label, exposure=exposure, last=last
        )

    def anew(self, synthetic: StoredImages, trained: Trained, *, exposure: bool) -> Checkpoint:
        """Return the numbers of what mitigations have left of a checkpoint, as the last ones."""
        return self._known("chosen", last=True) or self.judge(
            synthetic, trained, "chosen", exposure=exposure, last=True
        )

    def found(
        self, synthetic: StoredImages, label: str, *, exposure: bool
    ) -> Mapping[str, np.ndarray]:
        """Return what the detector finds in a set: the arrays of a judgement.

        Of a set that has been judged already they are read, with the exposure as it was then.
        """
        path = self.folder / "arrays.h5"
        if has_arrays(path, label):
            return read_arrays(path, label)
        copies, exposed = self._seen(synthetic, label, exposure)
        calibration = self._calibrated(copies)
        with self._context.clock(f"judging {self._cell} {label}"):
            arrays = neighbours(copies, exposed, calibration, self._context.devices)
            arrays |= tests_of(arrays, calibration, self._levels).flags
        if self._context.devices.is_main:
            write_arrays(path, label, arrays)
        self._context.devices.wait()
        return arrays

    def _known(self, label: str, last: bool) -> Checkpoint | None:
        """Return what an earlier call has finished."""
        done, tested = self._paths(label)
        if not done.exists() or not has_arrays(self.folder / "arrays.h5", label):
            return None
        self._context.watch(Event("skip", f"judging {self._cell} {label}"))
        if last and tested.exists():
            self.selftest = read_record(tested, SelfTest)
        return read_checkpoint(done)

    def _paths(self, label: str) -> tuple[Path, Path]:
        """Return where the numbers of a checkpoint are kept, and its self-test."""
        tested = "selftest-chosen" if label == "chosen" else "selftest"
        folder = self.folder / "judged"
        return folder / f"{label}.json", folder / f"{tested}.json"

    def _seen(
        self, synthetic: StoredImages, label: str, exposure: bool
    ) -> tuple[EmbeddedSets, EmbeddedSets | None]:
        """Return the sets in the eyes of the embedder of the copies, and of the exposure."""
        copies = self._sets(self._detector, synthetic, label)
        return copies, self._exposure(synthetic, label) if exposure else None

    def judge(
        self,
        synthetic: StoredImages,
        trained: Trained,
        label: str,
        *,
        exposure: bool,
        last: bool,
    ) -> Checkpoint:
        """Say what is in a set of synthetic images, and keep it.

        Args:
            trained: the checkpoint that they are of.
            label: of the set.
            exposure: test the training images too.
            last: measure how well copies are found.
        """
        copies, exposed = self._seen(synthetic, label, exposure)
        calibration = self._calibrated(copies, trained)
        devices = self._context.devices
        with self._context.clock(f"judging {self._cell} {label}"):
            found = evaluate(
                copies,
                exposed,
                calibration,
                self._levels,
                devices=devices,
                seed=self._context.seed("intervals", self._cell, label),
            )
            if last:
                load_checkpoint(self._generator, trained.path)  # planted copies are made when read
                self.selftest = self_test(
                    calibration, self._levels, copies, exposed, found.arrays, devices=devices
                )
        quality, measured = self._quality(copies, synthetic, label)
        checkpoint = Checkpoint(
            step=trained.step,
            n_synthetic=len(synthetic),
            protocols=found.protocols,
            quality=quality,
            measured=measured,
            anew=label == "chosen",
        )
        done, tested = self._paths(label)
        if devices.is_main:
            if self.selftest:
                write_record(tested, self.selftest)
            write_arrays(self.folder / "arrays.h5", label, found.arrays)
            write_checkpoint(done, checkpoint)
        devices.wait()
        return checkpoint

    def _quality(
        self, copies: EmbeddedSets, synthetic: StoredImages, label: str
    ) -> tuple[dict[str, float], dict[str, Measured]]:
        """Measure quality and diversity; of features, with those that are there where they are."""
        if not self._plan.quality:
            return {}, {}
        extractor, seen, name = self._extractor, None, ""
        if extractor is not None and self._plan.extractor is not None:
            name = self._plan.extractor.name
            seen = copies
            if extractor is not self._detector:
                seen = self._sets(extractor, synthetic, label)
        with self._context.clock(f"judging {self._cell} {label}"):
            return measure_quality(self._plan.quality, seen, self._validation, synthetic, name)

    def _calibrated(self, real: EmbeddedSets, trained: Trained | None = None) -> Calibration:
        """Calibrate the detector, once for all checkpoints.

        Args:
            real: the real images as the detector sees them.
            trained: whose autoencoder plants copies too; None: none are planted.
        """
        if self._calibration is not None:
            return self._calibration
        context, plants = self._context, None
        if trained is not None and (count := self._plan.recipe.bench.plants):
            reconstruct = getattr(self._generator, "reconstruct", None)
            if reconstruct is not None:
                load_checkpoint(self._generator, trained.path)
                self._generator.to(context.devices.device).eval()
            name = f"{self._cell} planted copies"
            plants = Plants(context, self._training, count, reconstruct, name)
        with context.clock(f"judging {self._cell} planted copies"):
            made = calibrate(
                real,
                self._plan.similarity.make(),
                Patients(self._training.patients, self._validation.patients),
                plants,
                devices=context.devices,
                seed=context.root,
                kept=self._kept(),
            )
        if trained is not None:
            self._calibration = made
        return made

    def _kept(self) -> Path:
        """Return the file that the calibration by this detector is kept in."""
        place = self._detector.place.name if self._detector else "images"
        return self.folder / f"calibration-{place}.h5"

    def sample(self, trained: Trained, label: str, stream: str = "sample") -> StoredImages:
        """Return the synthetic images of a checkpoint that the mitigations let out.

        Args:
            stream: names the randomness; the images of another are others.
        """
        path = self.folder / "synthetic" / f"{label}.h5"
        stage = f"sampling {self._cell} {label}"
        if path.exists():
            self._context.watch(Event("skip", stage))
            return open_images(path)
        load_checkpoint(self._generator, trained.path)
        filters = [
            m for m in self._experiment.mitigations if type(m).release is not Mitigation.release
        ]
        with self._context.clock(stage):
            drawn = sample(
                self._generator,
                self._experiment.count,
                seed=self._context.seed(stream, self._cell),
                batch_size=self._context.batch_size,
                devices=self._context.devices,
                name=f"{self._cell} {label}",
                watch=self._context.watch,
            )
            place = self.folder / "drawn" / f"{label}.h5" if filters else path
            spec = self._generator.spec
            self._context.devices.write(
                drawn, lambda batches: write_images(place, batches, self._experiment.count, spec)
            )
            made = open_images(place)
            return self._released(made, filters, path) if filters else made

    def _released(
        self, drawn: StoredImages, filters: Sequence[Mitigation], path: Path
    ) -> StoredImages:
        """Keep what every mitigation lets out; only that is judged and shown."""
        kept = drawn
        for mitigation in filters:
            kept = kept.subset(mitigation.release(kept).tolist())
        if not len(kept):
            raise UserError(f"{self._cell}: its mitigations release none of {len(drawn)} images")
        if self._context.devices.is_main:
            rows = (kept.read([row]) for row in range(len(kept)))
            write_images(path, rows, len(kept), kept.spec)
        self._context.devices.wait()
        return open_images(path)

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

    def _exposure(self, synthetic: StoredImages, label: str) -> EmbeddedSets:
        detector = on_synthetic(
            self._detector,
            self._context,
            self._plan.embedder,
            synthetic,
            self.folder / "exposure" / label,
            f"{self._plan.recipe.bench.embedder} on synthetic {self._cell} {label}",
        )
        return self._sets(detector, synthetic, label)
