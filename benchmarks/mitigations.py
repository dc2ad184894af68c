"""Mitigations side by side on one data set: memorization, quality, attacks and training time.

    MEMTK_DATA=... python benchmarks/mitigations.py --seeds 3      # hours on two cores
    MEMTK_DATA=... python benchmarks/mitigations.py --mitigations augment smaller --seeds 1
    python benchmarks/mitigations.py --table --picture side-by-side.svg    # of what is finished

Chest X-rays at 64 x 64, one image of each patient: 64 to train on, 131 to validate, and 69 that
nobody sees, for the control `independent`. `monai2d` by `monai2d-long.toml`, plain and with each
mitigation. The runs are those of `memtk bench`, one a seed below `--out`; a second call goes on.
Prints a row a cell: numbers of the seeds, in their order, and means.
"""

from __future__ import annotations

import argparse
import base64
import os
from pathlib import Path

import numpy as np
from overfit import one_a_patient

from memtk.bench import make_plan, read_recipe, run_bench
from memtk.registry import open_registry
from memtk.report.figures import Spot, View, draw_comparison
from memtk.results import read_result
from memtk.results.measures import tradeoff

GENERATOR = "monai2d"
LONG = Path(__file__).with_name("monai2d-long.toml")
CHOICE = ("augment", "smaller", "early-stop", "release-filter", "distill")
QUALITY = ("fid", "ms-ssim", "prdc")
ATTACKS = ("gan-leaks", "denoising-loss", "pia")

HEAD = (
    "| cell | dar n_mem, % | copy rate, % (95% interval) | exposed of 64 | fid / real | ms-ssim "
    "| AUC gan-leaks | AUC denoising-loss | AUC pia | training, min |\n"
    "|---|---|---|---|---|---|---|---|---|---|"
)


def run(seed, mitigations, folder, registry, device):
    """Bench all cells with one seed; what is finished is not done again."""
    manifest = (folder / "chest.csv").absolute()
    if not manifest.exists():
        folder.mkdir(parents=True, exist_ok=True)
        images = Path(os.environ["MEMTK_DATA"]) / "chest_xray_64"
        one_a_patient(images, 64, manifest, held_out=True)
    asked = {
        "generator": (GENERATOR, "copycat", "independent"),
        "quality": QUALITY,
        "attack": ATTACKS,
        "compare": tuple(f"{GENERATOR}+{name}" for name in mitigations),
        "seed": seed,
    }
    recipe = read_recipe(registry, asked, data=str(manifest), config=LONG)
    run_bench(make_plan(recipe, registry), registry, out=folder / f"seed-{seed}", device=device)


def finished(folder):
    """Return the results by cell, in the order of the first run."""
    found = {}
    for path in sorted(folder.glob("seed-*/cells/*/result.json")):
        result = read_result(path)
        found.setdefault(result.cell, []).append(result)
    first = (GENERATOR, *(f"{GENERATOR}+{name}" for name in CHOICE))
    return {name: found[name] for name in dict.fromkeys((*first, *found)) if name in found}


def row(cell, results):
    """Put the results of a cell into a row."""
    lasts = [result.last for result in results]
    found = [last.evidence for last in lasts]
    rates = [one.copy_rate for one in found if one.copy_rate]
    exposed = ["-" if one.n_mem is None else str(one.n_mem) for one in found]
    areas = {
        name: [r.membership[name].auc.estimate for r in results if r.membership[name].auc]
        for name in results[0].membership
    }
    seconds = [r.training_seconds for r in results if r.training_seconds is not None]
    cells = (
        cell,
        ", ".join(f"{100 * last.protocols['dar']['n_mem'].value:.0f}" for last in lasts),
        ", ".join(f"{100 * r.estimate:.0f} ({100 * r.low:.0f}–{100 * r.high:.0f})" for r in rates),
        ", ".join(exposed),
        ", ".join(f"{fid(one):.2f}" for one in results),
        f"{np.mean([last.quality['ms-ssim'] for last in lasts]):.2f}",
        *(", ".join(f"{a:.2f}" for a in areas.get(name, [])) or "-" for name in ATTACKS),
        f"{np.mean(seconds) / 60:.1f}" if seconds else "-",
    )
    return "| " + " | ".join(cells) + " |"


def fid(result):
    """Return FID in multiples of what as many real training images score.

    So it can be compared between seeds, which have embedders of their own, and between sets of
    different sizes.
    """
    name = "fid[ntxent2d]"
    return result.last.quality[name] / result.last.measure_info[name].real


def picture(found, path):
    """Draw memorization against quality, a mark for each seed of each cell."""
    rates, shares = [], []
    for results in found.values():
        for side in tradeoff(results).sides:
            quality = fid(side.result)
            ends = (side.copy_rate.low, side.copy_rate.high)
            rates.append(Spot(side.cell, quality, side.copy_rate.estimate, ends))
            shares.append(Spot(side.cell, quality, side.exposed))
    views = [View("Copy rate", rates), View("Training images exposed", shares)]
    drawn = draw_comparison(views, list(found), "fid / fid of real images", "lower is better", 1.0)
    path.write_bytes(base64.b64decode(drawn.partition("base64,")[2]))


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--mitigations", nargs="+", default=list(CHOICE), metavar="NAME", help="those to compare"
    )
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--out", type=Path, default=Path("runs/mitigations"))
    parser.add_argument("--table", action="store_true", help="print what is finished, run nothing")
    parser.add_argument("--picture", type=Path, help="draw what is finished into this file (SVG)")
    arguments = parser.parse_args()
    if not arguments.table:
        registry = open_registry()
        for seed in range(arguments.seeds):
            run(seed, arguments.mitigations, arguments.out, registry, arguments.device)
    found = finished(arguments.out)
    print(HEAD)
    for cell, results in found.items():
        print(row(cell, results))
    if arguments.picture:
        picture(found, arguments.picture)


if __name__ == "__main__":
    main()
