"""The record of a finished cell: its result, with all that it takes to repeat it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import torch

from memtk import __version__
from memtk.bench.experiment import CellStage, Experiment, Run, State, TrainedGenerator, given
from memtk.bench.recipe import Recipe
from memtk.components import ConfiguredComponent
from memtk.data.config import is_name
from memtk.evaluation.provenance import data_of, device_of, trained_on, used, versions
from memtk.evaluation.quality import seen_by
from memtk.interfaces import Images, Stage
from memtk.results import (
    Canaries,
    Components,
    Counts,
    Privacy,
    PrivatePhase,
    Reconstruction,
    Result,
    Suite,
    read_arrays,
    write_arrays,
    write_result,
)
from memtk.results.redact import HIDDEN, redact, redact_settings
from memtk.training.checkpoints import load_checkpoint
from memtk.training.privacy import PrivacyGuarantee


class Record(CellStage):
    """The result is put together and written: with it, a cell is finished."""

    name = Stage.RECORD
    shared = False

    def __call__(self, experiment: Experiment, state: State, run: Run) -> State:
        """Write the result and the arrays of all that was evaluated into the cell's folder."""
        context, made = run.context, given(state.trained, Stage.TRAIN)
        load_checkpoint(made.generator, given(state.selection, Stage.STOP).weights.path)
        with context.timer("reconstruct"):
            reconstruction = _reconstruction(made)
        result = _result(experiment, state, run, reconstruction)
        if context.devices.is_main:
            folder = context.folder / experiment.home
            if made.folder != folder:  # what was found there stands here too
                for checkpoint in state.checkpoints:
                    arrays = read_arrays(made.folder / "arrays.h5", checkpoint.label)
                    write_arrays(folder / "arrays.h5", checkpoint.label, arrays)
            write_arrays(folder / "arrays.h5", "training", {"index": made.training.indices})
            write_result(folder / "result.json", result)
        context.devices.wait()
        return replace(state, result=result)

    def files(self, experiment: Experiment, labels: Sequence[str]) -> tuple[Path, ...]:
        """Return the result."""
        return (experiment.home / "result.json",)


def _result(
    experiment: Experiment, state: State, run: Run, reconstruction: Reconstruction | None
) -> Result:
    """Return the result of one cell. It names no path of the data and no patient."""
    context, plan, recipe = run.context, experiment.plan, experiment.plan.recipe
    made, selection = given(state.trained, Stage.TRAIN), given(state.selection, Stage.STOP)
    detector, names = run.networks.first, [part.name for part in experiment.mitigations]
    return Result(
        memtk_version=__version__,
        cell=experiment.cell,
        suite=Suite(**recipe.suite.model_dump()) if recipe.suite else None,
        request=request_of(recipe, experiment.generator, names),
        preset=recipe.bench.preset,
        components=Components(
            generator=used(experiment.generator),
            embedder=used(plan.embedder) if plan.embedder else None,
            similarity=used(plan.similarity),
            mitigations=[used(m) for m in experiment.mitigations],
            quality=[used(m) for m in plan.quality],
            extractor=used(plan.extractor) if plan.extractor else None,
            attacks=[used(a) for a in plan.attacks],
            protocols=[used(entry) for entry in plan.protocols],
        ),
        data=data_of(context.dataset, plan.data),
        used_training=Counts(images=len(made.training), patients=len(set(made.training.patients))),
        canaries=_canaries(state, run) if state.canaries.names else None,
        seed=recipe.bench.seed,
        versions=versions(),
        device=device_of(context.devices, {p: str(v) for p, v in made.trained.precision.items()}),
        timing=context.timer.of("", experiment.cell, *state.trainings),
        training_stages=[context.timer.key(Stage.TRAIN, name) for name in state.trainings],
        training={
            "generator": made.trained.losses,
            "embedder": detector.training.losses if detector and detector.training else {},
        },
        reconstruction=reconstruction,
        embedder_trained_on=trained_on(detector, exposure=recipe.bench.exposure != "none"),
        extractor_trained_on=seen_by(run.networks.extractor),
        checkpoints=list(state.checkpoints),
        chosen=selection.reevaluated,
        mitigation_effects=sorted(
            state.effects, key=lambda e: names.index(e.mitigation.split(", ")[-1])
        ),
        membership=dict(state.membership),
        privacy=privacy_of(made.trained.privacy),
        selftest=selection.selftest,
        complete=True,
    )


def _canaries(state: State, run: Run) -> Canaries:
    away = state.canaries.held_back
    images = sum(name in away for name in run.context.dataset.split("training").patients)
    return Canaries(
        patients=len(state.canaries.names),
        took_part=sum(state.canaries.took_part),
        held_back_images=images,
    )


def request_of(
    recipe: Recipe, part: ConfiguredComponent, mitigations: Sequence[str]
) -> dict[str, Any]:
    """Return what was asked of one cell, as `run.json` has it, without the places of the data.

    Args:
        mitigations: that were applied in the cell.
    """
    whole = recipe.model_dump(mode="json")
    data = _without_places(whole["data"])
    return {
        "bench": whole["bench"]
        | {
            "generator": [f"{part.entry.plugin.name}/{part.name}"],
            "mitigation": list(mitigations),
            "compare": [],
            "condition_from": None if recipe.bench.condition_from is None else HIDDEN,
        },
        "data": redact(data),
        "settings": redact_settings(whole["settings"]),
    }


def _without_places(data: Mapping[str, Any]) -> dict[str, Any]:
    """Hide where somebody's own images lie, and how their patients are named."""

    def hidden(key: str, value: Any) -> bool:
        if key == "patient_pattern":
            return value is not None and not is_name(str(data.get("source", "")))
        return key.endswith("source") and value is not None and not is_name(str(value))

    return {key: HIDDEN if hidden(key, value) else value for key, value in data.items()}


def privacy_of(spent: PrivacyGuarantee | None) -> Privacy | None:
    """Return the guarantee as a result keeps it."""
    if spent is None:
        return None
    phases = [
        PrivatePhase(name=s.phase, steps=s.steps, sample_rate=s.sample_rate) for s in spent.phases
    ]
    return Privacy(
        epsilon=spent.epsilon,
        delta=spent.delta,
        unit=spent.unit,
        units=spent.units,
        most_images=spent.most_images,
        noise_multiplier=spent.noise_multiplier,
        max_grad_norm=spent.max_grad_norm,
        steps=sum(phase.steps for phase in phases),
        phases=phases,
        accountant=spent.accountant,
        opacus_version=version("opacus"),
        secret=spent.secret,
        notes=list(spent.notes),
    )


@torch.no_grad()
def _reconstruction(made: TrainedGenerator) -> Reconstruction | None:
    """Return the autoencoder's PSNR, where the generator has one: it overfits too."""
    reconstruct, device = getattr(made.generator, "reconstruct", None), made.context.devices.device
    if reconstruct is None:
        return None
    made.generator.to(device).eval()

    def psnr(images: Images) -> float:
        """Mean of 10 log10(2^2 / MSE) over the images, in dB; 2 is the range of [-1, 1]."""
        values: list[float] = []
        for start in range(0, len(images), 8):
            x = images.read(range(start, min(start + 8, len(images)))).to(device)
            error = (reconstruct(x).float() - x).square().flatten(1).mean(1)  # (B,)
            values += (10 * torch.log10(4 / error.clamp_min(1e-12))).tolist()
        return float(np.mean(values))

    validation = made.context.dataset.split("validation")
    return Reconstruction(training_psnr=psnr(made.training), validation_psnr=psnr(validation))
