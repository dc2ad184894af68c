"""Embeds images."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from memtk.errors import PluginError, UserError
from memtk.events import Event, Watch, ignore
from memtk.interfaces import Embedder, Images
from memtk.noise import derive
from memtk.training.devices import Devices
from memtk.training.seeding import seeded
from memtk.training.watching import Stage


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
        name: for events and messages.

    Raises:
        UserError: if an embedding is not finite, naming the image by its number.
        PluginError: if the embedder gives embeddings of another shape.
    """
    stage, count = Stage(f"embedding {name}", watch, devices.is_main), len(images)
    training = embedder.training
    embedder.to(devices.device).eval()

    def work(rows: Sequence[int], read_rows: Tensor) -> Tensor:
        x = read_rows.to(devices.device)
        with torch.no_grad(), seeded(derive(0, "embed", rows[0]), devices.device):
            z = embedder.embed(x).float()  # (B, D)
        if tuple(z.shape) != (len(rows), embedder.width):
            raise PluginError(
                f"{name}: embed gave {tuple(z.shape)}, expected {(len(rows), embedder.width)}"
            )
        return z

    stage.tell(Event("start", stage.name, 0, count))
    table = np.empty((count, embedder.width), np.float32)
    done = 0
    for block in devices.blocks(count, batch_size, work, images.read):
        table[done : done + len(block)] = block.cpu().numpy()
        done += len(block)
        stage.tell(Event("step", stage.name, done, count))
    embedder.train(training)
    stage.tell(Event("end", stage.name, count, count))
    finite = np.isfinite(table).all(axis=1)
    if not finite.all():
        raise UserError(
            f"{name}: the embedding of image {int(np.argmin(finite))} is not finite (NaN or "
            "infinite values).\nIts training has diverged: try a lower learning rate."
        )
    return table
