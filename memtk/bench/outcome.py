"""Puts the result of a cell together, with all that it takes to repeat it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from memtk import __version__
from memtk.bench.plan import Plan
from memtk.bench.recipe import Recipe
from memtk.components import ConfiguredComponent
from memtk.data.config import is_name
from memtk.data.images import StoredImages
from memtk.evaluation.context import Context
from memtk.evaluation.detector import Detector
from memtk.evaluation.provenance import data_of, device_of, trained_on, used, versions
from memtk.results import (
    Checkpoint,
    Components,
    Counts,
    Result,
    Suite,
)
from memtk.results.redact import HIDDEN, redact, redact_settings
from memtk.training.loop import Training


def make_result(
    context: Context,
    plan: Plan,
    name: str,
    part: ConfiguredComponent,
    training: StoredImages,
    trained: Training,
    checkpoints: Sequence[Checkpoint],
    detector: Detector | None,
    trainings: Sequence[str],
) -> Result:
    """Return the result of one cell. It names no path of the data and no patient.

    Args:
        trainings: names of all trainings that it took, its own first.
    """
    dataset, recipe = context.dataset, plan.recipe
    embedder = used(plan.embedder) if plan.embedder else None
    return Result(
        memtk_version=__version__,
        cell=name,
        suite=Suite(**recipe.suite.model_dump()) if recipe.suite else None,
        asked=asked_of(recipe, part, [m.name for m in plan.mitigations_of(name)]),
        preset=recipe.bench.preset,
        components=Components(
            generator=used(part),
            embedder=embedder,
            similarity=used(plan.similarity),
            mitigations=[used(m) for m in plan.mitigations_of(name)],
            quality=[used(m) for m in plan.quality],
            extractor=used(plan.extractor) if plan.extractor else None,
            attacks=[used(a) for a in plan.attacks],
        ),
        data=data_of(dataset, plan.data),
        used_training=Counts(images=len(training), patients=len(set(training.patients))),
        seed=recipe.bench.seed,
        versions=versions(),
        device=device_of(context.devices, {p: str(v) for p, v in trained.precision.items()}),
        timing=_timing(context, recipe.bench.embedder, {name, *trainings}),
        trainings=[f"training {each}" for each in trainings],
        training={
            "generator": trained.losses,
            "embedder": detector.training.losses if detector and detector.training else {},
        },
        embedder_saw=trained_on(detector, exposure=recipe.bench.exposure != "none"),
        checkpoints=list(checkpoints),
        complete=True,
    )


def _timing(context: Context, embedder: str, names: Iterable[str]) -> dict[str, float]:
    """Return the seconds of every stage that a cell needed.

    Args:
        names: of the cell, and of all trainings that it took.
    """
    general = context.clock.of(
        "reading", "embedding real", "training the ", "embedding real images by", "thinning"
    )
    own: dict[str, float] = {}
    for name in sorted(names):
        exact = {f"training {name}", f"reconstructing {name}"}
        stages = context.clock.of(
            *exact,
            f"sampling {name} ",
            f"judging {name} ",
            f"attacking {name} ",
            f"embedding {name} ",
            f"training {embedder} on synthetic {name} ",
        )
        own |= {
            stage: seconds
            for stage, seconds in stages.items()
            if stage in exact or not stage.startswith(tuple(exact))
        }
    return general | own


def asked_of(
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
