"""How long the exact search takes, and how much memory, against the plain ways of doing it.

Nearest rows in both directions, with their indices, by Pearson correlation:

    python benchmarks/speed/search.py --rows 10000 --widths 32 128

Prints a Markdown table. Each way runs in its own process, so that its peak memory is its own;
`growth` is the peak beyond what was in use before. The best of `--repeats` is printed. Set
OMP_WAIT_POLICY=PASSIVE where other programs run beside it.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import time

import numpy as np


def made(rows, width, seed):
    return np.random.default_rng(seed).normal(size=(rows, width)).astype(np.float32)


def unit(x):
    x = x - x.mean(1, keepdims=True)
    return x / np.linalg.norm(x, axis=1, keepdims=True)


def memtk(queries, references, threshold=None):
    from memtk.memorization import search
    from memtk.registry import open_registry

    pearson = open_registry().load("similarity", "pearson")()
    found = search(queries, references, pearson, threshold=threshold)
    return found.queries.index, found.references.index


def memtk_counts(queries, references):
    # 4.5 standard deviations: a few of the nearest are above, as with the tau of `dar`
    return memtk(queries, references, threshold=4.5 / queries.shape[1] ** 0.5)


def numpy_dense(queries, references):
    matrix = unit(queries) @ unit(references).T
    return matrix.argmax(1), matrix.argmax(0)


def torch_dense(queries, references):
    import torch

    matrix = torch.from_numpy(unit(queries)) @ torch.from_numpy(unit(references)).T
    return matrix.max(1).indices.numpy(), matrix.max(0).indices.numpy()


def corrcoef(queries, references):
    matrix = np.corrcoef(queries, references)[: len(queries), len(queries) :]
    return matrix.argmax(1), matrix.argmax(0)


WAYS = {
    "memtk search": memtk,
    "memtk search, with counts above a threshold": memtk_counts,
    "numpy: whole float32 matrix, argmax twice": numpy_dense,
    "torch: whole float32 matrix, max(dim) twice": torch_dense,
    "numpy.corrcoef, argmax twice": corrcoef,
}


def measure(way, rows, width, repeats):
    queries, references = made(rows, width, 0), made(rows, width, 1)
    WAYS[way](queries[:64], references[:64])  # imports and threads
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    seconds = []
    for _ in range(repeats):
        start = time.perf_counter()
        forth, back = WAYS[way](queries, references)
        seconds.append(time.perf_counter() - start)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    checksum = [int(forth.sum()), int(back.sum())]
    return {"seconds": min(seconds), "growth": (peak - before) / 1024, "indices": checksum}


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, nargs="+", default=[10_000], help="of each set")
    parser.add_argument("--widths", type=int, nargs="+", default=[32, 128])
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--dense", type=int, default=10_000, help="most rows of a whole matrix")
    parser.add_argument("--way", choices=WAYS, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.way:
        print(json.dumps(measure(args.way, args.rows[0], args.widths[0], args.repeats)))
        return
    print("| rows | width | way | seconds | against memtk | growth MB | same indices |")
    print("|---|---|---|---|---|---|---|")
    for rows in args.rows:
        for width in args.widths:
            base = None
            for way in WAYS:
                if rows > args.dense and "memtk" not in way:
                    continue
                if "corrcoef" in way and width != args.widths[0]:
                    continue  # its time hardly depends on the width
                repeats = 1 if "corrcoef" in way else args.repeats
                sizes = ["--rows", str(rows), "--widths", str(width), "--repeats", str(repeats)]
                command = [sys.executable, __file__, "--way", way, *sizes]
                out = subprocess.run(command, check=True, capture_output=True, text=True).stdout
                found = json.loads(out)
                base = base or found
                same = "yes" if found["indices"] == base["indices"] else "no"
                ratio = found["seconds"] / base["seconds"]
                print(
                    f"| {rows} | {width} | {way} | {found['seconds']:.2f} | {ratio:.1f} x "
                    f"| {found['growth']:.0f} | {same} |",
                    flush=True,
                )


if __name__ == "__main__":
    main()
