"""Runs a bench: the data, the copy detector, then cell by cell, and the report; its dry run."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path

from rich.console import Group, RenderableType

from memtk.bench.experiment import Experiment, Networks, Preview, Run
from memtk.bench.pipeline import finished_stages, preview_cells, run_cell
from memtk.bench.plan import Plan
from memtk.bench.subsets import available_training, chosen_training
from memtk.data.prepare import Dataset, prepare
from memtk.errors import many
from memtk.evaluation.context import Context, RunFolder, open_context, prepared
from memtk.evaluation.detector import Detector
from memtk.evaluation.dry_run import add_model, image_table, model_table
from memtk.evaluation.quality import extractor_of
from memtk.events import Event, Watch, ignore
from memtk.interfaces import Stage
from memtk.registry import Registry
from memtk.report import build_report
from memtk.results import Result, read_result, read_run_file
from memtk.training.devices import Devices, open_devices


@dataclass(frozen=True)
class FinishedRun:
    """What a bench leaves behind: the run folder, a result for each cell, the page."""

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
    devices = open_devices(device, plan.workers)
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
    read = partial(prepared, plan.data, registry, folder, devices, watch)
    context = open_context(
        folder, devices, watch, read, seed=bench.seed, batch_size=bench.batch_size
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


def describe_plan(
    plan: Plan,
    registry: Registry,
    *,
    watch: Watch = ignore,
    out: Path | None = None,
    device: str = "auto",
    adjust: Callable[[Plan, Dataset], Plan] | None = None,
) -> RenderableType:
    """Read and check the images, build the networks, and return what would be trained.

    Args:
        out: the run folder that would be used.
        device: must be there.
        adjust: returns the plan as it will be run, where that depends on the images.

    Raises:
        UserError: for all that the bench itself would refuse before training, but for a folder
            that cannot be written.
    """
    devices = open_devices(device)
    if plan.recipe.note:
        watch(Event("note", "suite", text=plan.recipe.note))
    with tempfile.TemporaryDirectory() as folder:
        dataset = prepare(plan.data, Path(folder), registry, watch, workers=plan.workers)
        plan = adjust(plan, dataset) if adjust else plan
        spec, counts = dataset.spec, dataset.counts()
        plan.check_dims(spec, registry)
        previews = preview_cells(plan, dataset)
        used = len(chosen_training(plan, dataset))
    models = model_table()
    for name, part in plan.generators.items():
        add_model(models, name, part, spec, devices, len(previews[name].training))
    place = out or plan.default_folder()
    notes = dict.fromkeys(note for preview in previews.values() for note in preview.notes)
    models.caption = "\n".join([str(models.caption), *notes, *_finished(plan, previews, place)])
    bench, drawn = plan.recipe.bench, sorted({preview.count for preview in previews.values()})
    if plan.embedder:
        trained = add_model(models, plan.embedder.name, plan.embedder, spec, devices, used)
        again = {"last": "the last", "all": "each"}.get(bench.exposure)
        if again and trained:
            models.caption = f"{models.caption}\n{plan.embedder.name} is trained a second time, on "
            models.caption += f"{again} synthetic set" + " of each generator" * (
                again == "the last"
            )
    if plan.extractor and plan.extractor != plan.embedder:
        add_model(models, f"{plan.extractor.name} (extractor)", plan.extractor, spec, devices, used)
    last = (
        f"{many(used, 'training image')} used; up to {many(bench.checkpoints, 'checkpoint')} of "
        f"each generator, {' or '.join(map(str, drawn))} synthetic images each; similarity "
        f"{bench.similarity}; run folder {place}"
    )
    return Group(image_table(spec, counts), models, last)


def _finished(plan: Plan, previews: Mapping[str, Preview], folder: Path) -> list[str]:
    """Say what an earlier call has finished in the run folder, if it is a run of this plan."""
    if not (folder / "run.json").exists() or read_run_file(folder).recipe != plan.identity():
        return []
    done = {
        cell: finished_stages(Experiment.of(plan, cell), folder, preview.labels)
        for cell, preview in previews.items()
    }
    return [
        f"{cell}: finished already: {', '.join(names)}" for cell, names in done.items() if names
    ]
