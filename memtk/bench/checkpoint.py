"""Judges one checkpoint: samples it, embeds the samples, and says what was memorized."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

from memtk.bench.context import Context
from memtk.bench.embedding import Detector, sources_of
from memtk.bench.evidence import Patients, View, protocols_of, selftest_of
from memtk.bench.plan import Part, Plan
from memtk.bench.planting import Planting
from memtk.data.images import StoredImages, open_images, write_images
from memtk.errors import UserError
from memtk.events import Event
from memtk.interfaces import Generator, Images, Mitigation
from memtk.memorization import judge
from memtk.results import (
    Checkpoint,
    SelfTest,
    has_arrays,
    read_checkpoint,
    read_record,
    write_arrays,
    write_checkpoint,
    write_record,
)
from memtk.training.checkpoints import load_checkpoint
from memtk.training.loop import Checkpoint as Trained
from memtk.training.sampling import sample


class Judge:
    """Judges the checkpoints of one generator.

    Args:
        context: the run.
        plan: what is run.
        cell: the name of the cell.
        part: the generator.
        generator: the model, of any weights.
        training: the training images that it saw (N).
        count: synthetic images to draw (M).
        detector: the embedder that saw the training images alone; None in image space.
        mitigations: those that hold synthetic images back are asked for each set.

    Attributes:
        selftest: how well copies are found, once the last checkpoint is judged.
    """

    def __init__(
        self,
        context: Context,
        plan: Plan,
        cell: str,
        part: Part,
        generator: Generator,
        training: StoredImages,
        count: int,
        detector: Detector | None,
        mitigations: Sequence[Mitigation] = (),
    ) -> None:
        self._context, self._plan = context, plan
        self._cell, self._generator = cell, generator
        self._training, self._count, self._detector = training, count, detector
        self._mitigations = mitigations
        self._validation = context.dataset.split("validation")
        held_out = context.dataset.split("held_out")
        # Of a control that gives back held-out images they are no strangers.
        spare = len(held_out) and part.cls.learns_from == "training"
        self._held_out = held_out if spare else None
        self._folder = context.folder / "cells" / cell
        self._planting: Planting | None = None
        self.selftest: SelfTest | None = None

    def __call__(self, trained: Trained, *, exposure: bool, last: bool) -> Checkpoint:
        """Return the numbers of one checkpoint; a finished one is read, not computed again."""
        label = f"step-{trained.step:06d}"
        done = self._folder / "judged" / f"{label}.json"
        tested = self._folder / "judged" / "selftest.json"
        if done.exists() and has_arrays(self._folder / "arrays.h5", label):
            self._context.watch(Event("skip", f"judging {self._cell} {label}"))
            if last and tested.exists():
                self.selftest = read_record(tested, SelfTest)
            return read_checkpoint(done)
        synthetic = self._sample(trained, label)
        copies = self._view(self._detector, synthetic, label)
        exposed = self._exposure(synthetic, label) if exposure else None
        planting = self._plant(trained, copies)
        bench, devices = self._plan.recipe.bench, self._context.devices
        patients = Patients(self._training.patients, self._validation.patients)
        similarity = self._plan.similarity.make()
        with self._context.clock(f"judging {self._cell} {label}"):
            judgement = judge(
                copies.embeddings,
                exposed.embeddings if exposed else None,
                validation_patients=patients.validation,
                training_patients=patients.training,
                similarity=similarity,
                alpha=bench.alpha,
                fdr=bench.fdr,
                device=str(devices.device),
                rank=devices.rank,
                world=devices.world,
                gather=devices.collect,
            )
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
                    similarity,
                    alpha=bench.alpha,
                )
            quality = {
                f"{part.name}.{name}" if name != part.name else name: float(value)
                for part in self._plan.quality
                for name, value in part.make()(self._validation, synthetic).items()
                if math.isfinite(value)
            }
        checkpoint = Checkpoint(
            step=trained.step,
            n_synthetic=len(synthetic),
            protocols=protocols,
            quality=quality,
        )
        if devices.is_main:
            if self.selftest:
                write_record(tested, self.selftest)
            write_arrays(self._folder / "arrays.h5", label, judgement.arrays)
            write_checkpoint(done, checkpoint)
        devices.wait()
        return checkpoint

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

    def _sample(self, trained: Trained, label: str) -> StoredImages:
        path = self._folder / "synthetic" / f"{label}.h5"
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
                seed=self._context.seed("sample", self._cell),
                path=self._folder / "drawn" / f"{label}.h5" if filters else path,
                batch_size=self._context.batch_size,
                devices=self._context.devices,
                name=f"{self._cell} {label}",
                watch=self._context.watch,
            )
            return self._released(drawn, filters, path) if filters else drawn

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
        everyone = self._training if detector is None else self._context.dataset.split("training")
        sets: dict[str, Images] = {"training": everyone, "validation": self._validation}
        if self._held_out is not None:
            sets["held_out"] = self._held_out
        real = sources_of(detector, sets, "real images")
        new = sources_of(detector, {"synthetic": synthetic}, f"{self._cell} {label}")
        training = real["training"]
        return View(
            detector=detector,
            training=training if detector is None else training[self._training.indices],
            validation=real["validation"],
            synthetic=new["synthetic"],
            held_out=real.get("held_out"),
        )

    def _exposure(self, synthetic: StoredImages, label: str) -> View:
        detector = None
        if self._detector is not None:
            folder: Path = self._folder / "exposure" / label
            name = f"{self._plan.recipe.bench.embedder} on synthetic {self._cell} {label}"
            part = self._plan.embedder
            assert part is not None
            detector = Detector(self._context, part, synthetic, folder, name)
        return self._view(detector, synthetic, label)
