"""Runs a trained model over many rows, batch by batch: sampling, embedding, membership scores."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from memtk.errors import PluginError, UserError
from memtk.events import StageEvents, Watch, ignore
from memtk.interfaces import Embedder, Generator, Images
from memtk.interfaces.measures import Work
from memtk.noise import Noise, derive, seeded
from memtk.prefetch import DEPTH, prefetch
from memtk.training.devices import Devices


def map_rows(
    devices: Devices,
    count: int,
    size: int,
    work: Callable[..., Tensor],
    read: Callable[[Sequence[int]], Tensor] | None = None,
    depth: int = DEPTH,
) -> Iterator[Tensor]:
    """Yield `work` on rows 0, ..., count - 1 in order, the rows of a block over all processes.

    Args:
        devices: whose processes share the work; called in all of them.
        size: the most rows that one process works on at a time, B.
        work: row numbers -> (B, ...), one row for each.
        read: row numbers -> what `work` takes as its second argument, read in a thread.
        depth: blocks that are read ahead.
    """
    starts = range(0, count, size * devices.world)

    def mine(start: int) -> list[int]:
        rows = min(size * devices.world, count - start)
        each = -(-rows // devices.world)  # equal shapes for the gather: the last rows repeat
        first = start + devices.rank * each
        return [min(i, start + rows - 1) for i in range(first, first + each)]

    def arguments(start: int) -> list[Any]:
        rows = mine(start)
        return [rows, read(rows)] if read else [rows]

    with closing(prefetch(arguments, starts, depth if read else 0)) as coming:
        for start, found in zip(starts, coming, strict=True):
            yield devices.gather(work(*found))[: min(size * devices.world, count - start)]


@contextmanager
def eval_mode(model: nn.Module, devices: Devices) -> Iterator[None]:
    """Give the device a model that is in eval mode inside a block, in its own mode afterwards."""
    training = model.training
    model.to(devices.device).eval()
    try:
        yield
    finally:
        model.train(training)


def sample(
    generator: Any,
    count: int | Tensor,
    *,
    seed: int,
    batch_size: int,
    devices: Devices,
    name: str = "generator",
    watch: Watch = ignore,
) -> Iterator[Tensor]:
    """Yield `count` synthetic images batch by batch, (B, C, *S) in [-1, 1] on the CPU.

    Image i comes from `Noise(derive(seed, "sample"), [i])`: the same image whatever the batch
    size and the number of processes, which share the work. In float32. Called in every process;
    `Devices.write` writes what it yields.

    Args:
        count: how many; or what a conditional generator is told of each of them, (count, K).
        batch_size: images at a time in each process.
        name: for events and messages; say which checkpoint it is.

    Raises:
        UserError: if an image is not finite, naming `name` and the image.
        PluginError: if the generator gives images of another shape.
    """
    stage, streams = StageEvents(f"sampling {name}", watch, devices.is_main), derive(seed, "sample")
    shape = (generator.spec.channels, *generator.spec.shape)
    conditions, count = (None, count) if isinstance(count, int) else (count, len(count))

    def work(rows: Sequence[int]) -> Tensor:
        noise = Noise(streams, rows, devices.device)
        with torch.no_grad(), seeded(derive(streams, rows[0]), devices.device):
            told = {}
            if conditions is not None:
                told["condition"] = conditions[list(rows)].to(noise.device)  # (B, K)
            x = generator.sample(noise, **told)
        return _checked(x, (len(rows), *shape), f"{name}: sample").float()

    def checked() -> Iterator[Tensor]:
        done = 0
        for block in map_rows(devices, count, batch_size, work):
            finite = block.flatten(1).isfinite().all(1)
            if not bool(finite.all()):
                raise UserError(
                    f"{name}: synthetic image {done + int((~finite).nonzero()[0])} is not finite "
                    "(NaN or infinite values).\n"
                    "The training has diverged: try a lower learning rate or precision=float32."
                )
            done += len(block)
            yield block.clamp(-1, 1).cpu()  # (B, C, *S)

    with eval_mode(generator, devices):
        yield from stage.track(checked(), count)


def embed(
    embedder: Embedder,
    images: Images,
    *,
    batch_size: int,
    devices: Devices,
    name: str = "embedder",
    watch: Watch = ignore,
) -> np.ndarray:
    """Return the embeddings (N, D) of `images`, float32, in every process.

    In eval mode, without gradient, in float32. The processes share the work.

    Args:
        batch_size: images at a time in each process.

    Raises:
        UserError: if an embedding is not finite, naming the image by its number.
        PluginError: if the embedder gives embeddings of another shape.
    """
    stage, count = StageEvents(f"embedding {name}", watch, devices.is_main), len(images)

    def work(rows: Sequence[int], x: Tensor) -> Tensor:
        x = x.to(devices.device)
        with torch.no_grad(), seeded(derive(0, "embed", rows[0]), devices.device):
            z = embedder.embed(x)  # (B, D)
        return _checked(z, (len(rows), embedder.width), f"{name}: embed").float()

    table, done = np.empty((count, embedder.width), np.float32), 0
    with eval_mode(embedder, devices):
        blocks = map_rows(devices, count, batch_size, work, images.read)
        for block in stage.track(blocks, count):
            table[done : done + len(block)] = block.cpu().numpy()
            done += len(block)
    finite = np.isfinite(table).all(axis=1)
    if not finite.all():
        raise UserError(
            f"{name}: the embedding of image {int(np.argmin(finite))} is not finite (NaN or "
            "infinite values).\nIts training has diverged: try a lower learning rate."
        )
    return table


def scorer(
    generator: Generator,
    *,
    seed: int,
    batch_size: int,
    devices: Devices,
    name: str = "generator",
    watch: Watch = ignore,
) -> Callable[[Images, Work], np.ndarray]:
    """Return the `each` of a membership attack's `Target`: a score of every image, float64 (N,).

    Image i of a set is scored with `Noise(seed, [i])`: the same score whatever the batch size and
    the number of processes, which share the work. Called in every process.

    Args:
        batch_size: images at a time in each process.
    """

    def each(images: Images, work: Work) -> np.ndarray:
        stage, count = StageEvents(f"attacking {name}", watch, devices.is_main), len(images)

        def compute(rows: Sequence[int], x: Tensor) -> Tensor:
            noise = Noise(seed, rows, devices.device)
            with torch.no_grad(), seeded(derive(seed, rows[0]), devices.device):
                scores = work(x.to(devices.device), noise)
            return _checked(scores, (len(rows),), f"{name}: the attack").double()

        with eval_mode(generator, devices):
            blocks = map_rows(devices, count, batch_size, compute, images.read)
            found = [block.cpu().numpy() for block in stage.track(blocks, count)]
        return np.concatenate(found) if found else np.empty(0)

    return each


def _checked(x: Any, expected: tuple[int, ...], what: str) -> Tensor:
    if not isinstance(x, Tensor):
        raise PluginError(f"{what} gives {type(x).__name__}, not a tensor")
    if not x.is_floating_point():
        raise PluginError(f"{what} gives {x.dtype}, expected float32")
    if tuple(x.shape) != expected:
        raise PluginError(f"{what} gave {tuple(x.shape)}, expected {expected}")
    return x
