"""The self-test alone: how many planted copies does a copy detector find on these images?"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from memtk.auditing.plan import AuditPlan
from memtk.auditing.run import open_detector, open_images
from memtk.errors import UserError
from memtk.evaluation.calibration import CONFIDENCE, Patients, calibrate
from memtk.evaluation.context import RunFolder, named_folder
from memtk.evaluation.detector import EmbeddedSets, check_unseen, sources_of
from memtk.evaluation.planted import Plants
from memtk.evaluation.selftest import self_test
from memtk.events import Watch, ignore
from memtk.interfaces import Images, Levels
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
    devices = open_devices(device, plan.workers)
    folder = RunFolder(
        out or named_folder("selftest", plan.identity()),
        plan.identity(),
        sources=tuple(plan.data.sources()),
        resume=resume,
        watch=watch,
    )
    done = folder.work(
        devices,
        lambda watch: _run(plan, registry, folder.path, devices, watch, confidence),
        lambda found: None,
    )
    return FinishedSelfTest(folder.path, done[0]) if done else None


def _run(
    plan: AuditPlan,
    registry: Registry,
    folder: Path,
    devices: Devices,
    watch: Watch,
    confidence: float,
) -> SelfTest:
    context = open_images(plan, registry, folder, devices, watch)
    training, validation = (context.dataset.split(name) for name in ("training", "validation"))
    sets: dict[str, Images] = {"training": training, "validation": validation}
    if len(held_out := context.dataset.split("held_out")):
        sets["held_out"] = held_out
    check_unseen(plan.weights, sets, exposure=False)
    detector = open_detector(context, plan, training, "embedder", "training")
    rows: dict[str, Any] = {**sources_of(detector, sets, "real images")}
    seen = EmbeddedSets(**rows, detector=detector)
    levels = Levels(plan.options.alpha, plan.options.fdr, confidence)
    with context.timer("calibrate"):
        calibration = calibrate(
            seen,
            plan.similarity.make(),
            Patients(training.patients, validation.patients),
            Plants(context, training, plan.options.plants),
            devices=devices,
            seed=plan.options.seed,
        )
    made = self_test(calibration, levels, seen, devices=devices)
    if made is None:
        raise UserError(
            "there is one validation patient and nobody is held out: at least two are needed to "
            "say how often a stranger is taken for a copy"
        )
    if devices.is_main:
        assert calibration.planted is not None
        arrays = {n: a for n, a in calibration.arrays.items() if not n.endswith("_index")}
        write_arrays(folder / "arrays.h5", "planted", calibration.planted.arrays() | arrays)
        write_record(folder / "selftest.json", made)
    devices.wait()
    return made
