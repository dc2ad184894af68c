"""The self-test alone: how many planted copies does a copy detector find on these images?"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from memtk.auditing.plan import AuditPlan
from memtk.auditing.run import open_context, open_detector
from memtk.auditing.weights import check_unseen
from memtk.bench.embedding import sources_of
from memtk.bench.evidence import CONFIDENCE, Patients, View, selftest_of
from memtk.bench.folder import check_apart, named_folder, open_run
from memtk.bench.planting import Planting
from memtk.errors import UserError
from memtk.events import Watch, ignore
from memtk.files import FULL, explain, working_in
from memtk.interfaces import Images
from memtk.registry import Registry
from memtk.results import SelfTest, write_arrays, write_record
from memtk.training.devices import Devices, open_devices


@dataclass(frozen=True)
class FinishedSelfTest:
    """What a self-test leaves behind: the run folder and what was found."""

    folder: Path
    selftest: SelfTest


def run_selftest(
    plan: AuditPlan,
    registry: Registry,
    *,
    confidence: float = CONFIDENCE,
    out: Path | None = None,
    device: str = "auto",
    resume: bool = True,
    watch: Watch = ignore,
) -> FinishedSelfTest | None:
    """Train the copy detector on the training images, plant copies of them, and count.

    No synthetic image is needed. The side of the exposure, which needs them, is left out.

    Returns:
        What was found; None on all processes but the first.

    Raises:
        UserError: for data, settings or a folder that cannot be used.
    """
    devices = open_devices(device)
    folder = out or named_folder("selftest", plan.identity())
    check_apart(folder, plan.data.sources())
    if not devices.is_main:
        devices.wait()
        _run(plan, registry, folder, devices, ignore, confidence)
        return None
    with working_in(folder), explain(folder, FULL):
        open_run(folder, plan.identity(), [], resume=resume)
        devices.wait()
        found = _run(plan, registry, folder, devices, watch, confidence)
    return FinishedSelfTest(folder, found)


def _run(
    plan: AuditPlan,
    registry: Registry,
    folder: Path,
    devices: Devices,
    watch: Watch,
    confidence: float,
) -> SelfTest:
    context = open_context(plan, registry, folder, devices, watch)
    training, validation = (context.dataset.split(name) for name in ("training", "validation"))
    sets: dict[str, Images] = {"training": training, "validation": validation}
    if len(held_out := context.dataset.split("held_out")):
        sets["held_out"] = held_out
    check_unseen(plan.weights, sets, exposure=False)
    detector = open_detector(context, plan, training, "embedder", "training")
    seen = sources_of(detector, sets, "real images")
    similarity = plan.similarity.make()
    with context.clock("searching"):
        found = context.search(
            seen["training"],
            seen["validation"],
            similarity,
            names=("training images", "validation images"),
        )
    arrays = {
        "train_validation": found.queries.similarity,
        "validation_train": found.references.similarity,
    }
    view = View(
        detector, seen["training"], seen["validation"], seen["validation"], seen.get("held_out")
    )
    with context.clock("planting copies"):
        planting = Planting(
            context,
            similarity,
            training,
            count=plan.options.plants,
            detector=detector,
            nearest_in=seen["training"],
        )
    made = selftest_of(
        context,
        arrays,
        planting,
        Patients(training.patients, validation.patients),
        view,
        None,
        similarity,
        alpha=plan.options.alpha,
        confidence=confidence,
    )
    if made is None:
        raise UserError(
            "there is one validation patient and nobody is held out: at least two are needed to "
            "say how often a stranger is taken for a copy"
        )
    if devices.is_main:
        write_arrays(folder / "arrays.h5", "planted", planting.arrays() | arrays)
        write_record(folder / "selftest.json", made)
    devices.wait()
    return made
