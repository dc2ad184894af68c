"""The main job by today's recipe and by the one before, twice as long: time and evidence.

    python benchmarks/speed/main_job.py --seeds 0            # a quarter of an hour on two cores
    python benchmarks/speed/main_job.py --generator monai2d  # of 2D images: ten minutes

`memtk bench --suite phantom3d -g monai3d` with the preset demo as it is, and with
benchmarks/monai3d-long.toml, one after the other; a run that was stopped goes on. The runs stay in
the folder `--out`.
"""

import argparse
import json
import subprocess
import sys
from pathlib import Path

from memtk.results import read_result

HEAD = (
    "| seed | recipe | seconds | of the generator | of two embedders | sampling | "
    "dar n_mem at each fifth | conformal copies, exposed | copy rate, 95% interval | "
    "patients exposed |\n|---|---|---|---|---|---|---|---|---|---|"
)


def row(generator, seed, recipe, run):
    """Put one run into a row."""
    result = read_result(run / "cells" / generator / "result.json")
    seconds = json.loads((run / "timing.json").read_text())
    embedders = sum(s for stage, s in seconds.items() if stage.startswith("train embedder"))
    conformal, found = result.last.protocols["conformal"], result.last.evidence
    rate, exposed = found.copy_rate, found.exposed
    cells = (
        seed,
        recipe,
        f"{sum(seconds.values()):.0f}",
        f"{seconds[f'train: {generator}']:.0f}",
        f"{embedders:.0f}",
        f"{seconds[f'sample: {generator}']:.0f}",
        ", ".join(str(c.protocols["dar"]["n_mem"].count) for c in result.checkpoints),
        f"{conformal['copies'].count}, {conformal['exposed'].count}",
        f"{100 * rate.estimate:.0f}% ({100 * rate.low:.0f}–{100 * rate.high:.0f})",
        f"{exposed.low} to {exposed.high} of {exposed.of}",
    )
    print("| " + " | ".join(str(cell) for cell in cells) + " |", flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--generator", choices=("monai2d", "monai3d"), default="monai3d")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    parser.add_argument("--out", type=Path, default=Path("runs/main-job"))
    asked = parser.parse_args()
    name = asked.generator
    long = Path(__file__).parent.parent / f"{name}-long.toml"
    suite = f"phantom{name.removeprefix('monai')}"
    bench = (sys.executable, "-m", "memtk", "bench", "--suite", suite, "-g", name)
    print(HEAD)
    for seed in asked.seeds:
        for recipe, config in {"demo": (), "long": ("--config", str(long))}.items():
            run = asked.out / f"{name}-{recipe}-{seed}"
            measures = ("--quality", "fid", "--quality", "ms-ssim", "--seed", str(seed))
            command = (*bench, *measures, *config, "--out", str(run))
            subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
            row(name, seed, recipe, run)


if __name__ == "__main__":
    main()
