"""Runs an audit: the images, the copy detectors, the self-test, the evaluation, the report."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from memtk import __version__
from memtk.auditing.lists import Names, write_lists
from memtk.auditing.plan import AuditPlan
from memtk.components import ConfiguredComponent
from memtk.data.images import StoredImages, identical_images
from memtk.data.prepare import Dataset
from memtk.data.sources import open_source
from memtk.errors import UserError, some
from memtk.evaluation.beside import Beside
from memtk.evaluation.by_condition import by_condition, quality_of_part
from memtk.evaluation.calibration import Patients, calibrate
from memtk.evaluation.context import Context, RunFolder, named_folder, open_context, prepared
from memtk.evaluation.detector import Detector, EmbeddedSets, check_unseen, sources_of
from memtk.evaluation.evaluate import Evaluation, evaluate
from memtk.evaluation.planted import Plants
from memtk.evaluation.population import with_likeness
from memtk.evaluation.provenance import data_of, device_of, trained_on, used, versions
from memtk.evaluation.quality import by_features, measure_quality
from memtk.evaluation.selftest import self_test
from memtk.events import Watch, ignore
from memtk.interfaces import Images, Levels
from memtk.memorization import IDENTICAL
from memtk.registry import Registry
from memtk.report import build_audit_report
from memtk.results import (
    LEVELS,
    Audit,
    Counts,
    Policy,
    SelfTest,
    decide,
    first_verdict,
    write_arrays,
    write_audit,
)
from memtk.results.audit import Screened
from memtk.training.devices import Devices, open_devices
from memtk.training.files import WAY_OUT


@dataclass(frozen=True)
class FinishedAudit:
    """What an audit leaves behind: the run folder, what was found, the page."""

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
    used = plan.options.model_dump(include=set(LEVELS)) | {"stratify": plan.data.stratify}
    policy = policy.settled(used)
    devices = open_devices(device, plan.workers)
    folder = RunFolder(
        out or named_folder("audit", plan.identity()),
        plan.identity(),
        sources=tuple(plan.data.sources()),
        resume=resume,
        watch=watch,
    )
    done = folder.work(
        devices,
        lambda watch: _run(plan, registry, folder.path, devices, watch, policy),
        lambda audit: build_audit_report(folder.path, registry),
    )
    return FinishedAudit(folder.path, *done) if done else None


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


def open_images(
    plan: AuditPlan, registry: Registry, folder: Path, devices: Devices, watch: Watch
) -> Context:
    """Read the images of a run, and see that its components work on them."""
    options = plan.options
    look = partial(plan.look, registry)
    read = partial(prepared, plan.data, registry, folder, devices, watch, look)
    context = open_context(
        folder, devices, watch, read, seed=options.seed, batch_size=options.batch_size
    )
    plan.check_dims(context.dataset.spec, registry)
    return context


def _run(
    plan: AuditPlan,
    registry: Registry,
    folder: Path,
    devices: Devices,
    watch: Watch,
    policy: Policy,
) -> Audit:
    context = open_images(plan, registry, folder, devices, watch)
    options, sets, screen = plan.options, _sets(context.dataset), plan.screen
    check_told(plan, sets.synthetic)
    if screen is not None:
        sets = replace(sets, validation=screen.validation(sets.validation))
    strangers = {"validation": sets.validation, "held_out": sets.held_out}
    refuse_real({k.replace("_", "-"): v for k, v in strangers.items() if v}, sets.synthetic)
    check_unseen(plan.weights, sets.all(), exposure=options.exposure)
    levels = Levels(options.alpha, options.fdr, policy.confidence)
    copies, exposure = _both_sides(context, plan, sets)
    patients = Patients.of(sets.training, sets.validation, context.seed("population"))
    with context.timer("calibrate"):
        calibration = calibrate(
            copies,
            plan.similarity.make(),
            patients,
            Plants(context, sets.training, options.plants) if options.plants else None,
            devices=devices,
            seed=options.seed,
            kept=folder / "calibration.h5",
        )
        if screen is not None and calibration.planted is not None:
            left = screen.planted(context, sets.training, calibration.planted)
            calibration = replace(calibration, planted=left if len(left.sources) else None)
    with context.timer("evaluate"):
        found = evaluate(
            copies,
            exposure,
            calibration,
            levels,
            protocols=plan.protocols,
            devices=devices,
            seed=context.seed("intervals"),
        )
        evidence = with_likeness(
            found.evidence, sets.synthetic, sets.validation, context.seed("likeness")
        )
        found = replace(found, evidence=evidence)
        selftest = self_test(calibration, levels, copies, exposure, found.arrays, devices=devices)
        audit = _audit(context, plan, copies.detector, sets, found, selftest, policy)
        seen = copies if any(map(by_features, plan.quality)) else None
        images = sets.validation, sets.synthetic
        name = plan.embedder.name if plan.embedder else ""
        quality, measured = measure_quality(plan.quality, seen, *images, name)
        parts = by_condition(
            calibration.groups(found.arrays),
            (sets.training, *images),
            levels,
            context.seed("intervals"),
            quality_of_part(plan.quality, seen, images, name),
        )
        measures = {"quality": quality, "measure_info": measured, "by_condition": parts}
        sides = {"copies": copies, "exposure": exposure if exposure is not copies else None}
        measures["training"] = {
            side: seen.detector.training.losses
            for side, seen in sides.items()
            if seen and seen.detector and seen.detector.training
        }
        audit = audit.model_copy(update=measures)
    if devices.is_main:
        write_arrays(folder / "arrays.h5", "audit", found.arrays)
        if calibration.planted:
            write_arrays(folder / "arrays.h5", "planted", calibration.planted.arrays())
        names = _names(plan, registry)
        lists = Names(names["training"], names["synthetic"], sets.training.patients)
        write_lists(folder, found.arrays, lists)
        write_audit(folder / "audit.json", audit)
    devices.wait()
    return audit


def _both_sides(
    context: Context, plan: AuditPlan, sets: Sets
) -> tuple[EmbeddedSets, EmbeddedSets | None]:
    """Return the sets as the detector of each side sees them; both are trained at once."""
    both = plan.options.exposure and plan.weights is None and plan.embedder is not None
    if plan.embedder is None or not both:
        copies = _seen(sets, open_detector(context, plan, sets.training, "embedder", "training"))
        return copies, copies if plan.options.exposure else None
    what, folder = "synthetic", "exposure"
    name = _name(plan.embedder, what)
    with Beside(context, plan.embedder, sets.synthetic, context.folder / folder, name) as beside:
        first = open_detector(beside.first(), plan, sets.training, "embedder", "training")
        copies = _seen(sets, first)
        if first is None or first.given:
            return copies, copies
        second = open_detector(beside.second(), plan, sets.synthetic, folder, what)
        return copies, _seen(sets, second)


def _seen(sets: Sets, detector: Detector | None) -> EmbeddedSets:
    seen: dict[str, Any] = {**sources_of(detector, sets.all(), "images")}
    identical = identical_images(sets.training, sets.synthetic)
    return EmbeddedSets(**seen, detector=detector, identical=identical)


def _sets(dataset: Dataset) -> Sets:
    names = ("training", "validation", "synthetic", "held_out")
    training, validation, synthetic, held_out = map(dataset.split, names)
    return Sets(training, validation, synthetic, held_out if len(held_out) else None)


def check_told(plan: AuditPlan, synthetic: StoredImages) -> None:
    """Refuse conditions where the synthetic images do not say what they were to be.

    Raises:
        UserError: with the way out.
    """
    if plan.data.condition and synthetic.conditions is None:
        columns = ", ".join(plan.data.condition)
        raise UserError(
            f"--condition {columns}: the synthetic images do not say what they were to be: name "
            f"them in a manifest (CSV) with the columns path and {columns}, or leave --condition "
            "out"
        )


def refuse_real(strangers: dict[str, Images], synthetic: Images) -> None:
    """Refuse synthetic images that are validation or held-out images.

    They are images of real patients, and stand on both sides of a comparison: a validation image
    is nearest to itself then, and no training image can be nearer to the synthetic ones than that.

    Args:
        strangers: the validation and held-out images, by name.

    Raises:
        UserError: counting them.
    """
    for name, images in strangers.items():
        if count := int(identical_images(images, synthetic).sum()):
            raise UserError(
                f"{some(count, len(synthetic), 'synthetic image', 'is/are')} identical to a {name} "
                "image: they are images of real patients, and hide others as long as they are "
                "there. Take them out; memtk check names them."
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
    name = _name(plan.embedder, what)
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


def _name(embedder: ConfiguredComponent, what: str) -> str:
    return f"the embedder {embedder.name} on {what} images"


def _audit(
    context: Context,
    plan: AuditPlan,
    detector: Detector | None,
    sets: Sets,
    found: Evaluation,
    selftest: SelfTest | None,
    policy: Policy,
) -> Audit:
    counts = {name: Counts(**count) for name, count in context.dataset.counts().items()}
    identical = int(found.arrays[IDENTICAL].sum())
    screened: Screened | None = None
    if plan.screen is not None:
        screened = "same design" if plan.screen.same else "another design"
        left = sets.validation
        people = len(set(left.patients)) or len(left)
        counts["validation"] = Counts(images=len(left), patients=people)
    return Audit(
        memtk_version=__version__,
        verdict=decide(
            policy, found.evidence, selftest, counts, identical_images=identical, screened=screened
        ),
        policy=policy,
        first_verdict=first_verdict(context.folder / "audit.json", policy),
        evidence=found.evidence,
        protocols=found.protocols,
        applied=[used(entry) for entry in plan.protocols],
        selftest=selftest,
        screened=screened,
        identical_images=identical,
        counts=counts,
        similarity=used(plan.similarity),
        metrics=[used(metric) for metric in plan.quality],
        embedder=used(plan.embedder) if plan.embedder else None,
        embedder_trained_on=trained_on(detector, exposure=plan.options.exposure),
        data=data_of(context.dataset, plan.data),
        seed=plan.options.seed,
        versions=versions(),
        device=device_of(context.devices),
        timing=context.timer.of(""),
        notes=_notes(detector, context.dataset),
    )


def _names(plan: AuditPlan, registry: Registry) -> Mapping[str, list[str]]:
    names = defaultdict(list)
    for sample in open_source(plan.data, registry).samples:
        names[sample.split].append(sample.name)
    return names


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
