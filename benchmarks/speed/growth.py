"""How time and memory of `memtk audit` grow with the number of images, and what a million takes.

    python benchmarks/speed/growth.py                   # 1k and 10k: some minutes on two cores
    python benchmarks/speed/growth.py --counts 1000 10000 100000 --steps 100

N training, N synthetic and N/5 validation images of 64x64, 8 bits, one a patient, are given as
arrays: each is a mixture of three phantoms, by weights of its own, with noise. Seconds by stage are
the audit's own; the memory of a stage is the most that its processes held together while it ran,
with the pages of files that they had open, looked at ten times a second. Prints Markdown and writes
it, and the same as JSON, beside this file (`--out`).
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
from functools import cache
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import psutil
from search import write
from sizes import AUDIT

HERE, SIDE, PIECE, BANK = Path(__file__).parent, 64, 500, 300
ROLES = {"train": (1, 0), "val": (5, 2_000_000), "synthetic": (1, 4_000_000)}
"""Which part of N images a role has, and the number of its first patient."""


def images(home, count, workers):
    """Write the arrays that are not there yet, (N, 64, 64) uint8; return them by role."""
    home.mkdir(parents=True, exist_ok=True)
    made = {}
    with ProcessPoolExecutor(workers, get_context("spawn")) as pool:
        for role, (part, first) in ROLES.items():
            path = made[role] = home / f"{role}.npz"
            if path.exists():
                continue
            starts = range(first, first + count // part, PIECE)
            sizes = [min(PIECE, first + count // part - start) for start in starts]
            pieces = list(pool.map(blends, starts, sizes))
            np.savez(path, images=np.concatenate(pieces))
    return made


def blends(first, count):
    """Return images of as many patients, (count, 64, 64) uint8."""
    rng, made = np.random.default_rng(first), np.empty((count, SIDE, SIDE), np.uint8)
    for row in range(count):
        parts = phantoms()[rng.integers(0, BANK, 3)]
        x = np.tensordot(rng.dirichlet(np.ones(3)), parts, axes=1)
        made[row] = np.clip(110 * (x + 1) + rng.normal(10, 3, x.shape), 0, 255)
    return made


@cache
def phantoms():
    """Return phantoms of `BANK` patients, (BANK, 64, 64)."""
    from memtk.imaging.phantoms import phantom

    return np.stack([np.asarray(phantom(0, n, 0, dims=2, size=SIDE))[0] for n in range(BANK)])


def audit(arrays, out, settings, workers):
    """Run an audit; return its seconds and its memory by stage, in all, and its CPU seconds."""
    words = ["audit", "--out", out, "--device", "cpu", "--workers", workers]
    for role, path in arrays.items():
        words += [f"--{role}", path]
    for setting in settings:
        words += ["--set", setting]
    start, peaks, highest, known = time.perf_counter(), {}, 0, {}
    work, before = {}, 0.0
    with open(out.with_suffix(".log"), "w+") as log:
        run = subprocess.Popen(
            [sys.executable, "-c", AUDIT, *map(str, words)], stdout=log, stderr=log
        )
        process = psutil.Process(run.pid)
        while run.poll() is None:
            now, spent = held(process)
            highest = max(highest, now)
            try:
                stages = json.loads((out / "timing.json").read_text())
            except (OSError, ValueError):
                stages = known
            for stage in stages:
                if stages[stage] != known.get(stage):
                    peaks[stage] = max(peaks.get(stage, 0), highest)
                    work[stage] = work.get(stage, 0.0) + max(0.0, spent - before)
                    highest, before = 0, max(spent, before)
            known = stages
            time.sleep(0.1)
        spent = time.perf_counter() - start
        log.seek(0)
        text = log.read()
    if run.returncode not in (0, 3, 4):
        raise SystemExit(text)
    cpu, largest = json.loads(text.strip().splitlines()[-1])
    stages = json.loads((out / "timing.json").read_text())
    stages["other"], work["other"] = spent - sum(stages.values()), cpu - sum(work.values())
    peaks["other"] = highest
    found = {"stages": stages, "work": work, "peaks": peaks}
    return found | {"seconds": spent, "cpu": cpu, "largest": largest}


def held(process):
    """Return the bytes that a process and those it started hold, and their seconds of CPU."""
    found, spent = 0, 0.0
    try:
        for each in [process, *process.children(recursive=True)]:
            found += each.memory_info().rss
            spent += sum(each.cpu_times())
    except psutil.NoSuchProcess:
        pass
    return found, spent


def main():
    """Measure, print and write."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--counts", type=int, nargs="+", default=[1000, 10000])
    parser.add_argument("--steps", type=int, help="of each copy detector; default: as it is")
    parser.add_argument("--workers", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--home", type=Path, help="folder that keeps the arrays for another call")
    parser.add_argument("--out", type=Path, default=HERE, help="folder of the table")
    args = parser.parse_args()
    records = []
    with tempfile.TemporaryDirectory() as scratch:
        for count in args.counts:
            arrays = images((args.home or Path(scratch)) / f"{count}", count, args.workers)
            settings = [f"embedder.training.steps={args.steps}"] if args.steps else []
            found = audit(arrays, Path(scratch) / f"audit{count}", settings, args.workers)
            records.append({"count": count, "workers": args.workers, "steps": args.steps} | found)
            print(json.dumps(records[-1]), flush=True)
    head = "| | " + " | ".join(f"N = M = {r['count']:,}" for r in records) + " |\n|---"
    head += "|---" * len(records) + "|"
    stages = list(dict.fromkeys(stage for r in records for stage in r["stages"]))
    lines = []
    for stage in stages:
        cells = [
            f"{r['stages'].get(stage, 0):.1f} s, {r['work'].get(stage, 0):.1f} s of CPU, "
            f"{r['peaks'].get(stage, 0) / 2**30:.2f} GiB"
            for r in records
        ]
        lines.append(f"| {stage} | {' | '.join(cells)} |")
    total = [f"{r['seconds']:.0f} s, {r['cpu']:.0f} s of CPU" for r in records]
    lines.append(f"| in all | {' | '.join(total)} |")
    largest = [f"{r['largest'] / 2**30:.2f} GiB" for r in records]
    lines.append(f"| largest process | {' | '.join(largest)} |")
    words = f"--counts {' '.join(map(str, args.counts))} --workers {args.workers}"
    words += f" --steps {args.steps}" if args.steps else ""
    print(head, *lines, sep="\n")
    write(args.out, "growth", head, [*lines, "", f"    growth.py {words}"], records)


if __name__ == "__main__":
    main()
