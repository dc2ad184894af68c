"""Training, sampling, embedding and search on a GPU: time against the CPU, and the same numbers?

    benchmarks/speed/device.sh                              # at most five minutes, on a GPU
    python benchmarks/speed/device.py --device cpu          # tries the script itself

`monai3d` and `ntxent3d` with their demo presets on 64 phantoms of 32 x 32 x 32, everything in
float32. Both devices take the same weights, images and noise. Printed are seconds on each, and how
far the numbers of the device lie from those of the CPU, as a share of their size; the search is
exact on both, so that every index must be the same. Exit 1 where a number is farther off than
`LIMITS` allows.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import torch

from memtk.config import build
from memtk.data.config import DataConfig
from memtk.data.prepare import prepare
from memtk.memorization import search
from memtk.registry import open_registry
from memtk.training.devices import open_devices
from memtk.training.inference import embed, sample
from memtk.training.job import TrainingOptions
from memtk.training.loop import train

LIMITS = {"training": 0.02, "sampling": 0.02, "embedding": 0.001, "search": 0.0}
"""How far off each may be. Rounding grows from step to step of a training and of a sampling."""

STEPS = 30


def model(registry, kind, name, spec):
    """Return a model of few steps in float32; its weights are the same each time."""
    cls = registry.find(kind, name).load()
    made = cls(build(cls.Config, cls.presets["demo"]), spec)
    settings = {"precision": "float32", "steps": STEPS}
    config = {
        key: value.model_copy(update=settings)
        for key, value in made.config
        if hasattr(value, "precision")
    }
    torch.manual_seed(0)
    return cls(made.config.model_copy(update=config), spec)


def run(registry, images, device, folder):
    """Return seconds and numbers of each stage on one device."""
    devices, found = open_devices(device), {}

    def timed(stage, work):
        if device != "cpu":
            torch.cuda.synchronize()
        begun = time.perf_counter()
        numbers = work()
        found[stage] = time.perf_counter() - begun, np.asarray(numbers)

    generator = model(registry, "generator", "monai3d", images.spec)
    start = {name: value.clone() for name, value in generator.state_dict().items()}

    def trained():
        train(generator, images, seed=0, folder=folder, devices=devices, options=TrainingOptions())
        state = {name: value.cpu() for name, value in generator.state_dict().items()}
        moved = [(state[n] - v).double().norm() for n, v in start.items() if v.is_floating_point()]
        return torch.stack(moved)

    timed("training", trained)
    generator.load_state_dict(start)
    drawn = {"seed": 0, "batch_size": 32, "devices": devices}
    timed("sampling", lambda: torch.cat([*sample(generator, 32, **drawn)]))
    embedder = model(registry, "embedder", "ntxent3d", images.spec)
    timed("embedding", lambda: embed(embedder, images, batch_size=32, devices=devices))
    rows = np.random.default_rng(0).normal(size=(20_000, 128)).astype(np.float32)
    pearson = registry.load("similarity", "pearson")()
    place = torch.from_numpy(rows).to(devices.device)
    timed("search", lambda: search(place, place.flip(0), pearson).queries.index)
    return found


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--device", default="cuda")
    asked = parser.parse_args()
    registry = open_registry()
    sizes = {"size": 32, "training": 64, "validation": 1}
    data = build(DataConfig, {"source": "phantom3d", "phantom": sizes})
    with tempfile.TemporaryDirectory() as folder:
        images = prepare(data, Path(folder) / "data", registry).split("training")
        both = [
            run(registry, images, device, Path(folder) / str(number))
            for number, device in enumerate((asked.device, "cpu"))
        ]
    print(f"| stage | seconds on {asked.device} | on the CPU | times as fast | off by |")
    print("|---|---|---|---|---|")
    wrong = []
    for stage, limit in LIMITS.items():
        (fast, one), (slow, other) = (each[stage] for each in both)
        if stage == "search":
            off = float((one != other).mean())
        else:
            off = float(np.linalg.norm(one - other) / np.linalg.norm(other))
        wrong += [stage] if not off <= limit else []
        print(f"| {stage} | {fast:.2f} | {slow:.2f} | {slow / fast:.1f} | {off:.2g} |")
    if wrong:
        sys.exit(f"farther off than it should be: {', '.join(wrong)}")


if __name__ == "__main__":
    main()
