"""An audit as a function call."""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console

from memtk.api.given import NAMES, GivenSet, as_set, is_path, on_cpu
from memtk.api.result import AuditResult
from memtk.auditing import (
    EmbeddingAudit,
    audit_embeddings,
    checked_embeddings,
    make_audit_plan,
    run_audit,
)
from memtk.config import build
from memtk.errors import UserError
from memtk.evaluation.folder import named_folder
from memtk.events import Watch, ignore
from memtk.files import explain
from memtk.progress import Progress
from memtk.registry import Registry, open_registry
from memtk.results import Policy, read_policy

SOURCES = {
    "train": "source",
    "validation": "validation_source",
    "held_out": "held_out_source",
    "synthetic": "synthetic_source",
}
"""Of an argument, the setting of the data that it stands for."""


def audit(
    train: Any,
    validation: Any = None,
    synthetic: Any = None,
    *,
    held_out: Any = None,
    train_patients: Sequence[Any] | None = None,
    validation_patients: Sequence[Any] | None = None,
    held_out_patients: Sequence[Any] | None = None,
    policy: Policy | Mapping[str, Any] | str | Path | None = None,
    settings: Sequence[str] | Mapping[str, Any] = (),
    out: str | Path | None = None,
    device: str = "auto",
    resume: bool = True,
    progress: bool = True,
    **options: Any,
) -> AuditResult:
    """Tell whether synthetic images may be released: `memtk audit` as a function.

    Each set is an array or tensor of images, (N, H, W) or (N, D, H, W), with or without an axis of
    channels behind the first; or the path of a manifest, folder or file, as on the command line. If
    all three are arrays of two axes, (N, D), they are taken for embeddings that somebody else's
    embedder made, one that has seen none of the images. Intensities may have any range: each image
    is scaled by its own percentiles, as files are.

    Arrays are written to files beside the run folder while the audit goes on, and deleted when it
    is done; what the audit keeps (the prepared images, the report) lies in the run folder, `runs/`
    by default. The same arrays find their run again: what was finished is not done twice.

    Args:
        train: the generator's training images.
        validation: images of patients whom it has not seen.
        synthetic: the images that it made.
        held_out: images of further such patients, to measure false alarms with.
        train_patients: whose each training image is, (N,); none: each is a patient's only image.
        validation_patients: the same of the validation images.
        held_out_patients: the same of the held-out images.
        policy: what is tolerable: a `memtk.results.Policy`, its keys, or a TOML file.
        settings: of data and embedder, `["data.shape=32,48,32"]` or `{"data": {"shape": ...}}`.
        out: the run folder.
        device: auto, cpu, cuda, mps.
        resume: False throws away what an earlier call left in the run folder.
        progress: shows bars.
        **options: those of `memtk audit`: `embedder`, `weights`, `preset`, `similarity`, `plants`,
            `exposure`, `seed`, `alpha`, `fdr`, `batch_size`.

    Raises:
        UserError: for images, settings or a folder that cannot be used.
    """
    given = {"train": train, "validation": validation, "held_out": held_out, "synthetic": synthetic}
    for name in ("train", "validation", "synthetic"):
        if given[name] is None and not (name == "validation" and is_path(train)):
            raise UserError(f"an audit compares three sets of images; {name} is missing")
    patients = {
        "train": train_patients,
        "validation": validation_patients,
        "held_out": held_out_patients,
    }
    registry = open_registry()
    rules = _policy(policy)
    with ExitStack() as stack:
        watch: Watch = ignore
        if progress:
            watch = stack.enter_context(Progress(Console(stderr=True), registry.host))
        how = {"policy": rules, "device": device, "resume": resume, "watch": watch}
        there = {name: value for name, value in given.items() if value is not None}
        if all(_is_flat(value) for value in there.values()):
            finished = _of_embeddings(there, patients, registry, out, how, settings, options)
        else:
            finished = _of_images(there, patients, registry, out, how, settings, options)
    if finished is None:
        raise UserError("memtk.audit runs in one process; under torchrun use memtk audit")
    return AuditResult(finished.folder, finished.audit)


def _policy(asked: Policy | Mapping[str, Any] | str | Path | None) -> Policy:
    if isinstance(asked, Policy):
        return asked
    if isinstance(asked, Mapping):
        return build(Policy, asked, where="policy")
    return read_policy(Path(asked) if asked is not None else None)


def _is_flat(value: Any) -> bool:
    return not is_path(value) and len(getattr(value, "shape", ())) == 2


def _of_images(
    given: Mapping[str, Any],
    patients: Mapping[str, Sequence[Any] | None],
    registry: Registry,
    out: str | Path | None,
    how: Mapping[str, Any],
    settings: Sequence[str] | Mapping[str, Any],
    options: Mapping[str, Any],
) -> Any:
    for name, whose in patients.items():
        if whose is not None and (name not in given or is_path(given[name])):
            raise UserError(
                f"{name}_patients goes with an array of images; a manifest names its own"
            )
    sets = [
        as_set(name, given[name], patients.get(name))
        for name in NAMES
        if name in given and not is_path(given[name])
    ]
    folder = Path(out) if out is not None else _folder(sets, given, settings, options)
    beside = folder.with_name(f"{folder.name}-images")
    sources = {SOURCES[name]: str(value) for name, value in given.items() if is_path(value)}
    try:
        with explain(beside):
            sources |= {SOURCES[one.name]: str(one.write(beside)) for one in sets}
        tables = settings if isinstance(settings, Mapping) else None
        plan = make_audit_plan(
            registry,
            options,
            data=sources,
            sets=() if isinstance(settings, Mapping) else tuple(settings),
            settings=tables,
        )
        return run_audit(plan, registry, out=folder, **how)
    finally:
        shutil.rmtree(beside, ignore_errors=True)


def _folder(
    sets: Sequence[GivenSet],
    given: Mapping[str, Any],
    settings: Sequence[str] | Mapping[str, Any],
    options: Mapping[str, Any],
) -> Path:
    """Return the folder that these images always get."""
    return named_folder(
        "audit",
        {
            "arrays": {one.name: one.digest() for one in sets},
            "paths": {name: str(value) for name, value in given.items() if is_path(value)},
            "asked": repr((settings, sorted(options.items()))),
        },
    )


def _of_embeddings(
    given: Mapping[str, Any],
    patients: Mapping[str, Sequence[Any] | None],
    registry: Registry,
    out: str | Path | None,
    how: Mapping[str, Any],
    settings: Sequence[str] | Mapping[str, Any],
    options: Mapping[str, Any],
) -> Any:
    if "held_out" in given or settings:
        word = "held_out" if "held_out" in given else "settings"
        raise UserError(f"{word} goes with images; train, validation and synthetic are embeddings")
    rows = {name: np.asarray(on_cpu(value)) for name, value in given.items()}
    for name, whose in patients.items():
        if whose is not None:
            rows[f"{name}_patient"] = np.array([str(patient) for patient in whose])
    plan = EmbeddingAudit(checked_embeddings(rows, "embeddings"), **options)
    return audit_embeddings(plan, registry, out=None if out is None else Path(out), **how)
