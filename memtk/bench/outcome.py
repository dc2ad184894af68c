"""Puts the result of a cell together, with all that it takes to repeat it."""

from __future__ import annotations

import platform
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path

from memtk import __version__
from memtk.bench.context import Context
from memtk.bench.embedding import Detector
from memtk.bench.plan import Part, Plan
from memtk.data.config import DataConfig
from memtk.data.images import StoredImages
from memtk.data.prepare import Dataset
from memtk.results import (
    Checkpoint,
    Components,
    Counts,
    Data,
    Device,
    EmbedderSaw,
    Result,
    Spec,
    Suite,
    Used,
)
from memtk.training.loop import Training

PACKAGES = ("torch", "monai", "numpy", "accelerate", "diffusers")


def make_result(
    context: Context,
    plan: Plan,
    name: str,
    part: Part,
    training: StoredImages,
    trained: Training,
    checkpoints: Sequence[Checkpoint],
    detector: Detector | None,
) -> Result:
    """Return the result of one cell. It names no path of the data and no patient."""
    dataset, recipe = context.dataset, plan.recipe
    embedder = used(plan.embedder) if plan.embedder else None
    return Result(
        memtk_version=__version__,
        cell=name,
        suite=Suite(**recipe.suite.model_dump()) if recipe.suite else None,
        preset=recipe.bench.preset,
        components=Components(
            generator=used(part),
            embedder=embedder,
            similarity=used(plan.similarity),
            mitigations=[used(m) for m in plan.mitigations],
            quality=[used(m) for m in plan.quality],
        ),
        data=data_of(dataset, plan.data),
        used_training=Counts(images=len(training), patients=len(set(training.patients))),
        seed=recipe.bench.seed,
        versions={"python": platform.python_version()} | {p: version(p) for p in PACKAGES},
        device=Device(
            name=str(context.devices.device),
            processes=context.devices.world,
            precision={p: str(v) for p, v in trained.precision.items()},
        ),
        timing=context.clock.of(
            f"training {name}",
            f"sampling {name} ",
            f"judging {name} ",
            "reading",
            "embedding real",
            f"embedding {name} ",
            "training the embedder",
            f"training {recipe.bench.embedder} on synthetic {name} ",
            f"reconstructing {name}",
        ),
        training={
            "generator": trained.losses,
            "embedder": detector.training.losses if detector and detector.training else {},
        },
        embedder_saw=EmbedderSaw(
            copies="training",
            exposure="none" if recipe.bench.exposure == "none" else "synthetic",
        )
        if embedder
        else None,
        checkpoints=list(checkpoints),
        complete=True,
    )


def data_of(dataset: Dataset, config: DataConfig) -> Data:
    """Return what is said of the images: no path, no patient."""
    spec = dataset.spec
    return Data(
        fingerprint=dataset.fingerprint,
        source=source_kind(config.source),
        spec=Spec(shape=list(spec.shape), channels=spec.channels, spacing=list(spec.spacing)),
        recipe=dataset.recipe(),
        counts={split: Counts(**c) for split, c in dataset.counts().items()},
    )


def used(part: Part) -> Used:
    """Return a component with its package, version and whole configuration."""
    return Used(
        name=part.name,
        plugin=part.entry.plugin.name,
        distribution=part.entry.plugin.distribution,
        version=part.entry.plugin.version,
        config=part.config.model_dump(mode="json"),
    )


def source_kind(source: str) -> str:
    """Return what kind of thing the images come from; never its path."""
    if source in {"phantom2d", "phantom3d"}:
        return source
    suffix = "".join(Path(source).suffixes[-1:]).lower()
    return {".csv": "manifest", "": "folder"}.get(suffix, "file")
