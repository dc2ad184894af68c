"""Runs a bench: the data, the copy detector, then cell by cell, and the report."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from pathlib import Path

from memtk.bench.experiment import Experiment, Networks, Run
from memtk.bench.pipeline import finished_stages, preview_cells, run_cell
from memtk.bench.plan import Plan
from memtk.bench.subsets import available_training
from memtk.evaluation.context import Context, RunFolder, open_context
from memtk.evaluation.detector import Detector
from memtk.evaluation.quality import extractor_of
from memtk.events import Event, Watch, ignore
from memtk.interfaces import Stage
from memtk.registry import Registry
from memtk.report import build_report
from memtk.results import Result, read_result
from memtk.training.devices import Devices, open_devices


@dataclass(frozen=True)
class FinishedRun:
    """What a bench leaves behind.

    Args:
        folder: the run folder.
        results: one a cell.
        report: the page.
    """

    folder: Path
    results: tuple[Result, ...]
    report: Path


def run_bench(
    plan: Plan,
    registry: Registry,
    *,
    out: Path | None = None,
    device: str = "auto",
    resume: bool = True,
    watch: Watch = ignore,
) -> FinishedRun | None:
    """Run every cell that is not finished yet, and make the report.

    Args:
        out: the run folder; by default one that the recipe determines.
        device: see `memtk.training.devices.open_devices`.
        resume: False throws away what an earlier run left in the folder.
        watch: told of all that happens, on the first process.

    Returns:
        What was found; None on all processes but the first.

    Raises:
        UserError: for data, settings or a folder that cannot be used.
    """
    devices = open_devices(device)
    folder = RunFolder(
        out or plan.default_folder(),
        plan.identity(),
        sources=tuple(plan.data.sources()),
        cells=tuple(plan.generators),
        resume=resume,
        watch=watch,
    )
    done = folder.work(
        devices,
        lambda watch: _run(plan, registry, folder.path, devices, watch),
        lambda results: build_report(folder.path, registry),
    )
    return FinishedRun(folder.path, tuple(done[0]), done[1]) if done else None


def _run(
    plan: Plan, registry: Registry, folder: Path, devices: Devices, watch: Watch
) -> list[Result]:
    bench = plan.recipe.bench
    if plan.recipe.note:
        watch(Event("note", "suite", text=plan.recipe.note))
    context = open_context(
        plan.data, registry, folder, devices, watch, seed=bench.seed, batch_size=bench.batch_size
    )
    plan.check_dims(context.dataset.spec, registry)
    preview_cells(plan, context.dataset)  # refuses what cannot be done
    run, results = None, []
    for cell in plan.generators:
        experiment = Experiment.of(plan, cell)
        if Stage.RECORD in finished_stages(experiment, folder):
            watch(Event("skip", f"cell {cell}"))
            results.append(read_result(folder / experiment.home / "result.json"))
            continue
        run = run or Run(context, train_networks(context, plan))
        results.append(run_cell(experiment, run))
    return results


def train_networks(context: Context, plan: Plan) -> Networks:
    """Return the networks that look at images. None of them sees a canary that is held back."""
    first, training = train_detector(context, plan), available_training(plan, context.dataset)
    extractor = extractor_of(context, plan.extractor, plan.embedder, first, training)
    return Networks(first, cache(lambda: train_detector(context, plan, second=True)), extractor)


def train_detector(context: Context, plan: Plan, *, second: bool = False) -> Detector | None:
    """Return the copy detector of a run, trained on all training images; None in image space.

    It is trained once, whatever the mitigations leave to the generators. It sees no canary that is
    held back: mitigations that go by what it finds would tell of it.

    Args:
        second: another one of the same kind, of other weights and another order, which had no part
            in what was chosen by the first.
    """
    if plan.embedder is None:
        return None
    folder, name = context.folder / "embedder", plan.recipe.bench.embedder
    return Detector(
        context,
        plan.embedder,
        available_training(plan, context.dataset),
        folder / "second" if second else folder,
        f"the second embedder {name}" if second else f"the embedder {name}",
    )
