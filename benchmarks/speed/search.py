"""How long the exact search takes, and how much memory, against other ways of doing it.

Nearest rows in both directions, with their indices, by Pearson correlation:

    OMP_NUM_THREADS=2 python benchmarks/speed/search.py             # some minutes: the table
    OMP_NUM_THREADS=2 python benchmarks/speed/search.py --million   # 1M x 100k from a mapped file

Prints a Markdown table and writes it, and the same as JSON, beside this file (`--out`). Every
measurement has a process of its own, so that its peak memory (`ru_maxrss`: imports and inputs
included) is its own. The ways take turns, round by round; the best time of each is printed. The
time of memtk includes checking, centring and scaling the rows, and its float64 decision between
close pairs; faiss, scikit-learn and the bare product are given rows that are ready. Run it alone on
the machine, or set OMP_WAIT_POLICY=PASSIVE and look at the ratios.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import os
import platform
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from ways import DENSE, MAIN, NEEDS, RAW, WAYS, made, pearson, unit

HERE = Path(__file__).parent
SECOND = 1.0
"""A way that is faster is repeated in its process for about as many seconds."""


def peak():
    """Return the peak memory of this process in MB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def measure(way, rows, width, keep):
    """Measure one way in this process."""
    sets = [made(rows, width, seed) for seed in (0, 1)]
    if way not in RAW:
        sets = [unit(x) for x in sets]
    WAYS[way](sets[0][:300], sets[1][:300])  # imports and threads
    seconds = []
    while sum(seconds) < SECOND and len(seconds) < 9:
        start = time.perf_counter()
        found = WAYS[way](*sets)
        seconds.append(time.perf_counter() - start)
    if found is not None:
        np.savez(keep, forth=found[0], back=found[1])
    return {"seconds": min(seconds), "peak_mb": peak()}


def million(folder, width):
    """Search 1 000 000 mapped rows among 100 000 mapped ones, in this process."""
    from memtk.memorization import search

    sets = [np.load(Path(folder) / name, mmap_mode="r") for name in ("queries.npy", "others.npy")]
    start = time.perf_counter()
    found = search(*sets, pearson())
    seconds = time.perf_counter() - start
    assert len(found.queries.index) == 1_000_000 and found.queries.index.min() >= 0
    return {"seconds": seconds, "peak_mb": peak()}


def child(*arguments):
    """Run this file in a process of its own; what it prints is JSON."""
    command = [sys.executable, __file__, "--child", *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        sys.exit(f"{' '.join(command)}\n{done.stderr}")
    return json.loads(done.stdout.splitlines()[-1])


def ways(rows, width, args):
    """Name the ways that are measured at this size."""
    for way in WAYS:
        if importlib.util.find_spec(NEEDS.get(way, "numpy")) is None:
            print(f"left out: {way} ({NEEDS[way]} is not installed)", file=sys.stderr)
        elif rows > args.dense and way in DENSE:
            continue  # the matrix does not fit
        elif rows > args.dense and "scikit" in way and width > min(args.widths):
            continue  # takes minutes
        elif "corrcoef" in way and width > min(args.widths):
            continue  # its time hardly depends on the width
        else:
            yield way


def table(args, folder):
    """Measure all ways at all sizes: one record for each."""
    records = []
    for rows in args.rows:
        for width in args.widths:
            found = {}
            chosen = list(ways(rows, width, args))
            for turn in range(args.rounds):
                for way in chosen:
                    if turn and way not in MAIN:
                        continue
                    keep = folder / f"{list(WAYS).index(way)}.npz"
                    keep.unlink(missing_ok=True)
                    one = child("measure", way, rows, width, keep)
                    old = found.setdefault(way, {"seconds": float("inf"), "peak_mb": 0.0})
                    found[way] = {
                        "seconds": min(old["seconds"], one["seconds"]),
                        "peak_mb": max(old["peak_mb"], one["peak_mb"]),
                        "other_ids": other_ids(folder / "0.npz", keep),
                    }
            for way, one in found.items():
                ratio = found["memtk"]["seconds"] / one["seconds"]
                records.append({"rows": rows, "width": width, "way": way, **one, "ratio": ratio})
                print(line(records[-1]), flush=True)
    return records


def other_ids(reference, keep):
    """Count the rows for which another nearest row was found than by memtk; None without ids."""
    if not keep.exists():
        return None
    a, b = np.load(reference), np.load(keep)
    return int((a["forth"] != b["forth"]).sum() + (a["back"] != b["back"]).sum())


HEAD = (
    "| rows | width | way | seconds | memtk takes | peak MB | other ids than memtk |\n"
    "|---|---|---|---|---|---|---|"
)


def line(one):
    ids = "-" if one["other_ids"] is None else one["other_ids"]
    return (
        f"| {one['rows']} x {one['rows']} | {one['width']} | {one['way']} | {one['seconds']:.3f} "
        f"| {one['ratio']:.2f} x | {one['peak_mb']:.0f} | {ids} |"
    )


def machine():
    """Say what it ran on."""
    import torch

    name = platform.processor() or platform.machine()
    info = Path("/proc/cpuinfo")
    if info.exists():
        named = [x for x in info.read_text().splitlines() if x.startswith("model name")]
        name = named[0].split(":")[1].strip() if named else name
    threads = torch.get_num_threads()
    return {"cpu": name, "threads": threads, "torch": torch.__version__, "cores": os.cpu_count()}


def write(out, name, head, lines, records):
    here = machine()
    text = f"{here['cpu']}, {here['threads']} threads, torch {here['torch']}\n\n{head}\n"
    (out / f"{name}.md").write_text(text + "\n".join(lines) + "\n")
    (out / f"{name}.json").write_text(json.dumps({"machine": here, "rows": records}, indent=1))


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, nargs="+", default=[10_000, 100_000])
    parser.add_argument("--widths", type=int, nargs="+", default=[32, 128])
    parser.add_argument("--rounds", type=int, default=2, help="of memtk, faiss and the product")
    parser.add_argument("--dense", type=int, default=10_000, help="most rows of a whole matrix")
    parser.add_argument("--million", action="store_true", help="1M x 100k from a mapped file")
    parser.add_argument("--out", type=Path, default=HERE, help="folder of the tables")
    parser.add_argument("--child", nargs="+", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.child:
        kind, *rest = args.child
        if kind == "measure":
            said = measure(rest[0], int(rest[1]), int(rest[2]), rest[3])
        else:
            said = million(rest[0], int(rest[1]))
        print(json.dumps(said))
        return
    args.out.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        if not args.million:
            print(HEAD)
            records = table(args, Path(folder))
            write(args.out, "search", HEAD, [line(one) for one in records], records)
            return
        head = "| rows | width | seconds | peak MB |\n|---|---|---|---|"
        records, lines = [], []
        for width in args.widths:
            np.save(Path(folder) / "queries.npy", made(1_000_000, width, 0))
            np.save(Path(folder) / "others.npy", made(100_000, width, 1))
            records.append({"width": width, **child("million", folder, width)})
            one = records[-1]
            lines.append(
                f"| 1000000 x 100000 | {width} | {one['seconds']:.0f} | {one['peak_mb']:.0f} |"
            )
            print(lines[-1], flush=True)
        write(args.out, "million", head, lines, records)


if __name__ == "__main__":
    main()
