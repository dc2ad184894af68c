"""Runs the frozen encoder of a phase once over the training set, into a file."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from itertools import chain
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from memtk.errors import UserError
from memtk.events import Event
from memtk.files import replacing
from memtk.interfaces import Images, Phase, Trainable
from memtk.noise import Noise, derive
from memtk.training.devices import Devices
from memtk.training.rows import Augment
from memtk.training.seeding import seeded
from memtk.training.watching import Stage


def encode(
    model: Trainable,
    phase: Phase,
    encoder: Callable[[Tensor], Tensor],
    images: Images,
    *,
    seed: int,
    path: Path,
    devices: Devices,
    augment: Augment | None,
    stage: Stage,
) -> None:
    """Write what a phase's `encoder` makes of each image to a .npy file, (N * variants, ...).

    Without `augment` there is one row an image; with it, `phase.settings.variants` of them, row
    i * variants + v augmented by stream i * variants + v. In eval mode, without gradient, in
    float32. The processes share the work; rank 0 writes.
    """
    variants = phase.settings.variants if augment else 1
    count = len(images) * variants
    streams = derive(seed, phase.name, "augment")

    def read(rows: Sequence[int]) -> Tensor:
        return images.read([row // variants for row in rows])

    def work(rows: Sequence[int], read_rows: Tensor) -> Tensor:
        x = read_rows.to(devices.device)
        with torch.no_grad(), seeded(derive(seed, phase.name, "encode", rows[0]), x.device):
            if augment is not None:
                x = augment(x, Noise(streams, rows, x.device))
            z = encoder(x)
        if len(z) != len(rows):
            raise UserError(
                f"{type(model).__name__}: encode of phase {phase.name!r} made {len(z)} rows of "
                f"{len(rows)} images; it must keep the batch axis"
            )
        return z.float() if z.is_floating_point() else z

    def watched() -> Iterable[Tensor]:
        done, settings = 0, phase.settings
        for block in devices.blocks(count, settings.batch_size, work, read, settings.prefetch):
            done += len(block)
            stage.tell(Event("step", stage.name, done, count))
            yield block.cpu()

    training = model.training
    model.eval()
    stage.tell(Event("start", stage.name, 0, count))
    if devices.is_main:
        write_table(path, watched(), count)
    else:
        for _ in watched():
            pass
    stage.tell(Event("end", stage.name, count, count))
    model.train(training)
    devices.wait()


def write_table(path: Path, blocks: Iterable[Tensor], count: int) -> None:
    """Write `blocks` of rows, `count` in all, to a .npy file, one after the other."""
    remaining = iter(blocks)
    first = next(remaining).numpy()
    with replacing(path) as temporary, open(temporary, "wb") as file:
        shape = (count, *first.shape[1:])
        header = {"descr": np.lib.format.dtype_to_descr(first.dtype), "fortran_order": False}
        np.lib.format.write_array_header_1_0(file, {**header, "shape": shape})
        for block in chain([first], (b.numpy() for b in remaining)):
            file.write(np.ascontiguousarray(block).data)


def open_table(path: Path) -> np.ndarray:
    """Open what `write_table` wrote, without reading it into memory.

    Raises:
        UserError: if the file is damaged.
    """
    try:
        return np.load(path, mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        raise UserError(
            f"{path} is damaged ({error}): delete it and run the same command again"
        ) from error
