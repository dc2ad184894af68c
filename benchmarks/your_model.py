"""The wrapper of "Bring the model you have" on real images: is it caught, trained too long?

    MEMTK_DATA=... python benchmarks/your_model.py          # half an hour on two cores

Takes the class `Denoiser` out of the page, makes a plugin of it, and benches it with its demo
preset: on chest X-rays of 8 patients at 64 x 64, and on brain MRI (hippocampus) of 8 patients at
32 x 32 x 32, one image each; the images themselves are compared (ncc). The runs are those of
`memtk bench`, one folder each below `--out`; a second call goes on. Prints a row a set of images.
"""

from __future__ import annotations

import argparse
import os
import re
import subprocess
import sys
from pathlib import Path

from overfit import one_a_patient

from memtk.results import read_result

PAGE = Path(__file__).parents[1] / "docs/how-to/bring-the-model-you-have.md"
SETS = {
    "chest_xray_64": (8, ("--set", "denoiser.patch=16")),
    "hippocampus": (8, ("--set", "data.shape=32,32,32")),
}
"""Of each folder of images: training patients, settings of the data."""

HOOK = """from memtk import Component, hookimpl


@hookimpl
def memtk_generators():
    yield Component("denoiser", "your_model.denoiser:Denoiser", "The page's wrapper.")
"""


def write_plugin(place):
    """Write the first Python block of the page as an installed package, without pip."""
    package, record = place / "your_model", place / "your_model-1.0.dist-info"
    for folder in (package, record):
        folder.mkdir(parents=True, exist_ok=True)
    block = re.search(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.S)[1]
    (package / "denoiser.py").write_text(block, encoding="utf-8")
    (package / "__init__.py").write_text(HOOK)
    (record / "METADATA").write_text("Metadata-Version: 2.1\nName: your-model\nVersion: 1.0\n")
    (record / "entry_points.txt").write_text("[memtk]\nyours = your_model\n")


def bench(images, out, device):
    """Bench the wrapper on real images; what is finished is not done again."""
    count, sets = SETS[images]
    manifest, plugin = (out / f"{images}.csv").absolute(), out / "plugin"
    out.mkdir(parents=True, exist_ok=True)
    if not manifest.exists():
        one_a_patient(Path(os.environ["MEMTK_DATA"]) / images, count, manifest)
    write_plugin(plugin)
    path = os.pathsep.join([str(plugin.absolute()), os.environ.get("PYTHONPATH", "")])
    subprocess.run(
        [sys.executable, "-m", "memtk", "bench", "-g", "denoiser", "--preset", "demo",
         "--data", manifest, "--similarity", "ncc", "--samples", "40", "--checkpoints", "2",
         "--device", device, "--out", out / images, *sets],
        check=True, env=os.environ | {"PYTHONPATH": path},
    )  # fmt: skip


def rows(images, out):
    """Yield a row of the table for each generator."""
    for path in sorted((out / images / "cells").glob("*/result.json")):
        result = read_result(path)
        found, dar = result.last.evidence, result.last.protocols["dar"]["n_mem"]
        rate, exposed = found.copy_rate, found.exposed
        yield " | ".join(
            [
                f"| {images}",
                path.parent.name,
                f"{dar.count} of {dar.of} ({100 * dar.null:.0f}%)",
                f"{100 * rate.estimate:.0f}% ({100 * rate.low:.0f} to {100 * rate.high:.0f})",
                f"{exposed.low} to {exposed.high} of {exposed.of}",
                f"{(result.training_seconds or 0) / 60:.0f} |",
            ]
        )


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=Path("runs/your-model"))
    parser.add_argument("--device", default="auto")
    parser.add_argument("--images", nargs="+", choices=SETS, default=list(SETS))
    options = parser.parse_args()
    for images in options.images:
        bench(images, options.out, options.device)
    print("| images | generator | dar n_mem (null) | copy rate | patients exposed | minutes |")
    print("|---|---|---|---|---|---|")
    for images in options.images:
        print("\n".join(rows(images, options.out)))


if __name__ == "__main__":
    main()
