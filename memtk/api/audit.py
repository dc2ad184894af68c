"""An audit as a function call."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from functools import partial
from numbers import Integral
from pathlib import Path
from typing import Any

import numpy as np

from memtk.api.paths import is_path, name_of, path_of, text_of, texts_of
from memtk.api.result import AuditResult
from memtk.auditing import (
    EmbeddingAudit,
    FinishedAudit,
    audit_embeddings,
    checked_embeddings,
    make_audit_plan,
    run_audit,
)
from memtk.auditing.plan import AuditOptions
from memtk.config import build
from memtk.console import open_console
from memtk.data.arrays import array_images, as_numpy
from memtk.data.patients import patient_names
from memtk.errors import UserError
from memtk.events import Event, Watch, ignore
from memtk.progress import Progress
from memtk.registry import Registry, open_registry
from memtk.results import Policy, read_policy
from memtk.surroundings import kept

SOURCES = {
    "train": "source",
    "validation": "validation_source",
    "held_out": "held_out_source",
    "synthetic": "synthetic_source",
}
"""Of an argument, the setting of the data that it stands for."""

OF_IMAGES = ("embedder", "weights", "preset", "plants", "quality", "batch_size")
"""Options that mean nothing where the embeddings are there already."""


def audit(
    train: Any,
    validation: Any = None,
    synthetic: Any = None,
    *,
    held_out: Any = None,
    train_patients: Sequence[Any] | None = None,
    validation_patients: Sequence[Any] | None = None,
    held_out_patients: Sequence[Any] | None = None,
    embedder: str | None = None,
    weights: str | Path | None = None,
    preset: str | None = None,
    similarity: str = "pearson",
    plants: int = 100,
    exposure: bool = True,
    quality: Sequence[str] | str = (),
    alpha: float = 0.05,
    fdr: float = 0.1,
    policy: Policy | Mapping[str, Any] | str | Path | None = None,
    settings: Sequence[str] | Mapping[str, Any] | str = (),
    seed: int = 0,
    batch_size: int = 32,
    out: str | Path | None = None,
    device: str = "auto",
    workers: int = 1,
    keep_prepared: bool = False,
    resume: bool = True,
    progress: bool = True,
) -> AuditResult:
    """Tell whether synthetic images may be released: `memtk audit` as a function.

    Each set is an array or tensor of images, a list of them, or the path of a manifest, folder or
    file, as on the command line. Shapes: (N, H, W) and (N, 1, H, W) are gray pictures; (N, H, W, 3)
    and (N, 3, H, W) are colour pictures, audited in gray: `settings=["data.color=gray"]`;
    (N, D, H, W) and (N, 1, D, H, W) are volumes. What could be two things is refused. Intensities
    may have any range: each image is scaled by its own percentiles, as files are.

    If all sets are arrays of two axes, (N, D), they are taken for embeddings that somebody else's
    embedder made, one that has seen none of the images.

    What the audit keeps (the images as the embedder sees them, the report) lies in the run folder,
    `runs/` by default. The same call finds its run again: what was finished is not done twice.

    Args:
        train: the generator's training images.
        validation: images of patients whom it has not seen.
        synthetic: the images that it made.
        held_out: images of further such patients, to measure false alarms with.
        train_patients: whose each training image is, (N,); none: each is a patient's only image.
        validation_patients: the same of the validation images.
        held_out_patients: the same of the held-out images.
        embedder: the copy detector that is trained; none: ntxent3d, or ntxent2d for pictures.
        weights: trained weights of the embedder, in place of training it.
        preset: of the embedder's settings; none: audit, where it has one, or demo.
        similarity: likeness of two embeddings, or of two images ("ncc", which trains nothing).
        plants: training patients whose images are planted as copies; 0: none.
        exposure: tests training images and patients too, with a second embedder.
        quality: measures of quality and diversity: "fid", ["fid", "ct"], or "all".
        alpha: level of a single test, in (0, 1).
        fdr: false discovery rate of what is flagged, in (0, 1).
        policy: what is tolerable: a `memtk.Policy`, its keys, or a TOML file.
        settings: of data and embedder, `["data.shape=32,48,32"]` or `{"data": {"shape": ...}}`;
            of images in a manifest `data.condition=view` and `data.stratify=site` too.
        seed: all randomness follows from it.
        batch_size: images embedded at a time.
        out: the run folder.
        device: auto, cpu, cuda, mps.
        workers: processes that read files, where there are many, or train the second detector.
        keep_prepared: keeps whole images in the run folder, not only what the embedder sees of
            them; images in arrays are always kept whole.
        resume: False throws away what an earlier call left in the run folder.
        progress: shows bars.

    Raises:
        UserError: for images, settings or a folder that cannot be used.
    """
    sets = {"train": train, "validation": validation, "held_out": held_out, "synthetic": synthetic}
    for name in ("train", "validation", "synthetic"):
        if sets[name] is None and not (name == "validation" and is_path(train)):
            raise UserError(f"an audit compares three sets of images; {name} is missing")
    if not isinstance(workers, Integral) or workers < 1:
        raise UserError(f"workers={workers!r}: give a whole number, 1 or more")
    given = {name: value for name, value in sets.items() if value is not None}
    patients = {
        "train": train_patients,
        "validation": validation_patients,
        "held_out": held_out_patients,
    }
    asked: dict[str, Any] = {
        "embedder": embedder,
        "weights": None if weights is None else text_of(weights, "weights"),
        "preset": preset,
        "similarity": similarity,
        "plants": plants,
        "exposure": exposure,
        "quality": texts_of(quality, "quality"),
        "alpha": alpha,
        "fdr": fdr,
        "seed": seed,
        "batch_size": batch_size,
    }
    registry = open_registry()
    with ExitStack() as stack:
        watch: Watch = ignore
        if progress:
            watch = stack.enter_context(Progress(open_console(stderr=True), registry.host))
        stack.enter_context(speaking_python())
        how = {
            "policy": _policy(policy),
            "out": None if out is None else path_of(out, "out"),
            "device": name_of(device, "device"),
            "resume": resume,
            "watch": watching_in_python(watch),
        }
        audited = (
            _embeddings
            if _are_embeddings(given)
            else partial(_images, workers=workers, keep_prepared=keep_prepared)
        )
        finished = audited(registry, given, patients, asked, settings, how)
    if finished is None:
        raise UserError("memtk.audit runs in one process; under torchrun use memtk audit")
    return AuditResult(finished.folder, finished.audit)


def _are_embeddings(given: Mapping[str, Any]) -> bool:
    """Whether the sets are embeddings (N, D), all of them."""
    flat = [name for name, value in given.items() if len(getattr(value, "shape", ())) == 2]
    if flat and (others := [name for name in given if name not in flat]):
        raise UserError(
            f"{flat[0]} has two axes, as embeddings (N, D) have, and {others[0]} has not: give all "
            "sets as embeddings, or all as images"
        )
    return bool(flat)


def _policy(asked: Policy | Mapping[str, Any] | str | Path | None) -> Policy:
    if isinstance(asked, Policy):
        return asked
    if isinstance(asked, Mapping):
        return build(Policy, asked, where="policy")
    return read_policy(path_of(asked, "policy") if asked is not None else None)


def _images(
    registry: Registry,
    given: Mapping[str, Any],
    patients: Mapping[str, Sequence[Any] | None],
    asked: Mapping[str, Any],
    settings: Sequence[str] | Mapping[str, Any] | str,
    how: Mapping[str, Any],
    workers: int,
    keep_prepared: bool,
) -> FinishedAudit | None:
    for name, whose in patients.items():
        if whose is not None and (name not in given or is_path(given[name])):
            raise UserError(
                f"{name}_patients goes with an array of images; a manifest names its own"
            )
    data = {
        SOURCES[name]: text_of(each, name)
        if is_path(each)
        else array_images(name, each, patients.get(name))
        for name, each in given.items()
    }
    nested = isinstance(settings, Mapping)
    asked_for = {"settings": settings} if nested else {"sets": texts_of(settings, "settings")}
    plan = make_audit_plan(registry, asked, data=data, **asked_for)
    plan = replace(plan, workers=workers, keep_prepared=keep_prepared)
    return run_audit(plan, registry, **how)


def _embeddings(
    registry: Registry,
    given: Mapping[str, Any],
    patients: Mapping[str, Sequence[Any] | None],
    asked: Mapping[str, Any],
    settings: Sequence[str] | Mapping[str, Any] | str,
    how: Mapping[str, Any],
) -> FinishedAudit | None:
    defaults = AuditOptions.model_fields
    unfit = [name for name in OF_IMAGES if asked[name] != defaults[name].default]
    unfit += ["held_out"] if "held_out" in given else []
    unfit += ["settings"] if settings else []
    if unfit:
        raise UserError(
            f"{unfit[0]} goes with images; train, validation and synthetic are embeddings"
        )
    rows = {name: as_numpy(name, value) for name, value in given.items()}
    for name, whose in patients.items():
        if whose is not None:
            rows[f"{name}_patient"] = np.array(patient_names(whose, f"{name}_patients"))
    options = {name: value for name, value in asked.items() if name not in OF_IMAGES}
    plan = EmbeddingAudit(checked_embeddings(rows, "embeddings"), **options)
    return audit_embeddings(plan, registry, **how)


_NAMES = {"val": "validation", "data": "train", "set": "settings", "second_embedder": "embedder"}
"""Arguments that are called otherwise than the options of `memtk audit`."""

_WAYS: tuple[tuple[str, str | Callable[[re.Match[str]], str]], ...] = (
    (r"--set '([^']*)'", r'settings=["\1"]'),
    (r"--set ([\w.+-]+=\S*[^\s.;:,)])", r'settings=["\1"]'),
    (r"--(condition|stratify) (?!or\b|out\b)(\w[\w.-]*)", r'settings=["data.\1=\2"]'),
    (r"--(condition|stratify)(?!-)\b", r"data.\1"),
    (r"--no-([a-z]+)", r"\1=False"),
    (r"--(similarity|device) ([a-z0-9]+)", r'\1="\2"'),
    (r"--(train|val|synthetic|held-out) [A-Z]\b", lambda found: f"{_argument(found[1])}="),
    (r"--data manifest.csv", 'train="manifest.csv"'),
    (r"--([a-z][a-z-]*)", lambda found: f"{_argument(found[1])}="),
    (r"row (\d+) of (train|validation|synthetic)", r"\2[\1]"),
    (r"\b(train|validation)_patient\b", r"\1_patients"),
    (r"; memtk check names them\.", "."),
    (r"run the same command again", "make the same call again"),
    (r"run with resume=False", "call with resume=False"),
)


def in_python(text: str) -> str:
    """Return a sentence with arguments of `memtk.audit` in place of options.

    >>> in_python("Make them gray: --set data.color=gray")
    'Make them gray: settings=["data.color=gray"]'
    >>> in_python("use another --out, or throw that run away with --no-resume.")
    'use another out=, or throw that run away with resume=False.'
    """
    for pattern, way in _WAYS:
        text = re.sub(pattern, way, text)
    return text


def _argument(option: str) -> str:
    name = option.replace("-", "_")
    return _NAMES.get(name, name)


@contextmanager
def speaking_python() -> Iterator[None]:
    """Let what is refused inside be said in the words of a Python call.

    Raises:
        UserError: in place of one.
    """
    try:
        with kept():
            yield
    except UserError as error:
        raise UserError(in_python(str(error))) from error


def watching_in_python(watch: Watch) -> Watch:
    """Return a watch that hears notes in the words of a Python call."""

    def heard(event: Event) -> None:
        watch(Event(event.kind, event.stage, event.step, event.total, event.values,
                    in_python(event.text)))  # fmt: skip

    return heard
