"""An audit of embeddings that somebody else's embedder made."""

from __future__ import annotations

import platform
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

from memtk import __version__
from memtk.auditing.findings import Names, write_findings
from memtk.auditing.run import FinishedAudit
from memtk.auditing.vectors import Given, read_embeddings, rows_of
from memtk.bench.evidence import Patients, protocols_of, selftest_record
from memtk.bench.folder import named_folder, open_run
from memtk.bench.outcome import PACKAGES, used
from memtk.bench.planting import Sensed, one_a_patient
from memtk.components import find_component
from memtk.errors import UserError
from memtk.events import Event, Watch, ignore
from memtk.files import FULL, explain, working_in
from memtk.interfaces import Similarity
from memtk.memorization import (
    Embeddings,
    Judgement,
    Neighbours,
    cutoff,
    judge,
    score_planted,
    search,
    specificity,
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
from memtk.results.formats import many
from memtk.training.devices import open_devices


def audit_embeddings(
    path: Path,
    registry: Registry,
    *,
    policy: Policy,
    other: Path | None = None,
    exposure: bool = True,
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
        other: another such file, from an embedder that has seen the synthetic images and no
            others, for the exposure side; None takes one embedding as unseen by all sides.
        exposure: False leaves that side out: the embedder has seen the training images.

    Returns:
        What was found; None on all processes but the first.

    Raises:
        UserError: for a file that cannot be used, naming it.
    """
    devices = open_devices(device)
    given = read_embeddings(path)
    beside = read_embeddings(other) if other else given
    for name, rows in beside.sets.items():
        if len(rows) != len(given.sets[name]):
            raise UserError(
                f"{path} has {len(given.sets[name])} {name} images and {other} has {len(rows)}: "
                "both must be of the same images in the same order"
            )
    part = find_component(registry, "similarity", similarity, {}, "")
    if part.cls.space != "embedding":
        raise UserError(f"similarity {similarity!r} compares images; embeddings were given")
    identity: dict[str, Any] = {
        "audit": {"similarity": similarity, "alpha": alpha, "fdr": fdr, "seed": seed},
        "embeddings": [given.digest, beside.digest if other else None],
    }
    if not exposure:
        identity["audit"]["exposure"] = False
    folder = out or named_folder("audit", identity)
    watch(Event("start", "searching", 0, 1))
    patients = Patients(given.texts("train_patient"), given.texts("validation_patient"))
    seen = Embeddings(**given.sets)
    judgement = judge(
        seen,
        (Embeddings(**beside.sets) if other else seen) if exposure else None,
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
    planted = _planted(given, part.make(), seed)
    watch(Event("end", "searching", 1, 1))
    if not devices.is_main:
        return None
    protocols = protocols_of(
        judgement,
        alpha,
        fdr,
        patients,
        Sensed(planted.near.similarity, ()) if planted else None,
        confidence=policy.confidence,
        seed=derive(seed, "intervals"),
    )
    selftest = _selftest(given, judgement, planted, patients, alpha, policy.confidence)
    counts = _counts(given)
    identical = len(rows_of(given.sets["synthetic"]) & rows_of(given.sets["training"]))
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
        notes=[
            *_notes(given, exposure and other is None, identical),
            *(planted.notes if planted else []),
        ],
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


@dataclass(frozen=True)
class _Plants:
    """The planted copies that are counted: of each patient one, so that binomial intervals hold.

    Args:
        source: the row of `train` that each was made from, (K,).
        near: the nearest training image of each.
        notes: what was left out.
    """

    source: np.ndarray
    near: Neighbours
    notes: list[str]


def _planted(given: Given, similarity: Similarity, seed: int) -> _Plants | None:
    """Find what is near the planted copies of the file; None if it holds none.

    A copy that nothing was changed of is found by every embedder and shows nothing.
    """
    if "planted" not in given.labels:
        return None
    copies, source = given.labels["planted"], given.labels["planted_source"]
    owners = given.texts("train_patient")
    changed = np.flatnonzero((copies != given.sets["training"][source]).any(axis=1))
    patients = [owners[i] if owners else str(i) for i in source[changed].tolist()]
    rng = np.random.default_rng(derive(seed, "planted"))
    chosen = changed[one_a_patient(patients, len(changed), len(changed), rng)]
    notes = []
    if same := len(copies) - len(changed):
        notes.append(
            f"{same} of {many(len(copies), 'planted copy')} equal the training image that they "
            "were made from and are not counted: such a copy is always found."
        )
    if more := len(changed) - len(chosen):
        notes.append(
            f"Of the planted copies one a patient is counted, drawn at random; {more} more are not."
        )
    names = ("planted copies", "training images")
    near = search(copies[chosen], given.sets["training"], similarity, names=names).queries
    return _Plants(source[chosen], near, notes)


def _selftest(
    given: Given,
    judgement: Judgement,
    planted: _Plants | None,
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
        planted.near.similarity,
        planted.near.index,
        planted.source,
        patients.training,
        cutoff=limit,
        validation=strangers,
        validation_patients=patients.validation,
        alpha=alpha,
        confidence=confidence,
    )
    left = specificity(
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


def _notes(given: Given, both: bool, identical: int) -> list[str]:
    notes = ["Embeddings were given: how they were made is not part of this audit."]
    if both:
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
