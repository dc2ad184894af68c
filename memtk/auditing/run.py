"""Runs an audit: the images, the copy detectors, the self-test, the judgement, the report."""

from __future__ import annotations

import platform
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

from memtk import __version__
from memtk.auditing.findings import Names, write_findings
from memtk.auditing.identical import identical_to, refuse_real
from memtk.auditing.plan import AuditPlan
from memtk.auditing.weights import check_unseen
from memtk.bench.clock import Clock
from memtk.bench.context import Context
from memtk.bench.embedding import Detector, sources_of
from memtk.bench.evidence import Patients, View, protocols_of, selftest_of
from memtk.bench.folder import check_apart, named_folder, open_run
from memtk.bench.outcome import PACKAGES, data_of, saw, used
from memtk.bench.planting import Planting
from memtk.bench.run import prepared
from memtk.data.images import StoredImages
from memtk.data.prepare import Dataset
from memtk.data.sources import open_source
from memtk.errors import UserError
from memtk.events import Watch, ignore
from memtk.files import FULL, explain, working_in
from memtk.interfaces import Images
from memtk.memorization import IDENTICAL, judge
from memtk.registry import Registry
from memtk.report import build_audit_report
from memtk.results import (
    Audit,
    Counts,
    Device,
    Policy,
    Protocols,
    SelfTest,
    decide,
    write_arrays,
    write_audit,
)
from memtk.training.checkpoints import WAY_OUT
from memtk.training.devices import Devices, open_devices


@dataclass(frozen=True)
class FinishedAudit:
    """What an audit leaves behind.

    Args:
        folder: the run folder.
        audit: what was found.
        report: the page.
    """

    folder: Path
    audit: Audit
    report: Path


def run_audit(
    plan: AuditPlan,
    registry: Registry,
    *,
    policy: Policy,
    out: Path | None = None,
    device: str = "auto",
    resume: bool = True,
    watch: Watch = ignore,
) -> FinishedAudit | None:
    """Audit synthetic images. What an earlier call finished in the folder is not done again.

    Args:
        policy: what decides; the numbers do not depend on it.
        out: the run folder; by default one that the plan determines.
        device: see `memtk.training.devices.open_devices`.
        resume: False throws away what an earlier run left in the folder.
        watch: told of all that happens, on the first process.

    Returns:
        What was found; None on all processes but the first.

    Raises:
        UserError: for data, settings or a folder that cannot be used.
    """
    devices = open_devices(device)
    folder = out or named_folder("audit", plan.identity())
    check_apart(folder, plan.data.sources())
    if not devices.is_main:
        devices.wait()
        _run(plan, registry, folder, devices, ignore, policy)
        return None
    with working_in(folder), explain(folder, FULL):
        open_run(folder, plan.identity(), [], resume=resume)
        devices.wait()
        audit = _run(plan, registry, folder, devices, watch, policy)
        report = build_audit_report(folder, registry)
    return FinishedAudit(folder, audit, report)


@dataclass(frozen=True)
class Sets:
    """The images of an audit, by role."""

    training: StoredImages
    validation: StoredImages
    synthetic: StoredImages
    held_out: StoredImages | None

    def all(self) -> dict[str, Images]:
        """Return them by name; held-out images only where there are any."""
        sets: dict[str, Images] = {
            "training": self.training,
            "validation": self.validation,
            "synthetic": self.synthetic,
        }
        return sets | ({"held_out": self.held_out} if self.held_out else {})


def open_context(
    plan: AuditPlan, registry: Registry, folder: Path, devices: Devices, watch: Watch
) -> Context:
    """Read the images of a run, and see that its components work on them."""
    clock = Clock(folder / "timing.json" if devices.is_main else None)
    with clock("reading the images"):
        dataset = prepared(plan.data, registry, folder, devices, watch)
    plan.check_dims(dataset.spec, registry)
    options = plan.options
    return Context(dataset, devices, folder, clock, watch, options.seed, options.batch_size)


def _run(
    plan: AuditPlan,
    registry: Registry,
    folder: Path,
    devices: Devices,
    watch: Watch,
    policy: Policy,
) -> Audit:
    context = open_context(plan, registry, folder, devices, watch)
    options, sets = plan.options, _sets(context.dataset)
    strangers = {"validation": sets.validation, "held_out": sets.held_out}
    refuse_real({k.replace("_", "-"): v for k, v in strangers.items() if v}, sets.synthetic)
    check_unseen(plan.weights, sets.all(), exposure=options.exposure)
    patients = Patients(sets.training.patients, sets.validation.patients)
    similarity = plan.similarity.make()
    copies = _view(sets, open_detector(context, plan, sets.training, "embedder", "training"))
    exposure = None
    if options.exposure and (copies.detector is None or copies.detector.given):
        exposure = copies
    elif options.exposure:
        exposure = _view(
            sets, open_detector(context, plan, sets.synthetic, "exposure", "synthetic")
        )
    with context.clock("searching"):
        seen = copies.embeddings
        other = seen if exposure is copies else exposure.embeddings if exposure else None
        judgement = judge(
            seen,
            other,
            validation_patients=patients.validation,
            training_patients=patients.training,
            similarity=similarity,
            alpha=options.alpha,
            fdr=options.fdr,
            device=devices.device,
            rank=devices.rank,
            world=devices.world,
            gather=devices.collect,
        )
    planting = None
    if options.plants:
        with context.clock("planting copies"):
            planting = Planting(
                context,
                similarity,
                sets.training,
                count=options.plants,
                detector=copies.detector,
                nearest_in=copies.training,
            )
    with context.clock("judging"):
        protocols = protocols_of(
            judgement,
            options.alpha,
            options.fdr,
            patients,
            planting.sensed() if planting else None,
            confidence=policy.confidence,
            seed=context.seed("intervals"),
        )
        selftest = None
        if planting:
            selftest = selftest_of(
                context,
                judgement.arrays,
                planting,
                patients,
                copies,
                exposure,
                similarity,
                alpha=options.alpha,
                confidence=policy.confidence,
            )
        same = identical_to(sets.training, sets.synthetic)
        audit = _audit(context, plan, copies.detector, int(same.sum()), protocols, selftest, policy)
    if devices.is_main:
        write_arrays(folder / "arrays.h5", "audit", judgement.arrays | {IDENTICAL: same})
        if planting:
            write_arrays(folder / "arrays.h5", "planted", planting.arrays())
        names = Names(
            training=_names(plan, registry, "training"),
            synthetic=_names(plan, registry, "synthetic"),
            patients=patients.training,
        )
        write_findings(folder, judgement.arrays, names)
        write_audit(folder / "audit.json", audit)
    devices.wait()
    return audit


def _view(sets: Sets, detector: Detector | None) -> View:
    seen = sources_of(detector, sets.all(), "images")
    return View(
        detector=detector,
        training=seen["training"],
        validation=seen["validation"],
        synthetic=seen["synthetic"],
        held_out=seen.get("held_out"),
    )


def _sets(dataset: Dataset) -> Sets:
    synthetic, held_out = dataset.split("synthetic"), dataset.split("held_out")
    return Sets(
        dataset.split("training"),
        dataset.split("validation"),
        synthetic,
        held_out if len(held_out) else None,
    )


def open_detector(
    context: Context, plan: AuditPlan, images: Images, folder: str, what: str
) -> Detector | None:
    """Train the copy detector on one side, or take the weights that were given.

    Returns:
        None where the similarity compares the images themselves.
    """
    if plan.embedder is None:
        return None
    weights, place = plan.weights, context.folder / folder
    name = f"the embedder {plan.embedder.name} on {what} images"
    if weights is None:
        return Detector(context, plan.embedder, images, place, name)
    if context.devices.is_main:
        place.mkdir(exist_ok=True)
    try:
        return Detector(context, plan.embedder, images, place, name, weights)
    except UserError as error:  # what says to delete a file of this run is no way out here
        reason = str(error).splitlines()[0].removesuffix(f": {WAY_OUT}")
        raise UserError(
            f"--weights: {reason}\nGive a checkpoint of {plan.embedder.name} as --preset and --set "
            "configure it now, or leave --weights out."
        ) from error


def _audit(
    context: Context,
    plan: AuditPlan,
    detector: Detector | None,
    identical: int,
    protocols: Protocols,
    selftest: SelfTest | None,
    policy: Policy,
) -> Audit:
    counts = {name: Counts(**count) for name, count in context.dataset.counts().items()}
    return Audit(
        memtk_version=__version__,
        verdict=decide(policy, protocols, selftest, counts, identical_images=identical),
        policy=policy,
        protocols=protocols,
        selftest=selftest,
        identical_images=identical,
        counts=counts,
        similarity=used(plan.similarity),
        embedder=used(plan.embedder) if plan.embedder else None,
        embedder_saw=saw(detector, asked=plan.options.exposure),
        data=data_of(context.dataset, plan.data),
        seed=plan.options.seed,
        versions={"python": platform.python_version()} | {p: version(p) for p in PACKAGES},
        device=Device(
            name=str(context.devices.device), processes=context.devices.world, precision={}
        ),
        timing=context.clock.of(""),
        notes=_notes(detector, context.dataset),
    )


def _names(plan: AuditPlan, registry: Registry, group: str) -> list[str]:
    samples = open_source(plan.data, registry).samples
    return [sample.name for sample in samples if sample.split == group]


def _notes(detector: Detector | None, dataset: Dataset) -> list[str]:
    notes = []
    if detector is not None and detector.given:
        notes.append(
            "The embedder was given, not trained here: the p-values hold only if it has seen none "
            "of these images."
        )
    if "unknown" in str(dataset.recipe().get("patients", "")):
        notes.append(
            "Nothing said whose the images are: each counts as a patient of its own. If patients "
            "have several images, intervals and p-values are too sure."
        )
    return notes
