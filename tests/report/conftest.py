"""Made-up runs: a folder as `memtk bench` leaves it, with images of 2D or 3D."""

from __future__ import annotations

import h5py
import numpy as np
import pytest
import torch

from memtk.data.images import create_images, write_images
from memtk.interfaces import ImageSpec
from memtk.memorization import Embeddings, judge
from memtk.registry import open_registry
from memtk.report import build_report
from memtk.results import (
    Checkpoint,
    Components,
    Conformal,
    Counts,
    Dar,
    DarMatched,
    Data,
    Device,
    EmbedderSaw,
    Protocols,
    Reconstruction,
    Result,
    RunFile,
    Spec,
    Suite,
    Used,
    read_run,
    write_arrays,
    write_result,
    write_run_file,
)

PATIENT = "PAT-00417"
"""Begins every patient's number; no report may show it."""
FINGERPRINT = "0123456789abcdef0123456789abcdef"


def smooth(rng, count, shape):
    """Images that differ in a few waves, (count, 1, *S) in [-1, 1]."""
    axes = np.meshgrid(*[np.linspace(-1, 1, n) for n in shape], indexing="ij")
    phases = rng.uniform(0, 6.3, (count, 4))
    speeds = rng.uniform(1, 5, (count, 4, len(shape)))
    waves = sum(
        np.cos(phases[:, k].reshape(-1, *[1] * len(shape)) + np.tensordot(speeds[:, k], axes, 1))
        for k in range(4)
    )
    inside = sum(a**2 for a in axes) < 0.8
    return np.where(inside, waves / 4, -1.0)[:, None].astype(np.float32)


def protocols(said):
    copies, exposure = said.copies, said.exposure
    names = ("tau", "n_mem", "n_copies", "mem_fraction", "copy_fraction", "expected_mem_fraction")
    return Protocols(
        dar=Dar(
            **{name: getattr(said.dar, name) for name in names},
            validation_called_copies=said.dar.validation_called_copies,
        ),
        dar_matched=DarMatched(
            n_mem=said.matched.n_mem,
            mem_fraction=said.matched.mem_fraction,
            reason=said.matched.reason,
        ),
        conformal=Conformal(
            alpha=0.05,
            fdr=0.1,
            copies_flagged_fraction=copies.flagged_fraction,
            copies_expected_fraction=copies.expected_fraction,
            n_copies=copies.n_flagged,
            exposed_flagged_fraction=exposure.flagged_fraction if exposure else None,
            exposed_expected_fraction=exposure.expected_fraction if exposure else None,
            n_mem=exposure.n_flagged if exposure else None,
            patients_exposed=said.patients_exposed,
            finest_p=copies.finest,
            can_reject=copies.can_reject,
        ),
    )


def used(name, plugin, **config):
    return Used(name=name, plugin=plugin, distribution="memtk", version="0.1.0", config=config)


def write_run(folder, shape=(12, 12), cells=None, count=24, steps=(100, 200), seed=0):
    """Write a run; `cells` gives the share of the training images that each gives back."""
    rng = np.random.default_rng(seed)
    cells = {"monai": 0.6} if cells is None else cells
    spec = ImageSpec(tuple(shape), 1, (1.0, 2.0, 3.0)[-len(shape) :])
    training, validation = smooth(rng, count, shape), smooth(rng, count, shape)
    (folder / "data").mkdir(parents=True)
    with h5py.File(folder / "data" / f"{FINGERPRINT}.h5", "w") as file:
        for split, x in (("training", training), ("validation", validation)):
            group = file.create_group(split)
            create_images(group, len(x), spec)[:] = x
            group["images"].attrs["complete"] = True
            group["patients"] = [f"{PATIENT}{split}{i}" for i in range(len(x))]
    for cell, share in cells.items():
        _write_cell(folder, cell, share, training, validation, spec, steps, rng)
    recipe = {
        "suite": None,
        "bench": {"generator": list(cells), "preset": "smoke", "fdr": 0.1, "samples": None},
        "data": {"source": "/home/hospital/Doe_John_1957/manifest.csv", "shape": list(shape)},
        "settings": {"generator": {"weights": "/home/hospital/Doe_John_1957/net.pt"}},
    }
    write_run_file(folder, RunFile(recipe=recipe, cells=list(cells), created="today"))
    (folder / "key").write_text("ab" * 32)
    return folder


@pytest.fixture
def make_run(tmp_path):
    """`make_run(shape, cells, ...)`: see `write_run`."""
    return lambda **asked: write_run(tmp_path / "Doe_John_1957", **asked)


@pytest.fixture(scope="session")
def finished(tmp_path_factory):
    """A run of two generators with its report, to be read only."""
    folder = tmp_path_factory.mktemp("runs") / "Doe_John_1957"
    write_run(folder, cells={"monai+aug": 0.6, "independent": 0.0})
    build_report(folder)
    return folder


@pytest.fixture
def results(finished):
    """Of the two generators: one that memorized, one that did not."""
    return read_run(finished).results


@pytest.fixture
def plain(monkeypatch):
    """Leave the figures undrawn, where a test is not about them."""
    for name in ("draw_similarities", "draw_checkpoints", "draw_losses"):
        monkeypatch.setattr(f"memtk.report.cell.{name}", lambda *args: "data:image/svg+xml;base64,")


def _write_cell(folder, cell, share, training, validation, spec, steps, rng):
    home, count = folder / "cells" / cell, len(training)
    similarity = open_registry().load("similarity", "pearson")()
    order, checkpoints = rng.permutation(count), []
    for number, step in enumerate(steps):
        synthetic = smooth(rng, count, spec.shape)
        copied = order[: round(share * count * (number + 1) / len(steps))]
        noise = rng.normal(0, 0.05, synthetic[: len(copied)].shape).astype(np.float32)
        synthetic[: len(copied)] = np.clip(training[copied] + noise, -1, 1)
        write_images(
            home / f"synthetic/step-{step:06d}.h5", [torch.from_numpy(synthetic)], count, spec
        )
        rows = Embeddings(*(x.reshape(count, -1) for x in (training, validation, synthetic)))
        said = judge(rows, rows if step == steps[-1] else None, similarity=similarity)
        write_arrays(home / "arrays.h5", f"step-{step:06d}", said.arrays)
        checkpoints.append(
            Checkpoint(
                step=step,
                n_synthetic=count,
                protocols=protocols(said),
                quality={"fid": 12.5 / (number + 1)},
            )
        )
    write_arrays(home / "arrays.h5", "training", {"index": np.arange(count)})
    curve = [(s, {"mse": 1 / (1 + s), "kl": 0.5 / (1 + s)}) for s in range(1, 200, 4)]
    result = Result(
        memtk_version="0.1.0",
        cell=cell,
        suite=Suite(name="phantom", version="1") if len(spec.shape) == 3 else None,
        preset="smoke",
        components=Components(
            generator=used(cell, "toy", weights="/home/hospital/net.pt", steps=200),
            embedder=used("ntxent", "contrastive", width=32),
            similarity=used("pearson", "measures"),
            mitigations=[used("augment", "mitigations")],
        ),
        data=Data(
            fingerprint=FINGERPRINT,
            source="manifest",
            spec=Spec(shape=list(spec.shape), channels=1, spacing=list(spec.spacing)),
            recipe={"intensity": "percentiles 0.5 to 99.5", "pattern": r"(PAT-\d+)_.*"},
            counts={s: Counts(images=count, patients=count) for s in ("training", "validation")},
        ),
        used_training=Counts(images=count, patients=count),
        seed=3,
        versions={"python": "3.11", "torch": "2.13.0"},
        device=Device(name="cpu", processes=1, precision={"diffusion": "float32"}),
        timing={f"training {cell}": 75.0},
        training={"generator": {"diffusion": curve}, "embedder": {"training": curve}},
        reconstruction=Reconstruction(training_psnr=31.0, validation_psnr=24.0),
        embedder_saw=EmbedderSaw(copies="training", exposure="synthetic"),
        checkpoints=checkpoints,
    )
    write_result(home / "result.json", result)
