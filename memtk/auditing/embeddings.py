"""An audit of embeddings that somebody else's embedder made."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from memtk import __version__
from memtk.auditing.arrays import GivenEmbeddings, rows_of
from memtk.auditing.lists import Names, write_lists
from memtk.auditing.run import FinishedAudit
from memtk.components import ConfiguredComponent, find_component
from memtk.errors import UserError, many
from memtk.evaluation.calibration import Patients, calibrate
from memtk.evaluation.context import RunFolder, named_folder
from memtk.evaluation.detector import EmbeddedSets, TrainingSearch
from memtk.evaluation.evaluate import evaluate
from memtk.evaluation.planted import MIXED, PlantedSimilarity
from memtk.evaluation.population import rows_test
from memtk.evaluation.provenance import device_of, used, versions
from memtk.evaluation.selftest import self_test
from memtk.events import Event, Watch, ignore
from memtk.interfaces import Levels, Similarity
from memtk.interfaces.images import one_a_patient
from memtk.memorization import search
from memtk.memorization.patients import owners as patient_numbers
from memtk.noise import derive
from memtk.registry import Entry, Registry
from memtk.report import build_audit_report
from memtk.results import (
    Audit,
    Counts,
    EmbedderTrainedOn,
    Policy,
    decide,
    first_verdict,
    write_arrays,
    write_audit,
)
from memtk.training.devices import Devices, open_devices


@dataclass(frozen=True)
class EmbeddingAudit:
    """What is asked of an audit of embeddings.

    Args:
        embeddings: of the training, validation and synthetic images; see `read_embeddings`.
        other: of the same images in the same order, from an embedder that has seen the synthetic
            ones and no others, for the exposure side; None takes one embedding as unseen by all
            sides.
        exposure: False leaves that side out: the embedder has seen the training images.
        similarity: of two embeddings, by name.
        alpha: level of a single test, in (0, 1).
        fdr: false discovery rate of what is flagged, in (0, 1).
        seed: all randomness follows from it.

    Raises:
        UserError: if the two are not of the same images.
    """

    embeddings: GivenEmbeddings
    other: GivenEmbeddings | None = None
    exposure: bool = True
    similarity: str = "pearson"
    alpha: float = 0.05
    fdr: float = 0.1
    seed: int = 0

    def __post_init__(self) -> None:
        first, second = self.embeddings, self.other or self.embeddings
        for name, rows in second.sets.items():
            if len(rows) != len(first.sets[name]):
                raise UserError(
                    f"{first.name} has {len(first.sets[name])} {name} images and {second.name} has "
                    f"{len(rows)}: both must be of the same images in the same order"
                )

    def identity(self) -> dict[str, Any]:
        """Return all that the numbers depend on."""
        asked = {"similarity": self.similarity, "alpha": self.alpha, "fdr": self.fdr}
        return {
            "audit": asked | {"seed": self.seed} | ({} if self.exposure else {"exposure": False}),
            "embeddings": [self.embeddings.digest, self.other.digest if self.other else None],
        }


def audit_embeddings(
    plan: EmbeddingAudit,
    registry: Registry,
    *,
    policy: Policy,
    out: Path | None = None,
    device: str = "auto",
    resume: bool = True,
    watch: Watch = ignore,
) -> FinishedAudit | None:
    """Audit embeddings of training, validation and synthetic images; see `run_audit`.

    Returns:
        What was found; None on all processes but the first.

    Raises:
        UserError: for a similarity or a folder that cannot be used.
    """
    policy = policy.settled({"alpha": plan.alpha, "fdr": plan.fdr, "seed": plan.seed})
    devices = open_devices(device)
    part = find_component(registry, "similarity", plan.similarity, {}, "")
    if part.cls.space != "embedding":
        raise UserError(f"similarity {plan.similarity!r} compares images; embeddings were given")
    identity, protocols = plan.identity(), registry.entries("protocol")
    folder = RunFolder(out or named_folder("audit", identity), identity, resume=resume, watch=watch)
    done = folder.work(
        devices,
        lambda watch: _run(plan, part, protocols, folder.path, devices, policy, watch),
        lambda audit: build_audit_report(folder.path, registry),
    )
    return FinishedAudit(folder.path, *done) if done else None


def _run(
    plan: EmbeddingAudit,
    part: ConfiguredComponent,
    protocols: Sequence[Entry],
    folder: Path,
    devices: Devices,
    policy: Policy,
    watch: Watch,
) -> Audit:
    given, similarity = plan.embeddings, part.make()
    copies, exposure = _sets(given), None
    if plan.exposure:
        exposure = _sets(plan.other) if plan.other else copies
    levels = Levels(plan.alpha, plan.fdr, policy.confidence)
    people, patients = given.texts("train_patient"), _patients(plan, similarity)
    watch(Event("start", "searching", 0, 1))
    planted, notes = _planted(plan, similarity)
    calibration = calibrate(copies, similarity, patients, planted, devices=devices, seed=plan.seed)
    seed = derive(plan.seed, "intervals")
    found = evaluate(
        copies, exposure, calibration, levels, protocols=protocols, devices=devices, seed=seed
    )
    selftest = self_test(calibration, levels, copies, exposure, found.arrays, devices=devices)
    watch(Event("end", "searching", 1, 1))
    counts = _counts(given)
    identical = len(rows_of(given.sets["synthetic"]) & rows_of(given.sets["training"]))
    audit = Audit(
        memtk_version=__version__,
        verdict=decide(policy, found.evidence, selftest, counts),
        policy=policy,
        first_verdict=first_verdict(folder / "audit.json", policy),
        evidence=found.evidence,
        protocols=found.protocols,
        applied=[used(entry) for entry in protocols],
        selftest=selftest,
        identical_images=0,
        counts=counts,
        similarity=used(part),
        embedder_trained_on=EmbedderTrainedOn(copies="given", exposure="given"),
        seed=plan.seed,
        versions=versions(),
        device=device_of(devices),
        notes=[*_notes(given, plan.exposure and plan.other is None, identical), *notes],
    )
    if devices.is_main:
        write_arrays(folder / "arrays.h5", "audit", found.arrays)
        names = Names(
            training=given.texts("train_id"), synthetic=given.texts("synthetic_id"), patients=people
        )
        write_lists(folder, found.arrays, names)
        write_audit(folder / "audit.json", audit)
    devices.wait()
    return audit


def _sets(given: GivenEmbeddings) -> EmbeddedSets:
    sets = given.sets
    return EmbeddedSets(sets["training"], sets["validation"], sets["synthetic"])


def _patients(plan: EmbeddingAudit, similarity: Similarity) -> Patients:
    """Return whose the images are, and whether an embedder that saw neither takes them for one."""
    given, unseen = plan.embeddings, (plan.other or plan.embeddings).sets
    whom = given.texts("train_patient"), given.texts("validation_patient")
    names = given.texts("train_stratum"), given.texts("validation_stratum")
    strata, tested = names if all(names) else None, None
    if plan.exposure:
        train, others = (
            _rows(unseen[name], similarity, name) for name in ("training", "validation")
        )
        tested = rows_test((train, others), whom, derive(plan.seed, "population"), strata)
    return Patients(*whom, strata, tested)


def _rows(embeddings: np.ndarray, similarity: Similarity, name: str) -> np.ndarray:
    """Return rows as the similarity compares them; `name` is that of their set."""
    rows = torch.from_numpy(np.asarray(embeddings, dtype=np.float32))
    try:
        return similarity.prepare(rows).numpy()
    except UserError as error:
        raise UserError(f"{name} images: {error}") from error


def _planted(
    plan: EmbeddingAudit, similarity: Similarity
) -> tuple[PlantedSimilarity | None, list[str]]:
    """Find what is near the planted copies that came along, one a patient; None without any.

    A copy that nothing was changed of is found by every embedder and shows nothing.

    Returns:
        What was found, and sentences on what was left out.
    """
    given, other = plan.embeddings, plan.other or plan.embeddings
    if "planted" not in given.labels:
        return None, []
    copies, source = given.labels["planted"], given.labels["planted_source"]
    owners = given.texts("train_patient")
    changed = np.flatnonzero((copies != given.sets["training"][source]).any(axis=1))
    patients = [owners[i] if owners else str(i) for i in source[changed].tolist()]
    rng = np.random.default_rng(derive(plan.seed, "planted"))
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
    seen = None
    origin = other.labels.get("planted_source")
    if plan.exposure and origin is not None and np.array_equal(origin, source):
        seen = other.labels["planted"][chosen]
    nearest = {MIXED: (near.similarity, near.index)}
    whose = patient_numbers(owners, len(given.sets["training"]), "training images")
    among = TrainingSearch(given.sets["training"], whose, similarity)
    second = {MIXED: among.second(copies[chosen], near.index, "planted copies")}
    return PlantedSimilarity(source[chosen], nearest, second, given=seen), notes


def _counts(given: GivenEmbeddings) -> dict[str, Counts]:
    patients = {
        "training": given.texts("train_patient"),
        "validation": given.texts("validation_patient"),
    }
    return {
        name: Counts(images=len(rows), patients=len(set(patients.get(name, ()))) or len(rows))
        for name, rows in given.sets.items()
    }


def _notes(given: GivenEmbeddings, both: bool, identical: int) -> list[str]:
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
            f"{many(identical, 'synthetic embedding', 'is/are')} equal to one of a training image: "
            "look whether the images are."
        )
    return notes
