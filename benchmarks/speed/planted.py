"""Planted copies made of whole images, or of images that were reduced first: what is found, time.

    MEMTK_DATA=... python benchmarks/speed/planted.py    # some minutes on two cores

Real X-rays of 256x256, the copy detector of the preset `audit` (64x64) trained on one image a
patient, copies of every kind planted in one of each of `--plants` patients: of whole images, and
of images reduced to 4, 2 and 1 times what the detector sees. Share found by the threshold of `dar`
and mean similarity to the image that was copied, over all seeds; time of making and embedding
copies, once more for phantoms of 160x192x160 with an untrained detector. Prints Markdown and writes
it, and the same as JSON, beside this file (`--out`).
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from collections import defaultdict
from pathlib import Path

import numpy as np
import torch
from search import write

from memtk.config import build
from memtk.data.config import DataConfig
from memtk.data.images import MemoryImages
from memtk.data.prepare import prepare
from memtk.evaluation import planted
from memtk.evaluation.context import Computation
from memtk.imaging.phantoms import phantom
from memtk.noise import derive, seeded
from memtk.registry import open_registry
from memtk.training.devices import open_devices
from memtk.training.inference import embed
from memtk.training.loop import train

HERE = Path(__file__).parent
WAYS = (0, 4, 2, 1)
"""How many times finer than the detector looks; 0: whole images."""


class Looking:
    """A detector as `seen_by` asks for it."""

    def __init__(self, model):
        self.model, self.resolution = model, model.resolution

    def see(self, images):
        rows = embed(self.model, images, batch_size=32, devices=open_devices("cpu"))
        rows = rows - rows.mean(1, keepdims=True)
        return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def copies(detector, training, count, seed, finer):
    """Return the embeddings of the copies by kind, which images they are of, and the seconds."""
    context = Computation(open_devices("cpu"), Path(), None, None, seed, 32)
    plants = planted.Plants(context, training, count)
    sources = plants._sources()
    sets, planted.FINER = plants._sets(sources), finer or 10**6
    start = time.perf_counter()
    found = {k: detector.see(images) for k, images in planted.seen_by(detector, sets).items()}
    return found, sources, time.perf_counter() - start


def made(name, spec, steps, images, seed):
    """Return a copy detector, trained for so many steps; with 0, as it was drawn."""
    cls = open_registry().load("embedder", name)
    settings = build(cls.Config, cls.presets["audit"], {"training": {"steps": max(steps, 1)}})
    with seeded(seed):
        model = cls(settings, spec)
    if steps:
        with tempfile.TemporaryDirectory() as folder:
            train(model, images, seed=seed, folder=Path(folder), devices=open_devices("cpu"))
    return Looking(model.eval())


def real(seeds, steps, count):
    """Return, by kind and way, the shares found and similarities of each seed; and the seconds."""
    source = str(Path(os.environ["MEMTK_DATA"]) / "chest_xray_256" / "manifest.csv")
    limit = {"images_per_patient": 1}
    config = build(DataConfig, {"source": source, "limit": limit}, where="data")
    found, seconds = defaultdict(list), defaultdict(list)
    with tempfile.TemporaryDirectory() as folder:
        dataset = prepare(config, Path(folder), open_registry())
        training, validation = dataset.split("training"), dataset.split("validation")
        for seed in range(seeds):
            detector = made("ntxent2d", dataset.spec, steps, training, derive(seed, "planted"))
            mine, theirs = detector.see(training), detector.see(validation)
            tau = np.quantile((theirs @ mine.T).max(1), 0.95)
            for way in WAYS:
                rows, sources, spent = copies(detector, training, count, seed, way)
                seconds[way].append(spent)
                for label, each in rows.items():
                    near, own = (each @ mine.T).max(1), (each * mine[sources]).sum(1)
                    found[label, way].append((float((near > tau).mean()), float(own.mean())))
    return found, {way: min(each) for way, each in seconds.items()}


def volumes(count):
    """Return the seconds of planting copies of `count` large phantoms, whole and reduced."""
    small = torch.from_numpy(np.stack([phantom(0, n, 0, dims=3, size=64) for n in range(count)]))
    size, mode = (160, 192, 160), "trilinear"
    large = MemoryImages(torch.nn.functional.interpolate(small.float(), size=size, mode=mode))
    detector = made("ntxent3d", large.spec, 0, large, 0)
    return {way: copies(detector, large, count, 0, way)[2] for way in (0, 2)}


def main():
    """Measure, print and write."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, default=2)
    parser.add_argument("--steps", type=int, default=350, help="of the copy detector")
    parser.add_argument("--plants", type=int, default=100)
    parser.add_argument("--volumes", type=int, default=4)
    parser.add_argument("--out", type=Path, default=HERE, help="folder of the table")
    args = parser.parse_args()
    found, seconds = real(args.seeds, args.steps, args.plants)
    names = ["whole images", *(f"{way} x what it sees" for way in WAYS[1:])]
    head = f"| copies | {' | '.join(names)} |\n|---|{'---|' * len(names)}"
    lines = []
    for label in dict.fromkeys(label for label, _ in found):
        cells = [np.mean(found[label, way], axis=0) for way in WAYS]
        text = " | ".join(f"{100 * share:.1f}% ({near:.3f})" for share, near in cells)
        lines.append(f"| {label} | {text} |")
    lines.append("| seconds | " + " | ".join(f"{seconds[way]:.1f}" for way in WAYS) + " |")
    took = volumes(args.volumes)
    cells = [f"{took[way]:.1f}" if way in took else "" for way in WAYS]
    lines.append(f"| seconds, {args.volumes} volumes | " + " | ".join(cells) + " |")
    print(head, *lines, sep="\n")
    records = [{"copies": k, "finer": way, "found, similarity": v} for (k, way), v in found.items()]
    write(args.out, "planted", head, lines, [*records, {"seconds": seconds, "volumes": took}])


if __name__ == "__main__":
    main()
