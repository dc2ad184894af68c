"""What images of real sizes cost: reading and preparing them, and training a copy detector on them.

    python benchmarks/speed/sizes.py               # some minutes on two cores
    python benchmarks/speed/sizes.py --count 2000

Phantoms, magnified to the size of hospitals' images and with noise, are saved as 8-bit PNG or
NIfTI (gz). Reading and preparing them is held against bare decoding of the same files by as many
threads (PIL; nibabel), the ways taking turns, best time of each; a step of the copy detector's
training (preset `audit`) on large images against one on images that are small already. Prints
Markdown and writes it, and the same as JSON, beside this file (`--out`).
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import nibabel
import numpy as np
import torch
from PIL import Image
from search import write

from memtk.config import build
from memtk.data.config import DataConfig
from memtk.data.images import MemoryImages
from memtk.data.prepare import prepare
from memtk.imaging.phantoms import phantom
from memtk.interfaces import ImageSpec
from memtk.registry import open_registry
from memtk.training.devices import open_devices
from memtk.training.loop import train

HERE = Path(__file__).parent
SIZES = {"X-rays": (512, 512), "volumes": (160, 192, 160)}
SMALL = {"X-rays": (64, 64), "volumes": (40, 48, 40)}


def save(kind, folder, count):
    """Save images of as many patients; return the files."""
    folder.mkdir()
    shape, files = SIZES[kind], []
    for number in range(count):
        rng = np.random.default_rng(number)
        small = torch.from_numpy(phantom(0, number, 0, dims=len(shape), size=64)).float()[None]
        mode = "bicubic" if len(shape) == 2 else "trilinear"
        large = torch.nn.functional.interpolate(small, size=shape, mode=mode)[0, 0].numpy()
        large = (large - large.min()) / (large.max() - large.min()) * 220
        large = np.clip(large + rng.normal(10, 3, shape), 0, 255).astype(np.uint8)
        path = folder / f"p{number:05d}.{'png' if len(shape) == 2 else 'nii.gz'}"
        if len(shape) == 2:
            Image.fromarray(large).save(path)
        else:
            nibabel.save(nibabel.Nifti1Image(large, np.eye(4)), path)
        files.append(path)
    return files


def decode(path):
    """Read a file and do nothing with it."""
    if path.suffix == ".png":
        with Image.open(path) as file:
            return np.asarray(file).shape
    return np.asarray(nibabel.load(path).dataobj).shape


def reading(kind, count, rounds):
    """Return the seconds of bare decoding and of memtk, and how much is kept, in bytes."""
    registry, times = open_registry(), {"decode": [], "memtk": []}
    with tempfile.TemporaryDirectory() as home:
        files = save(kind, Path(home) / "images", count)
        for number in range(rounds):
            start = time.perf_counter()
            with ThreadPoolExecutor(min(os.cpu_count() or 1, 8)) as pool:
                list(pool.map(decode, files))
            times["decode"].append(time.perf_counter() - start)
            start = time.perf_counter()
            config = DataConfig(source=str(Path(home) / "images"))
            kept = prepare(config, Path(home) / f"prepared-{number}", registry).path
            times["memtk"].append(time.perf_counter() - start)
        source, size = sum(f.stat().st_size for f in files), kept.stat().st_size
    return {k: min(v) for k, v in times.items()} | {"files": source, "prepared": size}


def detector(kind, steps, rounds):
    """Return the seconds of a step on images of each size; encoding them once is among them."""
    name = "ntxent2d" if kind == "X-rays" else "ntxent3d"
    cls = open_registry().load("embedder", name)
    times = {}
    for what, shape in (("large", SIZES[kind]), ("small", SMALL[kind])):
        images = MemoryImages(torch.rand(64, 1, *shape) * 2 - 1)
        for _ in range(rounds):
            for count in (1, steps + 1):
                settings = build(cls.Config, cls.presets["audit"], {"training": {"steps": count}})
                model = cls(settings, ImageSpec(shape))
                start = time.perf_counter()
                with tempfile.TemporaryDirectory() as folder:
                    train(model, images, seed=0, folder=Path(folder), devices=open_devices("cpu"))
                times.setdefault((what, count), []).append(time.perf_counter() - start)
    return {
        what: (min(times[what, steps + 1]) - min(times[what, 1])) / steps
        for what in ("large", "small")
    }


def main():
    """Measure, print and write."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--count", type=int, default=400, help="X-rays; a tenth as many volumes")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--steps", type=int, default=6, help="of the copy detector")
    parser.add_argument("--out", type=Path, default=HERE, help="folder of the table")
    args = parser.parse_args()
    records, lines = [], []
    head = (
        "| images | decoding | memtk reads and prepares | ratio | kept, of float32 "
        "| step of the detector | on small images | ratio |\n|---|---|---|---|---|---|---|---|"
    )
    for kind, shape in SIZES.items():
        count = args.count if kind == "X-rays" else max(4, args.count // 10)
        read, step = reading(kind, count, args.rounds), detector(kind, args.steps, args.rounds)
        full = 4 * count * int(np.prod(shape))
        records.append({"images": kind, "count": count, "float32": full, **read, "step": step})
        lines.append(
            f"| {count} {kind} of {'x'.join(map(str, shape))} | {read['decode']:.1f} s "
            f"| {read['memtk']:.1f} s | {read['memtk'] / read['decode']:.1f} "
            f"| {100 * read['prepared'] / full:.0f} % | {step['large']:.2f} s "
            f"| {step['small']:.2f} s | {step['large'] / step['small']:.2f} |"
        )
    print(head, *lines, sep="\n")
    write(args.out, "sizes", head, lines, records)


if __name__ == "__main__":
    main()
