"""Made-up run folders: of a bench, of an audit, as memtk leaves them, from images of waves.

No network is trained: the images themselves are compared. The numbers are computed from them as
in a run, and stored in records of `memtk.testing.fakes`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import torch

from memtk.data.image_files import create_images
from memtk.data.images import write_images
from memtk.evaluation import (
    MIXED,
    EmbeddedSets,
    Evaluation,
    Levels,
    Patients,
    PlantedSimilarity,
    calibrate,
    evaluate,
)
from memtk.interfaces import ImageSpec
from memtk.noise import derive
from memtk.registry import open_registry
from memtk.results import (
    Checkpoint,
    Components,
    Counts,
    Data,
    EmbedderTrainedOn,
    Reconstruction,
    RunFile,
    Suite,
    write_arrays,
    write_audit,
    write_result,
    write_run_file,
)
from memtk.testing import fakes

SEED = 3
"""Of made-up runs."""

PATIENT = "PAT-00417"
"""Begins every patient's number; no report may show it."""

PLACE = "/home/hospital/Doe_John_1957"
"""Where the recipe says that the images lie; no report may show it."""

SPLITS = ("training", "validation", "synthetic")


def smooth(rng: np.random.Generator, count: int, shape: Sequence[int]) -> np.ndarray:
    """Return images that differ in a few waves, float32 (count, 1, *S) in [-1, 1]."""
    axes = np.meshgrid(*[np.linspace(-1, 1, n) for n in shape], indexing="ij")
    phases = rng.uniform(0, 6.3, (count, 4))
    speeds = rng.uniform(1, 5, (count, 4, len(shape)))
    waves = sum(
        np.cos(phases[:, k].reshape(-1, *[1] * len(shape)) + np.tensordot(speeds[:, k], axes, 1))
        for k in range(4)
    )
    inside = sum(a**2 for a in axes) < 0.8
    return np.where(inside, waves / 4, -1.0)[:, None].astype(np.float32)


def write_run(
    folder: Path,
    shape: Sequence[int] = (12, 12),
    cells: Mapping[str, float] | None = None,
    count: int = 24,
    steps: Sequence[int] = (100, 200),
    seed: int = 0,
) -> Path:
    """Write the folder of a bench.

    Args:
        shape: of the images, 2D or 3D.
        cells: by name the share of the training images that each generator gives back.
        count: training images, as many as validation and synthetic ones.
        steps: of the checkpoints; at the last one the whole share is copied.
        seed: of the images.
    """
    rng = np.random.default_rng(seed)
    cells = {"monai": 0.6} if cells is None else cells
    spec = _spec(shape)
    sets = {name: smooth(rng, count, shape) for name in SPLITS[:2]}
    _write_data(folder, sets, spec)
    for cell, share in cells.items():
        _write_cell(folder, cell, share, sets, spec, steps, rng)
    recipe = {
        "suite": None,
        "bench": {"generator": list(cells), "preset": "smoke", "fdr": 0.1, "samples": None},
        "data": {"source": f"{PLACE}/manifest.csv", "shape": list(shape)},
        "settings": {"generator": {"weights": f"{PLACE}/net.pt"}},
    }
    return _finish(folder, recipe, list(cells))


def write_audit_run(
    folder: Path,
    shape: Sequence[int] = (12, 12),
    *,
    copied: float = 0.0,
    sizes: Sequence[int] = (24, 30, 40),
    noticed: float | None = 0.97,
    exposure: bool = True,
    given: bool = False,
    **said: Any,
) -> Path:
    """Write the folder of an audit.

    Args:
        shape: of the images, 2D or 3D.
        copied: share of the synthetic images that are copies.
        sizes: training, validation and synthetic images.
        noticed: share of 80 planted copies that the self-test noticed; None: it was not run.
        exposure: whether the exposure was tested.
        given: whether embeddings were given, not images.
        said: `policy`, `identical` and so on: arguments of `fakes.audit`.
    """
    rng, n, m = np.random.default_rng(0), sizes[0], sizes[-1]
    x = {s: smooth(rng, k, shape) for s, k in zip(SPLITS, sizes, strict=True)}
    count = round(copied * m)
    copies = x["training"][rng.permutation(n)[np.arange(count) % n]]
    x["synthetic"][:count] = _near(rng, copies)
    folder.mkdir(parents=True)
    share = 1.0 if noticed is None else noticed
    near = np.where(np.arange(80) < share * 80, 2.0, -2.0)  # similarity of each planted copy
    sources = np.arange(80) % n
    seen = x["training"][sources].reshape(80, -1)  # as they are, by the other comparison
    planted = PlantedSimilarity(sources, {MIXED: (near, sources)}, given=seen)
    found = _evaluate(x, exposure, planted)
    test = fakes.selftest(
        round(share * 80),
        80,
        exposure=round(0.95 * share * 80) if exposure else None,
        kinds=[*fakes.KINDS],
        specificity_from="held_out",
    )
    counts = dict(zip(SPLITS, sizes, strict=True))
    audit = fakes.audit(
        test=None if noticed is None else test,
        given=given,
        found=found.evidence,
        protocols=found.protocols,
        n=n,
        validation=sizes[1],
        m=m,
        similarity=fakes.used("pearson", "measures"),
        embedder=None if given else fakes.used("ntxent2d", "contrastive", weights="/home/x/net.pt"),
        embedder_trained_on=EmbedderTrainedOn(
            copies="given" if given else "training",
            exposure="none" if not exposure else "given" if given else "synthetic",
        ),
        data=None if given else _data(_spec(shape), **counts),
        seed=SEED,
        timing={"searching": 75.0},
        notes=["Nothing said whose the images are."],
        **said,
    )
    recipe: dict[str, Any] = {"audit": {"similarity": "pearson"}, "embeddings": ["ab" * 16, None]}
    if not given:
        _write_data(folder, x, _spec(shape))
        recipe = {
            "audit": {
                "embedder": None, "similarity": "pearson", "plants": 80, "exposure": exposure
            },
            "data": {
                "source": f"{PLACE}/train.csv",
                "validation_source": f"{PLACE}/val.csv",
                "synthetic_source": f"{PLACE}/made",
            },
            "settings": {"embedder": {"weights": f"{PLACE}/net.pt"}},
        }  # fmt: skip
    write_arrays(folder / "arrays.h5", "audit", found.arrays)
    write_audit(folder / "audit.json", audit)
    return _finish(folder, recipe, [])


def _write_cell(
    folder: Path,
    cell: str,
    share: float,
    sets: Mapping[str, np.ndarray],
    spec: ImageSpec,
    steps: Sequence[int],
    rng: np.random.Generator,
) -> None:
    home, count = folder / "cells" / cell, len(sets["training"])
    order, checkpoints = rng.permutation(count), []
    for number, step in enumerate(steps):
        synthetic = smooth(rng, count, spec.shape)
        copied = order[: round(share * count * (number + 1) / len(steps))]
        synthetic[: len(copied)] = _near(rng, sets["training"][copied])
        write_images(
            home / f"synthetic/step-{step:06d}.h5", [torch.from_numpy(synthetic)], count, spec
        )
        made = {**sets, "synthetic": synthetic}
        said = _evaluate(made, step == steps[-1], keys=(cell, f"step-{step:06d}"))
        write_arrays(home / "arrays.h5", f"step-{step:06d}", said.arrays)
        checkpoints.append(
            Checkpoint(
                step=step,
                n_synthetic=count,
                evidence=said.evidence,
                protocols=said.protocols,
                quality={"fid": 12.5 / (number + 1)},
            )
        )
    write_arrays(home / "arrays.h5", "training", {"index": np.arange(count)})
    curve = [(s, {"mse": 1 / (1 + s), "kl": 0.5 / (1 + s)}) for s in range(1, 200, 4)]
    result = fakes.result(
        cell=cell,
        suite=Suite(name="phantom", version="1") if len(spec.shape) == 3 else None,
        components=Components(
            generator=fakes.used(
                str(re.findall(r"\w+", cell)[0]), "toy", weights="/home/hospital/net.pt", steps=200
            ),
            embedder=fakes.used("ntxent", "contrastive", width=32),
            similarity=fakes.used("pearson", "measures"),
            mitigations=[fakes.used("augment", "mitigations")],
        ),
        data=_data(spec, training=count, validation=count),
        used_training=Counts(images=count, patients=count),
        seed=SEED,
        timing={f"training {cell}": 75.0},
        training={"generator": {"diffusion": curve}, "embedder": {"training": curve}},
        reconstruction=Reconstruction(training_psnr=31.0, validation_psnr=24.0),
        embedder_trained_on=EmbedderTrainedOn(copies="training", exposure="synthetic"),
        checkpoints=checkpoints,
    )
    write_result(home / "result.json", result)


def _spec(shape: Sequence[int]) -> ImageSpec:
    return ImageSpec(tuple(shape), 1, (1.0, 2.0, 3.0)[-len(shape) :])


def _data(spec: ImageSpec, **images: int) -> Data:
    """Return what is stored of the images, with a recipe that no report may show."""
    recipe = {"intensity": "percentiles 0.5 to 99.5", "pattern": r"(PAT-\d+)_.*"}
    return fakes.data(spec.shape, spec.spacing, **images).model_copy(update={"recipe": recipe})


def _near(rng: np.random.Generator, images: np.ndarray) -> np.ndarray:
    """Return near copies of images."""
    return np.clip(images + rng.normal(0, 0.05, images.shape), -1, 1).astype(np.float32)


def _evaluate(
    x: Mapping[str, np.ndarray],
    exposure: bool,
    planted: PlantedSimilarity | None = None,
    keys: tuple[str, ...] = (),
) -> Evaluation:
    """Evaluate made-up images with the draws of a run of the seed `SEED`.

    Args:
        keys: cell and label of the set; none of an audit.
    """
    rows = {name: images.reshape(len(images), -1) for name, images in x.items()}
    sets = EmbeddedSets(rows["training"], rows["validation"], rows["synthetic"])
    similarity = open_registry().load("similarity", "pearson")()
    calibration = calibrate(sets, similarity, Patients(), planted, seed=SEED)
    return evaluate(
        sets,
        sets if exposure else None,
        calibration,
        Levels(),
        protocols=open_registry().entries("protocol"),
        seed=derive(SEED, "intervals", *keys),
    )


def _write_data(folder: Path, sets: Mapping[str, np.ndarray], spec: ImageSpec) -> None:
    """Write the images of a run, (n, C, *S) by split."""
    (folder / "data").mkdir(parents=True)
    with h5py.File(folder / "data" / f"{fakes.FINGERPRINT}.h5", "w") as file:
        for split, x in sets.items():
            group = file.create_group(split)
            create_images(group, len(x), spec)[:] = x
            group["images"].attrs["complete"] = True
            group["patients"] = [f"{PATIENT}{split}{i}" for i in range(len(x))]


def _finish(folder: Path, recipe: dict[str, Any], cells: list[str]) -> Path:
    write_run_file(folder, RunFile(recipe=recipe, cells=cells, created="today"))
    (folder / "key").write_text("ab" * 32, encoding="utf-8", newline="\n")
    return folder
