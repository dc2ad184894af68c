from __future__ import annotations

import imageio.v3 as imageio
import numpy as np
import pytest

from memtk.config import build
from memtk.data.config import DataConfig
from memtk.data.prepare import prepare


@pytest.fixture
def ready(tmp_path, registry):
    """Prepare images: `ready(source, key=value, ...)` gives the data set and the events."""

    def run(source, folder=None, **keys):
        events = []
        config = build(DataConfig, {"source": str(source), **keys}, where="data")
        dataset = prepare(config, folder or tmp_path / "prepared", registry, events.append)
        return dataset, events

    return run


@pytest.fixture
def write_pngs(tmp_path):
    """Write PNGs of noise: `write_pngs(["a", "b"])` gives their folder."""

    def write(names, folder=tmp_path / "images", shape=(8, 8), seed=0):
        rng = np.random.default_rng(seed)
        for name in names:
            path = folder / f"{name}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            imageio.imwrite(path, rng.integers(0, 256, shape, dtype=np.uint8))
        return folder

    return write


@pytest.fixture
def write_manifest(write_pngs):
    """Write a manifest and its PNGs: rows of (name, patient, split)."""

    def write(rows, text=None, shape=(8, 8)):
        folder = write_pngs([row[0] for row in rows], shape=shape)
        lines = [",".join((f"{row[0]}.png", *row[1:])) for row in rows]
        path = folder / "list.csv"
        path.write_text(text or "\n".join(["path,patient_id,split", *lines]) + "\n")
        return path

    return write
