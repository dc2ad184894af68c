"""An audit of embeddings that somebody else's embedder made."""

from __future__ import annotations

import hashlib
import platform
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

from memtk import __version__
from memtk.atomic import FULL, explain
from memtk.audit.findings import Names, write_findings
from memtk.audit.run import FinishedAudit
from memtk.bench.evidence import Patients, protocols_of, selftest_record
from memtk.bench.folder import named_folder, open_run, working_in
from memtk.bench.outcome import PACKAGES, used
from memtk.bench.plan import find_part
from memtk.bench.planting import Sensed
from memtk.errors import UserError, did_you_mean
from memtk.events import Event, Watch, ignore
from memtk.interfaces import Similarity
from memtk.memorization import (
    Embeddings,
    Judgement,
    Neighbours,
    cutoff,
    judge,
    score_planted,
    search,
    spared,
)
from memtk.noise import derive
from memtk.registry import Registry
from memtk.report import build_audit_report
from memtk.results import (
    Audit,
    Counts,
    Device,
    EmbedderSaw,
    Policy,
    SelfTest,
    decide,
    write_arrays,
    write_audit,
)
from memtk.training.devices import open_devices

SETS = {"train": "training", "validation": "validation", "synthetic": "synthetic"}
"""The arrays (N, D), (V, D), (M, D) that a file must hold, and what they are called in memtk."""

OPTIONAL = (
    *("train_patient", "validation_patient", "train_id", "validation_id", "synthetic_id"),
    *("planted", "planted_source"),
)
"""Further arrays: patients and names of the rows, and embeddings (K, D) of planted copies with the
rows of `train` (K,) that they were made from."""


@dataclass(frozen=True)
class Given:
    """What a file holds.

    Args:
        sets: "training", "validation" and "synthetic" embeddings, (n, D).
        labels: the optional arrays that are there.
        digest: that changes when the content does.
    """

    sets: dict[str, np.ndarray]
    labels: dict[str, np.ndarray]
    digest: str

    def texts(self, name: str) -> tuple[str, ...]:
        """Return an optional array as texts; empty if it is not there."""
        return tuple(str(value) for value in self.labels.get(name, ()))


def read_embeddings(path: Path) -> Given:
    """Read a NumPy archive (.npz). Nothing in it is executed.

    Raises:
        UserError: naming the file, for what is missing, of a wrong shape, or not finite.
    """
    try:
        with np.load(path, allow_pickle=False) as file:
            arrays = {name: file[name] for name in file.files}
    except FileNotFoundError as error:
        raise UserError(f"there is no file {path}") from error
    except (OSError, ValueError, zipfile.BadZipFile, EOFError, AttributeError, TypeError) as error:
        raise UserError(
            f"{path} cannot be read as a NumPy archive of plain arrays (np.savez): {error}"
        ) from error
    known = [*SETS, *OPTIONAL]
    for name in arrays:
        if name not in known:
            near = did_you_mean(name, known)
            raise UserError(f"{path}: unknown array {name!r}; known are {', '.join(known)}.{near}")
    missing = [name for name in SETS if name not in arrays]
    if missing:
        raise UserError(
            f"{path} has no array {', '.join(missing)}: it holds {', '.join(arrays) or 'none'}, "
            "and train (N, D), validation (V, D) and synthetic (M, D) are needed"
        )
    _check(path, arrays)
    digest = hashlib.sha256()
    for name in sorted(arrays):
        digest.update(f"{name}{arrays[name].shape}{arrays[name].dtype}".encode())
        digest.update(np.ascontiguousarray(arrays[name]).tobytes())
    return Given(
        {ours: arrays[theirs] for theirs, ours in SETS.items()},
        {name: arrays[name] for name in OPTIONAL if name in arrays},
        digest.hexdigest()[:32],
    )


def _check(path: Path, arrays: Mapping[str, np.ndarray]) -> None:
    widths = {}
    for name in (*SETS, "planted"):
        rows = arrays.get(name)
        if rows is None:
            continue
        if rows.ndim != 2 or 0 in rows.shape or rows.dtype.kind not in "fiu":
            raise UserError(
                f"{path}: {name} has the shape {rows.shape} of {rows.dtype}; a row of numbers for "
                "each image is needed, (images, D)"
            )
        widths[name] = rows.shape[1]
        bad = ~np.isfinite(rows).all(axis=1)
        if bad.any():
            raise UserError(
                f"{path}: row {int(np.argmax(bad))} of {name} holds NaN or infinite values "
                f"({int(bad.sum())} such rows)"
            )
    if len(set(widths.values())) > 1:
        shown = ", ".join(f"{name} {width}" for name, width in widths.items())
        raise UserError(f"{path}: the embeddings differ in width ({shown}): use one embedder")
    for name in OPTIONAL:
        if name == "planted" or name not in arrays:
            continue
        whose = "planted" if name == "planted_source" else name.rpartition("_")[0]
        if whose not in arrays or arrays[name].shape != arrays[whose].shape[:1]:
            need = f"{len(arrays[whose])} are needed" if whose in arrays else f"{whose} is missing"
            raise UserError(f"{path}: {name} has the shape {arrays[name].shape}: {need}")
    if "planted" in arrays:
        rows = arrays.get("planted_source")
        count = len(arrays["train"])
        if rows is None or rows.dtype.kind not in "iu" or rows.min() < 0 or rows.max() >= count:
            raise UserError(
                f"{path}: planted needs planted_source, for each row the row of train (0 to "
                f"{count - 1}) that was copied"
            )
    shared = set(map(str, arrays.get("train_patient", ()))) & set(
        map(str, arrays.get("validation_patient", ()))
    )
    if shared:
        raise UserError(
            f"{path}: {len(shared)} patients are in train and in validation. Then a copy cannot be "
            "told from another image of the same patient: put each patient into one of them."
        )


def audit_embeddings(
    path: Path,
    registry: Registry,
    *,
    policy: Policy,
    exposure: Path | None = None,
    similarity: str = "pearson",
    alpha: float = 0.05,
    fdr: float = 0.1,
    seed: int = 0,
    out: Path | None = None,
    device: str = "auto",
    resume: bool = True,
    watch: Watch = ignore,
) -> FinishedAudit | None:
    """Audit embeddings of training, validation and synthetic images.

    Args:
        path: see `SETS` and `OPTIONAL`.
        exposure: another such file, from an embedder that has seen the synthetic images and no
            others, for the exposure side; None takes one embedding as unseen by all sides.

    Returns:
        What was found; None on all processes but the first.

    Raises:
        UserError: for a file that cannot be used, naming it.
    """
    devices = open_devices(device)
    given = read_embeddings(path)
    other = read_embeddings(exposure) if exposure else given
    for name, rows in other.sets.items():
        if len(rows) != len(given.sets[name]):
            raise UserError(
                f"{path} has {len(given.sets[name])} {name} images and {exposure} has {len(rows)}: "
                "both must be of the same images in the same order"
            )
    part = find_part(registry, "similarity", similarity, {}, "")
    if part.cls.space != "embedding":
        raise UserError(f"similarity {similarity!r} compares images; embeddings were given")
    identity: dict[str, Any] = {
        "audit": {"similarity": similarity, "alpha": alpha, "fdr": fdr, "seed": seed},
        "embeddings": [given.digest, other.digest if exposure else None],
    }
    folder = out or named_folder("audit", identity)
    watch(Event("start", "searching", 0, 1))
    patients = Patients(given.texts("train_patient"), given.texts("validation_patient"))
    judgement = judge(
        Embeddings(**given.sets),
        Embeddings(**other.sets),
        similarity=part.make(),
        validation_patients=patients.validation,
        training_patients=patients.training,
        alpha=alpha,
        fdr=fdr,
        device=devices.device,
        rank=devices.rank,
        world=devices.world,
        gather=devices.collect,
    )
    planted = _planted(given, part.make())
    watch(Event("end", "searching", 1, 1))
    if not devices.is_main:
        return None
    protocols = protocols_of(
        judgement,
        alpha,
        fdr,
        patients,
        _sensed(given, planted),
        confidence=policy.confidence,
        seed=derive(seed, "intervals"),
    )
    selftest = _selftest(given, judgement, planted, patients, alpha, policy.confidence)
    counts = _counts(given)
    identical = len(_rows(given.sets["synthetic"]) & _rows(given.sets["training"]))
    audit = Audit(
        memtk_version=__version__,
        verdict=decide(policy, protocols, selftest, counts),
        policy=policy,
        protocols=protocols,
        selftest=selftest,
        identical_images=0,
        counts=counts,
        similarity=used(part),
        embedder_saw=EmbedderSaw(copies="given", exposure="given"),
        seed=seed,
        versions={"python": platform.python_version()} | {p: version(p) for p in PACKAGES},
        device=Device(name=str(devices.device), processes=devices.world, precision={}),
        notes=_notes(given, exposure is not None, identical),
    )
    with working_in(folder), explain(folder, FULL):
        open_run(folder, identity, [], resume=resume)
        write_arrays(folder / "arrays.h5", "audit", judgement.arrays)
        names = Names(
            training=given.texts("train_id"),
            synthetic=given.texts("synthetic_id"),
            patients=patients.training,
        )
        write_findings(folder, judgement.arrays, names)
        write_audit(folder / "audit.json", audit)
        report = build_audit_report(folder, registry)
    return FinishedAudit(folder, audit, report)


def _planted(given: Given, similarity: Similarity) -> Neighbours | None:
    if "planted" not in given.labels:
        return None
    return search(
        given.labels["planted"],
        given.sets["training"],
        similarity,
        names=("planted copies", "training images"),
    ).queries


def _sensed(given: Given, planted: Neighbours | None) -> Sensed | None:
    if planted is None:
        return None
    owners = given.texts("train_patient")
    rows = given.labels["planted_source"].tolist()
    return Sensed(planted.similarity, [owners[i] if owners else str(i) for i in rows])


def _selftest(
    given: Given,
    judgement: Judgement,
    planted: Neighbours | None,
    patients: Patients,
    alpha: float,
    confidence: float,
) -> SelfTest | None:
    """Return what the planted copies of the file show, without an exposure side."""
    if planted is None:
        return None
    limit = cutoff(judgement.arrays["train_validation"])
    strangers = judgement.arrays["validation_train"]
    score = score_planted(
        planted.similarity,
        planted.index,
        given.labels["planted_source"],
        patients.training,
        cutoff=limit,
        validation=strangers,
        validation_patients=patients.validation,
        alpha=alpha,
        confidence=confidence,
    )
    left = spared(
        np.zeros(0),
        strangers,
        patients.validation,
        cutoff=limit,
        alpha=alpha,
        confidence=confidence,
    )
    return selftest_record(score, left, (), confidence) if left else None


def _counts(given: Given) -> dict[str, Counts]:
    patients = {
        "training": given.texts("train_patient"),
        "validation": given.texts("validation_patient"),
    }
    return {
        name: Counts(images=len(rows), patients=len(set(patients.get(name, ()))) or len(rows))
        for name, rows in given.sets.items()
    }


def _notes(given: Given, two: bool, identical: int) -> list[str]:
    notes = ["Embeddings were given: how they were made is not part of this audit."]
    if not two:
        notes.append(
            "One embedding serves both sides: the p-values hold only if its embedder has seen "
            "neither the training nor the validation nor the synthetic images."
        )
    for name in ("train_patient", "validation_patient"):
        if name not in given.labels:
            notes.append(
                f"There is no array {name}: each image counts as a patient of its own. If patients "
                "have several images, intervals and p-values are too sure."
            )
    if identical:
        notes.append(
            f"{identical} embeddings of synthetic images are equal to one of a training image: "
            "look whether the images are."
        )
    return notes


def _rows(rows: np.ndarray) -> set[bytes]:
    return {row.tobytes() for row in np.ascontiguousarray(rows)}
