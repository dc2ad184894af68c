"""How a result was made: components, images, packages, device. No path and no patient."""

from __future__ import annotations

import platform
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path

from memtk.components import ConfiguredComponent
from memtk.data.config import ARRAY, DataConfig, is_name
from memtk.data.prepare import Dataset
from memtk.evaluation.detector import Detector
from memtk.registry import Entry
from memtk.results import Counts, Data, Device, EmbedderTrainedOn, Spec, Used
from memtk.training.devices import Devices

PACKAGES = ("torch", "monai", "numpy", "accelerate", "diffusers")


def versions() -> dict[str, str]:
    """Return the versions of python and of the packages that numbers depend on."""
    return {"python": platform.python_version()} | {name: version(name) for name in PACKAGES}


def device_of(devices: Devices, precision: Mapping[str, str] | None = None) -> Device:
    """Return what a run was made on, with the precision of each training phase."""
    return Device(
        name=str(devices.device), processes=devices.world, precision=dict(precision or {})
    )


def trained_on(detector: Detector | None, *, exposure: bool) -> EmbedderTrainedOn | None:
    """Return what the embedder was trained on, with the exposure if asked for; None without one."""
    if detector is None:
        return None
    copies, exposed = ("given", "given") if detector.given else ("training", "synthetic")
    return EmbedderTrainedOn(copies=copies, exposure=exposed if exposure else "none")


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


def used(part: ConfiguredComponent | Entry) -> Used:
    """Return a component with its package, version and, if it has one, whole configuration."""
    entry = part if isinstance(part, Entry) else part.entry
    return Used(
        name=entry.name,
        plugin=entry.plugin.name,
        distribution=entry.plugin.distribution,
        version=entry.plugin.version,
        config={} if isinstance(part, Entry) else part.config.model_dump(mode="json"),
    )


def source_kind(source: str) -> str:
    """Return what kind of thing the images come from; never its path."""
    if source.startswith(ARRAY):
        return "arrays"
    if is_name(source):
        return source
    suffix = "".join(Path(source).suffixes[-1:]).lower()
    return {".csv": "manifest", "": "folder"}.get(suffix, "file")
