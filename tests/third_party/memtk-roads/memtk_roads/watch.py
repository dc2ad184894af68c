"""A training of one's own with the metric in it: `python -m memtk_roads.watch`."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator

import torch
from torch import Tensor, nn
from torch.nn import functional as F

import memtk


def pictures(count: int, seed: int) -> Tensor:
    """Return smooth random pictures, (count, 1, 16, 16) in [-1, 1]."""
    coarse = torch.randn(count, 1, 5, 5, generator=torch.Generator().manual_seed(seed)) / 3
    return F.interpolate(coarse, size=(16, 16), mode="bicubic").clamp(-1, 1)


def watched(epochs: int) -> Iterator[dict[str, float]]:
    """Let a table learn its 40 pictures by heart, and yield what the metric says of each epoch."""
    train, validation = pictures(40, seed=0), pictures(40, seed=1)
    table = nn.Parameter(pictures(40, seed=2))
    optimizer = torch.optim.Adam([table], lr=0.03)
    memorization = memtk.Memorization.from_images(
        train, validation, embedder="ntxent2d", preset="smoke", device="cpu"
    )
    for _ in range(epochs):
        for _ in range(10):
            optimizer.zero_grad()
            F.mse_loss(table, train).backward()
            optimizer.step()
        memorization.reset()
        memorization.update(table.detach())
        yield {name: float(value) for name, value in memorization.compute().items()}


if __name__ == "__main__":
    for number, found in enumerate(watched(4)):
        sys.stdout.write(json.dumps({"epoch": number, **found}) + "\n")
