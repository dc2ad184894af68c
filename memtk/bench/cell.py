"""One cell of a bench: one generator, trained and judged over its checkpoints."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch

from memtk.bench.afterwards import finish
from memtk.bench.attacking import attack_cell
from memtk.bench.course import Course, run_course
from memtk.bench.deeds import in_order, settled
from memtk.bench.experiment import Networks
from memtk.bench.outcome import make_result
from memtk.bench.plan import Plan
from memtk.bench.privacy import deed_of, privacy_of
from memtk.components import ConfiguredComponent
from memtk.evaluation.context import Context
from memtk.evaluation.detector import Detector
from memtk.evaluation.quality import extractor_of, seen_by
from memtk.interfaces import Generator, Images
from memtk.results import Reconstruction, Result, read_arrays, write_arrays, write_result
from memtk.training.checkpoints import load_checkpoint


def run_cell(
    context: Context,
    plan: Plan,
    name: str,
    part: ConfiguredComponent,
    detector: Detector | None,
    second: Callable[[], Detector | None] = lambda: None,
) -> Result:
    """Train, sample and judge one generator; write and return its result.

    Args:
        name: of the cell.
        part: its generator.
        detector: the run's copy detector; None in image space.
        second: makes a second one, for what mitigations choose by the first.

    Raises:
        UserError: if the data do not suffice for it, or its training fails.
    """
    folder = context.folder / "cells" / name
    extractor = extractor_of(context, plan.extractor, plan.embedder, detector)
    eyes = Networks(detector, second, extractor)
    course = run_course(context, plan, name, eyes, plan.mitigations_of(name))
    outcome = finish(context, plan, name, course, eyes)
    load_checkpoint(course.generator, outcome.trained.path)
    with context.clock(f"reconstructing {name}"):
        reconstruction = _reconstruction(context, course.generator, course.training)
    attacked = attack_cell(context, plan, name, course, outcome, detector)
    privacy = privacy_of(course.trained.privacy)
    deeds = [*settled(plan, name), *course.deeds, *outcome.deeds]
    deeds += deed_of(privacy, plan.mitigations_of(name))
    result = make_result(
        context,
        plan,
        name,
        part,
        course.training,
        course.trained,
        course.checkpoints,
        detector,
        course.trainings,
    )
    result = result.model_copy(
        update={
            "reconstruction": reconstruction,
            "selftest": outcome.selftest,
            "extractor_saw": seen_by(extractor),
            "chosen": outcome.chosen,
            "deeds": in_order(deeds, plan, name),
            "membership": attacked,
            "privacy": privacy,
        }
    )
    if context.devices.is_main:
        _take_arrays(course, folder)
        write_arrays(folder / "arrays.h5", "training", {"index": course.training.indices})
        write_result(folder / "result.json", result)
    context.devices.wait()
    return result


def _take_arrays(course: Course, folder: Path) -> None:
    """Copy what was found at the checkpoints where it lies with another cell."""
    if course.folder == folder:
        return
    for checkpoint in course.checkpoints:
        arrays = read_arrays(course.folder / "arrays.h5", checkpoint.label)
        write_arrays(folder / "arrays.h5", checkpoint.label, arrays)


@torch.no_grad()
def _reconstruction(
    context: Context, generator: Generator, training: Images
) -> Reconstruction | None:
    """Return the autoencoder's PSNR, where the generator has one: it overfits too."""
    reconstruct = getattr(generator, "reconstruct", None)
    if reconstruct is None:
        return None
    generator.to(context.devices.device).eval()

    def psnr(images: Images) -> float:
        """Mean of 10 log10(2^2 / MSE) over the images, in dB; 2 is the range of [-1, 1]."""
        values: list[float] = []
        for start in range(0, len(images), 8):
            x = images.read(range(start, min(start + 8, len(images)))).to(context.devices.device)
            error = (reconstruct(x).float() - x).square().flatten(1).mean(1)  # (B,)
            values += (10 * torch.log10(4 / error.clamp_min(1e-12))).tolist()
        return float(np.mean(values))

    return Reconstruction(
        training_psnr=psnr(training), validation_psnr=psnr(context.dataset.split("validation"))
    )
