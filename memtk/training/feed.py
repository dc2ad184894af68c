"""Feeds a phase: encodes if it must, begins it, and makes its batches."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import closing

import torch
from torch import Tensor

from memtk.interfaces import Phase
from memtk.noise import derive
from memtk.training.ahead import read_ahead
from memtk.training.encode import encode, open_table
from memtk.training.order import Order, Part, parts, whole
from memtk.training.rows import EncodedRows, ImageRows, Rows
from memtk.training.run import Run
from memtk.training.seeding import seeded
from memtk.training.stand_ins import stand_ins
from memtk.training.state import length
from memtk.training.units import Listed


def open_rows(run: Run, phase: Phase, begun: bool) -> Rows:
    """Return what the phase trains on, encoded now unless an earlier call did so."""
    kind = Listed if run.private else Order
    order = kind(run.seed, phase.name, len(run.images))
    used = length(phase) > 0 or (phase.begin is not None and not begun)
    if phase.encode is None or not used:
        return ImageRows(run.images, order, run.augment)
    path = run.folder / f"encoded-{phase.name}.npy"
    present = run.devices.collect(path.exists())
    if not begun or not all(present):
        encode(
            run.model,
            phase,
            phase.encode,
            run.images,
            seed=run.seed,
            path=path,
            devices=run.devices,
            augment=run.augment,
            stage=run.stage(phase, "encoding"),
        )
    variants = phase.settings.variants if run.augment else 1
    return EncodedRows(path, open_table(path), order, variants)


def begin(run: Run, phase: Phase, rows: Rows) -> None:
    """Show the phase what it trains on, the whole training set once; of a private one, phantoms."""
    if phase.begin is None:
        return
    run.model.eval()
    device = run.devices.device
    size = phase.settings.batch_size
    shown = (x.to(device) for x in rows.batches(size))
    if run.private:
        shown = (x for x in stand_ins(phase, run.images.spec, device, size))
    with torch.no_grad(), seeded(derive(run.seed, phase.name, "begin"), device):
        phase.begin(shown)


def batches(
    run: Run, phase: Phase, rows: Rows, steps: range
) -> Generator[tuple[int, list[tuple[Part, Tensor]]]]:
    """Yield each step's number and this process's micro-batches, on the device."""
    settings, devices = phase.settings, run.devices

    def read(step: int) -> list[tuple[Part, Tensor]]:
        size, rank, world = settings.batch_size, devices.rank, devices.world
        split = parts(step, size, settings.accumulate, rank, world)
        mine = whole(step, size, world, len(run.images)) if phase.whole_batch else split
        if run.private:
            mine = run.private.parts(phase.name, step)
        if not mine:
            return []
        x = rows.read([k for part in mine for k in part.samples])
        return list(zip(mine, x.split([len(part.samples) for part in mine]), strict=True))

    with closing(read_ahead(read, steps, settings.prefetch)) as ahead:
        for step, batch in zip(steps, ahead, strict=True):
            moved = [(part, x.to(devices.device)) for part, x in batch]
            yield step, [(part, rows.finish(x, part.samples)) for part, x in moved]
