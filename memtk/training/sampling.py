"""Draws synthetic images from a generator into a file."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import torch
from torch import Tensor

from memtk.data.images import StoredImages, open_images, write_images
from memtk.errors import PluginError, UserError
from memtk.events import Event, Watch, ignore
from memtk.interfaces import Generator
from memtk.noise import Noise, derive
from memtk.training.devices import Devices
from memtk.training.seeding import seeded
from memtk.training.watching import Stage


def sample(
    generator: Generator,
    count: int,
    *,
    seed: int,
    path: Path,
    batch_size: int,
    devices: Devices,
    name: str = "generator",
    watch: Watch = ignore,
    precision: str = "float32",
) -> StoredImages:
    """Write `count` synthetic images to `path` and open them.

    Image i comes from `Noise(derive(seed, "sample"), [i])`: the same image whatever the batch
    size and the number of processes, which share the work. Called in every process.

    Args:
        path: an HDF5 file, written whole or not at all.
        batch_size: images at a time in each process.
        name: for events and messages; say which checkpoint it is.
        precision: "float32", "bfloat16" or "auto".

    Raises:
        UserError: if an image is not finite, naming `name` and the image, or the file cannot be
            written.
        PluginError: if the generator gives images of another shape.
    """
    stage = Stage(f"sampling {name}", watch, devices.is_main)
    dtype, streams = devices.precision(precision), derive(seed, "sample")
    shape = (generator.spec.channels, *generator.spec.shape)
    training = generator.training
    generator.to(devices.device).eval()

    def work(rows: Sequence[int]) -> Tensor:
        noise = Noise(streams, rows, devices.device)
        with (
            torch.no_grad(),
            seeded(derive(streams, rows[0]), devices.device),
            devices.autocast(dtype),
        ):
            x = generator.sample(noise).float()
        if tuple(x.shape) != (len(rows), *shape):
            raise PluginError(
                f"{name}: sample gave {tuple(x.shape)}, expected {(len(rows), *shape)}"
            )
        return x

    def batches() -> Iterator[Tensor]:
        done = 0
        for block in devices.blocks(count, batch_size, work):
            _check_finite(block, done, name)
            done += len(block)
            stage.tell(Event("step", stage.name, done, count))
            yield block.clamp(-1, 1).cpu()  # (B, C, *S)

    stage.tell(Event("start", stage.name, 0, count))
    if devices.is_main:
        write_images(path, batches(), count, generator.spec)
    else:
        for _ in batches():
            pass
    devices.wait()
    generator.train(training)
    stage.tell(Event("end", stage.name, count, count))
    return open_images(path)


def _check_finite(block: Tensor, start: int, name: str) -> None:
    finite = block.flatten(1).isfinite().all(1)
    if not bool(finite.all()):
        row = start + int((~finite).nonzero()[0])
        raise UserError(
            f"{name}: synthetic image {row} is not finite (NaN or infinite values).\n"
            "The training has diverged: try a lower learning rate or precision=float32."
        )
