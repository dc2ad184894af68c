"""Known truth: what each protocol says of generators whose memorization is known.

`independent` (phantoms that nobody trained on) must score the null, `copycat` (training images,
exact or varied) all. Over many seeds, with the images themselves (ncc) and with an embedder
trained on either side (pearson), for a few steps on each of many seeds and for more steps where
copies are varied:

    python benchmarks/known_truth.py --seeds 20

Prints a Markdown table of means over the seeds.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

import numpy as np

from memtk.bench import make_plan, read_recipe, run_bench
from memtk.memorization import expected_fraction
from memtk.registry import open_registry

EMBEDDER = (
    "embedder.training.batch_size=32",
    "embedder.augmentation=strong",
    "embedder.dropout=0.0",
)
COLUMNS = ("dar n_mem", "dar n_copies", "matched", "conformal copies", "conformal exposure")


def score(registry, case, similarity, seed, size):
    generator, training, validation, samples, sets = case
    # Many seeds need little of each embedder; that all varied copies are found needs a trained one.
    steps = 60 if generator == "independent" else 200
    settings = {
        "training": training,
        "validation": validation,
        "held_out": samples if generator == "independent" else 0,
        "size": size,
        "seed": seed,
    }
    recipe = read_recipe(
        registry,
        {
            "generator": generator,
            "similarity": similarity,
            "preset": "smoke",
            "samples": samples,
            "seed": seed,
            "checkpoints": 1,
        },
        sets=[
            *(f"data.phantom.{k}={v}" for k, v in settings.items()),
            *((*EMBEDDER, f"embedder.training.steps={steps}") if similarity == "pearson" else ()),
            *sets,
        ],
    )
    with tempfile.TemporaryDirectory() as folder:
        run = run_bench(make_plan(recipe, registry), registry, out=Path(folder), device="cpu")
    tables = run.results[0].checkpoints[-1].protocols
    return [
        tables["dar"]["n_mem"].value,
        tables["dar"]["n_copies"].value,
        tables["dar-matched"]["n_mem"].value,
        tables["conformal"]["copies"].value,
        tables["conformal"]["exposed"].value,
    ]


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=20)
    parser.add_argument("--similarities", nargs="+", default=["ncc", "pearson"])
    parser.add_argument("--generators", nargs="+", default=["independent", "copycat"])
    parser.add_argument("--size", type=int, default=16, help="voxels a side")
    arguments = parser.parse_args()
    registry = open_registry()
    print("| similarity | generator | N | V | M | " + " | ".join(COLUMNS) + " | null of dar |")
    print("|---" * (len(COLUMNS) + 6) + "|")
    n = v = 59  # V + 1 = 60, so that a level of 5% can be met exactly
    plain = [
        ("independent", n, v, n, ()),
        ("independent", n, v, 4 * n, ()),
        ("copycat", n, v, n, ()),
    ]
    kinds = ("flip", "rotation", "contrast", "all")
    varied = [("copycat", n, v, n, (f"copycat.vary={kind}",)) for kind in kinds]
    for similarity in arguments.similarities:
        # Only an embedder is trained to see through a flip; the images themselves differ.
        for case in plain + (varied if similarity == "pearson" else []):
            generator, *_, m, sets = case
            if generator not in arguments.generators:
                continue
            seeds = arguments.seeds if generator == "independent" else min(arguments.seeds, 3)
            rows = [score(registry, case, similarity, s, arguments.size) for s in range(seeds)]
            mean = np.mean(rows, axis=0)
            error = np.std(rows, axis=0) / np.sqrt(len(rows))
            name = " ".join([generator, *(s.partition("=")[2] for s in sets)])
            cells = " | ".join(
                f"{100 * a:.1f} ± {100 * b:.1f}" for a, b in zip(mean, error, strict=True)
            )
            null = 100 * expected_fraction(synthetic=m, validation=v)
            print(f"| {similarity} | {name} | {n} | {v} | {m} | {cells} | {null:.1f} |", flush=True)


if __name__ == "__main__":
    main()
