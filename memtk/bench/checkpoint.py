"""Judges one checkpoint: samples it, embeds the samples, and says what was memorized."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from memtk.bench.context import Context
from memtk.bench.embedding import Detector, Rows, on_synthetic, sources_of
from memtk.bench.evidence import Patients, View, protocols_of, selftest_of
from memtk.bench.eyes import real_rows
from memtk.bench.plan import Plan
from memtk.bench.planting import Planting
from memtk.bench.quality import measure_quality
from memtk.components import ConfiguredComponent
from memtk.data.images import StoredImages, open_images, write_images
from memtk.errors import UserError
from memtk.events import Event
from memtk.interfaces import Generator, Mitigation
from memtk.memorization import Judgement, Source, judge
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


class Judge:
    """Judges the checkpoints of one generator.

    Args:
        context: the run.
        plan: what is run.
        cell: the name of the cell, or of the training and samples that several share.
        part: the generator.
        generator: the model, of any weights.
        training: the training images that it saw (N).
        count: synthetic images to draw (M).
        detector: the embedder that saw the training images alone; None in image space.
        mitigations: those that hold synthetic images back are asked for each set.
        extractor: whose features the quality metrics compare; None where none does.
        folder: of what is sampled and found; None: the cell's.

    Attributes:
        folder: of what is sampled and found.
        selftest: how well copies are found, once the last checkpoint is judged.
    """

    def __init__(
        self,
        context: Context,
        plan: Plan,
        cell: str,
        part: ConfiguredComponent,
        generator: Generator,
        training: StoredImages,
        count: int,
        detector: Detector | None,
        mitigations: Sequence[Mitigation] = (),
        extractor: Detector | None = None,
        folder: Path | None = None,
    ) -> None:
        self._context, self._plan = context, plan
        self._cell, self._generator = cell, generator
        self._training, self._count, self._detector = training, count, detector
        self._mitigations, self._extractor = mitigations, extractor
        self._validation = context.dataset.split("validation")
        held_out = context.dataset.split("held_out")
        # Of a control that gives back held-out images they are no strangers.
        spare = len(held_out) and part.cls.learns_from == "training"
        self._held_out = held_out if spare else None
        self.folder = folder or context.folder / "cells" / cell
        self._planting: Planting | None = None
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
        arrays = self._judgement(*self._views(synthetic, label, exposure), label).arrays
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

    def _views(
        self, synthetic: StoredImages, label: str, exposure: bool
    ) -> tuple[View, View | None]:
        copies = self._view(self._detector, synthetic, label)
        return copies, self._exposure(synthetic, label) if exposure else None

    def _judgement(self, copies: View, exposed: View | None, label: str) -> Judgement:
        bench, devices = self._plan.recipe.bench, self._context.devices
        with self._context.clock(f"judging {self._cell} {label}"):
            return judge(
                copies.embeddings,
                exposed.embeddings if exposed else None,
                validation_patients=self._validation.patients,
                training_patients=self._training.patients,
                similarity=self._plan.similarity.make(),
                alpha=bench.alpha,
                fdr=bench.fdr,
                device=str(devices.device),
                rank=devices.rank,
                world=devices.world,
                gather=devices.collect,
            )

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
        copies, exposed = self._views(synthetic, label, exposure)
        planting = self._plant(trained, copies)
        bench, devices = self._plan.recipe.bench, self._context.devices
        patients = Patients(self._training.patients, self._validation.patients)
        judgement = self._judgement(copies, exposed, label)
        with self._context.clock(f"judging {self._cell} {label}"):
            protocols = protocols_of(
                judgement,
                bench.alpha,
                bench.fdr,
                patients,
                planting.sensed() if planting else None,
                seed=self._context.seed("intervals", self._cell, label),
            )
            if last and planting:
                load_checkpoint(self._generator, trained.path)
                self.selftest = selftest_of(
                    self._context,
                    judgement.arrays,
                    planting,
                    patients,
                    copies,
                    exposed,
                    self._plan.similarity.make(),
                    alpha=bench.alpha,
                )
        quality, measured = self._quality(copies, synthetic, label)
        checkpoint = Checkpoint(
            step=trained.step,
            n_synthetic=len(synthetic),
            protocols=protocols,
            quality=quality,
            measured=measured,
            anew=label == "chosen",
        )
        done, tested = self._paths(label)
        if devices.is_main:
            if self.selftest:
                write_record(tested, self.selftest)
            write_arrays(self.folder / "arrays.h5", label, judgement.arrays)
            write_checkpoint(done, checkpoint)
        devices.wait()
        return checkpoint

    def _quality(
        self, copies: View, synthetic: StoredImages, label: str
    ) -> tuple[dict[str, float], dict[str, Measured]]:
        """Measure quality and diversity; of features, with those that are there where they are."""
        if not self._plan.quality:
            return {}, {}
        extractor, view, name = self._extractor, None, ""
        if extractor is not None and self._plan.extractor is not None:
            name = self._plan.extractor.name
            view = copies
            if extractor is not self._detector:
                view = self._view(extractor, synthetic, label)
        with self._context.clock(f"judging {self._cell} {label}"):
            return measure_quality(self._plan.quality, view, self._validation, synthetic, name)

    def _plant(self, trained: Trained, copies: View) -> Planting | None:
        """Plant copies of the training images, once for all checkpoints."""
        count = self._plan.recipe.bench.plants
        if self._planting is None and count:
            reconstruct = getattr(self._generator, "reconstruct", None)
            if reconstruct is not None:
                load_checkpoint(self._generator, trained.path)
                self._generator.to(self._context.devices.device).eval()
            with self._context.clock(f"judging {self._cell} planted copies"):
                self._planting = Planting(
                    self._context,
                    self._plan.similarity.make(),
                    self._training,
                    count=count,
                    detector=self._detector,
                    nearest_in=copies.training,
                    reconstruct=reconstruct,
                    name=f"{self._cell} planted copies",
                )
        return self._planting

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
        filters = [m for m in self._mitigations if type(m).release is not Mitigation.release]
        with self._context.clock(stage):
            drawn = sample(
                self._generator,
                self._count,
                seed=self._context.seed(stream, self._cell),
                batch_size=self._context.batch_size,
                devices=self._context.devices,
                name=f"{self._cell} {label}",
                watch=self._context.watch,
            )
            place = self.folder / "drawn" / f"{label}.h5" if filters else path
            spec = self._generator.spec
            self._context.devices.write(
                drawn, lambda batches: write_images(place, batches, self._count, spec)
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

    def _view(self, detector: Detector | None, synthetic: StoredImages, label: str) -> View:
        real = real_rows(self._context, detector)
        name = f"{self._cell} {label}"
        if detector is None:
            training: Source = Rows(self._training)
        else:
            training = real["training"][self._training.indices]
        return View(
            detector=detector,
            training=training,
            validation=real["validation"],
            synthetic=sources_of(detector, {"synthetic": synthetic}, name)["synthetic"],
            held_out=real.get("held_out") if self._held_out is not None else None,
        )

    def _exposure(self, synthetic: StoredImages, label: str) -> View:
        detector = on_synthetic(
            self._context, self._plan, self._detector, synthetic, self.folder, self._cell, label
        )
        return self._view(detector, synthetic, label)
