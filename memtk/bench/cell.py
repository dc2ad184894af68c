"""One cell of a bench: one generator, trained and judged over its checkpoints."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import torch
from torch import Tensor

from memtk.bench.checkpoint import Judge
from memtk.bench.context import Context
from memtk.bench.embedding import Detector
from memtk.bench.outcome import make_result
from memtk.bench.plan import Part, Plan
from memtk.bench.selection import chosen_training, learned_from, samples_of
from memtk.interfaces import Generator, Images, Mitigation
from memtk.noise import Noise
from memtk.results import Reconstruction, Result, write_arrays, write_result
from memtk.training.checkpoints import load_checkpoint
from memtk.training.loop import train


def run_cell(
    context: Context, plan: Plan, name: str, part: Part, detector: Detector | None
) -> Result:
    """Train, sample and judge one generator; write and return its result.

    Raises:
        UserError: if the data do not suffice for it, or its training fails.
    """
    bench = plan.recipe.bench
    folder = context.folder / "cells" / name
    mitigations: list[Mitigation] = [m.make() for m in plan.mitigations]
    training = chosen_training(plan, context.dataset)
    count = samples_of(plan, training)
    generator: Generator = context.make(part, context.dataset.spec, name)
    with context.clock(f"training {name}"):
        trained = train(
            generator,
            learned_from(part, training, context.dataset),
            seed=context.seed("generator", name),
            folder=folder / "training",
            devices=context.devices,
            checkpoints=bench.checkpoints,
            augment=_augmentation(mitigations),
            name=name,
            watch=context.watch,
        )
    judge = Judge(context, plan, name, part, generator, training, count, detector, mitigations)
    checkpoints = []
    for checkpoint in trained.checkpoints:
        last = checkpoint is trained.checkpoints[-1]
        exposure = bench.exposure == "all" or (bench.exposure == "last" and last)
        checkpoints.append(judge(checkpoint, exposure=exposure, last=last))
    load_checkpoint(generator, trained.checkpoints[-1].path)
    with context.clock(f"reconstructing {name}"):
        reconstruction = _reconstruction(context, generator, training)
    result = make_result(context, plan, name, part, training, trained, checkpoints, detector)
    result = result.model_copy(
        update={"reconstruction": reconstruction, "selftest": judge.selftest}
    )
    if context.devices.is_main:
        write_arrays(folder / "arrays.h5", "training", {"index": training.indices})
        write_result(folder / "result.json", result)
    context.devices.wait()
    return result


def _augmentation(
    mitigations: Sequence[Mitigation],
) -> Callable[[Tensor, Noise], Tensor] | None:
    active = [m for m in mitigations if type(m).augment is not Mitigation.augment]
    if not active:
        return None

    def augment(x: Tensor, noise: Noise) -> Tensor:
        for mitigation in active:
            x = mitigation.augment(x, noise)
        return x

    return augment


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
