"""Generators that are trained for too long on few real images: are they caught, and not before?

    MEMTK_DATA=... python benchmarks/overfit.py --seeds 3          # hours on two cores
    MEMTK_DATA=... python benchmarks/overfit.py --generators monai2d --seeds 1
    python benchmarks/overfit.py --table                           # of what is finished

One image of each patient: chest X-rays of 64 training patients at 64 x 64 for 2D models, brain MRI
(hippocampus) of 44 training patients at 32 x 48 x 32 for 3D models. Every generator is trained with
its demo preset and judged at five points of its training; the first is what stopping early leaves.
The runs are those of `memtk bench`, one folder each below `--out`; a second call goes on. Prints a
row a run, and the mean over the seeds.
"""

from __future__ import annotations

import argparse
import csv
import os
from pathlib import Path

import numpy as np

from memtk.bench import make_plan, read_recipe, run_bench
from memtk.registry import open_registry
from memtk.results import read_result

FLAT, SOLID = ("chest_xray_64", 64, []), ("hippocampus", 44, ["data.shape=32,48,32"])
SETS = {"diffusers2d": FLAT, "monai2d": FLAT, "monai3d": SOLID, "meddiff3d": SOLID}
"""Of each generator: folder of the images, training patients, settings of the data."""

HEAD = (
    "| generator | seed | N | null | dar n_mem at each fifth, % | n_copies | conformal copies "
    "| copy rate, 95% interval | exposed patients | PSNR training / validation, dB | minutes |\n"
    "|---|---|---|---|---|---|---|---|---|---|---|"
)


def one_a_patient(folder, count, path, *, held_out=False):
    """Write a manifest of the first image of each patient in `folder`, at most `count` to train on.

    With `held_out` the other patients of the training split are held out; else they are not used.
    """
    with open(folder / "manifest.csv", newline="") as file:
        first = {row["patient_id"]: row for row in reversed(list(csv.DictReader(file)))}
    rows = sorted(first.values(), key=lambda row: row["path"])
    training = [row for row in rows if row["split"] == "train"]
    training, others = training[:count], training[count:] if held_out else []
    validation = [row for row in rows if row["split"] == "val"]
    with open(path, "w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(("path", "patient_id", "split"))
        for row in training + validation:
            writer.writerow(((folder / row["path"]).absolute(), row["patient_id"], row["split"]))
        for row in others:
            writer.writerow(((folder / row["path"]).absolute(), row["patient_id"], "held_out"))


def run(name, seed, folder, registry, device):
    """Bench one generator; what is finished is not done again."""
    images, count, sets = SETS[name]
    manifest = (folder / f"{images}.csv").absolute()
    if not manifest.exists():
        folder.mkdir(parents=True, exist_ok=True)
        one_a_patient(Path(os.environ["MEMTK_DATA"]) / images, count, manifest)
    asked = {"generator": (name,), "seed": seed}
    long = Path(__file__).with_name(f"{name}-long.toml")
    config = long if long.exists() else None
    recipe = read_recipe(registry, asked, data=str(manifest), config=config, sets=sets)
    run_bench(make_plan(recipe, registry), registry, out=folder / f"{name}-{seed}", device=device)


def percent(value):
    return "-" if value is None else f"{100 * value:.0f}"


def row(name, seed, result):
    """Put one result into a row of the table."""
    series = [c.protocols["dar"]["n_mem"].value for c in result.checkpoints]
    dar, found = result.last.protocols["dar"], result.last.evidence
    rate, psnr = found.copy_rate, result.reconstruction
    span = f" ({percent(rate.low)} to {percent(rate.high)})" if rate else ""
    training = result.training_seconds or 0.0
    cells = (
        name,
        seed,
        result.used_training.images,
        f"{100 * found.reference_null:.1f}",
        ", ".join(map(percent, series)),
        f"{percent(dar['n_copies'].value)}%",
        f"{found.n_copies} of {result.last.n_synthetic}",
        f"{percent(rate.estimate)}%{span}" if rate else "-",
        "-" if found.patients_exposed is None else found.patients_exposed,
        f"{psnr.training_psnr:.1f} / {psnr.validation_psnr:.1f}" if psnr else "-",
        f"{sum(result.timing.values()) / 60:.1f} ({training / 60:.1f} of training)",
    )
    return "| " + " | ".join(map(str, cells)) + " |"


def table(folder):
    """Print what is finished, and the means over the seeds."""
    print(HEAD)
    for name in SETS:
        series = []
        for path in sorted(folder.glob(f"{name}-*/cells/*/result.json")):
            result = read_result(path)
            series.append([c.protocols["dar"]["n_mem"].value for c in result.checkpoints])
            print(row(name, result.seed, result))
        if len(series) > 1 and len({len(one) for one in series}) == 1:
            means = ", ".join(map(percent, np.mean(series, axis=0)))
            print(f"| {name} | mean of {len(series)} | | | {means} | | | | | | |")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--generators", nargs="+", default=list(SETS), choices=SETS)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--out", type=Path, default=Path("runs/overfit"))
    parser.add_argument("--table", action="store_true", help="print what is finished, run nothing")
    arguments = parser.parse_args()
    if not arguments.table:
        registry = open_registry()
        for seed in range(arguments.seeds):
            for name in arguments.generators:
                run(name, seed, arguments.out, registry, arguments.device)
    table(arguments.out)


if __name__ == "__main__":
    main()
