"""What images of real sizes cost: reading and preparing them, training a detector, a whole audit.

    python benchmarks/speed/sizes.py                    # about ten minutes on two quiet cores
    python benchmarks/speed/sizes.py --before CHECKOUT  # an earlier memtk beside it, same files
    python benchmarks/speed/sizes.py --xrays 10000 2000 10000 --volumes 300 100 300 --home FOLDER

Phantoms, magnified to the size of hospitals' images and with noise, are saved as 8-bit PNG or
NIfTI (gz). Reading and preparing them, in a process of its own, is held against bare decoding of
the same files (PIL; nibabel) by as many processes that run already, the ways taking turns; best
time of each, and its seconds of CPU, which hardly depend on what else the machine does. A step of
the copy detector's training (preset `audit`) on large images against one on images that are small
already. Then `memtk audit` of training, validation and synthetic images, with `--steps` of each
detector: seconds by stage, and the memory of its largest process. Prints Markdown and writes it,
and the same as JSON, beside this file (`--out`).
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

import nibabel
import numpy as np
import torch
from PIL import Image
from search import write

HERE = Path(__file__).parent
SIZES = {"X-rays": (512, 512), "volumes": (160, 192, 160)}
SMALL = {"X-rays": (64, 64), "volumes": (40, 48, 40)}
PARTS = ("reading", "step", "audit")
READS = {
    "decode": "decoding",
    "memtk": "memtk reads and prepares",
    "whole": "memtk, whole images kept, reads and prepares",
    "before": "memtk before reads and prepares",
}

USED = """
def used():
    import resource
    each = [resource.getrusage(w) for w in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    cpu = sum(one.ru_utime + one.ru_stime for one in each)
    return [cpu, 1024 * max(one.ru_maxrss for one in each)]
"""
"""Seconds of CPU of a process and those that it started, and the memory of the largest."""

READ = (
    USED
    + """
import inspect, json, sys, time
from pathlib import Path
from memtk.data.config import DataConfig
from memtk.data.prepare import prepare
from memtk.registry import open_registry
config, registry = DataConfig(source=sys.argv[1]), open_registry()
known = inspect.signature(prepare).parameters
how = {"workers": int(sys.argv[3])} if "workers" in known else {}
if len(sys.argv) > 4 and "look" in known:
    how["look"] = lambda spec: tuple(map(int, sys.argv[4].split(",")))
start, before = time.perf_counter(), used()[0]
kept = prepare(config, Path(sys.argv[2]), registry, **how)
spent, (cpu, peak) = time.perf_counter() - start, used()
print(json.dumps([spent, cpu - before, kept.path.stat().st_size, peak]))
"""
)

AUDIT = (
    USED
    + """
import json, sys
from memtk.cli import main
code = 0
try:
    main()
except SystemExit as end:
    code = end.code
print(json.dumps(used()))
sys.exit(code)
"""
)


def save(kind, folder, first, count, workers):
    """Save images of as many patients, those that are not there yet; return the files."""
    folder.mkdir(parents=True, exist_ok=True)
    ending = "png" if len(SIZES[kind]) == 2 else "nii.gz"
    numbers = range(first, first + count)
    files = [folder / f"p{number:05d}.{ending}" for number in numbers]
    with ProcessPoolExecutor(workers, get_context("spawn")) as pool:
        list(pool.map(save_one, [kind] * count, files, numbers, chunksize=8))
    return files


def save_one(kind, path, number):
    """Save the image of a patient."""
    from memtk.imaging.phantoms import phantom

    if path.exists():
        return
    torch.set_num_threads(1)
    shape, rng = SIZES[kind], np.random.default_rng(number)
    small = torch.from_numpy(phantom(0, number, 0, dims=len(shape), size=64)).float()[None]
    mode = "bicubic" if len(shape) == 2 else "trilinear"
    large = torch.nn.functional.interpolate(small, size=shape, mode=mode)[0, 0].numpy()
    large = (large - large.min()) / (large.max() - large.min()) * 220
    large = np.clip(large + rng.normal(10, 3, shape), 0, 255).astype(np.uint8)
    if len(shape) == 2:
        Image.fromarray(large).save(path)
    else:
        nibabel.save(nibabel.Nifti1Image(large, np.eye(4)), path)


def decode(path):
    """Read a file and do nothing with it."""
    if path.suffix == ".png":
        with Image.open(path) as file:
            return np.asarray(file).shape
    return np.asarray(nibabel.load(path).dataobj).shape


def called(words, source=None):
    """Run Python with a memtk, this one or that of a checkout; return the last line it prints."""
    env = dict(os.environ)
    if source is not None:
        env["PYTHONPATH"] = os.pathsep.join([str(source), str(source / "plugins")])
    done = subprocess.run(
        [sys.executable, *map(str, words)], env=env, cwd=source, capture_output=True, text=True
    )
    if done.returncode not in (0, 3, 4):
        raise SystemExit(done.stderr)
    return done.stdout.strip().splitlines()[-1]


def reading(files, rounds, workers, before, small):
    """Return seconds, CPU seconds, bytes kept and memory of decoding, memtk and an earlier one.

    "memtk" keeps the images as small as a copy detector sees them, as an audit does, and so does
    "before", where it can; "whole" keeps whole ones, as a bench does.

    Args:
        small: (*s), as the copy detector sees them.
    """
    found = {"decode": [], "memtk": [], "whole": [], **({"before": []} if before else {})}
    spawn = get_context("spawn")
    with ProcessPoolExecutor(workers, spawn) as pool, tempfile.TemporaryDirectory() as home:
        list(pool.map(decode, files[: 8 * workers]))  # they are there by now
        for number in range(rounds):
            cpu = time.process_time()
            list(map(decode, files))
            cpu, start = time.process_time() - cpu, time.perf_counter()
            list(pool.map(decode, files, chunksize=4))
            found["decode"].append((time.perf_counter() - start, cpu, 0, 0))
            for name in [name for name in found if name != "decode"]:
                words = ["-c", READ, files[0].parent, f"{home}/{name} {number}", workers]
                words += [] if name == "whole" else [",".join(map(str, small))]
                found[name].append(json.loads(called(words, before if name == "before" else None)))
    return {name: list(map(min, zip(*each, strict=True))) for name, each in found.items()}


def detector(kind, steps, rounds):
    """Return the seconds of a step on images of each size, without those of encoding them once."""
    from memtk.config import build
    from memtk.data.images import MemoryImages
    from memtk.interfaces import ImageSpec
    from memtk.registry import open_registry
    from memtk.training.devices import open_devices
    from memtk.training.loop import train

    cls = open_registry().load("embedder", "ntxent2d" if kind == "X-rays" else "ntxent3d")
    times = {}
    images = {"large": SIZES[kind], "small": SMALL[kind]}
    images = {k: MemoryImages(torch.rand(32, 1, *shape) * 2 - 1) for k, shape in images.items()}
    for _ in range(rounds):
        for what, given in images.items():
            for count in (1, steps + 1):
                settings = build(cls.Config, cls.presets["audit"], {"training": {"steps": count}})
                model = cls(settings, ImageSpec(given.spec.shape))
                start = time.process_time()
                with tempfile.TemporaryDirectory() as folder:
                    train(model, given, seed=0, folder=Path(folder), devices=open_devices("cpu"))
                times.setdefault((what, count), []).append(time.process_time() - start)
    return {
        what: (min(times[what, steps + 1]) - min(times[what, 1])) / steps
        for what in ("large", "small")
    }


def audit(home, out, args, source):
    """Return the seconds of an audit by stage, in all, its disk and its memory."""
    words = ["audit", "--train", home / "train", "--val", home / "val"]
    words += ["--synthetic", home / "synthetic", "--out", out, "--device", "cpu"]
    words += ["--plants", args.plants]
    words += ["--set", f"embedder.training.steps={args.steps}"] if args.steps else []
    words += ["--workers", args.workers] if source is None else []
    start = time.perf_counter()
    cpu, peak = json.loads(called(["-c", AUDIT, *words], source))
    spent = time.perf_counter() - start
    stages = json.loads((out / "timing.json").read_text())
    kept = sum(f.stat().st_size for f in (out / "data").glob("*.h5"))
    return {"stages": stages, "seconds": spent, "cpu": cpu, "kept": kept, "peak": peak}


def measured(kind, counts, home, args):
    """Return what the parts of a kind of image cost."""
    first, files = 0, {}
    for role, count in zip(("train", "val", "synthetic"), counts, strict=True):
        files[role] = save(kind, home / role, first, count, args.workers)
        first += count
    name = f"{kind} of {'x'.join(map(str, SIZES[kind]))}"
    record = {"images": name, "counts": counts, "full": 4 * int(np.prod(SIZES[kind]))}
    if "reading" in args.parts:
        given = files["train"], args.rounds, args.workers, args.before, SMALL[kind]
        record["read"] = reading(*given)
    if "step" in args.parts:
        record["step"] = detector(kind, 6, args.rounds)
    if "audit" in args.parts:
        record["audits"] = {}
        for what, source in {"memtk": None, "before": args.before}.items():
            if what == "memtk" or source:
                with tempfile.TemporaryDirectory() as out:
                    record["audits"][what] = audit(home, Path(out) / "audit", args, source)
    return record


def main():
    """Measure, print and write."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--xrays", type=int, nargs=3, default=[500, 100, 400])
    parser.add_argument("--volumes", type=int, nargs=3, default=[30, 10, 30])
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--steps", type=int, help="of each copy detector; default: as it is")
    parser.add_argument("--plants", type=int, default=10, help="patients to plant copies of")
    parser.add_argument("--workers", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=PARTS)
    parser.add_argument("--before", type=Path, help="checkout of an earlier memtk")
    parser.add_argument("--home", type=Path, help="folder that keeps the images for another call")
    parser.add_argument("--name", default="sizes", help="of the table")
    parser.add_argument("--out", type=Path, default=HERE, help="folder of the table")
    args = parser.parse_args()
    records = []
    with tempfile.TemporaryDirectory() as scratch:
        for kind, counts in (("X-rays", args.xrays), ("volumes", args.volumes)):
            if any(counts):
                home = (args.home or Path(scratch)) / kind
                records.append(measured(kind, counts, home, args))
    head = f"| | {' | '.join(record['images'] for record in records)} |\n|---"
    head += "|---" * len(records) + "|"
    rows = {}

    def add(row, text):
        rows.setdefault(row, []).append(text)

    for each in records:
        counts = each["counts"]
        add("images", " + ".join(map(str, counts)))
        for name, (spent, cpu, size, peak) in each.get("read", {}).items():
            what = READS[name]
            add(f"{what} the training images", f"{spent:.1f} s, {cpu:.1f} s of CPU")
            if name == "decode":
                plain = spent, cpu
                continue
            ratios = f"{spent / plain[0]:.2f} times, {cpu / plain[1]:.2f} times"
            add(f"{what}, against decoding", ratios)
            add(f"{what}, kept of float32", f"{100 * size / counts[0] / each['full']:.1f}%")
            add(f"{what}, largest process", f"{peak / 2**30:.2f} GiB")
        if "step" in each:
            large, small = each["step"]["large"], each["step"]["small"]
            row = "a step of the detector, against one on small images"
            add(row, f"{large:.2f} s of CPU, {large / small:.2f} times")
        for name, found in each.get("audits", {}).items():
            what = "audit" if name == "memtk" else "audit before"
            part = 100 * found["kept"] / sum(counts) / each["full"]
            add(f"{what} keeps, of float32", f"{part:.1f}%")
            for stage in ("read", "train embedder", "embed", "calibrate", "evaluate"):
                add(f"{what}, {stage}", f"{found['stages'].get(stage, 0):.1f} s")
            add(f"{what}, in all", f"{found['seconds']:.1f} s, {found['cpu']:.1f} s of CPU")
            add(f"{what}, largest process", f"{found['peak'] / 2**30:.2f} GiB")
    lines = [f"| {row} | {' | '.join(cells)} |" for row, cells in rows.items()]
    print(head, *lines, sep="\n")
    counts = [
        f"--{name} {' '.join(map(str, getattr(args, name)))}" for name in ("xrays", "volumes")
    ]
    words = [*counts, f"--parts {' '.join(args.parts)}", f"--workers {args.workers}"]
    words += [f"--steps {args.steps}"] if args.steps else []
    words += ["--before CHECKOUT"] if args.before else []
    command = f"    python benchmarks/speed/sizes.py {' '.join(words)}"
    write(args.out, args.name, head, [*lines, "", command], records)


if __name__ == "__main__":
    main()
