"""What a bench would do, without doing it."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path

from rich.console import Group, RenderableType

from memtk.bench.experiment import Experiment, Preview
from memtk.bench.pipeline import finished_stages, preview_cells
from memtk.bench.plan import Plan
from memtk.bench.subsets import chosen_training
from memtk.data.prepare import Dataset, prepare
from memtk.evaluation.dry_run import add_model, image_table, model_table
from memtk.events import Event, Watch, ignore
from memtk.registry import Registry
from memtk.results import read_run_file
from memtk.training.devices import open_devices


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
        watch: told of the reading.
        out: the run folder that would be used.
        device: must be there.
        adjust: returns the plan as it will be run, where that depends on the images.

    Raises:
        UserError: for all that the bench itself would refuse before training, but for a folder
            that cannot be written.
    """
    open_devices(device)
    if plan.recipe.note:
        watch(Event("note", "suite", text=plan.recipe.note))
    with tempfile.TemporaryDirectory() as folder:
        dataset = prepare(plan.data, Path(folder), registry, watch)
        plan = adjust(plan, dataset) if adjust else plan
        spec, counts = dataset.spec, dataset.counts()
        plan.check_dims(spec, registry)
        previews = preview_cells(plan, dataset)
        used = len(chosen_training(plan, dataset))
    models = model_table()
    for name, part in plan.generators.items():
        add_model(models, name, part, spec, len(previews[name].training))
    place = out or plan.default_folder()
    notes = dict.fromkeys(note for preview in previews.values() for note in preview.notes)
    models.caption = "\n".join([str(models.caption), *notes, *_finished(plan, previews, place)])
    bench, drawn = plan.recipe.bench, sorted({preview.count for preview in previews.values()})
    if plan.embedder:
        trained = add_model(models, plan.embedder.name, plan.embedder, spec, used)
        again = {"last": "the last", "all": "each"}.get(bench.exposure)
        if again and trained:
            models.caption = f"{models.caption}\n{plan.embedder.name} is trained a second time, on "
            models.caption += f"{again} synthetic set" + " of each generator" * (
                again == "the last"
            )
    if plan.extractor and plan.extractor != plan.embedder:
        add_model(models, f"{plan.extractor.name} (extractor)", plan.extractor, spec, used)
    last = (
        f"{used} training images used; up to {bench.checkpoints} checkpoints of each generator, "
        f"{' or '.join(map(str, drawn))} synthetic images each; "
        f"similarity {bench.similarity}; run folder {place}"
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
