"""Runs what a membership attack computes over sets of images, on the devices of a run."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import torch
from torch import Tensor

from memtk.errors import PluginError
from memtk.events import Event, Watch, ignore
from memtk.interfaces import Generator, Images, Similarity, Target
from memtk.interfaces.attack import Work
from memtk.noise import Noise, derive
from memtk.training.devices import Devices
from memtk.training.seeding import seeded
from memtk.training.watching import Stage


def make_target(
    generator: Generator,
    synthetic: Images,
    *,
    seed: int,
    devices: Devices,
    batch_size: int,
    embed: Callable[[Images], np.ndarray] | None = None,
    similarity: Similarity | None = None,
    strangers: Images | None = None,
    name: str = "generator",
    watch: Watch = ignore,
) -> Target:
    """Return a generator as an attack is given it. Called in every process.

    Image i of a set is scored with `Noise(seed, [i])`: the same score whatever the batch size and
    the number of processes, which share the work.

    Args:
        generator: with the weights that are attacked.
        synthetic: what came out of it.
        batch_size: images at a time in each process.
        embed: and `similarity`, `strangers`: see `Target`.
        name: for events and messages.
    """

    def each(images: Images, work: Work) -> np.ndarray:
        stage, count = Stage(f"attacking {name}", watch, devices.is_main), len(images)
        training = generator.training
        generator.to(devices.device).eval()

        def compute(rows: Sequence[int], read: Tensor) -> Tensor:
            noise = Noise(seed, rows, devices.device)
            with torch.no_grad(), seeded(derive(seed, rows[0]), devices.device):
                scores = work(read.to(devices.device), noise)
            if tuple(scores.shape) != (len(rows),):
                raise PluginError(
                    f"{name}: the attack gave scores of shape {tuple(scores.shape)} for "
                    f"{len(rows)} images, expected ({len(rows)},)"
                )
            return scores.double()

        stage.tell(Event("start", stage.name, 0, count))
        parts: list[np.ndarray] = []
        for block in devices.blocks(count, batch_size, compute, images.read):
            parts.append(block.cpu().numpy())
            stage.tell(Event("step", stage.name, sum(map(len, parts)), count))
        generator.train(training)
        stage.tell(Event("end", stage.name, count, count))
        return np.concatenate(parts) if parts else np.empty(0)

    return Target(generator, synthetic, each, embed, similarity, strangers)
