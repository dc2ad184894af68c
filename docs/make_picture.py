"""Draws docs/memorized.png: training images of phantoms, what came out again, and a stranger.

memtk bench --generator meddiff3d --out runs/picture
python docs/make_picture.py runs/picture
"""

from __future__ import annotations

import sys
from pathlib import Path

import h5py
import numpy as np
from matplotlib.figure import Figure

from memtk.data.images import open_images
from memtk.results import read_arrays, read_run

COLUMNS = 6
ROWS = ("training\npatient", "synthetic\nimage", "nearest\nstranger")


def main(folder: Path, out: Path) -> None:
    """Draw the middle planes of the most alike pairs of a run of phantoms."""
    result = read_run(folder).results[0]
    if not result.data.source.startswith("phantom"):
        sys.exit("the picture is published: draw it from a run of phantoms")
    cell = folder / "cells" / result.cell
    label = f"step-{result.last.step:06d}"
    arrays = read_arrays(cell / "arrays.h5", label)
    rows = np.argsort(-arrays["train_synthetic"], kind="stable")[:COLUMNS].tolist()
    with h5py.File(next((folder / "data").glob("*.h5"))) as file:
        training, validation = (file[name]["images"][:] for name in ("training", "validation"))
    made = open_images(cell / "synthetic" / f"{label}.h5")
    shown = (
        training[rows],
        made.read(arrays["train_synthetic_index"][rows].tolist()).numpy(),
        validation[arrays["train_validation_index"][rows]],
    )
    figure = Figure(figsize=(9, 4.7), layout="constrained")
    axes = figure.subplots(len(ROWS), COLUMNS)
    for line, (name, images) in enumerate(zip(ROWS, shown, strict=True)):
        for column, (image, ax) in enumerate(zip(images, axes[line], strict=True)):
            plane = image[0, image.shape[1] // 2]
            ax.imshow(plane, cmap="gray", vmin=-1, vmax=1, interpolation="nearest")
            ax.set_xticks([]), ax.set_yticks([])
            if column == 0:
                ax.set_ylabel(name, rotation=0, ha="right", va="center", fontsize=11, labelpad=12)
            if line:
                key = ("train_synthetic", "train_validation")[line - 1]
                ax.set_xlabel(f"{arrays[key][rows[column]]:.3f}", fontsize=10)
    figure.savefig(out, dpi=110)


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(__file__).parent / "memorized.png")
