"""A program that knows nothing of memtk: `python -m memtk_roads.draw FOLDER COUNT SEED`."""

from __future__ import annotations

import sys
from pathlib import Path

import imageio.v3 as imageio
import numpy as np

SIDE = 16


def draw(folder: Path, count: int, seed: int) -> None:
    """Write `count` grey pictures of waves."""
    folder.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(seed)
    place = np.linspace(0, 1, SIDE)
    for number in range(count):
        down, along = rng.uniform(0, 6, 2)
        wave = np.sin(down * place[:, None] + along * place + rng.uniform(0, 6))  # (SIDE, SIDE)
        imageio.imwrite(folder / f"{number:04d}.png", np.uint8(127.5 * (1 + wave)))


if __name__ == "__main__":
    draw(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]))
