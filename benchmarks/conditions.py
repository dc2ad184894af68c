"""A conditional model of real images: do samples look their condition, what does guidance do?

    MEMTK_DATA=... python benchmarks/conditions.py --seeds 3     # an hour on two cores
    MEMTK_DATA=... python benchmarks/conditions.py --size 32 --similarity ncc     # minutes
    python benchmarks/conditions.py --table                      # of what is finished

X-rays: one image of each of 64 training patients at 64 x 64 (or `--size`), 32 of each view (AP,
PA), and of 120 validation patients, half of each view. `--generator monai3d`: the hippocampi of the
manifest (two of most patients, 67 and 55), odd or even by the number of the file, which behave like
the two sides of a person. The model is trained by its `-long.toml` (or demo preset, `--set`), told
the condition; guidance is a setting of sampling, so that the runs of one seed share the training.
Whether a sample looks its condition is asked of a nearest-neighbour classifier of 9 validation
images, on pixels: whose right answers among the training images bound what can be expected.
The runs are those of `memtk bench`, one folder each below `--out`; a second call goes on.
"""

from __future__ import annotations

import argparse
import csv
import os
import re
from pathlib import Path

import numpy as np

from memtk.bench import make_plan, read_recipe, run_bench
from memtk.data.images import StoredImages, open_images
from memtk.evaluation.context import open_run
from memtk.folders import working_in
from memtk.registry import open_registry
from memtk.results import read_result
from memtk.study.tasks import hard_link

VIEWS = ("AP", "PA")
COLUMNS = {"monai2d": "view", "diffusers2d": "view", "monai3d": "side"}
TRAINING, VALIDATION = 32, 60
"""Patients of each view."""

STORED = 256
"""Pixels a side."""

NEIGHBOURS = 9


def write_sides(folder, path):
    """Write the hippocampi as they are split, with the parity of the number of each."""
    with open(folder / "manifest.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    with open(path, "w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(("path", "patient_id", "split", "side"))
        for row in rows:
            side = ("even", "odd")[int(re.search(r"_(\d+)", row["path"])[1]) % 2]
            place = (folder / row["path"]).absolute()
            writer.writerow((place, row["patient_id"], row["split"], side))


def write_views(folder, path):
    """Write the first image of each patient that has one view alone, so many of each split."""
    with open(folder / "manifest.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    views = {}
    for row in rows:
        views.setdefault(row["patient_id"], set()).add(row["view"])
    first = {r["patient_id"]: r for r in reversed(rows) if len(views[r["patient_id"]]) == 1}
    chosen = []
    for split, count in (("train", TRAINING), ("val", VALIDATION)):
        for view in VIEWS:
            own = [r for r in first.values() if (r["split"], r["view"]) == (split, view)]
            chosen += sorted(own, key=lambda row: row["path"])[:count]
    with open(path, "w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(("path", "patient_id", "split", "view"))
        for row in chosen:
            place = (folder / row["path"]).absolute()
            writer.writerow((place, row["patient_id"], row["split"], row["view"]))


def run(seed, guidance, registry, options):
    """Bench one guidance of one seed, with the training of guidance 1."""
    folder, generator, similarity = options.out, options.generator, options.similarity
    column, size = COLUMNS[generator], options.size
    manifest = (folder / f"{column}s.csv").absolute()
    if not manifest.exists():
        folder.mkdir(parents=True, exist_ok=True)
        images = Path(os.environ["MEMTK_DATA"])
        if column == "view":
            write_views(images / "chest_xray_256", manifest)
        else:
            write_sides(images / "hippocampus", manifest)
    asked = {
        "generator": (generator,),
        "condition": (column,),
        "quality": ("fid", "ms-ssim") if similarity == "pearson" else ("ms-ssim",),
        "similarity": similarity,
        "checkpoints": 1,
        "seed": seed,
    }
    shape, mm = (size, size), STORED / size
    if column == "side":
        shape, mm = (size * 3 // 4, size, size * 3 // 4), 48 / size
    sizes = {"shape": shape, "spacing": (mm,) * len(shape)}
    sets = [f"data.{name}={','.join(map(str, values))}" for name, values in sizes.items()]
    sets += ["data.anti_aliasing=true"] if column == "view" else []
    sets += [f"generator.guidance={guidance}", *options.set]
    long = Path(__file__).with_name(f"{options.generator}-long.toml")
    config = long if long.exists() else None
    recipe = read_recipe(registry, asked, data=str(manifest), config=config, sets=sets)
    plan = make_plan(recipe, registry)
    place, trained = folder / f"guidance-{guidance}-{seed}", folder / f"guidance-1-{seed}"
    if place != trained:
        with working_in(place):
            open_run(place, plan.identity(), list(plan.generators), resume=True)
            for part in ("data", "embedder/training", f"cells/{generator}/training"):
                if (trained / part).exists():
                    hard_link(trained / part, place / part)
    run_bench(plan, registry, out=place, device="cpu")


def looks(place, cell):
    """Return what samples, and training images, look like, of each condition.

    The share that the classifier gives its own condition, of samples and of training images, and
    the share of samples whose nearest training image is of their condition.
    """
    (data,) = (place / "data").glob("*.h5")
    result = read_result(place / "cells" / cell / "result.json")
    validation, training = (StoredImages(data, split) for split in ("validation", "training"))
    made = open_images(place / "cells" / cell / "synthetic" / f"{result.last.label}.h5")

    def right(images, known, neighbours):
        codes, own = (each.conditions[:, 0].numpy() for each in (known, images))
        near = np.argsort(-pixels(images) @ pixels(known).T, axis=1)[:, :neighbours]
        said = codes[near].mean(1) > 0.5
        return [float((said[own == code] == code).mean()) for code in (0, 1)]

    return (
        right(made, validation, NEIGHBOURS),
        right(training, validation, NEIGHBOURS),
        right(made, training, 1),
    )


def pixels(images):
    """Return images as rows of length 1 without their mean, so that a product is a correlation."""
    rows = images.read(range(len(images))).flatten(1).numpy().astype(np.float64)
    rows -= rows.mean(1, keepdims=True)
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def percent(value):
    return f"{100 * value:.0f}"


def table(folder):
    """Print a row for each run and view."""
    print(
        "| guidance | seed | view | looks it, % (real: %) | nearest training image is of it, % "
        "| copy rate, % (95% interval) | exposed | FID | MS-SSIM |\n" + "|---" * 9 + "|"
    )
    for path in sorted(folder.glob("guidance-*/cells/*/result.json")):
        result = read_result(path)
        dims = 3 if path.parent.name == "monai3d" else 2
        guidance = result.components.generator.config["guidance"]
        seen, real, near = looks(path.parents[2], path.parent.name)
        for code, found in enumerate(result.last.by_condition):
            rate, exposed = found.copy_rate, found.exposed
            quality = [found.quality.get(name) for name in (f"fid[ntxent{dims}d]", "ms-ssim")]
            spans = [
                f"{q.estimate:.3g} ({q.low:.3g} to {q.high:.3g})" if q else "-" for q in quality
            ]
            print(
                f"| {guidance:g} | {result.seed} | {found.value} | {percent(seen[code])} "
                f"({percent(real[code])}) | {percent(near[code])} | {percent(rate.estimate)} "
                f"({percent(rate.low)} to {percent(rate.high)}) | {exposed.low} to {exposed.high} "
                f"of {exposed.of} | {' | '.join(spans)} |"
            )


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--guidance", type=float, nargs="+", default=[1, 2, 4])
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--generator", choices=COLUMNS, default="monai2d")
    parser.add_argument("--set", action="append", default=[], help="a setting, as of memtk bench")
    parser.add_argument("--size", type=int, default=64, help="pixels a side")
    parser.add_argument("--similarity", default="pearson", help="ncc: of the images themselves")
    parser.add_argument("--out", type=Path, default=Path("runs/conditions"))
    parser.add_argument("--table", action="store_true", help="print what is finished, run nothing")
    arguments = parser.parse_args()
    if not arguments.table:
        registry = open_registry()
        for seed in range(arguments.seeds):
            for guidance in sorted({1.0, *arguments.guidance}):
                run(seed, f"{guidance:g}", registry, arguments)
    table(arguments.out)


if __name__ == "__main__":
    main()
