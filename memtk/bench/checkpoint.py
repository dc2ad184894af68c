"""Judges one checkpoint: samples it, embeds the samples, and says what was memorized."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

from memtk.bench.context import Context
from memtk.bench.embedding import Detector, Rows
from memtk.bench.plan import Plan
from memtk.bench.protocols import protocols_of
from memtk.data.images import StoredImages, open_images, write_images
from memtk.errors import UserError
from memtk.events import Event
from memtk.interfaces import Generator, Mitigation
from memtk.memorization import Embeddings, judge
from memtk.results import (
    Checkpoint,
    has_arrays,
    read_checkpoint,
    write_arrays,
    write_checkpoint,
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
        generator: the model, of any weights.
        training: the training images that it saw (N).
        count: synthetic images to draw (M).
        detector: the embedder that saw the training images alone; None in image space.
        mitigations: those that hold synthetic images back are asked for each set.
    """

    def __init__(
        self,
        context: Context,
        plan: Plan,
        cell: str,
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
        self._folder = context.folder / "cells" / cell

    def __call__(self, trained: Trained, *, exposure: bool) -> Checkpoint:
        """Return the numbers of one checkpoint; a finished one is read, not computed again."""
        label = f"step-{trained.step:06d}"
        done = self._folder / "judged" / f"{label}.json"
        if done.exists() and has_arrays(self._folder / "arrays.h5", label):
            self._context.watch(Event("skip", f"judging {self._cell} {label}"))
            return read_checkpoint(done)
        synthetic = self._sample(trained, label)
        copies = self._embed(self._detector, synthetic, label)
        exposed = self._exposure(synthetic, label) if exposure else None
        bench = self._plan.recipe.bench
        devices = self._context.devices
        with self._context.clock(f"judging {self._cell} {label}"):
            judgement = judge(
                copies,
                exposed,
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
            quality = {
                f"{part.name}.{name}" if name != part.name else name: float(value)
                for part in self._plan.quality
                for name, value in part.make()(self._validation, synthetic).items()
                if math.isfinite(value)
            }
        checkpoint = Checkpoint(
            step=trained.step,
            n_synthetic=len(synthetic),
            protocols=protocols_of(judgement, bench.alpha, bench.fdr),
            quality=quality,
        )
        if devices.is_main:
            write_arrays(self._folder / "arrays.h5", label, judgement.arrays)
            write_checkpoint(done, checkpoint)
        devices.wait()
        return checkpoint

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

    def _embed(self, detector: Detector | None, synthetic: StoredImages, label: str) -> Embeddings:
        if detector is None:
            return Embeddings(Rows(self._training), Rows(self._validation), Rows(synthetic))
        everyone = self._context.dataset.split("training")
        real = detector.embed({"training": everyone, "validation": self._validation}, "real images")
        new = detector.embed({"synthetic": synthetic}, f"{self._cell} {label}")
        seen = real["training"][self._training.indices]
        return Embeddings(seen, real["validation"], new["synthetic"])

    def _exposure(self, synthetic: StoredImages, label: str) -> Embeddings:
        detector = None
        if self._detector is not None:
            folder: Path = self._folder / "exposure" / label
            name = f"{self._plan.recipe.bench.embedder} on synthetic {self._cell} {label}"
            part = self._plan.embedder
            assert part is not None
            detector = Detector(self._context, part, synthetic, folder, name)
        return self._embed(detector, synthetic, label)
